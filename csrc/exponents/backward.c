/* Exponents of the loss and of the deltas: where outputs can meet their targets, and how each block of deltas moves as
 * it passes a layer on its way back. */
#include "exponents.h"
#include "range.h"
#include <limits.h>
#include <math.h>

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
    const int64_t columns = plan->level[plan->net->layers].columns;
    int largest = INT_MIN;
    for (int64_t r = 0; r < fg_rows_in_block(plan, block); r++) {
        const int64_t sample = fg_sample(batch, block * FG_ROW_BLOCK + r);
        const int size = fg_largest_size(plan, 1, columns, fg_at(plan->net, batch->targets, sample * columns), columns);
        largest = size > largest ? size : largest;
    }
    return largest;
}

int fg_loss_exponent(const fg_plan *plan, const fg_batch *batch, fg_loss loss, int64_t block) {
    const int outputs = plan->level[plan->net->layers].signal_exponents[block];
    const reference beside = traits_of(loss).beside;
    int least;
    if (outputs >= 0 || beside == NOTHING)
        return outputs;
    least = beside == ONE ? 0 : fg_least_beside(plan, largest_target(plan, batch, block));
    return outputs < least ? least : outputs;
}

/* The mean |f'| of the layer whose output is `level`, as a power of two. Piecewise linear activations do not shrink a
 * whole block. */
static int size_of_derivative(const fg_plan *plan, int l, int64_t block) {
    const fg_level *const level = &plan->level[l];
    double total = 0.0;
    if (l == 0 || !fg_layer_of(plan, l - 1)->derivative_stored)
        return 0;
    for (int64_t p = 0; p < level->forward_panels; p++)
        total += fg_forward_sums(plan, level, p, block)[FG_SUM_ABS_DERIVATIVE];
    return total > 0.0 ? fg_size_of(total) - fg_size_of((double)(fg_rows_in_block(plan, block) * level->columns)) : 0;
}

/* f' is raised all the way to 1, not by multiples of FG_MOVE: the gradient that it meets may be as small as it is. */
int fg_output_delta_move(const fg_plan *plan, int64_t block) {
    const int farthest = fg_ranges[plan->net->kernels->dtype].farthest_raise;
    const int size = size_of_derivative(plan, plan->net->layers, block);
    return size > -FG_MOVE ? 0 : -size < farthest ? -size : farthest;
}

static int aim_of_delta(const fg_plan *plan, int level) {
    const fg_layer *layer = plan->net->layer;
    return level > 0 ? fg_aim_beside(plan, fg_gain_of(&layer[level - 1], layer[level - 1].fan_out)) : 0;
}

double fg_delta_block_square(const fg_plan *plan, int l, int64_t block) {
    const fg_level *const level = &plan->level[l];
    double total = 0.0;
    for (int64_t p = 0; p < level->backward_panels; p++)
        total += fg_backward_sums(plan, level, p, block)[FG_SUM_DELTA_SQUARED];
    return total;
}

void fg_center_output_deltas(fg_plan *plan, fg_loss loss, int exponent, int move, int64_t block) {
    const int last = plan->net->layers;
    fg_level *const level = &plan->level[last];
    const loss_traits traits = traits_of(loss);
    const int degree = exponent < 0 ? traits.small_degree : traits.degree;
    double *sums = fg_backward_sums(plan, level, 0, block);
    const int more =
        fg_center_block(plan, level, level->delta, block, aim_of_delta(plan, last), &sums[FG_SUM_DELTA_SQUARED]);
    plan->loss_exponents[block] = degree * exponent;
    level->delta_exponents[block] = (degree - 1) * exponent - move - more;
    sums[FG_SUM_OUTPUT_GRADIENT_SQUARED] = ldexp(sums[FG_SUM_OUTPUT_GRADIENT_SQUARED], 2 * (move + more));
}

void fg_delta_moves(const fg_plan *plan, int level, fg_share share, int *moves) {
    const int gain = fg_gain_of(&plan->net->layer[level], plan->net->layer[level].fan_out);
    const int aim = aim_of_delta(plan, level);
    for (int64_t b = 0; b < share.blocks; b++) {
        const int64_t block = share.first_block + b;
        const int norm = fg_size_of_root(fg_delta_block_square(plan, level + 1, block));
        moves[b] = fg_move_for(plan, norm + gain + size_of_derivative(plan, level, block) - aim);
    }
}
