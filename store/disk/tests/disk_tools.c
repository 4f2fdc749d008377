/* SPDX-License-Identifier: MIT */
/* See disk_tools.h. */
#include "disk_tools.h"

static void wake(void *arg)
{
	atomic_store((atomic_bool *)arg, true);
}

enum ph_status tool_commit(struct ph_txn *txn, bool use_wake)
{
	atomic_bool woken;
	enum ph_status status;
	do {
		atomic_init(&woken, false);
		status = ph_txn_commit(txn, use_wake ? wake : NULL, &woken);
		while (status == PH_PENDING && !atomic_load(&woken))
			sched_yield();
	} while (status == PH_PENDING);
	return status;
}

static enum ph_status finish(struct ph_txn *txn, enum ph_status status)
{
	if (status == PH_OK)
		status = tool_commit(txn, false);
	ph_txn_free(txn);
	return status;
}

enum ph_status tool_create(struct ph_store *store, const char *repo)
{
	struct ph_txn *txn;
	enum ph_status status = ph_store_create(store, repo, PH_HASH_SHA1, &txn);
	return status == PH_OK ? finish(txn, status) : status;
}

enum ph_status tool_begin(struct ph_store *store, const char *repo, struct ph_txn **out)
{
	struct ph_snapshot *snapshot;
	enum ph_status status = ph_store_snapshot(store, repo, &snapshot);
	if (status != PH_OK)
		return status;
	status = ph_store_begin(store, snapshot, out);
	ph_snapshot_release(snapshot);
	return status;
}

static void make_pack(struct ph_test_pack *pack, uint32_t number, size_t bytes)
{
	struct ph_test_rng rng;
	uint8_t *data = malloc(bytes + 1);
	if (!data)
		abort();
	ph_test_rng_init(&rng, number);
	ph_test_rng_fill(&rng, data, bytes);
	ph_test_pack_init(pack, PH_HASH_SHA1);
	ph_test_pack_add(pack, PH_OBJ_BLOB, data, bytes);
	free(data);
}

static enum ph_status fill(struct ph_txn *txn, uint32_t pack, uint32_t section,
                           const struct ph_test_buf *data)
{
	struct ph_sink *sink;
	enum ph_status status = ph_txn_sink(txn, pack, section, &sink);
	return status == PH_OK ? sink->ops->append(sink, data->data, data->len) : status;
}

enum ph_status tool_add_pack(struct ph_txn *txn, uint32_t number, size_t bytes, struct ph_oid *oid)
{
	struct ph_test_pack pack;
	struct ph_test_buf index = {0};
	uint32_t handle = 0;
	make_pack(&pack, number, bytes);
	*oid = pack.entries[0].oid;
	ph_test_pack_index(&pack, &index);
	enum ph_status status = ph_txn_pack_begin(txn, &handle);
	if (status == PH_OK)
		status = fill(txn, handle, PH_SECTION_RUN, &pack.run);
	if (status == PH_OK)
		status = fill(txn, handle, PH_SECTION_INDEX, &index);
	if (status == PH_OK)
		status = ph_txn_pack_end(txn, handle);
	ph_test_buf_release(&index);
	ph_test_pack_release(&pack);
	return status;
}

enum ph_status tool_push(struct ph_store *store, const char *repo, const char *ref, uint32_t number,
                         size_t bytes)
{
	struct ph_txn *txn;
	struct ph_oid oid;
	char line[40];
	uint32_t change;
	enum ph_status status = tool_begin(store, repo, &txn);
	if (status != PH_OK)
		return status;
	status = tool_add_pack(txn, number, bytes, &oid);
	if (status == PH_OK)
		status = ph_txn_ref_update(txn, ref, NULL, &oid, NULL, &change);
	int len = snprintf(line, sizeof(line), "push %u", (unsigned)number);
	if (status == PH_OK)
		status = ph_txn_log(txn, line, (size_t)len);
	return finish(txn, status);
}

enum ph_status tool_set(struct ph_store *store, const char *repo, const char *ref, uint32_t number)
{
	struct ph_txn *txn;
	struct ph_oid oid = {{0}};
	uint32_t change;
	enum ph_status status = tool_begin(store, repo, &txn);
	if (status != PH_OK)
		return status;
	if (number)
		ph_hash_object(&oid, PH_HASH_SHA1, PH_OBJ_BLOB, &number, sizeof(number));
	status = ph_txn_ref_update(txn, ref, NULL, &oid, NULL, &change);
	return finish(txn, status);
}

enum ph_status tool_delete_repo(struct ph_store *store, const char *repo)
{
	struct ph_txn *txn;
	enum ph_status status = tool_begin(store, repo, &txn);
	return status == PH_OK ? finish(txn, ph_txn_delete_repo(txn)) : status;
}

enum ph_status tool_repack(struct ph_store *store, const char *repo, uint32_t number, size_t bytes,
                           bool drop)
{
	struct ph_txn *txn;
	struct ph_oid oid;
	enum ph_status status = tool_begin(store, repo, &txn);
	if (status != PH_OK)
		return status;
	const struct ph_source *source = ph_snapshot_source(txn->base);
	uint32_t packs = source->ops->packs(source);
	for (uint32_t i = 0; i < packs && status == PH_OK; i++) {
		uint64_t id = ph_snapshot_pack_id(txn->base, i);
		status = ph_txn_replace(txn, &id, 1, drop);
	}
	if (status == PH_OK)
		status = tool_add_pack(txn, number, bytes, &oid);
	return finish(txn, status);
}

bool tool_has(struct ph_store *store, const char *repo, const char *ref, uint32_t number,
              size_t bytes)
{
	struct ph_snapshot *snapshot;
	struct ph_test_pack pack;
	struct ph_ref found;
	struct ph_loc loc;
	struct ph_entry entry;
	bool same = false;
	if (ph_store_snapshot(store, repo, &snapshot) != PH_OK)
		return false;
	make_pack(&pack, number, bytes);
	const struct ph_source *source = ph_snapshot_source(snapshot);
	uint8_t *data = malloc(pack.run.len);
	if (!data)
		abort();
	if (ph_snapshot_ref(snapshot, ref, &found) == PH_OK &&
	    ph_oid_equal(&found.oid, &pack.entries[0].oid) &&
	    source->ops->find(source, &found.oid, &loc) == PH_OK &&
	    source->ops->entry(source, loc, &entry) == PH_OK && entry.end == pack.run.len &&
	    source->ops->read(source, loc.pack, 0, data, pack.run.len) == PH_OK)
		same = memcmp(data, pack.run.data, pack.run.len) == 0;
	free(data);
	ph_test_pack_release(&pack);
	ph_snapshot_release(snapshot);
	return same;
}
