// Products of rows with a weight in 2, 3, 4 or 8 bits: scale[o, g] * (code[o, i] - zero[o, g]).
//
//   y[r, o] = sum over groups g: scale[o, g] * (sum over blocks b of g: xs[r, b] * sum of code * xq  -  zero[o, g] * xt[r, g])
//
// xq are the row's inputs in signed bytes, xs their scale for each block of 32, xt[r, g] the sum of xs * xq over the group.
// The inner sums are whole numbers and exact; everything else is added in order, so a row's bits are those of the row alone.
//
// A panel is a run of groups: scales[NR] of the scale type, zeros[NR] of 16 bits when it has any, then the codes of its
// blocks. The codes of a block of 32 inputs, four inputs (a quad) to each lane of 32 bits:
//   8 bits  [8 quads][NR][4]
//   4 bits  [4][NR][4]  quad q low, quad q + 4 high
//   2 bits  [2][NR][4]  quads q, q + 2, q + 4, q + 6 from the lowest bits up
//   3 bits  as 2 bits, then [NR][4] with the third bit of quad q at bit q

#define NO_UNROLL _Pragma("clang loop unroll(disable)")
#define BLOCK_QUADS (ZOO_QUANT_BLOCK / 4)

INLINE int64_t block_bytes(const int bits) { return (int64_t)bits * ZOO_QUANT_BLOCK / 8 * NR; }

INLINE int64_t group_head(const struct zoo_quant_format *f) {
    return NR * (cell_bytes(f->scale_dtype) + (f->has_zeros ? 2 : 0));
}

static int64_t quant_group_bytes(const struct zoo_quant_format *f) {
    return group_head(f) + f->group_blocks * block_bytes(f->bits);
}

// Lines of a block that hold whole codes, or two bits of each of three: quad = line + part * lines.
#define QUAD_LINES(bits) ((bits) == 8 ? 8 : (bits) == 4 ? 4 : 2)

// The codes of one quad in vector v of a block, one in each byte.
INLINE vi quad_codes(const int bits, const char *block, const int line, const int part, const int v) {
#define CELLS(line) v_load_bytes(block + ((line) * NR + v * VL) * 4)
    const vi cells = CELLS(line);
    if (bits == 8) return cells;
    if (bits == 4) return (vi)((vu)cells >> (part * 4)) & 0x0f0f0f0f;
    const vi low = (vi)((vu)cells >> (part * 2)) & 0x03030303;
    if (bits == 2) return low;
    const vi third = (vi)((vu)CELLS(2) >> (line + part * 2)) & 0x01010101;
    return low | (vi)((vu)third << 2);
#undef CELLS
}

INLINE vf group_zeros(const struct zoo_quant_format *f, const char *group, int v) {
    if (!f->has_zeros) return v_set((float)(1 << (f->code_bits - 1)));
    const vh bits = *(const vh_unaligned *)(group + NR * cell_bytes(f->scale_dtype) + v * VL * 2);
    typedef int16_t vs_half __attribute__((ext_vector_type(VL)));
    return __builtin_convertvector((vs_half)bits, vf);
}

// How far ahead codes are fetched, by measurement (two threads, 142 MB of codes of four bits, 25 GB/s): one row takes 7.0 ms
// with 512 and 1024 bytes, 5.7 with 2048 and 4.3 to 4.6 with 4096; eight rows 12 to 15 without, 7.8 to 8.4 with.
#define QUANT_AHEAD 4096
// The same for one row that reads several panels side by side: 24 GB/s with one panel, 27 with two, 28 with three and 29 with
// four, beside 27 of a plain read; 512 to 2048 bytes are within 3 % of each other, 4096 costs 5 %.
#define QUANT_AHEAD_IN_STREAMS 1024

// Makes the compiler keep an array in memory: registers are for the sums of products.
#define IN_MEMORY(array) __asm__ volatile("" : : "r"(array) : "memory")

// Sums of products over a whole block of codes of at most four bits: without an instruction for four bytes they stay in
// 16 bits, 8 quads of twice 15 * 127 being less than 2^15, and pairs become whole numbers once for the block.
#ifdef V_BYTE_PAIRS
#define SUMS_ARE_SHORT(code_bits) ((code_bits) <= 4)
INLINE vi v_add_short(vi sum, vi a, vi b) { return (vi)((vs_gcc)sum + (vs_gcc)V_BYTE_PAIRS(a, b)); }
INLINE vi v_whole_of_short(vi sum) { return (vi)V_PAIRS((vs_gcc)sum, (vs_gcc)((vi)(0x00010001))); }
#else
#define SUMS_ARE_SHORT(code_bits) 0
INLINE vi v_add_short(vi sum, vi a, vi b) { return v_dot4(sum, a, b); }
INLINE vi v_whole_of_short(vi sum) { return sum; }
#endif

// Rows of a tile, and how many of them have their sums in registers at once. Sixteen registers hold those of four rows:
// eight go group by group as two times four, so that both find the group's codes in the first-level cache.
#if VL == 8
#define QUANT_ROWS 8
#define QUANT_SUMS 4
#define FOR_SUMS(rows, BODY)                                                                                       \
    switch (rows) {                                                                                                \
    case 1: BODY(1); break;                                                                                        \
    case 2: BODY(2); break;                                                                                        \
    case 3: BODY(3); break;                                                                                        \
    default: BODY(4);                                                                                              \
    }
#else
#define QUANT_ROWS MR
#define QUANT_SUMS MR
#define FOR_SUMS FOR_ROWS
#endif
// Up to so many rows the sums of the group fit the registers too.
#define FEW_SUMS (VL == 16 ? 4 : 1)

// Adds the products of R rows with one quad of a block to their sums; bytes: the quad's of the first row.
INLINE void quant_line(const int R, const int bits, const int is_short, vi (*s)[NV], const char *block, const int line,
                       const int part, const int8_t *bytes) {
    vi codes[NV];
    UNROLL
    for (int v = 0; v < NV; v++) codes[v] = quad_codes(bits, block, line, part, v);
    UNROLL
    for (int i = 0; i < R; i++) {
        const vi four = v_set_bytes(bytes + i * 4);
        UNROLL
        for (int v = 0; v < NV; v++)
            s[i][v] = is_short ? v_add_short(s[i][v], codes[v], four) : v_dot4(s[i][v], codes[v], four);
    }
}

// Adds the products of R rows with one block to their sums; bytes and scales: the block's of the first row.
INLINE void quant_add_block(const int R, const int bits, const int is_short, vf (*sum)[NV], const char *block,
                            const int8_t *bytes, const float *scales, const int64_t step) {
    vi s[QUANT_SUMS][NV];
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int v = 0; v < NV; v++) s[i][v] = (vi)(0);
    UNROLL
    for (int part = 0; part < BLOCK_QUADS / QUAD_LINES(bits); part++) {
#define LINE(line) quant_line(R, bits, is_short, s, block, line, part, bytes + (part * QUAD_LINES(bits) + (line)) * step)
        // Few rows lose half their speed to the loop; many would not fit the cache of instructions without it.
        if (R <= 4) {
            UNROLL
            for (int line = 0; line < QUAD_LINES(bits); line++) LINE(line);
        } else {
            NO_UNROLL
            for (int line = 0; line < QUAD_LINES(bits); line++) LINE(line);
        }
#undef LINE
    }
    UNROLL
    for (int i = 0; i < R; i++) {
        const vf scale = v_set(scales[i]);
        UNROLL
        for (int v = 0; v < NV; v++) {
            const vi whole = is_short ? v_whole_of_short(s[i][v]) : s[i][v];
            sum[i][v] = V_FMA(__builtin_convertvector(whole, vf), scale, sum[i][v]);
        }
    }
}

// Adds a group's sums to y, with its scales and zeros; totals: the group's of the first row.
INLINE void quant_end_group(const int R, vf (*y)[NV], vf (*sum)[NV], const char *group,
                            const struct zoo_quant_format *f, const float *totals) {
    UNROLL
    for (int v = 0; v < NV; v++) {
        const vf scale = panel_vector(group, f->scale_dtype, v * VL);
        const vf zero = group_zeros(f, group, v);
        UNROLL
        for (int i = 0; i < R; i++)
            y[i][v] = V_FMA(scale, V_FMA(zero, v_set(-totals[i]), sum[i][v]), y[i][v]);
    }
}

INLINE void fetch_block(const int bits, const char *block, const int64_t ahead) {
    UNROLL
    for (int64_t line = 0; line < block_bytes(bits); line += 64) __builtin_prefetch(block + ahead + line, 0, 3);
}

// BODY with the bits of a code as the panel holds it, and whether sums of its products are short: widened codes keep that.
#define FOR_CODES(f, BODY, argument)                                                                               \
    switch ((f)->bits) {                                                                                           \
    case 2: BODY(2, SUMS_ARE_SHORT(2), argument); break;                                                           \
    case 3: BODY(3, SUMS_ARE_SHORT(3), argument); break;                                                           \
    case 4: BODY(4, SUMS_ARE_SHORT(4), argument); break;                                                           \
    default:                                                                                                       \
        if (SUMS_ARE_SHORT((f)->code_bits))                                                                        \
            BODY(8, 1, argument);                                                                                   \
        else                                                                                                       \
            BODY(8, 0, argument);                                                                                  \
    }

// Adds the products of R rows, from row `first` of the tile on, with group g of a panel to y.
INLINE void quant_group(const int R, const int bits, const int is_short, vf (*y)[NV], const struct zoo_quant_rows *x,
                        const int64_t first, const int64_t g, const char *group, const struct zoo_quant_format *f) {
    vf sum[QUANT_SUMS][NV];
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int v = 0; v < NV; v++) sum[i][v] = v_set(0);
    if (R > FEW_SUMS) IN_MEMORY(sum);
    const int64_t step = x->rows * 4;
    const char *block = group + group_head(f);
    const int8_t *bytes = x->bytes + g * f->group_blocks * BLOCK_QUADS * step + first * 4;
    const float *scales = x->scales + g * f->group_blocks * x->rows + first;
    for (int64_t b = 0; b < f->group_blocks; b++) {
        if (first == 0) fetch_block(bits, block, QUANT_AHEAD);
        quant_add_block(R, bits, is_short, sum, block, bytes, scales, step);
        if (R > FEW_SUMS) IN_MEMORY(sum);
        block += block_bytes(bits);
        bytes += BLOCK_QUADS * step;
        scales += x->rows;
    }
    quant_end_group(R, y, sum, group, f, x->sums + g * x->rows + first);
}

// Adds the products of all rows of a tile with a panel to y.
INLINE void quant_panel(const int bits, const int is_short, vf (*y)[NV], const struct zoo_quant_rows *x,
                        const char *group, const struct zoo_quant_format *f) {
    const int64_t bytes = quant_group_bytes(f);
    for (int64_t g = 0; g < f->groups; g++, group += bytes)
        for (int64_t first = 0; first < x->rows; first += QUANT_SUMS) {
#define GROUP(R) quant_group(R, bits, is_short, y + first, x, first, g, group, f)
            FOR_SUMS(x->rows - first, GROUP)
#undef GROUP
        }
}

static void quant_tile(float *c, int64_t c_stride, const struct zoo_quant_rows *x, const void *panel,
                       const struct zoo_quant_format *f, const float *bias, int64_t columns) {
    vf y[QUANT_ROWS][NV];
    for (int64_t i = 0; i < x->rows; i++) load_lanes(y[i], bias, NR);
#define PANEL(bits, is_short, _) quant_panel(bits, is_short, y, x, panel, f)
    FOR_CODES(f, PANEL, )
#undef PANEL
    for (int64_t i = 0; i < x->rows; i++) store_lanes(c + i * c_stride, y[i], columns);
}

// Adds the products of one row with P panels, `apart` bytes apart, to y: block by block in turn.
INLINE void quant_streams(const int P, const int bits, const int is_short, vf (*y)[NV], const struct zoo_quant_rows *x,
                          const char *group, const struct zoo_quant_format *f, const int64_t apart) {
    const int8_t *bytes = x->bytes;
    const float *scales = x->scales;
    for (int64_t g = 0; g < f->groups; g++) {
        vf sum[ZOO_ROW_STREAMS][NV];
        UNROLL
        for (int p = 0; p < P; p++)
            UNROLL
            for (int v = 0; v < NV; v++) sum[p][v] = v_set(0);
        const char *block = group + group_head(f);
        for (int64_t b = 0; b < f->group_blocks; b++) {
            UNROLL
            for (int p = 0; p < P; p++) {
                fetch_block(bits, block + p * apart, P > 1 ? QUANT_AHEAD_IN_STREAMS : QUANT_AHEAD);
                quant_add_block(1, bits, is_short, sum + p, block + p * apart, bytes, scales, 4);
            }
            block += block_bytes(bits);
            bytes += ZOO_QUANT_BLOCK;
            scales++;
        }
        UNROLL
        for (int p = 0; p < P; p++) quant_end_group(1, y + p, sum + p, group + p * apart, f, x->sums + g);
        group = block;
    }
}

static void quant_row(float *c, const struct zoo_quant_rows *x, const void *panels, const struct zoo_quant_format *f,
                      const float *start, const struct zoo_side_panels *side) {
    const int64_t apart = side->apart * f->groups * quant_group_bytes(f);
#define STREAMS(P, first)                                                                                          \
    do {                                                                                                           \
        vf y[P][NV];                                                                                               \
        const char *cells = (const char *)panels + (first) * apart;                                                \
        load_starts(P, y, start, first, side);                                                                     \
        FOR_CODES(f, QUANT_STREAMS, P)                                                                             \
        store_sums(P, c, y, first, side);                                                                          \
    } while (0)
#define QUANT_STREAMS(bits, is_short, P) quant_streams(P, bits, is_short, y, x, cells, f, apart)
    FOR_STREAMS(side->count, STREAMS)
#undef QUANT_STREAMS
#undef STREAMS
}
