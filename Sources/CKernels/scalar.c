// The baseline of every CPU: four floats (SSE2 on x86-64), no fused multiply-add. 6 x 8 tile. Each product is rounded
// before it is added, so chains are shorter than elsewhere.
#include "tables.h"

#define VL 4
#define NV 2
#define MR 6
#define V_FMA(a, b, c) ((a) * (b) + (c))
#define S_FMA(a, b, c) ((a) * (b) + (c))
#define DOT_RUN 32
#ifdef __SSE2__
#define V_PAIRS(a, b) __builtin_ia32_pmaddwd128((a), (b))
#endif
#define ISA_NAME "scalar"
#define TABLE zoo_table_scalar

#pragma STDC FP_CONTRACT OFF
#include "shared/table.inl.h"
