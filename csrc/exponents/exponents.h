/* The exponents of the signals: the activations and the delta of a row block are what is stored times 2^exponent. A
 * signal may vanish or explode by any number of decades, either way, while what is stored stays where floating point
 * is exact.
 *
 * A block *moves*, that is, it is multiplied by a power of 2^32 and its exponent changes by as much the other way,
 * where the norm expected of the next level leaves 2^+-40; the power brings that norm near 1. What is expected of the
 * next level is the norm of the block times what weights of this norm make of a random vector, or the bias where that
 * is larger, and backward times the mean f'. A signal that flows through a few saturated units alone, or that a single
 * layer shrinks or raises by some 25 decades, may be lost all the same, as is what is far below its block's norm.
 *
 * A power of two is exact, backward is linear, and forward an activation meets either z of its true size or one that
 * it commutes with: so all values are those of a plain pass to the bit wherever neither loses any. (A bias that
 * outgrows the signal by 2^80 is added last instead of first.)
 *
 * What decides depends on the parameters and on the rows of a block alone: every thread finds the same. */
#ifndef FG_EXPONENTS_H
#define FG_EXPONENTS_H
#include "plan.h"

enum { FG_MOVE = 32 }; /* exponents move by multiples of it */

/* move.c: sizes as powers of two, and what moves a block.
 *
 * The power of two of a magnitude, as frexp has it; of what is 0, subnormal or not finite that of 1, which moves
 * nothing. */
int fg_size_of(double x);
int fg_size_of_root(double square);
/* What brings a block of a norm of about 2^size near 1: the power of two to multiply it by. */
int fg_move_for(const fg_plan *, int size);
/* What a layer's weights make of the norm of a random vector of so many components, as a power of two. */
int fg_gain_of(const fg_layer *, int64_t components);
/* The size at which a level is best stored, as a power of two: 1, but where the weights that it meets next shrink or
 * raise it by far, half of that the other way: then what goes in and what comes out are equally far from 1. */
int fg_aim_beside(const fg_plan *, int next_gain);
/* The power of two of the largest magnitude of up to FG_ROW_BLOCK rows; INT_MIN where all are 0, that of 1 where one is
 * not finite. */
int fg_largest_size(const fg_plan *, int64_t rows, int64_t columns, const void *x /* [rows][stride] */, int64_t stride);
/* The smallest exponent, 0 at most, at which a true value of about 2^size leaves room for what it is added to. */
int fg_least_beside(const fg_plan *, int size);
/* Multiplies a block of a level's matrix by 2^exponent. */
void fg_scale_block(fg_plan *, fg_level *, void *matrix, int64_t block, int exponent);
/* Brings a block near 2^aim and gives the power of two that it was multiplied by; *square is that of its norm. */
int fg_center_block(fg_plan *, fg_level *, void *matrix, int64_t block, int aim, double *square);

/* forward.c. A block of inputs that has been loaded is brought near 1 where it is far from it. */
void fg_center_inputs(fg_plan *, int64_t block);
typedef struct {
    fg_signal_exponents exponents;
    int near_zero; /* see kernels.h */
} fg_signal_move;
void fg_signal_moves(const fg_plan *, int layer, fg_share, fg_signal_move *moves /* [share.blocks] */);
/* Squared norm of a block of activations as it is stored. */
double fg_signal_block_square(const fg_plan *, int level, int64_t block);

/* backward.c. The exponent at which the outputs of a block can meet their targets. */
int fg_loss_exponent(const fg_plan *, const fg_batch *, fg_loss, int64_t block);
/* The power of two that f' of the outputs is multiplied by as it meets the gradient of the loss. */
int fg_output_delta_move(const fg_plan *, int64_t block);
/* Notes the exponents of a loss computed at `exponent` and of its deltas, which came with a move, and brings these near
 * 1. */
void fg_center_output_deltas(fg_plan *, fg_loss, int exponent, int move, int64_t block);
/* The powers of two that blocks of `level` are multiplied by as they are computed from the level above. */
void fg_delta_moves(const fg_plan *, int level, fg_share, int *moves /* [share.blocks] */);
/* Squared norm of a block of deltas as it is stored. */
double fg_delta_block_square(const fg_plan *, int level, int64_t block);

/* common.c. Once every block of every level has been computed: finds how the activations below a layer and its deltas
 * come together, and does it for a share. */
fg_common_exponent fg_bring_together(fg_plan *, int layer, fg_share);
/* What a layer's inputs and its deltas are multiplied by for that, as powers of two. */
int fg_signal_shift(const fg_plan *, int layer, int64_t block, fg_common_exponent);
int fg_delta_shift(const fg_plan *, int layer, int64_t block, fg_common_exponent);
#endif
