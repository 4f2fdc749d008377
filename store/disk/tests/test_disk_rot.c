/* SPDX-License-Identifier: MIT */
/*
 * Rot: bits that flip on the medium are found by the check, with the repository and the objects
 * they hit, and cost no other repository; one that cannot be opened any more can be deleted.
 */
#include "disk_tools.h"

#include "disk_int.h"

#include <packhorse/reader.h>
#include <packhorse/scrub.h>

#define REPOS 3u
#define BLOBS 40u

static struct ph_store_disk_options options;
static const char *const names[REPOS] = {"alpha", "beta", "gamma"};

/* ---- an image with three repositories ---- */

static void fill(struct ph_txn *txn, uint32_t pack, uint32_t section,
                 const struct ph_test_buf *data)
{
	struct ph_sink *sink;
	assert_status(ph_txn_sink(txn, pack, section, &sink), PH_OK);
	assert_status(sink->ops->append(sink, data->data, data->len), PH_OK);
}

/* Random blobs, and deltas on the first of them and on each other. */
static void make_pack(struct ph_test_pack *pack, uint32_t seed, uint32_t bytes)
{
	struct ph_test_rng rng;
	uint8_t *data = malloc(bytes);
	assert_non_null(data);
	ph_test_rng_init(&rng, seed);
	ph_test_pack_init(pack, PH_HASH_SHA1);
	for (uint32_t i = 0; i < BLOBS; i++) {
		ph_test_rng_fill(&rng, data, bytes);
		ph_test_pack_add(pack, PH_OBJ_BLOB, data, bytes);
	}
	data[0] ^= 1;
	uint32_t first = ph_test_pack_add_ofs(pack, BLOBS - 1, data, bytes);
	data[1] ^= 1;
	(void)ph_test_pack_add_ofs(pack, first, data, bytes);
	free(data);
}

static void push(struct ph_store *store, const char *name, uint32_t seed, uint32_t bytes,
                 uint32_t refs)
{
	struct ph_test_pack pack;
	struct ph_test_buf index = {0};
	struct ph_txn *txn;
	uint32_t handle, change;
	char ref[64];
	uint8_t large[3000] = {1};
	make_pack(&pack, seed, bytes);
	ph_test_pack_index(&pack, &index);
	assert_status(tool_begin(store, name, &txn), PH_OK);
	assert_status(ph_txn_pack_begin(txn, &handle), PH_OK);
	fill(txn, handle, PH_SECTION_RUN, &pack.run);
	fill(txn, handle, PH_SECTION_INDEX, &index);
	assert_status(ph_txn_pack_end(txn, handle), PH_OK);
	for (uint32_t i = 0; i < refs; i++) {
		snprintf(ref, sizeof(ref), "refs/heads/%u-%u", (unsigned)seed, (unsigned)i);
		assert_status(ph_txn_ref_update(txn, ref, NULL, &pack.entries[i % BLOBS].oid, NULL,
		                                &change),
		              PH_OK);
	}
	assert_status(ph_txn_set_setting(txn, "large", large, sizeof(large)), PH_OK);
	assert_status(ph_txn_log(txn, "pushed", 6), PH_OK);
	assert_status(tool_commit(txn, false), PH_OK);
	ph_txn_free(txn);
	ph_test_buf_release(&index);
	ph_test_pack_release(&pack);
}

static struct sim_device *make_image(uint32_t bytes, uint32_t refs)
{
	struct sim_device *sim = sim_new(1 << 20, 16 << 20);
	struct ph_store *store;
	sim_options(&options);
	options.cache_bytes = 64 << 10;
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(ph_store_setting_set(store, "host-key", "secret", 6), PH_OK);
	for (uint32_t i = 0; i < REPOS; i++) {
		assert_status(tool_create(store, names[i]), PH_OK);
		push(store, names[i], 100 + i, bytes, refs);
	}
	ph_store_close(store);
	return sim;
}

/* ---- what a check tells ---- */

struct told {
	uint32_t findings, store, others;
	const char *hit;                 /* findings of any other repository are others */
	char repo[PH_REPO_NAME_MAX + 1]; /* of the last one that has any */
	char line[PH_FINDING_LINE_MAX];
};

static void on_found(void *user, const struct ph_finding *finding)
{
	struct told *told = user;
	told->findings++;
	told->store += finding->repo[0] == '\0';
	told->others +=
	        finding->repo[0] != '\0' && (!told->hit || strcmp(finding->repo, told->hit) != 0);
	if (finding->repo[0])
		snprintf(told->repo, sizeof(told->repo), "%s", finding->repo);
	ph_finding_line(finding, told->line, sizeof(told->line));
}

static enum ph_status scrub(struct ph_store *store, struct told *told, bool exclusive,
                            uint64_t bytes)
{
	struct ph_scrub_options wish = {told, on_found, exclusive, NULL};
	struct ph_scrub *at;
	enum ph_status status;
	assert_status(ph_store_scrub(store, &wish, &at), PH_OK);
	do
		status = ph_scrub_step(at, bytes);
	while (status == PH_AGAIN);
	ph_scrub_free(at);
	return status;
}

/* Reads refs and all objects; the first error. */
static enum ph_status read_repo(struct ph_store *store, const char *name)
{
	struct ph_snapshot *snapshot;
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	struct ph_reader *reader;
	enum ph_status status = ph_store_snapshot(store, name, &snapshot);
	if (status != PH_OK)
		return status;
	status = ph_snapshot_refs(snapshot, "", &iter);
	if (status == PH_OK) {
		while ((status = ph_ref_iter_next(iter, &ref)) == PH_OK)
			;
		status = status == PH_END ? PH_OK : status;
		ph_ref_iter_free(iter);
	}
	const struct ph_source *source = ph_snapshot_source(snapshot);
	assert_status(ph_reader_new(&reader, source, options.alloc, options.limits), PH_OK);
	for (uint32_t pack = 0; pack < source->ops->packs(source) && status == PH_OK; pack++) {
		uint32_t entries;
		uint64_t bytes;
		source->ops->pack_size(source, pack, &entries, &bytes);
		for (uint32_t pos = 0; pos < entries && status == PH_OK; pos++) {
			struct ph_entry entry;
			struct ph_object object;
			struct ph_oid oid;
			struct ph_loc loc = {pack, pos};
			status = source->ops->entry(source, loc, &entry);
			if (status == PH_OK)
				status = ph_reader_read(reader, loc, UINT64_MAX, &object);
			if (status != PH_OK)
				break;
			ph_hash_object(&oid, PH_HASH_SHA1, object.type, object.data,
			               (size_t)object.size);
			assert_true(ph_oid_equal(&oid, &entry.oid));
			ph_object_release(reader, &object);
		}
	}
	ph_reader_free(reader);
	ph_snapshot_release(snapshot);
	return status;
}

/* ---- tests ---- */

/* Steps of any size find the same, and a clean image is clean. */
static void test_steps(void **state)
{
	struct sim_device *sim = make_image(900, 150);
	struct ph_store *store;
	struct told told = {0};
	(void)state;
	assert_status(sim_open(sim, &options, &store), PH_OK);
	for (uint64_t bytes = 1; bytes < 1 << 22; bytes *= 16) {
		assert_status(scrub(store, &told, true, bytes), PH_OK);
		assert_status(scrub(store, &told, false, bytes), PH_OK);
	}
	assert_int_equal(told.findings, 0);
	ph_store_close(store);
	sim_free(sim);
}

/* Commits between all steps: nothing that is whole is told of, and the check comes to its end. */
static void test_commits_meanwhile(void **state)
{
	struct sim_device *sim = make_image(900, 150);
	struct ph_store *store;
	struct told told = {0};
	struct ph_scrub_options wish = {&told, on_found, false, NULL};
	struct ph_scrub_progress progress;
	struct ph_scrub *at;
	enum ph_status status;
	uint32_t steps = 0;
	(void)state;
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(ph_store_scrub(store, &wish, &at), PH_OK);
	while ((status = ph_scrub_step(at, 5000)) == PH_AGAIN && ++steps < 5000) {
		const char *name = names[steps % REPOS];
		assert_status(tool_push(store, name, "refs/heads/busy", steps, 3000), PH_OK);
		if (steps % 7 == 0)
			assert_status(tool_repack(store, name, steps, 20000, false), PH_OK);
		if (steps % 50 == 0) {
			assert_status(tool_delete_repo(store, name), PH_OK);
			assert_status(tool_create(store, name), PH_OK);
		}
	}
	assert_status(status, PH_OK);
	ph_scrub_progress(at, &progress);
	print_message("%u steps, %u repositories\n", (unsigned)steps, (unsigned)progress.repos);
	assert_int_equal(progress.repos, REPOS);
	assert_int_equal(told.findings, 0);
	ph_scrub_free(at);
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(sim);
}

/* Where bytes of a run lie on the medium. */
static uint64_t find_bytes(const struct sim_device *sim, const uint8_t *needle, size_t len)
{
	for (uint64_t at = 0; at + len <= sim->device.bytes; at++)
		if (memcmp(sim->data + at, needle, len) == 0)
			return at;
	fail_msg("not there");
	return 0;
}

/* Objects in a damaged chunk are named, deltas on them counted, others left alone. */
static void test_objects(void **state)
{
	struct sim_device *sim = make_image(9000, 5);
	struct ph_store *store;
	struct ph_test_pack pack;
	struct told told = {.hit = "beta"};
	(void)state;
	make_pack(&pack, 101, 9000);
	/* The last whole blob, on which the first delta is. */
	const struct ph_test_entry *entry = &pack.entries[BLOBS - 1];
	uint64_t at = find_bytes(sim, pack.run.data + entry->offset + 100, 32);
	sim->data[at] ^= 4;
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(scrub(store, &told, false, 4096), PH_ERR_CORRUPT);
	print_message("%s\n", told.line);
	assert_int_equal(told.store + told.others, 0);
	assert_true(told.findings >= 1);
	bool named = strstr(told.line, "repository beta: pack 1") != NULL;
	assert_true(named);
	assert_status(read_repo(store, "alpha"), PH_OK);
	assert_status(read_repo(store, "beta"), PH_ERR_CORRUPT);
	/* It can be pushed to, as long as the objects are not needed, and be deleted. */
	assert_status(tool_push(store, "beta", "refs/heads/new", 7, 2000), PH_OK);
	assert_status(tool_delete_repo(store, "beta"), PH_OK);
	assert_status(sim_check(store), PH_OK);
	ph_test_pack_release(&pack);
	ph_store_close(store);
	sim_free(sim);
}

/* ---- blocks that cannot be read ---- */

static const struct ph_device_ops *inner_ops;
static uint64_t bad_block;

static enum ph_status read_but_one(struct ph_device *device, uint64_t offset, void *buf, size_t len)
{
	uint64_t bad = bad_block * PH__BLOCK;
	if (offset < bad + PH__BLOCK && bad < offset + len)
		return PH_ERR_IO;
	return inner_ops->read(device, offset, buf, len);
}

/* A pack whose index cannot be read is told of, and the check goes on to the next repository. */
static void test_unreadable_index(void **state)
{
	struct sim_device *sim = make_image(9000, 5);
	struct ph_device_ops ops = *sim->device.ops;
	struct ph_store *store;
	struct ph_snapshot *snapshot;
	struct ph_test_pack pack;
	struct told told = {.hit = "alpha"};
	(void)state;
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(ph_store_snapshot(store, "alpha", &snapshot), PH_OK);
	const struct ph__pack *alpha = ((const struct ph__state *)snapshot)->packs[0];
	bad_block = alpha->sections[PH_SECTION_INDEX]->pieces[0].start;
	ph_snapshot_release(snapshot);
	ph_store_close(store);
	make_pack(&pack, 101, 9000);
	sim->data[find_bytes(sim, pack.run.data + pack.entries[3].offset + 100, 32)] ^= 4;
	inner_ops = sim->device.ops;
	ops.read = read_but_one;
	sim->device.ops = &ops;
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(scrub(store, &told, false, 4096), PH_ERR_CORRUPT);
	print_message("%s\n", told.line);
	assert_int_equal(told.store, 0);
	assert_true(told.findings > told.others);
	assert_int_equal(told.others, 1);
	assert_string_equal(told.repo, "beta");
	ph_test_pack_release(&pack);
	ph_store_close(store);
	sim_free(sim);
}

struct count {
	uint32_t found, ignored, read_only, deleted, older;
};

/* What others do as before: they are listed, read and pushed to. */
static void use_others(struct ph_store *store, const char *hit)
{
	char name[PH_REPO_NAME_MAX + 1] = "";
	uint32_t listed = 0;
	while (ph_store_next_repo(store, name, name) == PH_OK)
		listed++;
	assert_int_equal(listed, REPOS);
	for (uint32_t i = 0; i < REPOS; i++) {
		if (strcmp(names[i], hit) == 0)
			continue;
		assert_status(read_repo(store, names[i]), PH_OK);
		assert_status(tool_push(store, names[i], "refs/heads/after", 9, 500), PH_OK);
	}
}

/* Whatever is damaged can be deleted, by its name if need be, and its name used again. */
static void delete_hit(struct ph_store *store, const char *hit, struct count *count)
{
	struct ph_txn *txn;
	enum ph_status status = tool_delete_repo(store, hit);
	if (status == PH_ERR_CORRUPT) {
		assert_status(ph_store_remove(store, hit, &txn), PH_OK);
		status = tool_commit(txn, false);
		ph_txn_free(txn);
		count->deleted++;
	}
	assert_status(status, PH_OK);
	assert_status(tool_create(store, hit), PH_OK);
	assert_status(tool_push(store, hit, "refs/heads/again", 9, 500), PH_OK);
	assert_true(tool_has(store, hit, "refs/heads/again", 9, 500));
}

static void flip(const struct sim_device *base, uint64_t at, uint8_t bit, struct count *count)
{
	struct sim_device *sim = sim_copy(base);
	struct ph_store *store;
	struct told told = {0};
	sim->data[at] ^= (uint8_t)(1u << bit);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	bool writable = !ph__disk_of(store)->read_only;
	enum ph_status status = scrub(store, &told, false, 1 << 20);
	assert_int_equal(status == PH_OK, told.findings == 0);
	count->found += status != PH_OK;
	count->ignored += status == PH_OK;
	count->read_only += !writable;
	/* Without a finding all is as before, whatever the block is: see use_others. */
	if (writable) {
		use_others(store, told.repo);
		if (told.repo[0])
			delete_hit(store, told.repo, count);
	} else {
		/* The map, or the catalogue: then it is as of an earlier epoch. */
		assert_true(told.store > 0);
		for (uint32_t i = 0; i < REPOS; i++) {
			enum ph_status read = read_repo(store, names[i]);
			count->older += read != PH_OK;
			assert_true(read == PH_OK || read == PH_ERR_NOT_FOUND);
		}
	}
	ph_store_close(store);
	sim_free(sim);
}

static void print_count(const char *what, const struct count *count)
{
	print_message(
	        "%s: found %u, ignored %u, read-only %u, deleted by name %u, not yet there %u\n",
	        what, (unsigned)count->found, (unsigned)count->ignored, (unsigned)count->read_only,
	        (unsigned)count->deleted, (unsigned)count->older);
}

/* A flip in every block, at a place that differs from block to block. */
static void test_every_block(void **state)
{
	struct sim_device *base = make_image(700, 100);
	struct count count = {0};
	struct ph_test_rng rng;
	(void)state;
	ph_test_rng_init(&rng, 5);
	for (uint64_t block = 0; block < base->device.bytes / 4096; block++)
		flip(base, block * 4096 + ph_test_rng_below(&rng, 4096),
		     (uint8_t)ph_test_rng_below(&rng, 8), &count);
	print_count("blocks", &count);
	assert_true(count.found > 50);
	sim_free(base);
}

/* A seeded flip in every 512 bytes that are in use. */
static void test_every_sector(void **state)
{
	struct sim_device *base = make_image(700, 100);
	struct ph_store *store;
	struct count count = {0};
	struct ph_test_rng rng;
	uint64_t end = base->device.bytes / 512;
	(void)state;
	ph_test_rng_init(&rng, 6);
	assert_status(sim_open(base, &options, &store), PH_OK);
	while (end > 0 && !ph__map_is_used(&ph__disk_of(store)->map, (end - 1) / 8))
		end--;
	ph_store_close(store);
	for (uint64_t sector = 0; sector < end; sector++)
		flip(base, sector * 512 + ph_test_rng_below(&rng, 512),
		     (uint8_t)ph_test_rng_below(&rng, 8), &count);
	print_count("sectors", &count);
	assert_true(count.found > 300);
	sim_free(base);
}

/*
 * Every bit of the newest superblock: it is put right when the store is opened, so nothing is lost,
 * and no check counts it as damage, as it may be what a power cut left.
 */
static void test_superblock(void **state)
{
	struct sim_device *base = make_image(300, 3), *sim;
	struct ph_store *store;
	struct told told;
	(void)state;
	sim = sim_copy(base);
	assert_status(sim_open(base, &options, &store), PH_OK);
	uint64_t epoch = ph__disk_of(store)->super.epoch, slot = epoch % PH__RING_BLOCKS;
	ph_store_close(store);
	for (uint32_t bit = 0; bit < PH__BLOCK * 8; bit += bit < 5000 || bit > 32700 ? 1 : 37) {
		uint8_t *byte = &sim->data[slot * PH__BLOCK + bit / 8];
		*byte ^= (uint8_t)(1u << bit % 8);
		memset(&told, 0, sizeof(told));
		assert_status(sim_open(sim, &options, &store), PH_OK);
		assert_int_equal(ph__disk_of(store)->super.epoch, epoch);
		if (bit % 64 == 0) {
			assert_status(scrub(store, &told, false, 1 << 20), PH_OK);
			assert_int_equal(told.findings, 0);
		}
		ph_store_close(store);
		*byte ^= (uint8_t)(1u << bit % 8);
	}
	/* Two wrong bits are more than can be put right: the one before serves. */
	for (uint32_t i = 0; i < 400; i++) {
		sim->data[slot * PH__BLOCK + 60 + i] ^= 0x14;
		assert_status(sim_open(sim, &options, &store), PH_OK);
		assert_int_equal(ph__disk_of(store)->super.epoch, epoch - 1);
		ph_store_close(store);
		sim->data[slot * PH__BLOCK + 60 + i] ^= 0x14;
	}
	sim_free(sim);
	sim_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_steps),
	        cmocka_unit_test(test_commits_meanwhile),
	        cmocka_unit_test(test_objects),
	        cmocka_unit_test(test_every_block),
	        cmocka_unit_test(test_every_sector),
	        cmocka_unit_test(test_superblock),
	        cmocka_unit_test(test_unreadable_index),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
