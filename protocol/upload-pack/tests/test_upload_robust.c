/* SPDX-License-Identifier: MIT */
/*
 * upload-pack when something goes wrong: input that ends or is damaged anywhere, no memory, a store
 * whose reads fail, a client that takes nothing, silence; and many refs through a small buffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fixture.h"

#include <packhorse/pkt.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a session keeps for its peer. */
#define OUT_BYTES (192u * 1024)

static const struct fix_pace at_once = {SIZE_MAX, SIZE_MAX, 4096, 0};

#define V0                                                                                         \
	"want $c5 multi_ack_detailed side-band-64k thin-pack ofs-delta include-tag filter|"        \
	"want $s1|shallow $c4|shallow $x1|deepen 3|0000|have $x1|have $c5|0000|have $x2|done"
#define V2                                                                                         \
	"command=ls-refs|agent=x|0001|peel|symrefs|unborn|ref-prefix refs/heads/|"                 \
	"ref-prefix HEAD|ref-prefix refs/tags/|0000|"                                              \
	"command=fetch|object-format=sha1|0001|want $c5|want $t1|have $x1|0000|"                   \
	"command=fetch|object-format=sha1|0001|thin-pack|include-tag|want $c5|"                    \
	"shallow $c4|deepen 3|have $c5|0000|0000"

/* Everything that can be configured, for FEATURES. */
#define FEATURES                                                                                   \
	"command=fetch|session-id=x|server-option=y|0001|sideband-all|packfile-uris https|"        \
	"thin-pack|ofs-delta|include-tag|want-ref refs/heads/side|want-ref HEAD|want $t1|deepen "  \
	"3|"                                                                                       \
	"have $x1|have $s1|0000|"                                                                  \
	"command=object-info|0001|size|oid $b1|oid $u1|oid $x1|oid $b1|0000|"                      \
	"command=fetch|0001|wait-for-done|have $c1|0000|command=bundle-uri|0000|0000"

static void configure_all(struct fix *fix)
{
	struct ph_test_buf config = {0};

	ph_test_buf_print(&config,
	                  "uploadpack.allowrefinwant=true\nuploadpack.allowsidebandall=true\n"
	                  "transfer.advertisesid=true\ntransfer.advertiseobjectinfo=true\n"
	                  "uploadpack.advertisebundleuris=true\nbundle.version=1\n"
	                  "uploadpack.blobpackfileuri=%s %s https://example.org/p\n",
	                  fix_hex(fix, "b4"), fix_hex(fix, "x2"));
	ph_test_buf_append(&config, "", 1);
	fix_set_config(fix, (const char *)config.data);
	ph_test_buf_release(&config);
}

static void whole_is_fine(struct fix *fix, int version, const struct ph_test_buf *input)
{
	struct fix_run run;

	fix_talk_all(fix, version, input, &run);
	assert_int_equal(run.status, 0);
	fix_run_release(&run);
}

/* ---- input ---- */

/* ends: how many cuts are where a request has ended. */
static void end_everywhere(struct fix *fix, int version, const char *script, size_t ends)
{
	struct ph_test_buf input = {0};
	size_t len, ended_well = 0;

	fix_say(fix, &input, script);
	whole_is_fine(fix, version, &input);
	len = input.len;
	for (size_t cut = 0; cut < len; cut++) {
		struct fix_run run;

		input.len = cut;
		fix_talk(fix, version, &input, &at_once, &run);
		assert_true(run.status == 0 || run.status == 128);
		ended_well += run.status == 0;
		if (run.status == 128)
			assert_non_null(strstr((const char *)run.err.data, "hung up"));
		fix_run_release(&run);
	}
	/* Only between requests: before the first, after each, behind the empty one's digits. */
	assert_int_equal(ended_well, ends);
	ph_test_buf_release(&input);
}

static void test_end_everywhere(void **state)
{
	end_everywhere(*state, 0, V0, 1);
	end_everywhere(*state, 2, V2, 4);
	configure_all(*state);
	end_everywhere(*state, 2, FEATURES, 5);
}

static void damage_everywhere(struct fix *fix, int version, const char *script)
{
	static const uint8_t bytes[] = {'0', '1', 'f', ' ', 0, 0xff, '\n'};
	struct ph_test_buf input = {0};

	fix_say(fix, &input, script);
	for (size_t at = 0; at < input.len; at++) {
		uint8_t was = input.data[at];

		for (size_t i = 0; i < sizeof(bytes); i++) {
			struct fix_run run;

			input.data[at] = bytes[i];
			fix_talk(fix, version, &input, &at_once, &run);
			assert_true(run.status == 0 || run.status == 128);
			fix_run_release(&run);
		}
		input.data[at] = was;
	}
	ph_test_buf_release(&input);
}

static void test_damage_everywhere(void **state)
{
	damage_everywhere(*state, 0, V0);
	damage_everywhere(*state, 2, V2);
	configure_all(*state);
	damage_everywhere(*state, 2, FEATURES);
}

/* ---- memory ---- */

static void fail_each_alloc(struct fix *fix, int version, const char *script)
{
	struct ph_test_buf input = {0};
	int64_t live = fix->memory.live;
	uint64_t i, failed = 0;

	fix_say(fix, &input, script);
	for (i = 1;; i++) {
		uint64_t before = fix->memory.calls;
		struct fix_run run;
		bool through;

		fix->memory.fail_at = before + i;
		fix_talk(fix, version, &input, &at_once, &run);
		through = fix->memory.calls - before < i;
		fix->memory.fail_at = 0;
		assert_int_equal(fix->memory.live, live);
		/* A cache that could not be had may cost speed alone. */
		failed += run.status != 0;
		assert_true(run.status == 0 || run.status == 128 || run.status == -1);
		fix_run_release(&run);
		if (through)
			break;
	}
	assert_true(failed > 20);
	whole_is_fine(fix, version, &input);
	ph_test_buf_release(&input);
}

static void test_fail_each_alloc(void **state)
{
	fail_each_alloc(*state, 0, V0);
	fail_each_alloc(*state, 2, V2);
	/* A want that is only reachable. */
	fail_each_alloc(*state, 2,
	                "command=fetch|0001|want $t1|want $b4|filter blob:none|done|0000");
	configure_all(*state);
	fail_each_alloc(*state, 2, FEATURES);
}

/* ---- a store whose reads fail ---- */

struct faulty {
	struct ph_store store;
	struct ph_store *inner;
	uint64_t calls, fail_at;
};

struct faulty_snapshot {
	struct ph_snapshot snapshot;
	struct ph_source source;
	struct ph_snapshot *inner;
	const struct ph_source *inner_source;
	struct faulty *faulty;
};

static struct faulty_snapshot *of(struct ph_snapshot *snapshot)
{
	return (struct faulty_snapshot *)snapshot;
}

static const struct faulty_snapshot *of_source(const struct ph_source *source)
{
	return (const struct faulty_snapshot *)((const char *)source -
	                                        offsetof(struct faulty_snapshot, source));
}

static bool fails(struct faulty *faulty)
{
	return ++faulty->calls == faulty->fail_at;
}

static uint32_t faulty_packs(const struct ph_source *source)
{
	const struct ph_source *inner = of_source(source)->inner_source;

	return inner->ops->packs(inner);
}

static void faulty_pack_size(const struct ph_source *source, uint32_t pack, uint32_t *entries,
                             uint64_t *bytes)
{
	const struct ph_source *inner = of_source(source)->inner_source;

	inner->ops->pack_size(inner, pack, entries, bytes);
}

static enum ph_status faulty_find(const struct ph_source *source, const struct ph_oid *oid,
                                  struct ph_loc *out)
{
	const struct ph_source *inner = of_source(source)->inner_source;

	return fails(of_source(source)->faulty) ? PH_ERR_IO : inner->ops->find(inner, oid, out);
}

static enum ph_status faulty_entry(const struct ph_source *source, struct ph_loc loc,
                                   struct ph_entry *out)
{
	const struct ph_source *inner = of_source(source)->inner_source;

	return fails(of_source(source)->faulty) ? PH_ERR_CORRUPT
	                                        : inner->ops->entry(inner, loc, out);
}

static enum ph_status faulty_at_offset(const struct ph_source *source, uint32_t pack,
                                       uint64_t offset, struct ph_loc *out)
{
	const struct ph_source *inner = of_source(source)->inner_source;

	return fails(of_source(source)->faulty) ? PH_ERR_IO
	                                        : inner->ops->at_offset(inner, pack, offset, out);
}

static enum ph_status faulty_read(const struct ph_source *source, uint32_t pack, uint64_t offset,
                                  void *buf, size_t len)
{
	const struct ph_source *inner = of_source(source)->inner_source;

	return fails(of_source(source)->faulty) ? PH_ERR_IO
	                                        : inner->ops->read(inner, pack, offset, buf, len);
}

static const struct ph_source_ops faulty_source_ops = {
        .packs = faulty_packs,
        .pack_size = faulty_pack_size,
        .find = faulty_find,
        .entry = faulty_entry,
        .at_offset = faulty_at_offset,
        .read = faulty_read,
};

static void faulty_release(struct ph_snapshot *snapshot)
{
	ph_snapshot_release(of(snapshot)->inner);
	free(snapshot);
}

static enum ph_status faulty_ref(struct ph_snapshot *snapshot, const char *name, struct ph_ref *out)
{
	return fails(of(snapshot)->faulty) ? PH_ERR_IO
	                                   : ph_snapshot_ref(of(snapshot)->inner, name, out);
}

static enum ph_status faulty_refs(struct ph_snapshot *snapshot, const char *from,
                                  struct ph_ref_iter **out)
{
	return fails(of(snapshot)->faulty) ? PH_ERR_IO
	                                   : ph_snapshot_refs(of(snapshot)->inner, from, out);
}

static const struct ph_source *faulty_source(struct ph_snapshot *snapshot)
{
	return &of(snapshot)->source;
}

static uint32_t faulty_shallow(struct ph_snapshot *snapshot, const struct ph_oid **out)
{
	return ph_snapshot_shallow(of(snapshot)->inner, out);
}

static const struct ph_bytes *faulty_section(struct ph_snapshot *snapshot, uint32_t pack,
                                             uint32_t section)
{
	return ph_snapshot_section(of(snapshot)->inner, pack, section);
}

static enum ph_status faulty_setting(struct ph_snapshot *snapshot, const char *key, void *buf,
                                     size_t *len)
{
	return fails(of(snapshot)->faulty)
	               ? PH_ERR_IO
	               : ph_snapshot_setting(of(snapshot)->inner, key, buf, len);
}

static const struct ph_snapshot_ops faulty_snapshot_ops = {
        .release = faulty_release,
        .ref = faulty_ref,
        .refs = faulty_refs,
        .source = faulty_source,
        .shallow = faulty_shallow,
        .section = faulty_section,
        .setting = faulty_setting,
};

static enum ph_status faulty_open(struct ph_store *store, const char *name,
                                  struct ph_snapshot **out)
{
	struct faulty *faulty = (struct faulty *)store;
	struct faulty_snapshot *snapshot;
	struct ph_snapshot *inner;
	enum ph_status status =
	        fails(faulty) ? PH_ERR_IO : ph_store_snapshot(faulty->inner, name, &inner);

	if (status != PH_OK)
		return status;
	snapshot = calloc(1, sizeof(*snapshot));
	snapshot->snapshot = *inner;
	snapshot->snapshot.ops = &faulty_snapshot_ops;
	snapshot->inner = inner;
	snapshot->inner_source = ph_snapshot_source(inner);
	snapshot->source.ops = &faulty_source_ops;
	snapshot->source.algo = inner->algo;
	snapshot->faulty = faulty;
	*out = &snapshot->snapshot;
	return PH_OK;
}

static enum ph_status faulty_setting_get(struct ph_store *store, const char *key, void *buf,
                                         size_t *len)
{
	struct faulty *faulty = (struct faulty *)store;

	return fails(faulty) ? PH_ERR_IO : ph_store_setting_get(faulty->inner, key, buf, len);
}

static const struct ph_store_ops faulty_ops = {
        .snapshot = faulty_open,
        .setting_get = faulty_setting_get,
};

static void fail_each_read(struct fix *fix, int version, const char *script)
{
	struct faulty faulty = {.store = {.ops = &faulty_ops}, .inner = fix->store};
	struct ph_test_buf input = {0};
	int64_t live = fix->memory.live;
	unsigned on_band = 0, as_err = 0;

	fix_say(fix, &input, script);
	fix->store = &faulty.store;
	for (faulty.fail_at = 1;; faulty.fail_at++) {
		struct ph_test_buf text = {0};
		struct fix_run run;

		faulty.calls = 0;
		fix_talk(fix, version, &input, &at_once, &run);
		assert_int_equal(fix->memory.live, live);
		if (faulty.calls < faulty.fail_at) {
			assert_int_equal(run.status, 0);
			fix_run_release(&run);
			break;
		}
		assert_int_equal(run.status, 128);
		fix_text(fix, &run, true, &text);
		ph_test_buf_append(&text, "", 1);
		on_band += strstr((const char *)text.data, "\n3:aborting due to ") != NULL;
		as_err += strstr((const char *)text.data, "ERR aborting due to ") != NULL;
		ph_test_buf_release(&text);
		fix_run_release(&run);
	}
	fix->store = faulty.inner;
	/* Always said: in a packet of its own before the pack begins, on band 3 from then on. */
	assert_int_equal(on_band + as_err, faulty.fail_at - 1);
	assert_true(on_band > 10 && as_err > 10);
	ph_test_buf_release(&input);
}

static void test_fail_each_read(void **state)
{
	fail_each_read(*state, 0, V0);
	fail_each_read(*state, 2, V2);
	configure_all(*state);
	fail_each_read(*state, 2, FEATURES);
}

/* A pack that fails is not ended: without a side-band there is no other way to tell. */
static void test_bare_failure(void **state)
{
	struct fix *fix = *state;
	struct faulty faulty = {.store = {.ops = &faulty_ops}, .inner = fix->store};
	struct ph_test_buf input = {0};
	struct fix_run whole, run;

	fix_say(fix, &input, "want $c5|0000|done");
	fix->store = &faulty.store;
	fix_talk(fix, 0, &input, &at_once, &whole);
	assert_int_equal(whole.status, 0);
	faulty.fail_at = faulty.calls;
	faulty.calls = 0;
	fix_talk(fix, 0, &input, &at_once, &run);
	assert_int_equal(run.status, 128);
	assert_true(run.out.len + 20 <= whole.out.len);
	assert_memory_equal(run.out.data, whole.out.data, run.out.len);
	fix->store = faulty.inner;
	fix_run_release(&whole);
	fix_run_release(&run);
	ph_test_buf_release(&input);
}

/* ---- silence ---- */

static size_t count_empty(const struct fix_run *run)
{
	size_t count = 0;

	for (size_t at = 0; at < run->out.len;) {
		struct ph_pkt pkt;
		size_t used;

		assert_int_equal(ph_pkt_parse(&pkt, &used, run->out.data + at, run->out.len - at),
		                 PH_OK);
		count += pkt.kind == PH_PKT_DATA && pkt.len == 1 && pkt.data[0] == 1;
		at += used;
	}
	return count;
}

static void test_keepalive(void **state)
{
	static const struct fix_pace slow = {SIZE_MAX, SIZE_MAX, 1, 0};
	struct fix *fix = *state;
	struct ph_test_buf input = {0}, text = {0}, expected = {0};
	struct fix_run run;
	size_t often;

	fix_say(fix, &input, "want $c5 side-band-64k no-progress ofs-delta|0000|done");
	fix_talk(fix, 0, &input, &at_once, &run);
	fix_text(fix, &run, false, &expected);
	assert_int_equal(count_empty(&run), 0);
	fix_run_release(&run);

	/* Every run is a unit of work and takes two seconds: something is said every five. */
	fix->now_step_ms = 2000;
	fix_talk(fix, 0, &input, &slow, &run);
	fix_text(fix, &run, false, &text);
	assert_int_equal(text.len, expected.len);
	assert_memory_equal(text.data, expected.data, text.len);
	often = count_empty(&run);
	assert_true(often > 3);
	fix_run_release(&run);

	/* The owner may choose another time, or none. */
	fix_set_config(fix, "uploadpack.keepalive=1\n");
	fix_talk(fix, 0, &input, &slow, &run);
	assert_true(count_empty(&run) > often);
	fix_run_release(&run);
	fix_set_config(fix, "uploadpack.keepalive=0\n");
	fix_talk(fix, 0, &input, &slow, &run);
	assert_int_equal(count_empty(&run), 0);
	fix_run_release(&run);
	fix_set_config(fix, "");
	fix->limits.keepalive_ms = 0;
	fix_talk(fix, 0, &input, &slow, &run);
	assert_int_equal(count_empty(&run), 0);
	fix_run_release(&run);
	ph_test_buf_release(&input);
	ph_test_buf_release(&text);
	ph_test_buf_release(&expected);
}

/* ---- many refs ---- */

#define MANY 100000u

static void add_many_refs(struct fix *fix)
{
	struct ph_oid oid = fix_oid(fix, "c1");
	struct ph_snapshot *base;
	struct ph_txn *txn;
	uint32_t change;
	char name[40];

	assert_int_equal(ph_store_snapshot(fix->store, "r", &base), PH_OK);
	assert_int_equal(ph_store_begin(fix->store, base, &txn), PH_OK);
	ph_snapshot_release(base);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "refs/many/%06u", i);
		assert_int_equal(ph_txn_ref_update(txn, name, NULL, &oid, NULL, &change), PH_OK);
	}
	assert_int_equal(ph_txn_prepare(txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
}

static size_t count_packets(const struct fix_run *run)
{
	size_t count = 0;

	for (size_t at = 0; at < run->out.len; count++) {
		struct ph_pkt pkt;
		size_t used;

		assert_int_equal(ph_pkt_parse(&pkt, &used, run->out.data + at, run->out.len - at),
		                 PH_OK);
		at += used;
	}
	return count;
}

static void test_many_refs(void **state)
{
	static const struct fix_pace pace = {SIZE_MAX, 10000, 300, 0};
	struct fix *fix = *state;
	struct ph_test_buf input = {0};
	struct fix_run run;
	int64_t before;

	add_many_refs(fix);
	before = fix->memory.live_bytes;
	fix->memory.peak_bytes = before;
	fix_talk(fix, 0, &input, &pace, &run);
	assert_int_equal(run.status, 0);
	/* The seven that are always there, HEAD, and a flush. */
	assert_int_equal(count_packets(&run), MANY + 7 + 1 + 1);
	fix_run_release(&run);

	fix_say(fix, &input, "command=ls-refs|0001|ref-prefix refs/many/09|ref-prefix HEAD|0000");
	fix_talk(fix, 2, &input, &pace, &run);
	/* The version, five capabilities and a flush, HEAD, ten thousand, and a flush. */
	assert_int_equal(count_packets(&run), 7 + 1 + 10000 + 1);
	fix_run_release(&run);
	/* Two buffers, the session, an iterator: nothing that grows with the refs. */
	assert_true(fix->memory.peak_bytes - before < 512 * 1024);
	ph_test_buf_release(&input);
}

/* A client that reads nothing costs one buffer, and ends at the time limit. */
static void test_client_stops_reading(void **state)
{
	struct fix *fix = *state;
	struct ph_session *session;
	size_t len;

	add_many_refs(fix);
	session = fix_open(fix, 0);
	for (int i = 0; ph_session_state(session) & PH_WANT_RUN; i++) {
		assert_true(i < 1000);
		ph_session_run(session, 50, 0, 4096);
	}
	ph_session_output_buf(session, PH_STREAM_OUT, &len);
	assert_true(len > OUT_BYTES - 64 * 1024 && len <= OUT_BYTES);
	assert_int_equal(ph_session_deadline(session), 50 + fix->limits.idle_ms_max);
	ph_session_run(session, ph_session_deadline(session), 0, 4096);
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 128);
	ph_session_free(session);
}

static void say(struct fix *fix, struct ph_session *session, const char *script)
{
	struct ph_test_buf input = {0};
	size_t room;
	uint8_t *buf;

	fix_say(fix, &input, script);
	buf = ph_session_input_buf(session, &room);
	assert_true(room >= input.len);
	memcpy(buf, input.data, input.len);
	ph_session_input_ack(session, input.len);
	while (ph_session_state(session) & PH_WANT_RUN)
		ph_session_run(session, 50, 0, 4096);
	ph_test_buf_release(&input);
}

/* The same in mid-pack: it costs the buffers and what the pack is made with. Time counts from what
 * it took last. And one that is gone leaves nothing behind. */
static void test_client_stops_in_the_pack(void **state)
{
	struct fix *fix = *state;
	const char *ask[] = {"want $bl side-band-64k|0000|done",
	                     "command=fetch|0001|want $bl|done|0000"};

	fix_add_large(fix, 4u << 20);
	for (int i = 0; i < 4; i++) {
		int64_t live = fix->memory.live, bytes = fix->memory.live_bytes;
		struct ph_session *session = fix_open(fix, i % 2 * 2);
		size_t len;

		ph_session_run(session, 50, 0, 4096);
		say(fix, session, ask[i % 2]);
		ph_session_output_buf(session, PH_STREAM_OUT, &len);
		assert_true(len > 120000 && len <= OUT_BYTES);
		assert_true(fix->memory.live_bytes - bytes < 768 * 1024);
		ph_session_output_ack(session, PH_STREAM_OUT, 100000);
		ph_session_run(session, 1000, 0, 4096);
		while (ph_session_state(session) & PH_WANT_RUN)
			ph_session_run(session, 1000, 0, 4096);
		assert_true(fix->memory.live_bytes - bytes < 768 * 1024);
		for (uint64_t now = 0; i < 2 && !(ph_session_state(session) & PH_DONE);) {
			assert_true(now < 1000 + fix->limits.idle_ms_max);
			now = ph_session_deadline(session);
			ph_session_run(session, now, 0, 4096);
			assert_true(now <= 1000 + fix->limits.idle_ms_max);
		}
		assert_int_equal(ph_session_exit_status(session), i < 2 ? 128 : 0);
		ph_session_free(session);
		assert_int_equal(fix->memory.live, live);
	}
}

/* One that stops when the pack is written and only its end is left: no time for keepalives passes
 * again and again, only the limit for its silence. */
static void test_client_stops_at_the_end(void **state)
{
	struct fix *fix = *state;
	struct ph_session *session = fix_open(fix, 0);
	size_t len = 0;

	say(fix, session, "want $c5 multi_ack_detailed side-band no-progress|0000");
	/* Acknowledgments leave room for the pack alone. */
	for (int i = 0; len < OUT_BYTES - 8192 - 200; i++) {
		assert_true(i < 10000);
		say(fix, session, "have $u1");
		ph_session_output_buf(session, PH_STREAM_OUT, &len);
	}
	say(fix, session, "done");
	ph_session_output_buf(session, PH_STREAM_OUT, &len);
	assert_true(len > OUT_BYTES - 8192);
	assert_int_equal(ph_session_state(session), PH_WANT_INPUT | PH_HAVE_OUTPUT);
	assert_int_equal(ph_session_deadline(session), 50 + fix->limits.idle_ms_max);
	ph_session_run(session, ph_session_deadline(session), 0, 4096);
	assert_int_equal(ph_session_state(session), PH_DONE);
	ph_session_free(session);
}

/* Runs of a session on a thread of their own, each a unit of work and longer than a keepalive. */
struct runner {
	struct ph_session *session;
	uint64_t now_ms;
	atomic_bool done;
};

static void *run_many(void *arg)
{
	struct runner *runner = arg;

	for (unsigned i = 0; i < 60; i++)
		ph_session_run(runner->session, runner->now_ms += 2, 0, 1);
	atomic_store_explicit(&runner->done, true, memory_order_relaxed);
	return NULL;
}

static void take_byte(struct ph_session *session, struct ph_test_buf *out)
{
	size_t len;
	const uint8_t *data = ph_session_output_buf(session, PH_STREAM_OUT, &len);

	if (len == 0)
		return;
	ph_test_buf_append(out, data, 1);
	ph_session_output_ack(session, PH_STREAM_OUT, 1);
}

/* Output is taken while the session runs: what breaks its silence must not look at that. */
static void test_keepalive_detached(void **state)
{
	struct fix *fix = *state;
	struct runner runner = {.now_ms = 100};
	struct ph_test_buf out = {0};
	pthread_t thread;
	size_t len;

	fix_add_large(fix, 4u << 20);
	fix->limits.keepalive_ms = 1;
	runner.session = fix_open(fix, 0);
	ph_session_run(runner.session, 50, 0, 4096);
	say(fix, runner.session, "want $bl side-band-64k|0000|done");
	atomic_init(&runner.done, false);
	assert_true(ph_session_output_detach(runner.session));
	assert_int_equal(pthread_create(&thread, NULL, run_many, &runner), 0);
	while (!atomic_load_explicit(&runner.done, memory_order_relaxed) && out.len < 100000)
		take_byte(runner.session, &out);
	/* Nothing orders this one and the runs but what the session itself does. */
	take_byte(runner.session, &out);
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* As long as there is output the silence is the client's, and no packet is cut short. */
	ph_session_output_buf(runner.session, PH_STREAM_OUT, &len);
	ph_session_output_ack(runner.session, PH_STREAM_OUT, len);
	run_many(&runner);
	assert_true(ph_session_output_attach(runner.session));
	ph_test_buf_clear(&out);
	while (ph_session_output_buf(runner.session, PH_STREAM_OUT, &len))
		take_byte(runner.session, &out);
	for (size_t at = 0; at < out.len; at += 65520)
		assert_memory_equal(out.data + at, "fff0\1", 5);
	assert_true(out.len > 65520);
	ph_session_free(runner.session);
	ph_test_buf_release(&out);
}

/* Free is cancel, in every state. */
static void test_cancel(void **state)
{
	struct fix *fix = *state;
	struct ph_test_buf input = {0};
	int64_t live = fix->memory.live;

	fix_say(fix, &input, V0);
	for (unsigned runs = 0; runs < 400; runs++) {
		struct ph_session *session = fix_open(fix, 0);
		size_t room;
		uint8_t *buf;

		buf = ph_session_input_buf(session, &room);
		assert_true(room >= input.len);
		memcpy(buf, input.data, input.len);
		ph_session_input_ack(session, input.len);
		for (unsigned i = 0; i < runs; i++)
			ph_session_run(session, 0, 0, 1);
		ph_session_free(session);
		assert_int_equal(fix->memory.live, live);
	}
	ph_test_buf_release(&input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_end_everywhere, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_damage_everywhere, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_fail_each_alloc, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_fail_each_read, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_bare_failure, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_keepalive, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_many_refs, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_client_stops_reading, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_client_stops_in_the_pack, fix_setup,
	                                        fix_teardown),
	        cmocka_unit_test_setup_teardown(test_client_stops_at_the_end, fix_setup,
	                                        fix_teardown),
	        cmocka_unit_test_setup_teardown(test_keepalive_detached, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_cancel, fix_setup, fix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
