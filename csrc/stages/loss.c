/* The loss: the value of each row block and, in the same pass over the outputs, the output layer's delta. */
#include "exponents/exponents.h"
#include "stage.h"
#include <math.h>

static void carve(fg_plan *plan, int l, fg_arena *arena) {
    (void)l;
    if (plan->memory == FG_KEEPS_OUTPUTS)
        return;
    plan->losses = fg_arena_take(arena, (size_t)plan->blocks, sizeof *plan->losses);
    plan->loss_exponents = fg_arena_take(arena, (size_t)plan->blocks, sizeof *plan->loss_exponents);
}

static double scale_of(fg_loss loss, int64_t rows, int64_t columns) {
    static const int per_sample[] = {
#define FG_LOSS(name, per_sample, degree, small_degree, reference) per_sample,
#include "losses.def"
#undef FG_LOSS
    };
    if (per_sample[loss] < 0)
        return 1.0;
    return 1.0 / ((double)rows * (per_sample[loss] ? 1.0 : (double)columns));
}

static void compute_loss(const fg_pass *p, int l, fg_share share, void *scratch) {
    fg_plan *const plan = p->plan;
    const fg_level *const level = &plan->level[l];
    const fg_loss kind = p->loss->kind;
    struct fg_loss_args args = {.kind = kind,
                                .columns = level->columns,
                                .batch = p->batch,
                                .scale = scale_of(kind, plan->rows, level->columns),
                                .scratch = scratch};
    for (int64_t b = share.first_block; b < share.first_block + share.blocks; b++) {
        args.first_row = b * FG_ROW_BLOCK;
        args.rows = fg_rows_in_block(plan, b);
        args.output = fg_derivative_of(plan, l, args.first_row, 0);
        args.value = plan->losses + b;
        args.sums = fg_backward_sums(plan, level, 0, b);
        args.exponent = fg_loss_exponent(plan, p->batch, kind, b);
        args.shift = level->signal_exponents[b] - args.exponent;
        const int move = fg_output_delta_move(plan, b);
        args.output.scale = ldexp(1.0, move);
        plan->net->kernels->loss(&args);
        fg_center_output_deltas(plan, kind, args.exponent, move, b);
    }
}

const fg_stage fg_loss_stage = {.reach = FG_ROW, .carve = carve, .forward = compute_loss, .of_loss = 1};
