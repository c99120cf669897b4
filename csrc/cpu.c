/* What this processor can do, and whether the operating system keeps the registers for it. */
#include "fastgrad.h"
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t saved_registers(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

fg_isa fg_best_isa(void) {
    enum { XMM_YMM = 0x6, XMM_YMM_ZMM_OPMASK = 0xE6 };
    const uint32_t avx512_f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return FG_SCALAR;
    const int os_saves = c >> 27 & 1, fma = c >> 12 & 1;
    if (!os_saves || !fma || (saved_registers() & XMM_YMM) != XMM_YMM || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return FG_SCALAR;
    if (!(b >> 5 & 1))
        return FG_SCALAR;
    if ((b & avx512_f_dq_bw_vl) == avx512_f_dq_bw_vl && (saved_registers() & XMM_YMM_ZMM_OPMASK) == XMM_YMM_ZMM_OPMASK)
        return FG_AVX512;
    return FG_AVX2;
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
fg_isa fg_best_isa(void) { return FG_SCALAR; }
void fg_cpu_brand(char brand[49]) { memset(brand, 0, 49); }
#endif
