/* SPDX-License-Identifier: MIT */
/* Keys and signatures that a test can make without a library; see cert_support.h. */
#include "cert_support.h"

#include <packhorse/hash.h>
#include <packhorse/sshsig.h>
#include <string.h>

uint8_t *cert_find(const struct ph_test_buf *in, const char *text)
{
	size_t len = strlen(text);

	for (size_t at = 0; at + len <= in->len; at++)
		if (memcmp(in->data + at, text, len) == 0)
			return in->data + at;
	return NULL;
}

void cert_key(uint8_t number, uint8_t out[CERT_KEY_BYTES])
{
	memcpy(out, "\0\0\0\013ssh-ed25519\0\0\0\040", 19);
	memset(out + 19, number, 32);
}

static void sign(uint8_t number, const uint8_t *message, size_t len, struct ph_oid *out)
{
	struct ph_hash hash;
	uint8_t key[CERT_KEY_BYTES];

	cert_key(number, key);
	ph_hash_init(&hash, PH_HASH_SHA256);
	ph_hash_update(&hash, key, sizeof(key));
	ph_hash_update(&hash, message, len);
	ph_hash_final(&hash, out);
}

enum ph_status cert_verify(void *user, const uint8_t *key, size_t key_len, const uint8_t *signature,
                           size_t signature_len, const uint8_t *message, size_t message_len)
{
	struct ph_oid expected;
	uint8_t mine[CERT_KEY_BYTES];

	(void)user;
	if (key_len != CERT_KEY_BYTES || signature_len != 32)
		return PH_ERR_DENIED;
	cert_key(key[CERT_KEY_BYTES - 1], mine);
	sign(key[CERT_KEY_BYTES - 1], message, message_len, &expected);
	return memcmp(expected.bytes, signature, 32) == 0 && memcmp(key, mine, CERT_KEY_BYTES) == 0
	               ? PH_OK
	               : PH_ERR_DENIED;
}

void cert_put_base64(struct ph_test_buf *out, const uint8_t *data, size_t len)
{
	static const char digits[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		uint32_t bits = (uint32_t)data[i] << 16;
		char group[4];

		bits |= i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0;
		bits |= i + 2 < len ? data[i + 2] : 0;
		for (unsigned j = 0; j < 4; j++)
			group[j] = i + j > len ? '=' : digits[bits >> (18 - 6 * j) & 63];
		ph_test_buf_append(out, group, 4);
		if (i % 51 == 48)
			ph_test_buf_append(out, "\n", 1);
	}
}

static void put_string(struct ph_test_buf *out, const void *data, size_t len)
{
	const uint8_t size[4] = {0, 0, (uint8_t)(len >> 8), (uint8_t)len};

	ph_test_buf_append(out, size, 4);
	ph_test_buf_append(out, data, len);
}

void cert_put_signature(struct ph_test_buf *out, const uint8_t *text, size_t len,
                        const char *name_space, uint8_t number, uint8_t claimed)
{
	struct ph_test_buf signed_text = {0}, blob = {0};
	struct ph_hash hash;
	struct ph_oid oid;
	uint8_t key[CERT_KEY_BYTES];

	ph_hash_init(&hash, PH_HASH_SHA256);
	ph_hash_update(&hash, text, len);
	ph_hash_final(&hash, &oid);
	ph_test_buf_append(&signed_text, "SSHSIG", 6);
	put_string(&signed_text, name_space, strlen(name_space));
	put_string(&signed_text, "", 0);
	put_string(&signed_text, "sha256", 6);
	put_string(&signed_text, oid.bytes, 32);
	sign(number, signed_text.data, signed_text.len, &oid);
	cert_key(claimed, key);
	ph_test_buf_append(&blob, "SSHSIG\0\0\0\1", 10);
	put_string(&blob, key, sizeof(key));
	put_string(&blob, name_space, strlen(name_space));
	put_string(&blob, "", 0);
	put_string(&blob, "sha256", 6);
	put_string(&blob, oid.bytes, 32);
	ph_test_buf_print(out, PH_SSHSIG_BEGIN "\n");
	cert_put_base64(out, blob.data, blob.len);
	ph_test_buf_print(out, "\n" PH_SSHSIG_END "\n");
	ph_test_buf_release(&signed_text);
	ph_test_buf_release(&blob);
}
