// AVX-512: thirty-two registers of sixteen floats hold a 14 x 32 tile (28), two panel vectors and a broadcast.
#include "tables.h"

#if defined(__x86_64__)
#define VL 16
#define NV 2
#define MR 14
#define V_FMA(a, b, c) __builtin_elementwise_fma((a), (b), (c))
#define S_FMA(a, b, c) __builtin_fmaf((a), (b), (c))
#define DOT_RUN 128
#define HAS_HALF
#define V_PAIRS(a, b) __builtin_ia32_pmaddwd512((a), (b))
#define V_BYTE_PAIRS(a, b) __builtin_ia32_pmaddubsw512((vc_gcc)(a), (vc_gcc)(b))
#define ISA_NAME "avx512"
#define TABLE zoo_table_avx512

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#include "shared/table.inl.h"
#pragma clang attribute pop
#endif
