/* A pass, from a batch to what is asked of it. A step: forward, loss, backward-data of all layers, then all gradients
 * of weights with their updates. Nothing is updated before every update is known to be finite. Both schedules run this
 * one code: they differ in what a thread's share is and in whether threads wait for each other between layers. */
#include "exponents/exponents.h"
#include "fpenv.h"
#include "gradients.h"
#include "lost_rows.h"
#include "results.h"
#include "settle.h"
#include "stage.h"
#include "statistics.h"
#include "verdict.h"
#include <assert.h>
#include <limits.h>
#include <math.h>

static void between_layers(const fg_plan *plan, fg_member me) {
    if (plan->schedule == FG_LAYER_SYNCHRONOUS)
        fg_barrier(me.team);
}

/* Waits for what a stage reaches for. */
static void wait_for(const fg_plan *plan, fg_reach reach, fg_member me) {
    if (reach == FG_BATCH)
        fg_barrier(me.team);
    else
        between_layers(plan, me);
}

/* Nothing comes before the first stage of a pass that it could wait for. */
static void run_forward(const fg_pass *p, const fg_stage *stage, int level, int is_first, fg_member me) {
    void *const scratch = p->plan->scratch ? p->plan->scratch[me.thread] : NULL;
    fg_share share;
    if (!is_first)
        wait_for(p->plan, stage->reach, me);
    if (stage->reach == FG_TILE)
        for (int taken = 0; fg_draw_forward(p->plan, level, me, &taken, &share);)
            stage->forward(p, level, share, scratch);
    else
        stage->forward(p, level, fg_share_rows(p->plan, me), scratch);
}

static void run_backward(const fg_pass *p, const fg_stage *stage, int level, fg_member me) {
    void *const scratch = p->plan->scratch[me.thread];
    fg_share share;
    wait_for(p->plan, stage->reach, me);
    if (stage->reach == FG_TILE)
        for (int taken = 0; fg_draw_backward_data(p->plan, level - 1, me, &taken, &share);)
            stage->backward(p, level, share, scratch);
    else
        stage->backward(p, level, fg_share_rows(p->plan, me), scratch);
}

/* A pass that goes on from one that has been made has only the loss left to do. */
static void run_all_forward(const fg_pass *p, fg_member me) {
    for (int level = 0; level <= p->plan->net->layers; level++) {
        const fg_stage *const *const first = fg_stages_of(p->plan, level);
        for (const fg_stage *const *stage = first; *stage; stage++)
            if ((*stage)->forward && ((*stage)->of_loss ? p->extent != FG_OUTPUTS : p->forward))
                run_forward(p, *stage, level, level == 0 && stage == first, me);
    }
}

/* Down to the lowest level whose deltas are wanted: that of the input only where gradients are kept. A product gives the
 * deltas of the level below its own. */
static void run_all_backward(const fg_pass *p, fg_member me) {
    const int lowest = p->plan->memory == FG_KEEPS_GRADIENTS ? 0 : 1;
    for (int level = p->plan->net->layers; level >= lowest; level--) {
        const fg_stage *const *const first = fg_stages_of(p->plan, level), *const *stage = first;
        while (*stage)
            stage++;
        while (stage-- > first)
            if ((*stage)->backward && ((*stage)->reach != FG_TILE || level > lowest))
                run_backward(p, *stage, level, me);
    }
}

/* Every block of every level has been computed. */
static void bring_together(fg_plan *plan, fg_member me) {
    for (int l = 0; l < plan->net->layers; l++) {
        const fg_common_exponent found = fg_bring_together(plan, l, fg_share_rows(plan, me));
        if (me.thread == 0)
            plan->level[l + 1].common = found;
    }
    if (me.thread == 0)
        plan->has_common = 1;
}

/* The batch's exponent is the largest of a block whose loss is not 0. */
static void add_losses(fg_plan *plan) {
    plan->loss = 0.0;
    plan->loss_exponent = INT_MIN;
    for (int64_t b = 0; b < fg_blocks(plan); b++)
        if (plan->losses[b] != 0.0 && plan->loss_exponents[b] > plan->loss_exponent)
            plan->loss_exponent = plan->loss_exponents[b];
    plan->loss_exponent = plan->loss_exponent == INT_MIN ? 0 : plan->loss_exponent;
    for (int64_t b = 0; b < fg_blocks(plan); b++)
        plan->loss += ldexp(plan->losses[b], plan->loss_exponents[b] - plan->loss_exponent);
}

static double true_loss(const fg_plan *plan) { return ldexp(plan->loss, plan->loss_exponent); }

static void judge(fg_pass *p) {
    if (!p->training) {
        p->verdict = FG_APPLY;
        return;
    }
    p->verdict = fg_judge_step(p->plan, p->training, true_loss(p->plan));
    p->doubtful = p->verdict == FG_SETTLE;
    if (p->verdict == FG_APPLY && fg_clip_waits(p->training->config.clip.kind))
        p->verdict = FG_SETTLE;
}

/* Gradients that have to wait: produced, settled, and where there is doubt tried, all before the first is applied. */
static void run_settled(void *context, int thread, int threads, fg_team *team) {
    fg_pass *p = context;
    const fg_member me = {team, thread, threads};
    fg_verdict verdict = FG_APPLY;
    fg_produce(p, me);
    fg_barrier(team);
    fg_settle(p, me);
    fg_barrier(team);
    if (p->doubtful) {
        fg_apply(p, 1, me);
        fg_barrier(team);
        verdict = fg_judge_trial(p->plan);
        fg_barrier(team);
    }
    if (verdict == FG_APPLY)
        fg_apply(p, 0, me);
    if (thread == 0)
        p->verdict = verdict;
}

static void run_pass(void *context, int thread, int threads, fg_team *team) {
    fg_pass *p = context;
    const fg_member me = {team, thread, threads};
    run_all_forward(p, me);
    if (p->extent == FG_OUTPUTS)
        return;
    if (p->extent == FG_ALL_GRADIENTS)
        run_all_backward(p, me);
    fg_barrier(team);
    if (p->extent == FG_ALL_GRADIENTS)
        bring_together(p->plan, me);
    if (thread == 0) {
        add_losses(p->plan);
        judge(p);
    }
    fg_barrier(team);
    if (p->extent != FG_ALL_GRADIENTS)
        return;
    if (!p->training)
        fg_produce(p, me);
    else if (p->verdict == FG_APPLY)
        fg_produce_and_apply(p, me);
}

/* One thread for each FLOPS_WORTH_A_THREAD of work, about ten microseconds, of those allowed now and when planned. */
static int threads_for(const fg_pass *p) {
    enum { FLOPS_WORTH_A_THREAD = 2000000 };
    const fg_plan *plan = p->plan;
    const double flops = plan->flops_per_row * (double)plan->rows * (p->extent == FG_ALL_GRADIENTS ? 1.0 : 1.0 / 3.0);
    const double worth = flops / FLOPS_WORTH_A_THREAD;
    const int now = fg_threads(), allowed = plan->threads < now ? plan->threads : now;
    return worth < allowed ? (int)worth : allowed;
}

static void run(fg_pass *p, fg_task *task) {
    const int64_t allocations_before = fg_allocations();
    fg_run(threads_for(p), task, p);
    assert(fg_allocations() == allocations_before);
    (void)allocations_before;
}

static void execute(fg_pass *p, int64_t rows) {
    assert(rows >= 1 && rows <= p->plan->capacity);
    p->plan->rows = rows;
    p->plan->measured = p->measured;
    p->plan->has_common = 0;
    fg_reset_counters(p->plan);
    run(p, run_pass);
}

void fg_plan_forward(fg_plan *plan, const fg_batch *batch, void *outputs) {
    fg_pass p = {.plan = plan, .batch = batch, .forward = 1, .measured = plan->memory == FG_KEEPS_GRADIENTS};
    const fg_fpenv caller = fg_fpenv_enter();
    execute(&p, batch->rows);
    if (outputs)
        fg_plan_get_activation(plan, plan->net->layers - 1, outputs);
    fg_fpenv_leave(caller);
}

static void pass_scaled(fg_plan *plan, const fg_batch *batch, void *outputs, int32_t *exponents) {
    fg_pass p = {.plan = plan, .batch = batch, .forward = 1};
    execute(&p, batch->rows);
    for (int64_t b = 0; b < fg_blocks(plan); b++)
        fg_notice_lost_rows(plan, plan->net->layers, b);
    fg_get_scaled_outputs(plan, outputs, exponents);
}

/* A row that passes alone marks row 0 anew, whose mark has been read by then. */
void fg_plan_scaled_forward(fg_plan *plan, const fg_batch *batch, void *outputs, int32_t *exponents) {
    const int64_t columns = plan->level[plan->net->layers].columns;
    const fg_fpenv caller = fg_fpenv_enter();
    fg_batch alone = *batch;
    assert(plan->memory == FG_KEEPS_OUTPUTS);
    plan->seeks_lost = 1;
    pass_scaled(plan, batch, outputs, exponents);
    alone.rows = 1;
    for (int64_t r = 0; batch->rows > 1 && r < batch->rows; r++, alone.first++)
        if (plan->lost[r])
            pass_scaled(plan, &alone, fg_at(plan->net, outputs, r * columns), exponents + r);
    plan->seeks_lost = 0;
    fg_fpenv_leave(caller);
}

static fg_status run_step(fg_pass *p) {
    execute(p, p->batch->rows);
    if (p->verdict == FG_SETTLE) {
        const fg_clip_kind clip = p->training->config.clip.kind;
        if (!fg_store_suffices(p->plan, clip) && fg_store_take(p->plan, clip))
            return FG_ERR_MEMORY;
        run(p, run_settled);
    }
    return p->verdict == FG_REFUSE ? FG_ERR_DIVERGED : FG_OK;
}

fg_status fg_plan_step(fg_plan *plan, fg_training *training, const fg_batch *batch, fg_step_result *result,
                       double *statistics) {
    fg_pass p = {.plan = plan,
                 .batch = batch,
                 .loss = &training->config.loss,
                 .training = training,
                 .forward = 1,
                 .extent = FG_ALL_GRADIENTS,
                 .measured = statistics != NULL};
    const fg_fpenv caller = fg_fpenv_enter();
    fg_status status;
    assert(training->net == plan->net && plan->memory != FG_KEEPS_OUTPUTS);
    fg_plan_updates(training);
    status = run_step(&p);
    result->loss = true_loss(plan);
    result->clip_norm = NAN;
    if (status == FG_OK) {
        if (training->config.clip.kind == FG_CLIP_norm)
            result->clip_norm = fg_clip_norm(plan);
        fg_remember_step(plan->net, plan, training);
        training->steps++;
        if (statistics)
            fg_collect_statistics(plan, training, statistics);
    }
    fg_fpenv_leave(caller);
    return status;
}

static void compute_loss_and(fg_extent extent, fg_plan *plan, const fg_batch *batch, const fg_loss_config *loss,
                             double *value) {
    fg_pass p = {.plan = plan,
                 .batch = batch,
                 .loss = loss,
                 .forward = 1,
                 .extent = extent,
                 .measured = extent == FG_ALL_GRADIENTS};
    const fg_fpenv caller = fg_fpenv_enter();
    execute(&p, batch->rows);
    fg_fpenv_leave(caller);
    *value = true_loss(plan);
}

void fg_plan_gradients(fg_plan *plan, const fg_batch *batch, const fg_loss_config *loss, double *value) {
    compute_loss_and(FG_ALL_GRADIENTS, plan, batch, loss, value);
}

void fg_plan_loss(fg_plan *plan, const fg_batch *batch, const fg_loss_config *loss, double *value) {
    compute_loss_and(FG_LOSS_ONLY, plan, batch, loss, value);
}

void fg_plan_backward(fg_plan *plan, const void *output_gradient) {
    const fg_batch batch = {.rows = plan->rows, .targets = output_gradient};
    const fg_loss_config inner_product = {FG_LOSS_inner_product};
    fg_pass p = {.plan = plan, .batch = &batch, .loss = &inner_product, .extent = FG_ALL_GRADIENTS, .measured = 1};
    const fg_fpenv caller = fg_fpenv_enter();
    execute(&p, plan->rows);
    fg_fpenv_leave(caller);
}
