/* SPDX-License-Identifier: MIT */
/*
 * The interface of hashes: SHA-1 is our own (sha1_int.h), SHA-256 mbedTLS's, which this file alone
 * sees. The contexts are plain structs without pointers, so they live inside struct ph_hash and
 * need neither allocation nor release. mbedTLS's calls can fail only where it is built for a
 * hardware engine, which is a programming error.
 */
#include <packhorse/hash.h>

#include "sha1_int.h"

#include <assert.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#include <stdalign.h>

/* Version 3 took the names of functions without a result. */
#if MBEDTLS_VERSION_NUMBER < 0x03000000
#define mbedtls_sha256_starts mbedtls_sha256_starts_ret
#define mbedtls_sha256_update mbedtls_sha256_update_ret
#define mbedtls_sha256_finish mbedtls_sha256_finish_ret
#endif

_Static_assert(sizeof(mbedtls_sha256_context) <= sizeof(((struct ph_hash *)0)->state.bytes),
               "the SHA-256 context fits");
_Static_assert(alignof(mbedtls_sha256_context) <= alignof(struct ph_hash), "it is aligned");
_Static_assert(sizeof(struct ph__sha1) <= sizeof(((struct ph_hash *)0)->state.bytes),
               "the SHA-1 context fits");
_Static_assert(alignof(struct ph__sha1) <= alignof(struct ph_hash), "it is aligned");

static void *context_of(struct ph_hash *hash)
{
	return &hash->state;
}

static void init(struct ph_hash *hash, enum ph_hash_algo algo, bool plain)
{
	int failed;

	hash->algo = algo;
	hash->attacked = false;
	if (algo == PH_HASH_SHA1) {
		ph__sha1_init(context_of(hash), ph__sha1_best(), plain);
		return;
	}
	mbedtls_sha256_init(context_of(hash));
	failed = mbedtls_sha256_starts(context_of(hash), 0);
	assert(!failed);
	(void)failed;
}

void ph_hash_init(struct ph_hash *hash, enum ph_hash_algo algo)
{
	init(hash, algo, false);
}

void ph_hash_init_plain(struct ph_hash *hash, enum ph_hash_algo algo)
{
	init(hash, algo, true);
}

void ph_hash_update(struct ph_hash *hash, const void *data, size_t len)
{
	int failed;

	if (len == 0)
		return;
	if (hash->algo == PH_HASH_SHA1) {
		ph__sha1_update(context_of(hash), data, len);
		return;
	}
	failed = mbedtls_sha256_update(context_of(hash), data, len);
	assert(!failed);
	(void)failed;
}

void ph_hash_final(struct ph_hash *hash, struct ph_oid *out)
{
	int failed;

	memset(out, 0, sizeof(*out));
	if (hash->algo == PH_HASH_SHA1) {
		struct ph__sha1 *sha1 = context_of(hash);

		ph__sha1_final(sha1, out->bytes);
		hash->attacked = sha1->attacked;
		return;
	}
	failed = mbedtls_sha256_finish(context_of(hash), out->bytes);
	assert(!failed);
	(void)failed;
}

bool ph_hash_attacked(const struct ph_hash *hash)
{
	return hash->attacked;
}

/* ---- objects ---- */

/* Writes value in decimal digits; returns how many. */
static size_t write_decimal(uint8_t *out, uint64_t value)
{
	uint8_t reversed[20];
	size_t len = 0;
	size_t i;

	do {
		reversed[len++] = (uint8_t)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	for (i = 0; i < len; i++)
		out[i] = reversed[len - 1 - i];
	return len;
}

size_t ph__object_header(uint8_t *out, enum ph_object_type type, uint64_t size)
{
	const char *name = ph_object_type_name(type);
	size_t len = strlen(name);

	memcpy(out, name, len);
	out[len++] = ' ';
	len += write_decimal(out + len, size);
	out[len++] = '\0';
	assert(len <= PH__OBJECT_HEADER_BYTES_MAX);
	return len;
}

void ph_hash_init_object(struct ph_hash *hash, enum ph_hash_algo algo, enum ph_object_type type,
                         uint64_t size)
{
	uint8_t header[PH__OBJECT_HEADER_BYTES_MAX];

	ph_hash_init(hash, algo);
	ph_hash_update(hash, header, ph__object_header(header, type, size));
}

void ph_hash_object(struct ph_oid *out, enum ph_hash_algo algo, enum ph_object_type type,
                    const void *data, size_t size)
{
	struct ph_hash hash;

	ph_hash_init_object(&hash, algo, type, size);
	ph_hash_update(&hash, data, size);
	ph_hash_final(&hash, out);
}

void ph_hash_items(enum ph_hash_algo algo, struct ph_hash_item *items, size_t count)
{
	struct ph_hash hash;

#ifdef PH__SHA1_WIDE
	if (algo == PH_HASH_SHA1) {
		ph__sha1_items(ph__sha1_best(), items, count);
		return;
	}
#endif
	for (size_t i = 0; i < count; i++) {
		ph_hash_init_object(&hash, algo, items[i].type, items[i].size);
		ph_hash_update(&hash, items[i].data, items[i].size);
		ph_hash_final(&hash, &items[i].oid);
		items[i].attacked = ph_hash_attacked(&hash);
	}
}
