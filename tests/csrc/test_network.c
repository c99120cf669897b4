/* Whole networks through the public API: packing, gradients against central differences, the same bits for any number of
 * threads and either schedule, and what a step must not touch. */
#include "check.h"
#include "networks.h"
#include "plan.h"
#include <fenv.h>

static void test_pack_roundtrip(fg_isa isa, fg_dtype dtype) {
    for (int repeat = 0; repeat < 100; repeat++) {
        shape s = {.isa = isa, .dtype = dtype, .layers = 1, .has_bias = (int)random_between(0, 1)};
        s.sizes[0] = random_between(1, 60);
        s.sizes[1] = random_between(1, 200);
        fg_network *const net = new_network(&s);
        const size_t bytes = (size_t)(s.sizes[0] * s.sizes[1]) * real_size(dtype),
                     row = (size_t)s.sizes[1] * real_size(dtype);
        void *const w = new_reals(dtype, s.sizes[0] * s.sizes[1], -1, 1), *const b =
                                                                              new_reals(dtype, s.sizes[1], -1, 1);
        void *const w_out = fenced(bytes), *const b_out = fenced(row);
        CASE("%s %s pack %d x %d", fg_isa_name(isa), real_name(dtype), (int)s.sizes[0], (int)s.sizes[1]);
        fg_network_set_weights(net, 0, w);
        fg_network_set_bias(net, 0, b);
        fg_network_get_weights(net, 0, w_out);
        fg_network_get_bias(net, 0, b_out);
        CHECK(memcmp(w, w_out, bytes) == 0, "the weights come back changed");
        CHECK(s.has_bias ? memcmp(b, b_out, row) == 0 : untouched(b_out, row), "the bias comes back changed");
        take_fences_down();
        free(w);
        free(b);
        fg_network_destroy(net);
    }
}

static double loss_at(fg_network *net, fg_plan *plan, const fg_batch *batch, fg_loss loss, int layer,
                      double *parameters, int64_t i, double step, int is_bias) {
    void (*const set)(fg_network *, int, const void *) = is_bias ? fg_network_set_bias : fg_network_set_weights;
    const double before = parameters[i];
    double value;
    parameters[i] = before + step;
    set(net, layer, parameters);
    fg_plan_loss(plan, batch, &(const fg_loss_config){loss}, &value);
    parameters[i] = before;
    set(net, layer, parameters);
    return value;
}

/* Fourth order: the error is of the size of h^4, and of rounding over h. */
static void check_derivative(fg_network *net, fg_plan *plan, const fg_batch *batch, fg_loss loss, int layer,
                             double *parameters, int64_t i, double gradient, int is_bias) {
    const double h = 1e-3;
    double f[5];
    for (int k = -2; k <= 2; k++)
        f[k + 2] = loss_at(net, plan, batch, loss, layer, parameters, i, k * h, is_bias);
    const double want = (f[0] - 8 * f[1] + 8 * f[3] - f[4]) / (12 * h);
    CHECK(fabs(gradient - want) <= 1e-8 * (1 + fabs(want)), "layer %d, %s %d: got %.12g, wants %.12g", layer,
          is_bias ? "bias" : "weight", (int)i, gradient, want);
}

static void check_gradients(fg_network *net, const shape *s, const fg_batch *batch, fg_loss loss, int64_t rows) {
    fg_plan *const plan = new_plan(net, rows, FG_KEEPS_GRADIENTS), *const probe =
                                                                       new_plan(net, rows + 3, FG_KEEPS_LEVELS);
    double value, again;
    fg_plan_gradients(plan, batch, &(const fg_loss_config){loss}, &value);
    fg_plan_loss(probe, batch, &(const fg_loss_config){loss}, &again);
    CHECK(value == again, "the loss is %.17g with and %.17g without gradients", value, again);
    for (int l = 0; l < s->layers; l++) {
        const int64_t n = s->sizes[l] * s->sizes[l + 1];
        double *const w = new_reals(FG_F64, n, 0, 0), *const dw = new_reals(FG_F64, n, 0, 0);
        double *const b = new_reals(FG_F64, s->sizes[l + 1], 0, 0), *const db =
                                                                        new_reals(FG_F64, s->sizes[l + 1], 0, 0);
        fg_network_get_weights(net, l, w);
        fg_network_get_bias(net, l, b);
        fg_plan_get_weight_gradient(plan, l, dw);
        fg_plan_get_bias_gradient(plan, l, db);
        for (int probes = 0; probes < 6; probes++) {
            const int64_t i = random_between(0, n - 1), j = random_between(0, s->sizes[l + 1] - 1);
            check_derivative(net, probe, batch, loss, l, w, i, dw[i], 0);
            if (s->has_bias)
                check_derivative(net, probe, batch, loss, l, b, j, db[j], 1);
        }
        free(w), free(dw), free(b), free(db);
    }
    fg_plan_destroy(plan);
    fg_plan_destroy(probe);
}

/* Smooth losses and activations only: a kink within h of a value would count as an error. */
static void test_gradients(fg_isa isa) {
    static const fg_activation smooth[] = {FG_ACTIVATION_tanh,    FG_ACTIVATION_gelu,     FG_ACTIVATION_softplus,
                                           FG_ACTIVATION_mish,    FG_ACTIVATION_identity, FG_ACTIVATION_silu,
                                           FG_ACTIVATION_sigmoid, FG_ACTIVATION_gelu_tanh};
    static const fg_loss losses[] = {FG_LOSS_mse, FG_LOSS_l2_norm, FG_LOSS_cross_entropy, FG_LOSS_binary_cross_entropy,
                                     FG_LOSS_inner_product};
    for (int repeat = 0; repeat < 20; repeat++) {
        const fg_loss loss = losses[repeat % 5];
        const int64_t rows = repeat % 4 ? random_between(2, 40) : 1;
        shape s = {.isa = isa, .dtype = FG_F64, .layers = (int)random_between(1, 4), .has_bias = repeat % 3 != 0};
        for (int l = 0; l <= s.layers; l++) {
            s.sizes[l] = random_between(1, 37);
            s.activations[l] = smooth[random_between(0, 7)];
        }
        fg_network *const net = new_network(&s);
        double *const x = new_reals(FG_F64, rows * s.sizes[0], -1, 1);
        double *const y = new_reals(FG_F64, rows * s.sizes[s.layers], 0.1, 1);
        const fg_batch batch = {.rows = rows, .inputs = x, .targets = y};
        CASE("%s %s, %d layers, %d rows", fg_isa_name(isa), fg_loss_name(loss), s.layers, (int)rows);
        check_gradients(net, &s, &batch, loss, rows);
        fg_network_destroy(net);
        free(x);
        free(y);
    }
}

enum { DEEP_ROWS = 80, CHANGING_THREADS = 0 };

static int callers_rounding = FE_TONEAREST;

typedef struct {
    shape s;
    void *x, *y;
    int64_t *order;
} training_set;

/* Work enough for eight threads in a step, and panels and blocks that they cannot share evenly. */
static training_set new_training_set(fg_isa isa, fg_dtype dtype) {
    training_set t = {.s = {.isa = isa,
                            .dtype = dtype,
                            .layers = 3,
                            .has_bias = 1,
                            .sizes = {96, 160, 130, 24},
                            .activations = {FG_ACTIVATION_tanh, FG_ACTIVATION_relu, FG_ACTIVATION_identity}}};
    t.x = new_reals(dtype, DEEP_ROWS * t.s.sizes[0], -1, 1);
    t.y = new_reals(dtype, DEEP_ROWS * t.s.sizes[t.s.layers], -1, 1);
    t.order = malloc(DEEP_ROWS * sizeof *t.order);
    CHECK(t.order, "no memory");
    for (int64_t i = 0; i < DEEP_ROWS; i++)
        t.order[i] = random_between(0, DEEP_ROWS - 1);
    return t;
}

static void free_training_set(training_set *t) {
    free(t->x);
    free(t->y);
    free(t->order);
}

/* Digest of every loss, statistic and parameter of a few steps, whose last batch is short. */
static uint64_t train(const training_set *t, int threads, fg_schedule schedule, fg_plan_memory mode) {
    static const int64_t rows[] = {DEEP_ROWS, DEEP_ROWS, DEEP_ROWS - 13};
    double statistics[FG_STATISTICS * 3];
    uint64_t sum = 0;
    random_state = 1;
    fg_set_threads(threads == CHANGING_THREADS ? 8 : threads);
    fg_network *const net = new_network(&t->s);
    fg_plan *const plan = new_plan(net, DEEP_ROWS, mode);
    fg_training *const adam = new_training(net, FG_OPTIMIZER_adam);
    const int64_t allocations = fg_allocations();
    plan->schedule = schedule;
    for (int step = 0; step < 3; step++) {
        const fg_batch batch = {
            .first = step, .rows = rows[step] - step, .inputs = t->x, .targets = t->y, .order = t->order};
        double loss;
        if (threads == CHANGING_THREADS)
            fg_set_threads(1 + 3 * step);
        fesetround(callers_rounding);
        CHECK(step_on(plan, &batch, FG_LOSS_mse, adam, &loss, statistics) == FG_OK, "step %d diverges", step);
        fesetround(FE_TONEAREST);
        sum = digest(sum, &loss, sizeof loss);
        sum = digest(sum, statistics, sizeof statistics);
    }
    CHECK(fg_allocations() == allocations, "a step allocates");
    CHECK(fg_training_steps(adam) == 3, "got %d steps", (int)fg_training_steps(adam));
    sum = digest(sum, &(uint64_t){digest_parameters(net, &t->s)}, sizeof sum);
    fg_training_destroy(adam);
    fg_plan_destroy(plan);
    fg_network_destroy(net);
    return sum;
}

static void test_same_bits(fg_isa isa, fg_dtype dtype) {
    training_set t = new_training_set(isa, dtype);
    const uint64_t want = train(&t, 1, FG_BATCH_SLICED, FG_KEEPS_LEVELS);
    CASE("%s %s same bits", fg_isa_name(isa), real_name(dtype));
    for (int threads = 1; threads <= 8; threads++) {
        CHECK(train(&t, threads, FG_BATCH_SLICED, FG_KEEPS_LEVELS) == want, "batch-sliced on %d threads differs",
              threads);
        CHECK(train(&t, threads, FG_LAYER_SYNCHRONOUS, FG_KEEPS_LEVELS) == want,
              "layer-synchronous on %d threads differs", threads);
    }
    CHECK(train(&t, CHANGING_THREADS, FG_LAYER_SYNCHRONOUS, FG_KEEPS_LEVELS) == want,
          "changing the number of threads changes bits");
    CHECK(train(&t, 2, FG_BATCH_SLICED, FG_KEEPS_GRADIENTS) == want, "keeping the gradients changes bits");
    callers_rounding = FE_UPWARD;
    CHECK(train(&t, 2, FG_BATCH_SLICED, FG_KEEPS_LEVELS) == want, "the caller's rounding mode changes bits");
    callers_rounding = FE_TONEAREST;
    free_training_set(&t);
}

/* Inference alternates between two buffers and ends in any row; training keeps all. */
static void test_inference(fg_isa isa, fg_dtype dtype) {
    static const int64_t capacities[] = {1, 5, 16, 17, 33, DEEP_ROWS};
    training_set t = new_training_set(isa, dtype);
    fg_network *const net = new_network(&t.s);
    fg_plan *const kept = new_plan(net, DEEP_ROWS, FG_KEEPS_LEVELS);
    const fg_batch all = {.rows = DEEP_ROWS, .inputs = t.x};
    const size_t row = (size_t)t.s.sizes[t.s.layers] * real_size(dtype);
    char *const want = fenced(DEEP_ROWS * row);
    fg_plan_forward(kept, &all, want);
    for (int i = 0; i < 6; i++) {
        fg_plan *const plan = new_plan(net, capacities[i], FG_KEEPS_OUTPUTS);
        for (int64_t rows = capacities[i]; rows >= 1; rows = rows * 2 / 3) {
            const fg_batch batch = {.first = random_between(0, DEEP_ROWS - rows), .rows = rows, .inputs = t.x};
            char *const got = fenced((size_t)rows * row);
            CASE("%s %s inference of %d rows, room for %d", fg_isa_name(isa), real_name(dtype), (int)rows,
                 (int)capacities[i]);
            fg_plan_forward(plan, &batch, got);
            CHECK(memcmp(got, want + (size_t)batch.first * row, (size_t)rows * row) == 0,
                  "the outputs differ from training's");
        }
        fg_plan_destroy(plan);
    }
    take_fences_down();
    fg_plan_destroy(kept);
    fg_network_destroy(net);
    free_training_set(&t);
}

/* Identity layers of weight g I: the output is g^1000 x, and each gradient of sum(output) is g^999 x, each of x g^1000. */
static void test_thousand_layers(fg_isa isa) {
    static shape s;
    const double gain = 1.001, scale = pow(gain, MOST_LAYERS), x[] = {1, -2, 3}, ones[] = {1, 1, 1};
    const double w[] = {gain, 0, 0, 0, gain, 0, 0, 0, gain};
    const fg_batch batch = {.rows = 1, .inputs = x, .targets = ones};
    double loss, output[3], dx[3], dw[9];
    s = (shape){.isa = isa, .dtype = FG_F64, .layers = MOST_LAYERS};
    for (int l = 0; l <= MOST_LAYERS; l++)
        s.sizes[l] = 3;
    fg_network *const net = new_network(&s);
    fg_plan *const plan = new_plan(net, 2, FG_KEEPS_GRADIENTS);
    fg_training *const sgd = new_training(net, FG_OPTIMIZER_sgd);
    CASE("%s, a thousand layers", fg_isa_name(isa));
    for (int l = 0; l < MOST_LAYERS; l++)
        fg_network_set_weights(net, l, w);
    fg_plan_gradients(plan, &batch, &(const fg_loss_config){FG_LOSS_inner_product}, &loss);
    fg_plan_get_activation(plan, MOST_LAYERS - 1, output);
    fg_plan_get_input_gradient(plan, dx);
    CHECK(fabs(loss / (2 * scale) - 1) < 1e-12, "loss: got %.17g, wants %.17g", loss, 2 * scale);
    for (int i = 0; i < 3; i++)
        CHECK(fabs(output[i] / (x[i] * scale) - 1) < 1e-12 && fabs(dx[i] / scale - 1) < 1e-12, "unit %d", i);
    for (int l = 0; l < MOST_LAYERS; l += 111) {
        fg_plan_get_weight_gradient(plan, l, dw);
        for (int i = 0; i < 9; i++)
            CHECK(fabs(dw[i] / (x[i / 3] * scale / gain) - 1) < 1e-12, "gradient %d of layer %d: %.17g", i, l, dw[i]);
    }
    CHECK(step_on(plan, &batch, FG_LOSS_inner_product, sgd, &loss, NULL) == FG_OK, "a step diverges");
    fg_network_get_weights(net, 500, dw);
    CHECK(fabs(dw[0] - (gain - 1e-3 * scale / gain)) < 1e-12, "weight after the step: got %.17g", dw[0]);
    fg_training_destroy(sgd);
    fg_plan_destroy(plan);
    fg_network_destroy(net);
}

/* A bad step between two good ones leaves neither parameters nor optimizer other than they were. `bad` is the size of an
 * input that overflows in the forward pass or, the loss still finite, only in the backward pass. */
static void test_divergence(fg_isa isa, fg_loss loss_kind, double bad) {
    const shape s = {.isa = isa, .dtype = FG_F32, .layers = 2, .has_bias = 1, .sizes = {3, 20, 2}};
    const float good[] = {1, -2, 3}, y[] = {0, 1}, x[] = {(float)bad, (float)bad, (float)bad};
    const fg_batch batch = {.rows = 1, .inputs = good, .targets = y},
                   bad_batch = {.rows = 1, .inputs = x, .targets = y};
    uint64_t results[2];
    CASE("%s divergence, %s", fg_isa_name(isa), fg_loss_name(loss_kind));
    for (int has_bad_step = 0; has_bad_step < 2; has_bad_step++) {
        double loss;
        random_state = 2;
        fg_network *const net = new_network(&s);
        float w[3 * 20];
        for (int i = 0; i < 3 * 20; i++)
            w[i] = 1 + 0.001f * (float)i;
        fg_network_set_weights(net, 0, w);
        fg_plan *const plan = new_plan(net, 1, FG_KEEPS_LEVELS);
        fg_training *const adam = new_training(net, FG_OPTIMIZER_adam);
        CHECK(step_on(plan, &batch, loss_kind, adam, &loss, NULL) == FG_OK, "a good step diverges");
        const uint64_t before = digest_parameters(net, &s);
        if (has_bad_step) {
            const fg_status status = step_on(plan, &bad_batch, loss_kind, adam, &loss, NULL);
            CHECK(status == FG_ERR_DIVERGED, "inputs of %g: status %d, loss %g", bad, (int)status, loss);
            CHECK(digest_parameters(net, &s) == before, "inputs of %g change the parameters", bad);
        }
        CHECK(fg_training_steps(adam) == 1, "the optimizer counts a step that was not made");
        CHECK(step_on(plan, &batch, loss_kind, adam, &loss, NULL) == FG_OK, "no step after a bad one");
        results[has_bad_step] = digest_parameters(net, &s);
        fg_training_destroy(adam);
        fg_plan_destroy(plan);
        fg_network_destroy(net);
    }
    CHECK(results[0] == results[1], "inputs of %g change the optimizer's state", bad);
}

/* Rounding mode and exceptions of this thread, and whether it flushes; asking clears the exceptions. */
typedef struct {
    int rounding, exceptions, flushes;
} floating_point_state;

static floating_point_state get_floating_point_state(void) {
    volatile double smallest = DBL_MIN;
    floating_point_state state = {fegetround(), fetestexcept(FE_ALL_EXCEPT), 0};
    state.flushes = smallest / 2 == 0.0;
    feclearexcept(FE_ALL_EXCEPT);
    return state;
}

static int is_callers_state(floating_point_state s) {
    return s.rounding == FE_DOWNWARD && s.exceptions == 0 && !s.flushes;
}

static void test_floating_point_state(fg_isa isa) {
    const shape s = {.isa = isa, .dtype = FG_F64, .layers = 1, .has_bias = 1, .sizes = {2, 1}};
    const double x[] = {INFINITY, 0.1}, y[] = {1}, zero[] = {0, 0};
    const fg_batch good = {.rows = 1, .inputs = zero, .targets = y}, bad = {.rows = 1, .inputs = x, .targets = y};
    double loss, statistics[FG_STATISTICS], z[2], derivative[2];
    int32_t exponent;
    fg_network *const net = new_network(&s);
    fg_plan *const inference = new_plan(net, 1, FG_KEEPS_OUTPUTS);
    fg_plan *const plan = new_plan(net, 1, FG_KEEPS_GRADIENTS);
    fg_training *const adam = new_training(net, FG_OPTIMIZER_adam);
    CASE("%s floating-point state", fg_isa_name(isa));
    fesetround(FE_DOWNWARD);
    feclearexcept(FE_ALL_EXCEPT);
    fg_network_set_weights(net, 0, zero);
#define KEEPS_STATE(call)                                                                                              \
    (void)(call);                                                                                                      \
    CHECK(is_callers_state(get_floating_point_state()), "%s changes the floating-point state", #call)
    KEEPS_STATE(step_on(plan, &good, FG_LOSS_mse, adam, &loss, statistics));
    KEEPS_STATE(step_on(plan, &bad, FG_LOSS_mse, adam, &loss, statistics));
    KEEPS_STATE((fg_plan_forward(plan, &good, NULL), 0));
    KEEPS_STATE((fg_plan_scaled_forward(inference, &bad, z, &exponent), 0));
    KEEPS_STATE((fg_plan_backward(plan, y), 0));
    KEEPS_STATE((fg_plan_get_statistics(plan, statistics), 0));
    KEEPS_STATE((fg_plan_gradients(plan, &bad, &(const fg_loss_config){FG_LOSS_cross_entropy}, &loss), 0));
    KEEPS_STATE((fg_plan_loss(plan, &bad, &(const fg_loss_config){FG_LOSS_huber}, &loss), 0));
    KEEPS_STATE((fg_map_unary(isa, FG_F64, FG_UNARY_log1p, 2, x, z), 0));
    KEEPS_STATE((fg_map_activation(isa, FG_F64, FG_ACTIVATION_gelu, 2, x, z, derivative), 0));
    KEEPS_STATE(fg_first_nonfinite(FG_F64, 2, x));
    KEEPS_STATE((fg_fma_peak(isa, FG_F64, 1e-4), 0));
#undef KEEPS_STATE
    fesetround(FE_TONEAREST);
    fg_training_destroy(adam);
    fg_plan_destroy(inference);
    fg_plan_destroy(plan);
    fg_network_destroy(net);
}

static void test_sizes_beyond_memory(fg_isa isa, fg_dtype dtype) {
    static const int64_t fans[][2] = {
        {INT32_MAX, INT32_MAX}, {(int64_t)1 << 62, 2}, {(int64_t)1 << 40, (int64_t)1 << 24}, {2, (int64_t)1 << 62}};
    static const int64_t rows[] = {(int64_t)1 << 48, (int64_t)1 << 49, (int64_t)1 << 52, (int64_t)1 << 62};
    const fg_activation identity = FG_ACTIVATION_identity;
    const int64_t wide[] = {1, 1 << 16};
    fg_network *net;
    fg_plan *plan;
    for (size_t i = 0; i < sizeof fans / sizeof *fans; i++) {
        CASE("%s %s network %lld x %lld", fg_isa_name(isa), real_name(dtype), (long long)fans[i][0],
             (long long)fans[i][1]);
        CHECK(fg_network_create(&net, isa, dtype, 1, fans[i], &identity, 1) == FG_ERR_MEMORY, "it was created");
    }
    CHECK(fg_network_create(&net, isa, dtype, 1, wide, &identity, 1) == FG_OK, "it was not created");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int mode = FG_KEEPS_OUTPUTS; mode <= FG_KEEPS_GRADIENTS; mode++) {
            CASE("%s %s plan %d of %lld rows", fg_isa_name(isa), real_name(dtype), mode, (long long)rows[i]);
            CHECK(fg_plan_create(&plan, net, rows[i], (fg_plan_memory)mode) == FG_ERR_MEMORY, "it was created");
        }
    fg_network_destroy(net);
}

int main(void) {
    FOR_EACH_ISA(isa) {
        for (int dtype = 0; dtype < FG_DTYPES; dtype++) {
            test_pack_roundtrip((fg_isa)isa, (fg_dtype)dtype);
            test_inference((fg_isa)isa, (fg_dtype)dtype);
            test_same_bits((fg_isa)isa, (fg_dtype)dtype);
            test_sizes_beyond_memory((fg_isa)isa, (fg_dtype)dtype);
        }
        test_gradients((fg_isa)isa);
        test_thousand_layers((fg_isa)isa);
        test_divergence((fg_isa)isa, FG_LOSS_mse, INFINITY);
        test_divergence((fg_isa)isa, FG_LOSS_mae, INFINITY);
        test_divergence((fg_isa)isa, FG_LOSS_mse, 1e30);
        test_floating_point_state((fg_isa)isa);
    }
    return EXIT_SUCCESS;
}
