/* SPDX-License-Identifier: MIT */
/* The repository of the upload-archive tests, and the driver of its sessions. See the header. */
#include "archive_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

const struct afix_pace afix_at_once = {SIZE_MAX, SIZE_MAX, 4096, 0};

/* ---- objects ---- */

static struct ph_oid add(struct afix *fix, enum ph_object_type type, const void *data, size_t len)
{
	return fix->pack.entries[ph_test_pack_add(&fix->pack, type, data, len)].oid;
}

static struct ph_oid add_tree(struct afix *fix, struct ph_test_buf *text)
{
	struct ph_oid oid = add(fix, PH_OBJ_TREE, text->data, text->len);

	ph_test_buf_release(text);
	return oid;
}

static void entry(const struct afix *fix, struct ph_test_buf *tree, uint32_t mode, const char *name,
                  struct ph_oid oid)
{
	ph_test_tree_entry(tree, fix->algo, mode, name, &oid);
}

static struct ph_oid add_directory(struct afix *fix, const char *long_name)
{
	struct ph_test_buf tree = {0};
	static const char ignore[] = "*.no export-ignore\n";
	struct ph_oid small = add(fix, PH_OBJ_BLOB, "yes\n", 4);

	entry(fix, &tree, 0100644, ".gitattributes", add(fix, PH_OBJ_BLOB, ignore, strlen(ignore)));
	entry(fix, &tree, 0100644, "a.no", add(fix, PH_OBJ_BLOB, "no\n", 3));
	entry(fix, &tree, 0100644, "b.yes", small);
	entry(fix, &tree, 0100644, long_name, small);
	entry(fix, &tree, 0100755, "run", small);
	return add_tree(fix, &tree);
}

static struct ph_oid add_commit(struct afix *fix, struct ph_oid tree, const char *message)
{
	struct ph_test_buf text = {0};
	struct ph_oid oid;

	ph_test_commit_text(&text, fix->algo, &tree, NULL, 0, 1234567890, message);
	oid = add(fix, PH_OBJ_COMMIT, text.data, text.len);
	ph_test_buf_release(&text);
	return oid;
}

/* Text that compresses, so that zip has something to do. */
static struct ph_oid add_big(struct afix *fix)
{
	struct ph_test_rng rng;
	uint8_t *big = malloc(AFIX_BIG_BYTES);
	struct ph_oid oid;

	CHECK(big);
	ph_test_rng_init(&rng, 3);
	ph_test_rng_text(&rng, big, AFIX_BIG_BYTES);
	oid = add(fix, PH_OBJ_BLOB, big, AFIX_BIG_BYTES);
	free(big);
	return oid;
}

static struct ph_oid add_top(struct afix *fix, const void *attributes, size_t attributes_len,
                             const void *format, size_t format_len)
{
	struct ph_test_buf tree = {0};
	char long_name[121];
	uint32_t file = ph_test_pack_add(&fix->pack, PH_OBJ_BLOB, format, format_len);
	struct ph_oid file_oid = fix->pack.entries[file].oid;
	struct ph_oid second =
	        fix->pack.entries[ph_test_pack_add_ofs(&fix->pack, file, "second\n", 7)].oid;

	memset(long_name, 'n', 120);
	long_name[120] = 0;
	fix->big = add_big(fix);
	entry(fix, &tree, 0100644, ".gitattributes",
	      add(fix, PH_OBJ_BLOB, attributes, attributes_len));
	entry(fix, &tree, 0100644, "big", fix->big);
	entry(fix, &tree, 040000, "dir", add_directory(fix, long_name));
	entry(fix, &tree, 0100644, "file.fmt", file_oid);
	entry(fix, &tree, 0120000, "link", add(fix, PH_OBJ_BLOB, "file.fmt", 8));
	entry(fix, &tree, 0160000, "mod", ph_test_oid_fake(fix->algo, 0x33));
	entry(fix, &tree, 0100644, "second", second);
	return add_tree(fix, &tree);
}

/* ---- the store ---- */

static void set_ref(struct ph_txn *txn, const char *name, struct ph_oid oid,
                    const struct ph_oid *peeled)
{
	uint32_t change;

	CHECK(ph_txn_ref_update(txn, name, NULL, &oid, peeled, &change) == PH_OK);
}

static void add_pack(struct afix *fix, struct ph_txn *txn)
{
	struct ph_test_buf index = {0};
	struct ph_sink *sink;
	uint32_t pack;

	ph_test_pack_index(&fix->pack, &index);
	CHECK(ph_txn_pack_begin(txn, &pack) == PH_OK);
	CHECK(ph_txn_sink(txn, pack, PH_SECTION_RUN, &sink) == PH_OK);
	CHECK(sink->ops->append(sink, fix->pack.run.data, fix->pack.run.len) == PH_OK);
	CHECK(ph_txn_sink(txn, pack, PH_SECTION_INDEX, &sink) == PH_OK);
	CHECK(sink->ops->append(sink, index.data, index.len) == PH_OK);
	CHECK(ph_txn_pack_end(txn, pack) == PH_OK);
	ph_test_buf_release(&index);
}

static struct ph_oid add_tag(struct afix *fix)
{
	struct ph_test_buf text = {0};
	struct ph_oid oid;

	ph_test_tag_text(&text, fix->algo, &fix->commit, PH_OBJ_COMMIT, "v1");
	oid = add(fix, PH_OBJ_TAG, text.data, text.len);
	ph_test_buf_release(&text);
	return oid;
}

static void add_repo(struct afix *fix, struct ph_oid tag, struct ph_oid gone)
{
	static const char config[] = "transfer.hiderefs=refs/heads/hidden\n";
	struct ph_txn *txn;

	CHECK(ph_store_create(fix->store, "r", fix->algo, &txn) == PH_OK);
	add_pack(fix, txn);
	set_ref(txn, "refs/heads/main", fix->commit, NULL);
	set_ref(txn, "refs/heads/hidden", fix->commit, NULL);
	set_ref(txn, "refs/tags/v1", tag, &fix->commit);
	set_ref(txn, "refs/tags/gone", gone, NULL);
	CHECK(ph_txn_set_setting(txn, "config", config, strlen(config)) == PH_OK);
	CHECK(ph_txn_prepare(txn) == PH_OK);
	CHECK(ph_txn_commit(txn, NULL, NULL) == PH_OK);
	ph_txn_free(txn);
}

void afix_init(struct afix *fix, enum ph_hash_algo algo, const void *attributes,
               size_t attributes_len, const void *format, size_t format_len)
{
	struct ph_store_mem_options options = {0};
	struct ph_test_buf tree = {0};
	struct ph_oid tag, gone;

	memset(fix, 0, sizeof(*fix));
	fix->algo = algo;
	fix->repo = "r";
	fix->permission = PH_PERM_READ;
	ph_test_alloc_init(&fix->memory);
	ph_limits_init(&fix->limits);
	options.alloc = &fix->memory.alloc;
	options.limits = &fix->limits;
	CHECK(ph_store_mem_new(&fix->store, &options) == PH_OK);
	ph_test_pack_init(&fix->pack, algo);
	fix->commit = add_commit(fix, add_top(fix, attributes, attributes_len, format, format_len),
	                         "A subject\n\nA body.");
	tag = add_tag(fix);
	entry(fix, &tree, 0100644, "gone", ph_test_oid_fake(algo, 0x44));
	gone = add_commit(fix, add_tree(fix, &tree), "gone\n");
	add_repo(fix, tag, gone);
}

void afix_release(struct afix *fix)
{
	ph_store_close(fix->store);
	ph_test_pack_release(&fix->pack);
	CHECK(fix->memory.live == 0);
}

/* ---- sessions ---- */

void afix_say(struct ph_test_buf *out, const char *arguments)
{
	while (*arguments) {
		size_t len = strcspn(arguments, "|");

		ph_test_buf_print(out, "%04xargument %.*s\n", (unsigned)len + 14, (int)len,
		                  arguments);
		arguments += len + (arguments[len] == '|');
	}
	ph_test_buf_print(out, "0000");
}

static size_t piece(struct ph_test_rng *rng, const struct afix_pace *pace, size_t most)
{
	return pace->seed ? 1 + ph_test_rng_below(rng, (uint32_t)most) : most;
}

static void give(struct ph_session *session, const struct ph_test_buf *input, size_t *given,
                 size_t n)
{
	size_t room;
	uint8_t *buf = ph_session_input_buf(session, &room);

	n = n < room ? n : room;
	n = n < input->len - *given ? n : input->len - *given;
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

static uint64_t packet(const uint8_t *at)
{
	char digits[5] = {0};

	memcpy(digits, at, 4);
	return strtoull(digits, NULL, 16);
}

/* Takes the bands apart. What is no packet is left in out alone. */
static void split(struct afix_run *run)
{
	size_t at = 0;

	run->ack = run->out.len >= 12 && memcmp(run->out.data, "0008ACK\n0000", 12) == 0;
	for (at = run->ack ? 12 : run->out.len; at + 4 <= run->out.len;) {
		uint64_t len = packet(run->out.data + at);

		run->flush = len == 0;
		if (len == 0) {
			at += 4;
			continue;
		}
		CHECK(len >= 5 && len <= run->out.len - at && run->out.data[at + 4] <= 3);
		ph_test_buf_append(&run->band[run->out.data[at + 4]], run->out.data + at + 5,
		                   (size_t)len - 5);
		at += (size_t)len;
	}
	CHECK(at == run->out.len);
}

static struct ph_session *open_session(struct afix *fix)
{
	struct ph_service service = {.store = fix->store,
	                             .alloc = &fix->memory.alloc,
	                             .limits = &fix->limits,
	                             .permission = fix->permission,
	                             .identity = "tester",
	                             .agent = "packhorse/test",
	                             .memory = fix->budget};
	struct ph_session *session;

	if (ph_upload_archive_new(&session, &service, fix->repo) != PH_OK)
		return NULL;
	return session;
}

static void count_claim(struct afix *fix)
{
	struct ph_memory_counts counts;

	if (!fix->budget)
		return;
	ph_memory_counts(fix->budget, &counts);
	if (counts.claimed > fix->claimed)
		fix->claimed = counts.claimed;
}

void afix_talk(struct afix *fix, const struct ph_test_buf *input, const struct afix_pace *pace,
               struct afix_run *run)
{
	struct ph_session *session = open_session(fix);
	struct ph_test_rng rng;
	size_t given = 0;
	uint64_t now = 1000, stuck = 0;

	memset(run, 0, sizeof(*run));
	run->status = -1;
	ph_test_rng_init(&rng, pace->seed);
	while (session) {
		unsigned state = ph_session_state(session);
		size_t before = run->out.len + run->err.len + given;

		if (state & PH_HAVE_OUTPUT) {
			size_t n = piece(&rng, pace, pace->take);

			take(session, PH_STREAM_OUT, &run->out, n);
			take(session, PH_STREAM_ERR, &run->err, n);
		} else if (state & PH_DONE) {
			break;
		}
		if (state & PH_WANT_INPUT)
			give(session, input, &given, piece(&rng, pace, pace->feed));
		if (ph_session_state(session) & PH_WANT_RUN)
			ph_session_run(session, now, 1300000000, pace->budget);
		count_claim(fix);
		now += fix->now_step_ms;
		stuck = before == run->out.len + run->err.len + given ? stuck + 1 : 0;
		CHECK(stuck < 1000000);
	}
	if (!session)
		return;
	run->status = ph_session_exit_status(session);
	ph_session_free(session);
	split(run);
}

void afix_run_release(struct afix_run *run)
{
	ph_test_buf_release(&run->out);
	ph_test_buf_release(&run->err);
	for (int i = 0; i < 4; i++)
		ph_test_buf_release(&run->band[i]);
}
