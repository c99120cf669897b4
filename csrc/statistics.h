/* From the units' sums, added in index order, to norms and a row of statistics. */
#ifndef FG_STATISTICS_H
#define FG_STATISTICS_H
#include "training.h"

double fg_delta_square(const fg_plan *, int layer);  /* squared norm of the layer's delta */
double fg_output_square(const fg_plan *, int level); /* and of the activations of a level */

/* training: NULL where the pass had none. */
void fg_collect_statistics(const fg_plan *, fg_training *, double *statistics /* [FG_STATISTICS][layers] */);
#endif
