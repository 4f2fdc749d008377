/* SPDX-License-Identifier: MIT */
/*
 * Base64 as keys and signatures are written in it, and fingerprints of keys. Decoding takes one
 * spelling of each sequence of bytes alone, so that what compares equal is equal.
 */
#include <packhorse/sshsig.h>

#include <packhorse/hash.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 64 for what is none. */
static uint32_t value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* The bytes of a group of four of which the last pads are "=". */
static enum ph_status put_group(uint8_t *out, size_t *at, size_t room, uint32_t bits, unsigned pads)
{
	unsigned count = 3 - pads;

	if (bits & (((uint32_t)1 << 8 * pads) - 1))
		return PH_ERR_INVALID;
	if (room - *at < count)
		return PH_ERR_LIMIT;
	for (unsigned i = 0; i < count; i++)
		out[(*at)++] = (uint8_t)(bits >> (16 - 8 * i));
	return PH_OK;
}

enum ph_status ph_base64_decode(uint8_t *out, size_t *len, const char *text, size_t text_len)
{
	uint32_t bits = 0;
	unsigned have = 0, pads = 0;
	size_t at = 0;
	enum ph_status status;

	for (size_t i = 0; i < text_len; i++) {
		uint32_t value = value_of(text[i]);

		if (text[i] == '\n' || text[i] == '\r')
			continue;
		/* Behind a pad come pads, and behind a group with pads comes nothing. */
		if (text[i] == '=' ? have < 2 : value == 64 || pads > 0)
			return PH_ERR_INVALID;
		pads += text[i] == '=';
		bits = bits << 6 | (value & 63);
		if (++have < 4)
			continue;
		status = put_group(out, &at, *len, bits & 0xffffff, pads);
		if (status != PH_OK)
			return status;
		have = 0;
		bits = 0;
	}
	if (have != 0)
		return PH_ERR_INVALID;
	*len = at;
	return PH_OK;
}

void ph_key_fingerprint(char out[PH_FINGERPRINT_BYTES], const uint8_t *key, size_t key_len)
{
	struct ph_hash hash;
	struct ph_oid digest;
	uint32_t bits = 0;
	unsigned have = 0;
	size_t at = 7;

	ph_hash_init(&hash, PH_HASH_SHA256);
	ph_hash_update(&hash, key, key_len);
	ph_hash_final(&hash, &digest);
	memcpy(out, "SHA256:", 7);
	/* 256 bits are 42 characters and four bits. */
	for (size_t i = 0; i < 32; i++) {
		bits = bits << 8 | digest.bytes[i];
		have += 8;
		while (have >= 6) {
			have -= 6;
			out[at++] = alphabet[bits >> have & 63];
		}
	}
	out[at++] = alphabet[bits << (6 - have) & 63];
	out[at] = 0;
}
