/* Where a refused step first left the range: the first tensor, in the order of computation, with a number that is not
 * finite, how many it has, and whose sample's. It reads what the step left behind, on the calling thread, and changes
 * nothing. */
#include "plan.h"
#include <math.h>

enum { NO_SAMPLE = -1 };

static int64_t count(const fg_plan *plan, const void *x, int64_t n) {
    return fg_count_nonfinite(plan->net->kernels->dtype, n, x);
}

static void add_row(fg_culprit *found, int64_t entries, int64_t sample) {
    if (entries > 0 && found->sample == NO_SAMPLE)
        found->sample = sample;
    found->count += entries;
}

static void search_level(const fg_plan *plan, const fg_batch *batch, const fg_level *level, void *matrix,
                         fg_culprit *found) {
    for (int64_t r = 0; r < plan->rows; r++)
        add_row(found, count(plan, fg_element(plan, level, matrix, r, 0), level->columns), fg_sample(batch, r));
}

static void search_targets(const fg_plan *plan, const fg_batch *batch, int64_t columns, fg_culprit *found) {
    for (int64_t r = 0; batch->targets && r < plan->rows; r++) {
        const int64_t sample = fg_sample(batch, r);
        add_row(found, count(plan, fg_at(plan->net, batch->targets, sample * columns), columns), sample);
    }
}

/* The bias is the last row of each panel. */
static void search_parameters(const fg_plan *plan, const fg_layer *layer, int of_bias, fg_culprit *found) {
    const fg_network *net = plan->net;
    for (int64_t p = 0; p < layer->panels; p++) {
        const int64_t start = fg_panel_start(layer->vecs, p, net->kernels->panel_vecs);
        const int64_t width = fg_panel_vecs(layer->vecs, start, net->kernels->panel_vecs) * net->kernels->lanes;
        const int64_t first = start * net->kernels->lanes * layer->depth, weights = layer->fan_in * width;
        found->count += count(plan, fg_at(net, layer->weights, first + (of_bias ? weights : 0)),
                              of_bias ? (layer->depth - layer->fan_in) * width : weights);
    }
}

static fg_culprit search(const fg_plan *plan, const fg_batch *batch, int l, fg_tensor tensor) {
    const fg_layer *layer = &plan->net->layer[l];
    const fg_level *const below = &plan->level[l], *const above = &plan->level[l + 1];
    fg_culprit found = {.layer = l, .tensor = tensor, .sample = NO_SAMPLE};
    switch (tensor) {
    case FG_TENSOR_input: search_level(plan, batch, below, below->activation, &found); break;
    case FG_TENSOR_output: search_level(plan, batch, above, above->activation, &found); break;
    case FG_TENSOR_delta: search_level(plan, batch, above, above->delta, &found); break;
    case FG_TENSOR_target: search_targets(plan, batch, layer->fan_out, &found); break;
    case FG_TENSOR_weights: search_parameters(plan, layer, 0, &found); break;
    case FG_TENSOR_bias: search_parameters(plan, layer, 1, &found); break;
    default: break; /* the loss and updates leave nothing behind that could be counted */
    }
    return found;
}

static int loss_is_finite(const fg_plan *plan) { return isfinite(ldexp(plan->loss, plan->loss_exponent)); }

static int update_is_finite(const fg_plan *plan, int l) {
    for (int64_t u = plan->first_unit[l]; u < plan->first_unit[l + 1]; u++)
        if (plan->unit[u].sums[FG_SUM_NOT_FINITE] != 0.0)
            return 0;
    return 1;
}

static fg_culprit search_forward(const fg_plan *plan, const fg_batch *batch) {
    static const fg_tensor in_order[] = {FG_TENSOR_weights, FG_TENSOR_bias, FG_TENSOR_output};
    const int layers = plan->net->layers;
    fg_culprit found = search(plan, batch, 0, FG_TENSOR_input);
    for (int i = 0; found.count == 0 && i < 3 * layers; i++)
        found = search(plan, batch, i / 3, in_order[i % 3]);
    return found.count ? found : search(plan, batch, layers - 1, FG_TENSOR_target);
}

/* A loss that is finite was not what refused the step: then a delta or an update is not, and there has been a trial. */
fg_culprit fg_plan_culprit(const fg_plan *plan, const fg_batch *batch) {
    const int last = plan->net->layers - 1;
    fg_culprit found = search_forward(plan, batch);
    if (found.count == 0 && !loss_is_finite(plan))
        return search(plan, batch, last, FG_TENSOR_loss);
    for (int l = last; found.count == 0 && l >= 0; l--)
        found = search(plan, batch, l, FG_TENSOR_delta);
    for (int l = last; found.count == 0 && l >= 0; l--)
        if (!update_is_finite(plan, l))
            return search(plan, batch, l, FG_TENSOR_update);
    return found;
}
