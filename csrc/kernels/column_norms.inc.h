/* The Euclidean norm of each column of a unit. A column is one chain of multiply-adds in float64, in row order, so its
 * bits do not depend on how many columns a vector holds. Of float32 every square fits. A column of float64 whose sum
 * shows that squares may have left the range is summed again in three parts, see norm.h, in the same order; a column
 * of zeros is one of those. */
#if FG_REAL_BITS == 64
/* The columns of vector v whose sums are not trusted. */
static __attribute__((noinline)) void doubtful_column_norms(const struct fg_column_norms_args *p, int v, vec sum) {
    squares_of_lanes apart = {v_zero(), v_zero(), v_zero()};
    double small[LANES], middle[LANES], large[LANES], is_trusted[LANES];
    for (int64_t r = 0; r < p->rows; r++)
        add_square_of_lanes(&apart, v_load((const double *)p->x + (r * p->vecs + v) * LANES));
    v_store(small, apart.small);
    v_store(middle, apart.middle);
    v_store(large, apart.large);
    v_store(is_trusted, v_select(trusted_lanes(sum), v_set1(1), v_zero()));
    for (int i = 0; i < LANES; i++) {
        const fg_squares squares = {small[i], middle[i], large[i]};
        if (is_trusted[i] == 0.0)
            p->norms[v * LANES + i] = fg_norm(&squares);
    }
}

static inline void check_column_norms(const struct fg_column_norms_args *p, int v, const dvec *sum) {
    if (__builtin_expect(!squares_are_trusted(*sum), 0))
        doubtful_column_norms(p, v, *sum);
}
#else
static inline void check_column_norms(const struct fg_column_norms_args *p, int v, const dvec *sum) {
    (void)p, (void)v, (void)sum;
}
#endif

ALWAYS_INLINE void column_norms_of_panel(const int vecs, const struct fg_column_norms_args *p) {
    const real *x = p->x;
    dvec sum[PANEL_VECS * DVECS];
    UNROLL for (int i = 0; i < vecs * DVECS; i++) sum[i] = d_zero();
    for (int64_t r = 0; r < p->rows; r++, x += vecs * LANES) {
        UNROLL for (int v = 0; v < vecs; v++) {
            dvec wide[DVECS];
            v_widen(v_load(x + v * LANES), wide);
            UNROLL for (int i = 0; i < DVECS; i++) sum[v * DVECS + i] = d_fma(wide[i], wide[i], sum[v * DVECS + i]);
        }
    }
    UNROLL for (int i = 0; i < vecs * DVECS; i++) d_store(p->norms + i * DLANES, d_sqrt(sum[i]));
    for (int v = 0; v < vecs; v++)
        check_column_norms(p, v, sum + v * DVECS);
}

#define DEFINE_COLUMN_NORMS(vecs)                                                                                      \
    static void PANEL(column_norms, vecs)(const struct fg_column_norms_args *p) { column_norms_of_panel(vecs, p); }
DEFINE_PANEL_WIDTHS(DEFINE_COLUMN_NORMS)

static void column_norms(const struct fg_column_norms_args *p) { FOR_PANEL_WIDTH(p->vecs, column_norms, p); }
