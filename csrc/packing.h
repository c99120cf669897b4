/* Between a plain matrix and rows [first, first + rows) of a layer's packed form: parameters, their gradients and the
 * optimizer's states all have it. The bias is row fan_in. */
#ifndef FG_PACKING_H
#define FG_PACKING_H
#include "network.h"

void fg_pack(const fg_network *, int layer, void *packed, int64_t first, int64_t rows, const void *in);
void fg_unpack(const fg_network *, int layer, const void *packed, int64_t first, int64_t rows, void *out);
#endif
