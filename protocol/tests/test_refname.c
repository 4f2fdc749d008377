/* SPDX-License-Identifier: MIT */
/* Rules for names of refs. check_refname.py compares the first function with git itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <packhorse/refname.h>

#include <string.h>

#define PROBE_BYTES 2000

static void test_valid(void **state)
{
	static const char *const good[] = {"refs/heads/main",
	                                   "refs/heads/a.b",
	                                   "refs/heads/a@b",
	                                   "refs/heads/@",
	                                   "a/b",
	                                   "refs/heads/{x}",
	                                   "refs/heads/x.lo",
	                                   "refs/heads/-x",
	                                   "refs/foo",
	                                   "refs/heads/caf\xc3\xa9",
	                                   "refs/heads/\xff",
	                                   "refs/heads/a]b"};
	static const char *const bad[] = {"",
	                                  "@",
	                                  "main",
	                                  "/refs/heads/x",
	                                  "refs/heads/",
	                                  "refs//heads",
	                                  "refs/heads/.x",
	                                  "refs/heads/x.lock",
	                                  "refs/x.lock/y",
	                                  "refs/heads/a..b",
	                                  "refs/heads/a b",
	                                  "refs/heads/a~b",
	                                  "refs/heads/a^b",
	                                  "refs/heads/a:b",
	                                  "refs/heads/a?b",
	                                  "refs/heads/a*b",
	                                  "refs/heads/a[b",
	                                  "refs/heads/a\\b",
	                                  "refs/heads/a@{b",
	                                  "refs/heads/x.",
	                                  "refs/heads/a\nb",
	                                  "refs/heads/a\x7f",
	                                  "refs/heads/..",
	                                  "refs/heads/.lock"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(ph_refname_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(ph_refname_valid(bad[i], strlen(bad[i])));
	assert_false(ph_refname_valid("refs/heads/a\0b", 14));
	/* Only the bytes given count, whatever follows them. */
	assert_true(ph_refname_valid("refs/heads/a b", 12));
}

static bool pushable(const char *name, const struct ph_limits *limits)
{
	return ph_refname_pushable(name, strlen(name), limits);
}

static void test_pushable(void **state)
{
	static const char *const good[] = {"refs/heads/main",
	                                   "refs/heads/caf\xc3\xa9",
	                                   "refs/remotes/origin/HEAD",
	                                   "refs/tags/v1.0",
	                                   "refs/for/main",
	                                   "refs/heads/a/-x",
	                                   "refs/heads/deadbeef",
	                                   "refs/heads/\xf0\x9f\x90\xb4"};
	static const char *const bad[] = {"HEAD",
	                                  "main",
	                                  "heads/main",
	                                  "refs/foo",
	                                  "refs/heads/HEAD",
	                                  "refs/tags/HEAD",
	                                  "refs/heads/-x",
	                                  "refs/tags/-x",
	                                  "refs/namespaces/a/refs/heads/b",
	                                  "refs/heads/\xff",
	                                  "refs/heads/\xc0\xaf",
	                                  "refs/heads/\xed\xa0\x80",
	                                  "refs/heads/\xf4\x90\x80\x80",
	                                  "refs/heads/\xc2\x9bm",
	                                  "refs/heads/\xc3",
	                                  "refs/heads/..",
	                                  "refs/heads/",
	                                  "refs/heads/0123456789012345678901234567890123456789"};
	struct ph_limits limits = {.ref_name_bytes_max = 40};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(pushable(good[i], &limits));
	limits.ref_name_bytes_max = 1024;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(pushable(bad[i], &limits));
}

static void test_length(void **state)
{
	struct ph_limits limits = {.ref_name_bytes_max = 15};
	char name[PROBE_BYTES];

	(void)state;
	assert_true(pushable("refs/heads/1234", &limits));
	assert_false(pushable("refs/heads/12345", &limits));
	/* A limit set too high does not lift what the store can hold. */
	limits.ref_name_bytes_max = UINT32_MAX;
	memset(name, 'x', sizeof(name));
	memcpy(name, "refs/heads/", 11);
	assert_true(ph_refname_pushable(name, 1024, &limits));
	assert_false(ph_refname_pushable(name, 1025, &limits));
	assert_false(ph_refname_deletable(name, 1025, &limits));
}

static void test_deletable(void **state)
{
	struct ph_limits limits = {.ref_name_bytes_max = 1024};

	(void)state;
	assert_true(ph_refname_deletable("refs/foo", 8, &limits));
	assert_true(ph_refname_deletable("refs/heads/-x", 13, &limits));
	assert_true(ph_refname_deletable("refs/heads/HEAD", 15, &limits));
	assert_false(ph_refname_deletable("refs/", 5, &limits));
	assert_false(ph_refname_deletable("HEAD", 4, &limits));
	assert_false(ph_refname_deletable("refs/a b", 8, &limits));
	assert_false(ph_refname_deletable("refs/../x", 9, &limits));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_valid),
	        cmocka_unit_test(test_pushable),
	        cmocka_unit_test(test_length),
	        cmocka_unit_test(test_deletable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
