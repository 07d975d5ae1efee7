// Gradients of one block of query rows against one block of keys: FlashAttention-2, algorithm 2, lines 11 to 17.
//
//   S  = Q Kᵀ                        rows x keys, recomputed
//   P  = 2^(S' - L)                  S' after the modifiers, L the log-sum-exp
//   dP = dO Vᵀ
//   dS = scale P (dP - D)            D = rowsum(dO O) - dL
//   dV += Pᵀ dO     dK += dSᵀ Q     dQ += dS K
//
// P and dS stay row-major: the transposed products read a column of them as a register tile reads its scalars.

// target[R][target_stride] += transpose of a[inner][stride] times a panel; a points at its first column.
INLINE void columns_times_panel(const int R, const float *a, int64_t stride, const float *panel, int64_t inner,
                                float *target, int64_t target_stride) {
    vf c[MR][NV];
    zero_tile(R, c);
    TILE_ACCUMULATE(R, inner, a[k * stride + i])
    add_tile(R, c, target, target_stride);
    store_tile(R, c, target, target_stride);
}

// target[R][target_stride] += a[R][stride] times a panel.
INLINE void add_rows_times_panel(const int R, const float *a, int64_t stride, const float *panel, int64_t inner,
                                 float *target, int64_t target_stride) {
    vf c[MR][NV];
    zero_tile(R, c);
    rows_times_panel(R, c, a, stride, panel, inner);
    add_tile(R, c, target, target_stride);
    store_tile(R, c, target, target_stride);
}

// P and dS of one row for keys start..<end, in place of S and dP. Cells that `visible` leaves out become -0 in guarded
// blocks, which no visible cell can be, else 0.
INLINE void differentiate_cells(const struct zoo_backward_args *args, int64_t row, int64_t start, int64_t end,
                                const int is_plain) {
    const struct zoo_score_modifiers *m = &args->modifiers;
    float *s = args->weights + row * args->stride, *d = args->scores + row * args->stride;
    float changed[ZOO_MAX_KEY_BLOCK + 32], slopes[ZOO_MAX_KEY_BLOCK + 32];
    const int64_t keys = args->keys;
    struct key_range range = visible_keys(m, row, 1, keys);
    if (!is_plain && m->function) {
        for (int64_t key = start; key < end; key += VL)
            v_store(changed + key, change_scores(v_load(s + key), m, row, key, keys - key));
        __builtin_memcpy(slopes, changed, sizeof(slopes));
        int64_t from = range.start > start ? range.start : start, to = range.end < end ? range.end : end;
        if (from < to) {
            args->slope(m->function_context, row, from, to, slopes);
            m->function(m->function_context, row, from, to, changed);
        }
    }
    if (!is_plain && m->drop_low) drop_row(d, m, row, start, end);
    float *bias = args->bias_gradient ? args->bias_gradient[row] : NULL;
    vf bias_sum = v_set(0);
    const vf logarithm = v_set(args->log_sum_exp[row]), offset = v_set(args->offset[row]), scale = v_set(args->scale);
    const vf hidden = v_set(args->guarded ? -0.0f : 0.0f);
    for (int64_t key = start; key < end; key += VL) {
        vf score = v_load(s + key), raw = score;
        if (!is_plain) score = m->function ? v_load(changed + key) : change_scores(raw, m, row, key, keys - key);
        vf p = v_exp2(score - logarithm);
        vf ds = p * (v_load(d + key) - offset);
        if (!is_plain) {
            // A bias of -infinity hides as a mask does.
            vi visible = visible_lanes(m, row, key, range.start, range.end, keys - key) &
                         (vi)(score != v_set(minus_infinity));
            if (m->function) ds *= v_load(slopes + key);
            ds = v_select(visible, ds, v_set(0));
            if (bias && args->bias_key_stride == 0) bias_sum += ds;
            if (bias && args->bias_key_stride != 0) {
                int64_t left = keys - key < VL ? keys - key : VL;
                if (left == VL)
                    v_store(bias + key, v_load(bias + key) + ds);
                else if (left > 0)
                    v_store_part(bias + key, v_load_part(bias + key, left) + ds, left);
            }
            if (m->softcap != 0) {
                vf tangent = v_tanh(raw / v_set(m->softcap));
                ds *= v_set(1) - tangent * tangent;
            }
            // Adding 0 turns -0 into +0.
            p = v_select(visible, p + v_set(0), hidden);
            ds = v_select(visible, ds * scale + v_set(0), hidden);
        } else {
            ds *= scale;
        }
        v_store(s + key, p);
        v_store(d + key, ds);
    }
    if (bias && args->bias_key_stride == 0) *bias += v_reduce_add(bias_sum);
    if (!is_plain && m->drop_low) drop_row(s, m, row, start, end);
}

static void differentiate_changed_cells(const struct zoo_backward_args *args, int64_t row, int64_t start, int64_t end) {
    if (start < end) differentiate_cells(args, row, start, end, 0);
}

// Cells of a row that its tile leaves out.
INLINE void clear_cells(const struct zoo_backward_args *args, int64_t row, int64_t start, int64_t end) {
    const vf hidden = v_set(args->guarded ? -0.0f : 0.0f);
    for (int64_t key = start; key < end; key += VL) {
        v_store(args->weights + row * args->stride + key, hidden);
        v_store(args->scores + row * args->stride + key, hidden);
    }
}

// P and dS of one register tile of rows; dQ of it unless the block is guarded.
static void differentiate_tile(const struct zoo_backward_args *args, int64_t row, int64_t rows) {
    const struct zoo_score_modifiers *m = &args->modifiers;
    const int64_t stride = args->stride, whole = (args->keys + NR - 1) / NR * NR;
    struct key_range range = visible_keys(m, row, rows, args->keys);
    const int is_empty = range.start >= range.end;
    const int64_t start = is_empty ? 0 : range.start / NR * NR;
    const int64_t end = is_empty ? 0 : (range.end + NR - 1) / NR * NR;
    for (int64_t i = row; i < row + rows; i++) {
        clear_cells(args, i, 0, start);
        clear_cells(args, i, end, whole);
    }
    if (is_empty) return;
    const float *query = args->query_tiles + row * args->head_dim;
    const float *gradient = args->gradient_tiles + row * args->value_dim;
    float *s = args->weights + row * stride, *d = args->scores + row * stride;
    for (int64_t key = start; key < end; key += NR) {
        const float *k = args->key_panels + key * args->head_dim, *v = args->value_panels + key * args->value_dim;
#define DOT(R)                                                                                                     \
    dot_tile(R, query, k, args->head_dim, s + key, stride);                                                        \
    dot_tile(R, gradient, v, args->value_dim, d + key, stride)
        FOR_ROWS(rows, DOT)
#undef DOT
    }
    // Between the borders of what is visible every row sees every key.
    const int is_plain = !changes_scores(m) && !m->drop_low && !args->bias_gradient && !args->guarded;
    int64_t plain_start = (range.inner_start + VL - 1) / VL * VL, plain_end = range.inner_end / VL * VL;
    plain_start = plain_start > start ? plain_start : start;
    plain_end = plain_end < end ? plain_end : end;
    if (!is_plain || plain_start >= plain_end) plain_start = plain_end = end;
    for (int64_t i = row; i < row + rows; i++) {
        differentiate_changed_cells(args, i, start, plain_start);
        differentiate_cells(args, i, plain_start, plain_end, 1);
        differentiate_changed_cells(args, i, plain_end, end);
    }
    if (args->guarded) return;
    float *target = args->query_gradient + row * args->query_gradient_stride;
    for (int64_t column = 0; column < args->head_dim; column += NR) {
        const float *panel = args->key_rows + column * args->key_panel_rows + start * NR;
#define ADD(R)                                                                                                     \
    add_rows_times_panel(R, d + start, stride, panel, range.end - start, target + column, args->query_gradient_stride)
        FOR_ROWS(rows, ADD)
#undef ADD
    }
}

// target[keys][target_stride] += transpose of cells[rows][stride] times row panels, over the rows that see some key of
// a tile.
static void add_transposed(const struct zoo_backward_args *args, const float *cells, const float *panels,
                           int64_t columns, float *target, int64_t target_stride) {
    const struct zoo_score_modifiers *m = &args->modifiers;
    for (int64_t key = 0; key < args->keys; key += MR) {
        const int64_t count = args->keys - key < MR ? args->keys - key : MR;
        int64_t first = 0, end = args->rows;
        if (m->end_key)
            while (first < end && m->end_key[first] <= key) first++;
        if (m->first_key)
            while (end > first && m->first_key[end - 1] >= key + count) end--;
        if (first == end) continue;
        for (int64_t column = 0; column < columns; column += NR) {
            const float *panel = panels + column * args->row_panel_rows + first * NR;
            float *cell = target + key * target_stride + column;
#define ADD(R)                                                                                                     \
    columns_times_panel(R, cells + first * args->stride + key, args->stride, panel, end - first, cell, target_stride)
            FOR_ROWS(count, ADD)
#undef ADD
        }
    }
}

// target += factor * row of panels, NR columns at a time.
INLINE void add_panel_row(float *target, float factor, const float *panels, int64_t panel_rows, int64_t row,
                          int64_t columns) {
    for (int64_t column = 0; column < columns; column += NR)
        for (int lane = 0; lane < NR; lane += VL) {
            float *cell = target + column + lane;
            v_store(cell, V_FMA(v_set(factor), v_load(panels + column * panel_rows + row * NR + lane), v_load(cell)));
        }
}

// The three products cell by cell, passing over hidden ones: 0 * NaN must not happen.
static void add_guarded(const struct zoo_backward_args *args) {
    for (int64_t row = 0; row < args->rows; row++)
        for (int64_t key = 0; key < args->keys; key++) {
            const float p = args->weights[row * args->stride + key], ds = args->scores[row * args->stride + key];
            if (ds == 0 && __builtin_signbit(ds)) continue;
            add_panel_row(args->value_gradient + key * args->value_gradient_stride, p, args->gradient_panels,
                          args->row_panel_rows, row, args->value_dim);
            add_panel_row(args->key_gradient + key * args->key_gradient_stride, ds, args->query_panels,
                          args->row_panel_rows, row, args->head_dim);
            add_panel_row(args->query_gradient + row * args->query_gradient_stride, ds, args->key_rows,
                          args->key_panel_rows, key, args->head_dim);
        }
}

static void differentiate_block(const struct zoo_backward_args *args) {
    for (int64_t row = 0; row < args->rows; row += MR)
        differentiate_tile(args, row, args->rows - row < MR ? args->rows - row : MR);
    if (args->guarded) {
        add_guarded(args);
        return;
    }
    add_transposed(args, args->weights, args->gradient_panels, args->value_dim, args->value_gradient,
                   args->value_gradient_stride);
    add_transposed(args, args->scores, args->query_panels, args->head_dim, args->key_gradient,
                   args->key_gradient_stride);
}

// The inner product of two rows in the order of dot_tile: where a row sees one key, rowsum(dO O) is dP to the last bit and
// their difference is 0.
static float dot_rows(const void *left, int32_t left_dtype, const void *right, int32_t right_dtype, int64_t count) {
    float total = 0;
    for (int64_t d = 0; d < count; d += DOT_RUN) {
        const int64_t end = count - d < DOT_RUN ? count : d + DOT_RUN;
        float sum = 0;
        for (int64_t i = d; i < end; i += VL) {
            float a[VL], b[VL];
            const int64_t part = end - i < VL ? end - i : VL;
            v_store(a, v_load_as(left, left_dtype, i, part));
            v_store(b, v_load_as(right, right_dtype, i, part));
            for (int64_t lane = 0; lane < part; lane++) sum = S_FMA(a[lane], b[lane], sum);
        }
        total = d > 0 ? sum + total : sum;
    }
    return total;
}
