/* SPDX-License-Identifier: MIT */
/*
 * The cache of what was read: it stays within its bytes, what was read twice outlives what streams
 * through, and a stream through a full cache takes no more memory from the allocator.
 */
#include "disk_int.h"
#include "disk_tools.h"

#define CHUNKS 512u
#define BYTES ((uint64_t)8 * PH__CACHE_SHARDS * PH__CHUNK)

static struct ph_test_alloc memory;
static struct ph__disk_cache cache;

static int setup(void **state)
{
	(void)state;
	ph_test_alloc_init(&memory);
	return ph__disk_cache_init(&cache, &memory.alloc, NULL, BYTES);
}

static int teardown(void **state)
{
	(void)state;
	ph__disk_cache_release(&cache);
	return memory.live != 0;
}

static void insert(uint32_t at, uint32_t len)
{
	struct ph__disk_cache_key key = {1, at, 0};
	struct ph__disk_cache_entry *entry = ph__disk_cache_entry_new(&cache, &key, len);

	assert_non_null(entry);
	assert_null(entry->chain);
	memset(entry->data, (int)(at % 251), len);
	ph__disk_cache_insert(&cache, entry);
}

static bool has(uint32_t at, uint32_t len)
{
	struct ph__disk_cache_key key = {1, at, 0};
	uint8_t last = 0;

	if (!ph__disk_cache_copy(&cache, &key, len - 1, &last, 1))
		return false;
	assert_int_equal(last, at % 251);
	return true;
}

static void test_stream(void **state)
{
	uint64_t calls;
	uint32_t kept = 0;

	(void)state;
	for (uint32_t i = 0; i < CHUNKS; i++)
		insert(i, PH__CHUNK);
	calls = memory.calls;
	for (uint32_t i = CHUNKS; i < 2 * CHUNKS; i++)
		insert(i, PH__CHUNK);
	assert_int_equal(memory.calls, calls);
	assert_in_range(memory.live_bytes, 1, BYTES + PH__CACHE_SHARDS * (PH__CHUNK + 4096));
	for (uint32_t i = 0; i < 2 * CHUNKS; i++)
		kept += has(i, PH__CHUNK);
	assert_in_range(kept, 7 * PH__CACHE_SHARDS, 8 * PH__CACHE_SHARDS);
	assert_true(has(2 * CHUNKS - 1, PH__CHUNK));
	assert_false(has(0, PH__CHUNK));
}

static void test_read_again(void **state)
{
	(void)state;
	insert(0, PH__CHUNK);
	for (uint32_t i = 1; i < CHUNKS; i++) {
		insert(i, PH__CHUNK);
		assert_true(has(0, PH__CHUNK));
	}
}

/* Entries of other lengths do not take what was dropped. */
static void test_lengths(void **state)
{
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 5);
	for (uint32_t i = 0; i < 4 * CHUNKS; i++) {
		uint32_t len = PH__BLOCK * (1 + ph_test_rng_below(&rng, 5));

		insert(i, len);
		assert_true(has(i, len));
		assert_in_range(memory.live_bytes, 1, BYTES + PH__CACHE_SHARDS * (2 * PH__CHUNK));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_read_again, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
