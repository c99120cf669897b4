/* What the backward-weights kernel does to the weights and to an optimizer's state, against its oracle. */
#ifndef UPDATE_CASES_H
#define UPDATE_CASES_H
#include "matrix.h"
#include "oracle.h"

static inline struct fg_update some_update(fg_optimizer_kind kind) {
    return (struct fg_update){.kind = kind,
                              .lr = 0.1,
                              .l2 = random_uniform(0, 0.5),
                              .decay = random_uniform(0, 0.1),
                              .momentum = 0.9,
                              .gain = random_uniform(0.5, 1),
                              .gradient_part = (double)random_between(0, 1),
                              .buffer_part = random_uniform(0.5, 1),
                              .beta1 = 0.75,
                              .beta2 = 0.875,
                              .eps = 0.01,
                              .step_size = random_uniform(0.1, 1),
                              .root_scale = random_uniform(0.35, 0.7)};
}

static inline void state_of(fg_dtype dtype, const struct fg_update *update, const matrix *states, int64_t r, int64_t c,
                            long double *s) {
    long double kept[FG_MAX_STATES] = {0};
    for (int j = 0; j < fg_optimizer_states(update->kind); j++)
        kept[j] = at(&states[j], r, c);
    oracle_state(dtype, update, kept, s);
}

static inline void check_update(const fg_kernels *k, const struct fg_update *update, const matrix *old,
                                const matrix *gradient, const matrix *weights, const matrix *states,
                                const matrix *old_states, const double *sums) {
    const int count = fg_optimizer_states(update->kind);
    const double epsilon = real_epsilon(k->dtype);
    long double added_squares = 0;
    for (int64_t r = 0; r < old->rows; r++)
        for (int64_t c = 0; c < old->columns; c++) {
            long double s[FG_MAX_STATES], found[FG_MAX_STATES], increment;
            state_of(k->dtype, update, old_states, r, c, s);
            state_of(k->dtype, update, states, r, c, found);
            increment = oracle_increment(update, at(gradient, r, c), at(old, r, c), s);
            added_squares += increment * increment;
            check_close("weight", at(weights, r, c), at(old, r, c) + increment,
                        64 * epsilon * (1 + fabsl(increment) + fabs(at(old, r, c))));
            for (int j = 0; j < count; j++)
                check_close("state", (double)found[j], s[j], 64 * epsilon * (1 + fabsl(s[j])));
        }
    for (int j = 0; j < count; j++)
        check_margins("state", &states[j]);
    check_close("norm of weights", sums[FG_NORM_OF_WEIGHT], norm_of(old), sum_tolerance(k->dtype, norm_of(old)));
    check_close("norm of update", sums[FG_NORM_OF_UPDATE], sqrtl(added_squares),
                128 * epsilon * (1 + sqrtl(added_squares)));
}

/* A trial stores nothing but the gradient, and tells whether every new number is finite. */
static inline void check_trial(const fg_kernels *k, struct fg_linear_backward_weights_args args, const matrix *old,
                               const matrix *old_states) {
    const size_t bytes = (size_t)(old->rows * old->stride) * real_size(k->dtype);
    const int64_t poisoned = random_between(0, old->rows - 1) * old->stride + random_between(0, old->columns - 1);
    args.trial = 1;
    k->linear_backward_weights(&args);
    CHECK(args.sums[FG_SUM_NOT_FINITE] == 0.0, "a finite update is tried and refused");
    CHECK(memcmp(args.weights, old->data, bytes) == 0, "a trial changes the weights");
    for (int j = 0; j < fg_optimizer_states(args.update->kind); j++)
        CHECK(memcmp(args.states[j], old_states[j].data, bytes) == 0, "a trial changes state %d", j);
    real_put(k->dtype, args.weights, poisoned, INFINITY);
    k->linear_backward_weights(&args);
    CHECK(isnan(args.sums[FG_SUM_NOT_FINITE]), "an infinite weight passes a trial");
    memcpy(args.weights, old->data, bytes);
}
#endif
