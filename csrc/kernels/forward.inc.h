/* Linear forward: output = f(input @ W + bias), its derivative and its sums. The product of a tile, then its epilogue. */
ALWAYS_INLINE void forward_tile(const int height, const int vecs, int64_t row, pass now, forward_unit *u, vec *unit) {
    const struct fg_linear_forward_args *const p = u->args;
    vec *const tile = tile_of(unit, row * vecs, now);
    const real *const input = (const real *)p->input + row * p->input_stride;
    product(height, vecs, tile, now.first ? (const real *)tile : u->bias, now.first ? vecs * LANES : 0, now.depth,
            input + now.first, p->input_stride, 1, (const real *)p->weights + now.first * vecs * LANES, vecs * LANES,
            p->prefetch);
    if (now.last)
        run_operations(u, row, height, tile);
}

#define DEFINE_FORWARD(vecs)                                                                                           \
    static void PANEL(forward, vecs)(forward_unit * u) {                                                               \
        vec tiles[FG_ROW_BLOCK * vecs];                                                                                \
        FOR_EACH_PASS(vecs, u->args->rows, u->args->depth, PASS_DEPTH, forward_tile, u, tiles);                        \
    }
DEFINE_PANEL_WIDTHS(DEFINE_FORWARD)

static void fill_operations(forward_unit *u) {
    if (__builtin_expect(is_scaled(u->args), 0))
        fill_scaled_operations(u);
    else
        append_operation(u, activations[u->args->activation][u->args->measured]);
}

static void linear_forward(const struct fg_linear_forward_args *p) {
    forward_unit u;
    u.args = p;
    u.bias = p->bias;
    u.operations = 0;
    u.derivatives = u.saturated = v_zero();
    u.preactivations = u.outputs = &u.met;
    clear_sums(&u.met);
    fill_operations(&u);
    FOR_PANEL_WIDTH(p->vecs, forward, &u);
    store_forward_sums(&u);
}
