/* The verdict on a step, under numbers that a sane training never meets: what it lets pass leaves parameters and states
 * finite, what it refuses changes no bit and could not have been represented, and an ordinary step needs no trial. */
#include "check.h"
#include "fpenv.h"
#include "networks.h"
#include "gradients.h"
#include "verdict.h"

enum { FUZZ_LAYERS = 2, FUZZ_WIDTH = 3, FUZZ_ROWS = 4, FUZZ_STEPS = 12, FUZZ_NETWORKS = 1500 };

static int chance(double probability) { return random_uniform(0, 1) < probability; }
static double power_between(double low, double high) { return exp2(random_uniform(low, high)); }
static double largest_power(fg_dtype dtype) { return dtype == FG_F32 ? 127 : 1023; }

/* State number j of a layer, or after the last its weights. */
static const void *array_of(const fg_training *o, int l, int j) {
    return j < o->state_count ? o->state[j][l] : o->net->layer[l].weights;
}

static int all_finite(const fg_training *o) {
    for (int l = 0; l < o->net->layers; l++)
        for (int j = 0; j <= o->state_count; j++)
            if (fg_first_nonfinite(o->net->kernels->dtype, (int64_t)o->net->layer[l].parameters, array_of(o, l, j)) >=
                0)
                return 0;
    return 1;
}

static uint64_t digest_everything(const fg_training *o) {
    uint64_t sum = digest(14695981039346656037u, &o->steps, sizeof o->steps);
    sum = digest(sum, &o->average_bound, sizeof o->average_bound);
    for (int l = 0; l < o->net->layers; l++)
        for (int j = 0; j <= o->state_count; j++)
            sum = digest(sum, array_of(o, l, j), o->net->layer[l].parameters * o->net->element_size);
    return sum;
}

/* What the step would have done without a verdict. */
static void apply_all_the_same(fg_plan *plan, fg_training *o) {
    const fg_fpenv caller = fg_fpenv_enter();
    const fg_pass pass = {.plan = plan, .training = o};
    fg_reset_counters(plan);
    fg_produce_and_apply(&pass, (fg_member){NULL, 0, 1});
    fg_fpenv_leave(caller);
}

typedef struct {
    fg_network *net;
    fg_training *training;
    fg_plan *plan;
} rig;

static rig new_clipped_rig(const shape *s, fg_optimizer_config optimizer, fg_clip_config clip, int64_t rows) {
    rig r = {.net = new_network(s)};
    const fg_training_config config = {.optimizer = optimizer, .clip = clip};
    CHECK(fg_training_create(&r.training, r.net, &config) == FG_OK, "no training");
    r.plan = new_plan(r.net, rows, FG_KEEPS_LEVELS);
    return r;
}

static rig new_rig(const shape *s, fg_optimizer_config optimizer, int64_t rows) {
    return new_clipped_rig(s, optimizer, (fg_clip_config){FG_CLIP_none, 0, 0, 0}, rows);
}

static void destroy_rig(rig r) {
    fg_plan_destroy(r.plan);
    fg_training_destroy(r.training);
    fg_network_destroy(r.net);
}

/* Of any size that the dtype has, some of them zero. */
static void draw(fg_dtype dtype, void *array, int64_t n) {
    const double top = chance(0.3) ? largest_power(dtype) : 40;
    const double size = chance(0.2) ? 0 : power_between(-60, top);
    for (int64_t i = 0; i < n; i++)
        real_put(dtype, array, i, chance(0.2) ? 0 : random_uniform(-size, size));
}

static double draw_rate(void) { return chance(0.5) ? 1 - power_between(-53, -0.1) : random_uniform(0, 1); }

static fg_optimizer_config draw_config(fg_dtype dtype) {
    const double top = largest_power(dtype);
    fg_optimizer_config c = {.kind = (fg_optimizer_kind)random_between(0, FG_OPTIMIZERS - 1)};
    c.lr = chance(0.1) ? 0 : power_between(-top, chance(0.3) ? top : 11);
    c.weight_decay = chance(0.3) ? 0 : power_between(-top, chance(0.2) ? top : 1);
    c.decoupled = c.kind == FG_OPTIMIZER_adam && chance(0.3);
    c.momentum = chance(0.1) ? random_uniform(1, 4) : draw_rate();
    c.dampening = chance(0.5) ? 0 : random_uniform(-2, 2);
    c.nesterov = chance(0.3);
    c.beta1 = draw_rate();
    c.beta2 = chance(0.3) ? 0 : draw_rate();
    c.eps = power_between(chance(0.5) ? -top - 20 : -30, 2);
    return c;
}

/* Bounds of any size, of the whole range of double among them. */
static fg_clip_config draw_clip(void) {
    const double far = chance(0.3) ? 1020 : 40;
    return (fg_clip_config){.kind = chance(0.4) ? FG_CLIP_none : (fg_clip_kind)random_between(0, FG_CLIPS - 1),
                            .bound = power_between(-far, far),
                            .eps = power_between(-far, chance(0.2) ? 10 : -3),
                            .output = chance(0.7)};
}

static void draw_parameters(fg_network *net) {
    double numbers[FUZZ_WIDTH * FUZZ_WIDTH];
    for (int l = 0; l < net->layers; l++) {
        const fg_layer *layer = &net->layer[l];
        draw(net->kernels->dtype, numbers, layer->fan_in * layer->fan_out);
        if (chance(0.7))
            fg_network_set_weights(net, l, numbers);
        draw(net->kernels->dtype, numbers, layer->fan_out);
        if (net->has_bias && chance(0.5))
            fg_network_set_bias(net, l, numbers);
    }
}

/* Returns whether the network can go on: a refused step may be done all the same, to see that it had to be refused. */
static int fuzz_step(rig r, int counts[2]) {
    const fg_network *net = r.net;
    fg_training *const o = r.training;
    const fg_loss losses[] = {FG_LOSS_mse, FG_LOSS_mae, FG_LOSS_l2_norm, FG_LOSS_inner_product};
    double x[FUZZ_ROWS * FUZZ_WIDTH], y[FUZZ_ROWS * FUZZ_WIDTH], loss;
    const fg_batch batch = {.rows = random_between(1, FUZZ_ROWS), .inputs = x, .targets = y};
    draw(net->kernels->dtype, x, batch.rows * net->layer[0].fan_in);
    draw(net->kernels->dtype, y, batch.rows * net->layer[net->layers - 1].fan_out);
    const uint64_t before = digest_everything(o);
    if (step_on(r.plan, &batch, losses[random_between(0, 3)], o, &loss, NULL) == FG_OK) {
        CHECK(isfinite(loss) && all_finite(o), "a step of loss %g leaves what is not finite", loss);
        counts[1]++;
        return 1;
    }
    CHECK(digest_everything(o) == before, "a refused step of loss %g changes something", loss);
    if (!isfinite(loss) || chance(0.5) || fg_clip_waits(o->config.clip.kind))
        return 1;
    apply_all_the_same(r.plan, o);
    CHECK(!all_finite(o), "a step of loss %g is refused for nothing", loss);
    counts[0]++;
    return 0;
}

static void fuzz_network(fg_isa isa, fg_dtype dtype, int counts[2]) {
    shape s = {.isa = isa, .dtype = dtype, .layers = FUZZ_LAYERS, .has_bias = chance(0.8)};
    for (int l = 0; l <= FUZZ_LAYERS; l++)
        s.sizes[l] = random_between(1, FUZZ_WIDTH);
    s.activations[0] = (fg_activation)random_between(0, FG_ACTIVATIONS - 1);
    const fg_optimizer_config c = draw_config(dtype);
    const fg_clip_config clip = draw_clip();
    const rig r = new_clipped_rig(&s, c, clip, FUZZ_ROWS);
    for (int step = 0, goes_on = 1; step < FUZZ_STEPS && goes_on; step++) {
        CASE("%s %s %s, %d: %g %g %g %g 1-%g 1-%g %g, clip %s %g %g", fg_isa_name(isa), real_name(dtype),
             fg_optimizer_name(c.kind), step, c.lr, c.weight_decay, c.momentum, c.dampening, 1 - c.beta1, 1 - c.beta2,
             c.eps, fg_clip_name(clip.kind), clip.bound, clip.eps);
        if (chance(0.3))
            draw_parameters(r.net);
        goes_on = fuzz_step(r, counts);
    }
    destroy_rig(r);
}

static void test_fuzz(fg_isa isa, fg_dtype dtype) {
    int counts[2] = {0}; /* of steps proved to be rightly refused, and of steps done */
    for (int i = 0; i < FUZZ_NETWORKS; i++)
        fuzz_network(isa, dtype, counts);
    CASE("%s %s fuzz", fg_isa_name(isa), real_name(dtype));
    CHECK(counts[1] > FUZZ_NETWORKS && counts[0] > FUZZ_NETWORKS / 20,
          "the fuzz is one-sided: %d steps done, %d refused", counts[1], counts[0]);
}

/* Nothing but zeros, one unit after one unit, the first a ReLU that is off. */
enum { ZERO_ROWS = 16 };
static rig new_zero_rig(fg_isa isa, fg_dtype dtype, fg_optimizer_config config) {
    const shape s = {isa, dtype, 2, 1, {1, 1, 1}, {FG_ACTIVATION_relu}};
    const rig r = new_rig(&s, config, ZERO_ROWS);
    for (int l = 0; l < s.layers; l++)
        fg_network_set_weights(r.net, l, (const double[]){0}), fg_network_set_bias(r.net, l, (const double[]){0});
    return r;
}

/* A step on `rows` rows, each the input x, whose outputs' gradients are y. */
static fg_status rig_step(rig r, int64_t rows, double x, double y) {
    const fg_dtype dtype = r.net->kernels->dtype;
    double inputs[ZERO_ROWS], targets[ZERO_ROWS], loss;
    const fg_batch batch = {.rows = rows, .inputs = inputs, .targets = targets};
    for (int64_t i = 0; i < rows; i++)
        real_put(dtype, inputs, i, x), real_put(dtype, targets, i, y);
    const uint64_t before = digest_everything(r.training);
    const fg_status status = step_on(r.plan, &batch, FG_LOSS_inner_product, r.training, &loss, NULL);
    CHECK(status == FG_OK || digest_everything(r.training) == before, "a refused step changes something");
    CHECK((status != FG_OK || isfinite(loss)) && all_finite(r.training), "loss %g, or parameters that are not finite",
          loss);
    return status;
}

static void test_replaced_parameters(fg_isa isa, fg_dtype dtype) {
    const fg_optimizer_config sgd = {.kind = FG_OPTIMIZER_sgd, .lr = 1024, .weight_decay = 1};
    void (*const replace[])(fg_network *, int, const void *) = {fg_network_set_weights, fg_network_set_bias};
    double huge;
    real_put(dtype, &huge, 0, -exp2(largest_power(dtype)));
    for (int i = 0; i < 2; i++) {
        const rig r = new_zero_rig(isa, dtype, sgd);
        CASE("%s %s replaced %s", fg_isa_name(isa), real_name(dtype), i ? "bias" : "weights");
        CHECK(rig_step(r, 1, 0, 0) == FG_OK && fg_judge_step(r.plan, r.training, 0) == FG_APPLY,
              "a step of nothing is not certain");
        replace[i](r.net, 0, &huge);
        CHECK(fg_judge_step(r.plan, r.training, 0) == FG_SETTLE, "unknown parameters are certain");
        CHECK(rig_step(r, 1, 0, 0) == FG_ERR_DIVERGED, "1023 times the largest power of two is finite");
        destroy_rig(r);
    }
}

/* Steps that no representable number results from, each for a reason of its own, after a step of nothing. A centered
 * variance without memory is exactly zero where the gradient is a power of two: eps alone divides. */
static void test_overflows(fg_isa isa, fg_dtype dtype) {
    const double top = largest_power(dtype), huge = exp2(top - 7), gradient = exp2(dtype == FG_F32 ? 25 : 180);
    const struct {
        const char *what;
        fg_optimizer_config config;
        int64_t rows;
        double x, y;
    } cases[] = {
        {"lr", {.kind = FG_OPTIMIZER_sgd, .lr = huge}, 1, 1, gradient},
        {"dampening", {.kind = FG_OPTIMIZER_sgd_momentum, .lr = 1, .dampening = -huge}, 1, 1, gradient},
        {"eps", {.kind = FG_OPTIMIZER_rmsprop_centered, .lr = 1, .eps = 1 / huge}, 1, 1, gradient},
        {"sum of a bias", {.kind = FG_OPTIMIZER_sgd, .lr = 1e-3}, ZERO_ROWS, 0, 16 * huge},
        {"rmsprop's gradient", {.kind = FG_OPTIMIZER_rmsprop, .lr = 1, .eps = 1e-8}, ZERO_ROWS, 0, 16 * huge},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const rig r = new_zero_rig(isa, dtype, cases[i].config);
        CASE("%s %s overflow of %s", fg_isa_name(isa), real_name(dtype), cases[i].what);
        CHECK(rig_step(r, 1, 0, 0) == FG_OK, "a step of nothing is refused");
        CHECK(rig_step(r, cases[i].rows, cases[i].x, cases[i].y) == FG_ERR_DIVERGED, "not refused");
        CHECK(rig_step(r, 1, 0, 0) == FG_OK, "no step after a refused one");
        destroy_rig(r);
    }
}

/* Gradients whose squares leave the range, by more than the certificate's and by less than the dtype's. */
static void test_exploded_gradients_are_applied(fg_isa isa, fg_dtype dtype, fg_optimizer_kind kind) {
    const fg_optimizer_config c = {kind, .lr = 1e-3, .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8};
    const rig r = new_zero_rig(isa, dtype, c);
    CASE("%s %s %s exploded gradients", fg_isa_name(isa), real_name(dtype), fg_optimizer_name(kind));
    for (int step = 0; step < 8; step++)
        CHECK(rig_step(r, 1, 1, exp2((0.55 + 0.04 * step) * largest_power(dtype))) == FG_OK, "step %d is refused",
              step);
    destroy_rig(r);
}

/* Options drawn from the whole range that is certain, its ends included, against gradients of any size that come and go:
 * hardly a step is tried, and none leaves what is not finite. Where beta1^2 > beta2, m may outlive v, and a step may have
 * to be tried or refused. */
static double draw_from(const double *ends, int64_t count, double low, double high) {
    return chance(0.7) ? ends[random_between(0, count - 1)] : random_uniform(low, high);
}

static fg_optimizer_config draw_certain_config(fg_dtype dtype) {
    static const double rates[] = {0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0x1p-60}; /* float32 keeps the last as 0 */
    fg_optimizer_config c = {.kind = (fg_optimizer_kind)random_between(0, FG_OPTIMIZERS - 1)};
    const int centered = c.kind == FG_OPTIMIZER_rmsprop_centered || c.kind == FG_OPTIMIZER_rmsprop_centered_momentum;
    c.lr = chance(0.3) ? 0x1p10 : power_between(-20, 10);
    c.weight_decay = draw_from((const double[]){0, 1}, 2, 0, 1);
    c.decoupled = c.kind == FG_OPTIMIZER_adam && chance(0.3);
    c.momentum = draw_from(rates, 7, 0, 0.9999);
    c.beta2 = draw_from(rates, 7, 0, 0.9999);
    c.beta1 = draw_from(rates, 7, 0, 0.9999);
    c.eps = centered ? power_between(-49, 2) : chance(0.5) ? exp2(-largest_power(dtype) + 1) : power_between(-100, 2);
    return c;
}

/* Of any size, small and zero ones among them, and both signs. */
static double draw_gradient(double most) {
    const double size = chance(0.1) ? 0 : chance(0.2) ? exp2(most) : power_between(-120, most);
    return chance(0.5) ? size : -size;
}

static void test_certain_options(fg_isa isa, fg_dtype dtype) {
    enum { CONFIGS = 2000, STEPS = 60, CALM_STEPS = 3 };
    int64_t applied = 0;
    for (int i = 0; i < CONFIGS; i++) {
        const fg_optimizer_config c = draw_certain_config(dtype);
        const rig r = new_zero_rig(isa, dtype, c);
        const fg_clip_config clip = r.training->config.clip = draw_clip();
        const int tried_at = chance(0.3) ? (int)random_between(0, STEPS) : -1;
        double calm = 0;
        for (int step = 0; step < STEPS; step++) {
            CASE("%s %s %s certain, %d: lr %g decay %g momentum %g betas %g %g eps %g, clip %s %g %g", fg_isa_name(isa),
                 real_name(dtype), fg_optimizer_name(c.kind), step, c.lr, c.weight_decay, c.momentum, c.beta1, c.beta2,
                 c.eps, fg_clip_name(clip.kind), clip.bound, clip.eps);
            if (chance(0.1))
                calm = draw_gradient(dtype == FG_F32 ? 26 : 190);
            const double y = step == tried_at ? draw_gradient(largest_power(dtype) - 8)
                             : chance(0.5)    ? calm
                                              : draw_gradient(dtype == FG_F32 ? 26 : 190);
            if (rig_step(r, 1, chance(0.5) ? 1 : 0, y) != FG_OK) {
                CHECK(fg_judge_step(r.plan, r.training, 0) == FG_SETTLE || step == tried_at, "refused, and certain");
                break;
            }
            if (tried_at < 0 && r.net->layer[0].weight_bound < 0x1p39 && r.net->layer[1].weight_bound < 0x1p39 &&
                r.net->layer[1].bias_bound < 0x1p39 && step > 0)
                applied += fg_judge_step(r.plan, r.training, 0) == FG_APPLY;
        }
        destroy_rig(r);
    }
    CASE("%s %s certain options", fg_isa_name(isa), real_name(dtype));
    CHECK(applied > CONFIGS * STEPS / 4, "only %d steps were certain", (int)applied);
}

/* What a step does to a weight or to a momentum counts in the verdict on the next. */
static void test_growth_in_a_step(fg_isa isa, fg_dtype dtype) {
    const double large = exp2(largest_power(dtype) - 15);
    const fg_optimizer_config configs[] = {
        {.kind = FG_OPTIMIZER_sgd, .lr = 1024, .weight_decay = 1},
        {.kind = FG_OPTIMIZER_sgd_momentum, .lr = 1, .momentum = large},
    };
    for (int i = 0; i < 2; i++) {
        const rig r = new_zero_rig(isa, dtype, configs[i]);
        CASE("%s %s growth of a %s", fg_isa_name(isa), real_name(dtype), i ? "momentum" : "weight");
        CHECK(rig_step(r, 1, 0, i ? exp2(20) : large) == FG_OK, "a step that can be represented is refused");
        CHECK(rig_step(r, 1, 0, 0) == FG_ERR_DIVERGED, "a step that cannot be represented is done");
        destroy_rig(r);
    }
}

static void test_ordinary_steps_are_certain(fg_isa isa, fg_dtype dtype, fg_optimizer_config c) {
    const shape s = {isa, dtype, 3, 1, {20, 50, 30, 4}, {FG_ACTIVATION_relu, FG_ACTIVATION_tanh}};
    const rig r = new_rig(&s, c, 70);
    void *const x = new_reals(dtype, 70 * 20, -2, 2), *const y = new_reals(dtype, 70 * 4, -2, 2);
    const fg_batch batch = {.rows = 70, .inputs = x, .targets = y};
    double loss;
    CASE("%s %s %s ordinary steps, lr %g decay %g momentum %g betas %g %g eps %g", fg_isa_name(isa), real_name(dtype),
         fg_optimizer_name(c.kind), c.lr, c.weight_decay, c.momentum, c.beta1, c.beta2, c.eps);
    for (int step = 0; step < 5; step++) {
        CHECK(step_on(r.plan, &batch, FG_LOSS_mse, r.training, &loss, NULL) == FG_OK, "step %d is refused", step);
        CHECK(fg_judge_step(r.plan, r.training, loss) == FG_APPLY, "step %d needs a trial", step + 1);
    }
    CHECK(fg_training_steps(r.training) == 5, "five steps are not counted");
    CHECK(fg_judge_step(r.plan, r.training, NAN) == FG_REFUSE, "a loss that is no number passes");
    free(x), free(y);
    destroy_rig(r);
}

/* Ends of the range of each option, around what is usual. */
static void test_options_that_are_certain(fg_isa isa, fg_dtype dtype, fg_optimizer_kind kind) {
    const int centered = kind == FG_OPTIMIZER_rmsprop_centered || kind == FG_OPTIMIZER_rmsprop_centered_momentum;
    const fg_optimizer_config usual = {kind, .lr = 1e-3, .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    const double smallest = dtype == FG_F32 ? 0x1p-126 : 0x1p-1022, eps[] = {centered ? 1e-15 : smallest, 1e-10, 1};
    const double rates[] = {centered ? 0.25 : 0, 0.5, 0.9999}; /* without any memory eps alone divides */
    test_ordinary_steps_are_certain(isa, dtype, usual);
    for (int i = 0; i < 3; i++) {
        fg_optimizer_config c = usual;
        c.eps = eps[i];
        test_ordinary_steps_are_certain(isa, dtype, c);
        c.momentum = c.beta2 = rates[i];
        for (int j = 0; j <= i; j++) {
            c.beta1 = rates[j];
            test_ordinary_steps_are_certain(isa, dtype, c);
        }
    }
    for (int i = 0; i < 2; i++) {
        fg_optimizer_config c = usual;
        c.lr = 0, c.weight_decay = 1, c.decoupled = kind == FG_OPTIMIZER_adam && i;
        test_ordinary_steps_are_certain(isa, dtype, c);
    }
}

/* Refused for its loss and refused after a trial, by several threads and in both schedules. */
static void test_refusal_by_threads(fg_isa isa, int threads, int64_t width) {
    enum { ROWS = 256, INPUTS = 40, OUTPUTS = 8 };
    const shape s = {isa, FG_F32, 2, 1, {INPUTS, width, OUTPUTS}, {FG_ACTIVATION_relu}};
    const fg_optimizer_config sgd = {.kind = FG_OPTIMIZER_sgd, .lr = 1e5};
    fg_set_threads(threads);
    const rig r = new_rig(&s, sgd, ROWS);
    float *const x = new_reals(FG_F32, ROWS * INPUTS, -1, 1), *const y = new_reals(FG_F32, ROWS * OUTPUTS, -1, 1);
    const fg_batch batch = {.rows = ROWS, .inputs = x, .targets = y};
    double loss;
    CASE("%s refusal by %d threads, %d units", fg_isa_name(isa), threads, (int)width);
    CHECK(r.plan->flops_per_row * ROWS > 2e6 * threads, "too small a step for %d threads", threads);
    CHECK(step_on(r.plan, &batch, FG_LOSS_mse, r.training, &loss, NULL) == FG_OK, "a good step is refused");
    const uint64_t before = digest_everything(r.training);
    for (int i = 0; i < 6; i++) {
        y[i] = i % 2 ? INFINITY : 3e38f;
        CHECK(step_on(r.plan, &batch, FG_LOSS_mse, r.training, &loss, NULL) == FG_ERR_DIVERGED, "a target of %g", y[i]);
        CHECK(digest_everything(r.training) == before, "a refused step changes something");
        CHECK(isfinite(loss) == (i % 2 == 0), "a target of %g: loss %g", y[i], loss);
        y[i] = 0;
    }
    CHECK(step_on(r.plan, &batch, FG_LOSS_mse, r.training, &loss, NULL) == FG_OK, "no step after refused ones");
    free(x), free(y);
    destroy_rig(r);
    fg_set_threads(1);
}

int main(void) {
    fg_set_threads(1);
    FOR_EACH_ISA(isa) {
        for (int dtype = 0; dtype < FG_DTYPES; dtype++) {
            test_replaced_parameters((fg_isa)isa, (fg_dtype)dtype);
            test_overflows((fg_isa)isa, (fg_dtype)dtype);
            test_growth_in_a_step((fg_isa)isa, (fg_dtype)dtype);
            for (int kind = 0; kind < FG_OPTIMIZERS; kind++)
                test_options_that_are_certain((fg_isa)isa, (fg_dtype)dtype, (fg_optimizer_kind)kind);
            for (int kind = FG_OPTIMIZER_adam; kind < FG_OPTIMIZERS; kind++)
                test_exploded_gradients_are_applied((fg_isa)isa, (fg_dtype)dtype, (fg_optimizer_kind)kind);
            test_certain_options((fg_isa)isa, (fg_dtype)dtype);
            test_fuzz((fg_isa)isa, (fg_dtype)dtype);
        }
        for (int threads = 2; threads <= 4; threads++) {
            test_refusal_by_threads((fg_isa)isa, threads, 200);
            test_refusal_by_threads((fg_isa)isa, threads, 8000);
        }
    }
    return EXIT_SUCCESS;
}
