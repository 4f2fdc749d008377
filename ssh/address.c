/* SPDX-License-Identifier: MIT */
/*
 * Address patterns. There is no name service here, so a pattern that is a host name never matches;
 * addresses are compared as numbers, so that two spellings of one IPv6 address are the same.
 * Wildcards work on the text of the address, as they do in sshd.
 */
#include "address_int.h"

#include <assert.h>
#include <string.h>

/* The longest text of an address is "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255". */
#define ADDRESS_TEXT_MAX 63u

static bool parse_v4(uint8_t out[4], const char *text, size_t len)
{
	size_t pos = 0;
	for (unsigned part = 0; part < 4; part++) {
		unsigned value = 0, digits = 0;
		if (part > 0 && (pos >= len || text[pos++] != '.'))
			return false;
		while (pos < len && text[pos] >= '0' && text[pos] <= '9' && digits < 3) {
			value = value * 10 + (unsigned)(text[pos++] - '0');
			digits++;
		}
		if (digits == 0 || value > 255)
			return false;
		out[part] = (uint8_t)value;
	}
	return pos == len;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One group of hex digits; false when there is none or it is longer than four. */
static bool parse_group(const char *text, size_t len, size_t *pos, unsigned *out)
{
	unsigned value = 0, digits = 0;
	while (*pos < len && hex_value(text[*pos]) >= 0) {
		value = value << 4 | (unsigned)hex_value(text[(*pos)++]);
		if (++digits > 4)
			return false;
	}
	*out = value;
	return digits > 0;
}

static bool parse_v6(uint8_t out[16], const char *text, size_t len)
{
	size_t pos = 0, fill = 0, gap = 17; /* gap: where "::" stood, 17 for nowhere */

	memset(out, 0, 16);
	if (len >= 2 && text[0] == ':' && text[1] == ':') {
		gap = 0;
		pos = 2;
	}
	while (pos < len) {
		unsigned group;
		size_t start = pos;
		if (fill > 14 || !parse_group(text, len, &pos, &group))
			return false;
		if (pos < len && text[pos] == '.') { /* the last 32 bits as a.b.c.d */
			if (fill > 12 || !parse_v4(out + fill, text + start, len - start))
				return false;
			fill += 4;
			break;
		}
		out[fill++] = (uint8_t)(group >> 8);
		out[fill++] = (uint8_t)group;
		if (pos == len)
			break;
		if (text[pos++] != ':' || pos == len)
			return false;
		if (text[pos] == ':') {
			if (gap != 17)
				return false;
			gap = fill;
			pos++;
		}
	}
	if (gap == 17)
		return fill == 16;
	if (fill > 14)
		return false; /* "::" stands for at least one group */
	memmove(out + 16 - (fill - gap), out + gap, fill - gap);
	memset(out + gap, 0, 16 - fill);
	return true;
}

bool ph__address_parse(struct ph__address *out, const char *text, size_t len)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	const char *zone = len > 0 ? memchr(text, '%', len) : NULL;

	if (zone)
		len = (size_t)(zone - text);
	if (len == 0 || len > ADDRESS_TEXT_MAX)
		return false;
	if (parse_v4(out->bytes + 12, text, len)) {
		memcpy(out->bytes, mapped, sizeof(mapped));
		out->v4 = true;
		return true;
	}
	if (!parse_v6(out->bytes, text, len))
		return false;
	out->v4 = memcmp(out->bytes, mapped, sizeof(mapped)) == 0;
	return true;
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	if (memcmp(a, b, bits / 8) != 0)
		return false;
	if (bits % 8 == 0)
		return true;
	unsigned mask = 0xffu << (8 - bits % 8);
	return ((a[bits / 8] ^ b[bits / 8]) & mask) == 0;
}

/* "address/bits"; bits counts from the start of the 16 bytes. Host bits must be zero, as in sshd.
 */
static bool parse_network(struct ph__address *out, unsigned *bits, const char *text, size_t len)
{
	const char *slash = memchr(text, '/', len);
	if (!slash || !ph__address_parse(out, text, (size_t)(slash - text)))
		return false;
	bool dotted = memchr(text, ':', (size_t)(slash - text)) == NULL;
	size_t digits = len - (size_t)(slash - text) - 1;
	if (digits == 0 || digits > 3)
		return false;
	unsigned value = 0;
	for (size_t i = 0; i < digits; i++) {
		char c = slash[1 + i];
		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (unsigned)(c - '0');
	}
	if (value > (dotted ? 32u : 128u))
		return false;
	*bits = dotted ? value + 96 : value;
	for (unsigned bit = *bits; bit < 128; bit++) {
		if (out->bytes[bit / 8] >> (7 - bit % 8) & 1)
			return false;
	}
	return true;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Going back only to the last star is enough, so this takes length times length at most. */
static bool wildcard_match(const char *pattern, size_t len, const char *text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;
	while (text[t] != '\0') {
		if (p < len && pattern[p] == '*') {
			star = p++;
			resume = t;
		} else if (p < len && (pattern[p] == '?' || lower(pattern[p]) == lower(text[t]))) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++resume;
		} else {
			return false;
		}
	}
	while (p < len && pattern[p] == '*')
		p++;
	return p == len;
}

static bool pattern_match(const char *pattern, size_t len, const char *peer,
                          const struct ph__address *address)
{
	struct ph__address other;
	unsigned bits;
	if (address && parse_network(&other, &bits, pattern, len))
		return same_prefix(address->bytes, other.bytes, bits);
	if (address && ph__address_parse(&other, pattern, len))
		return memcmp(address->bytes, other.bytes, sizeof(other.bytes)) == 0;
	return wildcard_match(pattern, len, peer);
}

/* The next pattern of a list without its "!"; false at the end. */
static bool next_pattern(const char *list, size_t len, size_t *pos, const char **out,
                         size_t *out_len, bool *negated)
{
	if (*pos >= len)
		return false;
	const char *start = list + *pos;
	const char *comma = memchr(start, ',', len - *pos);
	size_t n = comma ? (size_t)(comma - start) : len - *pos;
	*pos += n + 1;
	*negated = n > 0 && start[0] == '!';
	*out = start + (*negated ? 1 : 0);
	*out_len = n - (*negated ? 1 : 0);
	return true;
}

bool ph__patterns_check(const char *list, size_t len)
{
	const char *pattern;
	size_t n, pos = 0;
	bool negated;
	unsigned count = 0;

	while (next_pattern(list, len, &pos, &pattern, &n, &negated)) {
		struct ph__address address;
		unsigned bits;
		if (n == 0)
			return false;
		if (memchr(pattern, '/', n) && !parse_network(&address, &bits, pattern, n))
			return false;
		count++;
	}
	return count > 0;
}

bool ph__patterns_match(const char *list, size_t len, const char *peer)
{
	assert(peer);
	struct ph__address address;
	const struct ph__address *known =
	        ph__address_parse(&address, peer, strlen(peer)) ? &address : NULL;
	const char *pattern;
	size_t n, pos = 0;
	bool negated, matched = false;

	while (next_pattern(list, len, &pos, &pattern, &n, &negated)) {
		if (n == 0 || !pattern_match(pattern, n, peer, known))
			continue;
		if (negated)
			return false;
		matched = true;
	}
	return matched;
}
