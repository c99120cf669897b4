/* Gradients of weights on their way into the weights: produced, settled, applied. Where nothing has to be waited for all
 * is one pass over each tile and no gradient is ever stored. */
#ifndef FG_GRADIENTS_H
#define FG_GRADIENTS_H
#include "pass.h"
#include "sharing.h"

/* The store has what a step with such a clip asks of it, or it is taken: then what it held is lost. On failure there is
 * none. */
int fg_store_suffices(const fg_plan *, fg_clip_kind);
fg_status fg_store_take(fg_plan *, fg_clip_kind);
void fg_store_free(fg_plan *);

/* A thread's part of each, gradients.c. */
void fg_produce_and_apply(const fg_pass *, fg_member);
void fg_produce(const fg_pass *, fg_member);
void fg_apply(const fg_pass *, int trial, fg_member);

/* What a clip makes of the gradients that have been produced, settle.c. All threads call it; a barrier comes before and
 * after. */
void fg_settle(const fg_pass *, fg_member);
double fg_clip_norm(const fg_plan *); /* that a clip by the global norm has compared */

/* Whether a step may be applied, verdict.c: as its gradients are computed; once a trial has seen all updates. */
fg_verdict fg_judge_step(const fg_plan *, fg_training *, double loss);
fg_verdict fg_judge_trial(const fg_plan *);
/* Once the step has been applied. */
void fg_remember_step(fg_network *, const fg_plan *, fg_training *);

/* Whether gradients have to wait, to be clipped. */
int fg_clip_waits(fg_clip_kind);
#endif
