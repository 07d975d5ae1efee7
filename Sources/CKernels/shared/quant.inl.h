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

INLINE int64_t scale_bytes(int32_t dtype) { return dtype == ZOO_F32 ? 4 : 2; }

INLINE int64_t group_head(const struct zoo_quant_format *f) {
    return NR * (scale_bytes(f->scale_dtype) + (f->has_zeros ? 2 : 0));
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
    const vh bits = *(const vh_unaligned *)(group + NR * scale_bytes(f->scale_dtype) + v * VL * 2);
    typedef int16_t vs_half __attribute__((ext_vector_type(VL)));
    return __builtin_convertvector((vs_half)bits, vf);
}

// How far ahead codes are fetched, by measurement (two threads, 142 MB of codes of four bits, 25 GB/s): one row takes 7.0 ms
// with 512 and 1024 bytes, 5.7 with 2048 and 4.3 to 4.6 with 4096; eight rows 12 to 15 without, 7.8 to 8.4 with.
#define QUANT_AHEAD 4096

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
        vi s[QUANT_SUMS][NV];
        UNROLL
        for (int i = 0; i < R; i++)
            UNROLL
            for (int v = 0; v < NV; v++) s[i][v] = (vi)(0);
        if (first == 0) {
            UNROLL
            for (int64_t line = 0; line < block_bytes(bits); line += 64)
                __builtin_prefetch(block + QUANT_AHEAD + line, 0, 3);
        }
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
        if (R > FEW_SUMS) IN_MEMORY(sum);
        block += block_bytes(bits);
        bytes += BLOCK_QUADS * step;
        scales += x->rows;
    }
    UNROLL
    for (int v = 0; v < NV; v++) {
        const vf scale = panel_vector(group, f->scale_dtype, v * VL);
        const vf zero = group_zeros(f, group, v);
        UNROLL
        for (int i = 0; i < R; i++)
            y[i][v] = V_FMA(scale, V_FMA(zero, v_set(-x->sums[g * x->rows + first + i]), sum[i][v]), y[i][v]);
    }
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
    for (int64_t i = 0; i < x->rows; i++)
        for (int v = 0; v < NV; v++) y[i][v] = bias ? v_load(bias + v * VL) : v_set(0);
#define PANEL(bits) quant_panel(bits, SUMS_ARE_SHORT(bits), y, x, panel, f)
    switch (f->bits) {
    case 2: PANEL(2); break;
    case 3: PANEL(3); break;
    case 4: PANEL(4); break;
    default:
#ifdef V_BYTE_PAIRS
        if (SUMS_ARE_SHORT(f->code_bits)) {
            quant_panel(8, 1, y, x, panel, f);
            break;
        }
#endif
        PANEL(8);
    }
#undef PANEL
    for (int64_t i = 0; i < x->rows; i++) {
        float part[NR];
        float *to = columns >= NR ? c + i * c_stride : part;
        for (int v = 0; v < NV; v++) v_store(to + v * VL, y[i][v]);
        if (columns < NR) __builtin_memcpy(c + i * c_stride, part, (size_t)columns * sizeof(float));
    }
}

// One block of a row in bytes: to the nearest multiple of the largest magnitude / 127, ties to even.
INLINE float quant_block(int8_t *to, int64_t step, const float *from, int32_t *total) {
    const vf magic = v_set(0x1.8p23f);
    vf largest = v_set(0);
    vi special = (vi)(0);
    UNROLL
    for (int k = 0; k < ZOO_QUANT_BLOCK; k += VL) {
        const vf part = v_load(from + k);
        largest = v_max(v_abs(part), largest);
        special |= v_special(part);
    }
    const float most = v_reduce_max(largest);
    *total = 0;
    // Below this 127 / most is not finite.
    const int is_zero = !(most >= 0x1p-119f);
    if (v_any(special) || is_zero) {
        for (int quad = 0; quad < BLOCK_QUADS; quad++) __builtin_memset(to + quad * step, 0, 4);
        return v_any(special) ? __builtin_nanf("") : 0;
    }
    const vf factor = v_set(127.0f / most);
    vi sum = (vi)(0);
    UNROLL
    for (int k = 0; k < ZOO_QUANT_BLOCK; k += VL) {
        const vi code = (vi)(v_load(from + k) * factor + magic) - (vi)magic;
        sum += code;
        const vb narrow = __builtin_convertvector(code, vb);
        int8_t cells[VL];
        __builtin_memcpy(cells, &narrow, VL);
        UNROLL
        for (int quad = 0; quad < VL / 4; quad++) __builtin_memcpy(to + (k / 4 + quad) * step, cells + quad * 4, 4);
    }
    UNROLL
    for (int lane = 0; lane < VL; lane++) *total += sum[lane];
    return most / 127.0f;
}

static void quant_pack_rows(const struct zoo_quant_rows *x, const float *rows, int64_t stride, int64_t inner,
                            const int32_t *order, const struct zoo_quant_format *f) {
    const int64_t R = x->rows;
    for (int64_t i = 0; i < R; i++) {
        const float *row = rows + i * stride;
        for (int64_t g = 0; g < f->groups; g++) {
            float sum = 0;
            for (int64_t b = g * f->group_blocks; b < (g + 1) * f->group_blocks; b++) {
                float part[ZOO_QUANT_BLOCK];
                const float *from = row + b * ZOO_QUANT_BLOCK;
                if (order) {
                    for (int k = 0; k < ZOO_QUANT_BLOCK; k++) {
                        const int32_t place = order[b * ZOO_QUANT_BLOCK + k];
                        part[k] = place < 0 ? 0 : row[place];
                    }
                    from = part;
                } else if ((b + 1) * ZOO_QUANT_BLOCK > inner) {
                    const int64_t rest = inner - b * ZOO_QUANT_BLOCK;
                    __builtin_memset(part, 0, sizeof(part));
                    if (rest > 0) __builtin_memcpy(part, from, (size_t)rest * sizeof(float));
                    from = part;
                }
                int32_t total;
                const float scale = quant_block(x->bytes + (b * ZOO_QUANT_BLOCK * R) + i * 4, R * 4, from, &total);
                x->scales[b * R + i] = scale;
                sum = S_FMA(scale, (float)total, sum);
            }
            x->sums[g * R + i] = sum;
        }
    }
}

// The cells of one group, from codes [outputs of the panel][stride] in the group's order. A negative place, or an output
// beyond count, has the code 0 and the scale 0.
static void quant_pack_group(void *cells, const struct zoo_quant_format *f, const uint8_t *codes, int64_t stride,
                             const int32_t *places, const float *scales, const int16_t *zeros, int64_t meta_stride,
                             int64_t count) {
    char *to = cells;
    for (int64_t lane = 0; lane < NR; lane++) {
        const float scale = lane < count ? scales[lane * meta_stride] : 0;
        const int16_t zero = lane < count && zeros ? zeros[lane * meta_stride] : 0;
        if (f->scale_dtype == ZOO_F32) {
            __builtin_memcpy(to + lane * 4, &scale, 4);
        } else {
            uint16_t half;
            if (f->scale_dtype == ZOO_F16)
                half = half_bits(scale);
            else
                half = bfloat_bits(scale);
            __builtin_memcpy(to + lane * 2, &half, 2);
        }
        if (f->has_zeros) __builtin_memcpy(to + NR * scale_bytes(f->scale_dtype) + lane * 2, &zero, 2);
    }
    uint8_t *block = (uint8_t *)to + group_head(f);
    for (int64_t b = 0; b < f->group_blocks; b++, block += block_bytes(f->bits)) {
        __builtin_memset(block, 0, (size_t)block_bytes(f->bits));
        for (int64_t k = 0; k < ZOO_QUANT_BLOCK; k++) {
            const int64_t quad = k / 4, place = places[b * ZOO_QUANT_BLOCK + k];
            if (place < 0) continue;
            for (int64_t lane = 0; lane < count; lane++) {
                const uint8_t code = codes[lane * stride + place];
                uint8_t *cell = block + lane * 4 + k % 4;
                switch (f->bits) {
                case 8: cell[quad * NR * 4] = code; break;
                case 4: cell[quad % 4 * NR * 4] |= (uint8_t)(code << (quad / 4 * 4)); break;
                default:
                    cell[quad % 2 * NR * 4] |= (uint8_t)((code & 3) << (quad / 2 * 2));
                    if (f->bits == 3) cell[2 * NR * 4] |= (uint8_t)((code >> 2) << quad);
                }
            }
        }
    }
}

#define FOR_BITS(bits, BODY)                                                                                       \
    switch (bits) {                                                                                                \
    case 2: BODY(2); break;                                                                                        \
    case 3: BODY(3); break;                                                                                        \
    case 4: BODY(4); break;                                                                                        \
    default: BODY(8); break;                                                                                       \
    }

// The same groups with eight bits to a code: what many rows read.
static void quant_widen(void *wide, const void *panel, const struct zoo_quant_format *f) {
    char *to = wide;
    const char *from = panel;
    for (int64_t g = 0; g < f->groups; g++) {
        __builtin_memcpy(to, from, (size_t)group_head(f));
        to += group_head(f);
        from += group_head(f);
#define WIDEN(B)                                                                                                   \
    for (int64_t b = 0; b < f->group_blocks; b++, from += block_bytes(B), to += block_bytes(8)) {                 \
        UNROLL                                                                                                     \
        for (int quad = 0; quad < BLOCK_QUADS; quad++)                                                             \
            UNROLL                                                                                                 \
            for (int v = 0; v < NV; v++) {                                                                         \
                const vi codes = quad_codes(B, from, quad % QUAD_LINES(B), quad / QUAD_LINES(B), v);                                                     \
                __builtin_memcpy(to + (quad * NR + v * VL) * 4, &codes, sizeof(codes));                            \
            }                                                                                                      \
    }
        FOR_BITS(f->bits, WIDEN)
#undef WIDEN
    }
}

// Groups as F32 [inputs][NR]: scale * (code - zero), one rounding.
static void quant_to_float(float *cells, const void *panel, const struct zoo_quant_format *f) {
    const char *from = panel;
    for (int64_t g = 0; g < f->groups; g++) {
        vf scale[NV], zero[NV];
        UNROLL
        for (int v = 0; v < NV; v++) {
            scale[v] = panel_vector(from, f->scale_dtype, v * VL);
            zero[v] = group_zeros(f, from, v);
        }
        from += group_head(f);
#define FLOATS(B)                                                                                                  \
    for (int64_t b = 0; b < f->group_blocks; b++, from += block_bytes(B), cells += ZOO_QUANT_BLOCK * NR) {        \
        UNROLL                                                                                                     \
        for (int quad = 0; quad < BLOCK_QUADS; quad++)                                                             \
            UNROLL                                                                                                 \
            for (int v = 0; v < NV; v++) {                                                                         \
                const vu codes = (vu)quad_codes(B, from, quad % QUAD_LINES(B), quad / QUAD_LINES(B), v);                                                 \
                UNROLL                                                                                             \
                for (int part = 0; part < 4; part++) {                                                             \
                    const vf code = __builtin_convertvector((vi)((codes >> (8 * part)) & 255), vf);                \
                    v_store(cells + (quad * 4 + part) * NR + v * VL, scale[v] * (code - zero[v]));                 \
                }                                                                                                  \
            }                                                                                                      \
    }
        FOR_BITS(f->bits, FLOATS)
#undef FLOATS
    }
}
