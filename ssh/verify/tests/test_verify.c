/* SPDX-License-Identifier: MIT */
/* Signatures by ssh-keygen and openssl of every kind: good, and changed in every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../../protocol/tests/signatures.h"
#include "support.h"

#include <packhorse/hash.h>
#include <packhorse/sha512.h>
#include <packhorse/sshsig.h>
#include <packhorse/verify.h>
#include <string.h>

#define COUNT (sizeof(signatures) / sizeof(*signatures))

struct parts {
	uint8_t key[1024], signature[1024], text[PH_SSHSIG_SIGNED_MAX];
	size_t key_len, signature_len, text_len;
};

static void parts_of(struct parts *out, const char *text)
{
	static const char message[] = SIGNED_MESSAGE;
	struct ph_test_alloc memory;
	struct ph_sshsig sig;
	struct ph_sha512 sha512;
	struct ph_hash sha256;
	struct ph_oid oid;
	uint8_t digest[64];
	const char *why;

	ph_test_alloc_init(&memory);
	assert_int_equal(ph_sshsig_parse(&sig, text, strlen(text), &memory.alloc, &why), PH_OK);
	ph_sha512_init(&sha512);
	ph_sha512_update(&sha512, message, sizeof(message) - 1);
	ph_sha512_final(&sha512, digest);
	if (!sig.sha512) {
		ph_hash_init(&sha256, PH_HASH_SHA256);
		ph_hash_update(&sha256, message, sizeof(message) - 1);
		ph_hash_final(&sha256, &oid);
		memcpy(digest, oid.bytes, 32);
	}
	assert_int_equal(ph_sshsig_signed(&sig, digest, out->text, &out->text_len), PH_OK);
	out->key_len = sig.key_len;
	out->signature_len = sig.signature_len;
	memcpy(out->key, sig.key, sig.key_len);
	memcpy(out->signature, sig.signature, sig.signature_len);
	ph_mem_free(&memory.alloc, sig.blob);
}

static enum ph_status verify(const struct parts *p)
{
	return ph_key_verify(NULL, p->key, p->key_len, p->signature, p->signature_len, p->text,
	                     p->text_len);
}

static bool is_weak(size_t i)
{
	return strncmp(signatures[i].name, "rsa1024", 7) == 0;
}

static void test_good(void **state)
{
	struct parts p;

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		parts_of(&p, signatures[i].text);
		if (verify(&p) != (is_weak(i) ? PH_ERR_UNSUPPORTED : PH_OK))
			fail_msg("%s: %s", signatures[i].name, ph_status_name(verify(&p)));
	}
}

/* A bit of every byte: the check costs milliseconds, so of long ones every few bytes. */
static void flip(struct parts *p, uint8_t *bytes, size_t len, const char *name)
{
	size_t step = len > 200 ? 13 : len > 80 ? 5 : 1;

	for (size_t i = 0; i < len; i += step) {
		uint8_t bit = (uint8_t)(1u << i % 8);

		bytes[i] ^= bit;
		if (verify(p) == PH_OK)
			fail_msg("%s: byte %zu changed", name, i);
		bytes[i] ^= bit;
	}
}

static void test_changed(void **state)
{
	struct parts p;

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		parts_of(&p, signatures[i].text);
		flip(&p, p.text, p.text_len, "message");
		flip(&p, p.signature, p.signature_len, signatures[i].name);
		flip(&p, p.key, p.key_len, "key");
		if (!is_weak(i))
			assert_int_equal(verify(&p), PH_OK);
	}
}

static void test_lengths(void **state)
{
	struct parts p;

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		size_t signature_len, key_len;

		parts_of(&p, signatures[i].text);
		signature_len = p.signature_len;
		key_len = p.key_len;
		for (p.signature_len = 0; p.signature_len < signature_len; p.signature_len++)
			assert_int_not_equal(verify(&p), PH_OK);
		p.signature[p.signature_len++] = 0;
		assert_int_not_equal(verify(&p), PH_OK);
		p.signature_len = signature_len;
		for (p.key_len = 0; p.key_len < key_len; p.key_len++)
			assert_int_not_equal(verify(&p), PH_OK);
		p.key[p.key_len++] = 0;
		assert_int_not_equal(verify(&p), PH_OK);
	}
}

/* Each signature under each other's key. */
static void test_other_keys(void **state)
{
	struct parts p, other;

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		parts_of(&p, signatures[i].text);
		for (size_t j = 0; j < COUNT; j++) {
			parts_of(&other, signatures[j].text);
			memcpy(p.key, other.key, other.key_len);
			p.key_len = other.key_len;
			if (strcmp(signatures[i].key, signatures[j].key) != 0)
				assert_int_not_equal(verify(&p), PH_OK);
		}
	}
}

static void replace(struct parts *p, const char *algorithm)
{
	uint8_t old[1024];
	size_t skip = 4 + p->signature[3], len = strlen(algorithm);

	memcpy(old, p->signature + skip, p->signature_len - skip);
	p->signature[3] = (uint8_t)len;
	memcpy(p->signature + 4, algorithm, len);
	memcpy(p->signature + 4 + len, old, p->signature_len - skip);
	p->signature_len += 4 + len - skip;
}

static void test_algorithms(void **state)
{
	struct parts p;

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		bool rsa = strncmp(signatures[i].name, "rsa", 3) == 0;

		parts_of(&p, signatures[i].text);
		replace(&p, "ssh-rsa");
		assert_int_equal(verify(&p), rsa ? PH_ERR_UNSUPPORTED : PH_ERR_DENIED);
		parts_of(&p, signatures[i].text);
		replace(&p, "rsa-sha2-256");
		assert_int_not_equal(verify(&p), PH_OK);
		replace(&p, "");
		assert_int_not_equal(verify(&p), PH_OK);
	}
	parts_of(&p, signatures[0].text);
	memcpy(p.key + 4, "ssh-ed44448", 11);
	assert_int_equal(verify(&p), PH_ERR_UNSUPPORTED);
}

/* The order of the group added to the second half: whoever does not look at it takes it for good.
 */
static void test_not_reduced(void **state)
{
	static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
	                                  0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
	                                  0,    0,    0,    0,    0,    0,    0,    0,
	                                  0,    0,    0,    0,    0,    0,    0,    0x10};
	struct parts p;
	unsigned carry = 0;
	uint8_t *s;

	(void)state;
	parts_of(&p, signatures[0].text);
	s = p.signature + p.signature_len - 32;
	for (unsigned i = 0; i < 32; i++) {
		carry += (unsigned)s[i] + order[i];
		s[i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_int_equal(carry, 0);
	assert_int_equal(verify(&p), PH_ERR_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_good),       cmocka_unit_test(test_changed),
	        cmocka_unit_test(test_lengths),    cmocka_unit_test(test_other_keys),
	        cmocka_unit_test(test_algorithms), cmocka_unit_test(test_not_reduced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
