// Attention whose products are of bytes: one block of keys that whole rows see (SageAttention: Zhang et al., 2024).
//
//   S      = (sq ⊗ sk) (Q8 K8ᵀ) + Q k̄               K8 rounds K - k̄, the block's mean key, which softmax does not see
//   m      = rowmax S,  P = 2^(S - m)
//   P8     = floor(255 P + dither)                   unbiased: small weights are not lost, on average they are right
//   O'     = 2^(old - m') O + 2^(m - m') (sv (P8 V8) / 255 + rowsum P v̄)

INLINE void byte_score_tile(const int R, const struct zoo_byte_args *args, int64_t row, const float *shifts,
                            float *maxima) {
    const int64_t groups = (args->head_dim + 3) / 4;
    const uint8_t *query = args->query_bytes + row * groups * 4;
    vf highest[MR];
    UNROLL
    for (int i = 0; i < R; i++) highest[i] = v_set(minus_infinity);
    const int8_t *panel = args->keys.bytes;
    for (int64_t key = 0; key < args->count; key += NR) {
        vi c[MR][NV];
        UNROLL
        for (int v = 0; v < NV; v++) {
            vi correction = v_load_bytes(args->keys.corrections + key + v * VL);
            UNROLL
            for (int i = 0; i < R; i++) c[i][v] = correction;
        }
        for (int64_t g = 0; g < groups; g++, panel += NR * 4) {
            vi b[NV];
            UNROLL
            for (int v = 0; v < NV; v++) b[v] = v_load_bytes(panel + v * VL * 4);
            UNROLL
            for (int i = 0; i < R; i++) {
                vi a = v_set_bytes(query + (g * MR + i) * 4);
                UNROLL
                for (int v = 0; v < NV; v++) c[i][v] = v_dot4(c[i][v], a, b[v]);
            }
        }
        UNROLL
        for (int v = 0; v < NV; v++) {
            const vf scale = v_load(args->keys.scales + key + v * VL);
            UNROLL
            for (int i = 0; i < R; i++) {
                vf s = V_FMA(__builtin_convertvector(c[i][v], vf) * scale, v_set(args->query_scales[row + i]),
                             v_set(shifts[i]));
                highest[i] = v_max(s, highest[i]);
                v_store(args->scores + i * ZOO_SCORE_STRIDE + key + v * VL, s);
            }
        }
    }
    for (int i = 0; i < R; i++) maxima[i] = v_reduce_max(highest[i]);
}

// Query rows times the mean key: what the smoothed keys lack.
static void mean_scores(const struct zoo_byte_args *args, int64_t row, float shifts[MR]) {
    const float *tile = args->query_tiles + row * args->head_dim;
    for (int i = 0; i < MR; i++) shifts[i] = 0;
    for (int64_t d = 0; d < args->head_dim; d++)
        for (int i = 0; i < MR; i++) shifts[i] = S_FMA(tile[d * MR + i], args->keys.mean[d], shifts[i]);
}

INLINE void store_weight_bytes(uint8_t *bytes, vf p, vf factor, const float *dither) {
    vi q = __builtin_convertvector(V_FMA(p, factor, v_load(dither)), vi);
    vb low = __builtin_convertvector(q, vb);
    __builtin_memcpy(bytes, &low, sizeof(low));
}

// Weights of one row in bytes; returns their sum before dropout, and after it in *kept.
static float byte_weights(uint8_t *bytes, float *scores, const struct zoo_byte_args *args, int64_t row, float shift,
                          const float *dither, float *kept) {
    if (!args->modifiers.drop_low) {
        vf sums[NV];
        UNROLL
        for (int v = 0; v < NV; v++) sums[v] = v_set(0);
        for (int64_t key = 0; key < args->count; key += NR) {
            UNROLL
            for (int v = 0; v < NV; v++) {
                const int64_t at = key + v * VL;
                vf p = v_exp2(v_load(scores + at) - v_set(shift));
                store_weight_bytes(bytes + at, p, v_set(255.0f), dither + at);
                sums[v] += p;
            }
        }
        UNROLL
        for (int v = 1; v < NV; v++) sums[0] += sums[v];
        return *kept = v_reduce_add(sums[0]);
    }
    float sum = exponentiate_row(scores, 0, args->count, shift);
    drop_row(scores, &args->modifiers, row, 0, args->count);
    vf total = v_set(0);
    for (int64_t key = 0; key < args->count; key += VL) {
        vf p = v_load(scores + key);
        total += p;
        store_weight_bytes(bytes + key, p, v_set(255.0f / args->modifiers.keep_scale), dither + key);
    }
    *kept = v_reduce_add(total);
    return sum;
}

INLINE void byte_weigh_tile(const int R, const struct zoo_byte_args *args, float *output, const uint8_t *weights,
                            const float *alpha, const float *beta, const float *middle) {
    for (int64_t column = 0; column < args->value_dim; column += NR) {
        const int8_t *panel = args->values.bytes + column * args->count;
        vi c[MR][NV];
        UNROLL
        for (int i = 0; i < R; i++)
            UNROLL
            for (int v = 0; v < NV; v++) c[i][v] = (vi)(0);
        for (int64_t key = 0; key < args->count; key += 4, panel += NR * 4) {
            vi b[NV];
            UNROLL
            for (int v = 0; v < NV; v++) b[v] = v_load_bytes(panel + v * VL * 4);
            UNROLL
            for (int i = 0; i < R; i++) {
                vi a = v_set_bytes(weights + i * ZOO_MAX_KEY_BLOCK + key);
                UNROLL
                for (int v = 0; v < NV; v++) c[i][v] = v_dot4(c[i][v], a, b[v]);
            }
        }
        UNROLL
        for (int v = 0; v < NV; v++) {
            const vf scale = v_load(args->values.scales + column + v * VL);
            const vf center = v_load(args->values.middles + column + v * VL);
            UNROLL
            for (int i = 0; i < R; i++) {
                float *cell = output + i * args->output_stride + column + v * VL;
                vf sum = center * v_set(middle[i]);
                sum = V_FMA(__builtin_convertvector(c[i][v], vf) * scale, v_set(beta[i]), sum);
                v_store(cell, V_FMA(v_load(cell), v_set(alpha[i]), sum));
            }
        }
    }
}

static void attend_byte_tile(const struct zoo_byte_args *args, int64_t row, int64_t rows, const float *dither) {
    const struct zoo_score_modifiers *modifiers = &args->modifiers;
    int wanted = 0;
    for (int64_t i = row; i < row + rows; i++) wanted |= args->takes[i];
    if (!wanted) return;
    float maxima[ZOO_MAX_TILE_ROWS] = {0}, shifts[ZOO_MAX_TILE_ROWS] = {0};
    float alpha[ZOO_MAX_TILE_ROWS] = {0}, beta[ZOO_MAX_TILE_ROWS] = {0}, middle[ZOO_MAX_TILE_ROWS] = {0};
    uint8_t weights[ZOO_MAX_TILE_ROWS * ZOO_MAX_KEY_BLOCK] __attribute__((aligned(64)));
    mean_scores(args, row, shifts);
#define SCORE(R) byte_score_tile(R, args, row, shifts, maxima)
    FOR_ROWS(rows, SCORE)
#undef SCORE
    const int changed = changes_scores(modifiers);
    for (int64_t i = 0; i < rows; i++) {
        if (!args->takes[row + i]) {
            // The row's state stays: its old maximum weighs 1, this block nothing.
            alpha[i] = 0, beta[i] = minus_infinity;
            continue;
        }
        if (changed)
            maxima[i] = modify_row(args->scores + i * ZOO_SCORE_STRIDE, modifiers, row + i, 0, args->count, args->count);
        float old = args->row_max[row + i];
        float highest = maxima[i] > old ? maxima[i] : old;
        args->row_max[row + i] = highest;
        // A row that has seen no key keeps -infinity; shifting by it would make NaN.
        float shift = highest == minus_infinity ? 0 : highest;
        alpha[i] = old - shift;
        beta[i] = maxima[i] - shift;
    }
    for (int64_t i = 0; i < ZOO_MAX_TILE_ROWS; i += VL) {
        v_store(alpha + i, v_exp2(v_load(alpha + i)));
        v_store(beta + i, v_exp2(v_load(beta + i)));
    }
    for (int64_t i = 0; i < rows; i++) {
        uint8_t *bytes = weights + i * ZOO_MAX_KEY_BLOCK;
        if (!args->takes[row + i]) {
            __builtin_memset(bytes, 0, (size_t)args->count);
            continue;
        }
        float kept, shift = maxima[i] == minus_infinity ? 0 : maxima[i];
        float sum = byte_weights(bytes, args->scores + i * ZOO_SCORE_STRIDE, args, row + i, shift, dither, &kept);
        args->row_sum[row + i] = S_FMA(args->row_sum[row + i], alpha[i], sum * beta[i]);
        middle[i] = kept * beta[i];
        if (modifiers->drop_low) beta[i] *= modifiers->keep_scale;
    }
    float *output = args->output + row * args->output_stride;
#define WEIGH(R) byte_weigh_tile(R, args, output, weights, alpha, beta, middle)
    FOR_ROWS(rows, WEIGH)
#undef WEIGH
}

static void attend_bytes(const struct zoo_byte_args *args) {
    // Multiples of the golden ratio: any run of keys has offsets spread evenly over 0..<1.
    float dither[ZOO_MAX_KEY_BLOCK];
    for (int64_t key = 0; key < args->count; key++)
        dither[key] = (float)(((uint32_t)key * 40503u + 20251u) & 0xffffu) * 0x1p-16f;
    for (int64_t row = 0; row < args->rows; row += MR)
        attend_byte_tile(args, row, args->rows - row < MR ? args->rows - row : MR, dither);
}
