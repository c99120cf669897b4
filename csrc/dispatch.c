/* From an instruction set and a dtype to a table of kernels. */
#include "kernels.h"

#define DECLARE(isa) extern const fg_kernels fg_##isa##_f32_kernels, fg_##isa##_f64_kernels;
DECLARE(scalar)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif

static const fg_kernels *const tables[FG_ISAS][FG_DTYPES] = {
    [FG_SCALAR] = {&fg_scalar_f32_kernels, &fg_scalar_f64_kernels},
#if defined(__x86_64__)
    [FG_AVX2] = {&fg_avx2_f32_kernels, &fg_avx2_f64_kernels},
    [FG_AVX512] = {&fg_avx512_f32_kernels, &fg_avx512_f64_kernels},
#endif
};

const fg_kernels *fg_find_kernels(fg_isa isa, fg_dtype dtype) { return tables[isa][dtype]; }
