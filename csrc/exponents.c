/* The exponents of the signals: the activations and the delta of a row block are what is stored times 2^exponent. A
 * signal may vanish or explode by any number of decades, either way, while what is stored stays where floating point is
 * exact.
 *
 * A block moves where the norm that is expected of the next level leaves 2^+-40, by a multiple of 2^STEP. Expected is
 * the norm of the block times what weights of this norm do to a random vector, and backward times the mean f'. A signal
 * that flows through a few saturated units alone, or that a single layer shrinks or raises by thirty decades, may be
 * lost all the same. A power of two is exact, backward is linear, and forward moves only where the activation commutes
 * with it: so all values are those of a plain pass to the bit wherever that neither under- nor overflows. */
#include "exponents.h"
#include "layout.h"
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

enum { STEP = 32 };

static int is_single(const fg_plan *plan) { return plan->net->kernels->dtype == FG_F32; }

/* The farthest move whose power of two, and half its inverse, are normal numbers. */
static int farthest_move(const fg_plan *plan) { return is_single(plan) ? 3 * STEP : 30 * STEP; }

/* What brings a block of this norm to between 1 and 2^STEP: the power of two to multiply it by. */
static int move_for(const fg_plan *plan, double norm) {
    const int farthest = farthest_move(plan);
    int exponent, move;
    if ((norm >= 0x1p-40 && norm < 0x1p40) || !(norm > 0.0 && isfinite(norm)))
        return 0;
    frexp(norm, &exponent);
    move = exponent > 0 ? -exponent / STEP * STEP : (STEP - exponent) / STEP * STEP;
    return move > farthest ? farthest : move < -farthest ? -farthest : move;
}

static double signal_square(const fg_plan *plan, int level, int64_t block) {
    const int64_t panels = level > 0 ? plan->net->layer[level - 1].panels : 0;
    const double *sums = level > 0 ? plan->forward_sums[level - 1] : NULL;
    double total = level > 0 ? 0.0 : plan->input_squares[block];
    for (int64_t p = 0; p < panels; p++)
        total += sums[(p * plan->blocks + block) * FG_FORWARD_SUMS + FG_SUM_OUTPUT_SQUARED];
    return total;
}

static double delta_square(const fg_plan *plan, int level, int64_t block) {
    const int64_t panels = level == plan->net->layers ? 1 : fg_level_panels(plan, level);
    const double *sums = plan->backward_sums[level];
    double total = 0.0;
    for (int64_t p = 0; p < panels; p++)
        total += sums[(p * plan->blocks + block) * FG_BACKWARD_SUMS + FG_SUM_DELTA_SQUARED];
    return total;
}

/* Multiplies a block of a level by 2^exponent. */
static void scale_block(const fg_plan *plan, void *const *levels, int level, int64_t block, int exponent) {
    const int64_t stride = plan->strides[level];
    const struct fg_scale_rows_args args = {.rows = fg_rows_in_block(plan, block),
                                            .columns = stride,
                                            .x = fg_at(plan->net, levels[level], block * FG_ROW_BLOCK * stride),
                                            .stride = stride,
                                            .exponent = exponent};
    if (exponent)
        plan->net->kernels->scale_rows(&args);
}

void fg_center_inputs(fg_plan *plan, int64_t block) {
    const int move = move_for(plan, sqrt(plan->input_squares[block]));
    plan->signal_exponents[0][block] = -move;
    plan->input_squares[block] = ldexp(plan->input_squares[block], 2 * move);
    scale_block(plan, plan->activations, 0, block, move);
}

/* Of the largest of so many values; INT_MIN if all are 0. */
static int largest_exponent(fg_dtype dtype, int64_t n, const void *x) {
    double largest = 0.0;
    int exponent;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(dtype == FG_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i]));
    frexp(largest, &exponent);
    return largest > 0.0 && isfinite(largest) ? exponent : INT_MIN;
}

/* The smallest exponent, 0 at most, at which a value of size 2^`exponent` still leaves room for what it is added to. */
static int least_beside(const fg_plan *plan, int exponent) {
    const int room = is_single(plan) ? 80 : 400;
    return exponent == INT_MIN ? INT_MIN : exponent >= room ? 0 : -((room - exponent) / STEP * STEP);
}

static int largest_bias(const fg_plan *plan, int l) {
    const fg_network *net = plan->net;
    const fg_layer *layer = &net->layer[l];
    int largest = INT_MIN;
    for (int64_t p = 0; net->has_bias && p < layer->panels; p++) {
        const int64_t start = fg_panel_start(layer->vecs, p, net->kernels->panel_vecs) * net->kernels->lanes;
        const int64_t width =
            fg_panel_vecs(layer->vecs, start / net->kernels->lanes, net->kernels->panel_vecs) * net->kernels->lanes;
        const void *bias = fg_at(net, layer->weights, start * layer->depth + layer->fan_in * width);
        const int exponent = largest_exponent(net->kernels->dtype, width, bias);
        largest = exponent > largest ? exponent : largest;
    }
    return largest;
}

/* What a layer's weights make of the norm of a random vector of so many components. */
static double gain_of(const fg_layer *layer, int64_t components) {
    const double gain = fmin(layer->weight_bound, DBL_MAX) / sqrt((double)components);
    return gain > 0.0 ? gain : 1.0;
}

/* Whether the true z of a block, whose inputs have this norm, are all near zero. */
static int is_near_zero(const fg_plan *plan, int l, double norm, int exponent) {
    const fg_layer *layer = &plan->net->layer[l];
    const double most = ldexp(norm * layer->weight_bound, exponent) + layer->bias_bound;
    return layer->form == FG_THROUGH_ZERO && most < fg_near_zero(plan->net->kernels->dtype);
}

static fg_signal_move signal_move(const fg_plan *plan, int l, int64_t block, double gain) {
    const int input = plan->signal_exponents[l][block];
    const double norm = sqrt(signal_square(plan, l, block));
    const int move = move_for(plan, norm * gain);
    const fg_form form = plan->net->layer[l].form;
    fg_signal_exponents e = {input, input, input - move};
    if (input < 0 || e.output < 0) {
        const int least = least_beside(plan, largest_bias(plan, l));
        e.preactivation = input < least ? least : input;
        e.output = e.output < least ? least : e.output;
    }
    if (form == FG_NOT_THROUGH_ZERO || (form == FG_THROUGH_ZERO && e.output > 0))
        e.output = 0;
    return (fg_signal_move){e, e.output < 0 && is_near_zero(plan, l, norm, input)};
}

void fg_signal_moves(const fg_plan *plan, int l, fg_share share, fg_signal_move *moves) {
    const double gain = gain_of(&plan->net->layer[l], plan->net->layer[l].fan_in);
    for (int64_t b = 0; b < share.blocks; b++)
        moves[b] = signal_move(plan, l, share.first_block + b, gain);
}

typedef enum { TARGETS, ONE, NOTHING } reference;
typedef struct {
    int degree;
    reference beside;
} loss_traits;

static loss_traits traits_of(fg_loss loss) {
    static const loss_traits traits[] = {
#define FG_LOSS(name, per_sample, degree, reference) {degree, reference},
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
        const int exponent =
            largest_exponent(plan->net->kernels->dtype, columns, fg_at(plan->net, batch->targets, sample * columns));
        largest = exponent > largest ? exponent : largest;
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

void fg_center_output_deltas(fg_plan *plan, fg_loss loss, int exponent, int64_t block) {
    const int level = plan->net->layers, degree = traits_of(loss).degree;
    const int move = move_for(plan, sqrt(delta_square(plan, level, block)));
    double *sums = (double *)plan->backward_sums[level] + block * FG_BACKWARD_SUMS;
    plan->loss_exponents[block] = degree * exponent;
    plan->delta_exponents[level][block] = (degree - 1) * exponent - move;
    for (int s = 0; move && s < FG_BACKWARD_SUMS; s++)
        sums[s] = ldexp(sums[s], 2 * move);
    scale_block(plan, plan->deltas, level, block, move);
}

/* Of the layer whose output is `level`. Piecewise linear activations do not shrink a whole block. */
static double mean_slope(const fg_plan *plan, int level, int64_t block) {
    const fg_layer *layer = level > 0 ? fg_layer_of(plan, level - 1) : NULL;
    double total = 0.0;
    if (!layer || !layer->slope_stored)
        return 1.0;
    for (int64_t p = 0; p < layer->panels; p++)
        total += ((const double *)
                      plan->forward_sums[level - 1])[(p * plan->blocks + block) * FG_FORWARD_SUMS + FG_SUM_ABS_SLOPE];
    return total / ((double)fg_rows_in_block(plan, block) * (double)layer->fan_out);
}

void fg_delta_moves(const fg_plan *plan, int level, fg_share share, int *moves) {
    const double gain = gain_of(&plan->net->layer[level], plan->net->layer[level].fan_out);
    for (int64_t b = 0; b < share.blocks; b++) {
        const int64_t block = share.first_block + b;
        moves[b] = move_for(plan, sqrt(delta_square(plan, level + 1, block)) * gain * mean_slope(plan, level, block));
    }
}

/* Of the blocks of a level: their largest exponent, and between which powers of two the norms of their true values lie.
 * Blocks of zeros have no say. */
typedef struct {
    int exponent, differ, least, most;
} level_range;

static int exponents_differ(const fg_plan *plan, const int *exponents) {
    int differ = 0;
    for (int64_t b = 1; b < fg_ceil_div(plan->rows, FG_ROW_BLOCK); b++)
        differ |= exponents[b] != exponents[0];
    return differ;
}

static level_range range_of(const fg_plan *plan, int level, const int *exponents,
                            double square_of(const fg_plan *, int, int64_t)) {
    level_range range = {exponents[0], exponents_differ(plan, exponents), INT_MAX, INT_MIN};
    for (int64_t b = 0; b < fg_ceil_div(plan->rows, FG_ROW_BLOCK); b++) {
        const double square = square_of(plan, level, b);
        int size;
        if (square == 0.0)
            continue;
        frexp(sqrt(square), &size);
        size = isfinite(square) ? size + exponents[b] : INT_MAX / 4;
        range.exponent = range.most == INT_MIN || exponents[b] > range.exponent ? exponents[b] : range.exponent;
        range.least = size < range.least ? size : range.least;
        range.most = size > range.most ? size : range.most;
    }
    return range;
}

static int within(level_range range, int room) { return range.least >= -room && range.most <= room; }

/* The exponents that all blocks of a layer's inputs and of its deltas come to, since they are to be added: their own
 * where it is the same; else 0, at which values are the true ones, where these and their products fit; else the
 * largest, at which smaller blocks may lose what no norm would show. */
static void common_exponents(const fg_plan *plan, int l, int *signal, int *delta) {
    const int *signals = plan->signal_exponents[l], *deltas = plan->delta_exponents[l + 1];
    const int room = is_single(plan) ? 80 : 400, room_of_product = is_single(plan) ? 100 : 450;
    level_range inputs, outputs, products;
    int plain;
    *signal = signals[0];
    *delta = deltas[0];
    if (!exponents_differ(plan, signals) && !exponents_differ(plan, deltas))
        return;
    inputs = range_of(plan, l, signals, signal_square);
    outputs = range_of(plan, l + 1, deltas, delta_square);
    products = (level_range){.least = inputs.least / 2 + outputs.least / 2, .most = inputs.most / 2 + outputs.most / 2};
    plain = within(inputs, room) && within(outputs, room) && within(products, room_of_product / 2);
    *signal = inputs.differ && plain ? 0 : inputs.exponent;
    *delta = outputs.differ && plain ? 0 : outputs.exponent;
}

static void align(const fg_plan *plan, void *const *levels, int level, const int *exponents, int common,
                  fg_share share) {
    for (int64_t b = share.first_block; b < share.first_block + share.blocks; b++)
        scale_block(plan, levels, level, b, exponents[b] - common);
}

void fg_align_layer(const fg_plan *plan, int l, fg_share share, int *signal, int *delta) {
    common_exponents(plan, l, signal, delta);
    align(plan, plan->activations, l, plan->signal_exponents[l], *signal, share);
    align(plan, plan->deltas, l + 1, plan->delta_exponents[l + 1], *delta, share);
}

int fg_gradient_exponent(const fg_plan *plan, int l, int of_bias) {
    return plan->common_delta[l] + (of_bias ? 0 : plan->common_signal[l]);
}
