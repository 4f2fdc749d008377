/* SPDX-License-Identifier: MIT */
/* What the daemon's files share. Only this folder sees libuv. */
#ifndef PACKHORSE_DAEMON_INT_H
#define PACKHORSE_DAEMON_INT_H

#include <packhorse/ssh.h>
#include <packhorse/store_disk.h>
#include <packhorse/store_mem.h>
#include <uv.h>

/* Exit codes of sysexits(3), which Albatross and systemd units know too. */
enum { PH_EXIT_OK = 0, PH_EXIT_FAILURE = 1, PH_EXIT_USAGE = 64 };

/* ---- options.c ---- */

#define PH_LISTEN_MAX 16
#define PH_LIMITS_MAX 64

struct ph_options {
	const char *listen[PH_LISTEN_MAX];
	unsigned listens;
	const char *store; /* "mem" or a path */
	const char *authorized_keys;
	const char *host_key;
	bool anon_read, quiet, no_maintenance;
	enum ph_log_level level;
	uint64_t memory;                  /* bytes for transfers; 0 when it was not said */
	const char *limit[PH_LIMITS_MAX]; /* "name=value", checked */
	unsigned limits;
};

/* Sets what "name=value" says, digits alone. False when there is no such limit, or value. */
bool ph__limit_apply(struct ph_limits *limits, const char *text);
/*
 * Parses what follows "serve". Returns -1 to go on, or an exit code: 0 after --help, PH_EXIT_USAGE
 * after one line on stderr that says what to do.
 */
int ph__options_parse(struct ph_options *out, int argc, char **argv);

/* ---- log.c ---- */

/* Lines to stderr, one write each: time, level, source, connection, message. */
void ph__log_init(struct ph_log *log, enum ph_log_level level);

/* ---- host.c: what the outside world is ---- */

extern const struct ph_sync ph__sync_uv;
enum ph_status ph__random(void *user, void *buf, size_t len);
uint64_t ph__now_ms(void);
uint64_t ph__wall_s(void);
/* The whole file, NUL-terminated, malloc'ed; NULL with errno when it cannot be read. */
char *ph__read_file(const char *path, size_t size_max, size_t *len);

/* ---- owner_keys.c ---- */

/*
 * Fills keys from the file given, or from ~/.ssh of the invoking user, and says on stderr whose
 * keys are accepted unless quiet. false: none was found and why was said; true with anon_read also
 * then.
 */
bool ph__keys_load(struct ph_keys *keys, const struct ph_options *options,
                   const struct ph_log *log);

/* ---- workers.c: threads that run sessions ---- */

struct ph_worker_pool;
struct ph_connection;

/* One run of a session; the connection's loop gets it back. */
struct ph_job {
	struct ph_job *next;
	struct ph_connection *connection;
	void *channel;
	struct ph_session *session;
};

struct ph_worker_pool *ph__pool_new(unsigned fast, unsigned bulk);
/* Sessions that have worked for long go to threads of lower priority, behind nobody's ls-remote. */
void ph__pool_submit(struct ph_worker_pool *pool, struct ph_job *job);
/* The threads of lower priority, for work in parts. Lives with the pool. */
const struct ph_executor *ph__pool_executor(const struct ph_worker_pool *pool);
/* Ends the threads; the loops have ended before, so nothing is queued. */
void ph__pool_stop(struct ph_worker_pool *pool);
void ph__pool_free(struct ph_worker_pool *pool);

/* ---- maintain.c: maintenance in the background ---- */

struct ph_keeper;

/* Looks at every repository once, then at those that change. NULL: out of memory. */
struct ph_keeper *ph__keeper_new(const struct ph_service *service);
/* For ph_service.changed. Any thread. */
void ph__keeper_changed(void *keeper, const char *repo);
/* Any thread: it ends at its next slice. NULL is fine. */
void ph__keeper_stop(struct ph_keeper *keeper);
/* Waits for its end, before the store is closed. NULL is fine. */
void ph__keeper_free(struct ph_keeper *keeper);

/* ---- strangers.c: connections that have not logged in ---- */

struct ph_strangers;

struct ph_strangers *ph__strangers_new(void);
void ph__strangers_free(struct ph_strangers *strangers);
/* Any thread. Whether one more from this numeric address may come in; it is counted then. */
bool ph__strangers_enter(struct ph_strangers *strangers, const char *address);
/* Any thread, once for each that came in: it has logged in, or is gone. */
void ph__strangers_leave(struct ph_strangers *strangers, const char *address);

/* ---- loop.c: event loops that own connections ---- */

/* Session channels of a connection at once; each has at most one job out. */
#define PH_CHANNELS_MAX 10u

struct ph_loop;

struct ph_loop *ph__loop_new(struct ph_worker_pool *pool);
/* Set before the first connection. */
void ph__loop_server(struct ph_loop *loop, struct ph_ssh_server *server,
                     struct ph_strangers *strangers);
enum ph_status ph__loop_start(struct ph_loop *loop);
/* Any thread: hands over an accepted socket of a stranger who was let in. */
void ph__loop_add(struct ph_loop *loop, int fd, const char *peer, uint64_t id);
/* Any thread: connections end as their sessions do, then the loop's thread ends. */
void ph__loop_drain(struct ph_loop *loop);
/* Whether its thread has ended by drain. */
bool ph__loop_ended(struct ph_loop *loop);
unsigned ph__loop_connections(struct ph_loop *loop);
void ph__loop_join(struct ph_loop *loop);
void ph__loop_free(struct ph_loop *loop);
/* Workers: a job is done. */
void ph__loop_ran(struct ph_loop *loop, struct ph_job *job);
struct ph_loop *ph__connection_loop(const struct ph_connection *connection);
/* The ssh module's callbacks; owner is not used. */
void ph__loop_run_session(void *owner, struct ph_ssh_connection *ssh, void *channel,
                          struct ph_session *session);
void ph__loop_wake(void *owner, struct ph_ssh_connection *ssh);

/* ---- listen.c ---- */

struct ph_listener;

/* Whether text is ADDR:PORT or [ADDR]:PORT. */
bool ph__listen_valid(const char *text);

/*
 * Binds all addresses of options and prints "listening ssh://ADDR:PORT/" for each once connections
 * are accepted. NULL after a line on stderr.
 */
struct ph_listener *ph__listen(uv_loop_t *uv, const struct ph_options *options, void *user,
                               void (*accepted)(void *user, int fd, const char *peer),
                               const struct ph_log *log);
/* The first address, as in a URL: "ADDR:PORT". */
const char *ph__listener_address(const struct ph_listener *listener);
/* Stops accepting. */
void ph__listener_close(struct ph_listener *listener);
void ph__listener_free(struct ph_listener *listener);

/* ---- serve.c ---- */

int ph__serve(const struct ph_options *options);

#endif
