/* SPDX-License-Identifier: MIT */
/*
 * packhorse serve: opens the store, loads keys, starts workers and loops, listens, and ends in
 * order: stop accepting, let sessions end for a while, close the store.
 */
#include "daemon_int.h"
#include "tools_int.h"
#include <packhorse/device_posix.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* How long running sessions may go on after SIGTERM. */
#define DRAIN_MS 30000u
/* How often to see whether memory can be given back. */
#define TRIM_MS 2000u
#define HOST_KEY_BYTES_MAX 16384u
#define LOOPS_MAX 64u
/* Connections at once; beyond, new ones are closed at once rather than all made slow. */
#define CONNECTIONS_MAX 2000u
/* Of physical memory, what transfers may take; a cache of the store is apart from that. */
#define MEMORY_SHARE 2u
#define STORE_CACHE_BYTES_MAX ((uint64_t)16 << 20)
#define STORE_CACHE_SHARE 8u

struct server {
	const struct ph_options *options;
	struct ph_limits limits;
	struct ph_log log;
	uint64_t memory_bytes;
	struct ph_memory *memory;
	struct ph_selections *selections;
	struct ph_strangers *strangers;
	struct ph_store *store;
	struct ph_keys *keys;
	struct ph_ssh_server *ssh;
	struct ph_keeper *keeper; /* NULL: no maintenance */
	struct ph_worker_pool *pool;
	struct ph_loop *loops[LOOPS_MAX];
	unsigned loop_count;
	char host_key[HOST_KEY_BYTES_MAX];
	uv_loop_t uv;
	struct ph_listener *listener;
	uv_signal_t signals[2];
	uv_timer_t drain_timer, trim_timer;
	uint64_t trimmed_id; /* next_id when memory was last given back */
	uint64_t next_id;
	uint64_t drain_until_ms; /* 0 until draining */
};

/* ---- memory ---- */

/* Half of what the machine has, or the group of processes that this one is confined to. */
static uint64_t memory_default(void)
{
	uint64_t total = uv_get_total_memory();
	uint64_t confined = uv_get_constrained_memory();

	if (confined && confined < total)
		total = confined;
	return total / MEMORY_SHARE;
}

static bool memory_start(struct server *server)
{
	uint64_t bytes = server->options->memory;

	server->memory_bytes = bytes ? bytes : memory_default();
	ph_limits_for_memory(&server->limits, server->memory_bytes);
	/* What was said in so many words counts more than what follows from the memory. */
	for (unsigned i = 0; i < server->options->limits; i++)
		if (!ph__limit_apply(&server->limits, server->options->limit[i]))
			return false;
	server->strangers = ph__strangers_new();
	if (server->strangers &&
	    ph_memory_new(&server->memory, ph_alloc_libc(), server->memory_bytes, &ph__sync_uv) ==
	            PH_OK &&
	    ph_selections_new(&server->selections, ph_alloc_libc(), &ph__sync_uv) == PH_OK)
		return true;
	fputs("packhorse: out of memory\n", stderr);
	return false;
}

/* ---- the store ---- */

/* told: by who knows better than the status says; or NULL. */
static bool store_failed(const char *path, enum ph_status status, const char *told)
{
	const char *what = ph_status_text(status);
	char busy[PH_IMAGE_BUSY_BYTES];

	if (told) {
		what = told;
	} else if (status == PH_ERR_BUSY) {
		ph__image_busy(path, busy, sizeof busy);
		what = busy;
	} else if (status == PH_ERR_INVALID)
		what = "it is neither empty nor a store of packhorse; choose another --store";
	else if (status == PH_ERR_UNSUPPORTED)
		what = "its format is newer than this program; use a newer packhorse";
	else if (status == PH_ERR_CORRUPT)
		what = "no state of it can be believed any more; restore a backup";
	else if (status == PH_ERR_DENIED || status == PH_ERR_IO)
		what = errno ? strerror(errno) : what;
	fprintf(stderr, "packhorse: cannot open the store %s: %s\n", path, what);
	return false;
}

static bool store_open_disk(struct server *server)
{
	const char *path = server->options->store;
	struct ph_store_disk_options options = {0};
	const char *why = NULL;
	struct ph_device *device;
	const char *found = NULL;
	enum ph_status status;

	errno = 0;
	options.alloc = ph_alloc_libc();
#ifdef PH_LIBDEFLATE
	options.crc32 = ph_crc32_libdeflate;
	options.unpack = ph_unpack_libdeflate();
#endif
	options.limits = &server->limits;
	options.sync = &ph__sync_uv;
	options.log = &server->log;
	options.why = &why;
	options.random = ph__random;
	options.cache_bytes = server->memory_bytes / STORE_CACHE_SHARE < STORE_CACHE_BYTES_MAX
	                              ? server->memory_bytes / STORE_CACHE_SHARE
	                              : STORE_CACHE_BYTES_MAX;
	status = ph_device_posix_open(&device, options.alloc, path, true);
	if (status != PH_OK)
		return store_failed(path, status, NULL);
	if (device->bytes == 0)
		status = ph_store_disk_format(device, &options);
	if (status == PH_OK)
		status = ph_store_disk_open(&server->store, device, &options);
	if (status == PH_ERR_INVALID) {
		/* A blank block device is formatted, anything else is left as it is. */
		status = ph__blank_look(device, &found);
		if (status == PH_OK)
			status = found ? PH_ERR_EXISTS : ph_store_disk_format(device, &options);
		if (status == PH_OK)
			status = ph_store_disk_open(&server->store, device, &options);
		else if (status == PH_ERR_EXISTS)
			status = PH_ERR_INVALID;
	}
	if (status == PH_OK)
		return true;
	device->ops->close(device);
	return store_failed(path, status, why);
}

static bool store_open(struct server *server)
{
	struct ph_store_mem_options options = {0};
	enum ph_status status;

	if (strcmp(server->options->store, "mem") != 0)
		return store_open_disk(server);
	options.alloc = ph_alloc_libc();
	options.limits = &server->limits;
	options.sync = &ph__sync_uv;
#ifdef PH_LIBDEFLATE
	options.unpack = ph_unpack_libdeflate();
#endif
	status = ph_store_mem_new(&server->store, &options);
	if (status != PH_OK)
		return store_failed("mem", status, NULL);
	fputs("store: memory. An acknowledged push is gone when this process ends.\n", stderr);
	return true;
}

/* ---- the host key ---- */

static bool host_key_from_file(struct server *server)
{
	const char *path = server->options->host_key;
	size_t len;
	char *text = ph__read_file(path, HOST_KEY_BYTES_MAX, &len);

	if (!text) {
		fprintf(stderr,
		        "packhorse: cannot read the host key %s: %s; make one with "
		        "ssh-keygen -t ed25519 -N '' -f FILE\n",
		        path, strerror(errno));
		return false;
	}
	memcpy(server->host_key, text, len + 1);
	free(text);
	return true;
}

static bool host_key_load(struct server *server)
{
	enum ph_status status;

	if (server->options->host_key)
		return host_key_from_file(server);
	status = ph_ssh_host_key_kept(server->store, server->host_key, sizeof server->host_key);
	if (status != PH_OK)
		fprintf(stderr, "packhorse: cannot make a host key: %s\n", ph_status_text(status));
	return status == PH_OK;
}

/* ---- start ---- */

/* Sessions tell the keeper what they change; it has a service of its own to run with. */
static bool keeper_start(struct server *server, struct ph_service *service)
{
	if (server->options->no_maintenance)
		return true;
	server->keeper = ph__keeper_new(service);
	if (!server->keeper) {
		fputs("packhorse: out of memory\n", stderr);
		return false;
	}
	service->changed_user = server->keeper;
	service->changed = ph__keeper_changed;
	return true;
}

static bool ssh_start(struct server *server)
{
	struct ph_ssh_options options = {0};

	options.service.store = server->store;
	options.service.alloc = ph_alloc_libc();
	options.service.limits = &server->limits;
	options.service.log = &server->log;
	options.service.random = ph__random;
	options.service.agent = "packhorse/" PH_VERSION;
	options.service.memory = server->memory;
	options.service.selections = server->selections;
	options.service.executor = ph__pool_executor(server->pool);
#ifdef PH_LIBDEFLATE
	options.service.unpack = ph_unpack_libdeflate();
#endif
	if (!keeper_start(server, &options.service))
		return false;
	options.keys = server->keys;
	options.anon_read = server->options->anon_read;
	options.host_key = server->host_key;
	options.channels_max = PH_CHANNELS_MAX;
	options.run_session = ph__loop_run_session;
	options.wake_connection = ph__loop_wake;
	if (ph_ssh_server_new(&server->ssh, &options) == PH_OK)
		return true;
	fprintf(stderr,
	        "packhorse: the host key%s%s cannot be used; give another with --host-key\n",
	        server->options->host_key ? " " : "",
	        server->options->host_key ? server->options->host_key : "");
	return false;
}

static unsigned cores(void)
{
	unsigned count = (unsigned)uv_available_parallelism();

	return count < LOOPS_MAX ? count : LOOPS_MAX;
}

static bool pool_start(struct server *server)
{
	unsigned threads = cores() < 2 ? 2 : cores();

	server->pool = ph__pool_new(threads, threads);
	if (!server->pool)
		fputs("packhorse: cannot start threads\n", stderr);
	return server->pool != NULL;
}

static bool loops_start(struct server *server)
{
	while (server->loop_count < cores()) {
		struct ph_loop *loop = ph__loop_new(server->pool);

		if (!loop)
			break;
		server->loops[server->loop_count++] = loop;
		ph__loop_server(loop, server->ssh, server->strangers);
		if (ph__loop_start(loop) != PH_OK)
			break;
	}
	if (server->loop_count == cores())
		return true;
	fputs("packhorse: cannot start threads\n", stderr);
	return false;
}

static unsigned connections(const struct server *server)
{
	unsigned total = 0;

	for (unsigned i = 0; i < server->loop_count; i++)
		total += ph__loop_connections(server->loops[i]);
	return total;
}

static void on_accepted(void *user, int fd, const char *peer)
{
	struct server *server = user;
	struct ph_loop *loop = server->loops[0];
	unsigned total = connections(server);

	for (unsigned i = 0; i < server->loop_count; i++)
		if (ph__loop_connections(server->loops[i]) < ph__loop_connections(loop))
			loop = server->loops[i];
	if (total >= CONNECTIONS_MAX) {
		ph_log_line(&server->log, PH_LOG_WARN, "daemon", 0,
		            "connection from %s closed: %u connections are open", peer, total);
		close(fd);
		return;
	}
	if (!ph__strangers_enter(server->strangers, peer)) {
		ph_log_line(&server->log, PH_LOG_WARN, "daemon", 0,
		            "connection from %s closed: too many have not logged in", peer);
		close(fd);
		return;
	}
	ph__loop_add(loop, fd, peer, ++server->next_id);
}

static void greet(const struct server *server)
{
	char fingerprint[128] = "";
	const char *address = ph__listener_address(server->listener);

	if (ph_ssh_fingerprint(server->ssh, fingerprint, sizeof fingerprint) != PH_OK)
		fingerprint[0] = '\0';
	fprintf(stderr, "packhorse " PH_VERSION ", store %s, host key %s\n", server->options->store,
	        fingerprint);
	fprintf(stderr,
	        "push:   git push ssh://%s/hello.git HEAD     (creates hello.git)\n"
	        "clone:  git clone ssh://%s/hello.git\n"
	        "help:   ssh -p %s %.*s help\n",
	        address, address, strrchr(address, ':') + 1, (int)(strrchr(address, ':') - address),
	        address);
}

/* ---- end ---- */

static void drain_check(uv_timer_t *timer)
{
	struct server *server = timer->data;
	bool ended = true;

	for (unsigned i = 0; i < server->loop_count; i++)
		ended = ended && ph__loop_ended(server->loops[i]);
	if (ended) {
		uv_stop(&server->uv);
		return;
	}
	if (ph__now_ms() < server->drain_until_ms)
		return;
	/* What is not acknowledged by now never was: the store is whole at any instant. */
	ph_log_line(&server->log, PH_LOG_WARN, "daemon", 0,
	            "sessions still running after %u s are cut off", DRAIN_MS / 1000);
	fflush(NULL);
	_exit(PH_EXIT_OK);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct server *server = handle->data;

	if (server->drain_until_ms) {
		ph_log_line(&server->log, PH_LOG_WARN, "daemon", 0, "second signal: ending now");
		_exit(PH_EXIT_OK);
	}
	ph_log_line(&server->log, PH_LOG_INFO, "daemon", 0,
	            "%s: no new connections, waiting for running sessions",
	            number == SIGTERM ? "SIGTERM" : "SIGINT");
	server->drain_until_ms = ph__now_ms() + DRAIN_MS;
	ph__keeper_stop(server->keeper);
	ph__listener_close(server->listener);
	for (unsigned i = 0; i < server->loop_count; i++)
		ph__loop_drain(server->loops[i]);
	uv_timer_start(&server->drain_timer, drain_check, 0, 20);
}

/*
 * When nobody is connected any more, what sessions left in the heap goes back to the system: their
 * caches are many small blocks, which free alone keeps for later.
 */
static void trim_check(uv_timer_t *timer)
{
	struct server *server = timer->data;

	if (server->trimmed_id == server->next_id || connections(server) > 0)
		return;
	server->trimmed_id = server->next_id;
	(void)malloc_trim(0);
}

static void signals_start(struct server *server)
{
	static const int numbers[2] = {SIGTERM, SIGINT};

	for (unsigned i = 0; i < 2; i++) {
		uv_signal_init(&server->uv, &server->signals[i]);
		server->signals[i].data = server;
		uv_signal_start(&server->signals[i], on_signal, numbers[i]);
	}
	uv_timer_init(&server->uv, &server->drain_timer);
	server->drain_timer.data = server;
	uv_timer_init(&server->uv, &server->trim_timer);
	server->trim_timer.data = server;
	uv_timer_start(&server->trim_timer, trim_check, TRIM_MS, TRIM_MS);
}

static void server_release(struct server *server)
{
	for (unsigned i = 0; i < server->loop_count; i++) {
		if (!server->drain_until_ms)
			ph__loop_drain(server->loops[i]);
		ph__loop_join(server->loops[i]);
	}
	if (server->pool)
		ph__pool_stop(server->pool);
	for (unsigned i = 0; i < server->loop_count; i++)
		ph__loop_free(server->loops[i]);
	ph__pool_free(server->pool);
	ph__keeper_free(server->keeper);
	ph_ssh_server_free(server->ssh);
	ph_keys_free(server->keys);
	ph_selections_free(server->selections);
	ph_store_close(server->store);
	ph_memory_free(server->memory);
	ph__strangers_free(server->strangers);
	ph__listener_free(server->listener);
}

/* Descriptors are what connections cost first; take all that the system allows. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * Large buffers go back to the system when they are freed. Left alone, glibc stops mapping them one
 * by one after the first few, and what eight clones at once needed stays with the process for ever.
 * With fewer arenas, sessions fill the gaps that maintenance left, a little of many pages.
 */
static void tune_malloc(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
	(void)mallopt(M_ARENA_MAX, 4);
}

static bool start(struct server *server)
{
	if (ph_keys_new(&server->keys, ph_alloc_libc()) != PH_OK) {
		fputs("packhorse: out of memory\n", stderr);
		return false;
	}
	if (!ph__keys_load(server->keys, server->options, &server->log))
		return false;
	return memory_start(server) && store_open(server) && host_key_load(server) &&
	       pool_start(server) && ssh_start(server) && loops_start(server);
}

int ph__serve(const struct ph_options *options)
{
	struct server *server = calloc(1, sizeof *server);
	int code = PH_EXIT_FAILURE;

	if (!server)
		return PH_EXIT_FAILURE;
	server->options = options;
	ph_limits_init(&server->limits);
	ph__log_init(&server->log, options->level);
	signal(SIGPIPE, SIG_IGN);
	/* A limit on the size of files is a full disk. */
	signal(SIGXFSZ, SIG_IGN);
	tune_malloc();
	raise_descriptor_limit();
	uv_loop_init(&server->uv);
	if (start(server)) {
		signals_start(server);
		server->listener =
		        ph__listen(&server->uv, options, server, on_accepted, &server->log);
		if (server->listener) {
			if (!options->quiet)
				greet(server);
			uv_run(&server->uv, UV_RUN_DEFAULT);
			code = PH_EXIT_OK;
		}
		uv_close((uv_handle_t *)&server->signals[0], NULL);
		uv_close((uv_handle_t *)&server->signals[1], NULL);
		uv_close((uv_handle_t *)&server->drain_timer, NULL);
		uv_close((uv_handle_t *)&server->trim_timer, NULL);
		uv_run(&server->uv, UV_RUN_DEFAULT);
	}
	server_release(server);
	uv_loop_close(&server->uv);
	free(server);
	return code;
}
