/* SPDX-License-Identifier: MIT */
/* Conformance: repositories. Creating, listing, deleting, their names, and how many there may be.
 */
#include "conformance_int.h"

#include <stdio.h>

static void expect_repos(struct conf *c, const char *names)
{
	char name[PH_REPO_NAME_MAX + 1], after[PH_REPO_NAME_MAX + 1] = "";
	struct ph_test_buf text = {0};
	enum ph_status status;
	while ((status = ph_store_next_repo(c->store, after, name)) == PH_OK) {
		ph_test_buf_print(&text, "%s ", name);
		memcpy(after, name, sizeof(after));
	}
	assert_status(status, PH_END);
	ph_test_buf_append(&text, "", 1);
	assert_string_equal((const char *)text.data, names);
	ph_test_buf_release(&text);
}

static void create_and_list(struct conf *c)
{
	struct ph_snapshot *s = NULL;
	struct ph_txn *txn;
	char name[PH_REPO_NAME_MAX + 1];
	expect_repos(c, "");
	assert_status(ph_store_snapshot(c->store, "a", &s), PH_ERR_NOT_FOUND);
	assert_null(s);
	/* It is not there before it is committed, and not when it is not. */
	assert_status(ph_store_create(c->store, "b", c->algo, &txn), PH_OK);
	assert_null(txn->base);
	assert_int_equal(txn->algo, c->algo);
	assert_ptr_equal(txn->store, c->store);
	assert_status(ph_store_snapshot(c->store, "b", &s), PH_ERR_NOT_FOUND);
	expect_repos(c, "");
	ph_txn_free(txn);
	assert_status(ph_store_snapshot(c->store, "b", &s), PH_ERR_NOT_FOUND);
	expect_repos(c, "");
	ph__conf_create(c, "b");
	ph__conf_create(c, "team/x");
	ph__conf_create(c, "a");
	ph__conf_create(c, "team");
	ph__conf_create(c, "team-x");
	ph__conf_create(c, "team/x/y");
	/* Names are names: that one begins with another and a slash means nothing. */
	expect_repos(c, "a b team team-x team/x team/x/y ");
	assert_status(ph_store_next_repo(c->store, "team.", name), PH_OK);
	assert_string_equal(name, "team/x");
	assert_status(ph_store_next_repo(c->store, "zz", name), PH_END);
	assert_status(ph_store_snapshot(c->store, "team/", &s), PH_ERR_NOT_FOUND);
	assert_status(ph_store_snapshot(c->store, "tea", &s), PH_ERR_NOT_FOUND);
	assert_status(ph_store_snapshot(c->store, "", &s), PH_ERR_NOT_FOUND);
	ph__conf_put(c, "team", "refs/heads/main", 1);
	s = ph__conf_snapshot(c, "team/x");
	ph__conf_expect_names(s, "", "HEAD ");
	ph_snapshot_release(s);
}

static void create_with_content(struct conf *c)
{
	struct ph_txn *txn;
	struct ph_test_pack pack;
	struct ph_oid one = ph__conf_oid(c, 1);
	ph__conf_make_pack(c, &pack, "first push", 5);
	assert_status(ph_store_create(c->store, "new", c->algo, &txn), PH_OK);
	assert_int_equal(ph_txn_source(txn)->ops->packs(ph_txn_source(txn)), 0);
	ph__conf_add_pack(txn, &pack);
	ph__conf_expect_objects(ph_txn_source(txn), &pack, true);
	ph__conf_set(txn, "refs/heads/trunk", &ph__conf_zero, &one);
	ph__conf_symref(txn, "HEAD", NULL, "refs/heads/trunk");
	assert_status(ph_txn_set_setting(txn, "owner", "me", 2), PH_OK);
	assert_status(ph_txn_log(txn, "created", 7), PH_OK);
	assert_status(ph_txn_prepare(txn), PH_OK);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, "new");
	ph__conf_expect_names(s, "", "HEAD refs/heads/trunk ");
	ph__conf_expect_symref(s, "HEAD", "refs/heads/trunk");
	ph__conf_expect_objects(ph_snapshot_source(s), &pack, true);
	assert_int_equal(ph_snapshot_log_count(s), 1);
	ph_snapshot_release(s);
	ph_test_pack_release(&pack);
}

static void create_checks_refs(struct conf *c)
{
	struct ph_txn *txn;
	struct ph_oid one = ph__conf_oid(c, 1);
	assert_status(ph_store_create(c->store, "new", c->algo, &txn), PH_OK);
	ph__conf_set(txn, "refs/heads/a", &one, &one);
	ph__conf_set(txn, "refs/heads/b", &ph__conf_zero, &one);
	ph__conf_set(txn, "refs/heads/b/c", &ph__conf_zero, &one);
	/* Its HEAD counts as there. */
	ph__conf_set(txn, "HEAD/x", &ph__conf_zero, &one);
	assert_status(ph_txn_prepare(txn), PH_ERR_CONFLICT);
	assert_status(ph_txn_verdict(txn, 0), PH_ERR_NOT_FOUND);
	assert_status(ph_txn_verdict(txn, 1), PH_OK);
	assert_status(ph_txn_verdict(txn, 2), PH_ERR_INVALID);
	assert_status(ph_txn_verdict(txn, 3), PH_ERR_INVALID);
	assert_status(ph__conf_try_commit(txn), PH_ERR_CONFLICT);
	expect_repos(c, "");
	ph_txn_drop(txn, 0);
	ph_txn_drop(txn, 2);
	ph_txn_drop(txn, 3);
	/* A change of HEAD that is dropped leaves HEAD as it is made. */
	ph_txn_drop(txn, ph__conf_symref(txn, "HEAD", NULL, "refs/heads/b"));
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, "new");
	ph__conf_expect_names(s, "", "HEAD refs/heads/b ");
	ph__conf_expect_symref(s, "HEAD", "refs/heads/main");
	ph_snapshot_release(s);
}

static void create_twice(struct conf *c)
{
	struct ph_txn *first, *second, *third;
	struct ph_oid one = ph__conf_oid(c, 1);
	assert_status(ph_store_create(c->store, "x", c->algo, &first), PH_OK);
	assert_status(ph_store_create(c->store, "x", c->algo, &second), PH_OK);
	ph__conf_set(first, "refs/heads/first", NULL, &one);
	ph__conf_set(second, "refs/heads/second", NULL, &one);
	assert_status(ph__conf_try_commit(second), PH_OK);
	assert_status(ph__conf_try_commit(first), PH_ERR_EXISTS);
	ph_txn_free(first);
	ph_txn_free(second);
	assert_status(ph_store_create(c->store, "x", c->algo, &third), PH_ERR_EXISTS);
	struct ph_snapshot *s = ph__conf_snapshot(c, "x");
	ph__conf_expect_names(s, "", "HEAD refs/heads/second ");
	ph_snapshot_release(s);
}

static void delete_and_recreate(struct conf *c)
{
	struct ph_oid one = ph__conf_oid(c, 1);
	struct ph_test_pack pack;
	struct ph_snapshot *s = NULL;
	ph__conf_make_pack(c, &pack, "content", 4);
	ph__conf_create(c, "x");
	ph__conf_create(c, "y");
	struct ph_txn *txn = ph__conf_begin(c, "x");
	ph__conf_add_pack(txn, &pack);
	ph__conf_set(txn, "refs/heads/main", NULL, &one);
	ph__conf_commit(txn);
	struct ph_snapshot *held = ph__conf_snapshot(c, "x");
	struct ph_txn *late = ph__conf_begin(c, "x");
	ph__conf_set(late, "refs/heads/late", NULL, &one);
	/* Not committed: nothing happens. */
	txn = ph__conf_begin(c, "x");
	assert_status(ph_txn_delete_repo(txn), PH_OK);
	expect_repos(c, "x y ");
	ph_txn_free(txn);
	expect_repos(c, "x y ");
	txn = ph__conf_begin(c, "x");
	assert_status(ph_txn_delete_repo(txn), PH_OK);
	ph__conf_commit(txn);
	expect_repos(c, "y ");
	assert_status(ph_store_snapshot(c->store, "x", &s), PH_ERR_NOT_FOUND);
	/* Snapshots stay readable, and transactions that began before are too late. */
	ph__conf_expect_names(held, "", "HEAD refs/heads/main ");
	assert_string_equal(held->name, "x");
	ph__conf_expect_objects(ph_snapshot_source(held), &pack, true);
	assert_status(ph_txn_prepare(late), PH_ERR_NOT_FOUND);
	assert_status(ph__conf_try_commit(late), PH_ERR_NOT_FOUND);
	ph_txn_free(late);
	/* The name is free, and a new repository has nothing of the old one. */
	late = NULL;
	if (ph_store_begin(c->store, held, &late) == PH_OK)
		ph__conf_set(late, "refs/heads/later", NULL, &one);
	ph__conf_create(c, "x");
	if (late)
		assert_status(ph__conf_try_commit(late), PH_ERR_NOT_FOUND);
	ph_txn_free(late);
	s = ph__conf_snapshot(c, "x");
	ph__conf_expect_names(s, "", "HEAD ");
	ph__conf_expect_objects(ph_snapshot_source(s), &pack, false);
	assert_true(s->generation != held->generation);
	ph__conf_expect_objects(ph_snapshot_source(held), &pack, true);
	ph_snapshot_release(s);
	ph_snapshot_release(held);
	ph_test_pack_release(&pack);
	/* Two deletions: the second finds nothing. */
	struct ph_txn *first = ph__conf_begin(c, "y"), *second = ph__conf_begin(c, "y");
	assert_status(ph_txn_delete_repo(first), PH_OK);
	assert_status(ph_txn_delete_repo(second), PH_OK);
	assert_status(ph__conf_try_commit(first), PH_OK);
	assert_status(ph__conf_try_commit(second), PH_ERR_NOT_FOUND);
	ph_txn_free(first);
	ph_txn_free(second);
	expect_repos(c, "x ");
}

static void both_formats(struct conf *c)
{
	struct ph_txn *txn;
	assert_status(ph_store_create(c->store, "one", PH_HASH_SHA1, &txn), PH_OK);
	ph__conf_commit(txn);
	assert_status(ph_store_create(c->store, "two", PH_HASH_SHA256, &txn), PH_OK);
	ph__conf_commit(txn);
	struct ph_snapshot *one = ph__conf_snapshot(c, "one"), *two = ph__conf_snapshot(c, "two");
	assert_int_equal(one->algo, PH_HASH_SHA1);
	assert_int_equal(two->algo, PH_HASH_SHA256);
	assert_int_equal(ph_snapshot_source(two)->algo, PH_HASH_SHA256);
	ph_snapshot_release(one);
	ph_snapshot_release(two);
}

static const char *const good_names[] = {
        "a",         "A.b",       "team/project",
        "a/b/c/d/e", "git",       "x.gitx",
        "0",         "~user/x y", "\xc3\xa9/\xf0\x9f\x90\xb4",
        "a-",        "_",         "a..b",
        "git.git-x",
};

static const char *const bad_names[] = {
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        ".git",
        "x.git",
        "x.git/y",
        "a/.b",
        "-a",
        "a/-b",
        "a\\b",
        "a\nb",
        "\x7f",
        "a\tb",
        "\x1b[0m",
        "\xff",
        "\xc3(",
        "a\xc3",
        "\xc0\xaf",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\xe0\x80\xaf",
        "\x80",
        "\xf8\x88\x80\x80\x80",
};

static void names(struct conf *c)
{
	struct ph_txn *txn = NULL;
	char name[PH_REPO_NAME_MAX + 2];
	for (size_t i = 0; i < sizeof(good_names) / sizeof(good_names[0]); i++) {
		assert_status(ph_repo_name_check(good_names[i], strlen(good_names[i])), PH_OK);
		ph__conf_create(c, good_names[i]);
		ph_snapshot_release(ph__conf_snapshot(c, good_names[i]));
	}
	for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
		assert_status(ph_repo_name_check(bad_names[i], strlen(bad_names[i])),
		              PH_ERR_INVALID);
		assert_status(ph_store_create(c->store, bad_names[i], c->algo, &txn),
		              PH_ERR_INVALID);
		assert_null(txn);
	}
	assert_status(ph_repo_name_check("a\0b", 3), PH_ERR_INVALID);
	memset(name, 'n', sizeof(name));
	name[PH_REPO_NAME_MAX + 1] = '\0';
	assert_status(ph_store_create(c->store, name, c->algo, &txn), PH_ERR_INVALID);
	assert_status(ph_repo_name_check(name, PH_REPO_NAME_MAX + 1), PH_ERR_INVALID);
	name[PH_REPO_NAME_MAX] = '\0';
	assert_status(ph_repo_name_check(name, PH_REPO_NAME_MAX), PH_OK);
	ph__conf_create(c, name);
	struct ph_snapshot *s = ph__conf_snapshot(c, name);
	assert_string_equal(s->name, name);
	ph_snapshot_release(s);
}

static void too_many(struct conf *c)
{
	struct ph_txn *first, *second, *third = NULL;
	c->limits.repos_max = 3;
	ph__conf_restart(c);
	ph__conf_create(c, "a");
	ph__conf_create(c, "b");
	assert_status(ph_store_create(c->store, "c", c->algo, &first), PH_OK);
	assert_status(ph_store_create(c->store, "d", c->algo, &second), PH_OK);
	assert_status(ph__conf_try_commit(first), PH_OK);
	assert_status(ph__conf_try_commit(second), PH_ERR_LIMIT);
	ph_txn_free(first);
	ph_txn_free(second);
	assert_status(ph_store_create(c->store, "d", c->algo, &third), PH_ERR_LIMIT);
	struct ph_txn *txn = ph__conf_begin(c, "b");
	assert_status(ph_txn_delete_repo(txn), PH_OK);
	ph__conf_commit(txn);
	ph__conf_create(c, "d");
	expect_repos(c, "a c d ");
}

static void many_repos(struct conf *c)
{
	char name[40];
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "team%u/r%u", i * 7 % 13, i);
		ph__conf_create(c, name);
		ph__conf_put(c, name, "refs/heads/main", i + 1);
	}
	for (unsigned i = 0; i < 300; i += 2) {
		snprintf(name, sizeof(name), "team%u/r%u", i * 7 % 13, i);
		struct ph_txn *txn = ph__conf_begin(c, name);
		assert_status(ph_txn_delete_repo(txn), PH_OK);
		ph__conf_commit(txn);
	}
	for (unsigned i = 0; i < 300; i++) {
		struct ph_snapshot *s = NULL;
		struct ph_oid oid = ph__conf_oid(c, i + 1);
		snprintf(name, sizeof(name), "team%u/r%u", i * 7 % 13, i);
		assert_status(ph_store_snapshot(c->store, name, &s),
		              i % 2 ? PH_OK : PH_ERR_NOT_FOUND);
		if (s)
			ph__conf_expect_ref(s, "refs/heads/main", &oid);
		ph_snapshot_release(s);
	}
}

const struct conf_test ph__conf_repo_tests[] = {
        {"repositories: create and list", create_and_list, 0},
        {"repositories: create with content", create_with_content, 0},
        {"repositories: a creation checks its refs", create_checks_refs, CONF_ONCE},
        {"repositories: one name created twice", create_twice, CONF_ONCE},
        {"repositories: delete and create again", delete_and_recreate, 0},
        {"repositories: both formats in one store", both_formats, CONF_ONCE},
        {"repositories: names", names, CONF_ONCE},
        {"repositories: too many", too_many, CONF_ONCE},
        {"repositories: many", many_repos, CONF_ONCE},
        {NULL, NULL, 0},
};
