/* SPDX-License-Identifier: MIT */
/*
 * Random bytes: the platform's entropy, looked at once before it is relied on, and a generator over
 * it (CTR_DRBG) for what needs many. libssh has a generator of its own, which asks for entropy
 * through mbedtls_hardware_poll and takes no for an answer without saying so: hence the look.
 */
#include "image.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <string.h>

#define SAMPLE_BYTES 64u

static mbedtls_ctr_drbg_context generator;

/* mbedTLS asks for this by name where a machine has no operating system. */
int mbedtls_hardware_poll(void *data, unsigned char *output, size_t len, size_t *olen);

int mbedtls_hardware_poll(void *data, unsigned char *output, size_t len, size_t *olen)
{
	(void)data;
	if (ph__plat_entropy(output, len) != PH_OK)
		return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
	*olen = len;
	return 0;
}

static int seed(void *user, unsigned char *output, size_t len)
{
	(void)user;
	return ph__plat_entropy(output, len) == PH_OK ? 0 : MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
}

/* Stuck sources repeat themselves: no 8 bytes may come twice. Chance does that once in 2^59. */
static bool is_stuck(const uint8_t *sample)
{
	for (size_t i = 0; i < SAMPLE_BYTES; i += 8)
		for (size_t j = 0; j < i; j += 8)
			if (memcmp(sample + i, sample + j, 8) == 0)
				return true;
	return false;
}

bool ph__random_start(void)
{
	uint8_t sample[SAMPLE_BYTES];
	enum ph_status status = PH_OK;

	for (size_t i = 0; i < SAMPLE_BYTES && status == PH_OK; i += SAMPLE_BYTES / 2)
		status = ph__plat_entropy(sample + i, SAMPLE_BYTES / 2);
	if (status != PH_OK || is_stuck(sample)) {
		ph__say(PH_LOG_ERROR,
		        status == PH_OK
		                ? "the source of entropy repeats itself: nothing starts"
		                : "no entropy: nothing starts without RDRAND or virtio-rng");
		return false;
	}
	mbedtls_ctr_drbg_init(&generator);
	if (mbedtls_ctr_drbg_seed(&generator, seed, NULL, NULL, 0) == 0)
		return true;
	ph__say(PH_LOG_ERROR, "no entropy: the generator could not be seeded");
	return false;
}

enum ph_status ph__random(void *user, void *buf, size_t len)
{
	uint8_t *at = buf;

	(void)user;
	while (len > 0) {
		size_t n = len < MBEDTLS_CTR_DRBG_MAX_REQUEST ? len : MBEDTLS_CTR_DRBG_MAX_REQUEST;

		if (mbedtls_ctr_drbg_random(&generator, at, n) != 0)
			return PH_ERR_IO;
		at += n;
		len -= n;
	}
	return PH_OK;
}
