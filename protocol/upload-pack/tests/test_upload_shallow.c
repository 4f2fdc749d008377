/* SPDX-License-Identifier: MIT */
/* Shallow histories over both protocols: deepen, shallow lines, unshallow, a shallow repository. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fixture.h"

#include <stdlib.h>

#define BANDED " side-band-64k no-progress ofs-delta"
#define FETCH "command=fetch|object-format=sha1|0001|ofs-delta|no-progress|"

static void test_deepen_v0(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 0, "want $c5" BANDED "|deepen 1|0000|done",
	           "shallow $c5\n0000\nNAK\npack: b5 c5 t5\n0000\n", "", 0);
	/* The order of the lines is free. */
	fix_expect(fix, 0, "deepen 2|want $c5" BANDED "|0000|done",
	           "shallow $c4\n0000\nNAK\npack: b4 b5<b4 c4 c5 t4 t5\n0000\n", "", 0);
	/* A root at this distance is a boundary as well; beyond it there is none. */
	fix_expect(fix, 0, "want $c1" BANDED "|deepen 1|0000|done",
	           "shallow $c1\n0000\nNAK\npack: b1 c1 t1\n0000\n", "", 0);
	fix_expect(fix, 0, "want $c1" BANDED "|deepen 2|0000|done",
	           "0000\nNAK\npack: b1 c1 t1\n0000\n", "", 0);
	fix_expect(fix, 0, "want $v1" BANDED "|deepen 1|0000|done",
	           "shallow $c2\n0000\nNAK\npack: b2 c2 t2 v1\n0000\n", "", 0);
	/* A client can ask for the boundary alone, and leave. */
	fix_expect(fix, 0, "want $c5|deepen 1|0000|0000", "shallow $c5\n0000\nNAK\n",
	           "fatal: the remote end hung up unexpectedly\n", 128);
}

/* The shortest of several paths counts. */
static void test_deepen_two_tips(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 2, FETCH "want $s1|want $c5|deepen 2|done|0000",
	           "shallow-info\nshallow $c1\nshallow $c4\n0001\npackfile\n"
	           "pack: b1 b4 b5<b4 bs c1 c4 c5 s1 t1 t4 t5 ts\n0000\n",
	           "", 0);
}

static void test_deepen_more(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 0, "want $c5" BANDED "|shallow $c5|deepen 3|0000|have $c5|done",
	           "shallow $c3\nunshallow $c5\n0000\nACK $c5\n"
	           "pack: b3 b4<b3 c3 c4 t3 t4\n0000\n",
	           "", 0);
	/* All of it, as `fetch --unshallow` asks. */
	fix_expect(fix, 0, "want $c5" BANDED "|shallow $c4|deepen 2147483647|0000|have $c5|done",
	           "unshallow $c4\n0000\nACK $c5\npack: b1 b2<b1 b3<b2 c1 c2 c3 t1 t2 t3\n0000\n",
	           "", 0);
	fix_expect(fix, 2,
	           FETCH "want $c5|shallow $c4|shallow $x1|deepen 2147483647|have $c5|done|0000",
	           "shallow-info\nunshallow $c4\n0001\npackfile\n"
	           "pack: b1 b2<b1 b3<b2 c1 c2 c3 t1 t2 t3\n0000\n",
	           "", 0);
	/* What it has shallow already is not said again; less depth than it has sends nothing. */
	fix_expect(fix, 2, FETCH "want $c5|shallow $c4|deepen 2|have $c5|done|0000",
	           "shallow-info\n0001\npackfile\npack:\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|shallow $c3|deepen 1|have $c5|done|0000",
	           "shallow-info\nshallow $c5\n0001\npackfile\npack:\n0000\n", "", 0);
	/* Opened blobs may lean on what the client has: c4's is a thin base of nothing here. */
	fix_expect(fix, 2, FETCH "thin-pack|want $c5|shallow $c4|deepen 4|have $c5|done|0000",
	           "shallow-info\nshallow $c2\nunshallow $c4\n0001\npackfile\n"
	           "pack: b2 b3<b2 c2 c3 t2 t3\n0000\n",
	           "", 0);
}

static void test_shallow_lines(void **state)
{
	struct fix *fix = *state;

	/* No deepen, no answer in v0; in v2 the section is there and empty. */
	fix_expect(fix, 0, "want $c5" BANDED "|shallow $c4|0000|have $c4|done",
	           "ACK $c4\npack: b5 c5 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|shallow $c4|have $c4|done|0000",
	           "shallow-info\n0001\npackfile\npack: b5 c5 t5\n0000\n", "", 0);
	/* Unknown ones do not count. */
	fix_expect(fix, 2, FETCH "want $c5|shallow $x1|have $c4|done|0000",
	           "packfile\npack: b5 c5 t5\n0000\n", "", 0);
	/* The client has c4 and not what is behind it, so c1 goes with s1. */
	fix_expect(fix, 2, FETCH "want $s1|shallow $c4|have $c4|done|0000",
	           "shallow-info\n0001\npackfile\npack: b1 bs c1 s1 t1 ts\n0000\n", "", 0);
	/* Sections in the order of the document. */
	fix_expect(fix, 2, FETCH "want $c5|shallow $c4|have $c4|0000",
	           "acknowledgments\nACK $c4\nready\n0001\nshallow-info\n0001\npackfile\n"
	           "pack: b5 c5 t5\n0000\n",
	           "", 0);
	fix_expect(fix, 2, FETCH "want $c5|shallow $b1|done|0000",
	           "ERR invalid shallow object $b1\n", "fatal: invalid shallow object $b1\n", 128);
}

static void test_shallow_repository(void **state)
{
	struct fix *fix = *state;

	fix_set_shallow(fix, "c3");
	fix_expect(fix, 0, "want $c5" BANDED "|0000|done",
	           "NAK\npack: b3 b4<b3 b5<b4 c3 c4 c5 t3 t4 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|done|0000",
	           "shallow-info\nshallow $c3\n0001\npackfile\n"
	           "pack: b3 b4<b3 b5<b4 c3 c4 c5 t3 t4 t5\n0000\n",
	           "", 0);
	fix_expect(fix, 2, FETCH "want $c5|deepen 2|done|0000",
	           "shallow-info\nshallow $c4\n0001\npackfile\npack: b4 b5<b4 c4 c5 t4 t5\n0000\n",
	           "", 0);
	/* Deeper than it is itself. */
	fix_expect(fix, 0, "want $c5" BANDED "|deepen 9|0000|done",
	           "shallow $c3\n0000\nNAK\npack: b3 b4<b3 b5<b4 c3 c4 c5 t3 t4 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|shallow $c4|deepen 2147483647|have $c5|done|0000",
	           "shallow-info\nshallow $c3\nunshallow $c4\n0001\npackfile\n"
	           "pack: b3 c3 t3\n0000\n",
	           "", 0);
	/* A plain fetch leaves the client's boundary where it is. */
	fix_expect(fix, 2, FETCH "want $c5|shallow $c4|have $c4|done|0000",
	           "shallow-info\n0001\npackfile\npack: b5 c5 t5\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c5|shallow $c3|have $c3|done|0000",
	           "shallow-info\n0001\npackfile\npack: b4 b5<b4 c4 c5 t4 t5\n0000\n", "", 0);
}

#define MULTI " multi_ack_detailed side-band-64k no-progress ofs-delta"

/*
 * The search for what is common stops at every boundary that is known by then. A client that says
 * "shallow" has nothing behind that, whatever it has of it otherwise.
 */
static void test_ready(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 0, "want $c5" MULTI "|deepen 1|0000|have $c2|0000|done",
	           "shallow $c5\n0000\nACK $c2 common\nNAK\nACK $c2\npack: b5 c5 t5\n0000\n", "",
	           0);
	fix_expect(fix, 0, "want $c5" MULTI "|deepen 3|0000|have $c4|0000|done",
	           "shallow $c3\n0000\nACK $c4 common\nACK $c4 ready\nNAK\nACK $c4\n"
	           "pack: b5 c5 t5\n0000\n",
	           "", 0);
	fix_expect(fix, 0, "want $c5" MULTI "|shallow $c4|0000|have $c3|0000|done",
	           "ACK $c3 common\nNAK\nACK $c3\npack: b4 b5<b4 c4 c5 t4 t5\n0000\n", "", 0);
	/* Parents of a boundary are not common because it is. */
	fix_expect(fix, 0, "want $v1" MULTI "|shallow $c3|0000|have $c3|0000|done",
	           "ACK $c3 common\nNAK\nACK $c3\npack: b1 b2<b1 c1 c2 t1 t2 v1\n0000\n", "", 0);
	/* Where the boundary opens, what is behind it has to be reached as well. */
	fix_expect(fix, 0, "want $c5" MULTI "|shallow $c4|deepen 4|0000|have $c4|0000|done",
	           "shallow $c2\nunshallow $c4\n0000\nACK $c4 common\nNAK\nACK $c4\n"
	           "pack: b2 b3<b2 b5 c2 c3 c5 t2 t3 t5\n0000\n",
	           "", 0);
	/* In version 2 the client's boundary comes later. */
	fix_expect(fix, 2, FETCH "want $c5|shallow $c4|have $c3|0000",
	           "acknowledgments\nACK $c3\nready\n0001\nshallow-info\n0001\npackfile\n"
	           "pack: b4 b5<b4 c4 c5 t4 t5\n0000\n",
	           "", 0);
	fix_set_shallow(fix, "c4");
	fix_expect(fix, 2, FETCH "want $c5|have $c3|0000", "acknowledgments\nACK $c3\n0000\n", "",
	           0);
	fix_expect(fix, 0, "want $c5" MULTI "|0000|have $c3|0000|done",
	           "ACK $c3 common\nNAK\nACK $c3\npack: b4 b5<b4 c4 c5 t4 t5\n0000\n", "", 0);
}

/* A boundary that no ref reaches opens nothing: what lies behind it is not shown to anybody. */
static void test_hidden_boundary(void **state)
{
	struct fix *fix = *state;

	fix_set_ref(fix, "refs/heads/main", "c2");
	fix_expect(fix, 0, "want $c2" BANDED "|shallow $c5|deepen 2147483647|0000|done",
	           "0000\nNAK\npack: b1 b2<b1 c1 c2 t1 t2\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "want $c2|shallow $c5|deepen 2147483647|done|0000",
	           "shallow-info\n0001\npackfile\npack: b1 b2<b1 c1 c2 t1 t2\n0000\n", "", 0);
	/* One on a branch that is not asked for opens all the same. */
	fix_expect(fix, 2, FETCH "want $s1|shallow $c2|deepen 2147483647|have $c2|done|0000",
	           "shallow-info\nunshallow $c2\n0001\npackfile\n"
	           "pack: b1 bs c1 s1 t1 ts\n0000\n",
	           "", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_deepen_v0, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_deepen_two_tips, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_deepen_more, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_ready, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_shallow_lines, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_shallow_repository, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_hidden_boundary, fix_setup, fix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
