/* SPDX-License-Identifier: MIT */
/*
 * One upload-pack session on stdin, stdout and stderr, for comparisons with git:
 *
 *	upload_pump DIR COMMAND-LINE
 *
 * DIR is loaded into a store in memory, as the repository that the command names. It holds
 *	pack     a packfile, or nothing
 *	refs     lines "ID NAME [PEELED]" or "ref: TARGET NAME", and "format sha256" at the top
 *	shallow  ids, may be missing
 *	config   lines "key=value" (config.h), may be missing
 * GIT_PROTOCOL says the protocol, as on a real server.
 */
#include <packhorse/pack_in.h>
#include <packhorse/store_mem.h>
#include <packhorse/upload_pack.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what, enum ph_status status)
{
	fprintf(stderr, "upload_pump: %s: %s\n", what, ph_status_text(status));
	exit(3);
}

static void must(const char *what, enum ph_status status)
{
	if (status != PH_OK)
		die(what, status);
}

/* ---- loading ---- */

static FILE *open_in(const char *dir, const char *name)
{
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		die("path", PH_ERR_LIMIT);
	return fopen(path, "rb");
}

static void feed_pack(struct ph_pack_in *in, FILE *file)
{
	static uint8_t buf[65536];
	enum ph_status status = PH_OK;
	size_t len;

	while (status != PH_END && (len = fread(buf, 1, sizeof(buf), file)) > 0) {
		for (size_t at = 0; at < len && status != PH_END;) {
			uint32_t budget = 1u << 20;
			size_t used;

			status = ph_pack_in_write(in, buf + at, len - at, &used, &budget);
			if (status < 0)
				die("pack", status);
			at += used;
		}
	}
	if (status != PH_END)
		die("pack", PH_ERR_TRUNCATED);
	do {
		uint32_t budget = 1u << 20;

		status = ph_pack_in_run(in, &budget);
	} while (status == PH_AGAIN);
	must("pack", status);
}

static void load_pack(struct ph_txn *txn, const struct ph_limits *limits, FILE *file)
{
	struct ph_pack_in_options options = {
	        .algo = txn->algo, .alloc = ph_alloc_libc(), .limits = limits};
	struct ph_pack_in *in;
	uint32_t pack;

	must("pack", ph_txn_pack_begin(txn, &pack));
	must("pack", ph_txn_sink(txn, pack, PH_SECTION_RUN, &options.run));
	must("pack", ph_txn_sink(txn, pack, PH_SECTION_INDEX, &options.index));
	must("pack", ph_txn_sink(txn, pack, PH_SECTION_SCRATCH, &options.scratch));
	must("pack", ph_pack_in_new(&in, &options));
	feed_pack(in, file);
	ph_pack_in_free(in);
	must("pack", ph_txn_pack_end(txn, pack));
}

static struct ph_oid parse_oid(enum ph_hash_algo algo, const char *hex)
{
	struct ph_oid oid;

	must("id", ph_oid_from_hex(&oid, algo, hex, strlen(hex)));
	return oid;
}

static void load_ref(struct ph_txn *txn, char *line)
{
	char *first = strtok(line, " \n"), *second = strtok(NULL, " \n"),
	     *third = strtok(NULL, " \n");
	struct ph_oid oid, peeled;
	uint32_t change;

	if (!first || !second)
		return;
	if (strcmp(first, "ref:") == 0) {
		must("ref", ph_txn_symref_update(txn, third ? third : "", NULL, second, &change));
		return;
	}
	oid = parse_oid(txn->algo, first);
	if (third)
		peeled = parse_oid(txn->algo, third);
	must("ref", ph_txn_ref_update(txn, second, NULL, &oid, third ? &peeled : NULL, &change));
}

static void load_shallow(struct ph_txn *txn, FILE *file)
{
	static struct ph_oid oids[4096];
	char line[200];
	size_t count = 0;

	while (count < 4096 && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		oids[count++] = parse_oid(txn->algo, line);
	}
	must("shallow", ph_txn_set_shallow(txn, oids, count));
}

static void load_config(struct ph_txn *txn, FILE *file)
{
	static char text[65536];
	size_t len = fread(text, 1, sizeof(text), file);

	must("config", ph_txn_set_setting(txn, "config", text, len));
}

static void load(struct ph_store *store, const struct ph_limits *limits, const char *dir,
                 const char *name)
{
	FILE *refs = open_in(dir, "refs"), *pack = open_in(dir, "pack"),
	     *shallow = open_in(dir, "shallow"), *config = open_in(dir, "config");
	char line[4096] = "";
	struct ph_txn *txn;
	bool sha256;

	if (!refs) {
		if (pack)
			fclose(pack);
		return; /* no such repository */
	}
	sha256 = fgets(line, sizeof(line), refs) && strcmp(line, "format sha256\n") == 0;
	must("create", ph_store_create(store, name, sha256 ? PH_HASH_SHA256 : PH_HASH_SHA1, &txn));
	if (pack)
		load_pack(txn, limits, pack);
	for (bool more = *line && !sha256; more || fgets(line, sizeof(line), refs); more = false)
		load_ref(txn, line);
	if (shallow)
		load_shallow(txn, shallow);
	if (config)
		load_config(txn, config);
	must("refs", ph_txn_prepare(txn));
	must("commit", ph_txn_commit(txn, NULL, NULL));
	ph_txn_free(txn);
	fclose(refs);
	if (pack)
		fclose(pack);
	if (shallow)
		fclose(shallow);
	if (config)
		fclose(config);
}

/* ---- pumping ---- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* False when nobody reads any more. */
static bool flush_stream(struct ph_session *session, enum ph_stream stream, int fd)
{
	for (;;) {
		size_t len;
		const uint8_t *data = ph_session_output_buf(session, stream, &len);
		ssize_t done;

		if (len == 0)
			return true;
		done = write(fd, data, len);
		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0)
			ph_session_output_ack(session, stream, (size_t)done);
	}
}

static void receive(struct ph_session *session)
{
	size_t room;
	uint8_t *buf = ph_session_input_buf(session, &room);
	ssize_t got = room ? read(0, buf, room) : -1;

	if (got > 0)
		ph_session_input_ack(session, (size_t)got);
	else if (got == 0)
		ph_session_input_eof(session);
}

static int pump(struct ph_session *session)
{
	for (;;) {
		unsigned state = ph_session_state(session);
		struct pollfd in = {0, POLLIN, 0};
		int timeout = state & PH_WANT_RUN ? 0 : 1000;

		if (!flush_stream(session, PH_STREAM_OUT, 1) ||
		    !flush_stream(session, PH_STREAM_ERR, 2))
			return 1;
		if (state & PH_DONE)
			return ph_session_exit_status(session);
		if (state & PH_HAVE_OUTPUT)
			continue;
		if (state & PH_WANT_INPUT && poll(&in, 1, timeout) > 0)
			receive(session);
		if (ph_session_state(session) & PH_WANT_RUN ||
		    now_ms() >= ph_session_deadline(session))
			ph_session_run(session, now_ms(), 0, 1024);
	}
}

int main(int argc, char **argv)
{
	static struct ph_request request;
	struct ph_store_mem_options options = {.alloc = ph_alloc_libc()};
	struct ph_service service = {.alloc = ph_alloc_libc(),
	                             .permission = PH_PERM_READ,
	                             .identity = "pump",
	                             .agent = "packhorse/pump"};
	struct ph_limits limits;
	struct ph_session *session;
	int status;

	if (argc != 3)
		return 2;
	ph_limits_init(&limits);
	options.limits = service.limits = &limits;
	must("command",
	     ph_request_parse(&request, argv[2], strlen(argv[2]), getenv("GIT_PROTOCOL")));
	if (request.kind != PH_REQUEST_UPLOAD_PACK)
		return 2;
	must("store", ph_store_mem_new(&service.store, &options));
	load(service.store, &limits, argv[1], request.repo);
	must("session", ph_upload_pack_new(&session, &service, request.repo, request.version));
	status = pump(session);
	ph_session_free(session);
	ph_store_close(service.store);
	return status;
}
