/* SPDX-License-Identifier: MIT */
/* Names of refs: what may be pushed is valid, what is valid has none of the bytes that git forbids.
 */
#include <packhorse/refname.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ph_limits limits;
	char *name = malloc(size + 1);
	bool valid, pushable, deletable;

	if (!name)
		return 0;
	ph_limits_init(&limits);
	/* An exact copy, so that a sanitizer sees a read behind the end. */
	memcpy(name, data, size);
	name = realloc(name, size ? size : 1);
	if (!name)
		abort();
	valid = ph_refname_valid(name, size);
	pushable = ph_refname_pushable(name, size, &limits);
	deletable = ph_refname_deletable(name, size, &limits);
	if (pushable && (!valid || !deletable))
		abort();
	if (valid && (memchr(name, 0, size) || memchr(name, '\n', size) ||
	              memchr(name, ' ', size) || memchr(name, '\\', size) || name[0] == '/'))
		abort();
	for (size_t i = 0; i + 1 < size && (valid || deletable); i++)
		if (memcmp(name + i, "..", 2) == 0 || memcmp(name + i, "//", 2) == 0)
			abort();
	free(name);
	return 0;
}
