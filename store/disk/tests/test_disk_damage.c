/* SPDX-License-Identifier: MIT */
/*
 * Images that are not good: random ones, and damages of a good one, half of them with all checksums
 * made right afterwards, so that what is behind them reads nonsense. Whatever comes of it, nothing
 * crashes, hangs or allocates much; opening and reading write nothing.
 *
 *   test_disk_damage [DAMAGES [SEED]]
 */
#include "disk_tools.h"

#include "disk_seal.h"

#include <packhorse/reader.h>
#include <packhorse/scrub.h>

#define IMAGE_BYTES (1u << 20)
#define RANDOM_IMAGES 1000u
#define DAMAGES 3000u
/* No single allocation may be larger: the image has 1 MiB. */
#define ALLOC_MAX ((size_t)24 << 20)
/* Cells of one damaged store that are looked at. */
#define REFS_MAX 2000u
#define OBJECTS_MAX 60u
#define REPOS_MAX 20u

static struct ph_store_disk_options options;
static uint32_t damages = DAMAGES;
static uint64_t seed = 1;

/* ---- memory with a bound ---- */

static void *bounded_alloc(void *user, size_t size)
{
	(void)user;
	assert_true(size <= ALLOC_MAX);
	return malloc(size);
}

static void *bounded_resize(void *user, void *ptr, size_t size)
{
	(void)user;
	assert_true(size <= ALLOC_MAX);
	return realloc(ptr, size);
}

static void bounded_free(void *user, void *ptr)
{
	(void)user;
	free(ptr);
}

static const struct ph_alloc bounded = {NULL, bounded_alloc, bounded_resize, bounded_free};

/* ---- reading everything ---- */

static void read_objects(struct ph_snapshot *snapshot)
{
	const struct ph_source *source = ph_snapshot_source(snapshot);
	struct ph_reader *reader;
	if (ph_reader_new(&reader, source, options.alloc, options.limits) != PH_OK)
		return;
	for (uint32_t pack = 0; pack < source->ops->packs(source) && pack < 8; pack++) {
		uint32_t entries;
		uint64_t bytes;
		source->ops->pack_size(source, pack, &entries, &bytes);
		for (uint32_t pos = 0; pos < entries && pos < OBJECTS_MAX; pos++) {
			struct ph_object object;
			struct ph_loc loc = {pack, pos};
			if (ph_reader_read(reader, loc, 1 << 20, &object) == PH_OK)
				ph_object_release(reader, &object);
		}
	}
	ph_reader_free(reader);
}

static void read_repo(struct ph_snapshot *snapshot)
{
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	struct ph_loc loc;
	uint8_t buf[4200];
	size_t len = sizeof(buf);
	const struct ph_oid *shallow;
	const struct ph_source *source = ph_snapshot_source(snapshot);
	if (ph_snapshot_refs(snapshot, "", &iter) == PH_OK) {
		for (uint32_t i = 0; i < REFS_MAX && ph_ref_iter_next(iter, &ref) == PH_OK; i++)
			(void)source->ops->find(source, &ref.oid, &loc);
		ph_ref_iter_free(iter);
	}
	(void)ph_snapshot_shallow(snapshot, &shallow);
	(void)ph_snapshot_setting(snapshot, "large", buf, &len);
	len = sizeof(buf);
	(void)ph_snapshot_log_read(snapshot, 0, buf, &len);
	read_objects(snapshot);
}

static void on_found(void *user, const struct ph_finding *finding)
{
	char line[PH_FINDING_LINE_MAX];
	(void)user;
	ph_finding_line(finding, line, sizeof(line));
	assert_true(strlen(line) < sizeof(line));
	assert_true(finding->oid_count <= PH_FINDING_OIDS);
}

static void check(struct ph_store *store, bool exclusive)
{
	struct ph_scrub_options wish = {.found = on_found, .exclusive = exclusive};
	struct ph_scrub *scrub;
	enum ph_status status;
	uint32_t steps = 0;
	assert_status(ph_store_scrub(store, &wish, &scrub), PH_OK);
	do
		status = ph_scrub_step(scrub, 64 << 10);
	while (status == PH_AGAIN && ++steps < 20000);
	assert_true(status == PH_OK || status == PH_ERR_CORRUPT);
	ph_scrub_free(scrub);
}

static void use(struct ph_store *store)
{
	char name[PH_REPO_NAME_MAX + 1], last[PH_REPO_NAME_MAX + 1] = "";
	struct ph_snapshot *snapshot;
	check(store, true);
	check(store, false);
	for (uint32_t i = 0; i < REPOS_MAX && ph_store_next_repo(store, last, name) == PH_OK; i++) {
		assert_true(strcmp(name, last) > 0);
		memcpy(last, name, sizeof(last));
		if (ph_store_snapshot(store, name, &snapshot) != PH_OK)
			continue;
		read_repo(snapshot);
		ph_snapshot_release(snapshot);
	}
}

/* Whether it opened. It is as it was, whatever happened. */
static bool try_image(struct sim_device *sim, const uint8_t *image)
{
	struct ph_store *store;
	enum ph_status status;
	memcpy(sim->data, image, IMAGE_BYTES);
	sim->open = true;
	sim->device.bytes = IMAGE_BYTES;
	status = ph_store_disk_open(&store, &sim->device, &options);
	if (status == PH_OK) {
		use(store);
		ph_store_close(store);
	} else {
		assert_true(status == PH_ERR_CORRUPT || status == PH_ERR_INVALID ||
		            status == PH_ERR_UNSUPPORTED);
		sim->open = false;
	}
	assert_int_equal(sim->writes, 0);
	assert_memory_equal(sim->data, image, IMAGE_BYTES);
	return status == PH_OK;
}

/* ---- images ---- */

static void make_good(uint8_t *image)
{
	struct sim_device *sim = sim_new(IMAGE_BYTES, IMAGE_BYTES);
	struct ph_store *store;
	char ref[40];
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(ph_store_setting_set(store, "host-key", "secret", 6), PH_OK);
	for (uint32_t i = 0; i < 3; i++) {
		const char *const names[] = {"one", "two", "three"};
		assert_status(tool_create(store, names[i]), PH_OK);
		for (uint32_t k = 0; k < 60; k++) {
			snprintf(ref, sizeof(ref), "refs/heads/a-rather-long-name-%u", (unsigned)k);
			if (k % 12 == 0)
				assert_status(
				        tool_push(store, names[i], ref, 10 * i + k, 700 * k + 90),
				        PH_OK);
			else
				assert_status(tool_set(store, names[i], ref, k), PH_OK);
		}
	}
	ph_store_close(store);
	memcpy(image, sim->data, IMAGE_BYTES);
	sim_free(sim);
}

/* One change: a bit, a byte, some bytes, a block from elsewhere, zeros. */
static void change(struct ph_test_rng *rng, uint8_t *image, uint32_t end, uint32_t slot)
{
	uint32_t block = ph_test_rng_below(rng, end), at = ph_test_rng_below(rng, 4096);
	/* The superblock that counts is one of many. */
	if (block < 32 || ph_test_rng_below(rng, 12) == 0) {
		block = slot;
		at = ph_test_rng_below(rng, 2) ? at % 700 : at;
	}
	uint8_t *to = image + (size_t)block * 4096;
	uint32_t len = 1 + ph_test_rng_below(rng, 4096 - at) % 16;
	switch (ph_test_rng_below(rng, 8)) {
	case 0:
	case 1:
	case 2:
		to[at] ^= (uint8_t)(1u << ph_test_rng_below(rng, 8));
		break;
	case 3:
	case 4:
		to[at] = (uint8_t)ph_test_rng_below(rng, 256);
		break;
	case 5:
		memset(to + at, ph_test_rng_below(rng, 2) ? 0xff : 0, len);
		break;
	case 6:
		memcpy(to + at, image + (size_t)ph_test_rng_below(rng, end) * 4096 + at, len);
		break;
	default:
		memcpy(to, image + (size_t)ph_test_rng_below(rng, end) * 4096, 4096);
		break;
	}
}

static void test_damages(void **state)
{
	uint8_t *good = malloc(IMAGE_BYTES), *image = malloc(IMAGE_BYTES);
	struct sim_device *sim = sim_new(IMAGE_BYTES, IMAGE_BYTES);
	struct ph_test_rng rng;
	uint32_t opened = 0, end = IMAGE_BYTES / 4096;
	(void)state;
	assert_true(good && image);
	make_good(good);
	while (end > 33 && good[(size_t)(end - 1) * 4096] == 0)
		end--;
	uint32_t slot = disk_newest_slot(good, IMAGE_BYTES);
	ph_test_rng_init(&rng, seed);
	assert_true(try_image(sim, good));
	for (uint32_t i = 0; i < damages; i++) {
		memcpy(image, good, IMAGE_BYTES);
		for (uint32_t n = 1 + ph_test_rng_below(&rng, 6); n > 0; n--)
			change(&rng, image, end, slot);
		if (i % 2)
			disk_seal(image, IMAGE_BYTES, slot);
		opened += try_image(sim, image);
	}
	print_message("%u damages, seed %llu: %u opened\n", (unsigned)damages,
	              (unsigned long long)seed, (unsigned)opened);
	assert_true(opened > damages / 4);
	sim_free(sim);
	free(good);
	free(image);
}

static void test_random_images(void **state)
{
	uint8_t *image = malloc(IMAGE_BYTES);
	struct sim_device *sim = sim_new(IMAGE_BYTES, IMAGE_BYTES);
	struct ph_test_rng rng;
	uint32_t opened = 0;
	(void)state;
	assert_non_null(image);
	ph_test_rng_init(&rng, seed);
	for (uint32_t i = 0; i < RANDOM_IMAGES; i++) {
		/* Random in the ring; behind it the same is as good for many. */
		ph_test_rng_fill(&rng, image, i % 20 ? 40 * 4096 : IMAGE_BYTES);
		for (uint32_t slot = 0; i % 2 && slot < 32; slot++) {
			uint8_t *super = image + (size_t)slot * 4096;
			memcpy(super, "PACKHORS\0\0\0\1\0\0\20\0", 16);
			memset(super + 32, 0, 8);
			memset(super + 56, 0, 7);
			super[63] = (uint8_t)(32 + slot);
		}
		if (i % 4 == 3)
			disk_seal(image, IMAGE_BYTES, 31);
		opened += try_image(sim, image);
	}
	print_message("%u random images: %u opened\n", RANDOM_IMAGES, (unsigned)opened);
	sim_free(sim);
	free(image);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_random_images),
	        cmocka_unit_test(test_damages),
	};
	if (argc > 1)
		damages = (uint32_t)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		seed = strtoull(argv[2], NULL, 10);
	sim_options(&options);
	options.alloc = &bounded;
	options.cache_bytes = 64 << 10;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
