/* Linear forward: output = f(input @ W), its derivative and its sums, tile by tile while the tile is hot.
 * The activation is a compile-time choice of the epilogue, so that each runs as one straight loop. */
static void load_rows(const struct fg_load_rows_args *p) {
    tally squares;
    tally_clear(&squares);
    for (int64_t row = 0; row < p->rows; row++) {
        const real *from = (const real *)p->batch->inputs + fg_sample(p->batch, p->first_row + row) * p->columns;
        real *to = (real *)p->output + row * p->stride;
        for (int64_t c = 0; c < p->columns; c += LANES) {
            const int n = p->columns - c < LANES ? (int)(p->columns - c) : LANES;
            const vec x = v_load_n(from + c, n);
            v_store(to + c, x);
            tally_add_product(&squares, x, x);
        }
    }
    *p->sum_of_squares = tally_total(&squares);
}

typedef struct {
    tally output, squares, slope;
} forward_tallies;

typedef void activation_function(vec z, vec *a, vec *slope);

ALWAYS_INLINE void finish_forward(activation_function activate, const struct fg_linear_forward_args *p, int64_t row,
                                  int height, int vecs, vec *tile, forward_tallies *t) {
    const mask kept = m_first(p->tail);
    real *output = (real *)p->output + row * p->output_stride;
    real *slopes = p->slope ? (real *)p->slope + row * p->output_stride : NULL;
    vec sum = v_zero(), squares = v_zero(), slope_sum = v_zero();
    for (int i = 0, r = 0; r < height; r++) {
        for (int v = 0; v < vecs; v++, i++) {
            vec a, slope;
            activate(tile[i], &a, &slope);
            if (v == vecs - 1) {
                a = v_select(kept, a, v_zero());
                slope = v_select(kept, slope, v_zero());
            }
            tile[i] = a;
            v_store(output + v * LANES, a);
            if (slopes)
                v_store(slopes + v * LANES, slope);
            sum = sum + a;
            squares = v_fma(a, a, squares);
            slope_sum = slope_sum + v_abs(slope);
        }
        output += p->output_stride;
        slopes = slopes ? slopes + p->output_stride : NULL;
    }
    if (p->sums) {
        tally_moments(&t->output, &t->squares, sum, squares, tile, height * vecs);
        tally_add(&t->slope, slope_sum);
    }
}

typedef void forward_epilogue(const struct fg_linear_forward_args *, int64_t row, int height, int vecs, vec *tile,
                              forward_tallies *);
#define FG_ACTIVATION(name, is_piecewise, slope_below)                                                                 \
    static __attribute__((noinline)) void finish_##name(const struct fg_linear_forward_args *p, int64_t row,           \
                                                        int height, int vecs, vec *tile, forward_tallies *t) {         \
        finish_forward(activate_##name, p, row, height, vecs, tile, t);                                                \
    }
#include "../activations.def"
#undef FG_ACTIVATION

static forward_epilogue *const forward_epilogues[FG_ACTIVATIONS] = {
#define FG_ACTIVATION(name, is_piecewise, slope_below) [FG_ACTIVATION_##name] = finish_##name,
#include "../activations.def"
#undef FG_ACTIVATION
};

ALWAYS_INLINE void forward_tile(const int height, const int vecs, int64_t row, const struct fg_linear_forward_args *p,
                                forward_epilogue *finish, forward_tallies *t) {
    vec tile[ACCUMULATORS];
    product(height, vecs, tile, p->bias, p->depth, (const real *)p->input + row * p->input_stride, p->input_stride, 1,
            p->weights, vecs * LANES, p->ahead);
    finish(p, row, height, vecs, tile, t);
}

#define DEFINE_FORWARD(vecs)                                                                                           \
    static void forward_panel_##vecs(const struct fg_linear_forward_args *p, forward_tallies *t) {                     \
        FOR_EACH_TILE(vecs, p->rows, forward_tile, p, forward_epilogues[p->activation], t);                            \
    }
DEFINE_PANEL_WIDTHS(DEFINE_FORWARD)

static void linear_forward(const struct fg_linear_forward_args *p) {
    forward_tallies t;
    tally_clear(&t.output);
    tally_clear(&t.squares);
    tally_clear(&t.slope);
    FOR_PANEL_WIDTH(p->vecs, forward_panel, p, &t);
    if (p->sums) {
        p->sums[FG_SUM_OUTPUT] = tally_total(&t.output);
        p->sums[FG_SUM_OUTPUT_SQUARED] = tally_total(&t.squares);
        p->sums[FG_SUM_ABS_SLOPE] = tally_total(&t.slope);
    }
}
