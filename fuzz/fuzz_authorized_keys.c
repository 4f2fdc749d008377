/* SPDX-License-Identifier: MIT */
/*
 * authorized_keys text of any kind: nothing is let in that was not read, and from= lists that were
 * accepted can be asked with any address.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <packhorse/ssh.h>

#include "../ssh/address_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ph_keys *keys = NULL;
	unsigned accepted = 0;
	size_t lines = 1;

	if (ph_keys_new(&keys, ph_alloc_libc()) != PH_OK)
		return 0;
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	enum ph_status status = ph_keys_add_text(keys, (const char *)data, size, PH_PERM_READ,
	                                         "fuzz", NULL, &accepted);
	assert(status == PH_OK || status == PH_ERR_LIMIT || status == PH_ERR_NOMEM);
	assert(accepted <= lines);
	ph_keys_free(keys);

	/* The same bytes as an address and a list of patterns, split in the middle. */
	char peer[64];
	size_t half = size / 2 < sizeof(peer) ? size / 2 : sizeof(peer) - 1;
	if (half > 0)
		memcpy(peer, data, half);
	peer[half] = '\0';
	const char *list = (const char *)data + half;
	if (size > half && ph__patterns_check(list, size - half))
		(void)ph__patterns_match(list, size - half, peer);
	return 0;
}
