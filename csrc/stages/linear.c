/* The linear layer with what the epilogues of its products do: bias, activation and sums forward, f' and sums backward.
 * A thread's share is cut into units of work, each handed to a kernel. Gradients of weights are made in gradients.c. */
#include "exponents/exponents.h"
#include "lost_rows.h"
#include "prefetch_rows.h"
#include "stage.h"
#include <math.h>

static void carve(fg_plan *plan, int l, fg_arena *arena) {
    const size_t size = plan->net->element_size;
    fg_level *level = &plan->level[l];
    if (plan->memory == FG_KEEPS_OUTPUTS)
        return;
    level->activation = fg_arena_take(arena, fg_count(plan->capacity, level->stride), size);
    level->delta = level->derivative = fg_arena_take(arena, fg_count(plan->capacity, level->stride), size);
    level->column_derivatives = fg_arena_take(arena, fg_count(plan->blocks, level->stride), size);
    level->bias_inputs = fg_arena_take(arena, (size_t)plan->capacity, size);
}

/* While a panel is computed: the next panel, or the next layer's first with the rows that it will write. */
static fg_prefetch next_of_forward(const fg_plan *plan, int l, int64_t next_panel_element, fg_share share) {
    fg_prefetch next = {0};
    if (next_panel_element < (int64_t)plan->net->layer[l].parameters)
        fg_prefetch_weights(plan, &next, l, next_panel_element);
    else if (l + 1 < plan->net->layers) {
        fg_prefetch_weights(plan, &next, l + 1, 0);
        fg_prefetch_rows(plan, &next, l + 2, plan->level[l + 2].activation, share);
    }
    return next;
}

static fg_prefetch next_of_backward(const fg_plan *plan, int level, fg_share share) {
    fg_prefetch next = {0};
    if (level > 0) {
        fg_prefetch_weights(plan, &next, level - 1, 0);
        fg_prefetch_rows(plan, &next, level - 1, plan->level[level - 1].activation, share);
        fg_prefetch_rows(plan, &next, level - 1, plan->level[level - 1].delta, share);
    }
    return next;
}

/* Blocks whose exponents are looked up at once. */
enum { BLOCKS_OF_A_PART = 64 };

/* Takes the next blocks from what is left of a share. */
static int take_part(fg_share *left, fg_share *part) {
    *part = *left;
    part->blocks = left->blocks < BLOCKS_OF_A_PART ? left->blocks : BLOCKS_OF_A_PART;
    left->first_block += part->blocks;
    left->blocks -= part->blocks;
    return part->blocks > 0;
}

/* z is measured as the product leaves it, or as the outputs are stored where the activation commutes with a power of
 * two. */
static void keep_exponents(fg_plan *plan, int l, fg_share share, const fg_signal_move *moves) {
    const int homogeneous = plan->net->layer[l].form == FG_HOMOGENEOUS;
    fg_level *const above = &plan->level[l + 1];
    for (int64_t b = 0; b < share.blocks; b++) {
        const fg_signal_exponents e = moves[b].exponents;
        above->preactivation_exponents[share.first_block + b] =
            homogeneous || moves[b].near_zero ? e.output : e.preactivation;
        above->signal_exponents[share.first_block + b] = e.output;
    }
}

/* Here only blocks that have moved are searched: what is lost in others shows in the inputs or the outputs, which are
 * searched in any case. */
static void notice_lost_rows(fg_plan *plan, int l, fg_share share) {
    for (int64_t b = share.first_block; b < share.first_block + share.blocks; b++)
        if (l > 0 && plan->level[l].signal_exponents[b] != 0)
            fg_notice_lost_rows(plan, l, b);
}

/* The blocks of a part through the panel that args describe. */
static void forward_panel(fg_plan *plan, int l, fg_share part, int64_t panel, int64_t column,
                          const fg_signal_move *moves, struct fg_linear_forward_args *args) {
    const fg_level *const below = &plan->level[l], *const above = &plan->level[l + 1];
    const int keep_derivative = above->derivative && plan->net->layer[l].derivative_stored;
    for (int64_t b = part.first_block; b < part.first_block + part.blocks; b++) {
        const int64_t row = b * FG_ROW_BLOCK;
        args->exponents = moves[b - part.first_block].exponents;
        args->near_zero = moves[b - part.first_block].near_zero;
        args->rows = fg_rows_in_block(plan, b);
        args->input = fg_element(plan, below, below->activation, row, 0);
        args->output = fg_element(plan, above, above->activation, row, column);
        args->column_derivatives = plan->measured ? fg_column_derivatives(plan, l + 1, b, column) : NULL;
        args->derivative = keep_derivative ? fg_element(plan, above, above->derivative, row, column) : NULL;
        args->sums = fg_forward_sums(plan, above, panel, b);
        plan->net->kernels->linear_forward(args);
    }
}

static void forward_part(fg_plan *plan, int l, fg_share share) {
    const fg_network *net = plan->net;
    const fg_kernels *kernels = net->kernels;
    const fg_layer *layer = &net->layer[l];
    struct fg_linear_forward_args args = {.depth = layer->fan_in,
                                          .activation = layer->activation,
                                          .form = layer->form,
                                          .saturation = layer->saturation,
                                          .measured = plan->measured,
                                          .input_stride = plan->level[l].stride,
                                          .output_stride = plan->level[l + 1].stride};
    fg_signal_move moves[BLOCKS_OF_A_PART];
    fg_prefetch next;
    fg_signal_moves(plan, l, share, moves);
    if (share.first_panel == 0)
        keep_exponents(plan, l, share, moves);
    if (share.first_panel == 0 && plan->seeks_lost)
        notice_lost_rows(plan, l, share);
    for (int64_t p = share.first_panel; p < share.first_panel + share.panels; p++) {
        const int64_t start = fg_panel_start(layer->vecs, p, kernels->panel_vecs), column = start * kernels->lanes;
        args.vecs = fg_panel_vecs(layer->vecs, start, kernels->panel_vecs);
        args.tail = (int)(p + 1 < layer->panels ? kernels->lanes : layer->fan_out - (layer->vecs - 1) * kernels->lanes);
        args.weights = fg_at(net, layer->weights, column * layer->depth);
        args.bias = net->has_bias ? fg_at(net, args.weights, layer->fan_in * args.vecs * kernels->lanes) : NULL;
        next = next_of_forward(plan, l, (column + (int64_t)args.vecs * kernels->lanes) * layer->depth, share);
        args.prefetch = &next;
        forward_panel(plan, l, share, p, column, moves, &args);
    }
}

static void forward(const fg_pass *p, int level, fg_share share, void *scratch) {
    (void)scratch;
    for (fg_share part; take_part(&share, &part);)
        forward_part(p->plan, level - 1, part);
}

/* The blocks of a part through the transposed panel that args describe. */
static void backward_panel(fg_plan *plan, int level, fg_share part, int64_t panel, int64_t column, const int *moves,
                           struct fg_linear_backward_data_args *args) {
    const fg_level *const below = &plan->level[level], *const above = &plan->level[level + 1];
    for (int64_t b = part.first_block; b < part.first_block + part.blocks; b++) {
        const int64_t row = b * FG_ROW_BLOCK;
        args->rows = fg_rows_in_block(plan, b);
        args->delta = fg_element(plan, above, above->delta, row, 0);
        args->below = fg_derivative_of(plan, level, row, column);
        args->below.scale = ldexp(1.0, moves[b - part.first_block]);
        args->sums = fg_backward_sums(plan, below, panel, b);
        plan->net->kernels->linear_backward_data(args);
    }
}

static void backward_part(fg_plan *plan, int level, fg_share share, void *scratch) {
    const fg_network *net = plan->net;
    const fg_kernels *kernels = net->kernels;
    const fg_layer *layer = &net->layer[level];
    const int64_t vecs = fg_vecs(layer->fan_in, kernels->lanes);
    struct fg_transpose_panel_args transpose = {
        .weights = layer->weights, .depth = layer->depth, .columns = layer->fan_out, .out = scratch};
    fg_prefetch next = next_of_backward(plan, level, share);
    struct fg_linear_backward_data_args args = {.depth = layer->fan_out,
                                                .delta_stride = plan->level[level + 1].stride,
                                                .weights = scratch,
                                                .measured = plan->measured,
                                                .prefetch = &next};
    int moves[BLOCKS_OF_A_PART];
    fg_delta_moves(plan, level, share, moves);
    for (int64_t b = 0; share.first_panel == 0 && b < share.blocks; b++)
        plan->level[level].delta_exponents[share.first_block + b] =
            plan->level[level + 1].delta_exponents[share.first_block + b] - moves[b];
    for (int64_t p = share.first_panel; p < share.first_panel + share.panels; p++) {
        const int64_t start = fg_panel_start(vecs, p, kernels->panel_vecs), column = start * kernels->lanes;
        args.vecs = transpose.vecs = fg_panel_vecs(vecs, start, kernels->panel_vecs);
        transpose.first_row = column;
        transpose.rows = layer->fan_in - column;
        kernels->transpose_panel(&transpose);
        backward_panel(plan, level, share, p, column, moves, &args);
    }
}

/* Deltas of the level below, through the weights between. */
static void backward(const fg_pass *p, int level, fg_share share, void *scratch) {
    for (fg_share part; take_part(&share, &part);)
        backward_part(p->plan, level - 1, part, scratch);
}

const fg_stage fg_linear_stage = {.reach = FG_TILE, .carve = carve, .forward = forward, .backward = backward};
