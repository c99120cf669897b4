/* Looks through data for what the engine cannot use: numbers that are not finite, labels that name no class. */
#include "fastgrad.h"
#include "fpenv.h"
#include <math.h>

/* x - x is 0 for a finite x and NaN for any other, so one sum tells whether a chunk needs a closer look. */
#define DEFINE_FIRST_NONFINITE(type)                                                                                   \
    static int64_t first_nonfinite_##type(int64_t n, const type *x) {                                                  \
        enum { CHUNK = 1024 };                                                                                         \
        for (int64_t start = 0; start < n; start += CHUNK) {                                                           \
            const int64_t end = n - start < CHUNK ? n : start + CHUNK;                                                 \
            type lane[8] = {0};                                                                                        \
            int64_t i = start;                                                                                         \
            for (; i + 8 <= end; i += 8)                                                                               \
                for (int j = 0; j < 8; j++)                                                                            \
                    lane[j] += x[i + j] - x[i + j];                                                                    \
            for (; i < end; i++)                                                                                       \
                lane[0] += x[i] - x[i];                                                                                \
            for (int j = 1; j < 8; j++)                                                                                \
                lane[0] += lane[j];                                                                                    \
            if (lane[0] == 0)                                                                                          \
                continue;                                                                                              \
            for (i = start; x[i] - x[i] == 0;)                                                                         \
                i++;                                                                                                   \
            return i;                                                                                                  \
        }                                                                                                              \
        return -1;                                                                                                     \
    }
DEFINE_FIRST_NONFINITE(float)
DEFINE_FIRST_NONFINITE(double)

int64_t fg_first_nonfinite(fg_dtype dtype, int64_t n, const void *x) {
    const fg_fpenv caller = fg_fpenv_enter();
    const int64_t found = dtype == FG_F32 ? first_nonfinite_float(n, x) : first_nonfinite_double(n, x);
    fg_fpenv_leave(caller);
    return found;
}

#define DEFINE_COUNT_NONFINITE(type)                                                                                   \
    static int64_t count_nonfinite_##type(int64_t n, const type *x) {                                                  \
        int64_t count = 0;                                                                                             \
        for (int64_t i = 0; i < n; i++)                                                                                \
            count += !isfinite(x[i]);                                                                                  \
        return count;                                                                                                  \
    }
DEFINE_COUNT_NONFINITE(float)
DEFINE_COUNT_NONFINITE(double)

int64_t fg_count_nonfinite(fg_dtype dtype, int64_t n, const void *x) {
    return dtype == FG_F32 ? count_nonfinite_float(n, x) : count_nonfinite_double(n, x);
}

int64_t fg_first_bad_label(int64_t n, const int64_t *labels, int64_t classes) {
    for (int64_t i = 0; i < n; i++)
        if (labels[i] < 0 || labels[i] >= classes)
            return i;
    return -1;
}
