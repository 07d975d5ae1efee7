// Online softmax over one block of keys: FlashAttention-2, algorithm 1, lines 8 to 10, for one row tile at a time.
//
//   S      = Q Kᵀ                              tile rows x keys, in the first-level cache
//   m'     = max(m, rowmax S)
//   P      = 2^(S - m')
//   l'     = 2^(m - m') l + rowsum P
//   O'     = 2^(m - m') O + P V

// Scores of R rows; keeps the maximum of whole rows when no modifier will change them.
//
// The inner dimension is summed in runs of DOT_RUN: rounding grows with the length of a chain of additions.
INLINE void score_tile(const int R, const float *query, const struct zoo_attend_args *args, int64_t first_panel,
                       int64_t end_panel, float *maxima, int want_maxima) {
    vf highest[MR];
    UNROLL
    for (int i = 0; i < R; i++) highest[i] = v_set(minus_infinity);
    for (int64_t p = first_panel; p < end_panel; p++) {
        const float *panel = args->key_panels + p * NR * args->head_dim;
        float *target = args->scores + p * NR;
        int64_t d = 0;
        for (; d + DOT_RUN < args->head_dim; d += DOT_RUN) {
            vf c[MR][NV];
            zero_tile(R, c);
            tile_times_panel(R, c, query + d * MR, panel + d * NR, DOT_RUN);
            if (d > 0) add_tile(R, c, target, ZOO_SCORE_STRIDE);
            store_tile(R, c, target, ZOO_SCORE_STRIDE);
        }
        vf c[MR][NV];
        zero_tile(R, c);
        tile_times_panel(R, c, query + d * MR, panel + d * NR, args->head_dim - d);
        if (d > 0) add_tile(R, c, target, ZOO_SCORE_STRIDE);
        store_tile(R, c, target, ZOO_SCORE_STRIDE);
        UNROLL
        for (int i = 0; i < R; i++)
            UNROLL
            for (int v = 0; v < NV; v++) highest[i] = v_max(c[i][v], highest[i]);
    }
    if (want_maxima)
        for (int i = 0; i < R; i++) maxima[i] = v_reduce_max(highest[i]);
}

// Scores of R rows against some vectors of a panel at the border of what is visible.
INLINE void score_edge(const int R, const float *query, const struct zoo_attend_args *args, int64_t start,
                       int64_t end) {
    for (int64_t key = start; key < end; key += VL) {
        const float *panel = args->key_panels + key / NR * NR * args->head_dim + key % NR;
        for (int64_t d = 0; d < args->head_dim; d += DOT_RUN) {
            const int64_t run = args->head_dim - d < DOT_RUN ? args->head_dim - d : DOT_RUN;
            vf c[MR];
            UNROLL
            for (int i = 0; i < R; i++) c[i] = v_set(0);
            for (int64_t k = d; k < d + run; k++) {
                vf b = v_load(panel + k * NR);
                UNROLL
                for (int i = 0; i < R; i++) c[i] = V_FMA(v_set(query[k * MR + i]), b, c[i]);
            }
            UNROLL
            for (int i = 0; i < R; i++) {
                float *cell = args->scores + i * ZOO_SCORE_STRIDE + key;
                v_store(cell, d > 0 ? c[i] + v_load(cell) : c[i]);
            }
        }
    }
}

// O = alpha O + P V for R rows.
INLINE void weigh_tile(const int R, float *output, const struct zoo_attend_args *args, const float *alpha,
                       int64_t start, int64_t end) {
    for (int64_t column = 0; column < args->value_dim; column += NR) {
        float *target = output + column;
        vf c[MR][NV];
        zero_tile(R, c);
        rows_times_panel(R, c, args->scores + start, ZOO_SCORE_STRIDE,
                         args->value_panels + column * args->value_panel_rows + start * NR, end - start);
        UNROLL
        for (int i = 0; i < R; i++)
            UNROLL
            for (int v = 0; v < NV; v++) {
                float *cell = target + i * args->output_stride + v * VL;
                v_store(cell, V_FMA(v_load(cell), v_set(alpha[i]), c[i][v]));
            }
    }
}

// The same, row by row, passing over hidden keys.
static void weigh_tile_guarded(int64_t rows, float *output, const struct zoo_attend_args *args, const float *alpha,
                               int64_t start, int64_t end) {
    for (int64_t i = 0; i < rows; i++)
        weigh_row_guarded(output + i * args->output_stride, alpha[i], args->scores + i * ZOO_SCORE_STRIDE,
                          args->value_panels, args->value_panel_rows, start, end, args->value_dim);
}

// The scales of a block's integers, one behind the other.
struct scale_lines {
    float key[ZOO_MAX_KEY_BLOCK], value[ZOO_MAX_KEY_BLOCK];
};

static void attend_tile(const struct zoo_attend_args *args, const struct scale_lines *lines, int64_t row,
                        int64_t rows) {
    const struct zoo_score_modifiers *modifiers = &args->modifiers;
    struct key_range range = visible_keys(modifiers, row, rows, args->keys);
    if (range.start >= range.end) return;
    // Whole panels, and at either border what is left in whole vectors.
    const int64_t start = range.start / VL * VL, end = (range.end + VL - 1) / VL * VL;
    int64_t first_panel = (start + NR - 1) / NR, end_panel = end / NR;
    if (first_panel > end_panel) first_panel = end_panel;
    const int changed = changes_scores(modifiers);
    // Whole tiles know their rows' maxima; otherwise another pass finds them.
    const int whole = range.start == first_panel * NR && range.end == end_panel * NR;
    const int bounded = !range.uniform || !whole || lines;

    const float *query = args->query_tiles + row * args->head_dim;
    float maxima[ZOO_MAX_TILE_ROWS] = {0}, alpha[ZOO_MAX_TILE_ROWS] = {0};
#define SCORE(R) score_tile(R, query, args, first_panel, end_panel, maxima, !changed && !bounded)
    FOR_ROWS(rows, SCORE)
#undef SCORE
#define SCORE_EDGE(R) score_edge(R, query, args, edge, edge_end)
    for (int side = 0; side < 2; side++) {
        const int64_t edge = side == 0 ? start : (end_panel * NR > start ? end_panel * NR : start);
        const int64_t edge_end = side == 0 ? (first_panel * NR < end ? first_panel * NR : end) : end;
        if (edge < edge_end) {
            FOR_ROWS(rows, SCORE_EDGE)
        }
    }
#undef SCORE_EDGE

    for (int64_t i = 0; i < rows; i++) {
        float *scores = args->scores + i * ZOO_SCORE_STRIDE;
        if (lines) scale_scores(scores, lines->key, range.start, range.end);
        if (changed)
            maxima[i] = modify_row(scores, modifiers, row + i, start, end, args->keys);
        else if (bounded)
            maxima[i] = bound_row(scores, modifiers, row + i, start, end, args->keys);
        float old = args->row_max[row + i];
        float highest = maxima[i] > old ? maxima[i] : old;
        args->row_max[row + i] = highest;
        // A row that has seen no key keeps -infinity; shifting by it would make NaN.
        maxima[i] = highest == minus_infinity ? 0 : highest;
        alpha[i] = old - maxima[i];
    }
    for (int64_t i = 0; i < ZOO_MAX_TILE_ROWS; i += VL) v_store(alpha + i, v_exp2(v_load(alpha + i)));
    for (int64_t i = 0; i < rows; i++) {
        float *scores = args->scores + i * ZOO_SCORE_STRIDE;
        uint8_t hidden[ZOO_MAX_KEY_BLOCK + 16];
        if (args->guarded) mark_hidden(scores, hidden, start, end);
        float sum = exponentiate_row(scores, start, end, maxima[i]);
        if (modifiers->drop_low) drop_row(scores, modifiers, row + i, start, end);
        if (args->guarded)
            for (int64_t key = start; key < end; key++)
                if (hidden[key]) scores[key] = -0.0f;
        if (lines) scale_weights(scores, lines->value, range.start, range.end);
        args->row_sum[row + i] = S_FMA(args->row_sum[row + i], alpha[i], sum);
    }

    float *output = args->output + row * args->output_stride;
    if (args->guarded) {
        weigh_tile_guarded(rows, output, args, alpha, range.start, range.end);
        return;
    }
#define WEIGH(R) weigh_tile(R, output, args, alpha, range.start, range.end)
    FOR_ROWS(rows, WEIGH)
#undef WEIGH
}

static void attend_block(const struct zoo_attend_args *args) {
    struct scale_lines lines;
    const struct zoo_scales *scales = &args->scales;
    if (scales->key) {
        line_up_scales(lines.key, scales->key, scales, NULL, 0, args->keys);
        line_up_scales(lines.value, scales->value, scales, NULL, 0, args->keys);
    }
    for (int64_t row = 0; row < args->rows; row += MR)
        attend_tile(args, scales->key ? &lines : NULL, row, args->rows - row < MR ? args->rows - row : MR);
}
