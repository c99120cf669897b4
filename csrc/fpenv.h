/* The floating-point state of a kernel: round to nearest, no traps, flush-to-zero and denormals-are-zero, since one
 * subnormal operand costs as much as hundreds of normal ones. Every entry of the engine and every worker sets it; every
 * entry puts the caller's back. */
#ifndef FG_FPENV_H
#define FG_FPENV_H
#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
typedef uint32_t fg_fpenv;
static inline fg_fpenv fg_fpenv_enter(void) {
    const fg_fpenv caller = _mm_getcsr();
    _mm_setcsr(0x1F80u | 0x8000u | 0x0040u); /* all exceptions masked | FTZ | DAZ */
    return caller;
}
static inline void fg_fpenv_leave(fg_fpenv caller) { _mm_setcsr(caller); }
#elif defined(__aarch64__)
typedef uint64_t fg_fpenv;
static inline fg_fpenv fg_fpenv_enter(void) {
    fg_fpenv caller;
    __asm__ volatile("mrs %0, fpcr" : "=r"(caller));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)1 << 24)); /* FZ */
    return caller;
}
static inline void fg_fpenv_leave(fg_fpenv caller) { __asm__ volatile("msr fpcr, %0" : : "r"(caller)); }
#else
typedef int fg_fpenv;
static inline fg_fpenv fg_fpenv_enter(void) { return 0; }
static inline void fg_fpenv_leave(fg_fpenv caller) { (void)caller; }
#endif
#endif
