/* Cuts work into shares and hands them out. */
#include "sharing.h"

enum { PIECES_OF_A_PANEL = 4, BLOCKS_OF_A_PIECE = 4, PIECES_A_THREAD = 8 };

/* Part `part` of `parts` of n things, as even as can be. */
static int64_t split(int64_t n, int64_t part, int64_t parts) { return n * part / parts; }

/* One for each level of forward, of backward-data, and one for each stretch. */
int fg_counters_for(int layers) { return 2 * (layers + 1) + FG_STRETCHES; }

void fg_reset_counters(fg_plan *plan) {
    for (int c = 0; c < plan->counters; c++)
        atomic_store_explicit(&plan->counter[c].next, 0, memory_order_relaxed);
}

static int draw(fg_counter *counter) { return atomic_fetch_add_explicit(&counter->next, 1, memory_order_relaxed); }

fg_share fg_share_rows(const fg_plan *plan, fg_member me) {
    fg_share share = {.panels = 1, .first_block = split(fg_blocks(plan), me.thread, me.threads)};
    share.blocks = split(fg_blocks(plan), me.thread + 1, me.threads) - share.first_block;
    return share;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Whole panels first, then the last ones in pieces of some rows, which even out what the panels leave uneven. Each
 * piece costs backward-data another transposition of its panel: it is to have rows enough to pay for that. */
static int draw_panels(fg_plan *plan, fg_counter *counter, int64_t panels, fg_member me, fg_share *share) {
    const int64_t blocks = fg_blocks(plan), whole = larger(panels - me.threads, 0), cut = panels - whole;
    const int64_t least = fg_ceil_div(me.threads, cut), most = fg_ceil_div(PIECES_OF_A_PANEL * me.threads, cut);
    const int64_t pieces = smaller(larger(smaller(most, blocks / BLOCKS_OF_A_PIECE), least), blocks);
    const int64_t drawn = draw(counter), piece = drawn - whole;
    if (drawn >= whole + cut * pieces)
        return 0;
    *share = (fg_share){.first_panel = drawn, .panels = 1, .blocks = blocks};
    if (piece >= 0) {
        share->first_panel = whole + piece / pieces;
        share->first_block = split(blocks, piece % pieces, pieces);
        share->blocks = split(blocks, piece % pieces + 1, pieces) - share->first_block;
    }
    return 1;
}

/* Where the rows are sliced, the layers are small: what a thread keeps in its own cache is worth more than evenness. */
static int draws(const fg_plan *plan, fg_member me) { return plan->schedule == FG_LAYER_SYNCHRONOUS && me.threads > 1; }

static int draw_share(fg_plan *plan, int counter, int64_t panels, fg_member me, int *taken, fg_share *share) {
    if (draws(plan, me))
        return draw_panels(plan, &plan->counter[counter], panels, me, share);
    *share = fg_share_rows(plan, me);
    share->panels = panels;
    return !(*taken)++;
}

int fg_draw_forward(fg_plan *plan, int level, fg_member me, int *taken, fg_share *share) {
    return draw_share(plan, level, plan->level[level].forward_panels, me, taken, share);
}

int fg_draw_backward_data(fg_plan *plan, int level, fg_member me, int *taken, fg_share *share) {
    return draw_share(plan, plan->net->layers + 1 + level, plan->level[level].backward_panels, me, taken, share);
}

/* The first unit of part `part` of the work. */
static int64_t first_unit_of(const fg_plan *plan, int part, int parts) {
    const fg_weight_unit *last = &plan->unit[plan->units - 1];
    const double wanted = (last->cost_before + (double)(last->rows * last->vecs)) * part / parts;
    int64_t low = 0, high = plan->units;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (plan->unit[middle].cost_before < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int fg_draw_units(fg_plan *plan, fg_stretch stretch, fg_member me, int *taken, int64_t *first, int64_t *end) {
    const int parts = draws(plan, me) ? PIECES_A_THREAD * me.threads : me.threads;
    const int part = draws(plan, me) ? draw(&plan->counter[plan->counters - FG_STRETCHES + stretch]) : me.thread;
    if (part >= parts || (!draws(plan, me) && (*taken)++))
        return 0;
    *first = first_unit_of(plan, part, parts);
    *end = first_unit_of(plan, part + 1, parts);
    return 1;
}
