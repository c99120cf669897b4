/* Linear forward where the signal carries an exponent: a tile is brought to where the activation may meet it, and its
 * outputs to where they are to be stored. Only a signal that has vanished or exploded comes here, so this is written once
 * for all activations and takes its time. */

/* Up to here an activation through zero is linear to the last bit; and the end of the range is far. */
#define TINY ((real)(FG_REAL_BITS == 32 ? 0x1p-100 : 0x1p-900))
#define ONE_OVER_TINY ((real)(FG_REAL_BITS == 32 ? 0x1p100 : 0x1p900))

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

static void add_late_bias(const struct fg_linear_forward_args *p, int count, vec *z, const real *bias) {
    multiply_by_power((real *)z, count * LANES, p->exponents.input - p->exponents.preactivation);
    for (int i = 0; i < count; i++)
        z[i] = z[i] + v_load(bias + i % p->vecs * LANES);
}

/* True preactivations; what is smaller than TINY, but not 0, is raised to it. */
static void raise_to_tiny(const struct fg_linear_forward_args *p, int count, vec *z) {
    vec stored[ACCUMULATORS];
    for (int i = 0; i < count; i++)
        stored[i] = z[i];
    multiply_by_power((real *)z, count * LANES, p->exponents.preactivation);
    for (int i = 0; i < count; i++) {
        const mask smaller = m_and(v_lt(v_abs(z[i]), v_set1(TINY)), v_lt(v_zero(), v_abs(stored[i])));
        z[i] = v_select(smaller, v_copysign(v_set1(TINY), stored[i]), z[i]);
    }
}

/* Brings outputs to the exponent at which they are stored. Where z was raised, f(z) is |z| f(+-TINY) / TINY; stored: z as
 * preactivations are stored, which comes out changed. */
static void scale_outputs(const struct fg_linear_forward_args *p, real *output, int height, const vec *raised,
                          vec *stored, forward_lanes *sums) {
    const int vecs = p->vecs, count = height * vecs;
    vec a[ACCUMULATORS], far[ACCUMULATORS];
    for (int i = 0; i < count; i++)
        far[i] = a[i] = v_load(output + i / vecs * p->output_stride + i % vecs * LANES);
    multiply_by_power((real *)far, count * LANES, -p->exponents.output);
    multiply_by_power((real *)stored, count * LANES, p->exponents.preactivation - p->exponents.output);
    for (int i = 0; i < count; i++) {
        const vec near = a[i] * v_set1(ONE_OVER_TINY) * v_abs(stored[i]);
        const vec kept = v_select(v_le(v_abs(raised[i]), v_set1(TINY)), near, far[i]);
        v_store(output + i / vecs * p->output_stride + i % vecs * LANES, kept);
        sums->output = sums->output + kept;
        sums->squares = v_fma(kept, kept, sums->squares);
    }
}

static __attribute__((noinline)) void finish_scaled(const struct fg_linear_forward_args *p, int64_t row, int height,
                                                    const vec *tile, forward_lanes *sums) {
    const int count = height * p->vecs;
    const forward_lanes before = *sums;
    vec stored[ACCUMULATORS], z[ACCUMULATORS];
    for (int i = 0; i < count; i++)
        stored[i] = tile[i];
    if (sums->late_bias)
        add_late_bias(p, count, stored, sums->late_bias);
    for (int i = 0; i < count; i++)
        z[i] = stored[i];
    if (p->form == FG_HOMOGENEOUS)
        multiply_by_power((real *)z, count * LANES, p->exponents.preactivation - p->exponents.output);
    else
        raise_to_tiny(p, count, z);
    forward_epilogues[p->activation][p->measured](p, row, height, z, sums);
    if (p->measured) {
        const block_view view = {(const real *)stored, p->vecs * LANES, height, p->vecs};
        sums->preactivation = before.preactivation;
        tally_squares(&sums->preactivation, squares_of(view), view);
    }
    if (p->form == FG_THROUGH_ZERO) {
        sums->output = before.output;
        sums->squares = before.squares;
        scale_outputs(p, (real *)p->output + row * p->output_stride, height, z, stored, sums);
    }
}

#undef TINY
#undef ONE_OVER_TINY
