// Packing: operands into the order in which the register tiles read them.

// Rows of one head lie apart, where hardware does not fetch ahead: software does, this many rows.
#define PACK_AHEAD 32

// Transposes VL vectors of 32-bit words: within quarters of four lanes first, then the quarters. No shuffle needs a
// register of indices, so that sixteen rows of sixteen words stay in registers.
#if VL == 16
#define EACH_QUARTER(a, b, c, d) a, b, c, d, a + 4, b + 4, c + 4, d + 4, a + 8, b + 8, c + 8, d + 8, a + 12, b + 12, c + 12, d + 12
#elif VL == 8
#define EACH_QUARTER(a, b, c, d) a, b, c, d, a + 4, b + 4, c + 4, d + 4
#else
#define EACH_QUARTER(a, b, c, d) a, b, c, d
#endif
INLINE void v_transpose(vu rows[VL]) {
    vu pairs[VL], quads[VL];
    UNROLL
    for (int i = 0; i < VL; i += 2) {
        pairs[i] = __builtin_shufflevector(rows[i], rows[i + 1], EACH_QUARTER(0, VL, 1, VL + 1));
        pairs[i + 1] = __builtin_shufflevector(rows[i], rows[i + 1], EACH_QUARTER(2, VL + 2, 3, VL + 3));
    }
    UNROLL
    for (int i = 0; i < VL; i += 4)
        UNROLL
        for (int half = 0; half < 2; half++) {
            const vu a = pairs[i + half], b = pairs[i + 2 + half];
            quads[i + 2 * half] = __builtin_shufflevector(a, b, EACH_QUARTER(0, 1, VL, VL + 1));
            quads[i + 2 * half + 1] = __builtin_shufflevector(a, b, EACH_QUARTER(2, 3, VL + 2, VL + 3));
        }
#if VL == 16
#define EVEN 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define ODD 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
    UNROLL
    for (int k = 0; k < 4; k++) {
        const vu low[2] = {__builtin_shufflevector(quads[k], quads[4 + k], EVEN),
                           __builtin_shufflevector(quads[k], quads[4 + k], ODD)};
        const vu high[2] = {__builtin_shufflevector(quads[8 + k], quads[12 + k], EVEN),
                            __builtin_shufflevector(quads[8 + k], quads[12 + k], ODD)};
        rows[k] = __builtin_shufflevector(low[0], high[0], EVEN);
        rows[4 + k] = __builtin_shufflevector(low[1], high[1], EVEN);
        rows[8 + k] = __builtin_shufflevector(low[0], high[0], ODD);
        rows[12 + k] = __builtin_shufflevector(low[1], high[1], ODD);
    }
#elif VL == 8
    UNROLL
    for (int k = 0; k < 4; k++) {
        rows[k] = __builtin_shufflevector(quads[k], quads[4 + k], 0, 1, 2, 3, 8, 9, 10, 11);
        rows[4 + k] = __builtin_shufflevector(quads[k], quads[4 + k], 4, 5, 6, 7, 12, 13, 14, 15);
    }
#else
    UNROLL
    for (int k = 0; k < VL; k++) rows[k] = quads[k];
#endif
}

// Elements of a narrow type travel through the transpose as words of two or four.
INLINE int64_t per_word(int32_t dtype) { return 4 / bytes_of(dtype); }
INLINE vf v_unpack(vu words, int32_t dtype, int part) {
    if (dtype == ZOO_F32) return (vf)words;
    if (dtype == ZOO_BF16) return (vf)(part == 0 ? words << 16 : words & 0xffff0000u);
    if (dtype == ZOO_F16) return v_from_half(__builtin_convertvector(part == 0 ? words & 0xffffu : words >> 16, vh));
    return __builtin_convertvector((vi)(words << (24 - 8 * part)) >> 24, vf);
}

// Up to VL rows, transposed: vectors of words along the rows, as many as `bytes` of each row hold. Missing cells are zero.
INLINE void load_transposed(vu block[VL], const char *const *rows, int64_t count, int64_t byte, int64_t bytes) {
    if (count >= VL && bytes >= 4 * VL) {
        UNROLL
        for (int i = 0; i < VL; i++) block[i] = *(const vu_unaligned *)(rows[i] + byte);
    } else {
        const size_t n = (size_t)(bytes < 4 * VL ? bytes : 4 * VL);
        for (int i = 0; i < VL; i++) {
            block[i] = (vu)(0);
            if (i < count) __builtin_memcpy(&block[i], rows[i] + byte, n);
        }
    }
    v_transpose(block);
}

// One tile or panel of `width` rows: target[column][width]. A vector may reach over the end of its group into the next
// column's cells, which are written after it; the caller leaves VL spare floats behind the last tile.
INLINE void pack_transposed(float *target, const char *const *rows, int32_t dtype, int64_t count, int64_t columns,
                            float scale, const int width) {
    const int64_t parts = per_word(dtype), element = bytes_of(dtype);
    const int groups = (width + VL - 1) / VL;
#define STORE_WORD(words, d, part, group)                                                                          \
    v_store(target + (column + (d) * parts + (part)) * width + (group) * VL,                                       \
            v_unpack(words, dtype, (int)(part)) * v_set(scale))
    int64_t column = 0;
    // From registers to the target where groups do not reach into each other and no column is missing.
    if (width < VL || width % VL == 0)
        for (; column + parts * VL <= columns; column += parts * VL)
            for (int group = 0; group < groups; group++) {
                vu block[VL];
                load_transposed(block, rows + group * VL, count - group * VL, column * element, 4 * VL);
                UNROLL
                for (int d = 0; d < VL; d++)
                    for (int part = 0; part < parts; part++) STORE_WORD(block[d], d, part, group);
            }
    for (; column < columns; column += parts * VL) {
        const int64_t left = columns - column < parts * VL ? columns - column : parts * VL;
        vu block[(ZOO_MAX_TILE_ROWS + VL) / VL + NV][VL];
        for (int group = 0; group < groups; group++)
            load_transposed(block[group], rows + group * VL, count - group * VL, column * element, left * element);
        for (int64_t d = 0; d * parts < left; d++)
            for (int64_t part = 0; part < parts && d * parts + part < left; part++)
                for (int group = 0; group < groups; group++) STORE_WORD(block[group][d], d, part, group);
    }
#undef STORE_WORD
}

#define PACK_BY_DTYPE(scale, width)                                                                                \
    if (dtype == ZOO_F32)                                                                                          \
        pack_transposed(target, lines, ZOO_F32, left, head_dim, scale, width);                                     \
    else if (dtype == ZOO_F16)                                                                                     \
        pack_transposed(target, lines, ZOO_F16, left, head_dim, scale, width);                                     \
    else if (dtype == ZOO_I8)                                                                                      \
        pack_transposed(target, lines, ZOO_I8, left, head_dim, scale, width);                                      \
    else                                                                                                           \
        pack_transposed(target, lines, ZOO_BF16, left, head_dim, scale, width)

static void pack_query(float *tiles, const void *rows, int32_t dtype, int64_t stride, int64_t count, int64_t head_dim,
                       float scale) {
    for (int64_t start = 0; start < count; start += MR) {
        float *target = tiles + start * head_dim;
        int64_t left = count - start < MR ? count - start : MR;
        const char *lines[MR + VL] = {0};
        for (int64_t i = 0; i < MR; i++) {
            lines[i] = row_at(rows, dtype, (start + i) * stride);
            fetch_row(rows, dtype, (start + PACK_AHEAD + i) * stride, head_dim);
        }
        PACK_BY_DTYPE(scale, MR);
    }
}

static void pack_keys(float *panels, const void *rows, int32_t dtype, int64_t stride, int64_t count,
                      int64_t head_dim) {
    for (int64_t start = 0; start < count; start += NR) {
        float *target = panels + start * head_dim;
        int64_t left = count - start < NR ? count - start : NR;
        const char *lines[NR];
        for (int64_t i = 0; i < NR; i++) {
            lines[i] = row_at(rows, dtype, (start + i) * stride);
            fetch_row(rows, dtype, (start + PACK_AHEAD + i) * stride, head_dim);
        }
        PACK_BY_DTYPE(1.0f, NR);
    }
}

INLINE vi pack_value_rows(float *panels, const void *rows, int32_t dtype, int64_t stride, int64_t count,
                          int64_t value_dim, int64_t panel_rows) {
    vi special = (vi)(0);
    for (int64_t row = 0; row < count; row++) {
        const void *source = row_at(rows, dtype, row * stride);
        fetch_row(rows, dtype, (row + PACK_AHEAD) * stride, value_dim);
        for (int64_t column = 0; column < value_dim; column += NR) {
            float *target = panels + (column * panel_rows) + row * NR;
            for (int lane = 0; lane < NR; lane += VL) {
                int64_t left = value_dim - column - lane;
                vf v = left > 0 ? v_load_as(source, dtype, column + lane, left) : v_set(0);
                special |= v_special(v);
                v_store(target + lane, v);
            }
        }
    }
    return special;
}

static int32_t pack_values(float *panels, const void *rows, int32_t dtype, int64_t stride, int64_t count,
                           int64_t value_dim, int64_t panel_rows) {
    vi special;
    if (dtype == ZOO_F32)
        special = pack_value_rows(panels, rows, ZOO_F32, stride, count, value_dim, panel_rows);
    else if (dtype == ZOO_F16)
        special = pack_value_rows(panels, rows, ZOO_F16, stride, count, value_dim, panel_rows);
    else if (dtype == ZOO_I8)
        special = pack_value_rows(panels, rows, ZOO_I8, stride, count, value_dim, panel_rows);
    else
        special = pack_value_rows(panels, rows, ZOO_BF16, stride, count, value_dim, panel_rows);
    return !v_any(special);
}
