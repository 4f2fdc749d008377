/* SPDX-License-Identifier: MIT */
/*
 * SHA-512 from mbedTLS. As in hash_mbedtls.c, the context is a plain struct without pointers, and
 * calls can fail only where mbedTLS is built for a hardware engine.
 */
#include <packhorse/sha512.h>

#include <assert.h>
#include <mbedtls/sha512.h>
#include <mbedtls/version.h>
#include <stdalign.h>

/* Version 3 took the names of functions without a result. */
#if MBEDTLS_VERSION_NUMBER < 0x03000000
#define mbedtls_sha512_starts mbedtls_sha512_starts_ret
#define mbedtls_sha512_update mbedtls_sha512_update_ret
#define mbedtls_sha512_finish mbedtls_sha512_finish_ret
#endif

_Static_assert(sizeof(mbedtls_sha512_context) <= sizeof(((struct ph_sha512 *)0)->state.bytes),
               "the context fits");
_Static_assert(alignof(mbedtls_sha512_context) <= alignof(struct ph_sha512), "it is aligned");

static mbedtls_sha512_context *context_of(struct ph_sha512 *hash)
{
	return (void *)&hash->state;
}

static void expect_done(int result)
{
	assert(result == 0);
	(void)result;
}

void ph_sha512_init(struct ph_sha512 *hash)
{
	mbedtls_sha512_init(context_of(hash));
	expect_done(mbedtls_sha512_starts(context_of(hash), 0));
}

void ph_sha512_update(struct ph_sha512 *hash, const void *data, size_t len)
{
	if (len > 0)
		expect_done(mbedtls_sha512_update(context_of(hash), data, len));
}

void ph_sha512_final(struct ph_sha512 *hash, uint8_t out[PH_SHA512_BYTES])
{
	expect_done(mbedtls_sha512_finish(context_of(hash), out));
}
