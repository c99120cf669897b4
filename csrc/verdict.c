/* Whether a step may be applied. A step whose update cannot be represented must change nothing, and no copy is kept, so
 * the verdict comes before the first weight is touched.
 *
 * It needs no pass over anything: |dW_ij| <= ||A_{l-1}|| ||D_l|| (Cauchy-Schwarz), and both norms are at hand. With the
 * gradients, the weights and the optimizer's numbers far from the end of the range, every new value is certain to be
 * finite. Where one of them is not, the updates are first tried without being stored. The state that a passed trial
 * leaves needs no memory of it: averages and momentum shrink what entered them, and the same lr has just been seen to
 * take their largest value. A learning rate that changes between steps would need a trial after each change. */
#include "norm.h"
#include "plan.h"
#include <math.h>

/* What certifies, as powers of two: gradients and weights so small that their squares, their sum times an lr of 2^10,
 * and their quotients by eps stay in the range, with averages and momentum that remember at most 2^20 steps. */
typedef struct {
    int gradient, weight, eps;
} bounds;
static const bounds bounds_of[FG_DTYPES] = {[FG_F32] = {30, 60, -30}, [FG_F64] = {200, 300, -400}};

static int numbers_are_certain(const fg_optimizer_config *c, const bounds *b) {
    const double longest_memory = 1.0 - ldexp(1.0, -20), longest_average = 1.0 - ldexp(1.0, -10);
    const int divides = c->kind != FG_OPTIMIZER_sgd && c->kind != FG_OPTIMIZER_sgd_momentum;
    return c->lr <= ldexp(1.0, 10) && c->weight_decay <= 1.0 && c->momentum <= longest_memory &&
           fabs(c->dampening) <= 1.0 && (!divides || (c->eps >= ldexp(1.0, b->eps) && c->beta1 <= longest_average));
}

/* A bias is met by an input of 1 for each row. */
static int gradients_are_certain(const fg_plan *plan, const bounds *b) {
    const double limit = ldexp(1.0, 2 * b->gradient);
    for (int l = 0; l < plan->net->layers; l++)
        if (!((fg_output_square(plan, l) + (double)plan->rows) * fg_delta_square(plan, l) <= limit))
            return 0;
    return 1;
}

static int weights_are_certain(const fg_network *net, const bounds *b) {
    const double limit = ldexp(1.0, b->weight);
    for (int l = 0; l < net->layers; l++)
        if (!(net->layer[l].weight_bound + net->layer[l].bias_bound <= limit))
            return 0;
    return 1;
}

fg_verdict fg_judge_step(const fg_plan *plan, const fg_optimizer *optimizer, double loss) {
    const bounds *b = &bounds_of[plan->net->kernels->dtype];
    if (!isfinite(loss))
        return FG_REFUSE;
    if (!numbers_are_certain(&optimizer->config, b) || !weights_are_certain(plan->net, b) ||
        !gradients_are_certain(plan, b))
        return FG_TRY_FIRST;
    return FG_APPLY;
}

fg_verdict fg_judge_trial(const fg_plan *plan) {
    for (int64_t u = 0; u < plan->units; u++)
        if (plan->unit[u].sums[FG_SUM_NOT_FINITE] != 0.0)
            return FG_REFUSE;
    return FG_APPLY;
}

void fg_remember_step(const fg_plan *plan) {
    for (int l = 0; l < plan->net->layers; l++) {
        fg_layer *layer = &plan->net->layer[l];
        fg_squares weights[2] = {{0}}, updates[2] = {{0}};
        for (int64_t u = plan->first_unit[l]; u < plan->first_unit[l + 1]; u++) {
            const int of_bias = plan->unit[u].first == layer->fan_in;
            fg_add_square(&weights[of_bias], plan->unit[u].sums[FG_NORM_OF_WEIGHT]);
            fg_add_square(&updates[of_bias], plan->unit[u].sums[FG_NORM_OF_UPDATE]);
        }
        layer->weight_bound = fg_norm(&weights[0]) + fg_norm(&updates[0]);
        layer->bias_bound = fg_norm(&weights[1]) + fg_norm(&updates[1]);
    }
}
