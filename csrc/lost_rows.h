/* Rows that their block may have lost, as the drivers see them. */
#ifndef FG_LOST_ROWS_H
#define FG_LOST_ROWS_H
#include "plan.h"

/* Marks the rows of a block in plan->lost that are far below the largest at this level, or all where one is not finite.
 * Level 0 comes first, before its block has been moved. */
void fg_notice_lost_rows(fg_plan *, int level, int64_t block);
#endif
