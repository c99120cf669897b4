/* From the units' partial sums, added in index order, to one row of statistics. */
#include "plan.h"
#include "layout.h"
#include "norm.h"
#include <math.h>
#include <stdlib.h>

/* Sum number `which` of every unit of a level: sums is [panels][plan->blocks][width]. */
static double add_units(const fg_plan *plan, const double *sums, int64_t panels, int width, int which) {
    const int64_t blocks = fg_ceil_div(plan->rows, FG_ROW_BLOCK);
    double total = 0.0;
    for (int64_t p = 0; p < panels; p++)
        for (int64_t b = 0; b < blocks; b++)
            total += sums[(p * plan->blocks + b) * width + which];
    return total;
}

typedef struct {
    double gradient, bias_gradient, weight, update;
} weight_norms;

static weight_norms norms_of_weights(const fg_plan *plan, int l) {
    fg_squares gradient = {0}, bias_gradient = {0}, weight = {0}, update = {0};
    for (int64_t u = plan->first_unit[l]; u < plan->first_unit[l + 1]; u++) {
        const fg_weight_unit *unit = &plan->unit[u];
        if (unit->first >= plan->net->layer[l].fan_in) {
            fg_add_square(&bias_gradient, unit->sums[FG_NORM_OF_GRADIENT]);
            continue;
        }
        fg_add_square(&gradient, unit->sums[FG_NORM_OF_GRADIENT]);
        fg_add_square(&weight, unit->sums[FG_NORM_OF_WEIGHT]);
        fg_add_square(&update, unit->sums[FG_NORM_OF_UPDATE]);
    }
    return (weight_norms){fg_norm(&gradient), fg_norm(&bias_gradient), fg_norm(&weight), fg_norm(&update)};
}

/* Sum number `which` over the units of a level's backward, each as its block carries it, times 2^(2 common). The loss
 * works on whole rows: the output layer's sums are one panel's. */
static double add_scaled_units(const fg_plan *plan, int level, int which, const int *exponents, int common) {
    const int64_t panels = level < plan->net->layers ? plan->net->layer[level - 1].panels : 1;
    const int64_t blocks = fg_ceil_div(plan->rows, FG_ROW_BLOCK);
    const double *sums = plan->backward_sums[level];
    double total = 0.0;
    for (int64_t p = 0; p < panels; p++)
        for (int64_t b = 0; b < blocks; b++) {
            const int shift = exponents[b] - common;
            const double square = sums[(p * plan->blocks + b) * FG_BACKWARD_SUMS + which];
            total += shift ? ldexp(square, 2 * shift) : square;
        }
    return total;
}

double fg_delta_square(const fg_plan *plan, int l) {
    return add_scaled_units(plan, l + 1, FG_SUM_DELTA_SQUARED, plan->block_exponents[l + 1], plan->exponents[l + 1]);
}

/* Of dL/da: what meets f' still has the exponents of the level above. */
static double output_gradient_norm(const fg_plan *plan, int l, int kept) {
    const int level = l + 1, above = level < plan->net->layers ? level + 1 : level;
    const double square = add_scaled_units(plan, level, FG_SUM_OUTPUT_GRADIENT_SQUARED, plan->block_exponents[above],
                                           plan->exponents[above]);
    return ldexp(sqrt(square), plan->exponents[above] - kept);
}

static double largest_gradient(const fg_plan *plan, int l) {
    double largest = 0.0;
    for (int64_t u = plan->first_unit[l]; u < plan->first_unit[l + 1]; u++)
        if (plan->unit[u].first < plan->net->layer[l].fan_in)
            largest = fmax(largest, plan->unit[u].sums[FG_LARGEST_GRADIENT]);
    return largest;
}

double fg_output_square(const fg_plan *plan, int level) {
    if (level == 0)
        return add_units(plan, plan->input_squares, 1, 1, 0);
    return add_units(plan, plan->forward_sums[level - 1], plan->net->layer[level - 1].panels, FG_FORWARD_SUMS,
                     FG_SUM_OUTPUT_SQUARED);
}

/* What the forward pass says of a layer. */
static void collect_forward(const fg_plan *plan, int l, double *row) {
    const fg_layer *layer = &plan->net->layer[l];
    const double entries = (double)plan->rows * (double)layer->fan_out;
    double sum[FG_FORWARD_SUMS];
    for (int s = 0; s < FG_FORWARD_SUMS; s++)
        sum[s] = add_units(plan, plan->forward_sums[l], layer->panels, FG_FORWARD_SUMS, s);
    row[FG_STATISTIC_act_mean] = sum[FG_SUM_OUTPUT] / entries;
    row[FG_STATISTIC_act_rms] = sqrt(sum[FG_SUM_OUTPUT_SQUARED] / entries);
    row[FG_STATISTIC_preact_rms] = sqrt(sum[FG_SUM_PREACTIVATION_SQUARED] / entries);
    row[FG_STATISTIC_deriv_mean] = sum[FG_SUM_ABS_SLOPE] / entries;
    row[FG_STATISTIC_saturated] = layer->slope_stored ? sum[FG_SUM_SATURATED] / entries : NAN;
}

/* The norms keep an exponent apart where they would not fit a double. */
static void collect_gradients(const fg_plan *plan, int l, const weight_norms *w, double *row) {
    enum { FITS_A_DOUBLE = 900 };
    const int exponent = plan->exponents[l + 1], kept = abs(exponent) > FITS_A_DOUBLE ? exponent : 0;
    row[FG_STATISTIC_gradient_exponent] = kept;
    row[FG_STATISTIC_delta_norm] = ldexp(sqrt(fg_delta_square(plan, l)), exponent - kept);
    row[FG_STATISTIC_act_grad_norm] = output_gradient_norm(plan, l, kept);
    row[FG_STATISTIC_grad_norm] = ldexp(w->gradient, exponent - kept);
    row[FG_STATISTIC_grad_max] = isnan(w->gradient) ? NAN : ldexp(largest_gradient(plan, l), exponent - kept);
    row[FG_STATISTIC_bias_grad_norm] = plan->net->has_bias ? ldexp(w->bias_gradient, exponent - kept) : NAN;
}

void fg_collect_statistics(const fg_plan *plan, fg_liveness *liveness, double *statistics) {
    const int layers = plan->net->layers;
    if (liveness)
        fg_liveness_count_step(liveness);
    for (int l = 0; l < layers; l++) {
        const weight_norms w = norms_of_weights(plan, l);
        double row[FG_STATISTICS];
        collect_forward(plan, l, row);
        collect_gradients(plan, l, &w, row);
        row[FG_STATISTIC_dead] = fg_dead_share(plan, l, liveness);
        row[FG_STATISTIC_weight_norm] = w.weight;
        row[FG_STATISTIC_update_norm] = w.update;
        row[FG_STATISTIC_update_ratio] = w.update / w.weight;
        for (int s = 0; s < FG_STATISTICS; s++)
            statistics[s * layers + l] = row[s];
    }
}
