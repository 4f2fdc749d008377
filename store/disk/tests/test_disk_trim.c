/* SPDX-License-Identifier: MIT */
/*
 * Space that is given back. What is free is discarded, and nothing else ever is; a device that has
 * holes is asked for space before they are written again, so that what was promised cannot fail;
 * and a file on a real file system has fewer blocks when a repository is gone.
 */
#define _DEFAULT_SOURCE 1 /* mkdtemp */
#include "disk_tools.h"

#include <packhorse/device_posix.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

static struct ph_store_disk_options options;

static void trim_all(struct ph_store *store)
{
	uint32_t calls = 0;
	while (ph_store_trim(store, 4 * MIB) == PH_AGAIN)
		assert_true(++calls < 10000);
}

/* ---- what is given back ---- */

static void test_deleted(void **state)
{
	struct sim_device *sim = sim_new(2 * MIB, 256 * MIB);
	struct ph_store *store;
	(void)state;
	sim_options(&options);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(tool_create(store, "stays"), PH_OK);
	assert_status(tool_push(store, "stays", "refs/heads/a", 1, 3000000), PH_OK);
	assert_status(tool_create(store, "goes"), PH_OK);
	assert_status(tool_push(store, "goes", "refs/heads/a", 2, 20000000), PH_OK);
	trim_all(store);
	uint64_t before = sim->discarded_bytes;
	assert_status(tool_delete_repo(store, "goes"), PH_OK);
	trim_all(store);
	assert_in_range(sim->discarded_bytes - before, 17 * MIB, 20 * MIB);
	assert_status(sim_check(store), PH_OK);
	/* Once is enough. */
	before = sim->discards;
	trim_all(store);
	assert_int_equal(sim->discards, before);
	assert_true(tool_has(store, "stays", "refs/heads/a", 1, 3000000));
	ph_store_close(store);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_true(tool_has(store, "stays", "refs/heads/a", 1, 3000000));
	/* What somebody set aside is left to him. */
	trim_all(store);
	assert_int_equal(sim->discards, before);
	ph_store_close(store);
	sim_free(sim);
}

/* A snapshot shows what it showed. */
static void test_snapshot(void **state)
{
	struct sim_device *sim = sim_new(64 * MIB, 64 * MIB);
	struct ph_store *store;
	struct ph_snapshot *snapshot;
	uint8_t data[4096];
	(void)state;
	sim_options(&options);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(tool_create(store, "r"), PH_OK);
	assert_status(tool_push(store, "r", "refs/heads/a", 2, 9000000), PH_OK);
	/* What was allocated in vain goes first. */
	trim_all(store);
	uint64_t before = sim->discarded_bytes;
	assert_status(ph_store_snapshot(store, "r", &snapshot), PH_OK);
	assert_status(tool_delete_repo(store, "r"), PH_OK);
	trim_all(store);
	assert_int_equal(sim->discarded_bytes, before);
	const struct ph_source *source = ph_snapshot_source(snapshot);
	for (uint64_t at = 0; at < 8900000; at += sizeof(data))
		assert_status(source->ops->read(source, 0, at, data, sizeof(data)), PH_OK);
	ph_snapshot_release(snapshot);
	trim_all(store);
	assert_true(sim->discarded_bytes >= before + 6 * MIB);
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(sim);
}

/* Without flush an older epoch may come back, so its blocks are kept for a while. */
static void test_without_flush(void **state)
{
	struct sim_device *sim = sim_new(64 * MIB, 64 * MIB);
	struct ph_store *store;
	(void)state;
	sim_options(&options);
	sim_no_flush(sim);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(tool_create(store, "r"), PH_OK);
	assert_status(tool_create(store, "s"), PH_OK);
	assert_status(tool_push(store, "r", "refs/heads/a", 2, 9000000), PH_OK);
	trim_all(store);
	uint64_t before = sim->discarded_bytes;
	assert_status(tool_delete_repo(store, "r"), PH_OK);
	for (uint32_t i = 0; i < 15; i++) {
		trim_all(store);
		assert_int_equal(sim->discarded_bytes, before);
		assert_status(tool_push(store, "s", "refs/heads/a", i + 1, 1000), PH_OK);
	}
	assert_status(tool_push(store, "s", "refs/heads/a", 16, 1000), PH_OK);
	trim_all(store);
	assert_true(sim->discarded_bytes >= before + 6 * MIB);
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(sim);
}

/* ---- holes ---- */

/* A device over a file system that has so many units of 1 MiB, whose files can have holes. */
struct holes {
	struct ph_device_ops ops;
	const struct ph_device_ops *under;
	bool backed[256];
	uint32_t used, max;
};

static struct holes holes;

static bool give_units(uint64_t offset, uint64_t len)
{
	for (uint64_t unit = offset / MIB; unit * MIB < offset + len; unit++) {
		if (holes.backed[unit])
			continue;
		if (holes.used == holes.max)
			return false;
		holes.backed[unit] = true;
		holes.used++;
	}
	return true;
}

static enum ph_status holes_write(struct ph_device *device, uint64_t offset, const void *buf,
                                  size_t len)
{
	if (!give_units(offset, len))
		fail_msg("a write at %llu finds no space", (unsigned long long)offset);
	return holes.under->write(device, offset, buf, len);
}

static enum ph_status holes_provide(struct ph_device *device, uint64_t offset, uint64_t len)
{
	(void)device;
	return give_units(offset, len) ? PH_OK : PH_ERR_FULL;
}

static enum ph_status holes_discard(struct ph_device *device, uint64_t offset, uint64_t len)
{
	assert_int_equal(offset % MIB, 0);
	for (uint64_t unit = offset / MIB; unit * MIB < offset + len; unit++) {
		holes.used -= holes.backed[unit];
		holes.backed[unit] = false;
	}
	return holes.under->discard(device, offset, len);
}

static struct sim_device *holes_new(uint64_t bytes, uint32_t max)
{
	struct sim_device *sim = sim_new(bytes, bytes);
	memset(&holes, 0, sizeof(holes));
	holes.under = sim->device.ops;
	holes.ops = *holes.under;
	holes.ops.write = holes_write;
	holes.ops.provide = holes_provide;
	holes.ops.discard = holes_discard;
	holes.ops.grow = NULL;
	holes.max = max;
	sim->device.ops = &holes.ops;
	return sim;
}

/* A sparse store of 100 MiB where there is space for 24: pushes are refused, and deleting works. */
static void test_no_space(void **state)
{
	struct sim_device *sim = holes_new(100 * MIB, 24);
	struct ph_store *store;
	enum ph_status status = PH_OK;
	char ref[40];
	uint32_t pushed = 0;
	(void)state;
	sim_options(&options);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	for (uint32_t round = 0; round < 2; round++) {
		assert_status(tool_create(store, "r"), PH_OK);
		for (pushed = 0, status = PH_OK; pushed < 100 && status == PH_OK; pushed++) {
			snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)pushed);
			status = tool_push(store, "r", ref, pushed + 1, 700000);
		}
		assert_status(status, PH_ERR_FULL);
		/* What deleting needs has space: some 1,100 blocks and the map, twice. */
		assert_in_range(pushed, 10, 30);
		assert_true(tool_has(store, "r", "refs/heads/1", 2, 700000));
		assert_status(sim_check(store), PH_OK);
		/* Opened again: nobody knows which blocks have space behind them. */
		if (round % 2) {
			ph_store_close(store);
			assert_status(sim_open(sim, &options, &store), PH_OK);
		}
		assert_status(tool_set(store, "r", "refs/heads/1", 0), PH_OK);
		assert_status(tool_delete_repo(store, "r"), PH_OK);
		trim_all(store);
		assert_true(holes.used < 25);
		assert_status(sim_check(store), PH_OK);
	}
	ph_store_close(store);
	sim_free(sim);
}

/* Pushes, deletions and trimming in any order; writes never find a hole. */
static void test_churn(void **state)
{
	struct sim_device *sim = holes_new(96 * MIB, 96);
	struct ph_store *store;
	struct ph_test_rng rng;
	uint32_t sizes[8] = {0}, numbers[8] = {0};
	char repo[8];
	(void)state;
	sim_options(&options);
	ph_test_rng_init(&rng, 77);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	for (uint32_t i = 1; i < 120; i++) {
		uint32_t at = ph_test_rng_below(&rng, 8);
		snprintf(repo, sizeof(repo), "r%u", (unsigned)at);
		if (sizes[at]) {
			assert_true(tool_has(store, repo, "refs/heads/a", numbers[at], sizes[at]));
			assert_status(tool_delete_repo(store, repo), PH_OK);
			sizes[at] = 0;
		} else {
			sizes[at] = 1000 + ph_test_rng_below(&rng, 1500000);
			numbers[at] = i;
			assert_status(tool_create(store, repo), PH_OK);
			assert_status(tool_push(store, repo, "refs/heads/a", i, sizes[at]), PH_OK);
		}
		if (i % 3 == 0)
			(void)ph_store_trim(store, 4 * MIB);
		if (i % 30 == 0) {
			ph_store_close(store);
			assert_status(sim_open(sim, &options, &store), PH_OK);
		}
	}
	assert_true(sim->discards > 5);
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(sim);
}

/* ---- a file ---- */

static uint64_t blocks_of(const char *path)
{
	struct stat info;
	assert_int_equal(stat(path, &info), 0);
	return (uint64_t)info.st_blocks * 512;
}

static void test_file(void **state)
{
	char folder[] = "/tmp/ph-trim-XXXXXX", path[64];
	struct ph_device *device;
	struct ph_store *store;
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/store.img", folder);
	sim_options(&options);
	assert_status(ph_device_posix_open(&device, options.alloc, path, true), PH_OK);
	assert_status(ph_store_disk_format(device, &options), PH_OK);
	assert_status(ph_store_disk_open(&store, device, &options), PH_OK);
	assert_status(tool_create(store, "stays"), PH_OK);
	assert_status(tool_push(store, "stays", "refs/heads/a", 1, 100000), PH_OK);
	assert_status(tool_create(store, "goes"), PH_OK);
	assert_status(tool_push(store, "goes", "refs/heads/a", 2, 16000000), PH_OK);
	uint64_t before = blocks_of(path);
	assert_true(before >= 16000000);
	assert_status(tool_delete_repo(store, "goes"), PH_OK);
	trim_all(store);
	uint64_t after = blocks_of(path);
	print_message("%llu bytes, %llu after deleting\n", (unsigned long long)before,
	              (unsigned long long)after);
	/* A file system without holes keeps them. */
	if (after != before)
		assert_true(before - after >= 10 * MIB);
	assert_status(sim_check(store), PH_OK);
	assert_status(tool_create(store, "next"), PH_OK);
	assert_status(tool_push(store, "next", "refs/heads/a", 3, 8000000), PH_OK);
	assert_true(tool_has(store, "next", "refs/heads/a", 3, 8000000));
	assert_true(tool_has(store, "stays", "refs/heads/a", 1, 100000));
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	unlink(path);
	rmdir(folder);
}

/* ---- sizes ---- */

/* From the smallest device to one whose map of free blocks does not fit small machines. */
static void test_sizes(void **state)
{
	static const uint64_t sizes[] = {1, 16, 100, 5000, 1 << 20};
	char folder[] = "/tmp/ph-size-XXXXXX", path[64];
	struct ph_device *device;
	struct ph_store *store;
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/store.img", folder);
	sim_options(&options);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_status(ph_device_posix_open(&device, options.alloc, path, true), PH_OK);
		device->ops->close(device);
		/* All of it a hole. */
		if (truncate(path, (off_t)(sizes[i] * MIB)) != 0)
			break;
		assert_status(ph_device_posix_open(&device, options.alloc, path, false), PH_OK);
		assert_status(ph_store_disk_format(device, &options), PH_OK);
		assert_status(ph_store_disk_open(&store, device, &options), PH_OK);
		assert_status(tool_create(store, "r"), PH_OK);
		for (uint32_t k = 1; k < 20; k++)
			assert_status(tool_push(store, "r", "refs/heads/a", k, 9000), PH_OK);
		assert_status(sim_check(store), PH_OK);
		ph_store_close(store);
		assert_status(ph_device_posix_open(&device, options.alloc, path, false), PH_OK);
		assert_status(ph_store_disk_open(&store, device, &options), PH_OK);
		assert_true(tool_has(store, "r", "refs/heads/a", 19, 9000));
		ph_store_close(store);
		assert_int_equal(unlink(path), 0);
	}
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_deleted),       cmocka_unit_test(test_snapshot),
	        cmocka_unit_test(test_without_flush), cmocka_unit_test(test_no_space),
	        cmocka_unit_test(test_churn),         cmocka_unit_test(test_file),
	        cmocka_unit_test(test_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
