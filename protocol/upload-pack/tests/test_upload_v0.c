/* SPDX-License-Identifier: MIT */
/* upload-pack over protocols 0 and 1: every answer at several paces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#define CAPS                                                                                       \
	"multi_ack thin-pack side-band side-band-64k ofs-delta shallow deepen-since deepen-not "   \
	"deepen-relative no-progress include-tag multi_ack_detailed"
#define TAIL "filter object-format=sha1 agent=packhorse/test"
#define BANDED " side-band-64k no-progress ofs-delta"
#define HUNG_UP "fatal: the remote end hung up unexpectedly\n"

#define REFS                                                                                       \
	"$c5 refs/heads/main\n"                                                                    \
	"$s1 refs/heads/side\n"                                                                    \
	"$c1 refs/tags/light\n"                                                                    \
	"$v1 refs/tags/v1\n"                                                                       \
	"$c2 refs/tags/v1^{}\n"                                                                    \
	"$vv refs/tags/vv\n"                                                                       \
	"$c2 refs/tags/vv^{}\n"

static void test_advertisement(void **state)
{
	struct fix *fix = *state;

	/* A flush, and the end of input instead of it, both end it well. */
	fix_expect_all(fix, 0, "0000",
	               "$c5 HEAD\\0" CAPS " symref=HEAD:refs/heads/main " TAIL "\n" REFS "0000\n",
	               "", 0);
	fix_expect_all(fix, 1, "",
	               "version 1\n$c5 HEAD\\0" CAPS " symref=HEAD:refs/heads/main " TAIL "\n" REFS
	               "0000\n",
	               "", 0);
}

static void test_advertisement_heads(void **state)
{
	struct fix *fix = *state;

	/* An unborn HEAD is not there; then the first ref carries the capabilities. */
	fix_set_symref(fix, "HEAD", "refs/heads/none");
	fix_expect_all(fix, 0, "",
	               "$c5 refs/heads/main\\0" CAPS " " TAIL "\n"
	               "$s1 refs/heads/side\n"
	               "$c1 refs/tags/light\n"
	               "$v1 refs/tags/v1\n"
	               "$c2 refs/tags/v1^{}\n"
	               "$vv refs/tags/vv\n"
	               "$c2 refs/tags/vv^{}\n"
	               "0000\n",
	               "", 0);
	/* A symref among refs shows what it names, and not at all when that is nothing. */
	fix_set_symref(fix, "refs/heads/alias", "refs/tags/v1");
	fix_set_symref(fix, "refs/heads/broken", "refs/heads/none");
	fix_set_symref(fix, "HEAD", "refs/heads/alias");
	fix_set_shallow(fix, "c2");
	fix_expect_all(fix, 0, "",
	               "$v1 HEAD\\0" CAPS " symref=HEAD:refs/tags/v1 " TAIL "\n"
	               "$c2 HEAD^{}\n"
	               "$v1 refs/heads/alias\n"
	               "$c2 refs/heads/alias^{}\n" REFS "shallow $c2\n0000\n",
	               "", 0);
}

static void test_advertisement_empty(void **state)
{
	struct fix *fix = *state;

	fix_add_empty(fix, "empty");
	fix->repo = "empty";
	fix_expect_all(fix, 0, "0000",
	               "0000000000000000000000000000000000000000 capabilities^{}\\0" CAPS " " TAIL
	               "\n0000\n",
	               "", 0);
	fix_expect_all(fix, 1, "",
	               "version 1\n0000000000000000000000000000000000000000 "
	               "capabilities^{}\\0" CAPS " " TAIL "\n0000\n",
	               "", 0);
}

static void test_no_repository(void **state)
{
	struct fix *fix = *state;

	fix->repo = "none";
	for (int version = 0; version <= 2; version++)
		fix_expect_all(fix, version, "0000", "ERR repository 'none' not found\n",
		               "fatal: repository 'none' not found\n", 128);
	/* Who may not read cannot tell the difference. */
	fix->repo = "r";
	fix->permission = PH_PERM_NONE;
	fix_expect_all(fix, 0, "0000", "ERR repository 'r' not found\n",
	               "fatal: repository 'r' not found\n", 128);
}

static void test_clone(void **state)
{
	struct fix *fix = *state;

	fix_set_ref(fix, "refs/heads/two", "c2");
	fix_expect(fix, 0, "want $c2" BANDED "|want $c2|0000|done",
	           "NAK\npack: b1 b2<b1 c1 c2 t1 t2\n0000\n", "", 0);
	/* One large and one small side-band; no OFS_DELTA for who does not take it. */
	fix_expect(fix, 0, "want $c2 side-band no-progress|0000|done",
	           "NAK\npack: b1 b2<<b1 c1 c2 t1 t2\n0000\n", "", 0);
	/* Without a side-band the pack is the rest. Unknown capabilities do not matter. */
	fix_expect(fix, 1, "want $c1 frobnicate agent=x|0000|done", "NAK\npack: b1 c1 t1\n", "", 0);
	fix_expect(fix, 0, "want $c1 side-band side-band-64k|0000|done",
	           "NAK\n"
	           "2:Enumerating objects: 3, done.\n"
	           "2:Total 3 (delta 0), reused 3 (delta 0), pack-reused 0\n"
	           "pack: b1 c1 t1\n"
	           "0000\n",
	           "", 0);
}

static void test_wants(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 0, "want $v1" BANDED "|0000|done",
	           "NAK\npack: b1 b2<b1 c1 c2 t1 t2 v1\n0000\n", "", 0);
	/* Ancestors, peeled tags, objects under no ref, strangers. */
	fix_expect(fix, 0, "want $c5|want $c4|0000|done", "ERR upload-pack: not our ref $c4\n",
	           "fatal: upload-pack: not our ref $c4\n", 128);
	fix_expect(fix, 0, "want $c2|0000", "ERR upload-pack: not our ref $c2\n",
	           "fatal: upload-pack: not our ref $c2\n", 128);
	fix_expect(fix, 0, "want $u1|0000", "ERR upload-pack: not our ref $u1\n",
	           "fatal: upload-pack: not our ref $u1\n", 128);
	fix_expect(fix, 0, "want $x1|0000", "ERR upload-pack: not our ref $x1\n",
	           "fatal: upload-pack: not our ref $x1\n", 128);
}

static void move_main(struct fix *fix)
{
	fix_set_ref(fix, "refs/heads/main", "u1");
	fix_set_ref(fix, "refs/heads/two", "c2");
}

/* What was advertised stays good although a push moved it; what is there now is good as well. */
static void test_push_meanwhile(void **state)
{
	struct fix *fix = *state;

	fix->hook = move_main;
	fix_expect(fix, 0, "want $c5" BANDED "|0000|have $c4|done",
	           "ACK $c4\npack: b5 c5 t5\n0000\n", "", 0);
	fix_set_ref(fix, "refs/heads/main", "c5");
	fix_set_ref(fix, "refs/heads/two", "");
	fix_expect(fix, 0, "want $c5" BANDED "|want $c2|want $u1|0000|have $c4|done",
	           "ACK $c4\npack: b5 c5 t5 u1\n0000\n", "", 0);
	fix_set_ref(fix, "refs/heads/main", "c5");
	fix_expect(fix, 0, "want $c5" BANDED "|want $c3|0000|done",
	           "ERR upload-pack: not our ref $c3\n", "fatal: upload-pack: not our ref $c3\n",
	           128);
}

static void test_multi_ack_off(void **state)
{
	struct fix *fix = *state;

	/* The first common one is acknowledged, then silence, at flushes and at the end. */
	fix_expect(fix, 0, "want $c5" BANDED "|0000|have $c2|have $c1|0000|0000|done",
	           "ACK $c2\npack: b3 b4<b3 b5<b4 c3 c4 c5 t3 t4 t5\n0000\n", "", 0);
	fix_expect(fix, 0, "want $c5" BANDED "|0000|have $x1|0000|have $c4|0000|done",
	           "NAK\nACK $c4\npack: b5 c5 t5\n0000\n", "", 0);
	fix_expect(fix, 0, "want $c1" BANDED "|0000|have $x1|0000|have $x2|done",
	           "NAK\nNAK\npack: b1 c1 t1\n0000\n", "", 0);
}

#define CONTINUE " multi_ack side-band-64k no-progress ofs-delta"

static void test_multi_ack(void **state)
{
	struct fix *fix = *state;

	/* Each common one is to go on with; NAK at every flush; the last common one at the end. */
	fix_expect(fix, 0, "want $c5" CONTINUE "|0000|have $x1|have $c3|have $c2|0000|0000|done",
	           "ACK $c3 continue\nACK $c2 continue\nNAK\nNAK\nACK $c2\n"
	           "pack: b4 b5<b4 c4 c5 t4 t5\n0000\n",
	           "", 0);
	/* Once the server could cut, what it does not know is acknowledged too, to end the search.
	 * Nothing is ever "ready" here. */
	fix_expect(fix, 0, "want $c5" CONTINUE "|0000|have $c4|0000|have $x1|0000|have $x2|done",
	           "ACK $c4 continue\nNAK\nACK $x1 continue\nNAK\nACK $x2 continue\nACK $c4\n"
	           "pack: b5 c5 t5\n0000\n",
	           "", 0);
	fix_expect(fix, 0, "want $c5" CONTINUE "|want $s1|0000|have $c3|have $x1|0000|done",
	           "ACK $c3 continue\nNAK\nACK $c3\n"
	           "pack: b4 b5<b4 bs c4 c5 s1 t4 t5 ts\n0000\n",
	           "", 0);
	fix_expect(fix, 0, "want $c1" CONTINUE "|0000|have $x1|0000|done",
	           "NAK\nNAK\npack: b1 c1 t1\n0000\n", "", 0);
	/* Who says both means the detailed one. */
	fix_expect(fix, 0, "want $c5 multi_ack_detailed" CONTINUE "|0000|have $c4|0000|done",
	           "ACK $c4 common\nACK $c4 ready\nNAK\nACK $c4\npack: b5 c5 t5\n0000\n", "", 0);
}

#define MULTI " multi_ack_detailed side-band-64k no-progress ofs-delta"

static void test_multi_ack_detailed(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 0, "want $c5" MULTI "|0000|have $c4|0000|done",
	           "ACK $c4 common\nACK $c4 ready\nNAK\nACK $c4\npack: b5 c5 t5\n0000\n", "", 0);
	/* Something unknown in the same batch: not ready at the flush, but at the next unknown. */
	fix_expect(fix, 0, "want $c5" MULTI "|0000|have $x1|have $c4|0000|have $x2|0000|done",
	           "ACK $c4 common\nNAK\nACK $x2 ready\nNAK\nACK $c4\npack: b5 c5 t5\n0000\n", "",
	           0);
	/* s1 reaches neither c3 nor its parent, so the server cannot cut until c1 is common. */
	fix_expect(fix, 0,
	           "want $c5" MULTI "|want $s1|0000|have $c3|have $x1|0000|have $c1|0000|done",
	           "ACK $c3 common\nNAK\nACK $c1 common\nACK $c1 ready\nNAK\nACK $c1\n"
	           "pack: b4 b5<b4 bs c4 c5 s1 t4 t5 ts\n0000\n",
	           "", 0);
	/* Nothing common at all; and repeats are acknowledged again. */
	fix_expect(fix, 0, "want $c1" MULTI "|0000|have $x1|0000|have $x2|0000|done",
	           "NAK\nNAK\nNAK\npack: b1 c1 t1\n0000\n", "", 0);
	fix_expect(fix, 0, "want $c5" MULTI "|0000|have $b4|have $b4|done",
	           "ACK $b4 common\nACK $b4 common\nACK $b4\n"
	           "pack: b1 b2<b1 b3<b2 b5 c1 c2 c3 c4 c5 t1 t2 t3 t4 t5\n0000\n",
	           "", 0);
}

/* It is not offered to clients that have a connection; who says it nevertheless means it. */
static void test_no_done(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 0, "want $c5" MULTI " no-done|0000|have $c4|0000",
	           "ACK $c4 common\nACK $c4 ready\nNAK\nACK $c4\npack: b5 c5 t5\n0000\n", "", 0);
	/* Ready by an unknown have: the pack comes behind the next flush. */
	fix_expect(fix, 0, "want $c5" MULTI " no-done|0000|have $c4|have $x1|0000",
	           "ACK $c4 common\nACK $x1 ready\nNAK\nACK $c4\npack: b5 c5 t5\n0000\n", "", 0);
	/* Not ready: as if it had not been said. */
	fix_expect(
	        fix, 0, "want $c5" MULTI " no-done|0000|have $x1|0000|done",
	        "NAK\nNAK\npack: b1 b2<b1 b3<b2 b4<b3 b5<b4 c1 c2 c3 c4 c5 t1 t2 t3 t4 t5\n0000\n",
	        "", 0);
	fix_expect(fix, 0, "want $c5" CONTINUE " no-done|0000|have $c4|0000|done",
	           "ACK $c4 continue\nNAK\nACK $c4\npack: b5 c5 t5\n0000\n", "", 0);
}

static void test_configured(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix,
	               "uploadpack.allowtipsha1inwant=true\nuploadpack.allowfilter=false\n"
	               "uploadpack.allowreachablesha1inwant=true\ntransfer.advertisesid=true\n");
	fix_expect_all(fix, 0, "0000",
	               "$c5 HEAD\\0" CAPS " allow-tip-sha1-in-want allow-reachable-sha1-in-want"
	               " symref=HEAD:refs/heads/main session-id=000102030405060708090a0b0c0d0e0f "
	               "object-format=sha1 agent=packhorse/test\n" REFS "0000\n",
	               "", 0);
	/* A capability that is not offered is not negotiated by asking for it. */
	fix_expect(fix, 0, "want $c5 filter|filter blob:none|0000",
	           "ERR git upload-pack: filtering capability not negotiated\n",
	           "fatal: git upload-pack: filtering capability not negotiated\n", 128);
}

static void test_reachable_wants(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, "uploadpack.allowreachablesha1inwant=true\n");
	fix_expect(fix, 0, "want $c2" BANDED "|0000|have $c1|done",
	           "ACK $c1\npack: b2 c2 t2\n0000\n", "", 0);
	fix_expect(fix, 0, "want $c5" BANDED "|want $u1|0000|done",
	           "ERR upload-pack: not our ref $u1\n", "fatal: upload-pack: not our ref $u1\n",
	           128);
	/* Any object at all: what no ref reaches, but not what does not exist. */
	fix_set_config(fix, "uploadpack.allowanysha1inwant=true\n");
	fix_expect(fix, 0, "want $u1" BANDED "|want $bu|0000|have $c1|done",
	           "ACK $c1\npack: bu u1\n0000\n", "", 0);
	fix_expect(fix, 2, "command=fetch|0001|no-progress|want $bu|done|0000",
	           "packfile\npack: bu\n0000\n", "", 0);
	fix_expect(fix, 0, "want $x1|0000", "ERR upload-pack: not our ref $x1\n",
	           "fatal: upload-pack: not our ref $x1\n", 128);
}

static void test_thin_pack(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 0, "want $c5" BANDED " thin-pack|0000|have $c4|done",
	           "ACK $c4\npack: b5<<b4 c5 t5\n0000\n", "", 0);
	fix_expect(fix, 0, "want $c5" BANDED " thin-pack|0000|have $c2|done",
	           "ACK $c2\npack: b3<<b2 b4<b3 b5<b4 c3 c4 c5 t3 t4 t5\n0000\n", "", 0);
	/* Never against what lies behind the client's boundary. */
	fix_expect(fix, 0, "want $c5" BANDED " thin-pack|shallow $s1|0000|have $s1|done",
	           "ACK $s1\npack: b2<<b1 b3<b2 b4<b3 b5<b4 c1 c2 c3 c4 c5 t1 t2 t3 t4 t5\n0000\n",
	           "", 0);
}

static void test_include_tag(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 0, "want $c5" BANDED " include-tag|0000|have $c1|done",
	           "ACK $c1\npack: b2 b3<b2 b4<b3 b5<b4 c2 c3 c4 c5 t2 t3 t4 t5 v1 vv\n0000\n", "",
	           0);
	/* The tags' commit is not in the pack: it is had, or not reached. */
	fix_expect(fix, 0, "want $c5" BANDED " include-tag|0000|have $c2|done",
	           "ACK $c2\npack: b3 b4<b3 b5<b4 c3 c4 c5 t3 t4 t5\n0000\n", "", 0);
	fix_expect(fix, 0, "want $c1" BANDED " include-tag|0000|done",
	           "NAK\npack: b1 c1 t1\n0000\n", "", 0);
	/* Only what is under refs/tags/ counts. */
	fix_set_ref(fix, "refs/tags/v1", "");
	fix_set_ref(fix, "refs/tags/vv", "");
	fix_expect(fix, 0, "want $c5" BANDED " include-tag|0000|have $c1|done",
	           "ACK $c1\npack: b2 b3<b2 b4<b3 b5<b4 c2 c3 c4 c5 t2 t3 t4 t5\n0000\n", "", 0);
}

static void test_filter(void **state)
{
	struct fix *fix = *state;

	fix_expect(fix, 0, "want $c5" BANDED " filter|filter blob:none|0000|done",
	           "NAK\npack: c1 c2 c3 c4 c5 t1 t2 t3 t4 t5\n0000\n", "", 0);
	/* What is wanted by id goes, filter or not. */
	fix_set_ref(fix, "refs/blobs/x", "bu");
	fix_expect(fix, 0, "want $bu" BANDED " filter|filter blob:none|0000|done",
	           "NAK\npack: bu\n0000\n", "", 0);
	fix_expect(fix, 0, "want $c5" BANDED "|filter blob:none|0000|done",
	           "ERR git upload-pack: filtering capability not negotiated\n",
	           "fatal: git upload-pack: filtering capability not negotiated\n", 128);
	fix_expect(fix, 0, "want $c5 filter|filter blob:none|filter blob:none|0000|done",
	           "ERR multiple filter-specs cannot be combined\n",
	           "fatal: multiple filter-specs cannot be combined\n", 128);
	fix_expect(fix, 0, "want $c5 filter|filter tree|0000|done",
	           "ERR invalid filter-spec 'tree'\n", "fatal: invalid filter-spec 'tree'\n", 128);
}

static void test_bad_requests(void **state)
{
	static const struct {
		const char *script, *answer, *err;
	} rows[] = {
	        {"want $c5x|0000", "", NULL},
	        {"want|0000", "", NULL},
	        {"frob|0000", "", NULL},
	        {"have $c5|0000", "", NULL},
	        {"want $c5|deepen 0|0000", "", "fatal: Invalid deepen: deepen 0\n"},
	        {"want $c5|deepen +1|0000", "", "fatal: Invalid deepen: deepen +1\n"},
	        {"want $c5|deepen 1x|0000", "", "fatal: Invalid deepen: deepen 1x\n"},
	        {"want $c5|deepen 2147483648|0000", "",
	         "fatal: Invalid deepen: deepen 2147483648\n"},
	        {"want $c5|deepen-since -1|0000", "",
	         "fatal: Invalid deepen-since: deepen-since -1\n"},
	        {"want $c5|deepen-since 10000000000000000000|0000", "",
	         "fatal: Invalid deepen-since: deepen-since 10000000000000000000\n"},
	        {"want $c5|deepen-not x|0000",
	         "ERR git upload-pack: deepen-not is not a ref: deepen-not x\n",
	         "fatal: git upload-pack: deepen-not is not a ref: deepen-not x\n"},
	        {"want $c5|deepen-not side|deepen 1|0000", "",
	         "fatal: git upload-pack: deepen and deepen-since (or deepen-not) cannot be used "
	         "together\n"},
	        {"want $c5|shallow x|0000", "", "fatal: invalid shallow line: shallow x\n"},
	        {"want $c5|shallow $b1|0000", "ERR invalid shallow object $b1\n",
	         "fatal: invalid shallow object $b1\n"},
	        {"ERR oh \x1b no", "", "fatal: remote error: oh ? no\n"},
	        {"want $c5|0001", "", "fatal: git upload-pack: protocol error, expected a flush\n"},
	        {"0002", "", "fatal: git upload-pack: protocol error, expected a flush\n"},
	        {"want $c5 object-format=sha256|0000",
	         "ERR mismatched object format: server sha1; client sha256\n",
	         "fatal: mismatched object format: server sha1; client sha256\n"},
	        {"want $c5 object-format=md5|0000", "ERR unknown object format 'md5'\n",
	         "fatal: unknown object format 'md5'\n"},
	        {"want $c5", "", HUNG_UP},
	        {"want $c5|0000", "", HUNG_UP},
	        {"want $c5|0000|have $x1|0000", "NAK\n", HUNG_UP},
	        {"want $c5|0000|have x|done", "",
	         "fatal: git upload-pack: expected SHA1 object, got 'x'\n"},
	        {"want $c5|0000|frob|done", "",
	         "fatal: git upload-pack: expected SHA1 list, got 'frob'\n"},
	};
	struct fix *fix = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *err = rows[i].err;
		struct ph_test_buf text = {0};

		if (!err) {
			ph_test_buf_print(&text,
			                  "fatal: git upload-pack: protocol error, expected to get "
			                  "object ID, not '%.*s'\n",
			                  (int)strcspn(rows[i].script, "|"), rows[i].script);
			ph_test_buf_append(&text, "", 1);
			err = (const char *)text.data;
		}
		fix_expect(fix, 0, rows[i].script, rows[i].answer, err, 128);
		ph_test_buf_release(&text);
	}
}

static void test_limits(void **state)
{
	struct fix *fix = *state;

	fix->limits.wants_max = 1;
	fix_expect(fix, 0, "want $c5|want $c5|want $s1|0000",
	           "ERR upload-pack: too many wants (wants_max 1)\n",
	           "fatal: upload-pack: too many wants (wants_max 1)\n", 128);
	fix->limits.shallows_max = 1;
	fix_expect(fix, 0, "want $c5|shallow $x1|shallow $x2|0000",
	           "ERR upload-pack: too many shallow lines (shallows_max 1)\n",
	           "fatal: upload-pack: too many shallow lines (shallows_max 1)\n", 128);
	fix->limits.haves_max = 1;
	fix_expect(fix, 0, "want $c5|0000|have $x1|have $x1|done",
	           "ERR upload-pack: too many haves (haves_max 1)\n",
	           "fatal: upload-pack: too many haves (haves_max 1)\n", 128);
	fix->limits.request_lines_max = 3;
	fix_expect(fix, 0, "want $c5|want $c5|want $c5|want $c5|0000",
	           "ERR upload-pack: too many lines (request_lines_max 3)\n",
	           "fatal: upload-pack: too many lines (request_lines_max 3)\n", 128);
	fix->limits.request_lines_max = 100;
	fix->limits.depth_max = 2;
	fix_expect(fix, 0, "want $c5|deepen 3|0000", "ERR upload-pack: too deep (depth_max 2)\n",
	           "fatal: upload-pack: too deep (depth_max 2)\n", 128);
}

/* Bytes that are no packets. */
static void test_bad_framing(void **state)
{
	static const char *const bad[] = {"0003", "zzzz", "+00a", "fff1", "GET / HTTP/1.1\r\n"};
	static const char *const cut[] = {"0", "000", "0032want", "0004"};
	static const struct fix_pace pace = {SIZE_MAX, SIZE_MAX, 4096, 0};
	struct fix *fix = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct ph_test_buf input = {0};
		struct fix_run run;

		ph_test_buf_print(&input, "%s", bad[i]);
		fix_talk(fix, 0, &input, &pace, &run);
		assert_int_equal(run.status, 128);
		assert_non_null(strstr((const char *)run.err.data, "bad line length"));
		fix_run_release(&run);
		ph_test_buf_release(&input);
	}
	for (size_t i = 0; i < sizeof(cut) / sizeof(*cut); i++) {
		struct ph_test_buf input = {0};
		struct fix_run run;

		ph_test_buf_print(&input, "%s", cut[i]);
		fix_talk(fix, 0, &input, &pace, &run);
		assert_int_equal(run.status, 128);
		fix_run_release(&run);
		ph_test_buf_release(&input);
	}
}

static void test_sha256(void **state)
{
	struct fix fix;

	(void)state;
	fix_init(&fix, PH_HASH_SHA256);
	fix_expect(&fix, 0, "want $c5" BANDED " object-format=sha256|0000|have $c4|done",
	           "ACK $c4\npack: b5 c5 t5\n0000\n", "", 0);
	/* git 2.39 does not say the format in protocol 0; its ids do. */
	fix_expect(&fix, 0, "want $c5" BANDED "|0000|have $c4|done",
	           "ACK $c4\npack: b5 c5 t5\n0000\n", "", 0);
	fix_expect(&fix, 0, "want 1111111111111111111111111111111111111111" BANDED "|0000|done",
	           "ERR mismatched object format: server sha256; client sha1\n",
	           "fatal: mismatched object format: server sha256; client sha1\n", 128);
	fix_expect(&fix, 0, "want $c5 object-format=sha1|0000|done",
	           "ERR mismatched object format: server sha256; client sha1\n",
	           "fatal: mismatched object format: server sha256; client sha1\n", 128);
	fix_add_empty(&fix, "empty");
	fix.repo = "empty";
	fix_expect_all(&fix, 0, "0000",
	               "0000000000000000000000000000000000000000000000000000000000000000 "
	               "capabilities^{}\\0" CAPS " filter object-format=sha256 "
	               "agent=packhorse/test\n0000\n",
	               "", 0);
	fix_release(&fix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_advertisement, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_advertisement_heads, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_advertisement_empty, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_no_repository, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_clone, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_wants, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_push_meanwhile, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_multi_ack_off, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_multi_ack_detailed, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_multi_ack, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_no_done, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_configured, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_reachable_wants, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_thin_pack, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_include_tag, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_filter, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_bad_requests, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_limits, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_bad_framing, fix_setup, fix_teardown),
	        cmocka_unit_test(test_sha256),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
