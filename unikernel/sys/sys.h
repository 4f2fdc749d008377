/* SPDX-License-Identifier: MIT */
/*
 * What the C library below us finds in place of a kernel. In the image musl's system-call macro
 * calls ph__syscall; in the process build for sanitizers the linker wraps a few functions of glibc.
 * Both end in the same handlers.
 */
#ifndef PACKHORSE_SYS_H
#define PACKHORSE_SYS_H

#include "../platform.h"

/* musl's __syscallN; -ENOSYS for what we do not have, which is logged once per number. */
long ph__syscall(long number, long a, long b, long c, long d, long e, long f);

/*
 * Pages of the heap. All memory that malloc hands out comes from here; large blocks go back as soon
 * as they are freed.
 */
void ph__pages_init(void *heap, size_t bytes);
/* Pages that were never given away need not be zero: for a heap_dirty machine. */
void ph__pages_distrust(void);
void *ph__pages_map(size_t bytes); /* zeroed; NULL when no run is long enough */
void ph__pages_unmap(void *at, size_t bytes);
/*
 * Makes a run shorter, or longer with zeroes at its end, moving it down where only that helps: it
 * never needs room for both. Returns where it is now, or NULL, and nothing has changed.
 */
void *ph__pages_resize(void *at, size_t old_bytes, size_t new_bytes);

struct ph__pages_counts {
	size_t total, used, peak; /* bytes; peak since the last ph__pages_peak_reset */
	size_t largest_free;
};
void ph__pages_counts(struct ph__pages_counts *out);
void ph__pages_peak_reset(void);

/* Called by ph__start once the C library works; ends by ph__plat_exit. See main.c. */
int ph__main(const struct ph__machine *machine);

#endif
