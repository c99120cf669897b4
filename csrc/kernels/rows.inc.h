/* Rows of activations and deltas, outside of any product: gathered from the caller's array, and scaled in place. */
static void load_rows(const struct fg_load_rows_args *p) {
    accumulator squares;
    accumulator_clear(&squares);
    for (int64_t row = 0; row < p->rows; row++) {
        const real *from = (const real *)p->batch->inputs + fg_sample(p->batch, p->first_row + row) * p->columns;
        real *to = (real *)p->output + row * p->stride;
        for (int64_t c = 0; c < p->columns; c += LANES) {
            const int n = p->columns - c < LANES ? (int)(p->columns - c) : LANES;
            const vec x = v_load_n(from + c, n);
            v_store(to + c, x);
            accumulate_product(&squares, x, x);
        }
    }
    *p->sum_of_squares = accumulator_total(&squares);
}

static void scale_rows(const struct fg_scale_rows_args *p) {
    for (int64_t row = 0; row < p->rows; row++)
        multiply_by_power((real *)p->x + row * p->stride, p->columns, p->exponent);
}
