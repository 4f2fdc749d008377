/* SPDX-License-Identifier: MIT */
/*
 * What start.c and pages.c are in the image, for the build as a process on glibc that sanitizers
 * and fuzzers use: the C library is there already, and memory is its own. Figures come from malloc,
 * or from the sanitizer when that has replaced it, so that tests of memory still see growth.
 */
#include "../../sys/sys.h"

#include <malloc.h>
#include <stdlib.h>

/* AddressSanitizer's; absent otherwise. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t total_bytes, peak_bytes;

static size_t used_bytes(void)
{
	size_t used;
	if (__sanitizer_get_current_allocated_bytes) {
		used = __sanitizer_get_current_allocated_bytes();
	} else {
		struct mallinfo2 info = mallinfo2();
		used = info.uordblks + info.hblkhd;
	}
	if (used > peak_bytes)
		peak_bytes = used;
	return used;
}

void ph__pages_init(void *heap, size_t bytes)
{
	(void)heap;
	total_bytes = bytes;
}

/* The peak is the highest of what was seen at these calls. */
void ph__pages_counts(struct ph__pages_counts *out)
{
	size_t used = used_bytes();
	size_t left = used < total_bytes ? total_bytes - used : 0;
	*out = (struct ph__pages_counts){
	        .total = total_bytes, .used = used, .peak = peak_bytes, .largest_free = left};
}

void ph__pages_peak_reset(void)
{
	peak_bytes = 0;
}

void ph__start(const struct ph__machine *machine)
{
	ph__pages_init(machine->heap, machine->heap_bytes);
	ph__plat_exit(ph__main(machine));
}
