/* Random networks, what runs them, and a digest of their parameters. */
#ifndef NETWORKS_H
#define NETWORKS_H
#include "check.h"
#include "training.h"
#include <math.h>

enum { MOST_LAYERS = 1000 };

typedef struct {
    fg_isa isa;
    fg_dtype dtype;
    int layers, has_bias;
    int64_t sizes[MOST_LAYERS + 1];
    fg_activation activations[MOST_LAYERS];
} shape;

static inline void *new_reals(fg_dtype dtype, int64_t n, double low, double high) {
    void *const array = malloc((size_t)n * real_size(dtype));
    CHECK(array, "no memory for %d numbers", (int)n);
    for (int64_t i = 0; i < n; i++)
        real_put(dtype, array, i, random_uniform(low, high));
    return array;
}

/* Weights that keep a signal's size, so that no layer is saturated or dead. */
static inline fg_network *new_network(const shape *s) {
    fg_network *net;
    CHECK(fg_network_create(&net, s->isa, s->dtype, s->layers, s->sizes, s->activations, s->has_bias) == FG_OK,
          "no network");
    for (int l = 0; l < s->layers; l++) {
        const double size = sqrt(3.0 / (double)s->sizes[l]);
        void *const w = new_reals(s->dtype, s->sizes[l] * s->sizes[l + 1], -size, size);
        void *const b = new_reals(s->dtype, s->sizes[l + 1], -0.1, 0.1);
        fg_network_set_weights(net, l, w);
        if (s->has_bias)
            fg_network_set_bias(net, l, b);
        free(w);
        free(b);
    }
    return net;
}

static inline fg_plan *new_plan(fg_network *net, int64_t capacity, fg_plan_memory memory) {
    fg_plan *plan;
    CHECK(fg_plan_create(&plan, net, capacity, memory) == FG_OK, "no plan");
    return plan;
}

static inline fg_training *new_training_with(const fg_network *net, fg_optimizer_config optimizer) {
    const fg_training_config config = {.optimizer = optimizer};
    fg_training *training;
    CHECK(fg_training_create(&training, net, &config) == FG_OK, "no training");
    return training;
}

static inline fg_training *new_training(const fg_network *net, fg_optimizer_kind kind) {
    const fg_optimizer_config config = {
        .kind = kind, .lr = 1e-3, .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    return new_training_with(net, config);
}

static inline fg_status step_on(fg_plan *plan, const fg_batch *batch, fg_loss loss, fg_training *training,
                                double *value, double *statistics) {
    fg_step_result result;
    training->config.loss.kind = loss;
    const fg_status status = fg_plan_step(plan, training, batch, &result, statistics);
    *value = result.loss;
    return status;
}

/* Order-dependent digest of every bit that it is fed. */
static inline uint64_t digest(uint64_t sum, const void *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        sum = (sum ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
    return sum;
}

static inline uint64_t digest_parameters(const fg_network *net, const shape *s) {
    uint64_t sum = 14695981039346656037u;
    for (int l = 0; l < s->layers; l++) {
        const int64_t n = s->sizes[l] * s->sizes[l + 1];
        void *const w = new_reals(s->dtype, n, 0, 0), *const b = new_reals(s->dtype, s->sizes[l + 1], 0, 0);
        fg_network_get_weights(net, l, w);
        sum = digest(sum, w, (size_t)n * real_size(s->dtype));
        if (s->has_bias)
            fg_network_get_bias(net, l, b);
        sum = digest(sum, b, (size_t)s->sizes[l + 1] * real_size(s->dtype));
        free(w);
        free(b);
    }
    return sum;
}
#endif
