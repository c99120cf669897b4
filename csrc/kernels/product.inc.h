/* The microkernel, and how a kernel covers its work with it. All three products of a layer (forward, backward-data,
 * backward-weights) are this one with other strides.
 *
 *     unit    what one call of a kernel computes: some rows of one panel
 *     tile    the part of a unit that one call of the microkernel computes: `height` rows by `vecs` vectors, as many as
 *             fit the registers
 *     pass    a part of the depth (the summed dimension, GEMM's K), for all tiles of the unit
 *
 * The microkernel accumulates a tile in registers over the depth of a pass:
 *
 *     tile[r][v] = sum over k, in order, of a[r * row_step + k * depth_step] * b[k * b_stride + v * LANES]
 *
 * begun from start[r * start_step + v * LANES] where there is a start (the bias, or the tile as the pass before left it),
 * and from zero elsewhere. Each element is one sequential chain of multiply-adds, so its bits depend neither on the
 * tile's shape nor on which thread computes it; a sum over the batch is made of several, see batch_sums.inc.h. Heights
 * and vecs are compile-time constants at every call: the loops over them are unrolled, and `sum` and `row` are registers.
 * Meanwhile it prefetches what the driver has said will be wanted next. */
ALWAYS_INLINE void product(const int height, const int vecs, vec *tile, const real *start, int64_t start_step,
                           int64_t depth, const real *a, int64_t row_step, int64_t depth_step, const real *b,
                           int64_t b_stride, fg_prefetch *prefetch) {
    const char *next = fg_prefetch_take(prefetch, depth, b);
    vec sum[ACCUMULATORS];
    UNROLL for (int i = 0; i < height * vecs; i++) sum[i] =
        start ? v_load(start + i / vecs * start_step + i % vecs * LANES) : v_zero();
    for (int64_t k = 0; k < depth; k++) {
        vec row[PANEL_VECS];
        UNROLL for (int v = 0; v < vecs; v++) row[v] = v_load(b + v * LANES);
        UNROLL for (int r = 0; r < height; r++) {
            const vec factor = v_set1(a[r * row_step]);
            UNROLL for (int v = 0; v < vecs; v++) sum[r * vecs + v] = v_fma(factor, row[v], sum[r * vecs + v]);
        }
        __builtin_prefetch(next, 0, 2);
        __builtin_prefetch(next + FG_CACHE_LINE, 0, 2);
        next += FG_PREFETCH_PER_ROUND;
        a += depth_step;
        b += b_stride;
    }
    UNROLL for (int i = 0; i < height * vecs; i++) tile[i] = sum[i];
}

/* The tallest tile whose sums fit the registers set aside for them. More than 12 rows would need more registers for
 * addresses than there are. */
#define TALLEST(vecs) (ACCUMULATORS / (vecs) < 12 ? ACCUMULATORS / (vecs) : 12)

/* Covers `rows` rows of a unit with tiles, by calls TILE(height, vecs, row, ...): the tallest as often as they fit, then
 * at most one each of 8, 4, 2 and 1 rows. Where such a height is none below the tallest, the call is compiled, as height
 * 1, but never made. */
#define FOR_EACH_TILE(vecs, rows, TILE, ...)                                                                           \
    do {                                                                                                               \
        int64_t row = 0;                                                                                               \
        for (; row + TALLEST(vecs) <= (rows); row += TALLEST(vecs))                                                    \
            TILE(TALLEST(vecs), vecs, row, __VA_ARGS__);                                                               \
        TAIL_TILE(8, vecs, rows, TILE, __VA_ARGS__)                                                                    \
        TAIL_TILE(4, vecs, rows, TILE, __VA_ARGS__)                                                                    \
        TAIL_TILE(2, vecs, rows, TILE, __VA_ARGS__)                                                                    \
        TAIL_TILE(1, vecs, rows, TILE, __VA_ARGS__)                                                                    \
    } while (0)
#define TAIL_TILE(height, vecs, rows, TILE, ...)                                                                       \
    if ((height) < TALLEST(vecs) && row + (height) <= (rows)) {                                                        \
        TILE((height) < TALLEST(vecs) ? (height) : 1, vecs, row, __VA_ARGS__);                                         \
        row += (height);                                                                                               \
    }

/* A part of a product's depth. */
typedef struct {
    int64_t first, depth;
    int last; /* the tile is whole after it */
} pass;

/* Where a tile's sums lie between the microkernel and its epilogue. `unit` has room for all tiles: with several passes
 * each keeps its place from one to the next; with a single one all take turns in the first, which stays in the cache. */
ALWAYS_INLINE vec *tile_of(vec *unit, int64_t offset, pass now) {
    return now.first || !now.last ? unit + offset : unit;
}

/* Covers a unit with tiles, in passes of `longest` where it is deeper. With PASS_DEPTH the piece of the panel that a pass
 * reads stays in the first-level cache while all tiles meet it. An element's chain of multiply-adds is the same: each
 * pass takes it up where the one before left it. */
#define FOR_EACH_PASS(vecs, rows, whole, longest, TILE, ...)                                                           \
    do {                                                                                                               \
        pass now = {0, whole, 1};                                                                                      \
        if ((whole) <= (longest))                                                                                      \
            FOR_EACH_TILE(vecs, rows, TILE, now, __VA_ARGS__);                                                         \
        else                                                                                                           \
            for (; now.first < (whole); now.first += (longest)) {                                                      \
                now.last = (whole) - now.first <= (longest);                                                           \
                now.depth = now.last ? (whole) - now.first : (longest);                                                \
                FOR_EACH_TILE(vecs, rows, TILE, now, __VA_ARGS__);                                                     \
            }                                                                                                          \
    } while (0)

/* A function for each width of a panel: defined by DEFINE(vecs) for each as PANEL(FUNCTION, vecs), and called for the width
 * at hand. */
#define PANEL(FUNCTION, vecs) SYMBOL(FUNCTION##_panel_##vecs)
#if PANEL_VECS == 4
#define FOR_PANEL_WIDTH(vecs, FUNCTION, ...)                                                                           \
    switch (vecs) {                                                                                                    \
    case 1: PANEL(FUNCTION, 1)(__VA_ARGS__); break;                                                                    \
    case 2: PANEL(FUNCTION, 2)(__VA_ARGS__); break;                                                                    \
    case 3: PANEL(FUNCTION, 3)(__VA_ARGS__); break;                                                                    \
    default: PANEL(FUNCTION, 4)(__VA_ARGS__);                                                                          \
    }
#define DEFINE_PANEL_WIDTHS(DEFINE) DEFINE(1) DEFINE(2) DEFINE(3) DEFINE(4)
#else
#define FOR_PANEL_WIDTH(vecs, FUNCTION, ...)                                                                           \
    switch (vecs) {                                                                                                    \
    case 1: PANEL(FUNCTION, 1)(__VA_ARGS__); break;                                                                    \
    default: PANEL(FUNCTION, 2)(__VA_ARGS__);                                                                          \
    }
#define DEFINE_PANEL_WIDTHS(DEFINE) DEFINE(1) DEFINE(2)
#endif
