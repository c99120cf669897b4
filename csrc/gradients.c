/* Produce and apply: dW = A^T D of each unit of weights, to the optimizer at once or to the store, and from the store
 * to the optimizer. What happens in between is settle.c's business. */
#include "gradients.h"
#include "prefetch_rows.h"
#include <float.h>
#include <math.h>

/* Where a unit's parameters lie in the packed array of its layer. */
static void *unit_at(const fg_plan *plan, void *packed, const fg_weight_unit *unit) {
    const fg_layer *layer = fg_layer_of(plan, unit->layer);
    return fg_at(plan->net, packed, unit->column * layer->depth + unit->first * unit->vecs * plan->net->kernels->lanes);
}

static void *weights_of(const fg_plan *plan, const fg_weight_unit *unit) {
    return unit_at(plan, fg_layer_of(plan, unit->layer)->weights, unit);
}

static void *gradient_of(const fg_plan *plan, const fg_weight_unit *unit) {
    return unit_at(plan, plan->store.gradients[unit->layer], unit);
}

static int is_bias(const fg_plan *plan, const fg_weight_unit *unit) {
    return unit->first == fg_layer_of(plan, unit->layer)->fan_in;
}

static const struct fg_update *update_of(const fg_pass *p, const fg_weight_unit *unit) {
    const fg_layer_update *update = &p->training->update[unit->layer];
    return is_bias(p->plan, unit) ? &update->bias : &update->weights;
}

static void find_states(const fg_pass *p, const fg_weight_unit *unit, void **states) {
    for (int s = 0; s < p->training->state_count; s++)
        states[s] = unit_at(p->plan, p->training->state[s][unit->layer], unit);
}

/* A subnormal bound reads as 0, which would be none. */
static double limit_of(const fg_pass *p) {
    const fg_clip_config *clip = &p->training->config.clip;
    return clip->kind == FG_CLIP_value ? fmax(clip->bound, DBL_MIN) : 0.0;
}

static struct fg_linear_backward_weights_args product_of(const fg_plan *plan, const fg_weight_unit *unit) {
    const fg_network *net = plan->net;
    const fg_level *const below = &plan->level[unit->layer], *const above = &plan->level[unit->layer + 1];
    const int scaled = above->common.kind == FG_SCALED_INPUTS, of_bias = is_bias(plan, unit);
    const void *const bias_input = scaled ? above->bias_inputs : net->one;
    return (struct fg_linear_backward_weights_args){
        .rows = unit->rows,
        .depth = plan->rows,
        .vecs = unit->vecs,
        .input = of_bias ? bias_input : fg_element(plan, below, below->activation, 0, unit->first),
        .input_stride = of_bias ? scaled : below->stride,
        .delta = fg_element(plan, above, above->delta, 0, unit->column),
        .delta_stride = above->stride,
        .exponent = of_bias ? above->common.bias : above->common.product,
        .sums = unit->sums,
        .measured = plan->measured,
    };
}

/* What the layer after this one will touch. */
static fg_prefetch next_layer(const fg_plan *plan, int l) {
    const fg_share all = {.blocks = fg_blocks(plan)};
    fg_prefetch next = {0};
    if (l + 1 < plan->net->layers) {
        fg_prefetch_weights(plan, &next, l + 1, 0);
        fg_prefetch_rows(plan, &next, l + 1, plan->level[l + 1].activation, all);
        fg_prefetch_rows(plan, &next, l + 2, plan->level[l + 2].delta, all);
    }
    return next;
}

typedef void unit_function(const fg_pass *, const fg_weight_unit *, fg_prefetch *);

static void for_each_unit(const fg_pass *p, fg_stretch stretch, fg_member me, unit_function *work) {
    fg_prefetch next = {0};
    int layer = -1, taken = 0;
    for (int64_t u, end; fg_draw_units(p->plan, stretch, me, &taken, &u, &end);)
        for (; u < end; u++) {
            const fg_weight_unit *unit = &p->plan->unit[u];
            if (unit->layer != layer)
                next = next_layer(p->plan, unit->layer);
            layer = unit->layer;
            work(p, unit, &next);
        }
}

static void produce_and_apply(const fg_pass *p, const fg_weight_unit *unit, fg_prefetch *next) {
    struct fg_linear_backward_weights_args args = product_of(p->plan, unit);
    args.weights = weights_of(p->plan, unit);
    args.gradient = p->plan->memory == FG_KEEPS_GRADIENTS ? gradient_of(p->plan, unit) : NULL;
    args.update = update_of(p, unit);
    args.limit = limit_of(p);
    args.prefetch = next;
    find_states(p, unit, args.states);
    p->plan->net->kernels->linear_backward_weights(&args);
}

void fg_produce_and_apply(const fg_pass *p, fg_member me) { for_each_unit(p, FG_APPLY_ALL, me, produce_and_apply); }

/* Norms of the columns of a unit of packed parameters. */
static void measure_columns(const fg_plan *plan, const fg_weight_unit *unit, const void *x, double *const *norms) {
    const int64_t stride = fg_layer_of(plan, unit->layer)->vecs * plan->net->kernels->lanes;
    const struct fg_column_norms_args args = {
        .rows = unit->rows,
        .vecs = unit->vecs,
        .x = x,
        .norms = norms[unit->layer] + fg_ceil_div(unit->first, FG_WEIGHT_BLOCK) * stride + unit->column};
    plan->net->kernels->column_norms(&args);
}

/* Where the pass ends with gradients the norm of the weights is wanted too. */
static void produce(const fg_pass *p, const fg_weight_unit *unit, fg_prefetch *next) {
    const fg_plan *const plan = p->plan;
    struct fg_linear_backward_weights_args args = product_of(plan, unit);
    args.weights = p->training ? NULL : weights_of(plan, unit);
    args.gradient = gradient_of(plan, unit);
    args.prefetch = next;
    plan->net->kernels->linear_backward_weights(&args);
    if (!p->training)
        return;
    if (plan->store.gradient_norms)
        measure_columns(plan, unit, args.gradient, plan->store.gradient_norms);
    if (plan->store.weight_norms)
        measure_columns(plan, unit, weights_of(plan, unit), plan->store.weight_norms);
}

void fg_produce(const fg_pass *p, fg_member me) { for_each_unit(p, FG_PRODUCE, me, produce); }

static void apply_or_try(const fg_pass *p, const fg_weight_unit *unit, int trial) {
    const fg_plan *const plan = p->plan;
    const fg_settled *const settled = &plan->store.settled[unit->layer];
    const int of_bias = is_bias(plan, unit);
    const fg_scaled factor = of_bias ? settled->bias : settled->weights;
    struct fg_apply_gradient_args args = {
        .rows = unit->rows,
        .vecs = unit->vecs,
        .gradient = gradient_of(plan, unit),
        .exponent = factor.exponent,
        .factor = factor.value,
        .limit = limit_of(p),
        .weights = weights_of(plan, unit),
        .update = update_of(p, unit),
        .trial = trial,
        .sums = unit->sums,
        .measured = plan->measured,
    };
    if (settled->by_column && !of_bias)
        args.column_factors = fg_at(plan->net, plan->store.column_factors[unit->layer], unit->column);
    find_states(p, unit, args.states);
    plan->net->kernels->apply_gradient(&args);
}

static void apply(const fg_pass *p, const fg_weight_unit *unit, fg_prefetch *next) {
    (void)next;
    apply_or_try(p, unit, 0);
}

static void try(const fg_pass *p, const fg_weight_unit *unit, fg_prefetch *next) {
    (void)next;
    apply_or_try(p, unit, 1);
}

void fg_apply(const fg_pass *p, int trial, fg_member me) {
    for_each_unit(p, trial ? FG_TRY : FG_APPLY_ALL, me, trial ? try : apply);
}
