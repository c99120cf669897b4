/* Time, and what the machine can do in it. */
#define _POSIX_C_SOURCE 200809L
#include "kernels.h"
#include "fpenv.h"
#include <time.h>

double fg_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double fg_fma_peak(fg_isa isa, fg_dtype dtype, double seconds) {
    double flops, best = 0.0;
    const struct fg_fma_chain_args args = {.count = 20000, .flops = &flops};
    const fg_fpenv caller = fg_fpenv_enter();
    const double start = fg_seconds();
    while (fg_seconds() - start < seconds) {
        const double before = fg_seconds();
        double elapsed;
        fg_find_kernels(isa, dtype)->fma_chain(&args);
        elapsed = fg_seconds() - before;
        if (elapsed > 0.0 && flops / elapsed > best)
            best = flops / elapsed;
    }
    fg_fpenv_leave(caller);
    return best;
}
