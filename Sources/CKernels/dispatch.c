// What this machine is: which tables its CPU can run, and how many CPUs the process may use.
#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#endif
#include "tables.h"

int zoo_kernel_tables(const struct zoo_kernel_table *tables[ZOO_MAX_TABLES]) {
    int count = 0;
    tables[count++] = &zoo_table_scalar;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
        tables[count++] = &zoo_table_avx2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
            tables[count++] = &zoo_table_avx512;
            if (__builtin_cpu_supports("avx512vnni")) tables[count++] = &zoo_table_avx512vnni;
        }
    }
#elif defined(__aarch64__)
    tables[count++] = &zoo_table_neon;
#endif
    return count;
}

void zoo_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void zoo_fetch(uintptr_t address, int64_t bytes) {
    for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch((const char *)address + byte, 0, 2);
}

int zoo_allowed_cpus(void) {
#if defined(__linux__)
    // The affinity mask, not the number of processors of the host.
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
    return 0;
}
