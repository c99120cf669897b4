/* What each dtype can hold, as powers of two: every limit that depends on it stands here, and why. Nothing is decided
 * here. */
#ifndef FG_RANGE_H
#define FG_RANGE_H
#include "fastgrad.h"

typedef struct fg_range {
    int least_normal; /* the exponent of the smallest normal number */
    /* Moves of a signal: the farthest whose power of two, and half its inverse, are normal; the farthest that f' of the
     * outputs is raised by; how far from 1 a level may be stored to suit the weights that it meets next. */
    int farthest_move, farthest_raise, farthest_aim;
    /* A value of this size leaves room for what is added to it, as a bias is to a product. */
    int room_for_addition;
    /* True values of up to this size, with products of up to this size, need no common exponent; one that is found
     * leaves blocks of products no larger than this, so that they can be added. */
    int room_for_product, room_for_sum;
    /* What verdict.c calls certain to stay in the range: gradients and weights of up to these sizes; an eps of at least
     * this, or that for an optimizer that centres; quotients, of an average by its root, of up to this size. Whatever
     * they make of each other, times an lr of 2^10 and over what a momentum forgets, leaves room. */
    int certain_gradient, certain_weight, certain_eps, certain_centered_eps, certain_quotient;
} fg_range;

static const fg_range fg_ranges[FG_DTYPES] = {
    [FG_F32] = {.least_normal = -126,
                .farthest_move = 96,
                .farthest_raise = 120,
                .farthest_aim = 64,
                .room_for_addition = 80,
                .room_for_product = 100,
                .room_for_sum = 100,
                .certain_gradient = 30,
                .certain_weight = 40,
                .certain_eps = -126,
                .certain_centered_eps = -50,
                .certain_quotient = 60},
    [FG_F64] = {.least_normal = -1022,
                .farthest_move = 960,
                .farthest_raise = 1000,
                .farthest_aim = 448,
                .room_for_addition = 400,
                .room_for_product = 450,
                .room_for_sum = 900,
                .certain_gradient = 200,
                .certain_weight = 300,
                .certain_eps = -1022,
                .certain_centered_eps = -400,
                .certain_quotient = 400},
};

/* The size of a number is the power of two that frexp gives. What is 0, or would be flushed, has one less than the
 * smallest normal number, what is not finite one more than the largest. */
static inline int fg_size_of_zero(fg_dtype dtype) { return fg_ranges[dtype].least_normal; }
static inline int fg_size_of_infinity(fg_dtype dtype) { return dtype == FG_F32 ? 129 : 1025; }

/* |z| below which an activation through zero is linear on either side, to the last bit. */
static inline double fg_near_zero(fg_dtype dtype) { return dtype == FG_F32 ? 0x1p-30 : 0x1p-60; }
#endif
