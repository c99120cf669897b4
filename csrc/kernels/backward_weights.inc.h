/* Linear backward-weights: dW = input^T @ delta over the whole batch, its norm, and the optimizer's update of the
 * packed weights, before the tile has left the cache. dW is stored only where the caller wants to see it. */
typedef struct {
    norm_accumulator gradient, weight, update;
    accumulator not_finite;
    vec largest_gradient;
} update_accumulators;

typedef vec increment_function(const update_terms *, vec g, vec w, vec *s);

/* 0 for a finite x, NaN for any other. */
static inline vec finite_or_nan(vec x) { return x - x; }

static inline void norm_add_rows(norm_accumulator *t, const void *at, int rows, int vecs) {
    norm_add(t, (block_view){at, vecs * LANES, rows, vecs});
}

/* Updates `rows` rows of the weights from element `at` on, or only tries to; the increments replace the gradients. */
ALWAYS_INLINE void apply_update(increment_function increment, const int states, const int trial,
                                const struct fg_linear_backward_weights_args *p, const update_terms *terms, int64_t at,
                                int rows, vec *gradient, update_accumulators *t) {
    const int vecs = rows * p->vecs;
    real *const weights = (real *)p->weights + at, *state[FG_MAX_STATES];
    vec not_finite = v_zero();
    for (int j = 0; j < states; j++)
        state[j] = (real *)p->states[j] + at;
    for (int i = 0; i < vecs; i++) {
        const vec old = v_load(weights + i * LANES);
        vec s[FG_MAX_STATES], added;
        for (int j = 0; j < states; j++)
            s[j] = v_load(state[j] + i * LANES);
        gradient[i] = added = increment(terms, gradient[i], old, s);
        if (trial) {
            not_finite = not_finite + finite_or_nan(old + added);
            for (int j = 0; j < states; j++)
                not_finite = not_finite + finite_or_nan(s[j]);
        } else {
            v_store(weights + i * LANES, old + added);
            for (int j = 0; j < states; j++)
                v_store(state[j] + i * LANES, s[j]);
        }
    }
    norm_add_rows(&t->update, gradient, rows, p->vecs);
    if (trial)
        accumulate(&t->not_finite, not_finite);
}

typedef void update_function(const struct fg_linear_backward_weights_args *, const update_terms *, int64_t at, int rows,
                             vec *gradient, update_accumulators *);
#define FG_OPTIMIZER(name, states)                                                                                     \
    static __attribute__((noinline)) void update_##name(const struct fg_linear_backward_weights_args *p,               \
                                                        const update_terms *terms, int64_t at, int rows,               \
                                                        vec *gradient, update_accumulators *t) {                       \
        apply_update(increment_##name, states, 0, p, terms, at, rows, gradient, t);                                    \
    }                                                                                                                  \
    static __attribute__((noinline)) void try_##name(const struct fg_linear_backward_weights_args *p,                  \
                                                     const update_terms *terms, int64_t at, int rows, vec *gradient,   \
                                                     update_accumulators *t) {                                         \
        apply_update(increment_##name, states, 1, p, terms, at, rows, gradient, t);                                    \
    }
#include "../optimizers.def"
#undef FG_OPTIMIZER

static update_function *const update_functions[FG_OPTIMIZERS][2] = {
#define FG_OPTIMIZER(name, states) [FG_OPTIMIZER_##name] = {update_##name, try_##name},
#include "../optimizers.def"
#undef FG_OPTIMIZER
};

static __attribute__((noinline)) void finish_backward_weights(const struct fg_linear_backward_weights_args *p,
                                                              const update_terms *terms, int64_t row, int rows,
                                                              vec *tile, update_accumulators *t) {
    const int64_t at = row * p->vecs * LANES;
    if (p->measured) {
        norm_add_rows(&t->gradient, tile, rows, p->vecs);
        for (int i = 0; i < rows * p->vecs; i++)
            t->largest_gradient = v_max(v_abs(tile[i]), t->largest_gradient);
    }
    norm_add_rows(&t->weight, (const real *)p->weights + at, rows, p->vecs);
    if (p->gradient)
        for (int i = 0; i < rows * p->vecs; i++)
            v_store((real *)p->gradient + at + i * LANES, tile[i]);
    if (p->exponent)
        multiply_by_power((real *)tile, rows * p->vecs * LANES, p->exponent);
    if (p->update)
        update_functions[p->update->kind][p->trial](p, terms, at, rows, tile, t);
}

ALWAYS_INLINE void backward_weights_tile(const int height, const int vecs, int64_t row, pass now,
                                         const struct fg_linear_backward_weights_args *p, const update_terms *terms,
                                         vec *unit, batch_sum *sums, update_accumulators *t) {
    vec *const tile = tile_of(unit, row * vecs, now);
    const real *const input = (const real *)p->input + now.first * p->input_stride;
    const real *const delta = (const real *)p->delta + now.first * p->delta_stride;
    product(height, vecs, tile, continues_chain(now, p->depth) ? (const real *)tile : NULL, vecs * LANES, now.depth,
            input + row, 1, p->input_stride, delta, p->delta_stride, p->prefetch);
    if (!is_single_chain(p->depth) && ends_chain(now))
        add_chain(tile, sums + row * vecs, height * vecs, now.first < FG_CHAIN_ROWS);
    if (now.last)
        finish_backward_weights(p, terms, row, height, tile, t);
}

#define DEFINE_BACKWARD_WEIGHTS(vecs)                                                                                  \
    static void PANEL(backward_weights, vecs)(const struct fg_linear_backward_weights_args *p,                         \
                                              const update_terms *terms, update_accumulators *t) {                     \
        vec unit[FG_WEIGHT_BLOCK * vecs];                                                                              \
        batch_sum sums[FG_WEIGHT_BLOCK * vecs];                                                                        \
        FOR_EACH_PASS(vecs, p->rows, p->depth, longest_pass(p->depth), backward_weights_tile, p, terms, unit, sums,    \
                      t);                                                                                              \
    }
DEFINE_PANEL_WIDTHS(DEFINE_BACKWARD_WEIGHTS)

static void linear_backward_weights(const struct fg_linear_backward_weights_args *p) {
    const update_terms terms = p->update ? broadcast_terms(p->update) : (update_terms){0};
    update_accumulators t;
    norm_clear(&t.gradient);
    norm_clear(&t.weight);
    norm_clear(&t.update);
    accumulator_clear(&t.not_finite);
    t.largest_gradient = v_zero();
    FOR_PANEL_WIDTH(p->vecs, backward_weights, p, &terms, &t);
    if (p->measured) {
        p->sums[FG_NORM_OF_GRADIENT] = norm_total(&t.gradient);
        p->sums[FG_LARGEST_GRADIENT] = (double)v_max_lane(t.largest_gradient);
    }
    p->sums[FG_NORM_OF_WEIGHT] = norm_total(&t.weight);
    p->sums[FG_NORM_OF_UPDATE] = norm_total(&t.update);
    p->sums[FG_SUM_NOT_FINITE] = accumulator_total(&t.not_finite);
}
