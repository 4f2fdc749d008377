/* SPDX-License-Identifier: MIT */
/* The queue of repositories: all at first, then what changed, in its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <packhorse/maintenance.h>
#include <packhorse/store_mem.h>
#include <stdio.h>
#include <string.h>

static struct ph_test_alloc memory;
static struct ph_limits limits;
static struct ph_store *store;
static struct ph_maintenance_queue *queue;

static int setup(void **state)
{
	struct ph_store_mem_options options = {.alloc = &memory.alloc, .limits = &limits};

	(void)state;
	ph_test_alloc_init(&memory);
	ph_limits_init(&limits);
	assert_int_equal(ph_store_mem_new(&store, &options), PH_OK);
	assert_int_equal(ph_maintenance_queue_new(&queue, store, &memory.alloc, 0), PH_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ph_maintenance_queue_free(queue);
	ph_store_close(store);
	assert_int_equal(memory.live, 0);
	return 0;
}

static void create(const char *name)
{
	struct ph_txn *txn;

	assert_int_equal(ph_store_create(store, name, PH_HASH_SHA1, &txn), PH_OK);
	assert_int_equal(ph_txn_prepare(txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
}

static void expect_extent(uint64_t now_ms, const char *name, enum ph_maintenance_extent expected)
{
	char out[PH_REPO_NAME_MAX + 1];
	enum ph_maintenance_extent extent;
	uint64_t at_ms;

	assert_int_equal(ph_maintenance_queue_next(queue, now_ms, out, &extent, &at_ms), PH_OK);
	assert_string_equal(out, name);
	assert_int_equal(extent, expected);
}

static void expect(uint64_t now_ms, const char *name)
{
	char out[PH_REPO_NAME_MAX + 1];
	enum ph_maintenance_extent extent;
	uint64_t at_ms;

	assert_int_equal(ph_maintenance_queue_next(queue, now_ms, out, &extent, &at_ms), PH_OK);
	assert_string_equal(out, name);
}

static void expect_none(uint64_t now_ms, uint64_t until_ms)
{
	char out[PH_REPO_NAME_MAX + 1];
	enum ph_maintenance_extent extent;
	uint64_t at_ms;

	assert_int_equal(ph_maintenance_queue_next(queue, now_ms, out, &extent, &at_ms), PH_END);
	assert_int_equal(at_ms, until_ms);
}

static void test_all_at_first(void **state)
{
	(void)state;
	create("b");
	create("a");
	expect_none(0, 1000);
	ph_maintenance_queue_changed(queue, "b", 10);
	expect_none(999, 1000);
	expect_extent(1000, "a", PH_MAINTENANCE_WHOLE);
	create("c");
	/* The one that has just changed comes when it is quiet. */
	expect(1000, "c");
	expect_none(1000, 1010);
	expect_extent(1010, "b", PH_MAINTENANCE_LIGHT);
	expect_none(1010, PH_NO_DEADLINE);
}

static void test_waits_for_quiet(void **state)
{
	(void)state;
	expect_none(1000, PH_NO_DEADLINE);
	ph_maintenance_queue_changed(queue, "x", 1000);
	expect_none(1000, 2000);
	ph_maintenance_queue_changed(queue, "x", 1900);
	ph_maintenance_queue_changed(queue, "y", 2000);
	expect_none(2000, 2900);
	expect(2900, "x");
	expect_none(2900, 3000);
	expect(3000, "y");
	expect_none(3000, PH_NO_DEADLINE);
	/* One that is never quiet. */
	for (uint64_t ms = 10000; ms < 310000; ms += 900) {
		ph_maintenance_queue_changed(queue, "x", ms);
		if (ms + 900 < 310000)
			expect_none(ms + 800, ms + 1000 < 310000 ? ms + 1000 : 310000);
	}
	expect(310000, "x");
	/* One that is pushed to very often. */
	for (uint64_t ms = 400000; ms < 400512; ms++) {
		expect_none(ms, ms > 400000 ? ms + 999 : PH_NO_DEADLINE);
		ph_maintenance_queue_changed(queue, "x", ms);
	}
	expect(400511, "x");
}

/* What a light session leaves comes when no push has come for ten seconds, or after five minutes.
 */
static void test_waits_for_calm(void **state)
{
	(void)state;
	create("a");
	expect_extent(1000, "a", PH_MAINTENANCE_WHOLE);
	expect_none(1000, PH_NO_DEADLINE);
	ph_maintenance_queue_changed(queue, "x", 1000);
	expect_extent(2000, "x", PH_MAINTENANCE_LIGHT);
	ph_maintenance_queue_ended(queue, "x", 2100, 100, 3);
	expect_none(2100, 11000);
	ph_maintenance_queue_changed(queue, "x", 10000);
	expect_none(10000, 11000);
	expect_extent(11000, "x", PH_MAINTENANCE_LIGHT);
	ph_maintenance_queue_ended(queue, "x", 11000, 0, 0);
	expect_none(11000, 20000);
	expect_extent(20000, "x", PH_MAINTENANCE_WHOLE);
	ph_maintenance_queue_ended(queue, "x", 20000, 0, 0);
	expect_none(20000, PH_NO_DEADLINE);
	/* One that was held up is looked at wholly at once. */
	ph_maintenance_queue_changed(queue, "x", 30000);
	expect_extent(50000, "x", PH_MAINTENANCE_WHOLE);
	/* One that is never calm. */
	for (uint64_t ms = 100000; ms < 402000; ms += 2000) {
		ph_maintenance_queue_changed(queue, "x", ms);
		expect_extent(ms + 1000, "x",
		              ms < 400000 ? PH_MAINTENANCE_LIGHT : PH_MAINTENANCE_WHOLE);
		if (ms < 400000)
			ph_maintenance_queue_ended(queue, "x", ms + 1000, 0, 3);
	}
	expect_none(402000, PH_NO_DEADLINE);
}

static void test_pauses(void **state)
{
	(void)state;
	expect_none(1000, PH_NO_DEADLINE);
	ph_maintenance_queue_changed(queue, "x", 1000);
	expect(2000, "x");
	ph_maintenance_queue_changed(queue, "x", 2500);
	ph_maintenance_queue_ended(queue, "x", 7000, 5000, 0);
	/* Four times what it took, or when it is calm. */
	expect_none(7000, 12500);
	ph_maintenance_queue_changed(queue, "x", 12000);
	expect_none(12500, 22000);
	ph_maintenance_queue_changed(queue, "x", 20000);
	expect_none(22000, 27000);
	expect_extent(27000, "x", PH_MAINTENANCE_LIGHT);
	/* Once what it took, although it is calm before. */
	ph_maintenance_queue_changed(queue, "x", 28000);
	ph_maintenance_queue_ended(queue, "x", 48000, 21000, 0);
	expect_none(48000, 69000);
	expect_extent(69000, "x", PH_MAINTENANCE_WHOLE);
	ph_maintenance_queue_ended(queue, "x", 69000, 0, 0);
	expect_none(69000, PH_NO_DEADLINE);
	/* Something was left. */
	ph_maintenance_queue_ended(queue, "x", 70000, 10, 2);
	expect_none(70000, 100000);
	expect(100000, "x");
	/* It failed: not before something changes. */
	ph_maintenance_queue_ended(queue, "x", 101000, 10, 1);
	expect_none(110000, PH_NO_DEADLINE);
}

static void test_too_many(void **state)
{
	char name[16];

	(void)state;
	create("a");
	expect(1000, "a");
	expect_none(1000, PH_NO_DEADLINE);
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		ph_maintenance_queue_changed(queue, name, 1010);
	}
	/* Those that were noted come when it is time; until then, all there are. */
	expect(1020, "a");
	expect_none(1020, 2010);
	expect(2010, "n0");
}

static void test_no_memory(void **state)
{
	(void)state;
	create("a");
	expect(1000, "a");
	expect_none(1000, PH_NO_DEADLINE);
	memory.fail_at = memory.calls + 1;
	ph_maintenance_queue_changed(queue, "x", 1000);
	expect(1000, "a");
	expect_none(1000, PH_NO_DEADLINE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_all_at_first, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_waits_for_quiet, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_waits_for_calm, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_pauses, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
