/* SPDX-License-Identifier: MIT */
/*
 * Whether a zlib stream is of the one kind that every decoder takes for the same: a single block
 * with codes of its own, all of them complete and within their bounds. Decoders differ in what else
 * they let pass, and what is stored must be readable by all; so anything else is left to the one
 * that clients have.
 */
#include "unpack_int.h"

#include <string.h>

#define PRECODES 19u
#define LITERALS_MAX 286u
#define DISTANCES_MAX 30u
#define END_OF_BLOCK 256u
#define CODE_BITS_MAX 15u
#define PRECODE_BITS_MAX 7u

struct bits {
	const uint8_t *at, *end;
	uint64_t held;
	unsigned count;
};

/* At least 32 bits, zeros behind the end. */
static void refill(struct bits *bits)
{
	while (bits->count <= 56 && bits->at < bits->end) {
		bits->held |= (uint64_t)*bits->at++ << bits->count;
		bits->count += 8;
	}
}

/* Up to 16 of those at hand; past the end they are zeros, and count says so. */
static unsigned take(struct bits *bits, unsigned count)
{
	unsigned value = (unsigned)(bits->held & (((uint64_t)1 << count) - 1));

	bits->held >>= count;
	bits->count = bits->count >= count ? bits->count - count : 0;
	return value;
}

static unsigned reversed(unsigned code, unsigned len)
{
	unsigned out = 0;

	for (; len > 0; len--, code >>= 1)
		out = out << 1 | (code & 1);
	return out;
}

/* Lengths of codes of up to bits_max bits that leave nothing over, and want nothing. */
static bool complete(const uint8_t *lens, unsigned count, unsigned bits_max)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += lens[i] > 0 ? (uint32_t)1 << (bits_max - lens[i]) : 0;
	return sum == (uint32_t)1 << bits_max;
}

/* table: by the next 7 bits, the symbol and the length of its code. */
static bool read_precode(struct bits *bits, unsigned count, uint8_t table[1u << PRECODE_BITS_MAX])
{
	static const uint8_t order[PRECODES] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
	                                        11, 4,  12, 3, 13, 2, 14, 1, 15};
	uint8_t lens[PRECODES] = {0};
	unsigned code = 0;

	for (unsigned i = 0; i < count; i++) {
		refill(bits);
		lens[order[i]] = (uint8_t)take(bits, 3);
	}
	if (!complete(lens, PRECODES, PRECODE_BITS_MAX))
		return false;
	for (unsigned len = 1; len <= PRECODE_BITS_MAX; len++, code <<= 1) {
		for (unsigned symbol = 0; symbol < PRECODES; symbol++) {
			if (lens[symbol] != len)
				continue;
			for (unsigned at = reversed(code, len); at < 1u << PRECODE_BITS_MAX;
			     at += 1u << len)
				table[at] = (uint8_t)(symbol << 3 | len);
			code++;
		}
	}
	return true;
}

/* Lengths, with runs of them; a run does not go past the end. */
static bool read_lens(struct bits *bits, const uint8_t *table, uint8_t *lens, unsigned count)
{
	unsigned at = 0;

	while (at < count) {
		unsigned symbol;
		unsigned run;
		uint8_t value = 0;

		refill(bits);
		symbol = table[bits->held & ((1u << PRECODE_BITS_MAX) - 1)];
		(void)take(bits, symbol & 7);
		symbol >>= 3;
		if (symbol < 16) {
			lens[at++] = (uint8_t)symbol;
			continue;
		}
		if (symbol == 16 && at == 0)
			return false;
		if (symbol == 16)
			value = lens[at - 1];
		run = symbol == 18 ? 11 + take(bits, 7) : 3 + take(bits, symbol == 16 ? 2 : 3);
		if (run > count - at)
			return false;
		memset(lens + at, value, run);
		at += run;
	}
	return true;
}

bool ph__unpack_plain(const uint8_t *data, size_t len)
{
	uint8_t table[1u << PRECODE_BITS_MAX];
	uint8_t lens[LITERALS_MAX + DISTANCES_MAX];
	struct bits bits = {.at = data + 2, .end = data + len};
	unsigned literals;
	unsigned distances;
	unsigned precodes;

	/* The last block, with codes of its own. */
	if (len < 6 || (data[2] & 7) != 5)
		return false;
	refill(&bits);
	(void)take(&bits, 3);
	literals = 257 + take(&bits, 5);
	distances = 1 + take(&bits, 5);
	precodes = 4 + take(&bits, 4);
	if (literals > LITERALS_MAX || distances > DISTANCES_MAX)
		return false;
	if (!read_precode(&bits, precodes, table) ||
	    !read_lens(&bits, table, lens, literals + distances))
		return false;
	return lens[END_OF_BLOCK] > 0 && complete(lens, literals, CODE_BITS_MAX) &&
	       complete(lens + literals, distances, CODE_BITS_MAX);
}
