/* SPDX-License-Identifier: MIT */
/*
 * Copies of a store, as a stream. Whatever is pushed, deleted and rewritten between any two reads,
 * the copy opens, passes the check and shows exactly what was there when it began; afterwards the
 * space that it kept from coming back is there. A copy that was cut off does not open; damage is
 * found, with where it is; what is to be left out is nowhere in the bytes.
 */
#include "disk_tools.h"

#undef assert_status
#include "conformance_int.h"

#include <stdlib.h>

#define ROOM ((uint64_t)64 << 20)
#define RING_BYTES ((uint64_t)32 * 4096)
#define SECRET "a host key that nobody may see"

static struct ph_store_disk_options options;

struct source {
	struct sim_device *device;
	struct ph_store *store;
};

static void open_source(struct source *source, bool flushes)
{
	source->device = sim_new(1 << 20, ROOM);
	if (!flushes)
		sim_no_flush(source->device);
	assert_status(sim_open(source->device, &options, &source->store), PH_OK);
}

static void close_source(struct source *source)
{
	assert_status(sim_check(source->store), PH_OK);
	ph_store_close(source->store);
	sim_free(source->device);
}

/* ---- what there is to copy ---- */

/* Very many refs and large settings, in a repository of the other format. */
static void add_large(struct ph_store *store)
{
	struct ph_txn *txn;
	struct ph_oid oid[64];
	char name[200];
	uint8_t *large = calloc(1, PH_SETTING_BYTES_MAX);
	assert_non_null(large);
	assert_status(ph_store_create(store, "large", PH_HASH_SHA256, &txn), PH_OK);
	for (uint32_t i = 0; i < 64; i++)
		oid[i] = ph_test_oid_fake(PH_HASH_SHA256, (uint8_t)(i + 1));
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t change;
		/* Long names, so that the tree is high. */
		snprintf(name, sizeof(name), "refs/heads/%0*u", i % 7 == 0 ? 150 : 5, (unsigned)i);
		assert_status(ph_txn_ref_update(txn, name, NULL, &oid[i % 64], NULL, &change),
		              PH_OK);
	}
	memset(large, 'x', PH_SETTING_BYTES_MAX);
	assert_status(ph_txn_set_shallow(txn, oid, 64), PH_OK);
	assert_status(ph_txn_set_setting(txn, "large", large, PH_SETTING_BYTES_MAX), PH_OK);
	assert_status(ph_txn_log(txn, large, 4000), PH_OK);
	assert_status(tool_commit(txn, false), PH_OK);
	ph_txn_free(txn);
	assert_status(ph_store_setting_set(store, "large", large, 5000), PH_OK);
	free(large);
}

static void fill(struct ph_store *store)
{
	char ref[64];
	assert_status(ph_store_setting_set(store, "host-key", SECRET, sizeof(SECRET)), PH_OK);
	assert_status(tool_create(store, "a"), PH_OK);
	assert_status(tool_create(store, "b"), PH_OK);
	assert_status(tool_create(store, "empty"), PH_OK);
	for (uint32_t i = 1; i <= 12; i++) {
		snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)i);
		assert_status(tool_push(store, i % 2 ? "a" : "b", ref, i, 700 * i * i), PH_OK);
	}
	/* Checksums on pages, of more than one step. */
	assert_status(tool_push(store, "b", "refs/heads/long", 77, 700000), PH_OK);
	assert_status(tool_set(store, "b", "refs/heads/2", 0), PH_OK);
	add_large(store);
}

/* ---- copying ---- */

struct copying {
	struct ph_copy_options options;
	struct ph_copy *copy;
	struct ph_test_buf bytes;
	struct ph_test_buf said;
	struct ph_test_rng rng;
	size_t piece; /* of a read; 0: any */
};

static void report(void *user, const char *line)
{
	struct copying *copying = user;
	ph_test_buf_print(&copying->said, "%s\n", line);
}

static enum ph_status try_begin(struct copying *copying, struct ph_store *store)
{
	copying->options.user = copying;
	copying->options.report = report;
	ph_test_rng_init(&copying->rng, 5);
	return ph_store_copy(store, &copying->options, &copying->copy);
}

static void begin(struct copying *copying, struct ph_store *store)
{
	assert_status(try_begin(copying, store), PH_OK);
}

/* One read. */
static enum ph_status go_on(struct copying *copying)
{
	uint8_t *buf = malloc(100000);
	size_t len = 0;
	size_t room =
	        copying->piece ? copying->piece : 1 + ph_test_rng_below(&copying->rng, 100000);
	assert_non_null(buf);
	enum ph_status status = ph_copy_read(copying->copy, buf, room, &len);
	assert_true(len <= room);
	if (status == PH_OK)
		ph_test_buf_append(&copying->bytes, buf, len);
	assert_int_equal(copying->copy->done, copying->bytes.len);
	free(buf);
	return status;
}

static enum ph_status copy_all(struct copying *copying, struct ph_store *store)
{
	enum ph_status status = try_begin(copying, store);
	while (status == PH_OK)
		status = go_on(copying);
	if (status == PH_END)
		assert_int_equal(copying->copy->bytes, copying->bytes.len);
	return status;
}

static void end(struct copying *copying)
{
	ph_copy_free(copying->copy);
	ph_test_buf_release(&copying->bytes);
	ph_test_buf_release(&copying->said);
}

static struct sim_device *device_of(const struct ph_test_buf *bytes, size_t len)
{
	struct sim_device *device = sim_new(len, ROOM);
	if (len)
		assert_status(device->device.ops->write(&device->device, 0, bytes->data, len),
		              PH_OK);
	return device;
}

static void expect_same(const struct ph_test_buf *was, struct ph_store *store)
{
	struct ph_test_buf now = {0};
	ph__conf_dump(store, &now);
	if (was->len != now.len || memcmp(was->data, now.data, now.len) != 0)
		fail_msg("was:\n%.1500s\nis:\n%.1500s\n", (const char *)was->data,
		         (const char *)now.data);
	ph_test_buf_release(&now);
}

/* The copy opens, is clean, shows this, and can be pushed to, once more after opening again. */
static void expect_copy(const struct ph_test_buf *bytes, const struct ph_test_buf *was)
{
	struct sim_device *device = device_of(bytes, bytes->len);
	struct ph_store *store;
	struct ph_store_disk_info info;
	assert_status(ph_store_disk_open(&store, &device->device, &options), PH_OK);
	ph_store_disk_info(store, &info);
	assert_false(info.read_only);
	assert_int_equal(info.bytes, bytes->len);
	assert_status(sim_check(store), PH_OK);
	expect_same(was, store);
	for (uint32_t i = 0; i < 2; i++) {
		assert_status(tool_create(store, i ? "new one" : "new"), PH_OK);
		assert_status(
		        tool_push(store, "new", i ? "refs/heads/a" : "refs/heads/b", i + 1, 90000),
		        PH_OK);
		ph_store_close(store);
		device->open = true;
		assert_status(ph_store_disk_open(&store, &device->device, &options), PH_OK);
		assert_status(sim_check(store), PH_OK);
		assert_true(
		        tool_has(store, "new", i ? "refs/heads/a" : "refs/heads/b", i + 1, 90000));
	}
	ph_store_close(store);
	sim_free(device);
}

static uint64_t used_bytes(struct ph_store *store)
{
	struct ph_store_disk_info info;
	ph_store_disk_info(store, &info);
	return info.bytes - info.free_bytes;
}

/* ---- tests ---- */

static void copies(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		struct source source;
		struct copying copying = {0};
		struct ph_test_buf was = {0};
		open_source(&source, i % 2 == 0);
		if (i >= 2)
			fill(source.store);
		ph__conf_dump(source.store, &was);
		assert_status(copy_all(&copying, source.store), PH_END);
		expect_copy(&copying.bytes, &was);
		/* It is no larger than what is in use, and the least that a store is. */
		if (i < 2)
			assert_int_equal(copying.bytes.len, 1 << 20);
		else
			assert_true(copying.bytes.len <= used_bytes(source.store));
		assert_int_equal(copying.copy->damaged, 0);
		end(&copying);
		ph_test_buf_release(&was);
		close_source(&source);
	}
}

static void copies_of_copies(void **state)
{
	struct source source;
	struct copying first = {0}, second = {.piece = 4093};
	struct ph_test_buf was = {0};
	struct ph_store *store;
	(void)state;
	open_source(&source, true);
	fill(source.store);
	ph__conf_dump(source.store, &was);
	assert_status(copy_all(&first, source.store), PH_END);
	struct sim_device *device = device_of(&first.bytes, first.bytes.len);
	/* On a device that cannot flush, old enough that nothing need be read. */
	sim_no_flush(device);
	assert_status(ph_store_disk_open(&store, &device->device, &options), PH_OK);
	assert_true(device->reads < 8);
	assert_status(copy_all(&second, store), PH_END);
	assert_int_equal(second.bytes.len, first.bytes.len);
	expect_copy(&second.bytes, &was);
	end(&second);
	ph_store_close(store);
	sim_free(device);
	end(&first);
	ph_test_buf_release(&was);
	close_source(&source);
}

/* The same bytes in whatever pieces. */
static void pieces(void **state)
{
	static const size_t sizes[] = {1, 511, 65536, 100000};
	struct source source;
	struct copying whole = {0};
	(void)state;
	open_source(&source, true);
	assert_status(tool_create(source.store, "a"), PH_OK);
	assert_status(tool_push(source.store, "a", "refs/heads/x", 1, 80000), PH_OK);
	assert_status(copy_all(&whole, source.store), PH_END);
	for (size_t i = 0; i < 4; i++) {
		struct copying copying = {.piece = sizes[i]};
		assert_status(copy_all(&copying, source.store), PH_END);
		assert_int_equal(copying.bytes.len, whole.bytes.len);
		assert_memory_equal(copying.bytes.data, whole.bytes.data, whole.bytes.len);
		end(&copying);
	}
	end(&whole);
	close_source(&source);
}

/* Changes of all kinds, one after the other. */
static void churn(struct ph_store *store, uint32_t round)
{
	static const char *const repos[] = {"a", "b", "c"};
	const char *repo = repos[round / 8 % 3];
	char ref[64];
	enum ph_status status;
	snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)(round % 13));
	switch (round % 8) {
	case 0:
		status = tool_create(store, repo);
		assert_true(status == PH_OK || status == PH_ERR_EXISTS);
		break;
	case 1:
	case 2:
	case 3:
		assert_status(tool_push(store, repo, ref, 100 + round, 400 * (round % 97)), PH_OK);
		break;
	case 4:
		assert_status(tool_repack(store, repo, 5000 + round, 30000, true), PH_OK);
		break;
	case 5:
		assert_status(tool_set(store, repo, ref, 0), PH_OK);
		break;
	case 6:
		assert_status(ph_store_setting_set(store, "host-key", &round, 4), PH_OK);
		break;
	default:
		if (round % 3 == 0)
			assert_status(tool_delete_repo(store, repo), PH_OK);
		break;
	}
}

static uint64_t free_bytes(struct ph_store *store)
{
	struct ph_store_disk_info info;
	ph_store_disk_info(store, &info);
	return info.free_bytes;
}

/* Nothing is held any more that would not be after opening again. */
static void expect_nothing_held(struct source *source)
{
	uint64_t before = free_bytes(source->store);
	ph_store_close(source->store);
	source->device->open = true;
	assert_status(ph_store_disk_open(&source->store, &source->device->device, &options), PH_OK);
	assert_int_equal(free_bytes(source->store), before);
}

static void meanwhile(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8; i++) {
		struct source source;
		struct copying copying = {.piece = 9000 + 1000 * i};
		struct ph_test_buf was = {0};
		uint32_t round = 0;
		enum ph_status status;
		open_source(&source, i % 2 == 0);
		fill(source.store);
		for (; round < 24 * i; round++)
			churn(source.store, round);
		ph__conf_dump(source.store, &was);
		begin(&copying, source.store);
		while ((status = go_on(&copying)) == PH_OK)
			churn(source.store, round++);
		assert_status(status, PH_END);
		assert_status(sim_check(source.store), PH_OK);
		expect_copy(&copying.bytes, &was);
		end(&copying);
		if (i % 2 == 0)
			expect_nothing_held(&source);
		ph_test_buf_release(&was);
		close_source(&source);
	}
}

/* Two at a time, of different epochs; the one that began first ends first, or last. */
static void overlapping(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct source source;
		struct copying copying[2] = {{.piece = 20000}, {.piece = 30000}};
		struct ph_test_buf was[2] = {{0}, {0}};
		uint32_t round = 0;
		open_source(&source, true);
		fill(source.store);
		for (uint32_t k = 0; k < 2; k++) {
			ph__conf_dump(source.store, &was[k]);
			begin(&copying[k], source.store);
			for (uint32_t n = 0; n < 30; n++) {
				churn(source.store, round++);
				assert_status(go_on(&copying[k]), PH_OK);
			}
		}
		for (uint32_t k = 0; k < 2; k++) {
			uint32_t number = (k + i) % 2;
			enum ph_status status;
			while ((status = go_on(&copying[number])) == PH_OK)
				churn(source.store, round++);
			assert_status(status, PH_END);
			expect_copy(&copying[number].bytes, &was[number]);
			end(&copying[number]);
			ph_test_buf_release(&was[number]);
		}
		expect_nothing_held(&source);
		close_source(&source);
	}
}

/* A copy that nobody reads holds what its epoch has and no more, however long it lasts. */
static void a_pin_is_bounded(void **state)
{
	struct source source;
	struct copying copying = {0};
	uint64_t used[2];
	(void)state;
	open_source(&source, true);
	fill(source.store);
	for (uint32_t i = 0; i < 2; i++) {
		if (i == 1)
			begin(&copying, source.store);
		for (uint32_t round = 0; round < 800; round++)
			churn(source.store, round);
		used[i] = used_bytes(source.store);
	}
	/* What was there before, twice at most, and what the map needs. */
	assert_true(used[1] < 2 * used[0] + (1 << 20));
	end(&copying);
	expect_nothing_held(&source);
	close_source(&source);
}

/* ---- what is left out ---- */

static enum ph_status without_key(void *user, const char *repo, const char *key, void *data,
                                  size_t *len)
{
	(void)user;
	if (*repo == '\0' && strcmp(key, "host-key") == 0)
		return PH_ERR_NOT_FOUND;
	if (strcmp(repo, "large") == 0 && strcmp(key, "large") == 0) {
		assert_int_equal(*len, PH_SETTING_BYTES_MAX);
		memcpy(data, "short", 5);
		*len = 5;
	}
	return PH_OK;
}

static bool is_in(const struct ph_test_buf *bytes, const char *text)
{
	size_t len = strlen(text);
	for (size_t at = 0; at + len <= bytes->len; at++)
		if (bytes->data[at] == (uint8_t)text[0] && memcmp(bytes->data + at, text, len) == 0)
			return true;
	return false;
}

static void secrets(void **state)
{
	struct source source;
	struct copying with = {0}, without = {0};
	struct ph_store *store;
	struct ph_snapshot *snapshot;
	char buf[100];
	size_t len = sizeof(buf);
	(void)state;
	open_source(&source, true);
	fill(source.store);
	assert_status(copy_all(&with, source.store), PH_END);
	assert_true(is_in(&with.bytes, SECRET));
	without.options.setting = without_key;
	assert_status(copy_all(&without, source.store), PH_END);
	assert_false(is_in(&without.bytes, SECRET));
	struct sim_device *device = device_of(&without.bytes, without.bytes.len);
	assert_status(ph_store_disk_open(&store, &device->device, &options), PH_OK);
	assert_status(sim_check(store), PH_OK);
	assert_status(ph_store_setting_get(store, "host-key", buf, &len), PH_ERR_NOT_FOUND);
	assert_status(ph_store_snapshot(store, "large", &snapshot), PH_OK);
	len = sizeof(buf);
	assert_status(ph_snapshot_setting(snapshot, "large", buf, &len), PH_OK);
	assert_int_equal(len, 5);
	assert_memory_equal(buf, "short", 5);
	ph_snapshot_release(snapshot);
	ph_store_close(store);
	sim_free(device);
	end(&with);
	end(&without);
	close_source(&source);
}

/* ---- what goes wrong ---- */

static void cut_off(void **state)
{
	struct source source;
	struct copying copying = {0};
	(void)state;
	open_source(&source, true);
	fill(source.store);
	assert_status(copy_all(&copying, source.store), PH_END);
	for (size_t len = 0; len < copying.bytes.len; len += len < 200000 ? 4096 : 40960) {
		struct sim_device *device = device_of(&copying.bytes, len);
		struct ph_store *store;
		enum ph_status status = ph_store_disk_open(&store, &device->device, &options);
		if (status == PH_OK)
			fail_msg("%u of %u bytes open", (unsigned)len, (unsigned)copying.bytes.len);
		sim_free(device);
	}
	end(&copying);
	close_source(&source);
}

static void out_of_memory(void **state)
{
	struct source source;
	struct ph_test_alloc memory;
	struct ph_test_buf was = {0};
	struct ph_store_disk_options mine;
	bool failed = true;
	(void)state;
	open_source(&source, true);
	fill(source.store);
	ph__conf_dump(source.store, &was);
	ph_store_close(source.store);
	mine = options;
	ph_test_alloc_init(&memory);
	mine.alloc = &memory.alloc;
	for (uint64_t i = 1; failed; i = i < 40 ? i + 1 : i + 37) {
		struct copying copying = {.piece = 100000};
		enum ph_status status;
		source.device->open = true;
		assert_status(ph_store_disk_open(&source.store, &source.device->device, &mine),
		              PH_OK);
		int64_t live = memory.live;
		memory.fail_at = memory.calls + i;
		copying.options.keep_going = true;
		status = copy_all(&copying, source.store);
		failed = status == PH_ERR_NOMEM;
		if (!failed) {
			assert_status(status, PH_END);
			expect_copy(&copying.bytes, &was);
		}
		memory.fail_at = 0;
		end(&copying);
		/* What is left is what the cache keeps. */
		assert_true(memory.live >= live);
		assert_status(sim_check(source.store), PH_OK);
		ph_store_close(source.store);
		assert_int_equal(memory.live, 0);
	}
	ph_test_buf_release(&was);
	sim_free(source.device);
}

/* However large the packs are. */
static void memory_is_bounded(void **state)
{
	struct source source;
	struct ph_test_alloc memory;
	struct ph_store_disk_options mine;
	struct copying copying = {.piece = 65536};
	(void)state;
	open_source(&source, true);
	assert_status(tool_create(source.store, "a"), PH_OK);
	assert_status(tool_push(source.store, "a", "refs/heads/x", 1, 20 << 20), PH_OK);
	ph_store_close(source.store);
	mine = options;
	ph_test_alloc_init(&memory);
	mine.alloc = &memory.alloc;
	mine.cache_bytes = 256 << 10;
	source.device->open = true;
	assert_status(ph_store_disk_open(&source.store, &source.device->device, &mine), PH_OK);
	int64_t live = memory.live_bytes;
	memory.peak_bytes = live;
	assert_status(copy_all(&copying, source.store), PH_END);
	assert_true(memory.peak_bytes - live < 1 << 20);
	end(&copying);
	close_source(&source);
}

static void reads_fail(void **state)
{
	struct source source;
	(void)state;
	open_source(&source, true);
	fill(source.store);
	for (uint64_t i = 1;; i += i < 20 ? 1 : 9) {
		struct copying copying = {.piece = 100000};
		source.device->fail_ops = SIM_READ;
		source.device->fail_count = 0;
		source.device->fail_at = i;
		enum ph_status status = copy_all(&copying, source.store);
		source.device->fail_ops = 0;
		bool through = status == PH_END;
		if (!through)
			assert_status(status, PH_ERR_IO);
		end(&copying);
		assert_status(tool_push(source.store, "a", "refs/heads/x", (uint32_t)i, 10), PH_OK);
		if (through)
			break;
	}
	close_source(&source);
}

/* Flips a bit of the block that holds these bytes. */
static void damage(struct sim_device *device, const void *what, size_t len)
{
	for (size_t at = 0; at + len <= device->device.bytes; at++) {
		if (memcmp(device->data + at, what, len) == 0) {
			device->data[at] ^= 4;
			return;
		}
	}
	fail_msg("not there");
}

static void count_lines(void *user, const char *line)
{
	(void)line;
	++*(uint32_t *)user;
}

static void rot(struct source *source, bool keep_going, const char *what, bool is_left_out)
{
	struct copying copying = {.options.keep_going = keep_going};
	enum ph_status status = copy_all(&copying, source->store);
	ph_test_buf_append(&copying.said, "", 1);
	if (!strstr((const char *)copying.said.data, what))
		fail_msg("%s says nothing of %s", (const char *)copying.said.data, what);
	assert_int_equal(copying.copy->damaged, 1);
	assert_status(status, keep_going ? PH_END : PH_ERR_CORRUPT);
	if (keep_going) {
		struct sim_device *device = device_of(&copying.bytes, copying.bytes.len);
		struct ph_store *store;
		struct ph_snapshot *snapshot;
		uint32_t lines = 0;
		assert_status(ph_store_disk_open(&store, &device->device, &options), PH_OK);
		/* Either it is not there, or the damage is. */
		assert_status(ph_store_disk_check(store, &lines, count_lines),
		              is_left_out ? PH_OK : PH_ERR_CORRUPT);
		assert_int_equal(lines, is_left_out ? 0 : 1);
		assert_true(tool_has(store, "a", "refs/heads/11", 11, 700 * 11 * 11));
		status = ph_store_snapshot(store, "large", &snapshot);
		assert_status(status, is_left_out ? PH_ERR_NOT_FOUND : PH_OK);
		if (status == PH_OK)
			ph_snapshot_release(snapshot);
		ph_store_close(store);
		sim_free(device);
	}
	end(&copying);
}

static void damaged(void **state)
{
	struct source source;
	struct ph_test_rng rng;
	uint8_t data[64];
	(void)state;
	open_source(&source, true);
	fill(source.store);
	ph_store_close(source.store);
	/* Random bytes are stored as they are: the beginning of the blob of number 77. */
	ph_test_rng_init(&rng, 77);
	ph_test_rng_fill(&rng, data, sizeof(data));
	damage(source.device, data, sizeof(data));
	for (uint32_t i = 0; i < 2; i++) {
		source.device->open = true;
		assert_status(ph_store_disk_open(&source.store, &source.device->device, &options),
		              PH_OK);
		rot(&source, i == 1, "repository b: pack", false);
		ph_store_close(source.store);
	}
	sim_free(source.device);
}

static void left_out(void **state)
{
	struct source source;
	(void)state;
	open_source(&source, true);
	fill(source.store);
	ph_store_close(source.store);
	damage(source.device, "refs/heads/00017", 16);
	for (uint32_t i = 0; i < 2; i++) {
		source.device->open = true;
		assert_status(ph_store_disk_open(&source.store, &source.device->device, &options),
		              PH_OK);
		rot(&source, i == 1, "repository large: its tree", true);
		ph_store_close(source.store);
	}
	sim_free(source.device);
}

/* What a flipped bit of a block makes of a copy that keeps going; true: it said this. */
static bool rot_block(struct source *source, uint64_t at, const struct ph_test_buf *whole,
                      const char *what)
{
	struct copying copying = {.options.keep_going = true};
	bool said = false;
	source->device->data[at] ^= 1;
	source->device->open = true;
	if (ph_store_disk_open(&source->store, &source->device->device, &options) == PH_OK) {
		enum ph_status status = copy_all(&copying, source->store);
		ph_test_buf_append(&copying.said, "", 1);
		said = strstr((const char *)copying.said.data, what) != NULL;
		/* Nothing is left out without a word. */
		if (status == PH_END && copying.copy->damaged == 0) {
			assert_int_equal(copying.bytes.len, whole->len);
			assert_memory_equal(copying.bytes.data, whole->data, whole->len);
		} else if (copying.copy && copying.copy->damaged == 0) {
			fail_msg("byte %u: %s without a finding", (unsigned)at,
			         ph_status_name(status));
		}
		/* Which repositories follow is not known; a setting is one of many things. */
		if (said)
			assert_status(status, *what == 's' ? PH_END : PH_ERR_CORRUPT);
		end(&copying);
		ph_store_close(source->store);
	}
	source->device->data[at] ^= 1;
	return said;
}

/* Damage of what belongs to no repository: the catalogue's leaves, a long setting of the store. */
static void damaged_outside(void **state)
{
	struct source source;
	struct copying whole = {0};
	uint8_t large[5000] = {1, 2, 3};
	char name[32];
	uint32_t leaves = 0, values = 0;
	(void)state;
	open_source(&source, true);
	for (uint32_t i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "repository-%u", (unsigned)i);
		assert_status(tool_create(source.store, name), PH_OK);
	}
	assert_status(ph_store_setting_set(source.store, "large", large, sizeof(large)), PH_OK);
	assert_status(copy_all(&whole, source.store), PH_END);
	ph_copy_free(whole.copy);
	whole.copy = NULL;
	ph_store_close(source.store);
	for (uint64_t at = RING_BYTES + 100; at < source.device->device.bytes; at += 4096) {
		leaves += rot_block(&source, at, &whole.bytes, "the catalogue of repositories");
		values += rot_block(&source, at, &whole.bytes, "setting large");
	}
	assert_true(leaves >= 2);
	assert_int_equal(values, 2);
	end(&whole);
	sim_free(source.device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(copies),        cmocka_unit_test(copies_of_copies),
	        cmocka_unit_test(pieces),        cmocka_unit_test(meanwhile),
	        cmocka_unit_test(overlapping),   cmocka_unit_test(a_pin_is_bounded),
	        cmocka_unit_test(secrets),       cmocka_unit_test(cut_off),
	        cmocka_unit_test(out_of_memory), cmocka_unit_test(memory_is_bounded),
	        cmocka_unit_test(reads_fail),    cmocka_unit_test(damaged),
	        cmocka_unit_test(left_out),      cmocka_unit_test(damaged_outside),
	};
	sim_options(&options);
	return cmocka_run_group_tests_name("copies of a store", tests, NULL, NULL);
}
