/* SPDX-License-Identifier: MIT */
/*
 * The kernel interface of the image: what musl and the libraries above it really call, and nothing
 * else. Descriptors are the console (1 and 2) and the connections of net/; there are no files.
 * Memory protection is set once by the platform, so mprotect and madvise have nothing to do.
 */
#define _GNU_SOURCE 1 /* mremap */

#include "sys_int.h"

#include "../net/net.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#define CONSOLE_BYTES 512u
#define NUMBERS_MAX 512
/* As a process that died of a signal; what starts machines takes it for a crash. */
#define EXIT_ABORTED 255

static void *pointer(long value)
{
	return (void *)(uintptr_t)value; /* NOLINT: that is what a system call is */
}

/* ---- time ---- */

static long get_time(long clock, struct timespec *out)
{
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return -EINVAL;
	uint64_t now = clock == CLOCK_REALTIME ? ph__plat_wall_ns() : ph__plat_monotonic_ns();
	out->tv_sec = (time_t)(now / 1000000000u);
	out->tv_nsec = (long)(now % 1000000000u);
	return 0;
}

/* ---- descriptors ---- */

static long console_write(const char *text, size_t len)
{
	for (size_t at = 0; at < len; at += CONSOLE_BYTES)
		ph__plat_console(text + at, len - at < CONSOLE_BYTES ? len - at : CONSOLE_BYTES);
	return (long)len;
}

static long write_to(int fd, const void *data, size_t len)
{
	if (fd == 1 || fd == 2)
		return console_write(data, len);
	return fd >= PH__NET_FD_FIRST ? (long)ph__net_send(fd, data, len) : -EBADF;
}

static long write_pieces(int fd, const struct iovec *pieces, long count)
{
	long sum = 0;
	for (long i = 0; i < count; i++) {
		long done = write_to(fd, pieces[i].iov_base, pieces[i].iov_len);
		if (done < 0)
			return sum > 0 ? sum : done;
		sum += done;
		if ((size_t)done < pieces[i].iov_len)
			break;
	}
	return sum;
}

static long receive_from(int fd, void *buf, size_t len, long flags)
{
	if (fd < PH__NET_FD_FIRST)
		return -EBADF;
	return (long)ph__net_receive(fd, buf, len, (flags & MSG_PEEK) != 0);
}

/* ---- memory ---- */

static long map(size_t len, long flags, long fd)
{
	if ((flags & MAP_ANONYMOUS) == 0 || (flags & MAP_FIXED) != 0 || fd != -1)
		return -EINVAL;
	void *at = ph__pages_map(len);
	return at ? (long)(uintptr_t)at : -ENOMEM;
}

static long remap(void *at, size_t old_len, size_t new_len, long flags)
{
	if (flags != MREMAP_MAYMOVE)
		return -EINVAL;
	void *now = ph__pages_resize(at, old_len, new_len);
	return now ? (long)(uintptr_t)now : -ENOMEM;
}

static long unmap(void *at, size_t len)
{
	ph__pages_unmap(at, len);
	return 0;
}

/* ---- the rest ---- */

static long fill_random(void *buf, size_t len)
{
	return ph__plat_entropy(buf, len) == PH_OK ? (long)len : -EIO;
}

/* raise and abort end here: there is nobody to catch a signal. */
static _Noreturn void die_of(long signal)
{
	char line[64];
	int len = snprintf(line, sizeof line, "packhorse: ended by signal %ld\n", signal);
	ph__plat_console(line, (size_t)len);
	ph__plat_exit(EXIT_ABORTED);
}

static long unknown(long number)
{
	static uint64_t seen[NUMBERS_MAX / 64];
	if (number < 0 || number >= NUMBERS_MAX || (seen[number / 64] >> (number % 64) & 1) != 0)
		return -ENOSYS;
	seen[number / 64] |= UINT64_C(1) << (number % 64);
	char line[64];
	int len = snprintf(line, sizeof line, "packhorse: no system call %ld here\n", number);
	ph__plat_console(line, (size_t)len);
	return -ENOSYS;
}

/* What needs neither a handler nor a place in the switch above it. */
static long trivial(long number, long fd)
{
	switch (number) {
	case SYS_brk: /* unchanged, so that malloc takes mmap */
	case SYS_mprotect:
	case SYS_madvise:
	case SYS_rt_sigprocmask:
	case SYS_rt_sigaction:
	case SYS_futex: /* wakes nobody: there is one thread */
		return 0;
	case SYS_set_tid_address:
	case SYS_gettid:
	case SYS_getpid:
		return 1;
	case SYS_fcntl:      /* connections never block, and nothing is executed */
	case SYS_setsockopt: /* net/ has set what there is to set */
		return ph__sys_is_connection((int)fd) ? 0 : -EBADF;
	case SYS_ioctl: /* whether the console is a terminal */
		return -ENOTTY;
	case SYS_getpeername:
	case SYS_getsockname: /* the owner of a connection knows its peer from ph__net_accept */
		return -EOPNOTSUPP;
	case SYS_open:
	case SYS_openat:
	case SYS_readlink:
		return -ENOENT;
	default:
		return unknown(number);
	}
}

long ph__syscall(long number, long a, long b, long c, long d, long e, long f)
{
	(void)f;
	switch (number) {
	case SYS_poll:
		return ph__sys_poll(pointer(a), (size_t)b, (int)c);
	case SYS_sendto:
		return write_to((int)a < PH__NET_FD_FIRST ? -1 : (int)a, pointer(b), (size_t)c);
	case SYS_recvfrom:
		return receive_from((int)a, pointer(b), (size_t)c, d);
	case SYS_read:
		return receive_from((int)a, pointer(b), (size_t)c, 0);
	case SYS_write:
		return write_to((int)a, pointer(b), (size_t)c);
	case SYS_writev:
		return write_pieces((int)a, pointer(b), c);
	case SYS_close:
		return (int)a >= PH__NET_FD_FIRST ? ph__net_close((int)a) : -EBADF;
	case SYS_getsockopt:
		return ph__sys_get_option((int)a, (int)b, (int)c, pointer(d), pointer(e));
	case SYS_mmap:
		return map((size_t)b, d, e);
	case SYS_munmap:
		return unmap(pointer(a), (size_t)b);
	case SYS_mremap:
		return remap(pointer(a), (size_t)b, (size_t)c, d);
	case SYS_clock_gettime:
		return get_time(a, pointer(b));
	case SYS_getrandom:
		return fill_random(pointer(a), (size_t)b);
	case SYS_tkill:
	case SYS_tgkill:
		die_of(number == SYS_tkill ? b : c);
	case SYS_exit:
	case SYS_exit_group:
		ph__plat_exit((int)a);
	default:
		return trivial(number, a);
	}
}
