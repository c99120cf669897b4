/* Kernels on plain arrays. */
#include "kernels.h"
#include "fpenv.h"
#include <time.h>

void fg_map_unary(fg_isa isa, fg_dtype dtype, fg_unary function, int64_t n, const void *x, void *y) {
    const struct fg_unary_args args = {.function = function, .n = n, .x = x, .y = y};
    const fg_fpenv caller = fg_fpenv_enter();
    fg_find_kernels(isa, dtype)->unary(&args);
    fg_fpenv_leave(caller);
}

void fg_map_activation(fg_isa isa, fg_dtype dtype, fg_activation function, int64_t n, const void *z, void *a,
                       void *slope) {
    const struct fg_activation_args args = {.function = function, .n = n, .z = z, .a = a, .slope = slope};
    const fg_fpenv caller = fg_fpenv_enter();
    fg_find_kernels(isa, dtype)->activation(&args);
    fg_fpenv_leave(caller);
}

static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double fg_fma_peak(fg_isa isa, fg_dtype dtype, double seconds) {
    double flops, best = 0.0;
    const struct fg_fma_chain_args args = {.count = 20000, .flops = &flops};
    const double start = now();
    while (now() - start < seconds) {
        const double before = now();
        double elapsed;
        fg_find_kernels(isa, dtype)->fma_chain(&args);
        elapsed = now() - before;
        if (elapsed > 0.0 && flops / elapsed > best)
            best = flops / elapsed;
    }
    return best;
}
