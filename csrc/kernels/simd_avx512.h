/* The vector operations of AVX-512 (F, BW, DQ, VL), for FG_REAL_BITS 32 or 64.
 *
 * Every instruction set defines the same names; the kernel bodies know nothing else of the machine.
 *   real      float or double              vec    LANES reals            ivec   LANES integers of the same size
 *   dvec      DLANES doubles, a register   mask   one truth value per lane
 *   DVECS     dvecs needed to hold one vec widened to double
 *   ACCUMULATORS, PANEL_VECS               registers that a tile's sums may fill, and the widest panel in vecs
 *   PASS_DEPTH                             longest pass of a product, in rows of a panel: see product.inc.h
 * Operators (+ * < & ...) are the compiler's own on vec and ivec. Loads and stores need no alignment.
 * v_load_n reads n lanes, the others are zero; v_store_n writes n lanes; neither touches memory past them.
 * m_first(n) is true in the first n lanes; v_select(m, yes, no) chooses lane by lane.
 * v_fma(a, b, c) is a * b + c, rounded once (twice in the scalar tables).
 * v_zip_lo and v_zip_hi interleave two vectors: a0 b0 a1 b1 ..., the lower halves and the upper ones.
 * v_round rounds to integers, halves to even. v_scale2(a, n) is a * 2^n for integral n.
 * v_min and v_max return the second operand when either is NaN.
 * v_product_error is a * b - product, where product is a * b rounded.
 * v_power2 is 2^n for integral n in the normal range, and 0 for the one n just below it. */
#ifndef FG_SIMD_H
#define FG_SIMD_H
#include <immintrin.h>
#include <stdint.h>

#define ISA avx512
#define ACCUMULATORS 24
#define PANEL_VECS 4
#define PASS_DEPTH INT64_MAX

typedef __m512d dvec;
#define DLANES 8
static inline dvec d_zero(void) { return _mm512_setzero_pd(); }
static inline dvec d_fma(dvec a, dvec b, dvec c) { return _mm512_fmadd_pd(a, b, c); }
static inline dvec d_sqrt(dvec a) { return _mm512_sqrt_pd(a); }
static inline void d_store(double *p, dvec a) { _mm512_storeu_pd(p, a); }

#if FG_REAL_BITS == 32
typedef float real;
typedef __m512 vec;
typedef int32_t ivec __attribute__((vector_size(64)));
typedef __mmask16 mask;
#define LANES 16
#define DVECS 2
#define FG_OP(name) _mm512_##name##_ps
#define FG_CMP _mm512_cmp_ps_mask
static inline void v_widen(vec a, dvec out[DVECS]) {
    out[0] = _mm512_cvtps_pd(_mm512_castps512_ps256(a));
    out[1] = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
}
static inline vec v_zip_lo(vec a, vec b) {
    const __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_ps(a, order, b);
}
static inline vec v_zip_hi(vec a, vec b) {
    const __m512i order = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return _mm512_permutex2var_ps(a, order, b);
}
#else
typedef double real;
typedef __m512d vec;
typedef int64_t ivec __attribute__((vector_size(64)));
typedef __mmask8 mask;
#define LANES 8
#define DVECS 1
#define FG_OP(name) _mm512_##name##_pd
#define FG_CMP _mm512_cmp_pd_mask
static inline void v_widen(vec a, dvec out[DVECS]) { out[0] = a; }
static inline vec v_zip_lo(vec a, vec b) {
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
}
static inline vec v_zip_hi(vec a, vec b) {
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
}
#endif

static inline mask m_first(int n) { return (mask)((1u << n) - 1u); }
static inline mask m_and(mask a, mask b) { return (mask)(a & b); }
static inline mask m_or(mask a, mask b) { return (mask)(a | b); }
static inline mask m_not(mask a) { return (mask)~a; }
static inline int m_any(mask a) { return a != 0; }

static inline vec v_zero(void) { return FG_OP(setzero)(); }
static inline vec v_set1(real x) { return FG_OP(set1)(x); }
static inline vec v_load(const real *p) { return FG_OP(loadu)(p); }
static inline void v_store(real *p, vec a) { FG_OP(storeu)(p, a); }
static inline vec v_load_n(const real *p, int n) { return FG_OP(maskz_loadu)(m_first(n), p); }
static inline void v_store_n(real *p, vec a, int n) { FG_OP(mask_storeu)(p, m_first(n), a); }
static inline vec v_fma(vec a, vec b, vec c) { return FG_OP(fmadd)(a, b, c); }
static inline vec v_product_error(vec a, vec b, vec product) { return FG_OP(fmsub)(a, b, product); }
static inline vec v_sqrt(vec a) { return FG_OP(sqrt)(a); }
static inline vec v_min(vec a, vec b) { return FG_OP(min)(a, b); }
static inline vec v_max(vec a, vec b) { return FG_OP(max)(a, b); }
static inline vec v_round(vec a) { return FG_OP(roundscale)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vec v_scale2(vec a, vec n) { return FG_OP(scalef)(a, n); }
static inline vec v_power2(vec n) { return FG_OP(scalef)(v_set1(1), n); }
static inline mask v_lt(vec a, vec b) { return FG_CMP(a, b, _CMP_LT_OQ); }
static inline mask v_le(vec a, vec b) { return FG_CMP(a, b, _CMP_LE_OQ); }
static inline mask v_eq(vec a, vec b) { return FG_CMP(a, b, _CMP_EQ_OQ); }
static inline vec v_select(mask m, vec yes, vec no) { return FG_OP(mask_blend)(m, no, yes); }

#undef FG_OP
#undef FG_CMP
#endif
