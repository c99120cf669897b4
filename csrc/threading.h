/* The only threads. A pool of workers waits, spinning briefly and then asleep, for a task that all of them run at
 * once. */
#ifndef FG_THREADING_H
#define FG_THREADING_H
#include "fastgrad.h"

typedef struct fg_team fg_team;
typedef void fg_task(void *context, int thread, int threads, fg_team *);

/* Runs `task` on up to `threads` threads, this one being number 0, and returns when all have ended. Where the pool is
 * busy with another caller, or threads cannot be had, fewer run: the task is told how many. */
void fg_run(int threads, fg_task *task, void *context);

/* Waits until every thread of the running task has come here. What each wrote before is visible to all after. */
void fg_barrier(fg_team *);
#endif
