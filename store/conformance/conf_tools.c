/* SPDX-License-Identifier: MIT */
/* Helpers of the conformance suite: short ways to make, change and look at repositories. */
#include "conformance_int.h"

#include <stdatomic.h>
#include <stdlib.h>

const struct ph_oid ph__conf_zero;

void ph__conf_status(enum ph_status have, enum ph_status want, const char *what, const char *file,
                     int line)
{
	if (have == want)
		return;
	print_error("%s: is %s, not %s\n", what, ph_status_name(have), ph_status_name(want));
	_fail(file, line);
}

/* ---- repositories, transactions ---- */

static void woken(void *arg)
{
	atomic_bool *flag = arg;
	atomic_store(flag, true);
}

enum ph_status ph__conf_try_commit(struct ph_txn *txn)
{
	atomic_bool flag;
	enum ph_status status;
	do {
		atomic_init(&flag, false);
		status = ph_txn_commit(txn, woken, &flag);
		/* Another thread completes it, or it has been completed already. */
		while (status == PH_PENDING && !atomic_load(&flag))
			;
	} while (status == PH_PENDING);
	return status;
}

void ph__conf_commit(struct ph_txn *txn)
{
	assert_status(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
}

void ph__conf_create(struct conf *c, const char *name)
{
	struct ph_txn *txn;
	assert_status(ph_store_create(c->store, name, c->algo, &txn), PH_OK);
	ph__conf_commit(txn);
}

struct ph_snapshot *ph__conf_snapshot(struct conf *c, const char *name)
{
	struct ph_snapshot *snapshot = NULL;
	assert_status(ph_store_snapshot(c->store, name, &snapshot), PH_OK);
	assert_non_null(snapshot);
	return snapshot;
}

struct ph_txn *ph__conf_begin(struct conf *c, const char *name)
{
	struct ph_snapshot *snapshot = ph__conf_snapshot(c, name);
	struct ph_txn *txn = NULL;
	assert_status(ph_store_begin(c->store, snapshot, &txn), PH_OK);
	assert_non_null(txn);
	/* The transaction holds its base itself. */
	ph_snapshot_release(snapshot);
	return txn;
}

/* ---- refs ---- */

struct ph_oid ph__conf_oid(const struct conf *c, uint32_t number)
{
	struct ph_oid oid;
	ph_hash_object(&oid, c->algo, PH_OBJ_BLOB, &number, sizeof(number));
	return oid;
}

uint32_t ph__conf_set(struct ph_txn *txn, const char *name, const struct ph_oid *old,
                      const struct ph_oid *new_oid)
{
	uint32_t change = UINT32_MAX;
	assert_status(ph_txn_ref_update(txn, name, old, new_oid, NULL, &change), PH_OK);
	return change;
}

uint32_t ph__conf_symref(struct ph_txn *txn, const char *name, const char *old, const char *target)
{
	uint32_t change = UINT32_MAX;
	assert_status(ph_txn_symref_update(txn, name, old, target, &change), PH_OK);
	return change;
}

void ph__conf_put(struct conf *c, const char *repo, const char *name, uint32_t number)
{
	struct ph_txn *txn = ph__conf_begin(c, repo);
	struct ph_oid oid = ph__conf_oid(c, number);
	ph__conf_set(txn, name, NULL, number ? &oid : &ph__conf_zero);
	ph__conf_commit(txn);
}

void ph__conf_expect_ref(struct ph_snapshot *snapshot, const char *name, const struct ph_oid *oid)
{
	struct ph_ref ref;
	assert_status(ph_snapshot_ref(snapshot, name, &ref), PH_OK);
	assert_string_equal(ref.name, name);
	assert_string_equal(ref.target, "");
	assert_memory_equal(&ref.oid, oid, sizeof(*oid));
}

void ph__conf_expect_symref(struct ph_snapshot *snapshot, const char *name, const char *target)
{
	struct ph_ref ref;
	assert_status(ph_snapshot_ref(snapshot, name, &ref), PH_OK);
	assert_string_equal(ref.name, name);
	assert_string_equal(ref.target, target);
	assert_true(ph_oid_is_zero(&ref.oid));
	assert_true(ph_oid_is_zero(&ref.peeled));
}

void ph__conf_expect_no_ref(struct ph_snapshot *snapshot, const char *name)
{
	struct ph_ref ref;
	assert_status(ph_snapshot_ref(snapshot, name, &ref), PH_ERR_NOT_FOUND);
}

void ph__conf_expect_names(struct ph_snapshot *snapshot, const char *from, const char *names)
{
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	struct ph_test_buf text = {0};
	enum ph_status status;
	assert_status(ph_snapshot_refs(snapshot, from, &iter), PH_OK);
	while ((status = ph_ref_iter_next(iter, &ref)) == PH_OK)
		ph_test_buf_print(&text, "%s ", ref.name);
	assert_status(status, PH_END);
	/* And it stays there. */
	assert_status(ph_ref_iter_next(iter, &ref), PH_END);
	ph_ref_iter_free(iter);
	ph_test_buf_append(&text, "", 1);
	assert_string_equal((const char *)text.data, names);
	ph_test_buf_release(&text);
}

/* ---- packs ---- */

void ph__conf_make_pack(const struct conf *c, struct ph_test_pack *pack, const char *label,
                        uint32_t count)
{
	struct ph_test_buf text = {0};
	ph_test_pack_init(pack, c->algo);
	for (uint32_t i = 0; i < count; i++) {
		ph_test_buf_clear(&text);
		for (unsigned line = 0; line < 20; line++)
			ph_test_buf_print(&text, "%s, line %u of all.\n", label, line);
		ph_test_buf_print(&text, "This one is %s %u.\n", label, (unsigned)i);
		if (i == 1)
			ph_test_pack_add_ofs(pack, 0, text.data, text.len);
		else
			ph_test_pack_add(pack, PH_OBJ_BLOB, text.data, text.len);
	}
	ph_test_buf_release(&text);
}

void ph__conf_append(struct ph_sink *sink, const void *data, size_t len)
{
	const uint8_t *at = data;
	size_t piece = 1;
	while (len > 0) {
		uint64_t before = sink->size;
		size_t part = piece < len ? piece : len;
		assert_status(sink->ops->append(sink, at, part), PH_OK);
		assert_int_equal(sink->size, before + part);
		at += part;
		len -= part;
		piece = piece * 3 + 1;
	}
}

uint32_t ph__conf_add_run(struct ph_txn *txn, const struct ph_test_buf *run,
                          const struct ph_test_buf *index)
{
	struct ph_sink *sink;
	uint32_t pack;
	assert_status(ph_txn_pack_begin(txn, &pack), PH_OK);
	assert_status(ph_txn_sink(txn, pack, PH_SECTION_RUN, &sink), PH_OK);
	ph__conf_append(sink, run->data, run->len);
	assert_status(ph_txn_sink(txn, pack, PH_SECTION_INDEX, &sink), PH_OK);
	ph__conf_append(sink, index->data, index->len);
	assert_status(ph_txn_pack_end(txn, pack), PH_OK);
	return pack;
}

uint32_t ph__conf_add_pack(struct ph_txn *txn, const struct ph_test_pack *pack)
{
	struct ph_test_buf index = {0};
	ph_test_pack_index(pack, &index);
	uint32_t number = ph__conf_add_run(txn, &pack->run, &index);
	ph_test_buf_release(&index);
	return number;
}

uint64_t ph__conf_commit_pack(struct conf *c, const char *repo, const char *label, uint32_t count)
{
	struct ph_test_pack pack;
	struct ph_snapshot *snapshot;
	struct ph_loc loc;
	struct ph_txn *txn = ph__conf_begin(c, repo);
	ph__conf_make_pack(c, &pack, label, count);
	ph__conf_add_pack(txn, &pack);
	ph__conf_commit(txn);
	snapshot = ph__conf_snapshot(c, repo);
	const struct ph_source *source = ph_snapshot_source(snapshot);
	assert_status(source->ops->find(source, &pack.entries[0].oid, &loc), PH_OK);
	uint64_t id = ph_snapshot_pack_id(snapshot, loc.pack);
	ph_snapshot_release(snapshot);
	ph_test_pack_release(&pack);
	return id;
}

uint32_t ph__conf_pack_number(struct ph_snapshot *snapshot, uint64_t id)
{
	const struct ph_source *source = ph_snapshot_source(snapshot);
	uint32_t packs = source->ops->packs(source);
	uint32_t pack = 0;
	while (pack < packs && ph_snapshot_pack_id(snapshot, pack) != id)
		pack++;
	return pack;
}

/* One object is where its index says, and its bytes are those of the pack. */
static void expect_object(const struct ph_source *source, const struct ph_test_pack *pack,
                          uint32_t number, struct ph_loc loc)
{
	const struct ph_test_entry *want = &pack->entries[number];
	struct ph_entry have;
	struct ph_loc again;
	assert_true(loc.pack < source->ops->packs(source));
	assert_status(source->ops->entry(source, loc, &have), PH_OK);
	assert_true(ph_oid_equal(&have.oid, &want->oid));
	assert_int_equal(have.type, want->type);
	assert_int_equal(have.size, want->size);
	assert_int_equal(have.delta, want->stored != want->type);
	assert_status(source->ops->at_offset(source, loc.pack, have.offset, &again), PH_OK);
	assert_int_equal(again.pack, loc.pack);
	assert_int_equal(again.pos, loc.pos);
	assert_true(have.end > have.offset);
	size_t len = (size_t)(have.end - have.offset);
	uint8_t *bytes = malloc(len);
	assert_non_null(bytes);
	assert_status(source->ops->read(source, loc.pack, have.offset, bytes, len), PH_OK);
	assert_memory_equal(bytes, pack->run.data + want->offset, len);
	free(bytes);
}

void ph__conf_expect_objects(const struct ph_source *source, const struct ph_test_pack *pack,
                             bool there)
{
	for (uint32_t i = 0; i < pack->count; i++) {
		struct ph_loc loc;
		enum ph_status want = there ? PH_OK : PH_ERR_NOT_FOUND;
		assert_status(source->ops->find(source, &pack->entries[i].oid, &loc), want);
		if (there)
			expect_object(source, pack, i, loc);
	}
}

void ph__conf_expect_bytes(const struct ph_bytes *bytes, const void *data, size_t len)
{
	assert_non_null(bytes);
	assert_int_equal(bytes->size, len);
	uint8_t *copy = malloc(len + 1);
	assert_non_null(copy);
	if (len > 0)
		assert_status(bytes->read(bytes, 0, copy, len), PH_OK);
	assert_memory_equal(copy, data, len);
	/* Also from the middle, and nothing at the end. */
	assert_status(bytes->read(bytes, len / 2, copy, len - len / 2), PH_OK);
	assert_memory_equal(copy, (const uint8_t *)data + len / 2, len - len / 2);
	assert_status(bytes->read(bytes, len, copy, 0), PH_OK);
	free(copy);
}
