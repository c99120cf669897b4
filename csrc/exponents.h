/* The exponents of the forward and the backward signal, as the drivers see them. What decides depends on the parameters
 * and on the rows of a block alone: every thread finds the same. */
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
/* The power of two that f' of the outputs is multiplied by as it meets the gradient of the loss. */
int fg_output_delta_move(const fg_plan *, int64_t block);
/* Notes the exponents of a loss computed at `exponent` and of its deltas, which came with a move, and brings these near
 * 1. */
void fg_center_output_deltas(fg_plan *, fg_loss, int exponent, int move, int64_t block);

/* Backward: the powers of two that blocks of `level` are multiplied by as they are computed from the level above. */
void fg_delta_moves(const fg_plan *, int level, fg_share, int *moves /* [share.blocks] */);

/* Squared norms of a block as it is stored, and its multiplication by 2^exponent. */
double fg_signal_square(const fg_plan *, int level, int64_t block);
double fg_delta_block_square(const fg_plan *, int level, int64_t block);
void fg_scale_block(const fg_plan *, void *const *levels, int level, int64_t block, int exponent);

/* Once every block of every level has been computed: finds how the blocks of a layer come together, and does it for a
 * share. A layer's inputs and its deltas are multiplied by 2^shift. */
fg_alignment fg_align_layer(const fg_plan *, int layer, fg_share);
int fg_signal_shift(const fg_plan *, int layer, int64_t block, fg_alignment);
int fg_delta_shift(const fg_plan *, int layer, int64_t block, fg_alignment);
#endif
