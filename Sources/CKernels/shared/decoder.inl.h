// Row-wise work of decoders: root-mean-square norms, rotary positions, gated activations, capped scores, rows of a cache
// in bytes.

// row / sqrt(mean of squares + epsilon) * gain. Target and row may be the same.
static void rms_norm_row(float *target, const float *row, const float *gain, int64_t count, float epsilon) {
    // Eight chains of Double sums, the same on every table: one chain would wait for each of its additions.
    double sums[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        UNROLL
        for (int lane = 0; lane < 8; lane++) sums[lane] += (double)row[i + lane] * (double)row[i + lane];
    for (int lane = 0; i < count; i++, lane++) sums[lane] += (double)row[i] * (double)row[i];
    const double squares =
        ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    const float scale = (float)(1 / __builtin_sqrt(squares / (double)count + (double)epsilon));
    for (i = 0; i < count; i++) target[i] = row[i] * scale * gain[i];
}

INLINE void rotate_pairs(float *first, float *second, vf left, vf right, vf cosine, vf sine, int64_t n) {
    vf turned = left * cosine - right * sine, other = right * cosine + left * sine;
    if (n >= VL) {
        v_store(first, turned);
        v_store(second, other);
    } else {
        v_store_part(first, turned, n);
        v_store_part(second, other, n);
    }
}

// Turns pairs of features of each head by angles of the row's place: features i and i + half, or 2i and 2i + 1.
static void rotate_heads(float *row, int64_t heads, int64_t stride, const float *cosine, const float *sine,
                         int64_t half, int32_t interleaved) {
    for (int64_t head = 0; head < heads; head++, row += stride) {
        if (interleaved) {
            for (int64_t i = 0; i < half; i++) {
                float left = row[2 * i], right = row[2 * i + 1];
                row[2 * i] = left * cosine[i] - right * sine[i];
                row[2 * i + 1] = right * cosine[i] + left * sine[i];
            }
            continue;
        }
        int64_t i = 0;
        for (; i + VL <= half; i += VL)
            rotate_pairs(row + i, row + half + i, v_load(row + i), v_load(row + half + i), v_load(cosine + i),
                         v_load(sine + i), VL);
        if (i < half) {
            int64_t n = half - i;
            rotate_pairs(row + i, row + half + i, v_load_part(row + i, n), v_load_part(row + half + i, n),
                         v_load_part(cosine + i, n), v_load_part(sine + i, n), n);
        }
    }
}

// target = activation(gate) * up. Target may be either.
static void gate_row(float *target, const float *gate, const float *up, int64_t count, int32_t activation) {
    int64_t i = 0;
    for (; i + VL <= count; i += VL)
        v_store(target + i, activate_vector(v_load(gate + i), activation) * v_load(up + i));
    if (i < count)
        v_store_part(target + i,
                     activate_vector(v_load_part(gate + i, count - i), activation) * v_load_part(up + i, count - i),
                     count - i);
}

// target = cap * tanh(source / cap). Target and source may be the same.
static void soft_cap(float *target, const float *source, int64_t count, float cap) {
    const vf caps = v_set(cap);
    int64_t i = 0;
    for (; i + VL <= count; i += VL) v_store(target + i, caps * v_tanh(v_load(source + i) / caps));
    if (i < count) v_store_part(target + i, caps * v_tanh(v_load_part(source + i, count - i) / caps), count - i);
}

// The heads of a row in bytes, each with a scale: cell / (largest / 127), halves away from zero. Divided and not
// multiplied by an inverse, so that every table and AttentionInputs.quantizingKeys make the same bytes.
static void round_heads(int8_t *bytes, float *scales, const float *row, int64_t heads, int64_t head_dim) {
    for (int64_t head = 0; head < heads; head++, row += head_dim, bytes += head_dim) {
        vf largest = v_set(0);
        vi special = (vi)(0);
        for (int64_t d = 0; d < head_dim; d += VL) {
            vf x = v_load_as(row, ZOO_F32, d, head_dim - d);
            special |= v_special(x);
            largest = v_max(v_abs(x), largest);
        }
        const float scale = v_any(special) ? __builtin_nanf("") : v_reduce_max(largest) / 127.0f;
        scales[head] = scale;
        if (!(scale > 0)) {
            __builtin_memset(bytes, 0, (size_t)head_dim);
            continue;
        }
        for (int64_t d = 0; d < head_dim; d += VL) {
            vf x = v_load_as(row, ZOO_F32, d, head_dim - d) / v_set(scale), magnitude = v_abs(x);
            // Adding a half first would round the number below it up.
            vi whole = __builtin_convertvector(magnitude, vi);
            whole -= (vi)(magnitude - __builtin_convertvector(whole, vf) >= v_set(0.5f));
            // A scale without all its bits, below the normal numbers, makes quotients beyond 127.
            whole = whole < 127 ? whole : (vi)(127);
            const vi sign = (vi)x >> 31;
            vb part = __builtin_convertvector((whole ^ sign) - sign, vb);
            if (head_dim - d >= VL)
                __builtin_memcpy(bytes + d, &part, sizeof(part));
            else
                __builtin_memcpy(bytes + d, &part, (size_t)(head_dim - d));
        }
    }
}
