/* SPDX-License-Identifier: MIT */
/*
 * What the files of this platform share. It makes its system calls itself: below the image there is
 * no C library to make them, and in the build as a process they must not be bent to net/.
 */
#ifndef PACKHORSE_HOST_INT_H
#define PACKHORSE_HOST_INT_H

#include "../../platform.h"

#include <sys/syscall.h>

#define PH__PAGE_BYTES 4096u
#define PH__CONSOLE_FD 2
/* Jumbo frames; more gains nothing. */
#define PH__MTU_MAX 9000u

/* What the command line asked for, opened. A descriptor is -1 where it asked for none. */
struct ph__host {
	struct ph__machine machine;
	size_t memory_bytes;
	const char *tap_name, *disk_name;
	int tap, disk;
	uint8_t mac[6];
	unsigned mtu;
	struct ph__block_info block;
};

extern struct ph__host ph__host_state;

static inline long ph__host_call(long number, long a, long b, long c, long d, long e)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = 0;
	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return result;
}

/* A system call with up to five arguments, numbers or pointers. */
#define PH__CALL_FILLED(number, a, b, c, d, e, ...)                                                \
	ph__host_call(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
#define PH__CALL(...) PH__CALL_FILLED(__VA_ARGS__, 0, 0, 0, 0, 0, 0)

/* options.c: reads the command line into ph__host_state and opens what it names; exits on errors.
 */
void ph__host_options(int argc, char **argv);
/* One line on the console, and the exit code of Solo5's tenders for their own errors. */
_Noreturn void ph__host_fail(const char *what, const char *name, long error);
/* Zeroed pages from Linux; exits when there are none. */
void *ph__host_pages(size_t bytes, int protection);

/* devices.c: blocks the signals that ask for a shutdown, save while waiting; fills the pool. */
void ph__host_ready(void);

/* enter_*.c */
_Noreturn void ph__host_exit(int code);

#endif
