/* SPDX-License-Identifier: MIT */
/*
 * The store that a workload runs on, the objects that are pushed to it, and a model of what its
 * clients were told: so that what must be there is known without asking the code under test.
 */
#include "cut.h"

#include <packhorse/reader.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void cut_fail(const struct cut_world *w, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", w->where);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(3);
}

void *cut_room(void *list, uint32_t count, uint32_t *room, size_t each)
{
	if (count < *room)
		return list;
	*room = *room ? 2 * *room : 32;
	list = realloc(list, *room * each);
	if (!list)
		abort();
	return list;
}

/* ---- beginning and end ---- */

static enum ph_status make_random(void *user, void *buf, size_t len)
{
	ph_test_rng_fill(user, buf, len);
	return PH_OK;
}

static void wake(void *user, struct ph_session *session)
{
	struct cut_world *w = user;

	for (uint32_t i = 0; i < w->client_count; i++)
		if (w->clients[i]->session == session)
			w->clients[i]->woken = true;
}

void cut_world_init(struct cut_world *w, const char *where, uint64_t seed, uint64_t bytes,
                    uint64_t bytes_max)
{
	memset(w, 0, sizeof(*w));
	w->where = where;
	ph_test_rng_init(&w->rng, seed);
	ph_limits_init(&w->limits);
	/* Small, so that nothing is allocated for what does not come. */
	w->limits.delta_resident_bytes_max = 64 << 10;
	w->limits.delta_cache_bytes_max = 64 << 10;
	w->sim = sim_new(bytes, bytes_max);
	w->options = (struct ph_store_disk_options){.alloc = ph_alloc_libc(),
	                                            .limits = &w->limits,
	                                            .cache_bytes = 256 << 10,
	                                            .user = &w->rng,
	                                            .random = make_random};
	w->service = (struct ph_service){.alloc = ph_alloc_libc(),
	                                 .limits = &w->limits,
	                                 .identity = "alice",
	                                 .permission = PH_PERM_OWNER,
	                                 .wake_user = w,
	                                 .wake = wake,
	                                 .agent = "packhorse/test"};
	ph_test_pack_init(&w->all, PH_HASH_SHA1);
	w->next = cut_commit(w, CUT_NONE, 200);
}

void cut_world_record(struct cut_world *w)
{
	if (w->no_flush)
		sim_no_flush(w->sim);
	w->start = sim_copy(w->sim);
	w->sim->recording = true;
	w->live = true;
}

static void open_store(struct cut_world *w)
{
	enum ph_status status;

	w->sim->open = true;
	status = ph_store_disk_open(&w->service.store, &w->sim->device, &w->options);
	if (status != PH_OK)
		cut_fail(w, "the store does not open: %s", ph_status_name(status));
}

void cut_world_open(struct cut_world *w)
{
	open_store(w);
	cut_note(w);
}

void cut_world_start(struct cut_world *w)
{
	enum ph_status status;

	if (w->no_flush)
		sim_no_flush(w->sim);
	status = ph_store_disk_format(&w->sim->device, &w->options);
	if (status != PH_OK)
		cut_fail(w, "the device is not formatted: %s", ph_status_name(status));
	open_store(w);
	cut_world_record(w);
	cut_note(w);
}

void cut_world_stop(struct cut_world *w)
{
	ph_store_close(w->service.store);
	w->service.store = NULL;
	w->live = false;
}

void cut_world_release(struct cut_world *w)
{
	ph_test_pack_release(&w->all);
	free(w->commits);
	free(w->refs);
	free(w->states);
	free(w->acks);
	sim_free(w->sim);
	sim_free(w->start);
}

/* ---- objects ---- */

static uint32_t new_blob(struct cut_world *w, uint32_t bytes)
{
	uint8_t *data = malloc(bytes + 1u);
	uint32_t entry;

	if (!data)
		abort();
	ph_test_rng_fill(&w->rng, data, bytes);
	entry = ph_test_pack_add(&w->all, PH_OBJ_BLOB, data, bytes);
	free(data);
	return entry;
}

uint32_t cut_commit(struct cut_world *w, uint32_t parent, uint32_t bytes)
{
	uint32_t changed = ph_test_rng_below(&w->rng, CUT_FILES);
	struct ph_test_buf text = {0};
	const struct cut_commit *p;
	struct cut_commit *c;

	w->commits = cut_room(w->commits, w->commit_count, &w->commit_room, sizeof(*w->commits));
	p = parent == CUT_NONE ? NULL : &w->commits[parent];
	c = &w->commits[w->commit_count];
	c->parent = parent;
	for (uint32_t i = 0; i < CUT_FILES; i++) {
		char name[16];

		c->blobs[i] =
		        p && i != changed ? p->blobs[i] : new_blob(w, i == changed ? bytes : 60);
		snprintf(name, sizeof(name), "f%u", (unsigned)i);
		ph_test_tree_entry(&text, PH_HASH_SHA1, 0100644, name,
		                   &w->all.entries[c->blobs[i]].oid);
	}
	c->tree = ph_test_pack_add(&w->all, PH_OBJ_TREE, text.data, text.len);
	ph_test_buf_clear(&text);
	ph_test_commit_text(&text, PH_HASH_SHA1, &w->all.entries[c->tree].oid,
	                    p ? &w->all.entries[p->commit].oid : NULL, p ? 1 : 0,
	                    1700000000u + w->commit_count, "a change\n");
	c->commit = ph_test_pack_add(&w->all, PH_OBJ_COMMIT, text.data, text.len);
	ph_test_buf_release(&text);
	return w->commit_count++;
}

void cut_mark(const struct cut_world *w, uint32_t commit, uint8_t *marks)
{
	for (; commit != CUT_NONE; commit = w->commits[commit].parent) {
		const struct cut_commit *c = &w->commits[commit];

		marks[c->commit] = marks[c->tree] = 1;
		for (uint32_t i = 0; i < CUT_FILES; i++)
			marks[c->blobs[i]] = 1;
	}
}

/* ---- what clients were told ---- */

static struct cut_ref *find_ref(const struct cut_world *w, const char *repo, const char *name)
{
	for (uint32_t i = 0; i < w->ref_count; i++)
		if (strcmp(w->refs[i].repo, repo) == 0 && strcmp(w->refs[i].name, name) == 0)
			return &w->refs[i];
	return NULL;
}

uint32_t cut_ref(const struct cut_world *w, const char *repo, const char *name)
{
	const struct cut_ref *ref = find_ref(w, repo, name);

	return ref ? ref->commit : CUT_NONE;
}

void cut_ref_set(struct cut_world *w, const char *repo, const char *name, uint32_t commit)
{
	struct cut_ref *ref = find_ref(w, repo, name);

	if (!ref) {
		w->refs = cut_room(w->refs, w->ref_count, &w->ref_room, sizeof(*w->refs));
		ref = &w->refs[w->ref_count++];
		snprintf(ref->repo, sizeof(ref->repo), "%s", repo);
		snprintf(ref->name, sizeof(ref->name), "%s", name);
	}
	ref->commit = commit;
}

void cut_repo_gone(struct cut_world *w, const char *repo)
{
	for (uint32_t i = 0; i < w->ref_count; i++)
		if (strcmp(w->refs[i].repo, repo) == 0)
			w->refs[i].commit = CUT_NONE;
}

void cut_acknowledge(struct cut_world *w)
{
	if (!w->live)
		return;
	cut_note(w);
	w->acks = cut_room(w->acks, w->ack_count, &w->ack_room, sizeof(*w->acks));
	w->acks[w->ack_count++] =
	        (struct cut_ack){.event = w->sim->event_count, .state = w->state_count - 1};
}

/* ---- what a store shows ---- */

static void dump_setting(struct ph_test_buf *out, enum ph_status status, const uint8_t *data,
                         size_t len)
{
	if (status == PH_OK)
		ph_test_buf_print(out, " config %zu %08" PRIx32 "\n", len, ph_crc32(0, data, len));
}

static void dump_repo(struct ph_snapshot *snapshot, struct ph_test_buf *out)
{
	const struct ph_source *source = ph_snapshot_source(snapshot);
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	uint8_t data[4096];
	size_t len = sizeof(data);
	enum ph_status status;

	ph_test_buf_print(out, "%s log %" PRIu64 "\n", snapshot->name,
	                  ph_snapshot_log_count(snapshot));
	status = ph_snapshot_setting(snapshot, "config", data, &len);
	dump_setting(out, status, data, len);
	for (uint32_t i = 0; i < source->ops->packs(source); i++) {
		uint32_t entries;
		uint64_t bytes;

		source->ops->pack_size(source, i, &entries, &bytes);
		ph_test_buf_print(out, " pack %" PRIu64 ": %" PRIu32 ", %" PRIu64 "\n",
		                  ph_snapshot_pack_id(snapshot, i), entries, bytes);
	}
	if (ph_snapshot_refs(snapshot, "", &iter) != PH_OK) {
		ph_test_buf_print(out, " its refs cannot be read\n");
		return;
	}
	while (ph_ref_iter_next(iter, &ref) == PH_OK) {
		char oid[PH_OID_HEX_MAX + 1];

		ph_test_buf_print(out, " %s %s%s\n", ref.name,
		                  ph_oid_to_hex(oid, PH_HASH_SHA1, &ref.oid), ref.target);
	}
	ph_ref_iter_free(iter);
}

void cut_dump(struct ph_store *store, struct ph_test_buf *out)
{
	char name[PH_REPO_NAME_MAX + 1] = "";
	uint8_t data[4096];
	size_t len = sizeof(data);
	enum ph_status status;

	ph_test_buf_clear(out);
	status = ph_store_setting_get(store, "config", data, &len);
	dump_setting(out, status, data, len);
	while (ph_store_next_repo(store, name, name) == PH_OK) {
		struct ph_snapshot *snapshot;

		status = ph_store_snapshot(store, name, &snapshot);
		if (status != PH_OK) {
			ph_test_buf_print(out, "%s: %s\n", name, ph_status_name(status));
			continue;
		}
		dump_repo(snapshot, out);
		ph_snapshot_release(snapshot);
	}
	ph_test_buf_append(out, "", 1);
}

uint64_t cut_hash(struct ph_store *store)
{
	struct ph_test_buf text = {0};
	uint64_t hash = 0xcbf29ce484222325u;

	cut_dump(store, &text);
	for (size_t i = 0; i < text.len; i++)
		hash = (hash ^ text.data[i]) * 0x100000001b3u;
	ph_test_buf_release(&text);
	return hash;
}

void cut_note(struct cut_world *w)
{
	struct ph_store_disk_info info;
	unsigned fail_ops = w->sim->fail_ops;

	if (!w->live || !w->service.store)
		return;
	ph_store_disk_info(w->service.store, &info);
	if (info.epoch == w->epoch)
		return;
	w->epoch = info.epoch;
	/* Looking is not part of what happens. */
	w->sim->fail_ops = 0;
	w->states = cut_room(w->states, w->state_count, &w->state_room, sizeof(*w->states));
	w->states[w->state_count++] = (struct cut_state){.hash = cut_hash(w->service.store),
	                                                 .event = w->sim->event_count};
	w->sim->fail_ops = fail_ops;
}

/* ---- objects, read and hashed ---- */

static const struct cut_commit *find_commit(const struct cut_world *w, const struct ph_oid *oid)
{
	for (uint32_t i = 0; i < w->commit_count; i++)
		if (ph_oid_equal(&w->all.entries[w->commits[i].commit].oid, oid))
			return &w->commits[i];
	return NULL;
}

static bool is_whole(struct ph_reader *reader, const struct ph_test_entry *entry)
{
	struct ph_object object;
	bool whole;

	if (ph_reader_read_oid(reader, &entry->oid, UINT64_MAX, &object) != PH_OK)
		return false;
	whole = object.type == entry->type && object.size == entry->size &&
	        (entry->size == 0 || memcmp(object.data, entry->data, entry->size) == 0);
	ph_object_release(reader, &object);
	return whole;
}

static const char *mark_refs(struct cut_world *w, struct ph_snapshot *snapshot, uint8_t *marks)
{
	const char *wrong = NULL;
	struct ph_ref_iter *iter;
	struct ph_ref ref;

	if (ph_snapshot_refs(snapshot, "", &iter) != PH_OK)
		return "refs cannot be read";
	while (!wrong && ph_ref_iter_next(iter, &ref) == PH_OK) {
		const struct cut_commit *commit = find_commit(w, &ref.oid);

		if (commit)
			cut_mark(w, (uint32_t)(commit - w->commits), marks);
		else if (!*ref.target)
			wrong = "a ref names what nobody pushed";
	}
	ph_ref_iter_free(iter);
	return wrong;
}

static const char *repo_objects(struct cut_world *w, struct ph_snapshot *snapshot)
{
	uint8_t *marks = calloc(w->all.count + 1, 1);
	struct ph_reader *reader;
	const char *wrong;

	if (!marks || ph_reader_new(&reader, ph_snapshot_source(snapshot), ph_alloc_libc(),
	                            &w->limits) != PH_OK)
		abort();
	wrong = mark_refs(w, snapshot, marks);
	for (uint32_t i = 0; i < w->all.count && !wrong; i++)
		if (marks[i] && !is_whole(reader, &w->all.entries[i]))
			wrong = "an object that a ref reaches is missing or wrong";
	ph_reader_free(reader);
	free(marks);
	return wrong;
}

const char *cut_objects(struct cut_world *w, struct ph_store *store)
{
	char name[PH_REPO_NAME_MAX + 1] = "";
	const char *wrong = NULL;

	while (!wrong && ph_store_next_repo(store, name, name) == PH_OK) {
		struct ph_snapshot *snapshot;

		if (ph_store_snapshot(store, name, &snapshot) != PH_OK)
			return "a repository does not open";
		wrong = repo_objects(w, snapshot);
		ph_snapshot_release(snapshot);
	}
	return wrong;
}

/* ---- the running store against the model ---- */

static void expect_ref(struct cut_world *w, const struct cut_ref *want)
{
	struct ph_snapshot *snapshot;
	enum ph_status status = ph_store_snapshot(w->service.store, want->repo, &snapshot);
	struct ph_ref ref;
	bool right;

	if (status == PH_OK) {
		status = ph_snapshot_ref(snapshot, want->name, &ref);
		ph_snapshot_release(snapshot);
	}
	right = want->commit == CUT_NONE
	                ? status == PH_ERR_NOT_FOUND
	                : status == PH_OK &&
	                          ph_oid_equal(
	                                  &ref.oid,
	                                  &w->all.entries[w->commits[want->commit].commit].oid);
	if (!right)
		cut_fail(w, "%s %s is not what its client was told (%s)", want->repo, want->name,
		         ph_status_name(status));
}

void cut_expect(struct cut_world *w)
{
	const char *wrong = cut_objects(w, w->service.store);

	for (uint32_t i = 0; i < w->ref_count; i++)
		expect_ref(w, &w->refs[i]);
	if (wrong)
		cut_fail(w, "while it runs: %s", wrong);
}
