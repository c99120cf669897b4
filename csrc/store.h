/* Where gradients wait: those of all layers, packed like the weights, with what has to be known of them before they can
 * be applied. A plan that keeps gradients has it from the start, another one once a step cannot do without. */
#ifndef FG_STORE_H
#define FG_STORE_H
#include "network.h"

/* value times 2^exponent. */
typedef struct fg_scaled {
    double value;
    int exponent;
} fg_scaled;

/* What settling has made of a layer's gradients, settle.c. */
typedef struct fg_settled {
    fg_scaled weights_norm, bias_norm; /* before clipping */
    fg_scaled weights, bias; /* what they are to be multiplied by, their own exponents included */
    double clip_factor; /* norm of dL/dW after clipping over its norm before; 1 where that is 0 */
    int by_column; /* whether each column of W has a factor of its own */
} fg_settled;

typedef struct fg_store {
    void **gradients; /* [layers]: each like the layer's weights, times 2^-exponent: level.h; NULL: not there */
    double **gradient_norms; /* [layers]: each [row blocks of W + 1][vecs * lanes], of a unit's columns */
    double **weight_norms; /* likewise, of the weights */
    void **column_factors; /* [layers]: each [vecs * lanes] */
    fg_settled *settled; /* [layers] */
    fg_scaled norm; /* of all gradients, that a clip by the global norm has compared */
    fg_arena arena;
} fg_store;

/* Whether the store has all that a step with such a clip needs. */
int fg_store_suffices(const fg_plan *, fg_clip_kind);
/* Takes it anew, and what it held is lost; on failure it stays as it is. */
fg_status fg_store_take(fg_plan *, fg_clip_kind);
void fg_store_free(fg_plan *);
#endif
