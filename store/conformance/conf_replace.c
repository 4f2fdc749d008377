/* SPDX-License-Identifier: MIT */
/*
 * Conformance: replacing packs, and attaching auxiliary sections. What an open transaction's base
 * can see stays, or a push could commit refs to objects that are gone.
 */
#include "conformance_int.h"

/* A repository with packs "a", "b" and "c" of 4 blobs; their ids. */
static void make_packs(struct conf *c, uint64_t ids[3])
{
	ph__conf_create(c, CONF_REPO);
	ids[0] = ph__conf_commit_pack(c, CONF_REPO, "a", 4);
	ids[1] = ph__conf_commit_pack(c, CONF_REPO, "b", 4);
	ids[2] = ph__conf_commit_pack(c, CONF_REPO, "c", 4);
}

static void expect_label(struct conf *c, struct ph_snapshot *snapshot, const char *label,
                         bool there)
{
	struct ph_test_pack pack;
	struct ph_snapshot *s = snapshot ? snapshot : ph__conf_snapshot(c, CONF_REPO);
	ph__conf_make_pack(c, &pack, label, 4);
	ph__conf_expect_objects(ph_snapshot_source(s), &pack, there);
	ph_test_pack_release(&pack);
	if (!snapshot)
		ph_snapshot_release(s);
}

static void add_label(struct conf *c, struct ph_txn *txn, const char *label)
{
	struct ph_test_pack pack;
	ph__conf_make_pack(c, &pack, label, 4);
	ph__conf_add_pack(txn, &pack);
	ph_test_pack_release(&pack);
}

static void replace(struct conf *c)
{
	uint64_t ids[3];
	make_packs(c, ids);
	assert_true(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
	struct ph_snapshot *before = ph__conf_snapshot(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_replace(txn, ids, 2, false), PH_OK);
	add_label(c, txn, "a");
	add_label(c, txn, "b");
	expect_label(c, NULL, "a", true);
	/* Until it commits it has no effect, and in its own source base packs stay first. */
	const struct ph_source *source = ph_txn_source(txn);
	assert_int_equal(source->ops->packs(source), 5);
	ph__conf_commit(txn);
	struct ph_snapshot *after = ph__conf_snapshot(c, CONF_REPO);
	source = ph_snapshot_source(after);
	assert_int_equal(source->ops->packs(source), 3);
	assert_int_equal(ph__conf_pack_number(after, ids[0]), 3);
	assert_int_equal(ph__conf_pack_number(after, ids[1]), 3);
	assert_true(ph__conf_pack_number(after, ids[2]) < 3);
	for (const char *label = "a"; label; label = *label == 'a'   ? "b"
	                                             : *label == 'b' ? "c"
	                                                             : NULL) {
		expect_label(c, after, label, true);
		expect_label(c, before, label, true);
	}
	ph_snapshot_release(before);
	ph_snapshot_release(after);
}

static void replace_wrong_ids(struct conf *c)
{
	uint64_t ids[3];
	make_packs(c, ids);
	uint64_t wrong[2] = {ids[0], ids[0] + ids[1] + ids[2] + 1000};
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	struct ph_sink *sink;
	assert_status(ph_txn_replace(txn, wrong, 2, true), PH_ERR_NOT_FOUND);
	assert_status(ph_txn_attach(txn, wrong[1], PH_SECTION_AUX, &sink), PH_ERR_NOT_FOUND);
	/* None of them is taken. */
	add_label(c, txn, "d");
	ph__conf_commit(txn);
	expect_label(c, NULL, "a", true);
	/* A pack of a later snapshot is none of the base. */
	txn = ph__conf_begin(c, CONF_REPO);
	uint64_t later = ph__conf_commit_pack(c, CONF_REPO, "e", 4);
	assert_status(ph_txn_replace(txn, &later, 1, false), PH_ERR_NOT_FOUND);
	ph_txn_free(txn);
}

static void replace_conflicts(struct conf *c)
{
	uint64_t ids[3];
	struct ph_test_buf dump = {0};
	make_packs(c, ids);
	struct ph_txn *first = ph__conf_begin(c, CONF_REPO), *second = ph__conf_begin(c, CONF_REPO);
	struct ph_txn *other = ph__conf_begin(c, CONF_REPO), *adds = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_replace(first, ids, 2, false), PH_OK);
	add_label(c, first, "a");
	add_label(c, first, "b");
	assert_status(ph_txn_replace(second, ids + 1, 1, false), PH_OK);
	add_label(c, second, "b");
	assert_status(ph_txn_replace(other, ids + 2, 1, false), PH_OK);
	add_label(c, other, "c");
	add_label(c, adds, "d");
	assert_status(ph__conf_try_commit(first), PH_OK);
	ph__conf_dump(c->store, &dump);
	/* Another took one of its packs. */
	assert_status(ph__conf_try_commit(second), PH_ERR_CONFLICT);
	ph__conf_expect_dump(c, &dump);
	ph_test_buf_release(&dump);
	/* One of other packs, and one that only adds, have no conflict. */
	assert_status(ph__conf_try_commit(other), PH_OK);
	assert_status(ph__conf_try_commit(adds), PH_OK);
	ph_txn_free(first);
	ph_txn_free(second);
	ph_txn_free(other);
	ph_txn_free(adds);
	expect_label(c, NULL, "a", true);
	expect_label(c, NULL, "b", true);
	expect_label(c, NULL, "c", true);
	expect_label(c, NULL, "d", true);
}

static void push_over_moved(struct conf *c)
{
	/* A push whose base is older than a replacement that moved objects commits. */
	uint64_t ids[3];
	struct ph_oid one = ph__conf_oid(c, 1);
	make_packs(c, ids);
	struct ph_txn *push = ph__conf_begin(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_replace(txn, ids, 3, false), PH_OK);
	add_label(c, txn, "a");
	add_label(c, txn, "b");
	add_label(c, txn, "c");
	assert_status(ph__conf_try_commit(txn), PH_OK);
	ph_txn_free(txn);
	add_label(c, push, "d");
	ph__conf_set(push, "refs/heads/main", NULL, &one);
	ph__conf_commit(push);
	expect_label(c, NULL, "a", true);
	expect_label(c, NULL, "d", true);
}

/* Tries to drop a pack; true when it could. */
static bool try_drop(struct conf *c, uint64_t id)
{
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_replace(txn, &id, 1, true), PH_OK);
	enum ph_status status = ph__conf_try_commit(txn);
	if (status != PH_OK)
		assert_status(status, PH_ERR_BUSY);
	ph_txn_free(txn);
	return status == PH_OK;
}

static void drop(struct conf *c)
{
	uint64_t ids[3];
	make_packs(c, ids);
	struct ph_snapshot *before = ph__conf_snapshot(c, CONF_REPO);
	/* Snapshots do not keep objects from being dropped: they have their own view of them. */
	assert_true(try_drop(c, ids[1]));
	expect_label(c, NULL, "a", true);
	expect_label(c, NULL, "b", false);
	expect_label(c, before, "b", true);
	/* Over what was dropped since, nothing can begin: its base would promise too much. */
	struct ph_txn *txn = NULL;
	assert_status(ph_store_begin(c->store, before, &txn), PH_ERR_CONFLICT);
	assert_null(txn);
	ph_snapshot_release(before);
	txn = ph__conf_begin(c, CONF_REPO);
	ph_txn_free(txn);
}

static void drop_waits(struct conf *c)
{
	uint64_t ids[3];
	struct ph_test_buf dump = {0};
	make_packs(c, ids);
	struct ph_txn *open = ph__conf_begin(c, CONF_REPO);
	ph__conf_dump(c->store, &dump);
	assert_false(try_drop(c, ids[0]));
	ph__conf_expect_dump(c, &dump);
	ph_test_buf_release(&dump);
	/* A pack that came after it began does not concern it. */
	uint64_t later = ph__conf_commit_pack(c, CONF_REPO, "later", 4);
	assert_true(try_drop(c, later));
	assert_false(try_drop(c, ids[0]));
	/* Nor does another repository's transaction, nor the replacement's own. */
	ph__conf_create(c, "other");
	struct ph_txn *elsewhere = ph__conf_begin(c, "other");
	ph_txn_free(open);
	assert_true(try_drop(c, ids[0]));
	ph_txn_free(elsewhere);
	expect_label(c, NULL, "a", false);
}

static void drop_waits_for_moved(struct conf *c)
{
	/* What an open base holds may have moved to another pack meanwhile: that one stays too. */
	uint64_t ids[3];
	make_packs(c, ids);
	struct ph_txn *push = ph__conf_begin(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_replace(txn, ids, 3, false), PH_OK);
	add_label(c, txn, "a");
	assert_status(ph__conf_try_commit(txn), PH_OK);
	ph_txn_free(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	uint64_t moved = ph_snapshot_pack_id(s, 0);
	ph_snapshot_release(s);
	assert_false(try_drop(c, moved));
	expect_label(c, NULL, "a", true);
	ph_txn_free(push);
	assert_true(try_drop(c, moved));
	expect_label(c, NULL, "a", false);
}

static void drop_after_push(struct conf *c)
{
	/*
	 * A push that began and ended between may have made reachable what is about to be dropped:
	 * the replacement did not see it. Deleting a ref, or adding packs, makes nothing reachable.
	 */
	uint64_t ids[3];
	make_packs(c, ids);
	ph__conf_put(c, CONF_REPO, "refs/heads/old", 3);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_replace(txn, ids, 1, true), PH_OK);
	ph__conf_put(c, CONF_REPO, "refs/heads/main", 1);
	assert_status(ph__conf_try_commit(txn), PH_ERR_BUSY);
	ph_txn_free(txn);
	expect_label(c, NULL, "a", true);

	txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_replace(txn, ids, 1, true), PH_OK);
	struct ph_oid one = ph__conf_oid(c, 1);
	struct ph_txn *shallow = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_shallow(shallow, &one, 1), PH_OK);
	ph__conf_commit(shallow);
	assert_status(ph__conf_try_commit(txn), PH_ERR_BUSY);
	ph_txn_free(txn);

	txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_replace(txn, ids, 1, true), PH_OK);
	ph__conf_put(c, CONF_REPO, "refs/heads/old", 0);
	ph__conf_commit_pack(c, CONF_REPO, "e", 4);
	assert_status(ph__conf_try_commit(txn), PH_OK);
	ph_txn_free(txn);
	expect_label(c, NULL, "a", false);
	expect_label(c, NULL, "e", true);
	/* A replacement that only moves is never in the way, nor held up. */
	txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_replace(txn, ids + 1, 1, false), PH_OK);
	add_label(c, txn, "b");
	ph__conf_put(c, CONF_REPO, "refs/heads/main", 2);
	ph__conf_commit(txn);
	expect_label(c, NULL, "b", true);
}

static void replace_everything(struct conf *c)
{
	uint64_t ids[3];
	make_packs(c, ids);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	/* Piecemeal, and one of them twice. */
	assert_status(ph_txn_replace(txn, ids, 1, false), PH_OK);
	assert_status(ph_txn_replace(txn, ids, 2, true), PH_OK);
	assert_status(ph_txn_replace(txn, ids + 2, 1, false), PH_OK);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	const struct ph_source *source = ph_snapshot_source(s);
	assert_int_equal(source->ops->packs(source), 0);
	ph_snapshot_release(s);
	ph__conf_commit_pack(c, CONF_REPO, "a", 4);
	expect_label(c, NULL, "a", true);
}

static void attach(struct conf *c)
{
	uint64_t ids[3];
	struct ph_sink *sink, *again;
	make_packs(c, ids);
	struct ph_snapshot *before = ph__conf_snapshot(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_attach(txn, ids[1], PH_SECTION_INDEX, &sink), PH_ERR_INVALID);
	assert_status(ph_txn_attach(txn, ids[1], PH_SECTION_MAX + 1, &sink), PH_ERR_INVALID);
	assert_status(ph_txn_attach(txn, ids[1], PH_SECTION_AUX + 2, &sink), PH_OK);
	ph__conf_append(sink, "graph", 5);
	assert_status(ph_txn_attach(txn, ids[1], PH_SECTION_AUX + 2, &again), PH_OK);
	assert_ptr_equal(sink, again);
	assert_status(ph_txn_attach(txn, ids[0], PH_SECTION_AUX + 2, &sink), PH_OK);
	sink->ops->abort(sink);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	uint32_t a = ph__conf_pack_number(s, ids[0]), b = ph__conf_pack_number(s, ids[1]);
	assert_true(a < 3 && b < 3);
	assert_null(ph_snapshot_section(s, a, PH_SECTION_AUX + 2));
	ph__conf_expect_bytes(ph_snapshot_section(s, b, PH_SECTION_AUX + 2), "graph", 5);
	b = ph__conf_pack_number(before, ids[1]);
	assert_null(ph_snapshot_section(before, b, PH_SECTION_AUX + 2));
	/* Another of this type replaces it; the snapshot keeps the old one. One of another type is
	 * added. */
	txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_attach(txn, ids[1], PH_SECTION_AUX + 2, &sink), PH_OK);
	ph__conf_append(sink, "a better graph", 14);
	assert_status(ph_txn_attach(txn, ids[1], PH_SECTION_MAX, &sink), PH_OK);
	ph__conf_append(sink, "bitmaps", 7);
	ph__conf_commit(txn);
	b = ph__conf_pack_number(s, ids[1]);
	ph__conf_expect_bytes(ph_snapshot_section(s, b, PH_SECTION_AUX + 2), "graph", 5);
	ph_snapshot_release(s);
	ph_snapshot_release(before);
	s = ph__conf_snapshot(c, CONF_REPO);
	b = ph__conf_pack_number(s, ids[1]);
	ph__conf_expect_bytes(ph_snapshot_section(s, b, PH_SECTION_AUX + 2), "a better graph", 14);
	ph__conf_expect_bytes(ph_snapshot_section(s, b, PH_SECTION_MAX), "bitmaps", 7);
	ph_snapshot_release(s);
	expect_label(c, NULL, "b", true);
}

static void attach_conflicts(struct conf *c)
{
	uint64_t ids[3];
	struct ph_sink *sink;
	make_packs(c, ids);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_attach(txn, ids[0], PH_SECTION_AUX, &sink), PH_OK);
	ph__conf_append(sink, "graph", 5);
	struct ph_txn *takes = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_replace(takes, ids, 1, false), PH_OK);
	add_label(c, takes, "a");
	ph__conf_commit(takes);
	assert_status(ph__conf_try_commit(txn), PH_ERR_CONFLICT);
	ph_txn_free(txn);
	/* Nothing without commit. */
	txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_attach(txn, ids[1], PH_SECTION_AUX, &sink), PH_OK);
	ph__conf_append(sink, "graph", 5);
	ph_txn_free(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	assert_null(ph_snapshot_section(s, ph__conf_pack_number(s, ids[1]), PH_SECTION_AUX));
	ph_snapshot_release(s);
}

const struct conf_test ph__conf_replace_tests[] = {
        {"replace: packs by others", replace, 0},
        {"replace: ids that are none", replace_wrong_ids, CONF_ONCE},
        {"replace: conflicts", replace_conflicts, CONF_ONCE},
        {"replace: a push over moved objects", push_over_moved, CONF_ONCE},
        {"replace: dropped objects", drop, CONF_ONCE},
        {"replace: a drop waits for open bases", drop_waits, CONF_ONCE},
        {"replace: a drop waits for what moved", drop_waits_for_moved, CONF_ONCE},
        {"replace: a drop that a push overtook", drop_after_push, CONF_ONCE},
        {"replace: everything", replace_everything, CONF_ONCE},
        {"attach: sections", attach, CONF_ONCE},
        {"attach: conflicts", attach_conflicts, CONF_ONCE},
        {NULL, NULL, 0},
};
