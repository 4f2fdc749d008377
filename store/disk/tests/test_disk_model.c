/* SPDX-License-Identifier: MIT */
/*
 * Random and bulky work against simple models: trees of many levels and odd keys, sections of many
 * extents, space that is used again and again, crashes upon crashes.
 */
#include "disk_tools.h"

#undef assert_status
#include "conformance_int.h"

static struct ph_store_disk_options options;

static void start(struct sim_device *sim, struct ph_store **store)
{
	sim_options(&options);
	options.cache_bytes = 1 << 20;
	assert_status(sim_open(sim, &options, store), PH_OK);
}

/* Closes, opens and checks. */
static void again(struct sim_device *sim, struct ph_store **store)
{
	assert_status(sim_check(*store), PH_OK);
	ph_store_close(*store);
	assert_status(sim_open(sim, &options, store), PH_OK);
}

/* ---- refs ---- */

#define NAMES 700u

struct model {
	char *name[NAMES]; /* sorted */
	uint32_t value[NAMES];
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void model_init(struct model *model, struct ph_test_rng *rng)
{
	memset(model, 0, sizeof(*model));
	for (uint32_t i = 0; i < NAMES; i++) {
		/* Mostly short, some as long as they get, many with a long common beginning. */
		uint32_t kind = ph_test_rng_below(rng, 10);
		uint32_t len = kind < 7 ? ph_test_rng_below(rng, 20) : ph_test_rng_below(rng, 1000);
		char *name = calloc(1, len + 32);
		assert_non_null(name);
		size_t at = (size_t)snprintf(name, 12, "refs/heads/");
		for (uint32_t k = 0; k < len; k++)
			name[at++] = kind == 9 ? 'x' : (char)('a' + ph_test_rng_below(rng, 26));
		snprintf(name + at, 12, "%u", (unsigned)i);
		model->name[i] = name;
	}
	qsort(model->name, NAMES, sizeof(char *), compare);
}

static void model_release(struct model *model)
{
	for (uint32_t i = 0; i < NAMES; i++)
		free(model->name[i]);
}

static struct ph_oid value_oid(uint32_t value)
{
	struct ph_oid oid = {{0}};
	if (value)
		ph_hash_object(&oid, PH_HASH_SHA1, PH_OBJ_BLOB, &value, sizeof(value));
	return oid;
}

static void change_some(struct ph_store *store, struct model *model, struct ph_test_rng *rng)
{
	struct ph_txn *txn;
	uint32_t change, count = 1 + ph_test_rng_below(rng, ph_test_rng_below(rng, 4) ? 5 : NAMES);
	bool removing = ph_test_rng_below(rng, 3) == 0;
	assert_status(tool_begin(store, "r", &txn), PH_OK);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = ph_test_rng_below(rng, NAMES);
		uint32_t value = removing ? 0 : 1 + ph_test_rng_below(rng, 1000);
		struct ph_oid oid = value_oid(value), old = value_oid(model->value[at]);
		enum ph_status status = ph_txn_ref_update(txn, model->name[at], &old, &oid,
		                                          value % 2 ? &oid : NULL, &change);
		if (status == PH_ERR_EXISTS)
			continue;
		if (!value && !model->value[at]) {
			/* Deleting what is not there. */
			assert_status(status, PH_OK);
			continue;
		}
		assert_status(status, PH_OK);
		model->value[at] = value;
	}
	assert_status(tool_commit(txn, false), PH_OK);
	ph_txn_free(txn);
}

static void expect_model(struct ph_store *store, const struct model *model)
{
	struct ph_snapshot *snapshot;
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	assert_status(ph_store_snapshot(store, "r", &snapshot), PH_OK);
	assert_status(ph_snapshot_refs(snapshot, "refs/", &iter), PH_OK);
	for (uint32_t i = 0; i < NAMES; i++) {
		struct ph_oid oid = value_oid(model->value[i]);
		enum ph_status want = model->value[i] ? PH_OK : PH_ERR_NOT_FOUND;
		assert_status(ph_snapshot_ref(snapshot, model->name[i], &ref), want);
		if (want != PH_OK)
			continue;
		assert_true(ph_oid_equal(&ref.oid, &oid));
		assert_status(ph_ref_iter_next(iter, &ref), PH_OK);
		assert_string_equal(ref.name, model->name[i]);
		assert_true(ph_oid_equal(&ref.oid, &oid));
		assert_int_equal(!ph_oid_is_zero(&ref.peeled), model->value[i] % 2);
	}
	assert_status(ph_ref_iter_next(iter, &ref), PH_END);
	ph_ref_iter_free(iter);
	ph_snapshot_release(snapshot);
}

static void test_refs(void **state)
{
	struct sim_device *sim = sim_new(8 << 20, 8 << 20);
	struct ph_store *store;
	struct ph_test_rng rng;
	struct model model;
	(void)state;
	ph_test_rng_init(&rng, 7);
	model_init(&model, &rng);
	start(sim, &store);
	assert_status(tool_create(store, "r"), PH_OK);
	for (uint32_t round = 0; round < 120; round++) {
		change_some(store, &model, &rng);
		expect_model(store, &model);
		if (round % 10 == 9)
			again(sim, &store);
	}
	ph_store_close(store);
	sim_free(sim);
	model_release(&model);
}

static void many_refs(struct ph_store *store, uint32_t count, bool set)
{
	struct ph_txn *txn;
	uint32_t change;
	char name[64];
	struct ph_oid oid = set ? ph_test_oid_fake(PH_HASH_SHA1, 3) : ph__conf_zero;
	assert_status(tool_begin(store, "r", &txn), PH_OK);
	for (uint32_t i = 0; i < count; i++) {
		/* In no order. */
		snprintf(name, sizeof(name), "refs/tags/release-%u", (unsigned)(i * 7919u % count));
		assert_status(ph_txn_ref_update(txn, name, NULL, &oid, NULL, &change), PH_OK);
	}
	assert_status(ph_txn_prepare(txn), PH_OK);
	assert_status(tool_commit(txn, false), PH_OK);
	ph_txn_free(txn);
}

/* 50,000 refs at once: every node is written once, and they can all go again. */
static void test_bulk(void **state)
{
	const uint32_t count = 50000;
	struct sim_device *sim = sim_new(1 << 20, 64 << 20);
	struct ph_store *store;
	struct ph_ref ref;
	struct ph_snapshot *snapshot;
	(void)state;
	start(sim, &store);
	assert_status(tool_create(store, "r"), PH_OK);
	uint64_t before = sim->written_bytes;
	many_refs(store, count, true);
	/* Some 45 bytes each, and not much more. */
	assert_in_range(sim->written_bytes - before, (uint64_t)count * 40, (uint64_t)count * 80);
	again(sim, &store);
	assert_status(ph_store_snapshot(store, "r", &snapshot), PH_OK);
	assert_status(ph_snapshot_ref(snapshot, "refs/tags/release-31415", &ref), PH_OK);
	ph_snapshot_release(snapshot);
	before = sim->written_bytes;
	assert_status(tool_set(store, "r", "refs/heads/one", 1), PH_OK);
	/* One path of a tree of three levels, the catalogue's, the log, the superblock. */
	assert_in_range(sim->written_bytes - before, 1, 12 * 4096);
	many_refs(store, count, false);
	assert_status(tool_set(store, "r", "refs/heads/one", 0), PH_OK);
	again(sim, &store);
	assert_status(ph_store_snapshot(store, "r", &snapshot), PH_OK);
	assert_status(ph_snapshot_ref(snapshot, "refs/tags/release-0", &ref), PH_ERR_NOT_FOUND);
	assert_status(ph_snapshot_ref(snapshot, "HEAD", &ref), PH_OK);
	ph_snapshot_release(snapshot);
	ph_store_close(store);
	sim_free(sim);
}

/* ---- sections ---- */

static void read_everywhere(const struct ph_source *source, uint32_t pack,
                            const struct ph_test_buf *run, struct ph_test_rng *rng)
{
	uint8_t *data = malloc(run->len);
	assert_non_null(data);
	assert_status(source->ops->read(source, pack, 0, data, run->len), PH_OK);
	assert_memory_equal(data, run->data, run->len);
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t at = ph_test_rng_below(rng, (uint32_t)run->len);
		uint32_t len = ph_test_rng_below(rng, i % 10 ? 100 : 200000);
		if (len > run->len - at)
			len = (uint32_t)(run->len - at);
		assert_status(source->ops->read(source, pack, at, data, len), PH_OK);
		assert_memory_equal(data, run->data + at, len);
	}
	free(data);
}

/* A run of 20 MB in the crumbs of a device, with two levels of checksums. */
static void test_large_section(void **state)
{
	struct sim_device *sim = sim_new(1 << 20, 64 << 20);
	struct ph_store *store;
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	struct ph_txn *txns[40], *txn;
	struct ph_oid oid;
	char name[16];
	uint32_t number;
	(void)state;
	start(sim, &store);
	assert_status(tool_create(store, "r"), PH_OK);
	/* Every second of these stays. */
	for (uint32_t i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "r%u", (unsigned)i);
		assert_status(tool_create(store, name), PH_OK);
		assert_status(tool_begin(store, name, &txns[i]), PH_OK);
		assert_status(tool_add_pack(txns[i], i, 150000, &oid), PH_OK);
	}
	for (uint32_t i = 0; i < 40; i++) {
		if (i % 2)
			assert_status(tool_commit(txns[i], false), PH_OK);
		ph_txn_free(txns[i]);
	}
	ph_test_rng_init(&rng, 3);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	uint8_t *data = malloc(1 << 20);
	assert_non_null(data);
	for (uint32_t i = 0; i < 20; i++) {
		ph_test_rng_fill(&rng, data, 1 << 20);
		ph_test_pack_add(&pack, PH_OBJ_BLOB, data, 1 << 20);
	}
	free(data);
	assert_status(tool_begin(store, "r", &txn), PH_OK);
	number = ph__conf_add_pack(txn, &pack);
	assert_int_equal(number, 0);
	read_everywhere(ph_txn_source(txn), 0, &pack.run, &rng);
	assert_status(tool_commit(txn, false), PH_OK);
	ph_txn_free(txn);
	again(sim, &store);
	struct ph_snapshot *snapshot;
	assert_status(ph_store_snapshot(store, "r", &snapshot), PH_OK);
	ph__conf_expect_objects(ph_snapshot_source(snapshot), &pack, true);
	read_everywhere(ph_snapshot_source(snapshot), 0, &pack.run, &rng);
	ph_snapshot_release(snapshot);
	ph_test_pack_release(&pack);
	ph_store_close(store);
	sim_free(sim);
}

/* ---- space ---- */

/* Pushes and repacks without end on a small device, while an old snapshot stays readable. */
static void test_space_reuse(void **state)
{
	struct sim_device *sim = sim_new(3 << 20, 3 << 20);
	struct ph_store *store;
	struct ph_snapshot *old;
	struct ph_test_buf bytes = {0};
	(void)state;
	start(sim, &store);
	assert_status(tool_create(store, "r"), PH_OK);
	assert_status(tool_push(store, "r", "refs/heads/old", 1, 200000), PH_OK);
	assert_status(ph_store_snapshot(store, "r", &old), PH_OK);
	const struct ph_source *source = ph_snapshot_source(old);
	const struct ph_bytes *run = ph_snapshot_section(old, 0, PH_SECTION_RUN);
	uint8_t *data = calloc(1, run->size), *now = calloc(1, run->size);
	assert_non_null(data);
	assert_non_null(now);
	assert_status(source->ops->read(source, 0, 0, data, run->size), PH_OK);
	for (uint32_t i = 0; i < 400; i++) {
		assert_status(tool_push(store, "r", "refs/heads/new", i + 2, 150000), PH_OK);
		assert_status(tool_repack(store, "r", i, 50000, false), PH_OK);
		if (i == 200) {
			assert_status(source->ops->read(source, 0, 0, now, run->size), PH_OK);
			assert_memory_equal(now, data, run->size);
			struct ph_ref ref;
			assert_status(ph_snapshot_ref(old, "refs/heads/old", &ref), PH_OK);
			assert_status(ph_snapshot_ref(old, "refs/heads/new", &ref),
			              PH_ERR_NOT_FOUND);
			ph_snapshot_release(old);
		}
	}
	free(data);
	free(now);
	ph_test_buf_release(&bytes);
	again(sim, &store);
	ph_store_close(store);
	sim_free(sim);
}

/* Opening does not depend on how much there is. */
static void test_many_repositories(void **state)
{
	const uint32_t count = 1500;
	struct sim_device *sim = sim_new(1 << 20, 256 << 20);
	struct ph_store *store;
	struct ph_test_alloc memory;
	char name[32];
	(void)state;
	start(sim, &store);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "team-%u/repo-%u", (unsigned)i % 7, (unsigned)i);
		assert_status(tool_create(store, name), PH_OK);
		if (i % 100 == 0)
			assert_status(tool_push(store, name, "refs/heads/x", i, 1000), PH_OK);
	}
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	uint64_t reads = sim->reads;
	ph_test_alloc_init(&memory);
	options.alloc = &memory.alloc;
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_in_range(sim->reads - reads, 1, 40);
	assert_in_range(memory.peak_bytes, 1, 1 << 20);
	assert_true(tool_has(store, "team-5/repo-1300", "refs/heads/x", 1300, 1000));
	char after[PH_REPO_NAME_MAX + 1] = "";
	uint32_t seen = 0;
	while (ph_store_next_repo(store, after, after) == PH_OK)
		seen++;
	assert_int_equal(seen, count);
	ph_store_close(store);
	assert_int_equal(memory.live, 0);
	sim_free(sim);
}

/* ---- crashes upon crashes ---- */

static enum ph_status random_step(struct ph_store *store, struct ph_test_rng *rng)
{
	char repo[8], ref[32];
	snprintf(repo, sizeof(repo), "r%u", (unsigned)ph_test_rng_below(rng, 3));
	snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)ph_test_rng_below(rng, 30));
	uint32_t number = (uint32_t)(ph_test_rng_next(rng) >> 33) | 1;
	switch (ph_test_rng_below(rng, 10)) {
	case 0:
		return tool_create(store, repo);
	case 1:
		return tool_delete_repo(store, repo);
	case 2:
		return tool_repack(store, repo, number, 30000, false);
	case 3:
		return tool_set(store, repo, ref, 0);
	case 4:
	case 5:
		return tool_set(store, repo, ref, number);
	case 6:
		return ph_store_setting_set(store, "host-key", &number, sizeof(number));
	default:
		return tool_push(store, repo, ref, number, ph_test_rng_below(rng, 100000));
	}
}

#define ROUND_STEPS 12u

/* Some steps on a device, then a cut at a random place; returns the medium it leaves. */
static struct sim_device *crash_round(struct sim_device *sim, struct ph_test_rng *rng)
{
	struct ph_test_buf states[ROUND_STEPS + 1] = {{0}}, now = {0};
	size_t acked[ROUND_STEPS + 1];
	struct sim_device *left = sim_copy(sim);
	struct ph_store *store;
	uint32_t steps = ph_test_rng_below(rng, ROUND_STEPS) + 1;
	assert_status(sim_open(sim, &options, &store), PH_OK);
	sim->recording = true;
	for (uint32_t i = 0; i <= steps; i++) {
		if (i > 0) {
			enum ph_status status = random_step(store, rng);
			assert_true(status == PH_OK || status == PH_ERR_EXISTS ||
			            status == PH_ERR_NOT_FOUND || status == PH_ERR_FULL);
		}
		acked[i] = sim->event_count;
		ph__conf_dump(store, &states[i]);
	}
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	size_t cut = ph_test_rng_below(rng, (uint32_t)sim->event_count + 1);
	size_t flushed = 0;
	for (size_t i = 0; i < cut; i++)
		flushed = sim->events[i].kind == SIM_FLUSH ? i + 1 : flushed;
	for (size_t i = 0; i < cut; i++)
		if (i < flushed || ph_test_rng_below(rng, 2))
			sim_apply(left, &sim->events[i],
			          i < flushed ? 0 : ph_test_rng_next(rng) & 1);
	assert_status(sim_open(left, &options, &store), PH_OK);
	assert_status(sim_check(store), PH_OK);
	ph__conf_dump(store, &now);
	ph_store_close(store);
	bool found = false;
	for (uint32_t i = 0; i <= steps; i++) {
		/* Not one that was overtaken by another that was acknowledged. */
		bool old = i < steps && acked[i + 1] <= cut;
		if (!old && (i == 0 || acked[i - 1] <= cut) && now.len == states[i].len &&
		    memcmp(now.data, states[i].data, now.len) == 0)
			found = true;
		ph_test_buf_release(&states[i]);
	}
	assert_true(found);
	ph_test_buf_release(&now);
	sim_free(sim);
	return left;
}

static void test_crashes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct ph_test_rng rng;
		struct ph_store *store;
		struct sim_device *sim = sim_new(2 << 20, seed % 2 ? 2 << 20 : 64 << 20);
		ph_test_rng_init(&rng, seed);
		start(sim, &store);
		ph_store_close(store);
		for (uint32_t round = 0; round < 60; round++)
			sim = crash_round(sim, &rng);
		sim_free(sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_refs),
	        cmocka_unit_test(test_bulk),
	        cmocka_unit_test(test_large_section),
	        cmocka_unit_test(test_space_reuse),
	        cmocka_unit_test(test_many_repositories),
	        cmocka_unit_test(test_crashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
