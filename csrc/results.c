/* What a pass left behind, as plain arrays. */
#include "exponents/exponents.h"
#include "fpenv.h"
#include "packing.h"
#include "results.h"
#include "statistics.h"
#include <math.h>
#include <string.h>

/* Copies a block of a matrix of a level, stored times 2^exponent, to a plain matrix. */
static void copy_block(const fg_plan *plan, const fg_level *level, void *matrix, int64_t block, int exponent,
                       void *out) {
    const fg_network *net = plan->net;
    const int64_t first = block * FG_ROW_BLOCK, columns = level->columns;
    const struct fg_scale_rows_args to_true_size = {.rows = fg_rows_in_block(plan, block),
                                                    .columns = columns,
                                                    .x = fg_at(net, out, first * columns),
                                                    .stride = columns,
                                                    .exponent = exponent};
    for (int64_t r = first; r < first + fg_rows_in_block(plan, block); r++)
        memcpy(fg_at(net, out, r * columns), fg_element(plan, level, matrix, r, 0),
               (size_t)columns * net->element_size);
    if (exponent)
        net->kernels->scale_rows(&to_true_size);
}

/* Level 0 is no layer's delta, the last level no layer's input: they have no common exponents. */
static void get_deltas(const fg_plan *plan, int l, void *out) {
    const fg_level *const level = &plan->level[l];
    const fg_fpenv caller = fg_fpenv_enter();
    for (int64_t b = 0; b < fg_blocks(plan); b++) {
        const int moved = plan->has_common && l > 0 ? fg_delta_shift(plan, l - 1, b, level->common) : 0;
        copy_block(plan, level, level->delta, b, level->delta_exponents[b] - moved, out);
    }
    fg_fpenv_leave(caller);
}

void fg_plan_get_input_gradient(const fg_plan *plan, void *out) { get_deltas(plan, 0, out); }

void fg_plan_get_delta(const fg_plan *plan, int l, void *out) { get_deltas(plan, l + 1, out); }

void fg_plan_get_activation(const fg_plan *plan, int l, void *out) {
    const fg_level *const level = &plan->level[l + 1];
    const int met = plan->has_common && l + 1 < plan->net->layers;
    const fg_fpenv caller = fg_fpenv_enter();
    for (int64_t b = 0; b < fg_blocks(plan); b++) {
        const int moved = met ? fg_signal_shift(plan, l + 1, b, plan->level[l + 2].common) : 0;
        copy_block(plan, level, level->activation, b, level->signal_exponents[b] - moved, out);
    }
    fg_fpenv_leave(caller);
}

void fg_get_scaled_outputs(const fg_plan *plan, void *out, int32_t *exponents) {
    const fg_level *const level = &plan->level[plan->net->layers];
    for (int64_t b = 0; b < fg_blocks(plan); b++) {
        copy_block(plan, level, level->activation, b, 0, out);
        for (int64_t r = 0; r < fg_rows_in_block(plan, b); r++)
            exponents[b * FG_ROW_BLOCK + r] = level->signal_exponents[b];
    }
}

double fg_plan_log10_loss(const fg_plan *plan) {
    static const double LOG10_2 = 0.30102999566398119521;
    return log10(fabs(plan->loss)) + plan->loss_exponent * LOG10_2;
}

int fg_plan_exponent(const fg_plan *plan, int l, int of_bias) {
    const fg_common_exponent common = plan->level[l + 1].common;
    return of_bias ? common.bias : common.product;
}

void fg_plan_get_weight_gradient(const fg_plan *plan, int l, void *out) {
    fg_unpack(plan->net, l, plan->store.gradients[l], 0, plan->net->layer[l].fan_in, out);
}

void fg_plan_get_bias_gradient(const fg_plan *plan, int l, void *out) {
    fg_unpack(plan->net, l, plan->store.gradients[l], plan->net->layer[l].fan_in, plan->net->has_bias, out);
}

void fg_plan_get_statistics(const fg_plan *plan, double *statistics) {
    const fg_fpenv caller = fg_fpenv_enter();
    fg_collect_statistics(plan, NULL, statistics);
    fg_fpenv_leave(caller);
}
