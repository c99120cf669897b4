/* The kernels of scalar, float64. */
#define FG_REAL_BITS 64
#include "simd_scalar.h"
#include "table.inc.h"
