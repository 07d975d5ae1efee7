// The microkernels behind the attention operators: one table of functions for each instruction set.
//
// Every table holds the same algorithms, compiled from shared/*.inl.h. Products accumulate over their inner dimension
// in order, one accumulator per result, so that a row's bits never depend on the rows beside it.
#ifndef ZOO_KERNELS_H
#define ZOO_KERNELS_H

#include <stdint.h>

// The largest number of keys that one call of attend_block may take.
#define ZOO_MAX_KEY_BLOCK 512
// The largest row tile of any table.
#define ZOO_MAX_TILE_ROWS 16

// Transforms that fft_lanes runs side by side: the widest vector.
#define ZOO_FFT_LANES 16

// The most query rows sharing a key head for which keys and values are read where they lie.
#define ZOO_MAX_FEW_ROWS 16
// The most query rows that attend_few takes, of all key heads together.
#define ZOO_MAX_FEW_TASK_ROWS 64

enum zoo_dtype { ZOO_F32 = 0, ZOO_F16 = 1, ZOO_BF16 = 2, ZOO_I8 = 3 };
enum zoo_activation { ZOO_GELU = 0, ZOO_GELU_TANH = 1, ZOO_RELU = 2, ZOO_SILU = 3 };

// What is applied to scores between the two products. Scores live in the base-2 logarithm: the query carries
// scale * log2(e), and softcap and slopes are passed multiplied by log2(e). Arrays hold one entry for each query row.
struct zoo_score_modifiers {
    float softcap;               // 0: none
    const int32_t *first_key;    // first visible key of the block, NULL: 0
    const int32_t *end_key;      // end of the visible keys of the block, NULL: all
    const float *const *bias;    // bias of the row at the block's first key, natural units, NULL: none
    const uint8_t *const *mask;  // byte 0 hides a key, NULL: none
    const float *slope;          // ALiBi slope of the row, NULL: none
    const int32_t *place;        // the row's place among the keys, relative to the block's first key
    // Changes scores start..<end of a row, base 2 in and out; the last change before the mask. NULL: none.
    void (*function)(void *context, int64_t row, int64_t start, int64_t end, float *scores);
    void *function_context;
    const uint32_t *drop_low;    // dropout: the halves of each row's key, NULL: no dropout
    const uint32_t *drop_high;
    uint32_t drop_threshold;     // a weight whose number is below is dropped
    float keep_scale;            // what kept weights are multiplied by
    int32_t first_place;         // the place of the block's first key among all keys: what dropout counts
};

// What integers are multiplied by: one number for each key and head. NULL for floating-point keys and values.
struct zoo_scales {
    const float *key, *value;    // of slot 0
    int64_t stride, head_stride; // floats between two slots' scales, and two heads'
};

// One block of query rows against one block of keys: online softmax, FlashAttention-2 algorithm 1, lines 8 to 10.
struct zoo_attend_args {
    int64_t rows, keys;          // keys <= ZOO_MAX_KEY_BLOCK
    int64_t head_dim, value_dim;
    const float *query_tiles;    // [row tile][head_dim][tile rows], from pack_query
    const float *key_panels;     // [key panel][head_dim][panel width], from pack_keys
    const float *value_panels;   // [value_dim panel][value_panel_rows][panel width], from pack_values
    int64_t value_panel_rows;
    float *output;               // [rows][output_stride], accumulated, padded to whole panels
    int64_t output_stride;
    float *row_max;              // [rows] running maximum, base 2
    float *row_sum;              // [rows] running denominator
    float *scores;               // scratch: tile rows * zoo_score_stride floats
    struct zoo_scales scales;    // of the block's head; the panels hold the integers as they were
    struct zoo_score_modifiers modifiers;
    int32_t guarded;             // a value is not finite: never multiply it by a masked zero
};

// Few query rows against one block of keys that lie in memory as they came: the same step without packing.
//
// Rows are ordered by query, then key head, then place in the group of query heads that share it.
struct zoo_few_args {
    int64_t rows, keys;          // rows <= ZOO_MAX_FEW_TASK_ROWS, keys <= ZOO_MAX_KEY_BLOCK
    int64_t kv_heads, group;     // key heads; consecutive rows that share one. rows = queries * kv_heads * group
    int64_t head_dim, value_dim;
    const float *query;          // [rows][query_stride], scaled, padded with zeros to whole vectors
    int64_t query_stride;
    const void *key, *value;     // slot 0 of dtype, strides in elements
    const int32_t *slots;        // the slot of each key, NULL: keys follow each other
    int64_t following;           // keys behind the block that will be read next: their slots follow
    int64_t key_stride, value_stride;
    int64_t key_head_stride, value_head_stride;
    int32_t dtype;
    struct zoo_scales scales;
    float *output;               // as in zoo_attend_args
    int64_t output_stride;
    float *row_max, *row_sum;
    float *scores;               // scratch: rows * ZOO_SCORE_STRIDE floats
    float *sums;                 // scratch: rows * output_stride floats
    struct zoo_score_modifiers modifiers;
};

// A block of query rows against all keys, scores materialised.
struct zoo_scores_args {
    int64_t rows, keys, head_dim;
    const float *query_tiles;
    const float *key_panels;
    float *scores;               // [rows][scores_stride], scores_stride >= keys padded to whole panels
    int64_t scores_stride;
    struct zoo_score_modifiers modifiers;
};

// Gradients of a block of query rows against a block of keys: FlashAttention-2, algorithm 2.
struct zoo_backward_args {
    int64_t rows, keys;           // keys <= ZOO_MAX_KEY_BLOCK
    int64_t head_dim, value_dim;
    const float *query_tiles;     // [row tile][head_dim][tile rows], times scale * log2(e)
    const float *gradient_tiles;  // by the output, [row tile][value_dim][tile rows]
    const float *query_panels;    // [head_dim panel][row_panel_rows][panel width]
    const float *gradient_panels; // by the output, [value_dim panel][row_panel_rows][panel width]
    int64_t row_panel_rows;
    const float *key_panels;      // [key panel][head_dim][panel width]
    const float *value_panels;    // [key panel][value_dim][panel width]
    const float *key_rows;        // [head_dim panel][key_panel_rows][panel width]
    int64_t key_panel_rows;
    const float *log_sum_exp;     // [rows] base 2; +infinity for a row that sees no key
    const float *offset;          // [rows] rowsum(dO O) minus the derivative by the log-sum-exp
    float scale;
    float *weights, *scores;      // scratch, [rows][stride], stride >= keys padded to whole panels
    int64_t stride;
    float *query_gradient;        // [rows][query_gradient_stride], accumulated, padded to whole panels
    int64_t query_gradient_stride;
    float *key_gradient;          // [keys][key_gradient_stride], likewise
    int64_t key_gradient_stride;
    float *value_gradient;        // [keys][value_gradient_stride], likewise
    int64_t value_gradient_stride;
    float *const *bias_gradient;  // each row's at the block's first key, accumulated, NULL: not wanted
    int64_t bias_key_stride;      // 1, or 0 when all keys of a row share one number
    struct zoo_score_modifiers modifiers;
    // The derivatives of modifiers.function at scores start..<end of a row, in place. NULL without a function.
    void (*slope)(void *context, int64_t row, int64_t start, int64_t end, float *scores);
    int32_t guarded;              // an operand is not finite: never multiply it by a hidden zero
};

// A block of keys minus their mean, in bytes, each key with a scale.
struct zoo_byte_keys {
    int8_t *bytes;               // [key panel][head_dim / 4, rounded up][panel width][4]
    float *scales;               // [keys]
    int32_t *corrections;        // [keys] -128 times the sum of the key's bytes: queries are shifted by 128
    float *mean;                 // [head_dim, padded to whole vectors]
};

// A block of values in bytes around the middle of each channel.
struct zoo_byte_values {
    int8_t *bytes;               // [value_dim panel][keys / 4][panel width][4]
    float *scales;               // [value_dim, padded to whole panels] times 1/255
    float *middles;              // likewise
};

// One block of query rows against one whole block of keys, products in bytes: SageAttention.
struct zoo_byte_args {
    int64_t rows, count;         // count: keys, a multiple of the panel width, <= ZOO_MAX_KEY_BLOCK
    int64_t head_dim, value_dim;
    const float *query_tiles;    // as in zoo_attend_args
    const uint8_t *query_bytes;  // from pack_query_bytes
    const float *query_scales;
    struct zoo_byte_keys keys;
    struct zoo_byte_values values;
    const uint8_t *takes;        // [rows] 0: the row's state stays as it is. Rows that take the block see all of it.
    float *output;               // as in zoo_attend_args
    int64_t output_stride;
    float *row_max, *row_sum;
    float *scores;               // scratch: tile rows * ZOO_SCORE_STRIDE floats
    struct zoo_score_modifiers modifiers;  // ranges and masks are not read
};

// Inputs that share a scale when a row is put into bytes, and that a panel of codes keeps together.
#define ZOO_QUANT_BLOCK 32

// How a panel holds a weight of few bits: shared/quant.inl.h has the layout.
struct zoo_quant_format {
    int32_t bits;                // of a code as the panel holds it: 2, 3, 4 or 8
    int32_t code_bits;           // of a code as it was made: without zeros, each is 2^(code_bits - 1)
    int32_t scale_dtype;         // F32, F16 or BF16
    int32_t has_zeros;
    int64_t groups;              // that follow each other from the panel's address
    int64_t group_blocks;        // blocks of ZOO_QUANT_BLOCK inputs in each
};

// Up to a tile of rows in bytes.
struct zoo_quant_rows {
    int64_t rows;
    int8_t *bytes;               // [groups * group_blocks][ZOO_QUANT_BLOCK / 4][rows][4]
    float *scales;               // [groups * group_blocks][rows]
    float *sums;                 // [groups][rows] of scale times byte
};

// How many panels of a weight one row should read side by side.
#define ZOO_ROW_STREAMS 4

// Panels that one row reads side by side, each `apart` panels behind the one before, and so their results.
struct zoo_side_panels {
    int64_t count;
    int64_t apart;
    int64_t columns;             // of the last; the others are as wide as a panel
};

struct zoo_kernel_table {
    const char *name;
    int32_t tile_rows;           // query rows that one register tile holds
    int32_t panel_width;         // keys, or value columns, that one register tile holds
    int32_t quant_rows;          // rows of a tile of products with a weight in few bits

    // rows x head_dim -> [row tile][head_dim][tile rows], times scale; the last tile is padded with zero rows.
    void (*pack_query)(float *tiles, const void *rows, int32_t dtype, int64_t stride, int64_t count, int64_t head_dim,
                       float scale);
    // keys x head_dim -> [key panel][head_dim][panel width]; the last panel is padded with zero keys.
    void (*pack_keys)(float *panels, const void *rows, int32_t dtype, int64_t stride, int64_t count,
                      int64_t head_dim);
    // keys x value_dim -> [value_dim panel][panel_rows][panel width]; returns whether every value is finite.
    int32_t (*pack_values)(float *panels, const void *rows, int32_t dtype, int64_t stride, int64_t count,
                           int64_t value_dim, int64_t panel_rows);

    void (*attend_block)(const struct zoo_attend_args *args);
    void (*attend_few)(const struct zoo_few_args *args);

    void (*scores_block)(const struct zoo_scores_args *args);
    // Base-2 softmax of each row in place, without the division; writes maxima and sums.
    void (*softmax_rows)(float *scores, int64_t stride, int64_t rows, int64_t keys, float *row_max, float *row_sum);
    // Drops weights of each row in place, after softmax_rows; modifiers must have drop keys.
    void (*drop_rows)(float *weights, int64_t stride, int64_t rows, int64_t keys,
                      const struct zoo_score_modifiers *modifiers);
    // output[rows][output_stride] = scores[rows][keys] times value panels. Masked cells must hold -0 when guarded.
    void (*weigh_values)(float *output, int64_t output_stride, const float *scores, int64_t scores_stride,
                         const float *value_panels, int64_t panel_rows, int64_t rows, int64_t keys, int64_t value_dim,
                         int32_t guarded);

    void (*differentiate_block)(const struct zoo_backward_args *args);
    float (*dot_rows)(const void *left, int32_t left_dtype, const void *right, int32_t right_dtype, int64_t count);

    // Adds rows of another partial result: output = output * left[row] + other * right[row].
    void (*merge_rows)(float *output, const float *other, int64_t stride, int64_t rows, int64_t value_dim,
                       const float *left, const float *right);
    // One row of an accumulator, divided by its denominator (0: zeros), converted to dtype.
    void (*finish_row)(void *target, int32_t dtype, const float *output, int64_t value_dim, float row_sum);

    // c[rows][c_stride] = a tiles times one panel plus bias[panel width]; columns beyond `columns` are not written.
    void (*linear_tile)(float *c, int64_t c_stride, const float *a_tile, const float *panel, const float *bias,
                        int64_t rows, int64_t inner, int64_t columns);
    // The same for a panel of F32, F16 or BF16, with the bits of F32; panels are fetched ahead. `bias` NULL: the product is
    // added to what c holds.
    void (*project_tile)(float *c, int64_t c_stride, const float *a_tile, const void *panel, int32_t dtype,
                         const float *bias, int64_t rows, int64_t inner, int64_t columns);
    // The same for one row as it lies. `start`: what the sums begin with, in the places of their results; NULL: zeros.
    void (*project_row)(float *c, const float *row, const void *panels, int32_t dtype, const float *start, int64_t inner,
                        const struct zoo_side_panels *side);
    // One panel [columns][panel width] of up to a panel's width of rows, as bits of 2 or 4 bytes; missing rows are zero.
    void (*pack_panel)(void *target, const void *rows, int64_t bytes, int64_t row_stride, int64_t column_stride,
                       int64_t count, int64_t columns);
    // Bytes of one group of a panel.
    int64_t (*quant_group_bytes)(const struct zoo_quant_format *format);
    // One group of a panel. codes[output][stride] and the group's inputs in order: places[group_blocks *
    // ZOO_QUANT_BLOCK], negative for none. scales and zeros (NULL: none) of output o at o * meta_stride.
    void (*quant_pack_group)(void *cells, const struct zoo_quant_format *format, const uint8_t *codes, int64_t stride,
                             const int32_t *places, const float *scales, const int16_t *zeros, int64_t meta_stride,
                             int64_t count);
    // Rows into bytes. order: the input at each place, negative for none; NULL: as they lie, zeros beyond `inner`.
    // A block that is not finite has a scale of NaN.
    void (*quant_pack_rows)(const struct zoo_quant_rows *target, const float *rows, int64_t stride, int64_t inner,
                            const int32_t *order, const struct zoo_quant_format *format);
    // c[rows][c_stride] = rows times one panel plus bias[panel width], NULL: none.
    void (*quant_tile)(float *c, int64_t c_stride, const struct zoo_quant_rows *x, const void *panel,
                       const struct zoo_quant_format *format, const float *bias, int64_t columns);
    // The same for one row, as `project_row` has it.
    void (*quant_row)(float *c, const struct zoo_quant_rows *x, const void *panels, const struct zoo_quant_format *format,
                      const float *start, const struct zoo_side_panels *side);
    // A panel's groups with codes of 8 bits; quant_group_bytes of that format tells how long.
    void (*quant_widen)(void *wide, const void *panel, const struct zoo_quant_format *format);
    // A panel's groups in F32: [inputs][panel width].
    void (*quant_to_float)(float *cells, const void *panel, const struct zoo_quant_format *format);
    void (*layer_norm_row)(float *target, const float *row, const float *gain, const float *bias, int64_t count,
                           float epsilon);
    void (*activate)(float *target, const float *source, int64_t count, int32_t activation);
    void (*add)(float *target, const float *left, const float *right, int64_t count);
    // row / sqrt(mean of squares + epsilon) * gain; target and row may be the same.
    void (*rms_norm_row)(float *target, const float *row, const float *gain, int64_t count, float epsilon);
    // Turns pairs of the first 2 * half features of each head of a row in place: features i and i + half, or 2i and
    // 2i + 1 when interleaved, by the angles whose cosines and sines are given.
    void (*rotate_heads)(float *row, int64_t heads, int64_t stride, const float *cosine, const float *sine,
                         int64_t half, int32_t interleaved);
    // target = activation(gate) * up.
    void (*gate_row)(float *target, const float *gate, const float *up, int64_t count, int32_t activation);
    // target = cap * tanh(source / cap).
    void (*soft_cap)(float *target, const float *source, int64_t count, float cap);
    // The heads of a row in bytes: cell / scale to nearest, halves away from zero, with scale = largest / 127. Integers:
    // the same on every table. A head that is not finite has a scale of NaN; its bytes are 0, as those of a scale of 0.
    void (*round_heads)(int8_t *bytes, float *scales, const float *row, int64_t heads, int64_t head_dim);

    void (*to_float)(float *target, const void *source, int32_t dtype, int64_t count);
    void (*exp2)(float *target, const float *source, int64_t count);

    // target += left * right.
    void (*multiply_add)(float *target, const float *left, const float *right, int64_t count);
    // target += source * factor.
    void (*scaled_add)(float *target, const float *source, float factor, int64_t count);
    // The sum of left * right.
    float (*dot)(const float *left, const float *right, int64_t count);
    // ZOO_FFT_LANES transforms of a power of two n side by side, [n][ZOO_FFT_LANES] real and imaginary, forward and
    // unscaled. cosine[k] and sine[k] are those of -2 pi k / n. Returns 1 when the result lies in the other pair.
    int32_t (*fft_lanes)(float *re, float *im, float *other_re, float *other_im, const float *cosine, const float *sine,
                         int64_t n);
    // One step of a linear recurrence with a state [features][stride]; stride is a multiple of 16.
    // state[f] = decay[f] * state[f] + gain[f] * value
    void (*state_update)(float *state, int64_t stride, const float *decay, const float *gain, const float *value,
                         int64_t features);
    // output = sum of weight[f] * state[f]
    void (*state_read)(float *output, const float *state, int64_t stride, const float *weight, int64_t features);
    // output[f] = state[f] . vector
    void (*state_dot)(float *output, const float *state, int64_t stride, const float *vector, int64_t features);

    // Runs `rounds` of independent multiply-adds on registers alone; returns the floating-point operations done.
    double (*peak_fma)(int64_t rounds, float *sink);
    // Reads bytes once, in order; returns something that depends on all of them.
    float (*peak_read)(const float *source, int64_t count);

    // sums[panel width] = the products of one row of unsigned bytes with the signed bytes of a panel
    // [groups][panel width][4]. Integers: the same on every table.
    void (*dot_bytes)(int32_t *sums, const uint8_t *row, const int8_t *panel, int64_t groups);
    // Packed query tiles -> unsigned bytes [row tile][head_dim / 4, rounded up][tile rows][4] and a scale for each row,
    // which is not finite when the row is not.
    void (*pack_query_bytes)(uint8_t *bytes, float *scales, const float *tiles, int64_t rows, int64_t head_dim);
    // A whole block; `count` is a multiple of the panel width. Return whether bytes can stand for all of it.
    int32_t (*pack_key_bytes)(const struct zoo_byte_keys *keys, const void *rows, int32_t dtype, int64_t stride,
                              int64_t count, int64_t head_dim);
    int32_t (*pack_value_bytes)(const struct zoo_byte_values *values, const void *rows, int32_t dtype, int64_t stride,
                                int64_t count, int64_t value_dim);
    void (*attend_bytes)(const struct zoo_byte_args *args);
};

// Floats between two rows of the attend_block scratch. Off a power of two, so that rows fall into different cache sets.
#define ZOO_SCORE_STRIDE (ZOO_MAX_KEY_BLOCK + 16)

// The most tables that one CPU can run.
#define ZOO_MAX_TABLES 4
// The tables this CPU can run, slowest first. Returns how many.
int zoo_kernel_tables(const struct zoo_kernel_table *tables[ZOO_MAX_TABLES]);

// Processors that this process may run on: a container may have fewer than its host. 0 when the system does not say.
int zoo_allowed_cpus(void);

// Tells the CPU that the thread is only waiting.
void zoo_pause(void);

// Fetches memory into the second-level cache. The address need not be one of this process any more.
void zoo_fetch(uintptr_t address, int64_t bytes);

#endif
