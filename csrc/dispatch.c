/* From an instruction set and a dtype to a table of kernels, and the names of what the tables are indexed by. */
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

const char *fg_isa_name(fg_isa isa) {
    static const char *const names[FG_ISAS] = {[FG_SCALAR] = "scalar", [FG_AVX2] = "avx2", [FG_AVX512] = "avx512"};
    return names[isa];
}

const char *fg_activation_name(fg_activation activation) {
    static const char *const names[] = {
#define FG_ACTIVATION(name, form, derivative_below, steepest) #name,
#include "activations.def"
#undef FG_ACTIVATION
    };
    return names[activation];
}

const char *fg_optimizer_name(fg_optimizer_kind kind) {
    static const char *const names[] = {
#define FG_OPTIMIZER(name, states) #name,
#include "optimizers.def"
#undef FG_OPTIMIZER
    };
    return names[kind];
}

const char *fg_loss_name(fg_loss loss) {
    static const char *const names[] = {
#define FG_LOSS(name, per_sample, degree, small_degree, reference) #name,
#include "losses.def"
#undef FG_LOSS
    };
    return names[loss];
}

const char *fg_statistic_name(fg_statistic statistic) {
    static const char *const names[] = {
#define FG_STATISTIC(name) #name,
#include "statistics.def"
#undef FG_STATISTIC
    };
    return names[statistic];
}

const char *fg_unary_name(fg_unary unary) {
    static const char *const names[] = {
#define FG_UNARY(name) #name,
#include "unary.def"
#undef FG_UNARY
    };
    return names[unary];
}

const char *fg_tensor_name(fg_tensor tensor) {
    static const char *const names[] = {
#define FG_TENSOR(name) #name,
#include "tensors.def"
#undef FG_TENSOR
    };
    return names[tensor];
}
