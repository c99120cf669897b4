/* Plans: how large everything is, where it lies, and which schedule suits the shape. */
#include "layout.h"
#include "sharing.h"
#include <stdlib.h>

int64_t fg_level_panels(const fg_plan *plan, int level) {
    const fg_kernels *k = plan->net->kernels;
    return fg_panels(fg_vecs(fg_level_columns(plan, level), k->lanes), k->panel_vecs);
}

static void *take_pointers(fg_arena *arena, int count) { return fg_arena_take(arena, (size_t)count, sizeof(void *)); }

/* Stores an array's address once the table that holds it exists. */
static void place(fg_arena *arena, void **slot, int index, size_t count, size_t size) {
    void *array = fg_arena_take(arena, count, size);
    if (arena->base)
        slot[index] = array;
}

static int64_t level_stride(const fg_plan *plan, int level) {
    return fg_row_stride(fg_level_columns(plan, level), (int64_t)plan->net->element_size);
}

static size_t level_elements(const fg_plan *plan, int level) {
    return fg_count(plan->capacity, level_stride(plan, level));
}

/* Inference alternates between two buffers. Their rows are as long as the widest level's at every level, so that a row's
 * place does not depend on the level, and a thread may be a layer prefetch of another. */
static void carve_two_levels(fg_plan *plan, fg_arena *arena) {
    const int levels = plan->net->layers + 1;
    void *buffer[2];
    int widest = 0;
    for (int level = 1; level < levels; level++)
        if (level_stride(plan, level) > level_stride(plan, widest))
            widest = level;
    for (int b = 0; b < 2; b++)
        buffer[b] = fg_arena_take(arena, level_elements(plan, widest), plan->net->element_size);
    for (int level = 0; arena->base && level < levels; level++) {
        plan->strides[level] = level_stride(plan, widest);
        plan->activations[level] = buffer[level % 2];
    }
}

static void carve_levels(fg_plan *plan, fg_arena *arena) {
    const fg_network *net = plan->net;
    const int levels = net->layers + 1;
    plan->strides = fg_arena_take(arena, (size_t)levels, sizeof *plan->strides);
    plan->activations = take_pointers(arena, levels);
    plan->deltas = take_pointers(arena, levels);
    if (plan->mode == FG_INFERENCE) {
        carve_two_levels(plan, arena);
        return;
    }
    for (int level = 0; arena->base && level < levels; level++)
        plan->strides[level] = level_stride(plan, level);
    for (int level = 0; level < levels; level++) {
        place(arena, plan->activations, level, level_elements(plan, level), net->element_size);
        if (level > 0 || plan->mode == FG_GRADIENTS)
            place(arena, plan->deltas, level, level_elements(plan, level), net->element_size);
    }
}

/* An exponent for each block of `count` levels. */
static int **take_exponents(const fg_plan *plan, fg_arena *arena, int count) {
    int **exponents = fg_arena_take(arena, (size_t)count, sizeof *exponents);
    for (int i = 0; i < count; i++) {
        int *of_blocks = fg_arena_take(arena, (size_t)plan->blocks, sizeof *of_blocks);
        if (arena->base)
            exponents[i] = of_blocks;
    }
    return exponents;
}

static void carve_forward_sums(fg_plan *plan, fg_arena *arena) {
    const fg_network *net = plan->net;
    plan->input_squares = fg_arena_take(arena, (size_t)plan->blocks, sizeof(double));
    plan->signal_exponents = take_exponents(plan, arena, net->layers + 1);
    plan->preactivation_exponents = take_exponents(plan, arena, net->layers);
    plan->forward_sums = take_pointers(arena, net->layers);
    for (int l = 0; l < net->layers; l++)
        place(arena, plan->forward_sums, l, fg_count(net->layer[l].panels, plan->blocks),
              FG_FORWARD_SUMS * sizeof(double));
}

static void carve_backward_sums(fg_plan *plan, fg_arena *arena) {
    const int levels = plan->net->layers + 1;
    plan->losses = fg_arena_take(arena, (size_t)plan->blocks, sizeof(double));
    plan->loss_exponents = fg_arena_take(arena, (size_t)plan->blocks, sizeof *plan->loss_exponents);
    plan->alignment = fg_arena_take(arena, (size_t)levels - 1, sizeof *plan->alignment);
    plan->bias_inputs = take_pointers(arena, levels - 1);
    plan->delta_exponents = take_exponents(plan, arena, levels);
    plan->column_derivatives = take_pointers(arena, levels - 1);
    plan->backward_sums = take_pointers(arena, levels);
    for (int l = 0; l < levels - 1; l++)
        place(arena, plan->bias_inputs, l, (size_t)plan->capacity, plan->net->element_size);
    for (int l = 0; l < levels - 1; l++)
        place(arena, plan->column_derivatives, l, fg_count(plan->blocks, level_stride(plan, l + 1)),
              plan->net->element_size);
    for (int level = 0; level < levels; level++)
        place(arena, plan->backward_sums, level, fg_count(fg_level_panels(plan, level), plan->blocks),
              FG_BACKWARD_SUMS * sizeof(double));
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
    if (plan->mode != FG_GRADIENTS)
        return;
    plan->gradients = take_pointers(arena, net->layers);
    for (int l = 0; l < net->layers; l++)
        place(arena, plan->gradients, l, net->layer[l].parameters, net->element_size);
}

/* A transposed panel is as deep as the widest layer above; a loss needs one row of outputs. */
static void carve_scratch(fg_plan *plan, fg_arena *arena) {
    const fg_network *net = plan->net;
    const int64_t width = (int64_t)net->kernels->panel_vecs * net->kernels->lanes;
    int64_t deepest = 0;
    for (int l = 0; l < net->layers; l++)
        if (net->layer[l].vecs * net->kernels->lanes > deepest)
            deepest = net->layer[l].vecs * net->kernels->lanes;
    plan->scratch = take_pointers(arena, plan->threads);
    for (int t = 0; t < plan->threads; t++)
        place(arena, plan->scratch, t, (size_t)(deepest * width), net->element_size);
}

static void carve_plan(void *owner, fg_arena *arena) {
    fg_plan *plan = owner;
    carve_levels(plan, arena);
    plan->counters = 2 * (plan->net->layers + 1) + 2;
    plan->counter = fg_arena_take(arena, (size_t)plan->counters, sizeof *plan->counter);
    carve_forward_sums(plan, arena);
    if (plan->mode == FG_INFERENCE) {
        plan->lost = fg_arena_take(arena, (size_t)plan->capacity, sizeof *plan->lost);
        return;
    }
    carve_backward_sums(plan, arena);
    carve_units(plan, arena);
    carve_scratch(plan, arena);
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

fg_status fg_plan_create(fg_plan **out, fg_network *net, int64_t capacity, fg_plan_mode mode) {
    fg_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return FG_ERR_MEMORY;
    plan->net = net;
    plan->mode = mode;
    plan->capacity = capacity;
    plan->blocks = fg_ceil_div(capacity, FG_ROW_BLOCK);
    plan->threads = fg_threads();
    plan->schedule = choose_schedule(net, plan->blocks, plan->threads);
    for (int l = 0; l < net->layers; l++)
        plan->flops_per_row += 6.0 * (double)net->layer[l].fan_in * (double)net->layer[l].fan_out;
    if (fg_arena_build(&plan->arena, carve_plan, plan)) {
        free(plan);
        return FG_ERR_MEMORY;
    }
    *out = plan;
    return FG_OK;
}

void fg_plan_destroy(fg_plan *plan) {
    if (!plan)
        return;
    fg_arena_free(&plan->arena);
    free(plan);
}
