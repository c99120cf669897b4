/* The mathematics of the kernels for one element or one row, in long double and straight from the definitions. */
#ifndef ORACLE_H
#define ORACLE_H
#include "kernels.h"
#include <math.h>

static inline long double oracle_sigmoid(long double z) { return 1 / (1 + expl(-z)); }
static inline long double oracle_normal(long double z) { return erfcl(-z / sqrtl(2)) / 2; }
static inline long double oracle_density(long double z) { return expl(-z * z / 2) / sqrtl(2 * acosl(-1)); }

static inline long double oracle_unary(fg_unary function, long double x) {
    switch (function) {
    case FG_UNARY_exp: return expl(x);
    case FG_UNARY_expm1: return expm1l(x);
    case FG_UNARY_log1p: return log1pl(x);
    case FG_UNARY_tanh: return tanhl(x);
    case FG_UNARY_erf: return erfl(x);
    case FG_UNARY_erfc: return erfcl(x);
    default: return NAN;
    }
}

static inline long double oracle_activation(fg_activation function, long double z) {
    const long double alpha = 1.6732632423543772848170429916717L, scale = 1.0507009873554804934193349852946L;
    switch (function) {
    case FG_ACTIVATION_identity: return z;
    case FG_ACTIVATION_relu: return z > 0 ? z : 0;
    case FG_ACTIVATION_leaky_relu: return z > 0 ? z : 0.01L * z;
    case FG_ACTIVATION_elu: return z > 0 ? z : expm1l(z);
    case FG_ACTIVATION_selu: return scale * (z > 0 ? z : alpha * expm1l(z));
    case FG_ACTIVATION_gelu: return z * oracle_normal(z);
    case FG_ACTIVATION_gelu_tanh: return z * oracle_sigmoid(2 * sqrtl(2 / acosl(-1)) * (z + 0.044715L * z * z * z));
    case FG_ACTIVATION_silu: return z * oracle_sigmoid(z);
    case FG_ACTIVATION_softplus: return log1pl(expl(z));
    case FG_ACTIVATION_sigmoid: return oracle_sigmoid(z);
    case FG_ACTIVATION_tanh: return tanhl(z);
    case FG_ACTIVATION_mish: return z * tanhl(log1pl(expl(z)));
    default: return NAN;
    }
}

static inline long double oracle_derivative(fg_activation function, long double z) {
    const long double alpha = 1.6732632423543772848170429916717L, scale = 1.0507009873554804934193349852946L;
    const long double s = oracle_sigmoid(z), rate = sqrtl(2 / acosl(-1));
    switch (function) {
    case FG_ACTIVATION_identity: return 1;
    case FG_ACTIVATION_relu: return z > 0;
    case FG_ACTIVATION_leaky_relu: return z > 0 ? 1 : 0.01L;
    case FG_ACTIVATION_elu: return z > 0 ? 1 : expl(z);
    case FG_ACTIVATION_selu: return scale * (z > 0 ? 1 : alpha * expl(z));
    case FG_ACTIVATION_gelu: return oracle_normal(z) + z * oracle_density(z);
    case FG_ACTIVATION_gelu_tanh: {
        const long double gate = oracle_sigmoid(2 * rate * (z + 0.044715L * z * z * z));
        return gate + z * gate * (1 - gate) * 2 * rate * (1 + 3 * 0.044715L * z * z);
    }
    case FG_ACTIVATION_silu: return s + z * s * (1 - s);
    case FG_ACTIVATION_softplus: return s;
    case FG_ACTIVATION_sigmoid: return s * oracle_sigmoid(-z);
    case FG_ACTIVATION_tanh: return 1 / (coshl(z) * coshl(z));
    case FG_ACTIVATION_mish: {
        const long double gate = tanhl(log1pl(expl(z)));
        return gate + z * (1 - gate * gate) * s;
    }
    default: return NAN;
    }
}

/* What torch.optim adds to w; s is its state of this element, and where it is centered v - c^2 instead of v. */
static inline long double oracle_increment(const struct fg_update *u, long double gradient, long double w,
                                           long double *s) {
    const long double g = gradient + u->l2 * w, rest2 = 1 - (long double)u->beta2;
    long double direction, *buffer = NULL;
    switch (u->kind) {
    case FG_OPTIMIZER_sgd: return -u->lr * g;
    case FG_OPTIMIZER_sgd_momentum:
        s[0] = u->momentum * s[0] + u->gain * g;
        return -u->lr * (u->gradient_part * g + u->buffer_part * s[0]);
    case FG_OPTIMIZER_adam:
        s[0] = u->beta1 * s[0] + (1 - (long double)u->beta1) * g;
        s[1] = u->beta2 * s[1] + rest2 * g * g;
        return -u->decay * w - u->step_size * s[0] / (sqrtl(s[1] / rest2) * u->root_scale + u->eps);
    case FG_OPTIMIZER_rmsprop_centered:
    case FG_OPTIMIZER_rmsprop_centered_momentum:
        s[0] = u->beta2 * (s[0] + rest2 * (g - s[1]) * (g - s[1]));
        s[1] = u->beta2 * s[1] + rest2 * g;
        buffer = u->kind == FG_OPTIMIZER_rmsprop_centered_momentum ? &s[2] : NULL;
        break;
    default: s[0] = u->beta2 * s[0] + rest2 * g * g; buffer = u->kind == FG_OPTIMIZER_rmsprop_momentum ? &s[1] : NULL;
    }
    direction = g / (sqrtl(s[0] / rest2) * u->root_scale + u->eps);
    if (!buffer)
        return -u->lr * direction;
    *buffer = u->momentum * *buffer + direction;
    return -u->lr * *buffer;
}

/* The unit in which an average is kept beside a root: of x in [2^(4k - 1), 2^(4k + 3)) smallest normal numbers 2^(4k). */
static inline long double oracle_unit(fg_dtype dtype, long double root) {
    const int least = dtype == FG_F32 ? -126 : -1022;
    int exponent;
    frexpl(root, &exponent); /* root in [2^(exponent - 1), 2^exponent) */
    return root < ldexpl(1, least) ? ldexpl(1, least) : ldexpl(1, least + (exponent - least) / 4 * 4);
}

/* What the kernels keep of an element as torch.optim's state, see oracle_increment. */
static inline void oracle_state(fg_dtype dtype, const struct fg_update *u, const long double *kept, long double *s) {
    const int centered = u->kind == FG_OPTIMIZER_rmsprop_centered || u->kind == FG_OPTIMIZER_rmsprop_centered_momentum;
    const int adam = u->kind == FG_OPTIMIZER_adam, root = adam ? 1 : 0, average = adam ? 0 : 1;
    for (int j = 0; j < FG_MAX_STATES; j++)
        s[j] = kept[j];
    if (u->kind == FG_OPTIMIZER_sgd || u->kind == FG_OPTIMIZER_sgd_momentum)
        return;
    s[root] = (1 - (long double)u->beta2) * kept[root] * kept[root];
    if (adam || centered)
        s[average] = kept[average] * oracle_unit(dtype, kept[root]);
}

/* Value and gradient of a loss of one row, before the mean. `bound` is the sum of the sizes of the gradient's terms: its
 * rounding error is in proportion to that. */
static inline long double oracle_loss(fg_loss loss, int64_t n, const double *a, const double *y, long double *gradient,
                                      long double *bound) {
    long double value = 0, largest = a[0], sum = 0, targets = 0;
    for (int64_t j = 0; j < n; j++) {
        const long double d = (long double)a[j] - y[j], s = oracle_sigmoid(a[j]);
        largest = a[j] > largest ? a[j] : largest;
        targets += y[j];
        switch (loss) {
        case FG_LOSS_mse: value += d * d, gradient[j] = 2 * d; break;
        case FG_LOSS_mae: value += fabsl(d), gradient[j] = (d > 0) - (d < 0); break;
        case FG_LOSS_huber:
            value += fabsl(d) < 1 ? d * d / 2 : fabsl(d) - 0.5L;
            gradient[j] = fabsl(d) < 1 ? d : copysignl(1, d);
            break;
        case FG_LOSS_binary_cross_entropy:
            value += y[j] * log1pl(expl(-(long double)a[j])) + (1 - (long double)y[j]) * log1pl(expl(a[j]));
            gradient[j] = s * (1 - (long double)y[j]) - oracle_sigmoid(-(long double)a[j]) * y[j];
            break;
        case FG_LOSS_inner_product: value += (long double)a[j] * y[j], gradient[j] = y[j]; break;
        default: value += d * d, gradient[j] = d;
        }
        bound[j] =
            fabsl(gradient[j]) + (loss == FG_LOSS_binary_cross_entropy ? s + fabs(y[j]) : fabs(a[j]) + fabs(y[j]));
    }
    if (loss == FG_LOSS_l2_norm) {
        value = sqrtl(value);
        for (int64_t j = 0; j < n; j++)
            gradient[j] = value > 0 ? gradient[j] / value : 0, bound[j] = value > 0 ? bound[j] / value : 0;
    }
    if (loss != FG_LOSS_cross_entropy)
        return value;
    for (int64_t j = 0; j < n; j++)
        sum += expl(a[j] - largest);
    value = targets * logl(sum);
    for (int64_t j = 0; j < n; j++) {
        const long double p = expl(a[j] - largest) / sum;
        value += y[j] * (largest - a[j]);
        gradient[j] = p * (targets - y[j]) - y[j] * (1 - p);
        bound[j] = fabsl(p * (targets - y[j])) + fabsl(y[j] * (1 - p));
    }
    return value;
}
#endif
