/* Optimizers: the hyperparameters of torch.optim, reduced once a step to what a kernel needs for one element. */
#include "optim.h"
#include <math.h>
#include <stdlib.h>

static void carve_optimizer(void *owner, fg_arena *arena) {
    fg_optimizer *o = owner;
    for (int s = 0; s < o->state_count; s++) {
        o->state[s] = fg_arena_take(arena, (size_t)o->net->layers, sizeof(void *));
        for (int l = 0; l < o->net->layers; l++) {
            void *array = fg_arena_take(arena, o->net->layer[l].parameters, o->net->element_size);
            if (arena->base)
                o->state[s][l] = array;
        }
    }
}

int fg_optimizer_states(fg_optimizer_kind kind) {
    static const int states[] = {
#define FG_OPTIMIZER(name, states) states,
#include "optimizers.def"
#undef FG_OPTIMIZER
    };
    return states[kind];
}

fg_status fg_optimizer_create(fg_optimizer **out, const fg_network *net, const fg_optimizer_config *config) {
    fg_optimizer *o = calloc(1, sizeof *o);
    if (!o)
        return FG_ERR_MEMORY;
    o->config = *config;
    o->net = net;
    o->state_count = fg_optimizer_states(config->kind);
    if (fg_arena_build(&o->arena, carve_optimizer, o)) {
        free(o);
        return FG_ERR_MEMORY;
    }
    *out = o;
    return FG_OK;
}

void fg_optimizer_destroy(fg_optimizer *o) {
    if (!o)
        return;
    fg_arena_free(&o->arena);
    free(o);
}

int64_t fg_optimizer_steps(const fg_optimizer *o) { return o->steps; }

/* 1 - beta^t, which does not cancel where beta is near 1. */
static double weight_of_past(double beta, double t) { return -expm1(t * log(beta)); }

struct fg_update fg_optimizer_next(const fg_optimizer *o) {
    const fg_optimizer_config *c = &o->config;
    const double t = (double)(o->steps + 1);
    struct fg_update u = {.kind = c->kind, .lr = c->lr, .beta1 = c->beta1, .beta2 = c->beta2, .eps = c->eps};
    u.l2 = c->decoupled ? 0.0 : c->weight_decay;
    u.decay = c->decoupled ? c->lr * c->weight_decay : 0.0;
    u.momentum = c->momentum;
    u.gain = o->steps == 0 ? 1.0 : 1.0 - c->dampening; /* the first buffer is the gradient itself */
    u.gradient_part = c->nesterov ? 1.0 : 0.0;
    u.buffer_part = c->nesterov ? c->momentum : 1.0;
    u.step_size = c->lr / weight_of_past(c->beta1, t);
    u.root_scale = sqrt((1.0 - c->beta2) / (c->kind == FG_OPTIMIZER_adam ? weight_of_past(c->beta2, t) : 1.0));
    return u;
}
