/* The exponents of the backward signal: the delta of a row block is what is stored times 2^exponent. A gradient may
 * vanish or explode by any number of decades while what is stored stays where floating point is exact.
 *
 * A block moves where the norm that the next level is expected to have leaves 2^+-WINDOW, by a multiple of 2^STEP, on
 * its way there: f' is multiplied by it before it meets a product, or the product where it is to shrink. What is
 * expected goes by the norm of the block and its mean f': a signal that flows through a few saturated units alone, or
 * through weights below 1e-30, may be lost all the same. Backward is linear and a power of two exact, so the
 * deltas are those of a plain backward to the bit wherever that neither under- nor overflows. What decides, a block's
 * sums, depends on its rows alone: neither on threads nor on the schedule. */
#include "exponents.h"
#include "layout.h"
#include <math.h>
#include <stdlib.h>

enum { WINDOW = 40, STEP = 32 };

/* The farthest move whose power of two, and half its inverse, are normal numbers. */
static int farthest_move(const fg_plan *plan) { return plan->net->kernels->dtype == FG_F32 ? 3 * STEP : 30 * STEP; }

static double block_square(const fg_plan *plan, int level, int64_t block) {
    const int64_t panels = level == plan->net->layers ? 1 : fg_level_panels(plan, level);
    const double *sums = plan->backward_sums[level];
    double total = 0.0;
    for (int64_t p = 0; p < panels; p++)
        total += sums[(p * plan->blocks + block) * FG_BACKWARD_SUMS + FG_SUM_DELTA_SQUARED];
    return total;
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

int fg_block_move(const fg_plan *plan, int level, int64_t block) {
    const double expected = sqrt(block_square(plan, level + 1, block)) * mean_slope(plan, level, block);
    const int farthest = farthest_move(plan);
    int exponent, move;
    if (!(expected > 0.0 && isfinite(expected)))
        return 0;
    frexp(expected, &exponent);
    if (abs(exponent) <= WINDOW)
        return 0;
    move = -exponent / STEP * STEP;
    return move > farthest ? farthest : move < -farthest ? -farthest : move;
}

/* Whether the true values of a block, and their squares in float64, would be normal numbers with room to spare. */
static int fits_as_it_is(const fg_plan *plan, double square, int block_exponent) {
    const int room = plan->net->kernels->dtype == FG_F32 ? 80 : 400;
    int exponent;
    frexp(sqrt(square), &exponent);
    return isfinite(square) && abs(exponent + block_exponent) <= room;
}

/* One for all blocks: their own where it is the same; else 0, at which their values are the true ones, where these fit;
 * else the largest, at which smaller blocks may lose what no norm would show. Blocks of zeros have no say. */
static int common_exponent(const fg_plan *plan, int level) {
    const int64_t blocks = fg_ceil_div(plan->rows, FG_ROW_BLOCK);
    int largest = 0, found = 0, differ = 0, fit = 1;
    for (int64_t b = 0; b < blocks; b++) {
        const double square = block_square(plan, level, b);
        const int exponent = plan->block_exponents[level][b];
        if (square == 0.0)
            continue;
        differ |= found && exponent != largest;
        fit &= fits_as_it_is(plan, square, exponent);
        largest = found && largest > exponent ? largest : exponent;
        found = 1;
    }
    return differ && fit ? 0 : largest;
}

int fg_align_blocks(fg_plan *plan, int level, fg_share share) {
    const int common = level == 0 ? 0 : common_exponent(plan, level); /* the gradient of the input is read as it is */
    struct fg_scale_rows_args args = {.columns = plan->strides[level], .stride = plan->strides[level]};
    for (int64_t b = share.first_block; b < share.first_block + share.blocks; b++) {
        args.exponent = plan->block_exponents[level][b] - common;
        if (args.exponent == 0)
            continue;
        args.rows = fg_rows_in_block(plan, b);
        args.x = fg_at(plan->net, plan->deltas[level], b * FG_ROW_BLOCK * plan->strides[level]);
        plan->net->kernels->scale_rows(&args);
    }
    return common;
}
