#include "arena.h"
#include "layout.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { HUGE_PAGE = 2 << 20 };

static _Atomic int64_t allocations;

int64_t fg_allocations(void) { return atomic_load(&allocations); }

static size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

void *fg_arena_take(fg_arena *arena, size_t count, size_t element_size) {
    void *at = arena->base ? arena->base + arena->used : NULL;
    arena->used += round_up(count * element_size, FG_CACHE_LINE);
    return at;
}

/* Large blocks ask for huge pages: the rows of a batch would otherwise each need an entry of a small TLB. */
static char *allocate(size_t size) {
    const size_t alignment = size >= HUGE_PAGE ? HUGE_PAGE : FG_CACHE_LINE;
    const size_t rounded = round_up(size ? size : 1, alignment);
    char *base = aligned_alloc(alignment, rounded);
    if (!base)
        return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (alignment == HUGE_PAGE)
        (void)madvise(base, rounded, MADV_HUGEPAGE);
#endif
    atomic_fetch_add(&allocations, 1);
    return memset(base, 0, rounded);
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
