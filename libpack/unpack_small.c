/* SPDX-License-Identifier: MIT */
/*
 * The streams that most deltas and other small objects are stored as: a single block, stored as it
 * is or with the fixed codes. There are no tables to be made for them, so they are inflated here in
 * a fraction of the time that a decoder for anything takes to begin. What any decoder might think
 * otherwise of is left to the others: codes that the format reserves, a window other than the
 * largest.
 */
#include "unpack_int.h"

#include <string.h>

#define END_OF_BLOCK 256u
#define LITERALS_MAX 286u
#define DISTANCES_MAX 30u
#define HEADER_BYTES 2u
#define CHECK_BYTES 4u
/* Sums of Adler-32 may go on for so many bytes before they are reduced. */
#define ADLER_BYTES_MAX 5552u
#define ADLER_BASE 65521u

static uint32_t adler(const uint8_t *data, size_t len)
{
	uint32_t a = 1;
	uint32_t b = 0;

	while (len > 0) {
		size_t some = len < ADLER_BYTES_MAX ? len : ADLER_BYTES_MAX;

		for (size_t i = 0; i < some; i++) {
			a += data[i];
			b += a;
		}
		a %= ADLER_BASE;
		b %= ADLER_BASE;
		data += some;
		len -= some;
	}
	return b << 16 | a;
}

/* The checksum stands at a byte of the stream, and is that of out. */
static bool ends(const uint8_t *at, const uint8_t *end, const uint8_t *out, size_t size)
{
	uint32_t sum;

	if ((size_t)(end - at) < CHECK_BYTES)
		return false;
	sum = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
	return sum == adler(out, size);
}

/* ---- a stored block ---- */

static bool stored(const uint8_t *in, size_t len, size_t *used, uint8_t *out, size_t size)
{
	const uint8_t *at = in + HEADER_BYTES + 1;
	const uint8_t *end = in + len;
	unsigned count;

	if ((size_t)(end - at) < 4 || (size_t)(end - at) - 4 < size)
		return false;
	count = (unsigned)(at[0] | at[1] << 8);
	if (count != size || (unsigned)(at[2] | at[3] << 8) != (count ^ 0xffffu))
		return false;
	at += 4;
	if (size > 0)
		memcpy(out, at, size);
	if (!ends(at + size, end, out, size))
		return false;
	*used = (size_t)(at - in) + size + CHECK_BYTES;
	return true;
}

/* ---- a block of fixed codes ---- */

struct bits {
	const uint8_t *at, *end;
	uint64_t held;
	unsigned count; /* of those that are held */
};

/* At least 48 bits; fewer are left at the end only. */
static inline void refill(struct bits *bits)
{
	while (bits->count <= 56 && bits->at < bits->end) {
		bits->held |= (uint64_t)*bits->at++ << bits->count;
		bits->count += 8;
	}
}

/* False: there are not so many left. */
static inline bool skip(struct bits *bits, unsigned count)
{
	if (count > bits->count)
		return false;
	bits->held >>= count;
	bits->count -= count;
	return true;
}

static inline bool take(struct bits *bits, unsigned count, unsigned *out)
{
	*out = (unsigned)(bits->held & (((uint64_t)1 << count) - 1));
	return skip(bits, count);
}

/* Codes come with their first bit lowest. */
static inline unsigned reversed(uint64_t held)
{
	unsigned byte = (unsigned)(held & 0xff);

	byte = (byte & 0x0f) << 4 | byte >> 4;
	byte = (byte & 0x33) << 2 | (byte & 0xcc) >> 2;
	return (byte & 0x55) << 1 | (byte & 0xaa) >> 1;
}

static inline bool take_symbol(struct bits *bits, unsigned *symbol)
{
	unsigned code = reversed(bits->held);

	if (code < 0x30) {
		*symbol = 256 + (code >> 1);
		return skip(bits, 7);
	}
	if (code < 0xc0) {
		*symbol = code - 0x30;
		return skip(bits, 8);
	}
	if (code < 0xc8) {
		*symbol = 280 + (code - 0xc0);
		return skip(bits, 8);
	}
	*symbol = 144 + ((code << 1 | (unsigned)(bits->held >> 8 & 1)) - 0x190);
	return skip(bits, 9);
}

/* How long a match is, by its symbol. */
static inline bool take_length(struct bits *bits, unsigned symbol, unsigned *len)
{
	unsigned number = symbol - END_OF_BLOCK - 1;
	unsigned extra = number < 8 || number == 28 ? 0 : number / 4 - 1;
	unsigned more;

	if (!take(bits, extra, &more))
		return false;
	if (number == 28)
		*len = 258;
	else
		*len = 3 + (number < 8 ? number : (4 + number % 4) << extra) + more;
	return true;
}

static inline bool take_distance(struct bits *bits, unsigned *distance)
{
	unsigned number = reversed(bits->held << 3);
	unsigned extra = number < 4 ? 0 : number / 2 - 1;
	unsigned more;

	if (number >= DISTANCES_MAX || !skip(bits, 5) || !take(bits, extra, &more))
		return false;
	*distance = 1 + (number < 4 ? number : (2 + number % 2) << extra) + more;
	return true;
}

static bool take_match(struct bits *bits, unsigned symbol, uint8_t *out, size_t size, size_t *pos)
{
	unsigned len;
	unsigned distance;

	if (symbol >= LITERALS_MAX || !take_length(bits, symbol, &len) ||
	    !take_distance(bits, &distance) || distance > *pos || len > size - *pos)
		return false;
	/* It may go on into what it makes. */
	for (; len > 0; len--, ++*pos)
		out[*pos] = out[*pos - distance];
	return true;
}

static bool fixed(const uint8_t *in, size_t len, size_t *used, uint8_t *out, size_t size)
{
	struct bits bits = {.at = in + HEADER_BYTES, .end = in + len};
	unsigned symbol;
	size_t pos = 0;

	refill(&bits);
	(void)skip(&bits, 3);
	for (;;) {
		/* A symbol and all that belongs to it are 9 + 5 + 5 + 13 bits at most. */
		refill(&bits);
		if (!take_symbol(&bits, &symbol))
			return false;
		if (symbol == END_OF_BLOCK)
			break;
		if (symbol > END_OF_BLOCK) {
			if (!take_match(&bits, symbol, out, size, &pos))
				return false;
		} else {
			if (pos == size)
				return false;
			out[pos++] = (uint8_t)symbol;
		}
	}
	/* Whole bytes go back. */
	bits.at -= bits.count / 8;
	if (pos != size || !ends(bits.at, bits.end, out, size))
		return false;
	*used = (size_t)(bits.at - in) + CHECK_BYTES;
	return true;
}

bool ph__unpack_small(const uint8_t *in, size_t len, size_t *used, uint8_t *out, size_t size)
{
	/* The largest window, no dictionary, and a check of the header. */
	if (len < HEADER_BYTES + 1 || in[0] != 0x78 || (in[1] & 0x20) != 0 ||
	    (in[0] << 8 | in[1]) % 31 != 0)
		return false;
	if ((in[2] & 7) == 1)
		return stored(in, len, used, out, size);
	return (in[2] & 7) == 3 && fixed(in, len, used, out, size);
}
