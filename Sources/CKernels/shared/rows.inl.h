// Row-wise work around the products: merging and finishing attention rows, dense layers, conversion, machine peaks.

static void merge_rows(float *output, const float *other, int64_t stride, int64_t rows, int64_t value_dim,
                       const float *left, const float *right) {
    for (int64_t row = 0; row < rows; row++) {
        // Where one part saw nothing the other keeps its bits, the sign of its zeros too.
        if (left[row] == 1 && right[row] == 0) continue;
        if (left[row] == 0 && right[row] == 1) {
            __builtin_memcpy(output + row * stride, other + row * stride, (size_t)value_dim * sizeof(float));
            continue;
        }
        for (int64_t column = 0; column < value_dim; column += VL) {
            float *o = output + row * stride + column;
            v_store(o, V_FMA(v_load(other + row * stride + column), v_set(right[row]), v_load(o) * v_set(left[row])));
        }
    }
}

INLINE uint16_t half_bits(float x) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    uint32_t sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((rest >> 13) & 0x3ffu));
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
    if (rest < 0x38800000u) {
        // Adding 1/2 puts the last place of a subnormal half at the last place of a float: the hardware rounds.
        float magnitude;
        __builtin_memcpy(&magnitude, &rest, 4);
        magnitude += 0.5f;
        __builtin_memcpy(&rest, &magnitude, 4);
        return (uint16_t)(sign | (rest - 0x3f000000u));
    }
    return (uint16_t)(sign | ((rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1)) >> 13));
}

INLINE uint16_t bfloat_bits(float x) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

static void finish_row(void *target, int32_t dtype, const float *output, int64_t value_dim, float row_sum) {
    // An empty row has no denominator; its accumulator is zero.
    const vf divisor = v_set(row_sum == 0 ? 1 : row_sum);
    for (int64_t column = 0; column < value_dim; column += VL) {
        vf v = v_load(output + column) / divisor;
        int64_t left = value_dim - column < VL ? value_dim - column : VL;
        if (dtype == ZOO_F32) {
            if (left == VL)
                v_store((float *)target + column, v);
            else
                v_store_part((float *)target + column, v, left);
            continue;
        }
        float lanes[VL];
        v_store(lanes, v);
        uint16_t *t = (uint16_t *)target + column;
        for (int64_t i = 0; i < left; i++) t[i] = dtype == ZOO_F16 ? half_bits(lanes[i]) : bfloat_bits(lanes[i]);
    }
}

INLINE void linear_rows(const int R, float *target, int64_t stride, const float *a, const float *panel,
                        const float *bias, int64_t inner, int64_t columns) {
    vf c[MR][NV];
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int v = 0; v < NV; v++) c[i][v] = v_load(bias + v * VL);
    tile_times_panel(R, c, a, panel, inner);
    if (columns >= NR) {
        UNROLL
        for (int i = 0; i < R; i++)
            UNROLL
            for (int v = 0; v < NV; v++) v_store(target + i * stride + v * VL, c[i][v]);
        return;
    }
    for (int i = 0; i < R; i++) {
        float row[NR];
        for (int v = 0; v < NV; v++) v_store(row + v * VL, c[i][v]);
        __builtin_memcpy(target + i * stride, row, (size_t)columns * sizeof(float));
    }
}

static void linear_tile(float *c, int64_t c_stride, const float *a_tile, const float *panel, const float *bias,
                        int64_t rows, int64_t inner, int64_t columns) {
#define LINEAR(R) linear_rows(R, c, c_stride, a_tile, panel, bias, inner, columns)
    FOR_ROWS(rows, LINEAR)
#undef LINEAR
}

static void layer_norm_row(float *target, const float *row, const float *gain, const float *bias, int64_t count,
                           float epsilon) {
    // Double sums: the mean of a long row keeps its last bits, and the cost disappears beside the products.
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)row[i];
    const double mean = sum / (double)count;
    double squares = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = (double)row[i] - mean;
        squares += d * d;
    }
    const float scale = (float)(1 / __builtin_sqrt(squares / (double)count + (double)epsilon)), centre = (float)mean;
    for (int64_t i = 0; i < count; i++) {
        float v = (row[i] - centre) * scale * gain[i];
        target[i] = bias ? v + bias[i] : v;
    }
}

INLINE vf activate_vector(vf x, int32_t activation) {
    const vf half = v_set(0.5f), one = v_set(1.0f);
    switch (activation) {
    case ZOO_GELU: return half * x * (one + v_erf(x * v_set(0.707106781186548f)));
    case ZOO_GELU_TANH:
        return half * x * (one + v_tanh(v_set(0.797884560802865f) * V_FMA(x * x * x, v_set(0.044715f), x)));
    case ZOO_RELU: return v_max(v_set(0), x);
    default: {
        // x / (1 + e^-x), with the exponent kept where 2^n has an exponent field.
        vf e = x * v_set(-1.44269504088896f);
        e = v_set(126.0f) < e ? v_set(126.0f) : e;
        return x / (one + v_exp2(e));
    }
    }
}

static void activate(float *target, const float *source, int64_t count, int32_t activation) {
    int64_t i = 0;
    for (; i + VL <= count; i += VL) v_store(target + i, activate_vector(v_load(source + i), activation));
    if (i < count)
        v_store_part(target + i, activate_vector(v_load_part(source + i, count - i), activation), count - i);
}

static void add(float *target, const float *left, const float *right, int64_t count) {
    for (int64_t i = 0; i < count; i++) target[i] = left[i] + right[i];
}

static void to_float(float *target, const void *source, int32_t dtype, int64_t count) {
    int64_t i = 0;
    for (; i + VL <= count; i += VL) v_store(target + i, v_load_as(source, dtype, i, VL));
    if (i < count) v_store_part(target + i, v_load_as(source, dtype, i, count - i), count - i);
}

static void exp2_array(float *target, const float *source, int64_t count) {
    int64_t i = 0;
    for (; i + VL <= count; i += VL) v_store(target + i, v_exp2(v_load(source + i)));
    if (i < count) v_store_part(target + i, v_exp2(v_load_part(source + i, count - i)), count - i);
}

// Twelve independent chains cover four cycles of latency on two units, and fit sixteen registers.
static double peak_fma(int64_t rounds, float *sink) {
    enum { chains = 12 };
    vf c[chains];
    const vf a = v_set(0.999999f), b = v_set(1e-7f);
    UNROLL
    for (int i = 0; i < chains; i++) c[i] = v_set((float)(i + 1));
    for (int64_t round = 0; round < rounds; round++)
        UNROLL
        for (int i = 0; i < chains; i++) c[i] = V_FMA(c[i], a, b);
    vf total = v_set(0);
    for (int i = 0; i < chains; i++) total += c[i];
    *sink += v_reduce_add(total);
    return 2.0 * VL * chains * (double)rounds;
}

static float peak_read(const float *source, int64_t count) {
    vf sums[8];
    UNROLL
    for (int v = 0; v < 8; v++) sums[v] = v_set(0);
    for (int64_t i = 0; i + 8 * VL <= count; i += 8 * VL)
        UNROLL
        for (int v = 0; v < 8; v++) sums[v] += v_load(source + i + v * VL);
    vf total = v_set(0);
    for (int v = 0; v < 8; v++) total += sums[v];
    return v_reduce_add(total);
}
