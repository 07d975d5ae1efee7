// AVX2 with FMA: sixteen registers of eight floats hold a 6 x 16 tile (12), two panel vectors and a broadcast.
#include "tables.h"

#if defined(__x86_64__)
#define VL 8
#define NV 2
#define MR 6
#define V_FMA(a, b, c) __builtin_elementwise_fma((a), (b), (c))
#define S_FMA(a, b, c) __builtin_fmaf((a), (b), (c))
#define DOT_RUN 128
#define HAS_HALF
#define V_PAIRS(a, b) __builtin_ia32_pmaddwd256((a), (b))
#define V_BYTE_PAIRS(a, b) __builtin_ia32_pmaddubsw256((vc_gcc)(a), (vc_gcc)(b))
#define ISA_NAME "avx2"
#define TABLE zoo_table_avx2

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "shared/table.inl.h"
#pragma clang attribute pop
#endif
