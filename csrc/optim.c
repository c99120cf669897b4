/* Optimizers: the hyperparameters of torch.optim, reduced once a step to what a kernel needs for one element. */
#include "training.h"
#include <math.h>

int fg_optimizer_states(fg_optimizer_kind kind) {
    static const int states[] = {
#define FG_OPTIMIZER(name, states) states,
#include "optimizers.def"
#undef FG_OPTIMIZER
    };
    return states[kind];
}

/* 1 - beta^t, which does not cancel where beta is near 1. */
static double weight_of_past(double beta, double t) { return -expm1(t * log(beta)); }

struct fg_update fg_next_update(const fg_optimizer_config *c, int64_t steps) {
    const double t = (double)(steps + 1);
    struct fg_update u = {.kind = c->kind, .lr = c->lr, .beta1 = c->beta1, .beta2 = c->beta2, .eps = c->eps};
    u.l2 = c->decoupled ? 0.0 : c->weight_decay;
    u.decay = c->decoupled ? c->lr * c->weight_decay : 0.0;
    u.momentum = c->momentum;
    u.gain = steps == 0 ? 1.0 : 1.0 - c->dampening; /* the first buffer is the gradient itself */
    u.gradient_part = c->nesterov ? 1.0 : 0.0;
    u.buffer_part = c->nesterov ? c->momentum : 1.0;
    u.step_size = c->lr / weight_of_past(c->beta1, t);
    u.root_scale = sqrt((1.0 - c->beta2) / (c->kind == FG_OPTIMIZER_adam ? weight_of_past(c->beta2, t) : 1.0));
    return u;
}
