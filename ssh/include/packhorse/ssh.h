/* SPDX-License-Identifier: MIT */
/*
 * One SSH connection of a server: libssh below, sessions above. The only module that sees libssh,
 * and it shows none of it.
 *
 * The owner accepts a socket and gives it here; it polls the descriptor for the events that
 * ph_ssh_poll_events asks for, and calls ph_ssh_step. libssh reads and writes the socket itself.
 * All calls for one connection come from one thread (its loop). Sessions' run calls go through
 * options.run_session when that is set, so that the owner can have them done by worker threads.
 */
#ifndef PACKHORSE_SSH_H
#define PACKHORSE_SSH_H

#include <packhorse/service.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- authorized keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT) ---- */

struct ph_keys; /* immutable after loading, shared by threads */

/*
 * Parses authorized_keys text. Options: packhorse="ro|rw|owner" sets the permission
 * (default_permission without it), from="PATTERN,..." (addresses, CIDR, * and ?, ! negates),
 * expiry-time="YYYYMMDD[HHMM[SS]][Z]", restrict and the no-* options (honoured: nothing of what
 * they forbid exists here). Times are UTC, and a key with one is expired while the time is not
 * known (wall_s 0). A line with command=, cert-authority or an option not known here is refused and
 * logged with its number. So is a line that cannot be read. *accepted counts the keys taken.
 */
PH_MUST_CHECK PH_API enum ph_status ph_keys_new(struct ph_keys **out, const struct ph_alloc *alloc);
PH_API void ph_keys_free(struct ph_keys *keys);
PH_MUST_CHECK PH_API enum ph_status ph_keys_add_text(struct ph_keys *keys, const char *text,
                                                     size_t len,
                                                     enum ph_permission default_permission,
                                                     const char *origin, const struct ph_log *log,
                                                     unsigned *accepted);

/* ---- the server side that all connections share ---- */

struct ph_ssh_server;
struct ph_ssh_connection;

struct ph_ssh_options {
	struct ph_service
	        service; /* template for sessions: store, alloc, limits, log, random, agent */
	const struct ph_keys *keys;
	/*
	 * Who has no known key, or none at all, may read: with a key that is not known (who has
	 * several should offer the known one first), by keyboard-interactive, and at once as user
	 * "anonymous" or when there are no keys. A known key is somebody also here.
	 */
	bool anon_read;
	const char *host_key; /* OpenSSH private key, PEM text */
	uint32_t auth_ms_max; /* a connection that has not authenticated by then is closed; 0: 30000
	                       */
	uint32_t channels_max; /* session channels of one connection at once; 0: 10 */
	bool echo;             /* exec "cat" is the echo service: tests only */
	/*
	 * Has session run soon, maybe on another thread, and then, on the connection's thread,
	 * ph_ssh_ran(connection, channel). NULL: run is called right here. Until ph_ssh_ran nobody
	 * touches the session. channel is opaque.
	 */
	void *owner;
	void (*run_session)(void *owner, struct ph_ssh_connection *connection, void *channel,
	                    struct ph_session *session);
	/* A session of this connection was woken (any thread): have ph_ssh_step called on its
	 * thread. */
	void (*wake_connection)(void *owner, struct ph_ssh_connection *connection);
};

/*
 * options is copied, what it points to must outlive the server. PH_ERR_INVALID when the host key
 * cannot be read.
 */
PH_MUST_CHECK PH_API enum ph_status ph_ssh_server_new(struct ph_ssh_server **out,
                                                      const struct ph_ssh_options *options);
PH_API void ph_ssh_server_free(struct ph_ssh_server *server);
/* A new ed25519 host key as PEM text, in buf with its NUL; *len is the room and then the length. */
PH_MUST_CHECK PH_API enum ph_status ph_ssh_host_key_generate(char *buf, size_t *len);
/*
 * The host key that a store keeps as its setting "host-key", as PEM text, in buf with its NUL; one
 * is made and kept when there is none. len is the room. PH_ERR_LIMIT when what is kept does not
 * fit; the store's errors.
 */
PH_MUST_CHECK PH_API enum ph_status ph_ssh_host_key_kept(struct ph_store *store, char *buf,
                                                         size_t len);
/*
 * As ph_ssh_host_key_generate, for the ed25519 key that these 32 bytes are the secret of. Only
 * where libssh is compiled in from source (PH_UNIKERNEL): it needs what its shared library does not
 * export.
 */
PH_MUST_CHECK PH_API enum ph_status ph_ssh_host_key_from_seed(const uint8_t seed[32], char *buf,
                                                              size_t *len);
/* "SHA256:..." of the host key, NUL-terminated. */
PH_MUST_CHECK PH_API enum ph_status ph_ssh_fingerprint(const struct ph_ssh_server *server,
                                                       char *buf, size_t len);

/*
 * A connection over a non-blocking socket, which it owns from then on, also on error. peer is its
 * numeric address, for from= and logs. owner_data is handed back by ph_ssh_owner_data.
 */
PH_MUST_CHECK PH_API enum ph_status ph_ssh_connection_new(struct ph_ssh_connection **out,
                                                          struct ph_ssh_server *server, int fd,
                                                          const char *peer, uint64_t id,
                                                          void *owner_data);
/*
 * Frees it and its sessions, closing the socket. Not while a session is out at run_session, or
 * busy: ph_ssh_can_free tells; ask again after the next ph_ssh_ran or step.
 */
PH_API void ph_ssh_connection_free(struct ph_ssh_connection *connection);
PH_API bool ph_ssh_can_free(const struct ph_ssh_connection *connection);
PH_API void *ph_ssh_owner_data(const struct ph_ssh_connection *connection);

/* POLLIN and POLLOUT bits to wait for. */
PH_API int ph_ssh_poll_events(struct ph_ssh_connection *connection);
/*
 * Does what can be done now; call it when the descriptor is ready, after ph_ssh_ran, after a wake,
 * and at the deadline. PH_OK: go on polling. PH_END or an error: the connection is over, its
 * descriptor is closed and must not be polled any more; free it when ph_ssh_can_free, until then go
 * on stepping it after ph_ssh_ran, a wake, and at the deadline.
 */
PH_API enum ph_status ph_ssh_step(struct ph_ssh_connection *connection, uint64_t now_ms,
                                  uint64_t wall_s);
PH_API uint64_t ph_ssh_deadline(const struct ph_ssh_connection *connection);
/* Whether somebody was let in. Until then a connection is a stranger's, and counts as one. */
PH_API bool ph_ssh_authenticated(const struct ph_ssh_connection *connection);
/* A run that run_session was asked for has returned. Follow with ph_ssh_step. */
PH_API void ph_ssh_ran(struct ph_ssh_connection *connection, void *channel);
/* Lets running sessions end and takes no new ones; then the connection closes. */
PH_API void ph_ssh_drain(struct ph_ssh_connection *connection);

#ifdef __cplusplus
}
#endif
#endif
