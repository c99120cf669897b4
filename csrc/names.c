/* The names of what the enums of fastgrad.h count, from the files that make the enums. */
#include "fastgrad.h"

const char *fg_isa_name(fg_isa isa) {
    static const char *const names[] = {
#define FG_ISA(name, based_on) #name,
#include "isas.def"
#undef FG_ISA
    };
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

const char *fg_clip_name(fg_clip_kind clip) {
    static const char *const names[] = {
#define FG_CLIP(name, waits) #name,
#include "clips.def"
#undef FG_CLIP
    };
    return names[clip];
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
