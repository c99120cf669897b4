/* What a gradient does to the weights and to an optimizer's state, against its oracle. */
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

/* The parameters of a unit and what an optimizer remembers of them. */
typedef struct {
    fg_optimizer_kind kind;
    matrix weights, states[FG_MAX_STATES];
} parameters;

static inline size_t bytes_of(const matrix *m) { return (size_t)(m->rows * m->stride) * real_size(m->dtype); }

static inline matrix copy_of(const matrix *m) {
    const matrix copy = new_matrix(m->dtype, m->rows, m->columns, m->padded, m->stride);
    memcpy(copy.data, m->data, bytes_of(m));
    return copy;
}

static inline parameters random_parameters(fg_optimizer_kind kind, fg_dtype dtype, int64_t rows, int64_t columns,
                                           int64_t padded) {
    parameters p = {kind, random_matrix(dtype, rows, columns, padded, padded, -1, 1), {{0}}};
    for (int j = 0; j < fg_optimizer_states(kind); j++) {
        const int is_root = kind == FG_OPTIMIZER_adam ? j == 1 : kind != FG_OPTIMIZER_sgd_momentum && j == 0;
        p.states[j] = random_matrix(dtype, rows, columns, padded, padded, is_root ? 0.5 : -0.5, is_root ? 1 : 0.5);
    }
    return p;
}

static inline parameters copy_of_parameters(const parameters *p) {
    parameters copy = {p->kind, copy_of(&p->weights), {{0}}};
    for (int j = 0; j < fg_optimizer_states(p->kind); j++)
        copy.states[j] = copy_of(&p->states[j]);
    return copy;
}

static inline void check_same_parameters(const char *what, const parameters *got, const parameters *want) {
    CHECK(memcmp(got->weights.data, want->weights.data, bytes_of(&got->weights)) == 0, "%s: other weights", what);
    for (int j = 0; j < fg_optimizer_states(got->kind); j++)
        CHECK(memcmp(got->states[j].data, want->states[j].data, bytes_of(&got->states[j])) == 0, "%s: other state %d",
              what, j);
}

/* `gradient`: the true one, as the optimizer meets it. */
static inline void check_update(const fg_kernels *k, const struct fg_update *update, const matrix *gradient,
                                const parameters *old, const parameters *new, const double *sums) {
    const int count = fg_optimizer_states(update->kind);
    const double epsilon = real_epsilon(k->dtype);
    long double added_squares = 0;
    for (int64_t r = 0; r < gradient->rows; r++)
        for (int64_t c = 0; c < gradient->columns; c++) {
            const double before = at(&old->weights, r, c);
            long double s[FG_MAX_STATES], found[FG_MAX_STATES], increment;
            state_of(k->dtype, update, old->states, r, c, s);
            state_of(k->dtype, update, new->states, r, c, found);
            increment = oracle_increment(update, at(gradient, r, c), before, s);
            added_squares += increment * increment;
            check_close("weight", at(&new->weights, r, c), before + increment,
                        64 * epsilon * (1 + fabsl(increment) + fabs(before)));
            for (int j = 0; j < count; j++)
                check_close("state", (double)found[j], s[j], 64 * epsilon * (1 + fabsl(s[j])));
        }
    check_margins("weights", &new->weights);
    for (int j = 0; j < count; j++)
        check_margins("state", &new->states[j]);
    check_close("norm of weights", sums[FG_NORM_OF_WEIGHT], norm_of(&old->weights),
                sum_tolerance(k->dtype, norm_of(&old->weights)));
    check_close("norm of update", sums[FG_NORM_OF_UPDATE], sqrtl(added_squares),
                128 * epsilon * (1 + sqrtl(added_squares)));
}
#endif
