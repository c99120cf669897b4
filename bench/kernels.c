/* How near the matrix kernels come to the multiply-add peak. Times each product of a square ReLU network as the drivers
 * of stages/linear.c cut it into units of work, on one thread, for every instruction set of this machine and both dtypes.
 *
 *     kernels [-b batch] [-l layers] [-i isa] [-t milliseconds] [width ...]
 *
 * A few layers stay in the caches; with -l 200 the parameters come from memory. Peak and products take turns, and a
 * share compares the turns of one round. It times products with what is fused into them but the statistics, and no
 * whole steps. */
#define _POSIX_C_SOURCE 200809L
#include "fpenv.h"
#include "layout.h"
#include "gradients.h"
#include "stage.h"
#include "square.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LEAST_ROUNDS = 3, MOST_ROUNDS = 999 };
static const double TURN_SECONDS = 2e-3;

typedef struct {
    int layers, only_isa; /* -1: all */
    int64_t batch;
    double seconds; /* for each width, instruction set and dtype */
} options;

typedef struct {
    fg_network *net;
    fg_plan *plan;
    fg_training *sgd, *adam;
    fg_share all_rows;
} subject;

/* One pass over all layers; returns its operations. */
typedef double product(const subject *);

static double flops_of(const subject *s, int layers) {
    const fg_layer *layer = &s->net->layer[0];
    return 2.0 * layers * (double)(s->plan->rows * layer->fan_in * layer->fan_out);
}

static double fma_peak(const subject *s) {
    double flops;
    const struct fg_fma_chain_args args = {.count = 2000, .flops = &flops};
    s->net->kernels->fma_chain(&args);
    return flops;
}

static double forward(const subject *s) {
    const fg_pass pass = {.plan = s->plan};
    fg_share share = s->all_rows;
    for (int level = 1; level <= s->net->layers; level++) {
        share.panels = s->plan->level[level].forward_panels;
        fg_linear_stage.forward(&pass, level, share, NULL);
    }
    return flops_of(s, s->net->layers);
}

static double backward_data(const subject *s) {
    const fg_pass pass = {.plan = s->plan};
    fg_share share = s->all_rows;
    for (int level = s->net->layers; level > 1; level--) {
        share.panels = s->plan->level[level - 1].backward_panels;
        fg_linear_stage.backward(&pass, level, share, s->plan->scratch[0]);
    }
    return flops_of(s, s->net->layers - 1);
}

static double backward_weights(const subject *s, fg_training *training) {
    const fg_pass pass = {.plan = s->plan, .training = training};
    fg_plan_updates(training);
    fg_reset_counters(s->plan);
    fg_produce_and_apply(&pass, (fg_member){NULL, 0, 1});
    return flops_of(s, s->net->layers);
}

static double backward_weights_sgd(const subject *s) { return backward_weights(s, s->sgd); }
static double backward_weights_adam(const subject *s) { return backward_weights(s, s->adam); }

enum { PEAK, FORWARD, BACKWARD_DATA, WEIGHTS_SGD, WEIGHTS_ADAM, PRODUCTS };
static const struct {
    const char *name;
    product *run;
} products[PRODUCTS] = {
    [PEAK] = {"fma peak", fma_peak},
    [FORWARD] = {"forward", forward},
    [BACKWARD_DATA] = {"backward data", backward_data},
    [WEIGHTS_SGD] = {"weights, SGD", backward_weights_sgd},
    [WEIGHTS_ADAM] = {"weights, Adam", backward_weights_adam},
};

/* A learning rate of 0 keeps the weights as they are however often they are updated; one whole step fills all arrays
 * that the products read. */
static subject new_subject(const options *o, fg_isa isa, fg_dtype dtype, int64_t width) {
    fg_batch batch = new_batch(dtype, o->batch, width);
    subject s = {.net = new_network(isa, dtype, o->layers, width),
                 .all_rows = {.blocks = fg_ceil_div(o->batch, FG_ROW_BLOCK)}};
    fg_step_result result;
    s.sgd = new_training(s.net, FG_OPTIMIZER_sgd, 0.0, FG_CLIP_none);
    s.adam = new_training(s.net, FG_OPTIMIZER_adam, 0.0, FG_CLIP_none);
    require(fg_plan_create(&s.plan, s.net, o->batch, FG_KEEPS_LEVELS));
    require(fg_plan_step(s.plan, s.sgd, &batch, &result, NULL));
    free_batch(&batch);
    return s;
}

static void destroy_subject(subject *s) {
    fg_plan_destroy(s->plan);
    fg_training_destroy(s->adam);
    fg_training_destroy(s->sgd);
    fg_network_destroy(s->net);
}

/* GFLOP/s of as many passes as fill a turn. */
static double turn(product *run, const subject *s) {
    const double start = fg_seconds();
    double flops = 0.0, elapsed = 0.0;
    while (elapsed < TURN_SECONDS) {
        flops += run(s);
        elapsed = fg_seconds() - start;
    }
    return flops / elapsed / 1e9;
}

static int by_value(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double sorted_median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return 0.5 * (values[(count - 1) / 2] + values[count / 2]);
}

static void time_and_print(const options *o, const subject *s) {
    static double rate[PRODUCTS][MOST_ROUNDS], share[PRODUCTS][MOST_ROUNDS];
    const double start = fg_seconds();
    int rounds = 0;
    for (int p = 0; p < PRODUCTS; p++)
        (void)turn(products[p].run, s); /* warms up */
    for (; rounds < MOST_ROUNDS && (rounds < LEAST_ROUNDS || fg_seconds() - start < o->seconds); rounds++)
        for (int p = 0; p < PRODUCTS; p++) {
            rate[p][rounds] = turn(products[p].run, s);
            share[p][rounds] = rate[p][rounds] / rate[PEAK][rounds];
        }
    printf("%6d %9.1f", (int)s->net->layer[0].fan_in, sorted_median(rate[PEAK], rounds));
    for (int p = FORWARD; p < PRODUCTS; p++) {
        const double middle = sorted_median(rate[p], rounds), best = rate[p][rounds - 1];
        printf(" %8.1f %7.1f %3.0f%%", middle, best, 100.0 * sorted_median(share[p], rounds));
    }
    putchar('\n');
    fflush(stdout);
}

static void print_heading(const options *o, fg_isa isa, fg_dtype dtype) {
    printf("\n%s, %s, batch %d, %d layers, one thread; GFLOP/s: median, best, median share of the peak\n",
           fg_isa_name(isa), dtype == FG_F32 ? "float32" : "float64", (int)o->batch, o->layers);
    printf("%6s %9s", "width", products[PEAK].name);
    for (int p = FORWARD; p < PRODUCTS; p++)
        printf("%21s", products[p].name);
    putchar('\n');
}

static options parse(int argc, char **argv) {
    options o = {.layers = 2, .batch = 256, .seconds = 0.3, .only_isa = -1};
    for (int option; (option = getopt(argc, argv, "b:l:i:t:")) != -1;)
        switch (option) {
        case 'b': o.batch = number(optarg, "batch", 1, 1 << 20); break;
        case 'l': o.layers = (int)number(optarg, "layers", 2, 10000); break;
        case 'i': o.only_isa = (int)isa_named(optarg); break;
        case 't': o.seconds = 1e-3 * (double)number(optarg, "milliseconds", 0, 1000000); break;
        default:
            fprintf(stderr, "usage: %s [-b batch] [-l layers] [-i isa] [-t milliseconds] [width ...]\n", argv[0]);
            exit(EXIT_FAILURE);
        }
    return o;
}

static int is_wanted(const options *o, fg_isa isa) {
    return fg_isa_supported(isa) && (o->only_isa < 0 || o->only_isa == (int)isa);
}

int main(int argc, char **argv) {
    static char *usual[] = {"64", "96", "128", "200", "256", "333", "512", "1024"};
    const options o = parse(argc, argv);
    char **const given = optind < argc ? argv + optind : usual;
    const int count = optind < argc ? argc - optind : (int)(sizeof usual / sizeof *usual);
    int64_t *const widths = new_array((size_t)count, sizeof *widths);
    char brand[49];
    for (int w = 0; w < count; w++)
        widths[w] = number(given[w], "width", 1, 1 << 16);
    fg_cpu_brand(brand);
    printf("%s; %s\n", *brand ? brand : "unknown processor", COMPILER);
    fg_set_threads(1);
    fg_fpenv_enter();
    for (int isa = FG_ISAS - 1; isa >= 0; isa--)
        for (int dtype = 0; is_wanted(&o, (fg_isa)isa) && dtype < FG_DTYPES; dtype++) {
            print_heading(&o, (fg_isa)isa, (fg_dtype)dtype);
            for (int w = 0; w < count; w++) {
                subject s = new_subject(&o, (fg_isa)isa, (fg_dtype)dtype, widths[w]);
                time_and_print(&o, &s);
                destroy_subject(&s);
            }
        }
    free(widths);
    return EXIT_SUCCESS;
}
