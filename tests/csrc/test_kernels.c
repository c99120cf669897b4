/* Every kernel of kernels.def through every table this machine can run, on ragged sizes, against plain double loops.
 * Arrays are fenced (check.h), so one byte read or written past an array ends the test. What lies in a row outside the
 * part that a kernel is given is NaN: it must not reach a result, and must still be there afterwards. */
#include "check.h"
#include "apply_cases.h"
#include "column_norm_cases.h"
#include "loss_cases.h"
#include "packing_cases.h"
#include "row_cases.h"
#include "update_cases.h"
#include "fpenv.h"
#include "range.h"

static void check_product(const matrix *input, const matrix *weights, const matrix *bias, const matrix *product) {
    const double epsilon = real_epsilon(input->dtype);
    for (int64_t r = 0; r < product->rows; r++)
        for (int64_t c = 0; c < product->columns; c++) {
            long double sum = bias ? at(bias, 0, c) : 0.0, sizes = fabsl(sum);
            for (int64_t j = 0; j < weights->rows; j++) {
                sum += (long double)at(input, r, j) * at(weights, j, c);
                sizes += fabsl((long double)at(input, r, j) * at(weights, j, c));
            }
            check_close("product", at(product, r, c), sum, (long double)(weights->rows + 1) * epsilon * sizes);
        }
}

/* What counts as saturated: of piecewise linear activations nothing. */
static double saturation_of(fg_activation function) { return function > FG_ACTIVATION_leaky_relu ? 0.2 : 0.0; }

/* The activation of each row of z by the kernel that maps plain arrays, whose values test_activation checks. */
static void check_activated(const fg_kernels *k, fg_activation function, const matrix *z, const matrix *output,
                            const matrix *derivative, const double *sums, int measured, double *of_column) {
    long double sum = 0, sizes = 0, derivatives = 0;
    int64_t saturated = 0;
    void *const a = fenced((size_t)z->columns * real_size(k->dtype)), *const s = fenced((size_t)z->columns *
                                                                                        real_size(k->dtype));
    for (int64_t r = 0; r < z->rows; r++) {
        const struct fg_activation_args map = {.function = function,
                                               .n = z->columns,
                                               .z = (char *)z->data + (size_t)(r * z->stride) * real_size(k->dtype),
                                               .a = a,
                                               .derivative = s};
        k->activation(&map);
        for (int64_t c = 0; c < z->columns; c++) {
            CHECK(at(output, r, c) == real_at(k->dtype, a, c), "%s differs from its map", fg_activation_name(function));
            CHECK(!derivative->data || at(derivative, r, c) == real_at(k->dtype, s, c),
                  "derivative of %s differs from its map", fg_activation_name(function));
            sum += at(output, r, c);
            sizes += fabs(at(output, r, c));
            derivatives += fabs(real_at(k->dtype, s, c));
            of_column[c] += fabs(real_at(k->dtype, s, c));
            saturated += derivative->data && fabs(real_at(k->dtype, s, c)) < saturation_of(function);
        }
    }
    check_close("sum of squares", sums[FG_SUM_OUTPUT_SQUARED], sum_of_squares(output),
                sum_tolerance(k->dtype, sum_of_squares(output)));
    if (measured || derivative->data)
        check_close("sum of derivatives", sums[FG_SUM_ABS_DERIVATIVE], derivatives,
                    sum_tolerance(k->dtype, derivatives));
    else
        CHECK(sums[FG_SUM_ABS_DERIVATIVE] == -1.0, "a sum that nobody wants is touched");
    if (!measured) {
        CHECK(sums[FG_SUM_OUTPUT] == -1.0 && sums[FG_SUM_SATURATED] == -1.0, "sums that nobody wants are touched");
        return;
    }
    check_close("sum", sums[FG_SUM_OUTPUT], sum, sum_tolerance(k->dtype, sizes));
    check_close("preactivations squared", sums[FG_SUM_PREACTIVATION_SQUARED], sum_of_squares(z),
                sum_tolerance(k->dtype, sum_of_squares(z)));
    CHECK(sums[FG_SUM_SATURATED] == (double)saturated, "%g saturated, wants %d", sums[FG_SUM_SATURATED],
          (int)saturated);
}

static void check_column_derivatives(const matrix *got, const double *want, int measured) {
    if (!measured) {
        CHECK(untouched(got->data, (size_t)got->stride * real_size(got->dtype)), "column derivatives are touched");
        return;
    }
    check_margins("column derivatives", got);
    for (int64_t c = 0; c < got->columns; c++) {
        check_close("column derivative", at(got, 0, c), want[c], sum_tolerance(got->dtype, want[c]));
        CHECK((at(got, 0, c) == 0.0) == (want[c] == 0.0), "column %d is taken to be %s", (int)c,
              want[c] == 0.0 ? "alive" : "dead");
    }
}

/* Prefetching changes nothing, whether there is much to fetch, little, or nothing. */
static fg_prefetch some_prefetch(const matrix *m) {
    fg_prefetch prefetch = {0};
    for (int64_t i = random_between(0, FG_PREFETCH_RANGES); i > 0; i--)
        fg_prefetch_want(&prefetch, m->data, random_between(0, 1000));
    return prefetch;
}

/* Mostly short; now and then more than one pass through the first-level cache. */
static int64_t some_depth(void) { return random_between(0, 7) ? random_between(1, 40) : random_between(100, 400); }

static void forward_case(const fg_kernels *k, int64_t rows, int vecs) {
    const int64_t depth = some_depth(), padded = (int64_t)vecs * k->lanes;
    const int tail = (int)random_between(1, k->lanes);
    const int64_t columns = padded - k->lanes + tail, stride = some_stride(padded);
    const double magnitude = some_magnitude(k->dtype);
    const matrix input = random_matrix(k->dtype, rows, depth, depth, some_stride(depth), -magnitude, magnitude);
    const matrix weights = random_matrix(k->dtype, depth, columns, padded, padded, -1, 1);
    const matrix bias = random_matrix(k->dtype, 1, columns, padded, padded, -magnitude, magnitude);
    const matrix z = new_matrix(k->dtype, rows, columns, padded, stride);
    const matrix output = new_matrix(k->dtype, rows, columns, padded, stride);
    matrix derivative = new_matrix(k->dtype, rows, columns, padded, stride);
    const int has_bias = (int)random_between(0, 1);
    fg_prefetch prefetch = some_prefetch(&input);
    double *const sums = fenced(FG_FORWARD_SUMS * sizeof *sums);
    const matrix column_derivatives = {k->dtype, 1,      columns,
                                       padded,   padded, fenced((size_t)padded * real_size(k->dtype))};
    double of_column[64] = {0};
    struct fg_linear_forward_args args = {.rows = rows,
                                          .depth = depth,
                                          .vecs = vecs,
                                          .tail = tail,
                                          .activation = FG_ACTIVATION_identity,
                                          .input = input.data,
                                          .input_stride = input.stride,
                                          .weights = weights.data,
                                          .bias = has_bias ? bias.data : NULL,
                                          .output = z.data,
                                          .output_stride = stride,
                                          .sums = sums,
                                          .prefetch = &prefetch};
    CASE("%s %s forward, %d rows x %d, depth %d", fg_isa_name(k->isa), real_name(k->dtype), (int)rows, (int)columns,
         (int)depth);
    k->linear_forward(&args);
    check_product(&input, &weights, has_bias ? &bias : NULL, &z);
    check_margins("z", &z);
    args.activation = (fg_activation)random_between(0, FG_ACTIVATIONS - 1);
    args.output = output.data;
    args.derivative = derivative.data = random_between(0, 1) ? derivative.data : NULL;
    args.measured = (int)random_between(0, 1);
    args.column_derivatives = column_derivatives.data;
    sums[FG_SUM_OUTPUT] = sums[FG_SUM_ABS_DERIVATIVE] = sums[FG_SUM_SATURATED] = -1.0;
    args.saturation = saturation_of(args.activation);
    k->linear_forward(&args);
    check_margins("output", &output);
    if (derivative.data)
        check_margins("derivative", &derivative);
    check_activated(k, args.activation, &z, &output, &derivative, sums, args.measured, of_column);
    check_column_derivatives(&column_derivatives, of_column, args.measured);
    take_fences_down();
}

static fg_form form_of(fg_activation function) {
    static const fg_form forms[] = {
#define FG_ACTIVATION(name, form, derivative_below, steepest) FG_##form,
#include "activations.def"
#undef FG_ACTIVATION
    };
    return forms[function];
}

static matrix scaled(const matrix *m, int exponent) {
    const matrix copy = new_matrix(m->dtype, m->rows, m->columns, m->padded, m->stride);
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t c = 0; c < m->columns; c++)
            real_put(m->dtype, copy.data, r * m->stride + c, ldexp(at(m, r, c), exponent));
    return copy;
}

static void check_scaled(const char *name, const matrix *got, const matrix *want, int exponent) {
    check_margins(name, got);
    for (int64_t r = 0; r < want->rows; r++)
        for (int64_t c = 0; c < want->columns; c++)
            CHECK(ldexp(at(got, r, c), exponent) == at(want, r, c), "%s[%d][%d]: got %g, wants %g", name, (int)r,
                  (int)c, ldexp(at(got, r, c), exponent), at(want, r, c));
}

/* Signals with exponents, of sizes at which a plain pass does as well: the bits are the same. */
static void scaled_forward_case(const fg_kernels *k, int64_t rows, int vecs) {
    static const int powers[] = {-64, -32, 0, 32};
    const int64_t depth = some_depth(), padded = (int64_t)vecs * k->lanes, tail = random_between(1, k->lanes);
    const int64_t columns = padded - k->lanes + tail, stride = some_stride(padded);
    const fg_activation function = (fg_activation)random_between(0, FG_ACTIVATIONS - 1);
    const fg_form form = form_of(function);
    const int near_zero = form == FG_THROUGH_ZERO && random_between(0, 1);
    const double size = near_zero ? 0x1p-15 * fg_near_zero(k->dtype) : 1.0;
    const int input_power = powers[random_between(0, 3)], output_power = powers[random_between(0, 3)];
    const int output_exponent = form == FG_HOMOGENEOUS                         ? output_power
                                : form == FG_THROUGH_ZERO && output_power <= 0 ? output_power
                                                                               : 0;
    const matrix input = random_matrix(k->dtype, rows, depth, depth, some_stride(depth), -size, size);
    const matrix weights = random_matrix(k->dtype, depth, columns, padded, padded, -1, 1);
    const matrix bias = random_matrix(k->dtype, 1, columns, padded, padded, -size, size);
    const matrix plain = new_matrix(k->dtype, rows, columns, padded, stride),
                 stored_input = scaled(&input, -input_power);
    const matrix output = new_matrix(k->dtype, rows, columns, padded, stride);
    const matrix plain_derivative = new_matrix(k->dtype, rows, columns, padded, stride);
    const matrix derivative = new_matrix(k->dtype, rows, columns, padded, stride);
    double *const plain_sums = fenced(FG_FORWARD_SUMS * sizeof(double)), *const sums =
                                                                             fenced(FG_FORWARD_SUMS * sizeof *sums);
    fg_prefetch prefetch = some_prefetch(&input);
    struct fg_linear_forward_args args = {.rows = rows,
                                          .depth = depth,
                                          .vecs = vecs,
                                          .tail = (int)tail,
                                          .activation = function,
                                          .form = form,
                                          .input = input.data,
                                          .input_stride = input.stride,
                                          .weights = weights.data,
                                          .bias = random_between(0, 1) ? bias.data : NULL,
                                          .output = plain.data,
                                          .derivative = plain_derivative.data,
                                          .output_stride = stride,
                                          .saturation = saturation_of(function),
                                          .sums = plain_sums,
                                          .column_derivatives = fenced((size_t)padded * real_size(k->dtype)),
                                          .measured = 1,
                                          .prefetch = &prefetch};
    CASE("%s %s %s, %d rows x %d, depth %d, exponents %d and %d", fg_isa_name(k->isa), real_name(k->dtype),
         fg_activation_name(function), (int)rows, (int)columns, (int)depth, input_power, output_exponent);
    k->linear_forward(&args);
    args.input = stored_input.data;
    args.output = output.data;
    args.derivative = derivative.data;
    args.sums = sums;
    args.exponents = (fg_signal_exponents){input_power, input_power, output_exponent};
    args.near_zero = near_zero;
    k->linear_forward(&args);
    check_scaled("output", &output, &plain, output_exponent);
    check_scaled("derivative", &derivative, &plain_derivative, 0);
    for (int s = 0; s < FG_FORWARD_SUMS; s++) {
        const int homogeneous = form == FG_HOMOGENEOUS || near_zero;
        const int of_z = homogeneous && (input_power || output_exponent) ? output_exponent : input_power;
        const int exponents[FG_FORWARD_SUMS] = {output_exponent, 2 * output_exponent, 2 * of_z};
        const double sizes =
            s == FG_SUM_OUTPUT ? sqrt((double)(rows * columns) * plain_sums[FG_SUM_OUTPUT_SQUARED]) : plain_sums[s];
        check_close("sum", ldexp(sums[s], exponents[s]), plain_sums[s], 2 * sum_tolerance(k->dtype, sizes));
    }
    take_fences_down();
}

static void test_linear_forward(const fg_kernels *k) {
    for (int vecs = 1; vecs <= k->panel_vecs; vecs++)
        for (int64_t rows = 1; rows <= FG_ROW_BLOCK; rows++)
            for (int repeat = 0; repeat < 4; repeat++)
                forward_case(k, rows, vecs);
    for (int vecs = 1; vecs <= k->panel_vecs; vecs++)
        for (int64_t rows = 1; rows <= FG_ROW_BLOCK; rows++)
            for (int repeat = 0; repeat < 12; repeat++)
                scaled_forward_case(k, rows, vecs);
}

static void backward_data_case(const fg_kernels *k, int64_t rows, int vecs) {
    const int64_t depth = some_depth(), padded = (int64_t)vecs * k->lanes;
    const int64_t columns = padded - random_between(0, k->lanes - 1), stride = some_stride(padded);
    const double magnitude = some_magnitude(k->dtype);
    const int stored = (int)random_between(0, 1);
    const matrix delta = random_matrix(k->dtype, rows, depth, depth, some_stride(depth), -magnitude, magnitude);
    const matrix weights = random_matrix(k->dtype, depth, columns, padded, padded, -1, 1);
    const matrix output = random_matrix(k->dtype, rows, columns, padded, stride, -1, 1);
    const matrix below = random_matrix(k->dtype, rows, columns, padded, stride, 0, 1);
    const matrix derivative = new_matrix(k->dtype, rows, columns, padded, stride);
    double *const sums = fenced(FG_BACKWARD_SUMS * sizeof *sums);
    fg_prefetch prefetch = some_prefetch(&delta);
    const int move = magnitude < 1e-9 ? 32 : magnitude > 1e9 ? -32 : (int)random_between(-1, 1) * 32;
    const struct fg_derivative as_below = {.output = output.data,
                                           .derivative = below.data,
                                           .delta = below.data,
                                           .stride = stride,
                                           .derivative_stored = stored,
                                           .derivative_below = 0.25,
                                           .scale = ldexp(1.0, move)};
    long double squares = 0, squares_slack = 0;
    const struct fg_linear_backward_data_args args = {.rows = rows,
                                                      .depth = depth,
                                                      .vecs = vecs,
                                                      .delta = delta.data,
                                                      .delta_stride = delta.stride,
                                                      .weights = weights.data,
                                                      .below = as_below,
                                                      .sums = sums,
                                                      .measured = (int)random_between(0, 1),
                                                      .prefetch = &prefetch};
    sums[FG_SUM_OUTPUT_GRADIENT_SQUARED] = -1.0;
    real_put(k->dtype, output.data, random_between(0, rows - 1) * stride, 0.0);
    memcpy(derivative.data, below.data, (size_t)(rows * stride) * real_size(k->dtype));
    CASE("%s %s backward data, %d rows x %d, depth %d", fg_isa_name(k->isa), real_name(k->dtype), (int)rows,
         (int)columns, (int)depth);
    k->linear_backward_data(&args);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            const double f = stored ? at(&derivative, r, c) : at(&output, r, c) > 0.0 ? 1.0 : 0.25;
            long double sum = 0, sizes = 0;
            for (int64_t j = 0; j < depth; j++) {
                sum += (long double)at(&delta, r, j) * at(&weights, j, c);
                sizes += fabsl((long double)at(&delta, r, j) * at(&weights, j, c));
            }
            check_close("delta", at(&below, r, c), ldexpl(sum * f, move),
                        ldexpl((long double)(depth + 1) * real_epsilon(k->dtype) * sizes * f, move));
            squares += sum * sum;
            squares_slack += 2 * (long double)(depth + 1) * real_epsilon(k->dtype) * sizes * sizes;
        }
    check_margins("delta", &below);
    check_close("sum of squares", sums[FG_SUM_DELTA_SQUARED], sum_of_squares(&below),
                sum_tolerance(k->dtype, sum_of_squares(&below)));
    if (args.measured)
        check_close("gradients of outputs squared", sums[FG_SUM_OUTPUT_GRADIENT_SQUARED], squares,
                    squares_slack + sum_tolerance(k->dtype, squares));
    else
        CHECK(sums[FG_SUM_OUTPUT_GRADIENT_SQUARED] == -1.0, "a sum that nobody wants is touched");
    take_fences_down();
}

static void test_linear_backward_data(const fg_kernels *k) {
    for (int vecs = 1; vecs <= k->panel_vecs; vecs++)
        for (int64_t rows = 1; rows <= FG_ROW_BLOCK; rows++)
            for (int repeat = 0; repeat < 4; repeat++)
                backward_data_case(k, rows, vecs);
}

static void backward_weights_case(const fg_kernels *k, int64_t rows, int vecs, int kind, int is_bias) {
    const int64_t depth = some_depth(), padded = (int64_t)vecs * k->lanes;
    const int64_t columns = padded - random_between(0, k->lanes - 1);
    const int updates = kind < FG_OPTIMIZERS;
    const struct fg_update update = some_update((fg_optimizer_kind)kind);
    const matrix input =
        random_matrix(k->dtype, is_bias ? 1 : depth, rows, rows, is_bias ? rows : some_stride(rows), -1, 1);
    const matrix delta = random_matrix(k->dtype, depth, columns, padded, some_stride(padded), -1, 1);
    const matrix gradient = new_matrix(k->dtype, rows, columns, padded, padded);
    const parameters unit =
        random_parameters(updates ? update.kind : FG_OPTIMIZER_sgd, k->dtype, rows, columns, padded);
    const parameters old = copy_of_parameters(&unit);
    double *const sums = fenced(FG_UPDATE_SUMS * sizeof *sums);
    fg_prefetch prefetch = some_prefetch(&delta);
    const struct fg_linear_backward_weights_args args = {
        .rows = rows,
        .depth = depth,
        .vecs = vecs,
        .input = input.data,
        .input_stride = is_bias ? 0 : input.stride,
        .delta = delta.data,
        .delta_stride = delta.stride,
        .weights = unit.weights.data,
        .states = {unit.states[0].data, unit.states[1].data, unit.states[2].data},
        .gradient = gradient.data,
        .update = updates ? &update : NULL,
        .sums = sums,
        .measured = (int)random_between(0, 1),
        .prefetch = &prefetch};
    CASE("%s %s backward weights, %d rows x %d, depth %d, optimizer %d", fg_isa_name(k->isa), real_name(k->dtype),
         (int)rows, (int)columns, (int)depth, kind);
    sums[FG_NORM_OF_GRADIENT] = sums[FG_NORM_OF_CLIPPED] = -1.0;
    k->linear_backward_weights(&args);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            long double sum = 0;
            for (int64_t j = 0; j < depth; j++)
                sum += (long double)at(&input, is_bias ? 0 : j, r) * at(&delta, j, c);
            check_close("gradient", at(&gradient, r, c), sum,
                        (long double)(depth + 1) * real_epsilon(k->dtype) * (long double)depth);
        }
    check_margins("gradient", &gradient);
    CHECK(sums[FG_NORM_OF_CLIPPED] == -1.0, "a norm after clipping, where there is none");
    if (!args.measured)
        CHECK(sums[FG_NORM_OF_GRADIENT] == -1.0, "a sum that nobody wants is touched");
    else
        check_close("norm of gradient", sums[FG_NORM_OF_GRADIENT], norm_of(&gradient),
                    sum_tolerance(k->dtype, norm_of(&gradient)));
    if (args.measured)
        CHECK(sums[FG_LARGEST_GRADIENT] == largest_of(&gradient), "largest gradient %g, wants %g",
              sums[FG_LARGEST_GRADIENT], largest_of(&gradient));
    if (updates)
        check_update(k, &update, &gradient, &old, &unit, sums);
    else
        check_same_parameters("without an update", &unit, &old);
    take_fences_down();
}

static void test_linear_backward_weights(const fg_kernels *k) {
    for (int vecs = 1; vecs <= k->panel_vecs; vecs++)
        for (int64_t rows = 1; rows <= 25; rows++)
            for (int kind = 0; kind <= FG_OPTIMIZERS; kind++)
                backward_weights_case(k, rows, vecs, kind, rows == 1 && random_between(0, 1));
    backward_weights_case(k, FG_WEIGHT_BLOCK, k->panel_vecs, FG_OPTIMIZER_adam, 0);
}

static void test_unary(const fg_kernels *k) {
    for (int function = 0; function < FG_UNARIES; function++)
        for (int64_t n = 0; n <= 3 * k->lanes + 1; n++) {
            const double low = function == FG_UNARY_log1p ? -0.9375 : -8;
            const matrix x = random_matrix(k->dtype, 1, n, n, n, low, 8), y = new_matrix(k->dtype, 1, n, n, n);
            const struct fg_unary_args args = {.function = (fg_unary)function, .n = n, .x = x.data, .y = y.data};
            CASE("%s %s %s of %d", fg_isa_name(k->isa), real_name(k->dtype), fg_unary_name(args.function), (int)n);
            k->unary(&args);
            for (int64_t i = 0; i < n; i++) {
                const long double want = oracle_unary(args.function, at(&x, 0, i));
                check_close("value", at(&y, 0, i), want, 4 * real_epsilon(k->dtype) * fabsl(want));
            }
            take_fences_down();
        }
}

/* The derivatives of gelu, gelu_tanh, silu and mish cross zero, where no relative bound can hold. */
static void test_activation(const fg_kernels *k) {
    for (int function = 0; function < FG_ACTIVATIONS; function++)
        for (int64_t n = 0; n <= 3 * k->lanes + 1; n++) {
            const matrix z = random_matrix(k->dtype, 1, n, n, n, -8, 8), a = new_matrix(k->dtype, 1, n, n, n);
            const matrix derivative = new_matrix(k->dtype, 1, n, n, n);
            const struct fg_activation_args args = {
                .function = (fg_activation)function, .n = n, .z = z.data, .a = a.data, .derivative = derivative.data};
            const int crosses_zero = function == FG_ACTIVATION_gelu || function == FG_ACTIVATION_gelu_tanh ||
                                     function == FG_ACTIVATION_silu || function == FG_ACTIVATION_mish;
            CASE("%s %s %s of %d", fg_isa_name(k->isa), real_name(k->dtype), fg_activation_name(args.function), (int)n);
            k->activation(&args);
            for (int64_t i = 0; i < n; i++) {
                const long double value = oracle_activation(args.function, at(&z, 0, i));
                const long double f = oracle_derivative(args.function, at(&z, 0, i));
                check_close("value", at(&a, 0, i), value, 8 * real_epsilon(k->dtype) * fabsl(value));
                check_close("derivative", at(&derivative, 0, i), f,
                            8 * real_epsilon(k->dtype) * (fabsl(f) + 0.1L * crosses_zero));
            }
            take_fences_down();
        }
}

static void test_fma_chain(const fg_kernels *k) {
    double *const flops = fenced(sizeof *flops);
    const struct fg_fma_chain_args args = {.count = 3, .flops = flops};
    k->fma_chain(&args);
    CHECK(*flops >= 2.0 * 3 * k->lanes && fmod(*flops, 2.0 * 3 * k->lanes) == 0, "got %g operations", *flops);
    take_fences_down();
}

int main(void) {
    fg_fpenv_enter();
    FOR_EACH_ISA(isa)
    for (int dtype = 0; dtype < FG_DTYPES; dtype++) {
        const fg_kernels *k = fg_find_kernels((fg_isa)isa, (fg_dtype)dtype);
        CHECK((int)k->isa == isa && (int)k->dtype == dtype, "a table in another's place");
#define FG_KERNEL(name)                                                                                                \
    CASE("%s %s " #name, fg_isa_name(k->isa), real_name(k->dtype));                                                    \
    test_##name(k);
#include "kernels.def"
#undef FG_KERNEL
    }
    return EXIT_SUCCESS;
}
