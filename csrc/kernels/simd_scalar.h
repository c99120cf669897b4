/* The same vector operations on 16-byte generic vectors: whatever the baseline compiler makes of them, on any machine.
 * The names are explained in simd_avx512.h. v_fma rounds twice here. */
#ifndef FG_SIMD_H
#define FG_SIMD_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#define ISA scalar
#define ACCUMULATORS 12
#define PANEL_VECS 2
#define PASS_DEPTH INT64_MAX

typedef double dvec __attribute__((vector_size(16)));
#define DLANES 2
static inline dvec d_zero(void) { return (dvec){0.0, 0.0}; }
static inline dvec d_fma(dvec a, dvec b, dvec c) { return a * b + c; }
static inline dvec d_sqrt(dvec a) { return (dvec){sqrt(a[0]), sqrt(a[1])}; }
static inline void d_store(double *p, dvec a) { memcpy(p, &a, sizeof a); }

#if FG_REAL_BITS == 32
typedef float real;
typedef float vec __attribute__((vector_size(16)));
typedef int32_t ivec __attribute__((vector_size(16)));
#define LANES 4
#define DVECS 2
#define FG_LIBM(name) name##f
static inline vec v_zip_lo(vec a, vec b) { return (vec){a[0], b[0], a[1], b[1]}; }
static inline vec v_zip_hi(vec a, vec b) { return (vec){a[2], b[2], a[3], b[3]}; }
static inline void v_widen(vec a, dvec out[DVECS]) {
    out[0] = (dvec){(double)a[0], (double)a[1]};
    out[1] = (dvec){(double)a[2], (double)a[3]};
}
#define FG_ROUNDING_SHIFT 12582912.0f /* 1.5 * 2^23 */
#define FG_INTEGRAL_FROM 4194304.0f   /* 2^22: rounded already as far as v_round promises */
#define FG_LOW_HALF 0xfff             /* the low half of the significand */
#else
typedef double real;
typedef double vec __attribute__((vector_size(16)));
typedef int64_t ivec __attribute__((vector_size(16)));
#define LANES 2
#define DVECS 1
#define FG_LIBM(name) name
static inline vec v_zip_lo(vec a, vec b) { return (vec){a[0], b[0]}; }
static inline vec v_zip_hi(vec a, vec b) { return (vec){a[1], b[1]}; }
static inline void v_widen(vec a, dvec out[DVECS]) { out[0] = a; }
#define FG_ROUNDING_SHIFT 6755399441055744.0 /* 1.5 * 2^52 */
#define FG_INTEGRAL_FROM 2251799813685248.0  /* 2^51 */
#define FG_LOW_HALF 0x7ffffff
#endif
typedef ivec mask; /* -1 or 0 */

static inline mask m_first(int n) {
    mask m = {0};
    for (int i = 0; i < LANES; i++)
        m[i] = i < n ? -1 : 0;
    return m;
}
static inline mask m_and(mask a, mask b) { return a & b; }
static inline mask m_or(mask a, mask b) { return a | b; }
static inline mask m_not(mask a) { return ~a; }
static inline int m_any(mask a) {
    int any = 0;
    for (int i = 0; i < LANES; i++)
        any |= a[i] != 0;
    return any;
}

static inline vec v_set1(real x) { return x - (vec){0}; }
static inline vec v_zero(void) { return (vec){0}; }
static inline vec v_load(const real *p) {
    vec a;
    memcpy(&a, p, sizeof a);
    return a;
}
static inline void v_store(real *p, vec a) { memcpy(p, &a, sizeof a); }
static inline vec v_load_n(const real *p, int n) {
    vec a = v_zero();
    memcpy(&a, p, (size_t)n * sizeof(real));
    return a;
}
static inline void v_store_n(real *p, vec a, int n) { memcpy(p, &a, (size_t)n * sizeof(real)); }
static inline vec v_fma(vec a, vec b, vec c) { return a * b + c; }
/* Dekker's product on halves of the significands. */
static inline vec v_product_error(vec a, vec b, vec product) {
    const ivec high_half = ~((ivec){0} + FG_LOW_HALF);
    const vec a_high = (vec)((ivec)a & high_half), a_low = a - a_high;
    const vec b_high = (vec)((ivec)b & high_half), b_low = b - b_high;
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
}
static inline vec v_select(mask m, vec yes, vec no) { return (vec)(((ivec)yes & m) | ((ivec)no & ~m)); }
static inline mask v_lt(vec a, vec b) { return a < b; }
static inline mask v_le(vec a, vec b) { return a <= b; }
static inline mask v_eq(vec a, vec b) { return a == b; }
static inline vec v_min(vec a, vec b) { return v_select(a < b, a, b); }
static inline vec v_max(vec a, vec b) { return v_select(a > b, a, b); }
static inline vec v_sqrt(vec a) {
    for (int i = 0; i < LANES; i++)
        a[i] = FG_LIBM(sqrt)(a[i]);
    return a;
}
static inline vec v_round(vec a) {
    const vec shift = v_set1(FG_ROUNDING_SHIFT), rounded = (a + shift) - shift;
    return v_select((a < v_set1(FG_INTEGRAL_FROM)) & (a > v_set1(-FG_INTEGRAL_FROM)), rounded, a);
}

#undef FG_LIBM
#undef FG_ROUNDING_SHIFT
#undef FG_INTEGRAL_FROM
#undef FG_LOW_HALF
#include "simd_scale2.h"
#endif
