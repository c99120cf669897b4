/* All kernel bodies, and the table that makes them one instruction set's. Included once for each pair of instruction
 * set and dtype.
 *
 * Every object holds functions of the same names. For the sake of profilers and debuggers the symbols of those in which
 * time is spent carry the instruction set and the dtype, as in fg_avx2_f32_linear_forward. */
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "../kernels.h"
#include "../layout.h"
#include "../norm.h"
#include "../range.h"

#if FG_REAL_BITS == 32
#define FG_DTYPE_SUFFIX f32
#define FG_DTYPE FG_F32
#else
#define FG_DTYPE_SUFFIX f64
#define FG_DTYPE FG_F64
#endif
#define FG_JOIN2(a, b) a##_##b
#define FG_ISA_OF(name) FG_JOIN2(FG_ISA, name)
#define FG_JOIN4(a, b, c, d) a##_##b##_##c##_##d
#define FG_JOIN(a, b, c, d) FG_JOIN4(a, b, c, d)
#define FG_TEXT_OF(words) #words
#define FG_TEXT(words) FG_TEXT_OF(words)

/* The symbol of a function that the bodies define by this macro: the panel functions, one for each width, do. */
#define SYMBOL(name) FG_JOIN(fg, ISA, FG_DTYPE_SUFFIX, name)

/* The kernels' own, without a word in the bodies: a declaration gives the symbol, the definition follows it. */
#define FG_KERNEL(name)                                                                                                \
    static void name(const struct fg_##name##_args *) __asm__(FG_TEXT(FG_JOIN(fg, ISA, FG_DTYPE_SUFFIX, name)));
#include "../kernels.def"
#undef FG_KERNEL

#include "simd_common.inc.h"
#include "vmath.inc.h"
#include "activations.inc.h"
#include "accumulators.inc.h"
#include "scale.inc.h"
#include "rows.inc.h"
#include "product.inc.h"
#include "batch_sums.inc.h"
#include "epilogue.inc.h"
#include "scaled_epilogue.inc.h"
#include "forward.inc.h"
#include "backward_data.inc.h"
#include "packing.inc.h"
#include "transpose.inc.h"
#include "optimizers.inc.h"
#include "apply.inc.h"
#include "backward_weights.inc.h"
#include "column_norms.inc.h"
#include "loss.inc.h"
#include "arrays.inc.h"

extern const fg_kernels SYMBOL(kernels);
const fg_kernels SYMBOL(kernels) = {
    .isa = FG_ISA_OF(ISA),
    .dtype = FG_DTYPE,
    .lanes = LANES,
    .panel_vecs = PANEL_VECS,
#define FG_KERNEL(name) .name = name,
#include "../kernels.def"
#undef FG_KERNEL
};
