/* Fenced matrices with margins, and comparison with a bound. */
#ifndef MATRIX_H
#define MATRIX_H
#include "check.h"
#include <math.h>

/* Of each row, `columns` true elements, zeros up to `padded`, then what nobody may touch up to `stride`. */
typedef struct {
    fg_dtype dtype;
    int64_t rows, columns, padded, stride;
    void *data;
} matrix;

static inline matrix new_matrix(fg_dtype dtype, int64_t rows, int64_t columns, int64_t padded, int64_t stride) {
    matrix m = {dtype, rows, columns, padded, stride, fenced((size_t)(rows * stride) * real_size(dtype))};
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = columns; c < padded; c++)
            real_put(dtype, m.data, r * stride + c, 0.0);
    return m;
}

static inline matrix random_matrix(fg_dtype dtype, int64_t rows, int64_t columns, int64_t padded, int64_t stride,
                                   double low, double high) {
    const matrix m = new_matrix(dtype, rows, columns, padded, stride);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            real_put(dtype, m.data, r * stride + c, random_uniform(low, high));
    return m;
}

static inline int64_t some_stride(int64_t padded) { return padded + random_between(0, 5); }
static inline double at(const matrix *m, int64_t r, int64_t c) { return real_at(m->dtype, m->data, r * m->stride + c); }

static inline void check_margins(const char *name, const matrix *m) {
    const size_t size = real_size(m->dtype);
    for (int64_t r = 0; r < m->rows; r++) {
        const char *row = (const char *)m->data + (size_t)(r * m->stride) * size;
        for (int64_t c = m->columns; c < m->padded; c++)
            CHECK(at(m, r, c) == 0.0, "%s[%d][%d]: got %g in the padding", name, (int)r, (int)c, at(m, r, c));
        CHECK(untouched(row + (size_t)m->padded * size, (size_t)(m->stride - m->padded) * size),
              "%s: row %d is written past its panel", name, (int)r);
    }
}

static inline void check_close(const char *name, double got, long double want, long double bound) {
    CHECK(fabsl(got - want) <= bound, "%s: got %.17g, wants %.17Lg within %.2Lg", name, got, want, bound);
}

static inline long double sum_of_squares(const matrix *m) {
    long double sum = 0;
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t c = 0; c < m->columns; c++)
            sum += (long double)at(m, r, c) * at(m, r, c);
    return sum;
}

static inline long double norm_of(const matrix *m) { return sqrtl(sum_of_squares(m)); }

static inline double largest_of(const matrix *m) {
    double largest = 0;
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t c = 0; c < m->columns; c++)
            largest = fmax(largest, fabs(at(m, r, c)));
    return largest;
}

/* Partial sums are taken in the working precision over at most 24 terms. */
static inline long double sum_tolerance(fg_dtype dtype, long double sum_of_sizes) {
    return 25 * real_epsilon(dtype) * sum_of_sizes;
}
#endif
