/* SPDX-License-Identifier: MIT */
/*
 * git-upload-archive as a session: the arguments, the memory, the tree, and then the archive in
 * packets of band 1 that are filled in place. What git prints on its error stream goes on band 2,
 * and that something went wrong on band 3; both wait for the end of the packet being filled, so the
 * same request gives the same bytes however slowly they are taken.
 */
#include "admission_int.h"
#include "archive_int.h"
#include "out_int.h"
#include "treeish_int.h"

#include <packhorse/upload_archive.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Notes in one packet. */
#define NOTE_BYTES 4000u
/* What git's server says last when it fails. */
#define DIED "git upload-archive: archiver died with error"

static const char usage[] =
        "usage: git archive [<options>] <tree-ish> [<path>...]\n"
        "   or: git archive --list\n"
        "   or: git archive --remote <repo> [--exec <cmd>] [<options>] <tree-ish> [<path>...]\n"
        "   or: git archive --remote <repo> [--exec <cmd>] --list\n\n";

enum state {
	STATE_BEGIN,
	STATE_ARGS,
	STATE_OPTIONS,
	STATE_LIST,
	STATE_ADMIT,
	STATE_TREE,
	STATE_COMMIT,
	STATE_PATHS,
	STATE_ARCHIVE,
	STATE_END,
	STATE_FAIL,
	STATE_DONE
};

struct ph__archive_session {
	struct ph_session session; /* first */
	enum state state;
	char repo[PH_REPO_NAME_MAX + 1];
	struct ph_snapshot *snapshot;
	struct ph_config config;
	bool configured;
	struct ph__admission admission;
	struct ph__text args; /* each with a NUL */
	unsigned arg_count;
	const char *argv[PH__ARCHIVE_ARGS_MAX];
	struct ph__archive_options options;
	struct ph_reader *reader;
	struct ph__treeish treeish;
	struct ph__pathspec specs[PH__ARCHIVE_ARGS_MAX];
	uint32_t spec_count, spec_at; /* at: which one's existence is looked at */
	struct ph__tree_walk walk;    /* for that */
	bool walking;
	struct ph__subst subst;
	struct ph__facts facts;
	struct ph__archive *archive;
	struct ph__text notes;
	size_t notes_at;
	size_t filled; /* bytes of the packet that is being filled */
	uint64_t sent;
	char why[PH__ARCHIVE_WHY_BYTES];
	bool usage;
};

/* ---- failing ---- */

static enum ph_step go(struct ph__archive_session *ar, enum state state)
{
	ar->state = state;
	return PH_STEP_AGAIN;
}

static enum ph_step fail(struct ph__archive_session *ar, const char *format, ...) PH_PRINTF(2, 3);

static enum ph_step fail(struct ph__archive_session *ar, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vsnprintf(ar->why, sizeof(ar->why), format, args) < 0)
		ar->why[0] = 0;
	va_end(args);
	return go(ar, STATE_FAIL);
}

/* A status of a lower layer, with its own words where it has some. */
static enum ph_step fail_status(struct ph__archive_session *ar, enum ph_status status,
                                const char *why)
{
	const struct ph_service *service = &ar->session.service;

	if (*why && why != ar->why)
		return fail(ar, "%s", why);
	if (*why)
		return go(ar, STATE_FAIL);
	ph_log_line(service->log, PH_LOG_ERROR, "upload-archive", service->connection, "%s: %s",
	            ar->repo, ph_status_text(status));
	return fail(ar, "upload-archive: %s", ph_status_text(status));
}

/* ---- bands ---- */

static void spoke(struct ph__archive_session *ar)
{
	uint64_t keepalive = ar->session.service.limits->keepalive_ms;

	if (ar->config.upload_keepalive_s != PH_CONFIG_UNSET)
		keepalive = (uint64_t)ar->config.upload_keepalive_s * 1000;
	ar->session.deadline_ms = PH_NO_DEADLINE;
	if (keepalive && ar->session.now_ms < PH_NO_DEADLINE - keepalive)
		ar->session.deadline_ms = ar->session.now_ms + keepalive;
}

static void end_packet(struct ph__archive_session *ar)
{
	ph__out_band_end(&ar->session, PH_BAND_DATA, ar->filled);
	ar->sent += ar->filled;
	ar->filled = 0;
	spoke(ar);
}

/* Something for a client that has heard nothing for too long. */
static void keep_alive(struct ph__archive_session *ar)
{
	struct ph_session *session = &ar->session;
	bool waits = ph__session_output_waits(session);

	if (session->now_ms < session->deadline_ms)
		return;
	if (!waits && ar->filled)
		end_packet(ar);
	else if (!waits && ph__out_ready(session))
		ph__out_band_empty(session, PH_BAND_DATA);
	spoke(ar);
}

/* What comes from a tree must not reach a terminal as commands. */
static void put_clean(uint8_t *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		out[i] = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? '?' : c;
	}
}

/* Tells all notes. False when output is full. */
static bool tell(struct ph__archive_session *ar)
{
	if (ar->filled && ar->notes.len)
		end_packet(ar);
	while (ar->notes_at < ar->notes.len) {
		size_t len = ar->notes.len - ar->notes_at, room;
		uint8_t *out;

		if (len > NOTE_BYTES)
			len = NOTE_BYTES;
		out = ph__out_band_begin(&ar->session, NOTE_BYTES, len, &room);
		if (!out)
			return false;
		put_clean(out, ar->notes.data + ar->notes_at, len);
		ph__out_band_end(&ar->session, PH_BAND_PROGRESS, len);
		ar->notes_at += len;
	}
	ph__text_cut(&ar->notes, 0);
	ar->notes_at = 0;
	return true;
}

/* ---- the beginning ---- */

static enum ph_step nack(struct ph__archive_session *ar, const char *why)
{
	const struct ph_service *service = &ar->session.service;

	ph__out_line(&ar->session, "NACK %s\n", why);
	ph_log_line(service->log, PH_LOG_INFO, "upload-archive", service->connection, "%s: %s",
	            ar->repo, why);
	ph__session_error_line(&ar->session, "fatal: %s", why);
	ar->session.exit_status = 128;
	return go(ar, STATE_DONE);
}

/* A repository that may not be read is told from one that is not there by nobody. */
static enum ph_step begin(struct ph__archive_session *ar)
{
	const struct ph_service *service = &ar->session.service;
	enum ph_status status = PH_ERR_NOT_FOUND;
	char why[PH_REPO_NAME_MAX + 64];

	if (!ph__out_ready(&ar->session))
		return PH_STEP_OUTPUT;
	if (service->permission >= PH_PERM_READ)
		status = ph_store_snapshot(service->store, ar->repo, &ar->snapshot);
	if (status == PH_OK) {
		status = ph_config_load(&ar->config, service->store, ar->snapshot, service->alloc);
		ar->configured = status == PH_OK;
	}
	if (status == PH_ERR_NOT_FOUND) {
		(void)snprintf(why, sizeof(why), "repository '%s' not found", ar->repo);
		return nack(ar, why);
	}
	if (status != PH_OK)
		return nack(ar, ph_status_text(status));
	ph__out_line(&ar->session, "ACK\n");
	ph__out_flush(&ar->session);
	return go(ar, STATE_ARGS);
}

/* ---- arguments ---- */

static enum ph_step take_argument(struct ph__archive_session *ar, const struct ph_pkt *pkt)
{
	const char *text, *nul;
	size_t len;
	enum ph_status status;

	if (ar->arg_count == PH__ARCHIVE_ARGS_MAX)
		return fail(ar, "Too many options (>%u)", PH__ARCHIVE_ARGS_MAX - 1);
	if (pkt->kind != PH_PKT_DATA || !ph_pkt_starts(pkt, "argument ", &text, &len))
		return fail(ar, "'argument' token or flush expected");
	/* A NUL ends an argument, as it does in git. */
	nul = len ? memchr(text, 0, len) : NULL;
	status = ph__text_add(&ar->args, text, nul ? (size_t)(nul - text) : len);
	if (status == PH_OK)
		status = ph__text_add(&ar->args, "", 1);
	if (status == PH_ERR_LIMIT)
		return fail(ar, "arguments are too long (at most %u bytes)",
		            PH__ARCHIVE_ARGS_BYTES_MAX);
	if (status != PH_OK)
		return fail_status(ar, status, "");
	ar->arg_count++;
	return PH_STEP_AGAIN;
}

static enum ph_step read_args(struct ph__archive_session *ar, uint32_t *budget)
{
	while (ar->state == STATE_ARGS && *budget > 0) {
		size_t len, used = 0;
		const uint8_t *data = ph__session_input(&ar->session, &len);
		struct ph_pkt pkt;
		enum ph_status status = ph_pkt_parse(&pkt, &used, data, len);

		ph_budget_spend(budget, 1);
		if (status == PH_AGAIN && !ar->session.eof)
			return PH_STEP_INPUT;
		if (status == PH_AGAIN)
			return fail(ar, "the remote end hung up unexpectedly");
		if (status != PH_OK)
			return fail(ar, "protocol error: bad line length");
		ph__session_consume(&ar->session, used);
		if (pkt.kind == PH_PKT_FLUSH)
			return go(ar, STATE_OPTIONS);
		ph_pkt_chomp(&pkt);
		(void)take_argument(ar, &pkt);
	}
	return PH_STEP_AGAIN;
}

static enum ph_step parse_options(struct ph__archive_session *ar)
{
	const char *at = ph__text_bytes(&ar->args);
	enum ph__options_result result;

	for (unsigned i = 0; i < ar->arg_count; i++) {
		ar->argv[i] = at;
		at += strlen(at) + 1;
	}
	result = ph__archive_options_parse(&ar->options, ar->argv, ar->arg_count, ar->why);
	if (result != PH__OPTIONS_OK) {
		ar->usage = result == PH__OPTIONS_USAGE;
		return go(ar, STATE_FAIL);
	}
	for (unsigned i = 0; i < ar->options.path_count; i++) {
		const char *why = "", *given = ar->options.paths[i];
		enum ph_status status =
		        ph__pathspec_parse(&ar->specs[i], given, ar->session.service.alloc, &why);

		if (status == PH_ERR_INVALID)
			return fail(ar, "%s%.300s%s%s", *given ? "'" : "", given, *given ? "'" : "",
			            why);
		if (status != PH_OK)
			return fail_status(ar, status, "");
		ar->spec_count++;
	}
	return go(ar, ar->options.list ? STATE_LIST : STATE_ADMIT);
}

static enum ph_step list(struct ph__archive_session *ar)
{
	static const char names[] = "tar\ntgz\ntar.gz\nzip\n";

	if (!ph__out_ready(&ar->session))
		return PH_STEP_OUTPUT;
	ph__out_band(&ar->session, PH_BAND_DATA, names, strlen(names), PH_BAND_PAYLOAD_MAX);
	return go(ar, STATE_END);
}

/* ---- memory ---- */

static uint64_t directory_max(uint64_t objects)
{
	uint64_t bytes = PH__ZIP_DIRECTORY_BYTES_LEAST;

	if (objects > PH__ZIP_DIRECTORY_BYTES_MAX / PH__ZIP_DIRECTORY_ENTRY_BYTES)
		return PH__ZIP_DIRECTORY_BYTES_MAX;
	return bytes + objects * PH__ZIP_DIRECTORY_ENTRY_BYTES;
}

/*
 * The reader, a large file's window, attributes and trees on the way, a file before, while and
 * after it is converted (where one of two texts grows), and what the format holds.
 */
static uint64_t reckon(const struct ph__archive_session *ar)
{
	const struct ph_limits *limits = ar->session.service.limits;
	uint64_t objects = ph_source_objects(ph_snapshot_source(ar->snapshot));
	uint64_t convert = ph__convert_bytes_max(limits);
	uint64_t bytes = PH_ADMISSION_SESSION_BYTES + PH_ADMISSION_OUTSIDE_BYTES +
	                 sizeof(struct ph__archive) + PH__ARCHIVE_ARGS_BYTES_MAX +
	                 ph_footprint_read(limits, objects) + 3 * PH__BLOB_WINDOW_BYTES +
	                 PH__BLOB_WHOLE_BYTES + PH__ATTR_KEPT_BYTES_MAX + PH__ATTR_FILE_BYTES_MAX +
	                 PH__TREE_HELD_BYTES_MAX + 2 * PH__ARCHIVE_NOTES_BYTES_MAX +
	                 2 * PH__ARCHIVE_HEADER_BYTES_MAX + 5 * convert + 4 * PH__SUBST_BYTES_MAX +
	                 PH__SUBST_COMMIT_BYTES_MAX;

	if (ar->options.format != PH__FORMAT_TAR)
		bytes += ph_footprint_deflate();
	if (ar->options.format == PH__FORMAT_ZIP)
		bytes += PH__ZIP_WHOLE_BYTES + directory_max(objects);
	return bytes;
}

static enum ph_step admit(struct ph__archive_session *ar)
{
	const struct ph_service *service = &ar->session.service;
	uint64_t bytes = reckon(ar);
	char text[PH_ADMISSION_TEXT_BYTES];
	enum ph_status status;
	bool first;

	/* There must be room for what is said of it. */
	if (!ph__out_ready(&ar->session))
		return PH_STEP_OUTPUT;
	status = ph__admission_ask(&ar->admission, bytes, &first);
	if (status == PH_OK)
		return go(ar, STATE_TREE);
	if (status == PH_ERR_LIMIT)
		return fail(ar, "%s", ph__admission_never(&ar->admission, bytes, text));
	if (first) {
		ph__admission_waits(&ar->admission, text);
		ph__out_band_text(&ar->session, PH_BAND_PROGRESS, "%s\n", text);
		ph_log_line(service->log, PH_LOG_INFO, "upload-archive", service->connection,
		            "%s: %s", ar->repo, text);
	}
	return PH_STEP_WAIT;
}

/* ---- what is to be archived ---- */

static enum ph_step find_tree(struct ph__archive_session *ar, uint32_t *budget)
{
	const struct ph_service *service = &ar->session.service;
	enum ph_status status = PH_OK;

	if (!ar->reader) {
		status = ph_reader_new(&ar->reader, ph_snapshot_source(ar->snapshot),
		                       service->alloc, service->limits);
		if (status == PH_OK)
			ph__treeish_init(&ar->treeish, ar->snapshot, &ar->config, ar->reader,
			                 service->limits, ar->options.treeish);
	}
	if (status == PH_OK)
		status = ph__treeish_run(&ar->treeish, ar->why, budget);
	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status != PH_OK)
		return fail_status(ar, status, ar->why);
	ph__tree_walk_init(&ar->walk, ar->reader, service->alloc, service->limits);
	return go(ar, ar->treeish.has_commit ? STATE_COMMIT : STATE_PATHS);
}

/* A commit that is too large to be shown does not keep its tree from being archived. */
static enum ph_step read_commit(struct ph__archive_session *ar, uint32_t *budget)
{
	const struct ph_service *service = &ar->session.service;
	struct ph_object object;
	enum ph_status status = ph_reader_read_oid(ar->reader, &ar->treeish.commit,
	                                           service->limits->metadata_bytes_max, &object);

	ph_budget_spend(budget, 1);
	if (status != PH_OK)
		return fail_status(ar, status, "");
	ph__subst_init(&ar->subst, service->alloc, ar->snapshot->algo);
	status =
	        ph__subst_commit(&ar->subst, &ar->treeish.commit, object.data, (size_t)object.size);
	ph_object_release(ar->reader, &object);
	if (status != PH_OK && status != PH_ERR_LIMIT)
		return fail_status(ar, status, "");
	ar->subst.now_s = ar->session.wall_s;
	ph__facts_init(&ar->facts, ar->snapshot, &ar->config, &ar->subst);
	return go(ar, STATE_PATHS);
}

/* Whether the pathspec at work names anything: PH_OK, or PH_END. */
static enum ph_status path_exists(struct ph__archive_session *ar, uint32_t *budget)
{
	struct ph__tree_walk *walk = &ar->walk;
	enum ph_status status = PH_OK;

	if (!ar->walking) {
		walk->specs = &ar->specs[ar->spec_at];
		walk->spec_count = 1;
		status = ph__tree_walk_begin(walk, &ar->treeish.tree);
		ar->walking = status == PH_OK;
	}
	while (status == PH_OK) {
		status = ph__tree_walk_next(walk, budget);
		if (status != PH_OK)
			return status;
		if (walk->match != PH__PATH_DEEPER)
			return PH_OK;
		status = ph__tree_walk_enter(walk);
	}
	return status;
}

static enum ph_step check_paths(struct ph__archive_session *ar, uint32_t *budget)
{
	struct ph__archive_input input;
	enum ph_status status;

	for (; ar->spec_at < ar->spec_count; ar->spec_at++, ar->walking = false) {
		status = path_exists(ar, budget);
		if (status == PH_AGAIN)
			return PH_STEP_AGAIN;
		if (status == PH_END)
			return fail(ar, "pathspec '%.300s' did not match any files",
			            ar->specs[ar->spec_at].given);
		if (status != PH_OK)
			return fail_status(ar, status, "");
	}
	ph__tree_walk_release(&ar->walk);
	input = (struct ph__archive_input){
	        .reader = ar->reader,
	        .alloc = ar->session.service.alloc,
	        .limits = ar->session.service.limits,
	        .options = &ar->options,
	        .specs = ar->specs,
	        .spec_count = ar->spec_count,
	        .tree = ar->treeish.tree,
	        .commit = ar->treeish.commit,
	        .has_commit = ar->treeish.has_commit,
	        .time = ar->options.mtime_given  ? ar->options.mtime
	                : ar->treeish.has_commit ? ar->treeish.time
	                                         : ar->session.wall_s,
	        .subst = ar->treeish.has_commit ? &ar->subst : NULL,
	        .facts = &ar->facts,
	        .notes = &ar->notes,
	        .directory_bytes_max =
	                directory_max(ph_source_objects(ph_snapshot_source(ar->snapshot))),
	};
	status = ph__archive_new(&ar->archive, &input);
	if (status != PH_OK)
		return fail_status(ar, status, "");
	spoke(ar);
	return go(ar, STATE_ARCHIVE);
}

/* ---- the archive ---- */

/* Goes on with the packet that is being filled. PH_PENDING: output is full, or notes are. */
static enum ph_status fill(struct ph__archive_session *ar, uint32_t *budget)
{
	struct ph_session *session = &ar->session;
	size_t max = PH_BAND_PAYLOAD_MAX, room, used = 0;
	uint8_t *out = ph__out_band_begin(session, max, max, &room);
	enum ph_status status;

	if (!out)
		return PH_PENDING;
	status = ph__archive_read(ar->archive, out + ar->filled, max - ar->filled, &used, budget);
	ar->filled += used;
	if (ar->filled == max || status == PH_END)
		end_packet(ar);
	else if (status >= 0 && ar->filled)
		/* The five bytes of the packet's header stand in front. */
		ph__session_hold(session, PH_STREAM_OUT, ar->filled + 5);
	return status;
}

static enum ph_step send_archive(struct ph__archive_session *ar, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	keep_alive(ar);
	while (*budget > 0) {
		if (ar->notes.len >= PH__ARCHIVE_NOTES_BYTES || ar->notes_at) {
			if (!tell(ar))
				return PH_STEP_OUTPUT;
		}
		status = fill(ar, budget);
		if (status == PH_END)
			return go(ar, STATE_END);
		if (status < 0)
			return fail_status(ar, status, ph__archive_why(ar->archive));
		if (status == PH_PENDING && ar->notes.len < PH__ARCHIVE_NOTES_BYTES)
			return PH_STEP_OUTPUT;
	}
	return PH_STEP_AGAIN;
}

static void clear(struct ph__archive_session *ar)
{
	const struct ph_alloc *alloc = ar->session.service.alloc;

	ph__archive_free(ar->archive);
	ph__facts_release(&ar->facts);
	ph__subst_release(&ar->subst);
	ph__tree_walk_release(&ar->walk);
	ph_reader_free(ar->reader);
	for (uint32_t i = 0; i < ar->spec_count; i++)
		ph__pathspec_release(&ar->specs[i], alloc);
	ph__text_release(&ar->args);
	ph__text_release(&ar->notes);
	if (ar->configured)
		ph_config_release(&ar->config, alloc);
	ph_snapshot_release(ar->snapshot);
	ar->archive = NULL;
	ar->reader = NULL;
	ar->snapshot = NULL;
	ar->spec_count = 0;
	ar->configured = false;
	/* Last: what was claimed is free by now. */
	ph__admission_release(&ar->admission);
}

static enum ph_step end(struct ph__archive_session *ar)
{
	const struct ph_service *service = &ar->session.service;

	ar->session.deadline_ms = PH_NO_DEADLINE;
	if (!tell(ar) || !ph__out_ready(&ar->session))
		return PH_STEP_OUTPUT;
	ph__out_flush(&ar->session);
	ph_log_line(service->log, PH_LOG_INFO, "upload-archive", service->connection,
	            "%s: sent %" PRIu64 " bytes", ar->repo, ar->sent);
	clear(ar);
	return go(ar, STATE_DONE);
}

/* What came of the archive so far goes out, as git's does, then what went wrong. */
static enum ph_step say_failure(struct ph__archive_session *ar)
{
	struct ph_session *session = &ar->session;

	session->deadline_ms = PH_NO_DEADLINE;
	if (ar->filled)
		end_packet(ar);
	if (!tell(ar) || !ph__out_ready(session))
		return PH_STEP_OUTPUT;
	for (char *at = ar->why; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	if (*ar->why)
		ph__out_band_text(session, PH_BAND_PROGRESS, "%s: %s\n",
		                  ar->usage ? "error" : "fatal", ar->why);
	if (ar->usage)
		ph__out_band(session, PH_BAND_PROGRESS, usage, strlen(usage), PH_BAND_PAYLOAD_MAX);
	ph__out_band_text(session, PH_BAND_ERROR, "%s", DIED);
	ph__session_error_line(session, "fatal: sent error to the client: " DIED);
	ph_log_line(session->service.log, PH_LOG_INFO, "upload-archive",
	            session->service.connection, "%s: refused: %s", ar->repo,
	            *ar->why ? ar->why : "usage");
	session->exit_status = 128;
	clear(ar);
	return go(ar, STATE_DONE);
}

/* ---- the session ---- */

static enum ph_step step(struct ph_session *session, uint32_t *budget)
{
	struct ph__archive_session *ar = (struct ph__archive_session *)session;

	switch (ar->state) {
	case STATE_BEGIN:
		return begin(ar);
	case STATE_ARGS:
		return read_args(ar, budget);
	case STATE_OPTIONS:
		return parse_options(ar);
	case STATE_LIST:
		return list(ar);
	case STATE_ADMIT:
		return admit(ar);
	case STATE_TREE:
		return find_tree(ar, budget);
	case STATE_COMMIT:
		return read_commit(ar, budget);
	case STATE_PATHS:
		return check_paths(ar, budget);
	case STATE_ARCHIVE:
		return send_archive(ar, budget);
	case STATE_END:
		return end(ar);
	case STATE_FAIL:
		return say_failure(ar);
	case STATE_DONE:
	default:
		return PH_STEP_DONE;
	}
}

static void free_session(struct ph_session *session)
{
	clear((struct ph__archive_session *)session);
	ph__session_release(session);
}

static const struct ph_session_ops ops = {step, free_session};

enum ph_status ph_upload_archive_new(struct ph_session **out, const struct ph_service *service,
                                     const char *repo)
{
	struct ph__archive_session *ar = ph_mem_zalloc(service->alloc, 1, sizeof(*ar));
	enum ph_status status;

	if (!ar)
		return PH_ERR_NOMEM;
	status = ph__session_init(&ar->session, &ops, service);
	if (status != PH_OK) {
		ph_mem_free(service->alloc, ar);
		return status;
	}
	ph__admission_init(&ar->admission, &ar->session);
	ph__text_init(&ar->args, service->alloc, PH__ARCHIVE_ARGS_BYTES_MAX);
	ph__text_init(&ar->notes, service->alloc, PH__ARCHIVE_NOTES_BYTES_MAX);
	snprintf(ar->repo, sizeof(ar->repo), "%s", repo);
	*out = &ar->session;
	return PH_OK;
}
