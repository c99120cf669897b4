/* Clipped steps: gradients, bounds and factors at the ends of the range, the same bits for any number of threads and
 * either schedule, and clips that do nothing. */
#include "check.h"
#include "networks.h"
#include "plan.h"
#include <float.h>

static fg_training *clipped_training(const fg_network *net, fg_optimizer_config optimizer, fg_clip_config clip) {
    const fg_training_config config = {.optimizer = optimizer, .clip = clip, .loss = {FG_LOSS_inner_product}};
    fg_training *training;
    CHECK(fg_training_create(&training, net, &config) == FG_OK, "no training");
    return training;
}

/* One layer without bias, one row x, whose outputs' gradients are y: dL/dW = x y. */
enum { MOST_UNITS = 3 };
typedef struct {
    const char *what;
    fg_clip_config clip;
    double lr;
    int64_t units;
    double x, y[MOST_UNITS], weights[MOST_UNITS], after[MOST_UNITS], factor;
} extreme;

static void test_extreme(fg_isa isa, fg_dtype dtype, const extreme *c) {
    const shape s = {isa, dtype, 1, 0, {1, c->units}, {FG_ACTIVATION_identity}};
    const fg_optimizer_config sgd = {.kind = FG_OPTIMIZER_sgd, .lr = c->lr};
    double statistics[FG_STATISTICS], x, y[MOST_UNITS], w[MOST_UNITS];
    const fg_batch batch = {.rows = 1, .inputs = &x, .targets = y};
    fg_step_result result;
    fg_network *const net = new_network(&s);
    fg_plan *const plan = new_plan(net, 40, FG_KEEPS_LEVELS);
    fg_training *const training = clipped_training(net, sgd, c->clip);
    CASE("%s %s %s", fg_isa_name(isa), real_name(dtype), c->what);
    real_put(dtype, &x, 0, c->x);
    for (int64_t u = 0; u < c->units; u++)
        real_put(dtype, y, u, c->y[u]), real_put(dtype, w, u, c->weights[u]);
    fg_network_set_weights(net, 0, w);
    CHECK(fg_plan_step(plan, training, &batch, &result, statistics) == FG_OK, "the step is refused");
    fg_network_get_weights(net, 0, w);
    for (int64_t u = 0; u < c->units; u++) {
        const double got = real_at(dtype, w, u), far = fabs(got - c->after[u]);
        CHECK(far <= 8 * real_epsilon(dtype) * fabs(c->after[u]), "unit %d: got %g, wants %g", (int)u, got,
              c->after[u]);
    }
    /* Where a processor does not flush, what is below the normal numbers may be any number there. */
    const double factor = statistics[FG_STATISTIC_clip_factor], flushed = factor < DBL_MIN ? 0 : factor;
    CHECK(fabs(flushed - c->factor) <= 1e-5 * c->factor, "clip_factor: got %g, wants %g", factor, c->factor);
    fg_training_destroy(training);
    fg_plan_destroy(plan);
    fg_network_destroy(net);
}

static const extreme of_float64[] = {
    {"a bound near the end of the range",
     {FG_CLIP_norm, 1.5e308, 1e-6, 1},
     1e-300,
     1,
     0x1p600,
     {0x1p600},
     {0},
     {-1.5e8},
     1.5e308 * 0x1p-1000 * 0x1p-200},
    {"a norm that only exponents hold, beside eps",
     {FG_CLIP_norm, 1e-7, 1e-6, 1},
     1,
     1,
     0x1p-600,
     {0x1p-600},
     {0},
     {0},
     0.1},
    {"a factor below the range of double",
     {FG_CLIP_adaptive, 1e-300, 1, 1},
     1,
     2,
     1,
     {0x1p40, 0x1p40},
     {0, 0},
     {-1e-300, -1e-300},
     0},
    {"a bound below it", {FG_CLIP_adaptive, 1e-300, 1e-300, 1}, 1, 1, 1, {1}, {0}, {0}, 0},
};
static const extreme of_float32[] = {
    {"factors too far apart",
     {FG_CLIP_adaptive, 0x1p60, 1e-300, 1},
     0x1p-50,
     2,
     0x1p39,
     {0x1p39, 0x1p39},
     {0x1p38, 0},
     {0x1p38 - 0x1p28, 0},
     0.70710678},
    {"factors too far apart, of gradients with an exponent",
     {FG_CLIP_adaptive, 1, 1e-300, 1},
     0x1p9,
     2,
     0x1p39,
     {0x1p-50, 0x1p-50},
     {1, 0},
     {1 - 0x1p-2, 0},
     0.70710678},
    {"a bound near the end of the range",
     {FG_CLIP_norm, 0x1p126, 1e-6, 1},
     0x1p-100,
     1,
     0x1p120,
     {0x1p120},
     {0},
     {-0x1p26},
     0x1p-114},
    {"a bound below the range", {FG_CLIP_layer_norm, 1e-300, 1e-6, 1}, 1, 1, 1, {1}, {0.5}, {0.5}, 1e-300},
    {"a small bound, grown by the lr",
     {FG_CLIP_norm, 0x1p-120, 1e-300, 1},
     0x1p9,
     1,
     0x1p60,
     {0x1p60},
     {0},
     {-0x1p-111},
     0x1p-240},
};

/* Random networks, clips and optimizers. */
typedef struct {
    shape s;
    int64_t rows;
    void *x, *y;
    fg_optimizer_config optimizer;
    fg_clip_config clip;
} job;

static job random_job(fg_isa isa, fg_dtype dtype, int has_work) {
    const int64_t least = has_work ? 60 : 1, most = has_work ? 150 : 40;
    job j = {
        .s = {.isa = isa, .dtype = dtype, .layers = (int)random_between(1, 4), .has_bias = random_between(0, 3) > 0}};
    for (int l = 0; l <= j.s.layers; l++) {
        j.s.sizes[l] = random_between(least, most);
        j.s.activations[l] = (fg_activation)random_between(0, FG_ACTIVATIONS - 1);
    }
    j.rows = random_between(0, 3) ? random_between(least, most) : random_between(500, 800);
    j.x = new_reals(dtype, j.rows * j.s.sizes[0], -1, 1);
    j.y = new_reals(dtype, j.rows * j.s.sizes[j.s.layers], -1, 1);
    j.optimizer = (fg_optimizer_config){.kind = (fg_optimizer_kind)random_between(0, FG_OPTIMIZERS - 1),
                                        .lr = random_between(0, 1) ? 1e-3 : 0x1p11, /* the second is in doubt */
                                        .weight_decay = random_between(0, 1) ? 0 : 1e-3,
                                        .momentum = 0.9,
                                        .beta1 = 0.9,
                                        .beta2 = 0.99,
                                        .eps = 1e-8};
    j.clip = (fg_clip_config){.kind = (fg_clip_kind)random_between(0, FG_CLIPS - 1),
                              .bound = exp2(random_uniform(-20, 4)),
                              .eps = 1e-6,
                              .output = (int)random_between(0, 1)};
    return j;
}

static void free_job(job *j) { free(j->x), free(j->y); }

/* Digest of results, statistics and parameters of a few steps. */
static uint64_t run_job(const job *j, int threads, fg_schedule schedule, const fg_clip_config *clip) {
    double statistics[FG_STATISTICS * 4] = {0};
    const uint64_t before = random_state;
    uint64_t sum = 0;
    random_state = 7;
    fg_set_threads(threads);
    fg_network *const net = new_network(&j->s);
    fg_plan *const plan = new_plan(net, j->rows + random_between(0, 100), FG_KEEPS_LEVELS);
    fg_training *const training = clipped_training(net, j->optimizer, *clip);
    plan->schedule = schedule;
    random_state = before;
    for (int step = 0; step < 3; step++) {
        const fg_batch batch = {.rows = j->rows - step % 2 * (j->rows / 2), .inputs = j->x, .targets = j->y};
        fg_step_result result;
        training->config.loss.kind = FG_LOSS_mse;
        const fg_status status = fg_plan_step(plan, training, &batch, &result, step == 1 ? NULL : statistics);
        const double values[] = {(double)status, result.loss, clip->kind == FG_CLIP_norm ? result.clip_norm : 0};
        sum = digest(sum, values, sizeof values);
        sum = digest(sum, statistics, (size_t)(FG_STATISTICS * j->s.layers) * sizeof *statistics);
    }
    sum = digest(sum, &(uint64_t){digest_parameters(net, &j->s)}, sizeof sum);
    fg_training_destroy(training);
    fg_plan_destroy(plan);
    fg_network_destroy(net);
    fg_set_threads(1);
    return sum;
}

static void test_same_bits(fg_isa isa, fg_dtype dtype, int jobs) {
    for (int i = 0; i < jobs; i++) {
        job j = random_job(isa, dtype, 1);
        const uint64_t want = run_job(&j, 1, FG_BATCH_SLICED, &j.clip);
        CASE("%s %s job %d, %s clip %s %g", fg_isa_name(isa), real_name(dtype), i, fg_optimizer_name(j.optimizer.kind),
             fg_clip_name(j.clip.kind), j.clip.bound);
        for (int threads = 1; threads <= 8; threads += threads < 3 ? 1 : 2) {
            CHECK(run_job(&j, threads, FG_BATCH_SLICED, &j.clip) == want, "sliced on %d threads differs", threads);
            CHECK(run_job(&j, threads, FG_LAYER_SYNCHRONOUS, &j.clip) == want, "synchronous on %d threads differs",
                  threads);
        }
        free_job(&j);
    }
}

/* Parameters, losses and every statistic. */
static void test_clips_that_do_nothing(fg_isa isa, fg_dtype dtype, int jobs) {
    const fg_clip_config none = {FG_CLIP_none, 0, 0, 0};
    for (int i = 0; i < jobs; i++) {
        job j = random_job(isa, dtype, 0);
        fg_clip_config clip = {(fg_clip_kind)(1 + i % (FG_CLIPS - 1)), 1e300, 1, 1};
        CASE("%s %s job %d, clip %s", fg_isa_name(isa), real_name(dtype), i, fg_clip_name(clip.kind));
        uint64_t want = run_job(&j, 1, FG_BATCH_SLICED, &none), got;
        if (clip.kind == FG_CLIP_norm) /* its norm is a result */
            clip.kind = FG_CLIP_layer_norm;
        got = run_job(&j, 1, FG_BATCH_SLICED, &clip);
        CHECK(got == want, "it does something");
        free_job(&j);
    }
}

int main(void) {
    fg_set_threads(1);
    FOR_EACH_ISA(isa) {
        for (size_t i = 0; i < sizeof of_float64 / sizeof *of_float64; i++)
            test_extreme((fg_isa)isa, FG_F64, &of_float64[i]);
        for (size_t i = 0; i < sizeof of_float32 / sizeof *of_float32; i++)
            test_extreme((fg_isa)isa, FG_F32, &of_float32[i]);
        for (int dtype = 0; dtype < FG_DTYPES; dtype++) {
            test_clips_that_do_nothing((fg_isa)isa, (fg_dtype)dtype, 40);
            test_same_bits((fg_isa)isa, (fg_dtype)dtype, 5);
        }
    }
    return EXIT_SUCCESS;
}
