/* SPDX-License-Identifier: MIT */
/*
 * SHA-1 and SHA-256 from mbedTLS, and the only file that sees it; SHA-1 by the processor's own
 * instructions where it has them (sha1_int.h). The contexts are plain structs without pointers, so
 * they live inside struct ph_hash and need neither allocation nor release. mbedTLS's calls can fail
 * only where it is built for a hardware engine, which is a programming error.
 */
#include <packhorse/hash.h>

#include "sha1_int.h"

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

_Static_assert(sizeof(struct ph__sha1) <= sizeof(((struct ph_hash *)0)->state.bytes),
               "our own fits");

/* "<type> <size>" and its NUL: the longest name has 6 bytes, a 64-bit size has 20 digits. */
#define OBJECT_HEADER_BYTES_MAX 32u

static void *context_of(struct ph_hash *hash)
{
	return &hash->state;
}

/* ---- SHA-1 around the processor's compression function ---- */

static bool is_native(enum ph_hash_algo algo)
{
	return algo == PH_HASH_SHA1 && ph__sha1_usable();
}

static void native_init(struct ph__sha1 *sha1)
{
	static const uint32_t start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
	                                  0xc3d2e1f0};

	memcpy(sha1->state, start, sizeof(start));
	sha1->bytes = 0;
}

static void native_update(struct ph__sha1 *sha1, const uint8_t *data, size_t len)
{
	size_t held = (size_t)(sha1->bytes % PH__SHA1_BLOCK_BYTES);

	sha1->bytes += len;
	if (held > 0) {
		size_t take = PH__SHA1_BLOCK_BYTES - held < len ? PH__SHA1_BLOCK_BYTES - held : len;

		memcpy(sha1->block + held, data, take);
		data += take;
		len -= take;
		if (held + take < PH__SHA1_BLOCK_BYTES)
			return;
		ph__sha1_blocks(sha1->state, sha1->block, 1);
	}
	if (len >= PH__SHA1_BLOCK_BYTES)
		ph__sha1_blocks(sha1->state, data, len / PH__SHA1_BLOCK_BYTES);
	memcpy(sha1->block, data + len - len % PH__SHA1_BLOCK_BYTES, len % PH__SHA1_BLOCK_BYTES);
}

static void native_final(struct ph__sha1 *sha1, uint8_t *out)
{
	static const uint8_t pad[PH__SHA1_BLOCK_BYTES] = {0x80};
	uint64_t bits = sha1->bytes * 8;
	size_t held = (size_t)(sha1->bytes % PH__SHA1_BLOCK_BYTES);
	uint8_t length[8];

	for (unsigned i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	/* Up to eight bytes before the end of a block, of this one or the next. */
	native_update(sha1, pad, held < 56 ? 56 - held : 120 - held);
	native_update(sha1, length, sizeof(length));
	for (unsigned i = 0; i < 20; i++)
		out[i] = (uint8_t)(sha1->state[i / 4] >> (24 - 8 * (i % 4)));
}

/* ---- the interface ---- */

void ph_hash_init(struct ph_hash *hash, enum ph_hash_algo algo)
{
	int failed;

	hash->algo = algo;
	hash->attacked = false;
	if (is_native(algo)) {
		native_init(context_of(hash));
		return;
	}
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
	if (is_native(hash->algo)) {
		native_update(context_of(hash), data, len);
		return;
	}
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
	if (is_native(hash->algo)) {
		native_final(context_of(hash), out->bytes);
		return;
	}
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

bool ph_hash_attacked(const struct ph_hash *hash)
{
	return hash->attacked;
}

void ph_hash_items(enum ph_hash_algo algo, struct ph_hash_item *items, size_t count)
{
	struct ph_hash hash;

	for (size_t i = 0; i < count; i++) {
		ph_hash_init_object(&hash, algo, items[i].type, items[i].size);
		ph_hash_update(&hash, items[i].data, items[i].size);
		ph_hash_final(&hash, &items[i].oid);
		items[i].attacked = ph_hash_attacked(&hash);
	}
}
