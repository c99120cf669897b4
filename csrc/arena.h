/* Where all arrays come from: one block per owner, carved once. An owner describes its arrays by a function that takes
 * them one after another; run over an empty arena it measures, run again it hands out addresses. */
#ifndef FG_ARENA_H
#define FG_ARENA_H
#include <stddef.h>
#include "fastgrad.h"

typedef struct fg_arena {
    char *base; /* NULL while measuring */
    size_t used;
} fg_arena;

/* The product of two counts that are not negative; where it does not fit SIZE_MAX, which no arena can be given. */
static inline size_t fg_count(int64_t a, int64_t b) {
    size_t count;
    return __builtin_mul_overflow(a, b, &count) ? SIZE_MAX : count;
}

/* Zeroed and aligned to a cache line; NULL while measuring. */
void *fg_arena_take(fg_arena *, size_t count, size_t element_size);

/* The same, its address stored in slot[index] of a table that exists once addresses are handed out. */
void fg_arena_place(fg_arena *, void **slot, int64_t index, size_t count, size_t element_size);

/* Measures what `carve` takes, allocates it zeroed, and carves again. On failure nothing is held. */
fg_status fg_arena_build(fg_arena *, void (*carve)(void *owner, fg_arena *), void *owner);
void fg_arena_free(fg_arena *);
#endif
