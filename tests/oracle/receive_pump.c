/* SPDX-License-Identifier: MIT */
/*
 * Pushes to one repository, "r", for comparisons with git. Commands come on stdin, one a line,
 * some with bytes behind it; each is answered on stdout with a line, some with bytes behind it.
 *
 *	receive_pump mem|IMAGE
 *
 *	create FORMAT              makes the repository; "ok"
 *	config LEN                 its settings (config.h)
 *	symref NAME TARGET
 *	push SEED LEN...           one client for every length, all at the same time: how their
 *bytes and the work for them alternate is drawn from SEED; 0: client after client, each at once.
 *For each a line "CODE OUT ERR" with the lengths of its two streams, which follow refs "COUNT",
 *then lines "ID NAME" or "ref: TARGET NAME" objects                    lines "ID TYPE SIZE" with
 *content behind each, then "end" check                      whether the store finds itself in
 *order: "ok"
 */
#include <packhorse/device_posix.h>
#include <packhorse/reader.h>
#include <packhorse/receive_pack.h>
#include <packhorse/store_disk.h>
#include <packhorse/store_mem.h>
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPO "r"
#define CLIENTS_MAX 16u
/* Sessions that do nothing for so many turns never will. */
#define IDLE_MAX 10000u

static struct ph_limits limits;
static struct ph_service service;

struct client {
	struct ph_session *session;
	uint8_t *input;
	size_t len, at;
	bool ended, gone;
	struct ph_test_buf out, err;
};

static void die(const char *what, enum ph_status status)
{
	fprintf(stderr, "receive_pump: %s: %s\n", what, ph_status_text(status));
	exit(3);
}

static void must(const char *what, enum ph_status status)
{
	if (status != PH_OK)
		die(what, status);
}

static enum ph_status draw(void *user, void *buf, size_t len)
{
	static struct ph_test_rng rng = {4711};

	(void)user;
	ph_test_rng_fill(&rng, buf, len);
	return PH_OK;
}

static void wake(void *user, struct ph_session *session)
{
	(void)user;
	(void)session;
}

static void read_bytes(void *to, size_t len)
{
	if (len && fread(to, 1, len, stdin) != len)
		die("stdin", PH_ERR_TRUNCATED);
}

/* ---- the repository ---- */

static struct ph_store *open_store(const char *path)
{
	struct ph_store_mem_options mem = {.alloc = ph_alloc_libc(), .limits = &limits};
	struct ph_store_disk_options disk = {
	        .alloc = ph_alloc_libc(), .limits = &limits, .random = draw};
	struct ph_device *device;
	struct ph_store *store;

	if (strcmp(path, "mem") == 0) {
		must("store", ph_store_mem_new(&store, &mem));
		return store;
	}
	must(path, ph_device_posix_open(&device, ph_alloc_libc(), path, true));
	must("format", ph_store_disk_format(device, &disk));
	must("open", ph_store_disk_open(&store, device, &disk));
	return store;
}

static struct ph_snapshot *snapshot(void)
{
	struct ph_snapshot *snapshot;

	must("snapshot", ph_store_snapshot(service.store, REPO, &snapshot));
	return snapshot;
}

static void finish(struct ph_txn *txn)
{
	must("prepare", ph_txn_prepare(txn));
	must("commit", ph_txn_commit(txn, NULL, NULL));
	ph_txn_free(txn);
	puts("ok");
}

static void create(const char *format)
{
	enum ph_hash_algo algo;
	struct ph_txn *txn;

	must("format", ph_hash_from_name(&algo, format, strlen(format)));
	must("create", ph_store_create(service.store, REPO, algo, &txn));
	finish(txn);
}

static struct ph_txn *begin(void)
{
	struct ph_snapshot *base = snapshot();
	struct ph_txn *txn;

	must("begin", ph_store_begin(service.store, base, &txn));
	ph_snapshot_release(base);
	return txn;
}

static void config(size_t len)
{
	static char text[PH_SETTING_BYTES_MAX];
	struct ph_txn *txn = begin();

	if (len > sizeof(text))
		die("config", PH_ERR_LIMIT);
	read_bytes(text, len);
	must("config", ph_txn_set_setting(txn, "config", text, len));
	finish(txn);
}

static void symref(const char *name, const char *target)
{
	struct ph_txn *txn = begin();
	uint32_t change;

	must("symref", ph_txn_symref_update(txn, name, NULL, target, &change));
	finish(txn);
}

static void refs(void)
{
	struct ph_snapshot *now = snapshot();
	struct ph_test_buf text = {0};
	struct ph_ref_iter *iter;
	static struct ph_ref ref;
	enum ph_status status;
	unsigned count = 0;

	must("refs", ph_snapshot_refs(now, "", &iter));
	while ((status = ph_ref_iter_next(iter, &ref)) == PH_OK) {
		char hex[PH_OID_HEX_MAX + 1];

		count++;
		if (*ref.target)
			ph_test_buf_print(&text, "ref: %s %s\n", ref.target, ref.name);
		else
			ph_test_buf_print(&text, "%s %s\n", ph_oid_to_hex(hex, now->algo, &ref.oid),
			                  ref.name);
	}
	if (status != PH_END)
		die("refs", status);
	ph_ref_iter_free(iter);
	printf("%u\n", count);
	fwrite(text.data, 1, text.len, stdout);
	ph_test_buf_release(&text);
	ph_snapshot_release(now);
}

static void object(struct ph_reader *reader, const struct ph_source *source, struct ph_loc loc)
{
	struct ph_entry entry;
	struct ph_object object;
	char hex[PH_OID_HEX_MAX + 1];

	must("entry", source->ops->entry(source, loc, &entry));
	must("object", ph_reader_read(reader, loc, UINT64_MAX, &object));
	if (object.type != entry.type || object.size != entry.size)
		die("an entry's type and size", PH_ERR_CORRUPT);
	printf("%s %s %llu\n", ph_oid_to_hex(hex, source->algo, &entry.oid),
	       ph_object_type_name(object.type), (unsigned long long)object.size);
	fwrite(object.data, 1, (size_t)object.size, stdout);
	ph_object_release(reader, &object);
}

static void objects(void)
{
	struct ph_snapshot *now = snapshot();
	const struct ph_source *source = ph_snapshot_source(now);
	struct ph_reader *reader;

	must("reader", ph_reader_new(&reader, source, ph_alloc_libc(), &limits));
	for (uint32_t pack = 0; pack < source->ops->packs(source); pack++) {
		uint32_t entries;
		uint64_t bytes;

		source->ops->pack_size(source, pack, &entries, &bytes);
		for (uint32_t pos = 0; pos < entries; pos++)
			object(reader, source, (struct ph_loc){pack, pos});
	}
	ph_reader_free(reader);
	ph_snapshot_release(now);
	puts("end");
}

static void finding(void *user, const char *line)
{
	(void)user;
	fprintf(stderr, "%s\n", line);
}

static void check(bool disk)
{
	if (disk)
		must("check", ph_store_disk_check(service.store, NULL, finding));
	puts("ok");
}

/* ---- clients ---- */

static void take(struct ph_session *session, enum ph_stream stream, struct ph_test_buf *to)
{
	size_t len;
	const uint8_t *data;

	while ((data = ph_session_output_buf(session, stream, &len)) != NULL && len) {
		ph_test_buf_append(to, data, len);
		ph_session_output_ack(session, stream, len);
	}
}

/* Gives at most so many bytes, or the end. */
static void give(struct client *c, size_t most)
{
	size_t room, len = c->len - c->at;
	uint8_t *to = ph_session_input_buf(c->session, &room);

	if (c->at == c->len) {
		if (!c->ended)
			ph_session_input_eof(c->session);
		c->ended = true;
		return;
	}
	if (len > most)
		len = most;
	if (len > room)
		len = room;
	if (len == 0)
		return;
	memcpy(to, c->input + c->at, len);
	ph_session_input_ack(c->session, len);
	c->at += len;
}

/* A turn of one client: bytes in, work, bytes out. The clock is a counter. */
static void turn(struct client *c, struct ph_test_rng *rng)
{
	static uint64_t now_ms;
	unsigned state = ph_session_state(c->session);

	if (state & PH_WANT_INPUT)
		give(c, rng ? 1 + ph_test_rng_below(rng, 2000) : SIZE_MAX);
	state = ph_session_state(c->session);
	if (state & (PH_WANT_RUN | PH_WAITING))
		ph_session_run(c->session, now_ms++, 1700000000,
		               rng ? 1 + ph_test_rng_below(rng, 300) : 1024);
	take(c->session, PH_STREAM_OUT, &c->out);
	take(c->session, PH_STREAM_ERR, &c->err);
	c->gone = ph_session_state(c->session) & PH_DONE;
}

static void serve(struct client *clients, unsigned count, uint64_t seed)
{
	struct ph_test_rng rng;
	unsigned left = count, idle = 0;

	ph_test_rng_init(&rng, seed);
	while (left && idle++ < IDLE_MAX * 1000) {
		unsigned at = seed ? ph_test_rng_below(&rng, count) : count - left;
		struct client *c = &clients[at];

		if (c->gone)
			continue;
		turn(c, seed ? &rng : NULL);
		left -= c->gone;
	}
	if (left)
		die("a session that waits for ever", PH_ERR_BUSY);
}

static void push(char *words)
{
	static struct client clients[CLIENTS_MAX];
	uint64_t seed = strtoull(words, &words, 10);
	unsigned count = 0;

	memset(clients, 0, sizeof(clients));
	for (size_t len; count < CLIENTS_MAX && (len = strtoull(words, &words, 10)) > 0; count++)
		clients[count].len = len;
	for (unsigned i = 0; i < count; i++) {
		struct client *c = &clients[i];

		c->input = malloc(c->len);
		if (!c->input)
			die("input", PH_ERR_NOMEM);
		read_bytes(c->input, c->len);
		must("session", ph_receive_pack_new(&c->session, &service, REPO, 0));
	}
	serve(clients, count, seed);
	for (unsigned i = 0; i < count; i++) {
		struct client *c = &clients[i];

		printf("%d %zu %zu\n", ph_session_exit_status(c->session), c->out.len, c->err.len);
		if (c->out.len)
			fwrite(c->out.data, 1, c->out.len, stdout);
		if (c->err.len)
			fwrite(c->err.data, 1, c->err.len, stdout);
		ph_session_free(c->session);
		ph_test_buf_release(&c->out);
		ph_test_buf_release(&c->err);
		free(c->input);
	}
}

int main(int argc, char **argv)
{
	static char line[4096], name[PH_REF_NAME_MAX + 1], target[PH_REF_NAME_MAX + 1];
	size_t len;

	if (argc != 2)
		return 2;
	ph_limits_init(&limits);
	service = (struct ph_service){.store = open_store(argv[1]),
	                              .alloc = ph_alloc_libc(),
	                              .limits = &limits,
	                              .identity = "pump",
	                              .permission = PH_PERM_OWNER,
	                              .random = draw,
	                              .wake = wake,
	                              .agent = "packhorse/pump"};
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "create %15s", name) == 1)
			create(name);
		else if (sscanf(line, "config %zu", &len) == 1)
			config(len);
		else if (sscanf(line, "symref %1000s %1000s", name, target) == 2)
			symref(name, target);
		else if (strncmp(line, "push ", 5) == 0)
			push(line + 5);
		else if (strcmp(line, "refs\n") == 0)
			refs();
		else if (strcmp(line, "objects\n") == 0)
			objects();
		else if (strcmp(line, "check\n") == 0)
			check(strcmp(argv[1], "mem") != 0);
		else
			die(line, PH_ERR_INVALID);
		fflush(stdout);
	}
	ph_store_close(service.store);
	return 0;
}
