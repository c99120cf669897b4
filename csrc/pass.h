/* One pass over a batch: what is asked of it, and what its drivers hand from one to the next. */
#ifndef FG_PASS_H
#define FG_PASS_H
#include "plan.h"
#include "training.h"

/* What becomes of a step's gradients, settle.c. */
typedef enum {
    FG_APPLY,  /* as they are computed: every update is certain to be finite */
    FG_SETTLE, /* they are stored, and looked at before any is applied */
    FG_REFUSE,
} fg_verdict;

typedef enum { FG_OUTPUTS, FG_LOSS_ONLY, FG_ALL_GRADIENTS } fg_extent;

typedef struct fg_pass {
    fg_plan *plan;
    const fg_batch *batch;
    const fg_loss_config *loss; /* NULL where the pass ends with the outputs */
    fg_training *training;      /* NULL: gradients only */
    int forward;                /* 0: that has been done */
    fg_extent extent;
    int measured; /* whether statistics are wanted */
    fg_verdict verdict;
    int doubtful; /* whether updates that have settled may still leave the range */
} fg_pass;
#endif
