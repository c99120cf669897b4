/* Sums over the batch, of any length. A chain of multiply-adds loses accuracy with every row it covers, so a long batch is
 * several, and the chains' sums are added in row order, each together with what the additions before it have lost (Kahan's
 * summation, with Knuth's two-sum). What is left is the error of a single chain and of two roundings,
 * however many chains there are. */
typedef struct {
    vec total; /* of the chains so far */
    vec lost; /* to rounding, in adding them: what is to be added to it */
} batch_sum;

/* Passes through a batch of several chains: none crosses a chain's end. */
#define CHAIN_PASS (PASS_DEPTH < FG_CHAIN_ROWS ? PASS_DEPTH : FG_CHAIN_ROWS)
_Static_assert(FG_CHAIN_ROWS % CHAIN_PASS == 0, "a chain is whole passes");

/* Questions about a pass: whether a batch is summed in one go, how long its passes are, whether this one takes up a chain
 * that an earlier pass began, and whether it ends one. */
static inline int is_single_chain(int64_t rows) { return rows <= FG_SINGLE_CHAIN_ROWS; }
static inline int64_t longest_pass(int64_t rows) { return is_single_chain(rows) ? PASS_DEPTH : CHAIN_PASS; }
static inline int continues_chain(pass now, int64_t rows) {
    return is_single_chain(rows) ? now.first > 0 : now.first % FG_CHAIN_ROWS != 0;
}
static inline int ends_chain(pass now) { return now.last || (now.first + now.depth) % FG_CHAIN_ROWS == 0; }

/* A total that has left the range has lost NaN, which would hide whether it is infinite. */
static inline vec known_loss(vec lost) { return v_select(v_eq(lost, lost), lost, v_zero()); }

/* Adds the sums of a chain to what the batch's earlier ones have come to, and puts the totals in their place. */
static __attribute__((noinline)) void add_chain(vec *chain, batch_sum *sums, int count, int is_first) {
    for (int i = 0; i < count; i++) {
        const vec before = is_first ? v_zero() : sums[i].total, lost = is_first ? v_zero() : sums[i].lost;
        const vec added = chain[i] + lost, total = before + added, gained = total - before;
        sums[i].lost = known_loss((before - (total - gained)) + (added - gained));
        chain[i] = sums[i].total = total;
    }
}
