/* A network's shape and packed parameters, as the drivers see them. */
#ifndef FG_NETWORK_H
#define FG_NETWORK_H
#include "arena.h"
#include "kernels.h"

typedef struct fg_layer {
    int64_t fan_in, fan_out;
    int64_t depth;  /* rows of W as stored: fan_in, and one for the bias */
    int64_t vecs;   /* fan_out in vectors */
    int64_t panels; /* of the forward product */
    fg_activation activation;
    fg_form form;
    int derivative_stored;
    double derivative_below; /* f' where it is not stored and the output is not positive */
    double saturation; /* an |f'| below it counts as saturated; 0 where that is not counted */
    size_t parameters; /* elements of `weights`: depth * vecs * lanes */
    void *weights;     /* packed, see kernels.h */
    double weight_bound, bias_bound; /* no smaller than the norm of the weights, and of the bias; not far above */
} fg_layer;

struct fg_network {
    const fg_kernels *kernels;
    int layers, has_bias;
    size_t element_size;
    const void *one; /* 1 in the network's dtype */
    fg_layer *layer; /* [layers] */
    fg_arena arena;
};

static inline void *fg_at(const fg_network *net, const void *base, int64_t element) {
    return (char *)base + element * (int64_t)net->element_size;
}
#endif
