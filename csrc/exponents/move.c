/* What an exponent's move is made of: sizes as powers of two, where a block is best stored, and the move itself. */
#include "exponents.h"
#include "range.h"
#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

static const fg_range *range_of(const fg_plan *plan) { return &fg_ranges[plan->net->kernels->dtype]; }

static int within(int x, int limit) { return x > limit ? limit : x < -limit ? -limit : x; }

int fg_move_for(const fg_plan *plan, int size) {
    enum { WINDOW = 40 };
    const int move = -(size + (size > 0 ? FG_MOVE / 2 : -FG_MOVE / 2)) / FG_MOVE * FG_MOVE;
    if (size > -WINDOW && size <= WINDOW)
        return 0;
    return within(move, range_of(plan)->farthest_move);
}

int fg_size_of(double x) {
    enum { EXPONENT = 0x7ff, BIAS = 1022 };
    uint64_t bits;
    int exponent;
    memcpy(&bits, &x, sizeof bits);
    exponent = (int)(bits >> 52) & EXPONENT;
    return exponent == 0 || exponent == EXPONENT ? 0 : exponent - BIAS;
}

int fg_size_of_root(double square) { return (fg_size_of(square) + (square > 1.0)) / 2; }

int fg_gain_of(const fg_layer *layer, int64_t components) {
    return fg_size_of(fmin(layer->weight_bound, DBL_MAX)) - fg_size_of_root((double)components);
}

int fg_aim_beside(const fg_plan *plan, int next_gain) {
    return within(-next_gain / 2 / FG_MOVE * FG_MOVE, range_of(plan)->farthest_aim);
}

int fg_least_beside(const fg_plan *plan, int size) {
    const int room = range_of(plan)->room_for_addition;
    return size == INT_MIN ? INT_MIN : size >= room ? 0 : -((room - size) / FG_MOVE * FG_MOVE);
}

void fg_scale_block(fg_plan *plan, fg_level *level, void *matrix, int64_t block, int exponent) {
    const struct fg_scale_rows_args args = {.rows = fg_rows_in_block(plan, block),
                                            .columns = level->stride,
                                            .x = fg_element(plan, level, matrix, block * FG_ROW_BLOCK, 0),
                                            .stride = level->stride,
                                            .exponent = exponent};
    if (exponent)
        plan->net->kernels->scale_rows(&args);
}

/* Beyond a level's columns inference keeps what another level has left. */
static double squares_of_block(const fg_plan *plan, const fg_level *level, void *matrix, int64_t block) {
    double total;
    const struct fg_sum_of_squares_args args = {.rows = fg_rows_in_block(plan, block),
                                                .columns = level->columns,
                                                .x = fg_element(plan, level, matrix, block * FG_ROW_BLOCK, 0),
                                                .stride = level->stride,
                                                .sum = &total};
    plan->net->kernels->sum_of_squares(&args);
    return total;
}

int fg_largest_size(const fg_plan *plan, int64_t rows, int64_t columns, const void *x, int64_t stride) {
    const fg_dtype dtype = plan->net->kernels->dtype;
    int sizes[FG_ROW_BLOCK], largest = fg_size_of_zero(dtype);
    const struct fg_row_sizes_args args = {rows, columns, x, stride, sizes};
    plan->net->kernels->row_sizes(&args);
    for (int64_t r = 0; r < rows; r++)
        largest = sizes[r] > largest ? sizes[r] : largest;
    if (largest == fg_size_of_zero(dtype))
        return INT_MIN;
    return largest == fg_size_of_infinity(dtype) ? 0 : largest;
}

/* Where squares have left the range of double, the largest entry says how far that is. */
int fg_center_block(fg_plan *plan, fg_level *level, void *matrix, int64_t block, int aim, double *square) {
    const int in_range = *square > 0x1p-900 && *square < 0x1p900;
    int size = fg_size_of_root(*square), move;
    if (!in_range && !isnan(*square))
        size = fg_largest_size(plan, fg_rows_in_block(plan, block), level->columns,
                               fg_element(plan, level, matrix, block * FG_ROW_BLOCK, 0), level->stride);
    move = size == INT_MIN ? 0 : fg_move_for(plan, size - aim);
    fg_scale_block(plan, level, matrix, block, move);
    if (in_range)
        *square = ldexp(*square, 2 * move);
    else if (move)
        *square = squares_of_block(plan, level, matrix, block);
    return move;
}
