/* SPDX-License-Identifier: MIT */
/* The store in memory passes the conformance suite; and what only it promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <packhorse/store_mem.h>

#include "conformance.h"
#include "support.h"

static enum ph_status open_mem(void *user, const struct ph_conformance_options *options,
                               struct ph_store **out)
{
	struct ph_store_mem_options mem = {
	        .alloc = options->alloc,
	        .limits = options->limits,
	        .sync = options->sync,
	        .bytes_max = options->bytes_max,
	};
	(void)user;
	return ph_store_mem_new(out, &mem);
}

static void close_mem(void *user, struct ph_store *store)
{
	(void)user;
	ph_store_close(store);
}

/* ---- what only this store promises ---- */

#define REPO "r"

struct fixture {
	struct ph_test_alloc memory;
	struct ph_limits limits;
	struct ph_store *store;
};

static void fixture_init(struct fixture *f, uint64_t bytes_max)
{
	ph_test_alloc_init(&f->memory);
	ph_limits_init(&f->limits);
	struct ph_store_mem_options options = {
	        .alloc = &f->memory.alloc, .limits = &f->limits, .bytes_max = bytes_max};
	assert_int_equal(ph_store_mem_new(&f->store, &options), PH_OK);
	struct ph_txn *txn;
	assert_int_equal(ph_store_create(f->store, REPO, PH_HASH_SHA1, &txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
}

static void fixture_release(struct fixture *f)
{
	ph_store_close(f->store);
	assert_int_equal(f->memory.live, 0);
	assert_int_equal(f->memory.live_bytes, 0);
}

static struct ph_txn *begin(struct fixture *f)
{
	struct ph_snapshot *snapshot;
	struct ph_txn *txn;
	assert_int_equal(ph_store_snapshot(f->store, REPO, &snapshot), PH_OK);
	assert_int_equal(ph_store_begin(f->store, snapshot, &txn), PH_OK);
	ph_snapshot_release(snapshot);
	return txn;
}

static void commit(struct ph_txn *txn)
{
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
}

static void limit_is_exact(void **state)
{
	struct fixture f;
	struct ph_sink *first, *second;
	uint8_t buf[1000] = {0};
	uint32_t pack;
	(void)state;
	fixture_init(&f, 3000);
	int64_t live = f.memory.live, live_bytes = f.memory.live_bytes;
	struct ph_txn *txn = begin(&f);
	assert_int_equal(ph_txn_pack_begin(txn, &pack), PH_OK);
	assert_int_equal(ph_txn_sink(txn, pack, PH_SECTION_RUN, &first), PH_OK);
	assert_int_equal(ph_txn_sink(txn, pack, PH_SECTION_SCRATCH, &second), PH_OK);
	assert_int_equal(first->ops->append(first, buf, 1000), PH_OK);
	assert_int_equal(second->ops->append(second, buf, 1000), PH_OK);
	assert_int_equal(first->ops->append(first, buf, 1000), PH_OK);
	assert_int_equal(first->size, 2000);
	assert_int_equal(first->ops->append(first, buf, 1), PH_ERR_FULL);
	assert_int_equal(first->ops->append(first, buf, 0), PH_ERR_FULL);
	/* What was appended before can still be read, and the other sink goes on in what is given
	 * up. */
	assert_int_equal(first->ops->read(first, 1999, buf, 1), PH_OK);
	assert_int_equal(second->ops->append(second, buf, 1), PH_ERR_FULL);
	first->ops->abort(first);
	assert_int_equal(first->size, 0);
	assert_int_equal(ph_txn_sink(txn, pack, PH_SECTION_AUX, &second), PH_OK);
	assert_int_equal(second->ops->append(second, buf, 1000), PH_OK);
	assert_int_equal(second->ops->append(second, buf, 1000), PH_OK);
	ph_txn_free(txn);
	/* Nothing of it stays, to the byte. */
	assert_int_equal(f.memory.live, live);
	assert_int_equal(f.memory.live_bytes, live_bytes);
	fixture_release(&f);
}

static void name_of(char *out, uint32_t number)
{
	static const char text[] = "refs/heads/";
	size_t len = sizeof(text) - 1;
	memcpy(out, text, len);
	for (unsigned shift = 0; shift < 24; shift += 4)
		out[len++] = (char)('a' + (number >> shift & 15));
	out[len] = '\0';
}

/* Changes of some of many refs; the first error. */
static enum ph_status change_refs(struct ph_txn *txn, uint32_t from, uint32_t to, uint32_t step)
{
	struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 1);
	enum ph_status status = PH_OK;
	char name[64];
	uint32_t change;
	for (uint32_t i = from; i < to && status == PH_OK; i += step) {
		name_of(name, i);
		status = ph_txn_ref_update(txn, name, NULL, &oid, NULL, &change);
	}
	return status;
}

static enum ph_status push(struct fixture *f, struct ph_snapshot *snapshot)
{
	struct ph_txn *txn = NULL;
	enum ph_status status = ph_store_begin(f->store, snapshot, &txn);
	if (status == PH_OK)
		status = change_refs(txn, 4000, 4400, 1);
	if (status == PH_OK)
		status = ph_txn_set_setting(txn, "key", "value", 5);
	if (status == PH_OK)
		status = ph_txn_log(txn, "push", 4);
	if (status == PH_OK)
		status = ph_txn_commit(txn, NULL, NULL);
	ph_txn_free(txn);
	return status;
}

static enum ph_status create_another(struct fixture *f, struct ph_snapshot *snapshot)
{
	struct ph_txn *txn = NULL;
	(void)snapshot;
	enum ph_status status = ph_store_create(f->store, "another", PH_HASH_SHA1, &txn);
	if (status == PH_OK)
		status = ph_txn_commit(txn, NULL, NULL);
	ph_txn_free(txn);
	return status;
}

/* Not even while the store stays open: after a failure memory is as before, to the byte. */
static void fail_each(enum ph_status (*scenario)(struct fixture *, struct ph_snapshot *))
{
	struct fixture f;
	struct ph_snapshot *snapshot;
	enum ph_status status = PH_ERR_NOMEM;
	fixture_init(&f, 0);
	for (uint32_t i = 0; i < 4000; i += 1000) {
		struct ph_txn *txn = begin(&f);
		assert_int_equal(change_refs(txn, i, i + 1000, 1), PH_OK);
		assert_int_equal(ph_txn_set_setting(txn, "another key", "value", 5), PH_OK);
		assert_int_equal(ph_txn_log(txn, "push", 4), PH_OK);
		commit(txn);
	}
	assert_int_equal(ph_store_snapshot(f.store, REPO, &snapshot), PH_OK);
	uint64_t n = 1;
	for (; status == PH_ERR_NOMEM; n++) {
		int64_t live = f.memory.live, live_bytes = f.memory.live_bytes;
		f.memory.fail_at = f.memory.calls + n;
		status = scenario(&f, snapshot);
		f.memory.fail_at = 0;
		if (status == PH_OK)
			break;
		assert_int_equal(f.memory.live, live);
		assert_int_equal(f.memory.live_bytes, live_bytes);
	}
	assert_int_equal(status, PH_OK);
	assert_true(n > 4);
	ph_snapshot_release(snapshot);
	fixture_release(&f);
}

static void failure_leaks_nothing(void **state)
{
	(void)state;
	fail_each(push);
	fail_each(create_another);
}

static void many_repositories_no_memory(void **state)
{
	/* Also when it is the table of repositories that cannot grow. */
	struct fixture f;
	char name[] = "a";
	(void)state;
	fixture_init(&f, 0);
	for (name[0] = 'a'; name[0] < 'q'; name[0]++) {
		struct ph_txn *txn;
		assert_int_equal(ph_store_create(f.store, name, PH_HASH_SHA1, &txn), PH_OK);
		enum ph_status status = PH_ERR_NOMEM;
		for (uint64_t n = 1; status == PH_ERR_NOMEM; n++) {
			struct ph_snapshot *snapshot;
			f.memory.fail_at = f.memory.calls + n;
			status = ph_txn_commit(txn, NULL, NULL);
			f.memory.fail_at = 0;
			if (status != PH_OK)
				assert_int_equal(ph_store_snapshot(f.store, name, &snapshot),
				                 PH_ERR_NOT_FOUND);
		}
		assert_int_equal(status, PH_OK);
		ph_txn_free(txn);
	}
	fixture_release(&f);
}

/* Calls that make no sense are refused, and harm nothing. */
static void misuse(void **state)
{
	struct fixture f;
	struct ph_txn *txn;
	struct ph_sink *sink;
	uint32_t pack;
	(void)state;
	fixture_init(&f, 0);
	enum ph_hash_algo none = (enum ph_hash_algo)7;
	assert_int_equal(ph_store_create(f.store, "x", none, &txn), PH_ERR_UNSUPPORTED);
	assert_int_equal(ph_store_create(f.store, "x", PH_HASH_SHA256, &txn), PH_OK);
	assert_int_equal(ph_txn_delete_repo(txn), PH_ERR_INVALID);
	assert_int_equal(ph_txn_attach(txn, 1, PH_SECTION_AUX, &sink), PH_ERR_NOT_FOUND);
	ph_txn_pack_drop(txn, 3);
	assert_int_equal(ph_txn_pack_end(txn, 0), PH_ERR_INVALID);
	assert_int_equal(ph_txn_pack_begin(txn, &pack), PH_OK);
	assert_int_equal(ph_txn_sink(txn, pack, PH_SECTION_RUN, &sink), PH_OK);
	sink->ops->abort(sink);
	assert_int_equal(sink->ops->append(sink, "x", 1), PH_ERR_INVALID);
	assert_int_equal(sink->ops->read(sink, 0, &pack, 0), PH_ERR_INVALID);
	assert_int_equal(ph_txn_sink(txn, pack, PH_SECTION_INDEX, &sink), PH_OK);
	assert_int_equal(ph_txn_pack_end(txn, 0), PH_ERR_INVALID);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	/* A transaction commits once. */
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_ERR_INVALID);
	ph_txn_free(txn);
	fixture_release(&f);
}

/* What was attached belongs to snapshots, which do not change: its sink takes nothing more. */
static void attached_sink_is_sealed(void **state)
{
	struct fixture f;
	struct ph_test_pack pack;
	struct ph_test_buf index = {0};
	struct ph_sink *sink;
	struct ph_snapshot *snapshot;
	uint32_t number;
	(void)state;
	fixture_init(&f, 0);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	ph_test_pack_add(&pack, PH_OBJ_BLOB, "blob", 4);
	ph_test_pack_index(&pack, &index);
	struct ph_txn *txn = begin(&f);
	assert_int_equal(ph_txn_pack_begin(txn, &number), PH_OK);
	assert_int_equal(ph_txn_sink(txn, number, PH_SECTION_RUN, &sink), PH_OK);
	assert_int_equal(sink->ops->append(sink, pack.run.data, pack.run.len), PH_OK);
	assert_int_equal(ph_txn_sink(txn, number, PH_SECTION_INDEX, &sink), PH_OK);
	assert_int_equal(sink->ops->append(sink, index.data, index.len), PH_OK);
	assert_int_equal(ph_txn_pack_end(txn, number), PH_OK);
	commit(txn);
	txn = begin(&f);
	uint64_t id = ph_snapshot_pack_id(txn->base, 0);
	assert_int_equal(ph_txn_attach(txn, id, PH_SECTION_AUX, &sink), PH_OK);
	assert_int_equal(sink->ops->append(sink, "graph", 5), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	assert_int_equal(sink->ops->append(sink, "more", 4), PH_ERR_INVALID);
	assert_int_equal(ph_store_snapshot(f.store, REPO, &snapshot), PH_OK);
	assert_int_equal(ph_snapshot_section(snapshot, 0, PH_SECTION_AUX)->size, 5);
	ph_txn_free(txn);
	ph_snapshot_release(snapshot);
	ph_test_buf_release(&index);
	ph_test_pack_release(&pack);
	fixture_release(&f);
}

static enum ph_status no_mutex(void *user, void **out)
{
	int *left = user;
	*out = left;
	return (*left)-- > 0 ? PH_OK : PH_ERR_NOMEM;
}

static void nothing(void *user, void *mutex)
{
	assert_ptr_equal(user, mutex);
}

static void no_locks(void **state)
{
	struct ph_test_alloc memory;
	struct ph_limits limits;
	int left = 0;
	struct ph_sync sync = {&left, no_mutex, nothing, nothing, nothing};
	struct ph_store_mem_options options = {
	        .alloc = &memory.alloc, .limits = &limits, .sync = &sync};
	struct ph_store *store = NULL;
	struct ph_txn *txn;
	struct ph_snapshot *snapshot;
	(void)state;
	ph_test_alloc_init(&memory);
	ph_limits_init(&limits);
	assert_int_equal(ph_store_mem_new(&store, &options), PH_ERR_NOMEM);
	assert_null(store);
	memory.fail_at = memory.calls + 1;
	left = 1;
	assert_int_equal(ph_store_mem_new(&store, &options), PH_ERR_NOMEM);
	memory.fail_at = 0;
	assert_int_equal(ph_store_mem_new(&store, &options), PH_OK);
	assert_int_equal(ph_store_create(store, REPO, PH_HASH_SHA1, &txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_ERR_NOMEM);
	assert_int_equal(ph_store_snapshot(store, REPO, &snapshot), PH_ERR_NOT_FOUND);
	left = 1;
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	ph_store_close(store);
	assert_int_equal(memory.live, 0);
}

/* What a record of long_log says. */
static uint32_t logged(struct ph_snapshot *snapshot, uint64_t at)
{
	uint8_t record[PH_LOG_LINK_BYTES + sizeof(uint32_t)];
	uint32_t number;
	size_t len = sizeof(record);
	assert_int_equal(ph_snapshot_log_read(snapshot, at, record, &len), PH_OK);
	assert_int_equal(len, sizeof(record));
	memcpy(&number, record + PH_LOG_LINK_BYTES, sizeof(number));
	return number;
}

/* The log keeps at least ten thousand records, and forgets older ones by 64. */
static void long_log(void **state)
{
	struct fixture f;
	struct ph_snapshot *old, *snapshot;
	uint32_t number = 0;
	(void)state;
	fixture_init(&f, 0);
	for (unsigned i = 0; i < 30; i++) {
		struct ph_txn *txn = begin(&f);
		for (unsigned j = 0; j < 1000; j++, number++)
			assert_int_equal(ph_txn_log(txn, &number, sizeof(number)), PH_OK);
		commit(txn);
		if (i == 0)
			assert_int_equal(ph_store_snapshot(f.store, REPO, &old), PH_OK);
	}
	assert_int_equal(ph_store_snapshot(f.store, REPO, &snapshot), PH_OK);
	uint64_t count = ph_snapshot_log_count(snapshot);
	assert_true(count >= 10000 && count <= 10048);
	assert_int_equal(logged(snapshot, 0), number - count);
	assert_int_equal(logged(snapshot, count - 1), number - 1);
	assert_int_equal(ph_snapshot_log_count(old), 1000);
	assert_int_equal(logged(old, 0), 0);
	ph_snapshot_release(old);
	ph_snapshot_release(snapshot);
	fixture_release(&f);
}

#define MANY 200000u

/* As many commands as a push may have; and then one into so many refs, which copies few of them. */
static void large_push(void **state)
{
	struct fixture f;
	struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 1), zero = {{0}};
	char name[64];
	uint32_t change;
	(void)state;
	fixture_init(&f, 0);
	struct ph_txn *txn = begin(&f);
	for (uint32_t i = 0; i < MANY; i++) {
		name_of(name, i);
		assert_int_equal(ph_txn_ref_update(txn, name, &zero, &oid, NULL, &change), PH_OK);
	}
	assert_int_equal(ph_txn_prepare(txn), PH_OK);
	commit(txn);
	int64_t before = f.memory.live_bytes;
	struct ph_snapshot *old;
	assert_int_equal(ph_store_snapshot(f.store, REPO, &old), PH_OK);
	txn = begin(&f);
	assert_int_equal(ph_txn_ref_update(txn, "refs/heads/one-more", &zero, &oid, NULL, &change),
	                 PH_OK);
	commit(txn);
	assert_true(f.memory.live_bytes - before < 64 * 1024);
	struct ph_ref ref;
	assert_int_equal(ph_snapshot_ref(old, "refs/heads/one-more", &ref), PH_ERR_NOT_FOUND);
	ph_snapshot_release(old);
	/* All of them away again, in the other direction. */
	txn = begin(&f);
	for (uint32_t i = MANY; i > 0; i--) {
		name_of(name, i - 1);
		assert_int_equal(ph_txn_ref_update(txn, name, &oid, &zero, NULL, &change), PH_OK);
	}
	commit(txn);
	assert_int_equal(ph_store_snapshot(f.store, REPO, &old), PH_OK);
	struct ph_ref_iter *iter;
	assert_int_equal(ph_snapshot_refs(old, "refs/", &iter), PH_OK);
	assert_int_equal(ph_ref_iter_next(iter, &ref), PH_OK);
	assert_string_equal(ref.name, "refs/heads/one-more");
	assert_int_equal(ph_ref_iter_next(iter, &ref), PH_END);
	ph_ref_iter_free(iter);
	ph_snapshot_release(old);
	fixture_release(&f);
}

int main(void)
{
	static const struct ph_conformance_factory factory = {
	        .name = "store_mem conformance",
	        .open = open_mem,
	        .close = close_mem,
	        .threads = true,
	        .bounded = true,
	};
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(limit_is_exact),
	        cmocka_unit_test(failure_leaks_nothing),
	        cmocka_unit_test(many_repositories_no_memory),
	        cmocka_unit_test(misuse),
	        cmocka_unit_test(attached_sink_is_sealed),
	        cmocka_unit_test(no_locks),
	        cmocka_unit_test(long_log),
	        cmocka_unit_test(large_push),
	};
	int failed = cmocka_run_group_tests_name("store_mem", tests, NULL, NULL);
	return failed + ph_conformance_run(&factory);
}
