/* The vector operations of AVX2 with FMA, for FG_REAL_BITS 32 or 64. The names are explained in simd_avx512.h. */
#ifndef FG_SIMD_H
#define FG_SIMD_H
#include <immintrin.h>
#include <stdint.h>

#define ISA avx2
#define ACCUMULATORS 12
#define PANEL_VECS 2
#define PASS_DEPTH 128

typedef __m256d dvec;
#define DLANES 4
static inline dvec d_zero(void) { return _mm256_setzero_pd(); }
static inline dvec d_fma(dvec a, dvec b, dvec c) { return _mm256_fmadd_pd(a, b, c); }
static inline dvec d_sqrt(dvec a) { return _mm256_sqrt_pd(a); }
static inline void d_store(double *p, dvec a) { _mm256_storeu_pd(p, a); }

#if FG_REAL_BITS == 32
typedef float real;
typedef __m256 vec;
typedef int32_t ivec __attribute__((vector_size(32)));
#define LANES 8
#define DVECS 2
#define FG_OP(name) _mm256_##name##_ps
#define FG_MOVEMASK _mm256_movemask_ps
static inline void v_widen(vec a, dvec out[DVECS]) {
    out[0] = _mm256_cvtps_pd(_mm256_castps256_ps128(a));
    out[1] = _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1));
}
static inline vec v_zip_lo(vec a, vec b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
}
static inline vec v_zip_hi(vec a, vec b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
}
#else
typedef double real;
typedef __m256d vec;
typedef int64_t ivec __attribute__((vector_size(32)));
#define LANES 4
#define DVECS 1
#define FG_OP(name) _mm256_##name##_pd
#define FG_MOVEMASK _mm256_movemask_pd
static inline void v_widen(vec a, dvec out[DVECS]) { out[0] = a; }
static inline vec v_zip_lo(vec a, vec b) {
    return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x20);
}
static inline vec v_zip_hi(vec a, vec b) {
    return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x31);
}
#endif
typedef vec mask; /* all bits of a lane set, or none */

#if FG_REAL_BITS == 32
static inline mask m_first(int n) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), index));
}
static inline vec v_load_n(const real *p, int n) { return _mm256_maskload_ps(p, _mm256_castps_si256(m_first(n))); }
static inline void v_store_n(real *p, vec a, int n) { _mm256_maskstore_ps(p, _mm256_castps_si256(m_first(n)), a); }
#else
static inline mask m_first(int n) {
    const __m256i index = _mm256_setr_epi64x(0, 1, 2, 3);
    return _mm256_castsi256_pd(_mm256_cmpgt_epi64(_mm256_set1_epi64x(n), index));
}
static inline vec v_load_n(const real *p, int n) { return _mm256_maskload_pd(p, _mm256_castpd_si256(m_first(n))); }
static inline void v_store_n(real *p, vec a, int n) { _mm256_maskstore_pd(p, _mm256_castpd_si256(m_first(n)), a); }
#endif
static inline mask m_and(mask a, mask b) { return FG_OP (and)(a, b); }
static inline mask m_or(mask a, mask b) { return FG_OP(or)(a, b); }
static inline mask m_not(mask a) { return (mask)~(ivec)a; }
static inline int m_any(mask a) { return FG_MOVEMASK(a) != 0; }

static inline vec v_zero(void) { return FG_OP(setzero)(); }
static inline vec v_set1(real x) { return FG_OP(set1)(x); }
static inline vec v_load(const real *p) { return FG_OP(loadu)(p); }
static inline void v_store(real *p, vec a) { FG_OP(storeu)(p, a); }
static inline vec v_fma(vec a, vec b, vec c) { return FG_OP(fmadd)(a, b, c); }
static inline vec v_product_error(vec a, vec b, vec product) { return FG_OP(fmsub)(a, b, product); }
static inline vec v_sqrt(vec a) { return FG_OP(sqrt)(a); }
static inline vec v_min(vec a, vec b) { return FG_OP(min)(a, b); }
static inline vec v_max(vec a, vec b) { return FG_OP(max)(a, b); }
static inline vec v_round(vec a) { return FG_OP(round)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline mask v_lt(vec a, vec b) { return FG_OP(cmp)(a, b, _CMP_LT_OQ); }
static inline mask v_le(vec a, vec b) { return FG_OP(cmp)(a, b, _CMP_LE_OQ); }
static inline mask v_eq(vec a, vec b) { return FG_OP(cmp)(a, b, _CMP_EQ_OQ); }
static inline vec v_select(mask m, vec yes, vec no) { return FG_OP(blendv)(no, yes, m); }

#undef FG_OP
#undef FG_MOVEMASK
#include "simd_scale2.h"
#endif
