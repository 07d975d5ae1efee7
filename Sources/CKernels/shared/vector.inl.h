// Vectors in a dozen macros. The including file defines, inside its target region:
//   VL         floats in a vector
//   NV         vectors in a panel (panel width NR = NV * VL)
//   MR         rows in a register tile
//   V_FMA      fused multiply-add of three vectors, or the closest the instruction set has
//   S_FMA      the same of three floats
//   HAS_HALF   the instruction set converts binary16 (else integers do)
//   DOT_RUN    how many products of a score are summed in one chain
//   ISA_NAME   the table's name
//   TABLE      the table's symbol

#include <stddef.h>

#define NR (NV * VL)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

typedef float vf __attribute__((ext_vector_type(VL)));
typedef float vf_unaligned __attribute__((ext_vector_type(VL), aligned(4)));
typedef int32_t vi __attribute__((ext_vector_type(VL)));
typedef uint16_t vh __attribute__((ext_vector_type(VL)));
typedef uint16_t vh_unaligned __attribute__((ext_vector_type(VL), aligned(2)));
typedef uint32_t vu __attribute__((ext_vector_type(VL)));
typedef uint32_t vu_unaligned __attribute__((ext_vector_type(VL), aligned(1)));
typedef int8_t vb __attribute__((ext_vector_type(VL)));
typedef int8_t vb_unaligned __attribute__((ext_vector_type(VL), aligned(1)));

static const float minus_infinity = -__builtin_inff();

INLINE vf v_load(const float *p) { return *(const vf_unaligned *)p; }
INLINE void v_store(float *p, vf v) { *(vf_unaligned *)p = v; }
INLINE vf v_set(float x) { return (vf)(x); }
INLINE vf v_select(vi condition, vf yes, vf no) {
    return (vf)((condition & (vi)yes) | (~condition & (vi)no));
}
// Keeps b when either is NaN, as the hardware instruction does.
INLINE vf v_max(vf a, vf b) { return a > b ? a : b; }
INLINE vf v_abs(vf a) { return (vf)((vi)a & 0x7fffffff); }

INLINE vf v_load_part(const float *p, int64_t n) {
    float part[VL] = {0};
    __builtin_memcpy(part, p, (size_t)n * sizeof(float));
    return v_load(part);
}
INLINE void v_store_part(float *p, vf v, int64_t n) {
    float part[VL];
    v_store(part, v);
    __builtin_memcpy(p, part, (size_t)n * sizeof(float));
}

// 0, 1, 2, ... along the lanes.
INLINE vi v_lanes(void) {
    static const int32_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vi result;
    __builtin_memcpy(&result, lanes, sizeof(result));
    return result;
}

// Folds halves onto each other: the order of additions is the same for every row.
#if VL == 16
#define FOLD(v, OP) FOLD_4(OP(OP((v).lo, (v).hi).lo, OP((v).lo, (v).hi).hi), OP)
#elif VL == 8
#define FOLD(v, OP) FOLD_4(OP((v).lo, (v).hi), OP)
#else
#define FOLD(v, OP) FOLD_4(v, OP)
#endif
#define FOLD_4(v, OP) OP(OP((v).lo, (v).hi).x, OP((v).lo, (v).hi).y)
#define PLUS(a, b) ((a) + (b))
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
INLINE float v_reduce_add(vf v) { return FOLD(v, PLUS); }

// The sums of as many vectors as a vector has lanes, each added in the order of v_reduce_add: two vectors share every fold.
#define FOLD_2(a, b, KEPT, CROSSED) (__builtin_shufflevector(a, b, KEPT) + __builtin_shufflevector(a, b, CROSSED))
#if VL == 16
#define KEPT_8 0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31
#define CROSSED_8 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23
#define KEPT_4 0, 1, 2, 3, 20, 21, 22, 23, 8, 9, 10, 11, 28, 29, 30, 31
#define CROSSED_4 4, 5, 6, 7, 16, 17, 18, 19, 12, 13, 14, 15, 24, 25, 26, 27
#define KEPT_2 0, 1, 18, 19, 4, 5, 22, 23, 8, 9, 26, 27, 12, 13, 30, 31
#define CROSSED_2 2, 3, 16, 17, 6, 7, 20, 21, 10, 11, 24, 25, 14, 15, 28, 29
#define KEPT_1 0, 17, 2, 19, 4, 21, 6, 23, 8, 25, 10, 27, 12, 29, 14, 31
#define CROSSED_1 1, 16, 3, 18, 5, 20, 7, 22, 9, 24, 11, 26, 13, 28, 15, 30
#elif VL == 8
#define KEPT_4 0, 1, 2, 3, 12, 13, 14, 15
#define CROSSED_4 4, 5, 6, 7, 8, 9, 10, 11
#define KEPT_2 0, 1, 10, 11, 4, 5, 14, 15
#define CROSSED_2 2, 3, 8, 9, 6, 7, 12, 13
#define KEPT_1 0, 9, 2, 11, 4, 13, 6, 15
#define CROSSED_1 1, 8, 3, 10, 5, 12, 7, 14
#endif
INLINE void v_reduce_add_lanes(float sums[VL], const vf v[VL]) {
#if VL >= 8
    vf b[4], c[2];
#if VL == 16
    vf a[8];
    UNROLL
    for (int i = 0; i < 8; i++) a[i] = FOLD_2(v[i], v[i + 8], KEPT_8, CROSSED_8);
#else
    const vf *a = v;
#endif
    UNROLL
    for (int i = 0; i < 4; i++) b[i] = FOLD_2(a[i], a[i + 4], KEPT_4, CROSSED_4);
    UNROLL
    for (int i = 0; i < 2; i++) c[i] = FOLD_2(b[i], b[i + 2], KEPT_2, CROSSED_2);
    *(vf_unaligned *)sums = FOLD_2(c[0], c[1], KEPT_1, CROSSED_1);
#else
    UNROLL
    for (int i = 0; i < VL; i++) sums[i] = v_reduce_add(v[i]);
#endif
}
// The same of any multiple of that many vectors.
INLINE void v_reduce_add_few(float *sums, const vf *v, const int count) {
    UNROLL
    for (int i = 0; i < count; i += VL) v_reduce_add_lanes(sums + i, v + i);
}
INLINE float v_reduce_max(vf v) { return FOLD(v, LARGER); }
// Infinities and NaN: their exponent field alone is all ones.
INLINE vi v_special(vf v) { return (vi)(((vi)v & 0x7f800000) == (vi)(0x7f800000)); }
INLINE int v_any(vi v) {
    int32_t any = 0;
    UNROLL
    for (int i = 0; i < VL; i++) any |= v[i];
    return any != 0;
}

// 2^x for x <= 0 and for positive x below 127. Underflow gives +0, NaN stays NaN.
//
// x = n + r with |r| <= 1/2. The magic number is 1.5 * 2^23 + 127: adding it leaves n + 127, the exponent field of
// 2^n, in the low bits. n = -127 gives the field 0, which is +0, so clamping there flushes everything below.
// The polynomial is the minimax of 2^r with constant term 1 (2^0 is exactly 1), relative error below 9.2e-8.
INLINE vf v_exp2(vf x) {
    const vf magic = v_set(12583039.0f);
    x = v_max(v_set(-127.0f), x);
    vf shifted = x + magic;
    vf r = x - (shifted - magic);
    vf p = v_set(0x1.5bba13ccdec1ap-10f);
    p = V_FMA(p, r, v_set(0x1.3cea873ebd332p-7f));
    p = V_FMA(p, r, v_set(0x1.c6b752debe6fep-5f));
    p = V_FMA(p, r, v_set(0x1.ebf9bb8aa9965p-3f));
    p = V_FMA(p, r, v_set(0x1.62e4292038245p-1f));
    p = V_FMA(p, r, v_set(1.0f));
    return p * (vf)((vu)shifted << 23);
}

// tanh: the odd polynomial of Cephes below 0.625, where 1 - small would cancel, else 1 - 2 / (e^2x + 1).
INLINE vf v_tanh(vf x) {
    vf a = v_abs(x);
    vf z = x * x;
    vf p = v_set(-5.70498872745e-3f);
    p = V_FMA(p, z, v_set(2.06390887954e-2f));
    p = V_FMA(p, z, v_set(-5.37397155531e-2f));
    p = V_FMA(p, z, v_set(1.33314422036e-1f));
    p = V_FMA(p, z, v_set(-3.33332819422e-1f));
    vf small = V_FMA(p * z, x, x);
    // Beyond 10 tanh is 1 in Float. The order of operands keeps NaN.
    vf clamped = v_set(10.0f) < a ? v_set(10.0f) : a;
    vf large = v_set(1.0f) - v_set(2.0f) / (v_exp2(clamped * v_set(2.88539008177793f)) + v_set(1.0f));
    large = (vf)((vi)large | ((vi)x & (vi)(0x80000000)));
    return v_select(a < v_set(0.625f), small, large);
}

// erf by Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7.
INLINE vf v_erf(vf x) {
    vf a = v_abs(x);
    vf t = v_set(1.0f) / V_FMA(a, v_set(0.3275911f), v_set(1.0f));
    vf p = v_set(1.061405429f);
    p = V_FMA(p, t, v_set(-1.453152027f));
    p = V_FMA(p, t, v_set(1.421413741f));
    p = V_FMA(p, t, v_set(-0.284496736f));
    p = V_FMA(p, t, v_set(0.254829592f));
    vf result = v_set(1.0f) - p * t * v_exp2(a * a * v_set(-1.44269504088896f));
    return (vf)((vi)result | ((vi)x & (vi)(0x80000000)));
}

// binary16 to binary32, exact for every pattern; by integers where the instruction set has no conversion.
INLINE vf v_from_half(vh bits) {
#ifdef HAS_HALF
    typedef _Float16 v16 __attribute__((ext_vector_type(VL)));
    return __builtin_convertvector((v16)bits, vf);
#else
    vu wide = __builtin_convertvector(bits, vu);
    vu sign = (wide & 0x8000u) << 16;
    vu rest = (wide & 0x7fffu) << 13;
    // Scaling by 2^112 moves the exponent's bias and normalises subnormals.
    vf scaled = (vf)rest * v_set(0x1p112f);
    vi special = (vi)(rest >= (vu)(0x7c00u << 13));
    vf infinite = (vf)(rest | 0x7f800000u);
    return (vf)((vu)v_select(special, infinite, scaled) | sign);
#endif
}
INLINE vf v_from_bfloat(vh bits) { return (vf)(__builtin_convertvector(bits, vu) << 16); }

// VL elements of a row, converted; `n` < VL reads only that many and fills with zeros.
INLINE vf v_load_as(const void *row, int32_t dtype, int64_t index, int64_t n) {
    if (dtype == ZOO_F32) {
        const float *p = (const float *)row + index;
        return n >= VL ? v_load(p) : v_load_part(p, n);
    }
    if (dtype == ZOO_I8) {
        const int8_t *p = (const int8_t *)row + index;
        int8_t part[VL] = {0};
        if (n < VL) p = __builtin_memcpy(part, p, (size_t)n);
        return __builtin_convertvector(__builtin_convertvector(*(const vb_unaligned *)p, vi), vf);
    }
    const uint16_t *p = (const uint16_t *)row + index;
    vh bits;
    if (n >= VL) {
        bits = *(const vh_unaligned *)p;
    } else {
        uint16_t part[VL] = {0};
        __builtin_memcpy(part, p, (size_t)n * sizeof(uint16_t));
        bits = *(const vh_unaligned *)part;
    }
    return dtype == ZOO_F16 ? v_from_half(bits) : v_from_bfloat(bits);
}
INLINE int64_t bytes_of(int32_t dtype) { return dtype == ZOO_F32 ? 4 : dtype == ZOO_I8 ? 1 : 2; }
INLINE const void *row_at(const void *rows, int32_t dtype, int64_t element) {
    return (const char *)rows + element * bytes_of(dtype);
}
// Where row `index` of an operand lies: rows follow each other, or a list says for each in which slot it is.
INLINE int64_t slot_of(const int32_t *slots, int64_t index) { return slots ? slots[index] : index; }
// Starts bringing a row into the second-level cache. The address need not be readable.
INLINE void fetch_row(const void *rows, int32_t dtype, int64_t element, int64_t count) {
    const char *row = row_at(rows, dtype, element);
    const int64_t bytes = count * bytes_of(dtype);
    for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(row + byte, 0, 2);
}
