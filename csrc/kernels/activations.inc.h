/* The activations of activations.def: value f(z) and derivative f'(z), accurate in the tails until they leave the normal
 * range.
 *
 * Each is written in one exponential t = e^(-x), x >= 0 (|z|, 2|z|, z^2 / 2, ...), which value and derivative share and
 * which cannot overflow, with one division. Left of zero, value and derivative are t times a factor that may exceed 1: t
 * may have left the normal range where the product has not, so v_times_exp multiplies before t is flushed. NaN gives
 * NaN. */
#define LEAKY_RELU_SLOPE ((real)0.01)
#define SELU_SCALE ((real)1.0507009873554804934193349852946)
#define SELU_SCALE_ALPHA ((real)1.7580993408473768599402175208123)
#if FG_REAL_BITS == 32
#define GELU_TANH_BOUND ((real)10.45) /* left of minus this, gelu_tanh and its derivative are below the normal range */
#else
#define GELU_TANH_BOUND ((real)21.25)
#endif

static inline mask v_positive(vec z) { return v_lt(v_zero(), z); }
static inline vec v_size_up_to(vec z, real bound) { return v_at_most(v_abs(z), bound); }

/* 1 right of zero, `below` elsewhere, NaN for NaN. */
static inline vec v_step(vec z, real below) {
    return v_select(v_positive(z), v_set1(1), v_select(v_le(z, v_zero()), v_set1(below), z));
}

static inline void activate_identity(vec z, vec *a, vec *derivative) {
    *a = z;
    *derivative = v_set1(1);
}

static inline void activate_relu(vec z, vec *a, vec *derivative) {
    *a = v_at_least(z, 0);
    *derivative = v_step(z, 0);
}

static inline void activate_leaky_relu(vec z, vec *a, vec *derivative) {
    *a = v_max(v_set1(LEAKY_RELU_SLOPE) * z, z);
    *derivative = v_step(z, LEAKY_RELU_SLOPE);
}

static inline void activate_elu(vec z, vec *a, vec *derivative) {
    const exp_tail t = v_exp_tail(-v_size_up_to(z, -EXP_LIFTED_LOWER));
    *a = v_select(v_positive(z), z, t.minus1);
    *derivative = v_select(v_positive(z), v_set1(1), t.value);
}

static inline void activate_selu(vec z, vec *a, vec *derivative) {
    const exp_tail t = v_exp_tail(-v_size_up_to(z, -EXP_LIFTED_LOWER));
    const vec right = v_set1(SELU_SCALE), left = v_set1(SELU_SCALE_ALPHA);
    *a = v_select(v_positive(z), right * z, left * t.minus1);
    *derivative = v_select(v_positive(z), right, v_times_exp(left, t));
}

/* z Phi(z), derivative Phi(z) + z phi(z). */
static inline void activate_gelu(vec z, vec *a, vec *derivative) {
    const vec m = v_size_up_to(z, NORMAL_TAIL_BOUND), tail = v_normal_tail(m), peak = v_set1(INV_SQRT_2PI) * m;
    const exp_tail t = v_gauss(m, (real)0.5);
    const vec phi = v_fma(-t.value, tail, v_set1(1));
    *a = v_select(v_positive(z), z * phi, -v_times_exp(m * tail, t));
    *derivative = v_select(v_positive(z), v_fma(t.value, peak, phi), v_times_exp(tail - peak, t));
}

/* z sigma(g(z)) for an odd g, given m = |z| as far as it matters, t = e^(-|g|) and m g'(m). */
static inline void v_gated(vec z, vec m, exp_tail t, vec growth, vec *a, vec *derivative) {
    const vec one = v_set1(1), inverse = one / (one + t.value), steep = growth * inverse;
    *a = v_select(v_positive(z), z * inverse, -v_times_exp(m * inverse, t));
    *derivative =
        v_select(v_positive(z), v_fma(steep * t.value, inverse, inverse), v_times_exp((one - steep) * inverse, t));
}

static inline void activate_silu(vec z, vec *a, vec *derivative) {
    const vec m = v_size_up_to(z, -EXP_LIFTED_LOWER);
    v_gated(z, m, v_exp_tail(-m), m, a, derivative);
}

/* (1 + tanh(g/2))/2 = sigma(g), here with g = m (linear + cubic m^2) to twice the precision, for its exponential. */
static inline void activate_gelu_tanh(vec z, vec *a, vec *derivative) {
    const vec m = v_size_up_to(z, GELU_TANH_BOUND), linear = v_set1(GELU_LINEAR_HIGH), cubic = v_set1(GELU_CUBIC_HIGH);
    const vec square = m * m, square_low = v_product_error(m, m, square);
    const vec curve = cubic * square;
    const vec curve_low =
        v_product_error(cubic, square, curve) + v_fma(cubic, square_low, v_set1(GELU_CUBIC_LOW) * square);
    const vec rate = linear + curve, curve_kept = rate - linear;
    const vec rate_low = (linear - (rate - curve_kept)) + (curve - curve_kept) + (v_set1(GELU_LINEAR_LOW) + curve_low);
    const vec g = m * rate, g_low = v_fma(m, rate_low, v_product_error(m, rate, g));
    const vec growth = m * v_fma(v_set1(3), curve, linear);
    v_gated(z, m, v_exp_tail_extended(-g, -g_low), growth, a, derivative);
}

static inline void activate_sigmoid(vec z, vec *a, vec *derivative) {
    const vec one = v_set1(1), t = v_exp_nonpositive(-v_abs(z)), inverse = one / (one + t), left = t * inverse;
    *a = v_select(v_positive(z), inverse, left);
    *derivative = left * inverse;
}

/* One division serves sigma(z) and the logarithm: its operand is (1 + t)(2 + t). */
static inline void activate_softplus(vec z, vec *a, vec *derivative) {
    const vec t = v_exp_nonpositive(-v_abs(z)), sum1 = v_set1(1) + t, sum2 = v_set1(2) + t;
    const vec inverse = v_set1(1) / (sum1 * sum2), right = sum2 * inverse;
    *a = v_at_least(z, 0) + v_log1p_reduced(t, t * sum1 * inverse);
    *derivative = v_select(v_positive(z), right, t * right);
}

static inline void activate_tanh(vec z, vec *a, vec *derivative) { v_tanh_derivative(z, a, derivative); }

/* z tanh(log(1 + e^z)) = z n / d, d = n + 2, n = t (t + 2), t = e^z; right of zero n and d are divided by e^(2z). */
static inline void activate_mish(vec z, vec *a, vec *derivative) {
    const vec one = v_set1(1), two = v_set1(2), four = v_set1(4);
    const mask right = v_positive(z);
    const vec m = v_size_up_to(z, -EXP_LIFTED_LOWER);
    const exp_tail tail = v_exp_tail(-m);
    const vec t = tail.value, t2 = t + two, n_right = v_fma(two, t, one);
    const vec d = v_select(right, v_fma(two * t, t, n_right), v_fma(t, t2, two)), inverse = one / d;
    const vec curve = four * m * (one + t);
    const vec left_derivative = (v_fma(t2, d, -curve) * inverse) * inverse;
    const vec right_derivative = v_fma(n_right, inverse, (curve * t * inverse) * (t * inverse));
    *a = v_select(right, z * (n_right * inverse), -v_times_exp(m * (t2 * inverse), tail));
    *derivative = v_select(right, right_derivative, v_times_exp(left_derivative, tail));
}

#undef LEAKY_RELU_SLOPE
#undef SELU_SCALE
#undef SELU_SCALE_ALPHA
#undef GELU_TANH_BOUND
