/* SPDX-License-Identifier: MIT */
/* Filter specs of any bytes: one is built, all others are refused and change nothing. */
#include <packhorse/walk.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ph_filter filter = {PH_FILTER_NONE};
	enum ph_status status = ph_filter_parse(&filter, (const char *)data, size);
	bool right = size == 9 && memcmp(data, "blob:none", 9) == 0;

	if (status != (right ? PH_OK : PH_ERR_UNSUPPORTED))
		abort();
	if (filter.kind != (right ? PH_FILTER_BLOB_NONE : PH_FILTER_NONE))
		abort();
	return 0;
}
