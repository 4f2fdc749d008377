/* SPDX-License-Identifier: MIT */
/* An owner's calls: their order, what they are shown, how they wait, and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "push_support.h"

#include <packhorse/reader.h>
#include <stdio.h>
#include <string.h>

#define CAPS "report-status"
#define SIDE "report-status side-band-64k"

/* One owner: notes what it is asked, and answers as it is told to. */
static struct {
	struct ph_test_buf calls; /* a line for each that was answered */
	const char *refuses;      /* the call that is refused, by the first word of its line */
	const char *why;
	const char *pending; /* calls with this letter wait: "aqpu" */
	bool asked;          /* the one that waits was made once */
	bool at_once;        /* it is woken before it has answered */
	bool says;
	uint64_t quota;
	ph_wake wake;
	void *arg;
	unsigned runs, waits;
} owner;

static struct ph_policy policy;
static struct fixture f;
static struct ph_test_buf request;
static struct answer answer;

/* Whether this call is answered later. */
static bool waits(char letter, const struct ph_push *push)
{
	if (!owner.pending || !strchr(owner.pending, letter))
		return false;
	owner.asked = !owner.asked;
	if (!owner.asked)
		return false;
	owner.waits++;
	owner.runs = 3;
	owner.wake = push->wake;
	owner.arg = push->wake_arg;
	if (owner.at_once)
		push->wake(push->wake_arg);
	return true;
}

static enum ph_status answered(const char *name, const char **why)
{
	if (!owner.refuses || strcmp(owner.refuses, name) != 0)
		return PH_OK;
	*why = owner.why;
	return PH_ERR_DENIED;
}

static void woken(void *user)
{
	(void)user;
	owner.wake(owner.arg);
}

static void note_commands(const struct ph_push *push)
{
	for (uint32_t i = 0; i < push->count; i++)
		ph_test_buf_print(&owner.calls, " %s%s%s", push->commands[i].name,
		                  push->commands[i].error ? "=" : "",
		                  push->commands[i].error ? push->commands[i].error : "");
}

static enum ph_status authorise(void *user, const struct ph_push *push, const char **why)
{
	assert_ptr_equal(user, &owner);
	assert_int_equal(push->count, 0);
	if (waits('a', push))
		return PH_PENDING;
	ph_test_buf_print(&owner.calls, "authorise %s %s\n", push->repo, push->identity);
	return answered("authorise", why);
}

static enum ph_status quota(void *user, const struct ph_push *push, uint64_t *bytes,
                            const char **why)
{
	(void)user;
	if (waits('q', push))
		return PH_PENDING;
	assert_true(*bytes == UINT64_MAX);
	ph_test_buf_print(&owner.calls, "quota\n");
	if (owner.quota)
		*bytes = owner.quota;
	return answered("quota", why);
}

/* Reads what a command would set: in the quarantine, or not at all. */
static void read_new(const struct ph_push *push, uint32_t command)
{
	const struct ph_push_command *c = &push->commands[command];
	struct ph_reader *reader;
	struct ph_object object;
	enum ph_status status;

	if (ph_oid_is_zero(&c->new_oid) || f.memory.fail_at)
		return;
	assert_non_null(push->source);
	assert_int_equal(ph_reader_new(&reader, push->source, f.service.alloc, &f.limits), PH_OK);
	status = ph_reader_read_oid(reader, &c->new_oid, 1000, &object);
	assert_int_equal(status, PH_OK);
	ph_object_release(reader, &object);
	ph_reader_free(reader);
}

static enum ph_status pre_receive(void *user, const struct ph_push *push, const char **why)
{
	struct ph_snapshot *seen;

	(void)user;
	if (waits('p', push))
		return PH_PENDING;
	ph_test_buf_print(&owner.calls, "pre");
	note_commands(push);
	ph_test_buf_print(&owner.calls, "\n");
	for (uint32_t i = 0; i < push->count; i++)
		if (!push->commands[i].error)
			read_new(push, i);
	/* Nobody else sees it. */
	if (ph_store_snapshot(f.store, push->repo, &seen) == PH_OK) {
		const struct ph_source *source = ph_snapshot_source(seen);
		struct ph_loc loc;

		if (push->pack_objects)
			assert_int_equal(
			        source->ops->find(source, &push->commands[0].new_oid, &loc),
			        PH_ERR_NOT_FOUND);
		ph_snapshot_release(seen);
	}
	if (owner.says)
		push->say(push, "looked at\a it");
	return answered("pre", why);
}

static enum ph_status update(void *user, const struct ph_push *push, uint32_t command,
                             const char **why)
{
	const struct ph_push_command *c = &push->commands[command];

	(void)user;
	assert_null(c->error);
	if (waits('u', push))
		return PH_PENDING;
	read_new(push, command);
	ph_test_buf_print(&owner.calls, "update %s\n", c->name);
	return answered(strrchr(c->name, '/') + 1, why);
}

static void post_receive(void *user, const struct ph_push *push)
{
	(void)user;
	ph_test_buf_print(&owner.calls, "post");
	note_commands(push);
	ph_test_buf_print(&owner.calls, "\n");
	for (uint32_t i = 0; i < push->count; i++)
		read_new(push, i);
}

static int setup(void **state)
{
	(void)state;
	fixture_init(&f, PH_HASH_SHA1);
	memset(&owner, 0, sizeof(owner));
	memset(&request, 0, sizeof(request));
	memset(&answer, 0, sizeof(answer));
	policy = (struct ph_policy){.user = &owner,
	                            .authorise = authorise,
	                            .quota = quota,
	                            .pre_receive = pre_receive,
	                            .update = update,
	                            .post_receive = post_receive};
	f.service.policy = &policy;
	f.service.identity = "alice";
	return 0;
}

static void again(void)
{
	answer_release(&answer);
	ph_test_buf_clear(&request);
	ph_test_buf_clear(&owner.calls);
	memset(&answer, 0, sizeof(answer));
}

static int teardown(void **state)
{
	(void)state;
	again();
	ph_test_buf_release(&request);
	ph_test_buf_release(&owner.calls);
	fixture_release(&f);
	return 0;
}

static void expect_calls(const char *text)
{
	ph_test_buf_print(&owner.calls, "%c", 0);
	assert_string_equal((const char *)owner.calls.data, text);
}

static void ask_two(const char *caps)
{
	command(&request, zero(&f), hex(&f, f.commit[1]), "refs/heads/main", caps);
	command(&request, zero(&f), hex(&f, f.tag), "refs/tags/v1", NULL);
	flush(&request);
	pack_all(&f, &request);
}

static void test_order(void **state)
{
	(void)state;
	ask_two(CAPS);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\nok refs/tags/v1\n");
	expect_calls("authorise demo alice\nquota\npre refs/heads/main refs/tags/v1\n"
	             "update refs/heads/main\nupdate refs/tags/v1\n"
	             "post refs/heads/main refs/tags/v1\n");
}

/* Errors are shown to pre_receive; update and post_receive see what is left. A deletion has no pack
 * and no quota. */
static void test_errors(void **state)
{
	(void)state;
	f.service.policy = NULL;
	push_history(&f, "demo");
	f.service.policy = &policy;
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/twice", CAPS);
	command(&request, zero(&f), hex(&f, f.commit[0]), "refs/heads/twice", NULL);
	command(&request, hex(&f, f.tag), zero(&f), "refs/tags/v1", NULL);
	command(&request, hex(&f, f.commit[0]), hex(&f, f.commit[0]), "refs/heads/main", NULL);
	flush(&request);
	pack_of(&f, NULL, 0, &request);
	push(&f, "demo", &request, &answer);
	expect_calls("authorise demo alice\nquota\n"
	             "pre refs/heads/twice refs/heads/twice=multiple updates for one ref"
	             " refs/tags/v1 refs/heads/main\n"
	             "update refs/heads/twice\nupdate refs/tags/v1\nupdate refs/heads/main\n"
	             "post refs/heads/twice refs/tags/v1\n");
	again();
	command(&request, hex(&f, f.commit[0]), zero(&f), "refs/heads/twice", CAPS);
	flush(&request);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/twice\n");
	expect_calls("authorise demo alice\npre refs/heads/twice\nupdate refs/heads/twice\n"
	             "post refs/heads/twice\n");
}

static void refused(const char *call, const char *why, const char *caps)
{
	struct ph_test_buf before = {0}, after = {0};

	again();
	owner.refuses = call;
	owner.why = why;
	store_text(&f, &before);
	ask_two(caps);
	push(&f, "demo", &request, &answer);
	store_text(&f, &after);
	if (strcmp(call, "v1") != 0 || strstr(caps, "atomic"))
		assert_true(before.len == after.len &&
		            memcmp(before.data, after.data, after.len) == 0);
	ph_test_buf_release(&before);
	ph_test_buf_release(&after);
}

static void test_refused(void **state)
{
	(void)state;
	refused("authorise", NULL, CAPS);
	assert_true(says(&answer, "access denied"));
	assert_int_equal(answer.exit_status, 128);
	refused("authorise", "closed on Sundays", CAPS);
	assert_true(says(&answer, "ERR closed on Sundays"));
	expect_calls("authorise demo alice\n");
	refused("quota", "pay first", SIDE);
	assert_true(says(&answer, "unpack pay first"));
	assert_true(says(&answer, "ng refs/heads/main unpacker error"));
	expect_calls("authorise demo alice\nquota\n");
	refused("pre", NULL, CAPS);
	expect_report(&answer, "unpack ok\nng refs/heads/main pre-receive hook declined\n"
	                       "ng refs/tags/v1 pre-receive hook declined\n");
	refused("pre", "not\nnow", CAPS);
	expect_report(&answer, "unpack ok\nng refs/heads/main not?now\nng refs/tags/v1 not?now\n");
	expect_calls("authorise demo alice\nquota\npre refs/heads/main refs/tags/v1\n");
	refused("v1", "no tags", CAPS " atomic");
	expect_report(&answer, "unpack ok\nng refs/heads/main atomic push failure\n"
	                       "ng refs/tags/v1 no tags\n");
	refused("v1", NULL, CAPS);
	expect_report(&answer, "unpack ok\nok refs/heads/main\nng refs/tags/v1 hook declined\n");
	expect_calls("authorise demo alice\nquota\npre refs/heads/main refs/tags/v1\n"
	             "update refs/heads/main\nupdate refs/tags/v1\npost refs/heads/main\n");
}

/* A text of any length is cut to what a report's line has room for, behind a name of any length. */
static void test_long_text(void **state)
{
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	refused("pre", text, CAPS);
	text[200] = 0;
	assert_true(says(&answer, text));
	text[200] = 'x';
	text[201] = 0;
	assert_false(says(&answer, text));
}

static void test_quota(void **state)
{
	(void)state;
	owner.quota = 50;
	refused("none", NULL, SIDE);
	assert_true(says(&answer, "quota exceeded: the repository may take 50 bytes more"));
	assert_true(says(&answer, "unpack quota exceeded"));
	owner.quota = request.len;
	again();
	ask_two(CAPS);
	push(&f, "demo", &request, &answer);
	expect_report(&answer, "unpack ok\nok refs/heads/main\nok refs/tags/v1\n");
}

static void test_say(void **state)
{
	(void)state;
	owner.says = true;
	ask_two(SIDE);
	push(&f, "demo", &request, &answer);
	assert_true(says(&answer, "\002looked at\\x07 it\n"));
}

/* Every call waits once: with runs for the deadline in between, or woken before it answers. */
static void test_pending(void **state)
{
	(void)state;
	for (int at_once = 0; at_once < 2; at_once++) {
		for (enum feed feed = FEED_AT_ONCE; feed <= FEED_RANDOM; feed++) {
			struct pump how = {
			        .feed = feed, .seed = 7, .wait_runs = &owner.runs, .woken = woken};
			char repo[32];

			again();
			snprintf(repo, sizeof(repo), "r%d%d", at_once, (int)feed);
			owner.pending = "aqpu";
			owner.at_once = at_once;
			owner.waits = 0;
			ask_two(CAPS);
			assert_int_equal(push_how(&f, repo, 0, &how, &request, &answer), PH_OK);
			assert_true(answer.done);
			expect_report(&answer, "unpack ok\nok refs/heads/main\nok refs/tags/v1\n");
			assert_int_equal(owner.waits, 5);
		}
	}
}

/* Each refusal after a wait. */
static void test_pending_refused(void **state)
{
	static const char *const calls[] = {"authorise", "quota", "pre", "v1"};

	(void)state;
	owner.pending = "aqpu";
	owner.at_once = true;
	for (size_t i = 0; i < 4; i++) {
		refused(calls[i], "no", CAPS " atomic");
		assert_true(says(&answer, i == 0 ? "ERR no" : i == 1 ? "unpack no" : " no\n"));
	}
}

/* The nth allocation fails: the owner sees no push that is then lost without a word. */
static void test_no_memory(void **state)
{
	struct pump how = {.feed = FEED_AT_ONCE};
	unsigned refusals = 0;
	bool failed = true;

	(void)state;
	for (uint64_t n = 1; failed; n++) {
		enum ph_status status;
		char repo[32];
		bool posted;

		again();
		snprintf(repo, sizeof(repo), "r%u", (unsigned)n);
		ask_two(CAPS);
		owner.refuses = "v1";
		owner.why = n % 2 ? "no tags" : NULL;
		f.memory.fail_at = f.memory.calls + n;
		status = push_how(&f, repo, 0, &how, &request, &answer);
		failed = f.memory.calls >= f.memory.fail_at;
		f.memory.fail_at = 0;
		ph_test_buf_print(&owner.calls, "%c", 0);
		posted = strstr((char *)owner.calls.data, "post refs/heads/main\n") != NULL;
		if (status == PH_OK && *ref_value(&f, repo, "refs/heads/main")) {
			assert_true(posted);
			assert_string_equal(ref_value(&f, repo, "refs/tags/v1"), "");
		} else {
			assert_false(posted);
			refusals++;
		}
	}
	assert_true(refusals > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	        T(test_order),     T(test_errors),          T(test_refused),
	        T(test_long_text), T(test_quota),           T(test_say),
	        T(test_pending),   T(test_pending_refused), T(test_no_memory),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
