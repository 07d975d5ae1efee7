// Packing: operands into the order in which the register tiles read them.

// Rows of one head lie apart, where hardware does not fetch ahead: software does, this many rows.
#define PACK_AHEAD 32

#define ZIP_LOW_4 0, 4, 1, 5
#define ZIP_HIGH_4 2, 6, 3, 7
#define ZIP_LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define ZIP_HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#define ZIP_LOW_16 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ZIP_HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define PASTE(a, b) a##b
#define ZIP_INDICES(half, lanes) PASTE(half, lanes)

// Transposes VL vectors: log2(VL) perfect shuffles of rows i and i + VL/2.
INLINE void v_transpose(vf rows[VL]) {
    UNROLL
    for (int step = 1; step < VL; step *= 2) {
        vf next[VL];
        UNROLL
        for (int i = 0; i < VL / 2; i++) {
            next[2 * i] = __builtin_shufflevector(rows[i], rows[i + VL / 2], ZIP_INDICES(ZIP_LOW_, VL));
            next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + VL / 2], ZIP_INDICES(ZIP_HIGH_, VL));
        }
        UNROLL
        for (int i = 0; i < VL; i++) rows[i] = next[i];
    }
}

// Transposes up to VL rows of up to VL columns; missing cells are zero.
INLINE void load_transposed(vf block[VL], const void *rows, int32_t dtype, int64_t stride, int64_t count,
                            int64_t column, int64_t columns) {
    if (count >= VL && columns >= VL) {
        UNROLL
        for (int i = 0; i < VL; i++) block[i] = v_load_as(row_at(rows, dtype, i * stride), dtype, column, VL);
    } else {
        for (int i = 0; i < VL; i++)
            block[i] = i < count ? v_load_as(row_at(rows, dtype, i * stride), dtype, column, columns) : v_set(0);
    }
    v_transpose(block);
}

// One tile or panel of `width` rows: target[column][width]. A vector may reach over the end of its group into the next
// column's cells, which are written after it; the caller leaves VL spare floats behind the last tile.
INLINE void pack_transposed(float *target, const void *rows, int32_t dtype, int64_t stride, int64_t count,
                            int64_t columns, float scale, const int width) {
    for (int64_t column = 0; column < columns; column += VL) {
        int64_t part = columns - column < VL ? columns - column : VL;
        vf block[(ZOO_MAX_TILE_ROWS + VL) / VL + NV][VL];
        int groups = 0;
        for (int row = 0; row < width; row += VL, groups++)
            load_transposed(block[groups], row_at(rows, dtype, row * stride), dtype, stride, count - row, column,
                            part);
        for (int64_t d = 0; d < part; d++)
            for (int group = 0; group < groups; group++)
                v_store(target + (column + d) * width + group * VL, block[group][d] * v_set(scale));
    }
}

#define PACK_BY_DTYPE(width, scale)                                                                                \
    if (dtype == ZOO_F32)                                                                                          \
        pack_transposed(target, row, ZOO_F32, stride, left, head_dim, scale, width);                               \
    else if (dtype == ZOO_F16)                                                                                     \
        pack_transposed(target, row, ZOO_F16, stride, left, head_dim, scale, width);                               \
    else                                                                                                           \
        pack_transposed(target, row, ZOO_BF16, stride, left, head_dim, scale, width)

static void pack_query(float *tiles, const void *rows, int32_t dtype, int64_t stride, int64_t count, int64_t head_dim,
                       float scale) {
    for (int64_t start = 0; start < count; start += MR) {
        float *target = tiles + start * head_dim;
        const void *row = row_at(rows, dtype, start * stride);
        int64_t left = count - start < MR ? count - start : MR;
        for (int64_t i = 0; i < MR; i++) fetch_row(rows, dtype, (start + PACK_AHEAD + i) * stride, head_dim);
        PACK_BY_DTYPE(MR, scale);
    }
}

static void pack_keys(float *panels, const void *rows, int32_t dtype, int64_t stride, int64_t count,
                      int64_t head_dim) {
    for (int64_t start = 0; start < count; start += NR) {
        float *target = panels + start * head_dim;
        const void *row = row_at(rows, dtype, start * stride);
        int64_t left = count - start < NR ? count - start : NR;
        for (int64_t i = 0; i < NR; i++) fetch_row(rows, dtype, (start + PACK_AHEAD + i) * stride, head_dim);
        PACK_BY_DTYPE(NR, 1.0f);
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
    else
        special = pack_value_rows(panels, rows, ZOO_BF16, stride, count, value_dim, panel_rows);
    return !v_any(special);
}
