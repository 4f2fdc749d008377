/* SPDX-License-Identifier: MIT */
/*
 * Conformance: running out. Of memory, at every allocation in turn, and of space. What fails
 * changes nothing, and what can be done afterwards is done.
 */
#include "conformance_int.h"

#include <stdlib.h>

/* ---- memory ---- */

/* A push of everything there is, and a reader; it stops at the first error. */
static enum ph_status push(struct conf *c, const struct ph_test_pack *pack,
                           const struct ph_test_buf *index, struct ph_txn *txn)
{
	static const struct {
		uint32_t section;
		const char *text;
	} extra[] = {{PH_SECTION_AUX, "aux"}, {PH_SECTION_SCRATCH, "scratch"}};
	struct ph_oid one = ph__conf_oid(c, 1);
	struct ph_sink *sink;
	uint32_t number, change;
	enum ph_status status = ph_txn_pack_begin(txn, &number);
	for (size_t i = 0; i < 2 && status == PH_OK; i++) {
		status = ph_txn_sink(txn, number, extra[i].section, &sink);
		if (status == PH_OK)
			status = sink->ops->append(sink, extra[i].text, strlen(extra[i].text));
	}
	if (status == PH_OK)
		status = ph_txn_sink(txn, number, PH_SECTION_RUN, &sink);
	if (status == PH_OK)
		status = sink->ops->append(sink, pack->run.data, pack->run.len);
	if (status == PH_OK)
		status = ph_txn_sink(txn, number, PH_SECTION_INDEX, &sink);
	if (status == PH_OK)
		status = sink->ops->append(sink, index->data, index->len);
	if (status == PH_OK)
		status = ph_txn_pack_end(txn, number);
	if (status == PH_OK)
		status = ph_txn_ref_update(txn, "refs/heads/a/b", NULL, &one, &one, &change);
	if (status == PH_OK)
		status = ph_txn_ref_update(txn, "refs/heads/main", NULL, &ph__conf_zero, NULL,
		                           &change);
	if (status == PH_OK)
		status = ph_txn_symref_update(txn, "HEAD", NULL, "refs/heads/a/b", &change);
	if (status == PH_OK)
		status = ph_txn_set_setting(txn, "owner", "me", 2);
	if (status == PH_OK)
		status = ph_txn_set_shallow(txn, &one, 1);
	if (status == PH_OK)
		status = ph_txn_log(txn, "push", 4);
	if (status == PH_OK)
		status = ph_txn_prepare(txn);
	return status;
}

static enum ph_status push_all(struct conf *c, const struct ph_test_pack *pack,
                               const struct ph_test_buf *index)
{
	struct ph_snapshot *snapshot = NULL;
	struct ph_ref_iter *iter = NULL;
	struct ph_txn *txn = NULL;
	struct ph_ref ref;
	struct ph_sink *sink;
	enum ph_status status = ph_store_snapshot(c->store, CONF_REPO, &snapshot);
	if (status == PH_OK)
		status = ph_snapshot_refs(snapshot, "", &iter);
	while (status == PH_OK)
		status = ph_ref_iter_next(iter, &ref);
	ph_ref_iter_free(iter);
	if (status == PH_END)
		status = ph_store_begin(c->store, snapshot, &txn);
	if (status == PH_OK)
		status =
		        ph_txn_attach(txn, ph_snapshot_pack_id(snapshot, 0), PH_SECTION_MAX, &sink);
	if (status == PH_OK)
		status = sink->ops->append(sink, "attached", 8);
	if (status == PH_OK)
		status = push(c, pack, index, txn);
	if (status == PH_OK)
		status = ph_txn_commit(txn, NULL, NULL);
	ph_txn_free(txn);
	ph_snapshot_release(snapshot);
	return status;
}

static enum ph_status create_all(struct conf *c, const struct ph_test_pack *pack,
                                 const struct ph_test_buf *index)
{
	struct ph_txn *txn = NULL;
	enum ph_status status = ph_store_create(c->store, "new", c->algo, &txn);
	if (status == PH_OK)
		status = push(c, pack, index, txn);
	if (status == PH_OK)
		status = ph_txn_commit(txn, NULL, NULL);
	ph_txn_free(txn);
	return status;
}

static enum ph_status set_store_setting(struct conf *c, const struct ph_test_pack *pack,
                                        const struct ph_test_buf *index)
{
	(void)index;
	return ph_store_setting_set(c->store, "k1", pack->run.data, 100);
}

static enum ph_status delete_all(struct conf *c, const struct ph_test_pack *pack,
                                 const struct ph_test_buf *index)
{
	struct ph_snapshot *snapshot = NULL;
	struct ph_txn *txn = NULL;
	(void)pack;
	(void)index;
	enum ph_status status = ph_store_snapshot(c->store, CONF_REPO, &snapshot);
	if (status == PH_OK)
		status = ph_store_begin(c->store, snapshot, &txn);
	if (status == PH_OK)
		status = ph_txn_delete_repo(txn);
	if (status == PH_OK)
		status = ph_txn_commit(txn, NULL, NULL);
	ph_txn_free(txn);
	ph_snapshot_release(snapshot);
	return status;
}

typedef enum ph_status scenario(struct conf *c, const struct ph_test_pack *pack,
                                const struct ph_test_buf *index);

static void delete_repo(struct conf *c, const char *name)
{
	struct ph_snapshot *snapshot;
	if (ph_store_snapshot(c->store, name, &snapshot) != PH_OK)
		return;
	ph_snapshot_release(snapshot);
	struct ph_txn *txn = ph__conf_begin(c, name);
	assert_status(ph_txn_delete_repo(txn), PH_OK);
	ph__conf_commit(txn);
}

/* A repository for the scenarios, the same each time. */
static void make_repo(struct conf *c)
{
	delete_repo(c, "new");
	delete_repo(c, CONF_REPO);
	assert_status(ph_store_setting_set(c->store, "k1", NULL, 0), PH_OK);
	ph__conf_create(c, CONF_REPO);
	ph__conf_put(c, CONF_REPO, "refs/heads/main", 1);
	ph__conf_commit_pack(c, CONF_REPO, "there", 3);
}

/* Fails the n-th allocation of a scenario. False when it has none so many. */
static bool fail_one(struct conf *c, const struct ph_test_pack *pack,
                     const struct ph_test_buf *index, scenario *run, unsigned n)
{
	struct ph_test_buf before = {0}, after = {0};
	make_repo(c);
	ph__conf_dump(c->store, &before);
	c->memory.fail_at = c->memory.calls + n;
	enum ph_status status = run(c, pack, index);
	bool hit = c->memory.calls >= c->memory.fail_at;
	c->memory.fail_at = 0;
	ph__conf_dump(c->store, &after);
	bool same = before.len == after.len && memcmp(before.data, after.data, after.len) == 0;
	/* Where memory was only to be saved, its lack is no error. */
	assert_true(status == PH_OK || (hit && status == PH_ERR_NOMEM));
	assert_int_equal(same, status != PH_OK);
	ph_test_buf_release(&before);
	ph_test_buf_release(&after);
	return hit;
}

static void fail_each(struct conf *c, const struct ph_test_pack *pack, scenario *run)
{
	struct ph_test_buf index = {0};
	unsigned n = 1;
	ph_test_pack_index(pack, &index);
	while (fail_one(c, pack, &index, run, n))
		n++;
	assert_true(n > 1);
	ph_test_buf_release(&index);
}

static void no_memory(struct conf *c)
{
	struct ph_test_pack pack;
	ph__conf_make_pack(c, &pack, "pushed", 30);
	fail_each(c, &pack, create_all);
	fail_each(c, &pack, set_store_setting);
	fail_each(c, &pack, delete_all);
	fail_each(c, &pack, push_all);
	/* And all is in order. */
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_names(s, "", "HEAD refs/heads/a/b ");
	ph__conf_expect_objects(ph_snapshot_source(s), &pack, true);
	ph_snapshot_release(s);
	ph_test_pack_release(&pack);
}

/* ---- space ---- */

/* Appends random bytes to a new pack's run until it has len, or no more can be had. */
static enum ph_status fill(struct ph_txn *txn, uint64_t len, struct ph_sink **out)
{
	struct ph_test_rng rng;
	struct ph_sink *sink;
	uint8_t buf[4096];
	uint32_t pack;
	ph_test_rng_init(&rng, len);
	assert_status(ph_txn_pack_begin(txn, &pack), PH_OK);
	assert_status(ph_txn_sink(txn, pack, PH_SECTION_RUN, &sink), PH_OK);
	*out = sink;
	enum ph_status status = PH_OK;
	while (sink->size < len && status == PH_OK) {
		ph_test_rng_fill(&rng, buf, sizeof(buf));
		status = sink->ops->append(sink, buf, sizeof(buf));
	}
	return status;
}

static void full(struct conf *c)
{
	struct ph_test_buf dump = {0};
	struct ph_sink *sink;
	ph__conf_create(c, CONF_REPO);
	ph__conf_put(c, CONF_REPO, "refs/heads/main", 1);
	ph__conf_commit_pack(c, CONF_REPO, "there", 10);
	ph__conf_dump(c->store, &dump);
	for (unsigned round = 0; round < 6; round++) {
		struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
		assert_status(fill(txn, 4 * CONF_SMALL_BYTES, &sink), PH_ERR_FULL);
		/* It is dead, and stays so. */
		assert_true(sink->ops->append(sink, "more", 4) != PH_OK);
		assert_true(ph_txn_pack_end(txn, 0) != PH_OK);
		if (round % 2)
			sink->ops->abort(sink);
		ph_txn_free(txn);
		/* The space is back, and all that was there is. */
		ph__conf_expect_dump(c, &dump);
		txn = ph__conf_begin(c, CONF_REPO);
		assert_status(fill(txn, CONF_SMALL_BYTES / 4, &sink), PH_OK);
		ph_txn_free(txn);
	}
	/* Space given up in mid-transaction can be used by the same one. */
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	for (unsigned round = 0; round < 12; round++) {
		assert_status(fill(txn, CONF_SMALL_BYTES / 4, &sink), PH_OK);
		if (round % 2)
			sink->ops->abort(sink);
		else
			ph_txn_pack_drop(txn, round);
	}
	ph_txn_free(txn);
	ph__conf_put(c, CONF_REPO, "refs/heads/more", 2);
	ph_test_buf_release(&dump);
}

/* One pack of a quarter of the store that takes the place of the one before it. */
static enum ph_status replace_quarter(struct conf *c, uint64_t seed, uint64_t *id)
{
	struct ph_test_pack pack;
	struct ph_test_buf index = {0};
	struct ph_test_rng rng;
	struct ph_sink *sink;
	uint32_t number;
	uint8_t *data = malloc(CONF_SMALL_BYTES / 4);
	assert_non_null(data);
	ph_test_rng_init(&rng, seed);
	ph_test_rng_fill(&rng, data, CONF_SMALL_BYTES / 4);
	ph_test_pack_init(&pack, c->algo);
	ph_test_pack_add(&pack, PH_OBJ_BLOB, data, CONF_SMALL_BYTES / 4);
	ph_test_pack_index(&pack, &index);
	free(data);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_pack_begin(txn, &number), PH_OK);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_RUN, &sink), PH_OK);
	enum ph_status status = sink->ops->append(sink, pack.run.data, pack.run.len);
	if (status == PH_OK)
		status = ph_txn_sink(txn, number, PH_SECTION_INDEX, &sink);
	if (status == PH_OK)
		status = sink->ops->append(sink, index.data, index.len);
	if (status == PH_OK)
		status = ph_txn_pack_end(txn, number);
	if (status == PH_OK && *id)
		status = ph_txn_replace(txn, id, 1, true);
	if (status == PH_OK)
		status = ph__conf_try_commit(txn);
	ph_txn_free(txn);
	if (status == PH_OK) {
		struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
		ph__conf_expect_objects(ph_snapshot_source(s), &pack, true);
		*id = ph_snapshot_pack_id(s, 0);
		ph_snapshot_release(s);
	}
	ph_test_buf_release(&index);
	ph_test_pack_release(&pack);
	return status;
}

static void reuse(struct conf *c)
{
	/* Five times the store's size goes through it. */
	uint64_t id = 0;
	ph__conf_create(c, CONF_REPO);
	for (uint64_t round = 1; round <= 20; round++) {
		enum ph_status status = replace_quarter(c, round, &id);
		/* Space may come back some commits late. */
		for (unsigned i = 0; i < 64 && status == PH_ERR_FULL; i++)
			ph__conf_put(c, CONF_REPO, "refs/heads/main", i + 1);
		if (status == PH_ERR_FULL)
			status = replace_quarter(c, round, &id);
		assert_status(status, PH_OK);
	}
}

const struct conf_test ph__conf_memory_tests[] = {
        {"running out: of memory, everywhere", no_memory, 0},
        {"running out: of space", full, CONF_ONCE | CONF_SMALL},
        {"running out: space comes back", reuse, CONF_ONCE | CONF_SMALL},
        {NULL, NULL, 0},
};
