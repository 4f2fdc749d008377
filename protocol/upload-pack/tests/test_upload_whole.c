/* SPDX-License-Identifier: MIT */
/*
 * Clones of everything, which notes of pushes answer without a walk. The fixture's pack holds u1
 * and bu, which no ref reaches: who gets them was answered by a note, who does not by the walk. So
 * a note that lies shows that it was believed, and only then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fixture.h"
#include "tips_int.h"

#include <stdlib.h>
#include <string.h>

#define FETCH "command=fetch|agent=git/test|object-format=sha1|0001|ofs-delta|no-progress|"
#define ALL FETCH "want $c5|want $s1|want $c1|want $v1|want $vv|done|0000"
#define EVERYTHING                                                                                 \
	"packfile\npack: b1 b2<b1 b3<b2 b4<b3 b5<b4 bs bu c1 c2 c3 c4 c5 s1 t1 t2 t3 t4 t5 ts "    \
	"u1 v1 vv\n0000\n"
#define REACHED                                                                                    \
	"packfile\npack: b1 b2<b1 b3<b2 b4<b3 b5<b4 bs c1 c2 c3 c4 c5 s1 t1 t2 t3 t4 t5 ts "       \
	"v1 vv\n0000\n"
#define MAIN "packfile\npack: b1 b2<b1 b3<b2 b4<b3 b5<b4 c1 c2 c3 c4 c5 t1 t2 t3 t4 t5\n0000\n"
#define OBJECTS 22u

/* Attaches bytes to the fixture's pack as its note. */
static void attach(struct fix *fix, const void *data, size_t len)
{
	struct ph_snapshot *base;
	struct ph_txn *txn;
	struct ph_sink *sink;

	assert_int_equal(ph_store_snapshot(fix->store, "r", &base), PH_OK);
	assert_int_equal(ph_store_begin(fix->store, base, &txn), PH_OK);
	assert_int_equal(ph_txn_attach(txn, ph_snapshot_pack_id(base, 0), PH__SECTION_TIPS, &sink),
	                 PH_OK);
	assert_int_equal(sink->ops->append(sink, data, len), PH_OK);
	assert_int_equal(ph_txn_prepare(txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	ph_snapshot_release(base);
}

/* names: of tips, each of two letters, with blanks between. */
static void make_note(const struct fix *fix, struct ph_test_sink *out, const char *names,
                      uint32_t entries, const uint32_t *copies, uint32_t copy_count)
{
	ph_test_sink_init(out);
	assert_int_equal(ph__tips_write(&out->sink, fix->algo, entries,
	                                (uint32_t)(strlen(names) + 1) / 3, copy_count),
	                 PH_OK);
	for (; *names; names += names[2] ? 3 : 2) {
		char name[3] = {names[0], names[1], '\0'};
		struct ph_oid oid = fix_oid(fix, name);

		assert_int_equal(ph__tips_write_tip(&out->sink, fix->algo, &oid), PH_OK);
	}
	for (uint32_t i = 0; i < copy_count; i++)
		assert_int_equal(ph__tips_write_copy(&out->sink, copies[i]), PH_OK);
}

static void note(struct fix *fix, const char *names)
{
	struct ph_test_sink sink;

	make_note(fix, &sink, names, fix->pack.count, NULL, 0);
	attach(fix, sink.buf.data, sink.buf.len);
	ph_test_sink_release(&sink);
}

static void test_wants_are_tips(void **state)
{
	struct fix *fix = *state;

	assert_int_equal(fix->pack.count, OBJECTS);
	fix_expect(fix, 2, ALL, REACHED, "", 0);
	note(fix, "c5 s1 vv");
	fix_expect(fix, 2, ALL, EVERYTHING, "", 0);
	/* Without the side branch there is more than was asked for. */
	fix_expect(fix, 2, FETCH "want $c5|done|0000", MAIN, "", 0);
}

static void test_tips_below_wants(void **state)
{
	struct fix *fix = *state;

	note(fix, "c1 c3 s1 vv");
	fix_expect(fix, 2, ALL, EVERYTHING, "", 0);
	note(fix, "c1 c3");
	fix_expect(fix, 2, FETCH "want $c5|done|0000",
	           "packfile\npack: b1 b2<b1 b3<b2 b4<b3 b5<b4 bs bu c1 c2 c3 c4 c5 s1 t1 t2 t3 "
	           "t4 t5 ts u1 v1 vv\n0000\n",
	           "", 0);
}

static void test_tips_out_of_reach(void **state)
{
	struct fix *fix = *state;

	/* A branch that is gone, a tag nobody asks for, what is no commit. */
	note(fix, "c5 s1 vv u1");
	fix_expect(fix, 2, ALL, REACHED, "", 0);
	note(fix, "c5 vv");
	fix_expect(fix, 2, FETCH "want $c5|done|0000", MAIN, "", 0);
	note(fix, "c5 b1");
	fix_expect(fix, 2, FETCH "want $c5|done|0000", MAIN, "", 0);
	note(fix, "c5 bu");
	fix_expect(fix, 2, ALL, REACHED, "", 0);
}

static void test_other_requests(void **state)
{
	struct fix *fix = *state;

	note(fix, "c1");
	fix_expect(fix, 2, FETCH "want $c5|filter blob:none|done|0000",
	           "packfile\npack: c1 c2 c3 c4 c5 t1 t2 t3 t4 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|deepen 1|done|0000",
	           "shallow-info\nshallow $c5\n0001\npackfile\npack: b5 c5 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|have $c4|done|0000", "packfile\npack: b5 c5 t5\n0000\n",
	           "", 0);
	/* What is not common does not count. */
	fix_expect(fix, 2, FETCH "want $c5|want $s1|have $x1|done|0000", EVERYTHING, "", 0);
	fix_set_shallow(fix, "c3");
	fix_expect(fix, 2, FETCH "want $c5|done|0000",
	           "shallow-info\nshallow $c3\n0001\n"
	           "packfile\npack: b3 b4<b3 b5<b4 c3 c4 c5 t3 t4 t5\n0000\n",
	           "", 0);
}

static void test_copies(void **state)
{
	struct fix *fix = *state;
	struct ph_test_sink sink;
	uint32_t copy = 3;

	/* A copy must lie in another pack too. */
	make_note(fix, &sink, "c5 s1 vv", fix->pack.count, &copy, 1);
	attach(fix, sink.buf.data, sink.buf.len);
	fix_expect(fix, 2, ALL, REACHED, "", 0);
	ph_test_sink_release(&sink);
	copy = fix->pack.count;
	make_note(fix, &sink, "c5 s1 vv", fix->pack.count, &copy, 1);
	attach(fix, sink.buf.data, sink.buf.len);
	fix_expect(fix, 2, ALL, REACHED, "", 0);
	ph_test_sink_release(&sink);
}

/* Whatever the section holds, the walk answers when it is not a note. */
static void test_malformed(void **state)
{
	struct fix *fix = *state;
	struct ph_test_sink sink;
	struct ph_test_buf *buf = &sink.buf;

	make_note(fix, &sink, "c5 s1 vv", fix->pack.count - 1, NULL, 0);
	attach(fix, buf->data, buf->len);
	fix_expect(fix, 2, ALL, REACHED, "", 0);
	ph_test_sink_release(&sink);
	make_note(fix, &sink, "c5 s1 vv", fix->pack.count, NULL, 0);
	for (size_t i = 0; i < 20; i++) {
		buf->data[i] ^= 0x81;
		attach(fix, buf->data, buf->len);
		fix_expect(fix, 2, ALL, REACHED, "", 0);
		buf->data[i] ^= 0x81;
	}
	for (size_t len = 0; len < buf->len; len += 7) {
		attach(fix, buf->data, len);
		fix_expect(fix, 2, ALL, REACHED, "", 0);
	}
	attach(fix, buf->data, buf->len);
	fix_expect(fix, 2, ALL, EVERYTHING, "", 0);
	ph_test_sink_release(&sink);
}

/* The rank of an object in the pack. */
static uint32_t rank_of(struct fix *fix, const char *name)
{
	struct ph_snapshot *snapshot;
	struct ph_oid oid = fix_oid(fix, name);
	const struct ph_source *source;
	struct ph_loc loc;

	assert_int_equal(ph_store_snapshot(fix->store, "r", &snapshot), PH_OK);
	source = ph_snapshot_source(snapshot);
	assert_int_equal(source->ops->find(source, &oid, &loc), PH_OK);
	ph_snapshot_release(snapshot);
	return loc.pos;
}

/* What a push has proven is served by its id, whatever became of the refs: where none is hidden. */
static void test_proven(void **state)
{
	struct fix *fix = *state;
	const char *ask = FETCH "want $u1|want $bu|done|0000";
	const char *refused = "ERR upload-pack: not our ref $u1\n";
	const char *err = "fatal: upload-pack: not our ref $u1\n";
	struct ph_test_sink sink;
	uint32_t copies[3];

	fix_expect(fix, 2, ask, refused, err, 128);
	note(fix, "c5");
	fix_expect(fix, 2, ask, "packfile\npack: b1 bu c1 t1 u1\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $u1|want $x1|done|0000",
	           "ERR upload-pack: not our ref $x1\n", "fatal: upload-pack: not our ref $x1\n",
	           128);
	fix_set_config(fix, "uploadpack.hiderefs=refs/none\n");
	fix_expect(fix, 2, ask, refused, err, 128);
	fix_set_config(fix, "receive.hiderefs=refs/none\n");
	fix_expect(fix, 2, ask, "packfile\npack: b1 bu c1 t1 u1\n0000\n", "", 0);
	/* A copy of what another pack had is nobody's proof. */
	copies[0] = 0;
	copies[1] = rank_of(fix, "u1");
	copies[2] = OBJECTS - 1;
	make_note(fix, &sink, "c5", fix->pack.count, copies, 3);
	attach(fix, sink.buf.data, sink.buf.len);
	ph_test_sink_release(&sink);
	fix_expect(fix, 2, ask, refused, err, 128);
	/* Over protocols 0 and 1 a want is a ref's value, as ever. */
	note(fix, "c5");
	fix_expect(fix, 0, "want $u1|0000|done", refused, err, 128);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_wants_are_tips, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_tips_below_wants, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_tips_out_of_reach, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_other_requests, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_copies, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_malformed, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_proven, fix_setup, fix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
