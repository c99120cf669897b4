/* What this processor can do, and whether the operating system keeps the registers for it. */
#include "fastgrad.h"
#include <string.h>

static int has_scalar(void) { return 1; }

#if defined(__x86_64__)
#include <cpuid.h>

enum { XMM_YMM = 0x6, XMM_YMM_ZMM_OPMASK = 0xE6 };

static int system_saves(uint64_t registers) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (((uint64_t)high << 32 | low) & registers) == registers;
}

/* EBX of leaf 7: what came with and after AVX2. */
static uint32_t later_features(void) {
    uint32_t a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) ? b : 0;
}

static int has_avx2(void) {
    const uint32_t fma_osxsave = 1u << 12 | 1u << 27, avx2 = 1u << 5;
    uint32_t a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & fma_osxsave) == fma_osxsave && system_saves(XMM_YMM) &&
           (later_features() & avx2);
}

static int has_avx512(void) {
    const uint32_t f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    return (later_features() & f_dq_bw_vl) == f_dq_bw_vl && system_saves(XMM_YMM_ZMM_OPMASK);
}

void fg_cpu_brand(char brand[49]) {
    uint32_t words[12], a, b, c, d;
    memset(brand, 0, 49);
    if (!__get_cpuid(0x80000000u, &a, &b, &c, &d) || a < 0x80000004u)
        return;
    for (uint32_t leaf = 0; leaf < 3; leaf++)
        __get_cpuid(0x80000002u + leaf, &words[4 * leaf], &words[4 * leaf + 1], &words[4 * leaf + 2],
                    &words[4 * leaf + 3]);
    memcpy(brand, words, 48);
}
#else
void fg_cpu_brand(char brand[49]) { memset(brand, 0, 49); }
#endif

/* What an instruction set is based on is asked first: only a processor that has it is asked for more. */
int fg_isa_supported(fg_isa isa) {
    static int (*const has[FG_ISAS])(void) = {
#define FG_ISA(name, based_on) [FG_ISA_##name] = has_##name,
#include "isas.def"
#undef FG_ISA
    };
    const fg_isa base = fg_isa_based_on(isa);
    return (base == isa || fg_isa_supported(base)) && has[isa]();
}

fg_isa fg_best_isa(void) {
    fg_isa best = FG_ISA_scalar;
    for (int isa = 0; isa < FG_ISAS; isa++)
        if (fg_isa_supported((fg_isa)isa))
            best = (fg_isa)isa;
    return best;
}
