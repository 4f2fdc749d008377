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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_shapes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
