/* How the work of a pass is shared among threads. Whatever a thread gets, every unit is computed by the same kernel
 * with the same arguments: shares never change a bit of the result. */
#ifndef FG_SHARING_H
#define FG_SHARING_H
#include "plan.h"
#include "threading.h"
#include <stdatomic.h>

/* One of a team. */
typedef struct fg_member {
    fg_team *team;
    int thread, threads;
} fg_member;

/* The number of the next share of a layer or of another stretch of work. Each stretch has a counter of its own, which
 * all threads draw from until it is exhausted, so that nobody waits for a thread whose core is slow or busy. */
struct fg_counter {
    _Alignas(FG_CACHE_LINE) atomic_int next;
};

/* Stretches of work over the weights of all layers. */
typedef enum { FG_PRODUCE, FG_TRY, FG_APPLY_ALL, FG_STRETCHES } fg_stretch;

int fg_counters_for(int layers);
void fg_reset_counters(fg_plan *);

/* Rows alone, as even as can be. */
fg_share fg_share_rows(const fg_plan *, fg_member);

/* Draws a share of the panels of forward to a level, or of backward-data to it; 0 when none is left. A plan whose
 * schedule is batch-sliced gives each thread one share, its own: `taken`, 0 at first, says whether it has had it. */
int fg_draw_forward(fg_plan *, int level, fg_member, int *taken, fg_share *);
int fg_draw_backward_data(fg_plan *, int level, fg_member, int *taken, fg_share *);

/* Draws units [*first, *end) of a stretch. */
int fg_draw_units(fg_plan *, fg_stretch, fg_member, int *taken, int64_t *first, int64_t *end);
#endif
