/* An optimizer's state, packed like the parameters it belongs to. */
#ifndef FG_OPTIM_H
#define FG_OPTIM_H
#include "network.h"

struct fg_optimizer {
    fg_optimizer_config config;
    int64_t steps;
    const fg_network *net;
    int state_count;
    void **state[FG_MAX_STATES]; /* [layers], each like the layer's weights */
    double gradient_bound, average_bound; /* of the step at hand's gradients, and of their average before it */
    fg_arena arena;
};

/* What step number steps + 1 does to an element. */
struct fg_update fg_optimizer_next(const fg_optimizer *);
#endif
