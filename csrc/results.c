/* What a pass left behind, as plain arrays. */
#include "exponents.h"
#include "fpenv.h"
#include "packing.h"
#include <math.h>
#include <string.h>

#define DEFINE_MULTIPLY(type)                                                                                          \
    static void multiply_##type(int64_t n, type *x, double factor) {                                                   \
        for (int64_t i = 0; i < n; i++)                                                                                \
            x[i] *= (type)factor;                                                                                      \
    }
DEFINE_MULTIPLY(float)
DEFINE_MULTIPLY(double)

/* By factors that are normal numbers. */
static void multiply_by_power(fg_dtype dtype, int64_t n, void *x, int exponent) {
    const int farthest = dtype == FG_F32 ? 126 : 1022;
    for (int round = 0; exponent && round < 4; round++) {
        const int step = exponent > farthest ? farthest : exponent < -farthest ? -farthest : exponent;
        if (dtype == FG_F32)
            multiply_float(n, x, ldexp(1.0, step));
        else
            multiply_double(n, x, ldexp(1.0, step));
        exponent -= step;
    }
}

/* Copies `columns` columns of a block of a level, stored times 2^exponent, to a plain matrix. */
static void copy_block(const fg_plan *plan, void *const *levels, int level, int64_t block, int exponent,
                       int64_t columns, void *out) {
    const fg_network *net = plan->net;
    const int64_t first = block * FG_ROW_BLOCK;
    for (int64_t r = first; r < first + fg_rows_in_block(plan, block); r++)
        memcpy(fg_at(net, out, r * columns), fg_at(net, levels[level], r * plan->strides[level]),
               (size_t)columns * net->element_size);
    multiply_by_power(net->kernels->dtype, fg_rows_in_block(plan, block) * columns, fg_at(net, out, first * columns),
                      exponent);
}

/* Level 0 is no layer's delta, the last level no layer's input: they are not aligned. */
static void get_deltas(const fg_plan *plan, int level, int64_t columns, void *out) {
    const fg_fpenv caller = fg_fpenv_enter();
    for (int64_t b = 0; b < fg_ceil_div(plan->rows, FG_ROW_BLOCK); b++) {
        const int moved =
            plan->aligned && level > 0 ? fg_delta_shift(plan, level - 1, b, plan->alignment[level - 1]) : 0;
        copy_block(plan, plan->deltas, level, b, plan->delta_exponents[level][b] - moved, columns, out);
    }
    fg_fpenv_leave(caller);
}

void fg_plan_get_input_gradient(const fg_plan *plan, void *out) {
    get_deltas(plan, 0, plan->net->layer[0].fan_in, out);
}

void fg_plan_get_delta(const fg_plan *plan, int l, void *out) {
    get_deltas(plan, l + 1, plan->net->layer[l].fan_out, out);
}

void fg_plan_get_activation(const fg_plan *plan, int l, void *out) {
    const int level = l + 1;
    const fg_fpenv caller = fg_fpenv_enter();
    for (int64_t b = 0; b < fg_ceil_div(plan->rows, FG_ROW_BLOCK); b++) {
        const int moved =
            plan->aligned && level < plan->net->layers ? fg_signal_shift(plan, level, b, plan->alignment[level]) : 0;
        copy_block(plan, plan->activations, level, b, plan->signal_exponents[level][b] - moved,
                   plan->net->layer[l].fan_out, out);
    }
    fg_fpenv_leave(caller);
}

void fg_get_scaled_outputs(const fg_plan *plan, void *out, int32_t *exponents) {
    const int level = plan->net->layers;
    for (int64_t b = 0; b < fg_ceil_div(plan->rows, FG_ROW_BLOCK); b++) {
        copy_block(plan, plan->activations, level, b, 0, plan->net->layer[level - 1].fan_out, out);
        for (int64_t r = 0; r < fg_rows_in_block(plan, b); r++)
            exponents[b * FG_ROW_BLOCK + r] = plan->signal_exponents[level][b];
    }
}

double fg_plan_log10_loss(const fg_plan *plan) {
    static const double LOG10_2 = 0.30102999566398119521;
    return log10(fabs(plan->loss)) + plan->loss_exponent * LOG10_2;
}

int fg_plan_exponent(const fg_plan *plan, int l, int of_bias) {
    return of_bias ? plan->alignment[l].bias : plan->alignment[l].product;
}

void fg_plan_get_weight_gradient(const fg_plan *plan, int l, void *out) {
    fg_unpack(plan->net, l, plan->gradients[l], 0, plan->net->layer[l].fan_in, out);
}

void fg_plan_get_bias_gradient(const fg_plan *plan, int l, void *out) {
    fg_unpack(plan->net, l, plan->gradients[l], plan->net->layer[l].fan_in, plan->net->has_bias, out);
}

void fg_plan_get_statistics(const fg_plan *plan, double *statistics) {
    const fg_fpenv caller = fg_fpenv_enter();
    fg_collect_statistics(plan, NULL, statistics);
    fg_fpenv_leave(caller);
}
