// One step of a linear recurrence whose state is a matrix [features][stride]: causal linear attention.
//
//   state_update   S[f] = decay[f] · S[f] + gain[f] · v        a key and its value arrive
//   state_read     o    = Σ_f weight[f] · S[f]                 a query reads
//   state_dot      d[f] = S[f] · g                             its derivative by the weights
//
// `stride` is a multiple of VL; rows of v, o and g have as many floats, zeros behind the last column.

static void state_update(float *state, int64_t stride, const float *decay, const float *gain, const float *value,
                         int64_t features) {
    for (int64_t f = 0; f < features; f++) {
        float *row = state + f * stride;
        const vf kept = v_set(decay[f]), added = v_set(gain[f]);
        for (int64_t column = 0; column < stride; column += VL)
            v_store(row + column, V_FMA(added, v_load(value + column), kept * v_load(row + column)));
    }
}

// Features whose terms one accumulator takes: short runs keep rounding small.
#define STATE_RUN 64

INLINE void read_columns(const int N, float *output, const float *state, int64_t stride, const float *weight,
                         int64_t features) {
    vf total[4];
    UNROLL
    for (int v = 0; v < N; v++) total[v] = v_set(0);
    for (int64_t start = 0; start < features; start += STATE_RUN) {
        const int64_t end = features - start < STATE_RUN ? features : start + STATE_RUN;
        vf sums[4];
        UNROLL
        for (int v = 0; v < N; v++) sums[v] = v_set(0);
        for (int64_t f = start; f < end; f++)
            UNROLL
            for (int v = 0; v < N; v++)
                sums[v] = V_FMA(v_set(weight[f]), v_load(state + f * stride + v * VL), sums[v]);
        UNROLL
        for (int v = 0; v < N; v++) total[v] += sums[v];
    }
    UNROLL
    for (int v = 0; v < N; v++) v_store(output + v * VL, total[v]);
}

static void state_read(float *output, const float *state, int64_t stride, const float *weight, int64_t features) {
    int64_t column = 0;
    // Four columns of vectors hide the latency of the additions.
    for (; column + 4 * VL <= stride; column += 4 * VL)
        read_columns(4, output + column, state + column, stride, weight, features);
    for (; column < stride; column += VL)
        read_columns(1, output + column, state + column, stride, weight, features);
}

static void state_dot(float *output, const float *state, int64_t stride, const float *vector, int64_t features) {
    for (int64_t f = 0; f < features; f++) {
        vf sum = v_set(0);
        for (int64_t column = 0; column < stride; column += VL)
            sum = V_FMA(v_load(state + f * stride + column), v_load(vector + column), sum);
        output[f] = v_reduce_add(sum);
    }
}
