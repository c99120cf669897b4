/* Accumulators: sums over a unit of work, in float64, one for each lane of a vector until the total is asked for.
 *
 * Within a block of up to FG_ROW_BLOCK rows partial sums are taken in the working precision (float32 in the float32
 * tables), where they cost next to nothing, and widened to float64 once. A term goes through some 16 additions on its
 * way: down its column in a tile, across the tile's columns, and over the block's tiles.
 *
 * A sum of squares is trusted only where each lane shows that neither underflow nor overflow can have cost it a part in
 * 2^23, in float64 in 2^52. Else, in float32, lanes of numbers too small for that are summed again at 2^100 times their
 * size, at which no normal number's square underflows, and a block with larger ones in float64, whose range no float32
 * value's square can leave. In float64 squares are summed again in three parts, see norm.h, where a norm is wanted. */
typedef struct {
    dvec part[DVECS];
} accumulator;

static inline void accumulator_clear(accumulator *t) {
    for (int i = 0; i < DVECS; i++)
        t->part[i] = d_zero();
}

/* Lane by lane into `lane`, then halves onto halves, so that the order does not depend on the compiler. */
ALWAYS_INLINE double total_of(const accumulator *t, const int accumulators, double *lane) {
    for (int i = 0; i < accumulators * DVECS; i++)
        d_store(lane + i * DLANES, t[i / DVECS].part[i % DVECS]);
    for (int width = accumulators * LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
}

static inline double accumulator_total(const accumulator *t) {
    double lane[LANES];
    return total_of(t, 1, lane);
}

static inline void accumulate(accumulator *t, vec x) {
    dvec wide[DVECS];
    v_widen(x, wide);
    for (int i = 0; i < DVECS; i++)
        t->part[i] = t->part[i] + wide[i];
}

static double total_of_lanes(vec lanes) {
    accumulator total;
    accumulator_clear(&total);
    accumulate(&total, lanes);
    return accumulator_total(&total);
}

/* Adds a * b, multiplied in float64. */
static inline void accumulate_product(accumulator *t, vec a, vec b) {
    dvec wide_a[DVECS], wide_b[DVECS];
    v_widen(a, wide_a);
    v_widen(b, wide_b);
    for (int i = 0; i < DVECS; i++)
        t->part[i] = d_fma(wide_a[i], wide_b[i], t->part[i]);
}

/* Adds a * (b - c), subtracted and multiplied in float64. */
static inline void accumulate_times_difference(accumulator *t, vec a, vec b, vec c) {
    dvec wide_a[DVECS], wide_b[DVECS], wide_c[DVECS];
    v_widen(a, wide_a);
    v_widen(b, wide_b);
    v_widen(c, wide_c);
    for (int i = 0; i < DVECS; i++)
        t->part[i] = d_fma(wide_a[i], wide_b[i] - wide_c[i], t->part[i]);
}

/* The sum of a row, in as many parts as a cache line has columns whatever the machine's vectors hold: losses and their
 * gradients are the same to the bit on machines that multiply and add alike. */
enum { LINE = FG_CACHE_LINE / (int)sizeof(real) };
typedef struct {
    accumulator of[LINE / LANES];
} row_accumulator;

static inline void row_clear(row_accumulator *t) {
    for (int i = 0; i < LINE / LANES; i++)
        accumulator_clear(&t->of[i]);
}

/* The accumulator of the columns from c on. */
static inline accumulator *row_at(row_accumulator *t, int64_t c) { return &t->of[c % LINE / LANES]; }

static inline double row_total(const row_accumulator *t) {
    double lane[LINE];
    return total_of(t->of, LINE / LANES, lane);
}

/* A block in memory: rows of `vecs` vectors, `stride` apart. Where it is summed in working precision it has at most
 * FG_ROW_BLOCK rows. */
typedef struct {
    const real *at;
    int64_t stride;
    int rows, vecs;
} block_view;

/* The squares of `factor` times a block in working precision, lane by lane. */
ALWAYS_INLINE vec squares_of_scaled(block_view x, const real factor) {
    vec total = v_zero();
    for (int v = 0; v < x.vecs; v++) {
        vec column = v_zero();
        for (int r = 0; r < x.rows; r++) {
            const vec e = v_load(x.at + r * x.stride + v * LANES) * v_set1(factor);
            column = v_fma(e, e, column);
        }
        total = total + column;
    }
    return total;
}

static inline vec squares_of(block_view x) { return squares_of_scaled(x, 1); }

#if FG_REAL_BITS == 32
#define LEAST_TRUSTED 0x1p-90f
#define MOST_TRUSTED 0x1p126f
#else
#define LEAST_TRUSTED 0x1p-900
#define MOST_TRUSTED 0x1p900
#endif

static inline mask small_lanes(vec sum) { return v_lt(sum, v_set1(LEAST_TRUSTED)); }
static inline mask trusted_lanes(vec sum) { return m_and(m_not(small_lanes(sum)), v_le(sum, v_set1(MOST_TRUSTED))); }
static inline int squares_are_trusted(vec sum) { return !m_any(m_not(trusted_lanes(sum))); }

#if FG_REAL_BITS == 32
static void accumulate_squares_in_float64(accumulator *t, block_view x) {
    for (int r = 0; r < x.rows; r++)
        for (int v = 0; v < x.vecs; v++) {
            const vec e = v_load(x.at + r * x.stride + v * LANES);
            accumulate_product(t, e, e);
        }
}

static __attribute__((noinline)) void accumulate_doubtful_squares(accumulator *t, vec sum, block_view x) {
    const mask small = small_lanes(sum);
    dvec magnified[DVECS];
    if (m_any(m_not(m_or(small, trusted_lanes(sum))))) {
        accumulate_squares_in_float64(t, x);
        return;
    }
    accumulate(t, v_select(small, v_zero(), sum));
    v_widen(v_select(small, squares_of_scaled(x, 0x1p100f), v_zero()), magnified);
    for (int i = 0; i < DVECS; i++)
        t->part[i] = t->part[i] + magnified[i] * 0x1p-200;
}
#else
static inline void accumulate_doubtful_squares(accumulator *t, vec sum, block_view x) { (void)x, accumulate(t, sum); }
#endif

/* Summing a block again in float64 has nothing to give that a float64 sum has not. */
static inline int cannot_be_bettered(vec sum) { return FG_REAL_BITS == 64 || squares_are_trusted(sum); }

/* Adds the squares of a block whose sum in working precision is at hand. */
static inline void accumulate_squares(accumulator *t, vec sum, block_view x) {
    if (__builtin_expect(cannot_be_bettered(sum), 1))
        accumulate(t, sum);
    else
        accumulate_doubtful_squares(t, sum, x);
}

static __attribute__((noinline)) void accumulate_doubtful_moments(accumulator *values, accumulator *squares,
                                                                  vec sum_of_squares, block_view x) {
    for (int r = 0; r < x.rows; r++)
        for (int v = 0; v < x.vecs; v++)
            accumulate(values, v_load(x.at + r * x.stride + v * LANES));
    accumulate_doubtful_squares(squares, sum_of_squares, x);
}

/* Adds the values and their squares; a plain sum is trusted where the squares are. */
static inline void accumulate_moments(accumulator *values, accumulator *squares, vec sum, vec sum_of_squares,
                                      block_view x) {
    if (__builtin_expect(cannot_be_bettered(sum_of_squares), 1)) {
        accumulate(values, sum);
        accumulate(squares, sum_of_squares);
        return;
    }
    accumulate_doubtful_moments(values, squares, sum_of_squares, x);
}

/* What a norm is the root of: squares of blocks that are known to fit, and those summed in three parts (norm.h). */
typedef struct {
    accumulator squares;
    fg_squares apart;
} norm_accumulator;

static inline void norm_clear(norm_accumulator *t) {
    accumulator_clear(&t->squares);
    t->apart.small = t->apart.middle = t->apart.large = 0.0;
}

static inline double norm_total(const norm_accumulator *t) {
    fg_squares squares = t->apart;
    squares.middle += accumulator_total(&t->squares);
    return fg_norm(&squares);
}

#if FG_REAL_BITS == 64
/* Lane by lane the parts of fg_squares. */
typedef struct {
    vec small, middle, large;
} squares_of_lanes;

static inline void add_square_of_lanes(squares_of_lanes *s, vec x) {
    const vec e = v_abs(x);
    const mask is_small = v_lt(e, v_set1(FG_SMALL)), is_large = v_lt(v_set1(FG_LARGE), e);
    const vec grown = v_select(is_small, e * v_set1(FG_GROW), v_zero());
    const vec shrunk = v_select(is_large, e * v_set1(FG_SHRINK), v_zero());
    const vec rest = v_select(m_or(is_small, is_large), v_zero(), e);
    s->small = v_fma(grown, grown, s->small);
    s->middle = v_fma(rest, rest, s->middle);
    s->large = v_fma(shrunk, shrunk, s->large);
}

static void add_squares_apart(fg_squares *s, block_view x) {
    squares_of_lanes sum = {v_zero(), v_zero(), v_zero()};
    for (int r = 0; r < x.rows; r++)
        for (int v = 0; v < x.vecs; v++)
            add_square_of_lanes(&sum, v_load(x.at + r * x.stride + v * LANES));
    s->small += total_of_lanes(sum.small);
    s->middle += total_of_lanes(sum.middle);
    s->large += total_of_lanes(sum.large);
}

/* Adds a block to the last bit that a double has. */
static void norm_add_in_full(norm_accumulator *t, block_view x) { add_squares_apart(&t->apart, x); }

static __attribute__((noinline)) void norm_add_doubtful(norm_accumulator *t, vec sum, block_view x) {
    (void)sum;
    norm_add_in_full(t, x);
}
#else
static void norm_add_in_full(norm_accumulator *t, block_view x) { accumulate_squares_in_float64(&t->squares, x); }

static inline void norm_add_doubtful(norm_accumulator *t, vec sum, block_view x) {
    accumulate_doubtful_squares(&t->squares, sum, x);
}
#endif

/* Adds a block. */
static inline void norm_add(norm_accumulator *t, block_view x) {
    const vec sum = squares_of(x);
    if (__builtin_expect(squares_are_trusted(sum), 1))
        accumulate(&t->squares, sum);
    else
        norm_add_doubtful(t, sum, x);
}
