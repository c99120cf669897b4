/* Whether a step may be applied. A step whose update cannot be represented must change nothing, and no copy is kept,
 * so the verdict comes before the first weight is touched.
 *
 * It needs no pass over anything: |dW_ij| <= ||A_{l-1}|| ||D_l|| (Cauchy-Schwarz), and both norms are at hand. With
 * the gradients, the weights and the optimizer's numbers far from the end of the range, every new value is certain to
 * be finite. Where one of them is not, the gradients are stored and the updates first tried, all of them before the
 * first is applied.
 *
 * A trial that is passed may leave large averages and momenta behind. Later verdicts need not know of them, but for
 * `average_bound`: both only shrink what has entered them, and the same lr has just been seen to bear them at their
 * largest. A learning rate that changes between steps would need a trial after each change.
 *
 * The quotients of the optimizers that divide, with v kept as its root s, which has the range of a gradient:
 *
 * RMSprop: v >= (1 - alpha) g^2, so |g| / sqrt(v) <= 1 / sqrt(1 - alpha), whatever came before.
 *
 * Adam: m = sum a_k g_k and v = sum b_k g_k^2 over the past k = 0, 1 ... t - 1, both corrected for their bias, with
 * a_k = (1 - beta1) beta1^k / (1 - beta1^t) <= beta1^k and b_k likewise >= (1 - beta2) beta2^k. By Cauchy-Schwarz
 * m^2 <= v sum a_k^2 / b_k <= v / (1 - beta2) sum (beta1^2 / beta2)^k. Rounding makes each beta at most 1 + 2^-20 times
 * as large or small; what flushes s to zero is at most the smallest normal number, and eps is not less. Where the
 * series grows, as with beta2 far below beta1, v may forget a gradient that m remembers; then |m| is averaged along,
 * and eps divides.
 *
 * Centred RMSprop: a constant gradient leaves no variance, so eps divides. |g - c| is at most the sum of the
 * gradient's bound and the average's, and the root of the variance is bounded by that over sqrt(1 - alpha).
 *
 * Momentum multiplies by at most 1 / (1 - momentum). */
#include "verdict.h"
#include "norm.h"
#include "range.h"
#include "statistics.h"

static double longest_average(void) { return 1.0 - ldexp(1.0, -14); }

/* The least that beta2 may be in the kernels, which have it as 1 - sqrt(beta2), rounded by up to 2^-24. */
static double kept_of_square(double beta2) {
    const double root = fmax(sqrt(beta2) - ldexp(1.0, -24), 0.0);
    return root * root;
}

/* t: the number of this step, the first being 1. */
static double adam_quotient_squared(const fg_optimizer_config *c, double t) {
    const double ratio = c->beta1 > 0.0 ? c->beta1 * c->beta1 / kept_of_square(c->beta2) : 0.0;
    const double terms =
        ratio < 1.0 - ldexp(1.0, -16) ? 1.0 / (1.0 - ratio) : t * pow(ratio + ldexp(1.0, -18), t - 1.0);
    return terms / (1.0 - c->beta2);
}

static double bound_of_weights(const fg_network *net) {
    double largest = 0.0;
    for (int l = 0; l < net->layers; l++) {
        const double bound = net->layer[l].weight_bound + net->layer[l].bias_bound;
        if (!(bound < (double)INFINITY))
            return (double)INFINITY;
        largest = fmax(largest, bound);
    }
    return largest;
}

/* No entry of the average of gradients, in which weight decay may be, is larger after this step. */
static double next_average_bound(const fg_training *o) {
    const fg_optimizer_config *c = &o->config.optimizer;
    const double rate = c->kind == FG_OPTIMIZER_adam ? c->beta1 : c->beta2;
    const double decay = c->decoupled || c->weight_decay == 0.0 ? 0.0 : c->weight_decay * bound_of_weights(o->net);
    return rate * o->average_bound + (1.0 - rate) * (o->gradient_bound + decay);
}

static int adam_is_certain(const fg_training *o, const fg_range *b) {
    const fg_optimizer_config *c = &o->config.optimizer;
    const double t = (double)(o->steps + 1), limit = ldexp(1.0, b->certain_quotient);
    return c->beta1 <= longest_average() && c->beta2 <= longest_average() && c->eps >= ldexp(1.0, b->certain_eps) &&
           (adam_quotient_squared(c, t) <= limit * limit ||
            next_average_bound(o) / (1.0 - pow(c->beta1, t)) / c->eps <= limit);
}

static int division_is_certain(const fg_training *o, const fg_range *b) {
    const fg_optimizer_config *c = &o->config.optimizer;
    switch (c->kind) {
    case FG_OPTIMIZER_sgd:
    case FG_OPTIMIZER_sgd_momentum: return 1;
    case FG_OPTIMIZER_adam: return adam_is_certain(o, b);
    case FG_OPTIMIZER_rmsprop_centered:
    case FG_OPTIMIZER_rmsprop_centered_momentum:
        return c->beta2 <= longest_average() && c->eps >= ldexp(1.0, b->certain_centered_eps) &&
               o->average_bound <= ldexp(1.0, b->certain_quotient);
    case FG_OPTIMIZER_rmsprop:
    case FG_OPTIMIZER_rmsprop_momentum: return c->beta2 <= longest_average() && c->eps >= ldexp(1.0, b->certain_eps);
    default: return 0;
    }
}

static int numbers_are_certain(const fg_optimizer_config *c) {
    const double longest_memory = 1.0 - ldexp(1.0, -20);
    return c->lr <= ldexp(1.0, 10) && c->weight_decay <= 1.0 && c->momentum <= longest_memory &&
           fabs(c->dampening) <= 1.0;
}

/* A bias is met by an input of 1 for each row. */
static double bound_of_gradients(const fg_plan *plan) {
    double largest = 0.0;
    for (int l = 0; l < plan->net->layers; l++) {
        const double square = (fg_output_square(plan, l) + (double)plan->rows) * fg_delta_square(plan, l);
        if (!(square < (double)INFINITY))
            return (double)INFINITY;
        largest = fmax(largest, square);
    }
    return sqrt(largest);
}

/* What a clip leaves of it, rounding included. */
static double bound_after_clip(const fg_training *o, double bound) {
    const fg_clip_config *clip = &o->config.clip;
    const double most = clip->bound * (1.0 + ldexp(1.0, -20));
    switch (clip->kind) {
    case FG_CLIP_value:
    case FG_CLIP_norm:
    case FG_CLIP_layer_norm: return fmin(bound, most);
    case FG_CLIP_adaptive: return clip->output ? fmin(bound, most * fmax(bound_of_weights(o->net), clip->eps)) : bound;
    default: return bound;
    }
}

/* Large gradients may not be finite as they are computed, which no clip mends: they are tried, clipped or not. */
fg_verdict fg_judge_step(const fg_plan *plan, fg_training *training, double loss) {
    const fg_range *b = &fg_ranges[plan->net->kernels->dtype];
    const double bound = bound_of_gradients(plan);
    training->gradient_bound = bound_after_clip(training, bound);
    if (!isfinite(loss))
        return FG_REFUSE;
    if (bound <= ldexp(1.0, b->certain_gradient) && bound_of_weights(plan->net) <= ldexp(1.0, b->certain_weight) &&
        numbers_are_certain(&training->config.optimizer) && division_is_certain(training, b))
        return FG_APPLY;
    return FG_SETTLE;
}

fg_verdict fg_judge_trial(const fg_plan *plan) {
    for (int64_t u = 0; u < plan->units; u++)
        if (plan->unit[u].sums[FG_SUM_NOT_FINITE] != 0.0)
            return FG_REFUSE;
    return FG_APPLY;
}

void fg_remember_step(fg_network *net, const fg_plan *plan, fg_training *training) {
    for (int l = 0; l < net->layers; l++) {
        fg_layer *layer = &net->layer[l];
        fg_squares weights[2] = {{0}}, updates[2] = {{0}};
        for (int64_t u = plan->first_unit[l]; u < plan->first_unit[l + 1]; u++) {
            const int of_bias = plan->unit[u].first == layer->fan_in;
            fg_add_square(&weights[of_bias], plan->unit[u].sums[FG_NORM_OF_WEIGHT]);
            fg_add_square(&updates[of_bias], plan->unit[u].sums[FG_NORM_OF_UPDATE]);
        }
        layer->weight_bound = fg_norm(&weights[0]) + fg_norm(&updates[0]);
        layer->bias_bound = fg_norm(&weights[1]) + fg_norm(&updates[1]);
    }
    training->average_bound = next_average_bound(training);
}
