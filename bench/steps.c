/* Whole training steps of a square ReLU network in float32 on one thread, with all statistics.
 *
 *     steps [-i isa] [-o sgd|adam] [-c none|value|norm|layer_norm|adaptive] width layers batch steps
 *
 * Prints what the program was built with and runs on, then the microseconds of a step. instructions.py counts the
 * instructions of its steps: between runs that differ in nothing but `steps`, all else cancels. */
#define _POSIX_C_SOURCE 200809L
#include "square.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <gnu/libc-version.h>
#endif

typedef struct {
    fg_isa isa;
    fg_optimizer_kind optimizer;
    fg_clip_kind clip;
    int layers;
    int64_t width, batch, steps;
} options;

static const char *libc_version(void) {
#if defined(__GLIBC__)
    return gnu_get_libc_version();
#else
    return "unknown";
#endif
}

static fg_optimizer_kind optimizer_named(const char *text) {
    static const fg_optimizer_kind known[] = {FG_OPTIMIZER_sgd, FG_OPTIMIZER_adam};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(text, fg_optimizer_name(known[i])))
            return known[i];
    fprintf(stderr, "optimizer: got \"%s\", wants sgd or adam\n", text);
    exit(EXIT_FAILURE);
}

static fg_clip_kind clip_named(const char *text) {
    for (int clip = 0; clip < FG_CLIPS; clip++)
        if (!strcmp(text, fg_clip_name((fg_clip_kind)clip)))
            return (fg_clip_kind)clip;
    fprintf(stderr, "clip: got \"%s\", wants none, value, norm, layer_norm or adaptive\n", text);
    exit(EXIT_FAILURE);
}

static double seconds_of_a_step(const options *o) {
    fg_network *const net = new_network(o->isa, FG_F32, o->layers, o->width);
    fg_training *const training = new_training(net, o->optimizer, 1e-3, o->clip);
    fg_batch batch = new_batch(FG_F32, o->batch, o->width);
    double *const statistics = new_array((size_t)(FG_STATISTICS * o->layers), sizeof *statistics);
    fg_step_result result;
    double seconds;
    fg_plan *plan;
    require(fg_plan_create(&plan, net, o->batch, FG_KEEPS_LEVELS));
    seconds = -fg_seconds();
    for (int64_t step = 0; step < o->steps; step++)
        require(fg_plan_step(plan, training, &batch, &result, statistics));
    seconds += fg_seconds();
    fg_plan_destroy(plan);
    free(statistics);
    free_batch(&batch);
    fg_training_destroy(training);
    fg_network_destroy(net);
    return seconds / (double)o->steps;
}

static void usage(const char *program) {
    fprintf(stderr, "usage: %s [-i isa] [-o sgd|adam] [-c clip] width layers batch steps\n", program);
    exit(EXIT_FAILURE);
}

static options parse(int argc, char **argv) {
    options o = {.isa = fg_best_isa(), .optimizer = FG_OPTIMIZER_sgd};
    for (int option; (option = getopt(argc, argv, "i:o:c:")) != -1;)
        switch (option) {
        case 'i': o.isa = isa_named(optarg); break;
        case 'o': o.optimizer = optimizer_named(optarg); break;
        case 'c': o.clip = clip_named(optarg); break;
        default: usage(argv[0]);
        }
    if (argc - optind != 4)
        usage(argv[0]);
    o.width = number(argv[optind], "width", 1, 1 << 16);
    o.layers = (int)number(argv[optind + 1], "layers", 1, 10000);
    o.batch = number(argv[optind + 2], "batch", 1, 1 << 20);
    o.steps = number(argv[optind + 3], "steps", 1, INT64_MAX);
    return o;
}

int main(int argc, char **argv) {
    const options o = parse(argc, argv);
    fg_set_threads(1);
    printf("%s, glibc %s, %s\n", COMPILER, libc_version(), fg_isa_name(o.isa));
    printf("%.1f us\n", 1e6 * seconds_of_a_step(&o));
    return EXIT_SUCCESS;
}
