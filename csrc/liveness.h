/* How long each unit of a network has been dead, as the drivers see it. */
#ifndef FG_LIVENESS_H
#define FG_LIVENESS_H
#include "network.h"

struct fg_liveness {
    const fg_network *net;
    int32_t window, seen; /* steps, of which no more than `window` are counted */
    int32_t **dead_for;   /* [layers]: each [fan_out], likewise */
    fg_arena arena;
};

void fg_liveness_count_step(fg_liveness *);
#endif
