/* SPDX-License-Identifier: MIT */
/* Sets of object ids: order, growth, the limit, emptying, and no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "oid_set_int.h"
#include "support.h"

#define MANY 20000u

static struct ph_oid numbered(uint32_t number)
{
	struct ph_oid oid = {{0}};

	/* Ids that differ in few bits, as a peer might choose them. */
	oid.bytes[0] = (uint8_t)number;
	oid.bytes[9] = (uint8_t)(number >> 8);
	oid.bytes[19] = (uint8_t)(number >> 16);
	return oid;
}

static void test_members(void **state)
{
	struct ph_test_alloc memory;
	struct ph__oid_set set;
	struct ph_oid oid = numbered(MANY);

	(void)state;
	ph_test_alloc_init(&memory);
	ph__oid_set_init(&set, &memory.alloc, 12345);
	assert_false(ph__oid_set_has(&set, &oid));
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < MANY; i++) {
			oid = numbered(i);
			assert_int_equal(ph__oid_set_add(&set, &oid, MANY), PH_OK);
			assert_int_equal(set.marks[i], 0);
			set.marks[i] = 1;
		}
		for (uint32_t i = 0; i < MANY; i++) {
			oid = numbered(i);
			assert_int_equal(ph__oid_set_find(&set, &oid), i);
			assert_int_equal(ph__oid_set_add(&set, &oid, MANY), PH_ERR_EXISTS);
		}
		oid = numbered(MANY);
		assert_false(ph__oid_set_has(&set, &oid));
		assert_int_equal(ph__oid_set_add(&set, &oid, MANY), PH_ERR_LIMIT);
		ph__oid_set_clear(&set);
		assert_int_equal(set.count, 0);
		oid = numbered(1);
		assert_false(ph__oid_set_has(&set, &oid));
	}
	/* A small one keeps its memory. */
	assert_int_equal(ph__oid_set_add(&set, &oid, 1), PH_OK);
	ph__oid_set_clear(&set);
	assert_true(memory.live > 0);
	assert_false(ph__oid_set_has(&set, &oid));
	ph__oid_set_release(&set);
	assert_int_equal(memory.live, 0);
}

static void test_no_memory(void **state)
{
	(void)state;
	for (uint64_t at = 1;; at++) {
		struct ph_test_alloc memory;
		struct ph__oid_set set;
		bool failed = false;

		ph_test_alloc_init(&memory);
		memory.fail_at = at;
		ph__oid_set_init(&set, &memory.alloc, 1);
		for (uint32_t i = 0; i < 100; i++) {
			struct ph_oid oid = numbered(i);
			enum ph_status status = ph__oid_set_add(&set, &oid, 100);

			if (status == PH_ERR_NOMEM) {
				/* Nothing changed; the next try works. */
				failed = true;
				assert_int_equal(set.count, i);
				status = ph__oid_set_add(&set, &oid, 100);
			}
			assert_int_equal(status, PH_OK);
			assert_int_equal(ph__oid_set_find(&set, &oid), i);
		}
		ph__oid_set_release(&set);
		assert_int_equal(memory.live, 0);
		if (!failed)
			break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_members),
	        cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
