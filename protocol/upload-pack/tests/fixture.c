/* SPDX-License-Identifier: MIT */
/* The repository of the upload-pack tests, and the driver of its sessions. See fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fail_msg("%s:%d: %s", __FILE__, __LINE__, #cond);                          \
	} while (0)

/* ---- objects ---- */

static void name_it(struct fix *fix, const char *name, uint32_t entry)
{
	uint32_t at = fix->names++;

	CHECK(at < FIX_NAMES_MAX);
	snprintf(fix->name[at].name, sizeof(fix->name[at].name), "%s", name);
	fix->name[at].entry = entry;
	ph_oid_to_hex(fix->name[at].hex, fix->algo, &fix->pack.entries[entry].oid);
}

static uint32_t find_name(const struct fix *fix, const char *name)
{
	for (uint32_t i = 0; i < fix->names; i++)
		if (strcmp(fix->name[i].name, name) == 0)
			return i;
	fail_msg("no object is called %s", name);
	return 0;
}

const char *fix_hex(const struct fix *fix, const char *name)
{
	return fix->name[find_name(fix, name)].hex;
}

uint32_t fix_entry(const struct fix *fix, const char *name)
{
	return fix->name[find_name(fix, name)].entry;
}

struct ph_oid fix_oid(const struct fix *fix, const char *name)
{
	return fix->pack.entries[fix_entry(fix, name)].oid;
}

static void name_fake(struct fix *fix, const char *name, uint8_t byte)
{
	struct ph_oid oid = ph_test_oid_fake(fix->algo, byte);
	uint32_t at = fix->names++;

	CHECK(at < FIX_NAMES_MAX);
	snprintf(fix->name[at].name, sizeof(fix->name[at].name), "%s", name);
	fix->name[at].entry = UINT32_MAX;
	ph_oid_to_hex(fix->name[at].hex, fix->algo, &oid);
}

static void add(struct fix *fix, const char *name, enum ph_object_type type,
                struct ph_test_buf *text)
{
	name_it(fix, name, ph_test_pack_add(&fix->pack, type, text->data, text->len));
	ph_test_buf_release(text);
}

static void add_blob(struct fix *fix, const char *name, int number, const char *base)
{
	struct ph_test_buf text = {0};

	for (int i = 0; i < 40; i++)
		ph_test_buf_print(&text, "line %d of a file that changes little\n", i);
	ph_test_buf_print(&text, "version %d\n", number);
	if (base) {
		uint32_t entry = fix->name[find_name(fix, base)].entry;

		name_it(fix, name, ph_test_pack_add_ofs(&fix->pack, entry, text.data, text.len));
		ph_test_buf_release(&text);
	} else {
		add(fix, name, PH_OBJ_BLOB, &text);
	}
}

static void add_tree(struct fix *fix, const char *name, const char *file, const char *other)
{
	struct ph_test_buf text = {0};
	struct ph_oid oid = fix_oid(fix, file);

	ph_test_tree_entry(&text, fix->algo, 0100644, "file", &oid);
	if (other) {
		oid = fix_oid(fix, other);
		ph_test_tree_entry(&text, fix->algo, 0100644, "other", &oid);
	}
	add(fix, name, PH_OBJ_TREE, &text);
}

static void add_commit(struct fix *fix, const char *name, const char *tree, const char *parent,
                       uint64_t time)
{
	struct ph_test_buf text = {0};
	struct ph_oid tree_oid = fix_oid(fix, tree), parent_oid;

	if (parent)
		parent_oid = fix_oid(fix, parent);
	ph_test_commit_text(&text, fix->algo, &tree_oid, &parent_oid, parent != NULL, time, name);
	add(fix, name, PH_OBJ_COMMIT, &text);
}

static void add_tag(struct fix *fix, const char *name, const char *object, enum ph_object_type type)
{
	struct ph_test_buf text = {0};
	struct ph_oid oid = fix_oid(fix, object);

	ph_test_tag_text(&text, fix->algo, &oid, type, name);
	add(fix, name, PH_OBJ_TAG, &text);
}

static void add_objects(struct fix *fix, bool all)
{
	char blob[8], base[8], tree[8], commit[8], parent[8];

	for (int i = 1; i <= 5; i++) {
		snprintf(blob, sizeof(blob), "b%d", i);
		snprintf(base, sizeof(base), "b%d", i - 1);
		snprintf(tree, sizeof(tree), "t%d", i);
		snprintf(commit, sizeof(commit), "c%d", i);
		snprintf(parent, sizeof(parent), "c%d", i - 1);
		add_blob(fix, blob, i, i > 1 ? base : NULL);
		add_tree(fix, tree, blob, NULL);
		add_commit(fix, commit, tree, i > 1 ? parent : NULL, 1000u * (unsigned)i);
	}
	if (all) {
		add_blob(fix, "bs", 100, NULL);
		add_tree(fix, "ts", "b1", "bs");
		add_commit(fix, "s1", "ts", "c1", 2500);
	}
	add_tag(fix, "v1", "c2", PH_OBJ_COMMIT);
	add_tag(fix, "vv", "v1", PH_OBJ_TAG);
	if (all) {
		add_blob(fix, "bu", 200, NULL);
		add_commit(fix, "u1", "t1", "c1", 9000);
	}
	name_fake(fix, "x1", 0x11);
	name_fake(fix, "x2", 0xa2);
}

/* ---- the store ---- */

static struct ph_snapshot *snapshot(struct fix *fix)
{
	struct ph_snapshot *out;

	CHECK(ph_store_snapshot(fix->store, "r", &out) == PH_OK);
	return out;
}

static void commit(struct ph_txn *txn)
{
	CHECK(ph_txn_prepare(txn) == PH_OK);
	CHECK(ph_txn_commit(txn, NULL, NULL) == PH_OK);
	ph_txn_free(txn);
}

static void set_ref(struct fix *fix, struct ph_txn *txn, const char *ref, const char *name,
                    const char *peeled)
{
	struct ph_oid oid = {{0}}, peeled_oid;
	uint32_t change;

	if (*name)
		oid = fix_oid(fix, name);
	if (peeled)
		peeled_oid = fix_oid(fix, peeled);
	CHECK(ph_txn_ref_update(txn, ref, NULL, &oid, peeled ? &peeled_oid : NULL, &change) ==
	      PH_OK);
}

static struct ph_txn *begin(struct fix *fix)
{
	struct ph_snapshot *base = snapshot(fix);
	struct ph_txn *txn;

	CHECK(ph_store_begin(fix->store, base, &txn) == PH_OK);
	ph_snapshot_release(base);
	return txn;
}

void fix_set_ref(struct fix *fix, const char *ref, const char *name)
{
	struct ph_txn *txn = begin(fix);

	set_ref(fix, txn, ref, name, NULL);
	commit(txn);
}

void fix_set_symref(struct fix *fix, const char *ref, const char *target)
{
	struct ph_txn *txn = begin(fix);
	uint32_t change;

	CHECK(ph_txn_symref_update(txn, ref, NULL, target, &change) == PH_OK);
	commit(txn);
}

void fix_set_shallow(struct fix *fix, const char *name)
{
	struct ph_txn *txn = begin(fix);
	struct ph_oid oid = fix_oid(fix, name);

	CHECK(ph_txn_set_shallow(txn, &oid, 1) == PH_OK);
	commit(txn);
}

void fix_set_config(struct fix *fix, const char *text)
{
	struct ph_txn *txn = begin(fix);

	CHECK(ph_txn_set_setting(txn, "config", text, strlen(text)) == PH_OK);
	commit(txn);
}

void fix_add_empty(struct fix *fix, const char *repo)
{
	struct ph_txn *txn;

	CHECK(ph_store_create(fix->store, repo, fix->algo, &txn) == PH_OK);
	commit(txn);
}

static void add_pack(struct ph_test_pack *from, struct ph_txn *txn)
{
	struct ph_test_buf index = {0};
	struct ph_sink *sink;
	uint32_t pack;

	ph_test_pack_index(from, &index);
	CHECK(ph_txn_pack_begin(txn, &pack) == PH_OK);
	CHECK(ph_txn_sink(txn, pack, PH_SECTION_RUN, &sink) == PH_OK);
	CHECK(sink->ops->append(sink, from->run.data, from->run.len) == PH_OK);
	CHECK(ph_txn_sink(txn, pack, PH_SECTION_INDEX, &sink) == PH_OK);
	CHECK(sink->ops->append(sink, index.data, index.len) == PH_OK);
	CHECK(ph_txn_pack_end(txn, pack) == PH_OK);
	ph_test_buf_release(&index);
}

void fix_add_large(struct fix *fix, size_t bytes)
{
	struct ph_txn *txn = begin(fix);
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	uint8_t *data = malloc(bytes);
	uint32_t at = fix->names++, change;

	CHECK(data != NULL && at < FIX_NAMES_MAX);
	ph_test_rng_init(&rng, 1);
	ph_test_rng_fill(&rng, data, bytes);
	ph_test_pack_init(&pack, fix->algo);
	ph_test_pack_add(&pack, PH_OBJ_BLOB, data, bytes);
	snprintf(fix->name[at].name, sizeof(fix->name[at].name), "bl");
	fix->name[at].entry = UINT32_MAX;
	ph_oid_to_hex(fix->name[at].hex, fix->algo, &pack.entries[0].oid);
	add_pack(&pack, txn);
	CHECK(ph_txn_ref_update(txn, "refs/blobs/large", NULL, &pack.entries[0].oid, NULL,
	                        &change) == PH_OK);
	commit(txn);
	ph_test_pack_release(&pack);
	free(data);
}

static void add_repo(struct fix *fix, bool all)
{
	struct ph_txn *txn;

	CHECK(ph_store_create(fix->store, "r", fix->algo, &txn) == PH_OK);
	add_pack(&fix->pack, txn);
	set_ref(fix, txn, "refs/heads/main", "c5", NULL);
	if (all)
		set_ref(fix, txn, "refs/heads/side", "s1", NULL);
	set_ref(fix, txn, "refs/tags/light", "c1", NULL);
	set_ref(fix, txn, "refs/tags/v1", "v1", "c2");
	set_ref(fix, txn, "refs/tags/vv", "vv", "c2");
	commit(txn);
}

static void init(struct fix *fix, enum ph_hash_algo algo, bool all)
{
	struct ph_store_mem_options options = {0};

	memset(fix, 0, sizeof(*fix));
	fix->algo = algo;
	fix->permission = PH_PERM_READ;
	fix->repo = "r";
	ph_test_alloc_init(&fix->memory);
	ph_limits_init(&fix->limits);
	options.alloc = &fix->memory.alloc;
	options.limits = &fix->limits;
	CHECK(ph_store_mem_new(&fix->store, &options) == PH_OK);
	ph_test_pack_init(&fix->pack, algo);
	add_objects(fix, all);
	add_repo(fix, all);
}

void fix_init(struct fix *fix, enum ph_hash_algo algo)
{
	init(fix, algo, true);
}

void fix_init_less(struct fix *fix, enum ph_hash_algo algo)
{
	init(fix, algo, false);
}

void fix_release(struct fix *fix)
{
	ph_store_close(fix->store);
	ph_test_pack_release(&fix->pack);
	assert_int_equal(fix->memory.live, 0);
}

int fix_setup(void **state)
{
	struct fix *fix = malloc(sizeof(*fix));

	CHECK(fix != NULL);
	fix_init(fix, PH_HASH_SHA1);
	*state = fix;
	return 0;
}

int fix_teardown(void **state)
{
	fix_release(*state);
	free(*state);
	return 0;
}

/* ---- requests ---- */

static void say_pkt(struct ph_test_buf *out, const struct ph_test_buf *line)
{
	ph_test_buf_print(out, "%04x", (unsigned)(line->len + 5));
	ph_test_buf_append(out, line->data, line->len);
	ph_test_buf_append(out, "\n", 1);
}

static bool special(const char *at, size_t len)
{
	return len == 4 && memcmp(at, "000", 3) == 0 && at[3] <= '2';
}

void fix_say(const struct fix *fix, struct ph_test_buf *out, const char *script)
{
	while (*script) {
		size_t len = strcspn(script, "|");
		struct ph_test_buf line = {0};

		for (size_t i = 0; i < len;) {
			char name[8] = "";

			if (script[i] != '$') {
				ph_test_buf_append(&line, &script[i++], 1);
				continue;
			}
			for (i++; i < len && strlen(name) < 2; i++)
				name[strlen(name)] = script[i];
			ph_test_buf_print(&line, "%s", fix_hex(fix, name));
		}
		if (special(script, len))
			ph_test_buf_append(out, script, 4);
		else
			say_pkt(out, &line);
		ph_test_buf_release(&line);
		script += len + (script[len] == '|');
	}
}

/* ---- sessions ---- */

static size_t piece(struct ph_test_rng *rng, const struct fix_pace *pace, size_t most, size_t left)
{
	size_t n = pace->seed ? 1 + ph_test_rng_below(rng, (uint32_t)most) : most;

	return n < left ? n : left;
}

static void give(struct ph_session *session, const struct ph_test_buf *input, size_t *given,
                 size_t n)
{
	size_t room;
	uint8_t *buf = ph_session_input_buf(session, &room);

	n = n < room ? n : room;
	if (n)
		memcpy(buf, input->data + *given, n);
	ph_session_input_ack(session, n);
	*given += n;
	if (*given == input->len)
		ph_session_input_eof(session);
}

static void take(struct ph_session *session, enum ph_stream stream, struct ph_test_buf *out,
                 size_t n)
{
	size_t len;
	const uint8_t *data = ph_session_output_buf(session, stream, &len);

	len = len < n ? len : n;
	if (len)
		ph_test_buf_append(out, data, len);
	ph_session_output_ack(session, stream, len);
}

/* The same bytes each time: 00 01 02 ... */
static enum ph_status count_up(void *user, void *buf, size_t len)
{
	(void)user;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)i;
	return PH_OK;
}

static void keep_line(void *user, enum ph_log_level level, const char *source, uint64_t connection,
                      const char *message)
{
	struct fix *fix = user;

	(void)connection;
	ph_test_buf_print(fix->log_text, "%d %s: %s\n", (int)level, source, message);
}

struct ph_session *fix_open(struct fix *fix, int version)
{
	struct ph_service service = {.store = fix->store,
	                             .alloc = &fix->memory.alloc,
	                             .limits = &fix->limits,
	                             .permission = fix->permission,
	                             .identity = "tester",
	                             .random = count_up,
	                             .log = fix->log_text ? &fix->log : NULL,
	                             .agent = "packhorse/test"};
	struct ph_session *session;

	fix->log = (struct ph_log){fix, PH_LOG_DEBUG, keep_line};
	if (ph_upload_pack_new(&session, &service, fix->repo, version) != PH_OK)
		return NULL;
	return session;
}

void fix_talk(struct fix *fix, int version, const struct ph_test_buf *input,
              const struct fix_pace *pace, struct fix_run *run)
{
	struct ph_session *session = fix_open(fix, version);
	struct ph_test_rng rng;
	size_t given = 0;
	uint64_t now = 1000;
	unsigned long stuck = 0;
	bool hooked = !fix->hook;

	memset(run, 0, sizeof(*run));
	run->status = -1;
	if (!session)
		return;
	ph_test_rng_init(&rng, pace->seed);
	for (;;) {
		unsigned state = ph_session_state(session);
		size_t before = run->out.len + run->err.len + given;

		if (state & PH_HAVE_OUTPUT) {
			size_t n = piece(&rng, pace, pace->take, SIZE_MAX);

			take(session, PH_STREAM_OUT, &run->out, n);
			take(session, PH_STREAM_ERR, &run->err, n);
		} else if (state & PH_DONE) {
			break;
		}
		if (!hooked && given == fix->hook_at && state == PH_WANT_INPUT) {
			fix->hook(fix);
			hooked = true;
		}
		if (state & PH_WANT_INPUT) {
			size_t left = (hooked ? input->len : fix->hook_at) - given;

			give(session, input, &given,
			     left ? piece(&rng, pace, pace->feed, left) : 0);
		}
		if (ph_session_state(session) & PH_WANT_RUN)
			ph_session_run(session, now, 0, pace->budget);
		now += fix->now_step_ms;
		stuck = before == run->out.len + run->err.len + given ? stuck + 1 : 0;
		CHECK(stuck < 1000000);
	}
	run->status = ph_session_exit_status(session);
	CHECK(!ph_session_busy(session));
	ph_session_free(session);
}

void fix_run_release(struct fix_run *run)
{
	ph_test_buf_release(&run->out);
	ph_test_buf_release(&run->err);
}

static bool same(const struct ph_test_buf *a, const struct ph_test_buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

void fix_talk_all(struct fix *fix, int version, const struct ph_test_buf *input,
                  struct fix_run *run)
{
	static const struct fix_pace at_once = {SIZE_MAX, SIZE_MAX, 4096, 0};
	static const struct fix_pace others[] = {
	        {1, 1, 1, 0},   {1, SIZE_MAX, 100000, 0}, {SIZE_MAX, 7, 3, 0},
	        {9, 900, 5, 1}, {300, 70000, 50, 2},
	};

	fix_talk(fix, version, input, &at_once, run);
	if (fix->hook)
		return;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		struct fix_run other;

		fix_talk(fix, version, input, &others[i], &other);
		if (!same(&run->out, &other.out) || !same(&run->err, &other.err) ||
		    run->status != other.status)
			fail_msg("pace %u gives another answer", (unsigned)i);
		fix_run_release(&other);
	}
}

static void expect(struct fix *fix, int version, bool with_advert, const char *const *expected,
                   const char *script, int status)
{
	struct ph_test_buf input = {0}, text = {0}, err = {0};
	struct fix_run run;

	fix_say(fix, &input, script);
	fix_talk_all(fix, version, &input, &run);
	fix_text(fix, &run, with_advert, &text);
	fix_line_text(fix, run.err.data, run.err.len, &err);
	ph_test_buf_append(&text, "", 1);
	ph_test_buf_append(&err, "", 1);
	assert_string_equal((const char *)text.data, expected[0]);
	assert_string_equal((const char *)err.data, *expected[1] ? expected[1] : "\n");
	assert_int_equal(run.status, status);
	ph_test_buf_release(&text);
	ph_test_buf_release(&err);
	ph_test_buf_release(&input);
	fix_run_release(&run);
}

void fix_expect(struct fix *fix, int version, const char *script, const char *answer,
                const char *err, int status)
{
	const char *const expected[] = {answer, err};

	expect(fix, version, false, expected, script, status);
}

void fix_expect_all(struct fix *fix, int version, const char *script, const char *answer,
                    const char *err, int status)
{
	const char *const expected[] = {answer, err};

	expect(fix, version, true, expected, script, status);
}
