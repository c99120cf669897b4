/* What an optimizer adds to each element of the weights: the formulas of torch.optim, for gradients of any size. It
 * judges nothing: what leaves the range comes out as infinity or NaN.
 *
 * increment_<optimizer>(u, g, w, s) gives what is to be added to w, and moves the optimizer's state s.
 *
 * A second moment is kept as the root s = sqrt(v / (1 - beta2)), so that s <- sqrt(beta2 s^2 + g^2) has the size of g:
 * never below |g|, and at most 1 / sqrt(1 - beta2) times the largest. An average of g of either sign may become as small
 * as it likes beside g; it is kept as a multiple of a power of two near s, its *unit*. A step is computed in the unit of
 * the larger of s and g, where nothing under- or overflows but what is lost beside the rest. */

/* The unit of x, |x| in [2^(4k - 1), 2^(4k + 3)) times the smallest normal number, is 2^(4k) times that number: it and
 * its inverse are normal. Zero has the least, and what is not finite the largest. */
#if FG_REAL_BITS == 32
#define UNITS 0x7e000000
#define LEAST_UNIT 0x00800000
#define UNIT_AND_INVERSE 0x7f000000
#define ONE_IN_BITS 0x3f800000
#define LEAST_RATIO 0x1p-116f
#define LIFT 0x1p56f
#define LAST_BIT 0x1.8p-24f
#else
#define UNITS 0x7fc0000000000000
#define LEAST_UNIT 0x0010000000000000
#define UNIT_AND_INVERSE 0x7fe0000000000000
#define ONE_IN_BITS 0x3ff0000000000000
#define LEAST_RATIO 0x1p-900
#define LIFT 0x1p480
#define LAST_BIT 0x1.8p-53
#endif
static inline vec unit_of(vec x) { return v_from_bits((v_bits(x) & UNITS) | LEAST_UNIT); }
static inline vec inverse_of(vec unit) { return v_from_bits(UNIT_AND_INVERSE - v_bits(unit)); }

/* struct fg_update, broadcast to vectors once for a call. */
typedef struct {
    vec l2, minus_lr, minus_decay, minus_step, momentum, gain, gradient_part, buffer_part;
    vec rest1, rest2, root_rest, root_scale, eps; /* rest: 1 - beta; root_rest: 1 - sqrt(beta2) */
} update_terms;

static inline update_terms broadcast_terms(const struct fg_update *u) {
    return (update_terms){
        .l2 = v_set1((real)u->l2),
        .minus_lr = v_set1((real)-u->lr),
        .minus_decay = v_set1((real)-u->decay),
        .minus_step = v_set1((real)-u->step_size),
        .momentum = v_set1((real)u->momentum),
        .gain = v_set1((real)u->gain),
        .gradient_part = v_set1((real)u->gradient_part),
        .buffer_part = v_set1((real)u->buffer_part),
        .rest1 = v_set1((real)(1.0 - u->beta1)),
        .rest2 = v_set1((real)(1.0 - u->beta2)),
        .root_rest = v_set1((real)(1.0 - sqrt(u->beta2))),
        .root_scale = v_set1((real)u->root_scale),
        .eps = v_set1((real)u->eps),
    };
}

ALWAYS_INLINE vec increment_sgd(const update_terms *u, vec g, vec w, vec *s) {
    (void)s;
    return u->minus_lr * v_fma(u->l2, w, g);
}

ALWAYS_INLINE vec increment_sgd_momentum(const update_terms *u, vec g, vec w, vec *s) {
    g = v_fma(u->l2, w, g);
    s[0] = v_fma(u->momentum, s[0], u->gain * g);
    return u->minus_lr * v_fma(u->buffer_part, s[0], u->gradient_part * g);
}

/* (1 - rest) x */
static inline vec decayed(vec x, vec rest) { return v_fma(v_zero() - rest, x, x); }

/* The deviation's root and the average that it is taken about are at least so far apart that the one has a unit for the
 * other. */
static inline vec at_least_beside(vec average, vec root) {
    return v_max(v_fma(v_abs(average), v_set1(LEAST_RATIO), v_set1(LEAST_RATIO)), root);
}

/* x / (root_scale root + eps), all times the inverse of a unit. Where root and eps have gone, 0 / 0 would poison the
 * padding. */
static inline vec divided(const update_terms *u, vec x, vec root, vec inverse) {
    const vec divisor = v_fma(root, u->root_scale, u->eps * inverse);
    return x / v_select(v_eq(x, v_zero()), v_set1(1), divisor);
}

/* Puts the average, in `unit`, into the unit of the root that is kept. at_least_beside sees to it that their quotient is
 * a normal number. */
static inline vec kept_average(vec average, vec unit, vec root) {
    return average * v_from_bits(v_bits(unit) + ONE_IN_BITS - v_bits(unit_of(root)));
}

ALWAYS_INLINE vec increment_adam(const update_terms *u, vec g, vec w, vec *s) {
    g = v_fma(u->l2, w, g);
    const vec old_unit = unit_of(s[1]), unit = v_max(old_unit, unit_of(g)), inverse = inverse_of(unit);
    const vec gradient = g * inverse, part = decayed(s[1] * inverse, u->root_rest);
    const vec mean = v_fma(u->rest1, gradient, decayed(s[0], u->rest1) * (old_unit * inverse));
    const vec root = v_max(v_abs(gradient), v_sqrt(v_fma(gradient, gradient, part * part)));
    s[1] = at_least_beside(mean, root) * unit;
    s[0] = kept_average(mean, unit, s[1]);
    return v_fma(u->minus_decay, w, u->minus_step * divided(u, mean, root, inverse));
}

/* Where alpha is 0, the root that was has no say in the unit. */
ALWAYS_INLINE vec rmsprop_direction(const update_terms *u, vec g, vec *s) {
    const vec old_unit = unit_of(*s), old = decayed(*s * inverse_of(old_unit), u->root_rest) * old_unit;
    const vec unit = v_max(unit_of(old), unit_of(g)), inverse = inverse_of(unit);
    const vec gradient = g * inverse, part = old * inverse, root = v_sqrt(v_fma(gradient, gradient, part * part));
    *s = root * unit;
    return divided(u, gradient, root, inverse);
}

/* `mean` moved by rest * lag, and where that is lost to rounding by the last bit, but never past the lag: a constant
 * gradient is its own mean in the end. */
static inline vec moved_mean(vec mean, vec lag, vec rest) {
    const vec moved = v_fma(rest, lag, mean), bit = v_abs(mean) * v_set1(LAST_BIT);
    return v_select(v_eq(moved, mean), mean + v_max(v_min(lag, bit), v_zero() - bit), moved);
}

/* v - c^2 would cancel. The variance is kept itself, as the root s[0] = sqrt(var / (1 - alpha)):
 * var <- alpha (var + (1 - alpha) (g - c)^2), then c <- c + (1 - alpha) (g - c). It may become far smaller than c^2,
 * which LIFT makes room for. */
ALWAYS_INLINE vec centered_direction(const update_terms *u, vec g, vec *s) {
    const vec old_unit = unit_of(s[0]), unit = v_max(v_max(old_unit, unit_of(s[1] * old_unit)), unit_of(g));
    const vec inverse = inverse_of(unit), lift = v_set1(LIFT);
    const vec gradient = g * inverse, mean = s[1] * (old_unit * inverse), lag = gradient - mean;
    const vec old = s[0] * inverse * lift, far = lag * lift;
    const vec root = v_sqrt(decayed(v_fma(far, far, old * old), u->rest2)) * v_set1(1 / LIFT);
    const vec new_mean = moved_mean(mean, lag, u->rest2);
    s[0] = at_least_beside(new_mean, root) * unit;
    s[1] = kept_average(new_mean, unit, s[0]);
    return divided(u, gradient, root, inverse);
}

ALWAYS_INLINE vec increment_rmsprop(const update_terms *u, vec g, vec w, vec *s) {
    return u->minus_lr * rmsprop_direction(u, v_fma(u->l2, w, g), s);
}

ALWAYS_INLINE vec increment_rmsprop_momentum(const update_terms *u, vec g, vec w, vec *s) {
    s[1] = v_fma(u->momentum, s[1], rmsprop_direction(u, v_fma(u->l2, w, g), s));
    return u->minus_lr * s[1];
}

ALWAYS_INLINE vec increment_rmsprop_centered(const update_terms *u, vec g, vec w, vec *s) {
    return u->minus_lr * centered_direction(u, v_fma(u->l2, w, g), s);
}

ALWAYS_INLINE vec increment_rmsprop_centered_momentum(const update_terms *u, vec g, vec w, vec *s) {
    s[2] = v_fma(u->momentum, s[2], centered_direction(u, v_fma(u->l2, w, g), s));
    return u->minus_lr * s[2];
}
#undef UNITS
#undef LEAST_UNIT
#undef UNIT_AND_INVERSE
#undef ONE_IN_BITS
#undef LEAST_RATIO
#undef LIFT
#undef LAST_BIT
