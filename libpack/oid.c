/* SPDX-License-Identifier: MIT */
/*
 * Object ids: names of the hashes, and conversion between bytes and hex digits. Both conversions
 * are table look-ups, because every line of an advertisement and of a negotiation goes through
 * them.
 */
#include <packhorse/oid.h>

#include <assert.h>

/* The value of a hex digit plus one; 0 for every other byte. */
static const uint8_t digit_plus_one[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
        ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

const char *ph_hash_name(enum ph_hash_algo algo)
{
	return algo == PH_HASH_SHA256 ? "sha256" : "sha1";
}

enum ph_status ph_hash_from_name(enum ph_hash_algo *out, const char *name, size_t len)
{
	if (len == 4 && memcmp(name, "sha1", 4) == 0)
		*out = PH_HASH_SHA1;
	else if (len == 6 && memcmp(name, "sha256", 6) == 0)
		*out = PH_HASH_SHA256;
	else
		return PH_ERR_UNSUPPORTED;
	return PH_OK;
}

bool ph_oid_is_zero(const struct ph_oid *oid)
{
	static const struct ph_oid zero;

	return ph_oid_equal(oid, &zero);
}

void ph_oid_from_bytes(struct ph_oid *out, enum ph_hash_algo algo, const uint8_t *bytes)
{
	size_t len = ph_hash_bytes(algo);

	memcpy(out->bytes, bytes, len);
	memset(out->bytes + len, 0, PH_OID_BYTES_MAX - len);
}

enum ph_status ph_oid_from_hex(struct ph_oid *out, enum ph_hash_algo algo, const char *hex,
                               size_t len)
{
	struct ph_oid oid = {{0}};
	size_t i;

	if (len != ph_hash_hex(algo))
		return PH_ERR_INVALID;
	for (i = 0; i < len / 2; i++) {
		unsigned high = digit_plus_one[(unsigned char)hex[2 * i]];
		unsigned low = digit_plus_one[(unsigned char)hex[2 * i + 1]];
		if (high == 0 || low == 0)
			return PH_ERR_INVALID;
		oid.bytes[i] = (uint8_t)((high - 1) << 4 | (low - 1));
	}
	*out = oid;
	return PH_OK;
}

char *ph_oid_to_hex(char *out, enum ph_hash_algo algo, const struct ph_oid *oid)
{
	static const char digits[] = "0123456789abcdef";
	size_t len = ph_hash_bytes(algo);
	size_t i;

	assert(2 * len <= PH_OID_HEX_MAX);
	for (i = 0; i < len; i++) {
		out[2 * i] = digits[oid->bytes[i] >> 4];
		out[2 * i + 1] = digits[oid->bytes[i] & 15];
	}
	out[2 * len] = '\0';
	return out;
}
