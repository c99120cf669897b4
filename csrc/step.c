/* A step: forward, loss, backward-data of all layers, then all gradients of weights with their updates. Nothing is
 * updated before every update is known to be finite. Both schedules run this one code: they differ in
 * what a thread's share is and in whether threads wait for each other between layers. */
#include "exponents.h"
#include "fpenv.h"
#include "layout.h"
#include "lost_rows.h"
#include "sharing.h"
#include <assert.h>
#include <limits.h>
#include <math.h>
#include <string.h>

typedef enum { NOTHING_MORE, LOSS, ALL_GRADIENTS } stage;

typedef struct {
    fg_plan *plan;
    const fg_batch *batch;
    fg_loss loss;
    fg_optimizer *optimizer; /* NULL: gradients only */
    struct fg_update update;
    int forward;
    stage then;
    double loss_value;
    int measured;       /* whether statistics are wanted */
    fg_verdict verdict; /* before any trial */
    int refused;
} pass;

static void between_layers(const fg_plan *plan, fg_member me) {
    if (plan->schedule == FG_LAYER_SYNCHRONOUS)
        fg_barrier(me.team);
}

static void run_forward(pass *p, fg_member me) {
    fg_plan *plan = p->plan;
    fg_share share;
    fg_load_inputs(plan, p->batch, fg_share_rows(plan, me));
    for (int level = 1; level <= plan->net->layers; level++) {
        between_layers(plan, me);
        for (int taken = 0; fg_draw_forward(plan, level, me, &taken, &share);)
            fg_layer_forward(plan, level - 1, share);
    }
}

static void run_loss(pass *p, fg_member me) {
    between_layers(p->plan, me);
    fg_compute_loss(p->plan, p->batch, p->loss, fg_share_rows(p->plan, me), p->plan->scratch[me.thread]);
}

/* The lowest whose deltas are wanted. */
static int lowest_level(const fg_plan *plan) { return plan->mode == FG_GRADIENTS ? 0 : 1; }

static void run_backward_data(pass *p, fg_member me) {
    fg_plan *plan = p->plan;
    fg_share share;
    for (int level = plan->net->layers - 1; level >= lowest_level(plan); level--) {
        between_layers(plan, me);
        for (int taken = 0; fg_draw_backward_data(plan, level, me, &taken, &share);)
            fg_level_backward_data(plan, level, share, plan->scratch[me.thread]);
    }
}

/* Every block of every level has been computed. */
static void run_alignment(pass *p, fg_member me) {
    fg_plan *plan = p->plan;
    for (int l = 0; l < plan->net->layers; l++) {
        const fg_alignment found = fg_align_layer(plan, l, fg_share_rows(plan, me));
        if (me.thread == 0)
            plan->alignment[l] = found;
    }
    if (me.thread == 0)
        plan->aligned = 1;
}

static void run_backward_weights(pass *p, int trial, fg_member me) {
    fg_prefetch prefetch = {0};
    int layer = -1, taken = 0;
    for (int64_t u, end; fg_draw_units(p->plan, trial, me, &taken, &u, &end);)
        for (; u < end; u++) {
            const fg_weight_unit *unit = &p->plan->unit[u];
            if (unit->layer != layer)
                prefetch = fg_backward_weights_prefetch(p->plan, unit->layer);
            layer = unit->layer;
            fg_layer_backward_weights(p->plan, unit, p->optimizer ? &p->update : NULL, p->optimizer, trial, &prefetch);
        }
}

/* The largest exponent of a block with a loss is the batch's. */
static void add_losses(fg_plan *plan) {
    const int64_t blocks = fg_ceil_div(plan->rows, FG_ROW_BLOCK);
    plan->loss = 0.0;
    plan->loss_exponent = INT_MIN;
    for (int64_t b = 0; b < blocks; b++)
        if (plan->losses[b] != 0.0 && plan->loss_exponents[b] > plan->loss_exponent)
            plan->loss_exponent = plan->loss_exponents[b];
    plan->loss_exponent = plan->loss_exponent == INT_MIN ? 0 : plan->loss_exponent;
    for (int64_t b = 0; b < blocks; b++)
        plan->loss += ldexp(plan->losses[b], plan->loss_exponents[b] - plan->loss_exponent);
}

static void run_updates(pass *p, fg_member me) {
    fg_verdict verdict = p->verdict;
    if (verdict == FG_TRY_FIRST) {
        run_backward_weights(p, 1, me);
        fg_barrier(me.team);
        verdict = fg_judge_trial(p->plan);
        fg_barrier(me.team);
    }
    if (verdict == FG_APPLY)
        run_backward_weights(p, 0, me);
    else if (me.thread == 0)
        p->refused = 1;
}

static void run_pass(void *context, int thread, int threads, fg_team *team) {
    pass *p = context;
    const fg_member me = {team, thread, threads};
    if (p->forward)
        run_forward(p, me);
    if (p->then == NOTHING_MORE)
        return;
    run_loss(p, me);
    if (p->then == ALL_GRADIENTS)
        run_backward_data(p, me);
    fg_barrier(team);
    if (p->then == ALL_GRADIENTS)
        run_alignment(p, me);
    if (thread == 0) {
        add_losses(p->plan);
        p->loss_value = ldexp(p->plan->loss, p->plan->loss_exponent);
        p->verdict = p->optimizer ? fg_judge_step(p->plan, p->optimizer, p->loss_value) : FG_APPLY;
    }
    fg_barrier(team);
    if (p->then == ALL_GRADIENTS)
        run_updates(p, me);
}

/* One thread for each FLOPS_WORTH_A_THREAD of work, about ten microseconds, of those allowed now and when planned. */
static int threads_for(const pass *p) {
    enum { FLOPS_WORTH_A_THREAD = 2000000 };
    const fg_plan *plan = p->plan;
    const double flops = plan->flops_per_row * (double)plan->rows * (p->then == ALL_GRADIENTS ? 1.0 : 1.0 / 3.0);
    const double worth = flops / FLOPS_WORTH_A_THREAD;
    const int now = fg_threads(), allowed = plan->threads < now ? plan->threads : now;
    return worth < allowed ? (int)worth : allowed;
}

static void execute(pass *p, int64_t rows) {
    const int64_t allocations_before = fg_allocations();
    assert(rows >= 1 && rows <= p->plan->capacity);
    p->plan->rows = rows;
    p->plan->measured = p->measured;
    p->plan->aligned = 0;
    fg_reset_counters(p->plan);
    fg_run(threads_for(p), run_pass, p);
    assert(fg_allocations() == allocations_before);
    (void)allocations_before;
}

void fg_plan_forward(fg_plan *plan, const fg_batch *batch, void *outputs) {
    pass p = {.plan = plan, .batch = batch, .forward = 1, .measured = plan->mode == FG_GRADIENTS};
    const fg_fpenv caller = fg_fpenv_enter();
    execute(&p, batch->rows);
    if (outputs)
        fg_plan_get_activation(plan, plan->net->layers - 1, outputs);
    fg_fpenv_leave(caller);
}

static void pass_scaled(fg_plan *plan, const fg_batch *batch, void *outputs, int32_t *exponents) {
    pass p = {.plan = plan, .batch = batch, .forward = 1};
    execute(&p, batch->rows);
    for (int64_t b = 0; b < fg_ceil_div(batch->rows, FG_ROW_BLOCK); b++)
        fg_notice_lost_rows(plan, plan->net->layers, b);
    fg_get_scaled_outputs(plan, outputs, exponents);
}

/* A row alone marks row 0, whose mark has been read by then. */
void fg_plan_scaled_forward(fg_plan *plan, const fg_batch *batch, void *outputs, int32_t *exponents) {
    const int64_t columns = plan->net->layer[plan->net->layers - 1].fan_out;
    const fg_fpenv caller = fg_fpenv_enter();
    fg_batch alone = *batch;
    assert(plan->mode == FG_INFERENCE);
    plan->seeks_lost = 1;
    pass_scaled(plan, batch, outputs, exponents);
    alone.rows = 1;
    for (int64_t r = 0; batch->rows > 1 && r < batch->rows; r++, alone.first++)
        if (plan->lost[r])
            pass_scaled(plan, &alone, fg_at(plan->net, outputs, r * columns), exponents + r);
    plan->seeks_lost = 0;
    fg_fpenv_leave(caller);
}

fg_status fg_plan_step(fg_plan *plan, const fg_batch *batch, fg_loss loss, fg_optimizer *optimizer, double *value,
                       fg_liveness *liveness, double *statistics) {
    pass p = {.plan = plan,
              .batch = batch,
              .loss = loss,
              .optimizer = optimizer,
              .forward = 1,
              .then = ALL_GRADIENTS,
              .measured = statistics != NULL};
    const fg_fpenv caller = fg_fpenv_enter();
    assert(optimizer->net == plan->net && plan->mode != FG_INFERENCE);
    assert(!liveness || liveness->net == plan->net);
    p.update = fg_optimizer_next(optimizer);
    execute(&p, batch->rows);
    *value = p.loss_value;
    if (!p.refused) {
        fg_remember_step(plan, optimizer);
        optimizer->steps++;
        if (statistics)
            fg_collect_statistics(plan, liveness, statistics);
    }
    fg_fpenv_leave(caller);
    return p.refused ? FG_ERR_DIVERGED : FG_OK;
}

static void compute_loss_and(stage then, fg_plan *plan, const fg_batch *batch, fg_loss loss, double *value) {
    pass p = {
        .plan = plan, .batch = batch, .loss = loss, .forward = 1, .then = then, .measured = then == ALL_GRADIENTS};
    const fg_fpenv caller = fg_fpenv_enter();
    execute(&p, batch->rows);
    fg_fpenv_leave(caller);
    *value = p.loss_value;
}

void fg_plan_gradients(fg_plan *plan, const fg_batch *batch, fg_loss loss, double *value) {
    compute_loss_and(ALL_GRADIENTS, plan, batch, loss, value);
}

void fg_plan_loss(fg_plan *plan, const fg_batch *batch, fg_loss loss, double *value) {
    compute_loss_and(LOSS, plan, batch, loss, value);
}

void fg_plan_backward(fg_plan *plan, const void *output_gradient) {
    const fg_batch batch = {.rows = plan->rows, .targets = output_gradient};
    pass p = {.plan = plan, .batch = &batch, .loss = FG_LOSS_inner_product, .then = ALL_GRADIENTS, .measured = 1};
    const fg_fpenv caller = fg_fpenv_enter();
    execute(&p, plan->rows);
    fg_fpenv_leave(caller);
}
