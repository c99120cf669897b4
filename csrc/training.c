/* Trainings: the optimizer's state, packed like the parameters it belongs to, and the count of steps. */
#include "training.h"
#include <stdlib.h>

int fg_clip_waits(fg_clip_kind kind) {
    static const int waits[] = {
#define FG_CLIP(name, waits) waits,
#include "clips.def"
#undef FG_CLIP
    };
    return waits[kind];
}

static void carve_training(void *owner, fg_arena *arena) {
    fg_training *o = owner;
    o->update = fg_arena_take(arena, (size_t)o->net->layers, sizeof *o->update);
    for (int s = 0; s < o->state_count; s++) {
        o->state[s] = fg_arena_take(arena, (size_t)o->net->layers, sizeof(void *));
        for (int l = 0; l < o->net->layers; l++)
            fg_arena_place(arena, o->state[s], l, o->net->layer[l].parameters, o->net->element_size);
    }
}

fg_status fg_training_create(fg_training **out, const fg_network *net, const fg_training_config *config) {
    fg_training *o = calloc(1, sizeof *o);
    if (!o)
        return FG_ERR_MEMORY;
    o->config = *config;
    o->net = net;
    o->state_count = fg_optimizer_states(config->optimizer.kind);
    if (fg_arena_build(&o->arena, carve_training, o)) {
        free(o);
        return FG_ERR_MEMORY;
    }
    *out = o;
    return FG_OK;
}

void fg_training_destroy(fg_training *o) {
    if (!o)
        return;
    fg_liveness_destroy(o->liveness);
    fg_arena_free(&o->arena);
    free(o);
}

int64_t fg_training_steps(const fg_training *o) { return o->steps; }

fg_status fg_training_watch(fg_training *o, int32_t window) {
    fg_liveness *liveness;
    if (fg_liveness_create(&liveness, o->net, window))
        return FG_ERR_MEMORY;
    fg_liveness_destroy(o->liveness);
    o->liveness = liveness;
    return FG_OK;
}

void fg_plan_updates(fg_training *o) {
    const struct fg_update next = fg_next_update(&o->config.optimizer, o->steps);
    for (int l = 0; l < o->net->layers; l++)
        o->update[l] = (fg_layer_update){next, next};
}
