/* What the bench programs share: square ReLU networks with made weights and data, and how arguments are read. Where
 * memory, a step or an argument fails it says so and ends the program. It times nothing. */
#ifndef SQUARE_H
#define SQUARE_H
#include "fastgrad.h"
#include <stddef.h>

#if defined(__clang__)
#define COMPILER __VERSION__
#else
#define COMPILER "GCC " __VERSION__
#endif

void *new_array(size_t count, size_t size); /* zeroed */
void require(fg_status);

/* `count` numbers between -limit and limit, the next of one sequence. */
void *uniform(fg_dtype, int64_t count, double limit);
/* He's weights, no biases yet. */
fg_network *new_network(fg_isa, fg_dtype, int layers, int64_t width);
/* On the mean squared error; gradients are clipped to a thousandth. */
fg_training *new_training(const fg_network *, fg_optimizer_kind, double lr, fg_clip_kind);
/* Inputs and targets as wide as the network, to be freed by free_batch. */
fg_batch new_batch(fg_dtype, int64_t rows, int64_t width);
void free_batch(fg_batch *);

int64_t number(const char *text, const char *name, int64_t least, int64_t most);
fg_isa isa_named(const char *text);
#endif
