/* Rows that their block may have lost: the exponent of a block's signal follows the block's norm, so that a row far
 * below it may flush on its way though alone it would not. Who has to decide on each row looks for them, and lets
 * those pass once more, alone. Nothing is mended here. */
#include "lost_rows.h"
#include "range.h"

/* A row of zeros among the inputs has nothing to lose. */
void fg_notice_lost_rows(fg_plan *plan, int l, int64_t block) {
    enum { FAR_BELOW = 32 };
    const fg_dtype dtype = plan->net->kernels->dtype;
    const fg_level *const level = &plan->level[l];
    const int64_t first = block * FG_ROW_BLOCK, rows = fg_rows_in_block(plan, block);
    int size[FG_ROW_BLOCK], largest = fg_size_of_zero(dtype);
    const struct fg_row_sizes_args args = {rows, level->columns, fg_element(plan, level, level->activation, first, 0),
                                           level->stride, size};
    plan->net->kernels->row_sizes(&args);
    for (int64_t r = 0; r < rows; r++)
        largest = size[r] > largest ? size[r] : largest;
    for (int64_t r = 0; r < rows; r++) {
        const int has_something = l > 0 || size[r] > fg_size_of_zero(dtype);
        const int lost = largest == fg_size_of_infinity(dtype) || (has_something && size[r] + FAR_BELOW < largest);
        plan->lost[first + r] = lost || (l > 0 && plan->lost[first + r]);
    }
}
