/* Between a layer's plain parameters and its packed ones: the table's own kernels know how it packs. */
#include "packing.h"

void fg_pack(const fg_network *net, int l, void *packed, int64_t first, int64_t rows, const void *in) {
    const struct fg_pack_args args = {.depth = net->layer[l].depth,
                                      .columns = net->layer[l].fan_out,
                                      .first = first,
                                      .rows = rows,
                                      .plain = in,
                                      .packed = packed};
    net->kernels->pack(&args);
}

void fg_unpack(const fg_network *net, int l, const void *packed, int64_t first, int64_t rows, void *out) {
    const struct fg_unpack_args args = {.depth = net->layer[l].depth,
                                        .columns = net->layer[l].fan_out,
                                        .first = first,
                                        .rows = rows,
                                        .packed = packed,
                                        .plain = out};
    net->kernels->unpack(&args);
}
