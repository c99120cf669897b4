/* The kernels over rows and over plain arrays against their oracles: any number of columns, numbers of any size. */
#ifndef ROW_CASES_H
#define ROW_CASES_H
#include "layout.h"
#include "matrix.h"
#include "kernels.h"
#include "range.h"

/* A size of numbers whose squares may leave float32's range, or come near the end of float64's. The last is where the
 * squares of some float32 numbers underflow, and those of their neighbours do not. */
static inline double some_magnitude(fg_dtype dtype) {
    static const double magnitudes[FG_DTYPES][3] = {{1.0, 1e-25, 1e20}, {1.0, 1e-120, 1e120}};
    const int64_t which = random_between(0, 3);
    return which < 3 ? magnitudes[dtype][which] : exp2(random_uniform(-62, -42));
}

static inline void test_load_rows(const fg_kernels *k) {
    for (int repeat = 0; repeat < 200; repeat++) {
        const int64_t rows = random_between(1, 16), columns = random_between(1, 5 * k->lanes),
                      first_row = random_between(0, 5);
        const int64_t padded = fg_vecs(columns, k->lanes) * k->lanes, samples = first_row + rows + 7;
        const double magnitude = some_magnitude(k->dtype);
        const matrix input = random_matrix(k->dtype, samples, columns, columns, columns, -magnitude, magnitude);
        const matrix output = new_matrix(k->dtype, rows, columns, padded, some_stride(padded));
        int64_t *const order = fenced((size_t)samples * sizeof *order);
        double *const squares = fenced(sizeof *squares);
        const fg_batch batch = {.first = random_between(0, 7),
                                .rows = first_row + rows,
                                .inputs = input.data,
                                .order = random_between(0, 1) ? order : NULL};
        const struct fg_load_rows_args args = {rows, columns, first_row, &batch, output.data, output.stride, squares};
        for (int64_t i = 0; i < samples; i++)
            order[i] = random_between(0, samples - 1);
        CASE("%s %s load %d rows x %d", fg_isa_name(k->isa), real_name(k->dtype), (int)rows, (int)columns);
        k->load_rows(&args);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++)
                CHECK(at(&output, r, c) == at(&input, fg_sample(&batch, first_row + r), c), "row %d, column %d", (int)r,
                      (int)c);
        check_margins("output", &output);
        check_close("sum of squares", *squares, sum_of_squares(&output),
                    sum_tolerance(k->dtype, sum_of_squares(&output)));
        take_fences_down();
    }
}

/* Powers of two are exact until they leave the range; then they flush to zero, or to a subnormal number where the
 * processor does not flush, or become infinite. What was not finite before is not finite after. */
static inline void test_scale_rows(const fg_kernels *k) {
    const int farthest = k->dtype == FG_F32 ? 126 : 1022;
    const long double spacing = k->dtype == FG_F32 ? FLT_TRUE_MIN : DBL_TRUE_MIN;
    for (int repeat = 0; repeat < 200; repeat++) {
        const int64_t rows = random_between(1, FG_ROW_BLOCK), columns = random_between(1, 5 * k->lanes);
        const matrix x = random_matrix(k->dtype, rows, columns, columns, some_stride(columns), -1, 1);
        const matrix before = new_matrix(k->dtype, rows, columns, columns, x.stride);
        const struct fg_scale_rows_args args = {rows, columns, x.data, x.stride,
                                                (int)random_between(-40, 40) * 4 * (k->dtype == FG_F32 ? 1 : 16)};
        real_put(k->dtype, x.data, random_between(0, columns - 1), repeat % 2 ? INFINITY : NAN);
        memcpy(before.data, x.data, (size_t)(rows * x.stride) * real_size(k->dtype));
        CASE("%s %s scale %d rows x %d by 2^%d", fg_isa_name(k->isa), real_name(k->dtype), (int)rows, (int)columns,
             args.exponent);
        k->scale_rows(&args);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++) {
                const double got = at(&x, r, c);
                const long double exact = ldexpl(at(&before, r, c), args.exponent);
                if (!isfinite(exact))
                    CHECK(!isfinite(got), "%Lg becomes %g", exact, got);
                else if (fabsl(exact) < ldexpl(1, -farthest))
                    CHECK(got == 0.0 || fabsl(got - exact) <= 2 * spacing, "%Lg becomes %g, wants 0", exact, got);
                else if (fabsl(exact) >= ldexpl(1, farthest + 2))
                    CHECK(isinf(got), "%Lg becomes %g, wants infinity", exact, got);
                else
                    CHECK(got == (double)exact, "%Lg becomes %g", exact, got);
            }
        check_margins("scaled", &x);
        take_fences_down();
    }
}

/* Numbers of many sizes, some of them zero; now and then one that is not finite. */
static inline matrix uneven_matrix(fg_dtype dtype, int64_t rows, int64_t columns, int may_be_infinite) {
    const int most = dtype == FG_F32 ? 120 : 1000;
    const matrix x = random_matrix(dtype, rows, columns, columns, some_stride(columns), -1, 1);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            if (random_between(0, 3) == 0)
                real_put(dtype, x.data, r * x.stride + c, 0.0);
            else
                real_put(dtype, x.data, r * x.stride + c, ldexp(at(&x, r, c), (int)random_between(-most, most)));
    if (may_be_infinite && random_between(0, 2) == 0)
        real_put(dtype, x.data, random_between(0, rows - 1) * x.stride + random_between(0, columns - 1),
                 random_between(0, 1) ? -INFINITY : NAN);
    return x;
}

static inline int expected_size(fg_dtype dtype, double x) {
    int size;
    if (!isfinite(x))
        return dtype == FG_F32 ? FLT_MAX_EXP + 1 : DBL_MAX_EXP + 1;
    if (fabs(x) < (dtype == FG_F32 ? FLT_MIN : DBL_MIN))
        return dtype == FG_F32 ? FLT_MIN_EXP - 1 : DBL_MIN_EXP - 1;
    (void)frexp(x, &size);
    return size;
}

static inline void test_row_sizes(const fg_kernels *k) {
    for (int repeat = 0; repeat < 400; repeat++) {
        const int64_t rows = random_between(1, FG_ROW_BLOCK), columns = random_between(1, 5 * k->lanes);
        const matrix x = uneven_matrix(k->dtype, rows, columns, 1);
        int *const sizes = fenced((size_t)rows * sizeof *sizes);
        const struct fg_row_sizes_args args = {rows, columns, x.data, x.stride, sizes};
        if (repeat % 4 == 0)
            for (int64_t c = 0; c < columns; c++)
                real_put(k->dtype, x.data, c, c % 2 ? -0.0 : k->dtype == FG_F32 ? FLT_TRUE_MIN : DBL_TRUE_MIN);
        CASE("%s %s sizes of %d rows x %d", fg_isa_name(k->isa), real_name(k->dtype), (int)rows, (int)columns);
        k->row_sizes(&args);
        for (int64_t r = 0; r < rows; r++) {
            int want = expected_size(k->dtype, 0.0);
            for (int64_t c = 0; c < columns; c++) {
                const int size = expected_size(k->dtype, at(&x, r, c));
                want = size > want ? size : want;
            }
            CHECK(sizes[r] == want, "row %d: got %d, wants %d", (int)r, sizes[r], want);
        }
        check_margins("x", &x);
        take_fences_down();
    }
    CHECK(fg_size_of_zero(k->dtype) == expected_size(k->dtype, 0.0), "of zero");
    CHECK(fg_size_of_infinity(k->dtype) == expected_size(k->dtype, INFINITY), "of infinity");
}

/* To the bit: the same chain of additions. */
static inline void test_sum_of_squares(const fg_kernels *k) {
    for (int repeat = 0; repeat < 200; repeat++) {
        const int64_t rows = random_between(1, FG_ROW_BLOCK), columns = random_between(1, 5 * k->lanes);
        const double magnitude = some_magnitude(k->dtype);
        const matrix x = random_matrix(k->dtype, rows, columns, columns, some_stride(columns), -magnitude, magnitude);
        double *const sum = fenced(sizeof *sum), want = 0.0;
        const struct fg_sum_of_squares_args args = {rows, columns, x.data, x.stride, sum};
        CASE("%s %s squares of %d rows x %d", fg_isa_name(k->isa), real_name(k->dtype), (int)rows, (int)columns);
        k->sum_of_squares(&args);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++)
                want += at(&x, r, c) * at(&x, r, c);
        CHECK(*sum == want, "got %a, wants %a", *sum, want);
        take_fences_down();
    }
}

static inline void test_alive_columns(const fg_kernels *k) {
    for (int repeat = 0; repeat < 400; repeat++) {
        const int64_t rows = random_between(1, 40), columns = random_between(1, 5 * k->lanes);
        const matrix x = random_matrix(k->dtype, rows, columns, columns, some_stride(columns), 0, 1);
        int32_t *const alive = fenced((size_t)columns * sizeof *alive);
        const struct fg_alive_columns_args args = {rows, columns, x.data, x.stride, alive};
        for (int64_t c = 0; c < columns; c++) {
            const int64_t only = random_between(0, 1) ? random_between(0, rows - 1) : rows;
            for (int64_t r = 0; r < rows; r++)
                if (r != only)
                    real_put(k->dtype, x.data, r * x.stride + c, 0.0);
                else if (random_between(0, 9) == 0)
                    real_put(k->dtype, x.data, r * x.stride + c, random_between(0, 1) ? NAN : INFINITY);
        }
        CASE("%s %s alive of %d columns, %d rows", fg_isa_name(k->isa), real_name(k->dtype), (int)columns, (int)rows);
        k->alive_columns(&args);
        for (int64_t c = 0; c < columns; c++) {
            int want = 0;
            for (int64_t r = 0; r < rows; r++)
                want |= at(&x, r, c) != 0.0;
            CHECK(alive[c] == want, "column %d: got %d, wants %d", (int)c, (int)alive[c], want);
        }
        take_fences_down();
    }
}

static inline void test_fill(const fg_kernels *k) {
    for (int64_t n = 0; n <= 3 * k->lanes + 1; n++) {
        const matrix x = new_matrix(k->dtype, 1, n, n, n + 1);
        const struct fg_fill_args args = {n, ldexp(1.0, (int)random_between(-100, 100)), x.data};
        CASE("%s %s fill %d", fg_isa_name(k->isa), real_name(k->dtype), (int)n);
        k->fill(&args);
        for (int64_t c = 0; c < n; c++)
            CHECK(at(&x, 0, c) == args.value, "%d: got %g, wants %g", (int)c, at(&x, 0, c), args.value);
        check_margins("filled", &x);
        take_fences_down();
    }
}

/* In long double every square fits. */
static inline void test_norm(const fg_kernels *k) {
    for (int repeat = 0; repeat < 300; repeat++) {
        const int64_t n = repeat % 30 ? random_between(0, 6 * k->lanes) : 3 * 4096 * k->lanes + random_between(0, 9);
        const int size = (int)random_between(-40, 40) * (k->dtype == FG_F32 ? 3 : 25);
        const matrix x = repeat % 3 ? random_matrix(k->dtype, 1, n, n, n, ldexp(-1.0, size), ldexp(1.0, size))
                         : n        ? uneven_matrix(k->dtype, 1, n, 0)
                                    : new_matrix(k->dtype, 1, 0, 0, 0);
        double *const norm = fenced(sizeof *norm);
        const struct fg_norm_args args = {n, x.data, norm};
        CASE("%s %s norm of %d", fg_isa_name(k->isa), real_name(k->dtype), (int)n);
        k->norm(&args);
        check_close("norm", *norm, norm_of(&x), 1e-12L * norm_of(&x));
        take_fences_down();
    }
}
#endif
