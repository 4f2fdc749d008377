/* SPDX-License-Identifier: MIT */
/*
 * What goes wrong: a full device, a device that fails at any operation, memory that runs out at any
 * allocation, single bytes that change, devices that are none of ours, a process killed at any
 * time.
 */
#define _DEFAULT_SOURCE 1 /* mkdtemp, usleep */
#include "disk_tools.h"

#undef assert_status
#include "conformance_int.h"
#include "disk_int.h"

#include <packhorse/device_posix.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ph_store_disk_options options;

/* ---- a full device ---- */

static void test_full(void **state)
{
	struct sim_device *sim = sim_new(2 << 20, 2 << 20);
	struct ph_store *store;
	enum ph_status status = PH_OK;
	char ref[32];
	uint32_t pushed = 0;
	(void)state;
	sim_options(&options);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(tool_create(store, "r"), PH_OK);
	for (; pushed < 1000 && status == PH_OK; pushed++) {
		snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)pushed);
		status = tool_push(store, "r", ref, pushed, 20000);
	}
	assert_status(status, PH_ERR_FULL);
	pushed--;
	assert_in_range(pushed, 40, 110);
	/* Nothing is lost, and nothing is left over. */
	assert_status(sim_check(store), PH_OK);
	for (uint32_t i = 0; i < pushed; i++) {
		snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)i);
		assert_true(tool_has(store, "r", ref, i, 20000));
	}
	/* Fill the last crumbs: then refs cannot be added any more, but they can go. */
	for (uint32_t size = 8000; size > 0; size /= 2)
		while (tool_push(store, "r", "refs/heads/crumb", size, size) == PH_OK)
			;
	uint32_t added = 0;
	for (status = PH_OK; status == PH_OK && added < 100000; added += 100) {
		struct ph_txn *txn;
		struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 1);
		uint32_t change;
		assert_status(tool_begin(store, "r", &txn), PH_OK);
		for (uint32_t i = 0; i < 100; i++) {
			snprintf(ref, sizeof(ref), "refs/tags/%u", (unsigned)(added + i));
			assert_status(ph_txn_ref_update(txn, ref, NULL, &oid, NULL, &change),
			              PH_OK);
		}
		status = tool_commit(txn, false);
		ph_txn_free(txn);
	}
	assert_status(status, PH_ERR_FULL);
	for (uint32_t i = 0; i < pushed; i++) {
		snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)i);
		assert_status(tool_set(store, "r", ref, 0), PH_OK);
	}
	assert_status(sim_check(store), PH_OK);
	assert_status(tool_delete_repo(store, "r"), PH_OK);
	assert_status(tool_create(store, "s"), PH_OK);
	assert_status(tool_push(store, "s", "refs/heads/x", 1, 1000000), PH_OK);
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(sim);
}

/* Settings of the store can go from a full one, also where the catalogue's nodes are written. */
static void test_full_settings(void **state)
{
	struct sim_device *sim = sim_new(2 << 20, 2 << 20);
	struct ph_store *store;
	char key[PH_SETTING_KEY_MAX + 1];
	(void)state;
	sim_options(&options);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(tool_create(store, "r"), PH_OK);
	for (uint32_t i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "a-setting-whose-key-is-rather-long-%020u", (unsigned)i);
		assert_status(ph_store_setting_set(store, key, "x", 1), PH_OK);
	}
	for (uint32_t size = 16000; size > 0; size /= 2)
		while (tool_push(store, "r", "refs/heads/x", size, size) == PH_OK)
			;
	for (uint32_t i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "a-setting-whose-key-is-rather-long-%020u", (unsigned)i);
		assert_status(ph_store_setting_set(store, key, NULL, 0), PH_OK);
	}
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(sim);
}

/* Takes blocks, as transactions do, until no two free ones are neighbours and few are left. */
static void leave_crumbs(struct ph__disk *disk, uint64_t left)
{
	uint64_t free = 0;
	for (uint64_t block = PH__RING_BLOCKS; block < ph__map_blocks(&disk->map); block++) {
		if (ph__map_is_busy(&disk->map, block))
			continue;
		if (free < left && !(free > 0 && !ph__map_is_busy(&disk->map, block - 1)))
			free++;
		else
			ph__map_take(&disk->map, (struct ph__extent){block, 1, 0});
	}
	assert_int_equal(free, left);
	assert_int_equal(disk->map.free, left);
}

/* The map moves where single blocks alone are free, more often than it has areas. */
static void move_among_crumbs(bool flush)
{
	struct sim_device *sim = sim_new(64 << 20, 64 << 20);
	struct ph_store *store;
	uint64_t at = 0;
	uint32_t moves = 0;
	sim_options(&options);
	if (!flush)
		sim_no_flush(sim);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(tool_create(store, "r"), PH_OK);
	for (uint32_t i = 1; i < 40; i++)
		assert_status(tool_set(store, "r", "refs/heads/x", i), PH_OK);
	leave_crumbs(ph__disk_of(store), 400);
	for (uint32_t i = 1; moves < 4; i++) {
		const struct ph__map_root *map = &ph__disk_of(store)->super.map;
		assert_true(i < 20000);
		assert_status(tool_set(store, "r", "refs/heads/x", i), PH_OK);
		moves += map->extents[0].start != at;
		at = map->extents[0].start;
	}
	assert_status(sim_check(store), PH_OK);
	assert_status(tool_delete_repo(store, "r"), PH_OK);
	ph_store_close(store);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(sim);
}

static void test_crumbs(void **state)
{
	(void)state;
	move_among_crumbs(true);
	move_among_crumbs(false);
}

/* ---- a device that fails ---- */

/* Some of everything; the first failure ends it. */
static enum ph_status scenario(struct ph_store *store, uint32_t *done)
{
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < 6 && status == PH_OK; i++) {
		*done = i;
		if (i == 0)
			status = tool_create(store, "new");
		else if (i == 1)
			status = tool_push(store, "old", "refs/heads/a", 11, 150000);
		else if (i == 2)
			status = tool_push(store, "new", "refs/heads/b", 12, 2000);
		else if (i == 3)
			status = tool_repack(store, "old", 13, 2000, true);
		else if (i == 4)
			status = ph_store_setting_set(store, "host-key", "k", 1);
		else
			status = tool_delete_repo(store, "new");
	}
	if (status == PH_OK)
		*done = 6;
	return status;
}

static struct sim_device *make_base(void)
{
	struct sim_device *sim = sim_new(3 << 20, 3 << 20);
	struct ph_store *store;
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(tool_create(store, "old"), PH_OK);
	assert_status(tool_push(store, "old", "refs/heads/x", 1, 70000), PH_OK);
	ph_store_close(store);
	return sim;
}

static void fail_each(unsigned ops, enum ph_status want)
{
	struct sim_device *base = make_base();
	for (uint64_t at = 1;; at++) {
		struct sim_device *sim = sim_copy(base);
		struct ph_store *store;
		uint32_t done = 0;
		assert_status(sim_open(sim, &options, &store), PH_OK);
		sim->fail_ops = ops;
		sim->fail_at = at;
		enum ph_status status = scenario(store, &done);
		if (status != PH_OK && want != PH_OK) {
			assert_status(status, want);
			/* Read-only from now on, and readable. */
			assert_status(tool_create(store, "more"), PH_ERR_READ_ONLY);
			assert_true(tool_has(store, "old", "refs/heads/x", 1, 70000) || done > 3);
		}
		ph_store_close(store);
		bool through = sim->fail_count < at;
		sim->fail_ops = 0;
		assert_status(sim_open(sim, &options, &store), PH_OK);
		/* A repository that cannot be read is deleted all the same, and leaves its space.
		 */
		if (through || done < 6)
			assert_status(sim_check(store), PH_OK);
		/* What was acknowledged is there. */
		if (done > 1)
			assert_true(tool_has(store, "old", "refs/heads/a", 11, 150000) || done > 2);
		if (done == 3)
			assert_true(tool_has(store, "new", "refs/heads/b", 12, 2000));
		assert_status(tool_create(store, "more"), PH_OK);
		ph_store_close(store);
		sim_free(sim);
		if (through) {
			assert_status(status, PH_OK);
			break;
		}
	}
	sim_free(base);
}

static void test_device_errors(void **state)
{
	(void)state;
	sim_options(&options);
	fail_each(SIM_WRITE, PH_ERR_IO);
	fail_each(SIM_FLUSH, PH_ERR_IO);
	/* A read that fails fails what needs it, and the store goes on. */
	fail_each(SIM_READ, PH_OK);
	fail_each(SIM_READ | SIM_WRITE | SIM_FLUSH, PH_OK);
}

/* ---- memory that runs out ---- */

static void test_memory(void **state)
{
	struct sim_device *base;
	(void)state;
	sim_options(&options);
	base = make_base();
	for (uint64_t at = 1;; at++) {
		struct sim_device *sim = sim_copy(base);
		struct ph_test_alloc memory;
		struct ph_store *store;
		uint32_t done = 0;
		ph_test_alloc_init(&memory);
		options.alloc = &memory.alloc;
		memory.fail_at = at;
		enum ph_status status = sim_open(sim, &options, &store);
		if (status == PH_OK) {
			status = scenario(store, &done);
			memory.fail_at = 0;
			if (status != PH_OK)
				assert_status(status, PH_ERR_NOMEM);
			/* Nothing is half done, and nothing taken for good. */
			assert_status(sim_check(store), PH_OK);
			assert_status(tool_create(store, "more"), PH_OK);
			assert_status(sim_check(store), PH_OK);
			ph_store_close(store);
		} else {
			assert_status(status, PH_ERR_NOMEM);
		}
		assert_int_equal(memory.live, 0);
		bool through = memory.calls < at;
		options.alloc = ph_alloc_libc();
		assert_status(sim_open(sim, &options, &store), PH_OK);
		assert_status(sim_check(store), PH_OK);
		ph_store_close(store);
		sim_free(sim);
		if (through)
			break;
	}
	sim_free(base);
}

/* ---- bytes that change ---- */

static void read_all(struct ph_store *store)
{
	char name[PH_REPO_NAME_MAX + 1] = "";
	uint8_t buf[4096];
	while (ph_store_next_repo(store, name, name) == PH_OK) {
		struct ph_snapshot *snapshot;
		struct ph_ref_iter *iter;
		struct ph_ref ref;
		if (ph_store_snapshot(store, name, &snapshot) != PH_OK)
			continue;
		if (ph_snapshot_refs(snapshot, "", &iter) == PH_OK) {
			while (ph_ref_iter_next(iter, &ref) == PH_OK)
				;
			ph_ref_iter_free(iter);
		}
		const struct ph_source *source = ph_snapshot_source(snapshot);
		for (uint32_t i = 0; i < source->ops->packs(source); i++) {
			const struct ph_bytes *run =
			        ph_snapshot_section(snapshot, i, PH_SECTION_RUN);
			for (uint64_t at = 0; at + sizeof(buf) <= run->size; at += sizeof(buf))
				(void)run->read(run, at, buf, sizeof(buf));
		}
		ph_snapshot_release(snapshot);
	}
}

static void count_line(void *user, const char *line)
{
	(void)line;
	(*(uint32_t *)user)++;
}

/*
 * Every byte that the store uses is covered by a checksum: a change in it is found by the check, or
 * made the store open as of an earlier epoch or not at all. Nothing crashes.
 */
static void test_changed_bytes(void **state)
{
	struct sim_device *base;
	struct ph_test_rng rng;
	struct ph_store *store;
	uint32_t found = 0, refused = 0, harmless = 0;
	(void)state;
	sim_options(&options);
	base = make_base();
	assert_status(sim_open(base, &options, &store), PH_OK);
	assert_status(tool_push(store, "old", "refs/heads/y", 2, 400000), PH_OK);
	assert_status(tool_create(store, "other"), PH_OK);
	ph_store_close(store);
	ph_test_rng_init(&rng, 11);
	for (uint32_t i = 0; i < 1500; i++) {
		struct sim_device *sim = sim_copy(base);
		uint32_t lines = 0;
		/* Mostly the blocks of structure, some of the data. */
		uint32_t at = ph_test_rng_below(&rng, i % 4 ? 120 << 12 : 1 << 20);
		sim->data[at] ^= (uint8_t)(1 + ph_test_rng_below(&rng, 255));
		enum ph_status status = sim_open(sim, &options, &store);
		if (status != PH_OK) {
			assert_true(status == PH_ERR_CORRUPT || status == PH_ERR_INVALID ||
			            status == PH_ERR_EXISTS || status == PH_ERR_UNSUPPORTED);
			refused++;
			sim_free(sim);
			continue;
		}
		status = ph_store_disk_check(store, &lines, count_line);
		assert_true(status == PH_OK || status == PH_ERR_CORRUPT);
		assert_int_equal(status == PH_OK, lines == 0);
		found += status != PH_OK;
		harmless += status == PH_OK;
		read_all(store);
		/* Whatever it is, other work goes on or says why not. */
		(void)tool_create(store, "more");
		(void)tool_push(store, "other", "refs/heads/z", 5, 1000);
		(void)tool_delete_repo(store, "old");
		ph_store_close(store);
		sim_free(sim);
	}
	print_message("found %u, refused %u, harmless %u\n", (unsigned)found, (unsigned)refused,
	              (unsigned)harmless);
	assert_true(found > 100);
	sim_free(base);
}

struct lines {
	uint32_t old, others;
};

static void sort_line(void *user, const char *line)
{
	struct lines *lines = user;
	if (strncmp(line, "repository old: ", 16) == 0)
		lines->old++;
	else
		lines->others++;
}

/* Damage is reported for the repository that has it, and the others work. */
static void test_damaged_pack(void **state)
{
	struct sim_device *sim;
	struct ph_store *store;
	struct lines lines = {0, 0};
	uint8_t needle[64];
	struct ph_test_rng rng;
	(void)state;
	sim_options(&options);
	sim = make_base();
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(tool_create(store, "fine"), PH_OK);
	assert_status(tool_push(store, "fine", "refs/heads/x", 9, 5000), PH_OK);
	ph_store_close(store);
	/* Random bytes do not compress: they stand in the run as they are. */
	ph_test_rng_init(&rng, 1);
	ph_test_rng_fill(&rng, needle, sizeof(needle));
	uint64_t at = 0;
	while (memcmp(sim->data + at, needle + 8, 16) != 0) {
		at++;
		assert_true(at < sim->device.bytes - 64);
	}
	sim->data[at + 1000] ^= 1;
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(ph_store_disk_check(store, &lines, sort_line), PH_ERR_CORRUPT);
	assert_int_equal(lines.old, 1);
	assert_int_equal(lines.others, 0);
	assert_false(tool_has(store, "old", "refs/heads/x", 1, 70000));
	assert_true(tool_has(store, "fine", "refs/heads/x", 9, 5000));
	assert_status(tool_push(store, "old", "refs/heads/y", 3, 5000), PH_OK);
	assert_true(tool_has(store, "old", "refs/heads/y", 3, 5000));
	assert_status(tool_delete_repo(store, "old"), PH_OK);
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(sim);
}

/* ---- devices that are not ours ---- */

/* Sets a byte in every superblock there is, and its checksum if it is to be whole. */
static void change_supers(struct sim_device *sim, uint32_t at, uint8_t value, bool whole)
{
	for (uint32_t slot = 0; slot < 32; slot++) {
		uint8_t *block = sim->data + (size_t)slot * 4096;
		if (block[0] == 0)
			continue;
		block[at] = value;
		uint32_t crc = ph_crc32(0, block, 4092) ^ (whole ? 0 : 1);
		for (unsigned i = 0; i < 4; i++)
			block[4092 + i] = (uint8_t)(crc >> (24 - 8 * i));
	}
}

static void test_strangers(void **state)
{
	struct sim_device *sim = sim_new(2 << 20, 2 << 20);
	struct ph_store *store;
	(void)state;
	sim_options(&options);
	assert_status(ph_store_disk_open(&store, &sim->device, &options), PH_ERR_INVALID);
	sim->data[5000] = 1;
	assert_status(ph_store_disk_open(&store, &sim->device, &options), PH_ERR_INVALID);
	assert_status(ph_store_disk_format(&sim->device, &options), PH_ERR_EXISTS);
	sim->data[5000] = 0;
	assert_status(ph_store_disk_format(&sim->device, &options), PH_OK);
	assert_status(ph_store_disk_format(&sim->device, &options), PH_ERR_EXISTS);
	/* A later version, and one of before 1. */
	const char *why = NULL;
	uint64_t writes = sim->writes;
	options.why = &why;
	change_supers(sim, 11, 2, true);
	assert_status(ph_store_disk_open(&store, &sim->device, &options), PH_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "newer"));
	change_supers(sim, 11, 0, true);
	assert_status(ph_store_disk_open(&store, &sim->device, &options), PH_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "older"));
	/* One whose checksum is elsewhere. */
	change_supers(sim, 11, 3, false);
	assert_status(ph_store_disk_open(&store, &sim->device, &options), PH_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "newer"));
	change_supers(sim, 11, 1, true);
	/* A feature that must be known. */
	change_supers(sim, 39, 1, true);
	assert_status(ph_store_disk_open(&store, &sim->device, &options), PH_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "features"));
	change_supers(sim, 39, 0, true);
	assert_status(ph_store_disk_open(&store, &sim->device, &options), PH_OK);
	ph_store_close(store);
	/* A version that is a flipped bit in one of them. */
	sim->data[11] ^= 2;
	sim->open = true;
	assert_status(ph_store_disk_open(&store, &sim->device, &options), PH_OK);
	assert_int_equal(sim->writes, writes);
	ph_store_close(store);
	sim_free(sim);
	/* Too small. */
	sim = sim_new(512 << 10, 512 << 10);
	assert_status(ph_store_disk_format(&sim->device, &options), PH_ERR_FULL);
	assert_status(ph_store_disk_open(&store, &sim->device, &options), PH_ERR_INVALID);
	sim_free(sim);
	/* Cut off at the end. */
	sim = make_base();
	sim->device.bytes = 2 << 20;
	sim->open = true;
	writes = sim->writes;
	why = NULL;
	assert_status(ph_store_disk_open(&store, &sim->device, &options), PH_ERR_CORRUPT);
	assert_non_null(why);
	assert_non_null(strstr(why, "smaller"));
	assert_int_equal(sim->writes, writes);
	options.why = NULL;
	sim_free(sim);
}

/* ---- files ---- */

static char folder[64];
static char path[96];

static enum ph_status open_file(struct ph_store **out)
{
	struct ph_device *device;
	enum ph_status status = ph_device_posix_open(&device, ph_alloc_libc(), path, true);
	if (status != PH_OK)
		return status;
	status = ph_store_disk_open(out, device, &options);
	if (status == PH_ERR_INVALID) {
		status = ph_store_disk_format(device, &options);
		if (status == PH_OK)
			status = ph_store_disk_open(out, device, &options);
	}
	if (status != PH_OK)
		device->ops->close(device);
	return status;
}

static void test_file(void **state)
{
	struct ph_device *device, *second;
	struct stat info;
	uint8_t data[4096];
	char holder[PH_DEVICE_HOLDER_BYTES], self[40];
	(void)state;
	assert_status(ph_device_posix_open(&device, ph_alloc_libc(), path, false),
	              PH_ERR_NOT_FOUND);
	assert_status(ph_device_posix_open(&device, ph_alloc_libc(), folder, false),
	              PH_ERR_INVALID);
	assert_status(ph_device_posix_open(&device, ph_alloc_libc(), "/dev/null", false),
	              PH_ERR_INVALID);
	assert_status(ph_device_posix_open(&device, ph_alloc_libc(), path, true), PH_OK);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_int_equal(device->bytes, 0);
	assert_false(ph_device_posix_holder("/dev/null", holder));
	assert_status(ph_device_posix_open(&second, ph_alloc_libc(), path, false), PH_ERR_BUSY);
	snprintf(self, sizeof(self), "process %ld (", (long)getpid());
	/* Where it can be found out, it is right. */
	if (ph_device_posix_holder(path, holder))
		assert_memory_equal(holder, self, strlen(self));
	assert_status(device->ops->grow(device, 1 << 20), PH_OK);
	assert_int_equal(device->bytes, 1 << 20);
	memset(data, 7, sizeof(data));
	assert_status(device->ops->write(device, 8192, data, sizeof(data)), PH_OK);
	assert_status(device->ops->flush(device), PH_OK);
	device->ops->close(device);
	assert_status(ph_device_posix_open(&device, ph_alloc_libc(), path, false), PH_OK);
	assert_int_equal(device->bytes, 1 << 20);
	memset(data, 0, sizeof(data));
	assert_status(device->ops->read(device, 8192, data, sizeof(data)), PH_OK);
	assert_int_equal(data[4095], 7);
	/* Somebody cuts the file off. */
	assert_int_equal(truncate(path, 8192), 0);
	assert_status(device->ops->read(device, 8192, data, sizeof(data)), PH_ERR_IO);
	device->ops->close(device);
	unlink(path);
}

/* Commits in a loop until it is killed, and says after each which. */
static void victim(int out)
{
	struct ph_store *store;
	if (open_file(&store) != PH_OK)
		_exit(1);
	uint32_t number = 0;
	(void)tool_create(store, "r");
	for (;;) {
		char ref[32];
		number++;
		snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)(number % 7));
		if (tool_push(store, "r", ref, number, number % 50 * 700) != PH_OK)
			_exit(2);
		if (write(out, &number, sizeof(number)) != sizeof(number))
			_exit(3);
		if (number % 20 == 0 && tool_repack(store, "r", 1000 + number, 100, false) != PH_OK)
			_exit(4);
	}
}

/* Whether the state after push number is what the store shows. */
static bool shows(struct ph_store *store, uint32_t number)
{
	char ref[32];
	struct ph_snapshot *snapshot;
	struct ph_test_buf line = {0};
	uint8_t buf[PH_LOG_LINK_BYTES + 64];
	size_t len = sizeof(buf);
	if (number == 0)
		return true;
	snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)(number % 7));
	assert_status(ph_store_snapshot(store, "r", &snapshot), PH_OK);
	uint64_t count = ph_snapshot_log_count(snapshot);
	ph_test_buf_print(&line, "push %u", (unsigned)number);
	bool good = count == number &&
	            ph_snapshot_log_read(snapshot, count - 1, buf, &len) == PH_OK &&
	            len == PH_LOG_LINK_BYTES + line.len &&
	            memcmp(buf + PH_LOG_LINK_BYTES, line.data, line.len) == 0;
	ph_test_buf_release(&line);
	ph_snapshot_release(snapshot);
	return good && (number % 20 == 0 || tool_has(store, "r", ref, number, number % 50 * 700));
}

static void test_kill(void **state)
{
	struct ph_test_rng rng;
	(void)state;
	sim_options(&options);
	ph_test_rng_init(&rng, 4);
	for (uint32_t round = 0; round < 12; round++) {
		int pipes[2];
		uint32_t acked = 0, number;
		struct ph_store *store;
		unlink(path);
		assert_int_equal(pipe(pipes), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			close(pipes[0]);
			victim(pipes[1]);
		}
		close(pipes[1]);
		usleep(2000 + ph_test_rng_below(&rng, 60000));
		kill(child, SIGKILL);
		int status;
		waitpid(child, &status, 0);
		assert_true(WIFSIGNALED(status));
		while (read(pipes[0], &number, sizeof(number)) == sizeof(number))
			acked = number;
		close(pipes[0]);
		assert_status(open_file(&store), PH_OK);
		assert_status(sim_check(store), PH_OK);
		if (acked > 0)
			assert_true(shows(store, acked) || shows(store, acked + 1));
		assert_status(tool_create(store, "after"), PH_OK);
		ph_store_close(store);
	}
	unlink(path);
}

/* ---- the ring ---- */

/* A commit that comes to nothing. */
static void fail_commit(struct ph_store *store)
{
	struct ph_oid old = ph_test_oid_fake(PH_HASH_SHA1, 1);
	struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 2);
	struct ph_txn *txn;
	uint32_t change;
	assert_status(tool_begin(store, "a", &txn), PH_OK);
	assert_status(ph_txn_ref_update(txn, "refs/heads/none", &old, &oid, NULL, &change), PH_OK);
	assert_status(tool_commit(txn, false), PH_ERR_CONFLICT);
	ph_txn_free(txn);
}

/* However many commits fail between two, a torn superblock does not touch the one before. */
static void test_torn_after_failures(void **state)
{
	(void)state;
	sim_options(&options);
	for (uint32_t failures = 30; failures < 33; failures++) {
		struct sim_device *sim = sim_new(2 << 20, 2 << 20), *before;
		struct ph_store *store;
		uint32_t torn = 0;
		assert_status(sim_open(sim, &options, &store), PH_OK);
		assert_status(tool_create(store, "a"), PH_OK);
		assert_status(tool_push(store, "a", "refs/heads/x", 1, 100), PH_OK);
		before = sim_copy(sim);
		for (uint32_t i = 0; i < failures; i++)
			fail_commit(store);
		assert_status(tool_push(store, "a", "refs/heads/x", 2, 100), PH_OK);
		ph_store_close(store);
		for (size_t at = 0; at < 32 * 4096; at += 4096) {
			if (memcmp(sim->data + at, before->data + at, 4096) == 0)
				continue;
			memset(sim->data + at + 512, 0xff, 512);
			torn++;
		}
		assert_int_equal(torn, 1);
		assert_status(sim_open(sim, &options, &store), PH_OK);
		assert_true(tool_has(store, "a", "refs/heads/x", 1, 100));
		assert_status(sim_check(store), PH_OK);
		ph_store_close(store);
		sim_free(before);
		sim_free(sim);
	}
}

/* ---- a read that fails once ---- */

static const struct ph_device_ops *inner_ops;
static uint64_t reads_left;

static enum ph_status read_once_bad(struct ph_device *device, uint64_t offset, void *buf,
                                    size_t len)
{
	if (reads_left > 0 && --reads_left == 0)
		return PH_ERR_IO;
	return inner_ops->read(device, offset, buf, len);
}

/* Without flush opening reads what is late: an error there is an error, not a lost commit. */
static void test_read_error_at_opening(void **state)
{
	struct sim_device *sim = sim_new(2 << 20, 2 << 20);
	struct ph_device_ops ops;
	struct ph_store *store;
	bool whole = false;
	(void)state;
	sim_options(&options);
	sim_no_flush(sim);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(tool_create(store, "a"), PH_OK);
	for (uint32_t i = 1; i < 5; i++)
		assert_status(tool_push(store, "a", "refs/heads/x", i, 40000), PH_OK);
	ph_store_close(store);
	inner_ops = sim->device.ops;
	ops = *inner_ops;
	ops.read = read_once_bad;
	for (uint64_t at = 1; !whole; at++) {
		struct sim_device *copy = sim_copy(sim);
		copy->device.ops = &ops;
		reads_left = at;
		enum ph_status status = ph_store_disk_open(&store, &copy->device, &options);
		whole = reads_left > 0;
		assert_status(status, whole ? PH_OK : PH_ERR_IO);
		if (whole)
			ph_store_close(store);
		sim_free(copy);
	}
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_torn_after_failures),
	        cmocka_unit_test(test_read_error_at_opening),
	        cmocka_unit_test(test_full),
	        cmocka_unit_test(test_full_settings),
	        cmocka_unit_test(test_crumbs),
	        cmocka_unit_test(test_device_errors),
	        cmocka_unit_test(test_memory),
	        cmocka_unit_test(test_changed_bytes),
	        cmocka_unit_test(test_damaged_pack),
	        cmocka_unit_test(test_strangers),
	        cmocka_unit_test(test_file),
	        cmocka_unit_test(test_kill),
	};
	snprintf(folder, sizeof(folder), "/tmp/ph-faults-XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/store", folder);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
