// Few query rows against many keys (decoding): reading keys and values from memory is the work, so they are read where
// they lie, once, and never packed.
//
//   scores: 4 rows x 4 keys of vectors along head_dim, folded at the end
//   output: 4 rows x 4 vectors of columns, keys in order

#define FEW_ROWS 4
#define FEW_KEYS 4

// R rows against K keys, K rows `stride` elements apart.
INLINE void dot_few(const int R, const int K, const struct zoo_few_args *args, int32_t dtype, int64_t row,
                    int64_t key) {
    const int64_t dim = args->head_dim, width = args->query_stride;
    const float *query = args->query + row * width;
    vf sums[FEW_ROWS][FEW_KEYS];
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int j = 0; j < K; j++) sums[i][j] = v_set(0);
    const void *keys[FEW_KEYS];
    UNROLL
    for (int j = 0; j < K; j++) keys[j] = row_at(args->key, dtype, (key + j) * args->key_stride);
    int64_t d = 0;
    for (; d + VL <= dim; d += VL) {
        vf k[FEW_KEYS];
        UNROLL
        for (int j = 0; j < K; j++) k[j] = v_load_as(keys[j], dtype, d, VL);
        UNROLL
        for (int i = 0; i < R; i++) {
            vf q = v_load(query + i * width + d);
            UNROLL
            for (int j = 0; j < K; j++) sums[i][j] = V_FMA(q, k[j], sums[i][j]);
        }
    }
    if (d < dim)
        for (int j = 0; j < K; j++) {
            vf k = v_load_as(keys[j], dtype, d, dim - d);
            for (int i = 0; i < R; i++) sums[i][j] = V_FMA(v_load(query + i * width + d), k, sums[i][j]);
        }
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int j = 0; j < K; j++)
            args->scores[(row + i) * ZOO_SCORE_STRIDE + key + j] = v_reduce_add(sums[i][j]);
}

INLINE void score_few(const struct zoo_few_args *args, int32_t dtype, int64_t start, int64_t end) {
    int64_t key = start;
    for (; key + FEW_KEYS <= end; key += FEW_KEYS) {
        int64_t row = 0;
        for (; row + FEW_ROWS <= args->rows; row += FEW_ROWS) dot_few(FEW_ROWS, FEW_KEYS, args, dtype, row, key);
        for (; row < args->rows; row++) dot_few(1, FEW_KEYS, args, dtype, row, key);
    }
    for (; key < end; key++)
        for (int64_t row = 0; row < args->rows; row++) dot_few(1, 1, args, dtype, row, key);
}

// Output of R rows for V vectors of columns: alpha O + P V. Returns whether every sum is finite.
INLINE int weigh_few(const int R, const int V, const struct zoo_few_args *args, int32_t dtype, const float *alpha,
                     int64_t row, int64_t column, int64_t start, int64_t end) {
    vf sums[FEW_ROWS][4];
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int v = 0; v < V; v++) sums[i][v] = v_set(0);
    const float *weights = args->scores + row * ZOO_SCORE_STRIDE;
    const int64_t left = args->value_dim - column;
    for (int64_t key = start; key < end; key++) {
        const void *value = row_at(args->value, dtype, key * args->value_stride);
        vf x[4];
        UNROLL
        for (int v = 0; v < V; v++) x[v] = v_load_as(value, dtype, column + v * VL, V == 1 ? left : VL);
        UNROLL
        for (int i = 0; i < R; i++) {
            vf w = v_set(weights[i * ZOO_SCORE_STRIDE + key]);
            UNROLL
            for (int v = 0; v < V; v++) sums[i][v] = V_FMA(w, x[v], sums[i][v]);
        }
    }
    vi special = (vi)(0);
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int v = 0; v < V; v++) special |= (vi)(((vi)sums[i][v] & 0x7f800000) == (vi)(0x7f800000));
    if (v_any(special)) return 0;
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int v = 0; v < V; v++) {
            float *cell = args->output + (row + i) * args->output_stride + column + v * VL;
            v_store(cell, V_FMA(v_load(cell), v_set(alpha[row + i]), sums[i][v]));
        }
    return 1;
}

// The same for one row and one vector of columns, passing over hidden keys: 0 * NaN must not happen.
static void weigh_few_guarded(const struct zoo_few_args *args, const uint8_t *hidden, const float *alpha, int64_t row,
                              int64_t column, int64_t start, int64_t end) {
    vf sum = v_set(0);
    for (int64_t key = start; key < end; key++) {
        if (hidden[key]) continue;
        const void *value = row_at(args->value, args->dtype, key * args->value_stride);
        vf x = v_load_as(value, args->dtype, column, args->value_dim - column);
        sum = V_FMA(v_set(args->scores[row * ZOO_SCORE_STRIDE + key]), x, sum);
    }
    float *cell = args->output + row * args->output_stride + column;
    v_store(cell, V_FMA(v_load(cell), v_set(alpha[row]), sum));
}

INLINE void weigh_few_rows(const struct zoo_few_args *args, int32_t dtype, const uint8_t *hidden, const float *alpha,
                           int64_t start, int64_t end) {
    for (int64_t column = 0; column < args->value_dim;) {
        const int wide = column + 4 * VL <= args->value_dim;
        for (int64_t row = 0; row < args->rows;) {
            const int full = row + FEW_ROWS <= args->rows;
            int finite = wide ? (full ? weigh_few(FEW_ROWS, 4, args, dtype, alpha, row, column, start, end)
                                      : weigh_few(1, 4, args, dtype, alpha, row, column, start, end))
                              : (full ? weigh_few(FEW_ROWS, 1, args, dtype, alpha, row, column, start, end)
                                      : weigh_few(1, 1, args, dtype, alpha, row, column, start, end));
            const int64_t rows = full ? FEW_ROWS : 1, columns = wide ? 4 : 1;
            if (!finite)
                for (int64_t i = 0; i < rows; i++)
                    for (int64_t v = 0; v < columns; v++)
                        weigh_few_guarded(args, hidden + (row + i) * ZOO_MAX_KEY_BLOCK, alpha, row + i,
                                          column + v * VL, start, end);
            row += rows;
        }
        column += wide ? 4 * VL : VL;
    }
}

static void attend_few(const struct zoo_few_args *args) {
    const struct zoo_score_modifiers *modifiers = &args->modifiers;
    const struct key_range range = visible_keys(modifiers, 0, args->rows, args->keys);
    if (range.start >= range.end) return;
    const int64_t start = range.start / NR * NR, end = (range.end + NR - 1) / NR * NR;
    if (args->dtype == ZOO_F32)
        score_few(args, ZOO_F32, range.start, range.end);
    else if (args->dtype == ZOO_F16)
        score_few(args, ZOO_F16, range.start, range.end);
    else
        score_few(args, ZOO_BF16, range.start, range.end);

    float alpha[ZOO_MAX_FEW_ROWS] = {0}, shift[ZOO_MAX_FEW_ROWS];
    uint8_t hidden[ZOO_MAX_FEW_ROWS * ZOO_MAX_KEY_BLOCK];
    for (int64_t row = 0; row < args->rows; row++) {
        float *scores = args->scores + row * ZOO_SCORE_STRIDE;
        // Cells beside the visible range were not computed: they are hidden.
        for (int64_t key = start; key < range.start; key++) scores[key] = minus_infinity;
        for (int64_t key = range.end; key < end; key++) scores[key] = minus_infinity;
        float maximum = changes_scores(modifiers) ? modify_row(scores, modifiers, row, start, end, args->keys)
                                                  : bound_row(scores, modifiers, row, start, end, args->keys);
        float old = args->row_max[row];
        float highest = maximum > old ? maximum : old;
        args->row_max[row] = highest;
        shift[row] = highest == minus_infinity ? 0 : highest;
        alpha[row] = old - shift[row];
        mark_hidden(scores, hidden + row * ZOO_MAX_KEY_BLOCK, range.start, range.end);
    }
    for (int64_t i = 0; i < ZOO_MAX_FEW_ROWS; i += VL) v_store(alpha + i, v_exp2(v_load(alpha + i)));
    for (int64_t row = 0; row < args->rows; row++) {
        float sum = exponentiate_row(args->scores + row * ZOO_SCORE_STRIDE, start, end, shift[row]);
        args->row_sum[row] = S_FMA(args->row_sum[row], alpha[row], sum);
        if (modifiers->drop_low) drop_row(args->scores + row * ZOO_SCORE_STRIDE, modifiers, row, start, end);
    }
    if (args->dtype == ZOO_F32)
        weigh_few_rows(args, ZOO_F32, hidden, alpha, range.start, range.end);
    else if (args->dtype == ZOO_F16)
        weigh_few_rows(args, ZOO_F16, hidden, alpha, range.start, range.end);
    else
        weigh_few_rows(args, ZOO_BF16, hidden, alpha, range.start, range.end);
}
