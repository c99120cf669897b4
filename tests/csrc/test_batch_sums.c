/* Sums over long batches by the backward-weights kernel of every table this machine can run, against long double: equal
 * rows, whose rounding errors all point one way, and rows of one sign. A bias meets one number for all rows, or one for
 * each. Instruction sets that multiply and add alike agree in every bit. */
#include "check.h"
#include "kernels.h"
#include "layout.h"
#include "matrix.h"
#include "fpenv.h"

typedef enum { WEIGHTS, BIAS, SCALED_BIAS, UNITS } unit_kind;

/* One panel of the narrowest instruction set, so that all compute the same elements. */
enum { COLUMNS = 3, PADDED = 16 };

static const int64_t lengths[] = {511, 512, 513, 1024, 1025, 20011};

static matrix drawn(fg_dtype dtype, int64_t rows, int64_t columns, int64_t padded, int equal) {
    const matrix m = random_matrix(dtype, rows, columns, padded, some_stride(padded), 0.1, 1);
    for (int64_t r = 1; equal && r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            real_put(dtype, m.data, r * m.stride + c, at(&m, 0, c));
    return m;
}

static void check_sums(const matrix *input, int64_t input_stride, const matrix *delta, const matrix *gradient,
                       int equal) {
    const long double allowed = (equal                                ? 160
                                 : delta->rows > FG_SINGLE_CHAIN_ROWS ? 16
                                                                      : 32) *
                                real_epsilon(input->dtype) / 2;
    for (int64_t r = 0; r < gradient->rows; r++)
        for (int64_t c = 0; c < gradient->columns; c++) {
            long double sum = 0;
            for (int64_t j = 0; j < delta->rows; j++)
                sum += (long double)real_at(input->dtype, input->data, j * input_stride + r) * at(delta, j, c);
            check_close("sum", at(gradient, r, c), sum, allowed * sum);
        }
    check_margins("gradient", gradient);
}

static int is_fused(const fg_kernels *k) { return k->isa != FG_ISA_scalar; }

/* Into gradient, whose rows are a panel of this instruction set. */
static void add_up(const fg_kernels *k, const matrix *input, int64_t input_stride, const matrix *delta,
                   const matrix *gradient) {
    double *const sums = fenced(FG_UPDATE_SUMS * sizeof *sums);
    fg_prefetch prefetch = {0};
    const struct fg_linear_backward_weights_args args = {.rows = gradient->rows,
                                                         .depth = delta->rows,
                                                         .vecs = (int)fg_vecs(COLUMNS, k->lanes),
                                                         .input = input->data,
                                                         .input_stride = input_stride,
                                                         .delta = delta->data,
                                                         .delta_stride = delta->stride,
                                                         .weights = gradient->data,
                                                         .gradient = gradient->data,
                                                         .sums = sums,
                                                         .measured = 1,
                                                         .prefetch = &prefetch};
    k->linear_backward_weights(&args);
    check_close("norm", sums[FG_NORM_OF_GRADIENT], norm_of(gradient), sum_tolerance(k->dtype, norm_of(gradient)));
}

static void run_case(fg_dtype dtype, int64_t length, unit_kind kind, int equal) {
    const int64_t rows = kind == WEIGHTS ? random_between(1, FG_WEIGHT_BLOCK) : 1;
    const matrix delta = drawn(dtype, length, COLUMNS, PADDED, equal);
    const matrix input = drawn(dtype, kind == BIAS ? 1 : length, rows, rows, equal);
    const int64_t input_stride = kind == BIAS ? 0 : input.stride;
    matrix first = {0};
    FOR_EACH_ISA(isa) {
        const fg_kernels *k = fg_find_kernels((fg_isa)isa, dtype);
        const int64_t padded = fg_vecs(COLUMNS, k->lanes) * k->lanes;
        const matrix gradient = random_matrix(dtype, rows, COLUMNS, padded, padded, 0, 1);
        CASE("%s %s, %d rows of W, unit %d, batch %d%s", fg_isa_name(k->isa), real_name(dtype), (int)rows, (int)kind,
             (int)length, equal ? ", equal rows" : "");
        add_up(k, &input, input_stride, &delta, &gradient);
        check_sums(&input, input_stride, &delta, &gradient, equal);
        for (int64_t r = 0; first.data && is_fused(k) && r < rows; r++)
            for (int64_t c = 0; c < COLUMNS; c++)
                CHECK(at(&gradient, r, c) == at(&first, r, c), "[%d][%d]: got %.17g, wants %.17g as before", (int)r,
                      (int)c, at(&gradient, r, c), at(&first, r, c));
        first = is_fused(k) ? gradient : first;
    }
    take_fences_down();
}

int main(void) {
    fg_fpenv_enter();
    for (int dtype = 0; dtype < FG_DTYPES; dtype++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
            for (int kind = 0; kind < UNITS; kind++)
                for (int equal = 0; equal <= 1; equal++)
                    run_case((fg_dtype)dtype, lengths[i], (unit_kind)kind, equal);
    return EXIT_SUCCESS;
}
