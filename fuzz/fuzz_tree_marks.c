/* SPDX-License-Identifier: MIT */
/*
 * A tree and a delta of it, of any bytes: what the check of the changes finds is what the check of
 * the whole finds, and links and specials are either the base's or told. Bit 7 of the first byte
 * means SHA-256; then the base's size in two bytes, the base, and the delta.
 */
#include "tree_marks_int.h"

#include <packhorse/delta.h>
#include <stdlib.h>

#define BYTES_MAX 65536u
#define TOLD_MAX (BYTES_MAX / 24 * 4)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *take(void *user, size_t size)
{
	(void)user;
	return malloc(size);
}

static void *retake(void *user, void *ptr, size_t size)
{
	(void)user;
	return realloc(ptr, size);
}

static void give(void *user, void *ptr)
{
	(void)user;
	free(ptr);
}

static const struct ph_alloc alloc = {NULL, take, retake, give};

struct told {
	uint32_t count;
	struct ph_oid ids[TOLD_MAX];
};

static enum ph_status tell(struct told *told, const uint8_t *id, enum ph_hash_algo algo,
                           unsigned kind)
{
	if (told->count == TOLD_MAX)
		abort();
	ph_oid_from_bytes(&told->ids[told->count], algo, id);
	told->ids[told->count++].bytes[0] ^= (uint8_t)kind;
	return PH_OK;
}

struct user {
	struct told told;
	enum ph_hash_algo algo;
};

static enum ph_status on_special(void *user, enum ph_fsck_blob_kind kind, const struct ph_oid *oid)
{
	struct user *u = user;

	return tell(&u->told, oid->bytes, u->algo, 1 + (unsigned)kind);
}

static enum ph_status on_link(void *user, enum ph_object_type type, const uint8_t *id)
{
	struct user *u = user;

	return tell(&u->told, id, u->algo, 8 + (unsigned)type);
}

static bool has(const struct told *told, const struct ph_oid *oid)
{
	for (uint32_t i = 0; i < told->count; i++)
		if (ph_oid_equal(&told->ids[i], oid))
			return true;
	return false;
}

static void compare(const uint8_t *base, size_t base_size, const uint8_t *delta, size_t delta_len,
                    const uint8_t *result, size_t size, enum ph_hash_algo algo)
{
	static struct user base_user, whole_user, part_user;
	struct ph__tree_marks base_marks = {0}, whole_marks = {0}, marks = {0};
	struct ph__tree_checker checker = {
	        .algo = algo, .alloc = &alloc, .special = on_special, .link = on_link};
	ph__tree_found whole, part;

	base_user.algo = whole_user.algo = part_user.algo = algo;
	base_user.told.count = whole_user.told.count = part_user.told.count = 0;
	checker.user = &base_user;
	(void)ph__tree_check_full(&checker, base, base_size, &base_marks, &whole);
	checker.user = &whole_user;
	(void)ph__tree_check_full(&checker, result, size, &whole_marks, &whole);
	checker.user = &part_user;
	(void)ph__tree_check_delta(&checker, base, base_size, &base_marks, delta, delta_len, result,
	                           size, &marks, &part);
	if (whole != part || marks.known != (whole == 0) || whole_marks.known != (whole == 0))
		abort();
	if (marks.known && (marks.count != whole_marks.count ||
	                    (marks.count > 0 && memcmp(marks.starts, whole_marks.starts,
	                                               4 * (size_t)marks.count) != 0)))
		abort();
	for (uint32_t i = 0; i < whole_user.told.count; i++)
		if (!has(&part_user.told, &whole_user.told.ids[i]) &&
		    !(base_marks.known && has(&base_user.told, &whole_user.told.ids[i])))
			abort();
	ph__tree_marks_release(&base_marks, &alloc);
	ph__tree_marks_release(&whole_marks, &alloc);
	ph__tree_marks_release(&marks, &alloc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum ph_hash_algo algo;
	uint64_t base_size, result_size;
	size_t taken, given;
	uint8_t *result;

	if (size < 3)
		return 0;
	algo = (data[0] & 0x80) != 0 ? PH_HASH_SHA256 : PH_HASH_SHA1;
	given = data[1] | (size_t)data[2] << 8;
	data += 3;
	size -= 3;
	if (given > size ||
	    ph_delta_sizes(data + given, size - given, &base_size, &result_size, &taken) != PH_OK ||
	    result_size > BYTES_MAX)
		return 0;
	result = malloc(result_size > 0 ? (size_t)result_size : 1);
	if (result == NULL)
		abort();
	if (ph_delta_apply(data, given, data + given, size - given, result, (size_t)result_size) ==
	    PH_OK)
		compare(data, given, data + given, size - given, result, (size_t)result_size, algo);
	free(result);
	return 0;
}
