/* SPDX-License-Identifier: MIT */
/* A repository that is pushed to, and a model of it; see maintain_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "maintain_world.h"

#include <packhorse/reader.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICES_MAX 200000u

/* ---- the store ---- */

/* The repository, whose HEAD is none of the branches: so each of them may go. */
static void create(struct world *w)
{
	struct ph_txn *txn;
	uint32_t change;

	assert_int_equal(ph_store_create(w->f.store, WORLD_REPO, w->f.algo, &txn), PH_OK);
	assert_int_equal(ph_txn_symref_update(txn, "HEAD", NULL, "refs/heads/none", &change),
	                 PH_OK);
	assert_int_equal(ph_txn_prepare(txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
}

void world_init(struct world *w, uint64_t seed, uint64_t disk_bytes)
{
	struct ph_store *store;

	memset(w, 0, sizeof(*w));
	fixture_init(&w->f, seed % 7 == 3 ? PH_HASH_SHA256 : PH_HASH_SHA1);
	ph_test_rng_init(&w->rng, seed);
	w->blob_bytes = 600;
	for (uint32_t i = 0; i < WORLD_BRANCHES; i++)
		w->branches[i] = WORLD_NONE;
	if (disk_bytes) {
		w->sim = sim_new(4 << 20, disk_bytes);
		sim_options(&w->disk);
		w->disk.alloc = &w->f.memory.alloc;
		w->disk.limits = &w->f.limits;
		assert_int_equal(sim_open(w->sim, &w->disk, &store), PH_OK);
		ph_store_close(w->f.store);
		w->f.store = w->f.service.store = store;
	}
	create(w);
}

void world_release(struct world *w)
{
	fixture_release(&w->f);
	if (w->sim)
		sim_free(w->sim);
}

void world_reopen(struct world *w)
{
	ph_store_close(w->f.store);
	assert_int_equal(sim_open(w->sim, &w->disk, &w->f.store), PH_OK);
	w->f.service.store = w->f.store;
}

/* ---- the model ---- */

static uint32_t new_blob(struct world *w, uint32_t old)
{
	char text[WORLD_BLOB_MAX];
	uint64_t number = ph_test_rng_next(&w->rng);

	if (old == WORLD_NONE)
		ph_test_rng_text(&w->rng, text, w->blob_bytes);
	else
		memcpy(text, w->f.all.entries[old].data, w->blob_bytes);
	memcpy(text + 8 * ph_test_rng_below(&w->rng, 70), &number, sizeof(number));
	return ph_test_pack_add(&w->f.all, PH_OBJ_BLOB, text, w->blob_bytes);
}

uint32_t world_commit(struct world *w, uint32_t parent)
{
	struct world_commit *c = &w->commits[w->count];
	const struct world_commit *p = parent == WORLD_NONE ? NULL : &w->commits[parent];
	uint32_t changed = ph_test_rng_below(&w->rng, WORLD_FILES);
	struct ph_test_buf text = {0};
	char name[8];

	assert_true(w->count < WORLD_COMMITS_MAX);
	c->parent = parent;
	for (uint32_t i = 0; i < WORLD_FILES; i++) {
		c->blobs[i] =
		        p && i != changed ? p->blobs[i] : new_blob(w, p ? p->blobs[i] : WORLD_NONE);
		snprintf(name, sizeof(name), "f%u", i);
		ph_test_tree_entry(&text, w->f.algo, 0100644, name,
		                   &w->f.all.entries[c->blobs[i]].oid);
	}
	c->tree = ph_test_pack_add(&w->f.all, PH_OBJ_TREE, text.data, text.len);
	ph_test_buf_clear(&text);
	ph_test_commit_text(&text, w->f.algo, &w->f.all.entries[c->tree].oid,
	                    p ? &w->f.all.entries[p->commit].oid : NULL, p ? 1 : 0,
	                    1700000000u + w->count, "a change\n");
	c->commit = ph_test_pack_add(&w->f.all, PH_OBJ_COMMIT, text.data, text.len);
	ph_test_buf_release(&text);
	return w->count++;
}

static void mark(const struct world *w, uint32_t commit, uint8_t *marks)
{
	for (; commit != WORLD_NONE; commit = w->commits[commit].parent) {
		const struct world_commit *c = &w->commits[commit];

		marks[c->commit] = marks[c->tree] = 1;
		for (uint32_t i = 0; i < WORLD_FILES; i++)
			marks[c->blobs[i]] = 1;
	}
}

/* A byte for each entry of all, 1 where a branch reaches it. */
static uint8_t *mark_branches(const struct world *w)
{
	uint8_t *marks = calloc(w->f.all.count + 1, 1);

	assert_non_null(marks);
	for (uint32_t i = 0; i < WORLD_BRANCHES; i++)
		mark(w, w->branches[i], marks);
	return marks;
}

bool world_reaches(const struct world *w, uint32_t entry)
{
	uint8_t *marks = mark_branches(w);
	bool reaches = marks[entry] != 0;

	free(marks);
	return reaches;
}

/* ---- pushes ---- */

/* One object, stored in any way; had tells what the server has. */
static void pack_one(struct world *w, struct ph_test_pack *pack, uint32_t entry, uint32_t base,
                     const uint8_t *had)
{
	const struct ph_test_entry *e = &w->f.all.entries[entry];
	const struct ph_test_entry *b = base == WORLD_NONE ? NULL : &w->f.all.entries[base];

	if (e->type == PH_OBJ_BLOB && b && had[base] && ph_test_rng_below(&w->rng, 3)) {
		ph_test_pack_add_thin(pack, PH_OBJ_BLOB, &b->oid, b->data, b->size, e->data,
		                      e->size);
		return;
	}
	for (uint32_t i = 0; i < pack->count; i++)
		if (pack->entries[i].type == e->type && pack->entries[i].data &&
		    ph_test_rng_below(&w->rng, 2)) {
			ph_test_pack_add_ofs(pack, i, e->data, e->size);
			return;
		}
	ph_test_pack_add(pack, e->type, e->data, e->size);
}

static void make_pack(struct world *w, uint32_t commit, struct ph_test_buf *out)
{
	uint8_t *had = mark_branches(w), *wanted = calloc(w->f.all.count + 1, 1);
	struct ph_test_pack pack;
	uint32_t extra = ph_test_rng_below(&w->rng, 8);

	assert_non_null(wanted);
	mark(w, commit, wanted);
	ph_test_pack_init(&pack, w->f.algo);
	for (uint32_t entry = 0; entry < w->f.all.count; entry++) {
		uint32_t base = WORLD_NONE;

		/* Now and then something that the server has as well. */
		if (!wanted[entry] || (had[entry] && (extra > 2 || ph_test_rng_below(&w->rng, 60))))
			continue;
		for (uint32_t i = 0; i < entry; i++)
			if (w->f.all.entries[i].type == PH_OBJ_BLOB && had[i] && !wanted[i] &&
			    ph_test_rng_below(&w->rng, 4) == 0)
				base = i;
		pack_one(w, &pack, entry, base, had);
	}
	ph_test_packfile(&pack, out);
	ph_test_pack_release(&pack);
	free(had);
	free(wanted);
}

static const char *hex_of(const struct world *w, uint32_t commit)
{
	return commit == WORLD_NONE ? zero(&w->f) : hex(&w->f, w->commits[commit].commit);
}

static void ref_name(char name[32], uint32_t branch)
{
	snprintf(name, 32, "refs/heads/b%u", branch);
}

void world_request(struct world *w, uint32_t branch, uint32_t commit, struct ph_test_buf *out)
{
	char name[32];

	ref_name(name, branch);
	ph_test_buf_clear(out);
	command(out, hex_of(w, w->branches[branch]), hex_of(w, commit), name,
	        w->f.algo == PH_HASH_SHA256 ? "report-status object-format=sha256"
	                                    : "report-status");
	flush(out);
	if (commit != WORLD_NONE)
		make_pack(w, commit, out);
	w->pushed += out->len;
}

static void expect_taken(struct world *w, const struct answer *answer, uint32_t branch)
{
	char name[32], line[48];

	(void)w;
	ref_name(name, branch);
	snprintf(line, sizeof(line), "ok %s", name);
	if (!says(answer, line))
		fail_msg("not taken: %.*s%.*s", (int)answer->out.len,
		         (const char *)answer->out.data, (int)answer->err.len,
		         (const char *)answer->err.data);
}

void world_push(struct world *w, uint32_t branch, uint32_t commit)
{
	struct ph_test_buf request = {0};
	struct answer answer;

	world_request(w, branch, commit, &request);
	push(&w->f, WORLD_REPO, &request, &answer);
	expect_taken(w, &answer, branch);
	w->branches[branch] = commit;
	answer_release(&answer);
	ph_test_buf_release(&request);
}

static void feed(struct world *w, struct ph_session *session, const uint8_t *data, size_t len)
{
	while (len > 0 || (ph_session_state(session) & PH_WANT_RUN)) {
		size_t room, out_len;
		uint8_t *to;

		for (int stream = 0; stream < 2; stream++)
			while (ph_session_output_buf(session, (enum ph_stream)stream, &out_len) &&
			       out_len)
				ph_session_output_ack(session, (enum ph_stream)stream, out_len);
		to = ph_session_input_buf(session, &room);
		if (to && room && len) {
			room = room < len ? room : len;
			memcpy(to, data, room);
			ph_session_input_ack(session, room);
			data += room;
			len -= room;
		}
		ph_session_run(session, ++w->f.now_ms, 1700000000, 1000);
	}
}

struct ph_session *world_push_begin(struct world *w, uint32_t branch, uint32_t commit,
                                    struct ph_test_buf *rest)
{
	struct ph_test_buf request = {0};
	struct ph_session *session;

	world_request(w, branch, commit, &request);
	assert_int_equal(ph_receive_pack_new(&session, &w->f.service, WORLD_REPO, 0), PH_OK);
	feed(w, session, request.data, request.len - 10);
	assert_false(ph_session_state(session) & PH_DONE);
	ph_test_buf_append(rest, request.data + request.len - 10, 10);
	ph_test_buf_release(&request);
	return session;
}

void world_push_finish(struct world *w, struct ph_session *session, struct ph_test_buf *rest,
                       uint32_t branch, uint32_t commit)
{
	const struct pump how = {.feed = FEED_AT_ONCE};
	struct answer answer;

	pump(&w->f, session, &how, rest, &answer);
	expect_taken(w, &answer, branch);
	w->branches[branch] = commit;
	answer_release(&answer);
	ph_test_buf_release(rest);
}

/* ---- checking ---- */

static struct ph_snapshot *snapshot_of(struct world *w)
{
	struct ph_snapshot *snapshot;

	assert_int_equal(ph_store_snapshot(w->f.store, WORLD_REPO, &snapshot), PH_OK);
	return snapshot;
}

/* An entry is what its id says, and its base is in the same pack. */
static void check_entry(const struct ph_source *source, struct ph_reader *reader, struct ph_loc loc)
{
	struct ph_entry entry;
	struct ph_entry_header header;
	struct ph_object object;
	struct ph_loc base;
	struct ph_oid oid;

	assert_int_equal(source->ops->entry(source, loc, &entry), PH_OK);
	assert_int_equal(ph_entry_header_read(source, loc.pack, entry.offset, &header), PH_OK);
	assert_int_equal(entry.delta, header.type > PH_OBJ_TAG);
	if (header.type == PH_OBJ_OFS_DELTA)
		assert_int_equal(
		        source->ops->at_offset(source, loc.pack, header.base_offset, &base), PH_OK);
	assert_int_equal(ph_reader_read(reader, loc, UINT64_MAX, &object), PH_OK);
	assert_int_equal(object.size, entry.size);
	ph_hash_object(&oid, source->algo, object.type, object.data, object.size);
	assert_memory_equal(oid.bytes, entry.oid.bytes, PH_OID_BYTES_MAX);
	ph_object_release(reader, &object);
}

static void check_packs(struct world *w, const struct ph_source *source)
{
	struct ph_reader *reader;

	assert_int_equal(ph_reader_new(&reader, source, ph_alloc_libc(), &w->f.limits), PH_OK);
	for (uint32_t i = 0; i < source->ops->packs(source); i++) {
		uint32_t entries;
		uint64_t bytes;

		source->ops->pack_size(source, i, &entries, &bytes);
		for (uint32_t pos = 0; pos < entries; pos++)
			check_entry(source, reader, (struct ph_loc){i, pos});
	}
	ph_reader_free(reader);
}

static void check_refs(struct world *w, struct ph_snapshot *snapshot)
{
	static struct ph_ref ref;
	char name[32];

	for (uint32_t i = 0; i < WORLD_BRANCHES; i++) {
		enum ph_status status;

		ref_name(name, i);
		status = ph_snapshot_ref(snapshot, name, &ref);
		if (w->branches[i] == WORLD_NONE) {
			assert_int_equal(status, PH_ERR_NOT_FOUND);
			continue;
		}
		assert_int_equal(status, PH_OK);
		assert_memory_equal(ref.oid.bytes,
		                    w->f.all.entries[w->commits[w->branches[i]].commit].oid.bytes,
		                    PH_OID_BYTES_MAX);
	}
}

void world_check(struct world *w)
{
	struct ph_snapshot *snapshot = snapshot_of(w);
	const struct ph_source *source = ph_snapshot_source(snapshot);
	uint8_t *marks = mark_branches(w);

	check_refs(w, snapshot);
	check_packs(w, source);
	for (uint32_t i = 0; i < w->f.all.count; i++) {
		struct ph_loc loc;

		if (marks[i])
			assert_int_equal(source->ops->find(source, &w->f.all.entries[i].oid, &loc),
			                 PH_OK);
	}
	free(marks);
	ph_snapshot_release(snapshot);
	if (w->sim)
		assert_int_equal(sim_check(w->f.store), PH_OK);
}

uint32_t world_packs(struct world *w, uint32_t *entries)
{
	struct ph_snapshot *snapshot = snapshot_of(w);
	const struct ph_source *source = ph_snapshot_source(snapshot);
	uint32_t packs = source->ops->packs(source);

	*entries = 0;
	for (uint32_t i = 0; i < packs; i++) {
		uint32_t count;
		uint64_t bytes;

		source->ops->pack_size(source, i, &count, &bytes);
		*entries += count;
	}
	ph_snapshot_release(snapshot);
	return packs;
}

bool world_has(struct world *w, uint32_t entry)
{
	struct ph_snapshot *snapshot = snapshot_of(w);
	const struct ph_source *source = ph_snapshot_source(snapshot);
	struct ph_loc loc;
	enum ph_status status = source->ops->find(source, &w->f.all.entries[entry].oid, &loc);

	ph_snapshot_release(snapshot);
	return status == PH_OK;
}

/* ---- maintenance ---- */

int world_maintain(struct world *w, uint32_t slices)
{
	struct ph_session *session;
	int exit_status = -1;

	if (ph_maintenance_open(&session, &w->f.service, WORLD_REPO, w->extent) != PH_OK)
		return -2;
	for (uint32_t i = 0; i < slices || ph_session_busy(session); i++) {
		unsigned state = ph_session_state(session);

		assert_true(i < SLICES_MAX);
		if (state & PH_DONE) {
			exit_status = ph_session_exit_status(session);
			break;
		}
		if (!(state & PH_WANT_RUN)) {
			assert_true(state & PH_WAITING);
			/* A commit is woken by the store, everything else by the clock. */
			if (ph_session_deadline(session) != PH_NO_DEADLINE)
				w->f.now_ms = ph_session_deadline(session);
		}
		ph_session_run(session, w->f.now_ms, 1700000000,
		               1 + ph_test_rng_below(&w->rng, 200));
	}
	ph_session_free(session);
	return exit_status;
}
