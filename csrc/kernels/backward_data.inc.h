/* Linear backward-data: the delta of the layer below, (delta @ W^T) * f', with its norm, in one pass. The panel that the
 * microkernel reads is one of W^T, see transpose.inc.h; the epilogue multiplies by f'. */

/* f' times `scale` of the vector at element `at`. */
static inline vec derivative_at(const struct fg_derivative *d, vec scale, int64_t at) {
    if (d->derivative_stored)
        return v_load((const real *)d->derivative + at) * scale;
    return v_select(v_lt(v_zero(), v_load((const real *)d->output + at)), scale,
                    v_set1((real)d->derivative_below) * scale);
}

/* Sums of squares of a unit: of the deltas lane by lane; of what they are before f', which is not kept, tile by tile. */
typedef struct {
    vec delta;
    accumulator output_gradient;
} backward_lanes;

/* The epilogue of a tile. The power of two that a block moves by goes to the factor that has room for it: one above 1 to
 * f', which is never large, one below 1 to the gradient, which moves because it is. */
static __attribute__((noinline)) void finish_backward_data(const struct fg_linear_backward_data_args *p, int64_t row,
                                                           int height, const vec *tile, backward_lanes *sums) {
    const int vecs = p->vecs;
    const int64_t stride = p->below.stride;
    real *const deltas = p->below.delta;
    vec of_tile = v_zero(), output_gradients = v_zero();
    const vec shrink = v_set1((real)(p->below.scale < 1.0 ? p->below.scale : 1.0));
    const vec grow = v_set1((real)(p->below.scale > 1.0 ? p->below.scale : 1.0));
    for (int v = 0; v < vecs; v++) {
        vec column = v_zero(), before = v_zero();
        for (int r = 0; r < height; r++) {
            const int64_t at = (row + r) * stride + v * LANES;
            const vec gradient = tile[r * vecs + v], delta = gradient * shrink * derivative_at(&p->below, grow, at);
            v_store(deltas + at, delta);
            column = v_fma(delta, delta, column);
            before = v_fma(gradient, gradient, before);
        }
        of_tile = of_tile + column;
        output_gradients = output_gradients + before;
    }
    sums->delta = sums->delta + of_tile;
    if (p->measured)
        accumulate_squares(&sums->output_gradient, output_gradients,
                           (block_view){(const real *)tile, vecs * LANES, height, vecs});
}

ALWAYS_INLINE void backward_data_tile(const int height, const int vecs, int64_t row, pass now,
                                      const struct fg_linear_backward_data_args *p, vec *unit, backward_lanes *sums) {
    vec *const tile = tile_of(unit, row * vecs, now);
    const real *const delta = (const real *)p->delta + row * p->delta_stride;
    product(height, vecs, tile, now.first ? (const real *)tile : NULL, vecs * LANES, now.depth, delta + now.first,
            p->delta_stride, 1, (const real *)p->weights + now.first * vecs * LANES, vecs * LANES, p->prefetch);
    if (now.last)
        finish_backward_data(p, row, height, tile, sums);
}

#define DEFINE_BACKWARD_DATA(vecs)                                                                                     \
    static void PANEL(backward_data, vecs)(const struct fg_linear_backward_data_args *p, backward_lanes *sums) {       \
        vec unit[FG_ROW_BLOCK * vecs];                                                                                 \
        FOR_EACH_PASS(vecs, p->rows, p->depth, PASS_DEPTH, backward_data_tile, p, unit, sums);                         \
    }
DEFINE_PANEL_WIDTHS(DEFINE_BACKWARD_DATA)

static void linear_backward_data(const struct fg_linear_backward_data_args *p) {
    backward_lanes sums = {.delta = v_zero()};
    accumulator delta;
    accumulator_clear(&delta);
    accumulator_clear(&sums.output_gradient);
    FOR_PANEL_WIDTH(p->vecs, backward_data, p, &sums);
    accumulate_squares(&delta, sums.delta, (block_view){p->below.delta, p->below.stride, (int)p->rows, p->vecs});
    p->sums[FG_SUM_DELTA_SQUARED] = accumulator_total(&delta);
    if (p->measured)
        p->sums[FG_SUM_OUTPUT_GRADIENT_SQUARED] = accumulator_total(&sums.output_gradient);
}
