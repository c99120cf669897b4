/* Losses: value and gradient in one pass over the outputs, the gradient turned into the output layer's delta at once.
 * The value is summed in float64. Targets are read where the caller keeps them, unpadded. */
typedef struct {
    accumulator delta, output_gradient;
} loss_squares;

/* x * 2^exponent. Signals mostly carry none. */
static inline vec times_power(vec x, int exponent) {
    return __builtin_expect(exponent != 0, 0) ? v_scale2(x, v_set1((real)exponent)) : x;
}

/* Outputs meet the targets as numbers that are to be multiplied by 2^exponent (see fg_loss_args): from there to numbers of
 * true size, and back. */
static inline vec true_size(const struct fg_loss_args *p, vec x) { return times_power(x, p->exponent); }
static inline vec as_outputs(const struct fg_loss_args *p, vec x) { return times_power(x, -p->exponent); }
static inline vec output_at(const struct fg_loss_args *p, const real *row, int64_t c) {
    return times_power(v_load(row + c), p->shift);
}

/* Writes delta = gradient * f' for LANES columns from c, of which n are true. */
static inline void store_delta(const struct fg_loss_args *p, int64_t row, int64_t c, int n, vec gradient,
                               loss_squares *t) {
    const int64_t at = row * p->output.stride + c;
    const vec kept = v_select(m_first(n), gradient, v_zero());
    const vec delta = kept * derivative_at(&p->output, v_set1((real)p->output.scale), at);
    v_store((real *)p->output.delta + at, delta);
    accumulate_product(&t->delta, delta, delta);
    accumulate_product(&t->output_gradient, kept, kept);
}

/* Losses that are a sum over elements. terms_<loss> gives the gradient, and two factors whose product is the value:
 * their product is taken in float64, where it cannot overflow. Outputs, the value and mse's gradient are as the exponent
 * has it, all else is of true size. */
ALWAYS_INLINE void terms_mse(const struct fg_loss_args *args, vec a, vec y, vec *gradient, vec *p, vec *q) {
    *p = *q = *gradient = a - as_outputs(args, y);
}

static inline vec sign_of(vec x) {
    return v_select(v_lt(v_zero(), x), v_set1(1), v_select(v_lt(x, v_zero()), v_set1(-1), v_zero()));
}

ALWAYS_INLINE void terms_mae(const struct fg_loss_args *args, vec a, vec y, vec *gradient, vec *p, vec *q) {
    const vec d = a - as_outputs(args, y);
    *p = v_abs(d);
    *q = v_set1(1);
    *gradient = sign_of(d);
}

/* delta = 1: with c = min(|d|, 1) both branches are c * (|d| - c / 2). */
ALWAYS_INLINE void terms_huber(const struct fg_loss_args *args, vec a, vec y, vec *gradient, vec *p, vec *q) {
    const vec d = a - as_outputs(args, y), size = v_abs(d), half = v_set1((real)0.5);
    if (args->exponent < 0) { /* small: d^2 / 2 up to 1 */
        *p = v_min(size, as_outputs(args, v_set1(1)));
        *q = size - half * *p;
    } else {
        *p = v_min(true_size(args, size), v_set1(1));
        *q = size - as_outputs(args, half * *p);
    }
    *gradient = v_copysign(*p, d);
}

/* max(z, 0) - z y + log(1 + exp(-|z|)), and sigmoid(z) - y written so that neither tail cancels. */
ALWAYS_INLINE void terms_binary_cross_entropy(const struct fg_loss_args *args, vec z, vec y, vec *gradient, vec *p,
                                              vec *q) {
    const vec one = v_set1(1), t = v_exp_nonpositive(v_zero() - v_abs(true_size(args, z)));
    const vec large = one / (one + t), small = t * large;
    const mask positive = v_lt(v_zero(), z);
    *gradient = v_select(positive, large, small) * (one - y) - v_select(positive, small, large) * y;
    *p = v_select(positive, z * (one - y), v_zero() - z * y) + as_outputs(args, v_log1p(t));
    *q = one;
}

ALWAYS_INLINE void terms_inner_product(const struct fg_loss_args *args, vec a, vec y, vec *gradient, vec *p, vec *q) {
    (void)args;
    *gradient = *p = y;
    *q = a;
}

typedef void terms_function(const struct fg_loss_args *, vec a, vec y, vec *gradient, vec *p, vec *q);

/* The gradient is `steepness` times what the terms say. */
ALWAYS_INLINE void elementwise_loss(terms_function terms, const double steepness, const struct fg_loss_args *p,
                                    int64_t row, row_accumulator *value, loss_squares *squares) {
    const real *a = (const real *)p->output.output + row * p->output.stride;
    const real *y = (const real *)p->batch->targets + fg_sample(p->batch, p->first_row + row) * p->columns;
    for (int64_t c = 0; c < p->columns; c += LANES) {
        const int n = lanes_left(p->columns, c);
        vec gradient, left, right;
        terms(p, output_at(p, a, c), v_load_n(y + c, n), &gradient, &left, &right);
        accumulate_product(row_at(value, c), v_select(m_first(n), left, v_zero()),
                           v_select(m_first(n), right, v_zero()));
        store_delta(p, row, c, n, gradient * v_set1((real)(steepness * p->scale)), squares);
    }
}

static inline vec error_at(const struct fg_loss_args *p, const real *a, const real *y, int64_t c, int n) {
    return output_at(p, a, c) - as_outputs(p, v_load_n(y + c, n));
}

/* ||a - y||, its largest component taken out first so that no square leaves the range; the gradient is 0 at a = y. */
static double loss_l2_norm(const struct fg_loss_args *p, int64_t row, loss_squares *squares) {
    const real *a = (const real *)p->output.output + row * p->output.stride;
    const real *y = (const real *)p->batch->targets + fg_sample(p->batch, p->first_row + row) * p->columns;
    vec largest = v_zero(), unit, inverse;
    row_accumulator sum;
    double length;
    for (int64_t c = 0; c < p->columns; c += LANES) {
        const int n = lanes_left(p->columns, c);
        largest = v_max(v_select(m_first(n), v_abs(error_at(p, a, y, c, n)), v_zero()), largest);
    }
    unit = v_set1(v_max_lane(largest));
    unit = v_select(v_lt(v_zero(), unit), unit, v_set1(1));
    row_clear(&sum);
    for (int64_t c = 0; c < p->columns; c += LANES) {
        const int n = lanes_left(p->columns, c);
        const vec part = v_select(m_first(n), error_at(p, a, y, c, n) / unit, v_zero());
        accumulate_product(row_at(&sum, c), part, part);
    }
    length = sqrt(row_total(&sum));
    inverse = v_set1((real)(length > 0.0 ? p->scale / length : 0.0));
    for (int64_t c = 0; c < p->columns; c += LANES) {
        const int n = lanes_left(p->columns, c);
        store_delta(p, row, c, n, error_at(p, a, y, c, n) / unit * inverse, squares);
    }
    return length * (double)v_max_lane(largest);
}

/* One row of logits against a distribution y, given as a label or as probabilities. With m the largest logit and `rest`
 * the sum of exp(z - m) over all columns but the first that attains it,
 *     log p_j = z_j - m - log1p(rest),   1 - p_j = rest / (1 + rest) at the largest,
 *     dL/dz_j = p_j (sum(y) - y_j) - y_j (1 - p_j),
 * so the gradient at the true class is minus the sum of the other probabilities, to the last bit that this sum has. */
typedef struct {
    const real *z, *y; /* y is NULL where a label serves */
    int64_t label, top;
    real largest;
} softmax_row;

static inline mask column_is(int64_t wanted, int64_t c) {
    const int64_t lane = wanted - c;
    return lane < 0 || lane >= LANES ? m_first(0) : m_and(m_first((int)lane + 1), m_not(m_first((int)lane)));
}

static inline vec targets_at(const softmax_row *s, int64_t c, int n) {
    return s->y ? v_load_n(s->y + c, n) : v_select(column_is(s->label, c), v_set1(1), v_zero());
}

static void find_largest(const struct fg_loss_args *p, softmax_row *s) {
    vec largest = v_set1(s->z[0]);
    for (int64_t c = 0; c < p->columns; c += LANES)
        largest = v_max(v_select(m_first(lanes_left(p->columns, c)), v_load(s->z + c), largest), largest);
    s->largest = v_max_lane(largest);
    s->top = 0;
    while (s->top < p->columns - 1 && s->z[s->top] != s->largest)
        s->top++;
}

static double loss_cross_entropy(const struct fg_loss_args *p, int64_t row, loss_squares *squares) {
    const int64_t sample = fg_sample(p->batch, p->first_row + row);
    softmax_row s = {.z = (const real *)p->output.output + row * p->output.stride};
    real *const exponentials = p->scratch;
    row_accumulator rest_sum, target_sum, distance_sum;
    double rest, log_sum;
    vec largest, all_targets, inverse, rest_share;
    if (p->batch->labels)
        s.label = p->batch->labels[sample];
    else
        s.y = (const real *)p->batch->targets + sample * p->columns;
    find_largest(p, &s);
    largest = times_power(v_set1(s.largest), p->shift);
    row_clear(&rest_sum);
    row_clear(&target_sum);
    row_clear(&distance_sum);
    for (int64_t c = 0; c < p->columns; c += LANES) {
        const int n = lanes_left(p->columns, c);
        const vec z = output_at(p, s.z, c), y = targets_at(&s, c, n);
        const vec e = v_exp_nonpositive(true_size(p, z - largest));
        v_store(exponentials + c, e);
        accumulate(row_at(&rest_sum, c), v_select(m_and(m_first(n), m_not(column_is(s.top, c))), e, v_zero()));
        accumulate(row_at(&target_sum, c), y);
        accumulate_times_difference(row_at(&distance_sum, c), y, largest, v_select(v_eq(y, v_zero()), largest, z));
    }
    rest = row_total(&rest_sum);
    log_sum = log1p(rest);
    all_targets = v_set1((real)row_total(&target_sum));
    inverse = v_set1((real)(1.0 / (1.0 + rest)));
    rest_share = v_set1((real)(rest / (1.0 + rest)));
    for (int64_t c = 0; c < p->columns; c += LANES) {
        const int n = lanes_left(p->columns, c);
        const vec y = targets_at(&s, c, n), probability = v_load(exponentials + c) * inverse;
        const vec complement = v_select(column_is(s.top, c), rest_share, v_set1(1) - probability);
        store_delta(p, row, c, n, (probability * (all_targets - y) - y * complement) * v_set1((real)p->scale), squares);
    }
    return ldexp(row_total(&target_sum) * log_sum, -p->exponent) + row_total(&distance_sum);
}

static void loss(const struct fg_loss_args *p) {
    row_accumulator value;
    loss_squares squares;
    double by_row = 0.0;
    row_clear(&value);
    accumulator_clear(&squares.delta);
    accumulator_clear(&squares.output_gradient);
    for (int64_t row = 0; row < p->rows; row++)
        switch (p->kind) {
        case FG_LOSS_mse: elementwise_loss(terms_mse, 2.0, p, row, &value, &squares); break;
        case FG_LOSS_mae: elementwise_loss(terms_mae, 1.0, p, row, &value, &squares); break;
        case FG_LOSS_huber: elementwise_loss(terms_huber, 1.0, p, row, &value, &squares); break;
        case FG_LOSS_binary_cross_entropy:
            elementwise_loss(terms_binary_cross_entropy, 1.0, p, row, &value, &squares);
            break;
        case FG_LOSS_inner_product: elementwise_loss(terms_inner_product, 1.0, p, row, &value, &squares); break;
        case FG_LOSS_l2_norm: by_row += loss_l2_norm(p, row, &squares); break;
        case FG_LOSS_cross_entropy: by_row += loss_cross_entropy(p, row, &squares); break;
        default: break;
        }
    *p->value = (by_row + row_total(&value)) * p->scale;
    p->sums[FG_SUM_DELTA_SQUARED] = accumulator_total(&squares.delta);
    p->sums[FG_SUM_OUTPUT_GRADIENT_SQUARED] = accumulator_total(&squares.output_gradient);
}
