/* Elementary functions on vectors, written once for every instruction set and both number formats.
 *
 * They expect the floating-point state the kernels run in: round to nearest, flush-to-zero, denormals-are-zero. A
 * result below the normal range is 0 and a subnormal argument counts as 0; NaN gives NaN; infinities, overflow and the
 * zeros of odd functions come out as in C. They set no errno and promise nothing about exception flags. With fused
 * multiply-adds the bits do not depend on the instruction set; without, they differ.
 *
 * Largest errors found, in units in the last place (tests/test_vmath.py repeats the search on fewer points):
 *              exp   expm1   log1p   tanh   erf   erfc
 *   float32    1.0    1.5     1.4     3.0   1.5    3.4     erfc 4.0 and 4.7 without fusion, where the products and the
 *   float64    1.0    1.9     1.5     3.0   1.6    3.9     sums of its two polynomials are rounded one by one */
#include <math.h>
#include "coefficients.inc.h"

#define EXPM1_LOWER ((real)-40) /* e^x - 1 rounds to -1 */
#if FG_REAL_BITS == 32
#define EXP_UPPER ((real)89)         /* e^x overflows */
#define EXP_LOWER ((real)-88)        /* e^x is below the normal range, and v_power2 still covers it */
#define EXP_LIFTED_LOWER ((real)-99) /* the same of 2^EXP_LIFT e^x */
#define SIGNIFICAND_BITS 23
#define INTEGER_SHIFT ((real)12582912) /* 1.5 * 2^23: a sum with it holds an integer in its low bits */
#else
#define EXP_UPPER ((real)710)
#define EXP_LOWER ((real)-709)
#define EXP_LIFTED_LOWER ((real)-720)
#define SIGNIFICAND_BITS 52
#define INTEGER_SHIFT ((real)6755399441055744) /* 1.5 * 2^52 */
#endif

/* Times 2^EXP_LIFT a tail may be multiplied by a factor over 1 before it is flushed. */
#define EXP_LIFT 16
#define EXP_SINK ((real)1 / (1 << EXP_LIFT))

#define v_polynomial(x, table) v_horner(x, table, (int)(sizeof(table) / sizeof *(table)))
static inline vec v_horner(vec x, const real *coefficients, int size) {
    vec sum = v_set1(coefficients[size - 1]);
    for (int i = size - 2; i >= 0; i--)
        sum = v_fma(sum, x, v_set1(coefficients[i]));
    return sum;
}

/* Clamps which let NaN through. */
static inline vec v_at_least(vec x, real bound) { return v_max(v_set1(bound), x); }
static inline vec v_at_most(vec x, real bound) { return v_min(v_set1(bound), x); }

/* Returns r with x = n ln 2 + r, n integral, |r| <= ln(2)/2. */
static inline vec v_exp_reduce(vec x, vec *n) {
    *n = v_round(x * v_set1(LOG2_E));
    return v_fma(*n, v_set1(-LN2_LOW), v_fma(*n, v_set1(-LN2_HIGH), x));
}

/* e^r - 1 for a reduced r. */
static inline vec v_expm1_reduced(vec r) { return v_fma(r * r, v_polynomial(r, EXPM1_REDUCED), r); }

static inline vec v_exp(vec x) {
    vec n;
    const vec r = v_exp_reduce(v_at_least(v_at_most(x, EXP_UPPER), EXP_LOWER), &n);
    return v_scale2(v_expm1_reduced(r) + v_set1(1), n);
}

/* e^x for x <= 0, in fewer instructions. */
static inline vec v_exp_nonpositive(vec x) {
    vec n;
    const vec r = v_exp_reduce(v_at_least(x, EXP_LOWER), &n);
    return (v_expm1_reduced(r) + v_set1(1)) * v_power2(n);
}

static inline vec v_expm1(vec x) {
    vec n;
    const vec q = v_expm1_reduced(v_exp_reduce(v_at_least(v_at_most(x, EXP_UPPER), EXPM1_LOWER), &n));
    const vec half_power = v_power2(n - v_set1(1)), half = v_fma(half_power, q, half_power - v_set1((real)0.5));
    return v_copysign(v_select(v_eq(n, v_zero()), q, half + half), x);
}

/* e^x for x <= 0 as 2^n (1 + q), and what activations and their derivatives are built from; parts not used cost nothing. */
typedef struct {
    vec q, lifted_power, value, minus1; /* 2^(n + EXP_LIFT), e^x, e^x - 1 */
} exp_tail;

/* x = n ln 2 + r, EXP_LIFTED_LOWER <= x <= 0. */
static inline exp_tail v_exp_tail_reduced(vec r, vec n) {
    const vec q = v_expm1_reduced(r), lifted_power = v_power2(n + v_set1(EXP_LIFT));
    const vec power = lifted_power * v_set1(EXP_SINK);
    return (exp_tail){.q = q,
                      .lifted_power = lifted_power,
                      .value = (q + v_set1(1)) * lifted_power * v_set1(EXP_SINK),
                      .minus1 = v_fma(power, q, power - v_set1(1))};
}
static inline exp_tail v_exp_tail(vec x) {
    vec n;
    const vec r = v_exp_reduce(x, &n);
    return v_exp_tail_reduced(r, n);
}
/* e^(x + x_low), where x_low holds what x is too short for. */
static inline exp_tail v_exp_tail_extended(vec x, vec x_low) {
    vec n;
    const vec r = v_exp_reduce(x, &n);
    return v_exp_tail_reduced(r + x_low, n);
}

/* factor e^x, which is flushed only if the product is below the normal range. */
static inline vec v_times_exp(vec factor, exp_tail t) {
    return v_fma(factor, t.q, factor) * t.lifted_power * v_set1(EXP_SINK);
}

/* log(1 + f) for sqrt(1/2) - 1 <= f <= 1, given s = f / (2 + f): f - f^2/2 is all but a small part of it. */
static inline vec v_log1p_reduced(vec f, vec s) {
    const vec square = s * s, half_f2 = v_set1((real)0.5) * f * f;
    return f - (half_f2 - s * v_fma(square, v_polynomial(square, LOG1P_REDUCED), half_f2));
}

/* 1 + x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); f needs no correction for the rounding of 1 + x. */
static inline vec v_log1p(vec x) {
    const vec one = v_set1(1), shift = v_set1(INTEGER_SHIFT);
    const ivec exponent = (v_bits(one + x) - v_bits(v_set1(SQRT_HALF))) >> SIGNIFICAND_BITS;
    const vec k = v_from_bits(v_bits(shift) + exponent) - shift;
    const vec f = v_scale2(x, -k) + (v_scale2(one, -k) - one);
    const vec log_f = v_log1p_reduced(f, f / (v_set1(2) + f));
    vec result = v_fma(k, v_set1(LN2_HIGH), v_fma(k, v_set1(LN2_LOW), log_f));
    result = v_select(v_lt(-one, x), result, v_select(v_eq(x, -one), v_set1(-INFINITY), v_set1(NAN)));
    return v_select(v_lt(x, v_set1(INFINITY)), v_copysign(result, x), x);
}

/* tanh' = 4 t / (1 + t)^2 with t = e^(-2|x|): 1 - tanh^2 would lose the tail. */
static inline void v_tanh_derivative(vec x, vec *tanh, vec *derivative) {
    const exp_tail t = v_exp_tail(v_at_least(v_set1(-2) * v_abs(x), EXP_LIFTED_LOWER));
    const vec inverse = v_set1(1) / (v_set1(2) + t.minus1);
    *tanh = v_copysign(t.minus1 * inverse, x);
    *derivative = v_times_exp(v_set1(4) * inverse * inverse, t);
}
static inline vec v_tanh(vec x) {
    vec tanh, derivative;
    v_tanh_derivative(x, &tanh, &derivative);
    return tanh;
}

/* e^(m^2/2) Phi(-m) for 0 <= m <= NORMAL_TAIL_BOUND, Phi the normal distribution function, as 1 / (sqrt(2 pi) m + A/B)
 * with A = 2 + m A': written so, the rounding errors of A and B fade as m grows. */
static inline vec v_normal_tail(vec m) {
    const vec b = v_polynomial(m, NORMAL_TAIL_B);
    const vec rise = v_fma(v_set1(SQRT_2PI), b, v_polynomial(m, NORMAL_TAIL_A));
    return b / v_fma(m, rise, v_set1(2));
}

/* e^(-weight x^2): the square is extended, or the exponential would lose as many bits as it has before the point. */
static inline exp_tail v_gauss(vec x, real weight) {
    const vec square = x * x, square_low = v_product_error(x, x, square);
    return v_exp_tail_extended(v_set1(-weight) * square, v_set1(-weight) * square_low);
}

/* erfc(x) = 2 Phi(-sqrt(2) x) for x >= 0. */
static inline vec v_erfc_nonnegative(vec x) {
    const vec bounded = v_at_most(x, NORMAL_TAIL_BOUND * SQRT_HALF);
    return v_times_exp(v_set1(2) * v_normal_tail(v_set1(SQRT_2) * bounded), v_gauss(bounded, 1));
}
static inline vec v_erfc(vec x) {
    const vec tail = v_erfc_nonnegative(v_abs(x));
    return v_select(v_lt(x, v_zero()), v_set1(2) - tail, tail);
}

static inline vec v_erf(vec x) {
    const vec size = v_abs(x);
    const vec small = x * (v_set1(1) + v_polynomial(x * x, ERF_REDUCED));
    const vec large = v_copysign(v_set1(1) - v_erfc_nonnegative(size), x);
    return v_select(v_lt(size, v_set1(ERF_SMALL)), small, large);
}

#undef v_polynomial
#undef EXPM1_LOWER
#undef EXP_UPPER
#undef EXP_LOWER
#undef SIGNIFICAND_BITS
#undef INTEGER_SHIFT
