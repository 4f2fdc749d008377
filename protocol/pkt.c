/* SPDX-License-Identifier: MIT */
/*
 * pkt-line framing and capability lists. Strict where others were lenient: a length is exactly four
 * hex digits, so no sign, space or "0x" that a library's number parser would take. Nothing is
 * copied; a packet points into the buffer that was parsed.
 */
#include <packhorse/pkt.h>

#include <assert.h>
#include <string.h>

static int hex_value(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return -1;
}

enum ph_status ph_pkt_parse(struct ph_pkt *out, size_t *used, const uint8_t *data, size_t len)
{
	size_t whole = 0;

	for (size_t i = 0; i < 4 && i < len; i++) {
		int digit = hex_value(data[i]);

		if (digit < 0)
			return PH_ERR_INVALID;
		whole = whole << 4 | (size_t)digit;
	}
	if (len < 4)
		return PH_AGAIN;
	if (whole == 3 || whole > PH_PKT_BYTES_MAX)
		return PH_ERR_INVALID;
	if (whole > len)
		return PH_AGAIN;
	out->data = data + 4;
	if (whole < 4) {
		out->kind = whole == 0   ? PH_PKT_FLUSH
		            : whole == 1 ? PH_PKT_DELIM
		                         : PH_PKT_RESPONSE_END;
		out->len = 0;
		*used = 4;
		return PH_OK;
	}
	out->kind = PH_PKT_DATA;
	out->len = whole - 4;
	*used = whole;
	return PH_OK;
}

void ph_pkt_chomp(struct ph_pkt *pkt)
{
	if (pkt->len && pkt->data[pkt->len - 1] == '\n')
		pkt->len--;
}

bool ph_pkt_is(const struct ph_pkt *pkt, const char *text)
{
	size_t len = strlen(text);

	return pkt->kind == PH_PKT_DATA && pkt->len == len && memcmp(pkt->data, text, len) == 0;
}

bool ph_pkt_starts(const struct ph_pkt *pkt, const char *prefix, const char **rest,
                   size_t *rest_len)
{
	size_t len = strlen(prefix);

	if (pkt->kind != PH_PKT_DATA || pkt->len < len || memcmp(pkt->data, prefix, len) != 0)
		return false;
	if (rest)
		*rest = (const char *)pkt->data + len;
	if (rest_len)
		*rest_len = pkt->len - len;
	return true;
}

void ph_pkt_header(uint8_t out[4], size_t payload_len)
{
	static const char hex[] = "0123456789abcdef";
	size_t whole = payload_len + 4;

	assert(payload_len <= PH_PKT_PAYLOAD_MAX);
	for (int i = 3; i >= 0; i--, whole >>= 4)
		out[i] = (uint8_t)hex[whole & 15];
}

bool ph_caps_find(const char *caps, size_t len, const char *key, const char **value,
                  size_t *value_len)
{
	size_t key_len = strlen(key);
	const char *at = caps, *end = len ? caps + len : caps;

	while (at < end) {
		const char *stop = memchr(at, ' ', (size_t)(end - at));
		size_t word = (size_t)((stop ? stop : end) - at);

		if (word >= key_len && memcmp(at, key, key_len) == 0 &&
		    (word == key_len || at[key_len] == '=')) {
			size_t skip = word == key_len ? key_len : key_len + 1;

			if (value)
				*value = at + skip;
			if (value_len)
				*value_len = word - skip;
			return true;
		}
		if (!stop)
			break;
		at = stop + 1;
	}
	return false;
}
