/* The kernels of scalar, float32. */
#define FG_REAL_BITS 32
#include "simd_scalar.h"
#include "table.inc.h"
