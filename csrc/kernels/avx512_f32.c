/* The kernels of avx512, float32. */
#define FG_REAL_BITS 32
#include "simd_avx512.h"
#include "table.inc.h"
