/* The exponents of the forward and the backward signal, as the drivers see them. What decides depends on the rows of a
 * block alone: every thread finds the same. */
#ifndef FG_EXPONENTS_H
#define FG_EXPONENTS_H
#include "plan.h"

/* Forward. A block of inputs that has been loaded is brought near 1 where it is far from it. */
void fg_center_inputs(fg_plan *, int64_t block);
typedef struct {
    fg_signal_exponents exponents;
    int near_zero; /* see kernels.h */
} fg_signal_move;
void fg_signal_moves(const fg_plan *, int layer, fg_share, fg_signal_move *moves /* [share.blocks] */);

/* The exponent at which the outputs of a block can meet their targets. */
int fg_loss_exponent(const fg_plan *, const fg_batch *, fg_loss, int64_t block);
/* Notes the exponents of a loss computed at `exponent` and of its deltas, and brings these near 1. */
void fg_center_output_deltas(fg_plan *, fg_loss, int exponent, int64_t block);

/* Backward: the powers of two that blocks of `level` are multiplied by as they are computed from the level above. */
void fg_delta_moves(const fg_plan *, int level, fg_share, int *moves /* [share.blocks] */);

/* Brings the blocks of a share to common exponents, one for the inputs of a layer and one for its deltas. Every block has
 * been computed. */
void fg_align_layer(const fg_plan *, int layer, fg_share, int *common_signal, int *common_delta);
/* Of what a layer's backward-weights gives, once the blocks are aligned. */
int fg_gradient_exponent(const fg_plan *, int layer, int of_bias);
#endif
