/* SPDX-License-Identifier: MIT */
/*
 * SHA-1 and SHA-256 from mbedTLS, and the only file that sees it. The contexts are plain
 * structs without pointers, so they live inside struct ph_hash and need neither allocation nor
 * release. The calls can fail only where mbedTLS is built for a hardware engine, which is a
 * programming error.
 */
#include <packhorse/hash.h>

#include <assert.h>
#include <mbedtls/sha1.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#include <stdalign.h>

/* Version 3 took the names of functions without a result. */
#if MBEDTLS_VERSION_NUMBER < 0x03000000
#define mbedtls_sha1_starts mbedtls_sha1_starts_ret
#define mbedtls_sha1_update mbedtls_sha1_update_ret
#define mbedtls_sha1_finish mbedtls_sha1_finish_ret
#define mbedtls_sha256_starts mbedtls_sha256_starts_ret
#define mbedtls_sha256_update mbedtls_sha256_update_ret
#define mbedtls_sha256_finish mbedtls_sha256_finish_ret
#endif

_Static_assert(sizeof(mbedtls_sha1_context) <= sizeof(((struct ph_hash *)0)->state.bytes),
               "the SHA-1 context fits");
_Static_assert(sizeof(mbedtls_sha256_context) <= sizeof(((struct ph_hash *)0)->state.bytes),
               "the SHA-256 context fits");
_Static_assert(alignof(mbedtls_sha1_context) <= alignof(struct ph_hash), "it is aligned");
_Static_assert(alignof(mbedtls_sha256_context) <= alignof(struct ph_hash), "it is aligned");

/* "<type> <size>" and its NUL: the longest name has 6 bytes, a 64-bit size has 20 digits. */
#define OBJECT_HEADER_BYTES_MAX 32u

static void *context_of(struct ph_hash *hash)
{
	return &hash->state;
}

void ph_hash_init(struct ph_hash *hash, enum ph_hash_algo algo)
{
	int failed;

	hash->algo = algo;
	if (algo == PH_HASH_SHA256) {
		mbedtls_sha256_init(context_of(hash));
		failed = mbedtls_sha256_starts(context_of(hash), 0);
	} else {
		mbedtls_sha1_init(context_of(hash));
		failed = mbedtls_sha1_starts(context_of(hash));
	}
	assert(!failed);
	(void)failed;
}

void ph_hash_update(struct ph_hash *hash, const void *data, size_t len)
{
	int failed;

	if (len == 0)
		return;
	if (hash->algo == PH_HASH_SHA256)
		failed = mbedtls_sha256_update(context_of(hash), data, len);
	else
		failed = mbedtls_sha1_update(context_of(hash), data, len);
	assert(!failed);
	(void)failed;
}

void ph_hash_final(struct ph_hash *hash, struct ph_oid *out)
{
	int failed;

	memset(out, 0, sizeof(*out));
	if (hash->algo == PH_HASH_SHA256)
		failed = mbedtls_sha256_finish(context_of(hash), out->bytes);
	else
		failed = mbedtls_sha1_finish(context_of(hash), out->bytes);
	assert(!failed);
	(void)failed;
}

/* Writes size in decimal digits; returns how many. */
static size_t write_decimal(char *out, uint64_t value)
{
	char reversed[20];
	size_t len = 0;
	size_t i;

	do {
		reversed[len++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	for (i = 0; i < len; i++)
		out[i] = reversed[len - 1 - i];
	return len;
}

void ph_hash_init_object(struct ph_hash *hash, enum ph_hash_algo algo, enum ph_object_type type,
                         uint64_t size)
{
	char header[OBJECT_HEADER_BYTES_MAX];
	const char *name = ph_object_type_name(type);
	size_t len = strlen(name);

	memcpy(header, name, len);
	header[len++] = ' ';
	len += write_decimal(header + len, size);
	header[len++] = '\0';
	assert(len <= sizeof(header));
	ph_hash_init(hash, algo);
	ph_hash_update(hash, header, len);
}

void ph_hash_object(struct ph_oid *out, enum ph_hash_algo algo, enum ph_object_type type,
                    const void *data, size_t size)
{
	struct ph_hash hash;

	ph_hash_init_object(&hash, algo, type, size);
	ph_hash_update(&hash, data, size);
	ph_hash_final(&hash, out);
}
