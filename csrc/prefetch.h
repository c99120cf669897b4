/* Prefetching: what the next unit of work will touch is brought into the second-level cache, a few lines at each
 * round of a product, while this one computes. Deep networks outgrow every cache, and the hardware's own prefetcher
 * stops at each new array. A prefetch is a hint: a wrong one costs time, never correctness. */
#ifndef FG_PREFETCH_H
#define FG_PREFETCH_H
#include <stdint.h>

enum {
    FG_PREFETCH_RANGES = 3,
    FG_PREFETCH_BYTES = 64 << 10, /* most that is wanted of one array, lest it push out what is in use */
    FG_PREFETCH_PER_ROUND = 128, /* two cache lines in each round of a product's loop over its depth */
};

typedef struct fg_prefetch {
    int ranges, current;
    struct {
        const char *at, *end;
    } range[FG_PREFETCH_RANGES];
} fg_prefetch;

static inline void fg_prefetch_want(fg_prefetch *prefetch, const void *at, int64_t bytes) {
    prefetch->range[prefetch->ranges].at = at;
    prefetch->range[prefetch->ranges++].end =
        (const char *)at + (bytes < FG_PREFETCH_BYTES ? bytes : FG_PREFETCH_BYTES);
}

/* Where a product of so many rounds is to prefetch from: the next of the ranges, whose rest is left for later products;
 * `idle`, memory in use anyway, when nothing is left. */
static inline const char *fg_prefetch_take(fg_prefetch *prefetch, int64_t rounds, const void *idle) {
    const char *at;
    while (prefetch->current < prefetch->ranges &&
           prefetch->range[prefetch->current].at >= prefetch->range[prefetch->current].end)
        prefetch->current++;
    if (prefetch->current == prefetch->ranges)
        return idle;
    at = prefetch->range[prefetch->current].at;
    prefetch->range[prefetch->current].at += rounds * FG_PREFETCH_PER_ROUND;
    return at;
}
#endif
