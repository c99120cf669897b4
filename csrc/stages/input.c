/* The input: rows of a batch, gathered from where the caller keeps them; blocks far from 1 are brought near it. */
#include "exponents/exponents.h"
#include "lost_rows.h"
#include "stage.h"

static void carve(fg_plan *plan, int l, fg_arena *arena) {
    const size_t element_size = plan->net->element_size;
    fg_level *level = &plan->level[l];
    const size_t elements = fg_count(plan->capacity, level->stride);
    if (plan->memory != FG_KEEPS_OUTPUTS)
        level->activation = fg_arena_take(arena, elements, element_size);
    if (plan->memory == FG_KEEPS_GRADIENTS)
        level->delta = level->derivative = fg_arena_take(arena, elements, element_size);
}

static void load_rows(const fg_pass *p, int l, fg_share share, void *scratch) {
    fg_plan *const plan = p->plan;
    const fg_level *const level = &plan->level[l];
    struct fg_load_rows_args args = {.columns = level->columns, .batch = p->batch, .stride = level->stride};
    (void)scratch;
    for (int64_t b = share.first_block; b < share.first_block + share.blocks; b++) {
        args.first_row = b * FG_ROW_BLOCK;
        args.rows = fg_rows_in_block(plan, b);
        args.output = fg_element(plan, level, level->activation, args.first_row, 0);
        args.sum_of_squares = &fg_forward_sums(plan, level, 0, b)[FG_SUM_OUTPUT_SQUARED];
        plan->net->kernels->load_rows(&args);
        if (plan->seeks_lost)
            fg_notice_lost_rows(plan, l, b);
        fg_center_inputs(plan, b);
    }
}

const fg_stage fg_input_stage = {.reach = FG_ROW, .carve = carve, .forward = load_rows};
