/* SPDX-License-Identifier: MIT */
/*
 * The machinery that every service shares: bounded buffers, the flags that tell an owner what to do
 * next, the time limits, and the loop that spends a budget on a service's step function. A service
 * knows nothing of its owner; an owner knows nothing of the service.
 */
#include "session_int.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- buffers ---- */

static bool buffer_ready(struct ph_session *session, struct ph__buffer *buffer)
{
	if (buffer->data)
		return true;
	buffer->data = ph_mem_alloc(session->service.alloc, buffer->size);
	if (!buffer->data)
		session->nomem = true;
	return buffer->data;
}

/*
 * Contiguous room at the end. What is buffered moves to the front only once a quarter of the buffer
 * is free there, so a peer that takes single bytes does not make us copy all of it each time.
 */
static size_t buffer_room(struct ph__buffer *buffer)
{
	size_t used = buffer->end - buffer->start;

	assert(buffer->start <= buffer->end && buffer->end <= buffer->size);
	assert(buffer->held <= buffer->size - buffer->end);
	if (buffer->start && (used == 0 || (buffer->start >= buffer->size / 4 &&
	                                    buffer->size - buffer->end < buffer->start))) {
		memmove(buffer->data, buffer->data + buffer->start, used + buffer->held);
		buffer->end = used;
		buffer->start = 0;
	}
	return buffer->size - buffer->end;
}

/* Whether buffer_room would give anything. */
static bool buffer_has_room(const struct ph__buffer *buffer)
{
	return buffer->start == buffer->end || buffer->end < buffer->size ||
	       buffer->start >= buffer->size / 4;
}

static bool buffer_empty(const struct ph__buffer *buffer)
{
	return buffer->start == buffer->end;
}

/* ---- for services ---- */

enum ph_status ph__session_init(struct ph_session *session, const struct ph_session_ops *ops,
                                const struct ph_service *service)
{
	assert(service->alloc && service->limits);
	memset(session, 0, sizeof(*session));
	session->ops = ops;
	session->service = *service;
	session->in.size = PH_SESSION_IN_BYTES;
	session->out[PH_STREAM_OUT].size = PH_SESSION_OUT_BYTES;
	session->out[PH_STREAM_ERR].size = PH_SESSION_ERR_BYTES;
	session->away.size = PH_SESSION_OUT_BYTES;
	session->last = PH_STEP_AGAIN;
	session->deadline_ms = PH_NO_DEADLINE;
	atomic_init(&session->woken, false);
	atomic_init(&session->left, false);
	atomic_init(&session->acked, 0);
	return PH_OK;
}

void ph__session_release(struct ph_session *session)
{
	const struct ph_alloc *alloc = session->service.alloc;

	ph_mem_free(alloc, session->in.data);
	ph_mem_free(alloc, session->out[PH_STREAM_OUT].data);
	ph_mem_free(alloc, session->out[PH_STREAM_ERR].data);
	ph_mem_free(alloc, session->away.data);
	ph_mem_free(alloc, session);
}

static void buffer_slim(struct ph_session *session, struct ph__buffer *buffer)
{
	if (!buffer_empty(buffer) || buffer->held)
		return;
	ph_mem_free(session->service.alloc, buffer->data);
	buffer->data = NULL;
	buffer->start = buffer->end = 0;
}

void ph__session_slim(struct ph_session *session)
{
	buffer_slim(session, &session->in);
	buffer_slim(session, &session->out[PH_STREAM_OUT]);
	buffer_slim(session, &session->out[PH_STREAM_ERR]);
	if (!session->detached)
		buffer_slim(session, &session->away);
}

void ph__session_wake(void *arg)
{
	struct ph_session *session = arg;
	void (*wake)(void *user, struct ph_session *session) = session->service.wake;
	void *user = session->service.wake_user;

	/* Once woken is set, another thread may run the session; nothing of it is read after. */
	atomic_store(&session->woken, true);
	if (wake)
		wake(user, session);
}

const uint8_t *ph__session_input(const struct ph_session *session, size_t *len)
{
	*len = session->in.end - session->in.start;
	return *len ? session->in.data + session->in.start : NULL;
}

void ph__session_consume(struct ph_session *session, size_t len)
{
	assert(len <= session->in.end - session->in.start);
	session->in.start += len;
}

size_t ph__session_room(struct ph_session *session, enum ph_stream stream)
{
	struct ph__buffer *buffer = &session->out[stream];

	return buffer_ready(session, buffer) ? buffer_room(buffer) : 0;
}

void ph__session_put(struct ph_session *session, enum ph_stream stream, const void *data,
                     size_t len)
{
	struct ph__buffer *buffer = &session->out[stream];
	size_t room = ph__session_room(session, stream);

	assert(len <= room && buffer->held == 0);
	if (len && len <= room) {
		memcpy(buffer->data + buffer->end, data, len);
		buffer->end += len;
	}
}

uint8_t *ph__session_put_buf(struct ph_session *session, enum ph_stream stream, size_t *len)
{
	struct ph__buffer *buffer = &session->out[stream];

	*len = ph__session_room(session, stream);
	return *len ? buffer->data + buffer->end : NULL;
}

void ph__session_put_done(struct ph_session *session, enum ph_stream stream, size_t len)
{
	struct ph__buffer *buffer = &session->out[stream];

	assert(len <= buffer->size - buffer->end);
	buffer->end += len;
	buffer->held = 0;
}

void ph__session_hold(struct ph_session *session, enum ph_stream stream, size_t len)
{
	struct ph__buffer *buffer = &session->out[stream];

	assert(len <= buffer->size - buffer->end);
	buffer->held = len;
}

bool ph__session_output_waits(const struct ph_session *session)
{
	return !buffer_empty(&session->out[PH_STREAM_OUT]) || atomic_load(&session->left);
}

void ph__session_error_line(struct ph_session *session, const char *format, ...)
{
	static const char hex[] = "0123456789abcdef";
	char text[512];
	va_list args;
	size_t room, at = 0;
	uint8_t *out = ph__session_put_buf(session, PH_STREAM_ERR, &room);

	va_start(args, format);
	if (vsnprintf(text, sizeof(text), format, args) < 0)
		text[0] = 0;
	va_end(args);
	for (const char *from = text; *from && at + 5 <= room; from++) {
		unsigned char byte = (unsigned char)*from;

		if (byte >= 0x20 && byte != 0x7f) {
			out[at++] = byte;
			continue;
		}
		out[at++] = '\\';
		out[at++] = 'x';
		out[at++] = (uint8_t)hex[byte >> 4];
		out[at++] = (uint8_t)hex[byte & 15];
	}
	if (at < room) {
		out[at++] = '\n';
		ph__session_put_done(session, PH_STREAM_ERR, at);
	}
}

/* ---- for owners ---- */

static bool output_left(const struct ph_session *session)
{
	return !buffer_empty(&session->out[PH_STREAM_OUT]) ||
	       !buffer_empty(&session->out[PH_STREAM_ERR]) ||
	       (session->detached && !buffer_empty(&session->away));
}

/* What the last step waited for has come. */
static bool can_go_on(const struct ph_session *session)
{
	switch (session->last) {
	case PH_STEP_AGAIN:
		return true;
	case PH_STEP_INPUT:
		return session->fed;
	case PH_STEP_OUTPUT:
		return atomic_load(&session->taken);
	case PH_STEP_WAIT:
		return atomic_load(&session->woken);
	case PH_STEP_DONE:
	default:
		return false;
	}
}

unsigned ph_session_state(const struct ph_session *session)
{
	unsigned state = 0;

	if (output_left(session))
		state |= PH_HAVE_OUTPUT;
	if (session->last == PH_STEP_DONE)
		return state | PH_DONE;
	if (!session->eof && buffer_has_room(&session->in))
		state |= PH_WANT_INPUT;
	if (session->last == PH_STEP_WAIT)
		state |= PH_WAITING;
	if (can_go_on(session) || session->nomem)
		state |= PH_WANT_RUN;
	return state;
}

uint8_t *ph_session_input_buf(struct ph_session *session, size_t *len)
{
	*len = 0;
	/* Who sends does not read: of this buffer and the second one for output one is there. */
	if (!session->in.data && !session->detached)
		buffer_slim(session, &session->away);
	if (session->eof || session->last == PH_STEP_DONE || !buffer_ready(session, &session->in))
		return NULL;
	*len = buffer_room(&session->in);
	return *len ? session->in.data + session->in.end : NULL;
}

void ph_session_input_ack(struct ph_session *session, size_t len)
{
	assert(len <= session->in.size - session->in.end);
	session->in.end += len;
	session->moved += len;
	if (len)
		session->fed = true;
}

void ph_session_input_eof(struct ph_session *session)
{
	if (!session->eof)
		session->fed = true;
	session->eof = true;
}

/* Where the owner takes a stream's output from. */
static const struct ph__buffer *shown(const struct ph_session *session, enum ph_stream stream)
{
	return session->detached && stream == PH_STREAM_OUT ? &session->away
	                                                    : &session->out[stream];
}

const uint8_t *ph_session_output_buf(const struct ph_session *session, enum ph_stream stream,
                                     size_t *len)
{
	const struct ph__buffer *buffer = shown(session, stream);

	*len = buffer == &session->away && atomic_load(&session->expired)
	               ? 0
	               : buffer->end - buffer->start;
	return *len ? buffer->data + buffer->start : NULL;
}

void ph_session_output_ack(struct ph_session *session, enum ph_stream stream, size_t len)
{
	bool away = session->detached && stream == PH_STREAM_OUT;
	struct ph__buffer *buffer = away ? &session->away : &session->out[stream];

	assert(len <= buffer->end - buffer->start);
	buffer->start += len;
	if (away && buffer_empty(buffer))
		atomic_store(&session->left, false);
	atomic_fetch_add(&session->acked, (unsigned)len);
	if (len)
		atomic_store(&session->taken, true);
	if (!away && session->lean)
		buffer_slim(session, buffer);
}

bool ph_session_output_detach(struct ph_session *session)
{
	struct ph__buffer *out = &session->out[PH_STREAM_OUT], *away = &session->away;
	struct ph__buffer full = *out;

	if (session->detached || buffer_empty(out))
		return false;
	buffer_slim(session, &session->in);
	if (!away->data)
		away->data = ph_mem_alloc(session->service.alloc, away->size);
	if (!away->data)
		return false;
	away->start = away->end = 0;
	/* What is being written goes on in the other buffer. */
	memcpy(away->data, out->data + out->end, out->held);
	away->held = out->held;
	full.held = 0;
	*out = *away;
	*away = full;
	session->detached = true;
	atomic_store(&session->left, true);
	atomic_store(&session->taken, true);
	return true;
}

bool ph_session_output_attach(struct ph_session *session)
{
	if (buffer_empty(&session->away) || atomic_load(&session->expired))
		session->detached = false;
	return !session->detached;
}

/* Whether the peer's doing nothing counts against the idle limit. */
static bool idles(const struct ph_session *session)
{
	return session->last == PH_STEP_INPUT || session->last == PH_STEP_OUTPUT ||
	       (session->last == PH_STEP_DONE && output_left(session));
}

static uint64_t idle_deadline(const struct ph_session *session)
{
	uint64_t idle_ms = session->service.limits->idle_ms_max;

	if (!idles(session) || session->moved_at_ms > UINT64_MAX - idle_ms)
		return PH_NO_DEADLINE;
	return session->moved_at_ms + idle_ms;
}

uint64_t ph_session_deadline(const struct ph_session *session)
{
	uint64_t idle = idle_deadline(session);

	if (session->last == PH_STEP_DONE || session->deadline_ms > idle)
		return idle;
	return session->deadline_ms;
}

static void end(struct ph_session *session, const char *why)
{
	const struct ph_service *service = &session->service;

	ph_log_line(service->log, PH_LOG_WARN, "session", service->connection, "%s", why);
	session->exit_status = 128;
	session->last = PH_STEP_DONE;
}

/* The peer did nothing for too long. What it does not take is dropped, so the owner can close. */
static void end_idle(struct ph_session *session)
{
	end(session, "idle for too long, ended");
	atomic_store(&session->expired, true);
	for (int i = 0; i < 2; i++)
		session->out[i].start = session->out[i].end = session->out[i].held = 0;
}

static void run_steps(struct ph_session *session, uint32_t budget)
{
	uint32_t given;

	if (budget == 0)
		budget = 1;
	given = budget;
	do {
		session->last = session->ops->step(session, &budget);
		/* A step that changes state without work must still come to an end. */
		ph_budget_spend(&budget, 1);
	} while (session->last == PH_STEP_AGAIN && budget > 0 && !session->nomem);
	session->spent += given - budget;
	if (session->nomem && session->last != PH_STEP_DONE && !session->busy)
		end(session, "out of memory");
}

/* Whether somebody waits for the memory that this session holds. */
static bool is_waited_for(const struct ph_session *session)
{
	struct ph_memory_counts counts = {0};

	if (session->claims)
		ph_memory_counts(session->service.memory, &counts);
	return counts.waiting > 0;
}

/* Whether the idle limit counts anew: a byte is enough, unless that keeps others from memory. */
static bool has_moved(struct ph_session *session)
{
	bool any = atomic_exchange(&session->taken, false) || session->fed;

	session->moved += atomic_exchange(&session->acked, 0);
	if (!idles(session))
		return true;
	return any && (session->moved >= PH_SESSION_MOVED_LEAST || !is_waited_for(session));
}

void ph_session_run(struct ph_session *session, uint64_t now_ms, uint64_t wall_s, uint32_t budget)
{
	session->now_ms = now_ms;
	session->wall_s = wall_s;
	if (has_moved(session)) {
		session->moved_at_ms = now_ms;
		session->moved = 0;
	}
	session->fed = false;
	atomic_store(&session->woken, false);
	if (now_ms >= idle_deadline(session)) {
		end_idle(session);
		return;
	}
	if (session->last != PH_STEP_DONE)
		run_steps(session, budget);
}

int ph_session_exit_status(const struct ph_session *session)
{
	return session->exit_status;
}

uint64_t ph_session_spent(const struct ph_session *session)
{
	return session->spent;
}

bool ph_session_busy(const struct ph_session *session)
{
	return session->busy;
}

void ph_session_free(struct ph_session *session)
{
	if (!session)
		return;
	assert(!ph_session_busy(session));
	session->ops->free(session);
}
