/* SPDX-License-Identifier: MIT */
/*
 * What lwIP needs to know of the compiler and the C library, and where it finds random numbers,
 * memory and a checksum. lwIP's own assertions end in ph__net_assert: see there.
 */
#ifndef PACKHORSE_NET_CC_H
#define PACKHORSE_NET_CC_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef SSIZE_MAX /* lwIP takes it as a sign that there is an ssize_t */
#define SSIZE_MAX LONG_MAX
#endif

_Noreturn void ph__net_assert(const char *message);
uint32_t ph__net_random(void);
uint16_t ph__net_checksum(const void *data, int len);
void *ph__net_malloc(size_t size);
void *ph__net_calloc(size_t count, size_t size);
void ph__net_free(void *ptr);

#define LWIP_PLATFORM_DIAG(x) ((void)0)
#define LWIP_PLATFORM_ASSERT(x) ph__net_assert(x)
#define LWIP_RAND() ph__net_random()
#define LWIP_CHKSUM ph__net_checksum

#endif
