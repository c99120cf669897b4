/* Rows that their block may have lost: the exponent of a block's signal follows the block's norm, so that a row far below
 * it may flush on its way though alone it would not. Who has to decide on each row looks for them, and lets those pass
 * once more, alone. Nothing is mended here. */
#include "lost_rows.h"
#include "range.h"
#include <string.h>

/* The exponent field of the largest of n magnitudes, which compare as integers: 0 where all are 0 or subnormal. */
#define DEFINE_LARGEST(bits, mantissa)                                                                                 \
    static int largest_##bits(int64_t n, const void *x) {                                                              \
        uint##bits##_t largest = 0;                                                                                    \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            uint##bits##_t magnitude;                                                                                  \
            memcpy(&magnitude, (const char *)x + i * (int64_t)sizeof magnitude, sizeof magnitude);                     \
            magnitude <<= 1;                                                                                           \
            largest = magnitude > largest ? magnitude : largest;                                                       \
        }                                                                                                              \
        return (int)(largest >> (mantissa + 1));                                                                       \
    }
DEFINE_LARGEST(32, 23)
DEFINE_LARGEST(64, 52)

/* A row of zeros among the inputs has nothing to lose. */
void fg_notice_lost_rows(fg_plan *plan, int l, int64_t block) {
    enum { FAR_BELOW = 32 };
    const fg_dtype dtype = plan->net->kernels->dtype;
    const int not_finite = fg_ranges[dtype].not_finite;
    const fg_level *const level = &plan->level[l];
    const int64_t first = block * FG_ROW_BLOCK, rows = fg_rows_in_block(plan, block);
    int size[FG_ROW_BLOCK], largest = 0;
    for (int64_t r = 0; r < rows; r++) {
        const void *row = fg_element(plan, level, level->activation, first + r, 0);
        size[r] = dtype == FG_F32 ? largest_32(level->columns, row) : largest_64(level->columns, row);
        largest = size[r] > largest ? size[r] : largest;
    }
    for (int64_t r = 0; r < rows; r++) {
        const int has_something = l > 0 || size[r] > 0;
        const int lost = largest == not_finite || (has_something && size[r] + FAR_BELOW < largest);
        plan->lost[first + r] = lost || (l > 0 && plan->lost[first + r]);
    }
}
