/* Multiplication by powers of two that may lie outside the range. It is done in two halves, each a normal number, so that
 * a product is exact, or flushes to zero, or becomes infinite as the true value does. */
static inline vec half_power(int exponent) {
    enum { MOST = FG_REAL_BITS == 32 ? 126 : 1022 };
    const int half = exponent / 2;
    return v_set1((real)ldexp(1.0, half > MOST ? MOST : half < -MOST ? -MOST : half));
}

/* count: a multiple of LANES. */
static __attribute__((noinline)) void multiply_by_power(real *x, int64_t count, int exponent) {
    const vec half = half_power(exponent);
    for (int64_t i = 0; i < count; i += LANES)
        v_store(x + i, v_load(x + i) * half * half);
}

static void scale_rows(const struct fg_scale_rows_args *p) {
    for (int64_t row = 0; row < p->rows; row++)
        multiply_by_power((real *)p->x + row * p->stride, p->columns, p->exponent);
}
