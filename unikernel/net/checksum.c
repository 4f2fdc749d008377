/* SPDX-License-Identifier: MIT */
/*
 * The Internet checksum (RFC 1071), which is taken over every byte in either direction. Its sums
 * are the same in any byte order and word size, so eight bytes are added at a time, in two halves
 * that leave room for the carries of far more than a packet.
 */
#include "net_int.h"

#include <string.h>

/* The sum in the order of memory, not inverted. */
uint16_t ph__net_checksum(const void *data, int len)
{
	const uint8_t *at = data;
	size_t left = len > 0 ? (size_t)len : 0;
	uint64_t word, low = 0, high = 0;

	for (; left >= sizeof word; left -= sizeof word, at += sizeof word) {
		memcpy(&word, at, sizeof word);
		low += word & UINT32_MAX;
		high += word >> 32;
	}
	word = 0;
	memcpy(&word, at, left);
	low += high + (word & UINT32_MAX) + (word >> 32);
	while (low >> 16)
		low = (low & 0xffff) + (low >> 16);
	return (uint16_t)low;
}
