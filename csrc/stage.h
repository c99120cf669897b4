/* What a level is made of: a list of stages, in the order in which the signal meets them; backward meets them in the
 * other. A stage says how far it reaches, what memory it needs and what it does; plan.c carves the memory, step.c runs
 * the stages. How exponents pass through a stage is written in exponents/; its sums are its own.
 *
 * A TILE stage is the product of a level, of which there is one, or works in its epilogue: such work has no function
 * here but is an operation that the kernel runs over the tile, see kernels/epilogue.inc.h. To add a stage: a file in
 * stages/, a line in stage.c. */
#ifndef FG_STAGE_H
#define FG_STAGE_H
#include "pass.h"

typedef enum {
    FG_TILE, /* a tile in the first-level cache: shares are panels of row blocks */
    FG_ROW, /* whole rows, after the last panel of their block: shares are rows */
    FG_BATCH, /* rows, by what has to be known of all of them: shares are rows, and a barrier comes before */
} fg_reach;

typedef void fg_stage_function(const fg_pass *, int level, fg_share, void *scratch /* this thread's */);

typedef struct fg_stage {
    fg_reach reach;
    void (*carve)(fg_plan *, int level, fg_arena *); /* NULL: needs none */
    fg_stage_function *forward, *backward;           /* NULL: does nothing */
    int of_loss;                                     /* 1: belongs to passes that have a loss, and to all of these */
} fg_stage;

extern const fg_stage fg_input_stage, fg_linear_stage, fg_loss_stage;

/* The stages of a level, ended by NULL. */
const fg_stage *const *fg_stages_of(const fg_plan *, int level);
#endif
