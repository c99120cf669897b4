/* The epilogue of linear forward: what is done to a tile of z = input @ W + bias once its product is whole and while it
 * is in the first-level cache.
 *
 * It is a list of tile operations, filled once per call of linear_forward from the arguments and run over each tile in
 * turn. Exactly one of them is an activation, which is fused: it also stores the outputs and derivatives and takes all
 * sums, in one straight loop that is compiled for each activation. A layer without exponents needs no other.
 *
 * To add one (a normalisation's scale, dropout, a skip's addition): write it as a tile_operation, give it what it needs
 * in fg_linear_forward_args, and append it in fill_operations where its turn comes. What comes before the activation
 * changes the tile in place; what comes after it changes the outputs and derivatives where they have been stored, and
 * takes their sums anew. Nothing is compiled for combinations. What needs whole rows, or all of them, is no operation of
 * a tile. */
typedef struct forward_unit forward_unit;

/* The tile is `height` rows of args->vecs vectors, the first of them row `row` of the unit. */
typedef void tile_operation(forward_unit *, int64_t row, int height, vec *tile);

typedef void activation_function(vec z, vec *a, vec *derivative);

/* An activation near zero: f(z) / z and f'(z), on either side. */
typedef struct {
    vec ratio_below, ratio_above, derivative_below, derivative_above;
} tangent;

/* Sums of a unit in working precision, lane by lane; of the preactivations, which are not kept, tile by tile. */
typedef struct {
    vec output, output_squares;
    accumulator preactivation_squares;
} signal_sums;

/* One call of linear_forward. */
enum { MOST_TILE_OPERATIONS = 8 };
struct forward_unit {
    const struct fg_linear_forward_args *args;
    const real *bias; /* [vecs * lanes], what the product starts from; or NULL */
    int operations;
    tile_operation *operation[MOST_TILE_OPERATIONS];
    vec derivatives, saturated;
    signal_sums met; /* of what the activation meets and gives */
    const signal_sums *preactivations, *outputs; /* the sums that count: `met`, or those of a signal with an exponent */
    /* Of a signal with an exponent, scaled_epilogue.inc.h: */
    signal_sums stored; /* of z before, and of the outputs after the activation: as they are stored */
    const real *late_bias; /* [vecs * lanes], added after the product; or NULL */
    real scaled_bias[PANEL_VECS * LANES];
    tangent at_zero; /* where all of the unit is near zero */
};

static inline void append_operation(forward_unit *u, tile_operation *operation) {
    u->operation[u->operations++] = operation;
}

static inline void clear_sums(signal_sums *sums) {
    sums->output = sums->output_squares = v_zero();
    accumulator_clear(&sums->preactivation_squares);
}

static inline void activate_near_zero(const tangent *t, vec z, vec *a, vec *derivative) {
    const mask above = v_positive(z);
    *a = v_select(above, t->ratio_above, t->ratio_below) * z;
    *derivative = v_select(above, t->derivative_above, t->derivative_below);
}

ALWAYS_INLINE void add_column_derivatives(real *columns, int begun, vec of_tile) {
    v_store(columns, (begun ? v_load(columns) : v_zero()) + of_tile);
}

/* activate: NULL where the unit is near zero. */
ALWAYS_INLINE void finish_forward(activation_function activate, const int measured, forward_unit *u, int64_t row,
                                  int height, const vec *tile) {
    const struct fg_linear_forward_args *const p = u->args;
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
                activate_near_zero(&u->at_zero, z, &a, &derivative);
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
        u->saturated = u->saturated + saturated;
        if (measured)
            add_column_derivatives((real *)p->column_derivatives + v * LANES, row > 0, derivative_sum);
        tile_squares = tile_squares + squares;
        tile_sum = tile_sum + sum;
        tile_derivatives = tile_derivatives + derivative_sum;
    }
    u->met.output_squares = u->met.output_squares + tile_squares;
    u->met.output = u->met.output + tile_sum;
    u->derivatives = u->derivatives + tile_derivatives;
    if (measured)
        accumulate_squares(&u->met.preactivation_squares, tile_preactivations,
                           (block_view){(const real *)tile, vecs * LANES, height, vecs});
}

/* Each activation as two tile operations: with the sums that are always wanted, and with all. */
#define DEFINE_ACTIVATION(name, activate)                                                                              \
    static __attribute__((noinline)) void SYMBOL(finish_##name)(forward_unit * u, int64_t row, int height,             \
                                                                vec *tile) {                                           \
        finish_forward(activate, 0, u, row, height, tile);                                                             \
    }                                                                                                                  \
    static __attribute__((noinline)) void SYMBOL(measure_##name)(forward_unit * u, int64_t row, int height,            \
                                                                 vec *tile) {                                          \
        finish_forward(activate, 1, u, row, height, tile);                                                             \
    }
#define FG_ACTIVATION(name, form, derivative_below, steepest) DEFINE_ACTIVATION(name, activate_##name)
#include "../activations.def"
#undef FG_ACTIVATION
DEFINE_ACTIVATION(near_zero, NULL)

static tile_operation *const activations[FG_ACTIVATIONS][2] = {
#define FG_ACTIVATION(name, form, derivative_below, steepest)                                                          \
    [FG_ACTIVATION_##name] = {SYMBOL(finish_##name), SYMBOL(measure_##name)},
#include "../activations.def"
#undef FG_ACTIVATION
};
static tile_operation *const activations_near_zero[2] = {SYMBOL(finish_near_zero), SYMBOL(measure_near_zero)};

ALWAYS_INLINE void run_operations(forward_unit *u, int64_t row, int height, vec *tile) {
    for (int i = 0; i < u->operations; i++)
        u->operation[i](u, row, height, tile);
}

static void store_forward_sums(const forward_unit *u) {
    const struct fg_linear_forward_args *const p = u->args;
    const block_view outputs = {p->output, p->output_stride, (int)p->rows, p->vecs};
    accumulator output, squares;
    accumulator_clear(&output);
    accumulator_clear(&squares);
    if (p->measured) {
        accumulate_moments(&output, &squares, u->outputs->output, u->outputs->output_squares, outputs);
        p->sums[FG_SUM_OUTPUT] = accumulator_total(&output);
        p->sums[FG_SUM_PREACTIVATION_SQUARED] = accumulator_total(&u->preactivations->preactivation_squares);
        p->sums[FG_SUM_SATURATED] = total_of_lanes(u->saturated);
    } else
        accumulate_squares(&squares, u->outputs->output_squares, outputs);
    if (p->measured || p->derivative)
        p->sums[FG_SUM_ABS_DERIVATIVE] = total_of_lanes(u->derivatives);
    p->sums[FG_SUM_OUTPUT_SQUARED] = accumulator_total(&squares);
}
