/* Aligned, zeroed, counted memory. Refuses to know what it is for. */
#define _DEFAULT_SOURCE
#include "arena.h"
#include "layout.h"
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { HUGE_PAGE = 2 << 20 };

static _Thread_local int64_t allocations;

int64_t fg_allocations(void) { return allocations; }

static size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

/* A size that does not fit stays at the largest, which no allocation can meet. */
static size_t add_block(size_t used, size_t count, size_t element_size) {
    size_t bytes, total;
    if (__builtin_mul_overflow(count, element_size, &bytes) || __builtin_add_overflow(bytes, used, &total) ||
        total > PTRDIFF_MAX - HUGE_PAGE)
        return SIZE_MAX;
    return round_up(total, FG_CACHE_LINE);
}

void *fg_arena_take(fg_arena *arena, size_t count, size_t element_size) {
    void *at = arena->base ? arena->base + arena->used : NULL;
    arena->used = add_block(arena->used, count, element_size);
    return at;
}

void fg_arena_place(fg_arena *arena, void **slot, int64_t index, size_t count, size_t element_size) {
    void *array = fg_arena_take(arena, count, element_size);
    if (arena->base)
        slot[index] = array;
}

/* Large blocks ask for huge pages: the rows of a batch would otherwise each need an entry of a small TLB. */
static char *allocate(size_t size) {
    const size_t alignment = size >= HUGE_PAGE ? HUGE_PAGE : FG_CACHE_LINE;
    char *base;
    if (size == SIZE_MAX)
        return NULL;
    size = round_up(size ? size : 1, alignment);
    base = aligned_alloc(alignment, size);
    if (!base)
        return NULL;
#if defined(__linux__)
    if (alignment == HUGE_PAGE)
        (void)madvise(base, size, MADV_HUGEPAGE);
#endif
    allocations++;
    return memset(base, 0, size);
}

fg_status fg_arena_build(fg_arena *arena, void (*carve)(void *owner, fg_arena *), void *owner) {
    *arena = (fg_arena){0};
    carve(owner, arena);
    arena->base = allocate(arena->used);
    if (!arena->base)
        return FG_ERR_MEMORY;
    arena->used = 0;
    carve(owner, arena);
    return FG_OK;
}

void fg_arena_free(fg_arena *arena) {
    free(arena->base);
    *arena = (fg_arena){0};
}
