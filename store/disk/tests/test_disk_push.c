/* SPDX-License-Identifier: MIT */
/*
 * What a push writes. In small and in grown repositories, in a store of a few or of thousands, one
 * client pushing one commit at a time costs the device at most the pack, rounded up to blocks, and
 * six blocks, on average: what is put off to a later commit is counted when that comes.
 */
#include "disk_tools.h"

#define BLOCK 4096u
#define EXTRA_BLOCKS 6u

struct shape {
	const char *name;
	uint32_t others; /* repositories beside */
	uint32_t repos;  /* pushed to in turn, from "r0" on */
	uint32_t refs, packs, logs;
	uint32_t targets; /* refs pushed to in turn; 1: always the same branch */
	uint32_t bytes;   /* of the pack's one object */
	uint32_t pushes;
};

static const struct shape shapes[] = {
        {"a new repository", 0, 1, 0, 0, 0, 1, 900, 100},
        {"a few repositories", 20, 3, 10, 3, 30, 2, 900, 100},
        {"1,000 refs, thousands of records", 100, 1, 1000, 6, 4000, 1, 900, 200},
        {"the same, every push to another ref", 100, 1, 1000, 6, 4000, 500, 1500, 200},
        {"one of 10,000 repositories", 10000, 1, 1000, 6, 4000, 1, 900, 200},
        {"every push to another repository", 2000, 200, 100, 2, 100, 1, 1500, 400},
        {"packs of 40 KB", 100, 1, 1000, 6, 1000, 50, 40000, 100},
};

static void log_record(struct ph_txn *txn, uint32_t number)
{
	/* A record of a push of one ref has about so many bytes. */
	char line[240];
	memset(line, 'x', sizeof(line));
	snprintf(line, sizeof(line), "push %u", (unsigned)number);
	assert_status(ph_txn_log(txn, line, sizeof(line)), PH_OK);
}

static void fill_repo(struct ph_store *store, const char *repo, const struct shape *shape)
{
	struct ph_txn *txn;
	uint32_t change;
	char ref[64];
	assert_status(tool_create(store, repo), PH_OK);
	for (uint32_t i = 0; i < shape->refs; i += 500) {
		assert_status(tool_begin(store, repo, &txn), PH_OK);
		for (uint32_t k = i; k < shape->refs && k < i + 500; k++) {
			struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, (uint8_t)(k + 1));
			snprintf(ref, sizeof(ref), "refs/heads/somebody/topic-%u", (unsigned)k);
			assert_status(ph_txn_ref_update(txn, ref, NULL, &oid, NULL, &change),
			              PH_OK);
		}
		assert_status(tool_commit(txn, false), PH_OK);
		ph_txn_free(txn);
	}
	for (uint32_t i = 0; i < shape->packs; i++)
		assert_status(tool_push(store, repo, "refs/heads/main", 10000 + i, 5000), PH_OK);
	for (uint32_t i = 0; i < shape->logs; i += 100) {
		assert_status(tool_begin(store, repo, &txn), PH_OK);
		for (uint32_t k = 0; k < 100; k++)
			log_record(txn, i + k);
		assert_status(tool_commit(txn, false), PH_OK);
		ph_txn_free(txn);
	}
}

static struct ph_store *build(struct sim_device **sim, const struct shape *shape)
{
	static struct ph_store_disk_options options;
	struct ph_store *store;
	char repo[64];
	sim_options(&options);
	*sim = sim_new(1 << 20, (uint64_t)1 << 30);
	assert_status(sim_open(*sim, &options, &store), PH_OK);
	for (uint32_t i = 0; i < shape->others; i++) {
		snprintf(repo, sizeof(repo), "group-%u/project-%u", (unsigned)(i * 7919 % 100),
		         (unsigned)i);
		assert_status(tool_create(store, repo), PH_OK);
	}
	for (uint32_t i = 0; i < shape->repos; i++) {
		snprintf(repo, sizeof(repo), "r%u", (unsigned)(i * 7919));
		fill_repo(store, repo, shape);
	}
	return store;
}

static void fill(struct ph_txn *txn, uint32_t pack, uint32_t section, const void *data, size_t len)
{
	struct ph_sink *sink;
	assert_status(ph_txn_sink(txn, pack, section, &sink), PH_OK);
	assert_status(sink->ops->append(sink, data, len), PH_OK);
}

/* A pack with an index and a note of what it hangs on. Returns the blocks of its run. */
static uint64_t add_pack(struct ph_txn *txn, uint32_t number, uint32_t bytes, struct ph_oid *oid)
{
	struct ph_test_pack pack;
	struct ph_test_buf index = {0};
	struct ph_test_rng rng;
	uint8_t tips[150] = {0}, *data = malloc(bytes);
	uint32_t handle;
	assert_non_null(data);
	ph_test_rng_init(&rng, number);
	ph_test_rng_fill(&rng, data, bytes);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	ph_test_pack_add(&pack, PH_OBJ_BLOB, data, bytes);
	ph_test_pack_add(&pack, PH_OBJ_BLOB, data, 150);
	ph_test_pack_add(&pack, PH_OBJ_BLOB, data, 250);
	*oid = pack.entries[0].oid;
	ph_test_pack_index(&pack, &index);
	assert_status(ph_txn_pack_begin(txn, &handle), PH_OK);
	fill(txn, handle, PH_SECTION_RUN, pack.run.data, pack.run.len);
	fill(txn, handle, PH_SECTION_INDEX, index.data, index.len);
	fill(txn, handle, PH_SECTION_AUX, tips, sizeof(tips));
	assert_status(ph_txn_pack_end(txn, handle), PH_OK);
	uint64_t blocks = (pack.run.len + BLOCK - 1) / BLOCK;
	ph_test_buf_release(&index);
	ph_test_pack_release(&pack);
	free(data);
	return blocks;
}

/* One commit and what belongs to it, as receive-pack stores it. Returns the pack's blocks. */
static uint64_t push(struct ph_store *store, const char *repo, const char *ref, uint32_t number,
                     uint32_t bytes)
{
	struct ph_txn *txn;
	struct ph_oid oid;
	uint32_t change;
	assert_status(tool_begin(store, repo, &txn), PH_OK);
	uint64_t blocks = add_pack(txn, number, bytes, &oid);
	assert_status(ph_txn_ref_update(txn, ref, NULL, &oid, NULL, &change), PH_OK);
	log_record(txn, number);
	assert_status(tool_commit(txn, false), PH_OK);
	ph_txn_free(txn);
	return blocks;
}

static void measure(const struct shape *shape)
{
	struct sim_device *sim;
	struct ph_store *store = build(&sim, shape);
	uint64_t packs = 0, most = 0, least = UINT64_MAX, begin = sim->written_bytes / BLOCK;
	uint64_t flushes = sim->flushes;
	char repo[64], ref[64];
	for (uint32_t i = 0; i < shape->pushes; i++) {
		uint64_t before = sim->written_bytes / BLOCK;
		snprintf(repo, sizeof(repo), "r%u", (unsigned)(i % shape->repos * 7919));
		snprintf(ref, sizeof(ref), "refs/heads/somebody/topic-%u",
		         (unsigned)(i * 389 % shape->targets));
		uint64_t pack = push(store, repo, ref, 1 + i, shape->bytes);
		uint64_t extra = sim->written_bytes / BLOCK - before - pack;
		packs += pack;
		most = extra > most ? extra : most;
		least = extra < least ? extra : least;
	}
	uint64_t extra = sim->written_bytes / BLOCK - begin - packs;
	print_message("%-40s pack + %.2f blocks, %llu to %llu\n", shape->name,
	              (double)extra / shape->pushes, (unsigned long long)least,
	              (unsigned long long)most);
	assert_true(sim->flushes - flushes <= 2 * (uint64_t)shape->pushes);
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(sim);
	if (extra > EXTRA_BLOCKS * (uint64_t)shape->pushes)
		fail_msg("%s: a push writes more than its pack and %u blocks", shape->name,
		         EXTRA_BLOCKS);
}

static void test_shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		measure(&shapes[i]);
}

/* ---- what stands in buffers ---- */

#define KEYS 6u

struct values {
	uint32_t seed[KEYS], len[KEYS]; /* 0: not there */
};

static void make_value(uint8_t *to, uint32_t seed, uint32_t len)
{
	struct ph_test_rng rng;
	ph_test_rng_init(&rng, seed);
	ph_test_rng_fill(&rng, to, len);
}

/* Long ones are blobs, which are nobody's once another value stands before them in a buffer. */
static uint32_t random_len(struct ph_test_rng *rng)
{
	static const uint32_t lengths[] = {0, 10, 900, 5000, 20000};
	return lengths[ph_test_rng_below(rng, 5)];
}

static void check_value(enum ph_status status, const uint8_t *have, size_t have_len,
                        const struct values *values, uint32_t key)
{
	static uint8_t want[20000];
	assert_status(status, values->len[key] ? PH_OK : PH_ERR_NOT_FOUND);
	if (!values->len[key])
		return;
	make_value(want, values->seed[key], values->len[key]);
	assert_int_equal(have_len, values->len[key]);
	assert_memory_equal(have, want, have_len);
}

static void check_values(struct ph_store *store, const struct values *repo,
                         const struct values *global)
{
	static uint8_t have[20000];
	struct ph_snapshot *snapshot;
	char name[8];
	assert_status(ph_store_snapshot(store, "r0", &snapshot), PH_OK);
	for (uint32_t i = 0; i < KEYS; i++) {
		size_t len = sizeof(have);
		snprintf(name, sizeof(name), "s%u", (unsigned)i);
		enum ph_status status = ph_snapshot_setting(snapshot, name, have, &len);
		check_value(status, have, len, repo, i);
		len = sizeof(have);
		status = ph_store_setting_get(store, name, have, &len);
		check_value(status, have, len, global, i);
	}
	ph_snapshot_release(snapshot);
}

static void change_value(struct ph_store *store, struct ph_test_rng *rng, uint32_t number,
                         struct values *repo, struct values *global)
{
	static uint8_t data[20000];
	struct ph_txn *txn;
	char name[8];
	uint32_t key = ph_test_rng_below(rng, KEYS), len = random_len(rng);
	struct values *values = ph_test_rng_below(rng, 2) ? repo : global;
	snprintf(name, sizeof(name), "s%u", (unsigned)key);
	make_value(data, number, len);
	values->seed[key] = number;
	values->len[key] = len;
	if (values == global) {
		assert_status(ph_store_setting_set(store, name, len ? data : NULL, len), PH_OK);
		return;
	}
	assert_status(tool_begin(store, "r0", &txn), PH_OK);
	assert_status(ph_txn_set_setting(txn, name, len ? data : NULL, len), PH_OK);
	assert_status(tool_commit(txn, false), PH_OK);
	ph_txn_free(txn);
}

static void test_buffers(void **state)
{
	static const struct shape shape = {"buffers", 40, 1, 300, 1, 100, 1, 900, 0};
	struct ph_store_disk_options options;
	struct values repo = {{0}, {0}}, global = {{0}, {0}};
	struct sim_device *sim;
	struct ph_store *store = build(&sim, &shape);
	struct ph_test_rng rng;
	char ref[32];
	(void)state;
	sim_options(&options);
	ph_test_rng_init(&rng, 4);
	for (uint32_t i = 1; i < 400; i++) {
		change_value(store, &rng, i, &repo, &global);
		snprintf(ref, sizeof(ref), "refs/tags/%u", (unsigned)ph_test_rng_below(&rng, 60));
		(void)tool_set(store, "r0", ref, ph_test_rng_below(&rng, 3) ? i : 0);
		check_values(store, &repo, &global);
		if (i % 20 == 0)
			assert_status(sim_check(store), PH_OK);
		if (i % 50 == 0) {
			ph_store_close(store);
			assert_status(sim_open(sim, &options, &store), PH_OK);
		}
	}
	assert_status(tool_delete_repo(store, "r0"), PH_OK);
	assert_status(sim_check(store), PH_OK);
	ph_store_close(store);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_shapes),
	        cmocka_unit_test(test_buffers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
