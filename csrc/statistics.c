/* From the units' partial sums, added in index order, to one row of statistics. */
#include "statistics.h"
#include "norm.h"
#include "plan.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>

/* Units of a level's pass: sums is [panels][plan->blocks][width]; what they are sums of is stored times
 * 2^exponents[block]. */
typedef struct {
    const double *sums;
    int64_t panels;
    int width;
    const int *exponents;
} level_units;

static double at_exponent(fg_scaled x, int exponent) { return ldexp(x.value, x.exponent - exponent); }

static fg_scaled root_mean(fg_scaled square, double entries) {
    return (fg_scaled){sqrt(square.value / entries), square.exponent / 2};
}

static fg_scaled root(fg_scaled square) { return root_mean(square, 1.0); }

/* Sum number `which` of every unit, in index order. */
static double add_units(const fg_plan *plan, const level_units *units, int which) {
    const int64_t blocks = fg_blocks(plan);
    double total = 0.0;
    for (int64_t p = 0; p < units->panels; p++)
        for (int64_t b = 0; b < blocks; b++)
            total += units->sums[(p * plan->blocks + b) * units->width + which];
    return total;
}

/* The largest exponent of a unit whose sum is not 0. */
static int exponent_of(const fg_plan *plan, const level_units *units, int which) {
    const int64_t blocks = fg_blocks(plan);
    int largest = INT_MIN;
    for (int64_t p = 0; p < units->panels; p++)
        for (int64_t b = 0; b < blocks; b++)
            if (units->sums[(p * plan->blocks + b) * units->width + which] != 0.0 && units->exponents[b] > largest)
                largest = units->exponents[b];
    return largest == INT_MIN ? 0 : largest;
}

static int exponents_differ(const fg_plan *plan, const level_units *units) {
    int differ = 0;
    for (int64_t b = 1; b < fg_blocks(plan); b++)
        differ |= units->exponents[b] != units->exponents[0];
    return differ;
}

/* The same of units with exponents of their own: sums of numbers where degree is 1, of squares where it is 2. */
static fg_scaled add_scaled_units(const fg_plan *plan, const level_units *units, int which, int degree) {
    const int64_t blocks = fg_blocks(plan);
    const int common = exponent_of(plan, units, which);
    double total = 0.0;
    if (!exponents_differ(plan, units))
        return (fg_scaled){add_units(plan, units, which), degree * units->exponents[0]};
    for (int64_t p = 0; p < units->panels; p++)
        for (int64_t b = 0; b < blocks; b++)
            total += ldexp(units->sums[(p * plan->blocks + b) * units->width + which],
                           degree * (units->exponents[b] - common));
    return (fg_scaled){total, degree * common};
}

typedef struct {
    double gradient, clipped, bias_gradient, weight, update;
} weight_norms;

static weight_norms norms_of_weights(const fg_plan *plan, int l) {
    fg_squares gradient = {0}, clipped = {0}, bias_gradient = {0}, weight = {0}, update = {0};
    for (int64_t u = plan->first_unit[l]; u < plan->first_unit[l + 1]; u++) {
        const fg_weight_unit *unit = &plan->unit[u];
        if (unit->first >= plan->net->layer[l].fan_in) {
            fg_add_square(&bias_gradient, unit->sums[FG_NORM_OF_GRADIENT]);
            continue;
        }
        fg_add_square(&gradient, unit->sums[FG_NORM_OF_GRADIENT]);
        fg_add_square(&clipped, unit->sums[FG_NORM_OF_CLIPPED]);
        fg_add_square(&weight, unit->sums[FG_NORM_OF_WEIGHT]);
        fg_add_square(&update, unit->sums[FG_NORM_OF_UPDATE]);
    }
    return (weight_norms){fg_norm(&gradient), fg_norm(&clipped), fg_norm(&bias_gradient), fg_norm(&weight),
                          fg_norm(&update)};
}

static level_units backward_units(const fg_plan *plan, int l, const int *exponents) {
    const fg_level *const level = &plan->level[l];
    return (level_units){level->backward_sums, level->backward_panels, FG_BACKWARD_SUMS, exponents};
}

static level_units forward_units(const fg_plan *plan, int l, const int *exponents) {
    const fg_level *const level = &plan->level[l];
    return (level_units){level->forward_sums, level->forward_panels, FG_FORWARD_SUMS, exponents};
}

static fg_scaled delta_square(const fg_plan *plan, int l) {
    const level_units units = backward_units(plan, l + 1, plan->level[l + 1].delta_exponents);
    return add_scaled_units(plan, &units, FG_SUM_DELTA_SQUARED, 2);
}

/* Of dL/da, which still has the exponents of the level above: they move as it meets f'. */
static fg_scaled output_gradient_square(const fg_plan *plan, int l) {
    const int level = l + 1, above = level < plan->net->layers ? level + 1 : level;
    const level_units units = backward_units(plan, level, plan->level[above].delta_exponents);
    return add_scaled_units(plan, &units, FG_SUM_OUTPUT_GRADIENT_SQUARED, 2);
}

double fg_delta_square(const fg_plan *plan, int l) { return at_exponent(delta_square(plan, l), 0); }

static double largest_gradient(const fg_plan *plan, int l) {
    double largest = 0.0;
    for (int64_t u = plan->first_unit[l]; u < plan->first_unit[l + 1]; u++)
        if (plan->unit[u].first < plan->net->layer[l].fan_in)
            largest = fmax(largest, plan->unit[u].sums[FG_LARGEST_GRADIENT]);
    return largest;
}

static fg_scaled output_square(const fg_plan *plan, int level) {
    const level_units units = forward_units(plan, level, plan->level[level].signal_exponents);
    return add_scaled_units(plan, &units, FG_SUM_OUTPUT_SQUARED, 2);
}

double fg_output_square(const fg_plan *plan, int level) { return at_exponent(output_square(plan, level), 0); }

/* What of an exponent is kept apart: what would not fit a double. */
static int kept_apart(int exponent) {
    enum { FITS_A_DOUBLE = 700 };
    return abs(exponent) > FITS_A_DOUBLE ? exponent : 0;
}

/* What the forward pass says of a layer. */
static void collect_forward(const fg_plan *plan, int l, double *row) {
    const fg_layer *layer = &plan->net->layer[l];
    const double entries = (double)plan->rows * (double)layer->fan_out;
    const level_units outputs = forward_units(plan, l + 1, plan->level[l + 1].signal_exponents);
    const level_units preactivations = forward_units(plan, l + 1, plan->level[l + 1].preactivation_exponents);
    const fg_scaled output = add_scaled_units(plan, &outputs, FG_SUM_OUTPUT, 1);
    const fg_scaled rms = root_mean(output_square(plan, l + 1), entries);
    const fg_scaled z = root_mean(add_scaled_units(plan, &preactivations, FG_SUM_PREACTIVATION_SQUARED, 2), entries);
    const int kept = kept_apart(rms.exponent), kept_of_z = kept_apart(z.exponent);
    row[FG_STATISTIC_signal_exponent] = kept;
    row[FG_STATISTIC_act_mean] = at_exponent(output, kept) / entries;
    row[FG_STATISTIC_act_rms] = at_exponent(rms, kept);
    row[FG_STATISTIC_preactivation_exponent] = kept_of_z;
    row[FG_STATISTIC_preact_rms] = at_exponent(z, kept_of_z);
    row[FG_STATISTIC_deriv_mean] = add_units(plan, &outputs, FG_SUM_ABS_DERIVATIVE) / entries;
    row[FG_STATISTIC_saturated] =
        layer->derivative_stored ? add_units(plan, &outputs, FG_SUM_SATURATED) / entries : NAN;
}

/* What the deltas of a layer say. */
static void collect_deltas(const fg_plan *plan, int l, const weight_norms *w, double *row) {
    const fg_scaled delta = root(delta_square(plan, l)), bias = {w->bias_gradient, plan->level[l + 1].common.bias};
    const fg_scaled output_gradient = root(output_gradient_square(plan, l));
    const int kept = kept_apart(delta.value == 0.0 ? output_gradient.exponent : delta.exponent);
    row[FG_STATISTIC_delta_exponent] = kept;
    row[FG_STATISTIC_delta_norm] = at_exponent(delta, kept);
    row[FG_STATISTIC_act_grad_norm] = at_exponent(output_gradient, kept);
    row[FG_STATISTIC_bias_grad_norm] = plan->net->has_bias ? at_exponent(bias, kept) : NAN;
}

static void collect_gradients(const fg_plan *plan, int l, const weight_norms *w, double *row) {
    const fg_scaled norm = {w->gradient, plan->level[l + 1].common.product};
    const fg_scaled largest = {isnan(w->gradient) ? NAN : largest_gradient(plan, l), norm.exponent};
    const int kept = kept_apart(norm.exponent);
    row[FG_STATISTIC_gradient_exponent] = kept;
    row[FG_STATISTIC_grad_norm] = at_exponent(norm, kept);
    row[FG_STATISTIC_grad_max] = at_exponent(largest, kept);
}

/* Norm of dL/dW after clipping over its norm before. */
static double clip_factor(const fg_plan *plan, const fg_training *training, int l, const weight_norms *w) {
    const int exponent = plan->level[l + 1].common.product;
    const fg_scaled after = {w->clipped, 0}, largest = {largest_gradient(plan, l), exponent};
    switch (training ? training->config.clip.kind : FG_CLIP_none) {
    case FG_CLIP_norm:
    case FG_CLIP_layer_norm:
    case FG_CLIP_adaptive: return plan->store.settled[l].clip_factor;
    case FG_CLIP_value:
        return at_exponent(largest, 0) <= training->config.clip.bound ? 1.0
                                                                      : at_exponent(after, exponent) / w->gradient;
    default: return 1.0;
    }
}

void fg_collect_statistics(const fg_plan *plan, fg_training *training, double *statistics) {
    const int layers = plan->net->layers;
    fg_liveness *const liveness = training ? training->liveness : NULL;
    if (liveness)
        fg_liveness_count_step(liveness);
    for (int l = 0; l < layers; l++) {
        const weight_norms w = norms_of_weights(plan, l);
        double row[FG_STATISTICS];
        collect_forward(plan, l, row);
        collect_deltas(plan, l, &w, row);
        collect_gradients(plan, l, &w, row);
        row[FG_STATISTIC_dead] = fg_dead_share(plan, l, liveness);
        row[FG_STATISTIC_weight_norm] = w.weight;
        row[FG_STATISTIC_update_norm] = w.update;
        row[FG_STATISTIC_update_ratio] = w.update / w.weight;
        row[FG_STATISTIC_clip_factor] = clip_factor(plan, training, l, &w);
        for (int s = 0; s < FG_STATISTICS; s++)
            statistics[s * layers + l] = row[s];
    }
}
