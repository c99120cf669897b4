/* A gradient that is stored and then applied: the weights, the states and every sum are, to the bit, what the
 * backward-weights kernel makes of them in one pass, for every table this machine can run. */
#include "check.h"
#include "fpenv.h"
#include "layout.h"
#include "update_cases.h"

static const int64_t depths[] = {1, 7, 130, 513, 700};

/* Exponents that change little, and those that take the gradient to the ends of the range. */
static int some_exponent(fg_dtype dtype) {
    const int far = dtype == FG_F32 ? 120 : 1000;
    const int exponents[] = {0, 0, 3, -3, -far, far, -3 * far};
    return exponents[random_between(0, 6)];
}

typedef struct {
    struct fg_linear_backward_weights_args args;
    parameters unit;
    double sums[FG_UPDATE_SUMS];
} run;

static run begin_run(const struct fg_linear_backward_weights_args *args, const parameters *old, fg_prefetch *prefetch) {
    run r = {*args, copy_of_parameters(old), {0}};
    for (int i = 0; i < FG_UPDATE_SUMS; i++)
        r.sums[i] = -1.0;
    r.args.prefetch = prefetch;
    return r;
}

static void run_fused(const fg_kernels *k, run *r, const struct fg_update *update) {
    r->args.update = update;
    r->args.weights = r->unit.weights.data;
    for (int j = 0; j < FG_MAX_STATES; j++)
        r->args.states[j] = r->unit.states[j].data;
    r->args.sums = r->sums;
    k->linear_backward_weights(&r->args);
}

/* The gradient is produced without a look at the weights. */
static void run_apart(const fg_kernels *k, run *r, const struct fg_update *update, const matrix *gradient) {
    struct fg_apply_gradient_args apply = {.rows = r->args.rows,
                                           .vecs = r->args.vecs,
                                           .gradient = gradient->data,
                                           .exponent = r->args.exponent,
                                           .factor = 1.0,
                                           .limit = r->args.limit,
                                           .weights = r->unit.weights.data,
                                           .update = update,
                                           .sums = r->sums,
                                           .measured = r->args.measured};
    for (int j = 0; j < FG_MAX_STATES; j++)
        apply.states[j] = r->unit.states[j].data;
    r->args.gradient = gradient->data;
    r->args.limit = 0.0;
    r->args.sums = r->sums;
    k->linear_backward_weights(&r->args);
    CHECK(r->sums[FG_NORM_OF_WEIGHT] == 0.0 && r->sums[FG_NORM_OF_UPDATE] == 0.0, "norms of what was not there");
    k->apply_gradient(&apply);
}

static void equal_case(const fg_kernels *k, int64_t rows, int vecs, fg_optimizer_kind kind) {
    const int64_t padded = (int64_t)vecs * k->lanes, columns = padded - random_between(0, k->lanes - 1);
    const int64_t depth = depths[random_between(0, 4)];
    const double size = ldexp(1.0, (int)random_between(-1, 1) * (k->dtype == FG_F32 ? 50 : 240));
    const struct fg_update update = some_update(kind);
    const matrix input = random_matrix(k->dtype, depth, rows, rows, some_stride(rows), -size, size);
    const matrix delta = random_matrix(k->dtype, depth, columns, padded, some_stride(padded), -size, size);
    const matrix gradient = new_matrix(k->dtype, rows, columns, padded, padded);
    const parameters old = random_parameters(kind, k->dtype, rows, columns, padded);
    fg_prefetch prefetch = {0};
    const struct fg_linear_backward_weights_args args = {.rows = rows,
                                                         .depth = depth,
                                                         .vecs = vecs,
                                                         .input = input.data,
                                                         .input_stride = input.stride,
                                                         .delta = delta.data,
                                                         .delta_stride = delta.stride,
                                                         .exponent = some_exponent(k->dtype),
                                                         .limit = random_between(0, 1) ? 0.0 : 0.25,
                                                         .measured = (int)random_between(0, 1)};
    run fused = begin_run(&args, &old, &prefetch), apart = begin_run(&args, &old, &prefetch);
    CASE("%s %s fused and apart, %d rows x %d, depth %d, optimizer %d, 2^%d, limit %g", fg_isa_name(k->isa),
         real_name(k->dtype), (int)rows, (int)columns, (int)depth, (int)kind, args.exponent, args.limit);
    run_fused(k, &fused, &update);
    run_apart(k, &apart, &update, &gradient);
    check_same_parameters("apart", &apart.unit, &fused.unit);
    for (int i = 0; i < FG_UPDATE_SUMS; i++)
        CHECK(memcmp(&apart.sums[i], &fused.sums[i], sizeof(double)) == 0, "sum %d: got %a, wants %a", i, apart.sums[i],
              fused.sums[i]);
    CHECK((fused.sums[FG_NORM_OF_CLIPPED] == -1.0) == !(args.limit > 0 && args.measured), "norm after clipping: %g",
          fused.sums[FG_NORM_OF_CLIPPED]);
    take_fences_down();
}

int main(void) {
    fg_fpenv_enter();
    FOR_EACH_ISA(isa)
    for (int dtype = 0; dtype < FG_DTYPES; dtype++) {
        const fg_kernels *k = fg_find_kernels((fg_isa)isa, (fg_dtype)dtype);
        for (int vecs = 1; vecs <= k->panel_vecs; vecs++)
            for (int64_t rows = 1; rows <= FG_WEIGHT_BLOCK; rows++)
                for (int kind = 0; kind < FG_OPTIMIZERS; kind++)
                    equal_case(k, rows, vecs, (fg_optimizer_kind)kind);
    }
    return EXIT_SUCCESS;
}
