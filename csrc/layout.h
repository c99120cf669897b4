/* Where things lie: rows of activations and panels of packed parameters. Sizes depend on shapes alone. */
#ifndef FG_LAYOUT_H
#define FG_LAYOUT_H
#include <stdint.h>

enum { FG_CACHE_LINE = 64 };

/* Rows a unit of forward or backward-data work covers, and rows of W a unit of backward-weights covers. Every partial
 * sum belongs to one unit, so the sums do not depend on which thread does which unit. */
enum { FG_ROW_BLOCK = 16, FG_WEIGHT_BLOCK = 48 };

/* A batch of up to FG_SINGLE_CHAIN_ROWS rows is one chain of multiply-adds; a longer one is chains of FG_CHAIN_ROWS,
 * counted from its first row, so that sums over the batch depend neither on the instruction set nor on how the work is
 * shared. */
enum { FG_SINGLE_CHAIN_ROWS = 512, FG_CHAIN_ROWS = 256 };

static inline int64_t fg_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Elements from one row of activations to the next: whole cache lines, and an odd number of them where a panel is only
 * a part of the row, or the panel's rows would share a few cache sets. */
static inline int64_t fg_row_stride(int64_t columns, int64_t element_size) {
    enum { LINES_OF_A_PANEL = 4 };
    const int64_t lines = fg_ceil_div(columns * element_size, FG_CACHE_LINE);
    return (lines > LINES_OF_A_PANEL ? lines | 1 : lines) * FG_CACHE_LINE / element_size;
}

static inline int64_t fg_vecs(int64_t columns, int lanes) { return fg_ceil_div(columns, lanes); }

/* Vectors in the panel that starts at `first` of `total`. A lone vector makes a poor tile: where one would remain, the
 * last two panels share. */
static inline int fg_panel_vecs(int64_t total, int64_t first, int panel_vecs) {
    const int64_t left = total - first;
    if (left == panel_vecs + 1 && panel_vecs > 2)
        return panel_vecs - 1;
    return (int)(left < panel_vecs ? left : panel_vecs);
}

static inline int64_t fg_panels(int64_t total, int panel_vecs) { return fg_ceil_div(total, panel_vecs); }

/* First vector of panel `index`. */
static inline int64_t fg_panel_start(int64_t total, int64_t index, int panel_vecs) {
    const int64_t start = index * panel_vecs;
    return index > 0 && start == total - 1 && panel_vecs > 2 ? start - 1 : start;
}
#endif
