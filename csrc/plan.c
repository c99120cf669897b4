/* Plans: how large everything is, where it lies, and which schedule suits the shape. */
#include "sharing.h"
#include "stage.h"
#include <stdlib.h>

static void describe_level(const fg_plan *plan, int l) {
    const fg_network *net = plan->net;
    fg_level *const level = &plan->level[l];
    level->columns = l > 0 ? net->layer[l - 1].fan_out : net->layer[0].fan_in;
    level->stride = fg_row_stride(level->columns, (int64_t)net->element_size);
    level->forward_panels = l > 0 ? net->layer[l - 1].panels : 1;
    /* The loss works on whole rows: the outputs' sums are one panel's. */
    level->backward_panels =
        l < net->layers ? fg_panels(fg_vecs(level->columns, net->kernels->lanes), net->kernels->panel_vecs) : 1;
}

/* Outputs alone alternate between two buffers. Their rows are as long as the widest level's at every level, so that a
 * row's place does not depend on the level, and a thread may be a layer ahead of another. */
static void carve_two_levels(fg_plan *plan, fg_arena *arena) {
    const int levels = plan->net->layers + 1;
    int64_t widest = 0;
    void *buffer[2];
    for (int l = 0; l < levels; l++)
        if (plan->level[l].stride > widest)
            widest = plan->level[l].stride;
    for (int b = 0; b < 2; b++)
        buffer[b] = fg_arena_take(arena, fg_count(plan->capacity, widest), plan->net->element_size);
    for (int l = 0; l < levels; l++) {
        plan->level[l].stride = widest;
        plan->level[l].activation = buffer[l % 2];
    }
}

static void carve_exponents_and_sums(const fg_plan *plan, fg_level *level, fg_arena *arena) {
    const size_t blocks = (size_t)plan->blocks;
    level->signal_exponents = fg_arena_take(arena, blocks, sizeof *level->signal_exponents);
    level->preactivation_exponents = fg_arena_take(arena, blocks, sizeof *level->preactivation_exponents);
    level->forward_sums =
        fg_arena_take(arena, fg_count(level->forward_panels, plan->blocks), FG_FORWARD_SUMS * sizeof(double));
    if (plan->memory == FG_KEEPS_OUTPUTS)
        return;
    level->delta_exponents = fg_arena_take(arena, blocks, sizeof *level->delta_exponents);
    level->backward_sums =
        fg_arena_take(arena, fg_count(level->backward_panels, plan->blocks), FG_BACKWARD_SUMS * sizeof(double));
}

static int64_t units_of(const fg_network *net, int l) {
    return net->layer[l].panels * (fg_ceil_div(net->layer[l].fan_in, FG_WEIGHT_BLOCK) + net->has_bias);
}

/* The bias is a unit of its own at the end of each panel, since its norm is reported apart. */
static void describe_units(fg_plan *plan, double *sums) {
    const fg_network *net = plan->net;
    fg_weight_unit *unit = plan->unit;
    double cost = 0.0;
    for (int l = 0; l < net->layers; l++) {
        const fg_layer *layer = &net->layer[l];
        plan->first_unit[l] = unit - plan->unit;
        for (int64_t p = 0; p < layer->panels; p++) {
            const int64_t start = fg_panel_start(layer->vecs, p, net->kernels->panel_vecs);
            for (int64_t first = 0; first < layer->depth;) {
                const int64_t end = first < layer->fan_in ? layer->fan_in : layer->depth;
                *unit = (fg_weight_unit){.layer = l,
                                         .vecs = fg_panel_vecs(layer->vecs, start, net->kernels->panel_vecs),
                                         .column = start * net->kernels->lanes,
                                         .first = first,
                                         .rows = end - first < FG_WEIGHT_BLOCK ? end - first : FG_WEIGHT_BLOCK,
                                         .cost_before = cost,
                                         .sums = sums};
                cost += (double)(unit->rows * unit->vecs);
                first += unit->rows;
                sums += FG_UPDATE_SUMS;
                unit++;
            }
        }
    }
    plan->first_unit[net->layers] = plan->units;
}

static void carve_units(fg_plan *plan, fg_arena *arena) {
    const fg_network *net = plan->net;
    double *sums;
    plan->units = 0;
    for (int l = 0; l < net->layers; l++)
        plan->units += units_of(net, l);
    plan->unit = fg_arena_take(arena, (size_t)plan->units, sizeof *plan->unit);
    plan->first_unit = fg_arena_take(arena, (size_t)net->layers + 1, sizeof *plan->first_unit);
    sums = fg_arena_take(arena, (size_t)(plan->units * FG_UPDATE_SUMS), sizeof(double));
    if (arena->base)
        describe_units(plan, sums);
}

/* A transposed panel is as deep as the widest layer above; a loss needs one row of outputs. */
static void carve_scratch(fg_plan *plan, fg_arena *arena) {
    const fg_network *net = plan->net;
    const int64_t width = (int64_t)net->kernels->panel_vecs * net->kernels->lanes;
    int64_t deepest = 0;
    for (int l = 0; l < net->layers; l++)
        if (net->layer[l].vecs * net->kernels->lanes > deepest)
            deepest = net->layer[l].vecs * net->kernels->lanes;
    plan->scratch = fg_arena_take(arena, (size_t)plan->threads, sizeof *plan->scratch);
    for (int t = 0; t < plan->threads; t++)
        fg_arena_place(arena, plan->scratch, t, (size_t)(deepest * width), net->element_size);
}

static void carve_plan(void *owner, fg_arena *arena) {
    fg_plan *plan = owner;
    const int layers = plan->net->layers;
    plan->counters = fg_counters_for(layers);
    plan->counter = fg_arena_take(arena, (size_t)plan->counters, sizeof *plan->counter);
    if (plan->memory == FG_KEEPS_OUTPUTS) {
        carve_two_levels(plan, arena);
        plan->lost = fg_arena_take(arena, (size_t)plan->capacity, sizeof *plan->lost);
    } else {
        carve_units(plan, arena);
        carve_scratch(plan, arena);
    }
    for (int l = 0; l <= layers; l++) {
        carve_exponents_and_sums(plan, &plan->level[l], arena);
        for (const fg_stage *const *stage = fg_stages_of(plan, l); *stage; stage++)
            if ((*stage)->carve)
                (*stage)->carve(plan, l, arena);
    }
}

static size_t largest_layer(const fg_network *net) {
    size_t largest = 0;
    for (int l = 0; l < net->layers; l++)
        if (net->layer[l].parameters * net->element_size > largest)
            largest = net->layer[l].parameters * net->element_size;
    return largest;
}

/* Sliced, each thread reads and transposes the weights of every layer: too much where a layer outgrows its second-level
 * cache, or is large and meets one block of rows. A layer that is small is done before threads could wait for each
 * other. */
static fg_schedule choose_schedule(const fg_network *net, int64_t blocks, int threads) {
    enum { FITS_A_CORE = 1 << 20, SMALL = 128 << 10 };
    const size_t largest = largest_layer(net);
    if (blocks < threads || largest > FITS_A_CORE || (largest > SMALL && blocks == threads))
        return FG_LAYER_SYNCHRONOUS;
    return FG_BATCH_SLICED;
}

fg_status fg_plan_create(fg_plan **out, fg_network *net, int64_t capacity, fg_plan_memory memory) {
    fg_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return FG_ERR_MEMORY;
    plan->net = net;
    plan->memory = memory;
    plan->capacity = capacity;
    plan->blocks = fg_ceil_div(capacity, FG_ROW_BLOCK);
    plan->threads = fg_threads();
    plan->schedule = choose_schedule(net, plan->blocks, plan->threads);
    plan->level = calloc((size_t)net->layers + 1, sizeof *plan->level);
    for (int l = 0; plan->level && l <= net->layers; l++)
        describe_level(plan, l);
    for (int l = 0; l < net->layers; l++)
        plan->flops_per_row += 6.0 * (double)net->layer[l].fan_in * (double)net->layer[l].fan_out;
    if (!plan->level || fg_arena_build(&plan->arena, carve_plan, plan) ||
        (memory == FG_KEEPS_GRADIENTS && fg_store_take(plan, FG_CLIP_none))) {
        fg_plan_destroy(plan);
        return FG_ERR_MEMORY;
    }
    *out = plan;
    return FG_OK;
}

void fg_plan_destroy(fg_plan *plan) {
    if (!plan)
        return;
    fg_store_free(plan);
    fg_arena_free(&plan->arena);
    free(plan->level);
    free(plan);
}
