/* SPDX-License-Identifier: MIT */
/*
 * Maintenance between pushes: whatever it was cut off at, and whoever was in between, every ref's
 * objects are all there and all stored packs are whole; what no ref reaches goes in the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "maintain_world.h"
#include "map_section_int.h"
#include "tips_int.h"

#include <packhorse/pack_join.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL_SLICES UINT32_MAX

static struct world *w;

/* A commit to go on from: a branch's, an old one, or none. */
static uint32_t some_parent(uint32_t branch)
{
	uint32_t how = ph_test_rng_below(&w->rng, 8);

	if (w->count == 0 || how == 0)
		return WORLD_NONE;
	if (how == 1)
		return ph_test_rng_below(&w->rng, w->count);
	return w->branches[branch];
}

static void random_push(void)
{
	uint32_t branch = ph_test_rng_below(&w->rng, WORLD_BRANCHES);
	uint32_t commits = 1 + ph_test_rng_below(&w->rng, 4), commit = some_parent(branch);

	if (ph_test_rng_below(&w->rng, 8) == 0 && w->branches[branch] != WORLD_NONE) {
		world_push(w, branch, WORLD_NONE);
		return;
	}
	for (uint32_t i = 0; i < commits; i++)
		commit = world_commit(w, commit);
	world_push(w, branch, commit);
}

/* A push that begins before maintenance and ends after it. */
static void overtaken_push(void)
{
	uint32_t branch = ph_test_rng_below(&w->rng, WORLD_BRANCHES);
	uint32_t other = (branch + 1) % WORLD_BRANCHES;
	uint32_t commit = world_commit(w, w->branches[other]);
	struct ph_test_buf rest = {0};
	struct ph_session *session = world_push_begin(w, branch, commit, &rest);

	/* What its proof rests on loses its ref. */
	if (w->branches[other] != WORLD_NONE)
		world_push(w, other, WORLD_NONE);
	(void)world_maintain(w, ALL_SLICES);
	world_push_finish(w, session, &rest, branch, commit);
	world_check(w);
}

static void settle(void)
{
	struct ph_snapshot *before, *after;
	uint32_t entries, packs, unreachable = 0;

	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	world_check(w);
	packs = world_packs(w, &entries);
	assert_true(packs <= 16);
	for (uint32_t i = 0; i < w->f.all.count; i++)
		unreachable += world_has(w, i) && !world_reaches(w, i);
	assert_true(unreachable * 3 <= entries);
	/* Then nothing is due. */
	assert_int_equal(ph_store_snapshot(w->f.store, WORLD_REPO, &before), PH_OK);
	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	assert_int_equal(ph_store_snapshot(w->f.store, WORLD_REPO, &after), PH_OK);
	assert_int_equal(after->generation, before->generation);
	ph_snapshot_release(before);
	ph_snapshot_release(after);
}

static void random_steps(uint64_t seed, uint32_t steps, uint64_t disk_bytes)
{
	world_init(w, seed, disk_bytes);
	random_push();
	for (uint32_t i = 0; i < steps; i++) {
		uint32_t how = ph_test_rng_below(&w->rng, 16);

		if (how < 9) {
			random_push();
		} else if (how < 13) {
			(void)world_maintain(w, ph_test_rng_below(&w->rng, 40));
			world_check(w);
		} else if (how < 14) {
			overtaken_push();
		} else if (how < 15 && w->sim) {
			world_reopen(w);
		} else {
			settle();
		}
	}
	settle();
	world_release(w);
}

static void test_random_in_memory(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 25; seed++)
		random_steps(seed, 40, 0);
}

static void test_random_on_disk(void **state)
{
	(void)state;
	for (uint64_t seed = 101; seed <= 106; seed++)
		random_steps(seed, 30, 256 << 20);
}

/* A history of so many commits on a branch. */
static uint32_t grow(uint32_t branch, uint32_t commits)
{
	uint32_t commit = w->branches[branch];

	for (uint32_t i = 0; i < commits; i++)
		commit = world_commit(w, commit);
	world_push(w, branch, commit);
	return commit;
}

static void test_lets_go(void **state)
{
	uint32_t tip, entries;

	(void)state;
	world_init(w, 5, 0);
	grow(0, 20);
	tip = grow(1, 20);
	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	world_push(w, 1, WORLD_NONE);
	assert_true(world_has(w, w->commits[tip].commit));
	settle();
	assert_false(world_has(w, w->commits[tip].commit));
	assert_int_equal(world_packs(w, &entries), 1);
	/* All of them. */
	world_push(w, 0, WORLD_NONE);
	settle();
	assert_int_equal(world_packs(w, &entries), 0);
	grow(0, 2);
	settle();
	world_release(w);
}

/* A branch whose pack holds nothing that others reach goes with its pack, and little is written. */
static void test_whole_packs_go(void **state)
{
	uint64_t written, flushes;
	uint32_t tip, other, entries;

	(void)state;
	world_init(w, 12, 64 << 20);
	grow(0, 100);
	/* All is joined, and no credit left to do that again. */
	grow(0, 10);
	settle();
	assert_int_equal(world_packs(w, &entries), 1);
	tip = grow(1, 20);
	other = grow(2, 20);
	settle();
	assert_int_equal(world_packs(w, &entries), 3);
	world_push(w, 1, WORLD_NONE);
	written = w->sim->written_bytes;
	flushes = w->sim->flushes;
	settle();
	assert_int_equal(world_packs(w, &entries), 2);
	assert_in_range(w->sim->written_bytes - written, 1, 12 * 4096);
	assert_int_equal(w->sim->flushes - flushes, 2);
	assert_false(world_has(w, w->commits[tip].commit));
	assert_true(world_has(w, w->commits[other].commit));
	/* What went is no longer in the account: pushes earn from what there is now. */
	grow(0, 100);
	settle();
	assert_int_equal(world_packs(w, &entries), 1);
	world_release(w);
}

/*
 * Maintenance writes twice what was pushed, and no more for the bases that complete thin packs:
 * here most of what a push adds to the store.
 */
static void test_writes_what_is_earned(void **state)
{
	uint64_t written = 0;

	(void)state;
	world_init(w, 13, 64 << 20);
	w->blob_bytes = WORLD_BLOB_MAX;
	grow(0, 60);
	/* Files of one branch are sent as deltas on those of the other. */
	world_push(w, 1, world_commit(w, w->branches[0]));
	for (uint32_t i = 0; i < 100; i++) {
		uint64_t before;

		grow(i % 2, 3);
		before = w->sim->written_bytes;
		assert_int_equal(world_maintain(w, ALL_SLICES), 0);
		written += w->sim->written_bytes - before;
	}
	assert_in_range(written, 1, 2 * w->pushed);
	world_release(w);
}

/* Light maintenance makes a map, and leaves joining and dropping until packs are too many. */
static void test_light(void **state)
{
	uint32_t tip, entries;

	(void)state;
	world_init(w, 14, 0);
	for (int i = 0; i < 12; i++)
		grow(0, 5);
	tip = grow(1, 80);
	world_push(w, 1, WORLD_NONE);
	w->extent = PH_MAINTENANCE_LIGHT;
	assert_int_equal(world_maintain(w, ALL_SLICES), 3);
	assert_int_equal(world_packs(w, &entries), 13);
	assert_true(world_has(w, w->commits[tip].commit));
	w->extent = PH_MAINTENANCE_WHOLE;
	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	assert_int_equal(world_packs(w, &entries), 1);
	assert_false(world_has(w, w->commits[tip].commit));
	w->extent = PH_MAINTENANCE_LIGHT;
	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	for (unsigned i = 0; i < PH_PACK_JOIN_MAX; i++)
		world_push(w, 0, world_commit(w, w->branches[0]));
	assert_int_equal(world_packs(w, &entries), 1 + PH_PACK_JOIN_MAX);
	(void)world_maintain(w, ALL_SLICES);
	assert_in_range(world_packs(w, &entries), 1, 20);
	world_check(w);
	world_release(w);
}

/* A push that was proven against a branch that goes meanwhile, with maintenance after it. */
static void test_open_push_holds(void **state)
{
	for (uint64_t disk = 0; disk < 2; disk++) {
		struct ph_test_buf rest = {0};
		struct ph_session *session;
		uint32_t tip, next;

		(void)state;
		world_init(w, 6, disk ? 64 << 20 : 0);
		grow(0, 10);
		tip = grow(1, 10);
		next = world_commit(w, tip);
		session = world_push_begin(w, 2, next, &rest);
		world_push(w, 1, WORLD_NONE);
		/* Something is left to do: what the push rests on cannot go. */
		assert_int_equal(world_maintain(w, ALL_SLICES), 2);
		assert_true(world_has(w, w->commits[tip].commit));
		world_push_finish(w, session, &rest, 2, next);
		settle();
		assert_true(world_has(w, w->commits[tip].commit));
		world_release(w);
	}
}

/* The tips section of a pack, if there is one. */
static bool open_tips(struct ph_snapshot *snapshot, uint32_t pack, struct ph__tips *tips)
{
	const struct ph_bytes *section = ph_snapshot_section(snapshot, pack, PH__SECTION_TIPS);
	const struct ph_source *source = ph_snapshot_source(snapshot);
	uint32_t entries;
	uint64_t bytes;

	source->ops->pack_size(source, pack, &entries, &bytes);
	return section && ph__tips_open(tips, section, w->f.algo, entries) == PH_OK;
}

static void test_joined_all(void **state)
{
	struct ph_snapshot *snapshot;
	struct ph__tips tips;
	uint32_t entries;

	(void)state;
	world_init(w, 8, 0);
	for (uint32_t i = 0; i < 10; i++)
		grow(i % 3, 2);
	settle();
	assert_int_equal(world_packs(w, &entries), 1);
	assert_int_equal(ph_store_snapshot(w->f.store, WORLD_REPO, &snapshot), PH_OK);
	assert_true(open_tips(snapshot, 0, &tips));
	assert_int_equal(tips.tips, 3);
	assert_int_equal(tips.copies, 0);
	assert_non_null(ph_snapshot_section(snapshot, 0, PH__SECTION_MAP));
	ph_snapshot_release(snapshot);
	world_release(w);
}

/* Marks what can be reached from tips, by the model. */
static void mark_tips(const struct ph__tips *tips, uint8_t *marks)
{
	for (uint32_t i = 0; i < tips->tips; i++) {
		struct ph_oid oid;
		uint32_t commit = 0;

		assert_int_equal(ph__tips_tip(tips, i, &oid), PH_OK);
		while (memcmp(w->f.all.entries[w->commits[commit].commit].oid.bytes, oid.bytes,
		              PH_OID_BYTES_MAX) != 0)
			assert_true(++commit < w->count);
		for (; commit != WORLD_NONE; commit = w->commits[commit].parent) {
			const struct world_commit *c = &w->commits[commit];

			marks[c->commit] = marks[c->tree] = 1;
			for (uint32_t j = 0; j < WORLD_FILES; j++)
				marks[c->blobs[j]] = 1;
		}
	}
}

/* What a note says of its pack is true. Returns how many copies it has. */
static uint32_t check_note(struct ph_snapshot *snapshot, uint32_t pack, const struct ph__tips *tips)
{
	const struct ph_source *source = ph_snapshot_source(snapshot);
	uint8_t *marks = calloc(w->f.all.count + 1, 1);
	uint32_t copy = 0, rank = 0;

	assert_non_null(marks);
	mark_tips(tips, marks);
	for (uint32_t pos = 0; pos < tips->entries; pos++) {
		struct ph_entry entry;
		uint32_t i = 0;

		if (copy < tips->copies)
			assert_int_equal(ph__tips_copy(tips, copy, &rank), PH_OK);
		if (copy < tips->copies && rank == pos) {
			copy++;
			continue;
		}
		assert_int_equal(source->ops->entry(source, (struct ph_loc){pack, pos}, &entry),
		                 PH_OK);
		while (memcmp(w->f.all.entries[i].oid.bytes, entry.oid.bytes, PH_OID_BYTES_MAX) !=
		       0)
			assert_true(++i < w->f.all.count);
		assert_true(marks[i]);
	}
	assert_int_equal(copy, tips->copies);
	free(marks);
	return tips->copies;
}

/* Small packs beside a large one: they are joined, and the notes of theirs put together. */
static void test_joined_some(void **state)
{
	uint32_t copies = 0;

	(void)state;
	for (uint64_t seed = 20; seed < 30; seed++) {
		struct ph_snapshot *snapshot;
		uint32_t entries, packs;

		world_init(w, seed, 0);
		grow(0, 280);
		grow(0, 60);
		assert_int_equal(world_maintain(w, ALL_SLICES), 0);
		assert_int_equal(world_packs(w, &entries), 1);
		world_push(w, 1, world_commit(w, w->branches[0]));
		for (uint32_t i = 0; i < 39; i++)
			world_push(w, 1, world_commit(w, w->branches[1]));
		assert_int_equal(world_packs(w, &entries), 41);
		assert_int_equal(world_maintain(w, ALL_SLICES), 0);
		packs = world_packs(w, &entries);
		assert_in_range(packs, 2, 24);
		world_check(w);
		assert_int_equal(ph_store_snapshot(w->f.store, WORLD_REPO, &snapshot), PH_OK);
		for (uint32_t pack = 0; pack < packs; pack++) {
			struct ph__tips tips;

			assert_true(open_tips(snapshot, pack, &tips));
			copies += check_note(snapshot, pack, &tips);
		}
		ph_snapshot_release(snapshot);
		world_release(w);
	}
	assert_true(copies > 0);
}

#define LARGE_BYTES 600000u
#define LARGE_OPS 3000u

/* A delta that copies single bytes from all over its base. */
static void add_jumps(struct ph_test_pack *pack, const uint8_t *data, const struct ph_oid *base,
                      uint32_t number)
{
	/* The sizes of both, in groups of 7 bits: 600,000 and 3,000. */
	static const uint8_t sizes[] = {0xc0, 0xcf, 0x24, 0xb8, 0x17};
	static uint8_t result[LARGE_OPS];
	struct ph_test_buf delta = {0};
	struct ph_test_raw raw = {.stored = PH_OBJ_REF_DELTA, .type = PH_OBJ_BLOB, .base = *base};

	ph_test_buf_append(&delta, sizes, sizeof(sizes));
	for (uint32_t i = 0; i < LARGE_OPS; i++) {
		uint32_t at = i * 7 % 17 * (LARGE_BYTES / 17) + number;
		uint8_t op[] = {0x97, (uint8_t)at, (uint8_t)(at >> 8), (uint8_t)(at >> 16), 1};

		ph_test_buf_append(&delta, op, sizeof(op));
		result[i] = data[at];
	}
	raw.declared = raw.content_len = delta.len;
	raw.content = delta.data;
	raw.size = LARGE_OPS;
	ph_hash_object(&raw.oid, pack->algo, PH_OBJ_BLOB, result, LARGE_OPS);
	ph_test_pack_add_raw(pack, &raw);
	ph_test_buf_release(&delta);
}

/* Pushes a commit of two files, the second of which is in the pack, and maybe the first. */
static void push_files(struct ph_test_pack *pack, const struct ph_oid *first,
                       const struct ph_oid *second, uint32_t number)
{
	struct ph_test_buf text = {0}, request = {0};
	char id[PH_OID_HEX_MAX + 1], name[32];
	struct answer answer;
	uint32_t entry;

	ph_test_tree_entry(&text, w->f.algo, 0100644, "a", first);
	ph_test_tree_entry(&text, w->f.algo, 0100644, "b", second);
	entry = ph_test_pack_add(pack, PH_OBJ_TREE, text.data, text.len);
	ph_test_buf_clear(&text);
	ph_test_commit_text(&text, w->f.algo, &pack->entries[entry].oid, NULL, 0, 1700000000,
	                    "large\n");
	entry = ph_test_pack_add(pack, PH_OBJ_COMMIT, text.data, text.len);
	ph_oid_to_hex(id, w->f.algo, &pack->entries[entry].oid);
	snprintf(name, sizeof(name), "refs/heads/large%u", (unsigned)number);
	command(&request, zero(&w->f), id, name, "report-status");
	flush(&request);
	ph_test_packfile(pack, &request);
	push(&w->f, WORLD_REPO, &request, &answer);
	assert_true(says(&answer, "ok refs/heads/large"));
	answer_release(&answer);
	ph_test_buf_release(&request);
	ph_test_buf_release(&text);
	ph_test_pack_release(pack);
}

/* Large deltas as deep as they may be, which would be too much work to make whole: they stay. */
static void test_too_much_work(void **state)
{
	struct ph_limits limits;
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	uint8_t *data = malloc(LARGE_BYTES);
	struct ph_oid ids[2];
	uint32_t entries, packs;

	(void)state;
	assert_non_null(data);
	world_init(w, 13, 0);
	limits = w->f.limits;
	ph_test_rng_init(&rng, 13);
	ph_test_rng_fill(&rng, data, LARGE_BYTES);
	ph_test_pack_init(&pack, w->f.algo);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, data, LARGE_BYTES);
	data[0] ^= 1;
	(void)ph_test_pack_add_ofs(&pack, 0, data, LARGE_BYTES);
	ids[0] = pack.entries[0].oid;
	ids[1] = pack.entries[1].oid;
	push_files(&pack, &ids[0], &ids[1], 0);
	for (uint32_t i = 1; i < 10; i++) {
		struct ph_oid made;

		ph_test_pack_init(&pack, w->f.algo);
		add_jumps(&pack, data, &ids[1], i);
		made = pack.entries[0].oid;
		push_files(&pack, &ids[0], &made, i);
	}
	packs = world_packs(w, &entries);
	assert_int_equal(packs, 10);
	w->f.limits.delta_resident_bytes_max = 20000;
	w->f.limits.delta_depth_max = 1;
	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	w->f.limits = limits;
	assert_int_equal(world_packs(w, &entries), packs);
	world_check(w);
	/* Where they may be deeper, all is joined. */
	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	assert_int_equal(world_packs(w, &entries), 1);
	world_check(w);
	world_release(w);
	free(data);
}

/* Out of memory at every place: nothing is lost, and the next time all is done. */
static void test_no_memory(void **state)
{
	(void)state;
	for (uint64_t i = 1;; i++) {
		uint64_t calls;
		int exit_status;

		world_init(w, 9, 0);
		grow(0, 4);
		grow(1, 3);
		grow(2, 2);
		world_push(w, 1, WORLD_NONE);
		calls = w->f.memory.calls;
		w->f.memory.fail_at = calls + i;
		exit_status = world_maintain(w, ALL_SLICES);
		calls = w->f.memory.calls - calls;
		w->f.memory.fail_at = 0;
		world_check(w);
		settle();
		world_release(w);
		if (calls < i) {
			assert_int_equal(exit_status, 0);
			break;
		}
	}
}

static void test_disk_full(void **state)
{
	(void)state;
	world_init(w, 10, 64 << 20);
	for (uint32_t i = 0; i < 8; i++)
		grow(i % 2, 8);
	/* No room for a joined pack beside the others, or for less and less. */
	for (uint64_t room = 0; room < 200000; room += 20000) {
		w->sim->bytes_max = w->sim->device.bytes;
		(void)world_maintain(w, ALL_SLICES);
		world_check(w);
	}
	w->sim->bytes_max = 64 << 20;
	settle();
	world_release(w);
}

static void wake(void *user)
{
	(void)user;
}

/* It claims what is free, and gives way as soon as somebody waits. */
static void test_gives_way(void **state)
{
	struct ph_claim first = {0}, second = {0};
	uint64_t total = (uint64_t)1 << 30;
	uint32_t entries;

	(void)state;
	world_init(w, 11, 0);
	for (uint32_t i = 0; i < 6; i++)
		grow(i % 2, 6);
	assert_int_equal(ph_memory_new(&w->f.service.memory, &w->f.memory.alloc, total, NULL),
	                 PH_OK);
	/* Somebody has all. */
	assert_int_equal(ph_memory_claim(w->f.service.memory, &first, total, wake, NULL), PH_OK);
	assert_int_equal(world_maintain(w, ALL_SLICES), 2);
	assert_int_equal(world_packs(w, &entries), 6);
	ph_memory_release(&first);
	/* Somebody waits for what a third has. */
	assert_int_equal(ph_memory_claim(w->f.service.memory, &first, 1, wake, NULL), PH_OK);
	assert_int_equal(ph_memory_claim(w->f.service.memory, &second, total, wake, NULL),
	                 PH_PENDING);
	assert_int_equal(world_maintain(w, ALL_SLICES), 2);
	ph_memory_release(&second);
	ph_memory_release(&first);
	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	assert_int_equal(world_packs(w, &entries), 1);
	ph_memory_free(w->f.service.memory);
	w->f.service.memory = NULL;
	/* Never enough: it says so and ends. */
	for (uint32_t i = 0; i < 20; i++)
		grow(0, 2);
	assert_int_equal(ph_memory_new(&w->f.service.memory, &w->f.memory.alloc, 4096, NULL),
	                 PH_OK);
	assert_int_equal(world_maintain(w, ALL_SLICES), 1);
	world_check(w);
	ph_memory_free(w->f.service.memory);
	w->f.service.memory = NULL;
	world_release(w);
}

static void test_nothing_there(void **state)
{
	struct ph_session *session;

	(void)state;
	world_init(w, 12, 0);
	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	assert_int_equal(
	        ph_maintenance_open(&session, &w->f.service, "no such", PH_MAINTENANCE_WHOLE),
	        PH_OK);
	ph_session_run(session, 0, 0, 100);
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 0);
	ph_session_free(session);
	world_release(w);
}

static int setup(void **state)
{
	(void)state;
	w = malloc(sizeof(*w));
	return w ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_nothing_there),
	        cmocka_unit_test(test_lets_go),
	        cmocka_unit_test(test_whole_packs_go),
	        cmocka_unit_test(test_writes_what_is_earned),
	        cmocka_unit_test(test_light),
	        cmocka_unit_test(test_open_push_holds),
	        cmocka_unit_test(test_joined_all),
	        cmocka_unit_test(test_joined_some),
	        cmocka_unit_test(test_too_much_work),
	        cmocka_unit_test(test_no_memory),
	        cmocka_unit_test(test_disk_full),
	        cmocka_unit_test(test_gives_way),
	        cmocka_unit_test(test_random_in_memory),
	        cmocka_unit_test(test_random_on_disk),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
