/* Vector operations that need nothing of the instruction set beyond its shim: sign and bit work, and work on lanes. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 24")
#endif

static inline ivec v_bits(vec a) { return (ivec)a; }
static inline vec v_from_bits(ivec a) { return (vec)a; }
static inline vec v_sign_bit(void) { return v_set1((real)-0.0); }
static inline vec v_abs(vec a) { return v_from_bits(v_bits(a) & ~v_bits(v_sign_bit())); }
static inline vec v_copysign(vec magnitude, vec sign) {
    return v_from_bits(v_bits(v_abs(magnitude)) | (v_bits(sign) & v_bits(v_sign_bit())));
}

/* How many of n elements lie in the vector from element i on. */
static inline int lanes_left(int64_t n, int64_t i) { return n - i < LANES ? (int)(n - i) : LANES; }

static inline real v_max_lane(vec a) {
    real lane[LANES], largest;
    v_store(lane, a);
    largest = lane[0];
    for (int i = 1; i < LANES; i++)
        largest = lane[i] > largest ? lane[i] : largest;
    return largest;
}
