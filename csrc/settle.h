/* What a clip makes of gradients that have been produced, before they are applied. */
#ifndef FG_SETTLE_H
#define FG_SETTLE_H
#include "pass.h"
#include "sharing.h"

/* A thread's part of it; all threads call it, and a barrier comes before and after. */
void fg_settle(const fg_pass *, fg_member);
double fg_clip_norm(const fg_plan *); /* that a clip by the global norm has compared */
#endif
