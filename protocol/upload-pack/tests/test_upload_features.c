/* SPDX-License-Identifier: MIT */
/*
 * What protocol 2 has beyond ls-refs and a plain fetch, much of it by configuration: capabilities,
 * refs wanted by name, sections and their order, bands, objects from elsewhere, object-info and
 * bundle-uri. Every answer at several paces.
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
#define INFO "command=object-info|object-format=sha1|0001|"
#define HASH "0123456789012345678901234567890123456789"
#define SID "000102030405060708090a0b0c0d0e0f"

/* One answer that is an ERR alone. */
static void expect_err(struct fix *fix, const char *script, const char *what)
{
	char answer[256], err[256];

	snprintf(answer, sizeof(answer), "ERR %s\n", what);
	snprintf(err, sizeof(err), "fatal: %s\n", what);
	fix_expect(fix, 2, script, answer, err, 128);
}

/* One that dies without a packet. */
static void expect_dies(struct fix *fix, const char *script, const char *what)
{
	char err[256];

	snprintf(err, sizeof(err), "fatal: %s\n", what);
	fix_expect(fix, 2, script, "", err, 128);
}

static void test_advertisement(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, "uploadpack.allowrefinwant=true\nuploadpack.allowsidebandall=true\n"
	                    "uploadpack.blobpackfileuri=" HASH " " HASH " https://example.org/p\n"
	                    "transfer.advertisesid=true\ntransfer.advertiseobjectinfo=true\n"
	                    "uploadpack.advertisebundleuris=true\n");
	fix_expect_all(fix, 2, "",
	               "version 2\nagent=packhorse/test\nls-refs=unborn\n"
	               "fetch=shallow wait-for-done filter ref-in-want sideband-all packfile-uris\n"
	               "server-option\nobject-format=sha1\nsession-id=" SID
	               "\nobject-info=size\nbundle-uri\n0000\n",
	               "", 0);
	fix_set_config(fix, "uploadpack.allowfilter=false\nlsrefs.unborn=allow\n");
	fix_expect_all(fix, 2, "",
	               "version 2\nagent=packhorse/test\nls-refs\nfetch=shallow wait-for-done\n"
	               "server-option\nobject-format=sha1\n0000\n",
	               "", 0);
	expect_dies(fix, FETCH "filter blob:none|0000", "unexpected line: 'filter blob:none'");
}

static void test_unborn(void **state)
{
	struct fix *fix = *state;
	const char *ask = "command=ls-refs|0001|symrefs|unborn|ref-prefix HEAD|0000";

	fix_set_symref(fix, "HEAD", "refs/heads/none");
	fix_expect(fix, 2, ask, "unborn HEAD symref-target:refs/heads/none\n0000\n", "", 0);
	fix_set_config(fix, "lsrefs.unborn=allow\n");
	fix_expect(fix, 2, ask, "unborn HEAD symref-target:refs/heads/none\n0000\n", "", 0);
	fix_set_config(fix, "lsrefs.unborn=ignore\n");
	fix_expect(fix, 2, ask, "0000\n", "", 0);
}

static void test_requests(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, "uploadpack.advertisebundleuris=true\n");
	/* A command is none of the capabilities that go with commands, nor the other way round. */
	expect_dies(fix, "command=ls-refs|bundle-uri|0000", "unknown capability 'bundle-uri'");
	expect_dies(fix, "command=ls-refs|fetch=shallow|0000",
	            "unknown capability 'fetch=shallow'");
	expect_dies(fix, "command=agent|0000", "invalid command 'agent'");
	expect_dies(fix, "command=bundle-uri=x|0000", "invalid command 'bundle-uri=x'");
	expect_dies(fix, "command=bundle-uri|command=ls-refs|0000",
	            "command 'ls-refs' requested after already requesting command 'bundle-uri'");
	/* What is not offered is not there. */
	expect_dies(fix, "command=object-info|0000", "invalid command 'object-info'");
	expect_dies(fix, "session-id=x|command=ls-refs|0000", "unknown capability 'session-id=x'");
	expect_dies(fix, "promisor-remote|0000", "unknown capability 'promisor-remote'");
	expect_dies(fix, "promisor-remote=name=x|0000",
	            "unknown capability 'promisor-remote=name=x'");
	expect_dies(fix, "object-format|0000", "object-format capability requires an argument");
	expect_dies(fix, FETCH "want-ref refs/heads/main|0000",
	            "unexpected line: 'want-ref refs/heads/main'");
	expect_dies(fix, FETCH "sideband-all|0000", "unexpected line: 'sideband-all'");
	expect_dies(fix, FETCH "packfile-uris https|0000",
	            "unexpected line: 'packfile-uris https'");
}

static void test_server_options(void **state)
{
	struct fix *fix = *state;
	struct ph_test_buf log = {0};
	struct ph_test_buf input = {0};
	struct fix_run run;
	static const struct fix_pace pace = {SIZE_MAX, SIZE_MAX, 4096, 0};

	fix->limits.server_options_max = 3;
	fix->limits.server_option_bytes_max = 8;
	fix_expect(fix, 2,
	           "server-option=a|command=ls-refs|server-option=b=c|server-option|0001|"
	           "ref-prefix HEAD|0000",
	           "$c5 HEAD\n0000\n", "", 0);
	expect_err(fix, "server-option=a|server-option=b|server-option=c|server-option=d|0000",
	           "upload-pack: too many server options (server_options_max 3)");
	expect_err(fix, "server-option=123456789|0000",
	           "upload-pack: too many bytes in a server option (server_option_bytes_max 8)");
	/* Each request has its own; they are logged as text that can do no harm. */
	fix->limits.server_options_max = 1;
	fix_say(fix, &input,
	        "server-option=\x1b[1m|command=ls-refs|0000|server-option=x|command=ls-refs|0000");
	fix->log_text = &log;
	fix_talk(fix, 2, &input, &pace, &run);
	fix->log_text = NULL;
	ph_test_buf_append(&log, "", 1);
	assert_int_equal(run.status, 0);
	assert_string_equal((const char *)log.data, "3 upload-pack: r: server option ?[1m\n"
	                                            "3 upload-pack: r: server option x\n");
	fix_run_release(&run);
	ph_test_buf_release(&input);
	ph_test_buf_release(&log);
}

static void test_session_id(void **state)
{
	static const struct fix_pace pace = {SIZE_MAX, SIZE_MAX, 4096, 0};
	struct fix *fix = *state;

	fix_set_config(fix, "transfer.advertisesid=true\n");
	for (int version = 0; version <= 2; version += 2) {
		struct ph_test_buf log = {0}, input = {0};
		struct fix_run run;

		fix_say(fix, &input,
		        version ? "command=ls-refs|session-id=theirs|0000"
		                : "want $c5 session-id=theirs|0000|done");
		fix->log_text = &log;
		fix_talk(fix, version, &input, &pace, &run);
		fix->log_text = NULL;
		ph_test_buf_append(&log, "", 1);
		assert_int_equal(run.status, 0);
		assert_non_null(strstr((const char *)log.data, "r: session-id " SID "\n"));
		assert_non_null(
		        strstr((const char *)log.data, "r: the client's session-id theirs\n"));
		fix_run_release(&run);
		ph_test_buf_release(&input);
		ph_test_buf_release(&log);
	}
}

/* ---- refs by name ---- */

static void test_want_refs(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, "uploadpack.allowrefinwant=true\n");
	fix_expect(fix, 2, FETCH "want-ref refs/heads/side|want $c2|have $c1|done|0000",
	           "wanted-refs\n$s1 refs/heads/side\n0001\npackfile\npack: b2 bs c2 s1 t2 ts\n"
	           "0000\n",
	           "", 0);
	/* In the order they were asked for; HEAD too, and a tag as it is. */
	fix_expect(fix, 2,
	           FETCH "want-ref refs/tags/v1|want-ref HEAD|want-ref refs/heads/main|"
	                 "have $c4|done|0000",
	           "wanted-refs\n$v1 refs/tags/v1\n$c5 HEAD\n$c5 refs/heads/main\n0001\n"
	           "packfile\npack: b5 c5 t5 v1\n0000\n",
	           "", 0);
	/* Not before there is a pack. */
	fix_expect(fix, 2, FETCH "want-ref refs/heads/main|have $x1|0000",
	           "acknowledgments\nNAK\n0000\n", "", 0);
	expect_err(fix, FETCH "want-ref refs/heads/none|done|0000", "unknown ref refs/heads/none");
	expect_err(fix, FETCH "want-ref heads/main|done|0000", "unknown ref heads/main");
	expect_err(fix, FETCH "want-ref |done|0000", "unknown ref ");
	expect_err(fix, FETCH "want-ref refs/heads/main|want-ref refs/heads/main|done|0000",
	           "duplicate want-ref refs/heads/main");
	fix_set_symref(fix, "refs/heads/broken", "refs/heads/none");
	expect_err(fix, FETCH "want-ref refs/heads/broken|done|0000",
	           "unknown ref refs/heads/broken");
}

static void test_want_refs_hidden(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, "uploadpack.allowrefinwant=true\ntransfer.hiderefs=refs/heads/side\n");
	expect_err(fix, FETCH "want-ref refs/heads/side|done|0000", "unknown ref refs/heads/side");
	fix_set_symref(fix, "refs/heads/alias", "refs/heads/side");
	expect_err(fix, FETCH "want-ref refs/heads/alias|done|0000",
	           "unknown ref refs/heads/alias");
}

static void push(struct fix *fix)
{
	fix_set_ref(fix, "refs/heads/side", "u1");
}

/* A push between ls-refs and fetch: the ref is what it is now, and the client is told. */
static void test_want_refs_pushed(void **state)
{
	struct fix *fix = *state;
	const char *ls = "command=ls-refs|0001|ref-prefix refs/heads/side|0000|";
	struct ph_test_buf input = {0};

	fix_set_config(fix, "uploadpack.allowrefinwant=true\n");
	fix_say(fix, &input, ls);
	fix->hook = push;
	fix->hook_at = input.len;
	fix_expect(fix, 2,
	           "command=ls-refs|0001|ref-prefix refs/heads/side|0000|" FETCH
	           "want-ref refs/heads/side|want $s1|want $c5|have $c4|done|0000",
	           "$s1 refs/heads/side\n0000\nwanted-refs\n$u1 refs/heads/side\n0001\n"
	           "packfile\npack: b5 bs c5 s1 t5 ts u1\n0000\n",
	           "", 0);
	ph_test_buf_release(&input);
}

static void test_want_refs_limits(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, "uploadpack.allowrefinwant=true\n");
	fix->limits.want_refs_max = 1;
	expect_err(fix, FETCH "want-ref refs/heads/main|want-ref refs/heads/side|done|0000",
	           "upload-pack: too many wanted refs (want_refs_max 1)");
	fix->limits.want_refs_max = 100;
	fix->limits.want_ref_bytes_max = 20;
	expect_err(fix, FETCH "want-ref refs/heads/main|want-ref refs/heads/side|done|0000",
	           "upload-pack: too many bytes in names of wanted refs (want_ref_bytes_max 20)");
	fix->limits.want_ref_bytes_max = 1000;
	fix->limits.wants_max = 1;
	expect_err(fix, FETCH "want-ref refs/heads/main|want-ref refs/heads/side|done|0000",
	           "upload-pack: too many wants (wants_max 1)");
}

/* ---- sections ---- */

static void test_wait_for_done(void **state)
{
	struct fix *fix = *state;

	/* Negotiation alone: without wants, and never ready. */
	fix_expect(fix, 2, FETCH "wait-for-done|have $x1|have $c4|have $c2|0000",
	           "acknowledgments\nACK $c4\nACK $c2\n0000\n", "", 0);
	fix_expect(fix, 2, FETCH "wait-for-done|have $x1|0000", "acknowledgments\nNAK\n0000\n", "",
	           0);
	fix_expect(fix, 2,
	           FETCH "wait-for-done|want $c5|have $c4|0000|" FETCH
	                 "wait-for-done|want $c5|have $c4|done|0000",
	           "acknowledgments\nACK $c4\n0000\npackfile\npack: b5 c5 t5\n0000\n", "", 0);
	/* With wants and nothing to negotiate the pack comes at once; without wants it is empty. */
	fix_expect(fix, 2, FETCH "wait-for-done|want $c1|0000", "packfile\npack: b1 c1 t1\n0000\n",
	           "", 0);
	fix_expect(fix, 2, FETCH "wait-for-done|have $c1|done|0000", "packfile\npack:\n0000\n", "",
	           0);
	/* A negotiation that found nothing ends in a round without haves. */
	fix_expect(fix, 2, FETCH "wait-for-done|0000", "acknowledgments\nNAK\n0000\n", "", 0);
}

/* The order of the document: acknowledgments, shallow-info, wanted-refs, packfile-uris, packfile.
 */
static void test_section_order(void **state)
{
	struct fix *fix = *state;
	struct ph_test_buf config = {0};

	ph_test_buf_print(&config,
	                  "uploadpack.allowrefinwant=true\nuploadpack.allowsidebandall=true\n"
	                  "uploadpack.blobpackfileuri=%s " HASH " https://example.org/a\n",
	                  fix_hex(fix, "b5"));
	ph_test_buf_append(&config, "", 1);
	fix_set_config(fix, (const char *)config.data);
	fix_expect(fix, 2, FETCH "want-ref refs/heads/main|deepen 2|have $x1|have $c3|0000",
	           "acknowledgments\nACK $c3\nready\n0001\nshallow-info\nshallow $c4\n0001\n"
	           "wanted-refs\n$c5 refs/heads/main\n0001\npackfile\n"
	           "pack: b4 b5<b4 c4 c5 t4 t5\n0000\n",
	           "", 0);
	fix_expect(fix, 2,
	           FETCH "sideband-all|packfile-uris https|want-ref refs/heads/main|deepen 2|"
	                 "have $x1|have $c3|0000",
	           "1:acknowledgments\n1:ACK $c3\n1:ready\n0001\n1:shallow-info\n1:shallow $c4\n"
	           "0001\n1:wanted-refs\n1:$c5 refs/heads/main\n0001\n"
	           "1:packfile-uris\n1:" HASH " https://example.org/a\n0001\n1:packfile\n"
	           "pack: b4 c4 c5 t4 t5\n0000\n",
	           "", 0);
	ph_test_buf_release(&config);
}

static void test_sideband_all(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, "uploadpack.allowsidebandall=true\n");
	fix_expect(fix, 2,
	           FETCH "sideband-all|want $c5|have $x1|0000|" FETCH
	                 "sideband-all|want $c5|have $c4|done|0000|" FETCH "want $c1|done|0000",
	           "1:acknowledgments\n1:NAK\n0000\n1:packfile\npack: b5 c5 t5\n0000\n"
	           "packfile\npack: b1 c1 t1\n0000\n",
	           "", 0);
	/* What goes wrong then is said on band 3, and no longer as ERR. */
	fix_expect(fix, 2, FETCH "sideband-all|want $x1|done|0000",
	           "3:upload-pack: not our ref $x1\n", "fatal: upload-pack: not our ref $x1\n",
	           128);
	fix->limits.wants_max = 1;
	fix_expect(fix, 2, FETCH "sideband-all|want $c1|want $c2|done|0000",
	           "3:upload-pack: too many wants (wants_max 1)\n",
	           "fatal: upload-pack: too many wants (wants_max 1)\n", 128);
	fix_expect(fix, 2, FETCH "want $c1|want $c2|sideband-all|done|0000",
	           "ERR upload-pack: too many wants (wants_max 1)\n",
	           "fatal: upload-pack: too many wants (wants_max 1)\n", 128);
	/* The form of a request is still nobody's but the server's. */
	expect_dies(fix, FETCH "sideband-all|frob|0000", "unexpected line: 'frob'");
}

/* ---- objects from elsewhere ---- */

static void test_packfile_uris(void **state)
{
	struct fix *fix = *state;
	struct ph_test_buf config = {0};

	ph_test_buf_print(&config, "uploadpack.allowsidebandall=true\n");
	ph_test_buf_print(&config,
	                  "uploadpack.blobpackfileuri=%s " HASH " https://example.org/b2\n",
	                  fix_hex(fix, "b2"));
	ph_test_buf_print(&config, "uploadpack.blobpackfileuri=%s " HASH " http://example.org/bs\n",
	                  fix_hex(fix, "bs"));
	ph_test_buf_print(&config,
	                  "uploadpack.blobpackfileuri=%s " HASH " https://example.org/bu\n",
	                  fix_hex(fix, "bu"));
	ph_test_buf_append(&config, "", 1);
	fix_set_config(fix, (const char *)config.data);
	/* Deltas on what is left out become whole objects: b3 was one on b2. */
	fix_expect(fix, 2,
	           FETCH "sideband-all|packfile-uris http,https|want $c3|want $s1|done|0000",
	           "1:packfile-uris\n1:" HASH " https://example.org/b2\n1:" HASH
	           " http://example.org/bs\n0001\n1:packfile\n"
	           "pack: b1 b3 c1 c2 c3 s1 t1 t2 t3 ts\n0000\n",
	           "", 0);
	/* By the protocols that the client names; nothing that it has; nothing that was not to go.
	 */
	fix_expect(fix, 2, FETCH "sideband-all|packfile-uris ftp,http|want $c3|done|0000",
	           "1:packfile\npack: b1 b2<b1 b3<b2 c1 c2 c3 t1 t2 t3\n0000\n", "", 0);
	fix_expect(fix, 2,
	           FETCH "thin-pack|sideband-all|packfile-uris https|want $c3|have $c2|done|0000",
	           "1:packfile\npack: b3<<b2 c3 t3\n0000\n", "", 0);
	fix_expect(fix, 2,
	           FETCH "thin-pack|sideband-all|packfile-uris https|want $c3|have $c1|done|0000",
	           "1:packfile-uris\n1:" HASH " https://example.org/b2\n0001\n1:packfile\n"
	           "pack: b3 c2 c3 t2 t3\n0000\n",
	           "", 0);
	/* Prefixes of protocols are other protocols. */
	fix_expect(fix, 2, FETCH "sideband-all|packfile-uris htt,,s|want $s1|done|0000",
	           "1:packfile\npack: b1 bs c1 s1 t1 ts\n0000\n", "", 0);
	/* Without sideband-all they are ignored; twice they are wrong. */
	fix_expect(fix, 2, FETCH "packfile-uris https|want $c2|have $c1|done|0000",
	           "packfile\npack: b2 c2 t2\n0000\n", "", 0);
	expect_err(fix, FETCH "packfile-uris https|packfile-uris http|0000",
	           "multiple packfile-uris lines forbidden");
	ph_test_buf_release(&config);
}

/* What an owner got wrong is as if it were not there. */
static void test_packfile_uris_malformed(void **state)
{
	static const char *const bad[] = {"",
	                                  "%s",
	                                  "%s " HASH,
	                                  "%s " HASH " ",
	                                  "%s x https://e",
	                                  "%s " HASH "0 https://e",
	                                  "%s " HASH " no-protocol",
	                                  "%s " HASH " https://e/\x1b"};
	struct fix *fix = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char config[512], value[256];
		const char *tail = strncmp(bad[i], "%s", 2) == 0 ? bad[i] + 2 : bad[i];

		snprintf(value, sizeof(value), "%s%s", tail == bad[i] ? "" : fix_hex(fix, "bs"),
		         tail);
		/* One that is right, so that the capability is offered. */
		snprintf(config, sizeof(config),
		         "uploadpack.allowsidebandall=true\nuploadpack.blobpackfileuri=" HASH
		         " " HASH " https://e\nuploadpack.blobpackfileuri=%s\n",
		         value);
		fix_set_config(fix, config);
		fix_expect(fix, 2, FETCH "sideband-all|packfile-uris https|want $s1|done|0000",
		           "1:packfile\npack: b1 bs c1 s1 t1 ts\n0000\n", "", 0);
	}
}

/* ---- object-info ---- */

static void test_object_info(void **state)
{
	struct fix *fix = *state;
	char sizes[256];

	fix_set_config(fix, "transfer.advertiseobjectinfo=true\n");
	/* Commits, trees, blobs and tags, in the order they were asked for, each as often. */
	snprintf(sizes, sizeof(sizes), "size\n$c5 %u\n$b1 %u\n$t3 %u\n$vv %u\n$b1 %u\n$x1 \n0000\n",
	         (unsigned)fix->pack.entries[fix_entry(fix, "c5")].size,
	         (unsigned)fix->pack.entries[fix_entry(fix, "b1")].size,
	         (unsigned)fix->pack.entries[fix_entry(fix, "t3")].size,
	         (unsigned)fix->pack.entries[fix_entry(fix, "vv")].size,
	         (unsigned)fix->pack.entries[fix_entry(fix, "b1")].size);
	fix_expect(fix, 2, INFO "size|oid $c5|oid $b1|oid $t3|oid $vv|oid $b1|oid $x1|0000", sizes,
	           "", 0);
	/* Nobody is told of what cannot be fetched: stored or not is the same. */
	fix_expect(fix, 2, INFO "oid $u1|size|oid $bu|0000", "size\n$u1 \n$bu \n0000\n", "", 0);
	fix_expect(fix, 2, INFO "oid $c1|oid $x1|0000", "$c1\n$x1 \n0000\n", "", 0);
	fix_expect(fix, 2, INFO "size|0000|command=object-info|0000", "0000\n0000\n", "", 0);
	expect_err(fix, INFO "size|oid xyz|0000",
	           "object-info: protocol error, expected to get oid, not 'xyz'");
	expect_err(fix, INFO "oid $c1 |0000",
	           "object-info: protocol error, expected to get oid, not '$c1 '");
	expect_err(fix, INFO "type|0000", "object-info: unexpected line: 'type'");
	expect_err(fix, INFO "oid $c1|0001", "object-info: expected flush after arguments");
	/* Nor of what only hidden refs reach; unless anything may be asked for. */
	fix_set_config(fix,
	               "transfer.advertiseobjectinfo=true\ntransfer.hiderefs=refs/heads/side\n");
	fix_expect(fix, 2, INFO "oid $bs|oid $s1|oid $b1|oid $c4|0000",
	           "$bs \n$s1 \n$b1\n$c4\n0000\n", "", 0);
	fix_set_config(fix, "transfer.advertiseobjectinfo=true\ntransfer.hiderefs=refs/heads/side\n"
	                    "uploadpack.allowanysha1inwant=true\n");
	fix_expect(fix, 2, INFO "oid $bs|oid $u1|oid $x1|0000", "$bs\n$u1\n$x1 \n0000\n", "", 0);
	fix->limits.object_infos_max = 2;
	expect_err(fix, INFO "oid $c1|oid $c1|oid $c1|0000",
	           "upload-pack: too many objects asked about (object_infos_max 2)");
}

static void test_bundle_uri(void **state)
{
	struct fix *fix = *state;

	fix_set_config(fix, "uploadpack.advertisebundleuris=true\nbundle.version=1\n"
	                    "bundle.mode=all\nbundle.Daily.uri=https://example.org/d.bundle\n"
	                    "bundle.Daily.creationtoken=7\n");
	fix_expect(fix, 2,
	           "command=bundle-uri|object-format=sha1|0000|command=bundle-uri|0001|0000",
	           "bundle.version=1\nbundle.mode=all\n"
	           "bundle.Daily.uri=https://example.org/d.bundle\n"
	           "bundle.Daily.creationtoken=7\n0000\n"
	           "bundle.version=1\nbundle.mode=all\n"
	           "bundle.Daily.uri=https://example.org/d.bundle\n"
	           "bundle.Daily.creationtoken=7\n0000\n",
	           "", 0);
	expect_dies(fix, "command=bundle-uri|0001|frob|0000",
	            "bundle-uri: unexpected argument: 'frob'");
	expect_dies(fix, "command=bundle-uri|0001|0001",
	            "bundle-uri: expected flush after arguments");
	fix_set_config(fix, "bundle.version=1\n");
	expect_dies(fix, "command=bundle-uri|0000", "invalid command 'bundle-uri'");
}

/* ---- limits ---- */

/* Every kind of line ends somewhere, also those that are not kept. */
static void test_endless_lines(void **state)
{
	static const char *const lines[] = {"want $c1",  "have $c1",      "shallow $c1", "done",
	                                    "ofs-delta", "wait-for-done", "deepen 1"};
	struct fix *fix = *state;

	fix->limits.request_lines_max = 20;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct ph_test_buf script = {0};

		ph_test_buf_print(&script, FETCH "want $c1");
		for (int n = 0; n < 20; n++)
			ph_test_buf_print(&script, "|%s", lines[i]);
		ph_test_buf_append(&script, "|0000", 6);
		expect_err(fix, (const char *)script.data,
		           "upload-pack: too many lines (request_lines_max 20)");
		ph_test_buf_release(&script);
	}
	expect_err(
	        fix,
	        "agent=x|agent=x|agent=x|agent=x|agent=x|agent=x|agent=x|agent=x|agent=x|agent=x|"
	        "agent=x|agent=x|agent=x|agent=x|agent=x|agent=x|agent=x|agent=x|agent=x|agent=x|"
	        "command=ls-refs|0000",
	        "upload-pack: too many lines (request_lines_max 20)");
	/* Each request counts for itself. */
	fix->limits.request_lines_max = 4;
	fix_expect(fix, 2,
	           "command=ls-refs|0001|ref-prefix HEAD|0000|command=ls-refs|0001|ref-prefix "
	           "HEAD|0000",
	           "$c5 HEAD\n0000\n$c5 HEAD\n0000\n", "", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_advertisement, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_unborn, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_requests, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_server_options, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_session_id, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_want_refs, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_want_refs_hidden, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_want_refs_pushed, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_want_refs_limits, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_wait_for_done, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_section_order, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_sideband_all, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_packfile_uris, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_packfile_uris_malformed, fix_setup,
	                                        fix_teardown),
	        cmocka_unit_test_setup_teardown(test_object_info, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_bundle_uri, fix_setup, fix_teardown),
	        cmocka_unit_test_setup_teardown(test_endless_lines, fix_setup, fix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
