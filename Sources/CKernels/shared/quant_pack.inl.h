// Rows into bytes, codes into panels, and panels into whole bytes and into F32: the layouts of quant.inl.h.

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
        if (f->has_zeros) __builtin_memcpy(to + NR * cell_bytes(f->scale_dtype) + lane * 2, &zero, 2);
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
