// The steps of materialised attention: scores of a row block against all keys, softmax, product with the values.

static void scores_block(const struct zoo_scores_args *args) {
    const int64_t panels = (args->keys + NR - 1) / NR;
    for (int64_t p = 0; p < panels; p++)
        for (int64_t row = 0; row < args->rows; row += MR) {
            const float *query = args->query_tiles + row * args->head_dim;
            int64_t rows = args->rows - row < MR ? args->rows - row : MR;
            const float *panel = args->key_panels + p * NR * args->head_dim;
            float *target = args->scores + row * args->scores_stride + p * NR;
#define STORE(R) dot_tile(R, query, panel, args->head_dim, target, args->scores_stride)
            FOR_ROWS(rows, STORE)
#undef STORE
        }
    for (int64_t row = 0; row < args->rows; row++)
        modify_row(args->scores + row * args->scores_stride, &args->modifiers, row, 0, panels * NR, args->keys);
}

static void softmax_rows(float *scores, int64_t stride, int64_t rows, int64_t keys, float *row_max, float *row_sum) {
    const int64_t end = (keys + NR - 1) / NR * NR;
    for (int64_t row = 0; row < rows; row++) {
        float *s = scores + row * stride;
        vf highest = v_set(minus_infinity);
        for (int64_t key = 0; key < end; key += VL) highest = v_max(v_load(s + key), highest);
        row_max[row] = v_reduce_max(highest);
        const vf shift = v_set(row_max[row] == minus_infinity ? 0 : row_max[row]);
        vf sums[NV];
        for (int v = 0; v < NV; v++) sums[v] = v_set(0);
        for (int64_t key = 0; key < end; key += NR)
            for (int v = 0; v < NV; v++) {
                vf score = v_load(s + key + v * VL);
                vf p = v_exp2(score - shift);
                sums[v] += p;
                v_store(s + key + v * VL, v_select((vi)(score == v_set(minus_infinity)), v_set(-0.0f), p));
            }
        for (int v = 1; v < NV; v++) sums[0] += sums[v];
        row_sum[row] = v_reduce_add(sums[0]);
    }
}

static void drop_rows(float *weights, int64_t stride, int64_t rows, int64_t keys,
                      const struct zoo_score_modifiers *modifiers) {
    const int64_t end = (keys + NR - 1) / NR * NR;
    for (int64_t row = 0; row < rows; row++) drop_row(weights + row * stride, modifiers, row, 0, end);
}

INLINE void weigh_rows(const int R, float *output, int64_t output_stride, const float *scores, int64_t scores_stride,
                       const float *panel, int64_t keys) {
    vf c[MR][NV];
    zero_tile(R, c);
    rows_times_panel(R, c, scores, scores_stride, panel, keys);
    add_tile(R, c, output, output_stride);
    store_tile(R, c, output, output_stride);
}

static void weigh_values(float *output, int64_t output_stride, const float *scores, int64_t scores_stride,
                         const float *value_panels, int64_t panel_rows, int64_t rows, int64_t keys, int64_t value_dim,
                         int32_t guarded) {
    // A slab of keys of one panel stays in the first-level cache while the rows pass over it.
    const int64_t slab = 256;
    if (guarded) {
        for (int64_t row = 0; row < rows; row++)
            for (int64_t key = 0; key < keys; key += slab)
                weigh_row_guarded(output + row * output_stride, 1, scores + row * scores_stride, value_panels,
                                  panel_rows, key, keys - key < slab ? keys : key + slab, value_dim);
        return;
    }
    for (int64_t column = 0; column < value_dim; column += NR)
        for (int64_t key = 0; key < keys; key += slab)
            for (int64_t row = 0; row < rows; row += MR) {
                int64_t count = rows - row < MR ? rows - row : MR;
                int64_t inner = keys - key < slab ? keys - key : slab;
                const float *panel = value_panels + column * panel_rows + key * NR;
                float *target = output + row * output_stride + column;
                const float *s = scores + row * scores_stride + key;
#define WEIGH(R) weigh_rows(R, target, output_stride, s, scores_stride, panel, inner)
                FOR_ROWS(count, WEIGH)
#undef WEIGH
            }
}
