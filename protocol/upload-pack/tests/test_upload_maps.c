/* SPDX-License-Identifier: MIT */
/*
 * Requests to a repository whose pack has a map: the answers are the same as without, and reached
 * within a limit on what may be walked that is too low to do without. A map that is damaged, or
 * none at all, costs time only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fixture.h"
#include "map_section_int.h"

#include <packhorse/map.h>

#include <stdlib.h>
#include <string.h>

#define FETCH "command=fetch|agent=git/test|object-format=sha1|0001|ofs-delta|no-progress|"

struct request {
	int version;
	const char *script, *answer;
};

static const struct request requests[] = {
        {2, FETCH "want $c5|done|0000",
         "packfile\npack: b1 b2<b1 b3<b2 b4<b3 b5<b4 c1 c2 c3 c4 c5 t1 t2 t3 t4 t5\n0000\n"},
        {2, FETCH "want $c5|filter blob:none|done|0000",
         "packfile\npack: c1 c2 c3 c4 c5 t1 t2 t3 t4 t5\n0000\n"},
        {2, FETCH "want $c5|want $vv|have $c3|include-tag|done|0000",
         "packfile\npack: b4 b5<b4 c4 c5 t4 t5 v1 vv\n0000\n"},
        {2, FETCH "want $s1|have $c5|done|0000", "packfile\npack: bs s1 ts\n0000\n"},
        /* Not a ref's value: it must be found. */
        {2, FETCH "want $c2|done|0000", "packfile\npack: b1 b2<b1 c1 c2 t1 t2\n0000\n"},
        {2, FETCH "want $b2|have $c1|done|0000", "packfile\npack: b2\n0000\n"},
        {2, FETCH "want $c5|have $c3|have $x1|0000",
         "acknowledgments\nACK $c3\nready\n0001\npackfile\npack: b4 b5<b4 c4 c5 t4 t5\n0000\n"},
        {2, FETCH "want $c5|deepen 2|done|0000",
         "shallow-info\nshallow $c4\n0001\npackfile\npack: b4 b5<b4 c4 c5 t4 t5\n0000\n"},
};

/* Attaches bytes to the fixture's pack as its map. */
static void attach(struct fix *fix, const void *data, size_t len)
{
	struct ph_snapshot *base;
	struct ph_txn *txn;
	struct ph_sink *sink;

	assert_int_equal(ph_store_snapshot(fix->store, "r", &base), PH_OK);
	assert_int_equal(ph_store_begin(fix->store, base, &txn), PH_OK);
	assert_int_equal(ph_txn_attach(txn, ph_snapshot_pack_id(base, 0), PH__SECTION_MAP, &sink),
	                 PH_OK);
	if (len)
		assert_int_equal(sink->ops->append(sink, data, len), PH_OK);
	assert_int_equal(ph_txn_prepare(txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	ph_snapshot_release(base);
}

static void make_map(struct fix *fix, struct ph_test_sink *out)
{
	static const char *const tips[] = {"c5", "s1", "vv", "c3", "c2", "c1"};
	struct ph_snapshot *base;
	struct ph_map_options options = {
	        .sink = &out->sink, .alloc = &fix->memory.alloc, .limits = &fix->limits};
	struct ph_map_maker *maker;
	enum ph_status status;

	ph_test_sink_init(out);
	assert_int_equal(ph_store_snapshot(fix->store, "r", &base), PH_OK);
	options.source = ph_snapshot_source(base);
	assert_int_equal(ph_map_maker_new(&maker, &options), PH_OK);
	for (size_t i = 0; i < sizeof(tips) / sizeof(*tips); i++) {
		struct ph_oid oid = fix_oid(fix, tips[i]);

		assert_int_equal(ph_map_maker_tip(maker, &oid), PH_OK);
	}
	do {
		uint32_t budget = 100;

		status = ph_map_maker_run(maker, &budget);
	} while (status == PH_AGAIN);
	assert_int_equal(status, PH_OK);
	ph_map_maker_free(maker);
	ph_snapshot_release(base);
}

static void expect_all(struct fix *fix)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
		fix_expect(fix, requests[i].version, requests[i].script, requests[i].answer, "", 0);
}

static void test_same_answers(void **state)
{
	struct fix *fix = *state;
	struct ph_test_sink map;

	expect_all(fix);
	make_map(fix, &map);
	attach(fix, map.buf.data, map.buf.len);
	ph_test_sink_release(&map);
	expect_all(fix);
}

static void test_is_used(void **state)
{
	struct fix *fix = *state;
	struct ph_test_sink map;

	make_map(fix, &map);
	fix->limits.walk_objects_max = 4;
	fix_expect(fix, 2, requests[0].script, "packfile\n3:upload-pack: a limit was exceeded\n",
	           "fatal: upload-pack: a limit was exceeded\n", 128);
	attach(fix, map.buf.data, map.buf.len);
	ph_test_sink_release(&map);
	for (size_t i = 0; i < 6; i++)
		fix_expect(fix, requests[i].version, requests[i].script, requests[i].answer, "", 0);
}

static void test_damaged(void **state)
{
	struct fix *fix = *state;
	struct ph_test_sink map;
	struct ph_test_buf log = {0};
	struct ph_test_buf *buf = &map.buf;

	make_map(fix, &map);
	attach(fix, NULL, 0);
	expect_all(fix);
	fix->log_text = &log;
	for (size_t i = 1; i < buf->len; i += buf->len / 13) {
		buf->data[i] ^= 0x21;
		attach(fix, buf->data, buf->len);
		expect_all(fix);
		buf->data[i] ^= 0x21;
	}
	assert_true(log.len > 0);
	for (size_t len = 1; len < buf->len; len += buf->len / 5) {
		attach(fix, buf->data, len);
		expect_all(fix);
	}
	fix->log_text = NULL;
	ph_test_buf_release(&log);
	ph_test_sink_release(&map);
}

/* Memory that fails at any time gives an error or the whole answer, and leaks nothing. */
static void test_memory(void **state)
{
	struct fix *fix = *state;
	struct ph_test_sink map;
	struct ph_test_buf input = {0};
	struct fix_pace pace = {.feed = 1000, .take = 1000, .budget = 100};

	make_map(fix, &map);
	attach(fix, map.buf.data, map.buf.len);
	ph_test_sink_release(&map);
	fix_say(fix, &input, requests[5].script);
	for (uint64_t i = 1;; i++) {
		struct fix_run run;
		int64_t live = fix->memory.live;
		bool through;

		fix->memory.calls = 0;
		fix->memory.fail_at = i;
		fix_talk(fix, 2, &input, &pace, &run);
		through = fix->memory.calls < i;
		fix->memory.fail_at = 0;
		assert_int_equal(fix->memory.live, live);
		assert_true(!through || run.status == 0);
		fix_run_release(&run);
		if (through)
			break;
	}
	ph_test_buf_release(&input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_same_answers, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_is_used, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_damaged, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_memory, fix_setup, fix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
