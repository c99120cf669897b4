/* The epilogue where the signal carries an exponent (see fg_signal_exponents): a tile is brought to where the activation
 * may meet it, and its outputs to where they are to be stored. Only a signal that has vanished or exploded comes here. */
static inline int is_scaled(const struct fg_linear_forward_args *p) {
    return (p->exponents.input | p->exponents.output) != 0;
}

static void add_late_bias(forward_unit *u, int64_t row, int height, vec *tile) {
    const struct fg_linear_forward_args *const p = u->args;
    const int count = height * p->vecs;
    (void)row;
    multiply_by_power((real *)tile, count * LANES, p->exponents.input - p->exponents.preactivation);
    for (int i = 0; i < count; i++)
        tile[i] = tile[i] + v_load(u->late_bias + i % p->vecs * LANES);
}

static void scale_to_outputs(forward_unit *u, int64_t row, int height, vec *tile) {
    const struct fg_linear_forward_args *const p = u->args;
    (void)row;
    multiply_by_power((real *)tile, height * p->vecs * LANES, p->exponents.preactivation - p->exponents.output);
}

static void measure_stored_preactivations(forward_unit *u, int64_t row, int height, vec *tile) {
    const block_view view = {(const real *)tile, u->args->vecs * LANES, height, u->args->vecs};
    (void)row;
    accumulate_squares(&u->stored.preactivation_squares, squares_of(view), view);
}

static void scale_to_true_size(forward_unit *u, int64_t row, int height, vec *tile) {
    const struct fg_linear_forward_args *const p = u->args;
    (void)row;
    multiply_by_power((real *)tile, height * p->vecs * LANES, p->exponents.preactivation);
}

/* Brings outputs, which are of true size, to the exponent at which they are stored. */
static void scale_outputs(forward_unit *u, int64_t row, int height, vec *tile) {
    const struct fg_linear_forward_args *const p = u->args;
    const int vecs = p->vecs, count = height * vecs;
    real *const output = (real *)p->output + row * p->output_stride;
    for (int i = 0; i < count; i++)
        tile[i] = v_load(output + i / vecs * p->output_stride + i % vecs * LANES);
    multiply_by_power((real *)tile, count * LANES, -p->exponents.output);
    for (int i = 0; i < count; i++) {
        v_store(output + i / vecs * p->output_stride + i % vecs * LANES, tile[i]);
        u->stored.output = u->stored.output + tile[i];
        u->stored.output_squares = v_fma(tile[i], tile[i], u->stored.output_squares);
    }
}

/* A product starts from the bias, as the input is stored. Where the bias would be out of range there, it waits until the
 * product has been brought to its size. */
static void scale_bias(forward_unit *u) {
    const struct fg_linear_forward_args *const p = u->args;
    const int waits = p->exponents.preactivation != p->exponents.input;
    for (int i = 0; i < p->vecs * LANES; i += LANES)
        v_store(u->scaled_bias + i, v_load((const real *)p->bias + i));
    multiply_by_power(u->scaled_bias, p->vecs * LANES, -p->exponents.preactivation);
    u->bias = waits ? NULL : u->scaled_bias;
    u->late_bias = waits ? u->scaled_bias : NULL;
}

/* At a power of two, of which the quotient is exact. */
static tangent tangent_of(fg_activation function) {
    const real near = FG_REAL_BITS == 32 ? (real)0x1p-40 : (real)0x1p-80;
    const real z[2] = {-near, near};
    real a[2], derivative[2];
    activation(&(struct fg_activation_args){.function = function, .n = 2, .z = z, .a = a, .derivative = derivative});
    return (tangent){v_set1(a[0] / z[0]), v_set1(a[1] / z[1]), v_set1(derivative[0]), v_set1(derivative[1])};
}

/* An activation that commutes with the exponent meets z as its outputs will be stored. */
static void append_commuting_activation(forward_unit *u) {
    const struct fg_linear_forward_args *const p = u->args;
    if (p->exponents.preactivation != p->exponents.output)
        append_operation(u, scale_to_outputs);
    if (p->near_zero)
        u->at_zero = tangent_of(p->activation);
    append_operation(u, (p->near_zero ? activations_near_zero : activations[p->activation])[p->measured]);
}

/* Another one meets the true z; what is measured of z, and of the outputs, is as they are stored. */
static void append_activation_at_true_size(forward_unit *u) {
    const struct fg_linear_forward_args *const p = u->args;
    if (p->measured) {
        append_operation(u, measure_stored_preactivations);
        u->preactivations = &u->stored;
    }
    append_operation(u, scale_to_true_size);
    append_operation(u, activations[p->activation][p->measured]);
    if (p->exponents.output) {
        append_operation(u, scale_outputs);
        u->outputs = &u->stored;
    }
}

static __attribute__((noinline)) void fill_scaled_operations(forward_unit *u) {
    clear_sums(&u->stored);
    u->late_bias = NULL;
    if (u->bias)
        scale_bias(u);
    if (u->late_bias)
        append_operation(u, add_late_bias);
    if (u->args->form == FG_HOMOGENEOUS || u->args->near_zero)
        append_commuting_activation(u);
    else
        append_activation_at_true_size(u);
}
