/* Rows of W, plain on one side, and packed panel after panel on the other (see kernels.h). The packed columns beyond the
 * true ones are not touched: they are zero from the network's creation on. */
#include "packing.h"
#include "layout.h"
#include <string.h>

/* What a row of W has in a panel: where it begins in either form, in elements, and how long it is. */
typedef struct {
    int64_t packed, plain;
    size_t bytes;
} piece;

static piece piece_of(const fg_network *net, int l, int64_t panel, int64_t packed_row, int64_t plain_row) {
    const fg_layer *layer = &net->layer[l];
    const int lanes = net->kernels->lanes, panel_vecs = net->kernels->panel_vecs;
    const int64_t start = fg_panel_start(layer->vecs, panel, panel_vecs), column = start * lanes;
    const int64_t width = (int64_t)fg_panel_vecs(layer->vecs, start, panel_vecs) * lanes;
    const int64_t left = layer->fan_out - column, columns = left < width ? left : width;
    return (piece){column * layer->depth + packed_row * width, plain_row * layer->fan_out + column,
                   (size_t)columns * net->element_size};
}

void fg_pack(const fg_network *net, int l, void *packed, int64_t first, int64_t rows, const void *in) {
    for (int64_t panel = 0; panel < net->layer[l].panels; panel++)
        for (int64_t row = 0; row < rows; row++) {
            const piece p = piece_of(net, l, panel, first + row, row);
            memcpy(fg_at(net, packed, p.packed), fg_at(net, in, p.plain), p.bytes);
        }
}

void fg_unpack(const fg_network *net, int l, const void *packed, int64_t first, int64_t rows, void *out) {
    for (int64_t panel = 0; panel < net->layer[l].panels; panel++)
        for (int64_t row = 0; row < rows; row++) {
            const piece p = piece_of(net, l, panel, first + row, row);
            memcpy(fg_at(net, out, p.plain), fg_at(net, packed, p.packed), p.bytes);
        }
}
