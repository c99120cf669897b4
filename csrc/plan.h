/* A plan's workspace and schedule, as the drivers see them. Nothing of it is allocated in a pass. */
#ifndef FG_PLAN_H
#define FG_PLAN_H
#include "layout.h"
#include "level.h"
#include "network.h"
#include "store.h"

/* Which way a pass is shared among threads. The choice never changes a bit of the result. */
typedef enum {
    FG_BATCH_SLICED,      /* each thread takes its rows through all layers: two barriers a step */
    FG_LAYER_SYNCHRONOUS, /* all threads share each layer: a barrier a layer each way */
} fg_schedule;

/* A unit of backward-weights work: rows [first, first + rows) of one panel of one layer's W. */
typedef struct fg_weight_unit {
    int layer, vecs;
    int64_t column, first, rows;
    double cost_before; /* of all units before this one */
    double *sums;       /* [FG_UPDATE_SUMS] */
} fg_weight_unit;

typedef struct fg_counter fg_counter;

struct fg_plan {
    fg_network *net;
    fg_plan_memory memory;
    int64_t capacity, blocks; /* rows, and row blocks of that many rows */
    fg_schedule schedule;
    double flops_per_row; /* of a whole step */
    fg_level *level;      /* [layers + 1] */

    double *losses;      /* [blocks], each times 2^loss_exponents */
    int *loss_exponents; /* [blocks] */

    int64_t units;
    fg_weight_unit *unit; /* [units], layer by layer */
    int64_t *first_unit;  /* [layers + 1] */
    fg_store store;

    int threads;
    void **scratch;       /* [threads]: a transposed panel */
    int counters;         /* see sharing.h */
    fg_counter *counter;  /* [counters] */
    unsigned char *lost;  /* [capacity]: rows that their block may have lost, lost_rows.c */
    fg_arena arena;

    /* Of the last pass. */
    int64_t rows;
    int measured;            /* whether it feeds statistics beyond the norms that the verdict needs */
    int seeks_lost;          /* whether it looks for rows that their block may have lost */
    int has_common;          /* whether the blocks have come to their common exponents */
    double loss;             /* of the batch, times 2^loss_exponent */
    int loss_exponent;
};

/* A share of a level's work: neighbouring blocks of rows by neighbouring panels of columns. */
typedef struct fg_share {
    int64_t first_block, blocks, first_panel, panels;
} fg_share;

static inline int64_t fg_blocks(const fg_plan *plan) { return fg_ceil_div(plan->rows, FG_ROW_BLOCK); }

static inline int64_t fg_rows_in_block(const fg_plan *plan, int64_t block) {
    const int64_t left = plan->rows - block * FG_ROW_BLOCK;
    return left < FG_ROW_BLOCK ? left : FG_ROW_BLOCK;
}

static inline const fg_layer *fg_layer_of(const fg_plan *plan, int l) { return &plan->net->layer[l]; }

/* An element of a level's [capacity][stride] matrix. */
static inline void *fg_element(const fg_plan *plan, const fg_level *level, void *matrix, int64_t row, int64_t column) {
    return fg_at(plan->net, matrix, row * level->stride + column);
}

/* The sums of one panel of a row block: [FG_FORWARD_SUMS] and [FG_BACKWARD_SUMS]. */
static inline double *fg_forward_sums(const fg_plan *plan, const fg_level *level, int64_t panel, int64_t block) {
    return level->forward_sums + (panel * plan->blocks + block) * FG_FORWARD_SUMS;
}
static inline double *fg_backward_sums(const fg_plan *plan, const fg_level *level, int64_t panel, int64_t block) {
    return level->backward_sums + (panel * plan->blocks + block) * FG_BACKWARD_SUMS;
}

/* Where the sums of |f'| of a block of a level lie, from `column` on. */
static inline void *fg_column_derivatives(const fg_plan *plan, int l, int64_t block, int64_t column) {
    const fg_level *const level = &plan->level[l];
    return fg_at(plan->net, level->column_derivatives, block * level->stride + column);
}

/* f' of a level from an element on, as a kernel meets it on the way to the delta there. The input has no activation: its
 * derivative is 1. */
static inline struct fg_derivative fg_derivative_of(const fg_plan *plan, int l, int64_t row, int64_t column) {
    const fg_level *const level = &plan->level[l];
    struct fg_derivative d = {.output = fg_element(plan, level, level->activation, row, column),
                              .derivative = fg_element(plan, level, level->derivative, row, column),
                              .delta = fg_element(plan, level, level->delta, row, column),
                              .stride = level->stride,
                              .derivative_below = 1.0,
                              .scale = 1.0};
    if (l > 0) {
        d.derivative_stored = fg_layer_of(plan, l - 1)->derivative_stored;
        d.derivative_below = fg_layer_of(plan, l - 1)->derivative_below;
    }
    return d;
}
#endif
