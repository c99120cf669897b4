/* A pool of detached workers, started by the first task that wants them and never more than it wants. Each sleeps on
 * its own, so that a small team wakes nobody else. A task is known to be over when its whole team has reported. */
#if defined(__linux__)
#define _GNU_SOURCE
#else
#define _POSIX_C_SOURCE 200809L
#endif
#include "threading.h"
#include "fpenv.h"
#include "layout.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A spin is a pause of some ten nanoseconds. A waiter yields early: the one it waits for may want its processor. */
enum { MAX_THREADS = 256, SPINS_BEFORE_SLEEP = 1000, SPINS_BEFORE_YIELD = 500 };

struct fg_team {
    _Alignas(FG_CACHE_LINE) _Atomic int arrived;
    _Alignas(FG_CACHE_LINE) _Atomic unsigned phase;
    _Alignas(FG_CACHE_LINE) int size;
};

typedef struct {
    _Alignas(FG_CACHE_LINE) _Atomic unsigned ticket; /* moves when there is a task for this worker */
    _Atomic int asleep;
    int number;
    pthread_mutex_t lock;
    pthread_cond_t wake;
} worker;

static struct {
    pthread_mutex_t owner; /* held by the caller whose task runs */
    int workers;
    fg_task *task;
    void *context;
    fg_team team;
    _Alignas(FG_CACHE_LINE) _Atomic int running;
    worker worker[MAX_THREADS];
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER};
static _Atomic int wanted_threads;

static void relax(int *spins) {
    if (*spins == SPINS_BEFORE_YIELD) {
        sched_yield();
        return;
    }
    ++*spins;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void fg_barrier(fg_team *team) {
    const unsigned phase = atomic_load_explicit(&team->phase, memory_order_relaxed);
    if (team->size == 1)
        return;
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) == team->size - 1) {
        atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&team->phase, phase + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&team->phase, memory_order_acquire) == phase;)
        relax(&spins);
}

static void wait_for_ticket(worker *me, unsigned seen) {
    for (int i = 0, spins = 0; i < SPINS_BEFORE_SLEEP; i++) {
        if (atomic_load_explicit(&me->ticket, memory_order_acquire) != seen)
            return;
        relax(&spins);
    }
    pthread_mutex_lock(&me->lock);
    atomic_store(&me->asleep, 1);
    while (atomic_load(&me->ticket) == seen)
        pthread_cond_wait(&me->wake, &me->lock);
    atomic_store(&me->asleep, 0);
    pthread_mutex_unlock(&me->lock);
}

/* Either this sees the worker asleep, or the worker sees the ticket before it sleeps. */
static void hand_ticket(worker *to) {
    atomic_fetch_add(&to->ticket, 1);
    if (!atomic_load(&to->asleep))
        return;
    pthread_mutex_lock(&to->lock);
    pthread_cond_signal(&to->wake);
    pthread_mutex_unlock(&to->lock);
}

static void *work(void *argument) {
    worker *me = argument;
    fg_fpenv_enter();
    for (unsigned seen = 0;; seen++) {
        wait_for_ticket(me, seen);
        pool.task(pool.context, me->number, pool.team.size, &pool.team);
        atomic_fetch_sub_explicit(&pool.running, 1, memory_order_acq_rel);
    }
    return NULL;
}

/* Workers take no signals: those are the business of the threads that the program made. */
static void start_workers(int threads) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.workers < threads - 1) {
        worker *const next = &pool.worker[pool.workers];
        pthread_t id;
        atomic_store(&next->ticket, 0);
        atomic_store(&next->asleep, 0);
        next->number = pool.workers + 1;
        next->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        next->wake = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
        if (pthread_create(&id, NULL, work, next))
            break;
        pthread_detach(id);
        pool.workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A forked child has no workers. The owner's lock is held across the fork, so no task is half done in the child. */
static void before_fork(void) { pthread_mutex_lock(&pool.owner); }
static void after_fork_in_parent(void) { pthread_mutex_unlock(&pool.owner); }
static void after_fork_in_child(void) {
    pool.workers = 0;
    pthread_mutex_unlock(&pool.owner);
}
static void register_fork_handlers(void) { pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); }

static void run_alone(fg_task *task, void *context) {
    fg_team alone = {.size = 1};
    task(context, 0, 1, &alone);
}

void fg_run(int threads, fg_task *task, void *context) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_fork_handlers);
    if (threads <= 1 || pthread_mutex_trylock(&pool.owner)) {
        run_alone(task, context);
        return;
    }
    start_workers(threads < MAX_THREADS ? threads : MAX_THREADS);
    pool.team.size = threads < pool.workers + 1 ? threads : pool.workers + 1;
    pool.task = task;
    pool.context = context;
    atomic_store(&pool.running, pool.team.size - 1);
    for (int w = 0; w < pool.team.size - 1; w++)
        hand_ticket(&pool.worker[w]);
    task(context, 0, pool.team.size, &pool.team);
    for (int spins = 0; atomic_load_explicit(&pool.running, memory_order_acquire) > 0;)
        relax(&spins);
    pthread_mutex_unlock(&pool.owner);
}

#if defined(__linux__)
/* Whole processors of the cgroup's quota, or a large number where there is none. */
static int cgroup_quota(void) {
    double quota = 0.0, period = 0.0;
    char limit[32];
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file) {
        if (fscanf(file, "%31s %lf", limit, &period) == 2)
            quota = strtod(limit, NULL); /* "max" reads as 0 */
        fclose(file);
    }
    if (quota <= 0.0 || period <= 0.0)
        return MAX_THREADS;
    return quota < period ? 1 : (int)(quota / period);
}

static int allowed_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? (int)sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);
}
#else
static int cgroup_quota(void) { return MAX_THREADS; }
static int allowed_processors(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }
#endif

static int clamp_threads(int threads) { return threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads; }

int fg_default_threads(void) {
    const int allowed = allowed_processors(), quota = cgroup_quota();
    return clamp_threads(allowed < quota ? allowed : quota);
}

void fg_set_threads(int threads) { atomic_store(&wanted_threads, clamp_threads(threads)); }

int fg_threads(void) {
    int unset = 0;
    if (atomic_load(&wanted_threads) == 0)
        atomic_compare_exchange_strong(&wanted_threads, &unset, fg_default_threads());
    return atomic_load(&wanted_threads);
}
