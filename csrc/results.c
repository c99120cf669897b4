/* What a pass left behind, as plain arrays. */
#include "exponents.h"
#include "fpenv.h"
#include <math.h>
#include <string.h>

static void multiply(fg_dtype dtype, int64_t n, void *x, int exponent) {
    for (int64_t i = 0; exponent && i < n; i++)
        if (dtype == FG_F32)
            ((float *)x)[i] = (float)ldexp((double)((float *)x)[i], exponent);
        else
            ((double *)x)[i] = ldexp(((double *)x)[i], exponent);
}

/* Copies the true values of `columns` columns of a level's rows to a plain matrix. They are stored times 2^*common, or
 * where that is NULL times 2^exponents[block]. */
static void copy_level(const fg_plan *plan, void *const *levels, int level, const int *exponents, const int *common,
                       int64_t columns, void *out) {
    const size_t bytes = (size_t)columns * plan->net->element_size;
    const fg_fpenv caller = fg_fpenv_enter();
    for (int64_t r = 0; r < plan->rows; r++) {
        char *const to = (char *)out + (size_t)r * bytes;
        memcpy(to, fg_at(plan->net, levels[level], r * plan->strides[level]), bytes);
        multiply(plan->net->kernels->dtype, columns, to, common ? *common : exponents[r / FG_ROW_BLOCK]);
    }
    fg_fpenv_leave(caller);
}

/* Level 0 is no layer's delta, the last level no layer's input: they are not aligned. */
static void get_deltas(const fg_plan *plan, int level, int64_t columns, void *out) {
    const int *common = plan->aligned && level > 0 ? &plan->common_delta[level - 1] : NULL;
    copy_level(plan, plan->deltas, level, plan->delta_exponents[level], common, columns, out);
}

void fg_plan_get_input_gradient(const fg_plan *plan, void *out) {
    get_deltas(plan, 0, plan->net->layer[0].fan_in, out);
}

void fg_plan_get_delta(const fg_plan *plan, int l, void *out) {
    get_deltas(plan, l + 1, plan->net->layer[l].fan_out, out);
}

void fg_plan_get_activation(const fg_plan *plan, int l, void *out) {
    const int level = l + 1;
    const int *common = plan->aligned && level < plan->net->layers ? &plan->common_signal[level] : NULL;
    copy_level(plan, plan->activations, level, plan->signal_exponents[level], common, plan->net->layer[l].fan_out, out);
}

double fg_plan_log10_loss(const fg_plan *plan) {
    static const double LOG10_2 = 0.30102999566398119521;
    return log10(fabs(plan->loss)) + plan->loss_exponent * LOG10_2;
}

int fg_plan_exponent(const fg_plan *plan, int l, int of_bias) { return fg_gradient_exponent(plan, l, of_bias); }

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
