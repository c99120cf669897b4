/* Norms of columns of numbers of any size: against long double, and to the bit against one multiply-add after another. */
#ifndef COLUMN_NORM_CASES_H
#define COLUMN_NORM_CASES_H
#include "layout.h"
#include "matrix.h"
#include "kernels.h"
#include "norm.h"
#include <math.h>

/* The scalar table rounds a product before it is added. */
static inline double square_added(const fg_kernels *k, double x, double sum) {
    return k->isa == FG_ISA_scalar ? x * x + sum : fma(x, x, sum);
}

static inline double chained_norm(const fg_kernels *k, const matrix *m, int64_t c) {
    fg_squares apart = {0.0, 0.0, 0.0};
    double plain = 0.0;
    for (int64_t r = 0; r < m->rows; r++) {
        const double x = fabs(at(m, r, c));
        plain = square_added(k, x, plain);
        if (x < 0x1p-450)
            apart.small = square_added(k, x * 0x1p600, apart.small);
        else if (x > 0x1p450)
            apart.large = square_added(k, x * 0x1p-600, apart.large);
        else
            apart.middle = square_added(k, x, apart.middle);
    }
    return k->dtype == FG_F32 || (plain >= 0x1p-900 && plain <= 0x1p900) ? sqrt(plain) : fg_norm(&apart);
}

static inline int same_bits(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

/* Columns have sizes of their own, and every fourth has numbers of any. */
static inline matrix columns_of_any_size(fg_dtype dtype, int64_t rows, int64_t columns, int64_t padded) {
    const int reach = dtype == FG_F32 ? 125 : 1021;
    const matrix m = random_matrix(dtype, rows, columns, padded, padded, -1, 1);
    for (int64_t c = 0; c < columns; c++) {
        const int exponent = (int)random_between(-reach, reach - 5);
        for (int64_t r = 0; r < rows; r++)
            real_put(dtype, m.data, r * padded + c,
                     ldexp(at(&m, r, c), c % 4 == 3 ? (int)random_between(-reach, reach - 5) : exponent));
    }
    return m;
}

/* 1: infinite, 2: NaN, 3: all zeros; in one column. */
static inline void spoil_column(const matrix *m, int64_t c, int how) {
    const int64_t r = random_between(0, m->rows - 1);
    if (how == 1 || how == 2)
        real_put(m->dtype, m->data, r * m->stride + c, how == 1 ? -INFINITY : NAN);
    for (int64_t i = 0; how == 3 && i < m->rows; i++)
        real_put(m->dtype, m->data, i * m->stride + c, 0.0);
}

static inline void column_norms_case(const fg_kernels *k, int64_t rows, int vecs, int spoilt) {
    const int64_t padded = (int64_t)vecs * k->lanes, columns = padded - random_between(0, k->lanes - 1);
    const int64_t spoilt_column = spoilt ? random_between(0, columns - 1) : -1;
    const matrix x = columns_of_any_size(k->dtype, rows, columns, padded);
    double *const norms = fenced((size_t)padded * sizeof *norms);
    const struct fg_column_norms_args args = {.rows = rows, .vecs = vecs, .x = x.data, .norms = norms};
    CASE("%s %s column norms, %d rows x %d, spoilt %d", fg_isa_name(k->isa), real_name(k->dtype), (int)rows,
         (int)columns, spoilt);
    if (spoilt)
        spoil_column(&x, spoilt_column, spoilt);
    k->column_norms(&args);
    for (int64_t c = 0; c < padded; c++) {
        long double squares = 0;
        for (int64_t r = 0; r < rows; r++)
            squares += (long double)at(&x, r, c) * at(&x, r, c);
        if (spoilt == 2 && c == spoilt_column)
            CHECK(isnan(norms[c]), "column %d: got %g, wants NaN", (int)c, norms[c]);
        else if (isinf(squares))
            CHECK(norms[c] == INFINITY, "column %d: got %g, wants infinity", (int)c, norms[c]);
        else {
            check_close("norm", norms[c], sqrtl(squares), (long double)(rows + 4) * (DBL_EPSILON / 2) * sqrtl(squares));
            CHECK(same_bits(norms[c], chained_norm(k, &x, c)), "column %d: got %a, wants %a", (int)c, norms[c],
                  chained_norm(k, &x, c));
        }
    }
    take_fences_down();
}

static inline void test_column_norms(const fg_kernels *k) {
    for (int vecs = 1; vecs <= k->panel_vecs; vecs++)
        for (int64_t rows = 1; rows <= FG_WEIGHT_BLOCK; rows++)
            for (int spoilt = 0; spoilt <= 3; spoilt++)
                column_norms_case(k, rows, vecs, spoilt);
}
#endif
