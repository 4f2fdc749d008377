/* SPDX-License-Identifier: MIT */
/* Integers as they are on the device, and bitmaps as they are in memory. */
#ifndef PACKHORSE_DISK_BITS_INT_H
#define PACKHORSE_DISK_BITS_INT_H

#include <stdbool.h>
#include <stdint.h>

/* ---- integers: big endian, as in the index of a pack ---- */

static inline void ph__put16(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static inline void ph__put32(uint8_t *to, uint32_t value)
{
	ph__put16(to, value >> 16);
	ph__put16(to + 2, value & 0xffff);
}

static inline void ph__put64(uint8_t *to, uint64_t value)
{
	ph__put32(to, (uint32_t)(value >> 32));
	ph__put32(to + 4, (uint32_t)value);
}

static inline uint32_t ph__get16(const uint8_t *from)
{
	return (uint32_t)from[0] << 8 | from[1];
}

static inline uint32_t ph__get32(const uint8_t *from)
{
	return ph__get16(from) << 16 | ph__get16(from + 2);
}

static inline uint64_t ph__get64(const uint8_t *from)
{
	return (uint64_t)ph__get32(from) << 32 | ph__get32(from + 4);
}

/* ---- bits ---- */

static inline bool ph__bit(const uint64_t *bits, uint64_t at)
{
	return bits[at / 64] >> (at % 64) & 1;
}

static inline unsigned ph__ones(uint64_t word)
{
	word -= word >> 1 & 0x5555555555555555u;
	word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
	return (unsigned)(word * 0x0101010101010101u >> 56);
}

static inline void ph__bit_set(uint64_t *bits, uint64_t at, bool value)
{
	uint64_t mask = (uint64_t)1 << (at % 64);
	bits[at / 64] = value ? bits[at / 64] | mask : bits[at / 64] & ~mask;
}

#endif
