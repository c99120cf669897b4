/* Linear forward: output = f(input @ W), its derivative and its sums, tile by tile while the tile is hot.
 * The activation is a compile-time choice of the epilogue, so that each runs as one straight loop. */
typedef void activation_function(vec z, vec *a, vec *derivative);

/* An activation near zero: f(z) / z and f'(z), on either side. */
typedef struct {
    vec ratio_below, ratio_above, derivative_below, derivative_above;
} tangent;

static inline void activate_near_zero(const tangent *t, vec z, vec *a, vec *derivative) {
    const mask above = v_positive(z);
    *a = v_select(above, t->ratio_above, t->ratio_below) * z;
    *derivative = v_select(above, t->derivative_above, t->derivative_below);
}

/* Sums of a unit in working precision, lane by lane; of the preactivations, which are not kept, tile by tile. */
typedef struct {
    vec output, squares, derivative, saturated;
    accumulator preactivation;
    const real *late_bias; /* [vecs * lanes], added after the product; or NULL */
    tangent at_zero;       /* where all of the unit is near zero */
} forward_lanes;

ALWAYS_INLINE void add_column_derivatives(real *columns, int begun, vec of_tile) {
    v_store(columns, (begun ? v_load(columns) : v_zero()) + of_tile);
}

/* activate: NULL where the unit is near zero. */
ALWAYS_INLINE void finish_forward(activation_function activate, const int measured,
                                  const struct fg_linear_forward_args *p, int64_t row, int height, const vec *tile,
                                  forward_lanes *sums) {
    const int vecs = p->vecs;
    const int64_t stride = p->output_stride;
    real *const output = (real *)p->output + row * stride;
    real *const derivatives = p->derivative ? (real *)p->derivative + row * stride : NULL;
    const vec limit = v_set1((real)p->saturation);
    vec tile_sum = v_zero(), tile_squares = v_zero(), tile_derivatives = v_zero(), tile_preactivations = v_zero();
    for (int v = 0; v < vecs; v++) {
        const int has_padding = v == vecs - 1 && p->tail < LANES;
        vec sum = v_zero(), squares = v_zero(), derivative_sum = v_zero(), preactivations = v_zero(),
            saturated = v_zero();
        for (int r = 0; r < height; r++) {
            const vec z = tile[r * vecs + v];
            vec a, derivative;
            if (activate)
                activate(z, &a, &derivative);
            else
                activate_near_zero(&sums->at_zero, z, &a, &derivative);
            if (measured && derivatives) /* a column of padding is at rest, never saturated */
                saturated = saturated + v_select(v_lt(v_abs(derivative), limit), v_set1(1), v_zero());
            if (has_padding) {
                a = v_select(m_first(p->tail), a, v_zero());
                derivative = v_select(m_first(p->tail), derivative, v_zero());
            }
            v_store(output + r * stride + v * LANES, a);
            if (derivatives)
                v_store(derivatives + r * stride + v * LANES, derivative);
            squares = v_fma(a, a, squares);
            if (measured) {
                sum = sum + a;
                preactivations = v_fma(z, z, preactivations);
            }
            if (measured || derivatives)
                derivative_sum = derivative_sum + v_abs(derivative);
        }
        tile_preactivations = tile_preactivations + preactivations;
        sums->saturated = sums->saturated + saturated;
        if (measured)
            add_column_derivatives((real *)p->column_derivatives + v * LANES, row > 0, derivative_sum);
        tile_squares = tile_squares + squares;
        tile_sum = tile_sum + sum;
        tile_derivatives = tile_derivatives + derivative_sum;
    }
    sums->squares = sums->squares + tile_squares;
    sums->output = sums->output + tile_sum;
    sums->derivative = sums->derivative + tile_derivatives;
    if (measured)
        accumulate_squares(&sums->preactivation, tile_preactivations,
                           (block_view){(const real *)tile, vecs * LANES, height, vecs});
}

typedef void forward_epilogue(const struct fg_linear_forward_args *, int64_t row, int height, const vec *tile,
                              forward_lanes *);
#define FG_ACTIVATION(name, form, derivative_below, steepest)                                                          \
    static __attribute__((noinline)) void finish_##name(const struct fg_linear_forward_args *p, int64_t row,           \
                                                        int height, const vec *tile, forward_lanes *sums) {            \
        finish_forward(activate_##name, 0, p, row, height, tile, sums);                                                \
    }                                                                                                                  \
    static __attribute__((noinline)) void measure_##name(const struct fg_linear_forward_args *p, int64_t row,          \
                                                         int height, const vec *tile, forward_lanes *sums) {           \
        finish_forward(activate_##name, 1, p, row, height, tile, sums);                                                \
    }
#include "../activations.def"
#undef FG_ACTIVATION

static forward_epilogue *const forward_epilogues[FG_ACTIVATIONS][2] = {
#define FG_ACTIVATION(name, form, derivative_below, steepest) [FG_ACTIVATION_##name] = {finish_##name, measure_##name},
#include "../activations.def"
#undef FG_ACTIVATION
};

static inline void clear_lanes(forward_lanes *lanes) {
    *lanes = (forward_lanes){.output = v_zero(), .squares = v_zero(), .derivative = v_zero(), .saturated = v_zero()};
    accumulator_clear(&lanes->preactivation);
}

#include "scaled_forward.inc.h"

ALWAYS_INLINE void forward_tile(const int height, const int vecs, int64_t row, pass now,
                                const struct fg_linear_forward_args *p, vec *unit, forward_lanes *sums) {
    vec *const tile = tile_of(unit, row * vecs, now);
    const real *const input = (const real *)p->input + row * p->input_stride;
    product(height, vecs, tile, now.first ? (const real *)tile : p->bias, now.first ? vecs * LANES : 0, now.depth,
            input + now.first, p->input_stride, 1, (const real *)p->weights + now.first * vecs * LANES, vecs * LANES,
            p->prefetch);
    if (now.last)
        (is_scaled(p) ? finish_scaled : forward_epilogues[p->activation][p->measured])(p, row, height, tile, sums);
}

#define DEFINE_FORWARD(vecs)                                                                                           \
    static void PANEL(forward, vecs)(const struct fg_linear_forward_args *p, forward_lanes *sums) {                    \
        vec unit[FG_ROW_BLOCK * vecs];                                                                                 \
        FOR_EACH_PASS(vecs, p->rows, p->depth, PASS_DEPTH, forward_tile, p, unit, sums);                               \
    }
DEFINE_PANEL_WIDTHS(DEFINE_FORWARD)

static void store_forward_sums(const struct fg_linear_forward_args *p, const forward_lanes *lanes) {
    const block_view outputs = {p->output, p->output_stride, (int)p->rows, p->vecs};
    accumulator output, squares;
    accumulator_clear(&output);
    accumulator_clear(&squares);
    if (p->measured) {
        accumulate_moments(&output, &squares, lanes->output, lanes->squares, outputs);
        p->sums[FG_SUM_OUTPUT] = accumulator_total(&output);
        p->sums[FG_SUM_PREACTIVATION_SQUARED] = accumulator_total(&lanes->preactivation);
        p->sums[FG_SUM_SATURATED] = total_of_lanes(lanes->saturated);
    } else
        accumulate_squares(&squares, lanes->squares, outputs);
    if (p->measured || p->derivative)
        p->sums[FG_SUM_ABS_DERIVATIVE] = total_of_lanes(lanes->derivative);
    p->sums[FG_SUM_OUTPUT_SQUARED] = accumulator_total(&squares);
}

static void linear_forward(const struct fg_linear_forward_args *p) {
    forward_lanes lanes;
    struct fg_linear_forward_args scaled;
    real bias[PANEL_VECS * LANES];
    clear_lanes(&lanes);
    if (__builtin_expect(is_scaled(p), 0)) {
        scaled = *p;
        prepare_scaled(&scaled, bias, &lanes);
        p = &scaled;
    }
    FOR_PANEL_WIDTH(p->vecs, forward, p, &lanes);
    store_forward_sums(p, &lanes);
}
