/*
 * plain-c: softmax attention one query at a time, summed in double, with gradients.
 *
 * A complete plugin against zoo_plugin.h and nothing else:
 *
 *     cc -O3 -shared -fPIC -I Sources/CZooPlugin/include -o libplain.so Examples/Plugins/C/plain.c -lm
 */
#include "zoo_plugin.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The state: the options in force. */
struct plain {
    int64_t rows_per_task;
};

/* One call, as loop bodies see it. */
struct call {
    const struct plain *plain;
    const struct zoo_problem *problem;
    const struct zoo_inputs *inputs;
    const struct zoo_outputs *outputs;
    const struct zoo_output_gradient *gradient;
    const struct zoo_gradients *gradients;
    double *scratch; /* each worker's own piece */
    int64_t stride;  /* doubles of a piece */
};

static const float *row_of(const struct zoo_tensor *tensor, int64_t batch, int64_t row, int64_t head) {
    return (const float *)tensor->data + batch * tensor->strides[0] + row * tensor->strides[1] +
           head * tensor->strides[2];
}

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t smallest(int64_t a, int64_t b) { return a < b ? a : b; }

/* What one query makes of its keys: scores of keys first to end - 1, -infinity for hidden ones. */
struct row {
    int64_t batch, head, kv_head, query, first, end;
    double *scores; /* scores[key - first] */
    double *slopes; /* derivative of a score by scale * q.k; NULL when nobody asks */
    double highest, total;
};

static void fill(const struct call *call, struct row *row) {
    const struct zoo_problem *p = call->problem;
    const struct zoo_inputs *in = call->inputs;
    row->first = largest(0, row->query + p->band_low[row->batch]);
    row->end = smallest(p->band_end[row->batch], row->query + p->band_high[row->batch] + 1);
    row->highest = in->sinks ? in->sinks[row->head] : -INFINITY;
    row->total = 0;
    const float *q = row_of(&in->query, row->batch, row->query, row->head);
    const int64_t place = row->query + p->key_lengths[row->batch] - p->query_lengths[row->batch];
    for (int64_t key = row->first; key < row->end; key++) {
        double *score = row->scores + (key - row->first);
        *score = -INFINITY;
        if (in->mask) {
            const int64_t *s = in->mask->strides;
            const uint8_t *cells = in->mask->data;
            if (!cells[row->batch * s[0] + row->head * s[1] + row->query * s[2] + key * s[3]]) continue;
        }
        const float *k = row_of(&in->key, row->batch, key, row->kv_head);
        double sum = 0;
        for (int64_t d = 0; d < p->head_dim; d++) sum += (double)q[d] * k[d];
        sum *= p->scale;
        double slope = 1;
        if (p->softcap > 0) {
            const double squashed = tanh(sum / p->softcap);
            slope = 1 - squashed * squashed;
            sum = p->softcap * squashed;
        }
        if (in->bias) {
            const int64_t *s = in->bias->strides;
            const float *cells = in->bias->data;
            sum += cells[row->batch * s[0] + row->head * s[1] + row->query * s[2] + key * s[3]];
        }
        if (in->alibi_slopes) sum -= in->alibi_slopes[row->head] * (double)llabs(place - key);
        *score = sum;
        if (row->slopes) row->slopes[key - row->first] = slope;
        if (sum > row->highest) row->highest = sum;
    }
    if (row->highest == -INFINITY) return;
    if (in->sinks) row->total += exp(in->sinks[row->head] - row->highest);
    for (int64_t key = row->first; key < row->end; key++) row->total += exp(row->scores[key - row->first] - row->highest);
}

/* Rows index * rows_per_task and on, counted over [batch, heads, query_length]. */
static void forward_rows(void *state, int64_t index, int32_t worker) {
    const struct call *call = state;
    const struct zoo_problem *p = call->problem;
    double *scores = call->scratch + worker * call->stride;
    double *sums = scores + p->key_length;
    const int64_t rows = p->batch * p->heads * p->query_length;
    const int64_t end = smallest(rows, (index + 1) * call->plain->rows_per_task);
    for (int64_t place = index * call->plain->rows_per_task; place < end; place++) {
        struct row row = {0};
        row.query = place % p->query_length;
        row.head = place / p->query_length % p->heads;
        row.batch = place / p->query_length / p->heads;
        row.kv_head = row.head / (p->heads / p->kv_heads);
        row.scores = scores;
        if (row.query >= p->query_lengths[row.batch]) continue;
        fill(call, &row);
        if (row.highest == -INFINITY) continue;
        call->outputs->log_sum_exp[place] = (float)(row.highest + log(row.total));
        memset(sums, 0, sizeof(double) * (size_t)p->value_dim);
        for (int64_t key = row.first; key < row.end; key++) {
            if (scores[key - row.first] == -INFINITY) continue;
            const double weight = exp(scores[key - row.first] - row.highest);
            const float *v = row_of(&call->inputs->value, row.batch, key, row.kv_head);
            for (int64_t d = 0; d < p->value_dim; d++) sums[d] += weight * v[d];
        }
        float *out = (float *)call->outputs->output.data +
                     ((row.batch * p->query_length + row.query) * p->heads + row.head) * p->value_dim;
        for (int64_t d = 0; d < p->value_dim; d++) out[d] = (float)(sums[d] / row.total);
    }
}

static int32_t forward(const void *state, const struct zoo_host *host, const struct zoo_problem *problem,
                       const struct zoo_inputs *inputs, const struct zoo_outputs *outputs) {
    struct call call = {.plain = state, .problem = problem, .inputs = inputs, .outputs = outputs};
    call.stride = problem->key_length + problem->value_dim;
    call.scratch = malloc(sizeof(double) * (size_t)(call.stride * host->threads + 1));
    if (!call.scratch) {
        host->fail(host, "there is no memory for the scores");
        return 1;
    }
    const int64_t rows = problem->batch * problem->heads * problem->query_length;
    const int64_t step = call.plain->rows_per_task;
    host->parallel_for(host, (rows + step - 1) / step, forward_rows, &call);
    free(call.scratch);
    return 0;
}

/* One row's part of every derivative: p = exp(s - L), dS = p (dO.v - dO.O + dL). */
static void backward_row(const struct call *call, struct row *row, double *query, double *keys, double *values) {
    const struct zoo_problem *p = call->problem;
    const struct zoo_gradients *out = call->gradients;
    fill(call, row);
    if (row->highest == -INFINITY) return;
    const int64_t cell = ((row->batch * p->query_length + row->query) * p->heads + row->head) * p->value_dim;
    const float *upstream = (const float *)call->gradient->output.data + cell;
    const float *result = (const float *)call->gradient->result.data + cell;
    double common = 0;
    for (int64_t d = 0; d < p->value_dim; d++) common -= (double)upstream[d] * result[d];
    if (call->gradient->log_sum_exp)
        common += call->gradient->log_sum_exp[(row->batch * p->heads + row->head) * p->query_length + row->query];
    if (out->sinks)
        out->sinks[row->head] += (float)(exp(call->inputs->sinks[row->head] - row->highest) / row->total * common);
    memset(query, 0, sizeof(double) * (size_t)p->head_dim);
    const float *q = row_of(&call->inputs->query, row->batch, row->query, row->head);
    for (int64_t key = row->first; key < row->end; key++) {
        if (row->scores[key - row->first] == -INFINITY) continue;
        const double weight = exp(row->scores[key - row->first] - row->highest) / row->total;
        const float *k = row_of(&call->inputs->key, row->batch, key, row->kv_head);
        const float *v = row_of(&call->inputs->value, row->batch, key, row->kv_head);
        double slope = common;
        for (int64_t d = 0; d < p->value_dim; d++) {
            slope += (double)upstream[d] * v[d];
            values[key * p->value_dim + d] += weight * upstream[d];
        }
        slope *= weight;
        if (out->bias) {
            const int64_t *n = out->bias->shape, *s = out->bias->strides;
            ((float *)out->bias->data)[row->batch % n[0] * s[0] + row->head % n[1] * s[1] + row->query % n[2] * s[2] +
                                       key % n[3] * s[3]] += (float)slope;
        }
        slope *= row->slopes[key - row->first] * p->scale;
        for (int64_t d = 0; d < p->head_dim; d++) {
            query[d] += slope * k[d];
            keys[key * p->head_dim + d] += slope * q[d];
        }
    }
    float *target = (float *)out->query.data +
                    ((row->batch * p->query_length + row->query) * p->heads + row->head) * p->head_dim;
    for (int64_t d = 0; d < p->head_dim; d++) target[d] = (float)query[d];
}

/* Everything that one key head touches: the rows of its query heads in every sequence. */
static void backward_head(const struct call *call, int64_t kv_head, double *scratch) {
    const struct zoo_problem *p = call->problem;
    const int64_t group = p->heads / p->kv_heads;
    double *keys = scratch + 2 * p->key_length + p->head_dim;
    double *values = keys + p->key_length * p->head_dim;
    for (int64_t batch = 0; batch < p->batch; batch++) {
        memset(keys, 0, sizeof(double) * (size_t)(p->key_length * (p->head_dim + p->value_dim)));
        for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++)
            for (int64_t query = 0; query < p->query_lengths[batch]; query++) {
                struct row row = {.batch = batch, .head = head, .kv_head = kv_head, .query = query};
                row.scores = scratch;
                row.slopes = scratch + p->key_length;
                backward_row(call, &row, scratch + 2 * p->key_length, keys, values);
            }
        for (int64_t key = 0; key < p->key_length; key++) {
            const int64_t place = (batch * p->key_length + key) * p->kv_heads + kv_head;
            float *dk = (float *)call->gradients->key.data + place * p->head_dim;
            float *dv = (float *)call->gradients->value.data + place * p->value_dim;
            for (int64_t d = 0; d < p->head_dim; d++) dk[d] = (float)keys[key * p->head_dim + d];
            for (int64_t d = 0; d < p->value_dim; d++) dv[d] = (float)values[key * p->value_dim + d];
        }
    }
}

/* Index and worker of a loop over key heads. */
static void backward_task(void *state, int64_t index, int32_t worker) {
    const struct call *call = state;
    double *scratch = call->scratch + worker * call->stride;
    /* Heads may share cells of the bias, so with a bias one task takes all heads: the order of sums stays the same. */
    const int64_t heads = call->gradients->bias ? call->problem->kv_heads : 1;
    for (int64_t head = index * heads; head < (index + 1) * heads; head++) backward_head(call, head, scratch);
}

static int32_t backward(const void *state, const struct zoo_host *host, const struct zoo_problem *problem,
                        const struct zoo_inputs *inputs, const struct zoo_output_gradient *gradient,
                        const struct zoo_gradients *gradients) {
    struct call call = {
        .plain = state, .problem = problem, .inputs = inputs, .gradient = gradient, .gradients = gradients};
    call.stride = problem->key_length * (2 + problem->head_dim + problem->value_dim) + problem->head_dim;
    call.scratch = malloc(sizeof(double) * (size_t)(call.stride * host->threads + 1));
    if (!call.scratch) {
        host->fail(host, "there is no memory for the gradients");
        return 1;
    }
    host->parallel_for(host, gradients->bias ? 1 : problem->kv_heads, backward_task, &call);
    free(call.scratch);
    return 0;
}

static int64_t workspace_bytes(const void *state, const struct zoo_problem *problem, int32_t threads) {
    (void)state;
    return (int64_t)sizeof(double) * (problem->key_length + problem->value_dim) * threads;
}

/* Options come as {"rowsPerTask": 8}; the host has checked the names. */
static int32_t create(const struct zoo_host *host, const char *configuration, void **state) {
    int64_t rows = 16;
    const char *option = strstr(configuration, "\"rowsPerTask\":");
    if (option) {
        char *end;
        const char *text = option + strlen("\"rowsPerTask\":");
        rows = strtoll(text, &end, 10);
        if (end == text || (*end != ',' && *end != '}') || rows < 1 || rows > 4096) {
            host->fail(host, "rowsPerTask is a number from 1 to 4096");
            return 1;
        }
    }
    struct plain *plain = malloc(sizeof *plain);
    if (!plain) return 1;
    plain->rows_per_task = rows;
    *state = plain;
    return 0;
}

static const char *const aliases[] = {"plain-softmax", NULL};
static const struct zoo_option options[] = {{"rowsPerTask", "rows that one task computes, from 1 to 4096", "16"}};

static const struct zoo_operator plain_c = {
    .struct_size = sizeof(struct zoo_operator),
    .priority = 0,
    .id = "plain-c",
    .aliases = aliases,
    .family = "exact",
    .title = "Plain attention in C",
    .summary = "One query at a time, summed in double.",
    .paper = "Vaswani et al., Attention Is All You Need, 2017, equation 1",
    .status = "experimental",
    .dtypes = ZOO_F32,
    .minimum_head_dim = 1,
    .maximum_head_dim = 4096,
    .features = ZOO_FEATURE_VALUE_DIM | ZOO_FEATURE_GROUPED_QUERY | ZOO_FEATURE_CROSS_LENGTH | ZOO_FEATURE_CAUSAL |
                ZOO_FEATURE_WINDOW | ZOO_FEATURE_DENSE_MASK | ZOO_FEATURE_KEY_LENGTHS | ZOO_FEATURE_QUERY_LENGTHS |
                ZOO_FEATURE_BIAS | ZOO_FEATURE_SOFTCAP | ZOO_FEATURE_ALIBI | ZOO_FEATURE_SINKS |
                ZOO_FEATURE_LOG_SUM_EXP,
    .working_memory = "O(L)",
    .arithmetic = "O(L^2)",
    .maths = "s_j = scale q.k_j\no = sum_j exp(s_j) v_j / sum_j exp(s_j)",
    .choose = "as the start of a plugin of your own",
    .limits = "slow: no blocks, no vectors",
    .options = options,
    .option_count = 1,
    .create = create,
    .destroy = free,
    .workspace_bytes = workspace_bytes,
    .forward = forward,
    .backward = backward,
};

static const struct zoo_operator *const operators[] = {&plain_c};

static const struct zoo_plugin plugin = {
    .abi_version = ZOO_PLUGIN_ABI_VERSION,
    .struct_size = sizeof(struct zoo_plugin),
    .name = "plain",
    .version = "1.0",
    .operators = operators,
    .operator_count = 1,
};

const struct zoo_plugin *zoo_plugin_entry(uint32_t host_abi_version) {
    return host_abi_version == ZOO_PLUGIN_ABI_VERSION ? &plugin : NULL;
}
