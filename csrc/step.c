/* A step: forward, loss, backward-data of all layers, then all gradients of weights with their updates. Nothing is
 * updated before the loss is known to be finite. Both schedules run this one code: they differ in what a thread's share
 * is and in whether threads wait for each other between layers. */
#include "plan.h"
#include "fpenv.h"
#include "layout.h"
#include <assert.h>
#include <math.h>
#include <string.h>

typedef struct {
    fg_plan *plan;
    const fg_batch *batch;
    fg_loss loss;
    fg_optimizer *optimizer; /* NULL: gradients only */
    struct fg_update update;
    int forward;
    enum { NOTHING_MORE, LOSS, ALL_GRADIENTS } then;
    double loss_value;
} pass;

/* Part `part` of `parts` of n things, as even as can be. */
static int64_t split(int64_t n, int part, int parts) { return n * part / parts; }

static fg_share share_of(const fg_plan *plan, int64_t panels, int thread, int threads) {
    const int64_t blocks = fg_ceil_div(plan->rows, FG_ROW_BLOCK);
    fg_share share = {.blocks = blocks, .panels = panels};
    if (plan->schedule == FG_BATCH_SLICED || panels < threads) {
        share.first_block = split(blocks, thread, threads);
        share.blocks = split(blocks, thread + 1, threads) - share.first_block;
    } else {
        share.first_panel = split(panels, thread, threads);
        share.panels = split(panels, thread + 1, threads) - share.first_panel;
    }
    return share;
}

static void between_layers(const fg_plan *plan, fg_team *team) {
    if (plan->schedule == FG_LAYER_SYNCHRONOUS)
        fg_barrier(team);
}

static void run_forward(pass *p, int thread, int threads, fg_team *team) {
    fg_plan *plan = p->plan;
    fg_load_inputs(plan, p->batch, share_of(plan, 1, thread, threads));
    for (int l = 0; l < plan->net->layers; l++) {
        between_layers(plan, team);
        fg_layer_forward(plan, l, share_of(plan, plan->net->layer[l].panels, thread, threads));
    }
}

static void run_loss(pass *p, int thread, int threads, fg_team *team) {
    between_layers(p->plan, team);
    fg_compute_loss(p->plan, p->batch, p->loss, share_of(p->plan, 1, thread, threads), p->plan->scratch[thread]);
}

static void run_backward_data(pass *p, int thread, int threads, fg_team *team) {
    fg_plan *plan = p->plan;
    void *const scratch = plan->scratch[thread];
    const int lowest = plan->mode == FG_GRADIENTS ? 0 : 1;
    for (int level = plan->net->layers - 1; level >= lowest; level--) {
        between_layers(plan, team);
        fg_level_backward_data(plan, level, share_of(plan, fg_level_panels(plan, level), thread, threads), scratch);
    }
}

/* The first unit of a thread's even share of the work. */
static int64_t first_unit_of(const fg_plan *plan, int thread, int threads) {
    const fg_weight_unit *last = &plan->unit[plan->units - 1];
    const double wanted = (last->cost_before + (double)(last->rows * last->vecs)) * thread / threads;
    int64_t low = 0, high = plan->units;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (plan->unit[middle].cost_before < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void run_backward_weights(pass *p, int thread, int threads) {
    const int64_t end = first_unit_of(p->plan, thread + 1, threads);
    for (int64_t u = first_unit_of(p->plan, thread, threads); u < end; u++)
        fg_layer_backward_weights(p->plan, &p->plan->unit[u], p->optimizer ? &p->update : NULL, p->optimizer);
}

static double total_loss(const fg_plan *plan) {
    double total = 0.0;
    for (int64_t b = 0; b < fg_ceil_div(plan->rows, FG_ROW_BLOCK); b++)
        total += plan->losses[b];
    return total;
}

static void run_pass(void *context, int thread, int threads, fg_team *team) {
    pass *p = context;
    if (p->forward)
        run_forward(p, thread, threads, team);
    if (p->then == NOTHING_MORE)
        return;
    run_loss(p, thread, threads, team);
    if (p->then == ALL_GRADIENTS)
        run_backward_data(p, thread, threads, team);
    fg_barrier(team);
    if (thread == 0)
        p->loss_value = total_loss(p->plan);
    if (p->optimizer) {
        fg_barrier(team);
        if (!isfinite(p->loss_value))
            return;
    }
    if (p->then == ALL_GRADIENTS)
        run_backward_weights(p, thread, threads);
}

/* One thread for each FLOPS_WORTH_A_THREAD of work, about ten microseconds. */
static void execute(pass *p, int64_t rows) {
    enum { FLOPS_WORTH_A_THREAD = 2000000 };
    const double flops = p->plan->flops_per_row * (double)rows * (p->then == ALL_GRADIENTS ? 1.0 : 1.0 / 3.0);
    const double worth = flops / FLOPS_WORTH_A_THREAD;
    const int threads = worth < p->plan->threads ? (int)worth : p->plan->threads;
    const int64_t allocations_before = fg_allocations();
    const fg_fpenv caller = fg_fpenv_enter();
    p->plan->rows = rows;
    fg_run(threads, run_pass, p);
    fg_fpenv_leave(caller);
    assert(fg_allocations() == allocations_before);
    (void)allocations_before;
}

/* Copies `columns` columns of a level's rows to a plain matrix. */
static void copy_level(const fg_plan *plan, void *const *levels, int level, int64_t columns, void *out) {
    const size_t bytes = (size_t)columns * plan->net->element_size;
    for (int64_t r = 0; r < plan->rows; r++)
        memcpy((char *)out + (size_t)r * bytes, fg_at(plan->net, levels[level], r * plan->strides[level]), bytes);
}

void fg_plan_forward(fg_plan *plan, const fg_batch *batch, void *outputs) {
    pass p = {.plan = plan, .batch = batch, .forward = 1};
    execute(&p, batch->rows);
    if (outputs)
        fg_plan_get_activation(plan, plan->net->layers - 1, outputs);
}

fg_status fg_plan_step(fg_plan *plan, const fg_batch *batch, fg_loss loss, fg_optimizer *optimizer, double *value,
                       double *statistics) {
    pass p = {.plan = plan, .batch = batch, .loss = loss, .optimizer = optimizer, .forward = 1, .then = ALL_GRADIENTS};
    p.update = fg_optimizer_next(optimizer);
    execute(&p, batch->rows);
    *value = p.loss_value;
    if (!isfinite(p.loss_value))
        return FG_ERR_DIVERGED;
    optimizer->steps++;
    if (statistics)
        fg_collect_statistics(plan, statistics);
    return FG_OK;
}

void fg_plan_gradients(fg_plan *plan, const fg_batch *batch, fg_loss loss, double *value) {
    pass p = {.plan = plan, .batch = batch, .loss = loss, .forward = 1, .then = ALL_GRADIENTS};
    execute(&p, batch->rows);
    *value = p.loss_value;
}

void fg_plan_loss(fg_plan *plan, const fg_batch *batch, fg_loss loss, double *value) {
    pass p = {.plan = plan, .batch = batch, .loss = loss, .forward = 1, .then = LOSS};
    execute(&p, batch->rows);
    *value = p.loss_value;
}

void fg_plan_backward(fg_plan *plan, const void *output_gradient) {
    const fg_batch batch = {.rows = plan->rows, .targets = output_gradient};
    pass p = {.plan = plan, .batch = &batch, .loss = FG_LOSS_inner_product, .then = ALL_GRADIENTS};
    execute(&p, plan->rows);
}

void fg_plan_get_weight_gradient(const fg_plan *plan, int l, void *out) {
    fg_unpack(plan->net, l, plan->gradients[l], 0, plan->net->layer[l].fan_in, out);
}

void fg_plan_get_bias_gradient(const fg_plan *plan, int l, void *out) {
    fg_unpack(plan->net, l, plan->gradients[l], plan->net->layer[l].fan_in, plan->net->has_bias, out);
}

void fg_plan_get_input_gradient(const fg_plan *plan, void *out) {
    copy_level(plan, plan->deltas, 0, plan->net->layer[0].fan_in, out);
}

void fg_plan_get_activation(const fg_plan *plan, int l, void *out) {
    copy_level(plan, plan->activations, l + 1, plan->net->layer[l].fan_out, out);
}

void fg_plan_get_delta(const fg_plan *plan, int l, void *out) {
    copy_level(plan, plan->deltas, l + 1, plan->net->layer[l].fan_out, out);
}

void fg_plan_get_statistics(const fg_plan *plan, double *statistics) { fg_collect_statistics(plan, statistics); }
