/* SPDX-License-Identifier: MIT */
/*
 * Deltas. The first byte is the length of the base, which follows; the rest is the delta. It is
 * applied at once, and instruction by instruction, and both must agree.
 */
#include <packhorse/delta.h>

#include <stdlib.h>
#include <string.h>

/* Enough for any instruction to be met at its limits. */
#define RESULT_BYTES_MAX ((size_t)256 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Applies by hand; false when something does not fit. */
static bool apply_by_hand(const uint8_t *base, size_t base_len, const uint8_t *delta, size_t len,
                          size_t pos, uint8_t *result, size_t result_len)
{
	struct ph_delta_op op;
	size_t at = 0;
	enum ph_status status;

	while ((status = ph_delta_next(delta, len, &pos, &op)) == PH_OK) {
		const uint8_t *from = op.copy ? base + op.offset : op.insert;
		if (op.size > result_len - at)
			return false;
		if (op.copy && (op.offset > base_len || op.size > base_len - op.offset))
			return false;
		memcpy(result + at, from, op.size);
		at += op.size;
	}
	return status == PH_END && at == result_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t base_len = size > 0 ? data[0] : 0;
	uint64_t base_size, result_size;
	const uint8_t *delta;
	uint8_t *one, *two;
	size_t len, header;
	bool good;

	if (size < 1 + base_len)
		return 0;
	delta = data + 1 + base_len;
	len = size - 1 - base_len;
	if (ph_delta_sizes(delta, len, &base_size, &result_size, &header) != PH_OK)
		return 0;
	if (header > len)
		abort();
	if (result_size > RESULT_BYTES_MAX)
		return 0;
	one = malloc((size_t)result_size + 1);
	two = malloc((size_t)result_size + 1);
	if (!one || !two)
		abort();
	good = ph_delta_apply(data + 1, base_len, delta, len, one, (size_t)result_size) == PH_OK;
	if (good != (base_size == base_len && apply_by_hand(data + 1, base_len, delta, len, header,
	                                                    two, (size_t)result_size)))
		abort();
	if (good && memcmp(one, two, (size_t)result_size) != 0)
		abort();
	free(one);
	free(two);
	return 0;
}
