/* Adds rows of a level, or parameters of a layer, to what is to be prefetched: see prefetch.h. */
#ifndef FG_PREFETCH_ROWS_H
#define FG_PREFETCH_ROWS_H
#include "plan.h"
#include "prefetch.h"

/* The rows of a level's matrix that a share covers; nothing where there is none. */
static inline void fg_prefetch_rows(const fg_plan *plan, fg_prefetch *next, int l, void *matrix, fg_share share) {
    const fg_level *const level = &plan->level[l];
    const int64_t first = share.first_block * FG_ROW_BLOCK, wanted = first + share.blocks * FG_ROW_BLOCK;
    const int64_t end = wanted < plan->rows ? wanted : plan->rows;
    if (matrix)
        fg_prefetch_want(next, fg_element(plan, level, matrix, first, 0),
                         (end - first) * level->stride * (int64_t)plan->net->element_size);
}

/* A layer's packed parameters from an element on. */
static inline void fg_prefetch_weights(const fg_plan *plan, fg_prefetch *next, int l, int64_t element) {
    const fg_layer *layer = &plan->net->layer[l];
    fg_prefetch_want(next, fg_at(plan->net, layer->weights, element),
                     ((int64_t)layer->parameters - element) * (int64_t)plan->net->element_size);
}
#endif
