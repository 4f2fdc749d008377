/* SPDX-License-Identifier: MIT */
/* Names of repositories: what is accepted has no part that the rule in store.h forbids. */
#include <packhorse/store.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *name = (const char *)data;
	if (ph_repo_name_check(name, size) != PH_OK)
		return 0;
	if (size == 0 || size > PH_REPO_NAME_MAX || name[size - 1] == '/')
		abort();
	for (size_t i = 0; i < size; i++) {
		bool starts = i == 0 || name[i - 1] == '/';
		bool ends = i + 1 == size || name[i + 1] == '/';
		if (data[i] < 0x20 || data[i] == 0x7f || name[i] == '\\')
			abort();
		if (starts && (name[i] == '/' || name[i] == '.' || name[i] == '-'))
			abort();
		if (ends && i >= 3 && memcmp(name + i - 3, ".git", 4) == 0)
			abort();
	}
	return 0;
}
