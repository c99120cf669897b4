/* Applying a gradient to the packed parameters, tile after tile: its exponent, the limit, the optimizer, and the sums of
 * what was done. A tile of the gradient either has just been computed, see backward_weights.inc.h, or is read from where
 * it was stored. Both go through apply_tile in the same tiles, so that both give the same bits, of parameters and of
 * sums. */
typedef struct {
    norm_accumulator weight, update, clipped;
    accumulator not_finite;
} apply_accumulators;

static inline void clear_apply_accumulators(apply_accumulators *t) {
    norm_clear(&t->weight);
    norm_clear(&t->update);
    norm_clear(&t->clipped);
    accumulator_clear(&t->not_finite);
}

static inline void norm_add_rows(norm_accumulator *t, const void *at, int rows, int vecs) {
    norm_add(t, (block_view){at, vecs * LANES, rows, vecs});
}

/* What the fused kernel takes of every unit is inlined there; the rest is not worth it. */
static __attribute__((noinline)) void norm_add_tile(norm_accumulator *t, const vec *tile, int rows, int vecs) {
    norm_add_rows(t, tile, rows, vecs);
}

typedef vec increment_function(const update_terms *, vec g, vec w, vec *s);

/* Updates `count` vectors of weights and states from element `at` on; the increments replace the gradients. */
ALWAYS_INLINE void update_parameters(increment_function increment, const int states, const update_terms *terms,
                                     void *all_weights, void *const *all_states, int64_t at, int count, vec *gradient) {
    real *const weights = (real *)all_weights + at, *state[FG_MAX_STATES];
    for (int j = 0; j < states; j++)
        state[j] = (real *)all_states[j] + at;
    for (int i = 0; i < count; i++) {
        const vec old = v_load(weights + i * LANES);
        vec s[FG_MAX_STATES], added;
        for (int j = 0; j < states; j++)
            s[j] = v_load(state[j] + i * LANES);
        gradient[i] = added = increment(terms, gradient[i], old, s);
        v_store(weights + i * LANES, old + added);
        for (int j = 0; j < states; j++)
            v_store(state[j] + i * LANES, s[j]);
    }
}

#define FG_OPTIMIZER(name, states)                                                                                     \
    static __attribute__((noinline)) void update_##name(                                                               \
        const update_terms *terms, void *all_weights, void *const *all_states, int64_t at, int count, vec *gradient) { \
        update_parameters(increment_##name, states, terms, all_weights, all_states, at, count, gradient);              \
    }
#include "../optimizers.def"
#undef FG_OPTIMIZER

static const struct {
    void (*update)(const update_terms *, void *weights, void *const *states, int64_t at, int count, vec *gradient);
    int states;
} optimizers[FG_OPTIMIZERS] = {
#define FG_OPTIMIZER(name, states) [FG_OPTIMIZER_##name] = {update_##name, states},
#include "../optimizers.def"
#undef FG_OPTIMIZER
};

/* 0 where all of x is finite, else NaN. */
static inline vec finite_or_nan(const vec *x, int count) {
    vec sum = v_zero();
    for (int i = 0; i < count; i++)
        sum = sum + (x[i] - x[i]);
    return sum;
}

static inline void copy_tile(vec *to, const void *all, int64_t at, int count) {
    for (int i = 0; i < count; i++)
        to[i] = v_load((const real *)all + at + i * LANES);
}

/* Updates a copy of the parameters, and looks whether it is finite. */
static __attribute__((noinline)) void try_update(const struct fg_apply_gradient_args *p, const update_terms *terms,
                                                 int64_t at, int count, vec *gradient, accumulator *not_finite) {
    const int states = optimizers[p->update->kind].states;
    vec weights[ACCUMULATORS], state[FG_MAX_STATES][ACCUMULATORS];
    void *const copies[FG_MAX_STATES] = {state[0], state[1], state[2]};
    copy_tile(weights, p->weights, at, count);
    for (int j = 0; j < states; j++)
        copy_tile(state[j], p->states[j], at, count);
    optimizers[p->update->kind].update(terms, weights, copies, 0, count, gradient);
    accumulate(not_finite, finite_or_nan(weights, count));
    for (int j = 0; j < states; j++)
        accumulate(not_finite, finite_or_nan(state[j], count));
}

/* v_min and v_max give their second operand where one is NaN: a NaN stays. */
static __attribute__((noinline)) void limit_tile(vec *tile, int count, double limit) {
    const vec most = v_set1((real)limit), least = v_zero() - most;
    for (int i = 0; i < count; i++)
        tile[i] = v_max(least, v_min(most, tile[i]));
}

/* `tile`: `rows` rows of the gradient, as they are before the exponent, that belong to the parameters from element `at`
 * on. It is used up. */
static __attribute__((noinline)) void apply_tile(const struct fg_apply_gradient_args *p, const update_terms *terms,
                                                 int64_t at, int rows, vec *tile, apply_accumulators *t) {
    const int count = rows * p->vecs;
    if (p->exponent)
        multiply_by_power((real *)tile, count * LANES, p->exponent);
    if (p->limit > 0.0) {
        limit_tile(tile, count, p->limit);
        if (p->measured)
            norm_add_tile(&t->clipped, tile, rows, p->vecs);
    }
    if (p->trial) {
        try_update(p, terms, at, count, tile, &t->not_finite);
        return;
    }
    norm_add_rows(&t->weight, (const real *)p->weights + at, rows, p->vecs);
    optimizers[p->update->kind].update(terms, p->weights, p->states, at, count, tile);
    norm_add_tile(&t->update, tile, rows, p->vecs);
}

static inline void store_apply_sums(const struct fg_apply_gradient_args *p, const apply_accumulators *t) {
    p->sums[FG_SUM_NOT_FINITE] = accumulator_total(&t->not_finite);
    if (p->trial)
        return;
    p->sums[FG_NORM_OF_WEIGHT] = norm_total(&t->weight);
    p->sums[FG_NORM_OF_UPDATE] = norm_total(&t->update);
    if (p->limit > 0.0 && p->measured)
        p->sums[FG_NORM_OF_CLIPPED] = norm_total(&t->clipped);
}

/* Reads a tile, and multiplies it by the factors. */
static inline void load_stored_tile(const struct fg_apply_gradient_args *p, int64_t at, int count, vec *tile) {
    const real *const factors = p->column_factors;
    const vec factor = v_set1((real)p->factor);
    copy_tile(tile, p->gradient, at, count);
    if (factors)
        for (int i = 0; i < count; i++)
            tile[i] = tile[i] * v_load(factors + i % p->vecs * LANES);
    else if (p->factor != 1.0)
        for (int i = 0; i < count; i++)
            tile[i] = tile[i] * factor;
}

/* Of the tile that FOR_EACH_TILE comes to with `left` rows left. */
static inline int height_of_tile(int vecs, int64_t left) {
    int height = 8;
    if (left >= TALLEST(vecs))
        return TALLEST(vecs);
    while (height > left)
        height /= 2;
    return height;
}

static void apply_gradient(const struct fg_apply_gradient_args *p) {
    const update_terms terms = broadcast_terms(p->update);
    apply_accumulators t;
    clear_apply_accumulators(&t);
    for (int64_t row = 0, height; row < p->rows; row += height) {
        const int64_t at = row * p->vecs * LANES;
        vec tile[ACCUMULATORS];
        height = height_of_tile(p->vecs, p->rows - row);
        load_stored_tile(p, at, (int)height * p->vecs, tile);
        apply_tile(p, &terms, at, (int)height, tile, &t);
    }
    store_apply_sums(p, &t);
}
