/* The exponents of the signals: the activations and the delta of a row block are what is stored times 2^exponent. A
 * signal may vanish or explode by any number of decades, either way, while what is stored stays where floating point is
 * exact.
 *
 * A block moves where the norm that is expected of the next level leaves 2^+-40, by a multiple of 2^STEP, to near 1.
 * Expected is the norm of the block times what weights of this norm do to a random vector, beside the bias, and backward
 * times the mean f'. A signal that flows through a few saturated units alone, or that a single layer shrinks or raises by
 * some 25 decades, may be lost all the same, as is what is far below its block's norm. A power of two is exact, backward
 * is linear, and forward moves only where the activation commutes with it: so all values are those of a plain pass to
 * the bit wherever neither loses any. (A bias that outgrows the signal by 2^80 is added last instead of first.) */
#include "exponents.h"
#include "layout.h"
#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

enum { STEP = 32 };

static int is_single(const fg_plan *plan) { return plan->net->kernels->dtype == FG_F32; }

/* The farthest move whose power of two, and half its inverse, are normal numbers. */
static int farthest_move(const fg_plan *plan) { return is_single(plan) ? 3 * STEP : 30 * STEP; }

/* What brings a block of a norm of about 2^size near 1: the power of two to multiply it by. */
static int move_for(const fg_plan *plan, int size) {
    enum { WINDOW = 40 };
    const int farthest = farthest_move(plan);
    const int move = -(size + (size > 0 ? STEP / 2 : -STEP / 2)) / STEP * STEP;
    if (size > -WINDOW && size <= WINDOW)
        return 0;
    return move > farthest ? farthest : move < -farthest ? -farthest : move;
}

/* The power of two of a magnitude, as frexp has it; of what is 0, subnormal or not finite that of 1, which moves
 * nothing. */
static int size_of(double x) {
    enum { EXPONENT = 0x7ff, BIAS = 1022 };
    uint64_t bits;
    int exponent;
    memcpy(&bits, &x, sizeof bits);
    exponent = (int)(bits >> 52) & EXPONENT;
    return exponent == 0 || exponent == EXPONENT ? 0 : exponent - BIAS;
}

static int size_of_root(double square) { return (size_of(square) + (square > 1.0)) / 2; }

/* What a layer's weights make of the norm of a random vector of so many components, as a power of two. */
static int gain_of(const fg_layer *layer, int64_t components) {
    return size_of(fmin(layer->weight_bound, DBL_MAX)) - size_of_root((double)components);
}

/* Where a level is best stored, as a power of two: near 1, but between what is met now and what comes out where the
 * weights that it meets next shrink or raise it by far. */
static int aim_beside(const fg_plan *plan, int next_gain) {
    const int farthest = is_single(plan) ? 2 * STEP : 14 * STEP;
    const int aim = -next_gain / 2 / STEP * STEP;
    return aim > farthest ? farthest : aim < -farthest ? -farthest : aim;
}

static int aim_of_signal(const fg_plan *plan, int level) {
    const fg_layer *layer = plan->net->layer;
    return level < plan->net->layers ? aim_beside(plan, gain_of(&layer[level], layer[level].fan_in)) : 0;
}

static int aim_of_delta(const fg_plan *plan, int level) {
    const fg_layer *layer = plan->net->layer;
    return level > 0 ? aim_beside(plan, gain_of(&layer[level - 1], layer[level - 1].fan_out)) : 0;
}

double fg_signal_square(const fg_plan *plan, int level, int64_t block) {
    const int64_t panels = level > 0 ? plan->net->layer[level - 1].panels : 0;
    const double *sums = level > 0 ? plan->forward_sums[level - 1] : NULL;
    double total = level > 0 ? 0.0 : plan->input_squares[block];
    for (int64_t p = 0; p < panels; p++)
        total += sums[(p * plan->blocks + block) * FG_FORWARD_SUMS + FG_SUM_OUTPUT_SQUARED];
    return total;
}

double fg_delta_block_square(const fg_plan *plan, int level, int64_t block) {
    const int64_t panels = level == plan->net->layers ? 1 : fg_level_panels(plan, level);
    const double *sums = plan->backward_sums[level];
    double total = 0.0;
    for (int64_t p = 0; p < panels; p++)
        total += sums[(p * plan->blocks + block) * FG_BACKWARD_SUMS + FG_SUM_DELTA_SQUARED];
    return total;
}

/* Multiplies a block of a level by 2^exponent. */
void fg_scale_block(const fg_plan *plan, void *const *levels, int level, int64_t block, int exponent) {
    const int64_t stride = plan->strides[level];
    const struct fg_scale_rows_args args = {.rows = fg_rows_in_block(plan, block),
                                            .columns = stride,
                                            .x = fg_at(plan->net, levels[level], block * FG_ROW_BLOCK * stride),
                                            .stride = stride,
                                            .exponent = exponent};
    if (exponent)
        plan->net->kernels->scale_rows(&args);
}

/* Row r of a block of a level. Beyond its columns inference keeps what another level has left. */
static const void *row_of_block(const fg_plan *plan, void *const *levels, int level, int64_t block, int64_t r) {
    return fg_at(plan->net, levels[level], (block * FG_ROW_BLOCK + r) * plan->strides[level]);
}

/* The sum of squares of a block of a level. */
static double squares_of_block(const fg_plan *plan, void *const *levels, int level, int64_t block) {
    const int64_t columns = fg_level_columns(plan, level);
    double total = 0.0;
    for (int64_t r = 0; r < fg_rows_in_block(plan, block); r++) {
        const void *x = row_of_block(plan, levels, level, block, r);
        for (int64_t i = 0; i < columns; i++) {
            const double e = is_single(plan) ? (double)((const float *)x)[i] : ((const double *)x)[i];
            total += e * e;
        }
    }
    return total;
}

static int largest_size(const fg_plan *plan, int64_t n, const void *x) {
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(is_single(plan) ? (double)((const float *)x)[i] : ((const double *)x)[i]));
    return largest > 0.0 ? size_of(largest) : INT_MIN;
}

static int largest_size_of_block(const fg_plan *plan, void *const *levels, int level, int64_t block) {
    int largest = INT_MIN;
    for (int64_t r = 0; r < fg_rows_in_block(plan, block); r++) {
        const int size = largest_size(plan, fg_level_columns(plan, level), row_of_block(plan, levels, level, block, r));
        largest = size > largest ? size : largest;
    }
    return largest;
}

/* Brings a block near 2^aim and gives the power of two that it was multiplied by. Where squares have left the range of
 * double, the largest entry says how far that is. */
static int center(const fg_plan *plan, void *const *levels, int level, int64_t block, int aim, double *square) {
    const int in_range = *square > 0x1p-900 && *square < 0x1p900;
    int size = size_of_root(*square), move;
    if (!in_range && !isnan(*square))
        size = largest_size_of_block(plan, levels, level, block);
    move = size == INT_MIN ? 0 : move_for(plan, size - aim);
    fg_scale_block(plan, levels, level, block, move);
    if (in_range)
        *square = ldexp(*square, 2 * move);
    else if (move)
        *square = squares_of_block(plan, levels, level, block);
    return move;
}

void fg_center_inputs(fg_plan *plan, int64_t block) {
    double *square = &plan->input_squares[block];
    plan->signal_exponents[0][block] = -center(plan, plan->activations, 0, block, aim_of_signal(plan, 0), square);
}

/* The smallest exponent, 0 at most, at which a value of about 2^size still leaves room for what it is added to. */
static int least_beside(const fg_plan *plan, int size) {
    const int room = is_single(plan) ? 80 : 400;
    return size == INT_MIN ? INT_MIN : size >= room ? 0 : -((room - size) / STEP * STEP);
}

/* Whether the true z of a block, whose inputs have this norm, are all near zero. */
static int is_near_zero(const fg_plan *plan, int l, double norm, int exponent) {
    const fg_layer *layer = &plan->net->layer[l];
    const double most = ldexp(norm * layer->weight_bound, exponent) + layer->bias_bound;
    return layer->form == FG_THROUGH_ZERO && most < fg_near_zero(plan->net->kernels->dtype);
}

static fg_signal_move signal_move(const fg_plan *plan, int l, int64_t block, int gain, int aim) {
    const fg_layer *layer = &plan->net->layer[l];
    const int input = plan->signal_exponents[l][block];
    const double square = fg_signal_square(plan, l, block);
    const int bias = layer->bias_bound > 0.0 ? size_of(layer->bias_bound) + 2 : INT_MIN; /* of up to 16 rows */
    const int of_product = size_of_root(square) + gain, of_bias = bias == INT_MIN ? INT_MIN : bias - input;
    fg_signal_exponents e = {input, input, input - move_for(plan, (of_product > of_bias ? of_product : of_bias) - aim)};
    if (input < 0 && bias != INT_MIN) {
        const int least = least_beside(plan, bias);
        e.preactivation = input < least ? least : input;
    }
    if (e.preactivation != input) /* the bias is all that can be told from it */
        e.output = e.preactivation - move_for(plan, bias - e.preactivation - aim);
    if (layer->form == FG_NOT_THROUGH_ZERO || (layer->form == FG_THROUGH_ZERO && e.output > 0))
        e.output = 0;
    return (fg_signal_move){e, e.output < 0 && is_near_zero(plan, l, sqrt(square), input)};
}

void fg_signal_moves(const fg_plan *plan, int l, fg_share share, fg_signal_move *moves) {
    const int gain = gain_of(&plan->net->layer[l], plan->net->layer[l].fan_in), aim = aim_of_signal(plan, l + 1);
    for (int64_t b = 0; b < share.blocks; b++)
        moves[b] = signal_move(plan, l, share.first_block + b, gain, aim);
}

typedef enum { TARGETS, ONE, NOTHING } reference;
typedef struct {
    int degree, small_degree;
    reference beside;
} loss_traits;

static loss_traits traits_of(fg_loss loss) {
    static const loss_traits traits[] = {
#define FG_LOSS(name, per_sample, degree, small_degree, reference) {degree, small_degree, reference},
#include "losses.def"
#undef FG_LOSS
    };
    return traits[loss];
}

static int largest_target(const fg_plan *plan, const fg_batch *batch, int64_t block) {
    const int64_t columns = plan->net->layer[plan->net->layers - 1].fan_out;
    int largest = INT_MIN;
    for (int64_t r = 0; r < fg_rows_in_block(plan, block); r++) {
        const int64_t sample = fg_sample(batch, block * FG_ROW_BLOCK + r);
        const int size = largest_size(plan, columns, fg_at(plan->net, batch->targets, sample * columns));
        largest = size > largest ? size : largest;
    }
    return largest;
}

int fg_loss_exponent(const fg_plan *plan, const fg_batch *batch, fg_loss loss, int64_t block) {
    const int outputs = plan->signal_exponents[plan->net->layers][block];
    const reference beside = traits_of(loss).beside;
    int least;
    if (outputs >= 0 || beside == NOTHING)
        return outputs;
    least = beside == ONE ? 0 : least_beside(plan, largest_target(plan, batch, block));
    return outputs < least ? least : outputs;
}

/* The mean |f'| of the layer whose output is `level`, as a power of two. Piecewise linear activations do not shrink a
 * whole block. */
static int size_of_derivative(const fg_plan *plan, int level, int64_t block) {
    const fg_layer *layer = level > 0 ? fg_layer_of(plan, level - 1) : NULL;
    double total = 0.0;
    if (!layer || !layer->derivative_stored)
        return 0;
    for (int64_t p = 0; p < layer->panels; p++)
        total +=
            ((const double *)
                 plan->forward_sums[level - 1])[(p * plan->blocks + block) * FG_FORWARD_SUMS + FG_SUM_ABS_DERIVATIVE];
    return total > 0.0 ? size_of(total) - size_of((double)(fg_rows_in_block(plan, block) * layer->fan_out)) : 0;
}

/* All the way: the gradient may be as small as f' is. */
int fg_output_delta_move(const fg_plan *plan, int64_t block) {
    const int size = size_of_derivative(plan, plan->net->layers, block), farthest = is_single(plan) ? 120 : 1000;
    return size > -STEP ? 0 : -size < farthest ? -size : farthest;
}

void fg_center_output_deltas(fg_plan *plan, fg_loss loss, int exponent, int move, int64_t block) {
    const int level = plan->net->layers;
    const loss_traits traits = traits_of(loss);
    const int degree = exponent < 0 ? traits.small_degree : traits.degree;
    double *sums = (double *)plan->backward_sums[level] + block * FG_BACKWARD_SUMS;
    const int more = center(plan, plan->deltas, level, block, aim_of_delta(plan, level), &sums[FG_SUM_DELTA_SQUARED]);
    plan->loss_exponents[block] = degree * exponent;
    plan->delta_exponents[level][block] = (degree - 1) * exponent - move - more;
    sums[FG_SUM_OUTPUT_GRADIENT_SQUARED] = ldexp(sums[FG_SUM_OUTPUT_GRADIENT_SQUARED], 2 * (move + more));
}

void fg_delta_moves(const fg_plan *plan, int level, fg_share share, int *moves) {
    const int gain = gain_of(&plan->net->layer[level], plan->net->layer[level].fan_out);
    const int aim = aim_of_delta(plan, level);
    for (int64_t b = 0; b < share.blocks; b++) {
        const int64_t block = share.first_block + b;
        const int norm = size_of_root(fg_delta_block_square(plan, level + 1, block));
        moves[b] = move_for(plan, norm + gain + size_of_derivative(plan, level, block) - aim);
    }
}
