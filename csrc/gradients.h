/* Gradients of weights on their way into the weights: produced and applied. Where nothing has to be waited for, all is
 * one pass over each tile and no gradient is ever stored. Each function is a thread's part of it. */
#ifndef FG_GRADIENTS_H
#define FG_GRADIENTS_H
#include "pass.h"
#include "sharing.h"

void fg_produce_and_apply(const fg_pass *, fg_member);
void fg_produce(const fg_pass *, fg_member);
/* A trial looks whether new weights and states are finite, and stores none. */
void fg_apply(const fg_pass *, int trial, fg_member);
#endif
