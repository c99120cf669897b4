/* Packing: W, plain and row-major on one side, panel after panel on the other. What a row has in a panel is copied whole. */
typedef struct {
    int64_t start, width, columns; /* in elements: the panel in W and as stored, and its true columns */
} packed_panel;

static packed_panel panel_at(int64_t columns, int64_t index) {
    const int64_t total = fg_vecs(columns, LANES), start = fg_panel_start(total, index, PANEL_VECS);
    const int64_t width = fg_panel_vecs(total, start, PANEL_VECS) * (int64_t)LANES, left = columns - start * LANES;
    return (packed_panel){start * LANES, width, left < width ? left : width};
}

static int64_t count_panels(int64_t columns) { return fg_panels(fg_vecs(columns, LANES), PANEL_VECS); }

static void pack(const struct fg_pack_args *p) {
    for (int64_t i = 0; i < count_panels(p->columns); i++) {
        const packed_panel panel = panel_at(p->columns, i);
        real *const packed = (real *)p->packed + panel.start * p->depth + p->first * panel.width;
        for (int64_t row = 0; row < p->rows; row++)
            memcpy(packed + row * panel.width, (const real *)p->plain + row * p->columns + panel.start,
                   (size_t)panel.columns * sizeof(real));
    }
}

static void unpack(const struct fg_unpack_args *p) {
    for (int64_t i = 0; i < count_panels(p->columns); i++) {
        const packed_panel panel = panel_at(p->columns, i);
        const real *const packed = (const real *)p->packed + panel.start * p->depth + p->first * panel.width;
        for (int64_t row = 0; row < p->rows; row++)
            memcpy((real *)p->plain + row * p->columns + panel.start, packed + row * panel.width,
                   (size_t)panel.columns * sizeof(real));
    }
}
