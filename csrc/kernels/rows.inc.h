/* Rows of activations and deltas, outside of any product: gathered from the caller's array, scaled in place, and asked how
 * large they are. Rows may have any number of columns. */
static void load_rows(const struct fg_load_rows_args *p) {
    accumulator squares;
    accumulator_clear(&squares);
    for (int64_t row = 0; row < p->rows; row++) {
        const real *from = (const real *)p->batch->inputs + fg_sample(p->batch, p->first_row + row) * p->columns;
        real *to = (real *)p->output + row * p->stride;
        for (int64_t c = 0; c < p->columns; c += LANES) {
            const vec x = v_load_n(from + c, lanes_left(p->columns, c));
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

/* Magnitudes compare as integers, and a NaN's is above infinity's. */
static inline ivec larger_bits(ivec a, ivec b) {
    const ivec is_larger = a > b;
    return (a & is_larger) | (b & ~is_larger);
}

static int size_of_largest(int64_t n, const real *x) {
    enum { SIGNIFICAND_BITS = FG_REAL_BITS == 32 ? 23 : 52 };
    ivec largest = {0};
    int exponent = 0;
    for (int64_t i = 0; i < n; i += LANES)
        largest = larger_bits(v_bits(v_abs(v_load_n(x + i, lanes_left(n, i)))), largest);
    for (int i = 0; i < LANES; i++) {
        const int of_lane = (int)(largest[i] >> SIGNIFICAND_BITS);
        exponent = of_lane > exponent ? of_lane : exponent;
    }
    return exponent + fg_size_of_zero(FG_DTYPE);
}

static void row_sizes(const struct fg_row_sizes_args *p) {
    for (int64_t row = 0; row < p->rows; row++)
        p->sizes[row] = size_of_largest(p->columns, (const real *)p->x + row * p->stride);
}

/* What is read beyond the columns is zero, and adds nothing. */
static void sum_of_squares(const struct fg_sum_of_squares_args *p) {
    double total = 0.0;
    for (int64_t row = 0; row < p->rows; row++)
        for (int64_t c = 0; c < p->columns; c += LANES) {
            const real *const x = (const real *)p->x + row * p->stride + c;
            dvec wide[DVECS];
            double square[LANES];
            v_widen(v_load_n(x, lanes_left(p->columns, c)), wide);
            for (int i = 0; i < DVECS; i++)
                d_store(square + i * DLANES, wide[i] * wide[i]);
            for (int i = 0; i < LANES; i++)
                total += square[i];
        }
    *p->sum = total;
}

static void alive_columns(const struct fg_alive_columns_args *p) {
    for (int64_t c = 0; c < p->columns; c += LANES) {
        const int n = lanes_left(p->columns, c);
        vec total = v_zero();
        real lane[LANES];
        for (int64_t row = 0; row < p->rows; row++)
            total = total + v_load_n((const real *)p->x + row * p->stride + c, n);
        v_store(lane, total);
        for (int i = 0; i < n; i++)
            p->alive[c + i] = lane[i] != 0;
    }
}
