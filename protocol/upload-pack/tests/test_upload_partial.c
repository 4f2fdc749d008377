/* SPDX-License-Identifier: MIT */
/* Partial clones, and boundaries that are not counted from the wants, over both protocols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BANDED " side-band-64k no-progress ofs-delta"
#define FETCH "command=fetch|object-format=sha1|0001|ofs-delta|no-progress|"

static void test_kinds(void **state)
{
	static const struct {
		const char *spec, *pack;
	} rows[] = {
	        {"blob:none", "c4 c5 t4 t5"},
	        {"blob:limit=1k", "c4 c5 t4 t5"},
	        {"blob:limit=1m", "b4 b5<b4 c4 c5 t4 t5"},
	        {"tree:0", "c4 c5"},
	        {"tree:1", "c4 c5 t4 t5"},
	        {"tree:2", "b4 b5<b4 c4 c5 t4 t5"},
	        {"object:type=commit", "c4 c5"},
	        {"object:type=tree", "c5 t4 t5"},
	        {"object:type=blob", "b4 b5<b4 c5"},
	        {"object:type=tag", "c5"},
	        {"combine:tree:1+blob:none", "c4 c5 t4 t5"},
	        {"combine:object:type=tree+tree:0", "c5"},
	        /* Its lines are no names of files here. */
	        {"sparse:oid=main:file", "c4 c5 t4 t5"},
	        {"combine:sparse:oid=main:file+tree:0", "c4 c5"},
	};
	struct fix *fix = *state;

	fix_set_shallow(fix, "c4");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ph_test_buf script = {0}, answer = {0};

		ph_test_buf_print(&script, FETCH "filter %s|want $c5|done|0000", rows[i].spec);
		ph_test_buf_append(&script, "", 1);
		ph_test_buf_print(&answer,
		                  "shallow-info\nshallow $c4\n0001\npackfile\npack: %s\n0000\n",
		                  rows[i].pack);
		ph_test_buf_append(&answer, "", 1);
		fix_expect(fix, 2, (const char *)script.data, (const char *)answer.data, "", 0);
		ph_test_buf_release(&script);
		ph_test_buf_release(&answer);
	}
	fix_expect(fix, 0, "want $c5" BANDED " filter|filter tree:1|0000|done",
	           "NAK\npack: c4 c5 t4 t5\n0000\n", "", 0);
}

/* What is named goes whatever the filter says, and so does what a named tag names. */
static void test_named(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 2, FETCH "filter tree:0|want $v1|want $t3|want $b1|done|0000",
	           "packfile\npack: b1 c1 c2 t3 v1\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "filter object:type=blob|want $v1|done|0000",
	           "packfile\npack: b1 b2<b1 c2 v1\n0000\n", "", 0);
}

static void test_sparse_names(void **state)
{
	static const struct {
		const char *name, *error; /* NULL when it is taken */
	} rows[] = {
	        {"main:file", NULL},
	        {"refs/heads/main:file", NULL},
	        {"heads/side:other", NULL},
	        {"HEAD:file", NULL},
	        {"vv:file", NULL},
	        {"$b1", NULL},
	        {"$c2:file", NULL},
	        {"$t2:file", NULL},
	        {"", "unable to access sparse blob in ''"},
	        {"nosuch", "unable to access sparse blob in 'nosuch'"},
	        {"main:nosuch", "unable to access sparse blob in 'main:nosuch'"},
	        {"main:file/x", "unable to access sparse blob in 'main:file/x'"},
	        {"main:/file", "unable to access sparse blob in 'main:/file'"},
	        {"main", "unable to parse sparse filter data in $c5"},
	        {"main:", "unable to parse sparse filter data in $t5"},
	        {"$x1", "unable to access sparse blob in '$x1'"},
	        /* There, but of no ref's history: nobody learns what is in it. */
	        {"$bu", "unable to access sparse blob in '$bu'"},
	};
	struct fix *fix = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ph_test_buf script = {0}, said = {0}, answer = {0}, err = {0};

		ph_test_buf_print(&said, "%s", rows[i].name);
		if (rows[i].name[0] == '$') {
			char name[3] = {rows[i].name[1], rows[i].name[2], 0};

			ph_test_buf_clear(&said);
			ph_test_buf_print(&said, "%s%s", fix_hex(fix, name), rows[i].name + 3);
		}
		ph_test_buf_append(&said, "", 1);
		ph_test_buf_print(&script, FETCH "filter sparse:oid=%s|want $c1|done|0000",
		                  (const char *)said.data);
		ph_test_buf_append(&script, "", 1);
		if (rows[i].error) {
			ph_test_buf_print(&answer, "ERR %s\n", rows[i].error);
			ph_test_buf_print(&err, "fatal: %s\n", rows[i].error);
		} else {
			ph_test_buf_print(&answer, "packfile\npack: c1 t1\n0000\n");
		}
		ph_test_buf_append(&answer, "", 1);
		ph_test_buf_append(&err, "", 1);
		fix_expect(fix, 2, (const char *)script.data, (const char *)answer.data,
		           (const char *)err.data, rows[i].error ? 128 : 0);
		ph_test_buf_release(&script);
		ph_test_buf_release(&said);
		ph_test_buf_release(&answer);
		ph_test_buf_release(&err);
	}
}

/* A hidden ref is no name, and what only it reaches no pattern file. */
static void test_sparse_hidden(void **state)
{
	struct fix *fix = *state;
	char script[256];

	fix_set_config(fix, "transfer.hiderefs=refs/heads/side\n");
	fix_expect(fix, 2, FETCH "filter sparse:oid=side:other|want $c1|done|0000",
	           "ERR unable to access sparse blob in 'side:other'\n",
	           "fatal: unable to access sparse blob in 'side:other'\n", 128);
	snprintf(script, sizeof(script), FETCH "filter sparse:oid=%s|want $c1|done|0000",
	         fix_hex(fix, "b5"));
	fix_expect(fix, 2, script, "packfile\npack: c1 t1\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|deepen-not side|done|0000",
	           "ERR git upload-pack: deepen-not is not a ref: deepen-not side\n",
	           "fatal: git upload-pack: deepen-not is not a ref: deepen-not side\n", 128);
}

static void test_denied(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, "uploadpackfilter.allow=false\n"
	                    "uploadpackfilter.blob:none.allow=true\n"
	                    "uploadpackfilter.combine.allow=true\n"
	                    "uploadpackfilter.tree.allow=true\nuploadpackfilter.tree.maxdepth=2\n");
	fix_expect(fix, 2, FETCH "filter combine:blob:none+tree:2|want $c1|done|0000",
	           "packfile\npack: c1 t1\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "filter combine:blob:none+tree:3|want $c1|done|0000",
	           "ERR tree filter allows max depth 2, but got 3\n",
	           "fatal: tree filter allows max depth 2, but got 3\n", 128);
	fix_expect(fix, 2, FETCH "filter combine:blob:none+blob:limit=3|want $c1|done|0000",
	           "ERR filter 'blob:limit' not supported\n",
	           "fatal: filter 'blob:limit' not supported\n", 128);
}

/* Thin packs have no bases that the filter may have kept from the client. */
static void test_no_thin_deltas(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 2, FETCH "thin-pack|filter blob:limit=1m|want $c5|have $c4|done|0000",
	           "packfile\npack: b5 c5 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "thin-pack|want $c5|have $c4|done|0000",
	           "packfile\npack: b5<<b4 c5 t5\n0000\n", "", 0);
}

/* ---- boundaries ---- */

static void test_since(void **state)
{
	struct fix *fix = *state;

	/* c<n> is of the time 1000 * n. */
	fix_expect(fix, 0, "want $c5" BANDED "|deepen-since 4000|0000|done",
	           "shallow $c4\n0000\nNAK\npack: b4 b5<b4 c4 c5 t4 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|deepen-since 4001|done|0000",
	           "shallow-info\nshallow $c5\n0001\npackfile\npack: b5 c5 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|deepen-since 0|done|0000",
	           "shallow-info\n0001\npackfile\npack: b1 b2<b1 b3<b2 b4<b3 b5<b4 c1 c2 c3 c4 c5 "
	           "t1 t2 t3 t4 t5\n0000\n",
	           "", 0);
	fix_expect(fix, 0, "want $c5" BANDED "|deepen-since 9999|0000|done",
	           "ERR no commits selected for shallow requests\n",
	           "fatal: no commits selected for shallow requests\n", 128);
	fix_expect(fix, 2, FETCH "want $c5|deepen-since 9999|done|0000",
	           "shallow-info\nERR no commits selected for shallow requests\n",
	           "fatal: no commits selected for shallow requests\n", 128);
	/* What is known already is not said again, and what comes within reach opens. */
	fix_expect(fix, 2, FETCH "want $c5|shallow $c4|deepen-since 3000|have $c5|done|0000",
	           "shallow-info\nshallow $c3\nunshallow $c4\n0001\npackfile\npack: b3 c3 t3\n"
	           "0000\n",
	           "", 0);
	fix_expect(fix, 2, FETCH "want $c5|shallow $c4|deepen-since 4000|have $c5|done|0000",
	           "shallow-info\n0001\npackfile\npack:\n0000\n", "", 0);
}

static void test_not(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 0, "want $c5" BANDED "|deepen-not refs/tags/v1|0000|done",
	           "shallow $c3\n0000\nNAK\npack: b3 b4<b3 b5<b4 c3 c4 c5 t3 t4 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|want $s1|deepen-not light|deepen-not v1|done|0000",
	           "shallow-info\nshallow $s1\nshallow $c3\n0001\npackfile\n"
	           "pack: b1 b3 b4<b3 b5<b4 bs c3 c4 c5 s1 t3 t4 t5 ts\n0000\n",
	           "", 0);
	fix_expect(fix, 2, FETCH "want $c5|deepen-not light|deepen-since 4000|done|0000",
	           "shallow-info\nshallow $c4\n0001\npackfile\npack: b4 b5<b4 c4 c5 t4 t5\n0000\n",
	           "", 0);
	fix_expect(fix, 2, FETCH "want $c5|deepen-not main|done|0000",
	           "shallow-info\nERR no commits selected for shallow requests\n",
	           "fatal: no commits selected for shallow requests\n", 128);
	fix_set_ref(fix, "refs/heads/v1", "c1");
	fix_expect(fix, 2, FETCH "want $c5|deepen-not v1|done|0000",
	           "ERR git upload-pack: ambiguous deepen-not: deepen-not v1\n",
	           "fatal: git upload-pack: ambiguous deepen-not: deepen-not v1\n", 128);
}

static void test_relative(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 0,
	           "want $c5" BANDED " deepen-relative|shallow $c4|deepen 1|0000|have $c5|done",
	           "shallow $c3\nunshallow $c4\n0000\nACK $c5\npack: b3 c3 t3\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|shallow $c4|deepen 2|deepen-relative|have $c5|done|0000",
	           "shallow-info\nshallow $c2\nunshallow $c4\n0001\npackfile\n"
	           "pack: b2 b3<b2 c2 c3 t2 t3\n0000\n",
	           "", 0);
	/* Further than there is. */
	fix_expect(fix, 2, FETCH "want $c5|shallow $c4|deepen 9|deepen-relative|have $c5|done|0000",
	           "shallow-info\nunshallow $c4\n0001\npackfile\n"
	           "pack: b1 b2<b1 b3<b2 c1 c2 c3 t1 t2 t3\n0000\n",
	           "", 0);
	/* No boundary of the client's is met: nothing changes. */
	fix_expect(fix, 2, FETCH "want $c5|shallow $s1|deepen 1|deepen-relative|have $c4|done|0000",
	           "shallow-info\n0001\npackfile\npack: b5 c5 t5\n0000\n", "", 0);
}

/* A repository that is shallow itself has its own boundary in every answer. */
static void test_own_boundary(void **state)
{
	struct fix *fix = *state;

	fix_set_shallow(fix, "c3");
	fix_expect(fix, 2, FETCH "want $c5|deepen-since 1|done|0000",
	           "shallow-info\nshallow $c3\n0001\npackfile\n"
	           "pack: b3 b4<b3 b5<b4 c3 c4 c5 t3 t4 t5\n0000\n",
	           "", 0);
	fix_expect(fix, 2, FETCH "want $c5|shallow $c4|deepen 5|deepen-relative|have $c5|done|0000",
	           "shallow-info\nshallow $c3\nunshallow $c4\n0001\npackfile\npack: b3 c3 t3\n"
	           "0000\n",
	           "", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_kinds, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_named, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_sparse_names, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_sparse_hidden, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_denied, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_no_thin_deltas, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_since, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_not, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_relative, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_own_boundary, fix_setup, fix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
