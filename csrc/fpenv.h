/* The floating-point state of a kernel: round to nearest, no traps and, where the processor can, flush-to-zero and
 * denormals-are-zero, since one subnormal operand costs as much as hundreds of normal ones. Every entry of the engine
 * and every worker sets it; every entry puts the caller's back. Where nothing is flushed a result below the normal
 * range is some number below it, and no other result may depend on that: FG_PLAIN_FPENV builds what such processors
 * run. */
#ifndef FG_FPENV_H
#define FG_FPENV_H
#include <stdint.h>

#if defined(__x86_64__) && !defined(FG_PLAIN_FPENV)
#include <xmmintrin.h>
typedef uint32_t fg_fpenv;
static inline fg_fpenv fg_fpenv_enter(void) {
    const fg_fpenv caller = _mm_getcsr();
    _mm_setcsr(0x1F80u | 0x8000u | 0x0040u); /* all exceptions masked | FTZ | DAZ */
    return caller;
}
static inline void fg_fpenv_leave(fg_fpenv caller) { _mm_setcsr(caller); }
#elif defined(__aarch64__) && !defined(FG_PLAIN_FPENV)
typedef uint64_t fg_fpenv;
static inline fg_fpenv fg_fpenv_enter(void) {
    fg_fpenv caller;
    __asm__ volatile("mrs %0, fpcr" : "=r"(caller));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)1 << 24)); /* FZ */
    return caller;
}
static inline void fg_fpenv_leave(fg_fpenv caller) { __asm__ volatile("msr fpcr, %0" : : "r"(caller)); }
#else
#include <fenv.h>
typedef fenv_t fg_fpenv;
static inline fg_fpenv fg_fpenv_enter(void) {
    fg_fpenv caller;
    feholdexcept(&caller);
    fesetround(FE_TONEAREST);
    return caller;
}
static inline void fg_fpenv_leave(fg_fpenv caller) { fesetenv(&caller); }
#endif
#endif
