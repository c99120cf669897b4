/* What the C tests share: a check that ends the test, a random generator, numbers of either dtype, and memory that
 * shows who strays from it. Include it first: it asks the system headers for mmap. */
#ifndef CHECK_H
#define CHECK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fastgrad.h"
#include <float.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char check_case[200];
#define CASE(...) ((void)snprintf(check_case, sizeof check_case, __VA_ARGS__))
#define CHECK(condition, ...) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__))

static inline
    __attribute__((noreturn, format(printf, 4, 5))) void check_failed(const char *file, int line, const char *condition,
                                                                      const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: not so: %s\n    in %s\n    ", file, line, condition, check_case);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_FAILURE);
}

/* splitmix64: every run sees the same numbers. */
static uint64_t random_state = 20240229;
static inline uint64_t random_bits(void) {
    uint64_t x = random_state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}
static inline int64_t random_between(int64_t least, int64_t most) {
    return least + (int64_t)(random_bits() % (uint64_t)(most - least + 1));
}
static inline double random_uniform(double low, double high) {
    return low + (high - low) * ((double)(random_bits() >> 11) * 0x1p-53);
}

#define FOR_EACH_ISA(isa)                                                                                              \
    for (int isa = 0; isa < FG_ISAS; isa++)                                                                            \
        if (fg_isa_supported((fg_isa)isa))

static inline size_t real_size(fg_dtype dtype) { return dtype == FG_F32 ? sizeof(float) : sizeof(double); }
static inline double real_epsilon(fg_dtype dtype) { return dtype == FG_F32 ? FLT_EPSILON : DBL_EPSILON; }
static inline const char *real_name(fg_dtype dtype) { return dtype == FG_F32 ? "float32" : "float64"; }
static inline double real_at(fg_dtype dtype, const void *array, int64_t i) {
    return dtype == FG_F32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}
static inline void real_put(fg_dtype dtype, void *array, int64_t i, double value) {
    if (dtype == FG_F32)
        ((float *)array)[i] = (float)value;
    else
        ((double *)array)[i] = value;
}

/* Fenced memory ends where an inaccessible page begins, so that one byte read or written past it is a fault even in a
 * masked instruction, which no sanitizer sees. It and the bytes before it start out as UNTOUCHED, a NaN in either
 * dtype: what leaks into a sum shows. */
enum { UNTOUCHED = 0xff, MOST_FENCES = 64 };
static struct {
    char *pages, *data;
    size_t mapped;
} fences[MOST_FENCES];
static int fence_count;

static inline void *fenced(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page) / page * page;
    char *const pages = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && fence_count < MOST_FENCES, "no room for %zu bytes, %d fences", bytes, fence_count);
    CHECK(mprotect(pages + room, page, PROT_NONE) == 0, "mprotect failed");
    memset(pages, UNTOUCHED, room);
    fences[fence_count].pages = pages;
    fences[fence_count].mapped = room + page;
    return fences[fence_count++].data = pages + room - bytes;
}

static inline int untouched(const void *from, size_t bytes) {
    const unsigned char *byte = from;
    for (size_t i = 0; i < bytes; i++)
        if (byte[i] != UNTOUCHED)
            return 0;
    return 1;
}

/* Checks what lies before each array, and gives all of them back. */
static inline void take_fences_down(void) {
    while (fence_count > 0) {
        fence_count--;
        char *const pages = fences[fence_count].pages, *const data = fences[fence_count].data;
        CHECK(untouched(pages, (size_t)(data - pages)), "array %d: written before its start", fence_count);
        munmap(pages, fences[fence_count].mapped);
    }
}
#endif
