/* Packing the transpose: backward-data multiplies by W^T, and the product wants its right-hand side in panels. The thread
 * that is to use a panel makes it in scratch memory of its own, just before, so that it lies in the second-level cache. */

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

/* Panel by panel of W, each read in the order in which it lies in memory. */
static void transpose_panel(const struct fg_transpose_panel_args *p) {
    const int64_t width = (int64_t)p->vecs * LANES, total = fg_vecs(p->columns, LANES);
    for (int64_t n = 0; n < total;) {
        const int panel_vecs = fg_panel_vecs(total, n, PANEL_VECS), step = panel_vecs * LANES;
        const real *panel = (const real *)p->weights + n * LANES * p->depth + p->first_row * step;
        for (int64_t k = 0; k < width; k += LANES)
            for (int q = 0; q < panel_vecs; q++) {
                vec block[LANES];
                UNROLL for (int i = 0; i < LANES; i++) {
                    const real *const row = panel + (k + i) * step + q * LANES;
                    block[i] = k + i < p->rows ? v_load(row) : v_zero();
                }
                transpose_block(block);
                UNROLL for (int i = 0; i < LANES; i++)
                    v_store((real *)p->out + ((n + q) * LANES + i) * width + k, block[i]);
            }
        n += panel_vecs;
    }
}
