/* SPDX-License-Identifier: MIT */
/*
 * Numbers that nobody outside can guess, for the first sequence numbers of connections (RFC 6528),
 * SYN cookies and DHCP's transactions: a hash under a key of true entropy.
 */
#include "net_int.h"

#include <packhorse/hash.h>

#include <string.h>

static uint8_t key[32];
static uint64_t count;

enum ph_status ph__secret_open(void)
{
	return ph__plat_entropy(key, sizeof key);
}

uint32_t ph__secret_hash(const void *data, size_t len)
{
	struct ph_hash hash;
	struct ph_oid out;
	uint32_t number;

	ph_hash_init(&hash, PH_HASH_SHA256);
	ph_hash_update(&hash, key, sizeof key);
	ph_hash_update(&hash, data, len);
	ph_hash_final(&hash, &out);
	memcpy(&number, out.bytes, sizeof number);
	return number;
}

uint32_t ph__net_random(void)
{
	count++;
	return ph__secret_hash(&count, sizeof count);
}
