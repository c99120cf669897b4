/* Multiplication by powers of two that may lie outside the range, by factors that are normal numbers: a product is
 * exact, or flushes to zero, or becomes infinite as the true value does. Nothing finite is left of what is multiplied by
 * a power low enough, which takes a factor of zero: what is not finite then stays so as a NaN. */

/* The farthest that one factor reaches; from where down every finite number becomes 0, even the largest; and from where
 * up every one but 0 becomes infinite, even the smallest. */
enum {
    FARTHEST_POWER = FG_REAL_BITS == 32 ? 126 : 1022,
    LEAVES_NOTHING = -2 * FARTHEST_POWER - 2,
    EXCEEDS_ALL = 3 * FARTHEST_POWER
};

static inline void multiply_by(real *x, int64_t count, double factor) {
    const vec f = v_set1((real)factor);
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        v_store(x + i, v_load(x + i) * f);
    if (i < count)
        v_store_n(x + i, v_load_n(x + i, (int)(count - i)) * f, (int)(count - i));
}

static __attribute__((noinline)) void multiply_by_power(real *x, int64_t count, int exponent) {
    int left = exponent < EXCEEDS_ALL ? exponent : EXCEEDS_ALL;
    if (exponent <= LEAVES_NOTHING) {
        multiply_by(x, count, 0.0);
        return;
    }
    while (left != 0) {
        const int step = left > FARTHEST_POWER ? FARTHEST_POWER : left < -FARTHEST_POWER ? -FARTHEST_POWER : left;
        multiply_by(x, count, ldexp(1.0, step));
        left -= step;
    }
}
