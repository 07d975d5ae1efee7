// Products of bytes, four to a lane: unsigned times signed, summed in 32-bit integers. Every table gives the same sums.
//
// An including file may define, for vectors of VL lanes:
//   V_DOT4(sum, a, b)  sum + the four products of a lane, in one instruction
//   V_PAIRS(a, b)      the sum of the two products of 16-bit numbers in a lane
//   V_BYTE_PAIRS(a, b) the sums of two products of an unsigned with a signed byte, in 16 bits

typedef int16_t vs __attribute__((ext_vector_type(2 * VL)));
#ifdef V_PAIRS
// Builtins of x86 take vectors of the older kind.
typedef int16_t vs_gcc __attribute__((vector_size(4 * VL)));
typedef char vc_gcc __attribute__((vector_size(4 * VL)));
#endif
#ifdef V_DOT4
typedef int32_t vi_gcc __attribute__((vector_size(4 * VL)));
#endif

// sum + the products of the four unsigned bytes of each lane of `a` with the four signed bytes of the lane of `b`.
INLINE vi v_dot4(vi sum, vi a, vi b) {
#if defined(V_DOT4)
    return (vi)V_DOT4((vi_gcc)sum, (vi_gcc)a, (vi_gcc)b);
#else
    // Even and odd bytes widened to 16 bits: no sum of products that saturates.
    vs a_even = (vs)(a & 0x00ff00ff), a_odd = (vs)((vi)((vu)a >> 8) & 0x00ff00ff);
    vs b_even = (vs)((vs)b << 8) >> 8, b_odd = (vs)b >> 8;
#if defined(V_PAIRS)
    return sum + (vi)V_PAIRS((vs_gcc)a_even, (vs_gcc)b_even) + (vi)V_PAIRS((vs_gcc)a_odd, (vs_gcc)b_odd);
#else
    // 255 * -128 still fits 16 bits.
    vi even = (vi)(a_even * b_even), odd = (vi)(a_odd * b_odd);
    return sum + ((vi)((vu)even << 16) >> 16) + (even >> 16) + ((vi)((vu)odd << 16) >> 16) + (odd >> 16);
#endif
#endif
}

INLINE vi v_load_bytes(const void *p) {
    vi result;
    __builtin_memcpy(&result, p, sizeof(result));
    return result;
}

// Four bytes in every lane.
INLINE vi v_set_bytes(const void *p) {
    int32_t four;
    __builtin_memcpy(&four, p, sizeof(four));
    return (vi)(four);
}

static void dot_bytes(int32_t *sums, const uint8_t *row, const int8_t *panel, int64_t groups) {
    vi c[NV];
    UNROLL
    for (int v = 0; v < NV; v++) c[v] = (vi)(0);
    for (int64_t g = 0; g < groups; g++)
        UNROLL
        for (int v = 0; v < NV; v++)
            c[v] = v_dot4(c[v], v_set_bytes(row + 4 * g), v_load_bytes(panel + (g * NR + v * VL) * 4));
    __builtin_memcpy(sums, c, sizeof(c));
}
