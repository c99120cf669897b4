/* The kernels of avx512, float64. */
#define FG_REAL_BITS 64
#include "simd_avx512.h"
#include "table.inc.h"
