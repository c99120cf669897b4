/* Vector operations that need nothing of the instruction set beyond its shim: sign and bit work, reductions in a fixed
 * order. */
static inline ivec v_bits(vec a) { return (ivec)a; }
static inline vec v_from_bits(ivec a) { return (vec)a; }
static inline vec v_sign_bit(void) { return v_set1((real)-0.0); }
static inline vec v_abs(vec a) { return v_from_bits(v_bits(a) & ~v_bits(v_sign_bit())); }
static inline vec v_copysign(vec magnitude, vec sign) {
    return v_from_bits(v_bits(v_abs(magnitude)) | (v_bits(sign) & v_bits(v_sign_bit())));
}

/* Pairwise over the lanes, so that the order does not depend on the compiler. */
static inline double d_sum(dvec a) {
    double lane[DLANES];
    d_store(lane, a);
    for (int width = DLANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
}
static inline real v_max_lane(vec a) {
    real lane[LANES], largest;
    v_store(lane, a);
    largest = lane[0];
    for (int i = 1; i < LANES; i++)
        largest = lane[i] > largest ? lane[i] : largest;
    return largest;
}
