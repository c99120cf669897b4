/* Linear backward-data: the delta of the layer below, (delta @ W^T) * f', with its norm, in one pass. */
static inline vec derivative(const struct fg_derivative *d, int64_t at) {
    if (d->slope_stored)
        return v_load((const real *)d->slope + at);
    return v_select(v_lt(v_zero(), v_load((const real *)d->output + at)), v_set1(1), v_set1((real)d->slope_below));
}

static __attribute__((noinline)) void finish_backward_data(const struct fg_linear_backward_data_args *p, int64_t row,
                                                           int height, int vecs, vec *tile, tally *t) {
    vec squares = v_zero();
    for (int i = 0, r = 0; r < height; r++)
        for (int v = 0; v < vecs; v++, i++) {
            const int64_t at = (row + r) * p->below.stride + v * LANES;
            tile[i] = tile[i] * derivative(&p->below, at);
            v_store((real *)p->below.slope + at, tile[i]);
            squares = v_fma(tile[i], tile[i], squares);
        }
    tally_squares(t, squares, tile, height * vecs);
}

ALWAYS_INLINE void backward_data_tile(const int height, const int vecs, int64_t row,
                                      const struct fg_linear_backward_data_args *p, tally *t) {
    vec tile[ACCUMULATORS];
    product(height, vecs, tile, NULL, p->depth, (const real *)p->delta + row * p->delta_stride, p->delta_stride, 1,
            p->weights, vecs * LANES, p->ahead);
    finish_backward_data(p, row, height, vecs, tile, t);
}

#define DEFINE_BACKWARD_DATA(vecs)                                                                                     \
    static void backward_data_panel_##vecs(const struct fg_linear_backward_data_args *p, tally *t) {                   \
        FOR_EACH_TILE(vecs, p->rows, backward_data_tile, p, t);                                                        \
    }
DEFINE_PANEL_WIDTHS(DEFINE_BACKWARD_DATA)

static void linear_backward_data(const struct fg_linear_backward_data_args *p) {
    tally t;
    tally_clear(&t);
    FOR_PANEL_WIDTH(p->vecs, backward_data_panel, p, &t);
    *p->sum_of_squares = tally_total(&t);
}

/* LANES x LANES transpose in registers: log2(LANES) rounds, each interleaving row i with row i + LANES / 2. */
static inline void transpose_block(vec *x) {
    vec y[LANES];
    for (int half = 1; half < LANES; half *= 2) {
        UNROLL for (int i = 0; i < LANES / 2; i++) {
            y[2 * i] = v_zip_lo(x[i], x[i + LANES / 2]);
            y[2 * i + 1] = v_zip_hi(x[i], x[i + LANES / 2]);
        }
        UNROLL for (int i = 0; i < LANES; i++) x[i] = y[i];
    }
}

static void transpose_panel(const struct fg_transpose_panel_args *p) {
    const int64_t width = (int64_t)p->vecs * LANES;
    for (int64_t n = 0; n < p->columns;) {
        const int panel_vecs = fg_panel_vecs(fg_vecs(p->columns, LANES), n / LANES, PANEL_VECS);
        const real *panel = (const real *)p->weights + n * p->depth + p->first_row * panel_vecs * LANES;
        for (int q = 0; q < panel_vecs; q++, n += LANES)
            for (int64_t k = 0; k < width; k += LANES) {
                vec block[LANES];
                UNROLL for (int i = 0; i < LANES; i++) block[i] =
                    k + i < p->rows ? v_load(panel + (k + i) * panel_vecs * LANES + q * LANES) : v_zero();
                transpose_block(block);
                UNROLL for (int i = 0; i < LANES; i++) v_store((real *)p->out + (n + i) * width + k, block[i]);
            }
    }
}
