/* SPDX-License-Identifier: MIT */
/*
 * The session of a push: it opens the repository, advertises, and hands each step to the phase that
 * is due. What a phase cannot answer for, such as running out of memory, ends here: with a short
 * phrase for the client, in the form that the protocol allows at that point.
 */
#include "receive_int.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define AGENT_BYTES 128u
#define LINE_BYTES 900u

static struct receive *of(struct ph_session *session)
{
	return (struct receive *)session;
}

/* ---- what the client is told ---- */

/* Escapes control bytes, so that nothing a client sent can drive another's terminal. */
static void escape(char *out, size_t size, const char *text)
{
	size_t at = 0;

	for (; *text && at + 5 < size; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte >= 0x20 && byte != 0x7f)
			out[at++] = (char)byte;
		else
			at += (size_t)snprintf(out + at, size - at, "\\x%02x", byte);
	}
	out[at] = 0;
}

void ph__receive_say(struct receive *r, const char *format, ...)
{
	char text[LINE_BYTES / 2];
	char line[LINE_BYTES];
	va_list args;

	if (r->lines >= RECEIVE_LINES_MAX)
		return;
	r->lines++;
	va_start(args, format);
	if (vsnprintf(text, sizeof(text), format, args) < 0)
		text[0] = 0;
	va_end(args);
	escape(line, sizeof(line) - 1, text);
	if (!r->side_band) {
		ph__session_error_line(&r->session, "%s", line);
		return;
	}
	/* A client that does not read loses these lines, never the report. */
	if (ph__out_ready(&r->session) &&
	    ph__out_band_text(&r->session, PH_BAND_PROGRESS, "%s\n", line))
		r->spoke_at_ms = r->session.now_ms;
}

void ph__receive_say_text(struct receive *r, const char *text)
{
	if (r->lines >= RECEIVE_LINES_MAX)
		return;
	r->lines++;
	if (!r->side_band)
		ph__session_error_line(&r->session, "%s", text);
	else if (ph__out_ready(&r->session) &&
	         ph__out_band_text(&r->session, PH_BAND_PROGRESS, "%s\n", text))
		r->spoke_at_ms = r->session.now_ms;
}

void ph__receive_keepalive(struct receive *r)
{
	uint64_t every_ms = r->session.service.limits->keepalive_ms;

	if (r->config.receive_keepalive_s != PH_CONFIG_UNSET)
		every_ms = (uint64_t)r->config.receive_keepalive_s * 1000;
	if (!r->side_band || every_ms == 0)
		return;
	if (r->session.now_ms - r->spoke_at_ms >= every_ms) {
		if (ph__out_ready(&r->session))
			ph__out_band_empty(&r->session, PH_BAND_DATA);
		r->spoke_at_ms = r->session.now_ms;
	}
	r->session.deadline_ms = r->spoke_at_ms + every_ms;
}

enum ph_step ph__receive_die(struct receive *r, const char *text)
{
	const struct ph_service *service = &r->session.service;

	ph_log_line(service->log, PH_LOG_WARN, "receive-pack", service->connection, "%s: %s",
	            r->repo, text);
	ph__session_error_line(&r->session, "fatal: %s", text);
	/* In the middle of a packet of the report nothing else can be said. */
	if (!r->report_begun && ph__out_ready(&r->session)) {
		if (r->side_band)
			ph__out_band_text(&r->session, PH_BAND_ERROR, "%s\n", text);
		else
			ph__out_err(&r->session, "%s", text);
	}
	ph__receive_drop_work(r);
	r->session.exit_status = 128;
	r->session.deadline_ms = PH_NO_DEADLINE;
	r->phase = RECEIVE_DONE;
	return PH_STEP_DONE;
}

enum ph_step ph__receive_die_status(struct receive *r, enum ph_status status)
{
	assert(status < 0);
	return ph__receive_die(r, ph_status_text(status));
}

void ph__receive_fail_all(struct receive *r, const char *text)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (!r->commands[i].error)
			r->commands[i].error = text;
}

/* ---- opening and the advertisement ---- */

/* The agent comes from the owner; the rest is what is built and configured, in git's order. */
static void advert_begin(struct receive *r)
{
	static const char built[] =
	        "report-status report-status-v2 delete-refs side-band-64k quiet";
	const struct ph_config *config = &r->config;
	char agent[AGENT_BYTES], tail[AGENT_BYTES + 8], caps[PH_ADVERT_CAPS_MAX];
	const char *nonce = r->cert.nonce;
	struct ph__advert_options options = {.snapshot = r->snapshot,
	                                     .hidden = &r->config.hide_receive,
	                                     .algo = r->algo,
	                                     .version1 = r->version == 1,
	                                     .shallow = true,
	                                     .caps = caps,
	                                     .caps_tail = tail};

	/* A new repository takes either format. Clients believe the first for the ids they read
	 * here, and look through all for their own. */
	snprintf(caps, sizeof(caps), "%s%s%s%s%s%s%s%s object-format=%s%s", built,
	         config->advertise_atomic ? " atomic" : "", config->ofs_delta ? " ofs-delta" : "",
	         *nonce ? " push-cert=" : "", nonce,
	         config->advertise_push_options ? " push-options" : "",
	         *r->session_id ? " session-id=" : "", r->session_id, ph_hash_name(r->algo),
	         r->creates ? " object-format=sha256" : "");
	snprintf(tail, sizeof(tail), "agent=%s",
	         ph__agent_clean(agent, sizeof(agent), r->session.service.agent));
	ph__advert_init(&r->advert, &options);
}

static enum ph_step open_repository(struct receive *r)
{
	const struct ph_service *service = &r->session.service;
	enum ph_status status;

	if (service->permission < PH_PERM_WRITE)
		return ph__receive_die(r, "write access denied");
	if (ph_repo_name_check(r->repo, strlen(r->repo)) != PH_OK)
		return ph__receive_die(r, "repository not found");
	status = ph_store_snapshot(service->store, r->repo, &r->snapshot);
	if (status == PH_ERR_NOT_FOUND) {
		if (service->permission < PH_PERM_OWNER)
			return ph__receive_die(r, "repository not found");
		r->creates = true;
		r->algo = PH_HASH_SHA1;
	} else if (status != PH_OK) {
		return ph__receive_die_status(r, status);
	} else {
		r->algo = r->snapshot->algo;
	}
	status = ph_config_load(&r->config, service->store, r->snapshot, service->alloc);
	if (status == PH_OK)
		status = ph__receive_cert_offer(r);
	if (status != PH_OK)
		return ph__receive_die_status(r, status);
	if (r->config.advertise_sid)
		ph__session_id_draw(&r->session, r->session_id);
	advert_begin(r);
	r->phase = RECEIVE_ADVERTISE;
	return PH_STEP_AGAIN;
}

static enum ph_step advertise(struct receive *r, uint32_t *budget)
{
	enum ph_status status = ph__advert_step(&r->advert, &r->session, budget);

	if (status == PH_PENDING)
		return PH_STEP_OUTPUT;
	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status != PH_OK)
		return ph__receive_die_status(r, status);
	r->phase = RECEIVE_COMMANDS;
	return PH_STEP_AGAIN;
}

/* ---- the session ---- */

static enum ph_step dispatch(struct receive *r, uint32_t *budget)
{
	switch (r->phase) {
	case RECEIVE_AUTHORISE:
		return ph__receive_authorise(r);
	case RECEIVE_OPEN:
		return open_repository(r);
	case RECEIVE_ADVERTISE:
		return advertise(r, budget);
	case RECEIVE_COMMANDS:
		return ph__receive_commands(r, budget);
	case RECEIVE_CERT_READ:
		return ph__receive_cert_read(r, budget);
	case RECEIVE_CERT_CHECK:
		return ph__receive_cert_check(r, budget);
	case RECEIVE_OPTIONS:
		return ph__receive_options(r, budget);
	case RECEIVE_ADMIT:
		return ph__receive_admit(r);
	case RECEIVE_BEGIN:
		return ph__receive_begin(r);
	case RECEIVE_QUOTA:
		return ph__receive_quota(r);
	case RECEIVE_PACK:
		return ph__receive_pack_bytes(r, budget);
	case RECEIVE_RESOLVE:
		return ph__receive_resolve(r, budget);
	case RECEIVE_BASES:
		return ph__receive_bases(r, budget);
	case RECEIVE_TARGETS:
		return ph__receive_targets(r, budget);
	case RECEIVE_SORT:
		return ph__receive_sort(r, budget);
	case RECEIVE_CONNECT:
		return ph__receive_connect(r, budget);
	case RECEIVE_NAMES:
		return ph__receive_names(r, budget);
	case RECEIVE_ALIASES:
		return ph__receive_aliases(r, budget);
	case RECEIVE_PRE_RECEIVE:
		return ph__receive_pre_receive(r);
	case RECEIVE_CHECK:
		return ph__receive_check(r, budget);
	case RECEIVE_RULES:
		return ph__receive_rules(r, budget);
	case RECEIVE_UPDATE:
		return ph__receive_update(r, budget);
	case RECEIVE_STAGE:
		return ph__receive_stage(r, budget);
	case RECEIVE_CERT_STORE:
		return ph__receive_cert_store(r, budget);
	case RECEIVE_PREPARE:
		return ph__receive_prepare(r);
	case RECEIVE_COMMIT:
		return ph__receive_commit(r);
	case RECEIVE_REPORT:
		return ph__receive_report(r, budget);
	case RECEIVE_DONE:
	default:
		return PH_STEP_DONE;
	}
}

static enum ph_step step(struct ph_session *session, uint32_t *budget)
{
	struct receive *r = of(session);

	r->session.deadline_ms = PH_NO_DEADLINE;
	if (r->phase > RECEIVE_PACK && r->phase < RECEIVE_REPORT)
		ph__receive_keepalive(r);
	return dispatch(r, budget);
}

void ph__receive_drop_work(struct receive *r)
{
	ph__receive_bases_release(r);
	ph__receive_connect_release(r);
	ph__receive_deny_release(r);
	ph__receive_paths_release(r);
	ph_reader_free(r->reader);
	ph_pack_in_free(r->pack_in);
	ph__receive_fsck_release(r);
	ph__receive_tips_release(r);
	ph_txn_free(r->txn);
	r->reader = NULL;
	r->pack_in = NULL;
	r->txn = NULL;
	/* Last: what was claimed is free by now. */
	ph__admission_release(&r->admission);
}

static void receive_free(struct ph_session *session)
{
	struct receive *r = of(session);
	const struct ph_alloc *alloc = session->service.alloc;

	ph__receive_drop_work(r);
	ph__receive_policy_release(r);
	ph__advert_release(&r->advert);
	ph__receive_options_release(r);
	ph__receive_shallow_release(r);
	ph_config_release(&r->config, alloc);
	ph_snapshot_release(r->snapshot);
	ph__receive_cert_release(r);
	ph_mem_free(alloc, r->commands);
	ph_mem_free(alloc, r->names);
	ph_mem_free(alloc, r->order);
	ph__session_release(session);
}

enum ph_status ph_receive_pack_new(struct ph_session **out, const struct ph_service *service,
                                   const char *repo, int version)
{
	static const struct ph_session_ops ops = {.step = step, .free = receive_free};
	struct receive *r = ph_mem_zalloc(service->alloc, 1, sizeof(*r));
	enum ph_status status;

	if (!r)
		return PH_ERR_NOMEM;
	status = ph__session_init(&r->session, &ops, service);
	if (status != PH_OK) {
		ph_mem_free(service->alloc, r);
		return status;
	}
	/* Too long a name is no repository's; it is refused as one that is not there. */
	if (strlen(repo) <= PH_REPO_NAME_MAX)
		memcpy(r->repo, repo, strlen(repo) + 1);
	r->version = version;
	ph__commit_init(&r->commit, &r->session);
	ph__admission_init(&r->admission, &r->session);
	*out = &r->session;
	return PH_OK;
}
