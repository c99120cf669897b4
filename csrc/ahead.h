/* Fetching ahead: what the next unit of work will touch is brought into the second-level cache, a few lines at each
 * round of a product, while this one computes. Deep networks outgrow every cache, and the hardware's own prefetching
 * stops at each new array. A fetch is a hint: a wrong one costs time, never correctness. */
#ifndef FG_AHEAD_H
#define FG_AHEAD_H
#include <stdint.h>

enum {
    FG_AHEAD_RANGES = 3,
    FG_AHEAD_BYTES = 64 << 10, /* most that is wanted of one array, lest it push out what is in use */
    FG_AHEAD_PER_ROUND = 128, /* two cache lines */
};

typedef struct fg_ahead {
    int ranges, current;
    struct {
        const char *at, *end;
    } range[FG_AHEAD_RANGES];
} fg_ahead;

static inline void fg_ahead_want(fg_ahead *ahead, const void *at, int64_t bytes) {
    ahead->range[ahead->ranges].at = at;
    ahead->range[ahead->ranges++].end = (const char *)at + (bytes < FG_AHEAD_BYTES ? bytes : FG_AHEAD_BYTES);
}

/* Where to fetch during the next `rounds`; `idle`, memory in use anyway, when nothing is left to want. */
static inline const char *fg_ahead_take(fg_ahead *ahead, int64_t rounds, const void *idle) {
    const char *at;
    while (ahead->current < ahead->ranges && ahead->range[ahead->current].at >= ahead->range[ahead->current].end)
        ahead->current++;
    if (ahead->current == ahead->ranges)
        return idle;
    at = ahead->range[ahead->current].at;
    ahead->range[ahead->current].at += rounds * FG_AHEAD_PER_ROUND;
    return at;
}
#endif
