/* Exponents of the activations: how each block of rows moves as it passes a layer. */
#include "exponents.h"
#include "range.h"
#include <limits.h>
#include <math.h>

static int aim_of_signal(const fg_plan *plan, int level) {
    const fg_layer *layer = plan->net->layer;
    return level < plan->net->layers ? fg_aim_beside(plan, fg_gain_of(&layer[level], layer[level].fan_in)) : 0;
}

double fg_signal_block_square(const fg_plan *plan, int l, int64_t block) {
    const fg_level *const level = &plan->level[l];
    double total = 0.0;
    for (int64_t p = 0; p < level->forward_panels; p++)
        total += fg_forward_sums(plan, level, p, block)[FG_SUM_OUTPUT_SQUARED];
    return total;
}

void fg_center_inputs(fg_plan *plan, int64_t block) {
    fg_level *const input = &plan->level[0];
    double *square = &fg_forward_sums(plan, input, 0, block)[FG_SUM_OUTPUT_SQUARED];
    input->signal_exponents[block] =
        -fg_center_block(plan, input, input->activation, block, aim_of_signal(plan, 0), square);
}

/* Whether the true z of a block, whose inputs have this norm, are all near zero. */
static int is_near_zero(const fg_plan *plan, int l, double norm, int exponent) {
    const fg_layer *layer = &plan->net->layer[l];
    const double most = ldexp(norm * layer->weight_bound, exponent) + layer->bias_bound;
    return layer->form == FG_THROUGH_ZERO && most < fg_near_zero(plan->net->kernels->dtype);
}

static fg_signal_move signal_move(const fg_plan *plan, int l, int64_t block, int gain, int aim) {
    const fg_layer *layer = &plan->net->layer[l];
    const int input = plan->level[l].signal_exponents[block];
    const double square = fg_signal_block_square(plan, l, block);
    const int bias = layer->bias_bound > 0.0 ? fg_size_of(layer->bias_bound) + 2 : INT_MIN; /* FG_ROW_BLOCK rows */
    const int of_product = fg_size_of_root(square) + gain, of_bias = bias == INT_MIN ? INT_MIN : bias - input;
    fg_signal_exponents e = {input, input,
                             input - fg_move_for(plan, (of_product > of_bias ? of_product : of_bias) - aim)};
    if (input < 0 && bias != INT_MIN) {
        const int least = fg_least_beside(plan, bias);
        e.preactivation = input < least ? least : input;
    }
    if (e.preactivation != input) /* the product is lost beside the bias, which alone decides */
        e.output = e.preactivation - fg_move_for(plan, bias - e.preactivation - aim);
    if (layer->form == FG_NOT_THROUGH_ZERO || (layer->form == FG_THROUGH_ZERO && e.output > 0))
        e.output = 0;
    return (fg_signal_move){e, e.output < 0 && is_near_zero(plan, l, sqrt(square), input)};
}

void fg_signal_moves(const fg_plan *plan, int l, fg_share share, fg_signal_move *moves) {
    const fg_layer *layer = &plan->net->layer[l];
    const int gain = fg_gain_of(layer, layer->fan_in), aim = aim_of_signal(plan, l + 1);
    for (int64_t b = 0; b < share.blocks; b++)
        moves[b] = signal_move(plan, l, share.first_block + b, gain, aim);
}
