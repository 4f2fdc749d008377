/* SPDX-License-Identifier: MIT */
/*
 * A session is one service running for one client, without any input or output of its own. The
 * owner feeds the peer's bytes, takes bytes for the peer, and calls run.
 *
 *   for (;;) {
 *           unsigned state = ph_session_state(s);
 *           if (state & PH_HAVE_OUTPUT)  take from ph_session_output_buf, send, _ack what was taken
 *           if (state & PH_DONE)         all output taken: send the exit status, free
 *           if (state & PH_WANT_INPUT)   receive into ph_session_input_buf, _ack, or _eof
 *           if (state & PH_WANT_RUN)     ph_session_run(s, now, budget)
 *           if (state & PH_WAITING)      do nothing until wake(s) or the deadline
 *   }
 *
 * Flags are independent: a session can want input and have output. When none but WANT_INPUT is set,
 * it can only go on with input. Back-pressure is a full output buffer: WANT_RUN is then unset until
 * output was taken. After an error output still flows (ERR, ng, band 3), then comes DONE.
 *
 * The end of the client's input is not cancel: a v2 client closes its side while the pack comes.
 * Cancel is free, at any time between calls.
 *
 * Threads: run may be called on any thread, one call at a time, and no other call is made on the
 * session meanwhile. The wake callback may come from any thread.
 */
#ifndef PACKHORSE_SESSION_H
#define PACKHORSE_SESSION_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ph_session_state {
	PH_WANT_INPUT = 1 << 0,  /* there is room for the peer's bytes, and they are of use */
	PH_HAVE_OUTPUT = 1 << 1, /* on either stream */
	PH_WANT_RUN = 1 << 2,
	PH_WAITING = 1 << 3, /* wake comes, or the deadline */
	PH_DONE = 1 << 4     /* nothing more to run; output may be left */
};

enum ph_stream { PH_STREAM_OUT = 0, PH_STREAM_ERR = 1 };

#define PH_NO_DEADLINE UINT64_MAX

struct ph_session;

PH_API unsigned ph_session_state(const struct ph_session *session);

/* Where to put the peer's bytes, and how many fit (0 when none do). Valid until the next call. */
PH_API uint8_t *ph_session_input_buf(struct ph_session *session, size_t *len);
PH_API void ph_session_input_ack(struct ph_session *session, size_t len);
/* No input follows. */
PH_API void ph_session_input_eof(struct ph_session *session);

/* Bytes for the peer, and how many (0 when none). Valid until the next call. */
PH_API const uint8_t *ph_session_output_buf(const struct ph_session *session, enum ph_stream stream,
                                            size_t *len);
PH_API void ph_session_output_ack(struct ph_session *session, enum ph_stream stream, size_t len);
/*
 * For an owner that sends on one thread while the session runs on another. detach takes what is
 * in the buffer of PH_STREAM_OUT away, with the buffer, and gives the session an empty one; false
 * when there is nothing or no memory. From then on output_buf and output_ack of this stream are
 * about what was taken away, and may be called during a run, unless that began when the session
 * was DONE. attach, when no run is under way, ends this once all of it was taken; until then it
 * answers false, and what came since waits behind.
 */
PH_API bool ph_session_output_detach(struct ph_session *session);
PH_API bool ph_session_output_attach(struct ph_session *session);

/*
 * Works. now_ms is any monotonic clock; wall_s seconds since 1970 (0 when unknown), for the log of
 * pushes alone. budget as in base.h; 256 to 4096 is sensible: slices of a few milliseconds.
 */
PH_API void ph_session_run(struct ph_session *session, uint64_t now_ms, uint64_t wall_s,
                           uint32_t budget);

/* When to call run though nothing happened (now_ms), or PH_NO_DEADLINE. */
PH_API uint64_t ph_session_deadline(const struct ph_session *session);

/* Work units spent in all runs so far: how an owner tells a quick session from a long one. */
PH_API uint64_t ph_session_spent(const struct ph_session *session);

/* Once DONE: 0 for every orderly end, also of a refused push; 128 when it died; 1 for usage. */
PH_API int ph_session_exit_status(const struct ph_session *session);

/* Cancels and frees. Not during run, nor while a commit of it is pending (state WAITING with
 * ph_session_busy): wait for wake, run, then free. NULL is fine. */
PH_API void ph_session_free(struct ph_session *session);
/* Whether free must wait for wake. */
PH_API bool ph_session_busy(const struct ph_session *session);

#ifdef __cplusplus
}
#endif
#endif
