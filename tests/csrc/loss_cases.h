/* The loss kernel against its oracle: labels and distributions, with and without an order, blocks that start anywhere. */
#ifndef LOSS_CASES_H
#define LOSS_CASES_H
#include "layout.h"
#include "matrix.h"
#include "oracle.h"

typedef struct {
    matrix output, derivative, delta, targets;
    int64_t *order, *labels;
    fg_batch batch;
} loss_case;

/* A third of the rows meet their targets exactly. */
static inline loss_case new_loss_case(const fg_kernels *k, fg_loss kind, int64_t first_row, int64_t rows) {
    const int64_t columns = random_between(1, 4 * k->lanes + 3), padded = fg_vecs(columns, k->lanes) * k->lanes;
    const int64_t stride = some_stride(padded), samples = first_row + rows + 7;
    const int is_probability = kind == FG_LOSS_cross_entropy || kind == FG_LOSS_binary_cross_entropy;
    loss_case c = {.output = random_matrix(k->dtype, rows, columns, padded, stride, -6, 6),
                   .derivative = random_matrix(k->dtype, rows, columns, padded, stride, 0, 1),
                   .delta = new_matrix(k->dtype, rows, columns, padded, stride),
                   .targets = random_matrix(k->dtype, samples, columns, columns, columns, is_probability ? 0 : -2, 1),
                   .order = fenced((size_t)samples * sizeof(int64_t)),
                   .labels = fenced((size_t)samples * sizeof(int64_t)),
                   .batch = {.first = random_between(0, 7), .rows = first_row + rows}};
    for (int64_t i = 0; i < samples; i++) {
        c.order[i] = random_between(0, samples - 1);
        c.labels[i] = random_between(0, columns - 1);
    }
    c.batch.order = random_between(0, 1) ? c.order : NULL;
    if (kind == FG_LOSS_cross_entropy && random_between(0, 1))
        c.batch.labels = c.labels;
    else
        c.batch.targets = c.targets.data;
    for (int64_t r = 0; r < rows && !is_probability; r += 3)
        for (int64_t j = 0; j < columns; j++)
            real_put(k->dtype, c.output.data, r * stride + j, at(&c.targets, fg_sample(&c.batch, first_row + r), j));
    memcpy(c.delta.data, c.derivative.data, (size_t)(rows * stride) * real_size(k->dtype));
    return c;
}

static inline void check_loss(const fg_kernels *k, const struct fg_loss_args *args, const loss_case *c) {
    enum { MOST_COLUMNS = 128 };
    const double tolerance = 48 * real_epsilon(k->dtype);
    long double value = 0, size = 0, squares = 0, slack = 0;
    for (int64_t r = 0; r < args->rows; r++) {
        const int64_t sample = fg_sample(&c->batch, args->first_row + r);
        double a[MOST_COLUMNS], y[MOST_COLUMNS];
        long double gradient[MOST_COLUMNS], bound[MOST_COLUMNS];
        for (int64_t j = 0; j < args->columns; j++) {
            a[j] = at(&c->output, r, j);
            y[j] = c->batch.labels ? j == c->batch.labels[sample] : at(&c->targets, sample, j);
            size += 1 + fabs(a[j]) + fabs(y[j]);
        }
        value += oracle_loss(args->kind, args->columns, a, y, gradient, bound);
        for (int64_t j = 0; j < args->columns; j++) {
            const double f = args->output.derivative_stored ? at(&c->derivative, r, j) : a[j] > 0.0 ? 1.0 : 0.25;
            check_close("delta", at(&c->delta, r, j), gradient[j] * f * args->scale,
                        tolerance * bound[j] * f * args->scale);
            squares += gradient[j] * gradient[j] * args->scale * args->scale;
            slack += 3 * tolerance * bound[j] * bound[j] * args->scale * args->scale;
        }
    }
    check_margins("delta", &c->delta);
    check_close("loss", *args->value, value * args->scale, tolerance * (size + value) * args->scale);
    check_close("sum of squares", args->sums[FG_SUM_DELTA_SQUARED], sum_of_squares(&c->delta),
                sum_tolerance(k->dtype, sum_of_squares(&c->delta)));
    check_close("gradients of outputs squared", args->sums[FG_SUM_OUTPUT_GRADIENT_SQUARED], squares, slack);
}

static inline void test_loss(const fg_kernels *k) {
    for (int kind = 0; kind < FG_LOSSES; kind++)
        for (int repeat = 0; repeat < 60; repeat++) {
            const int64_t first_row = random_between(0, 5), rows = random_between(1, FG_ROW_BLOCK);
            const loss_case c = new_loss_case(k, (fg_loss)kind, first_row, rows);
            double *const value = fenced(sizeof *value), *const sums = fenced(FG_BACKWARD_SUMS * sizeof *sums);
            const struct fg_derivative output = {.output = c.output.data,
                                                 .derivative = c.delta.data,
                                                 .delta = c.delta.data,
                                                 .stride = c.delta.stride,
                                                 .derivative_stored = (int)random_between(0, 1),
                                                 .derivative_below = 0.25,
                                                 .scale = 1.0};
            const struct fg_loss_args args = {.kind = (fg_loss)kind,
                                              .rows = rows,
                                              .columns = c.output.columns,
                                              .first_row = first_row,
                                              .batch = &c.batch,
                                              .scale = random_uniform(0.01, 2),
                                              .output = output,
                                              .scratch = fenced((size_t)c.output.padded * real_size(k->dtype)),
                                              .sums = sums,
                                              .value = value};
            CASE("%s %s loss %s, %d rows of %d", fg_isa_name(k->isa), real_name(k->dtype), fg_loss_name(args.kind),
                 (int)rows, (int)args.columns);
            k->loss(&args);
            check_loss(k, &args, &c);
            take_fences_down();
        }
}
#endif
