/* What a pass left behind, beyond what fastgrad.h gives. */
#ifndef FG_RESULTS_H
#define FG_RESULTS_H
#include "plan.h"

/* The outputs as they are stored and, for each row, the exponent. */
void fg_get_scaled_outputs(const fg_plan *, void *out /* [rows][sizes[layers]] */, int32_t *exponents /* [rows] */);
#endif
