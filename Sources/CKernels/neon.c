// NEON: thirty-two registers of four floats hold a 6 x 16 tile (24), four panel vectors and a broadcast.
#include "tables.h"

#if defined(__aarch64__)
#define VL 4
#define NV 4
#define MR 6
#define V_FMA(a, b, c) __builtin_elementwise_fma((a), (b), (c))
#define S_FMA(a, b, c) __builtin_fmaf((a), (b), (c))
#define DOT_RUN 128
#define ISA_NAME "neon"
#define TABLE zoo_table_neon

#include "shared/table.inl.h"
#endif
