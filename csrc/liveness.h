/* How long each unit of a network has been dead, as the drivers see it. */
#ifndef FG_LIVENESS_H
#define FG_LIVENESS_H
#include "network.h"

typedef struct fg_liveness {
    const fg_network *net;
    int32_t window, seen; /* seen: steps so far, counted up to `window` */
    int32_t **dead_for;   /* [layers]: each [fan_out], likewise */
    fg_arena arena;
} fg_liveness;

fg_status fg_liveness_create(fg_liveness **out, const fg_network *, int32_t window);
void fg_liveness_destroy(fg_liveness *);
void fg_liveness_count_step(fg_liveness *);

/* The share of a layer's units that are dead; without a liveness, for the samples of this pass. */
double fg_dead_share(const fg_plan *, int layer, fg_liveness *);
#endif
