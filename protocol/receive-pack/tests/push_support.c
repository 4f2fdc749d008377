/* SPDX-License-Identifier: MIT */
/* A client of receive-pack for tests; see push_support.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "push_support.h"

#include <packhorse/pkt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the world ---- */

static void log_write(void *user, enum ph_log_level level, const char *source, uint64_t connection,
                      const char *message)
{
	struct fixture *f = user;

	(void)level;
	(void)connection;
	ph_test_buf_print(&f->log_text, "%s: %s\n", source, message);
}

static void wake(void *user, struct ph_session *session)
{
	(void)user;
	(void)session;
}

static uint32_t add_commit(struct fixture *f, uint32_t tree, const uint32_t *parent, uint64_t time)
{
	struct ph_test_buf text = {0};
	uint32_t entry;

	ph_test_commit_text(&text, f->algo, &f->all.entries[tree].oid,
	                    parent ? &f->all.entries[*parent].oid : NULL, parent ? 1 : 0, time,
	                    "a change\n");
	entry = ph_test_pack_add(&f->all, PH_OBJ_COMMIT, text.data, text.len);
	ph_test_buf_release(&text);
	return entry;
}

static void make_objects(struct fixture *f)
{
	struct ph_test_buf text = {0};

	ph_test_pack_init(&f->all, f->algo);
	for (int i = 0; i < 2; i++) {
		char content[32];
		int len = snprintf(content, sizeof(content), "content %d\n", i);

		f->blob[i] = ph_test_pack_add(&f->all, PH_OBJ_BLOB, content, (size_t)len);
		ph_test_buf_clear(&text);
		ph_test_tree_entry(&text, f->algo, 0100644, "file",
		                   &f->all.entries[f->blob[i]].oid);
		f->tree[i] = ph_test_pack_add(&f->all, PH_OBJ_TREE, text.data, text.len);
		f->commit[i] = add_commit(f, f->tree[i], i ? &f->commit[0] : NULL,
		                          1700000000u + 60u * (unsigned)i);
	}
	ph_test_buf_clear(&text);
	ph_test_tag_text(&text, f->algo, &f->all.entries[f->commit[1]].oid, PH_OBJ_COMMIT, "v1");
	f->tag = ph_test_pack_add(&f->all, PH_OBJ_TAG, text.data, text.len);
	ph_test_buf_release(&text);
}

void fixture_init(struct fixture *f, enum ph_hash_algo algo)
{
	struct ph_store_mem_options options;

	memset(f, 0, sizeof(*f));
	ph_test_alloc_init(&f->memory);
	ph_limits_init(&f->limits);
	f->algo = algo;
	f->log = (struct ph_log){.user = f, .level = PH_LOG_DEBUG, .write = log_write};
	options = (struct ph_store_mem_options){.alloc = &f->memory.alloc, .limits = &f->limits};
	assert_int_equal(ph_store_mem_new(&f->store, &options), PH_OK);
	f->service = (struct ph_service){.store = f->store,
	                                 .alloc = &f->memory.alloc,
	                                 .limits = &f->limits,
	                                 .log = &f->log,
	                                 .identity = "alice",
	                                 .permission = PH_PERM_OWNER,
	                                 .wake = wake,
	                                 .agent = "packhorse/test"};
	make_objects(f);
}

void fixture_release(struct fixture *f)
{
	ph_store_close(f->store);
	ph_test_pack_release(&f->all);
	ph_test_buf_release(&f->log_text);
	assert_int_equal(f->memory.live, 0);
}

/* ---- requests ---- */

const char *hex(const struct fixture *f, uint32_t entry)
{
	static char text[8][PH_OID_HEX_MAX + 1];
	static unsigned turn;

	return ph_oid_to_hex(text[turn++ % 8], f->algo, &f->all.entries[entry].oid);
}

const char *zero(const struct fixture *f)
{
	static const char digits[] =
	        "0000000000000000000000000000000000000000000000000000000000000000";

	return digits + 64 - ph_hash_hex(f->algo);
}

void pack_of(const struct fixture *f, const uint32_t *entries, uint32_t count,
             struct ph_test_buf *out)
{
	struct ph_test_pack pack;

	ph_test_pack_init(&pack, f->algo);
	for (uint32_t i = 0; i < count; i++) {
		const struct ph_test_entry *entry = &f->all.entries[entries[i]];

		ph_test_pack_add(&pack, entry->type, entry->data, entry->size);
	}
	ph_test_packfile(&pack, out);
	ph_test_pack_release(&pack);
}

void pack_all(const struct fixture *f, struct ph_test_buf *out)
{
	ph_test_packfile(&f->all, out);
}

void pack_first(const struct fixture *f, struct ph_test_buf *out)
{
	const uint32_t entries[] = {f->blob[0], f->tree[0], f->commit[0]};

	pack_of(f, entries, 3, out);
}

void pkt(struct ph_test_buf *out, const void *data, size_t len)
{
	uint8_t header[4];

	ph_pkt_header(header, len);
	ph_test_buf_append(out, header, 4);
	ph_test_buf_append(out, data, len);
}

void pkt_text(struct ph_test_buf *out, const char *text)
{
	pkt(out, text, strlen(text));
}

void command(struct ph_test_buf *out, const char *old_hex, const char *new_hex, const char *ref,
             const char *caps)
{
	struct ph_test_buf line = {0};

	ph_test_buf_print(&line, "%s %s %s", old_hex, new_hex, ref);
	if (caps) {
		ph_test_buf_append(&line, "\0 ", 2);
		ph_test_buf_print(&line, "%s", caps);
	}
	pkt(out, line.data, line.len);
	ph_test_buf_release(&line);
}

void flush(struct ph_test_buf *out)
{
	ph_test_buf_append(out, "0000", 4);
}

/* ---- the pump ---- */

static void take_output(struct ph_session *session, enum ph_stream stream, struct ph_test_buf *to)
{
	size_t len;
	const uint8_t *data;

	while ((data = ph_session_output_buf(session, stream, &len)) != NULL && len) {
		ph_test_buf_append(to, data, len);
		ph_session_output_ack(session, stream, len);
	}
}

static size_t piece(const struct pump *how, struct ph_test_rng *rng, size_t left)
{
	size_t len = left;

	if (how->feed == FEED_BYTES)
		len = 1;
	else if (how->feed == FEED_RANDOM)
		len = 1 + ph_test_rng_below(rng, 97);
	return len < left ? len : left;
}

/* Returns whether anything was given, bytes or their end. */
static bool give_input(struct ph_session *session, const struct pump *how, struct ph_test_rng *rng,
                       const struct ph_test_buf *input, size_t *at, bool *ended)
{
	size_t room, len;
	uint8_t *to;

	if (*at == input->len) {
		if (*ended || how->no_eof)
			return false;
		ph_session_input_eof(session);
		*ended = true;
		return true;
	}
	to = ph_session_input_buf(session, &room);
	len = piece(how, rng, input->len - *at);
	if (!to || room == 0)
		return false;
	if (len > room)
		len = room;
	memcpy(to, input->data + *at, len);
	ph_session_input_ack(session, len);
	*at += len;
	return true;
}

static void find_advert(struct answer *answer)
{
	struct ph_pkt parsed;
	size_t at = 0, used;

	while (at < answer->out.len &&
	       ph_pkt_parse(&parsed, &used, answer->out.data + at, answer->out.len - at) == PH_OK) {
		at += used;
		if (parsed.kind == PH_PKT_FLUSH) {
			answer->advert = at;
			return;
		}
	}
}

void pump(struct fixture *f, struct ph_session *session, const struct pump *how,
          const struct ph_test_buf *input, struct answer *answer)
{
	struct ph_test_rng rng;
	size_t at = 0;
	bool ended = false;
	uint32_t idle = 0;

	memset(answer, 0, sizeof(*answer));
	ph_test_rng_init(&rng, how->seed);
	for (;;) {
		unsigned state = ph_session_state(session);
		bool moved = (state & PH_HAVE_OUTPUT) != 0;

		take_output(session, PH_STREAM_OUT, &answer->out);
		take_output(session, PH_STREAM_ERR, &answer->err);
		if (state & PH_DONE)
			break;
		if (state & PH_WANT_INPUT)
			moved = give_input(session, how, &rng, input, &at, &ended) || moved;
		state = ph_session_state(session);
		if (state & PH_WANT_RUN) {
			ph_session_run(session, f->now_ms += how->step_ms, 1700000000,
			               how->budget ? how->budget : 1024);
			moved = true;
		} else if ((state & PH_WAITING) && how->wait_runs) {
			uint64_t deadline = ph_session_deadline(session);

			if ((*how->wait_runs)-- <= 1)
				how->woken(how->woken_user);
			else if (deadline != PH_NO_DEADLINE)
				ph_session_run(session, f->now_ms = deadline, 1700000000, 1);
			moved = true;
		} else if ((state & PH_WAITING) && how->patient) {
			f->now_ms = ph_session_deadline(session);
			ph_session_run(session, f->now_ms, 1700000000, 1024);
			moved = true;
		}
		idle = moved ? 0 : idle + 1;
		if (idle > 2)
			break;
	}
	answer->done = ph_session_state(session) & PH_DONE;
	answer->exit_status = ph_session_exit_status(session);
	answer->spent = ph_session_spent(session);
	ph_session_free(session);
	find_advert(answer);
}

void answer_release(struct answer *answer)
{
	ph_test_buf_release(&answer->out);
	ph_test_buf_release(&answer->err);
}

enum ph_status push_how(struct fixture *f, const char *repo, int version, const struct pump *how,
                        const struct ph_test_buf *input, struct answer *answer)
{
	struct ph_session *session;
	enum ph_status status = ph_receive_pack_new(&session, &f->service, repo, version);

	memset(answer, 0, sizeof(*answer));
	if (status == PH_OK)
		pump(f, session, how, input, answer);
	return status;
}

void push(struct fixture *f, const char *repo, const struct ph_test_buf *input,
          struct answer *answer)
{
	const struct pump how = {.feed = FEED_AT_ONCE};

	assert_int_equal(push_how(f, repo, 0, &how, input, answer), PH_OK);
}

/* ---- answers ---- */

static void expect_bytes(const struct answer *answer, const void *data, size_t len)
{
	const uint8_t *body = answer->out.data + answer->advert;
	size_t body_len = answer->out.len - answer->advert;

	if (body_len != len || (len && memcmp(body, data, len) != 0))
		fail_msg("expected \"%.*s\", got \"%.*s\" and on stderr \"%.*s\"", (int)len,
		         (const char *)data, (int)body_len, (const char *)body,
		         (int)answer->err.len, (const char *)answer->err.data);
}

void expect_body(const struct answer *answer, const char *text)
{
	assert_true(answer->done);
	expect_bytes(answer, text, strlen(text));
}

void expect_report(const struct answer *answer, const char *lines)
{
	struct ph_test_buf report = {0};

	assert_true(answer->done);
	assert_int_equal(answer->exit_status, 0);
	while (*lines) {
		size_t len = strcspn(lines, "\n") + 1;

		pkt(&report, lines, len);
		lines += len;
	}
	flush(&report);
	expect_bytes(answer, report.data, report.len);
	ph_test_buf_release(&report);
}

static bool has(const struct ph_test_buf *buf, const char *text)
{
	size_t len = strlen(text);

	for (size_t at = 0; at + len <= buf->len; at++)
		if (memcmp(buf->data + at, text, len) == 0)
			return true;
	return false;
}

bool says(const struct answer *answer, const char *text)
{
	return has(&answer->out, text) || has(&answer->err, text);
}

/* ---- the store ---- */

const char *ref_value(struct fixture *f, const char *repo, const char *name)
{
	static char text[4][PH_REF_NAME_MAX + 1];
	static unsigned turn;
	char *out = text[turn++ % 4];
	struct ph_snapshot *snapshot;
	static struct ph_ref ref;

	out[0] = 0;
	if (ph_store_snapshot(f->store, repo, &snapshot) != PH_OK)
		return out;
	if (ph_snapshot_ref(snapshot, name, &ref) == PH_OK) {
		if (*ref.target)
			memcpy(out, ref.target, sizeof(ref.target));
		else
			ph_oid_to_hex(out, snapshot->algo, &ref.oid);
	}
	ph_snapshot_release(snapshot);
	return out;
}

static void repo_text(struct ph_snapshot *snapshot, struct ph_test_buf *out)
{
	const struct ph_source *source = ph_snapshot_source(snapshot);
	struct ph_ref_iter *iter;
	static struct ph_ref ref;
	uint64_t objects = 0;

	for (uint32_t i = 0; i < source->ops->packs(source); i++) {
		uint32_t entries;
		uint64_t bytes;

		source->ops->pack_size(source, i, &entries, &bytes);
		objects += entries;
	}
	ph_test_buf_print(out, "%s %s packs %u objects %llu log %llu\n", snapshot->name,
	                  ph_hash_name(snapshot->algo), source->ops->packs(source),
	                  (unsigned long long)objects,
	                  (unsigned long long)ph_snapshot_log_count(snapshot));
	assert_int_equal(ph_snapshot_refs(snapshot, "", &iter), PH_OK);
	while (ph_ref_iter_next(iter, &ref) == PH_OK) {
		char oid[PH_OID_HEX_MAX + 1], peeled[PH_OID_HEX_MAX + 1];

		ph_test_buf_print(out, "  %s %s %s %s\n", ref.name, ref.target,
		                  ph_oid_to_hex(oid, snapshot->algo, &ref.oid),
		                  ph_oid_to_hex(peeled, snapshot->algo, &ref.peeled));
	}
	ph_ref_iter_free(iter);
}

void store_text(struct fixture *f, struct ph_test_buf *out)
{
	char name[PH_REPO_NAME_MAX + 1], after[PH_REPO_NAME_MAX + 1] = "";

	ph_test_buf_clear(out);
	while (ph_store_next_repo(f->store, after, name) == PH_OK) {
		struct ph_snapshot *snapshot;

		memcpy(after, name, sizeof(name));
		assert_int_equal(ph_store_snapshot(f->store, name, &snapshot), PH_OK);
		repo_text(snapshot, out);
		ph_snapshot_release(snapshot);
	}
	ph_test_buf_append(out, "", 1);
}

void push_history(struct fixture *f, const char *repo)
{
	struct ph_test_buf request = {0};
	struct answer answer;
	char caps[64];

	snprintf(caps, sizeof(caps), "report-status object-format=%s", ph_hash_name(f->algo));
	command(&request, zero(f), hex(f, f->commit[1]), "refs/heads/main", caps);
	command(&request, zero(f), hex(f, f->tag), "refs/tags/v1", NULL);
	flush(&request);
	pack_all(f, &request);
	push(f, repo, &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\nok refs/tags/v1\n");
	answer_release(&answer);
	ph_test_buf_release(&request);
}

struct ph_txn *begin_change(struct fixture *f, const char *repo)
{
	struct ph_snapshot *base;
	struct ph_txn *txn;

	assert_int_equal(ph_store_snapshot(f->store, repo, &base), PH_OK);
	assert_int_equal(ph_store_begin(f->store, base, &txn), PH_OK);
	ph_snapshot_release(base);
	return txn;
}

void commit_change(struct ph_txn *txn)
{
	assert_int_equal(ph_txn_prepare(txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
}

void set_config(struct fixture *f, const char *repo, const char *text)
{
	struct ph_txn *txn = begin_change(f, repo);

	assert_int_equal(ph_txn_set_setting(txn, "config", text, strlen(text)), PH_OK);
	commit_change(txn);
}

void begin_demo(struct fixture *f, struct ph_test_buf *request, struct answer *answer)
{
	fixture_init(f, PH_HASH_SHA1);
	memset(request, 0, sizeof(*request));
	memset(answer, 0, sizeof(*answer));
	push_history(f, "demo");
}

void next_request(struct ph_test_buf *request, struct answer *answer)
{
	answer_release(answer);
	ph_test_buf_clear(request);
	memset(answer, 0, sizeof(*answer));
}

void end_demo(struct fixture *f, struct ph_test_buf *request, struct answer *answer)
{
	next_request(request, answer);
	ph_test_buf_release(request);
	fixture_release(f);
}
