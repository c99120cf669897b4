/* Linear forward where the signal carries an exponent: a tile is brought to where the activation may meet it, and its
 * outputs to where they are to be stored. Only a signal that has vanished or exploded comes here. */
static inline int is_scaled(const struct fg_linear_forward_args *p) {
    return (p->exponents.input | p->exponents.output) != 0;
}

/* A product starts from the bias, as the input is stored. Where the bias would be out of range there, it waits until the
 * product has been brought to its size. */
static void scale_bias(struct fg_linear_forward_args *p, real *bias, forward_lanes *lanes) {
    const int waits = p->exponents.preactivation != p->exponents.input;
    for (int i = 0; i < p->vecs * LANES; i += LANES)
        v_store(bias + i, v_load((const real *)p->bias + i));
    multiply_by_power(bias, p->vecs * LANES, -p->exponents.preactivation);
    p->bias = waits ? NULL : bias;
    lanes->late_bias = waits ? bias : NULL;
}

static void activation(const struct fg_activation_args *);

/* At a power of two, of which the quotient is exact. */
static tangent tangent_of(fg_activation function) {
    const real near = FG_REAL_BITS == 32 ? (real)0x1p-40 : (real)0x1p-80;
    const real z[2] = {-near, near};
    real a[2], derivative[2];
    activation(&(struct fg_activation_args){.function = function, .n = 2, .z = z, .a = a, .derivative = derivative});
    return (tangent){v_set1(a[0] / z[0]), v_set1(a[1] / z[1]), v_set1(derivative[0]), v_set1(derivative[1])};
}

static void prepare_scaled(struct fg_linear_forward_args *p, real *bias, forward_lanes *lanes) {
    if (p->bias)
        scale_bias(p, bias, lanes);
    if (p->near_zero)
        lanes->at_zero = tangent_of(p->activation);
}

static void add_late_bias(const struct fg_linear_forward_args *p, int count, vec *z, const real *bias) {
    multiply_by_power((real *)z, count * LANES, p->exponents.input - p->exponents.preactivation);
    for (int i = 0; i < count; i++)
        z[i] = z[i] + v_load(bias + i % p->vecs * LANES);
}

/* Brings outputs, which are of true size, to the exponent at which they are stored. */
static void scale_outputs(const struct fg_linear_forward_args *p, real *output, int height, forward_lanes *sums) {
    const int vecs = p->vecs, count = height * vecs;
    vec a[ACCUMULATORS];
    for (int i = 0; i < count; i++)
        a[i] = v_load(output + i / vecs * p->output_stride + i % vecs * LANES);
    multiply_by_power((real *)a, count * LANES, -p->exponents.output);
    for (int i = 0; i < count; i++) {
        v_store(output + i / vecs * p->output_stride + i % vecs * LANES, a[i]);
        sums->output = sums->output + a[i];
        sums->squares = v_fma(a[i], a[i], sums->squares);
    }
}

static __attribute__((noinline)) void finish_near_zero(const struct fg_linear_forward_args *p, int64_t row, int height,
                                                       const vec *tile, forward_lanes *sums) {
    finish_forward(NULL, 0, p, row, height, tile, sums);
}

static __attribute__((noinline)) void measure_near_zero(const struct fg_linear_forward_args *p, int64_t row, int height,
                                                        const vec *tile, forward_lanes *sums) {
    finish_forward(NULL, 1, p, row, height, tile, sums);
}

/* An activation that commutes with the exponent meets z as its outputs will be stored. */
static void finish_homogeneous(const struct fg_linear_forward_args *p, int64_t row, int height, vec *z,
                               forward_lanes *sums) {
    static forward_epilogue *const near_zero[] = {finish_near_zero, measure_near_zero};
    if (p->exponents.preactivation != p->exponents.output)
        multiply_by_power((real *)z, height * p->vecs * LANES, p->exponents.preactivation - p->exponents.output);
    (p->near_zero ? near_zero : forward_epilogues[p->activation])[p->measured](p, row, height, z, sums);
}

/* Another one meets the true z; what is measured of z is as z is stored. */
static void finish_at_true_size(const struct fg_linear_forward_args *p, int64_t row, int height, const vec *stored,
                                forward_lanes *sums) {
    const int count = height * p->vecs;
    const forward_lanes before = *sums;
    vec z[ACCUMULATORS];
    for (int i = 0; i < count; i++)
        z[i] = stored[i];
    multiply_by_power((real *)z, count * LANES, p->exponents.preactivation);
    forward_epilogues[p->activation][p->measured](p, row, height, z, sums);
    if (p->measured) {
        const block_view view = {(const real *)stored, p->vecs * LANES, height, p->vecs};
        sums->preactivation = before.preactivation;
        accumulate_squares(&sums->preactivation, squares_of(view), view);
    }
    if (p->exponents.output) {
        sums->output = before.output;
        sums->squares = before.squares;
        scale_outputs(p, (real *)p->output + row * p->output_stride, height, sums);
    }
}

static __attribute__((noinline)) void finish_scaled(const struct fg_linear_forward_args *p, int64_t row, int height,
                                                    const vec *tile, forward_lanes *sums) {
    const int count = height * p->vecs;
    vec z[ACCUMULATORS];
    for (int i = 0; i < count; i++)
        z[i] = tile[i];
    if (sums->late_bias)
        add_late_bias(p, count, z, sums->late_bias);
    if (p->form == FG_HOMOGENEOUS || p->near_zero)
        finish_homogeneous(p, row, height, z, sums);
    else
        finish_at_true_size(p, row, height, z, sums);
}
