/* The kernels of avx2, float64. */
#define FG_REAL_BITS 64
#include "simd_avx2.h"
#include "table.inc.h"
