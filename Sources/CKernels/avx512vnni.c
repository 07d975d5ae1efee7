// AVX-512 with VNNI: what avx512.c has, and one instruction for sixty-four multiply-adds of bytes.
#include "tables.h"

#if defined(__x86_64__)
#define VL 16
#define NV 2
#define MR 14
#define V_FMA(a, b, c) __builtin_elementwise_fma((a), (b), (c))
#define S_FMA(a, b, c) __builtin_fmaf((a), (b), (c))
#define DOT_RUN 128
#define HAS_HALF
#define V_DOT4(sum, a, b) __builtin_ia32_vpdpbusd512((sum), (a), (b))
#define ISA_NAME "avx512vnni"
#define TABLE zoo_table_avx512vnni

#pragma clang attribute push(__attribute__((target("avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#include "shared/table.inl.h"
#pragma clang attribute pop
#endif
