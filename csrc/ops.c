/* Kernels on plain arrays: a network of one or two layers is built around the arrays, so that a kernel meets the layout
 * and the drivers that it meets in a step. */
#include "fpenv.h"
#include "gradients.h"
#include "stage.h"
#include "statistics.h"
#include "packing.h"
#include <string.h>

void fg_map_unary(fg_isa isa, fg_dtype dtype, fg_unary function, int64_t n, const void *x, void *y) {
    const struct fg_unary_args args = {.function = function, .n = n, .x = x, .y = y};
    const fg_fpenv caller = fg_fpenv_enter();
    fg_find_kernels(isa, dtype)->unary(&args);
    fg_fpenv_leave(caller);
}

void fg_map_activation(fg_isa isa, fg_dtype dtype, fg_activation function, int64_t n, const void *z, void *a,
                       void *derivative) {
    const struct fg_activation_args args = {.function = function, .n = n, .z = z, .a = a, .derivative = derivative};
    const fg_fpenv caller = fg_fpenv_enter();
    fg_find_kernels(isa, dtype)->activation(&args);
    fg_fpenv_leave(caller);
}

/* One pass over all there is, on the calling thread. */
typedef struct {
    fg_network *net;
    fg_plan *plan;
    fg_share all;
    fg_pass pass;
    fg_fpenv caller;
} rig;

static const fg_member alone = {NULL, 0, 1};

static fg_status set_up(rig *b, fg_isa isa, fg_dtype dtype, int layers, const int64_t *sizes, fg_activation activation,
                        int64_t rows) {
    const fg_activation activations[2] = {activation, FG_ACTIVATION_identity};
    *b = (rig){0};
    if (fg_network_create(&b->net, isa, dtype, layers, sizes, activations, 1))
        return FG_ERR_MEMORY;
    if (fg_plan_create(&b->plan, b->net, rows, FG_KEEPS_GRADIENTS)) {
        fg_network_destroy(b->net);
        return FG_ERR_MEMORY;
    }
    b->plan->rows = rows;
    b->plan->measured = 1;
    b->all = (fg_share){.blocks = fg_blocks(b->plan)};
    b->pass = (fg_pass){.plan = b->plan, .extent = FG_ALL_GRADIENTS, .measured = 1};
    b->caller = fg_fpenv_enter();
    return FG_OK;
}

static void tear_down(rig *b) {
    fg_fpenv_leave(b->caller);
    fg_plan_destroy(b->plan);
    fg_network_destroy(b->net);
}

static void fill_level(const rig *b, int l, void *matrix, const void *from) {
    const fg_level *const level = &b->plan->level[l];
    const size_t bytes = (size_t)level->columns * b->net->element_size;
    for (int64_t r = 0; r < b->plan->rows; r++)
        memcpy(fg_element(b->plan, level, matrix, r, 0), (const char *)from + (size_t)r * bytes, bytes);
}

fg_status fg_op_forward(fg_isa isa, fg_dtype dtype, fg_activation activation, int64_t rows, int64_t fan_in,
                        int64_t fan_out, const void *x, const void *w, const void *b, void *output, void *derivative,
                        double moments[3]) {
    const int64_t sizes[] = {fan_in, fan_out};
    double statistics[FG_STATISTICS];
    rig o;
    if (set_up(&o, isa, dtype, 1, sizes, activation, rows))
        return FG_ERR_MEMORY;
    o.net->layer[0].derivative_stored = 1;
    o.all.panels = o.net->layer[0].panels;
    fg_network_set_weights(o.net, 0, w);
    fg_network_set_bias(o.net, 0, b);
    fill_level(&o, 0, o.plan->level[0].activation, x);
    fg_linear_stage.forward(&o.pass, 1, o.all, NULL);
    fg_plan_get_activation(o.plan, 0, output);
    fg_plan_get_delta(o.plan, 0, derivative);
    fg_collect_statistics(o.plan, NULL, statistics);
    moments[0] = statistics[FG_STATISTIC_act_mean];
    moments[1] = statistics[FG_STATISTIC_act_rms];
    moments[2] = statistics[FG_STATISTIC_deriv_mean];
    tear_down(&o);
    return FG_OK;
}

fg_status fg_op_backward_data(fg_isa isa, fg_dtype dtype, int64_t rows, int64_t fan_in, int64_t fan_out,
                              const void *delta, const void *w, const void *derivative, void *out, double *norm) {
    const int64_t sizes[] = {1, fan_in, fan_out};
    double statistics[2 * FG_STATISTICS];
    rig o;
    if (set_up(&o, isa, dtype, 2, sizes, FG_ACTIVATION_identity, rows))
        return FG_ERR_MEMORY;
    o.net->layer[0].derivative_stored = 1;
    o.all.panels = o.plan->level[1].backward_panels;
    fg_network_set_weights(o.net, 1, w);
    fill_level(&o, 1, o.plan->level[1].derivative, derivative);
    fill_level(&o, 2, o.plan->level[2].delta, delta);
    fg_linear_stage.backward(&o.pass, 2, o.all, o.plan->scratch[0]);
    fg_plan_get_delta(o.plan, 0, out);
    fg_collect_statistics(o.plan, NULL, statistics);
    *norm = statistics[2 * FG_STATISTIC_delta_norm];
    tear_down(&o);
    return FG_OK;
}

fg_status fg_op_backward_weights(fg_isa isa, fg_dtype dtype, int64_t rows, int64_t fan_in, int64_t fan_out,
                                 const void *x, const void *delta, void *dw, void *db, double norms[2]) {
    const int64_t sizes[] = {fan_in, fan_out};
    double statistics[FG_STATISTICS];
    rig o;
    if (set_up(&o, isa, dtype, 1, sizes, FG_ACTIVATION_identity, rows))
        return FG_ERR_MEMORY;
    fill_level(&o, 0, o.plan->level[0].activation, x);
    fill_level(&o, 1, o.plan->level[1].delta, delta);
    fg_produce(&o.pass, alone);
    fg_plan_get_weight_gradient(o.plan, 0, dw);
    fg_plan_get_bias_gradient(o.plan, 0, db);
    fg_collect_statistics(o.plan, NULL, statistics);
    norms[0] = statistics[FG_STATISTIC_grad_norm];
    norms[1] = statistics[FG_STATISTIC_bias_grad_norm];
    tear_down(&o);
    return FG_OK;
}

fg_status fg_op_loss(fg_isa isa, fg_dtype dtype, const fg_loss_config *loss, int64_t columns, const void *outputs,
                     const fg_batch *batch, void *gradient, double *value) {
    const int64_t sizes[] = {1, columns};
    rig o;
    if (set_up(&o, isa, dtype, 1, sizes, FG_ACTIVATION_identity, batch->rows))
        return FG_ERR_MEMORY;
    fill_level(&o, 1, o.plan->level[1].activation, outputs);
    o.pass.batch = batch;
    o.pass.loss = loss;
    fg_loss_stage.forward(&o.pass, 1, o.all, o.plan->scratch[0]);
    fg_plan_get_delta(o.plan, 0, gradient);
    *value = 0.0;
    for (int64_t b = 0; b < o.all.blocks; b++)
        *value += o.plan->losses[b];
    tear_down(&o);
    return FG_OK;
}

/* The gradient enters as identity^T @ gradient. */
static void fill_identity(const rig *b) {
    for (int64_t r = 0; r < b->plan->rows; r++) {
        void *const at = fg_element(b->plan, &b->plan->level[0], b->plan->level[0].activation, r, r);
        if (b->net->kernels->dtype == FG_F32)
            *(float *)at = 1.0f;
        else
            *(double *)at = 1.0;
    }
}

fg_status fg_op_update(fg_isa isa, fg_dtype dtype, const fg_optimizer_config *config, int64_t steps, int64_t rows,
                       int64_t columns, void *w, const void *gradient, void *const *states, double norms[2]) {
    const int64_t sizes[] = {rows, columns};
    double statistics[FG_STATISTICS];
    const fg_training_config training_config = {.optimizer = *config};
    fg_training *training;
    rig o;
    if (set_up(&o, isa, dtype, 1, sizes, FG_ACTIVATION_identity, rows))
        return FG_ERR_MEMORY;
    if (fg_training_create(&training, o.net, &training_config)) {
        tear_down(&o);
        return FG_ERR_MEMORY;
    }
    training->steps = steps;
    fg_plan_updates(training);
    fg_network_set_weights(o.net, 0, w);
    for (int s = 0; s < training->state_count; s++)
        fg_pack(o.net, 0, training->state[s][0], 0, rows, states[s]);
    fill_identity(&o);
    fill_level(&o, 1, o.plan->level[1].delta, gradient);
    o.pass.training = training;
    fg_produce_and_apply(&o.pass, alone);
    fg_network_get_weights(o.net, 0, w);
    for (int s = 0; s < training->state_count; s++)
        fg_unpack(o.net, 0, training->state[s][0], 0, rows, states[s]);
    fg_collect_statistics(o.plan, NULL, statistics);
    norms[0] = statistics[FG_STATISTIC_weight_norm];
    norms[1] = statistics[FG_STATISTIC_update_norm];
    fg_training_destroy(training);
    tear_down(&o);
    return FG_OK;
}
