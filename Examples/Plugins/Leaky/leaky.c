/*
 * leaky: a plugin that claims to be causal and reads one key of the future. `zoo probe leaky` must find it out.
 *
 *     cc -O3 -shared -fPIC -I Sources/CZooPlugin/include -o libleaky.so Examples/Plugins/Leaky/leaky.c -lm
 */
#include "zoo_plugin.h"

#include <math.h>

static const float *row_of(const struct zoo_tensor *tensor, int64_t batch, int64_t row, int64_t head) {
    return (const float *)tensor->data + batch * tensor->strides[0] + row * tensor->strides[1] +
           head * tensor->strides[2];
}

/* Softmax by running maximum, so that no scores are kept. */
static void attend(const struct zoo_problem *p, const struct zoo_inputs *in, const struct zoo_outputs *outputs,
                   int64_t batch, int64_t head, int64_t query) {
    const int64_t first = query + p->band_low[batch] > 0 ? query + p->band_low[batch] : 0;
    /* The mistake: one key more than the band lets through. */
    int64_t end = query + p->band_high[batch] + 2;
    if (end > p->band_end[batch]) end = p->band_end[batch];
    const float *q = row_of(&in->query, batch, query, head);
    float *out = (float *)outputs->output.data + ((batch * p->query_length + query) * p->heads + head) * p->value_dim;
    double highest = -INFINITY, total = 0;
    for (int64_t key = first; key < end; key++) {
        const float *k = row_of(&in->key, batch, key, head);
        const float *v = row_of(&in->value, batch, key, head);
        double score = 0;
        for (int64_t d = 0; d < p->head_dim; d++) score += (double)q[d] * k[d];
        score *= p->scale;
        const double peak = score > highest ? score : highest;
        const double old = exp(highest - peak), fresh = exp(score - peak);
        total = total * old + fresh;
        for (int64_t d = 0; d < p->value_dim; d++) out[d] = (float)(out[d] * old + fresh * v[d]);
        highest = peak;
    }
    for (int64_t d = 0; d < p->value_dim; d++) out[d] = total > 0 ? (float)(out[d] / total) : 0;
}

static int32_t forward(const void *state, const struct zoo_host *host, const struct zoo_problem *problem,
                       const struct zoo_inputs *inputs, const struct zoo_outputs *outputs) {
    (void)state;
    (void)host;
    for (int64_t batch = 0; batch < problem->batch; batch++)
        for (int64_t head = 0; head < problem->heads; head++)
            for (int64_t query = 0; query < problem->query_length; query++)
                attend(problem, inputs, outputs, batch, head, query);
    return 0;
}

static const struct zoo_operator leaky = {
    .struct_size = sizeof(struct zoo_operator),
    .id = "leaky",
    .family = "exact",
    .title = "Leaky attention",
    .summary = "Claims to be causal and sees one key of the future.",
    .paper = "none: a mistake for `zoo probe` to find",
    .status = "experimental",
    .priority = -100,
    .dtypes = ZOO_F32,
    .minimum_head_dim = 1,
    .maximum_head_dim = 4096,
    .features = ZOO_FEATURE_CAUSAL | ZOO_FEATURE_VALUE_DIM | ZOO_FEATURE_CROSS_LENGTH,
    .working_memory = "O(1)",
    .arithmetic = "O(L^2)",
    .forward = forward,
};

static const struct zoo_operator *const operators[] = {&leaky};

static const struct zoo_plugin plugin = {
    .abi_version = ZOO_PLUGIN_ABI_VERSION,
    .struct_size = sizeof(struct zoo_plugin),
    .name = "leaky",
    .version = "1.0",
    .operators = operators,
    .operator_count = 1,
};

const struct zoo_plugin *zoo_plugin_entry(uint32_t host_abi_version) {
    return host_abi_version == ZOO_PLUGIN_ABI_VERSION ? &plugin : NULL;
}
