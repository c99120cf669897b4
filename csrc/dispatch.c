/* From an instruction set and a dtype to a table of kernels. */
#include "kernels.h"

#define DECLARE(isa) extern const fg_kernels fg_kernels_##isa##_f32, fg_kernels_##isa##_f64;
DECLARE(scalar)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif

static const fg_kernels *const tables[FG_ISAS][FG_DTYPES] = {
    [FG_SCALAR] = {&fg_kernels_scalar_f32, &fg_kernels_scalar_f64},
#if defined(__x86_64__)
    [FG_AVX2] = {&fg_kernels_avx2_f32, &fg_kernels_avx2_f64},
    [FG_AVX512] = {&fg_kernels_avx512_f32, &fg_kernels_avx512_f64},
#endif
};

const fg_kernels *fg_find_kernels(fg_isa isa, fg_dtype dtype) { return tables[isa][dtype]; }
