// Few query rows against many keys (decoding): reading keys and values from memory is the work, so they are read where
// they lie, once, and never packed. Key heads that lie side by side are walked together, key by key, so that memory is
// read in order.
//
//   for each few keys, each key head:    scores: 4 rows x 4 or 2 keys of vectors along head_dim, folded together at the end
//   for each row:                        maximum, weights, denominator
//   for each 16 keys, each key head:     sums: 4 rows x 4 or 2 vectors of columns, keys in order
//   output = alpha output + sums

#define FEW_ROWS 4
// Keys, and vectors of columns, that four rows take at once: sixteen sums fit thirty-two registers, eight fit sixteen.
#if VL == 16 || defined(__aarch64__)
#define FEW_KEYS 4
#else
#define FEW_KEYS 2
#endif
// Keys whose values are added for one key head before the next one's turn.
#define FEW_CHUNK 16
// How many keys ahead of their use keys and values are fetched into the second-level cache: hardware does not follow rows
// that lie apart. Measured flat from half to twice as many.
#define FEW_AHEAD(dtype) (64 / bytes_of(dtype))

INLINE int64_t few_key(const struct zoo_few_args *args, int64_t head, int64_t key) {
    return slot_of(args->slots, key) * args->key_stride + head * args->key_head_stride;
}
INLINE int64_t few_value(const struct zoo_few_args *args, int64_t head, int64_t key) {
    return slot_of(args->slots, key) * args->value_stride + head * args->value_head_stride;
}

// Whether keys follow each other in memory, as those of a page do.
INLINE int is_run(const int32_t *slots, int64_t start, int64_t end) {
    if (!slots) return 1;
    int64_t gaps = 0;
    for (int64_t key = start + 1; key < end; key++) gaps |= slots[key] ^ (slots[key - 1] + 1);
    return gaps == 0;
}

// A row that is fetched while another one is used. Its lines are asked for one by one, beside the arithmetic: a processor
// drops what is asked of it beyond the lines that it can have under way. In bursts of whole rows decoding took 1.2 times as
// long (AVX2, two threads).
struct few_ahead {
    const char *row;
    int64_t bytes;
};

INLINE struct few_ahead few_ahead(const void *rows, int32_t dtype, int64_t element, int64_t count) {
    return (struct few_ahead){row_at(rows, dtype, element), count * bytes_of(dtype)};
}

// The lines that begin in a step of the row; steps are a power of two and follow each other.
INLINE void fetch_step(const struct few_ahead *ahead, const int64_t step, int64_t byte) {
    if (step >= 64)
        UNROLL
        for (int64_t line = 0; line < step; line += 64) __builtin_prefetch(ahead->row + byte + line, 0, 2);
    else if (byte % 64 == 0)
        __builtin_prefetch(ahead->row + byte, 0, 2);
}
// The lines that begin behind the steps before `byte`.
INLINE void fetch_rest(const struct few_ahead *ahead, int64_t byte) {
    for (byte = (byte + 63) & -64; byte < ahead->bytes; byte += 64) __builtin_prefetch(ahead->row + byte, 0, 2);
}

// Keys are followed by the values of the block, and these by the keys that follow it.
INLINE struct few_ahead ahead_of_key(const struct zoo_few_args *args, int32_t dtype, int64_t head, int64_t key,
                                     int64_t start, int64_t end) {
    const int64_t next = key + FEW_AHEAD(dtype);
    if (next < end) return few_ahead(args->key, dtype, few_key(args, head, next), args->head_dim);
    if (!args->slots || start + next - end < end)
        return few_ahead(args->value, dtype, few_value(args, head, start + next - end), args->value_dim);
    return (struct few_ahead){0};
}
INLINE struct few_ahead ahead_of_value(const struct zoo_few_args *args, int32_t dtype, int64_t head, int64_t key,
                                       int64_t end) {
    const int64_t next = key + FEW_AHEAD(dtype);
    if (next < end) return few_ahead(args->value, dtype, few_value(args, head, next), args->value_dim);
    if (!args->slots || next < end + args->following)
        return few_ahead(args->key, dtype, few_key(args, head, next), args->head_dim);
    return (struct few_ahead){0};
}

// CALL with `ahead` for the first of the rows that share a key head, which fetch for all, with NULL for the others: constants,
// so that no inner loop asks.
#define FETCHING_ONCE(row, CALL, ...)                                                                              \
    do {                                                                                                           \
        if ((row) == head * args->group)                                                                           \
            CALL(__VA_ARGS__, ahead);                                                                              \
        else                                                                                                       \
            CALL(__VA_ARGS__, 0);                                                                                  \
    } while (0);

// R rows against K keys from `key` on; those of a run lie `key_stride` elements apart. ahead: K rows to fetch, NULL: none.
INLINE void dot_few(const int R, const int K, const int run, const struct zoo_few_args *args, int32_t dtype,
                    int64_t head, int64_t row, int64_t key, const struct few_ahead *ahead) {
    const int64_t dim = args->head_dim, width = args->query_stride;
    const float *query = args->query + row * width;
    vf sums[FEW_ROWS * FEW_KEYS];
    UNROLL
    for (int i = 0; i < R * K; i++) sums[i] = v_set(0);
    const void *keys[FEW_KEYS];
    UNROLL
    for (int j = 0; j < K; j++)
        keys[j] = run ? row_at(args->key, dtype, few_key(args, head, key) + j * args->key_stride)
                      : row_at(args->key, dtype, few_key(args, head, key + j));
    int64_t d = 0;
    for (; d + VL <= dim; d += VL) {
        vf k[FEW_KEYS];
        if (ahead)
            UNROLL
            for (int j = 0; j < K; j++) fetch_step(ahead + j, VL * bytes_of(dtype), d * bytes_of(dtype));
        UNROLL
        for (int j = 0; j < K; j++) k[j] = v_load_as(keys[j], dtype, d, VL);
        UNROLL
        for (int i = 0; i < R; i++) {
            vf q = v_load(query + i * width + d);
            UNROLL
            for (int j = 0; j < K; j++) sums[i * K + j] = V_FMA(q, k[j], sums[i * K + j]);
        }
    }
    if (ahead && d * bytes_of(dtype) < ahead->bytes)
        for (int j = 0; j < K; j++) fetch_rest(ahead + j, d * bytes_of(dtype));
    if (d < dim)
        for (int j = 0; j < K; j++) {
            vf k = v_load_as(keys[j], dtype, d, dim - d);
            for (int i = 0; i < R; i++) sums[i * K + j] = V_FMA(v_load(query + i * width + d), k, sums[i * K + j]);
        }
    float folded[FEW_ROWS * FEW_KEYS];
    if (R * K == FEW_ROWS * FEW_KEYS)
        v_reduce_add_few(folded, sums, FEW_ROWS * FEW_KEYS);
    else
        for (int i = 0; i < R * K; i++) folded[i] = v_reduce_add(sums[i]);
    UNROLL
    for (int i = 0; i < R; i++)
        __builtin_memcpy(args->scores + (row + i) * ZOO_SCORE_STRIDE + key, folded + i * K, sizeof(float) * (size_t)K);
}

// Calls BODY(head, row, rows) for the rows of each query that share a key head, at most FEW_ROWS at once.
#define FOR_FEW_ROWS(args, head, BODY)                                                                             \
    for (int64_t first = (head) * (args)->group; first < (args)->rows; first += (args)->kv_heads * (args)->group)  \
        for (int64_t row = first; row < first + (args)->group;) {                                                  \
            const int full = row + FEW_ROWS <= first + (args)->group;                                              \
            if (full) {                                                                                            \
                BODY(FEW_ROWS, row)                                                                                \
            } else {                                                                                               \
                BODY(1, row)                                                                                       \
            }                                                                                                      \
            row += full ? FEW_ROWS : 1;                                                                            \
        }

INLINE void score_few(const struct zoo_few_args *args, int32_t dtype, int64_t start, int64_t end) {
    int64_t key = start;
    for (; key + FEW_KEYS <= end; key += FEW_KEYS) {
        const int run = is_run(args->slots, key, key + FEW_KEYS);
        for (int64_t head = 0; head < args->kv_heads; head++) {
            struct few_ahead ahead[FEW_KEYS];
            for (int j = 0; j < FEW_KEYS; j++) ahead[j] = ahead_of_key(args, dtype, head, key + j, start, end);
#define DOT_TOGETHER(R, row) FETCHING_ONCE(row, dot_few, R, FEW_KEYS, 1, args, dtype, head, row, key)
#define DOT_APART(R, row) FETCHING_ONCE(row, dot_few, R, FEW_KEYS, 0, args, dtype, head, row, key)
            if (run) {
                FOR_FEW_ROWS(args, head, DOT_TOGETHER)
            } else {
                FOR_FEW_ROWS(args, head, DOT_APART)
            }
#undef DOT_TOGETHER
#undef DOT_APART
        }
    }
    for (; key < end; key++)
        for (int64_t head = 0; head < args->kv_heads; head++) {
#define DOT(R, row) dot_few(R, 1, 1, args, dtype, head, row, key, 0);
            FOR_FEW_ROWS(args, head, DOT)
#undef DOT
        }
}

// Adds weights times values of keys start..<end to the sums of R rows, V vectors of columns. ahead: a row to fetch for each
// key, NULL: none.
INLINE void weigh_few(const int R, const int V, const int run, const struct zoo_few_args *args, int32_t dtype,
                      int64_t head, int64_t row, int64_t column, int64_t start, int64_t end,
                      const struct few_ahead *ahead) {
    vf sums[FEW_ROWS][FEW_KEYS];
    float *cells = args->sums + row * args->output_stride + column;
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int v = 0; v < V; v++) sums[i][v] = v_load(cells + i * args->output_stride + v * VL);
    const float *weights = args->scores + row * ZOO_SCORE_STRIDE;
    const int64_t left = args->value_dim - column;
    const int64_t first = few_value(args, head, start);
    for (int64_t key = start; key < end; key++) {
        const void *value = run ? row_at(args->value, dtype, first + (key - start) * args->value_stride)
                                : row_at(args->value, dtype, few_value(args, head, key));
        vf x[FEW_KEYS];
        if (ahead) fetch_step(ahead + (key - start), V * VL * bytes_of(dtype), column * bytes_of(dtype));
        UNROLL
        for (int v = 0; v < V; v++) x[v] = v_load_as(value, dtype, column + v * VL, V == 1 ? left : VL);
        UNROLL
        for (int i = 0; i < R; i++) {
            vf w = v_set(weights[i * ZOO_SCORE_STRIDE + key]);
            UNROLL
            for (int v = 0; v < V; v++) sums[i][v] = V_FMA(w, x[v], sums[i][v]);
        }
    }
    UNROLL
    for (int i = 0; i < R; i++)
        UNROLL
        for (int v = 0; v < V; v++) v_store(cells + i * args->output_stride + v * VL, sums[i][v]);
}

INLINE void weigh_few_rows(const struct zoo_few_args *args, int32_t dtype, int64_t start, int64_t end) {
    const int64_t step = args->kv_heads > 1 || args->slots ? FEW_CHUNK : end - start;
    for (int64_t key = start; key < end; key += step) {
        const int64_t last = key + step < end ? key + step : end;
        const int run = is_run(args->slots, key, last);
        for (int64_t head = 0; head < args->kv_heads; head++) {
            struct few_ahead ahead[ZOO_MAX_KEY_BLOCK];
            for (int64_t i = key; i < last; i++) ahead[i - key] = ahead_of_value(args, dtype, head, i, end);
            for (int64_t column = 0; column < args->value_dim;) {
                const int wide = column + FEW_KEYS * VL <= args->value_dim;
#define WEIGH_WIDE_RUN(R, row) FETCHING_ONCE(row, weigh_few, R, FEW_KEYS, 1, args, dtype, head, row, column, key, last)
#define WEIGH_WIDE(R, row) FETCHING_ONCE(row, weigh_few, R, FEW_KEYS, 0, args, dtype, head, row, column, key, last)
#define WEIGH_ONE(R, row) FETCHING_ONCE(row, weigh_few, R, 1, 0, args, dtype, head, row, column, key, last)
                if (wide && run) {
                    FOR_FEW_ROWS(args, head, WEIGH_WIDE_RUN)
                } else if (wide) {
                    FOR_FEW_ROWS(args, head, WEIGH_WIDE)
                } else {
                    FOR_FEW_ROWS(args, head, WEIGH_ONE)
                }
                column += wide ? FEW_KEYS * VL : VL;
            }
        }
    }
}

// One vector of sums again, passing over hidden keys: 0 * NaN must not happen.
static vf weigh_few_guarded(const struct zoo_few_args *args, const uint8_t *hidden, int64_t row, int64_t column,
                            int64_t start, int64_t end) {
    const int64_t head = row / args->group % args->kv_heads;
    vf sum = v_set(0);
    for (int64_t key = start; key < end; key++) {
        if (hidden[key]) continue;
        const void *value = row_at(args->value, args->dtype, few_value(args, head, key));
        vf x = v_load_as(value, args->dtype, column, args->value_dim - column);
        sum = V_FMA(v_set(args->scores[row * ZOO_SCORE_STRIDE + key]), x, sum);
    }
    return sum;
}

static void add_few_sums(const struct zoo_few_args *args, const uint8_t *hidden, const float *alpha, int64_t start,
                         int64_t end) {
    for (int64_t row = 0; row < args->rows; row++)
        for (int64_t column = 0; column < args->value_dim; column += VL) {
            vf sum = v_load(args->sums + row * args->output_stride + column);
            if (v_any(v_special(sum)))
                sum = weigh_few_guarded(args, hidden + row * ZOO_MAX_KEY_BLOCK, row, column, start, end);
            float *cell = args->output + row * args->output_stride + column;
            v_store(cell, V_FMA(v_load(cell), v_set(alpha[row]), sum));
        }
}

#define FEW_BY_DTYPE(CALL, ...)                                                                                    \
    if (args->dtype == ZOO_F32)                                                                                    \
        CALL(args, ZOO_F32, __VA_ARGS__);                                                                          \
    else if (args->dtype == ZOO_F16)                                                                               \
        CALL(args, ZOO_F16, __VA_ARGS__);                                                                          \
    else if (args->dtype == ZOO_I8)                                                                                \
        CALL(args, ZOO_I8, __VA_ARGS__);                                                                           \
    else                                                                                                           \
        CALL(args, ZOO_BF16, __VA_ARGS__)

// Multiplies scores or weights of rows by the scales of their keys.
INLINE void scale_few(const struct zoo_few_args *args, const float *scales, int64_t start, int64_t end,
                      void (*scale)(float *, const float *, int64_t, int64_t)) {
    float line[ZOO_MAX_KEY_BLOCK];
    for (int64_t head = 0; head < args->kv_heads; head++) {
        line_up_scales(line, scales + head * args->scales.head_stride, &args->scales, args->slots, start, end);
        for (int64_t first = head * args->group; first < args->rows; first += args->kv_heads * args->group)
            for (int64_t row = first; row < first + args->group; row++)
                scale(args->scores + row * ZOO_SCORE_STRIDE, line, start, end);
    }
}

static void attend_few(const struct zoo_few_args *args) {
    const struct zoo_score_modifiers *modifiers = &args->modifiers;
    const struct key_range range = visible_keys(modifiers, 0, args->rows, args->keys);
    if (range.start >= range.end) return;
    const int64_t start = range.start / NR * NR, end = (range.end + NR - 1) / NR * NR;
    FEW_BY_DTYPE(score_few, range.start, range.end);
    if (args->scales.key) scale_few(args, args->scales.key, range.start, range.end, scale_scores);

    float alpha[ZOO_MAX_FEW_TASK_ROWS] = {0}, shift[ZOO_MAX_FEW_TASK_ROWS];
    uint8_t hidden[ZOO_MAX_FEW_TASK_ROWS * ZOO_MAX_KEY_BLOCK];
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
    for (int64_t i = 0; i < args->rows; i += VL) v_store(alpha + i, v_exp2(v_load(alpha + i)));
    for (int64_t row = 0; row < args->rows; row++) {
        float sum = exponentiate_row(args->scores + row * ZOO_SCORE_STRIDE, start, end, shift[row]);
        args->row_sum[row] = S_FMA(args->row_sum[row], alpha[row], sum);
        if (modifiers->drop_low) drop_row(args->scores + row * ZOO_SCORE_STRIDE, modifiers, row, start, end);
    }
    if (args->scales.value) scale_few(args, args->scales.value, range.start, range.end, scale_weights);
    __builtin_memset(args->sums, 0, (size_t)(args->rows * args->output_stride) * sizeof(float));
    FEW_BY_DTYPE(weigh_few_rows, range.start, range.end);
    add_few_sums(args, hidden, alpha, range.start, range.end);
}
