/* All kernel bodies, and the table that makes them one instruction set's. Included once for each pair of instruction
 * set and dtype. */
#include <math.h>
#include <stddef.h>
#include "../kernels.h"
#include "../layout.h"
#include "../norm.h"

#include "simd_common.inc.h"
#include "vmath.inc.h"
#include "activations.inc.h"
#include "accumulators.inc.h"
#include "scale.inc.h"
#include "rows.inc.h"
#include "product.inc.h"
#include "batch_sums.inc.h"
#include "forward.inc.h"
#include "backward_data.inc.h"
#include "transpose.inc.h"
#include "optimizers.inc.h"
#include "backward_weights.inc.h"
#include "loss.inc.h"
#include "map.inc.h"

#if FG_REAL_BITS == 32
#define FG_DTYPE_SUFFIX f32
#define FG_DTYPE FG_F32
#else
#define FG_DTYPE_SUFFIX f64
#define FG_DTYPE FG_F64
#endif
#define FG_TABLE_OF(isa, dtype) fg_kernels_##isa##_##dtype
#define FG_TABLE(isa, dtype) FG_TABLE_OF(isa, dtype)

extern const fg_kernels FG_TABLE(FG_ISA, FG_DTYPE_SUFFIX);
const fg_kernels FG_TABLE(FG_ISA, FG_DTYPE_SUFFIX) = {
    .isa = FG_ISA_ID,
    .dtype = FG_DTYPE,
    .lanes = LANES,
    .panel_vecs = PANEL_VECS,
#define FG_KERNEL(name) .name = name,
#include "../kernels.def"
#undef FG_KERNEL
};
