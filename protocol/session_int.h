/* SPDX-License-Identifier: MIT */
/*
 * What a service builds on: the session's buffers and flags. A service embeds struct ph_session
 * first, and gives one step function; session.c does the rest.
 */
#ifndef PACKHORSE_SESSION_INT_H
#define PACKHORSE_SESSION_INT_H

#include <packhorse/service.h>
#include <packhorse/session.h>
#include <stdatomic.h>

/* Buffers, each allocated when it is first needed: input holds one largest packet and more; output
 * some of them. */
#define PH_SESSION_IN_BYTES (128u * 1024)
#define PH_SESSION_OUT_BYTES (192u * 1024)
#define PH_SESSION_ERR_BYTES (4u * 1024)

/* What a client has to send or take within idle_ms_max while others wait for the memory that its
 * session holds: about 110 bytes a second. */
#define PH_SESSION_MOVED_LEAST (64u * 1024)

/* What a step needs before the next one makes sense. */
enum ph_step {
	PH_STEP_AGAIN,  /* call again, at once when budget is left */
	PH_STEP_INPUT,  /* more input needed (or its end) */
	PH_STEP_OUTPUT, /* output is full */
	PH_STEP_WAIT,   /* wake or deadline */
	PH_STEP_DONE    /* exit_status is set */
};

struct ph_session_ops {
	/* Works until it can't. budget is never 0 on entry. */
	enum ph_step (*step)(struct ph_session *session, uint32_t *budget);
	/* Frees the service's own things, then the session struct itself by ph__session_release. */
	void (*free)(struct ph_session *session);
};

struct ph__buffer {
	uint8_t *data;           /* NULL until needed */
	size_t start, end, size; /* bytes in [start, end) */
	size_t held;             /* bytes behind end that are being written, not yet to be seen */
};

struct ph_session {
	const struct ph_session_ops *ops;
	struct ph_service service; /* a copy; what it points to belongs to the owner */
	struct ph__buffer in, out[2];
	struct ph__buffer away; /* output that was detached: the owner's, also during a run */
	bool detached;
	atomic_bool left;  /* not all of away was taken: a run may look here, and not there */
	enum ph_step last; /* of the last step; PH_STEP_AGAIN at first */
	bool eof;          /* no input follows what is buffered */
	atomic_bool woken; /* wake was called since the last run */
	bool busy;         /* a commit is pending */
	bool nomem;        /* a buffer could not be had: run ends the session */
	bool fed;          /* input or its end came since the last run */
	atomic_bool taken; /* output was taken since the last run */
	atomic_bool
	        expired;   /* nothing was taken for too long: what is detached is not sent either */
	atomic_uint acked; /* bytes of output that were taken since the last run */
	bool claims;       /* it holds memory that others may wait for */
	bool lean;         /* it waits its turn: buffers go as soon as they are empty */
	uint8_t line_band; /* out_int.h puts lines on this band; 0: on none */
	int exit_status;
	uint64_t spent;          /* work units of all runs */
	uint64_t now_ms, wall_s; /* of this run */
	uint64_t deadline_ms;    /* the service's own, or PH_NO_DEADLINE */
	uint64_t moved;          /* bytes, in and out, since moved_at_ms */
	uint64_t moved_at_ms; /* of the last run that saw progress: the idle limit counts from it */
};

PH_MUST_CHECK enum ph_status ph__session_init(struct ph_session *session,
                                              const struct ph_session_ops *ops,
                                              const struct ph_service *service);
/* Gives the buffers back and frees the session, which the service's allocator made. */
void ph__session_release(struct ph_session *session);
/* Gives empty buffers back; they come again when they are needed. */
void ph__session_slim(struct ph_session *session);
/* Of the ph_wake type, arg being the session: marks it woken and calls the owner's wake. */
void ph__session_wake(void *session);

/* Input: what is buffered; consume says how much was used. */
const uint8_t *ph__session_input(const struct ph_session *session, size_t *len);
void ph__session_consume(struct ph_session *session, size_t len);

/*
 * Output: room now (compacting), and appending. put asserts that it fits. Room is 0 when there is
 * no memory for the buffer; the session ends then by itself.
 */
size_t ph__session_room(struct ph_session *session, enum ph_stream stream);
void ph__session_put(struct ph_session *session, enum ph_stream stream, const void *data,
                     size_t len);
/* Where to write at most *len bytes of output directly; put_done says how many were. */
uint8_t *ph__session_put_buf(struct ph_session *session, enum ph_stream stream, size_t *len);
void ph__session_put_done(struct ph_session *session, enum ph_stream stream, size_t len);
/*
 * Keeps the first len bytes of what put_buf gave, so that they stand there again at its next call,
 * in a later run too. Nothing else may be put until put_done took them; 0 forgets them.
 */
void ph__session_hold(struct ph_session *session, enum ph_stream stream, size_t len);
/* Whether output of PH_STREAM_OUT waits to be taken, detached or not. */
bool ph__session_output_waits(const struct ph_session *session);
/* A line to the error stream, cut to what fits; control bytes escaped, newline added. */
void ph__session_error_line(struct ph_session *session, const char *format, ...) PH_PRINTF(2, 3);

#endif
