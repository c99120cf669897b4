/* What lies between two layers. Level 0 is the network's input, level l + 1 what layer l puts out: this is the only
 * index by which anything between layers is found.
 *
 * Rows lie in blocks, which each carry exponents of their own: what is stored is to be multiplied by 2^exponent. */
#ifndef FG_LEVEL_H
#define FG_LEVEL_H
#include <stdint.h>

/* How the activations below a layer's weights and the deltas above them come together for backward-weights. */
typedef struct fg_common_exponent {
    enum {
        FG_AS_THEY_ARE, /* all blocks have the same exponents */
        FG_TRUE_VALUES, /* all blocks have been brought to exponent 0 */
        FG_SCALED_INPUTS, /* activations have been multiplied by what the products of their blocks differ by */
    } kind;
    int product, bias; /* exponents of what backward-weights gives: of dW, and of the gradient of the bias */
} fg_common_exponent;

typedef struct fg_level {
    int64_t columns, stride;
    int64_t forward_panels, backward_panels; /* that its activations, and its deltas, are computed by */
    void *activation; /* [capacity][stride] */
    void *derivative; /* [capacity][stride]: f', until backward has met it */
    void *delta; /* [capacity][stride]: dL/dz; in the memory of f' where nothing has to read that later */

    int *signal_exponents; /* [blocks], of the activations as computed */
    int *preactivation_exponents; /* [blocks] */
    int *delta_exponents; /* [blocks], of the deltas as computed */
    double *forward_sums; /* [forward_panels][blocks][FG_FORWARD_SUMS]; of the input only its square is known */
    double *backward_sums; /* [backward_panels][blocks][FG_BACKWARD_SUMS], as the blocks are stored */
    void *column_derivatives; /* [blocks][stride], sums of |f'| over a block's rows */

    fg_common_exponent common; /* of its deltas with the activations of the level below */
    void *bias_inputs; /* [capacity], what a bias meets where the inputs are scaled */
} fg_level;
#endif
