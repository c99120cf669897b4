/* Memory for gradients that have to wait, and for what is to be known of them. */
#include "plan.h"
#include "training.h"

static double **take_column_norms(const fg_plan *plan, fg_arena *arena) {
    const fg_network *net = plan->net;
    double **norms = fg_arena_take(arena, (size_t)net->layers, sizeof *norms);
    for (int l = 0; l < net->layers; l++) {
        const fg_layer *layer = &net->layer[l];
        const int64_t blocks = fg_ceil_div(layer->fan_in, FG_WEIGHT_BLOCK) + 1;
        fg_arena_place(arena, (void **)norms, l, fg_count(blocks, layer->vecs * net->kernels->lanes), sizeof **norms);
    }
    return norms;
}

static void carve_gradients(void *owner, fg_arena *arena) {
    fg_plan *plan = owner;
    fg_store *const store = &plan->store;
    const fg_network *net = plan->net;
    store->settled = fg_arena_take(arena, (size_t)net->layers, sizeof *store->settled);
    store->gradients = fg_arena_take(arena, (size_t)net->layers, sizeof *store->gradients);
    for (int l = 0; l < net->layers; l++)
        fg_arena_place(arena, store->gradients, l, net->layer[l].parameters, net->element_size);
}

static void carve_with_norms(void *owner, fg_arena *arena) {
    fg_plan *plan = owner;
    carve_gradients(plan, arena);
    plan->store.gradient_norms = take_column_norms(plan, arena);
}

static void carve_with_units(void *owner, fg_arena *arena) {
    fg_plan *plan = owner;
    fg_store *const store = &plan->store;
    const fg_network *net = plan->net;
    carve_with_norms(plan, arena);
    store->weight_norms = take_column_norms(plan, arena);
    store->column_factors = fg_arena_take(arena, (size_t)net->layers, sizeof *store->column_factors);
    for (int l = 0; l < net->layers; l++)
        fg_arena_place(arena, store->column_factors, l, (size_t)(net->layer[l].vecs * net->kernels->lanes),
                       net->element_size);
}

int fg_store_suffices(const fg_plan *plan, fg_clip_kind clip) {
    const fg_store *store = &plan->store;
    return store->arena.base && (store->gradient_norms || !fg_clip_waits(clip)) &&
           (store->weight_norms || clip != FG_CLIP_adaptive);
}

fg_status fg_store_take(fg_plan *plan, fg_clip_kind clip) {
    void (*const carve)(void *, fg_arena *) = clip == FG_CLIP_adaptive ? carve_with_units
                                              : fg_clip_waits(clip)    ? carve_with_norms
                                                                       : carve_gradients;
    fg_store before = plan->store;
    plan->store = (fg_store){0};
    if (fg_arena_build(&plan->store.arena, carve, plan)) {
        plan->store = before;
        return FG_ERR_MEMORY;
    }
    fg_arena_free(&before.arena);
    return FG_OK;
}

void fg_store_free(fg_plan *plan) {
    fg_arena_free(&plan->store.arena);
    plan->store = (fg_store){0};
}
