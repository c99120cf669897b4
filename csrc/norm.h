/* Norms of numbers whose squares may leave the range of double: the squares of small, of middling and of large numbers
 * are added apart, the first and the last scaled to where they fit, as in J. L. Blue's algorithm (A portable Fortran
 * program to find the Euclidean norm of a vector, 1978). A norm underflows or overflows only where it cannot be
 * represented itself. */
#ifndef FG_NORM_H
#define FG_NORM_H
#include <math.h>

/* Numbers below FG_SMALL are squared times FG_GROW, numbers above FG_LARGE times FG_SHRINK, all others as they are. */
#define FG_SMALL 0x1p-450
#define FG_LARGE 0x1p450
#define FG_GROW 0x1p600
#define FG_SHRINK 0x1p-600

typedef struct fg_squares {
    double small, middle, large;
} fg_squares;

static inline void fg_add_square(fg_squares *s, double x) {
    const double size = fabs(x);
    if (size < FG_SMALL)
        s->small += (size * FG_GROW) * (size * FG_GROW);
    else if (size > FG_LARGE)
        s->large += (size * FG_SHRINK) * (size * FG_SHRINK);
    else
        s->middle += size * size; /* or NaN */
}

static inline double fg_norm(const fg_squares *s) {
    if (s->large > 0.0)
        return sqrt(s->large + s->middle * FG_SHRINK * FG_SHRINK) * FG_GROW;
    if (s->small > 0.0 && s->middle < 0x1p-300)
        return sqrt(s->small + s->middle * FG_GROW * FG_GROW) * FG_SHRINK;
    return sqrt(s->middle);
}
#endif
