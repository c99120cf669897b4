/* Kernels over plain arrays of any length: a vector function, an activation with its derivative, a constant, a norm; and
 * the multiply-adds that measure the machine's peak. */
typedef vec unary_function(vec);

static void unary(const struct fg_unary_args *p) {
    static unary_function *const functions[FG_UNARIES] = {
#define FG_UNARY(name) [FG_UNARY_##name] = v_##name,
#include "../unary.def"
#undef FG_UNARY
    };
    unary_function *const function = functions[p->function];
    for (int64_t i = 0; i < p->n; i += LANES) {
        const int n = lanes_left(p->n, i);
        v_store_n((real *)p->y + i, function(v_load_n((const real *)p->x + i, n)), n);
    }
}

static void activation(const struct fg_activation_args *p) {
    static activation_function *const functions[FG_ACTIVATIONS] = {
#define FG_ACTIVATION(name, form, derivative_below, steepest) [FG_ACTIVATION_##name] = activate_##name,
#include "../activations.def"
#undef FG_ACTIVATION
    };
    activation_function *const function = functions[p->function];
    for (int64_t i = 0; i < p->n; i += LANES) {
        const int n = lanes_left(p->n, i);
        vec a, derivative;
        function(v_load_n((const real *)p->z + i, n), &a, &derivative);
        v_store_n((real *)p->a + i, a, n);
        v_store_n((real *)p->derivative + i, derivative, n);
    }
}

static void fill(const struct fg_fill_args *p) {
    const vec value = v_set1((real)p->value);
    for (int64_t i = 0; i < p->n; i += LANES)
        v_store_n((real *)p->x + i, value, lanes_left(p->n, i));
}

/* Part by part, so that no lane's chain of additions grows long. */
static void norm(const struct fg_norm_args *p) {
    enum { LONGEST = 4096 };
    const real *const x = p->x;
    const int64_t vecs = p->n / LANES;
    const vec rest = v_load_n(x + vecs * LANES, (int)(p->n % LANES));
    norm_accumulator total;
    norm_clear(&total);
    for (int64_t v = 0; v < vecs; v += LONGEST)
        norm_add_in_full(&total, (block_view){x + v * LANES, 0, 1, (int)(vecs - v < LONGEST ? vecs - v : LONGEST)});
    norm_add_in_full(&total, (block_view){(const real *)&rest, 0, 1, 1});
    *p->norm = norm_total(&total);
}

static void fma_chain(const struct fg_fma_chain_args *p) {
    const vec factor = v_set1((real)0.999), term = v_set1((real)0.001);
    vec sum[ACCUMULATORS], total = v_zero();
    real sink[LANES];
    UNROLL for (int i = 0; i < ACCUMULATORS; i++) sum[i] = v_set1((real)i);
    for (int64_t k = 0; k < p->count; k++)
        UNROLL for (int i = 0; i < ACCUMULATORS; i++) sum[i] = v_fma(sum[i], factor, term);
    UNROLL for (int i = 0; i < ACCUMULATORS; i++) total = total + sum[i];
    v_store(sink, total);
    *p->flops = 2.0 * ACCUMULATORS * LANES * (double)p->count + (sink[0] == (real)-1 ? 1.0 : 0.0);
}
