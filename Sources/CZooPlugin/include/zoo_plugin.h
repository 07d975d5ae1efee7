/*
 * zoo_plugin.h - attention operators in shared libraries, ABI 1.
 *
 * A plugin is a shared library that exports one symbol, zoo_plugin_entry. It needs this header and nothing else:
 *
 *     cc -O3 -shared -fPIC -I Sources/CZooPlugin/include -o libmine.so mine.c
 *     zoo --plugin ./libmine.so list
 *
 * docs/plugins.md is the guide. The rules in short:
 *
 *   sizes      Extents and strides count elements, never bytes. The last dimension of query, key, value, output and their
 *              gradients is dense (stride 1); any other stride may be anything, 0 and negative numbers included.
 *   ownership  Everything the host passes is the host's and lives until the call returns; inputs are shared with the
 *              caller, not copied, and must not be written. Everything that zoo_plugin_entry returns is the plugin's and
 *              lives as long as the process: a library is never unloaded. What create makes is freed by destroy.
 *   threads    A call runs on one thread; zoo_host.parallel_for spreads work over the host's threads. Calls may overlap,
 *              on the same state too, so forward and all other functions treat the state as constant.
 *   bits       The same operands give the same bits, for any number of threads. A row of the output depends on its own
 *              sequence alone. Cells that are masked or padded are never read into a result, even when they hold NaN.
 *   failure    A function that returns int32_t returns 0, or anything else when it fails; zoo_host.fail says why. Nothing
 *              may be thrown or longjmp'ed across the border.
 *   bounds     Outputs stand between guard zones that the host checks after every call: a plugin that writes outside is
 *              refused.
 *   growth     Structures grow at their end, so each carries its size. Fields beyond the size are absent.
 */
#ifndef ZOO_PLUGIN_H
#define ZOO_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of everything in this file. The host serves this version and no other. */
#define ZOO_PLUGIN_ABI_VERSION 1u

/* The extents a tensor may have at most. */
#define ZOO_MAXIMUM_RANK 8

/* Element types, as bits: a tensor has one, an operator's list several. */
#define ZOO_F32 (1u << 0)  /* float */
#define ZOO_F64 (1u << 1)  /* double */
#define ZOO_F16 (1u << 2)  /* IEEE 754 binary16 */
#define ZOO_BF16 (1u << 3) /* upper half of binary32 */
#define ZOO_U8 (1u << 4)   /* unsigned byte; masks only */

/*
 * What a problem may use beyond plain attention, as bits. A problem that uses one which an operator does not declare is
 * refused by the host with a reason. Dropout and score functions are not part of ABI 1: the host refuses them.
 */
#define ZOO_FEATURE_VALUE_DIM (1ull << 0)     /* value_dim differs from head_dim */
#define ZOO_FEATURE_GROUPED_QUERY (1ull << 1) /* kv_heads differs from heads */
#define ZOO_FEATURE_CROSS_LENGTH (1ull << 2)  /* query_length differs from key_length */
#define ZOO_FEATURE_CAUSAL (1ull << 3)        /* a causal mask: in band_low and band_high */
#define ZOO_FEATURE_WINDOW (1ull << 4)        /* a window: in band_low and band_high */
/*
 * zoo_inputs.mask. An operator that declares it also gets every mask that is no band (documents, trees, blocks, prefixes,
 * or, not, functions): the host writes those into the dense mask, O(query_length * key_length) bytes for each sequence.
 * Without it they are refused.
 */
#define ZOO_FEATURE_DENSE_MASK (1ull << 5)
#define ZOO_FEATURE_KEY_LENGTHS (1ull << 6)   /* key_lengths below key_length */
#define ZOO_FEATURE_QUERY_LENGTHS (1ull << 7) /* query_lengths below query_length */
#define ZOO_FEATURE_BIAS (1ull << 8)          /* zoo_inputs.bias */
#define ZOO_FEATURE_SOFTCAP (1ull << 9)       /* zoo_problem.softcap */
#define ZOO_FEATURE_ALIBI (1ull << 10)        /* zoo_inputs.alibi_slopes */
#define ZOO_FEATURE_SINKS (1ull << 11)        /* zoo_inputs.sinks */
#define ZOO_FEATURE_LOG_SUM_EXP (1ull << 12)  /* the operator writes zoo_outputs.log_sum_exp */

/* Laws of softmax attention that an approximate operator keeps. An exact one keeps all; its field is not read. */
#define ZOO_TRAIT_SOFTMAX (1u << 0)         /* one softmax: a constant added to a row of scores changes log-sum-exp only */
#define ZOO_TRAIT_WEIGHTED_MEAN (1u << 1)   /* a row is a weighted mean of values */
#define ZOO_TRAIT_KEY_ORDER_FREE (1u << 2)  /* the order of unmasked keys does not matter */
#define ZOO_TRAIT_ROW_INDEPENDENT (1u << 3) /* a row depends on its own query alone */
#define ZOO_TRAIT_ANY_SCORE (1u << 4)       /* scores of any size do no harm */
#define ZOO_TRAIT_SEES_EVERY_KEY (1u << 5)  /* every key that no mask hides matters */

/* How a parameter begins when none is loaded. */
#define ZOO_INITIAL_ZEROS 0u
#define ZOO_INITIAL_ONES 1u
#define ZOO_INITIAL_UNIFORM 2u       /* from -amplitude to amplitude */
#define ZOO_INITIAL_SEGMENT_MEANS 3u /* row i averages the i-th of rows equal segments of the columns */
#define ZOO_INITIAL_IDENTITY 4u      /* ones on the diagonal */

/* Numbers to read. data is the element at index 0, ..., 0. */
struct zoo_tensor {
    const void *data;
    uint32_t dtype;
    uint32_t rank;
    int64_t shape[ZOO_MAXIMUM_RANK];
    int64_t strides[ZOO_MAXIMUM_RANK];
};

/* Numbers to write; dense, in row-major order. */
struct zoo_mutable_tensor {
    void *data;
    uint32_t dtype;
    uint32_t rank;
    int64_t shape[ZOO_MAXIMUM_RANK];
    int64_t strides[ZOO_MAXIMUM_RANK];
};

/* What is to be computed, without data. */
struct zoo_problem {
    uint32_t struct_size;
    uint32_t dtype; /* of query, key, value and output */
    int64_t batch;
    int64_t query_length; /* rows of the tensors, padding included */
    int64_t key_length;
    int64_t heads;
    int64_t kv_heads; /* divides heads; query head h reads key head h / (heads / kv_heads) */
    int64_t head_dim;
    int64_t value_dim;
    uint64_t features; /* ZOO_FEATURE_* that the problem uses */
    float scale;       /* the factor on query . key */
    float softcap;     /* scores become softcap * tanh(score / softcap); 0 is none */
    /* True lengths, [batch] each, never NULL: rows from there on are padding. */
    const int64_t *query_lengths;
    const int64_t *key_lengths;
    /*
     * The band of keys that the mask lets through, [batch] each, never NULL. Query i of sequence b sees keys from
     * max(0, i + band_low[b]) to min(band_end[b] - 1, i + band_high[b]), both included, or none when that is empty.
     * Causal masks of either corner, windows and prefixes are folded in; so are the key lengths. Without a mask the
     * band is so wide that it hides nothing; i + band_low and i + band_high never overflow.
     */
    const int64_t *band_low;
    const int64_t *band_high;
    const int64_t *band_end;
};

/* The operands of one call. */
struct zoo_inputs {
    uint32_t struct_size;
    uint32_t parameter_count;
    struct zoo_tensor query; /* [batch, query_length, heads, head_dim] */
    struct zoo_tensor key;   /* [batch, key_length, kv_heads, head_dim] */
    struct zoo_tensor value; /* [batch, key_length, kv_heads, value_dim] */
    /* F32 [batch, heads, query_length, key_length], added to the scores after softcap; strides may be 0. NULL: none. */
    const struct zoo_tensor *bias;
    /* U8, same shape: a pair is visible where this is not 0 and the band lets it through. NULL: none. */
    const struct zoo_tensor *mask;
    /* [heads]: the score loses slope * |i + key_lengths[b] - query_lengths[b] - key|. NULL: none. */
    const float *alibi_slopes;
    /* [heads]: one more score whose value is zero. NULL: none. */
    const float *sinks;
    /* parameter_count tensors in the order in which `parameters` declared them; F32, dense. */
    const struct zoo_tensor *parameters;
};

/* Where the results go. */
struct zoo_outputs {
    uint32_t struct_size;
    uint32_t reserved;
    /* [batch, query_length, heads, value_dim] of the problem's type. Comes as zeros: rows without keys stay so. */
    struct zoo_mutable_tensor output;
    /* [batch, heads, query_length] float, base e. Comes as -infinity. NULL when the operator does not declare it. */
    float *log_sum_exp;
};

/* What a loss says about the results of a call. */
struct zoo_output_gradient {
    uint32_t struct_size;
    uint32_t reserved;
    struct zoo_tensor output;        /* shape of the output, the problem's type, dense */
    const float *log_sum_exp;        /* [batch, heads, query_length]; NULL: the loss does not depend on it */
    struct zoo_tensor result;        /* the output that forward gave, dense */
    const float *result_log_sum_exp; /* the log-sum-exp that forward gave; NULL when the operator does not declare it */
};

/* Where derivatives go. All come as zeros. */
struct zoo_gradients {
    uint32_t struct_size;
    uint32_t parameter_count;
    struct zoo_mutable_tensor query; /* the problem's type */
    struct zoo_mutable_tensor key;   /* summed over the query heads that share a key head */
    struct zoo_mutable_tensor value;
    /* F32 of the bias's own, not broadcast shape, right-aligned to rank 4 with extents 1. NULL: there is no bias. */
    const struct zoo_mutable_tensor *bias;
    float *sinks; /* [heads]; NULL: there are none */
    const struct zoo_mutable_tensor *parameters; /* F32, in declared order */
};

/* What the host offers during a call. */
struct zoo_host {
    uint32_t struct_size;
    uint32_t abi_version;
    int32_t threads; /* workers of parallel_for */
    int32_t reserved;
    void *context; /* the host's own */
    /*
     * Calls body(state, index, worker) for every index below count on the host's threads, and returns when all are done.
     * worker is from 0 to threads - 1, and no two calls of the same worker overlap: it can choose scratch memory.
     */
    void (*parallel_for)(const struct zoo_host *host, int64_t count,
                         void (*body)(void *state, int64_t index, int32_t worker), void *state);
    /* Says why the function that is about to return something else than 0 failed. UTF-8; copied. From the call's thread. */
    void (*fail)(const struct zoo_host *host, const char *message);
};

/* An option of an operator. */
struct zoo_option {
    const char *name; /* the key in configurations */
    const char *summary;
    const char *default_value; /* for people */
};

/* Takes one reason why a problem cannot be run: explanation, and the nearest change that would help, or NULL. Copied. */
typedef void (*zoo_add_reason)(void *context, const char *explanation, const char *remedy);

/* Takes one parameter. Names are unique within the operator. Copied. */
typedef void (*zoo_add_parameter)(void *context, const char *name, uint32_t rank, const int64_t *shape, uint32_t initial,
                                  float amplitude, const char *summary);

/* One operator. Texts are UTF-8; those not marked optional must not be NULL or empty. */
struct zoo_operator {
    uint32_t struct_size;
    int32_t priority; /* `auto` takes the highest among those that can run a problem */

    const char *id;             /* lower-case words of letters and digits joined by - or _, a letter first */
    const char *const *aliases; /* ends with NULL; the array may be NULL */
    const char *family;         /* exact, sparse, approximate, mixing, ... */
    const char *title;
    const char *summary; /* one sentence: how it works */
    const char *paper;   /* where it comes from */
    const char *status;  /* stable or experimental */

    uint32_t dtypes; /* of query, key and value; ZOO_U8 is not among them */
    uint32_t traits; /* of an approximate operator */
    int64_t minimum_head_dim;
    int64_t maximum_head_dim;
    uint64_t features;
    const char *limit;          /* NULL: exact softmax attention. Else the limit in which it becomes exact */
    const char *working_memory; /* beyond the output, for example O(L) */
    const char *arithmetic;     /* for example O(L^2) */

    const char *maths; /* optional: lines of plain mathematics */
    const char *choose; /* optional: when to choose it */
    const char *limits; /* optional: what it cannot do */

    const struct zoo_option *options; /* may be NULL when option_count is 0 */
    uint64_t option_count;

    /*
     * Optional together with destroy: makes the state of a configured operator. configuration is a JSON object that
     * holds the options which were given; the host has refused unknown names. Without create the state is NULL.
     */
    int32_t (*create)(const struct zoo_host *host, const char *configuration, void **state);
    void (*destroy)(void *state);

    /* Optional: what stands in the way of a problem beyond the facts above. Must not look at data. */
    void (*reasons)(const void *state, const struct zoo_problem *problem, zoo_add_reason add, void *context);

    /* Optional: bytes of working memory beyond inputs and outputs, for all threads together. */
    int64_t (*workspace_bytes)(const void *state, const struct zoo_problem *problem, int32_t threads);

    /* Optional: whether the operator's own structure lets a query see a key, beside the mask. NULL: it always does. */
    int32_t (*allows)(const void *state, const struct zoo_problem *problem, int64_t batch, int64_t head, int64_t query,
                      int64_t key);

    /* Optional: the tensors that the operator owns. */
    void (*parameters)(const void *state, const struct zoo_problem *problem, zoo_add_parameter add, void *context);

    int32_t (*forward)(const void *state, const struct zoo_host *host, const struct zoo_problem *problem,
                       const struct zoo_inputs *inputs, const struct zoo_outputs *outputs);

    /* Optional: derivatives of a loss by the operands. */
    int32_t (*backward)(const void *state, const struct zoo_host *host, const struct zoo_problem *problem,
                        const struct zoo_inputs *inputs, const struct zoo_output_gradient *gradient,
                        const struct zoo_gradients *gradients);

    /*
     * An approximate operator must give it, an exact one need not: the same mathematics written as plainly as possible,
     * which forward is compared with. It is called with F32 and with F64 operands, whatever dtypes says.
     */
    int32_t (*reference)(const void *state, const struct zoo_host *host, const struct zoo_problem *problem,
                         const struct zoo_inputs *inputs, const struct zoo_outputs *outputs);

    /* An approximate operator that has backward must give it: the derivatives of reference, called as reference is. */
    int32_t (*reference_backward)(const void *state, const struct zoo_host *host, const struct zoo_problem *problem,
                                  const struct zoo_inputs *inputs, const struct zoo_output_gradient *gradient,
                                  const struct zoo_gradients *gradients);
};

/* A library's operators. The first two fields stay where they are in every version. */
struct zoo_plugin {
    uint32_t abi_version; /* ZOO_PLUGIN_ABI_VERSION */
    uint32_t struct_size; /* sizeof(struct zoo_plugin) */
    const char *name;
    const char *version;
    const struct zoo_operator *const *operators;
    uint64_t operator_count;
};

/* What a plugin exports. NULL when it does not serve the host's version. */
#if defined(_WIN32)
__declspec(dllexport)
#else
__attribute__((visibility("default")))
#endif
const struct zoo_plugin *zoo_plugin_entry(uint32_t host_abi_version);

/* The type of zoo_plugin_entry. */
typedef const struct zoo_plugin *(*zoo_plugin_entry_function)(uint32_t host_abi_version);

#ifdef __cplusplus
}
#endif

#endif
