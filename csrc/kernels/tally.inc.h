/* Tallies: sums over a unit of work, in float64.
 *
 * Within a tile partial sums are taken in the working precision, at most ACCUMULATORS terms a lane, and widened once.
 * A float32 sum of squares is trusted only where each lane shows that neither underflow nor overflow can have cost it
 * a part in 2^23; else the tile's squares are summed again in float64, where no normal float32 value can leave the
 * range. */
typedef struct {
    dvec part[DVECS];
} tally;

static inline void tally_clear(tally *t) {
    for (int i = 0; i < DVECS; i++)
        t->part[i] = d_zero();
}

static inline double tally_total(const tally *t) {
    double total = 0.0;
    for (int i = 0; i < DVECS; i++)
        total += d_sum(t->part[i]);
    return total;
}

static inline void tally_add(tally *t, vec x) {
    dvec wide[DVECS];
    v_widen(x, wide);
    for (int i = 0; i < DVECS; i++)
        t->part[i] = t->part[i] + wide[i];
}

/* Adds a * b, multiplied in float64. */
static inline void tally_add_product(tally *t, vec a, vec b) {
    dvec wide_a[DVECS], wide_b[DVECS];
    v_widen(a, wide_a);
    v_widen(b, wide_b);
    for (int i = 0; i < DVECS; i++)
        t->part[i] = d_fma(wide_a[i], wide_b[i], t->part[i]);
}

/* Adds a * (b - c), subtracted and multiplied in float64. */
static inline void tally_add_times_difference(tally *t, vec a, vec b, vec c) {
    dvec wide_a[DVECS], wide_b[DVECS], wide_c[DVECS];
    v_widen(a, wide_a);
    v_widen(b, wide_b);
    v_widen(c, wide_c);
    for (int i = 0; i < DVECS; i++)
        t->part[i] = d_fma(wide_a[i], wide_b[i] - wide_c[i], t->part[i]);
}

#if FG_REAL_BITS == 32
static inline int squares_are_trusted(vec sum) {
    return !m_any(m_not(m_and(v_le(v_set1(0x1p-90f), sum), v_le(sum, v_set1(0x1p126f)))));
}
#else
static inline int squares_are_trusted(vec sum) { return (void)sum, 1; }
#endif

static __attribute__((noinline)) void tally_squares_wide(tally *t, const vec *x, int n) {
    for (int i = 0; i < n; i++)
        tally_add_product(t, x[i], x[i]);
}

/* Adds the squares of a tile whose sum in working precision is at hand. */
static inline void tally_squares(tally *t, vec sum, const vec *tile, int n) {
    if (__builtin_expect(squares_are_trusted(sum), 1))
        tally_add(t, sum);
    else
        tally_squares_wide(t, tile, n);
}

/* Adds the values and their squares; a plain sum is trusted where the squares are. */
static inline void tally_moments(tally *values, tally *squares, vec sum, vec sum_of_squares, const vec *tile, int n) {
    if (__builtin_expect(squares_are_trusted(sum_of_squares), 1)) {
        tally_add(values, sum);
        tally_add(squares, sum_of_squares);
        return;
    }
    for (int i = 0; i < n; i++)
        tally_add(values, tile[i]);
    tally_squares_wide(squares, tile, n);
}
