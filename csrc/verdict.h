/* Whether a step may be applied. */
#ifndef FG_VERDICT_H
#define FG_VERDICT_H
#include "pass.h"

fg_verdict fg_judge_step(const fg_plan *, fg_training *, double loss); /* by norms, before there is a gradient */
fg_verdict fg_judge_trial(const fg_plan *);                            /* by a trial of all updates */
/* Once the step has been applied. */
void fg_remember_step(fg_network *, const fg_plan *, fg_training *);
#endif
