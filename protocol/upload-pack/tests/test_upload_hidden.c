/* SPDX-License-Identifier: MIT */
/*
 * Hidden refs, by every way in which a client may come to know of them: the advertisement, names,
 * ids as wants, haves and shallow lines, tags that come along, deltas. Every answer is the one that
 * a repository without the hidden ref and what only it reaches would give.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FETCH "command=fetch|agent=git/test|object-format=sha1|0001|ofs-delta|no-progress|"
#define LS "command=ls-refs|agent=git/test|object-format=sha1|0001|"
#define CAPS " thin-pack side-band-64k ofs-delta no-progress include-tag multi_ack_detailed"
#define HIDE_SIDE "transfer.hiderefs=refs/heads/side\n"
#define HIDE_MAIN "uploadpack.hiderefs=refs/heads/main\n"

static int setup(void **state)
{
	struct fix *fix = malloc(sizeof(*fix));

	fix_init(fix, PH_HASH_SHA1);
	*state = fix;
	return 0;
}

static int teardown(void **state)
{
	fix_release(*state);
	free(*state);
	return 0;
}

/* What an answer, the advertisement among it, has nothing of. */
static void expect_nowhere(struct fix *fix, int version, const char *script, const char *word)
{
	struct ph_test_buf input = {0}, text = {0};
	struct fix_run run;

	fix_say(fix, &input, script);
	fix_talk_all(fix, version, &input, &run);
	fix_text(fix, &run, true, &text);
	ph_test_buf_append(&text, "", 1);
	assert_int_equal(run.status, 0);
	assert_null(strstr((const char *)text.data, word));
	ph_test_buf_release(&text);
	ph_test_buf_release(&input);
	fix_run_release(&run);
}

static void test_ls_refs(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix,
	               HIDE_SIDE "transfer.hiderefs=refs/tags\ntransfer.hiderefs=!refs/tags/v1\n");
	fix_set_symref(fix, "refs/heads/alias", "refs/heads/side");
	fix_set_symref(fix, "refs/heads/chain", "refs/heads/alias");
	fix_set_symref(fix, "refs/heads/good", "refs/tags/v1");
	fix_expect(fix, 2, LS "symrefs|peel|unborn|0000",
	           "$c5 HEAD symref-target:refs/heads/main\n"
	           "$v1 refs/heads/good symref-target:refs/tags/v1 peeled:$c2\n"
	           "$c5 refs/heads/main\n$v1 refs/tags/v1 peeled:$c2\n0000\n",
	           "", 0);
	fix_expect(fix, 2, LS "ref-prefix refs/heads/s|ref-prefix refs/tags/l|0000", "0000\n", "",
	           0);
	for (int version = 0; version < 2; version++) {
		expect_nowhere(fix, version, "0000", "heads/side");
		expect_nowhere(fix, version, "0000", "$s1");
		expect_nowhere(fix, version, "0000", "light");
		expect_nowhere(fix, version, "0000", "alias");
		expect_nowhere(fix, version, "0000", "chain");
		expect_nowhere(fix, version, "0000", "vv");
	}
}

/* Neither its value nor its name is told by HEAD, born or not. */
static void test_head(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, HIDE_MAIN);
	fix_expect(fix, 2, LS "symrefs|unborn|ref-prefix HEAD|ref-prefix refs/heads/|0000",
	           "$s1 refs/heads/side\n0000\n", "", 0);
	for (int version = 0; version < 2; version++) {
		expect_nowhere(fix, version, "0000", "HEAD");
		expect_nowhere(fix, version, "0000", "main");
		expect_nowhere(fix, version, "0000", "$c5");
	}
	fix_set_config(fix, "transfer.hiderefs=refs/heads/none\n");
	fix_set_symref(fix, "HEAD", "refs/heads/none");
	fix_expect(fix, 2, LS "symrefs|unborn|ref-prefix HEAD|0000", "0000\n", "", 0);
	fix_set_config(fix, "transfer.hiderefs=HEAD\n");
	fix_set_symref(fix, "HEAD", "refs/heads/main");
	fix_expect(fix, 2, LS "ref-prefix HEAD|ref-prefix refs/heads/m|0000",
	           "$c5 refs/heads/main\n0000\n", "", 0);
}

static void expect_refused(struct fix *fix, const char *want, const char *name)
{
	char script[256], answer[128], err[160];

	snprintf(answer, sizeof(answer), "ERR upload-pack: not our ref %s\n", name);
	snprintf(err, sizeof(err), "fatal: upload-pack: not our ref %s\n", name);
	snprintf(script, sizeof(script), FETCH "want $c1|want %s|done|0000", want);
	fix_expect(fix, 2, script, answer, err, 128);
	snprintf(script, sizeof(script), "want %s" CAPS "|0000|done", want);
	fix_expect(fix, 0, script, answer, err, 128);
	fix_expect(fix, 1, script, answer, err, 128);
}

static void test_wants(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, HIDE_SIDE);
	expect_refused(fix, "$s1", "$s1");
	/* What only it reaches, and what nothing does. */
	expect_refused(fix, "$ts", "$ts");
	expect_refused(fix, "$bs", "$bs");
	expect_refused(fix, "$u1", "$u1");
	/* What others reach as well. */
	fix_expect(fix, 2, FETCH "want $c3|done|0000",
	           "packfile\npack: b1 b2<b1 b3<b2 c1 c2 c3 t1 t2 t3\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $b1|done|0000", "packfile\npack: b1\n0000\n", "", 0);
}

static void test_allowed(void **state)
{
	struct fix *fix = *state;
	const char *side = "packfile\npack: b1 bs c1 s1 t1 ts\n0000\n";

	fix_set_ref(fix, "refs/heads/side", "");
	fix_set_ref(fix, "refs/hide/side", "s1");
	fix_set_config(fix, "transfer.hiderefs=refs/hide\nuploadpack.allowtipsha1inwant=true\n");
	fix_expect(fix, 2, FETCH "want $s1|done|0000", side, "", 0);
	fix_expect(fix, 0, "want $s1" CAPS "|0000|done", "NAK\npack: b1 bs c1 s1 t1 ts\n0000\n", "",
	           0);
	/* A tip's id is no leave to ask for what is behind it. */
	expect_refused(fix, "$bs", "$bs");
	fix_set_config(fix, "transfer.hiderefs=refs/hide\nuploadpack.allowreachablesha1inwant=1\n");
	fix_expect(fix, 2, FETCH "want $s1|done|0000", side, "", 0);
	fix_expect(fix, 2, FETCH "want $bs|done|0000", "packfile\npack: bs\n0000\n", "", 0);
	fix_expect(fix, 0, "want $bs" CAPS "|0000|done", "NAK\npack: bs\n0000\n", "", 0);
	expect_refused(fix, "$u1", "$u1");
	fix_set_config(fix, "transfer.hiderefs=refs/hide\nuploadpack.allowanysha1inwant=on\n");
	fix_expect(fix, 2, FETCH "want $u1|done|0000", "packfile\npack: b1 c1 t1 u1\n0000\n", "",
	           0);
	fix_expect(fix, 0, "want $bu" CAPS "|0000|done", "NAK\npack: bu\n0000\n", "", 0);
	expect_refused(fix, "$x1", "$x1");
	/* And shows none. */
	fix_expect(fix, 2, LS "ref-prefix refs/hide|0000", "0000\n", "", 0);
}

/* A have that only a hidden ref reaches is answered as one of an object that is not here. */
static void test_haves(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, HIDE_SIDE);
	fix_expect(fix, 2, FETCH "want $c5|have $s1|have $x1|0000", "acknowledgments\nNAK\n0000\n",
	           "", 0);
	fix_expect(fix, 2, FETCH "want $c5|have $ts|have $bs|have $u1|0000",
	           "acknowledgments\nNAK\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|have $s1|have $c2|have $v1|0000",
	           "acknowledgments\nACK $c2\nACK $v1\nready\n0001\npackfile\n"
	           "pack: b3 b4<b3 b5<b4 c3 c4 c5 t3 t4 t5\n0000\n",
	           "", 0);
	for (int version = 0; version < 2; version++) {
		fix_expect(fix, version,
		           "want $c5" CAPS
		           "|0000|have $s1|have $bs|0000|have $c2|have $s1|0000|done",
		           "NAK\nACK $c2 common\nACK $s1 ready\nNAK\nACK $c2\n"
		           "pack: b3<<b2 b4<b3 b5<b4 c3 c4 c5 t3 t4 t5\n0000\n",
		           "", 0);
		fix_expect(fix, version, "want $c5|0000|have $s1|0000|have $c4|have $c3|0000|done",
		           "NAK\nACK $c4\npack: b5 c5 t5\n", "", 0);
	}
}

/* Nothing is left out because of it, and no delta is against it. */
static void test_thin(void **state)
{
	struct fix *fix = *state;

	fix_set_ref(fix, "refs/hide/new", "c5");
	fix_set_ref(fix, "refs/heads/main", "c1");
	fix_set_config(fix, "transfer.hiderefs=refs/hide\n");
	fix_expect(fix, 2, FETCH "thin-pack|want $s1|have $c5|done|0000",
	           "packfile\npack: b1 bs c1 s1 t1 ts\n0000\n", "", 0);
	fix_expect(fix, 0, "want $s1" CAPS "|0000|have $c5|done",
	           "NAK\npack: b1 bs c1 s1 t1 ts\n0000\n", "", 0);
	/* The other way round: b5 is a delta on b4, which only the hidden ref reaches. */
	fix_set_config(fix, "transfer.hiderefs=refs/hide\ntransfer.hiderefs=refs/tags\n");
	fix_set_ref(fix, "refs/heads/blob", "b5");
	fix_expect(fix, 2, FETCH "thin-pack|want $b5|have $c4|have $b4|done|0000",
	           "packfile\npack: b5\n0000\n", "", 0);
	fix_expect(fix, 0, "want $b5" CAPS "|0000|have $c4|have $b4|done", "NAK\npack: b5\n0000\n",
	           "", 0);
}

/* What a want reaches may be had, also when only its id gives leave to ask for it. */
static void test_haves_of_wants(void **state)
{
	struct fix *fix = *state;

	fix_set_ref(fix, "refs/hide/new", "c5");
	fix_set_ref(fix, "refs/heads/main", "c1");
	fix_set_config(fix, "transfer.hiderefs=refs/hide\nuploadpack.allowtipsha1inwant=1\n");
	fix_expect(fix, 2, FETCH "want $c5|have $c4|done|0000", "packfile\npack: b5 c5 t5\n0000\n",
	           "", 0);
	fix_expect(fix, 2, FETCH "want $s1|have $c5|have $c1|0000",
	           "acknowledgments\nACK $c1\nready\n0001\npackfile\npack: bs s1 ts\n0000\n", "",
	           0);
}

/* A shallow line says what the client has as well. */
static void test_shallow(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, HIDE_SIDE);
	fix_expect(fix, 2, FETCH "want $c2|shallow $s1|done|0000",
	           "packfile\npack: b1 b2<b1 c1 c2 t1 t2\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c2|shallow $bs|done|0000",
	           "packfile\npack: b1 b2<b1 c1 c2 t1 t2\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c2|shallow $c2|done|0000",
	           "shallow-info\n0001\npackfile\npack: b2 c2 t2\n0000\n", "", 0);
	fix_set_ref(fix, "refs/heads/two", "c2");
	/* To unshallow everything opens what may be seen. */
	fix_expect(fix, 2, FETCH "want $c2|shallow $s1|shallow $c2|deepen 2147483647|done|0000",
	           "shallow-info\nunshallow $c2\n0001\npackfile\npack: b1 c1 t1\n0000\n", "", 0);
	fix_expect(fix, 0, "want $c2" CAPS " shallow|shallow $s1|deepen 2147483647|0000|done",
	           "0000\nNAK\npack: b1 b2<b1 c1 c2 t1 t2 v1 vv\n0000\n", "", 0);
}

static void test_include_tag(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 2, FETCH "want $c2|include-tag|done|0000",
	           "packfile\npack: b1 b2<b1 c1 c2 t1 t2 v1 vv\n0000\n", "", 0);
	fix_set_config(fix, "transfer.hiderefs=refs/tags/vv\n");
	fix_expect(fix, 2, FETCH "want $c2|include-tag|done|0000",
	           "packfile\npack: b1 b2<b1 c1 c2 t1 t2 v1\n0000\n", "", 0);
	/* A visible one brings the whole of its chain. */
	fix_set_config(fix, "transfer.hiderefs=refs/tags/v1\n");
	fix_set_ref(fix, "refs/heads/two", "c2");
	fix_expect(fix, 0, "want $c2" CAPS "|0000|done",
	           "NAK\npack: b1 b2<b1 c1 c2 t1 t2 v1 vv\n0000\n", "", 0);
	fix_set_config(fix, "transfer.hiderefs=refs/tags\nuploadpack.allowanysha1inwant=1\n");
	fix_expect(fix, 2, FETCH "want $c2|include-tag|done|0000",
	           "packfile\npack: b1 b2<b1 c1 c2 t1 t2\n0000\n", "", 0);
}

static void hide_then_move(struct fix *fix)
{
	fix_set_config(fix, "transfer.hiderefs=refs/hide\n");
	fix_set_ref(fix, "refs/hide/u", "u1");
	fix_set_ref(fix, "refs/heads/side", "c4");
}

/* What is hidden before it is pushed stays so in conversations that began before. */
static void test_hidden_meanwhile(void **state)
{
	struct fix *fix = *state;
	struct ph_test_buf first = {0};

	fix_say(fix, &first, LS "ref-prefix refs/heads/s|0000|");
	fix->hook = hide_then_move;
	fix->hook_at = first.len;
	ph_test_buf_release(&first);
	fix_expect(fix, 2,
	           LS "ref-prefix refs/heads/s|0000|" LS
	              "ref-prefix refs/heads/s|ref-prefix refs/hide|0000",
	           "$s1 refs/heads/side\n0000\n$c4 refs/heads/side\n0000\n", "", 0);
	fix_set_config(fix, "");
	fix_set_ref(fix, "refs/hide/u", "");
	fix_set_ref(fix, "refs/heads/side", "s1");
	fix->hook = hide_then_move;
	fix_expect(fix, 2, LS "ref-prefix refs/heads/s|0000|" FETCH "want $u1|done|0000",
	           "$s1 refs/heads/side\n0000\nERR upload-pack: not our ref $u1\n",
	           "fatal: upload-pack: not our ref $u1\n", 128);
}

/* ---- any conversation ---- */

static const char *pick(struct ph_test_rng *rng, const char *const *words, uint32_t count)
{
	return words[ph_test_rng_below(rng, count)];
}

#define PICK(rng, words) pick(rng, words, sizeof(words) / sizeof(*(words)))

static const char *const objects[] = {"c1", "c2", "c3", "c4", "c5", "s1", "s1", "ts", "bs",
                                      "u1", "bu", "v1", "vv", "t3", "b2", "b5", "x1", "x2"};
static const char *const good[] = {"c5", "c1", "v1", "vv"};

static const char *const deepens[] = {"deepen 2",          "deepen 2147483647",
                                      "deepen-since 2400", "deepen-not refs/heads/side",
                                      "deepen-not side",   "deepen-not v1"};
static const char *const filters[] = {"blob:none",
                                      "tree:1",
                                      "object:type=blob",
                                      "blob:limit=1500",
                                      "sparse:oid=$bs",
                                      "sparse:oid=$b2",
                                      "sparse:oid=$ts",
                                      "sparse:oid=$s1:other",
                                      "sparse:oid=side:other",
                                      "sparse:oid=refs/heads/side:file",
                                      "sparse:oid=main:file",
                                      "combine:tree:2+sparse:oid=$u1:file"};

static void say_lines(struct ph_test_rng *rng, struct ph_test_buf *script, const char *word,
                      uint32_t max)
{
	for (uint32_t n = ph_test_rng_below(rng, max + 1); n > 0; n--)
		ph_test_buf_print(script, "%s $%s|", word, PICK(rng, objects));
}

static void say_wants(struct ph_test_rng *rng, struct ph_test_buf *script, const char *caps)
{
	/* Most are good ones, or all conversations would end here. */
	ph_test_buf_print(script, "want $%s%s|", PICK(rng, good), caps);
	if (ph_test_rng_below(rng, 8) == 0)
		say_lines(rng, script, "want", 3);
	if (ph_test_rng_below(rng, 3) == 0)
		say_lines(rng, script, "shallow", 3);
	if (ph_test_rng_below(rng, 3) == 0)
		ph_test_buf_print(script, "%s|", PICK(rng, deepens));
	if (ph_test_rng_below(rng, 8) == 0)
		ph_test_buf_print(script, "deepen-relative|");
	if (ph_test_rng_below(rng, 6) == 0)
		ph_test_buf_print(script, "filter %s|", PICK(rng, filters));
}

static void say_v0(struct ph_test_rng *rng, struct ph_test_buf *script)
{
	static const char *const caps[] = {
	        CAPS " filter", " side-band-64k no-progress filter multi_ack_detailed thin-pack",
	        " side-band-64k no-progress filter multi_ack", " side-band no-progress filter"};

	say_wants(rng, script, PICK(rng, caps));
	ph_test_buf_print(script, "0000|");
	for (uint32_t n = ph_test_rng_below(rng, 3); n > 0; n--) {
		say_lines(rng, script, "have", 4);
		ph_test_buf_print(script, "0000|");
	}
	say_lines(rng, script, "have", 2);
	ph_test_buf_print(script, "done");
}

static void say_v2(struct ph_test_rng *rng, struct ph_test_buf *script)
{
	for (uint32_t n = ph_test_rng_below(rng, 3); n < 3; n++) {
		if (ph_test_rng_below(rng, 4) == 0)
			ph_test_buf_print(script, LS "symrefs|peel|unborn|0000|");
		ph_test_buf_print(script, FETCH "%s",
		                  ph_test_rng_below(rng, 2) ? "thin-pack|include-tag|" : "");
		say_wants(rng, script, "");
		say_lines(rng, script, "have", 4);
		ph_test_buf_print(script, "%s0000|", ph_test_rng_below(rng, 2) ? "done|" : "");
	}
}

/* Byte for byte what a repository says that never had it. */
static void test_as_if_never(void **state)
{
	struct fix *fix = *state, less;
	struct ph_test_rng rng;
	unsigned good_ends = 0;

	fix_init_less(&less, PH_HASH_SHA1);
	fix_set_config(fix, HIDE_SIDE);
	fix_set_config(&less, HIDE_SIDE);
	ph_test_rng_init(&rng, 20);
	for (unsigned i = 0; i < 3000; i++) {
		static const struct fix_pace at_once = {SIZE_MAX, SIZE_MAX, 1000000, 0};
		struct ph_test_buf script = {0}, input = {0};
		struct fix_run run, other;
		int version = i % 2 ? 2 : 0;

		if (version)
			say_v2(&rng, &script);
		else
			say_v0(&rng, &script);
		ph_test_buf_append(&script, "", 1);
		fix_say(fix, &input, (const char *)script.data);
		fix_talk(fix, version, &input, &at_once, &run);
		fix_talk(&less, version, &input, &at_once, &other);
		if (run.status != other.status || run.out.len != other.out.len ||
		    memcmp(run.out.data, other.out.data, run.out.len) != 0 ||
		    run.err.len != other.err.len ||
		    (run.err.len && memcmp(run.err.data, other.err.data, run.err.len) != 0))
			fail_msg("another answer to %s", (const char *)script.data);
		good_ends += run.status == 0;
		fix_run_release(&run);
		fix_run_release(&other);
		ph_test_buf_release(&input);
		ph_test_buf_release(&script);
	}
	assert_true(good_ends > 1000);
	fix_release(&less);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_ls_refs, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_head, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_wants, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_allowed, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_haves, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_thin, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_haves_of_wants, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_shallow, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_include_tag, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_hidden_meanwhile, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_as_if_never, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
