/* Settling: between the gradients and their application, what a clip makes of them. Norms carry the exponents of the
 * gradients that they measure, and are brought together before they are compared with a bound: gradients that have
 * left the range of their dtype, or of any number format, are clipped to where they fit.
 *
 * Norms are sums over units of a fixed size, each a chain over the rows of one column, added in index order: the same
 * to the bit for any number of threads and for all instruction sets that fuse multiply-adds. */
#include "settle.h"
#include "norm.h"
#include "range.h"
#include <limits.h>

static int64_t row_blocks(const fg_layer *layer) { return fg_ceil_div(layer->fan_in, FG_WEIGHT_BLOCK); }

static int64_t stride_of(const fg_plan *plan, const fg_layer *layer) { return layer->vecs * plan->net->kernels->lanes; }

/* Of blocks [first, end) of a layer's rows, from the norms of their columns; the last block is the bias. */
static double norm_of_blocks(const fg_plan *plan, int l, const double *norms, int64_t first, int64_t end) {
    const fg_layer *layer = fg_layer_of(plan, l);
    fg_squares squares = {0};
    for (int64_t block = first; block < end; block++)
        for (int64_t u = 0; u < layer->fan_out; u++)
            fg_add_square(&squares, norms[block * stride_of(plan, layer) + u]);
    return fg_norm(&squares);
}

static double norm_of_column(const fg_plan *plan, int l, const double *norms, int64_t u) {
    const fg_layer *layer = fg_layer_of(plan, l);
    fg_squares squares = {0};
    for (int64_t block = 0; block < row_blocks(layer); block++)
        fg_add_square(&squares, norms[block * stride_of(plan, layer) + u]);
    return fg_norm(&squares);
}

/* A norm of norms that carry exponents: squares are added at the exponent of the largest. */
typedef struct {
    fg_squares squares;
    int exponent;
} scaled_squares;

static int true_exponent(fg_scaled x) {
    int size;
    if (x.value == 0.0)
        return INT_MIN;
    frexp(x.value, &size);
    return size + x.exponent;
}

static void find_exponent(scaled_squares *sum, fg_scaled x) {
    if (true_exponent(x) > sum->exponent)
        sum->exponent = true_exponent(x);
}

static void add_square(scaled_squares *sum, fg_scaled x) {
    fg_add_square(&sum->squares, ldexp(x.value, x.exponent - sum->exponent));
}

/* Of layers [first, end), weights and biases. */
static fg_scaled norm_of_layers(const fg_plan *plan, int first, int end) {
    scaled_squares sum = {.exponent = INT_MIN};
    for (int l = first; l < end; l++) {
        find_exponent(&sum, plan->store.settled[l].weights_norm);
        find_exponent(&sum, plan->store.settled[l].bias_norm);
    }
    if (sum.exponent == INT_MIN)
        return (fg_scaled){0.0, 0};
    for (int l = first; l < end; l++) {
        add_square(&sum, plan->store.settled[l].weights_norm);
        add_square(&sum, plan->store.settled[l].bias_norm);
    }
    return (fg_scaled){fg_norm(&sum.squares), sum.exponent};
}

/* The same number with a value in [1/2, 1), which every dtype holds. */
static fg_scaled normalized(double value, int exponent) {
    int size = 0;
    value = frexp(value, &size);
    return (fg_scaled){value, exponent + size};
}

/* min(1, bound / (norm + eps)). */
static fg_scaled factor_for(fg_scaled norm, double bound, double eps) {
    const double divisor = norm.value + ldexp(eps, -norm.exponent);
    if (ldexp(bound, -norm.exponent) >= divisor)
        return (fg_scaled){1.0, 0};
    return normalized(bound / divisor, -norm.exponent);
}

static void multiply_layer(fg_plan *plan, int l, fg_scaled factor) {
    const fg_common_exponent common = plan->level[l + 1].common;
    fg_settled *const settled = &plan->store.settled[l];
    settled->weights = (fg_scaled){factor.value, factor.exponent + common.product};
    settled->bias = (fg_scaled){factor.value, factor.exponent + common.bias};
    settled->clip_factor = settled->weights_norm.value == 0.0 ? 1.0 : ldexp(factor.value, factor.exponent);
    settled->by_column = 0;
}

static void set_factor(fg_plan *plan, int l, int64_t u, double factor) {
    void *const factors = plan->store.column_factors[l];
    if (plan->net->kernels->dtype == FG_F32)
        ((float *)factors)[u] = (float)factor;
    else
        ((double *)factors)[u] = factor;
}

/* Columns' factors share an exponent. Divided by 2^exponent, those from the least to the largest size are to be normal
 * numbers of the dtype, or where all cannot be, the smallest 0. It is as near to 0 as that allows. */
static int exponent_of_factors(const fg_plan *plan, int least, int largest) {
    const fg_range *range = &fg_ranges[plan->net->kernels->dtype];
    const int lowest = largest - range->farthest_move, highest = least - range->least_normal;
    if (lowest > 0 || lowest > highest)
        return lowest;
    return highest < 0 ? highest : 0;
}

/* Each column of W is held to a multiple of the norm of its weights: Brock et al. 2021, arXiv:2102.06171. Columns of
 * zeros need no factor. */
static void clip_columns(fg_plan *plan, int l, const fg_clip_config *clip) {
    enum { KEPT = -1 };
    const int64_t columns = fg_layer_of(plan, l)->fan_out;
    double *const ratios = plan->store.gradient_norms[l]; /* each takes the place of the norm that it comes from */
    fg_settled *const settled = &plan->store.settled[l];
    const int exponent = plan->level[l + 1].common.product;
    int least = INT_MAX, largest = INT_MIN, shared;
    fg_squares after = {0};
    for (int64_t u = 0; u < columns; u++) {
        const double norm = norm_of_column(plan, l, plan->store.gradient_norms[l], u);
        const double weights = norm_of_column(plan, l, plan->store.weight_norms[l], u);
        const double most = clip->bound * fmax(weights, clip->eps), most_as_stored = ldexp(most, -exponent);
        const int clipped = !(norm <= most_as_stored);
        const int size = clipped ? ilogb(most / norm) : exponent;
        fg_add_square(&after, clipped ? most_as_stored : norm);
        settled->by_column |= clipped;
        ratios[u] = clipped ? most / norm : norm == 0.0 ? 0.0 : KEPT;
        least = norm != 0.0 && size < least ? size : least;
        largest = norm != 0.0 && size > largest ? size : largest;
    }
    if (!settled->by_column)
        return;
    shared = exponent_of_factors(plan, least, largest);
    for (int64_t u = 0; u < columns; u++)
        set_factor(plan, l, u, ratios[u] == KEPT ? ldexp(1.0, exponent - shared) : ldexp(ratios[u], -shared));
    settled->weights.exponent = shared;
    settled->clip_factor = fg_norm(&after) / settled->weights_norm.value;
}

static void clip_units(fg_plan *plan, int l, const fg_clip_config *clip) {
    const int64_t blocks = row_blocks(fg_layer_of(plan, l));
    fg_settled *const settled = &plan->store.settled[l];
    multiply_layer(plan, l, (fg_scaled){1.0, 0});
    if (l == plan->net->layers - 1 && !clip->output)
        return;
    clip_columns(plan, l, clip);
    if (plan->net->has_bias) {
        const double weights = norm_of_blocks(plan, l, plan->store.weight_norms[l], blocks, blocks + 1);
        const fg_scaled factor = factor_for(settled->bias_norm, clip->bound * fmax(weights, clip->eps), 0.0);
        settled->bias.value = factor.value;
        settled->bias.exponent += factor.exponent;
    }
}

static void measure_layer(fg_plan *plan, int l) {
    const int64_t blocks = row_blocks(fg_layer_of(plan, l));
    const fg_common_exponent common = plan->level[l + 1].common;
    const double *norms = plan->store.gradient_norms[l];
    fg_settled *const settled = &plan->store.settled[l];
    settled->weights_norm = (fg_scaled){norm_of_blocks(plan, l, norms, 0, blocks), common.product};
    settled->bias_norm =
        (fg_scaled){plan->net->has_bias ? norm_of_blocks(plan, l, norms, blocks, blocks + 1) : 0.0, common.bias};
}

static void settle_layer(fg_plan *plan, int l, const fg_clip_config *clip) {
    if (fg_clip_waits(clip->kind))
        measure_layer(plan, l);
    switch (clip->kind) {
    case FG_CLIP_layer_norm:
        multiply_layer(plan, l, factor_for(norm_of_layers(plan, l, l + 1), clip->bound, clip->eps));
        break;
    case FG_CLIP_adaptive: clip_units(plan, l, clip); break;
    default: multiply_layer(plan, l, (fg_scaled){1.0, 0});
    }
}

void fg_settle(const fg_pass *p, fg_member me) {
    fg_plan *const plan = p->plan;
    const fg_clip_config *clip = &p->training->config.clip;
    for (int l = me.thread; l < plan->net->layers; l += me.threads)
        settle_layer(plan, l, clip);
    if (clip->kind != FG_CLIP_norm)
        return;
    fg_barrier(me.team);
    if (me.thread == 0) {
        const fg_scaled factor = factor_for(norm_of_layers(plan, 0, plan->net->layers), clip->bound, clip->eps);
        for (int l = 0; l < plan->net->layers; l++)
            multiply_layer(plan, l, factor);
    }
}

double fg_clip_norm(const fg_plan *plan) {
    const fg_scaled norm = norm_of_layers(plan, 0, plan->net->layers);
    return ldexp(norm.value, norm.exponent);
}
