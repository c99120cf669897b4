/* Where a refused step first left the range: the first tensor, in the order of computation, with a number that is not
 * finite. It reads what the step left behind, on the calling thread, and changes nothing. */
#include "plan.h"

static int is_finite(const fg_plan *plan, const void *x, int64_t count) {
    return fg_first_nonfinite(plan->net->kernels->dtype, count, x) < 0;
}

static int level_is_finite(const fg_plan *plan, void *const *levels, int level) {
    return is_finite(plan, levels[level], plan->rows * plan->strides[level]);
}

/* The bias is the last row of each panel. */
static int parameters_are_finite(const fg_plan *plan, int l, int of_bias) {
    const fg_network *net = plan->net;
    const fg_layer *layer = &net->layer[l];
    for (int64_t p = 0; p < layer->panels; p++) {
        const int64_t start = fg_panel_start(layer->vecs, p, net->kernels->panel_vecs);
        const int64_t width = fg_panel_vecs(layer->vecs, start, net->kernels->panel_vecs) * net->kernels->lanes;
        const int64_t first = start * net->kernels->lanes * layer->depth, weights = layer->fan_in * width;
        if (!is_finite(plan, fg_at(net, layer->weights, first + (of_bias ? weights : 0)),
                       of_bias ? (layer->depth - layer->fan_in) * width : weights))
            return 0;
    }
    return 1;
}

static int targets_are_finite(const fg_plan *plan, const fg_batch *batch) {
    const int64_t columns = plan->net->layer[plan->net->layers - 1].fan_out;
    for (int64_t r = 0; batch->targets && r < batch->rows; r++)
        if (!is_finite(plan, fg_at(plan->net, batch->targets, fg_sample(batch, r) * columns), columns))
            return 0;
    return 1;
}

static int update_is_finite(const fg_plan *plan, int l) {
    for (int64_t u = plan->first_unit[l]; u < plan->first_unit[l + 1]; u++)
        if (plan->unit[u].sums[FG_SUM_NOT_FINITE] != 0.0)
            return 0;
    return 1;
}

fg_culprit fg_plan_culprit(const fg_plan *plan, const fg_batch *batch) {
    const int layers = plan->net->layers;
    if (!level_is_finite(plan, plan->activations, 0))
        return (fg_culprit){0, FG_TENSOR_input};
    for (int l = 0; l < layers; l++) {
        if (!parameters_are_finite(plan, l, 0))
            return (fg_culprit){l, FG_TENSOR_weights};
        if (!parameters_are_finite(plan, l, 1))
            return (fg_culprit){l, FG_TENSOR_bias};
        if (!level_is_finite(plan, plan->activations, l + 1))
            return (fg_culprit){l, FG_TENSOR_output};
    }
    if (!targets_are_finite(plan, batch))
        return (fg_culprit){layers - 1, FG_TENSOR_target};
    for (int l = layers - 1; l >= 0; l--)
        if (!level_is_finite(plan, plan->deltas, l + 1))
            return (fg_culprit){l, FG_TENSOR_delta};
    for (int l = layers - 1; l >= 0; l--)
        if (!update_is_finite(plan, l))
            return (fg_culprit){l, FG_TENSOR_update};
    return (fg_culprit){layers - 1, FG_TENSOR_loss};
}
