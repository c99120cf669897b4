/* The pool under stress: many tasks, more threads than processors, callers at once, and a fork between tasks. Shared
 * numbers are plain on purpose, so that a missing happens-before is a race that the thread sanitizer reports. */
#include "check.h"
#include "threading.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
/* The thread sanitizer takes a forked child's new threads for those of its parent, and stops. */
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
enum { CHILD_THREADS = 1 };
#else
enum { CHILD_THREADS = 4 };
#endif
enum { MOST_THREADS = 16, ROUNDS = 3 };

typedef struct {
    int team; /* how many ran it */
    int entered[MOST_THREADS], left[MOST_THREADS];
    int seen[ROUNDS][MOST_THREADS];
} record;

/* Every thread writes its own place, and after each barrier reads all others'. */
static void exchange(void *context, int thread, int threads, fg_team *team) {
    record *r = context;
    r->entered[thread]++;
    if (thread == 0)
        r->team = threads;
    for (int round = 0; round < ROUNDS; round++) {
        int sum = 0;
        r->seen[round][thread] = thread + round;
        fg_barrier(team);
        for (int t = 0; t < threads; t++)
            sum += r->seen[round][t];
        CHECK(sum == threads * (threads - 1) / 2 + threads * round, "round %d: thread %d of %d sums to %d", round,
              thread, threads, sum);
    }
    r->left[thread]++;
}

static int run_exchange(int threads) {
    record r = {0};
    fg_run(threads, exchange, &r);
    CHECK(r.team >= 1 && r.team <= threads, "%d of %d threads ran", r.team, threads);
    for (int t = 0; t < MOST_THREADS; t++)
        CHECK(r.entered[t] == (t < r.team) && r.left[t] == r.entered[t], "thread %d ran %d times, ended %d", t,
              r.entered[t], r.left[t]);
    return r.team;
}

static void count(void *context, int thread, int threads, fg_team *team) {
    (void)threads, (void)team;
    ((int *)context)[16 * thread]++;
}

static void test_many_tasks(void) {
    enum { TASKS = 100000 };
    int counts[2 * 16] = {0};
    for (int i = 0; i < TASKS; i++)
        fg_run(2, count, counts);
    CHECK(counts[0] == TASKS && counts[16] == TASKS, "got %d and %d", counts[0], counts[16]);
}

/* A small team between large ones must neither wait for the others nor wake them. */
static void test_teams_of_all_sizes(void) {
    for (int i = 0; i < 2000; i++) {
        const int threads = (int)random_between(1, i % 10 ? 3 : MOST_THREADS);
        const int team = run_exchange(threads);
        CHECK(team == threads, "a free pool ran %d of %d threads", team, threads);
    }
}

static void nested(void *context, int thread, int threads, fg_team *team) {
    (void)threads;
    ((int *)context)[thread] = run_exchange(4);
    fg_barrier(team);
}

static void test_task_within_task(void) {
    int teams[MOST_THREADS] = {0};
    fg_run(3, nested, teams);
    for (int t = 0; t < 3; t++)
        CHECK(teams[t] == 1, "a task within a task ran on %d threads", teams[t]);
}

static atomic_int started, stop;

static void *run_until_stopped(void *nothing) {
    run_exchange(4);
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&stop))
        run_exchange(4);
    return nothing;
}

/* A new thread may take longer to start than `body` takes to end, so each has done a task before the body begins. */
static void with_callers_at_once(void (*body)(void)) {
    enum { CALLERS = 2 };
    pthread_t caller[CALLERS];
    atomic_store(&started, 0);
    atomic_store(&stop, 0);
    for (int i = 0; i < CALLERS; i++)
        CHECK(pthread_create(&caller[i], NULL, run_until_stopped, NULL) == 0, "no thread for caller %d", i);
    while (atomic_load(&started) < CALLERS)
        sched_yield();
    body();
    atomic_store(&stop, 1);
    for (int i = 0; i < CALLERS; i++)
        CHECK(pthread_join(caller[i], NULL) == 0, "caller %d did not end", i);
}

static void run_many(void) {
    for (int i = 0; i < 3000; i++)
        run_exchange(3);
}

/* The child's alarm ends it if it hangs, which the parent sees in its status. */
static void fork_and_use(void) {
    for (int i = 0; i < 20; i++) {
        int status;
        const pid_t child = fork();
        CHECK(child >= 0, "fork failed");
        if (child == 0) {
            alarm(30);
            for (int task = 0; task < 50; task++)
                CHECK(run_exchange(CHILD_THREADS) == CHILD_THREADS, "the child's pool did not start");
            _exit(EXIT_SUCCESS);
        }
        CHECK(run_exchange(4) >= 1, "the parent's pool is gone");
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS,
              "child %d: status %#x", i, (unsigned)status);
    }
}

static void test_number_of_threads(void) {
    CHECK(fg_default_threads() >= 1, "got %d", fg_default_threads());
    CHECK(fg_threads() == fg_default_threads(), "got %d before any choice", fg_threads());
    fg_set_threads(7);
    CHECK(fg_threads() == 7, "got %d, wants 7", fg_threads());
}

int main(void) {
    test_number_of_threads();
    test_many_tasks();
    test_teams_of_all_sizes();
    test_task_within_task();
    with_callers_at_once(run_many);
    fork_and_use();
    with_callers_at_once(fork_and_use);
    return EXIT_SUCCESS;
}
