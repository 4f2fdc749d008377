/* SPDX-License-Identifier: MIT */
/*
 * What the files of one connection share: the connection, its channels, and the server behind them.
 */
#ifndef PACKHORSE_CONNECTION_INT_H
#define PACKHORSE_CONNECTION_INT_H

#include <stdatomic.h>

#include <libssh/libssh.h>
#include <libssh/server.h>
#include <libssh/callbacks.h>

#include "keys_int.h"

#define PH__PEER_BYTES 64u
#define PH__USER_BYTES 64u
/* git never sends more than "version=2"; ph_request_parse ignores longer values anyway. */
#define PH__PROTOCOL_BYTES_MAX 256u
/* Keys that a refused login lists in its log line. */
#define PH__TRIED_MAX 4u

struct ph_ssh_server {
	struct ph_ssh_options options;
	const struct ph_alloc *alloc;
	ssh_bind bind;
	char fingerprint[PH__FINGERPRINT_BYTES];
};

enum ph__phase {
	PH__PHASE_KEYS, /* version strings and the first key exchange */
	PH__PHASE_AUTH,
	PH__PHASE_OPEN,
	PH__PHASE_OVER /* the socket is dead to us; sessions may still have to be waited for */
};

/* Why a login was refused, for one log line at its end. */
struct ph__tried {
	char fingerprint[PH__FINGERPRINT_BYTES];
	enum ph__key_verdict verdict;
};

struct ph__auth {
	bool done;
	char user[PH__USER_BYTES]; /* of the last request */
	const char *identity;
	uint8_t *key; /* whose signature it was, decoded; NULL: none */
	size_t key_len;
	enum ph_permission permission;
	unsigned queries, failures;
	unsigned tried_count; /* may exceed PH__TRIED_MAX */
	struct ph__tried tried[PH__TRIED_MAX];
};

enum ph__channel_phase {
	PH__CHANNEL_FRESH,   /* open, no command yet */
	PH__CHANNEL_RUNNING, /* has a session */
	PH__CHANNEL_ENDED    /* exit status, EOF and CLOSE are sent; the peer's CLOSE is awaited */
};

struct ph__channel {
	struct ph__channel *next;
	struct ph_ssh_connection *connection;
	ssh_channel handle;
	struct ssh_channel_callbacks_struct callbacks;
	enum ph__channel_phase phase;
	struct ph_session *session;
	bool out;            /* the session is at run_session: hands off */
	bool away;           /* but for the output that was detached before */
	atomic_bool woken;   /* set by any thread */
	bool backlog;        /* libssh holds input that the session had no room for */
	bool eof, eof_given; /* from the peer; told to the session */
	bool peer_closed;    /* CLOSE came: cancel */
	uint8_t *spill;      /* input taken out of libssh that did not fit; see channel.c */
	size_t spill_start, spill_end, spill_size;
	bool has_protocol;
	char protocol[PH__PROTOCOL_BYTES_MAX + 1];
};

struct ph_ssh_connection {
	struct ph_ssh_server *server;
	const struct ph_alloc *alloc;
	const struct ph_log *log;
	ssh_session ssh;
	struct ssh_server_callbacks_struct callbacks;
	struct ssh_counter_struct socket_count; /* bytes on the wire */
	struct ssh_counter_struct packet_count; /* payloads and packets */
	uint64_t id;
	void *owner_data;
	char peer[PH__PEER_BYTES];

	enum ph__phase phase;
	enum ph_status end;  /* once OVER */
	const char *failure; /* set by callbacks: the connection must end, and why */
	struct ph__auth auth;
	struct ph__channel *channels;
	unsigned channel_count;

	bool stepped; /* times below are set */
	bool draining;
	bool more;    /* work is left that needs no event */
	bool writing; /* inside a libssh call that may call back: input stays with libssh */
	uint64_t now_ms, wall_s;
	uint64_t auth_deadline_ms;
	uint64_t received_ms; /* when bytes last came */
	uint64_t received_bytes;
	uint64_t idle_ms;      /* since when there is no channel */
	uint64_t keepalive_ms; /* when to ask whether the peer is there */
	/* Payload that a key exchange holds back in libssh, and the count when that was seen. */
	uint64_t held_bytes, held_mark;
	/* Bytes made and sent when libssh last held no output. */
	uint64_t drained_made, drained_sent;
};

/* auth.c */
void ph__auth_init(struct ph_ssh_connection *connection);
void ph__auth_release(struct ph_ssh_connection *connection);
/* Notes that libssh dropped a request without an answer, as it does with a bad signature. */
void ph__auth_unanswered(struct ph_ssh_connection *connection);
/* One line on why this connection ended before anybody was let in. */
void ph__auth_log_refusal(const struct ph_ssh_connection *connection, const char *reason);

/* channel.c */
ssh_channel ph__channel_open(struct ph_ssh_connection *connection);
/* Moves bytes both ways and runs the session where it wants that; true when something was done. */
bool ph__channel_pump(struct ph__channel *channel);
/* Whether the peer has closed it and nothing is left; answers the close. Then free it. */
bool ph__channel_gone(struct ph__channel *channel);
/* The connection is over: lets go of the session as far as it can be; true when nothing is left. */
bool ph__channel_abandon(struct ph__channel *channel);
/* Frees the struct and what it holds; the session must be gone or free to go. */
void ph__channel_free(struct ph__channel *channel);
uint64_t ph__channel_deadline(const struct ph__channel *channel);

/* Whether libssh may be given more output now; see connection.c. */
bool ph__connection_writable(const struct ph_ssh_connection *connection);
/* After count bytes of payload were given to libssh; before is packet_count.out_bytes from before.
 */
void ph__connection_wrote(struct ph_ssh_connection *connection, uint64_t before, size_t count);

#endif
