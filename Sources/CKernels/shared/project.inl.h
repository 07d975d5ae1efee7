// Products of rows with a packed weight whose panels hold F32, F16 or BF16: [inner][NR], one panel after the other.
//
// The accumulators take the inner dimension in order, whatever the rows and the element type: a row's bits are those of
// the same row alone, and those of the same weights in F32. Fetching ahead goes over the end of a panel into the next.

// How far ahead a tile fetches its panel, by measurement (EPYC with AVX-512, 33 GB/s and 117 GFLOPS a core): the more
// arithmetic each line brings, the further.
//   rows        F32 GB/s, without and with    BF16 GB/s, without and with
//   4           25  26                        14  21
//   8           22  28 (112 GFLOPS)           12  12 (99 GFLOPS)
INLINE void fetch_panel(const int R, const int32_t dtype, const char *line) {
    if (R <= 5 && dtype == ZOO_F32)
        __builtin_prefetch(line + 1024, 0, 2);
    else
        __builtin_prefetch(line + 8192, 0, 2);
}

INLINE vf panel_vector(const void *panel, int32_t dtype, int64_t index) {
    if (dtype == ZOO_F32) return v_load((const float *)panel + index);
    const vh bits = *(const vh_unaligned *)((const uint16_t *)panel + index);
    return dtype == ZOO_F16 ? v_from_half(bits) : v_from_bfloat(bits);
}

INLINE int64_t cell_bytes(const int32_t dtype) { return dtype == ZOO_F32 ? 4 : 2; }

// The lanes of a panel of which `columns` are there, NULL: zeros.
INLINE void load_lanes(vf *lanes, const float *from, int64_t columns) {
    float part[NR] = {0};
    if (from && columns < NR) from = __builtin_memcpy(part, from, (size_t)columns * sizeof(float));
    UNROLL
    for (int v = 0; v < NV; v++) lanes[v] = from ? v_load(from + v * VL) : v_set(0);
}

INLINE void store_lanes(float *to, const vf *lanes, int64_t columns) {
    float part[NR];
    float *whole = columns < NR ? part : to;
    UNROLL
    for (int v = 0; v < NV; v++) v_store(whole + v * VL, lanes[v]);
    if (columns < NR) __builtin_memcpy(to, part, (size_t)columns * sizeof(float));
}

INLINE void project_rows(const int R, const int32_t dtype, float *target, int64_t stride, const float *a,
                         const void *panel, const float *bias, int64_t inner, int64_t columns) {
    vf c[MR][NV];
    // Loops over rows are unrolled by name: left to itself a compiler keeps the sums of more than ten rows in memory.
    UNROLL
    for (int i = 0; i < R; i++) load_lanes(c[i], bias ? bias : target + i * stride, bias ? NR : columns);
    const int64_t bytes = cell_bytes(dtype) * NR;
    const char *cells = panel;
    for (int64_t k = 0; k < inner; k++, cells += bytes) {
        UNROLL
        for (int64_t line = 0; line < bytes; line += 64) fetch_panel(R, dtype, cells + line);
        vf b[NV];
        UNROLL
        for (int v = 0; v < NV; v++) b[v] = panel_vector(cells, dtype, v * VL);
        UNROLL
        for (int i = 0; i < R; i++) {
            vf scalar = v_set(a[k * MR + i]);
            UNROLL
            for (int v = 0; v < NV; v++) c[i][v] = V_FMA(scalar, b[v], c[i][v]);
        }
    }
    UNROLL
    for (int i = 0; i < R; i++) store_lanes(target + i * stride, c[i], columns);
}

// a is a tile [inner][MR].
static void project_tile(float *c, int64_t c_stride, const float *a, const void *panel, int32_t dtype, const float *bias,
                         int64_t rows, int64_t inner, int64_t columns) {
#define PROJECT_F32(R) project_rows(R, ZOO_F32, c, c_stride, a, panel, bias, inner, columns)
#define PROJECT_F16(R) project_rows(R, ZOO_F16, c, c_stride, a, panel, bias, inner, columns)
#define PROJECT_BF16(R) project_rows(R, ZOO_BF16, c, c_stride, a, panel, bias, inner, columns)
    if (dtype == ZOO_F32) {
        FOR_ROWS(rows, PROJECT_F32)
    } else if (dtype == ZOO_F16) {
        FOR_ROWS(rows, PROJECT_F16)
    } else {
        FOR_ROWS(rows, PROJECT_BF16)
    }
#undef PROJECT_F32
#undef PROJECT_F16
#undef PROJECT_BF16
}

// One row waits for memory alone, and one stream does not fill what a core can have under way. Panels side by side are a
// stream each, by measurement (EPYC with AVX2, two threads, medians of 15 passes over 512 MiB, GB/s):
//   panels               1     2     4     a plain read
//   F32, 1024 inputs     24    28    30    26
//   F32, 2816 inputs     25    31    32    29
//   BF16, 2816 inputs    28    34    39    33
// Fetching four times as far ahead costs a tenth.
#define ROW_AHEAD 512

// Runs BODY(streams, first panel) until all panels are done.
#define FOR_STREAMS(count, BODY)                                                                                   \
    for (int64_t panel = 0, left = (count); left > 0; left = (count) - panel) {                                    \
        if (left >= 4) {                                                                                           \
            BODY(4, panel);                                                                                        \
            panel += 4;                                                                                            \
        } else if (left >= 2) {                                                                                    \
            BODY(2, panel);                                                                                        \
            panel += 2;                                                                                            \
        } else {                                                                                                   \
            BODY(1, panel);                                                                                        \
            panel += 1;                                                                                            \
        }                                                                                                          \
    }

// What the sums of P panels begin with.
INLINE void load_starts(const int P, vf (*sums)[NV], const float *start, int64_t first,
                        const struct zoo_side_panels *side) {
    for (int p = 0; p < P; p++) {
        const float *from = start ? start + (first + p) * side->apart * NR : 0;
        load_lanes(sums[p], from, first + p + 1 < side->count ? NR : side->columns);
    }
}

INLINE void store_sums(const int P, float *c, vf (*sums)[NV], int64_t first, const struct zoo_side_panels *side) {
    for (int p = 0; p < P; p++)
        store_lanes(c + (first + p) * side->apart * NR, sums[p], first + p + 1 < side->count ? NR : side->columns);
}

// One row with P panels, `apart` bytes apart.
INLINE void project_streams(const int P, const int32_t dtype, vf (*sums)[NV], const float *row, const char *cells,
                            int64_t apart, int64_t inner) {
    vf c[ZOO_ROW_STREAMS][NV];
    UNROLL
    for (int p = 0; p < P; p++)
        UNROLL
        for (int v = 0; v < NV; v++) c[p][v] = sums[p][v];
    const int64_t bytes = cell_bytes(dtype) * NR;
    for (int64_t k = 0; k < inner; k++, cells += bytes) {
        const vf scalar = v_set(row[k]);
        UNROLL
        for (int p = 0; p < P; p++) {
            const char *stream = cells + p * apart;
            UNROLL
            for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(stream + ROW_AHEAD + line, 0, 3);
            UNROLL
            for (int v = 0; v < NV; v++) c[p][v] = V_FMA(scalar, panel_vector(stream, dtype, v * VL), c[p][v]);
        }
    }
    UNROLL
    for (int p = 0; p < P; p++)
        UNROLL
        for (int v = 0; v < NV; v++) sums[p][v] = c[p][v];
}

static void project_row(float *c, const float *row, const void *panels, int32_t dtype, const float *start, int64_t inner,
                        const struct zoo_side_panels *side) {
    const int64_t apart = side->apart * inner * cell_bytes(dtype) * NR;
#define STREAMS(P, first)                                                                                          \
    do {                                                                                                           \
        vf sums[P][NV];                                                                                            \
        const char *cells = (const char *)panels + (first) * apart;                                                \
        load_starts(P, sums, start, first, side);                                                                  \
        if (dtype == ZOO_F32)                                                                                      \
            project_streams(P, ZOO_F32, sums, row, cells, apart, inner);                                           \
        else if (dtype == ZOO_F16)                                                                                 \
            project_streams(P, ZOO_F16, sums, row, cells, apart, inner);                                           \
        else                                                                                                       \
            project_streams(P, ZOO_BF16, sums, row, cells, apart, inner);                                          \
        store_sums(P, c, sums, first, side);                                                                       \
    } while (0)
    FOR_STREAMS(side->count, STREAMS)
#undef STREAMS
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
