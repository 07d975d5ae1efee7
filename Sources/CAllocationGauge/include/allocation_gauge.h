#ifndef ALLOCATION_GAUGE_H
#define ALLOCATION_GAUGE_H

// Counts the bytes that a process holds, by standing in front of the C library's allocator. Linux with glibc alone.

/// Whether allocations are counted on this system.
int allocation_gauge_exists(void);

/// Counts bytes that do not come from the allocator; negative when they are given back.
void allocation_gauge_add(long bytes);

/// Forgets the highest number of bytes so far.
void allocation_gauge_reset(void);

/// The highest number of bytes held since the reset, beyond those held at the reset.
long allocation_gauge_growth(void);

#endif
