// Everything, in order, and the table that exports it.

#include "vector.inl.h"
#include "pack.inl.h"
#include "product.inl.h"
#include "scores.inl.h"
#include "attend.inl.h"
#include "few.inl.h"
#include "materialised.inl.h"
#include "backward.inl.h"
#include "rows.inl.h"
#include "decoder.inl.h"
#include "project.inl.h"
#include "mixing.inl.h"
#include "recurrent.inl.h"
#include "int8.inl.h"
#include "pack8.inl.h"
#include "attend8.inl.h"
#include "quant.inl.h"
#include "quant_pack.inl.h"

const struct zoo_kernel_table TABLE = {
    .name = ISA_NAME,
    .tile_rows = MR,
    .panel_width = NR,
    .quant_rows = QUANT_ROWS,
    .pack_query = pack_query,
    .pack_keys = pack_keys,
    .pack_values = pack_values,
    .attend_block = attend_block,
    .attend_few = attend_few,
    .scores_block = scores_block,
    .softmax_rows = softmax_rows,
    .drop_rows = drop_rows,
    .weigh_values = weigh_values,
    .differentiate_block = differentiate_block,
    .dot_rows = dot_rows,
    .merge_rows = merge_rows,
    .finish_row = finish_row,
    .linear_tile = linear_tile,
    .project_tile = project_tile,
    .project_row = project_row,
    .pack_panel = pack_panel,
    .quant_group_bytes = quant_group_bytes,
    .quant_pack_group = quant_pack_group,
    .quant_pack_rows = quant_pack_rows,
    .quant_tile = quant_tile,
    .quant_row = quant_row,
    .quant_widen = quant_widen,
    .quant_to_float = quant_to_float,
    .layer_norm_row = layer_norm_row,
    .activate = activate,
    .add = add,
    .rms_norm_row = rms_norm_row,
    .rotate_heads = rotate_heads,
    .gate_row = gate_row,
    .soft_cap = soft_cap,
    .round_heads = round_heads,
    .to_float = to_float,
    .exp2 = exp2_array,
    .multiply_add = multiply_add,
    .scaled_add = scaled_add,
    .dot = dot,
    .fft_lanes = fft_lanes,
    .state_update = state_update,
    .state_read = state_read,
    .state_dot = state_dot,
    .peak_fma = peak_fma,
    .peak_read = peak_read,
    .dot_bytes = dot_bytes,
    .pack_query_bytes = pack_query_bytes,
    .pack_key_bytes = pack_key_bytes,
    .pack_value_bytes = pack_value_bytes,
    .attend_bytes = attend_bytes,
};
