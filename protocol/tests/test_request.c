/* SPDX-License-Identifier: MIT */
/* Command lines of exec requests, GIT_PROTOCOL values, and names of repositories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <packhorse/service.h>

#include <string.h>

static enum ph_status parse(struct ph_request *out, const char *command)
{
	return ph_request_parse(out, command, strlen(command), NULL);
}

static void test_services(void **state)
{
	static const struct {
		const char *command;
		enum ph_request_kind kind;
		const char *repo;
	} rows[] = {
	        {"git-upload-pack 'a/b.git'", PH_REQUEST_UPLOAD_PACK, "a/b"},
	        {"git upload-pack '/a.git/'", PH_REQUEST_UPLOAD_PACK, "a"},
	        {"git-receive-pack a", PH_REQUEST_RECEIVE_PACK, "a"},
	        {"git-receive-pack '//srv///a'", PH_REQUEST_RECEIVE_PACK, "srv/a"},
	        {"git-upload-archive 'x'", PH_REQUEST_UPLOAD_ARCHIVE, "x"},
	        {"git-upload-pack 'it'\\''s'", PH_REQUEST_UPLOAD_PACK, "it's"},
	        {"git-upload-pack 'wow'\\!'.git'", PH_REQUEST_UPLOAD_PACK, "wow!"},
	        {"git-upload-pack 'a b; rm -rf $HOME `x`'", PH_REQUEST_UPLOAD_PACK,
	         "a b; rm -rf $HOME `x`"},
	        {"  git   upload-pack   'a' ", PH_REQUEST_UPLOAD_PACK, "a"},
	        {"git-upload-pack 'caf\xc3\xa9'", PH_REQUEST_UPLOAD_PACK, "caf\xc3\xa9"},
	};
	struct ph_request request;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(parse(&request, rows[i].command), PH_OK);
		assert_int_equal(request.kind, rows[i].kind);
		assert_string_equal(request.repo, rows[i].repo);
		assert_int_equal(request.version, 0);
	}
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
	        "",
	        "   ",
	        "git-upload-pack",
	        "git-upload-pack ''",
	        "git-upload-pack 'a' 'b'",
	        "git-upload-pack 'a' --strict",
	        "git-upload-pack --strict 'a'",
	        "git-upload-pack '--help'",
	        "git-upload-pack 'a",
	        "git-upload-pack 'a'\\",
	        "git-upload-pack a\\ b",
	        "git-upload-pack \\a",
	        "git-upload-pack \"a\"",
	        "git-upload-pack $HOME",
	        "git-upload-pack a;id",
	        "git-upload-pack a|id",
	        "git-upload-pack a&",
	        "git-upload-pack `id`",
	        "git-upload-pack (a)",
	        "git-upload-pack <a",
	        "git-upload-pack 'a\nb'",
	        "git-upload-pack 'a'\tb",
	        "git-upload-pack 'a\x7f'",
	        "git-upload-pack '..'",
	        "git-upload-pack 'a/../b'",
	        "git-upload-pack './a'",
	        "git-upload-pack '~/a'",
	        "git-upload-pack '~joe/a'",
	        "git-upload-pack '/~joe/a'",
	        "git-upload-pack '/'",
	        "git-upload-pack '.git'",
	        "git-upload-pack 'a/.git'",
	        "git-upload-pack 'a.git.git'",
	        "git-upload-pack 'a\\b'",
	};
	struct ph_request request;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(parse(&request, bad[i]), PH_ERR_INVALID);
	assert_int_equal(ph_request_parse(&request, "git-upload-pack 'a\0b'", 21, NULL),
	                 PH_ERR_INVALID);
}

static void test_owner_commands(void **state)
{
	struct ph_request request;

	(void)state;
	assert_int_equal(parse(&request, "repo create 'a b' --object-format=sha256"), PH_OK);
	assert_int_equal(request.kind, PH_REQUEST_OTHER);
	assert_int_equal(request.argc, 4);
	assert_string_equal(request.argv[0], "repo");
	assert_string_equal(request.argv[1], "create");
	assert_string_equal(request.argv[2], "a b");
	assert_string_equal(request.argv[3], "--object-format=sha256");
	assert_int_equal(parse(&request, "git"), PH_OK);
	assert_int_equal(request.kind, PH_REQUEST_OTHER);
	assert_int_equal(parse(&request, "git-shell ''"), PH_OK);
	assert_int_equal(request.kind, PH_REQUEST_OTHER);
	assert_string_equal(request.argv[1], "");
	assert_int_equal(parse(&request, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"), PH_OK);
	assert_int_equal(request.argc, 16);
	assert_int_equal(parse(&request, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"),
	                 PH_ERR_INVALID);
}

static void test_lengths(void **state)
{
	struct ph_request request;
	char command[PH_REQUEST_BYTES_MAX + 2];
	char name[PH_REPO_NAME_MAX + 10];

	(void)state;
	memset(command, 'x', sizeof(command));
	assert_int_equal(ph_request_parse(&request, command, PH_REQUEST_BYTES_MAX, NULL), PH_OK);
	assert_int_equal(strlen(request.argv[0]), PH_REQUEST_BYTES_MAX);
	assert_int_equal(ph_request_parse(&request, command, PH_REQUEST_BYTES_MAX + 1, NULL),
	                 PH_ERR_LIMIT);
	memcpy(command, "git-upload-pack ", 16);
	assert_int_equal(ph_request_parse(&request, command, 16 + PH_REPO_NAME_MAX, NULL), PH_OK);
	assert_int_equal(strlen(request.repo), PH_REPO_NAME_MAX);
	assert_int_equal(ph_request_parse(&request, command, 17 + PH_REPO_NAME_MAX, NULL),
	                 PH_ERR_LIMIT);
	/* What is taken off does not count. */
	memset(name, '/', sizeof(name));
	name[8] = 'a';
	assert_int_equal(ph_repo_name_canonical(request.repo, name, sizeof(name)), PH_OK);
	assert_string_equal(request.repo, "a");
}

static void test_protocol(void **state)
{
	static const struct {
		const char *value;
		int version;
	} rows[] = {
	        {NULL, 0},
	        {"", 0},
	        {"version=2", 2},
	        {"version=1", 1},
	        {"version=0", 0},
	        {"version=3", 0},
	        {"version=22", 0},
	        {"version=", 0},
	        {"version=1:version=2", 2},
	        {"version=2:version=1", 2},
	        {"foo:version=2", 2},
	        {"foo:version=2:", 2},
	        {"::version=1::", 1},
	        {"foo=version=2", 0},
	        {"xversion=2", 0},
	        {"version=2 ", 0},
	        {"version=2\n", 0},
	        {"version=2;x", 0},
	};
	struct ph_request request;
	char longest[300];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(ph_request_parse(&request, "x", 1, rows[i].value), PH_OK);
		assert_int_equal(request.version, rows[i].version);
	}
	memset(longest, ':', sizeof(longest));
	memcpy(longest, "version=2", 9);
	longest[256] = 0;
	assert_int_equal(ph_request_parse(&request, "x", 1, longest), PH_OK);
	assert_int_equal(request.version, 2);
	longest[256] = ':';
	longest[257] = 0;
	assert_int_equal(ph_request_parse(&request, "x", 1, longest), PH_OK);
	assert_int_equal(request.version, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_services),       cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_owner_commands), cmocka_unit_test(test_lengths),
	        cmocka_unit_test(test_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
