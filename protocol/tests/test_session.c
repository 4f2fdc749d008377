/* SPDX-License-Identifier: MIT */
/* The machinery of sessions, driven with services of a few lines: flags, back-pressure, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "out_int.h"

#include <stdlib.h>
#include <string.h>

struct toy {
	struct ph_session session;
	enum ph_step (*step)(struct toy *toy, uint32_t *budget);
	unsigned steps;
	size_t sent;
	bool *freed;
	size_t made; /* by packets */
};

static enum ph_step toy_step(struct ph_session *session, uint32_t *budget)
{
	struct toy *toy = (struct toy *)session;

	assert_true(*budget > 0);
	toy->steps++;
	return toy->step(toy, budget);
}

static void toy_free(struct ph_session *session)
{
	*((struct toy *)session)->freed = true;
	ph__session_release(session);
}

static const struct ph_session_ops toy_ops = {toy_step, toy_free};

/* An allocator that refuses all but the first few calls. */
static unsigned allocs_left;

static void *few_alloc(void *user, size_t size)
{
	(void)user;
	return allocs_left && allocs_left-- ? malloc(size) : NULL;
}

static void *few_resize(void *user, void *ptr, size_t size)
{
	(void)user;
	return allocs_left && allocs_left-- ? realloc(ptr, size) : NULL;
}

static void few_free(void *user, void *ptr)
{
	(void)user;
	free(ptr);
}

static const struct ph_alloc alloc = {NULL, few_alloc, few_resize, few_free};
static struct ph_limits limits;
static unsigned wakes;
static bool freed;

static void wake(void *user, struct ph_session *session)
{
	(void)user;
	(void)session;
	wakes++;
}

static struct toy *toy_new(enum ph_step (*step)(struct toy *toy, uint32_t *budget))
{
	struct ph_service service = {.alloc = &alloc, .limits = &limits, .wake = wake};
	struct toy *toy;

	allocs_left = 100;
	wakes = 0;
	freed = false;
	memset(&limits, 0, sizeof(limits));
	limits.idle_ms_max = 1000;
	toy = calloc(1, sizeof(*toy));
	assert_non_null(toy);
	assert_int_equal(ph__session_init(&toy->session, &toy_ops, &service), PH_OK);
	toy->step = step;
	toy->freed = &freed;
	return toy;
}

static size_t feed(struct toy *toy, const char *text, size_t len)
{
	size_t room;
	uint8_t *buf = ph_session_input_buf(&toy->session, &room);

	if (room > len)
		room = len;
	if (room)
		memcpy(buf, text, room);
	ph_session_input_ack(&toy->session, room);
	return room;
}

/* Copies input to output until the input ends. */
static enum ph_step echo(struct toy *toy, uint32_t *budget)
{
	struct ph_session *session = &toy->session;
	size_t len, room = ph__session_room(session, PH_STREAM_OUT);
	const uint8_t *in = ph__session_input(session, &len);

	ph_budget_spend(budget, 1);
	if (len == 0)
		return session->eof ? PH_STEP_DONE : PH_STEP_INPUT;
	if (room == 0)
		return PH_STEP_OUTPUT;
	if (len > room)
		len = room;
	ph__session_put(session, PH_STREAM_OUT, in, len);
	ph__session_consume(session, len);
	return PH_STEP_AGAIN;
}

static void test_flags(void **state)
{
	struct toy *toy = toy_new(echo);
	struct ph_session *session = &toy->session;
	const uint8_t *out;
	size_t len;

	(void)state;
	assert_int_equal(ph_session_state(session), PH_WANT_INPUT | PH_WANT_RUN);
	ph_session_run(session, 0, 0, 100);
	assert_int_equal(ph_session_state(session), PH_WANT_INPUT);
	assert_int_equal(feed(toy, "hello", 5), 5);
	assert_int_equal(ph_session_state(session), PH_WANT_INPUT | PH_WANT_RUN);
	ph_session_run(session, 1, 0, 100);
	assert_int_equal(ph_session_state(session), PH_WANT_INPUT | PH_HAVE_OUTPUT);
	out = ph_session_output_buf(session, PH_STREAM_OUT, &len);
	assert_int_equal(len, 5);
	assert_memory_equal(out, "hello", 5);
	ph_session_output_ack(session, PH_STREAM_OUT, 5);
	assert_int_equal(ph_session_state(session), PH_WANT_INPUT);
	ph_session_input_eof(session);
	assert_int_equal(ph_session_state(session), PH_WANT_RUN);
	ph_session_input_buf(session, &len);
	assert_int_equal(len, 0);
	ph_session_run(session, 2, 0, 100);
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 0);
	assert_int_equal(ph_session_deadline(session), PH_NO_DEADLINE);
	ph_session_free(session);
	assert_true(freed);
	ph_session_free(NULL);
}

/* Whatever is fed and taken in whatever pieces, all of it comes out, in order. */
static void test_back_pressure(void **state)
{
	struct toy *toy = toy_new(echo);
	struct ph_session *session = &toy->session;
	uint32_t random = 1;
	size_t fed = 0, taken = 0, total = 3u << 20, len;
	unsigned full = 0;

	(void)state;
	while (taken < total) {
		char piece[7000];
		size_t n = 0;
		const uint8_t *out;

		random = random * 1664525 + 1013904223;
		for (; n < 1 + random % sizeof(piece) && fed + n < total; n++)
			piece[n] = (char)((fed + n) * 31 >> 3);
		fed += feed(toy, piece, n);
		if (ph_session_state(session) & PH_WANT_RUN)
			ph_session_run(session, 0, 0, 1 + random % 3);
		else if (session->last == PH_STEP_OUTPUT)
			full++;
		if (random >> 8 & 15 && fed < total)
			continue;
		out = ph_session_output_buf(session, PH_STREAM_OUT, &len);
		len = len ? 1 + (random >> 4) % len : 0;
		for (size_t i = 0; i < len; i++)
			assert_int_equal((char)out[i], (char)((taken + i) * 31 >> 3));
		ph_session_output_ack(session, PH_STREAM_OUT, len);
		taken += len;
	}
	assert_true(full > 0);
	ph_session_free(session);
}

static enum ph_step spin(struct toy *toy, uint32_t *budget)
{
	(void)toy;
	(void)budget;
	return PH_STEP_AGAIN;
}

static void test_budget_ends_every_loop(void **state)
{
	struct toy *toy = toy_new(spin);

	(void)state;
	ph_session_run(&toy->session, 0, 0, 10);
	assert_int_equal(toy->steps, 10);
	ph_session_run(&toy->session, 0, 0, 0);
	assert_int_equal(toy->steps, 11);
	assert_true(ph_session_state(&toy->session) & PH_WANT_RUN);
	ph_session_free(&toy->session);
}

static enum ph_step wait_once(struct toy *toy, uint32_t *budget)
{
	(void)budget;
	toy->session.deadline_ms = 500;
	return toy->steps > 1 ? PH_STEP_DONE : PH_STEP_WAIT;
}

static void test_waiting(void **state)
{
	struct toy *toy = toy_new(wait_once);
	struct ph_session *session = &toy->session;

	(void)state;
	ph_session_run(session, 0, 0, 10);
	assert_int_equal(ph_session_state(session), PH_WAITING | PH_WANT_INPUT);
	assert_int_equal(ph_session_deadline(session), 500);
	ph__session_wake(session);
	assert_int_equal(wakes, 1);
	assert_int_equal(ph_session_state(session), PH_WAITING | PH_WANT_INPUT | PH_WANT_RUN);
	/* Waiting for something of ours is not the peer's idling. */
	ph_session_run(session, 100000, 0, 10);
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 0);
	ph_session_free(session);
}

static void test_idle_input(void **state)
{
	struct toy *toy = toy_new(echo);
	struct ph_session *session = &toy->session;
	size_t len;

	(void)state;
	ph_session_run(session, 5000, 0, 10);
	assert_int_equal(ph_session_deadline(session), 6000);
	ph_session_run(session, 5999, 0, 10);
	assert_int_equal(ph_session_state(session), PH_WANT_INPUT);
	feed(toy, "x", 1);
	ph_session_run(session, 5999, 0, 10);
	assert_int_equal(ph_session_deadline(session), 6999);
	ph_session_run(session, 6999, 0, 10);
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 128);
	assert_null(ph_session_output_buf(session, PH_STREAM_OUT, &len));
	ph_session_free(session);
}

static enum ph_step fill(struct toy *toy, uint32_t *budget)
{
	size_t room;
	uint8_t *out = ph__session_put_buf(&toy->session, PH_STREAM_OUT, &room);

	ph_budget_spend(budget, 1);
	if (room == 0)
		return PH_STEP_OUTPUT;
	memset(out, 'x', room);
	ph__session_put_done(&toy->session, PH_STREAM_OUT, room);
	return PH_STEP_AGAIN;
}

/* A client that stops reading costs one buffer, and ends at the limit. */
static void test_idle_output(void **state)
{
	struct toy *toy = toy_new(fill);
	struct ph_session *session = &toy->session;
	size_t len;

	(void)state;
	ph_session_run(session, 0, 0, 10);
	assert_int_equal(ph_session_state(session), PH_WANT_INPUT | PH_HAVE_OUTPUT);
	ph_session_output_buf(session, PH_STREAM_OUT, &len);
	assert_int_equal(len, PH_SESSION_OUT_BYTES);
	ph_session_output_ack(session, PH_STREAM_OUT, 1);
	ph_session_run(session, 900, 0, 10);
	assert_int_equal(ph_session_deadline(session), 1900);
	ph_session_run(session, 1900, 0, 10);
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 128);
	ph_session_free(session);
}

#define STREAM_BYTES (3u << 20)

/* The bytes of a stream, in packets that are held for a step before they are seen. */
static enum ph_step packets(struct toy *toy, uint32_t *budget)
{
	struct ph_session *session = &toy->session;
	size_t room, held = session->out[PH_STREAM_OUT].held;
	uint8_t *out = ph__session_put_buf(session, PH_STREAM_OUT, &room);

	ph_budget_spend(budget, 1);
	for (size_t i = 0; i < held; i++)
		assert_int_equal(out[i], (uint8_t)((toy->made + i) * 31 >> 3));
	if (held) {
		ph__session_put_done(session, PH_STREAM_OUT, held);
		toy->made += held;
		return toy->made < STREAM_BYTES ? PH_STEP_AGAIN : PH_STEP_DONE;
	}
	held = 1 + (size_t)toy->steps * 7919 % 20000;
	if (held > STREAM_BYTES - toy->made)
		held = STREAM_BYTES - toy->made;
	if (room < held)
		return PH_STEP_OUTPUT;
	for (size_t i = 0; i < held; i++)
		out[i] = (uint8_t)((toy->made + i) * 31 >> 3);
	ph__session_hold(session, PH_STREAM_OUT, held);
	return PH_STEP_AGAIN;
}

/* Takes a random part of what is shown, which must go on where the last one ended. */
static size_t take_some(struct ph_session *session, size_t at, uint32_t random)
{
	size_t len;
	const uint8_t *out = ph_session_output_buf(session, PH_STREAM_OUT, &len);

	if (random & 1)
		len = len ? 1 + random % len : 0;
	for (size_t i = 0; i < len; i++)
		assert_int_equal(out[i], (uint8_t)((at + i) * 31 >> 3));
	ph_session_output_ack(session, PH_STREAM_OUT, len);
	return len;
}

/* Output that is sent while the session runs: all of it, in order, whatever is taken when. */
static void test_detached(void **state)
{
	struct toy *toy = toy_new(packets);
	struct ph_session *session = &toy->session;
	size_t taken = 0;
	uint32_t random = 1;
	unsigned detached = 0;

	(void)state;
	ph_session_run(session, 0, 0, 1);
	ph_session_run(session, 0, 0, 2);
	/* Without memory it is as if nobody had asked. */
	allocs_left = 0;
	assert_false(ph_session_output_detach(session));
	allocs_left = 100;
	while (taken < STREAM_BYTES) {
		random = random * 1664525 + 1013904223;
		if (ph_session_output_attach(session) && random >> 9 & 1 &&
		    ph_session_output_detach(session)) {
			detached++;
			assert_false(ph_session_output_attach(session));
		}
		taken += take_some(session, taken, random >> 5);
		if (ph_session_state(session) & PH_WANT_RUN)
			ph_session_run(session, 0, 0, 1 + random % 40);
		taken += take_some(session, taken, random >> 11);
		assert_int_equal(!!(ph_session_state(session) & PH_HAVE_OUTPUT), taken < toy->made);
	}
	assert_true(ph_session_output_attach(session));
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_true(detached > 5);
	ph_session_free(session);
}

/* A client that stops reading then costs two buffers, and ends at the same limit. */
static void test_detached_idle(void **state)
{
	struct toy *toy = toy_new(fill);
	struct ph_session *session = &toy->session;
	size_t len;

	(void)state;
	ph_session_run(session, 0, 0, 10);
	assert_true(ph_session_output_detach(session));
	assert_false(ph_session_output_detach(session));
	ph_session_run(session, 0, 0, 10);
	assert_int_equal(ph_session_state(session), PH_WANT_INPUT | PH_HAVE_OUTPUT);
	ph_session_output_ack(session, PH_STREAM_OUT, 1);
	ph_session_run(session, 900, 0, 10);
	assert_int_equal(ph_session_deadline(session), 1900);
	ph_session_run(session, 1900, 0, 10);
	ph_session_output_buf(session, PH_STREAM_OUT, &len);
	assert_int_equal(len, 0);
	assert_true(ph_session_output_attach(session));
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 128);
	ph_session_free(session);
}

/* A step sees whether the client has output to take, wherever that is. */
static void test_detached_waits(void **state)
{
	struct toy *toy = toy_new(fill);
	struct ph_session *session = &toy->session;
	size_t len;

	(void)state;
	assert_false(ph__session_output_waits(session));
	ph_session_run(session, 0, 0, 1);
	assert_true(ph__session_output_waits(session));
	assert_true(ph_session_output_detach(session));
	assert_true(ph__session_output_waits(session));
	ph_session_output_buf(session, PH_STREAM_OUT, &len);
	ph_session_output_ack(session, PH_STREAM_OUT, len - 1);
	assert_true(ph__session_output_waits(session));
	ph_session_output_ack(session, PH_STREAM_OUT, 1);
	assert_false(ph__session_output_waits(session));
	/* What comes behind it is not shown yet, and waits. */
	ph_session_run(session, 0, 0, 1);
	ph_session_output_buf(session, PH_STREAM_OUT, &len);
	assert_int_equal(len, 0);
	assert_true(ph__session_output_waits(session));
	ph_session_free(session);
}

static enum ph_step say_and_end(struct toy *toy, uint32_t *budget)
{
	(void)budget;
	ph__session_error_line(&toy->session, "bad \x1b[1m %s", "name\n");
	return PH_STEP_DONE;
}

static void test_error_line_and_untaken_end(void **state)
{
	struct toy *toy = toy_new(say_and_end);
	struct ph_session *session = &toy->session;
	const uint8_t *err;
	size_t len;

	(void)state;
	ph_session_run(session, 0, 0, 10);
	assert_int_equal(ph_session_state(session), PH_DONE | PH_HAVE_OUTPUT);
	err = ph_session_output_buf(session, PH_STREAM_ERR, &len);
	assert_int_equal(len, strlen("bad \\x1b[1m name\\x0a\n"));
	assert_memory_equal(err, "bad \\x1b[1m name\\x0a\n", len);
	assert_int_equal(ph_session_deadline(session), 1000);
	ph_session_run(session, 1000, 0, 10);
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 128);
	ph_session_free(session);
}

static void test_no_memory_for_buffers(void **state)
{
	struct toy *toy = toy_new(fill);
	struct ph_session *session = &toy->session;
	size_t len;

	(void)state;
	allocs_left = 0;
	ph_session_run(session, 0, 0, 10);
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 128);
	ph_session_free(session);

	toy = toy_new(echo);
	session = &toy->session;
	ph_session_run(session, 0, 0, 10);
	allocs_left = 0;
	assert_null(ph_session_input_buf(session, &len));
	assert_int_equal(len, 0);
	assert_true(ph_session_state(session) & PH_WANT_RUN);
	ph_session_run(session, 0, 0, 10);
	assert_int_equal(ph_session_state(session), PH_DONE);
	assert_int_equal(ph_session_exit_status(session), 128);
	ph_session_free(session);
}

static enum ph_step bands(struct toy *toy, uint32_t *budget)
{
	static const uint8_t data[3000];
	struct ph_session *session = &toy->session;

	(void)budget;
	assert_int_equal(ph__out_band(session, PH_BAND_DATA, data, 3000, 995), 3000);
	assert_true(ph__out_band_text(session, PH_BAND_PROGRESS, "n %d\n", 7));
	ph__out_band_empty(session, PH_BAND_DATA);
	ph__out_line(session, "x %s\n", "y");
	ph__out_err(session, "no \x1b %s", "way\n");
	ph__out_delim(session);
	ph__out_flush(session);
	return PH_STEP_DONE;
}

static void test_packets(void **state)
{
	struct toy *toy = toy_new(bands);
	static const char rest[] = "0009\2n 7\n"
	                           "0005\1"
	                           "0008x y\n"
	                           "0011ERR no ? way?"
	                           "00010000";
	const uint8_t *out;
	size_t len;
	char agent[8];

	(void)state;
	ph_session_run(&toy->session, 0, 0, 10);
	out = ph_session_output_buf(&toy->session, PH_STREAM_OUT, &len);
	/* Packets of 1000 bytes with their headers, then the remaining 15 bytes. */
	assert_memory_equal(out, "03e8\1\0", 6);
	assert_memory_equal(out + 3000, "0014\1\0", 6);
	assert_int_equal(len, 3020 + sizeof(rest) - 1);
	assert_memory_equal(out + 3020, rest, sizeof(rest) - 1);
	assert_string_equal(ph__agent_clean(agent, sizeof(agent), "a b\n/12345"), "a.b./12");
	assert_string_equal(ph__agent_clean(agent, 3, ""), "pa");
	ph_session_free(&toy->session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_flags),
	        cmocka_unit_test(test_back_pressure),
	        cmocka_unit_test(test_budget_ends_every_loop),
	        cmocka_unit_test(test_waiting),
	        cmocka_unit_test(test_idle_input),
	        cmocka_unit_test(test_idle_output),
	        cmocka_unit_test(test_detached),
	        cmocka_unit_test(test_detached_idle),
	        cmocka_unit_test(test_detached_waits),
	        cmocka_unit_test(test_error_line_and_untaken_end),
	        cmocka_unit_test(test_no_memory_for_buffers),
	        cmocka_unit_test(test_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
