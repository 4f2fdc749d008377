/* SPDX-License-Identifier: MIT */
/* The configuration: keys, values as git reads them, what a later value changes, which refs are
 * hidden, texts that are not as they should be, and no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config_int.h"
#include "support.h"

#include <packhorse/store_mem.h>

struct fixture {
	struct ph_test_alloc memory;
	struct ph_limits limits;
	struct ph_store *store;
	struct ph_snapshot *snapshot;
	struct ph_config config;
};

static int setup(void **state)
{
	struct fixture *fix = calloc(1, sizeof(*fix));
	struct ph_store_mem_options options = {.alloc = &fix->memory.alloc, .limits = &fix->limits};
	struct ph_txn *txn;

	ph_test_alloc_init(&fix->memory);
	ph_limits_init(&fix->limits);
	assert_int_equal(ph_store_mem_new(&fix->store, &options), PH_OK);
	assert_int_equal(ph_store_create(fix->store, "r", PH_HASH_SHA1, &txn), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	*state = fix;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fix = *state;

	ph_config_release(&fix->config, &fix->memory.alloc);
	ph_snapshot_release(fix->snapshot);
	ph_store_close(fix->store);
	assert_int_equal(fix->memory.live, 0);
	free(fix);
	return 0;
}

static void put(struct fixture *fix, const char *server, const char *repo)
{
	struct ph_txn *txn;

	ph_config_release(&fix->config, &fix->memory.alloc);
	ph_snapshot_release(fix->snapshot);
	assert_int_equal(
	        ph_store_setting_set(fix->store, "config", server, server ? strlen(server) : 0),
	        PH_OK);
	assert_int_equal(ph_store_snapshot(fix->store, "r", &fix->snapshot), PH_OK);
	assert_int_equal(ph_store_begin(fix->store, fix->snapshot, &txn), PH_OK);
	assert_int_equal(ph_txn_set_setting(txn, "config", repo, repo ? strlen(repo) : 0), PH_OK);
	assert_int_equal(ph_txn_commit(txn, NULL, NULL), PH_OK);
	ph_txn_free(txn);
	ph_snapshot_release(fix->snapshot);
	assert_int_equal(ph_store_snapshot(fix->store, "r", &fix->snapshot), PH_OK);
}

/* Loads what the server and the repository say. */
static struct ph_config *load(struct fixture *fix, const char *server, const char *repo)
{
	put(fix, server, repo);
	assert_int_equal(
	        ph_config_load(&fix->config, fix->store, fix->snapshot, &fix->memory.alloc), PH_OK);
	return &fix->config;
}

static void test_defaults(void **state)
{
	struct fixture *fix = *state;
	static const char *const none[] = {NULL, "", "\n\n", "# a=\n", "nonsense\n=x\n"};

	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		struct ph_config *config = load(fix, none[i], none[i]);

		assert_true(config->allow_filter);
		assert_true(config->filter_allow);
		assert_false(config->allow_tip_sha1 || config->allow_reachable_sha1 ||
		             config->allow_any_sha1 || config->allow_ref_in_want ||
		             config->allow_sideband_all || config->advertise_object_info ||
		             config->advertise_sid || config->advertise_bundle_uris ||
		             config->archive_unreachable || config->deny_deletes ||
		             config->deny_non_fast_forwards);
		assert_int_equal(config->upload_keepalive_s, PH_CONFIG_UNSET);
		assert_int_equal(config->receive_keepalive_s, PH_CONFIG_UNSET);
		assert_int_equal(config->unborn, PH_UNBORN_ADVERTISE);
		assert_int_equal(config->tree_depth_max, UINT32_MAX);
		assert_int_equal(config->hide_upload.count + config->hide_receive.count +
		                         config->blob_packfile_uris.count + config->bundles.count,
		                 0);
		assert_int_equal(config->filters_allowed | config->filters_denied, 0);
	}
}

static void test_bools(void **state)
{
	struct fixture *fix = *state;
	static const struct {
		const char *text;
		bool value, read;
	} cases[] = {
	        {"true", true, true},    {"YES", true, true},     {"On", true, true},
	        {"1", true, true},       {"-1", true, true},      {"2k", true, true},
	        {"false", false, true},  {"no", false, true},     {"oFF", false, true},
	        {"0", false, true},      {"", false, true},       {"0x0", false, true},
	        {"maybe", false, false}, {"truex", false, false}, {"tru", false, false},
	        {"-", false, false},     {"1z", false, false},    {" true", false, false},
	};
	char line[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *why = NULL;

		snprintf(line, sizeof(line), "uploadpack.allowrefinwant=%s\n", cases[i].text);
		assert_int_equal(load(fix, NULL, line)->allow_ref_in_want, cases[i].value);
		assert_int_equal(ph_config_check("uploadpack.allowRefInWant", cases[i].text, &why),
		                 cases[i].read ? PH_OK : PH_ERR_INVALID);
		assert_true(cases[i].read || *why);
	}
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max, value;
		bool read;
	} cases[] = {
	        {"0", 9, 0, true},
	        {"9", 9, 9, true},
	        {"10", 9, 0, false},
	        {"1k", 1024, 1024, true},
	        {"1K", 1023, 0, false},
	        {"3m", UINT32_MAX, 3u << 20, true},
	        {"4g", UINT32_MAX, 0, false},
	        {"4G", UINT64_MAX, (uint64_t)4 << 30, true},
	        {"0x1f", 99, 31, true},
	        {"010", 99, 8, true},
	        {"18446744073709551615", UINT64_MAX, UINT64_MAX, true},
	        {"18446744073709551616", UINT64_MAX, 0, false},
	        {"", 9, 0, false},
	        {"k", 9, 0, false},
	        {"0x", 9, 0, false},
	        {"1kk", UINT64_MAX, 0, false},
	        {"08", 99, 0, false},
	        {"-1", UINT64_MAX, 0, false},
	        {"1 ", 99, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t value = 0;

		assert_int_equal(ph__config_number(cases[i].text, cases[i].max, &value),
		                 cases[i].read);
		assert_int_equal(value, cases[i].value);
	}
}

static void test_later_counts(void **state)
{
	struct fixture *fix = *state;
	struct ph_config *config = load(
	        fix, "receive.denydeletes=true\nuploadpack.keepalive=7\nlsrefs.unborn=ignore\n",
	        "receive.denydeletes=false\nlsrefs.unborn=allow");

	assert_false(config->deny_deletes);
	assert_int_equal(config->upload_keepalive_s, 7);
	assert_int_equal(config->unborn, PH_UNBORN_ALLOW);
	/* The server's alone, as for a repository that is not there yet. */
	ph_config_release(config, &fix->memory.alloc);
	assert_int_equal(ph_config_load(config, fix->store, NULL, &fix->memory.alloc), PH_OK);
	assert_true(config->deny_deletes);
	assert_int_equal(config->unborn, PH_UNBORN_IGNORE);
	/* What cannot be read changes nothing. */
	config = load(fix, "uploadpack.keepalive=7\n", "uploadpack.keepalive=soon\nno.such=1\n");
	assert_int_equal(config->upload_keepalive_s, 7);
}

static void expect_wants(struct fixture *fix, const char *text, bool tip, bool reachable, bool any)
{
	struct ph_config *config = load(fix, NULL, text);

	assert_int_equal(config->allow_tip_sha1, tip);
	assert_int_equal(config->allow_reachable_sha1, reachable);
	assert_int_equal(config->allow_any_sha1, any);
}

/* allowAny sets three bits, and clears three. */
static uint8_t severity(const struct ph_config *config, const char *id)
{
	for (uint32_t i = 0; ph_fsck_id(i); i++)
		if (strcmp(ph_fsck_id(i), id) == 0)
			return config->fsck.severity[i];
	return UINT8_MAX;
}

/* Checks of received objects: on unless the last word for pushes, or else for all, says no. */
static void test_fsck(void **state)
{
	struct fixture *fix = *state;
	static const struct {
		const char *server, *repo;
		bool on;
	} cases[] = {
	        {NULL, NULL, true},
	        {"transfer.fsckobjects=false\n", NULL, false},
	        {"transfer.fsckobjects=false\n", "transfer.fsckobjects=true\n", true},
	        {"receive.fsckobjects=true\n", "transfer.fsckobjects=false\n", true},
	        {"receive.fsckobjects=0\n", "transfer.fsckobjects=1\n", false},
	        {"receive.fsckobjects=no\n", "receive.fsckobjects=yes\n", true},
	        {"receive.fsckobjects=maybe\n", "transfer.fsckobjects=no\n", false},
	};
	const char *text = "receive.fsck.hasdotgit=warn\nreceive.fsck.badtree=ignore\n"
	                   "receive.fsck.baddate=error\nreceive.fsck.badtree=error\n"
	                   "receive.fsck.nulinheader=warn\nreceive.fsck.hasdot=off\n"
	                   "receive.fsck.skiplist=0123456789abcdef0123456789abcdef01234567\n"
	                   "receive.fsck.skiplist=x\n";
	const char *why, *list;
	struct ph_config *config;
	struct ph_oid oid;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(load(fix, cases[i].server, cases[i].repo)->fsck_objects,
		                 cases[i].on);
	config = load(fix, "receive.fsck.baddate=ignore\n", text);
	assert_int_equal(severity(config, "hasDotgit"), PH_FSCK_WARN);
	assert_int_equal(severity(config, "badTree"), PH_FSCK_ERROR);
	assert_int_equal(severity(config, "badDate"), PH_FSCK_ERROR);
	assert_int_equal(severity(config, "nulInHeader"), PH_FSCK_ERROR);
	assert_int_equal(severity(config, "hasDot"), PH_FSCK_ERROR);
	assert_int_equal(severity(config, "badEmail"), PH_FSCK_WARN);
	assert_int_equal(config->fsck_skips.count, 1);
	list = " ,0123456789ABCDEF0123456789abcdef01234567,,"
	       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef ";
	assert_int_equal(ph_config_check("receive.fsck.skipList", list, &why), PH_OK);
	assert_int_equal(ph__config_next_id(&list, &oid), PH_OK);
	assert_int_equal(oid.bytes[5], 0xab);
	assert_int_equal(oid.bytes[20], 0);
	assert_int_equal(ph__config_next_id(&list, &oid), PH_OK);
	assert_int_equal(oid.bytes[31], 0xef);
	assert_int_equal(ph__config_next_id(&list, &oid), PH_END);
}

static void test_wants(void **state)
{
#define ANY "uploadpack.allowanysha1inwant="
#define TIP "uploadpack.allowtipsha1inwant="
#define REACH "uploadpack.allowreachablesha1inwant="
	expect_wants(*state, TIP "true\n", true, false, false);
	expect_wants(*state, REACH "true\n", false, true, false);
	expect_wants(*state, ANY "true\n", true, true, true);
	expect_wants(*state, TIP "true\n" ANY "false\n", false, false, false);
	expect_wants(*state, ANY "false\n" TIP "true\n", true, false, false);
	expect_wants(*state, ANY "true\n" TIP "false\n", false, true, false);
	expect_wants(*state, ANY "true\n" TIP "false\n" TIP "true\n", true, true, true);
}

static void test_filters(void **state)
{
	struct fixture *fix = *state;
	struct ph_config *config =
	        load(fix, "uploadpackfilter.allow=false\nuploadpackfilter.blob:none.allow=true\n",
	             "uploadpackfilter.tree.maxdepth=1k\nuploadpackfilter.combine.allow=false\n");

	assert_false(config->filter_allow);
	assert_int_equal(config->filters_allowed, 1u << PH_FILTER_BLOB_NONE | 1u << PH_FILTER_TREE);
	assert_int_equal(config->filters_denied, 1u << PH_FILTER_COMBINE);
	assert_int_equal(config->tree_depth_max, 1024);
	config = load(fix, "uploadpackfilter.tree.maxdepth=0\n",
	              "uploadpackfilter.tree.allow=false\nuploadpackfilter.what.allow=true\n");
	assert_int_equal(config->filters_allowed, 0);
	assert_int_equal(config->filters_denied, 1u << PH_FILTER_TREE);
	assert_int_equal(config->tree_depth_max, 0);
}

static void test_lists(void **state)
{
	struct fixture *fix = *state;
	struct ph_config *config =
	        load(fix,
	             "bundle.version=1\nbundle.a.uri=https://x/a\ntransfer.hiderefs=refs/a\n"
	             "uploadpack.hiderefs=refs/b\n",
	             "receive.hiderefs=refs/c//\nbundle.a.uri=https://y/a=b\nbundle.aa.uri=http://"
	             "z\ntransfer.hiderefs=!refs/a/b\n");

	assert_int_equal(config->hide_upload.count, 3);
	assert_string_equal(config->hide_upload.items[0].text, "refs/a");
	assert_string_equal(config->hide_upload.items[1].text, "refs/b");
	assert_string_equal(config->hide_upload.items[2].text, "!refs/a/b");
	assert_int_equal(config->hide_receive.count, 3);
	assert_string_equal(config->hide_receive.items[1].text, "refs/c");
	assert_int_equal(config->bundles.count, 3);
	assert_string_equal(config->bundles.items[0].text, "bundle.version=1");
	assert_string_equal(config->bundles.items[1].text, "bundle.a.uri=https://y/a=b");
	assert_string_equal(config->bundles.items[2].text, "bundle.aa.uri=http://z");
}

static void test_hidden(void **state)
{
	static const struct {
		const char *patterns, *name;
		bool hidden;
	} cases[] = {
	        {"refs/a", "refs/a", true},
	        {"refs/a", "refs/a/b", true},
	        {"refs/a", "refs/ab", false},
	        {"refs/a", "refs", false},
	        {"refs/a/", "refs/a", true},
	        {"refs/a/", "refs/a/b", true},
	        {"^refs/a", "refs/a/b", true},
	        {"refs", "refs/heads/main", true},
	        {"refs", "HEAD", false},
	        {"HEAD", "HEAD", true},
	        {"refs/a|!refs/a/b", "refs/a/b", false},
	        {"refs/a|!refs/a/b", "refs/a/b/c", false},
	        {"refs/a|!refs/a/b", "refs/a/c", true},
	        {"!refs/a/b|refs/a", "refs/a/b", true},
	        {"refs/a|!^refs/a/b", "refs/a/b", false},
	        {"refs/a|!refs/a", "refs/a", false},
	        {"refs/a|!refs/a|refs/a", "refs/a", true},
	};
	struct fixture *fix = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[256] = "", *at = text;
		const char *patterns = cases[i].patterns;

		while (*patterns) {
			size_t len = strcspn(patterns, "|");

			at += snprintf(at, sizeof(text) - (size_t)(at - text),
			               "transfer.hiderefs=%.*s\n", (int)len, patterns);
			patterns += len + (patterns[len] == '|');
		}
		assert_int_equal(
		        ph_config_hidden(&load(fix, NULL, text)->hide_upload, cases[i].name),
		        cases[i].hidden);
		assert_int_equal(ph_config_hidden(&fix->config.hide_receive, cases[i].name),
		                 cases[i].hidden);
	}
}

static void test_keys(void **state)
{
	static const struct {
		const char *key, *stored;
		enum ph_status status;
	} cases[] = {
	        {"Transfer.HideRefs", "transfer.hiderefs", PH_OK},
	        {"uploadpackfilter.blob:none.Allow", "uploadpackfilter.blob:none.allow", PH_OK},
	        {"uploadpackfilter.Blob:none.allow", "uploadpackfilter.Blob:none.allow",
	         PH_ERR_NOT_FOUND},
	        {"uploadpackfilter.tree.maxDepth", "uploadpackfilter.tree.maxdepth", PH_OK},
	        {"bundle.My-1.URI", "bundle.My-1.uri", PH_OK},
	        {"bundle.a_b.uri", "bundle.a_b.uri", PH_ERR_NOT_FOUND},
	        {"bundle.a.b.uri", "bundle.a.b.uri", PH_ERR_NOT_FOUND},
	        {"bundle..uri", "bundle..uri", PH_ERR_NOT_FOUND},
	        {"bundle.uri", "bundle.uri", PH_ERR_NOT_FOUND},
	        {"core.bare", "core.bare", PH_ERR_NOT_FOUND},
	        {"Receive.fsck.badDATE", "receive.fsck.baddate", PH_OK},
	        {"receive.fsck.skipList", "receive.fsck.skiplist", PH_OK},
	        {"receive.Fsck.badDate", "receive.Fsck.baddate", PH_ERR_NOT_FOUND},
	        {"receive.fsck.badDates", "receive.fsck.baddates", PH_ERR_NOT_FOUND},
	        {"receive.fsck.a.badDate", "receive.fsck.a.baddate", PH_ERR_NOT_FOUND},
	        {"transfer", "transfer", PH_ERR_INVALID},
	        {"transfer.", "transfer.", PH_ERR_INVALID},
	        {".hideRefs", ".hiderefs", PH_ERR_INVALID},
	        {"trans fer.hideRefs", "trans fer.hiderefs", PH_ERR_INVALID},
	        {"bundle.a=b.uri", "bundle.a=b.uri", PH_ERR_INVALID},
	        {"bundle.a\nb.uri", "bundle.a\nb.uri", PH_ERR_INVALID},
	        {"", "", PH_ERR_INVALID},
	};
	char out[PH_CONFIG_KEY_MAX + 1], longest[300];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(ph_config_key(out, cases[i].key), cases[i].status);
		assert_string_equal(out, cases[i].stored);
	}
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "bundle.", 7);
	memcpy(longest + PH_CONFIG_KEY_MAX - 3, ".uri", 5);
	assert_int_equal(strlen(longest), PH_CONFIG_KEY_MAX + 1);
	assert_int_equal(ph_config_key(out, longest), PH_ERR_INVALID);
	memcpy(longest + PH_CONFIG_KEY_MAX - 4, ".uri", 5);
	assert_int_equal(ph_config_key(out, longest), PH_OK);
	assert_true(ph_config_multi("transfer.HIDErefs"));
	assert_false(ph_config_multi("bundle.a.uri"));
	/* The list that people are shown names each by a key that is one. */
	for (uint32_t i = 0; ph_config_known(i); i++)
		if (!strchr(ph_config_known(i), '<'))
			assert_int_equal(ph_config_key(out, ph_config_known(i)), PH_OK);
}

static void test_check(void **state)
{
	static const struct {
		const char *key, *value;
		bool right;
	} cases[] = {
	        {"transfer.hideRefs", "refs/pull", true},
	        {"transfer.hideRefs", "!^refs/pull/", true},
	        {"transfer.hideRefs", "HEAD", true},
	        {"transfer.hideRefs", "refs", true},
	        {"transfer.hideRefs", "pull", false},
	        {"transfer.hideRefs", "refsx", false},
	        {"transfer.hideRefs", "refs/pull/*", false},
	        {"transfer.hideRefs", "", false},
	        {"transfer.hideRefs", "!", false},
	        {"transfer.hideRefs", "refs/a\nx.y=z", false},
	        {"receive.fsck.badDate", "ignore", true},
	        {"receive.fsck.badDate", "true", false},
	        {"receive.fsck.nulInHeader", "error", true},
	        {"receive.fsck.nulInHeader", "warn", false},
	        {"receive.fsck.skipList", "", true},
	        {"receive.fsck.skipList", "/etc/skips", false},
	        {"receive.fsck.skipList", "0123", false},
	        {"transfer.fsckObjects", "on", true},
	        {"receive.fsckObjects", "maybe", false},
	        {"uploadpack.keepAlive", "0", true},
	        {"uploadpack.keepAlive", "-1", false},
	        {"uploadpack.keepAlive", "2147483647", true},
	        {"uploadpack.keepAlive", "2g", false},
	        {"receive.denyDeleteCurrent", "Warn", true},
	        {"receive.denyDeleteCurrent", "false", true},
	        {"receive.denyDeleteCurrent", "maybe", false},
	        {"receive.denyCurrentBranch", "updateInstead", true},
	        {"receive.denyCurrentBranch", "never", false},
	        {"receive.maxInputSize", "2g", true},
	        {"receive.maxInputSize", "1t", false},
	        {"receive.maxInputSize", "-1", false},
	        {"receive.unpackLimit", "1", true},
	        {"transfer.unpackLimit", "few", false},
	        {"receive.autogc", "no", true},
	        {"receive.updateServerInfo", "perhaps", false},
	        {"receive.procReceiveRefs", "refs/for", false},
	        {"lsrefs.unborn", "ignore", true},
	        {"lsrefs.unborn", "never", false},
	        {"bundle.version", "1", true},
	        {"bundle.version", "2", false},
	        {"bundle.mode", "any", true},
	        {"bundle.mode", "some", false},
	        {"bundle.heuristic", "creationToken", true},
	        {"bundle.heuristic", "x", false},
	        {"bundle.x.uri", "https://x/y", true},
	        {"bundle.x.uri", "https://", false},
	        {"bundle.x.uri", "ssh://x", false},
	        {"bundle.x.uri", "https://x y", false},
	        {"bundle.x.creationToken", "12", true},
	        {"bundle.x.creationToken", "x", false},
	        {"bundle.x.filter", "blob:none", true},
	        {"bundle.x.filter", "", false},
	        {"uploadpack.blobPackfileUri",
	         "0123456789012345678901234567890123456789 "
	         "0123456789012345678901234567890123456789 https://x/p",
	         true},
	        {"uploadpack.blobPackfileUri",
	         "0123456789012345678901234567890123456789 0123 https://x/p", false},
	        {"uploadpack.blobPackfileUri",
	         "0123456789012345678901234567890123456789 "
	         "0123456789012345678901234567890123456789 file:///p",
	         false},
	        {"uploadpack.blobPackfileUri", "", false},
	        {"no.such", "x", false},
	};
	char *large = calloc(1, PH_CONFIG_VALUE_MAX + 2);
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		why = "";
		assert_int_equal(ph_config_check(cases[i].key, cases[i].value, &why) == PH_OK,
		                 cases[i].right);
		assert_true(cases[i].right || *why);
	}
	memset(large, 'a', PH_CONFIG_VALUE_MAX + 1);
	memcpy(large, "https://", 8);
	assert_int_equal(ph_config_check("bundle.x.uri", large, &why), PH_ERR_INVALID);
	large[PH_CONFIG_VALUE_MAX] = 0;
	assert_int_equal(ph_config_check("bundle.x.uri", large, &why), PH_OK);
	free(large);
}

/* Of any size that fits a setting; more values than there may be are not read in part. */
static void test_large(void **state)
{
	struct fixture *fix = *state;
	char *text = calloc(1, PH_SETTING_BYTES_MAX + 1);
	size_t len = 0;

	for (uint32_t i = 0; i < PH_CONFIG_VALUES_MAX; i++)
		len += (size_t)snprintf(text + len, 64, "transfer.hiderefs=refs/%u\n", i);
	assert_int_equal(load(fix, text, text)->hide_upload.count, 2 * PH_CONFIG_VALUES_MAX);
	assert_true(ph_config_hidden(&fix->config.hide_receive, "refs/1023/x"));
	snprintf(text + len, 8, "a=b\n");
	put(fix, NULL, text);
	assert_int_equal(
	        ph_config_load(&fix->config, fix->store, fix->snapshot, &fix->memory.alloc),
	        PH_ERR_CORRUPT);
	assert_null(fix->config.memory);
	memset(text, 'x', PH_SETTING_BYTES_MAX);
	text[PH_SETTING_BYTES_MAX - 1] = '\n';
	assert_int_equal(load(fix, text, NULL)->hide_upload.count, 0);
	free(text);
}

static void test_no_memory(void **state)
{
	struct fixture *fix = *state;
	enum ph_status status = PH_ERR_NOMEM;

	put(fix, "transfer.hiderefs=refs/a\n", "transfer.hiderefs=refs/b\nreceive.denydeletes=1");
	for (unsigned i = 1; status == PH_ERR_NOMEM; i++) {
		int64_t live = fix->memory.live;

		assert_true(i < 100);
		fix->memory.fail_at = fix->memory.calls + i;
		status =
		        ph_config_load(&fix->config, fix->store, fix->snapshot, &fix->memory.alloc);
		fix->memory.fail_at = 0;
		if (status != PH_OK)
			assert_int_equal(fix->memory.live, live);
	}
	assert_int_equal(status, PH_OK);
	assert_int_equal(fix->config.hide_upload.count, 2);
}

static void test_paths(void **state)
{
	struct fixture *fix = *state;
	static const char text[] =
	        "packhorse.allowedpaths=/docs/\npackhorse.allowedpaths=*.md\n"
	        "packhorse.allowedpaths=src/*/tests\npackhorse.allowedpaths=!old\n"
	        "packhorse.allowedpaths=a/**/z\n";
	static const struct {
		const char *path;
		bool matches;
	} cases[] = {
	        {"docs", true},           {"docs/a/b", true},    {"docs-a", false},
	        {"x/docs/a", false},      {"README.md", true},   {"a/b/README.md", true},
	        {"README.md/x", true},    {"README.mdx", false}, {"src/a/tests/x", true},
	        {"src/a/b/tests", false}, {"src/tests", false},  {"docs/old/x", false},
	        {"docs/older", true},     {"old", false},        {"a/z", true},
	        {"a/b/c/z/d", true},      {"b/a/z", false},      {"", false},
	};
	const struct ph_config_list *list = &load(fix, NULL, text)->allowed_paths;
	uint64_t cost = 0;

	assert_int_equal(list->count, 5);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (ph_config_path(list, cases[i].path, &cost) != cases[i].matches)
			fail_msg("%s", cases[i].path);
	assert_true(cost > 0);
}

/* The disk's reserve is the server's, whatever a repository says. */
static void test_of_server(void **state)
{
	struct fixture *fix = *state;
	const struct ph_config *config =
	        load(fix, "packhorse.diskreserve=7\npackhorse.maxobjectsize=5\n",
	             "packhorse.diskreserve=0\npackhorse.maxobjectsize=6k\n");

	assert_int_equal(config->disk_reserve_bytes, 7);
	assert_int_equal(config->max_object_bytes, 6144);
	assert_true(ph_config_of_server("packhorse.diskReserve"));
	assert_false(ph_config_of_server("packhorse.maxObjectSize"));
	assert_false(ph_config_of_server("no.key"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_bools, setup, teardown),
	        cmocka_unit_test(test_numbers),
	        cmocka_unit_test_setup_teardown(test_later_counts, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_fsck, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_wants, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_filters, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_hidden, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_of_server, setup, teardown),
	        cmocka_unit_test(test_keys),
	        cmocka_unit_test(test_check),
	        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
