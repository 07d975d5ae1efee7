// What happens to scores between the two products: modifiers, masks, softmax. All in the base-2 logarithm.

struct key_range {
    int64_t start, end;              // keys that some row of the tile sees
    int64_t inner_start, inner_end;  // keys that every row sees
    int uniform;                     // both are the same
};

INLINE struct key_range visible_keys(const struct zoo_score_modifiers *m, int64_t row, int64_t rows, int64_t keys) {
    struct key_range range = {keys, 0, 0, keys, 1};
    if (!m->first_key && !m->end_key) return (struct key_range){0, keys, 0, keys, 1};
    for (int64_t i = row; i < row + rows; i++) {
        int64_t first = m->first_key && m->first_key[i] > 0 ? m->first_key[i] : 0;
        int64_t end = m->end_key && m->end_key[i] < keys ? m->end_key[i] : keys;
        if (first < end) {
            range.start = first < range.start ? first : range.start;
            range.end = end > range.end ? end : range.end;
        }
        range.inner_start = first > range.inner_start ? first : range.inner_start;
        range.inner_end = end < range.inner_end ? end : range.inner_end;
    }
    range.uniform = range.inner_start <= range.start && range.inner_end >= range.end;
    return range;
}

INLINE int changes_scores(const struct zoo_score_modifiers *m) {
    return m->softcap != 0 || m->bias || m->mask || m->slope || m->function;
}

// Softcap, bias and slope of one vector of scores. `left` keys of the block remain from `key` on.
INLINE vf change_scores(vf s, const struct zoo_score_modifiers *m, int64_t row, int64_t key, int64_t left) {
    const float log2e = 1.44269504088896f;
    if (m->softcap != 0) s = v_set(m->softcap) * v_tanh(s / v_set(m->softcap));
    if (m->bias && m->bias[row] && left > 0) {
        const float *bias = m->bias[row] + key;
        s = V_FMA(left >= VL ? v_load(bias) : v_load_part(bias, left), v_set(log2e), s);
    }
    if (m->slope) {
        vi distance = (vi)(m->place[row]) - (v_lanes() + (int32_t)key);
        distance = distance < 0 ? -distance : distance;
        s = V_FMA(__builtin_convertvector(distance, vf), v_set(-m->slope[row]), s);
    }
    return s;
}

// Which keys of a vector a row sees: first..<last, and what its mask allows. `left` keys of the block remain.
INLINE vi visible_lanes(const struct zoo_score_modifiers *m, int64_t row, int64_t key, int64_t first, int64_t last,
                        int64_t left) {
    vi index = v_lanes() + (int32_t)key;
    vi visible = (vi)(index >= (int32_t)first) & (vi)(index < (int32_t)last);
    if (m->mask) {
        int32_t bytes[VL] = {0};
        const uint8_t *mask = m->mask[row] + key;
        for (int i = 0; i < VL && i < left; i++) bytes[i] = mask[i];
        vi attend;
        __builtin_memcpy(&attend, bytes, sizeof(attend));
        visible &= (vi)(attend != 0);
    }
    return visible;
}

// One row of scores for keys start..<end; `row` indexes the modifiers. Returns the row's maximum.
static float modify_row(float *scores, const struct zoo_score_modifiers *m, int64_t row, int64_t start, int64_t end,
                        int64_t keys) {
    int64_t first = m->first_key && m->first_key[row] > 0 ? m->first_key[row] : 0;
    int64_t last = m->end_key && m->end_key[row] < keys ? m->end_key[row] : keys;
    if (m->function) {
        for (int64_t key = start; key < end; key += VL)
            v_store(scores + key, change_scores(v_load(scores + key), m, row, key, keys - key));
        int64_t from = first > start ? first : start, to = last < end ? last : end;
        if (from < to) m->function(m->function_context, row, from, to, scores);
    }
    vf highest = v_set(minus_infinity);
    for (int64_t key = start; key < end; key += VL) {
        vf s = v_load(scores + key);
        int64_t left = keys - key;
        if (!m->function) s = change_scores(s, m, row, key, left);
        s = v_select(visible_lanes(m, row, key, first, last, left), s, v_set(minus_infinity));
        v_store(scores + key, s);
        highest = v_max(s, highest);
    }
    return v_reduce_max(highest);
}

// A row whose only modifier is its range of visible keys: hides the cells outside of it. Returns the row's maximum.
static float bound_row(float *scores, const struct zoo_score_modifiers *m, int64_t row, int64_t start, int64_t end,
                       int64_t keys) {
    int64_t first = m->first_key && m->first_key[row] > start ? m->first_key[row] : start;
    int64_t last = m->end_key && m->end_key[row] < keys ? m->end_key[row] : keys;
    first = first < end ? first : end;
    last = last > first ? last : first;
    last = last < end ? last : end;
    const vi lanes = v_lanes();
    const vf hidden = v_set(minus_infinity);
    for (int64_t key = start; key < first; key += VL)
        v_store(scores + key, v_select((vi)(lanes + (int32_t)key < (int32_t)first), hidden, v_load(scores + key)));
    for (int64_t key = last / VL * VL; key < end; key += VL)
        v_store(scores + key, v_select((vi)(lanes + (int32_t)key >= (int32_t)last), hidden, v_load(scores + key)));
    vf highest[2] = {hidden, hidden};
    int64_t key = first / VL * VL;
    for (; key + VL < last; key += 2 * VL) {
        highest[0] = v_max(v_load(scores + key), highest[0]);
        highest[1] = v_max(v_load(scores + key + VL), highest[1]);
    }
    if (key < last) highest[0] = v_max(v_load(scores + key), highest[0]);
    return v_reduce_max(v_max(highest[0], highest[1]));
}

// Replaces scores by 2^(score - shift) and returns their sum; start and end are whole vectors. One partial sum for each
// vector of a panel, so that leaving out vectors of hidden keys does not change the order of additions.
INLINE float exponentiate_row(float *scores, int64_t start, int64_t end, float shift) {
    vf sums[NV];
    UNROLL
    for (int v = 0; v < NV; v++) sums[v] = v_set(0);
#define EXPONENTIATE(key, v)                                                                                       \
    vf p = v_exp2(v_load(scores + (key)) - v_set(shift));                                                          \
    v_store(scores + (key), p);                                                                                    \
    sums[v] += p;
    int64_t key = start / NR * NR;
    if (key < start || key + NR > end) {
        // A first panel that is not whole, or whose end is not.
        UNROLL
        for (int v = 0; v < NV; v++)
            if (key + v * VL >= start && key + v * VL < end) {
                EXPONENTIATE(key + v * VL, v)
            }
        key += NR;
    }
    for (; key + NR <= end; key += NR) {
        UNROLL
        for (int v = 0; v < NV; v++) {
            EXPONENTIATE(key + v * VL, v)
        }
    }
    UNROLL
    for (int v = 0; v < NV; v++)
        if (key + v * VL < end) {
            EXPONENTIATE(key + v * VL, v)
        }
#undef EXPONENTIATE
    UNROLL
    for (int v = 1; v < NV; v++) sums[0] += sums[v];
    return v_reduce_add(sums[0]);
}

// Drops weights and scales up the others: the finaliser of MurmurHash3 over the row's key and the key's place decides.
// A product with 0, so that the -0 of a hidden cell stays what it is.
static void drop_row(float *weights, const struct zoo_score_modifiers *m, int64_t row, int64_t start, int64_t end) {
    const vu low = (vu)(m->drop_low[row]), high = (vu)(m->drop_high[row]);
    for (int64_t key = start; key < end; key += VL) {
        vu x = ((vu)(v_lanes() + m->first_place + (int32_t)key) * (vu)(0x9E3779B1u)) ^ low;
        x = (x ^ (x >> 16)) * (vu)(0x85EBCA6Bu);
        x ^= high;
        x = (x ^ (x >> 13)) * (vu)(0xC2B2AE35u);
        x ^= x >> 16;
        vf factor = v_select((vi)(x >= (vu)(m->drop_threshold)), v_set(m->keep_scale), v_set(0));
        v_store(weights + key, v_load(weights + key) * factor);
    }
}

// The scales of keys start..<end, one behind the other.
static void line_up_scales(float *line, const float *first, const struct zoo_scales *scales, const int32_t *slots,
                           int64_t start, int64_t end) {
    for (int64_t key = start; key < end; key++) line[key] = first[slot_of(slots, key) * scales->stride];
}

// Multiplies a row of scores by the scales of their keys, so that integers need no multiplication each. Hidden cells are
// selected to -infinity afterwards; those of a visible key whose scale is NaN become NaN, whatever its integers.
static void scale_scores(float *scores, const float *line, int64_t start, int64_t end) {
    for (int64_t key = start; key < end; key++) scores[key] *= line[key];
}

// The same for weights. Hidden keys have the weight zero by now, which stays zero, whatever lies in their scales.
static void scale_weights(float *weights, const float *line, int64_t start, int64_t end) {
    for (int64_t key = start; key < end; key++) weights[key] *= weights[key] == 0 ? 1 : line[key];
}

// A hidden score is -infinity. Its weight becomes -0, which no visible score can have.
static void mark_hidden(const float *scores, uint8_t *hidden, int64_t start, int64_t end) {
    for (int64_t key = start; key < end; key++) hidden[key] = scores[key] == minus_infinity;
}

// output = alpha output + weights times values for one row, key by key, passing over hidden keys: 0 * NaN must not
// happen. The order of operations is that of the register tiles, so that finite rows keep their bits.
static void weigh_row_guarded(float *output, float alpha, const float *weights, const float *value_panels,
                              int64_t panel_rows, int64_t start, int64_t end, int64_t value_dim) {
    for (int64_t column = 0; column < value_dim; column += NR)
        for (int lane = 0; lane < NR; lane += VL) {
            const float *value = value_panels + column * panel_rows + lane;
            vf sum = v_set(0);
            for (int64_t key = start; key < end; key++) {
                if (weights[key] == 0 && __builtin_signbit(weights[key])) continue;
                sum = V_FMA(v_set(weights[key]), v_load(value + key * NR), sum);
            }
            v_store(output + column + lane, V_FMA(v_load(output + column + lane), v_set(alpha), sum));
        }
}
