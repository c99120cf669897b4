#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#endif
#include "threading.h"
#include "fpenv.h"
#include "layout.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_THREADS = 256, SPINS_BEFORE_SLEEP = 1000, SPINS_BEFORE_YIELD = 2000 };

struct fg_team {
    _Alignas(FG_CACHE_LINE) _Atomic int arrived;
    _Alignas(FG_CACHE_LINE) _Atomic unsigned phase;
    _Alignas(FG_CACHE_LINE) int size;
};

typedef struct {
    pthread_mutex_t owner; /* held by the caller whose task runs */
    pthread_mutex_t sleep;
    pthread_cond_t wake;
    int workers;
    /* What the workers read once `ticket` has moved. */
    fg_task *task;
    void *context;
    fg_team team;
    _Alignas(FG_CACHE_LINE) _Atomic unsigned ticket;
    _Alignas(FG_CACHE_LINE) _Atomic int running;
} pool_state;

static pool_state pool = {
    .owner = PTHREAD_MUTEX_INITIALIZER, .sleep = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
static _Atomic int wanted_threads;

static inline void relax(void) {
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
    for (int spins = 0; atomic_load_explicit(&team->phase, memory_order_acquire) == phase; spins++)
        if (spins < SPINS_BEFORE_YIELD)
            relax();
        else
            sched_yield();
}

static unsigned wait_for_ticket(unsigned seen) {
    for (int spins = 0; spins < SPINS_BEFORE_SLEEP; spins++) {
        const unsigned ticket = atomic_load_explicit(&pool.ticket, memory_order_acquire);
        if (ticket != seen)
            return ticket;
        relax();
    }
    pthread_mutex_lock(&pool.sleep);
    while (atomic_load_explicit(&pool.ticket, memory_order_acquire) == seen)
        pthread_cond_wait(&pool.wake, &pool.sleep);
    pthread_mutex_unlock(&pool.sleep);
    return atomic_load_explicit(&pool.ticket, memory_order_acquire);
}

typedef struct {
    int number;
    unsigned seen;
} worker_start;

static void *work(void *argument) {
    worker_start start = *(worker_start *)argument;
    free(argument);
    fg_fpenv_enter();
    for (;;) {
        start.seen = wait_for_ticket(start.seen);
        if (start.number < pool.team.size)
            pool.task(pool.context, start.number, pool.team.size, &pool.team);
        atomic_fetch_sub_explicit(&pool.running, 1, memory_order_acq_rel);
    }
    return NULL;
}

static void start_workers(int threads) {
    while (pool.workers < threads - 1) {
        worker_start *start = malloc(sizeof *start);
        pthread_t id;
        if (!start)
            return;
        *start = (worker_start){pool.workers + 1, atomic_load(&pool.ticket)};
        if (pthread_create(&id, NULL, work, start)) {
            free(start);
            return;
        }
        pthread_detach(id);
        pool.workers++;
    }
}

/* A forked child has no workers; the mutexes are held across the fork so that it finds them sane. */
static void before_fork(void) {
    pthread_mutex_lock(&pool.owner);
    pthread_mutex_lock(&pool.sleep);
}
static void after_fork_in_parent(void) {
    pthread_mutex_unlock(&pool.sleep);
    pthread_mutex_unlock(&pool.owner);
}
static void after_fork_in_child(void) {
    pool.workers = 0;
    pthread_cond_init(&pool.wake, NULL);
    after_fork_in_parent();
}
static void register_fork_handlers(void) {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static void run_alone(fg_task *task, void *context) {
    fg_team alone = {.size = 1};
    task(context, 0, 1, &alone);
}

void fg_run(int threads, fg_task *task, void *context) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (threads <= 1 || pthread_mutex_trylock(&pool.owner)) {
        run_alone(task, context);
        return;
    }
    pthread_once(&once, register_fork_handlers);
    start_workers(threads < MAX_THREADS ? threads : MAX_THREADS);
    pool.team.size = threads < pool.workers + 1 ? threads : pool.workers + 1;
    pool.task = task;
    pool.context = context;
    atomic_store(&pool.running, pool.workers);
    pthread_mutex_lock(&pool.sleep);
    atomic_fetch_add_explicit(&pool.ticket, 1, memory_order_release);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.sleep);
    task(context, 0, pool.team.size, &pool.team);
    for (int spins = 0; atomic_load_explicit(&pool.running, memory_order_acquire) > 0; spins++)
        if (spins < SPINS_BEFORE_YIELD)
            relax();
        else
            sched_yield();
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

int fg_default_threads(void) {
    cpu_set_t set;
    const int allowed = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    const int quota = cgroup_quota();
    return allowed < quota ? allowed : quota;
}
#else
int fg_default_threads(void) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors < 1 ? 1 : processors > MAX_THREADS ? MAX_THREADS : (int)processors;
}
#endif

void fg_set_threads(int threads) { atomic_store(&wanted_threads, threads < MAX_THREADS ? threads : MAX_THREADS); }

int fg_threads(void) {
    const int threads = atomic_load(&wanted_threads);
    if (threads > 0)
        return threads;
    fg_set_threads(fg_default_threads());
    return atomic_load(&wanted_threads);
}
