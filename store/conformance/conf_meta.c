/* SPDX-License-Identifier: MIT */
/* Conformance: settings of repositories and of the store, the shallow boundary, the log of pushes.
 */
#include "conformance_int.h"

#include <stdio.h>
#include <stdlib.h>

static void expect_setting(enum ph_status have, const char *buf, size_t len, const char *want)
{
	assert_status(have, want ? PH_OK : PH_ERR_NOT_FOUND);
	if (want) {
		assert_int_equal(len, strlen(want));
		assert_memory_equal(buf, want, len);
	}
}

static void expect_repo_setting(struct ph_snapshot *s, const char *key, const char *want)
{
	char buf[64];
	size_t len = sizeof(buf);
	enum ph_status status = ph_snapshot_setting(s, key, buf, &len);
	expect_setting(status, buf, len, want);
}

static void expect_store_setting(struct conf *c, const char *key, const char *want)
{
	char buf[64];
	size_t len = sizeof(buf);
	enum ph_status status = ph_store_setting_get(c->store, key, buf, &len);
	expect_setting(status, buf, len, want);
}

static void repo_settings(struct conf *c)
{
	ph__conf_create(c, CONF_REPO);
	struct ph_snapshot *before = ph__conf_snapshot(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_setting(txn, "owner", "nobody", 6), PH_OK);
	assert_status(ph_txn_set_setting(txn, "owner", "somebody", 8), PH_OK);
	assert_status(ph_txn_set_setting(txn, "description", "A project.", 10), PH_OK);
	assert_status(ph_txn_set_setting(txn, "empty", "", 0), PH_OK);
	assert_status(ph_txn_set_setting(txn, "absent", NULL, 0), PH_OK);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	expect_repo_setting(s, "owner", "somebody");
	expect_repo_setting(s, "description", "A project.");
	expect_repo_setting(s, "empty", "");
	expect_repo_setting(s, "absent", NULL);
	expect_repo_setting(s, "own", NULL);
	expect_repo_setting(before, "owner", NULL);
	/* Exactly as much room as needed will do; one byte less does not, and says so. */
	char buf[8];
	size_t len = 8;
	assert_status(ph_snapshot_setting(s, "owner", buf, &len), PH_OK);
	assert_int_equal(len, 8);
	len = 7;
	assert_status(ph_snapshot_setting(s, "owner", buf, &len), PH_ERR_LIMIT);
	len = 0;
	assert_status(ph_snapshot_setting(s, "empty", NULL, &len), PH_OK);
	/* Some go, some change; the old snapshot keeps what it had. */
	txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_setting(txn, "description", NULL, 0), PH_OK);
	assert_status(ph_txn_set_setting(txn, "owner", "x", 1), PH_OK);
	ph__conf_commit(txn);
	expect_repo_setting(s, "description", "A project.");
	ph_snapshot_release(s);
	s = ph__conf_snapshot(c, CONF_REPO);
	expect_repo_setting(s, "description", NULL);
	expect_repo_setting(s, "owner", "x");
	expect_repo_setting(s, "empty", "");
	/* A repository's settings are its own. */
	expect_store_setting(c, "owner", NULL);
	ph_snapshot_release(s);
	ph_snapshot_release(before);
	/* Commits of other things leave them. */
	ph__conf_put(c, CONF_REPO, "refs/heads/main", 1);
	s = ph__conf_snapshot(c, CONF_REPO);
	expect_repo_setting(s, "owner", "x");
	expect_repo_setting(s, "empty", "");
	ph_snapshot_release(s);
	/* Deleted and set in one transaction: the last call counts. */
	txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_setting(txn, "owner", NULL, 0), PH_OK);
	assert_status(ph_txn_set_setting(txn, "owner", "y", 1), PH_OK);
	assert_status(ph_txn_set_setting(txn, "empty", "z", 1), PH_OK);
	assert_status(ph_txn_set_setting(txn, "empty", NULL, 0), PH_OK);
	ph__conf_commit(txn);
	s = ph__conf_snapshot(c, CONF_REPO);
	expect_repo_setting(s, "owner", "y");
	expect_repo_setting(s, "empty", NULL);
	ph_snapshot_release(s);
}

static void store_settings(struct conf *c)
{
	expect_store_setting(c, "host-key", NULL);
	assert_status(ph_store_setting_set(c->store, "host-key", NULL, 0), PH_OK);
	assert_status(ph_store_setting_set(c->store, "host-key", "secret", 6), PH_OK);
	assert_status(ph_store_setting_set(c->store, "k0", "zero", 4), PH_OK);
	assert_status(ph_store_setting_set(c->store, "k1", "", 0), PH_OK);
	expect_store_setting(c, "host-key", "secret");
	expect_store_setting(c, "k1", "");
	char buf[4];
	size_t len = 3;
	assert_status(ph_store_setting_get(c->store, "k0", buf, &len), PH_ERR_LIMIT);
	len = 4;
	assert_status(ph_store_setting_get(c->store, "k0", buf, &len), PH_OK);
	assert_status(ph_store_setting_set(c->store, "host-key", "another", 7), PH_OK);
	assert_status(ph_store_setting_set(c->store, "k0", NULL, 0), PH_OK);
	expect_store_setting(c, "host-key", "another");
	expect_store_setting(c, "k0", NULL);
	/* No repository has them. */
	ph__conf_create(c, CONF_REPO);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	expect_repo_setting(s, "host-key", NULL);
	ph_snapshot_release(s);
}

/* What was read in the base is so when a commit changes it, or nothing is changed. */
static void setting_conflicts(struct conf *c)
{
	static const char *const values[] = {NULL, "a", "b", ""};
	ph__conf_create(c, CONF_REPO);
	for (size_t i = 1; i < sizeof(values) / sizeof(*values); i++) {
		struct ph_txn *first = ph__conf_begin(c, CONF_REPO);
		struct ph_txn *second = ph__conf_begin(c, CONF_REPO);
		struct ph_txn *other = ph__conf_begin(c, CONF_REPO);
		assert_status(ph_txn_set_setting(first, "k", values[i], strlen(values[i])), PH_OK);
		assert_status(ph_txn_set_setting(second, "k", "lost", 4), PH_OK);
		assert_status(ph_txn_set_setting(second, "with", "it", 2), PH_OK);
		assert_status(ph_txn_set_setting(other, "other", values[i], strlen(values[i])),
		              PH_OK);
		ph__conf_commit(first);
		assert_status(ph_txn_commit(second, NULL, NULL), PH_ERR_CONFLICT);
		assert_status(ph_txn_commit(second, NULL, NULL), PH_ERR_CONFLICT);
		ph_txn_free(second);
		ph__conf_commit(other);
		struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
		expect_repo_setting(s, "k", values[i]);
		expect_repo_setting(s, "other", values[i]);
		expect_repo_setting(s, "with", NULL);
		ph_snapshot_release(s);
	}
	/* Gone meanwhile. */
	struct ph_txn *first = ph__conf_begin(c, CONF_REPO);
	struct ph_txn *second = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_setting(first, "k", NULL, 0), PH_OK);
	assert_status(ph_txn_set_setting(second, "k", "c", 1), PH_OK);
	ph__conf_commit(first);
	assert_status(ph_txn_commit(second, NULL, NULL), PH_ERR_CONFLICT);
	ph_txn_free(second);
}

static void store_setting_swaps(struct conf *c)
{
	static const char large[20000] = "large";
	assert_status(ph_store_setting_swap(c->store, "k", "a", 1, "b", 1), PH_ERR_CONFLICT);
	assert_status(ph_store_setting_swap(c->store, "k", NULL, 0, NULL, 0), PH_OK);
	assert_status(ph_store_setting_swap(c->store, "k", NULL, 0, "a", 1), PH_OK);
	assert_status(ph_store_setting_swap(c->store, "k", NULL, 0, "b", 1), PH_ERR_CONFLICT);
	assert_status(ph_store_setting_swap(c->store, "k", "ab", 2, "b", 1), PH_ERR_CONFLICT);
	assert_status(ph_store_setting_swap(c->store, "k", "b", 1, NULL, 0), PH_ERR_CONFLICT);
	expect_store_setting(c, "k", "a");
	assert_status(ph_store_setting_swap(c->store, "k", "a", 1, "", 0), PH_OK);
	expect_store_setting(c, "k", "");
	assert_status(ph_store_setting_swap(c->store, "k", "", 0, large, sizeof(large)), PH_OK);
	assert_status(ph_store_setting_swap(c->store, "k", large, sizeof(large) - 1, "c", 1),
	              PH_ERR_CONFLICT);
	assert_status(ph_store_setting_swap(c->store, "k", large, sizeof(large), NULL, 0), PH_OK);
	expect_store_setting(c, "k", NULL);
	assert_status(ph_store_setting_swap(c->store, "", NULL, 0, "a", 1), PH_ERR_INVALID);
}

static void setting_limits(struct conf *c)
{
	char key[PH_SETTING_KEY_MAX + 2];
	uint8_t *large = calloc(1, PH_SETTING_BYTES_MAX + 1);
	uint8_t *copy = malloc(PH_SETTING_BYTES_MAX);
	assert_true(large && copy);
	for (size_t i = 0; i < PH_SETTING_BYTES_MAX; i++)
		large[i] = (uint8_t)(i * 31 >> 3);
	memset(key, 'k', sizeof(key));
	key[PH_SETTING_KEY_MAX + 1] = '\0';
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_setting(txn, key, "x", 1), PH_ERR_INVALID);
	assert_status(ph_txn_set_setting(txn, "", "x", 1), PH_ERR_INVALID);
	assert_status(ph_store_setting_set(c->store, key, "x", 1), PH_ERR_INVALID);
	assert_status(ph_store_setting_set(c->store, "", "x", 1), PH_ERR_INVALID);
	assert_status(ph_txn_set_setting(txn, "large", large, PH_SETTING_BYTES_MAX + 1),
	              PH_ERR_LIMIT);
	assert_status(ph_store_setting_set(c->store, "large", large, PH_SETTING_BYTES_MAX + 1),
	              PH_ERR_LIMIT);
	key[PH_SETTING_KEY_MAX] = '\0';
	assert_status(ph_txn_set_setting(txn, key, "x", 1), PH_OK);
	assert_status(ph_store_setting_set(c->store, key, "y", 1), PH_OK);
	assert_status(ph_txn_set_setting(txn, "large", large, PH_SETTING_BYTES_MAX), PH_OK);
	assert_status(ph_store_setting_set(c->store, "large", large, PH_SETTING_BYTES_MAX), PH_OK);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	size_t len = PH_SETTING_BYTES_MAX;
	assert_status(ph_snapshot_setting(s, "large", copy, &len), PH_OK);
	assert_int_equal(len, PH_SETTING_BYTES_MAX);
	assert_memory_equal(copy, large, len);
	assert_status(ph_store_setting_get(c->store, "large", copy, &len), PH_OK);
	assert_memory_equal(copy, large, len);
	expect_repo_setting(s, key, "x");
	expect_store_setting(c, key, "y");
	ph_snapshot_release(s);
	free(large);
	free(copy);
}

static void expect_shallow(struct ph_snapshot *s, const struct ph_oid *want, uint32_t count)
{
	const struct ph_oid *have = NULL;
	assert_int_equal(ph_snapshot_shallow(s, &have), count);
	for (uint32_t i = 0; i < count; i++) {
		assert_true(ph_oid_equal(&have[i], &want[i]));
		assert_true(i == 0 || ph_oid_cmp(&have[i - 1], &have[i]) < 0);
	}
}

static void shallow(struct conf *c)
{
	struct ph_oid sorted[3], given[4];
	for (uint8_t i = 0; i < 3; i++)
		sorted[i] = ph_test_oid_fake(c->algo, (uint8_t)(0x10 * i + 7));
	given[0] = given[3] = sorted[2];
	given[1] = sorted[0];
	given[2] = sorted[1];
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_shallow(txn, given, 1), PH_OK);
	assert_status(ph_txn_set_shallow(txn, given, 4), PH_OK);
	ph__conf_commit(txn);
	struct ph_snapshot *held = ph__conf_snapshot(c, CONF_REPO);
	expect_shallow(held, sorted, 3);
	/* Other commits leave it; another set replaces it; an empty one takes it away. */
	ph__conf_put(c, CONF_REPO, "refs/heads/main", 1);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	expect_shallow(s, sorted, 3);
	ph_snapshot_release(s);
	txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_shallow(txn, sorted + 1, 1), PH_OK);
	ph__conf_commit(txn);
	s = ph__conf_snapshot(c, CONF_REPO);
	expect_shallow(s, sorted + 1, 1);
	ph_snapshot_release(s);
	txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_shallow(txn, NULL, 0), PH_OK);
	ph__conf_commit(txn);
	s = ph__conf_snapshot(c, CONF_REPO);
	expect_shallow(s, NULL, 0);
	ph_snapshot_release(s);
	expect_shallow(held, sorted, 3);
	ph_snapshot_release(held);
}

/* Of two that set it from the same base, the second has to look again. */
static void shallow_meanwhile(struct conf *c)
{
	struct ph_oid oids[2] = {ph__conf_oid(c, 0), ph__conf_oid(c, 1)};
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *first = ph__conf_begin(c, CONF_REPO);
	struct ph_txn *second = ph__conf_begin(c, CONF_REPO);
	struct ph_txn *other = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_shallow(first, oids, 1), PH_OK);
	assert_status(ph_txn_set_shallow(second, oids + 1, 1), PH_OK);
	ph__conf_commit(first);
	assert_status(ph_txn_commit(second, NULL, NULL), PH_ERR_CONFLICT);
	ph_txn_free(second);
	/* Who does not set it does not mind. */
	ph__conf_commit(other);
	const struct ph_oid *have;
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	assert_int_equal(ph_snapshot_shallow(s, &have), 1);
	assert_true(ph_oid_equal(have, oids));
	ph_snapshot_release(s);
	second = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_shallow(second, oids, 2), PH_OK);
	ph__conf_commit(second);
}

static void shallow_limit(struct conf *c)
{
	struct ph_oid oids[5];
	for (uint32_t i = 0; i < 5; i++)
		oids[i] = ph__conf_oid(c, i);
	c->limits.shallows_max = 4;
	ph__conf_restart(c);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_shallow(txn, oids, 5), PH_ERR_LIMIT);
	assert_status(ph_txn_set_shallow(txn, oids, 4), PH_OK);
	ph__conf_commit(txn);
	const struct ph_oid *have;
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	assert_int_equal(ph_snapshot_shallow(s, &have), 4);
	ph_snapshot_release(s);
}

/* Each record names the one before it, and says what was said. */
static void expect_log(struct ph_snapshot *s, uint64_t number, const char *want)
{
	char buf[PH_LOG_LINK_BYTES + 64], hex[PH_OID_HEX_MAX + 1];
	struct ph_oid before = {{0}};
	struct ph_hash hash;
	size_t len = sizeof(buf);
	if (number > 0) {
		assert_status(ph_snapshot_log_read(s, number - 1, buf, &len), PH_OK);
		ph_hash_init(&hash, PH_HASH_SHA256);
		ph_hash_update(&hash, buf, len);
		ph_hash_final(&hash, &before);
	}
	len = sizeof(buf);
	assert_status(ph_snapshot_log_read(s, number, buf, &len), PH_OK);
	assert_int_equal(len, PH_LOG_LINK_BYTES + strlen(want));
	assert_memory_equal(buf, ph_oid_to_hex(hex, PH_HASH_SHA256, &before), 64);
	assert_int_equal(buf[64], '\n');
	assert_memory_equal(buf + PH_LOG_LINK_BYTES, want, strlen(want));
}

static void push_log(struct conf *c)
{
	char text[40], large[PH_LOG_LINKED_MAX];
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_log(txn, "first", 5), PH_OK);
	assert_status(ph_txn_log(txn, "second", 6), PH_OK);
	assert_status(ph_txn_log(txn, NULL, 0), PH_OK);
	ph__conf_commit(txn);
	struct ph_snapshot *held = ph__conf_snapshot(c, CONF_REPO);
	assert_int_equal(ph_snapshot_log_count(held), 3);
	for (unsigned i = 3; i < 200; i++) {
		txn = ph__conf_begin(c, CONF_REPO);
		int len = snprintf(text, sizeof(text), "push %u", i);
		assert_status(ph_txn_log(txn, text, (size_t)len), PH_OK);
		ph__conf_commit(txn);
	}
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	assert_int_equal(ph_snapshot_log_count(s), 200);
	expect_log(s, 0, "first");
	expect_log(s, 1, "second");
	expect_log(s, 2, "");
	for (unsigned i = 3; i < 200; i++) {
		snprintf(text, sizeof(text), "push %u", i);
		expect_log(s, i, text);
	}
	size_t len = 5;
	assert_status(ph_snapshot_log_read(s, 1, text, &len), PH_ERR_LIMIT);
	len = sizeof(text);
	assert_status(ph_snapshot_log_read(s, 200, text, &len), PH_ERR_NOT_FOUND);
	assert_status(ph_snapshot_log_read(s, UINT64_MAX, text, &len), PH_ERR_NOT_FOUND);
	assert_int_equal(ph_snapshot_log_count(held), 3);
	expect_log(held, 1, "second");
	ph_snapshot_release(s);
	ph_snapshot_release(held);
	ph__conf_put(c, CONF_REPO, "refs/heads/main", 1);
	s = ph__conf_snapshot(c, CONF_REPO);
	assert_int_equal(ph_snapshot_log_count(s), 200);
	expect_log(s, 1, "second");
	ph_snapshot_release(s);
	memset(large, 'x', sizeof(large));
	txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_log(txn, large, 4097), PH_ERR_LIMIT);
	assert_status(ph_txn_log(txn, large, 4096), PH_OK);
	ph__conf_commit(txn);
	s = ph__conf_snapshot(c, CONF_REPO);
	len = sizeof(large);
	assert_status(ph_snapshot_log_read(s, 200, large, &len), PH_OK);
	assert_int_equal(len, PH_LOG_LINK_BYTES + 4096);
	ph_snapshot_release(s);
}

/* Two that began together: the chain is made when they commit. */
static void log_together(struct conf *c)
{
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *one = ph__conf_begin(c, CONF_REPO), *two = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_log(one, "one", 3), PH_OK);
	assert_status(ph_txn_log(two, "two", 3), PH_OK);
	assert_status(ph_txn_log(one, "one more", 8), PH_OK);
	ph__conf_commit(two);
	ph__conf_commit(one);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	assert_int_equal(ph_snapshot_log_count(s), 3);
	expect_log(s, 0, "two");
	expect_log(s, 1, "one");
	expect_log(s, 2, "one more");
	ph_snapshot_release(s);
}

/* A bound on a repository's bytes holds against who commits meanwhile. */
static void bytes_bound(struct conf *c)
{
	struct ph_test_pack packs[2];
	uint64_t bytes = 0, more;
	uint32_t entries;
	struct ph_snapshot *s;
	for (unsigned i = 0; i < 2; i++)
		ph__conf_make_pack(c, &packs[i], i ? "b" : "a", 3);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *one = ph__conf_begin(c, CONF_REPO), *two = ph__conf_begin(c, CONF_REPO);
	ph__conf_add_pack(one, &packs[0]);
	ph__conf_add_pack(two, &packs[1]);
	for (uint32_t i = 0; i < 2; i++) {
		const struct ph_source *source = ph_txn_source(i ? two : one);
		source->ops->pack_size(source, 0, &entries, &more);
		bytes += more;
	}
	one->bytes_max = two->bytes_max = bytes - 1;
	ph__conf_commit(one);
	assert_status(ph__conf_try_commit(two), PH_ERR_LIMIT);
	s = ph__conf_snapshot(c, CONF_REPO);
	assert_int_equal(ph_snapshot_source(s)->ops->packs(ph_snapshot_source(s)), 1);
	ph_snapshot_release(s);
	two->bytes_max = bytes;
	ph__conf_commit(two);
	assert_true(ph_store_space(c->store) > 0);
	for (unsigned i = 0; i < 2; i++)
		ph_test_pack_release(&packs[i]);
}

static void together(struct conf *c)
{
	/* Refs, packs, settings, shallow and log of one commit come together or not at all. */
	struct ph_oid one = ph__conf_oid(c, 1);
	struct ph_test_pack pack;
	struct ph_test_buf dump = {0};
	ph__conf_make_pack(c, &pack, "x", 3);
	ph__conf_create(c, CONF_REPO);
	ph__conf_put(c, CONF_REPO, "refs/heads/main", 2);
	ph__conf_dump(c->store, &dump);
	for (unsigned round = 0; round < 2; round++) {
		struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
		ph__conf_add_pack(txn, &pack);
		uint32_t bad = ph__conf_set(txn, "refs/heads/main", &one, &one);
		ph__conf_set(txn, "refs/heads/new", &ph__conf_zero, &one);
		assert_status(ph_txn_set_setting(txn, "owner", "me", 2), PH_OK);
		assert_status(ph_txn_set_shallow(txn, &one, 1), PH_OK);
		assert_status(ph_txn_log(txn, "push", 4), PH_OK);
		assert_status(ph__conf_try_commit(txn), PH_ERR_CONFLICT);
		ph__conf_expect_dump(c, &dump);
		if (round == 1) {
			ph_txn_drop(txn, bad);
			assert_status(ph__conf_try_commit(txn), PH_OK);
		}
		ph_txn_free(txn);
	}
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(s, "", "HEAD refs/heads/main refs/heads/new ");
	ph__conf_expect_objects(ph_snapshot_source(s), &pack, true);
	expect_repo_setting(s, "owner", "me");
	expect_shallow(s, &one, 1);
	assert_int_equal(ph_snapshot_log_count(s), 1);
	ph_snapshot_release(s);
	ph_test_buf_release(&dump);
	ph_test_pack_release(&pack);
}

const struct conf_test ph__conf_meta_tests[] = {
        {"settings: of a repository", repo_settings, CONF_ONCE},
        {"settings: of the store", store_settings, CONF_ONCE},
        {"settings: conflicts", setting_conflicts, CONF_ONCE},
        {"settings: of the store, swapped", store_setting_swaps, CONF_ONCE},
        {"settings: limits", setting_limits, CONF_ONCE},
        {"shallow: the boundary", shallow, 0},
        {"shallow: meanwhile", shallow_meanwhile, CONF_ONCE},
        {"shallow: limit", shallow_limit, CONF_ONCE},
        {"log: of pushes", push_log, CONF_ONCE},
        {"log: chained as commits come", log_together, CONF_ONCE},
        {"commit: bytes of a repository", bytes_bound, CONF_ONCE},
        {"commit: all of it together", together, 0},
        {NULL, NULL, 0},
};
