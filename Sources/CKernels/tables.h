// The tables that the files of this target define.
#ifndef ZOO_TABLES_H
#define ZOO_TABLES_H

#include "zoo_kernels.h"

#if defined(__x86_64__)
extern const struct zoo_kernel_table zoo_table_avx2;
extern const struct zoo_kernel_table zoo_table_avx512;
extern const struct zoo_kernel_table zoo_table_avx512vnni;
#elif defined(__aarch64__)
extern const struct zoo_kernel_table zoo_table_neon;
#endif
extern const struct zoo_kernel_table zoo_table_scalar;

#endif
