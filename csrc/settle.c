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
    int size = 0;
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

/* Its value is one that every dtype holds. */
static fg_scaled quotient(fg_scaled a, fg_scaled b) {
    int size_of_a = 0, size_of_b = 0, size = 0;
    const double x = frexp(a.value, &size_of_a), y = frexp(b.value, &size_of_b), value = frexp(x / y, &size);
    return (fg_scaled){value, size + size_of_a - size_of_b + a.exponent - b.exponent};
}

/* Neither factor is negative. */
static fg_scaled product(double a, double b) {
    int size_of_a = 0, size_of_b = 0;
    const double x = frexp(a, &size_of_a), y = frexp(b, &size_of_b);
    return (fg_scaled){x * y, size_of_a + size_of_b};
}

/* min(1, bound / (norm + eps)). */
static fg_scaled factor_for(fg_scaled norm, fg_scaled bound, double eps) {
    scaled_squares terms = {.exponent = INT_MIN};
    fg_scaled divisor;
    find_exponent(&terms, norm);
    find_exponent(&terms, (fg_scaled){eps, 0});
    if (terms.exponent == INT_MIN)
        return (fg_scaled){1.0, 0};
    divisor.exponent = terms.exponent;
    divisor.value = ldexp(norm.value, norm.exponent - divisor.exponent) + ldexp(eps, -divisor.exponent);
    if (ldexp(bound.value, bound.exponent - divisor.exponent) >= divisor.value)
        return (fg_scaled){1.0, 0};
    return quotient(bound, divisor);
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

/* What a column of W is clipped by. */
typedef struct {
    int clipped;
    double norm_after; /* as it is stored */
    fg_scaled factor;  /* of what is stored */
} column_clip;

static column_clip clip_of_column(const fg_plan *plan, int l, double bound, int64_t u) {
    const int exponent = plan->level[l + 1].common.product;
    const double norm = plan->store.gradient_norms[l][u];
    const fg_scaled most = product(bound, plan->store.weight_norms[l][u]);
    const double most_as_stored = ldexp(most.value, most.exponent - exponent);
    if (norm <= most_as_stored)
        return (column_clip){0, norm, {norm == 0.0 ? 0.0 : 0.5, exponent + 1}};
    return (column_clip){1, most_as_stored, quotient(most, (fg_scaled){norm, 0})};
}

/* Powers of two of the factors of a layer's columns, and of the largest column that they make. */
typedef struct {
    int least, largest, result;
} factor_sizes;

static void note_factor(factor_sizes *sizes, fg_scaled factor, double norm) {
    const int size = factor.exponent - 1, result = true_exponent((fg_scaled){norm, factor.exponent});
    if (factor.value == 0.0 || !isfinite(factor.value))
        return;
    sizes->least = size < sizes->least ? size : sizes->least;
    sizes->largest = size > sizes->largest ? size : sizes->largest;
    sizes->result = result > sizes->result ? result : sizes->result;
}

/* Columns' factors share an exponent. Divided by 2^exponent, those from the least to the largest size are to be normal
 * numbers of the dtype, and what has met them is to stay in its range; where all cannot be, the smallest are 0. It is
 * as near to 0 as that allows. */
static int exponent_of_factors(const fg_plan *plan, const factor_sizes *sizes) {
    const fg_range *range = &fg_ranges[plan->net->kernels->dtype];
    int lowest, highest;
    if (sizes->largest == INT_MIN)
        return 0;
    lowest = sizes->largest - range->farthest_move;
    lowest = sizes->result - range->room_for_sum > lowest ? sizes->result - range->room_for_sum : lowest;
    highest = sizes->least - range->least_normal;
    if (lowest > 0 || lowest > highest)
        return lowest;
    return highest < 0 ? highest : 0;
}

/* Norms of whole columns take the place of those of their first blocks of rows. */
static void measure_whole_columns(fg_plan *plan, int l, double least_weights) {
    for (int64_t u = 0; u < fg_layer_of(plan, l)->fan_out; u++) {
        double *const gradient = &plan->store.gradient_norms[l][u], *const weights = &plan->store.weight_norms[l][u];
        *gradient = norm_of_column(plan, l, plan->store.gradient_norms[l], u);
        *weights = fmax(norm_of_column(plan, l, plan->store.weight_norms[l], u), least_weights);
    }
}

/* Each column of W is held to a multiple of the norm of its weights: Brock et al. 2021, arXiv:2102.06171. Columns of
 * zeros need no factor. */
static void clip_columns(fg_plan *plan, int l, const fg_clip_config *clip) {
    const int64_t columns = fg_layer_of(plan, l)->fan_out;
    fg_settled *const settled = &plan->store.settled[l];
    factor_sizes sizes = {INT_MAX, INT_MIN, INT_MIN};
    fg_squares after = {0};
    int shared;
    measure_whole_columns(plan, l, clip->eps);
    for (int64_t u = 0; u < columns; u++) {
        const column_clip column = clip_of_column(plan, l, clip->bound, u);
        fg_add_square(&after, column.norm_after);
        settled->by_column |= column.clipped;
        note_factor(&sizes, column.factor, plan->store.gradient_norms[l][u]);
    }
    if (!settled->by_column)
        return;
    shared = exponent_of_factors(plan, &sizes);
    for (int64_t u = 0; u < columns; u++) {
        const fg_scaled factor = clip_of_column(plan, l, clip->bound, u).factor;
        set_factor(plan, l, u, ldexp(factor.value, factor.exponent - shared));
    }
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
        const fg_scaled factor = factor_for(settled->bias_norm, product(clip->bound, fmax(weights, clip->eps)), 0.0);
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
        multiply_layer(plan, l, factor_for(norm_of_layers(plan, l, l + 1), (fg_scaled){clip->bound, 0}, clip->eps));
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
        plan->store.norm = norm_of_layers(plan, 0, plan->net->layers);
        const fg_scaled factor = factor_for(plan->store.norm, (fg_scaled){clip->bound, 0}, clip->eps);
        for (int l = 0; l < plan->net->layers; l++)
            multiply_layer(plan, l, factor);
    }
}

double fg_clip_norm(const fg_plan *plan) { return ldexp(plan->store.norm.value, plan->store.norm.exponent); }
