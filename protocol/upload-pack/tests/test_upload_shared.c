/* SPDX-License-Identifier: MIT */
/*
 * Sessions that ask the same at the same time, run a step at a time in turn: one selects, the other
 * waits and sends the same bytes; whoever selects may vanish at any step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#define FETCH "command=fetch|agent=git/test|object-format=sha1|0001|ofs-delta|"
#define MAIN FETCH "want $c5|include-tag|done|0000"
#define SIDE FETCH "want $s1|include-tag|done|0000"
#define STEPS_MAX 100000u

struct talk {
	struct ph_session *session;
	struct ph_test_buf input, out, err;
	size_t given;
	bool waited;
	int status; /* -1 until it is done */
};

static void talk_begin(struct fix *fix, struct talk *talk, const char *script)
{
	memset(talk, 0, sizeof(*talk));
	talk->status = -1;
	fix_say(fix, &talk->input, script);
	talk->session = fix_open(fix, 2);
}

static void talk_end(struct talk *talk)
{
	ph_session_free(talk->session);
	ph_test_buf_release(&talk->input);
	ph_test_buf_release(&talk->out);
	ph_test_buf_release(&talk->err);
}

static bool drain(struct talk *talk, enum ph_stream stream, struct ph_test_buf *to)
{
	size_t len;
	const uint8_t *data = ph_session_output_buf(talk->session, stream, &len);

	if (len > 0)
		ph_test_buf_append(to, data, len);
	ph_session_output_ack(talk->session, stream, len);
	return len > 0;
}

/* One step of anything that can be done; false when there is nothing but to wait, or it is over. */
static bool talk_step(struct talk *talk)
{
	unsigned state;
	size_t room;
	uint8_t *in;

	if (!talk->session)
		return false;
	if (drain(talk, PH_STREAM_OUT, &talk->out))
		return true;
	if (drain(talk, PH_STREAM_ERR, &talk->err))
		return true;
	state = ph_session_state(talk->session);
	if (state & PH_DONE) {
		talk->status = ph_session_exit_status(talk->session);
		return false;
	}
	if ((state & PH_WANT_INPUT) && talk->given <= talk->input.len) {
		in = ph_session_input_buf(talk->session, &room);
		if (talk->given == talk->input.len) {
			talk->given++;
			ph_session_input_eof(talk->session);
			return true;
		}
		if (room > talk->input.len - talk->given)
			room = talk->input.len - talk->given;
		if (room > 0)
			memcpy(in, talk->input.data + talk->given, room);
		talk->given += room;
		ph_session_input_ack(talk->session, room);
		return true;
	}
	talk->waited |= (state & PH_WAITING) != 0;
	if (!(state & PH_WANT_RUN))
		return false;
	ph_session_run(talk->session, 1000, 0, 1);
	return true;
}

static void both(struct talk *a, struct talk *b)
{
	for (unsigned i = 0; i < STEPS_MAX; i++) {
		bool a_moved = talk_step(a), b_moved = talk_step(b);

		if (!a_moved && !b_moved)
			return;
	}
	fail_msg("sessions without end");
}

static int setup(void **state)
{
	struct fix *fix;

	fix_setup(state);
	fix = *state;
	assert_int_equal(ph_selections_new(&fix->selections, &fix->memory.alloc, NULL), PH_OK);
	return 0;
}

static int teardown(void **state)
{
	struct fix *fix = *state;

	ph_selections_free(fix->selections);
	return fix_teardown(state);
}

static void check_same(const struct talk *a, const struct talk *b)
{
	assert_int_equal(a->status, 0);
	assert_int_equal(b->status, 0);
	assert_int_equal(a->out.len, b->out.len);
	assert_memory_equal(a->out.data, b->out.data, a->out.len);
}

static void two_ask_the_same(void **state)
{
	struct fix *fix = *state;
	struct ph_selections_counts counts;
	struct ph_selections *selections = fix->selections;
	struct talk alone, a, b, idle = {0};

	fix->selections = NULL;
	talk_begin(fix, &alone, MAIN);
	both(&alone, &idle);
	fix->selections = selections;
	talk_begin(fix, &a, MAIN);
	talk_begin(fix, &b, MAIN);
	both(&a, &b);
	check_same(&alone, &a);
	check_same(&a, &b);
	assert_true(a.waited || b.waited);
	ph_selections_counts(selections, &counts);
	assert_int_equal(counts.made, 1);
	assert_int_equal(counts.shared, 1);
	talk_end(&alone);
	talk_end(&a);
	talk_end(&b);
}

static void check_not_shared(struct fix *fix, struct talk *a, struct talk *b)
{
	struct ph_selections_counts before, after;

	ph_selections_counts(fix->selections, &before);
	both(a, b);
	assert_int_equal(a->status, 0);
	assert_int_equal(b->status, 0);
	ph_selections_counts(fix->selections, &after);
	assert_int_equal(after.made, before.made + 2);
	assert_int_equal(after.shared, before.shared);
	talk_end(a);
	talk_end(b);
}

static void others_ask_for_something_else(void **state)
{
	static const char *const scripts[] = {
	        SIDE,
	        FETCH "want $c5|done|0000",
	        FETCH "want $c5|include-tag|have $c2|done|0000",
	        FETCH "want $c5|include-tag|deepen 2|done|0000",
	        FETCH "want $c5|include-tag|filter blob:none|done|0000",
	};
	struct fix *fix = *state;
	struct talk a, b;

	for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts); i++) {
		talk_begin(fix, &a, MAIN);
		talk_begin(fix, &b, scripts[i]);
		check_not_shared(fix, &a, &b);
	}
	/* The same words about another state of the repository. */
	talk_begin(fix, &a, MAIN);
	for (unsigned i = 0; i < 3; i++)
		talk_step(&a);
	fix_set_ref(fix, "refs/tags/v1", "");
	talk_begin(fix, &b, MAIN);
	check_not_shared(fix, &a, &b);
}

/* At each step of the first one's life; the second is somewhere behind. */
static void the_first_vanishes(void **state)
{
	struct fix *fix = *state;
	struct talk alone, idle = {0};
	unsigned waited = 0;

	talk_begin(fix, &alone, MAIN);
	both(&alone, &idle);
	for (unsigned steps = 0;; steps++) {
		struct talk a, b;
		unsigned i;

		talk_begin(fix, &a, MAIN);
		talk_begin(fix, &b, MAIN);
		for (i = 0; i < steps && talk_step(&a); i++)
			talk_step(&b);
		ph_session_free(a.session);
		a.session = NULL;
		both(&a, &b);
		check_same(&alone, &b);
		waited += b.waited;
		talk_end(&a);
		talk_end(&b);
		if (i < steps)
			break;
	}
	assert_true(waited > 10);
	talk_end(&alone);
}

static void memory_ends(void **state)
{
	struct fix *fix = *state;
	struct talk alone, idle = {0};
	uint64_t calls;

	talk_begin(fix, &alone, MAIN);
	both(&alone, &idle);
	calls = fix->memory.calls;
	for (uint64_t i = 1;; i++) {
		uint64_t before = fix->memory.calls;
		struct talk a, b;

		fix->memory.fail_at = before + i;
		talk_begin(fix, &a, MAIN);
		talk_begin(fix, &b, MAIN);
		both(&a, &b);
		fix->memory.fail_at = 0;
		/* At most one of them fails, and what the other says is right. */
		assert_true(a.status == 0 || b.status == 0);
		if (a.status == 0)
			check_same(&alone, &a);
		if (b.status == 0)
			check_same(&alone, &b);
		talk_end(&a);
		talk_end(&b);
		if (fix->memory.calls < before + i)
			break;
	}
	assert_true(fix->memory.calls > calls + 100);
	talk_end(&alone);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(two_ask_the_same),
	        TEST(others_ask_for_something_else),
	        TEST(the_first_vanishes),
	        TEST(memory_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
