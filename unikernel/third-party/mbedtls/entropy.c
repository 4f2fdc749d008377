/* SPDX-License-Identifier: MIT */
/*
 * For programs of the process build that are no image: mbedTLS asks them for entropy, as it was
 * configured to have none of its own.
 */
#include <stddef.h>
#include <sys/random.h>

int mbedtls_hardware_poll(void *data, unsigned char *output, size_t len, size_t *got);

int mbedtls_hardware_poll(void *data, unsigned char *output, size_t len, size_t *got)
{
	ssize_t n = getrandom(output, len, 0);

	(void)data;
	*got = n > 0 ? (size_t)n : 0;
	return n < 0;
}
