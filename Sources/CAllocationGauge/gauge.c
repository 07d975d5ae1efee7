#define _GNU_SOURCE
#include "allocation_gauge.h"

// Says which C library this is.
#include <stdlib.h>

#if defined(__linux__) && defined(__GLIBC__)

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static atomic_long held;
static atomic_long highest;
static atomic_long start;

static void change(long bytes) {
    long now = atomic_fetch_add(&held, bytes) + bytes;
    long peak = atomic_load(&highest);
    while (now > peak && !atomic_compare_exchange_weak(&highest, &peak, now)) {}
}

static void *counted(void *block) {
    if (block) change((long)malloc_usable_size(block));
    return block;
}

void *malloc(size_t size) { return counted(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) { return counted(__libc_calloc(count, size)); }
void *memalign(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size)); }
void *aligned_alloc(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size)); }

int posix_memalign(void **block, size_t alignment, size_t size) {
    void *made = counted(__libc_memalign(alignment, size));
    if (!made) return ENOMEM;
    *block = made;
    return 0;
}

void *realloc(void *block, size_t size) {
    long before = block ? (long)malloc_usable_size(block) : 0;
    void *made = __libc_realloc(block, size);
    if (made || size == 0) change((made ? (long)malloc_usable_size(made) : 0) - before);
    return made;
}

void free(void *block) {
    if (block) change(-(long)malloc_usable_size(block));
    __libc_free(block);
}

int allocation_gauge_exists(void) { return 1; }

void allocation_gauge_add(long bytes) { change(bytes); }

void allocation_gauge_reset(void) {
    long now = atomic_load(&held);
    atomic_store(&start, now);
    atomic_store(&highest, now);
}

long allocation_gauge_growth(void) { return atomic_load(&highest) - atomic_load(&start); }

#else

int allocation_gauge_exists(void) { return 0; }
void allocation_gauge_add(long bytes) { (void)bytes; }
void allocation_gauge_reset(void) {}
long allocation_gauge_growth(void) { return 0; }

#endif
