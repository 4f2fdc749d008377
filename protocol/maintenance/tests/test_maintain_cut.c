/* SPDX-License-Identifier: MIT */
/*
 * Maintenance that is cut off: after any slice, at any write, flush or growth of the device, and
 * where no space is left. Everything is as it was before, no space is lost, and the next one does
 * what was left to do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "maintain_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL_SLICES 100000u
#define DISK_BYTES ((uint64_t)64 << 20)

static struct world world, *const w = &world;

static void grow(uint32_t branch, uint32_t commits)
{
	uint32_t commit = w->branches[branch];

	for (uint32_t i = 0; i < commits; i++)
		commit = world_commit(w, commit);
	world_push(w, branch, commit);
}

/* Packs to be joined, and one to be dropped as a whole. */
static void many_packs(void)
{
	grow(0, 60);
	for (uint32_t i = 0; i < 9; i++)
		grow(1, 1);
	grow(2, 3);
	world_push(w, 2, WORLD_NONE);
}

/* All is to be joined, without a good part of it. */
static void much_unreachable(void)
{
	grow(0, 8);
	grow(1, 8);
	grow(0, 4);
	world_push(w, 0, w->commits[w->branches[0]].parent);
	world_push(w, 1, WORLD_NONE);
}

/* The map of the largest pack alone. */
static void no_map(void)
{
	grow(0, 30);
}

typedef void make_function(void);
static make_function *const makers[] = {many_packs, much_unreachable, no_map};

static void begin(make_function *make)
{
	world_init(w, 5, DISK_BYTES);
	make();
	/* What closing lets go of must not be taken for what maintenance gave back. */
	world_reopen(w);
}

static void all_is_done(void)
{
	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	world_check(w);
}

static void test_cut_after_any_slice(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(makers) / sizeof(*makers); i++)
		for (uint32_t slices = 1;; slices++) {
			uint64_t space, generation;
			struct ph_snapshot *snapshot;
			int exit_status;

			begin(makers[i]);
			space = ph_store_space(w->f.store);
			assert_int_equal(ph_store_snapshot(w->f.store, WORLD_REPO, &snapshot),
			                 PH_OK);
			generation = snapshot->generation;
			ph_snapshot_release(snapshot);
			exit_status = world_maintain(w, slices);
			world_check(w);
			assert_int_equal(ph_store_snapshot(w->f.store, WORLD_REPO, &snapshot),
			                 PH_OK);
			/* Of several jobs the first may be done. */
			if (exit_status == -1 && snapshot->generation == generation)
				assert_int_equal(ph_store_space(w->f.store), space);
			ph_snapshot_release(snapshot);
			all_is_done();
			world_release(w);
			if (exit_status != -1)
				break;
		}
}

static void fail_at_each(unsigned ops)
{
	for (size_t i = 0; i < sizeof(makers) / sizeof(*makers); i++)
		for (uint64_t at = 1;; at++) {
			int exit_status;
			bool through;

			begin(makers[i]);
			w->sim->fail_ops = ops;
			w->sim->fail_at = at;
			w->sim->fail_count = 0;
			exit_status = world_maintain(w, ALL_SLICES);
			through = w->sim->fail_count < at;
			w->sim->fail_ops = 0;
			if (!through)
				assert_int_equal(exit_status, 1);
			world_reopen(w);
			world_check(w);
			all_is_done();
			world_release(w);
			if (through)
				break;
		}
}

static void test_cut_at_any_write(void **state)
{
	(void)state;
	fail_at_each(SIM_WRITE);
	fail_at_each(SIM_FLUSH);
	fail_at_each(SIM_WRITE | SIM_FLUSH);
}

/* ---- no space ---- */

/* A branch of one commit with a large file that does not compress; whether it was taken. */
static bool push_large(const char *name, uint32_t number, const char *said)
{
	struct ph_test_buf text = {0}, request = {0};
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	struct answer answer;
	static uint8_t data[100000];
	char hex[PH_OID_HEX_MAX + 1];
	uint32_t entry;
	bool taken;

	ph_test_rng_init(&rng, number);
	ph_test_rng_fill(&rng, data, sizeof(data));
	ph_test_pack_init(&pack, w->f.algo);
	entry = ph_test_pack_add(&pack, PH_OBJ_BLOB, data, sizeof(data));
	ph_test_tree_entry(&text, w->f.algo, 0100644, "file", &pack.entries[entry].oid);
	entry = ph_test_pack_add(&pack, PH_OBJ_TREE, text.data, text.len);
	ph_test_buf_clear(&text);
	ph_test_commit_text(&text, w->f.algo, &pack.entries[entry].oid, NULL, 0, 1700000000,
	                    "large\n");
	entry = ph_test_pack_add(&pack, PH_OBJ_COMMIT, text.data, text.len);
	ph_oid_to_hex(hex, w->f.algo, &pack.entries[entry].oid);
	command(&request, zero(&w->f), hex, name, "report-status");
	flush(&request);
	ph_test_packfile(&pack, &request);
	push(&w->f, WORLD_REPO, &request, &answer);
	taken = says(&answer, "ok refs/heads/large");
	if (!taken)
		assert_true(says(&answer, said));
	answer_release(&answer);
	ph_test_buf_release(&request);
	ph_test_buf_release(&text);
	ph_test_pack_release(&pack);
	return taken;
}

static void large_name(char name[40], uint32_t number)
{
	snprintf(name, 40, "refs/heads/large%u", (unsigned)number);
}

static void delete_large(uint32_t number)
{
	struct ph_test_buf request = {0};
	struct answer answer;
	char name[40], line[64];

	large_name(name, number);
	assert_true(*ref_value(&w->f, WORLD_REPO, name));
	command(&request, ref_value(&w->f, WORLD_REPO, name), zero(&w->f), name, "report-status");
	flush(&request);
	push(&w->f, WORLD_REPO, &request, &answer);
	snprintf(line, sizeof(line), "ok %s", name);
	assert_true(says(&answer, line));
	answer_release(&answer);
	ph_test_buf_release(&request);
}

/* Pushes until no more are taken; how many there are. */
static uint32_t fill(void)
{
	char name[40];
	uint32_t count = 0;

	for (bool taken = true; taken; count += taken) {
		assert_true(count < 1000);
		large_name(name, count);
		taken = push_large(name, count, "no space left");
	}
	return count;
}

/* A full store: pushes are refused and told why, refs can go, and with them their space. */
static void test_full(void **state)
{
	uint32_t count, again;

	(void)state;
	world_init(w, 5, (uint64_t)8 << 20);
	grow(0, 20);
	count = fill();
	assert_in_range(count, 50, 85);
	world_check(w);
	/* Nothing is let go of that is wanted, whatever else maintenance can do. */
	(void)world_maintain(w, ALL_SLICES);
	world_check(w);
	for (uint32_t i = 0; i < count; i++)
		delete_large(i);
	(void)world_maintain(w, ALL_SLICES);
	world_check(w);
	again = fill();
	assert_in_range(again, count - 2, count + 2);
	world_check(w);
	world_reopen(w);
	world_check(w);
	world_release(w);
}

/* Half of the branches, as they came: their packs go, though no others can be made. */
static void test_full_by_half(void **state)
{
	uint32_t count;

	(void)state;
	world_init(w, 5, (uint64_t)8 << 20);
	grow(0, 20);
	count = fill();
	for (uint32_t i = 0; i < count; i += 2)
		delete_large(i);
	(void)world_maintain(w, ALL_SLICES);
	world_check(w);
	assert_true(push_large("refs/heads/large-more", 5000, ""));
	assert_true(ph_store_space(w->f.store) > (uint64_t)count / 3 * 100000);
	world_release(w);
}

/* Tags of what the first branch reaches, until no more are taken. */
static void fill_with_tags(void)
{
	const char *hex = ref_value(&w->f, WORLD_REPO, "refs/heads/b0");
	enum ph_status status = PH_OK;
	struct ph_oid oid;
	char name[40];

	assert_int_equal(ph_oid_from_hex(&oid, w->f.algo, hex, strlen(hex)), PH_OK);
	for (uint32_t tag = 0, each = 100; each > 0; each = status == PH_OK ? each : each / 10) {
		struct ph_snapshot *snapshot;
		struct ph_txn *txn;
		uint32_t change;

		assert_true(tag < 100000);
		assert_int_equal(ph_store_snapshot(w->f.store, WORLD_REPO, &snapshot), PH_OK);
		assert_int_equal(ph_store_begin(w->f.store, snapshot, &txn), PH_OK);
		ph_snapshot_release(snapshot);
		for (uint32_t i = 0; i < each; i++) {
			snprintf(name, sizeof(name), "refs/tags/%u", (unsigned)tag++);
			assert_int_equal(ph_txn_ref_update(txn, name, NULL, &oid, NULL, &change),
			                 PH_OK);
		}
		status = ph_txn_commit(txn, NULL, NULL);
		ph_txn_free(txn);
	}
	assert_int_equal(status, PH_ERR_FULL);
}

/* Refs took what pushes had left: packs can go all the same. */
static void test_full_of_refs(void **state)
{
	uint32_t count;

	(void)state;
	world_init(w, 5, (uint64_t)8 << 20);
	grow(0, 20);
	count = fill();
	fill_with_tags();
	for (uint32_t i = 0; i < count; i++)
		delete_large(i);
	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	world_check(w);
	assert_true(ph_store_space(w->f.store) > (uint64_t)count * 90000);
	world_release(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cut_after_any_slice),
	        cmocka_unit_test(test_cut_at_any_write),
	        cmocka_unit_test(test_full),
	        cmocka_unit_test(test_full_by_half),
	        cmocka_unit_test(test_full_of_refs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
