/* SPDX-License-Identifier: MIT */
/*
 * Bitmaps as they are stored, and made from that. A stored one says in which bytes it differs from
 * another: a number whose low two bits count bytes that follow (1 to 3, as 0 to 2) and whose rest
 * counts bytes of zeros before them. With 3 there, a second number follows: its lowest bit tells
 * bytes of ones from bytes that follow, and the rest is how many. Zeros at the end are left out.
 * Numbers have seven bits a byte, the lowest first, and the top bit of all bytes but the last.
 */
#include "map_int.h"

#include <assert.h>

#define NUMBER_BYTES_MAX 10u

/* A single byte of zeros in a long run of others costs less than a new token. */
#define LONG_RUN 4u

static enum ph_status put(struct ph__bits_out *bits, const uint8_t *data, size_t len)
{
	bits->bytes += len;
	return bits->out != NULL ? ph__map_put(bits->out, data, len) : PH_OK;
}

static size_t number(uint8_t *to, uint64_t value)
{
	size_t len = 0;

	for (; value > 127; value >>= 7) {
		to[len++] = (uint8_t)(value | 128);
	}
	to[len++] = (uint8_t)value;
	return len;
}

/* Stores what is held. */
static enum ph_status flush(struct ph__bits_out *bits)
{
	uint8_t token[2 * NUMBER_BYTES_MAX];
	bool small = bits->ones == 0 && bits->literals <= 3;
	size_t len = number(token, bits->zeros << 2 | (small ? bits->literals - 1 : 3));
	enum ph_status status;

	if (!small) {
		len += number(token + len,
		              bits->ones > 0 ? bits->ones << 1 | 1 : (uint64_t)bits->literals << 1);
	}
	status = put(bits, token, len);
	if (status == PH_OK && bits->literals > 0) {
		status = put(bits, bits->literal, bits->literals);
	}
	bits->zeros = 0;
	bits->ones = 0;
	bits->literals = 0;
	return status;
}

static bool holds(const struct ph__bits_out *bits)
{
	return bits->ones > 0 || bits->literals > 0;
}

static enum ph_status put_byte(struct ph__bits_out *bits, uint8_t byte)
{
	enum ph_status status = PH_OK;

	if (byte == 0 && !holds(bits)) {
		bits->zeros++;
		return PH_OK;
	}
	if (byte == 0 || (byte == 255 ? bits->literals > 0 : bits->ones > 0) ||
	    bits->literals == sizeof bits->literal) {
		status = flush(bits);
	}
	if (byte == 0) {
		bits->zeros++;
	} else if (byte == 255) {
		bits->ones++;
	} else {
		bits->literal[bits->literals++] = byte;
	}
	return status;
}

enum ph_status ph__bits_put(struct ph__bits_out *bits, const uint64_t *words, const uint64_t *other,
                            size_t count)
{
	enum ph_status status = PH_OK;

	for (size_t i = 0; i < count && status == PH_OK; i++) {
		uint64_t word = other != NULL ? words[i] ^ other[i] : words[i];

		if (word == 0 && !holds(bits)) {
			bits->zeros += sizeof word;
			continue;
		}
		for (unsigned k = 0; k < 64 && status == PH_OK; k += 8) {
			status = put_byte(bits, (uint8_t)(word >> k));
		}
	}
	return status;
}

enum ph_status ph__bits_end(struct ph__bits_out *bits)
{
	return holds(bits) ? flush(bits) : PH_OK;
}

void ph__bits_open(struct ph__bits_in *bits, uint64_t at, uint64_t bytes)
{
	*bits = (struct ph__bits_in){.at = at, .end = at + bytes};
}

static enum ph_status fetch(struct ph__bits_in *bits, struct ph__map_pages *pages)
{
	uint64_t left = bits->end - bits->at;
	enum ph_status status;

	bits->pos = 0;
	bits->len = left < sizeof bits->data ? (uint16_t)left : (uint16_t)sizeof bits->data;
	if (bits->len == 0) {
		return PH_ERR_CORRUPT;
	}
	status = ph__map_get(pages, bits->at, bits->data, bits->len);
	bits->at += bits->len;
	return status;
}

static enum ph_status get_number(struct ph__bits_in *bits, struct ph__map_pages *pages,
                                 uint64_t *out)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 42; shift += 7) {
		uint8_t byte;

		if (bits->pos == bits->len) {
			enum ph_status status = fetch(bits, pages);

			if (status != PH_OK) {
				return status;
			}
		}
		byte = bits->data[bits->pos++];
		value |= (uint64_t)(byte & 127) << shift;
		if (byte < 128) {
			*out = value;
			return PH_OK;
		}
	}
	return PH_ERR_CORRUPT; /* larger than any pack */
}

static enum ph_status get_token(struct ph__bits_in *bits, struct ph__map_pages *pages)
{
	uint64_t value;
	enum ph_status status = get_number(bits, pages, &value);

	if (status != PH_OK) {
		return status;
	}
	bits->zeros = value >> 2;
	if ((value & 3) < 3) {
		bits->literals = (value & 3) + 1;
		return PH_OK;
	}
	status = get_number(bits, pages, &value);
	if (status != PH_OK) {
		return status;
	}
	if ((value & 1) != 0) {
		bits->ones = value >> 1;
	} else {
		bits->literals = value >> 1;
	}
	return PH_OK;
}

static size_t least(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

/* Some of the literal bytes that are next, at least one. */
static enum ph_status get_literals(struct ph__bits_in *bits, struct ph__map_pages *pages,
                                   uint8_t *to, size_t len, size_t *got)
{
	size_t step;

	if (bits->pos == bits->len) {
		enum ph_status status = fetch(bits, pages);

		if (status != PH_OK) {
			return status;
		}
	}
	step = least(bits->literals, least(len, (size_t)(bits->len - bits->pos)));
	for (size_t i = 0; i < step; i++) {
		to[i] ^= bits->data[bits->pos + i];
	}
	bits->pos = (uint16_t)(bits->pos + step);
	bits->literals -= step;
	*got = step;
	return PH_OK;
}

enum ph_status ph__bits_get(struct ph__bits_in *bits, struct ph__map_pages *pages, uint8_t *to,
                            size_t len)
{
	while (len > 0) {
		enum ph_status status = PH_OK;
		size_t step = 0;

		if (bits->zeros > 0) {
			step = least(bits->zeros, len);
			bits->zeros -= step;
		} else if (bits->ones > 0) {
			step = least(bits->ones, len);
			bits->ones -= step;
			for (size_t i = 0; i < step; i++) {
				to[i] ^= 255;
			}
		} else if (bits->literals > 0) {
			status = get_literals(bits, pages, to, len, &step);
		} else if (bits->pos == bits->len && bits->at == bits->end) {
			return PH_OK; /* zeros to the end */
		} else {
			status = get_token(bits, pages);
		}
		if (status != PH_OK) {
			return status;
		}
		to += step;
		len -= step;
	}
	return PH_OK;
}

bool ph__bits_done(const struct ph__bits_in *bits)
{
	return bits->zeros == 0 && bits->ones == 0 && bits->literals == 0 &&
	       bits->pos == bits->len && bits->at == bits->end;
}

void ph__map_reach_start(struct ph__map_reach *reach, uint32_t entries)
{
	reach->entries = entries;
	reach->count = 0;
	reach->at = 0;
}

void ph__map_reach_add(struct ph__map_reach *reach, const struct ph__map_row *row)
{
	assert(reach->count <= MAP_LINKS_MAX);
	ph__bits_open(&reach->bits[reach->count++], row->at, row->bytes);
}

/* No bit may stand for what is not there, and nothing may be left. */
static enum ph_status reach_end(const struct ph__map_reach *reach, size_t last)
{
	unsigned used = reach->entries % 8;

	if (used > 0 && reach->step[last] >> used != 0) {
		return PH_ERR_CORRUPT;
	}
	for (uint32_t i = 0; i < reach->count; i++) {
		if (!ph__bits_done(&reach->bits[i])) {
			return PH_ERR_CORRUPT;
		}
	}
	return PH_OK;
}

enum ph_status ph__map_reach_step(struct ph__map_reach *reach, struct ph__map_pages *pages,
                                  uint64_t *words, uint32_t *budget)
{
	uint64_t bytes = ((uint64_t)reach->entries + 7) / 8;
	size_t len = least(bytes - reach->at, sizeof reach->step);
	uint64_t *to = words + (size_t)(reach->at / 8);
	bool last = reach->at + len == bytes;
	enum ph_status status = PH_OK;

	memset(reach->step, 0, (len + 7) / 8 * 8);
	for (uint32_t i = 0; i < reach->count && status == PH_OK; i++) {
		status = ph__bits_get(&reach->bits[i], pages, reach->step, len);
		ph_budget_spend(budget, 1);
	}
	if (status == PH_OK && last) {
		status = reach_end(reach, len - 1);
	}
	if (status != PH_OK) {
		return status;
	}
	for (size_t i = 0; i < len; i += 8) {
		to[i / 8] |= ph__bits_word(reach->step + i);
	}
	reach->at += len;
	return last ? PH_OK : PH_AGAIN;
}
