/* SPDX-License-Identifier: MIT */
/*
 * Stands in for musl's header of the same name, which holds the system-call instructions: here
 * every call becomes a call of ph__syscall. There is no vDSO. Included by musl's sources alone, as
 * C89 names and types of the C library are not at hand yet.
 */
#ifndef PACKHORSE_SYSCALL_ARCH_H
#define PACKHORSE_SYSCALL_ARCH_H

long ph__syscall(long number, long a, long b, long c, long d, long e, long f);

#define __SYSCALL_LL_E(x) (x)
#define __SYSCALL_LL_O(x) (x)
#define IPC_64 0

static __inline long __syscall0(long n)
{
	return ph__syscall(n, 0, 0, 0, 0, 0, 0);
}

static __inline long __syscall1(long n, long a)
{
	return ph__syscall(n, a, 0, 0, 0, 0, 0);
}

static __inline long __syscall2(long n, long a, long b)
{
	return ph__syscall(n, a, b, 0, 0, 0, 0);
}

static __inline long __syscall3(long n, long a, long b, long c)
{
	return ph__syscall(n, a, b, c, 0, 0, 0);
}

static __inline long __syscall4(long n, long a, long b, long c, long d)
{
	return ph__syscall(n, a, b, c, d, 0, 0);
}

static __inline long __syscall5(long n, long a, long b, long c, long d, long e)
{
	return ph__syscall(n, a, b, c, d, e, 0);
}

static __inline long __syscall6(long n, long a, long b, long c, long d, long e, long f)
{
	return ph__syscall(n, a, b, c, d, e, f);
}

#endif
