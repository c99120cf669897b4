/* The contract between the drivers and the kernels: one table of functions per instruction set and dtype.
 *
 * Kernels check nothing, allocate nothing and cannot fail. They run with flush-to-zero and denormals-are-zero set.
 *
 * A *panel* is up to `panel_vecs` vectors of neighbouring columns. The parameters of a layer are packed panel after
 * panel, each [depth][vecs * lanes]; depth is fan_in, plus one where the layer has a bias, which is then the last row.
 * Drivers count on no more than where a panel starts in it, and the rows of a unit of backward-weights in a panel.
 *
 * Activations and deltas are [rows][stride]; `tail` is the number of true columns in a panel's last vector, and columns
 * past it are zero, in parameters too. Pointers are to the first element of the panel or row block at hand. */
#ifndef FG_KERNELS_H
#define FG_KERNELS_H
#include "prefetch.h"
#include "fastgrad.h"

/* What an activation promises of a signal that carries an exponent, see activations.def. */
typedef enum { FG_HOMOGENEOUS, FG_THROUGH_ZERO, FG_NOT_THROUGH_ZERO } fg_form;

static inline int64_t fg_sample(const fg_batch *batch, int64_t row) {
    return batch->order ? batch->order[batch->first + row] : batch->first + row;
}

/* Rows of a batch, gathered from the caller's array. */
struct fg_load_rows_args {
    int64_t rows, columns, first_row; /* first_row: where this block starts in the batch */
    const fg_batch *batch;
    void *output; /* [rows][stride] */
    int64_t stride;
    double *sum_of_squares;
};

/* The signal of a block of rows on its way through a layer: what is stored times 2^exponent. */
typedef struct fg_signal_exponents {
    int input, preactivation, output; /* preactivation: the input's, or larger where the bias is larger by far */
} fg_signal_exponents;

struct fg_linear_forward_args {
    int64_t rows, depth; /* rows: at most FG_ROW_BLOCK */
    int vecs, tail;
    fg_activation activation;
    fg_form form;
    fg_signal_exponents exponents;
    int near_zero; /* 1: no |z| of the block reaches fg_near_zero, and the activation goes through zero */
    const void *input; /* [rows][input_stride], the first depth columns are read */
    int64_t input_stride;
    const void *weights; /* [depth][vecs * lanes] */
    const void *bias;    /* [vecs * lanes], or NULL */
    void *output;        /* [rows][output_stride]: f(input @ weights + bias) */
    void *derivative;         /* [rows][output_stride]: f'; NULL where it is not wanted */
    int64_t output_stride;
    double saturation; /* an |f'| below it counts as saturated; 0 where that is not counted */
    double *sums; /* [FG_FORWARD_SUMS], of what is stored */
    void *column_derivatives; /* [vecs * lanes]: of each column the sum of |f'|; not touched unless measured */
    int measured; /* 0: of the sums only FG_SUM_OUTPUT_SQUARED is wanted, and with `derivative` FG_SUM_ABS_DERIVATIVE */
    fg_prefetch *prefetch; /* never NULL */
};
enum {
    FG_SUM_OUTPUT,
    FG_SUM_OUTPUT_SQUARED,
    FG_SUM_PREACTIVATION_SQUARED,
    FG_SUM_ABS_DERIVATIVE,
    FG_SUM_SATURATED, /* how many derivatives are below `saturation` */
    FG_FORWARD_SUMS
};

/* How f' of a layer reaches its delta: derivative holds it where derivative_stored is 1; else it is 1 where the output
 * is positive and derivative_below elsewhere. */
struct fg_derivative {
    const void *output; /* [rows][stride] */
    const void *derivative; /* [rows][stride] */
    void *delta; /* [rows][stride], where it goes: `derivative` or another place */
    int64_t stride;
    int derivative_stored;
    double derivative_below;
    double scale; /* a power of two that f', or what it is multiplied with, is multiplied by */
};

struct fg_linear_backward_data_args {
    int64_t rows, depth; /* rows: at most FG_ROW_BLOCK */
    int vecs;
    const void *delta; /* [rows][delta_stride], the first depth columns are read */
    int64_t delta_stride;
    const void *weights; /* [depth][vecs * lanes]: a panel of the transposed weights */
    struct fg_derivative below; /* of the layer below, whose delta this computes */
    double *sums; /* [FG_BACKWARD_SUMS] */
    int measured; /* 0: only FG_SUM_DELTA_SQUARED is wanted, the other is not touched */
    fg_prefetch *prefetch; /* never NULL */
};
enum {
    FG_SUM_DELTA_SQUARED,
    FG_SUM_OUTPUT_GRADIENT_SQUARED, /* of the delta before f' and its scale are multiplied in */
    FG_BACKWARD_SUMS
};

/* What an optimizer does to one element in this step; optim.c derives it. */
struct fg_update {
    fg_optimizer_kind kind;
    double lr, l2, decay; /* decay: lr times decoupled weight decay */
    double momentum, gain; /* buffer = momentum * buffer + gain * gradient */
    double gradient_part, buffer_part; /* Nesterov: direction = gradient_part * gradient + buffer_part * buffer */
    double beta1, beta2, eps; /* moving averages */
    double step_size; /* Adam's lr / (1 - beta1^t) */
    double root_scale; /* times the root that is kept, it is that of v: sqrt(1 - beta2); Adam's corrects the bias too */
};
enum { FG_MAX_STATES = 3 };

/* dW of a unit, and where there is an update, what apply_gradient does with it, before it leaves the cache. */
struct fg_linear_backward_weights_args {
    int64_t rows, depth; /* rows of W (units of the layer below), at most FG_WEIGHT_BLOCK; depth is the batch, which
                          * may be of any length: see batch_sums.inc.h */
    int vecs;
    const void *input; /* [depth][input_stride], the first `rows` columns are read */
    int64_t input_stride; /* of a bias 0 or 1: one number is the input of all samples, or each has its own */
    const void *delta; /* [depth][delta_stride], one panel */
    int64_t delta_stride;
    void *weights; /* [rows][vecs * lanes], updated in place; may be NULL without an update: then they have no norm */
    void *states[FG_MAX_STATES]; /* like weights */
    void *gradient; /* like weights, or NULL: stored before the exponent, the limit and the update */
    int exponent; /* the true gradient is input^T @ delta times 2^exponent */
    double limit; /* as of fg_apply_gradient_args; 0: none */
    const struct fg_update *update; /* NULL: the weights stay */
    double *sums; /* [FG_UPDATE_SUMS]; without an update the norm of the update is 0 */
    int measured; /* 0: what is known of the gradient is not wanted */
    fg_prefetch *prefetch; /* never NULL */
};

/* A gradient that linear_backward_weights has stored meets the optimizer. With neither factors nor a limit the weights,
 * the states and the sums become, to the bit, what they are where linear_backward_weights updates them itself. */
struct fg_apply_gradient_args {
    int64_t rows; /* at most FG_WEIGHT_BLOCK */
    int vecs;
    const void *gradient; /* [rows][vecs * lanes], packed as W is */
    int exponent; /* the true gradient is what stands there, times a factor, times 2^exponent */
    double factor; /* of all entries; a normal number of the dtype or 0: what lies beyond belongs to the exponent */
    const void *column_factors; /* [vecs * lanes]: one for each column instead of `factor`; or NULL */
    double limit; /* entries of the true gradient are held within +-limit, infinite ones too; NaN stays; 0: no limit */
    void *weights; /* [rows][vecs * lanes], updated in place */
    void *states[FG_MAX_STATES]; /* like weights */
    const struct fg_update *update; /* never NULL */
    int trial; /* 1: store neither weights nor states, and of the sums FG_SUM_NOT_FINITE alone */
    double *sums; /* [FG_UPDATE_SUMS]; those of the gradient before any clipping are not touched */
    int measured; /* 0: FG_NORM_OF_CLIPPED is not wanted */
};
enum {
    FG_NORM_OF_GRADIENT, /* this and the next: before exponent, factors and limit */
    FG_LARGEST_GRADIENT,
    FG_NORM_OF_WEIGHT, /* before the update */
    FG_NORM_OF_UPDATE,
    FG_NORM_OF_CLIPPED, /* of the true gradient after factors and limit; not touched where there is no limit. Entries
                         * too small for the dtype count as 0, as they do for the optimizer */
    FG_SUM_NOT_FINITE, /* of a trial: 0 where every new weight and state is finite, else NaN; 0 without a trial */
    FG_UPDATE_SUMS
};

/* The Euclidean norm of each column of a unit. A column's squares are added in float64, one row after another whatever
 * the vectors' width: the same bits from all that multiply and add at once. What is too small or too large for a square
 * in float64 is added apart, see norm.h. */
struct fg_column_norms_args {
    int64_t rows;
    int vecs;
    const void *x; /* [rows][vecs * lanes] */
    double *norms; /* [vecs * lanes] */
};

/* Rows [first, first + rows) of W, from a plain matrix into a layer's panels and back. What the panels have beyond the
 * true columns is not touched: it is zero from the network's creation on. */
struct fg_pack_args {
    int64_t depth, columns; /* rows per panel as stored; true columns of W */
    int64_t first, rows;
    const void *plain; /* [rows][columns] */
    void *packed; /* all of the layer's panels */
};
struct fg_unpack_args {
    int64_t depth, columns;
    int64_t first, rows;
    const void *packed;
    void *plain;
};

/* A panel of the transpose of a layer's weights: out[n][k - first_row] = W[k][n]. */
struct fg_transpose_panel_args {
    const void *weights; /* all of the layer's panels */
    int64_t depth, columns; /* rows per panel as stored; true columns of W */
    int64_t first_row, rows; /* the rows wanted; columns of `out` past them come out zero */
    int vecs;
    void *out; /* [columns rounded up to lanes][vecs * lanes] */
};

/* Rows multiplied by 2^exponent, in place. Columns may be any number. */
struct fg_scale_rows_args {
    int64_t rows, columns;
    void *x; /* [rows][stride] */
    int64_t stride;
    int exponent;
};

/* Of each row the size (see range.h) of its largest magnitude; a NaN is as large as an infinity. */
struct fg_row_sizes_args {
    int64_t rows, columns;
    const void *x; /* [rows][stride] */
    int64_t stride;
    int *sizes; /* [rows] */
};

/* The sum of squares of a block, in double: one chain of additions, row by row, whatever the instruction set. */
struct fg_sum_of_squares_args {
    int64_t rows, columns;
    const void *x; /* [rows][stride] */
    int64_t stride;
    double *sum;
};

/* Which columns have something other than 0, be it NaN, in a table of numbers that are not negative. */
struct fg_alive_columns_args {
    int64_t rows, columns;
    const void *x; /* [rows][stride] */
    int64_t stride;
    int32_t *alive; /* [columns] */
};

/* Value and gradient of a loss in one pass; the gradient is multiplied by f' of the output layer on the way out. */
struct fg_loss_args {
    fg_loss kind;
    int64_t rows, columns, first_row; /* first_row: where this block starts in the batch */
    const fg_batch *batch;
    double scale; /* of value and gradient: one over the number of terms in the mean */
    struct fg_derivative output;
    int shift; /* outputs meet the targets as what is stored times 2^shift, */
    int exponent; /* of which the true ones are 2^exponent as large */
    void *scratch; /* [columns rounded up to lanes] */
    double *sums; /* [FG_BACKWARD_SUMS] */
    double *value; /* times 2^(degree exponent), the gradient times 2^((degree - 1) exponent): see losses.def */
};

struct fg_unary_args {
    fg_unary function;
    int64_t n;
    const void *x;
    void *y;
};

struct fg_activation_args {
    fg_activation function;
    int64_t n;
    const void *z;
    void *a, *derivative;
};

struct fg_fill_args {
    int64_t n;
    double value;
    void *x;
};

/* The Euclidean norm, in double, of numbers of any size: see norm.h. */
struct fg_norm_args {
    int64_t n;
    const void *x;
    double *norm;
};

/* `count` rounds of independent multiply-adds on every accumulator: the machine's measured peak. */
struct fg_fma_chain_args {
    int64_t count;
    double *flops; /* how many that were */
};

/* A table may leave out kernels, which are then those of the table that it is based on. `lanes` and `panel_vecs` are
 * how it packs: 0 for as that one does. A table that packs in another way brings every FG_PACKED_KERNEL; the others
 * know rows, which are whole cache lines whatever the lanes. */
typedef struct fg_kernels {
    fg_isa isa;
    fg_dtype dtype;
    int lanes, panel_vecs;
#define FG_KERNEL(name) void (*name)(const struct fg_##name##_args *);
#include "kernels.def"
#undef FG_KERNEL
} fg_kernels;

const fg_kernels *fg_find_kernels(fg_isa, fg_dtype); /* complete */

/* Fills in what a table leaves out. 0: it cannot be, as the table packs in another way than its base and lacks a kernel
 * that knows how. */
int fg_complete_kernels(fg_kernels *out, const fg_kernels *table, const fg_kernels *base);
#endif
