/* Backward-weights adds up the products of all blocks of rows, which may carry different exponents. Here the inputs and
 * deltas of a layer are brought to where the products can be added: as they are, where all blocks agree; to their true
 * values, where these and their products fit; else to the exponent of the largest product, to which the inputs of every
 * block are shrunk. What a bias then meets as its input may be a power of two other than 1. */
#include "exponents.h"
#include "range.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>

typedef struct {
    int signal, delta; /* exponents */
    int size_of_signal, size_of_delta; /* of true values: powers of two */
    int has_signal, has_delta; /* without one of them the block adds nothing to dW */
} block_sizes;

static int blocks_differ(const fg_plan *plan, const int *exponents) {
    int differ = 0;
    for (int64_t b = 1; b < fg_blocks(plan); b++)
        differ |= exponents[b] != exponents[0];
    return differ;
}

static block_sizes sizes_of(const fg_plan *plan, int l, int64_t block) {
    const double signal = fg_signal_block_square(plan, l, block), delta = fg_delta_block_square(plan, l + 1, block);
    block_sizes s = {.signal = plan->level[l].signal_exponents[block],
                     .delta = plan->level[l + 1].delta_exponents[block]};
    frexp(sqrt(signal), &s.size_of_signal);
    frexp(sqrt(delta), &s.size_of_delta);
    s.size_of_signal += s.signal;
    s.size_of_delta += s.delta;
    s.has_signal = signal != 0.0;
    s.has_delta = delta != 0.0;
    return s;
}

static int is_zero(const block_sizes *s) { return !s->has_signal || !s->has_delta; }

/* Whether true values, and their products, are normal numbers with room to spare; of a block that has no products,
 * whether they are numbers at all. */
static int fits_as_it_is(const fg_plan *plan, const block_sizes *s) {
    const fg_range *range = &fg_ranges[plan->net->kernels->dtype];
    const int room = range->room_for_addition;
    if (is_zero(s))
        return (!s->has_signal || s->size_of_signal <= room) && (!s->has_delta || s->size_of_delta <= room);
    return abs(s->size_of_signal) <= room && abs(s->size_of_delta) <= room &&
           abs(s->size_of_signal + s->size_of_delta) <= range->room_for_product;
}

/* The exponent of a block's product: that of its two factors together, or more where what is stored would leave no room
 * for a sum of blocks. */
static int product_exponent(const fg_plan *plan, const block_sizes *s) {
    const int room = fg_ranges[plan->net->kernels->dtype].room_for_sum;
    const int exponent = s->signal + s->delta, size = s->size_of_signal + s->size_of_delta - exponent;
    return exponent + (size > room ? size - room : 0);
}

/* At a glance: a product of squared norms that every dtype has room for. */
static int certainly_fits(const fg_plan *plan, int l, int64_t block) {
    return fg_signal_block_square(plan, l, block) * fg_delta_block_square(plan, l + 1, block) <= 0x1p180;
}

/* Whether the products of blocks that all have these exponents can be added as they are. */
static int products_fit(const fg_plan *plan, int l, int signal, int delta) {
    for (int64_t b = 0; b < fg_blocks(plan); b++) {
        if (certainly_fits(plan, l, b))
            continue;
        const block_sizes s = sizes_of(plan, l, b);
        if (!is_zero(&s) && product_exponent(plan, &s) > signal + delta)
            return 0;
    }
    return 1;
}

static fg_common_exponent find_common(const fg_plan *plan, int l) {
    const int *signals = plan->level[l].signal_exponents, *deltas = plan->level[l + 1].delta_exponents;
    fg_common_exponent largest = {FG_SCALED_INPUTS, INT_MIN, INT_MIN};
    int fit = 1;
    if (!blocks_differ(plan, signals) && !blocks_differ(plan, deltas) && products_fit(plan, l, signals[0], deltas[0]))
        return (fg_common_exponent){FG_AS_THEY_ARE, signals[0] + deltas[0], deltas[0]};
    for (int64_t b = 0; b < fg_blocks(plan); b++) {
        const block_sizes s = sizes_of(plan, l, b);
        if (s.has_delta && s.delta > largest.bias)
            largest.bias = s.delta;
        fit &= fits_as_it_is(plan, &s);
        if (is_zero(&s))
            continue;
        if (product_exponent(plan, &s) > largest.product)
            largest.product = product_exponent(plan, &s);
    }
    if (fit)
        return (fg_common_exponent){FG_TRUE_VALUES, 0, 0};
    largest.bias = largest.bias == INT_MIN ? 0 : largest.bias;
    largest.product = largest.product == INT_MIN ? 0 : largest.product;
    return largest;
}

int fg_signal_shift(const fg_plan *plan, int l, int64_t block, fg_common_exponent to) {
    const int signal = plan->level[l].signal_exponents[block];
    int shift;
    switch (to.kind) {
    case FG_AS_THEY_ARE: return 0;
    case FG_TRUE_VALUES: return signal;
    default: break;
    }
    shift = signal + plan->level[l + 1].delta_exponents[block] - to.product;
    return shift < 0 ? shift : 0; /* above 0 only where one of the two is zero */
}

int fg_delta_shift(const fg_plan *plan, int l, int64_t block, fg_common_exponent to) {
    return to.kind == FG_TRUE_VALUES ? plan->level[l + 1].delta_exponents[block] : 0;
}

static void fill_bias_inputs(fg_plan *plan, int l, int64_t block, fg_common_exponent to) {
    fg_level *const above = &plan->level[l + 1];
    const int largest = -fg_ranges[plan->net->kernels->dtype].least_normal;
    const int shift = above->delta_exponents[block] - to.bias; /* above 0 only where squares of deltas are all 0 */
    const struct fg_fill_args args = {.n = fg_rows_in_block(plan, block),
                                      .value = ldexp(1.0, shift < largest ? shift : largest),
                                      .x = fg_at(plan->net, above->bias_inputs, block * FG_ROW_BLOCK)};
    plan->net->kernels->fill(&args);
}

fg_common_exponent fg_bring_together(fg_plan *plan, int l, fg_share share) {
    const fg_common_exponent to = find_common(plan, l);
    fg_level *const below = &plan->level[l], *const above = &plan->level[l + 1];
    for (int64_t b = share.first_block; b < share.first_block + share.blocks; b++) {
        fg_scale_block(plan, below, below->activation, b, fg_signal_shift(plan, l, b, to));
        fg_scale_block(plan, above, above->delta, b, fg_delta_shift(plan, l, b, to));
        if (to.kind == FG_SCALED_INPUTS)
            fill_bias_inputs(plan, l, b, to);
    }
    return to;
}
