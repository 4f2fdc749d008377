/* SPDX-License-Identifier: MIT */
/* What the configuration keeps from pushes: hidden refs, deletions, and moves that lose history. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "push_support.h"

#include <string.h>

#define CAPS "report-status"

static struct fixture f;
static struct ph_test_buf request;
static struct answer answer;

static void set_symref(const char *name, const char *target)
{
	struct ph_txn *txn = begin_change(&f, "demo");
	uint32_t change;

	assert_int_equal(ph_txn_symref_update(txn, name, NULL, target, &change), PH_OK);
	commit_change(txn);
}

static void again(void)
{
	next_request(&request, &answer);
}

static int setup(void **state)
{
	(void)state;
	begin_demo(&f, &request, &answer);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	end_demo(&f, &request, &answer);
	return 0;
}

/* Sends what is in the request, with an empty pack unless it only deletes. */
static void send(bool pack, const char *lines)
{
	flush(&request);
	if (pack)
		pack_of(&f, NULL, 0, &request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, lines);
}

static void create(const char *name, uint32_t entry)
{
	command(&request, zero(&f), hex(&f, entry), name, CAPS);
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	push(&f, "demo", &request, &answer);
	again();
}

static void test_hidden(void **state)
{
	(void)state;
	create("refs/hide/old", f.commit[0]);
	set_symref("refs/heads/alias", "refs/hide/old");
	set_config(&f, "demo", "transfer.hiderefs=refs/hide\nuploadpack.hiderefs=refs/heads\n");
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[1]), "refs/hide/old", CAPS);
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/hide/new", NULL);
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[1]), "refs/heads/alias", NULL);
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/hide", NULL);
	send(true, "unpack ok\nng refs/hide/old deny updating a hidden ref\n"
	           "ng refs/hide/new deny updating a hidden ref\n"
	           "ng refs/heads/alias deny updating a hidden ref\n"
	           "ok refs/heads/hide\n");
	/* It is told nowhere, and what is hidden from fetches alone is. */
	answer.out.data[answer.advert - 1] = 0;
	assert_null(strstr((const char *)answer.out.data, "refs/hide"));
	assert_null(strstr((const char *)answer.out.data, "alias"));
	assert_null(strstr((const char *)answer.out.data, ".have"));
	assert_string_equal(ref_value(&f, "demo", "refs/hide/old"), hex(&f, f.commit[0]));
	assert_string_equal(ref_value(&f, "demo", "refs/hide/new"), "");
	again();
	command(&request, hex(&f, f.commit[0]), zero(&f), "refs/hide/old", CAPS);
	command(&request, zero(&f), zero(&f), "refs/hide/none", NULL);
	send(false, "unpack ok\nng refs/hide/old deny deleting a hidden ref\n"
	            "ng refs/hide/none deny deleting a hidden ref\n");
	assert_string_equal(ref_value(&f, "demo", "refs/hide/old"), hex(&f, f.commit[0]));
}

static void test_hidden_atomic(void **state)
{
	(void)state;
	set_config(&f, "demo", "receive.hiderefs=refs/hide\n");
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/hide/new", CAPS " atomic");
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/new", NULL);
	send(true, "unpack ok\nng refs/hide/new deny updating a hidden ref\n"
	           "ng refs/heads/new atomic push failure\n");
	assert_string_equal(ref_value(&f, "demo", "refs/heads/new"), "");
}

static void test_deletes(void **state)
{
	(void)state;
	create("refs/heads/other", f.commit[0]);
	set_config(&f, "demo", "receive.denydeletes=true\n");
	command(&request, hex(&f, f.commit[0]), zero(&f), "refs/heads/other", CAPS);
	command(&request, hex(&f, f.tag), zero(&f), "refs/tags/v1", NULL);
	send(false, "unpack ok\nng refs/heads/other deletion prohibited\nok refs/tags/v1\n");
	assert_true(says(&answer, "denying ref deletion for refs/heads/other"));
	assert_string_equal(ref_value(&f, "demo", "refs/heads/other"), hex(&f, f.commit[0]));
	again();
	set_config(&f, "demo", "receive.denydeletes=false\n");
	command(&request, hex(&f, f.commit[0]), zero(&f), "refs/heads/other", CAPS);
	send(false, "unpack ok\nok refs/heads/other\n");
}

static void test_non_fast_forwards(void **state)
{
	static const char unknown[] = "1111111111111111111111111111111111111111";

	(void)state;
	create("refs/heads/old", f.commit[0]);
	create("refs/x/new", f.commit[1]);
	set_config(&f, "demo", "receive.denynonfastforwards=true\n");
	command(&request, hex(&f, f.commit[1]), hex(&f, f.commit[0]), "refs/heads/main", CAPS);
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[1]), "refs/heads/old", NULL);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/new", NULL);
	command(&request, unknown, hex(&f, f.commit[0]), "refs/heads/x", NULL);
	command(&request, hex(&f, f.commit[1]), hex(&f, f.commit[0]), "refs/x/new", NULL);
	send(true, "unpack ok\nng refs/heads/main non-fast-forward\nok refs/heads/old\n"
	           "ok refs/heads/new\nng refs/heads/x reference does not exist\n"
	           "ok refs/x/new\n");
	assert_true(says(&answer, "denying non-fast-forward refs/heads/main"));
	assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), hex(&f, f.commit[1]));
}

/* However little is done at a time. */
static void test_slices(void **state)
{
	struct pump how = {.feed = FEED_AT_ONCE, .budget = 1};

	(void)state;
	set_config(&f, "demo", "receive.denynonfastforwards=true\nreceive.hiderefs=refs/hide\n");
	command(&request, hex(&f, f.commit[1]), hex(&f, f.commit[0]), "refs/heads/main", CAPS);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/hide/a", NULL);
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	assert_int_equal(push_how(&f, "demo", 0, &how, &request, &answer), PH_OK);
	expect_report(&answer, "unpack ok\nng refs/heads/main non-fast-forward\n"
	                       "ng refs/hide/a deny updating a hidden ref\n");
}

static void test_no_memory(void **state)
{
	int64_t live = f.memory.live;

	(void)state;
	set_config(&f, "demo", "receive.denynonfastforwards=true\nreceive.hiderefs=refs/hide\n");
	live = f.memory.live;
	command(&request, hex(&f, f.commit[1]), hex(&f, f.commit[0]), "refs/heads/main", CAPS);
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	for (unsigned i = 1; i < 2000; i++) {
		struct pump how = {.feed = FEED_AT_ONCE};
		uint64_t calls = f.memory.calls;
		enum ph_status status;

		f.memory.fail_at = calls + i;
		status = push_how(&f, "demo", 0, &how, &request, &answer);
		f.memory.fail_at = 0;
		assert_int_equal(f.memory.live, live);
		assert_string_equal(ref_value(&f, "demo", "refs/heads/main"), hex(&f, f.commit[1]));
		if (status == PH_OK && f.memory.calls < calls + i)
			return;
		answer_release(&answer);
		memset(&answer, 0, sizeof(answer));
	}
	fail();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_hidden, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_hidden_atomic, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_deletes, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_non_fast_forwards, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_slices, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
