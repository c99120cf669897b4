/* Gradients of weights on their way into the weights: produced, settled, applied. Where nothing has to be waited for,
 * all is one pass over each tile and no gradient is ever stored. */
#ifndef FG_GRADIENTS_H
#define FG_GRADIENTS_H
#include "pass.h"
#include "sharing.h"

/* Whether the store has all that a step with such a clip needs; if not, it is taken anew, and what it held is lost. On
 * failure there is no store. */
int fg_store_suffices(const fg_plan *, fg_clip_kind);
fg_status fg_store_take(fg_plan *, fg_clip_kind);
void fg_store_free(fg_plan *);

/* A thread's part of each, gradients.c. A trial looks whether new weights and states are finite, and stores none. */
void fg_produce_and_apply(const fg_pass *, fg_member);
void fg_produce(const fg_pass *, fg_member);
void fg_apply(const fg_pass *, int trial, fg_member);

/* What a clip makes of the gradients that have been produced, settle.c. All threads call it; a barrier comes before and
 * after. */
void fg_settle(const fg_pass *, fg_member);
double fg_clip_norm(const fg_plan *); /* that a clip by the global norm has compared */

/* Whether a step may be applied, verdict.c: told by norms before there is a gradient; by a trial of all updates. */
fg_verdict fg_judge_step(const fg_plan *, fg_training *, double loss);
fg_verdict fg_judge_trial(const fg_plan *);
/* Once the step has been applied. */
void fg_remember_step(fg_network *, const fg_plan *, fg_training *);

/* Whether gradients have to wait, to be clipped. */
int fg_clip_waits(fg_clip_kind);
#endif
