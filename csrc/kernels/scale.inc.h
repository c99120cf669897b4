/* Multiplication by powers of two that may lie outside the range. It is done in two halves, or three factors where these
 * do not suffice, each a normal number: a product is exact, or flushes to zero, or becomes infinite as the true value
 * does. */
enum { FARTHEST_POWER = FG_REAL_BITS == 32 ? 126 : 1022 };

static inline vec power_within(int exponent) {
    const int most = FARTHEST_POWER;
    return v_set1((real)ldexp(1.0, exponent > most ? most : exponent < -most ? -most : exponent));
}

/* count: a multiple of LANES. */
static __attribute__((noinline)) void multiply_by_power(real *x, int64_t count, int exponent) {
    const vec half = power_within(exponent / 2);
    const vec rest = exponent / 2 > FARTHEST_POWER || exponent / 2 < -FARTHEST_POWER ? half : v_set1(1);
    for (int64_t i = 0; i < count; i += LANES)
        v_store(x + i, v_load(x + i) * half * half * rest);
}

static void scale_rows(const struct fg_scale_rows_args *p) {
    for (int64_t row = 0; row < p->rows; row++)
        multiply_by_power((real *)p->x + row * p->stride, p->columns, p->exponent);
}
