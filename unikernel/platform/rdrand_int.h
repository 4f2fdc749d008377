/* SPDX-License-Identifier: MIT */
/* The processor's own random numbers, which need no privilege. */
#ifndef PACKHORSE_RDRAND_INT_H
#define PACKHORSE_RDRAND_INT_H

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>

static inline bool ph__rdrand_present(void)
{
	unsigned a, b, c = 0, d;
	return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_RDRND) != 0;
}

/* Only where it is present. False: it has none to give, after as many attempts as its maker asks.
 */
static inline bool ph__rdrand_read(uint64_t *out)
{
	for (unsigned i = 0; i < 10; i++) {
		unsigned char good;
		__asm__ volatile("rdrand %0; setc %1" : "=r"(*out), "=qm"(good) : : "cc");
		if (good)
			return true;
	}
	return false;
}

#endif
