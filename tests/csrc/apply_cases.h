/* What apply_gradient does with a gradient that was stored: factors, exponent and limit, and trials. */
#ifndef APPLY_CASES_H
#define APPLY_CASES_H
#include "layout.h"
#include "update_cases.h"
#include <math.h>

static inline double most_of(fg_dtype dtype) { return dtype == FG_F32 ? FLT_MAX : DBL_MAX; }
static inline double least_of(fg_dtype dtype) { return dtype == FG_F32 ? FLT_MIN : DBL_MIN; }

static inline struct fg_apply_gradient_args apply_args(const fg_kernels *k, const matrix *gradient,
                                                       const parameters *unit, const struct fg_update *update) {
    double *const sums = fenced(FG_UPDATE_SUMS * sizeof *sums);
    for (int i = 0; i < FG_UPDATE_SUMS; i++)
        sums[i] = -1.0;
    return (struct fg_apply_gradient_args){.rows = gradient->rows,
                                           .vecs = (int)(gradient->padded / k->lanes),
                                           .gradient = gradient->data,
                                           .factor = 1.0,
                                           .weights = unit->weights.data,
                                           .states = {unit->states[0].data, unit->states[1].data, unit->states[2].data},
                                           .update = update,
                                           .sums = sums,
                                           .measured = (int)random_between(0, 1)};
}

static inline long double limited(long double x, double limit) {
    return limit > 0 && x > limit ? limit : limit > 0 && x < -limit ? -limit : x;
}

/* The gradient that an optimizer should meet. */
static inline long double true_gradient(const struct fg_apply_gradient_args *args, const matrix *gradient,
                                        const matrix *factors, int64_t r, int64_t c) {
    const long double factor = args->column_factors ? at(factors, 0, c) : args->factor;
    return limited(ldexpl(at(gradient, r, c) * factor, args->exponent), args->limit);
}

static inline void check_sums_of_apply(const fg_kernels *k, const struct fg_apply_gradient_args *args,
                                       long double clipped) {
    CHECK(args->sums[FG_NORM_OF_GRADIENT] == -1.0 && args->sums[FG_LARGEST_GRADIENT] == -1.0,
          "sums of the gradient before clipping are touched");
    CHECK(args->sums[FG_SUM_NOT_FINITE] == 0.0, "got %g without a trial", args->sums[FG_SUM_NOT_FINITE]);
    if (args->limit > 0 && args->measured)
        check_close("norm after clipping", args->sums[FG_NORM_OF_CLIPPED], clipped,
                    2 * sum_tolerance(k->dtype, clipped) + 2 * (long double)least_of(k->dtype) * FG_WEIGHT_BLOCK);
    else
        CHECK(args->sums[FG_NORM_OF_CLIPPED] == -1.0, "a sum that nobody wants is touched");
}

/* All optimizers, on a gradient of moderate size. */
static inline void optimizer_case(const fg_kernels *k, int64_t rows, int vecs, fg_optimizer_kind kind) {
    const int64_t padded = (int64_t)vecs * k->lanes, columns = padded - random_between(0, k->lanes - 1);
    const struct fg_update update = some_update(kind);
    const matrix gradient = random_matrix(k->dtype, rows, columns, padded, padded, -1, 1);
    const matrix factors = random_matrix(k->dtype, 1, columns, padded, padded, 0.25, 4);
    const matrix seen = new_matrix(k->dtype, rows, columns, padded, padded), stored = copy_of(&gradient);
    const parameters unit = random_parameters(kind, k->dtype, rows, columns, padded), old = copy_of_parameters(&unit);
    struct fg_apply_gradient_args args = apply_args(k, &gradient, &unit, &update);
    args.exponent = (int)random_between(-2, 2);
    args.factor = random_between(0, 1) ? 1.0 : at(&factors, 0, 0);
    args.column_factors = random_between(0, 1) ? factors.data : NULL;
    args.limit = random_between(0, 1) ? 0.375 : 0.0;
    CASE("%s %s apply, %d rows x %d, optimizer %d, 2^%d, factor %g%s, limit %g", fg_isa_name(k->isa),
         real_name(k->dtype), (int)rows, (int)columns, (int)kind, args.exponent, args.factor,
         args.column_factors ? " by column" : "", args.limit);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            real_put(k->dtype, seen.data, r * padded + c, (double)true_gradient(&args, &gradient, &factors, r, c));
    k->apply_gradient(&args);
    check_update(k, &update, &seen, &old, &unit, args.sums);
    check_sums_of_apply(k, &args, norm_of(&seen));
    CHECK(memcmp(gradient.data, stored.data, bytes_of(&gradient)) == 0, "the stored gradient changes");
    take_fences_down();
}

/* Numbers of every size that stay normal times a factor from 1/4 to 1, and what is none. */
static inline double any_number(fg_dtype dtype) {
    static const double odd[] = {0.0, INFINITY, -INFINITY, NAN};
    const int reach = dtype == FG_F32 ? 126 : 1022, which = (int)random_between(0, 19);
    if (which < 4)
        return odd[which];
    return ldexp(random_between(0, 1) ? random_uniform(1, 2) : random_uniform(-2, -1),
                 (int)random_between(4 - reach, reach));
}

/* Plain descent from 0 shows the negative of what the optimizer meets. */
static inline void range_case(const fg_kernels *k, int64_t rows, int vecs) {
    const int64_t padded = (int64_t)vecs * k->lanes, columns = padded - random_between(0, k->lanes - 1);
    const int farthest = k->dtype == FG_F32 ? 400 : 3000;
    const struct fg_update update = {.kind = FG_OPTIMIZER_sgd, .lr = 1.0};
    const matrix gradient = new_matrix(k->dtype, rows, columns, padded, padded);
    const matrix factors = random_matrix(k->dtype, 1, columns, padded, padded, 0.25, 1);
    const parameters unit = {FG_OPTIMIZER_sgd, random_matrix(k->dtype, rows, columns, padded, padded, 0, 0), {{0}}};
    struct fg_apply_gradient_args args = apply_args(k, &gradient, &unit, &update);
    for (int64_t i = 0; i < rows * columns; i++)
        real_put(k->dtype, gradient.data, i / columns * padded + i % columns, any_number(k->dtype));
    args.exponent = random_between(0, 2) ? (int)random_between(-farthest, farthest) : 0;
    args.factor = random_between(0, 1) ? 1.0 : at(&factors, 0, 0);
    args.column_factors = random_between(0, 1) ? factors.data : NULL;
    args.limit = random_between(0, 2) ? ldexp(1.5, (int)random_between(-60, 60)) : 0.0;
    CASE("%s %s apply numbers of any size, %d rows x %d, 2^%d, factor %g%s, limit %g", fg_isa_name(k->isa),
         real_name(k->dtype), (int)rows, (int)columns, args.exponent, args.factor,
         args.column_factors ? " by column" : "", args.limit);
    k->apply_gradient(&args);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            const double got = -at(&unit.weights, r, c), given = at(&gradient, r, c);
            const long double want = true_gradient(&args, &gradient, &factors, r, c);
            const int nothing_left = args.exponent <= -2 * (k->dtype == FG_F32 ? 126 : 1022) - 2; /* scale.inc.h */
            if (isnan(given) || (isinf(given) && nothing_left))
                CHECK(isnan(got), "[%d][%d]: got %g of %g", (int)r, (int)c, got, given);
            else if (fabsl(want) > most_of(k->dtype))
                CHECK((long double)got == (want > 0 ? INFINITY : -INFINITY), "[%d][%d]: got %g, wants %Lg", (int)r,
                      (int)c, got, want);
            else if (args.limit > 0 && fabsl(want) == args.limit)
                CHECK((long double)got == want, "[%d][%d]: got %g, wants %Lg", (int)r, (int)c, got, want);
            else
                check_close("gradient met", got, want, real_epsilon(k->dtype) * fabsl(want) + 2 * least_of(k->dtype));
        }
    check_margins("weights", &unit.weights);
    take_fences_down();
}

static inline double tried(const fg_kernels *k, struct fg_apply_gradient_args args) {
    args.trial = 1;
    k->apply_gradient(&args);
    for (int i = 0; i < FG_UPDATE_SUMS; i++)
        CHECK(i == FG_SUM_NOT_FINITE || args.sums[i] == -1.0, "a trial touches sum %d", i);
    return args.sums[FG_SUM_NOT_FINITE];
}

/* A trial stores nothing, and tells whether every new number is finite, wherever the one is that is not. */
static inline void trial_case(const fg_kernels *k, int64_t rows, int vecs, fg_optimizer_kind kind) {
    const int64_t padded = (int64_t)vecs * k->lanes, columns = padded - random_between(0, k->lanes - 1);
    const int64_t i = random_between(0, rows - 1) * padded + random_between(0, columns - 1);
    const struct fg_update update = some_update(kind);
    const matrix gradient = random_matrix(k->dtype, rows, columns, padded, padded, -1, 1);
    const parameters unit = random_parameters(kind, k->dtype, rows, columns, padded), old = copy_of_parameters(&unit);
    struct fg_apply_gradient_args args = apply_args(k, &gradient, &unit, &update);
    args.limit = random_between(0, 1) ? 0.5 : 0.0;
    CASE("%s %s trial, %d rows x %d, optimizer %d", fg_isa_name(k->isa), real_name(k->dtype), (int)rows, (int)columns,
         (int)kind);
    CHECK(tried(k, args) == 0.0, "a finite update is refused");
    check_same_parameters("a trial", &unit, &old);
    for (int j = 0; j < fg_optimizer_states(kind); j++) {
        real_put(k->dtype, unit.states[j].data, i, NAN);
        CHECK(isnan(tried(k, args)), "a state %d that is NaN passes", j);
        real_put(k->dtype, unit.states[j].data, i, real_at(k->dtype, old.states[j].data, i));
    }
    real_put(k->dtype, unit.weights.data, i, INFINITY);
    CHECK(isnan(tried(k, args)), "an infinite weight passes");
    real_put(k->dtype, unit.weights.data, i, real_at(k->dtype, old.weights.data, i));
    real_put(k->dtype, gradient.data, i, NAN);
    CHECK(isnan(tried(k, args)), "a gradient that is NaN passes");
    check_same_parameters("a trial", &unit, &old);
    take_fences_down();
}

/* Only the sum of weight and increment is too large, or only Adam's root of the second moment; a limit saves either. */
static inline void overflow_case(const fg_kernels *k, int64_t rows, int vecs, int in_a_state) {
    const int64_t padded = (int64_t)vecs * k->lanes;
    const int64_t i = random_between(0, rows * padded - 1);
    const double most = most_of(k->dtype);
    struct fg_update update = some_update(in_a_state ? FG_OPTIMIZER_adam : FG_OPTIMIZER_sgd);
    const matrix gradient = random_matrix(k->dtype, rows, padded, padded, padded, -1, 1);
    const parameters unit = random_parameters(update.kind, k->dtype, rows, padded, padded);
    struct fg_apply_gradient_args args = apply_args(k, &gradient, &unit, &update);
    update.l2 = 0.0;
    update.lr = 1.0;
    CASE("%s %s overflow in a %s, %d rows x %d", fg_isa_name(k->isa), real_name(k->dtype),
         in_a_state ? "state" : "weight", (int)rows, (int)padded);
    real_put(k->dtype, gradient.data, i, -0.75 * most);
    real_put(k->dtype, in_a_state ? unit.states[1].data : unit.weights.data, i, 0.75 * most);
    CHECK(isnan(tried(k, args)), "an overflow passes");
    args.limit = 1.0;
    CHECK(tried(k, args) == 0.0, "an update within the limit is refused");
    args.limit = 0.0;
    k->apply_gradient(&args);
    CHECK(isinf(real_at(k->dtype, unit.weights.data, i)) == !in_a_state, "the weight becomes %g",
          real_at(k->dtype, unit.weights.data, i));
    CHECK(!in_a_state || isinf(real_at(k->dtype, unit.states[1].data, i)), "the state stays finite");
    take_fences_down();
}

static inline void test_apply_gradient(const fg_kernels *k) {
    for (int vecs = 1; vecs <= k->panel_vecs; vecs++)
        for (int64_t rows = 1; rows <= 25; rows++) {
            for (int kind = 0; kind < FG_OPTIMIZERS; kind++) {
                optimizer_case(k, rows, vecs, (fg_optimizer_kind)kind);
                trial_case(k, rows, vecs, (fg_optimizer_kind)kind);
            }
            for (int repeat = 0; repeat < 6; repeat++)
                range_case(k, rows, vecs);
            overflow_case(k, rows, vecs, 0);
            overflow_case(k, rows, vecs, 1);
        }
    optimizer_case(k, FG_WEIGHT_BLOCK, k->panel_vecs, FG_OPTIMIZER_adam);
}
#endif
