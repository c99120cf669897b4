/* Square networks for the bench programs, see square.h. */
#include "square.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *new_array(size_t count, size_t size) {
    void *const array = calloc(count, size);
    if (array)
        return array;
    fputs("no memory\n", stderr);
    exit(EXIT_FAILURE);
}

void require(fg_status status) {
    if (status == FG_OK)
        return;
    fputs(status == FG_ERR_MEMORY ? "no memory\n" : "the step to be measured diverges\n", stderr);
    exit(EXIT_FAILURE);
}

void *uniform(fg_dtype dtype, int64_t count, double limit) {
    static uint64_t state = 1;
    void *const values = new_array((size_t)count, dtype == FG_F32 ? sizeof(float) : sizeof(double));
    for (int64_t i = 0; i < count; i++) {
        double value;
        state = state * 6364136223846793005u + 1442695040888963407u;
        value = limit * ((double)(state >> 11) * 0x1p-52 - 1.0);
        if (dtype == FG_F32)
            ((float *)values)[i] = (float)value;
        else
            ((double *)values)[i] = value;
    }
    return values;
}

fg_network *new_network(fg_isa isa, fg_dtype dtype, int layers, int64_t width) {
    int64_t *const sizes = new_array((size_t)layers + 1, sizeof *sizes);
    fg_activation *const activations = new_array((size_t)layers, sizeof *activations);
    fg_network *net;
    for (int l = 0; l <= layers; l++)
        sizes[l] = width;
    for (int l = 0; l < layers; l++)
        activations[l] = FG_ACTIVATION_relu;
    require(fg_network_create(&net, isa, dtype, layers, sizes, activations, 1));
    for (int l = 0; l < layers; l++) {
        void *const weights = uniform(dtype, width * width, sqrt(6.0 / (double)width));
        fg_network_set_weights(net, l, weights);
        free(weights);
    }
    free(sizes);
    free(activations);
    return net;
}

fg_training *new_training(const fg_network *net, fg_optimizer_kind kind, double lr, fg_clip_kind clip) {
    const fg_training_config config = {.optimizer = {.kind = kind, .lr = lr, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
                                       .loss = {FG_LOSS_mse},
                                       .clip = {clip, .bound = 1e-3, .eps = 1e-6, .output = 1}};
    fg_training *training;
    require(fg_training_create(&training, net, &config));
    return training;
}

fg_batch new_batch(fg_dtype dtype, int64_t rows, int64_t width) {
    fg_batch batch = {.rows = rows, .inputs = uniform(dtype, rows * width, 1.0)};
    batch.targets = uniform(dtype, rows * width, 1.0);
    return batch;
}

void free_batch(fg_batch *batch) {
    free((void *)batch->inputs);
    free((void *)batch->targets);
}

int64_t number(const char *text, const char *name, int64_t least, int64_t most) {
    char *end;
    const long long value = strtoll(text, &end, 10);
    if (end != text && !*end && value >= least && value <= most)
        return value;
    fprintf(stderr, "%s: got \"%s\", wants a whole number from %lld to %lld\n", name, text, (long long)least,
            (long long)most);
    exit(EXIT_FAILURE);
}

fg_isa isa_named(const char *text) {
    for (int isa = 0; isa < FG_ISAS; isa++)
        if (fg_isa_supported((fg_isa)isa) && !strcmp(text, fg_isa_name((fg_isa)isa)))
            return (fg_isa)isa;
    fprintf(stderr, "isa: got \"%s\", wants one that this machine has\n", text);
    exit(EXIT_FAILURE);
}
