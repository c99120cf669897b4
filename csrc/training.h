/* How a network is trained and what that remembers, as the drivers see it. */
#ifndef FG_TRAINING_H
#define FG_TRAINING_H
#include "liveness.h"
#include "network.h"

/* What the next step does to the elements of a layer. */
typedef struct fg_layer_update {
    struct fg_update weights, bias;
} fg_layer_update;

struct fg_training {
    fg_training_config config;
    const fg_network *net;
    int64_t steps;
    fg_layer_update *update; /* [layers] */
    int state_count;
    void **state[FG_MAX_STATES]; /* [layers], each like the layer's weights */
    double gradient_bound, average_bound; /* of any entry of this step's gradients, and of their average before it */
    fg_liveness *liveness; /* NULL: nobody watches */
    fg_arena arena;
};

/* Whether gradients have to wait, to be clipped. */
int fg_clip_waits(fg_clip_kind);

/* What step number steps + 1 does to an element, optim.c. */
struct fg_update fg_next_update(const fg_optimizer_config *, int64_t steps);
/* The same for every layer, before a step. */
void fg_plan_updates(fg_training *);
#endif
