/* Dead units: those whose derivative has been zero for every sample for some time. The forward kernels have summed |f'|
 * of each unit over each block of rows; from there it is a question of zero or not. A NaN is not zero. */
#include "liveness.h"
#include "plan.h"
#include <stdlib.h>

static void carve_liveness(void *owner, fg_arena *arena) {
    fg_liveness *o = owner;
    o->dead_for = fg_arena_take(arena, (size_t)o->net->layers, sizeof *o->dead_for);
    for (int l = 0; l < o->net->layers; l++)
        fg_arena_place(arena, (void **)o->dead_for, l, (size_t)o->net->layer[l].fan_out, sizeof **o->dead_for);
}

fg_status fg_liveness_create(fg_liveness **out, const fg_network *net, int32_t window) {
    fg_liveness *o = calloc(1, sizeof *o);
    if (!o)
        return FG_ERR_MEMORY;
    o->net = net;
    o->window = window;
    if (fg_arena_build(&o->arena, carve_liveness, o)) {
        free(o);
        return FG_ERR_MEMORY;
    }
    *out = o;
    return FG_OK;
}

void fg_liveness_destroy(fg_liveness *o) {
    if (!o)
        return;
    fg_arena_free(&o->arena);
    free(o);
}

void fg_liveness_count_step(fg_liveness *o) { o->seen += o->seen < o->window; }

enum { CHUNK = 64 };

static void find_alive(const fg_plan *plan, int l, int64_t first, int n, int32_t *alive) {
    const struct fg_alive_columns_args args = {.rows = fg_blocks(plan),
                                               .columns = n,
                                               .x = fg_column_derivatives(plan, l + 1, 0, first),
                                               .stride = plan->level[l + 1].stride,
                                               .alive = alive};
    plan->net->kernels->alive_columns(&args);
}

/* Counts this step, and the units that have been dead for all of `seen` steps. */
static int64_t count_dead(const int32_t *alive, int n, int32_t *dead_for, int32_t window, int32_t seen) {
    int dead = 0;
    for (int i = 0; i < n; i++) {
        dead_for[i] = alive[i] ? 0 : dead_for[i] + (dead_for[i] < window);
        dead += dead_for[i] == seen;
    }
    return dead;
}

double fg_dead_share(const fg_plan *plan, int l, fg_liveness *liveness) {
    const int64_t units = plan->net->layer[l].fan_out;
    int64_t dead = 0;
    for (int64_t first = 0; first < units; first += CHUNK) {
        const int n = units - first < CHUNK ? (int)(units - first) : CHUNK;
        int32_t alive[CHUNK], of_this_step[CHUNK] = {0};
        find_alive(plan, l, first, n, alive);
        dead += liveness ? count_dead(alive, n, liveness->dead_for[l] + first, liveness->window, liveness->seen)
                         : count_dead(alive, n, of_this_step, 1, 1);
    }
    return (double)dead / (double)units;
}
