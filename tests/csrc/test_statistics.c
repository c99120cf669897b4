/* The statistics of a step against plain sums over the arrays that the engine gives out. */
#include "check.h"
#include "networks.h"

/* Root of the sum of squares of an array's n numbers, each less those of `less` where given. */
static double norm_of(const double *x, const double *less, int64_t n) {
    long double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += ((long double)x[i] - (less ? less[i] : 0)) * ((long double)x[i] - (less ? less[i] : 0));
    return (double)sqrtl(sum);
}

static void check_statistic(const double *statistics, fg_statistic which, int layers, int l, double want) {
    const double got = statistics[which * layers + l];
    CHECK(fabs(got - want) <= 1e-10 * fabs(want), "%s of layer %d: got %.17g, wants %.17g", fg_statistic_name(which), l,
          got, want);
}

/* Of one layer, from the arrays that the engine gives out; tanh' is 1 - a^2. Adam's first step is lr g / (|g| + eps). */
static void check_layer_statistics(const fg_plan *plan, const fg_network *net, const shape *s, int l, int64_t rows,
                                   const double *w, const double *statistics) {
    const int64_t n = s->sizes[l] * s->sizes[l + 1], entries = rows * s->sizes[l + 1];
    double *const now = new_reals(FG_F64, n, 0, 0), *const dw = new_reals(FG_F64, n, 0, 0);
    double *const a = new_reals(FG_F64, entries, 0, 0), *const delta = new_reals(FG_F64, entries, 0, 0);
    double *const db = new_reals(FG_F64, s->sizes[l + 1], 0, 0);
    double sum = 0.0, derivatives = 0.0;
    fg_network_get_weights(net, l, now);
    fg_plan_get_weight_gradient(plan, l, dw);
    fg_plan_get_bias_gradient(plan, l, db);
    fg_plan_get_activation(plan, l, a);
    fg_plan_get_delta(plan, l, delta);
    for (int64_t i = 0; i < entries; i++) {
        sum += a[i];
        derivatives += s->activations[l] == FG_ACTIVATION_tanh ? 1 - a[i] * a[i] : 1;
    }
    for (int64_t i = 0; i < n; i++)
        CHECK(fabs(now[i] - w[i] + 1e-3 * dw[i] / (fabs(dw[i]) + 1e-8)) < 1e-12,
              "layer %d, weight %d moves by %g for a gradient of %g", l, (int)i, now[i] - w[i], dw[i]);
    check_statistic(statistics, FG_STATISTIC_act_mean, s->layers, l, sum / (double)entries);
    check_statistic(statistics, FG_STATISTIC_act_rms, s->layers, l, norm_of(a, NULL, entries) / sqrt((double)entries));
    check_statistic(statistics, FG_STATISTIC_deriv_mean, s->layers, l, derivatives / (double)entries);
    check_statistic(statistics, FG_STATISTIC_delta_norm, s->layers, l, norm_of(delta, NULL, entries));
    check_statistic(statistics, FG_STATISTIC_grad_norm, s->layers, l, norm_of(dw, NULL, n));
    check_statistic(statistics, FG_STATISTIC_bias_grad_norm, s->layers, l, norm_of(db, NULL, s->sizes[l + 1]));
    check_statistic(statistics, FG_STATISTIC_weight_norm, s->layers, l, norm_of(w, NULL, n));
    check_statistic(statistics, FG_STATISTIC_update_norm, s->layers, l, norm_of(now, w, n));
    check_statistic(statistics, FG_STATISTIC_update_ratio, s->layers, l, norm_of(now, w, n) / norm_of(w, NULL, n));
    free(now), free(dw), free(a), free(delta), free(db);
}

/* Fewer rows than the plan has room for, and widths that no vector divides. */
static void test_statistics(fg_isa isa) {
    const shape s = {.isa = isa,
                     .dtype = FG_F64,
                     .layers = 3,
                     .has_bias = 1,
                     .sizes = {7, 61, 35, 3},
                     .activations = {FG_ACTIVATION_tanh, FG_ACTIVATION_tanh, FG_ACTIVATION_identity}};
    const int64_t rows = 21;
    double *const x = new_reals(FG_F64, rows * 7, -1, 1), *const y = new_reals(FG_F64, rows * 3, -1, 1), *w[3];
    const fg_batch batch = {.rows = rows, .inputs = x, .targets = y};
    double loss, statistics[FG_STATISTICS * 3];
    fg_network *const net = new_network(&s);
    fg_plan *const plan = new_plan(net, 100, FG_KEEPS_GRADIENTS);
    fg_training *const adam = new_training(net, FG_OPTIMIZER_adam);
    CASE("%s statistics", fg_isa_name(isa));
    for (int l = 0; l < 3; l++)
        fg_network_get_weights(net, l, w[l] = new_reals(FG_F64, s.sizes[l] * s.sizes[l + 1], 0, 0));
    CHECK(step_on(plan, &batch, FG_LOSS_mse, adam, &loss, statistics) == FG_OK, "a step diverges");
    for (int l = 0; l < 3; l++) {
        check_layer_statistics(plan, net, &s, l, rows, w[l], statistics);
        free(w[l]);
    }
    fg_training_destroy(adam);
    fg_plan_destroy(plan);
    fg_network_destroy(net);
    free(x), free(y);
}

/* A third of the units lives for positive inputs, the rest for negative ones. `sign` is that of each step's inputs: what
 * has not been among those of the last two steps leaves its units dead. */
static void test_liveness(fg_isa isa, fg_dtype dtype) {
    enum { STEPS = 9, ROWS = 21, UNITS = 61, WINDOW = 2 };
    static const int sign[STEPS] = {1, 1, -1, -1, -1, 1, -1, 1, 1};
    const shape s = {.isa = isa,
                     .dtype = dtype,
                     .layers = 2,
                     .sizes = {1, UNITS, 1},
                     .activations = {FG_ACTIVATION_relu, FG_ACTIVATION_identity}};
    const fg_optimizer_config still = {.kind = FG_OPTIMIZER_sgd};
    double loss, statistics[FG_STATISTICS * 2];
    fg_network *const net = new_network(&s);
    fg_plan *const plan = new_plan(net, 100, FG_KEEPS_LEVELS);
    void *const w = new_reals(dtype, UNITS, 1, 1), *const y = new_reals(dtype, ROWS, -1, 1);
    fg_training *const training = new_training_with(net, still);
    CASE("%s %s liveness", fg_isa_name(isa), real_name(dtype));
    CHECK(fg_training_watch(training, WINDOW) == FG_OK, "no liveness");
    for (int64_t i = 0; i < UNITS; i++)
        real_put(dtype, w, i, i % 3 ? -1.0 : 1.0);
    fg_network_set_weights(net, 0, w);
    for (int step = 0; step < STEPS; step++) {
        void *const x = new_reals(dtype, ROWS, 0.5 * sign[step], sign[step]);
        const fg_batch batch = {.rows = ROWS, .inputs = x, .targets = y};
        const int both = step > 0 && sign[step] != sign[step - 1], positive = (UNITS + 2) / 3;
        const int dead = both ? 0 : sign[step] > 0 ? UNITS - positive : positive;
        CHECK(step_on(plan, &batch, FG_LOSS_mse, training, &loss, statistics) == FG_OK, "it diverges");
        check_statistic(statistics, FG_STATISTIC_dead, 2, 0, (double)dead / UNITS);
        check_statistic(statistics, FG_STATISTIC_dead, 2, 1, 0.0);
        free(x);
    }
    fg_training_destroy(training);
    fg_plan_destroy(plan);
    fg_network_destroy(net);
    free(w), free(y);
}

/* Long double squares any double. */
static void check_norm(const char *name, double got, const double *x, int64_t n) {
    const double want = norm_of(x, NULL, n);
    CHECK(fabs(got - want) <= 1e-13 * want, "norm of the %s: got %.17g, wants %.17g", name, got, want);
}

static double some_number(double least, double most) {
    const double size = pow(10.0, random_uniform(least, most));
    return random_between(0, 1) ? size : -size;
}

/* Sizes from 10^least to 10^most, several units of them, and a block of zeros. SGD with an lr of 1 adds -g to w. */
static void check_norms(fg_isa isa, double least, double most) {
    enum { ROWS = 70, COLUMNS = 77, ENTRIES = ROWS * COLUMNS };
    static const fg_optimizer_config sgd = {.kind = FG_OPTIMIZER_sgd, .lr = 1.0};
    double *const w = new_reals(FG_F64, ENTRIES, 0, 0), *const old = new_reals(FG_F64, ENTRIES, 0, 0);
    double *const g = new_reals(FG_F64, ENTRIES, 0, 0), *const dw = new_reals(FG_F64, COLUMNS, 0, 0);
    double *const db = new_reals(FG_F64, COLUMNS, 0, 0), one = 1.0, norms[2];
    CASE("%s norms of 1e%g to 1e%g", fg_isa_name(isa), least, most);
    for (int i = 20 * COLUMNS; i < ENTRIES; i++) {
        w[i] = old[i] = some_number(least, most);
        g[i] = some_number(least, most);
    }
    CHECK(fg_op_update(isa, FG_F64, &sgd, 0, ROWS, COLUMNS, w, g, NULL, norms) == FG_OK, "no memory");
    check_norm("weights", norms[0], old, ENTRIES);
    check_norm("update", norms[1], g, ENTRIES);
    CHECK(fg_op_backward_weights(isa, FG_F64, 1, 1, COLUMNS, &one, g + ENTRIES - COLUMNS, dw, db, norms) == FG_OK,
          "no memory");
    check_norm("gradient", norms[0], dw, COLUMNS);
    check_norm("gradient of the bias", norms[1], db, COLUMNS);
    free(w), free(old), free(g), free(dw), free(db);
}

static void test_norms(fg_isa isa) {
    for (int decade = -300; decade <= 300; decade += 50)
        check_norms(isa, decade - 1, decade + 1);
    for (int repeat = 0; repeat < 5; repeat++)
        check_norms(isa, -305, 300 - 100 * repeat);
}

int main(void) {
    FOR_EACH_ISA(isa) {
        test_statistics((fg_isa)isa);
        test_norms((fg_isa)isa);
        test_liveness((fg_isa)isa, FG_F32);
        test_liveness((fg_isa)isa, FG_F64);
    }
    return EXIT_SUCCESS;
}
