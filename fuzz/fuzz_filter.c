/* SPDX-License-Identifier: MIT */
/*
 * Filter specs of any bytes: what is refused leaves no filter and says why, what is taken stays
 * within its bounds. What follows a NUL are patterns for each of its sparse parts.
 */
#include <packhorse/filter.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
	if (!right)
		abort();
}

static void load_patterns(struct ph_filter *filter, const uint8_t *data, size_t size)
{
	for (uint32_t i = 0; i < filter->count; i++) {
		enum ph_status status;

		if (filter->parts[i].kind != PH_FILTER_SPARSE_OID)
			continue;
		check(strlen(filter->parts[i].name) <= PH_FILTER_SPEC_MAX);
		status = ph_filter_sparse_load(filter, i, ph_alloc_libc(), data, size);
		check(status == PH_OK || status == PH_ERR_LIMIT);
		check((status == PH_OK) == (filter->parts[i].patterns != NULL));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ph_filter_policy policy = {.allow = true, .tree_depth_max = 10};
	const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
	size_t len = nul != NULL ? (size_t)(nul - data) : size;
	struct ph_filter filter;
	char why[PH_FILTER_WHY_MAX] = "";
	enum ph_status status =
	        ph_filter_parse(&filter, ph_alloc_libc(), (const char *)data, len, why);

	check((status == PH_OK) == (why[0] == 0) && strlen(why) < sizeof(why));
	check((status == PH_OK) == (filter.kind != PH_FILTER_NONE));
	check((filter.count > 0) == (status == PH_OK) && filter.count <= PH_FILTER_PARTS_MAX);
	if (status == PH_OK) {
		(void)ph_filter_allowed(&filter, &policy, why);
		if (ph_filter_by_object(&filter))
			(void)ph_filter_omits(&filter, PH_OBJ_BLOB, size);
		if (nul != NULL)
			load_patterns(&filter, nul + 1, size - len - 1);
	}
	ph_filter_release(&filter, ph_alloc_libc());
	return 0;
}
