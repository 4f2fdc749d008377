/* SPDX-License-Identifier: MIT */
/*
 * A pack with an object whose hash is part of a collision attack is refused, whichever object it is
 * and however its id is computed. Nobody has published such an object with git's header, so
 * verdicts are changed on the way: the linker puts functions of this file before those of hash.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

bool __real_ph_hash_attacked(const struct ph_hash *hash);
bool __wrap_ph_hash_attacked(const struct ph_hash *hash);
void __real_ph_hash_items(enum ph_hash_algo algo, struct ph_hash_item *items, size_t count);
void __wrap_ph_hash_items(enum ph_hash_algo algo, struct ph_hash_item *items, size_t count);

static uint32_t asked;
static uint32_t accused; /* the number of the verdict that is changed */

bool __wrap_ph_hash_attacked(const struct ph_hash *hash)
{
	assert_false(__real_ph_hash_attacked(hash));
	return asked++ == accused;
}

void __wrap_ph_hash_items(enum ph_hash_algo algo, struct ph_hash_item *items, size_t count)
{
	__real_ph_hash_items(algo, items, count);
	for (size_t i = 0; i < count; i++) {
		assert_false(items[i].attacked);
		items[i].attacked = asked++ == accused;
	}
}

static bool has_id(const struct ph_test_pack *pack, const char *hex)
{
	char got[PH_OID_HEX_MAX + 1];

	for (uint32_t i = 0; i < pack->count; i++) {
		if (strcmp(hex, ph_oid_to_hex(got, pack->algo, &pack->entries[i].oid)) == 0)
			return true;
	}
	return false;
}

static void every_verdict_counts(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	enum ph_status status;

	(void)state;
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	build_mixed(&pack, PH_HASH_SHA1, 4);
	ph_test_packfile(&pack, &file);
	accused = 0;
	do {
		/* With room for bases in memory, and without, where deltas are applied in steps. */
		for (unsigned resident = 0; resident < 2; resident++) {
			struct ph_test_alloc memory;
			struct feeding whole = {0};
			struct intake intake;

			ph_test_alloc_init(&memory);
			intake_init(&intake, PH_HASH_SHA1, &memory.alloc, NULL);
			if (!resident)
				intake.limits.delta_resident_bytes_max = 0;
			asked = 0;
			status = intake_feed(&intake, file.data, file.len, &whole);
			/* Every object is asked about. */
			assert_int_equal(status == PH_OK, accused >= asked);
			if (status == PH_OK) {
				assert_true(asked >= pack.count);
			} else {
				assert_int_equal(status, PH_ERR_COLLISION);
				assert_string_equal(
				        intake.error.what,
				        "SHA1 appears to be part of a collision attack");
				assert_true(has_id(&pack, intake.error.detail));
			}
			intake_release(&intake);
			assert_int_equal(memory.live, 0);
		}
		accused++;
	} while (status != PH_OK);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_verdict_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
