/* SPDX-License-Identifier: MIT */
/* Conformance: refs in snapshots. Who sees what when, order, seeking, symrefs, and large numbers.
 */
#include "conformance_int.h"

#include <stdio.h>

static void new_repository(struct conf *c)
{
	struct ph_ref ref;
	const struct ph_oid *shallow;
	char target[PH_REF_NAME_MAX + 1] = "";
	ph__conf_create(c, CONF_REPO);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	assert_string_equal(s->name, CONF_REPO);
	assert_int_equal(s->algo, c->algo);
	assert_ptr_equal(s->store, c->store);
	ph__conf_expect_names(s, "", "HEAD ");
	ph__conf_expect_symref(s, "HEAD", "refs/heads/main");
	ph__conf_expect_no_ref(s, "refs/heads/main");
	assert_status(ph_snapshot_resolve(s, "HEAD", &ref, target), PH_ERR_NOT_FOUND);
	assert_string_equal(target, "refs/heads/main");
	const struct ph_source *source = ph_snapshot_source(s);
	assert_non_null(source);
	assert_int_equal(source->algo, c->algo);
	assert_int_equal(source->ops->packs(source), 0);
	struct ph_oid oid = ph__conf_oid(c, 1);
	struct ph_loc loc;
	assert_status(source->ops->find(source, &oid, &loc), PH_ERR_NOT_FOUND);
	assert_int_equal(ph_snapshot_shallow(s, &shallow), 0);
	assert_int_equal(ph_snapshot_log_count(s), 0);
	ph_snapshot_release(s);
}

static void visibility(struct conf *c)
{
	struct ph_oid one = ph__conf_oid(c, 1), two = ph__conf_oid(c, 2);
	ph__conf_create(c, CONF_REPO);
	struct ph_snapshot *before = ph__conf_snapshot(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_set(txn, "refs/heads/main", &ph__conf_zero, &one);
	ph__conf_set(txn, "refs/heads/next", &ph__conf_zero, &two);
	assert_status(ph_txn_prepare(txn), PH_OK);
	/* Nobody sees it before it commits. */
	struct ph_snapshot *during = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(during, "", "HEAD ");
	ph__conf_commit(txn);
	struct ph_snapshot *after = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(after, "", "HEAD refs/heads/main refs/heads/next ");
	ph__conf_expect_ref(after, "refs/heads/main", &one);
	assert_true(after->generation != before->generation);
	/* Snapshots got earlier stay as they were. */
	ph__conf_expect_names(before, "", "HEAD ");
	ph__conf_expect_names(during, "", "HEAD ");
	ph__conf_expect_no_ref(before, "refs/heads/main");
	ph_snapshot_release(during);

	txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_set(txn, "refs/heads/main", &one, &two);
	ph__conf_set(txn, "refs/heads/next", &two, &ph__conf_zero);
	ph__conf_commit(txn);
	struct ph_snapshot *last = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(last, "", "HEAD refs/heads/main ");
	ph__conf_expect_ref(last, "refs/heads/main", &two);
	ph__conf_expect_ref(after, "refs/heads/main", &one);
	ph__conf_expect_ref(after, "refs/heads/next", &two);
	assert_true(last->generation != after->generation);
	assert_true(last->generation != before->generation);
	/* A snapshot has as many holders as retained it. */
	ph_snapshot_retain(after);
	ph_snapshot_release(after);
	ph__conf_expect_ref(after, "refs/heads/main", &one);
	ph_snapshot_release(before);
	ph_snapshot_release(after);
	ph_snapshot_release(last);
	ph_snapshot_release(NULL);
}

static void without_commit(struct conf *c)
{
	struct ph_oid one = ph__conf_oid(c, 1);
	struct ph_test_buf dump = {0};
	ph__conf_create(c, CONF_REPO);
	ph__conf_put(c, CONF_REPO, "refs/heads/main", 7);
	ph__conf_dump(c->store, &dump);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_set(txn, "refs/heads/other", NULL, &one);
	ph__conf_set(txn, "refs/heads/main", NULL, &ph__conf_zero);
	ph__conf_symref(txn, "HEAD", NULL, "refs/heads/other");
	assert_status(ph_txn_set_setting(txn, "owner", "me", 2), PH_OK);
	assert_status(ph_txn_log(txn, "line", 4), PH_OK);
	assert_status(ph_txn_set_shallow(txn, &one, 1), PH_OK);
	assert_status(ph_txn_prepare(txn), PH_OK);
	ph_txn_free(txn);
	ph_txn_free(NULL);
	ph__conf_expect_dump(c, &dump);
	/* A transaction that changes nothing can commit, with dropped changes too. */
	txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_commit(txn);
	txn = ph__conf_begin(c, CONF_REPO);
	ph_txn_drop(txn, ph__conf_set(txn, "refs/heads/other", NULL, &one));
	ph__conf_commit(txn);
	ph__conf_expect_dump(c, &dump);
	ph_test_buf_release(&dump);
}

static void iteration(struct conf *c)
{
	/* Byte order: "-" and "." come before "/", upper before lower case, UTF-8 last. */
	static const char *const names[] = {
	        "refs/heads/a/b", "refs/heads/a-b", "refs/heads/a.c",      "refs/heads/B",
	        "refs/tags/v1",   "refs/heads/z",   "refs/heads/\xc3\xa9",
	};
	struct ph_oid oid = ph__conf_oid(c, 3);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ph__conf_set(txn, names[i], &ph__conf_zero, &oid);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(s, "",
	                      "HEAD refs/heads/B refs/heads/a-b refs/heads/a.c "
	                      "refs/heads/a/b refs/heads/z refs/heads/\xc3\xa9 "
	                      "refs/tags/v1 ");
	/* From a name that is there, from one between others, and from behind the last. */
	ph__conf_expect_names(s, "refs/heads/z", "refs/heads/z refs/heads/\xc3\xa9 refs/tags/v1 ");
	ph__conf_expect_names(s, "refs/heads/a/",
	                      "refs/heads/a/b refs/heads/z "
	                      "refs/heads/\xc3\xa9 refs/tags/v1 ");
	ph__conf_expect_names(s, "refs/tags/", "refs/tags/v1 ");
	ph__conf_expect_names(s, "refs/tags/v1", "refs/tags/v1 ");
	ph__conf_expect_names(s, "refs/tags/v10", "");
	ph__conf_expect_names(s, "refs/tags/v1 ", "");
	ph__conf_expect_names(s, "zzz", "");
	/* Parts of names are not names. */
	ph__conf_expect_no_ref(s, "refs/heads");
	ph__conf_expect_no_ref(s, "refs/heads/a");
	ph__conf_expect_no_ref(s, "refs/heads/a/bc");
	ph__conf_expect_no_ref(s, "");
	/* Two iterators do not disturb each other, and one may be freed before its end. */
	struct ph_ref_iter *first, *second;
	struct ph_ref a, b;
	assert_status(ph_snapshot_refs(s, "", &first), PH_OK);
	assert_status(ph_snapshot_refs(s, "refs/tags/", &second), PH_OK);
	assert_status(ph_ref_iter_next(first, &a), PH_OK);
	assert_status(ph_ref_iter_next(second, &b), PH_OK);
	assert_status(ph_ref_iter_next(first, &a), PH_OK);
	assert_string_equal(a.name, "refs/heads/B");
	assert_string_equal(b.name, "refs/tags/v1");
	assert_memory_equal(&b.oid, &oid, sizeof(oid));
	ph_ref_iter_free(second);
	assert_status(ph_ref_iter_next(first, &a), PH_OK);
	ph_ref_iter_free(first);
	ph_ref_iter_free(NULL);
	ph_snapshot_release(s);
}

static void peeled_values(struct conf *c)
{
	struct ph_oid tag = ph__conf_oid(c, 1), commit = ph__conf_oid(c, 2);
	struct ph_ref ref;
	uint32_t change;
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(
	        ph_txn_ref_update(txn, "refs/tags/v1", &ph__conf_zero, &tag, &commit, &change),
	        PH_OK);
	assert_int_equal(change, 0);
	assert_status(ph_txn_ref_update(txn, "refs/tags/v2", &ph__conf_zero, &commit,
	                                &ph__conf_zero, &change),
	              PH_OK);
	assert_int_equal(change, 1);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	assert_status(ph_snapshot_ref(s, "refs/tags/v1", &ref), PH_OK);
	assert_true(ph_oid_equal(&ref.oid, &tag) && ph_oid_equal(&ref.peeled, &commit));
	assert_status(ph_snapshot_ref(s, "refs/tags/v2", &ref), PH_OK);
	assert_true(ph_oid_equal(&ref.oid, &commit) && ph_oid_is_zero(&ref.peeled));
	ph_snapshot_release(s);
	/* A new value has a new peeled value. */
	ph__conf_put(c, CONF_REPO, "refs/tags/v1", 9);
	s = ph__conf_snapshot(c, CONF_REPO);
	assert_status(ph_snapshot_ref(s, "refs/tags/v1", &ref), PH_OK);
	assert_true(ph_oid_is_zero(&ref.peeled));
	ph_snapshot_release(s);
}

static void symrefs(struct conf *c)
{
	struct ph_oid one = ph__conf_oid(c, 1);
	struct ph_ref ref;
	char target[PH_REF_NAME_MAX + 1];
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_set(txn, "refs/heads/dev", NULL, &one);
	ph__conf_symref(txn, "HEAD", "refs/heads/main", "refs/heads/dev");
	ph__conf_symref(txn, "refs/remotes/origin/HEAD", "", "refs/remotes/origin/main");
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(s, "", "HEAD refs/heads/dev refs/remotes/origin/HEAD ");
	ph__conf_expect_symref(s, "HEAD", "refs/heads/dev");
	ph__conf_expect_symref(s, "refs/remotes/origin/HEAD", "refs/remotes/origin/main");
	assert_status(ph_snapshot_resolve(s, "HEAD", &ref, target), PH_OK);
	assert_string_equal(ref.name, "refs/heads/dev");
	assert_string_equal(target, "refs/heads/dev");
	assert_true(ph_oid_equal(&ref.oid, &one));
	/* Without a symref it is the ref itself; target may be NULL. */
	assert_status(ph_snapshot_resolve(s, "refs/heads/dev", &ref, NULL), PH_OK);
	assert_string_equal(ref.name, "refs/heads/dev");
	assert_status(ph_snapshot_resolve(s, "refs/heads/x", &ref, target), PH_ERR_NOT_FOUND);
	assert_string_equal(target, "refs/heads/x");
	assert_status(ph_snapshot_resolve(s, "refs/remotes/origin/HEAD", &ref, target),
	              PH_ERR_NOT_FOUND);
	assert_string_equal(target, "refs/remotes/origin/main");
	ph_snapshot_release(s);
	/* A symref can become a ref and the other way round, and be deleted. */
	txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_set(txn, "refs/remotes/origin/HEAD", NULL, &one);
	ph__conf_symref(txn, "refs/heads/dev", NULL, "refs/remotes/origin/HEAD");
	ph__conf_symref(txn, "HEAD", "refs/heads/dev", NULL);
	ph__conf_commit(txn);
	s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(s, "", "refs/heads/dev refs/remotes/origin/HEAD ");
	ph__conf_expect_ref(s, "refs/remotes/origin/HEAD", &one);
	ph__conf_expect_symref(s, "refs/heads/dev", "refs/remotes/origin/HEAD");
	ph_snapshot_release(s);
}

static void symref_chains(struct conf *c)
{
	struct ph_oid one = ph__conf_oid(c, 1);
	struct ph_ref ref, untouched;
	char target[PH_REF_NAME_MAX + 1];
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_set(txn, "refs/l0", NULL, &one);
	ph__conf_symref(txn, "refs/l1", NULL, "refs/l0");
	ph__conf_symref(txn, "refs/l2", NULL, "refs/l1");
	ph__conf_symref(txn, "refs/l3", NULL, "refs/l2");
	ph__conf_symref(txn, "refs/l4", NULL, "refs/l3");
	ph__conf_symref(txn, "refs/l5", NULL, "refs/l4");
	ph__conf_symref(txn, "refs/l6", NULL, "refs/l5");
	ph__conf_symref(txn, "refs/loop", NULL, "refs/loop");
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	assert_status(ph_snapshot_resolve(s, "refs/l5", &ref, target), PH_OK);
	assert_string_equal(ref.name, "refs/l0");
	memset(&ref, 0x5a, sizeof(ref));
	untouched = ref;
	assert_status(ph_snapshot_resolve(s, "refs/l6", &ref, target), PH_ERR_LIMIT);
	assert_status(ph_snapshot_resolve(s, "refs/loop", &ref, target), PH_ERR_LIMIT);
	assert_memory_equal(&ref, &untouched, sizeof(ref));
	ph_snapshot_release(s);
}

static void long_names(struct conf *c)
{
	char name[PH_REF_NAME_MAX + 2];
	struct ph_ref ref;
	uint32_t change;
	struct ph_oid one = ph__conf_oid(c, 1);
	ph__conf_create(c, CONF_REPO);
	memset(name, 'x', sizeof(name));
	memcpy(name, "refs/heads/", 11);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	/* Too long as a name and as a target: refused, and nothing of it stays. */
	name[PH_REF_NAME_MAX + 1] = '\0';
	assert_status(ph_txn_ref_update(txn, name, NULL, &one, NULL, &change), PH_ERR_INVALID);
	assert_status(ph_txn_symref_update(txn, name, NULL, "refs/heads/a", &change),
	              PH_ERR_INVALID);
	assert_status(ph_txn_symref_update(txn, "refs/heads/s", NULL, name, &change),
	              PH_ERR_INVALID);
	assert_status(ph_txn_ref_update(txn, "", NULL, &one, NULL, &change), PH_ERR_INVALID);
	struct ph_snapshot *before = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_no_ref(before, name);
	assert_status(ph_snapshot_resolve(before, name, &ref, NULL), PH_ERR_NOT_FOUND);
	ph_snapshot_release(before);
	name[PH_REF_NAME_MAX] = '\0';
	assert_int_equal(ph__conf_set(txn, name, NULL, &one), 0);
	assert_int_equal(ph__conf_symref(txn, "refs/heads/s", NULL, name), 1);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_ref(s, name, &one);
	assert_status(ph_snapshot_resolve(s, "refs/heads/s", &ref, NULL), PH_OK);
	assert_string_equal(ref.name, name);
	ph_snapshot_release(s);
}

static void numbered(char *out, size_t size, uint32_t number)
{
	snprintf(out, size, "refs/%s/%03u/n%u", number % 3 ? "heads" : "tags",
	         (unsigned)(number * 7 % 251), (unsigned)number);
}

/* All of them are there, in order, with their values. */
static void expect_numbered(struct conf *c, uint32_t count, uint32_t gone_each)
{
	char name[100], previous[PH_REF_NAME_MAX + 1] = "";
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	uint32_t seen = 0;
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	assert_status(ph_snapshot_refs(s, "refs/", &iter), PH_OK);
	while (ph_ref_iter_next(iter, &ref) == PH_OK) {
		assert_true(strcmp(previous, ref.name) < 0);
		memcpy(previous, ref.name, sizeof(previous));
		seen++;
	}
	ph_ref_iter_free(iter);
	uint32_t gone = gone_each ? (count + gone_each - 1) / gone_each : 0;
	assert_int_equal(seen, count - gone);
	for (uint32_t i = 0; i < count; i++) {
		struct ph_oid oid = ph__conf_oid(c, i + 1);
		numbered(name, sizeof(name), i);
		if (gone_each && i % gone_each == 0)
			ph__conf_expect_no_ref(s, name);
		else
			ph__conf_expect_ref(s, name, &oid);
	}
	ph_snapshot_release(s);
}

#define MANY 20000u

static void many_refs(struct conf *c)
{
	char name[100];
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	for (uint32_t i = 0; i < MANY; i++) {
		struct ph_oid oid = ph__conf_oid(c, i + 1);
		numbered(name, sizeof(name), i);
		assert_int_equal(ph__conf_set(txn, name, &ph__conf_zero, &oid), i);
	}
	assert_status(ph_txn_prepare(txn), PH_OK);
	ph__conf_commit(txn);
	expect_numbered(c, MANY, 0);
	/* One more of the many, and then a quarter less. */
	ph__conf_put(c, CONF_REPO, "refs/heads/003/one-more", 5);
	ph__conf_put(c, CONF_REPO, "refs/heads/003/one-more", 0);
	txn = ph__conf_begin(c, CONF_REPO);
	for (uint32_t i = 0; i < MANY; i += 4) {
		struct ph_oid oid = ph__conf_oid(c, i + 1);
		numbered(name, sizeof(name), i);
		ph__conf_set(txn, name, &oid, &ph__conf_zero);
	}
	ph__conf_commit(txn);
	expect_numbered(c, MANY, 4);
	/* All gone: an empty table again. */
	txn = ph__conf_begin(c, CONF_REPO);
	for (uint32_t i = 0; i < MANY; i++) {
		numbered(name, sizeof(name), i);
		ph__conf_set(txn, name, NULL, &ph__conf_zero);
	}
	ph__conf_symref(txn, "HEAD", NULL, NULL);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(s, "", "");
	ph_snapshot_release(s);
	ph__conf_put(c, CONF_REPO, "refs/heads/main", 1);
}

static void many_commits(struct conf *c)
{
	char name[100];
	ph__conf_create(c, CONF_REPO);
	struct ph_snapshot *first = ph__conf_snapshot(c, CONF_REPO);
	struct ph_snapshot *held = NULL;
	for (uint32_t i = 0; i < 500; i++) {
		numbered(name, sizeof(name), i);
		ph__conf_put(c, CONF_REPO, name, i + 1);
		if (i == 250)
			held = ph__conf_snapshot(c, CONF_REPO);
	}
	expect_numbered(c, 500, 0);
	ph__conf_expect_names(first, "", "HEAD ");
	numbered(name, sizeof(name), 251);
	ph__conf_expect_no_ref(held, name);
	numbered(name, sizeof(name), 250);
	struct ph_oid oid = ph__conf_oid(c, 251);
	ph__conf_expect_ref(held, name, &oid);
	ph_snapshot_release(first);
	ph_snapshot_release(held);
	for (uint32_t i = 0; i < 500; i += 2) {
		numbered(name, sizeof(name), i);
		ph__conf_put(c, CONF_REPO, name, 0);
	}
	expect_numbered(c, 500, 2);
}

const struct conf_test ph__conf_refs_tests[] = {
        {"refs: a new repository", new_repository, 0},
        {"refs: visible after commit only", visibility, 0},
        {"refs: nothing without commit", without_commit, 0},
        {"refs: order and seeking", iteration, CONF_ONCE},
        {"refs: peeled values", peeled_values, 0},
        {"refs: symrefs", symrefs, 0},
        {"refs: chains of symrefs", symref_chains, CONF_ONCE},
        {"refs: long names", long_names, CONF_ONCE},
        {"refs: many at once", many_refs, 0},
        {"refs: many commits", many_commits, 0},
        {NULL, NULL, 0},
};
