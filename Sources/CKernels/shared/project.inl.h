// Products of rows with a packed weight whose panels hold F32, F16 or BF16: [inner][NR], one panel after the other.
//
// The accumulators take the inner dimension in order, whatever the rows and the element type: a row's bits are those of
// the same row alone, and those of the same weights in F32. Fetching ahead goes over the end of a panel into the next.

// How far ahead panels are fetched, by measurement (EPYC with AVX-512, 33 GB/s and 117 GFLOPS a core). One row only waits:
// close, and into the first level. The more arithmetic each line brings, the further, and into the second level.
//   rows        F32 GB/s, without and with    BF16 GB/s, without and with
//   1           30  33                        28  31
//   4           25  26                        14  21
//   8           22  28 (112 GFLOPS)           12  12 (99 GFLOPS)
INLINE void fetch_panel(const int R, const int32_t dtype, const char *line) {
    if (R == 1)
        __builtin_prefetch(line + (dtype == ZOO_F32 ? 2048 : 512), 0, 3);
    else if (R <= 5 && dtype == ZOO_F32)
        __builtin_prefetch(line + 1024, 0, 2);
    else
        __builtin_prefetch(line + 8192, 0, 2);
}

INLINE vf panel_vector(const void *panel, int32_t dtype, int64_t index) {
    if (dtype == ZOO_F32) return v_load((const float *)panel + index);
    const vh bits = *(const vh_unaligned *)((const uint16_t *)panel + index);
    return dtype == ZOO_F16 ? v_from_half(bits) : v_from_bfloat(bits);
}

INLINE void project_rows(const int R, const int32_t dtype, const int64_t step, float *target, int64_t stride,
                         const float *a, const void *panel, const float *bias, int64_t inner, int64_t columns) {
    vf c[MR][NV];
    float part[NR];
    for (int i = 0; i < R; i++) {
        const float *start = bias ? bias : target + i * stride;
        if (!bias && columns < NR) {
            for (int v = 0; v < NV; v++) v_store(part + v * VL, v_set(0));
            start = __builtin_memcpy(part, start, (size_t)columns * sizeof(float));
        }
        UNROLL
        for (int v = 0; v < NV; v++) c[i][v] = v_load(start + v * VL);
    }
    const int64_t bytes = dtype == ZOO_F32 ? 4 * NR : 2 * NR;
    const char *cells = panel;
    for (int64_t k = 0; k < inner; k++, cells += bytes) {
        UNROLL
        for (int64_t line = 0; line < bytes; line += 64) fetch_panel(R, dtype, cells + line);
        vf b[NV];
        UNROLL
        for (int v = 0; v < NV; v++) b[v] = panel_vector(cells, dtype, v * VL);
        UNROLL
        for (int i = 0; i < R; i++) {
            vf scalar = v_set(a[k * step + i]);
            UNROLL
            for (int v = 0; v < NV; v++) c[i][v] = V_FMA(scalar, b[v], c[i][v]);
        }
    }
    for (int i = 0; i < R; i++) {
        if (columns >= NR) {
            UNROLL
            for (int v = 0; v < NV; v++) v_store(target + i * stride + v * VL, c[i][v]);
            continue;
        }
        for (int v = 0; v < NV; v++) v_store(part + v * VL, c[i][v]);
        __builtin_memcpy(target + i * stride, part, (size_t)columns * sizeof(float));
    }
}

// a is a tile [inner][MR]; with a step of 1 it is one row as it lies.
static void project_tile(float *c, int64_t c_stride, const float *a, int64_t a_step, const void *panel, int32_t dtype,
                         const float *bias, int64_t rows, int64_t inner, int64_t columns) {
#define PROJECT_ONE(D) project_rows(1, D, 1, c, c_stride, a, panel, bias, inner, columns)
#define PROJECT_F32(R) project_rows(R, ZOO_F32, MR, c, c_stride, a, panel, bias, inner, columns)
#define PROJECT_F16(R) project_rows(R, ZOO_F16, MR, c, c_stride, a, panel, bias, inner, columns)
#define PROJECT_BF16(R) project_rows(R, ZOO_BF16, MR, c, c_stride, a, panel, bias, inner, columns)
    if (a_step == 1) {
        if (dtype == ZOO_F32)
            PROJECT_ONE(ZOO_F32);
        else if (dtype == ZOO_F16)
            PROJECT_ONE(ZOO_F16);
        else
            PROJECT_ONE(ZOO_BF16);
    } else if (dtype == ZOO_F32) {
        FOR_ROWS(rows, PROJECT_F32)
    } else if (dtype == ZOO_F16) {
        FOR_ROWS(rows, PROJECT_F16)
    } else {
        FOR_ROWS(rows, PROJECT_BF16)
    }
#undef PROJECT_ONE
#undef PROJECT_F32
#undef PROJECT_F16
#undef PROJECT_BF16
}

// One panel [columns][NR] of up to NR rows, as bits of `bytes` each; missing rows are zero. Both strides in elements: a
// weight that lies transposed has a row stride of 1.
#define PACK_BITS(type)                                                                                            \
    do {                                                                                                           \
        type *to = target;                                                                                         \
        const type *from = rows;                                                                                   \
        if (row_stride == 1 && count == NR) {                                                                      \
            for (int64_t k = 0; k < columns; k++)                                                                  \
                __builtin_memcpy(to + k * NR, from + k * column_stride, NR * sizeof(type));                        \
            break;                                                                                                 \
        }                                                                                                          \
        /* A cache line of each row at a time. */                                                                  \
        const int64_t block = 64 / (int64_t)sizeof(type);                                                          \
        for (int64_t start = 0; start < columns; start += block) {                                                 \
            const int64_t end = start + block < columns ? start + block : columns;                                 \
            for (int64_t k = start; k < end; k++)                                                                  \
                for (int64_t lane = 0; lane < NR; lane++)                                                          \
                    to[k * NR + lane] = lane < count ? from[lane * row_stride + k * column_stride] : 0;            \
        }                                                                                                          \
    } while (0)

static void pack_panel(void *target, const void *rows, int64_t bytes, int64_t row_stride, int64_t column_stride,
                       int64_t count, int64_t columns) {
    if (bytes == 4)
        PACK_BITS(uint32_t);
    else
        PACK_BITS(uint16_t);
}
