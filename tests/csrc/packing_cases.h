/* Packing, there and back and transposed, against panels filled by hand. */
#ifndef PACKING_CASES_H
#define PACKING_CASES_H
#include "kernels.h"
#include "layout.h"
#include "matrix.h"

/* All panels of `plain`, with zeros beyond its columns. */
static inline matrix packed_by_hand(const fg_kernels *k, const matrix *plain) {
    const int64_t total = fg_vecs(plain->columns, k->lanes), count = plain->rows * total * k->lanes;
    const matrix packed = new_matrix(k->dtype, 1, 0, count, count);
    for (int64_t start = 0, width; start < plain->columns; start += width) {
        width = (int64_t)fg_panel_vecs(total, start / k->lanes, k->panel_vecs) * k->lanes;
        for (int64_t r = 0; r < plain->rows; r++)
            for (int64_t c = start; c < plain->columns && c < start + width; c++)
                real_put(k->dtype, packed.data, start * plain->rows + r * width + c - start, at(plain, r, c));
    }
    return packed;
}

/* Rows of one matrix go among the packed rows of another. */
static inline void test_pack(const fg_kernels *k) {
    for (int repeat = 0; repeat < 200; repeat++) {
        const int64_t columns = random_between(1, 5 * k->lanes * k->panel_vecs), depth = random_between(1, 9);
        const int64_t rows = random_between(0, depth), first = random_between(0, depth - rows);
        const matrix whole = random_matrix(k->dtype, depth, columns, columns, columns, -1, 1);
        const matrix packed = packed_by_hand(k, &whole);
        const matrix plain = random_matrix(k->dtype, rows, columns, columns, columns, -1, 1);
        const size_t row = (size_t)columns * real_size(k->dtype);
        const struct fg_pack_args args = {depth, columns, first, rows, plain.data, packed.data};
        CASE("%s %s pack %d rows of %d, %d columns", fg_isa_name(k->isa), real_name(k->dtype), (int)rows, (int)depth,
             (int)columns);
        k->pack(&args);
        memcpy((char *)whole.data + (size_t)first * row, plain.data, (size_t)rows * row);
        CHECK(!memcmp(packed.data, packed_by_hand(k, &whole).data, (size_t)packed.padded * real_size(k->dtype)),
              "not as packed by hand");
        take_fences_down();
    }
}

static inline void test_unpack(const fg_kernels *k) {
    for (int repeat = 0; repeat < 200; repeat++) {
        const int64_t columns = random_between(1, 5 * k->lanes * k->panel_vecs), depth = random_between(1, 9);
        const int64_t rows = random_between(0, depth), first = random_between(0, depth - rows);
        const matrix whole = random_matrix(k->dtype, depth, columns, columns, columns, -1, 1);
        const matrix plain = new_matrix(k->dtype, rows, columns, columns, columns);
        const size_t row = (size_t)columns * real_size(k->dtype);
        const struct fg_unpack_args args = {depth, columns, first, rows, packed_by_hand(k, &whole).data, plain.data};
        CASE("%s %s unpack %d rows of %d, %d columns", fg_isa_name(k->isa), real_name(k->dtype), (int)rows, (int)depth,
             (int)columns);
        k->unpack(&args);
        CHECK(!memcmp(plain.data, (char *)whole.data + (size_t)first * row, (size_t)rows * row), "not as packed");
        take_fences_down();
    }
}

static inline void test_transpose_panel(const fg_kernels *k) {
    for (int repeat = 0; repeat < 300; repeat++) {
        const int64_t columns = random_between(1, 5 * k->lanes), fan_in = random_between(1, 5 * k->lanes);
        const int64_t depth = fan_in + random_between(0, 1), total = fg_vecs(columns, k->lanes);
        const int64_t first_row = random_between(0, (fan_in - 1) / k->lanes) * k->lanes;
        const int vecs = (int)random_between(1, k->panel_vecs);
        const matrix plain = random_matrix(k->dtype, depth, columns, columns, columns, -1, 1);
        const matrix packed = packed_by_hand(k, &plain);
        const matrix out = new_matrix(k->dtype, total * k->lanes, vecs * k->lanes, vecs * k->lanes, vecs * k->lanes);
        const struct fg_transpose_panel_args args = {.weights = packed.data,
                                                     .depth = depth,
                                                     .columns = columns,
                                                     .first_row = first_row,
                                                     .rows = fan_in - first_row,
                                                     .vecs = vecs,
                                                     .out = out.data};
        CASE("%s %s transpose_panel %d x %d from row %d", fg_isa_name(k->isa), real_name(k->dtype), (int)fan_in,
             (int)columns, (int)first_row);
        k->transpose_panel(&args);
        for (int64_t n = 0; n < columns; n++)
            for (int64_t r = 0; r < out.columns; r++) {
                const double want = first_row + r < fan_in ? at(&plain, first_row + r, n) : 0.0;
                CHECK(at(&out, n, r) == want, "out[%d][%d]: got %g, wants %g", (int)n, (int)r, at(&out, n, r), want);
            }
        take_fences_down();
    }
}
#endif
