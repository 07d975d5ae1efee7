// Packing of operands into bytes: queries and keys with one scale for each row, values with one for each channel.

// The nearest integers, ties to even, of numbers below 2^22 in magnitude.
INLINE vi v_round(vf x) {
    const float magic = 12582912.0f;
    return (vi)(x + v_set(magic)) - 0x4b400000;
}

// 1 / scale, or 0 where that would not be finite: what is that small is rounded to zero.
INLINE float inverse_scale(float scale) {
    float inverse = 1.0f / scale;
    return inverse < __builtin_inff() ? inverse : 0;
}

// Float tiles [row tile][head_dim][MR] to unsigned bytes [row tile][groups][MR][4], 128 standing for zero. Rows that
// are not finite get a scale that is not.
static void pack_query_bytes(uint8_t *bytes, float *scales, const float *tiles, int64_t rows, int64_t head_dim) {
    const int64_t groups = (head_dim + 3) / 4;
    for (int64_t start = 0; start < rows; start += MR) {
        const float *tile = tiles + start * head_dim;
        uint8_t *target = bytes + start * groups * 4;
        float largest[MR] = {0}, inverse[MR], odd[MR] = {0};
        for (int64_t d = 0; d < head_dim; d++)
            for (int i = 0; i < MR; i++) {
                float a = __builtin_fabsf(tile[d * MR + i]);
                largest[i] = a > largest[i] ? a : largest[i];
                odd[i] += a * 0;
            }
        for (int i = 0; i < MR; i++) {
            float scale = largest[i] / 127.0f;
            inverse[i] = inverse_scale(scale);
            scales[start + i] = scale + odd[i];
        }
        for (int64_t g = 0; g < groups; g++)
            for (int i = 0; i < MR; i++)
                for (int b = 0; b < 4; b++) {
                    int64_t d = 4 * g + b;
                    float q = d < head_dim ? tile[d * MR + i] * inverse[i] : 0;
                    // Rows that are not finite are computed elsewhere; here they need only be defined.
                    q = q > -127.0f ? q : -127.0f;
                    q = q < 127.0f ? q : 127.0f;
                    target[(g * MR + i) * 4 + b] = (uint8_t)((int32_t)((q + 12582912.0f) - 12582912.0f) + 128);
                }
    }
}

// The mean of whole blocks of keys, padded with zeros to whole vectors. Returns whether it is finite.
INLINE int mean_key(float *mean, const void *rows, int32_t dtype, int64_t stride, int64_t count, int64_t head_dim) {
    vi special = (vi)(0);
    for (int64_t d = 0; d < head_dim; d += VL) {
        vf sum[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
        for (int64_t key = 0; key < count; key += 4)
            UNROLL
            for (int i = 0; i < 4; i++)
                sum[i] += v_load_as(row_at(rows, dtype, (key + i) * stride), dtype, d, head_dim - d);
        vf total = ((sum[0] + sum[1]) + (sum[2] + sum[3])) * v_set(1.0f / (float)count);
        special |= v_special(total);
        v_store(mean + d, total);
    }
    return !v_any(special);
}

// A panel of keys minus their mean, in bytes [groups][NR][4].
INLINE void pack_key_panel(int8_t *panel, float *scales, int32_t *corrections, const float *mean, const void *rows,
                           int32_t dtype, int64_t stride, int64_t head_dim) {
    const int64_t groups = (head_dim + 3) / 4;
    vi sums[NV];
    UNROLL
    for (int v = 0; v < NV; v++) sums[v] = (vi)(0);
    float inverse[NR];
    for (int key = 0; key < NR; key++) {
        const void *row = row_at(rows, dtype, key * stride);
        vf largest = v_set(0);
        for (int64_t d = 0; d < head_dim; d += VL)
            largest = v_max(v_abs(v_load_as(row, dtype, d, head_dim - d) - v_load(mean + d)), largest);
        scales[key] = v_reduce_max(largest) / 127.0f;
        inverse[key] = inverse_scale(scales[key]);
    }
    // Four times VL channels of VL keys: each lane takes four bytes, then lanes are transposed as floats would be.
    for (int64_t d = 0; d < head_dim; d += 4 * VL)
        for (int v = 0; v < NV; v++) {
            vu block[VL];
            for (int i = 0; i < VL; i++) {
                const void *row = row_at(rows, dtype, (v * VL + i) * stride);
                const vf factor = v_set(inverse[v * VL + i]);
                signed char part[4 * VL] __attribute__((aligned(64))) = {0};
                for (int b = 0; b < 4 && d + b * VL < head_dim; b++) {
                    const int64_t at = d + b * VL;
                    vf k = (v_load_as(row, dtype, at, head_dim - at) - v_load(mean + at)) * factor;
                    vb bytes = __builtin_convertvector(v_round(k), vb);
                    __builtin_memcpy(part + b * VL, &bytes, sizeof(bytes));
                }
                block[i] = (vu)v_load_bytes(part);
            }
            v_transpose(block);
            for (int64_t g = 0; g < VL && d / 4 + g < groups; g++) {
                int8_t *target = panel + ((d / 4 + g) * NR + v * VL) * 4;
                __builtin_memcpy(target, &block[g], sizeof(vf));
                sums[v] = v_dot4(sums[v], (vi)((int32_t)0x80808080), (vi)block[g]);
            }
        }
    for (int v = 0; v < NV; v++) {
        vi correction = -sums[v];
        __builtin_memcpy(corrections + v * VL, &correction, sizeof(correction));
    }
}

#define PACK_BYTES_BY_DTYPE(BODY)                                                                                  \
    if (dtype == ZOO_F32) {                                                                                        \
        BODY(ZOO_F32)                                                                                              \
    } else if (dtype == ZOO_F16) {                                                                                 \
        BODY(ZOO_F16)                                                                                              \
    } else {                                                                                                       \
        BODY(ZOO_BF16)                                                                                             \
    }

// A whole block of keys; the next one is fetched on the way. Returns whether every number that came of it is finite.
static int32_t pack_key_bytes(const struct zoo_byte_keys *keys, const void *rows, int32_t dtype, int64_t stride,
                              int64_t count, int64_t head_dim) {
    const int64_t groups = (head_dim + 3) / 4;
    int finite = 1;
    for (int64_t key = 0; key < count; key++) fetch_row(rows, dtype, (count + key) * stride, head_dim);
#define KEYS(type)                                                                                                 \
    finite = mean_key(keys->mean, rows, type, stride, count, head_dim);                                            \
    for (int64_t key = 0; finite && key < count; key += NR)                                                        \
        pack_key_panel(keys->bytes + key * groups * 4, keys->scales + key, keys->corrections + key, keys->mean,    \
                       row_at(rows, type, key * stride), type, stride, head_dim);
    PACK_BYTES_BY_DTYPE(KEYS)
#undef KEYS
    if (!finite) return 0;
    vi special = (vi)(0);
    for (int64_t key = 0; key < count; key += VL) special |= v_special(v_load(keys->scales + key));
    return !v_any(special);
}

// Values of one vector of channels: middle and scale from the least and the largest, then bytes [keys / 4][NR][4].
INLINE vi pack_value_lane(const struct zoo_byte_values *values, int64_t panel, int lane, const void *rows,
                          int32_t dtype, int64_t stride, int64_t count, int64_t value_dim) {
    const int64_t at = panel + lane, left = value_dim - at;
    vf least = v_set(0), most = v_set(0), middle = v_set(0), half = v_set(0);
    vi special = (vi)(0);
    if (left > 0) {
        least = most = v_load_as(rows, dtype, at, left);
        for (int64_t key = 0; key < count; key++) {
            vf x = v_load_as(row_at(rows, dtype, key * stride), dtype, at, left);
            special |= v_special(x);
            least = v_select(x < least, x, least);
            most = v_select(x > most, x, most);
        }
        middle = least * v_set(0.5f) + most * v_set(0.5f);
        half = most * v_set(0.5f) - least * v_set(0.5f);
    }
    vf scale = half / v_set(127.0f), inverse = v_set(1.0f) / scale;
    inverse = v_select(inverse < v_set(__builtin_inff()), inverse, v_set(0));
    v_store(values->middles + at, middle);
    // Weights are in 255ths.
    v_store(values->scales + at, scale / v_set(255.0f));
    int8_t *target = values->bytes + (panel * count) + lane * 4;
    for (int64_t key = 0; key < count; key += 4, target += NR * 4) {
        vi four = (vi)(0);
        if (left > 0)
            UNROLL
            for (int b = 0; b < 4; b++) {
                vf x = v_load_as(row_at(rows, dtype, (key + b) * stride), dtype, at, left);
                four |= (v_round((x - middle) * inverse) & 255) << (8 * b);
            }
        __builtin_memcpy(target, &four, sizeof(four));
    }
    return special;
}

// A whole block of values; the next one is fetched on the way. Returns whether all are finite.
static int32_t pack_value_bytes(const struct zoo_byte_values *values, const void *rows, int32_t dtype, int64_t stride,
                                int64_t count, int64_t value_dim) {
    vi special = (vi)(0);
    for (int64_t key = 0; key < count; key++) fetch_row(rows, dtype, (count + key) * stride, value_dim);
#define VALUES(type)                                                                                               \
    for (int64_t panel = 0; panel < value_dim; panel += NR)                                                        \
        for (int lane = 0; lane < NR; lane += VL)                                                                  \
            special |= pack_value_lane(values, panel, lane, rows, type, stride, count, value_dim);
    PACK_BYTES_BY_DTYPE(VALUES)
#undef VALUES
    return !v_any(special);
}
