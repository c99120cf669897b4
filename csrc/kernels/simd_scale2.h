/* v_scale2 for instruction sets without a scaling instruction: a * 2^n for integral n, |n| <= 4 times the exponent
 * range. */
#if FG_REAL_BITS == 32
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define ROUNDING_SHIFT 12582912.0f /* 1.5 * 2^23: adding it leaves an integer in the low mantissa bits */
#else
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define ROUNDING_SHIFT 6755399441055744.0 /* 1.5 * 2^52 */
#endif

static inline vec v_power2(vec n) {
    const ivec shifted = (ivec)(n + v_set1(ROUNDING_SHIFT + EXPONENT_BIAS));
    return (vec)(shifted << MANTISSA_BITS);
}

/* Two exact factors reach every normal result; a result below the normal range is rounded once and then flushed. */
static inline vec v_scale2(vec a, vec n) {
    const vec limit = v_set1(2 * EXPONENT_BIAS - 2);
    const vec bounded = v_max(v_min(n, limit), v_zero() - limit);
    const vec half = v_round(bounded * v_set1(0.5));
    return a * v_power2(half) * v_power2(bounded - half);
}
#undef MANTISSA_BITS
#undef EXPONENT_BIAS
#undef ROUNDING_SHIFT
