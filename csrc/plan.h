/* A plan's workspace and schedule, as the drivers see them. Nothing here is allocated in a step. */
#ifndef FG_PLAN_H
#define FG_PLAN_H
#include "layout.h"
#include "liveness.h"
#include "optim.h"
#include "threading.h"

/* Which way a step is shared among threads. The choice never changes a bit of the result. */
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

/* How the blocks of a layer's inputs and deltas come together, alignment.c. */
typedef struct fg_alignment {
    enum { FG_AS_THEY_ARE, FG_TRUE_VALUES, FG_SCALED_INPUTS } kind;
    int product, bias; /* exponents of what backward-weights gives */
} fg_alignment;

struct fg_plan {
    fg_network *net;
    fg_plan_mode mode;
    int64_t capacity, blocks; /* rows, and row blocks of that many rows */
    fg_schedule schedule;
    double flops_per_row; /* of a whole step */

    /* Level 0 is the input, level l + 1 the output of layer l. */
    void **activations; /* [layers + 1]: each [capacity][stride]; inference keeps two and alternates */
    void **deltas;      /* [layers + 1]: each [capacity][stride], f' until backward replaces it; NULL in inference */
    int64_t *strides;   /* [layers + 1] */
    void **gradients;   /* [layers]: like the weights, in mode FG_GRADIENTS */
    void **scratch;     /* [threads]: a transposed panel */
    int threads;

    void **forward_sums;  /* [layers]: each double [panels][blocks][FG_FORWARD_SUMS] */
    void **column_derivatives; /* [layers]: each [blocks][stride], sums of |f'| over a block's rows */
    void **backward_sums; /* [layers + 1]: each double [panels][blocks][FG_BACKWARD_SUMS], as the blocks are stored */
    int **signal_exponents;        /* [layers + 1]: each [blocks], of the activations as computed; see exponents.c */
    int **preactivation_exponents; /* [layers]: each [blocks] */
    int **delta_exponents;         /* [layers + 1]: each [blocks], of the deltas as computed */
    fg_alignment *alignment; /* [layers] */
    void **bias_inputs;      /* [layers]: each [capacity], what a bias meets where alignment scales the inputs */
    int aligned;             /* whether the blocks have come together */
    double *losses;       /* [blocks], each times 2^loss_exponents */
    int *loss_exponents;  /* [blocks] */
    double loss;          /* of the batch, times 2^loss_exponent */
    int loss_exponent;
    double *input_squares; /* [blocks] */
    int64_t units;
    fg_weight_unit *unit; /* [units], layer by layer */
    int64_t *first_unit;  /* [layers + 1] */
    int counters;         /* one for each level of forward, of backward-data, for a trial and for the update */
    struct fg_counter *counter; /* [counters] */
    int64_t rows;         /* of the last forward pass */
    int seeks_lost;       /* whether this pass looks for rows that their block may have lost; inference only */
    unsigned char *lost;  /* [capacity] */
    int measured;         /* whether this pass feeds statistics beyond the norms that the verdict needs */
    fg_arena arena;
};

/* Rows [first, first + count) in blocks, and panels likewise: a thread's share of a layer. */
typedef struct fg_share {
    int64_t first_block, blocks, first_panel, panels;
} fg_share;

static inline int64_t fg_rows_in_block(const fg_plan *plan, int64_t block) {
    const int64_t left = plan->rows - block * FG_ROW_BLOCK;
    return left < FG_ROW_BLOCK ? left : FG_ROW_BLOCK;
}

static inline const fg_layer *fg_layer_of(const fg_plan *plan, int l) { return &plan->net->layer[l]; }

static inline int64_t fg_level_columns(const fg_plan *plan, int level) {
    return level > 0 ? fg_layer_of(plan, level - 1)->fan_out : fg_layer_of(plan, 0)->fan_in;
}

/* Where the column derivatives of a block of a layer lie, from `column` on. */
static inline void *fg_column_derivatives(const fg_plan *plan, int l, int64_t block, int64_t column) {
    return fg_at(plan->net, plan->column_derivatives[l], block * plan->strides[l + 1] + column);
}

/* The drivers of one layer, linear.c. Levels are numbered as above. */
void fg_load_inputs(fg_plan *, const fg_batch *, fg_share);
void fg_layer_forward(fg_plan *, int layer, fg_share);
void fg_compute_loss(fg_plan *, const fg_batch *, fg_loss, fg_share, void *scratch);
void fg_level_backward_data(fg_plan *, int level, fg_share, void *scratch);
void fg_layer_backward_weights(fg_plan *, const fg_weight_unit *, const struct fg_update *, const fg_optimizer *,
                               int trial, fg_prefetch *);
fg_prefetch fg_backward_weights_prefetch(const fg_plan *, int layer); /* what the layer after this one will touch */

/* Panels of the product that computes a level's deltas. */
int64_t fg_level_panels(const fg_plan *, int level);

/* Whether a step may be applied, verdict.c. */
typedef enum { FG_APPLY, FG_TRY_FIRST, FG_REFUSE } fg_verdict;
fg_verdict fg_judge_step(const fg_plan *, fg_optimizer *, double loss);
fg_verdict fg_judge_trial(const fg_plan *);
void fg_remember_step(const fg_plan *, fg_optimizer *); /* once the step has been applied */

/* The outputs as they are stored and, for each row, the exponent, results.c. */
void fg_get_scaled_outputs(const fg_plan *, void *out /* [rows][sizes[layers]] */, int32_t *exponents /* [rows] */);

/* The share of a layer's units that are dead, liveness.c. Where no liveness is kept: in this pass. */
double fg_dead_share(const fg_plan *, int layer, fg_liveness *);

/* From the units' sums, added in index order, to norms and a row of statistics, statistics.c. */
double fg_delta_square(const fg_plan *, int layer);  /* squared norm of the layer's delta */
double fg_output_square(const fg_plan *, int level); /* and of the activations of a level */
void fg_collect_statistics(const fg_plan *, fg_liveness *, double *statistics /* [FG_STATISTICS][layers] */);
#endif
