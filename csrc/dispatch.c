/* From an instruction set and a dtype to a table of kernels.
 *
 * A table that leaves kernels out is completed from the one that it is based on, once, before the first table is given
 * out. A complete one is given out as it is, in read-only memory. */
#include "kernels.h"
#include <assert.h>
#include <pthread.h>

#define FG_ISA(name, based_on) extern const fg_kernels fg_##name##_f32_kernels, fg_##name##_f64_kernels;
#include "isas.def"
#undef FG_ISA

static const fg_kernels *const tables[FG_ISAS][FG_DTYPES] = {
#define FG_ISA(name, based_on) [FG_ISA_##name] = {&fg_##name##_f32_kernels, &fg_##name##_f64_kernels},
#include "isas.def"
#undef FG_ISA
};

#define FG_ISA(name, based_on)                                                                                         \
    _Static_assert(FG_ISA_##based_on < FG_ISA_##name || FG_ISA_##name == 0, #name " stands before " #based_on);
#include "isas.def"
#undef FG_ISA

fg_isa fg_isa_based_on(fg_isa isa) {
    static const fg_isa bases[FG_ISAS] = {
#define FG_ISA(name, based_on) [FG_ISA_##name] = FG_ISA_##based_on,
#include "isas.def"
#undef FG_ISA
    };
    return bases[isa];
}

static int is_complete(const fg_kernels *table) {
    return table->lanes
#define FG_KERNEL(name) &&table->name
#include "kernels.def"
#undef FG_KERNEL
        ;
}

static int has_all_packed_kernels(const fg_kernels *table) {
    return 1
#define FG_KERNEL(name)
#define FG_PACKED_KERNEL(name) &&table->name
#include "kernels.def"
#undef FG_KERNEL
        ;
}

int fg_complete_kernels(fg_kernels *out, const fg_kernels *table, const fg_kernels *base) {
    const int as_base = table->lanes == base->lanes && table->panel_vecs == base->panel_vecs;
    *out = *table;
    if (!table->lanes) {
        out->lanes = base->lanes;
        out->panel_vecs = base->panel_vecs;
    } else if (!as_base && !has_all_packed_kernels(table))
        return 0;
#define FG_KERNEL(name)                                                                                                \
    if (!out->name)                                                                                                    \
        out->name = base->name;
#include "kernels.def"
#undef FG_KERNEL
    return 1;
}

static fg_kernels completed[FG_ISAS][FG_DTYPES]; /* of those that were not */

static const fg_kernels *whole(fg_isa isa, fg_dtype dtype) {
    return is_complete(tables[isa][dtype]) ? tables[isa][dtype] : &completed[isa][dtype];
}

static void complete_all(void) {
    for (int isa = 0; isa < FG_ISAS; isa++)
        for (int dtype = 0; dtype < FG_DTYPES; dtype++)
            if (!is_complete(tables[isa][dtype])) {
                const fg_kernels *base = whole(fg_isa_based_on((fg_isa)isa), (fg_dtype)dtype);
                const int fits = fg_complete_kernels(&completed[isa][dtype], tables[isa][dtype], base);
                assert(fits);
                (void)fits;
            }
}

const fg_kernels *fg_find_kernels(fg_isa isa, fg_dtype dtype) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, complete_all);
    return whole(isa, dtype);
}
