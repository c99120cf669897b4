/* Linear backward-weights: dW = input^T @ delta over the whole batch, its norm, and, where there is an update, its
 * application to the packed weights before the tile has left the cache. dW is stored only where the caller wants it. */
typedef struct {
    norm_accumulator gradient;
    vec largest_gradient;
    apply_accumulators apply;
} backward_weights_accumulators;

/* Where there is no update, the norm of the weights may be wanted all the same. */
static __attribute__((noinline)) void finish_backward_weights(const struct fg_linear_backward_weights_args *p,
                                                              const struct fg_apply_gradient_args *apply,
                                                              const update_terms *terms, int64_t row, int rows,
                                                              vec *tile, backward_weights_accumulators *t) {
    const int64_t at = row * p->vecs * LANES;
    if (p->measured) {
        norm_add_rows(&t->gradient, tile, rows, p->vecs);
        for (int i = 0; i < rows * p->vecs; i++)
            t->largest_gradient = v_max(v_abs(tile[i]), t->largest_gradient);
    }
    if (p->gradient)
        for (int i = 0; i < rows * p->vecs; i++)
            v_store((real *)p->gradient + at + i * LANES, tile[i]);
    if (p->update)
        apply_tile(apply, terms, at, rows, tile, &t->apply);
    else if (p->weights)
        norm_add_rows(&t->apply.weight, (const real *)p->weights + at, rows, p->vecs);
}

ALWAYS_INLINE void backward_weights_tile(const int height, const int vecs, int64_t row, pass now,
                                         const struct fg_linear_backward_weights_args *p,
                                         const struct fg_apply_gradient_args *apply, const update_terms *terms,
                                         vec *unit, batch_sum *sums, backward_weights_accumulators *t) {
    vec *const tile = tile_of(unit, row * vecs, now);
    const real *const input = (const real *)p->input + now.first * p->input_stride;
    const real *const delta = (const real *)p->delta + now.first * p->delta_stride;
    product(height, vecs, tile, continues_chain(now, p->depth) ? (const real *)tile : NULL, vecs * LANES, now.depth,
            input + row, 1, p->input_stride, delta, p->delta_stride, p->prefetch);
    if (!is_single_chain(p->depth) && ends_chain(now))
        add_chain(tile, sums + row * vecs, height * vecs, now.first < FG_CHAIN_ROWS);
    if (now.last)
        finish_backward_weights(p, apply, terms, row, height, tile, t);
}

#define DEFINE_BACKWARD_WEIGHTS(vecs)                                                                                  \
    static void PANEL(backward_weights, vecs)(const struct fg_linear_backward_weights_args *p,                         \
                                              const struct fg_apply_gradient_args *apply, const update_terms *terms,   \
                                              backward_weights_accumulators *t) {                                      \
        vec unit[FG_WEIGHT_BLOCK * vecs];                                                                              \
        batch_sum sums[FG_WEIGHT_BLOCK * vecs];                                                                        \
        FOR_EACH_PASS(vecs, p->rows, p->depth, longest_pass(p->depth), backward_weights_tile, p, apply, terms, unit,   \
                      sums, t);                                                                                        \
    }
DEFINE_PANEL_WIDTHS(DEFINE_BACKWARD_WEIGHTS)

static void linear_backward_weights(const struct fg_linear_backward_weights_args *p) {
    const struct fg_apply_gradient_args apply = {.vecs = p->vecs,
                                                 .exponent = p->exponent,
                                                 .limit = p->limit,
                                                 .weights = p->weights,
                                                 .states = {p->states[0], p->states[1], p->states[2]},
                                                 .update = p->update,
                                                 .sums = p->sums,
                                                 .measured = p->measured};
    update_terms terms, *wanted = NULL;
    backward_weights_accumulators t;
    if (p->update) {
        terms = broadcast_terms(p->update);
        wanted = &terms;
    }
    norm_clear(&t.gradient);
    t.largest_gradient = v_zero();
    clear_apply_accumulators(&t.apply);
    FOR_PANEL_WIDTH(p->vecs, backward_weights, p, &apply, wanted, &t);
    if (p->measured) {
        p->sums[FG_NORM_OF_GRADIENT] = norm_total(&t.gradient);
        p->sums[FG_LARGEST_GRADIENT] = (double)v_max_lane(t.largest_gradient);
    }
    store_apply_sums(&apply, &t.apply);
}
