/* The kernels of avx2, float32. */
#define FG_REAL_BITS 32
#include "simd_avx2.h"
#include "table.inc.h"
