/* SPDX-License-Identifier: MIT */
/* The ref of the push log: what it holds, that the same records make the same commits, what it
 * keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "maintain_world.h"

#include <packhorse/hash.h>
#include <packhorse/reader.h>
#include <stdio.h>
#include <string.h>

#define LOG_REF "refs/packhorse/log"
#define MANY 1000000u

static struct ph_snapshot *look(struct world *w)
{
	struct ph_snapshot *snapshot;

	assert_int_equal(ph_store_snapshot(w->f.store, WORLD_REPO, &snapshot), PH_OK);
	return snapshot;
}

static struct ph_txn *begin(struct world *w)
{
	struct ph_snapshot *base = look(w);
	struct ph_txn *txn;

	assert_int_equal(ph_store_begin(w->f.store, base, &txn), PH_OK);
	ph_snapshot_release(base);
	return txn;
}

static void finish(struct ph_txn *txn)
{
	assert_int_equal(ph_txn_prepare(txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
}

static void turn_on(struct world *w)
{
	static const char text[] = "packhorse.pushlogref=true\n";
	struct ph_txn *txn = begin(w);

	assert_int_equal(ph_txn_set_setting(txn, "config", text, sizeof(text) - 1), PH_OK);
	finish(txn);
}

static void add_record(struct world *w, const char *text)
{
	struct ph_txn *txn = begin(w);

	assert_int_equal(ph_txn_log(txn, text, strlen(text)), PH_OK);
	finish(txn);
}

static bool find(const struct ph_object *tree, const char *name, struct ph_oid *out)
{
	struct ph_tree_iter iter;
	struct ph_tree_entry entry;

	ph_tree_iter_init(&iter, PH_HASH_SHA1, tree->data, tree->size);
	while (ph_tree_iter_next(&iter, &entry) == PH_OK) {
		*out = entry.oid;
		if (entry.name_len == strlen(name) && memcmp(entry.name, name, entry.name_len) == 0)
			return true;
	}
	return false;
}

/* The ref's commits, newest first, hold the log's records up to the newest; returns how many. The
 * chain is followed by the records' own words. */
static uint64_t expect_chain(struct world *w)
{
	struct ph_snapshot *snapshot = look(w);
	uint64_t at = ph_snapshot_log_count(snapshot), commits = 0;
	char record[PH_LOG_LINKED_MAX], link[PH_OID_HEX_MAX + 1] = "";
	struct ph_reader *reader;
	struct ph_ref ref;
	struct ph_oid oid;

	assert_int_equal(ph_snapshot_ref(snapshot, LOG_REF, &ref), PH_OK);
	assert_int_equal(ph_reader_new(&reader, ph_snapshot_source(snapshot), w->f.service.alloc,
	                               &w->f.limits),
	                 PH_OK);
	for (oid = ref.oid; at > 0; commits++) {
		struct ph_object commit, tree, blob;
		struct ph_commit parsed;
		struct ph_hash hash;
		struct ph_oid sum;
		char hex[PH_OID_HEX_MAX + 1];
		size_t len = sizeof(record);

		assert_int_equal(ph_snapshot_log_read(snapshot, --at, record, &len), PH_OK);
		assert_int_equal(ph_reader_read_oid(reader, &oid, MANY, &commit), PH_OK);
		assert_int_equal(ph_commit_parse(&parsed, PH_HASH_SHA1, commit.data, commit.size),
		                 PH_OK);
		assert_int_equal(ph_reader_read_oid(reader, &parsed.tree, MANY, &tree), PH_OK);
		assert_true(find(&tree, "record", &oid));
		assert_int_equal(ph_reader_read_oid(reader, &oid, MANY, &blob), PH_OK);
		assert_int_equal(blob.size, len);
		assert_memory_equal(blob.data, record, len);
		ph_hash_init(&hash, PH_HASH_SHA256);
		ph_hash_update(&hash, blob.data, blob.size);
		ph_hash_final(&hash, &sum);
		if (*link)
			assert_string_equal(ph_oid_to_hex(hex, PH_HASH_SHA256, &sum), link);
		memcpy(link, record, 64);
		link[64] = 0;
		if (parsed.parents)
			ph_commit_parent(&parsed, 0, &oid);
		assert_true((parsed.parents > 0) == (at > 0));
		ph_object_release(reader, &blob);
		ph_object_release(reader, &tree);
		ph_object_release(reader, &commit);
	}
	ph_reader_free(reader);
	ph_snapshot_release(snapshot);
	return commits;
}

static void tip_of(struct world *w, char hex[PH_OID_HEX_MAX + 1])
{
	struct ph_snapshot *snapshot = look(w);
	struct ph_ref ref;

	assert_int_equal(ph_snapshot_ref(snapshot, LOG_REF, &ref), PH_OK);
	ph_oid_to_hex(hex, PH_HASH_SHA1, &ref.oid);
	ph_snapshot_release(snapshot);
}

/* Slices are of random size; what is pushed next must not depend on them. */
static void maintain(struct world *w)
{
	struct ph_test_rng rng = w->rng;

	assert_int_equal(world_maintain(w, MANY), 0);
	w->rng = rng;
}

/* The same pushes, with maintenance after some of them: bits of when. */
static void play(struct world *w, unsigned when, uint64_t disk, char hex[PH_OID_HEX_MAX + 1])
{
	uint32_t last = WORLD_NONE;

	world_init(w, 7, disk);
	for (uint32_t i = 0; i < 12; i++) {
		uint32_t branch = i % WORLD_BRANCHES;

		last = world_commit(w, last);
		world_push(w, branch, last);
		if (i == 0)
			turn_on(w);
		if (i % 5 == 4)
			world_push(w, branch, WORLD_NONE);
		if (when >> i & 1)
			maintain(w);
	}
	if (disk)
		world_reopen(w);
	maintain(w);
	assert_int_equal(expect_chain(w), 14);
	tip_of(w, hex);
	world_check(w);
	world_release(w);
}

static void test_same_commits(void **state)
{
	static struct world w;
	char one[PH_OID_HEX_MAX + 1], other[PH_OID_HEX_MAX + 1];

	(void)state;
	play(&w, 0, 0, one);
	play(&w, 0xfff, 0, other);
	assert_string_equal(one, other);
	play(&w, 0x124, 64u << 20, other);
	assert_string_equal(one, other);
}

static void test_off(void **state)
{
	static struct world w;
	struct ph_snapshot *snapshot;
	struct ph_ref ref;

	(void)state;
	world_init(&w, 3, 0);
	world_push(&w, 0, world_commit(&w, WORLD_NONE));
	assert_int_equal(world_maintain(&w, MANY), 0);
	snapshot = look(&w);
	assert_int_equal(ph_snapshot_ref(snapshot, LOG_REF, &ref), PH_ERR_NOT_FOUND);
	ph_snapshot_release(snapshot);
	world_release(&w);
}

/* A certificate is kept though no branch reaches it; what else is not reached goes. Records that
 * are not as ours are, and names that would not do in a commit, are no obstacle. */
static void test_certificate(void **state)
{
	static struct world w;
	char text[200], hex[PH_OID_HEX_MAX + 1];
	uint32_t first, second;
	const struct world_commit *c;

	(void)state;
	world_init(&w, 5, 0);
	first = world_commit(&w, WORLD_NONE);
	world_push(&w, 0, first);
	second = first;
	for (uint32_t i = 0; i < 12; i++)
		second = world_commit(&w, second);
	world_push(&w, 1, second);
	turn_on(&w);
	c = &w.commits[second];
	snprintf(text, sizeof(text), "push 17 <a> b\ncertificate %s G OK - -\n",
	         ph_oid_to_hex(hex, PH_HASH_SHA1, &w.f.all.entries[c->blobs[0]].oid));
	add_record(&w, text);
	add_record(&w, "certificate zz");
	add_record(&w, "");
	add_record(&w, "\n\n\n");
	world_push(&w, 1, WORLD_NONE);
	assert_int_equal(world_maintain(&w, MANY), 0);
	assert_int_equal(expect_chain(&w), 7);
	assert_false(world_has(&w, c->commit));
	assert_true(world_has(&w, c->blobs[0]));
	world_release(&w);
}

/* The nth allocation fails: the ref is there or not, and what is there is right. */
static void test_no_memory(void **state)
{
	static struct world w;
	bool failed = true;

	(void)state;
	for (uint64_t n = 1; failed; n += 3) {
		world_init(&w, 9, 0);
		world_push(&w, 0, world_commit(&w, WORLD_NONE));
		turn_on(&w);
		w.f.memory.fail_at = w.f.memory.calls + n;
		(void)world_maintain(&w, MANY);
		failed = w.f.memory.calls >= w.f.memory.fail_at;
		w.f.memory.fail_at = 0;
		assert_int_equal(world_maintain(&w, MANY), 0);
		assert_int_equal(expect_chain(&w), 1);
		world_release(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_same_commits),
	        cmocka_unit_test(test_off),
	        cmocka_unit_test(test_certificate),
	        cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
