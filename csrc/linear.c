/* One layer at a time: cuts a thread's share into units of work and hands each to a kernel. */
#include "exponents.h"
#include "lost_rows.h"
#include <math.h>

static void *row_of(const fg_plan *plan, void *const *levels, int level, int64_t row) {
    return fg_at(plan->net, levels[level], row * plan->strides[level]);
}

void fg_load_inputs(fg_plan *plan, const fg_batch *batch, fg_share share) {
    struct fg_load_rows_args args = {.columns = plan->net->layer[0].fan_in, .batch = batch, .stride = plan->strides[0]};
    for (int64_t b = share.first_block; b < share.first_block + share.blocks; b++) {
        args.first_row = b * FG_ROW_BLOCK;
        args.rows = fg_rows_in_block(plan, b);
        args.output = row_of(plan, plan->activations, 0, args.first_row);
        args.sum_of_squares = plan->input_squares + b;
        plan->net->kernels->load_rows(&args);
        if (plan->seeks_lost)
            fg_notice_lost_rows(plan, 0, b);
        fg_center_inputs(plan, b);
    }
}

/* The rows of a level that a share covers. */
static void want_rows(const fg_plan *plan, fg_prefetch *prefetch, void *const *levels, int level, fg_share share) {
    const int64_t first = share.first_block * FG_ROW_BLOCK, wanted = first + share.blocks * FG_ROW_BLOCK;
    const int64_t end = wanted < plan->rows ? wanted : plan->rows;
    if (levels[level])
        fg_prefetch_want(prefetch, row_of(plan, levels, level, first),
                         (end - first) * plan->strides[level] * (int64_t)plan->net->element_size);
}

static void want_weights(const fg_plan *plan, fg_prefetch *prefetch, int l, int64_t element) {
    const fg_layer *layer = &plan->net->layer[l];
    fg_prefetch_want(prefetch, fg_at(plan->net, layer->weights, element),
                     ((int64_t)layer->parameters - element) * (int64_t)plan->net->element_size);
}

/* While panel p is computed: the next panel, or the next layer's first with the rows that it will write. */
static fg_prefetch forward_prefetch(const fg_plan *plan, int l, int64_t next_panel_element, fg_share share) {
    fg_prefetch prefetch = {0};
    if (next_panel_element < (int64_t)plan->net->layer[l].parameters)
        want_weights(plan, &prefetch, l, next_panel_element);
    else if (l + 1 < plan->net->layers) {
        want_weights(plan, &prefetch, l + 1, 0);
        want_rows(plan, &prefetch, plan->activations, l + 2, share);
    }
    return prefetch;
}

static fg_prefetch backward_data_prefetch(const fg_plan *plan, int level, fg_share share) {
    fg_prefetch prefetch = {0};
    if (level > 0) {
        want_weights(plan, &prefetch, level - 1, 0);
        want_rows(plan, &prefetch, plan->activations, level - 1, share);
        want_rows(plan, &prefetch, plan->deltas, level - 1, share);
    }
    return prefetch;
}

fg_prefetch fg_backward_weights_prefetch(const fg_plan *plan, int l) {
    const fg_share all = {.blocks = fg_ceil_div(plan->rows, FG_ROW_BLOCK)};
    fg_prefetch prefetch = {0};
    if (l + 1 < plan->net->layers) {
        want_weights(plan, &prefetch, l + 1, 0);
        want_rows(plan, &prefetch, plan->activations, l + 1, all);
        want_rows(plan, &prefetch, plan->deltas, l + 2, all);
    }
    return prefetch;
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

/* Where the activation commutes with the exponent, z is measured as the outputs are stored. */
static void keep_exponents(fg_plan *plan, int l, fg_share share, const fg_signal_move *moves) {
    const int homogeneous = plan->net->layer[l].form == FG_HOMOGENEOUS;
    for (int64_t b = 0; b < share.blocks; b++) {
        const fg_signal_exponents e = moves[b].exponents;
        plan->preactivation_exponents[l][share.first_block + b] =
            homogeneous || moves[b].near_zero ? e.output : e.preactivation;
        plan->signal_exponents[l + 1][share.first_block + b] = e.output;
    }
}

/* Where no block has moved, what a row could lose shows in the inputs and the outputs. */
static void notice_lost_rows(fg_plan *plan, int l, fg_share share) {
    for (int64_t b = share.first_block; b < share.first_block + share.blocks; b++)
        if (l > 0 && plan->signal_exponents[l][b] != 0)
            fg_notice_lost_rows(plan, l, b);
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
                                          .input_stride = plan->strides[l],
                                          .output_stride = plan->strides[l + 1]};
    fg_signal_move moves[BLOCKS_OF_A_PART];
    fg_prefetch prefetch;
    const int keep_derivative = plan->mode != FG_INFERENCE && layer->derivative_stored;
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
        prefetch = forward_prefetch(plan, l, (column + (int64_t)args.vecs * kernels->lanes) * layer->depth, share);
        args.prefetch = &prefetch;
        for (int64_t b = share.first_block; b < share.first_block + share.blocks; b++) {
            const int64_t row = b * FG_ROW_BLOCK;
            args.exponents = moves[b - share.first_block].exponents;
            args.near_zero = moves[b - share.first_block].near_zero;
            args.rows = fg_rows_in_block(plan, b);
            args.input = row_of(plan, plan->activations, l, row);
            args.output = fg_at(net, row_of(plan, plan->activations, l + 1, row), column);
            args.column_derivatives = plan->measured ? fg_column_derivatives(plan, l, b, column) : NULL;
            args.derivative = keep_derivative ? fg_at(net, row_of(plan, plan->deltas, l + 1, row), column) : NULL;
            args.sums = (double *)plan->forward_sums[l] + (p * plan->blocks + b) * FG_FORWARD_SUMS;
            kernels->linear_forward(&args);
        }
    }
}

void fg_layer_forward(fg_plan *plan, int l, fg_share share) {
    for (fg_share part; take_part(&share, &part);)
        forward_part(plan, l, part);
}

/* The input has no activation: its derivative is 1. */
static struct fg_derivative derivative_of(const fg_plan *plan, int level, int64_t row, int64_t column) {
    struct fg_derivative d = {.output = fg_at(plan->net, row_of(plan, plan->activations, level, row), column),
                              .derivative = fg_at(plan->net, row_of(plan, plan->deltas, level, row), column),
                              .stride = plan->strides[level],
                              .derivative_below = 1.0,
                              .scale = 1.0};
    if (level > 0) {
        d.derivative_stored = plan->net->layer[level - 1].derivative_stored;
        d.derivative_below = plan->net->layer[level - 1].derivative_below;
    }
    return d;
}

static double loss_scale(fg_loss loss, int64_t rows, int64_t columns) {
    static const int per_sample[] = {
#define FG_LOSS(name, per_sample, degree, small_degree, reference) per_sample,
#include "losses.def"
#undef FG_LOSS
    };
    if (per_sample[loss] < 0)
        return 1.0;
    return 1.0 / ((double)rows * (per_sample[loss] ? 1.0 : (double)columns));
}

void fg_compute_loss(fg_plan *plan, const fg_batch *batch, fg_loss loss, fg_share share, void *scratch) {
    const fg_network *net = plan->net;
    const int64_t columns = net->layer[net->layers - 1].fan_out;
    struct fg_loss_args args = {.kind = loss,
                                .columns = columns,
                                .batch = batch,
                                .scale = loss_scale(loss, plan->rows, columns),
                                .scratch = scratch};
    for (int64_t b = share.first_block; b < share.first_block + share.blocks; b++) {
        args.first_row = b * FG_ROW_BLOCK;
        args.rows = fg_rows_in_block(plan, b);
        args.output = derivative_of(plan, net->layers, args.first_row, 0);
        args.value = plan->losses + b;
        args.sums = (double *)plan->backward_sums[net->layers] + b * FG_BACKWARD_SUMS;
        args.exponent = fg_loss_exponent(plan, batch, loss, b);
        args.shift = plan->signal_exponents[net->layers][b] - args.exponent;
        const int move = fg_output_delta_move(plan, b);
        args.output.scale = ldexp(1.0, move);
        net->kernels->loss(&args);
        fg_center_output_deltas(plan, loss, args.exponent, move, b);
    }
}

static void backward_data_part(fg_plan *plan, int level, fg_share share, void *scratch) {
    const fg_network *net = plan->net;
    const fg_kernels *kernels = net->kernels;
    const fg_layer *layer = &net->layer[level];
    const int64_t vecs = fg_vecs(layer->fan_in, kernels->lanes);
    struct fg_transpose_panel_args transpose = {
        .weights = layer->weights, .depth = layer->depth, .columns = layer->fan_out, .out = scratch};
    fg_prefetch prefetch = backward_data_prefetch(plan, level, share);
    struct fg_linear_backward_data_args args = {.depth = layer->fan_out,
                                                .delta_stride = plan->strides[level + 1],
                                                .weights = scratch,
                                                .measured = plan->measured,
                                                .prefetch = &prefetch};
    int moves[BLOCKS_OF_A_PART];
    fg_delta_moves(plan, level, share, moves);
    for (int64_t b = 0; share.first_panel == 0 && b < share.blocks; b++)
        plan->delta_exponents[level][share.first_block + b] =
            plan->delta_exponents[level + 1][share.first_block + b] - moves[b];
    for (int64_t p = share.first_panel; p < share.first_panel + share.panels; p++) {
        const int64_t start = fg_panel_start(vecs, p, kernels->panel_vecs), column = start * kernels->lanes;
        args.vecs = transpose.vecs = fg_panel_vecs(vecs, start, kernels->panel_vecs);
        transpose.first_row = column;
        transpose.rows = layer->fan_in - column;
        kernels->transpose_panel(&transpose);
        for (int64_t b = share.first_block; b < share.first_block + share.blocks; b++) {
            const int64_t row = b * FG_ROW_BLOCK;
            args.rows = fg_rows_in_block(plan, b);
            args.delta = row_of(plan, plan->deltas, level + 1, row);
            args.below = derivative_of(plan, level, row, column);
            args.below.scale = ldexp(1.0, moves[b - share.first_block]);
            args.sums = (double *)plan->backward_sums[level] + (p * plan->blocks + b) * FG_BACKWARD_SUMS;
            kernels->linear_backward_data(&args);
        }
    }
}

/* Deltas of `level` from those of the level above, through the weights between them. */
void fg_level_backward_data(fg_plan *plan, int level, fg_share share, void *scratch) {
    for (fg_share part; take_part(&share, &part);)
        backward_data_part(plan, level, part, scratch);
}

static void try_update(const fg_network *net, const struct fg_linear_backward_weights_args *args,
                       const struct fg_update *update) {
    struct fg_apply_gradient_args trial = {.rows = args->rows,
                                           .vecs = args->vecs,
                                           .gradient = args->gradient,
                                           .exponent = args->exponent,
                                           .factor = 1.0,
                                           .weights = args->weights,
                                           .update = update,
                                           .trial = 1,
                                           .sums = args->sums};
    for (int s = 0; s < FG_MAX_STATES; s++)
        trial.states[s] = args->states[s];
    net->kernels->apply_gradient(&trial);
}

enum { FG_WIDEST_PANEL = 4 * FG_CACHE_LINE }; /* bytes in a row of it */

void fg_layer_backward_weights(fg_plan *plan, const fg_weight_unit *unit, const struct fg_update *update,
                               const fg_optimizer *optimizer, int trial, fg_prefetch *prefetch) {
    const fg_network *net = plan->net;
    const fg_layer *layer = &net->layer[unit->layer];
    const int is_bias = unit->first == layer->fan_in;
    const fg_alignment alignment = plan->alignment[unit->layer];
    const void *bias_input = alignment.kind == FG_SCALED_INPUTS ? plan->bias_inputs[unit->layer] : net->one;
    const int64_t at = unit->column * layer->depth + unit->first * unit->vecs * net->kernels->lanes;
    struct fg_linear_backward_weights_args args = {
        .rows = unit->rows,
        .depth = plan->rows,
        .vecs = unit->vecs,
        .input = is_bias ? bias_input : fg_at(net, plan->activations[unit->layer], unit->first),
        .input_stride = is_bias ? alignment.kind == FG_SCALED_INPUTS : plan->strides[unit->layer],
        .delta = fg_at(net, plan->deltas[unit->layer + 1], unit->column),
        .delta_stride = plan->strides[unit->layer + 1],
        .weights = fg_at(net, layer->weights, at),
        .gradient = plan->gradients ? fg_at(net, plan->gradients[unit->layer], at) : NULL,
        .exponent = is_bias ? alignment.bias : alignment.product,
        .update = trial ? NULL : update,
        .sums = unit->sums,
        .measured = plan->measured,
        .prefetch = prefetch,
    };
    for (int s = 0; optimizer && s < optimizer->state_count; s++)
        args.states[s] = fg_at(net, optimizer->state[s][unit->layer], at);
    _Alignas(FG_CACHE_LINE) char stored[FG_WEIGHT_BLOCK * FG_WIDEST_PANEL];
    if (trial)
        args.gradient = stored;
    net->kernels->linear_backward_weights(&args);
    if (trial)
        try_update(net, &args, update);
}
