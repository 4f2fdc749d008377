/* SPDX-License-Identifier: MIT */
/*
 * git-upload-pack as a session: making and freeing it, the dispatch of its states, and how it
 * fails. The states themselves are in the up_*.c beside this file; up_int.h has the map.
 */
#include "up_int.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void clear_work(struct ph__up *up)
{
	ph_pack_out_free(up->pack);
	ph_depth_free(up->depth);
	ph_cut_free(up->cut);
	ph_reach_free(up->known);
	ph_reach_free(up->reach);
	ph_reader_free(up->reader);
	ph_ref_iter_free(up->iter);
	ph__up_maps_close(up);
	ph__up_share_leave(up);
	ph_walk_free(up->walk);
	ph_snapshot_release(up->now);
	up->pack = NULL;
	up->walk = NULL;
	up->depth = NULL;
	up->cut = NULL;
	up->known = NULL;
	up->reach = NULL;
	up->reader = NULL;
	up->iter = NULL;
	up->now = NULL;
	up->use = NULL;
	up->source = NULL;
}

void ph__up_request_clear(struct ph__up *up)
{
	struct ph__up_request *request = &up->request;
	struct ph__oid_set wants = request->wants;
	struct ph__oid_set haves = request->haves;
	struct ph__oid_set shallows = request->shallows;
	struct ph__oid_set opened = request->opened;
	struct ph__oid_set names = request->want_refs.names;
	struct ph__oid_set nots = request->nots;

	clear_work(up);
	ph__prefixes_release(&request->prefixes, up->session.service.alloc);
	ph__want_refs_release(&request->want_refs, up->session.service.alloc);
	ph_mem_free(up->session.service.alloc, request->infos.wants);
	ph_filter_release(&request->filter, up->session.service.alloc);
	memset(request, 0, sizeof(*request));
	ph__oid_set_clear(&wants);
	ph__oid_set_clear(&haves);
	ph__oid_set_clear(&shallows);
	ph__oid_set_clear(&opened);
	ph__oid_set_clear(&names);
	ph__oid_set_clear(&nots);
	request->wants = wants;
	request->haves = haves;
	request->shallows = shallows;
	request->opened = opened;
	request->want_refs.names = names;
	request->nots = nots;
	request->algo = PH_HASH_SHA1;
	up->got_common = up->got_other = up->said_ready = false;
	up->session.line_band = 0;
	up->unshallow_all = up->shallow_reply = false;
	up->pack_phase = up->uris_said = false;
	up->session.deadline_ms = PH_NO_DEADLINE;
	/* Last: what was claimed is free by now. */
	up->claim_bytes = 0;
	ph__admission_release(&up->admission);
}

enum ph_status ph__up_need_reader(struct ph__up *up)
{
	const struct ph_service *service = &up->session.service;

	if (up->reader)
		return PH_OK;
	return ph_reader_new(&up->reader, up->source, service->alloc, service->limits);
}

enum ph_step ph__up_go(struct ph__up *up, enum ph__up_state state)
{
	up->state = state;
	up->cursor = 0;
	return PH_STEP_AGAIN;
}

enum ph_step ph__up_request_done(struct ph__up *up)
{
	ph__up_request_clear(up);
	return ph__up_go(up, up->version == 2 ? PH__UP_V2_REQUEST : PH__UP_DONE);
}

enum ph_step ph__up_fail(struct ph__up *up, enum ph__up_say say, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vsnprintf(up->failure, sizeof(up->failure), format, args) < 0)
		up->failure[0] = 0;
	va_end(args);
	up->failure_say = up->pack_phase ? PH__SAY_BAND : say;
	return ph__up_go(up, PH__UP_FAIL);
}

/* Whether a status means that what is stored cannot be read as it should. */
static bool is_damage(enum ph_status status)
{
	static const enum ph_status damage[] = {
	        PH_ERR_CORRUPT, PH_ERR_IO,    PH_ERR_MISSING,  PH_ERR_NOT_FOUND,
	        PH_ERR_ZLIB,    PH_ERR_DELTA, PH_ERR_CHECKSUM, PH_ERR_INVALID,
	};

	for (size_t i = 0; i < sizeof(damage) / sizeof(*damage); i++)
		if (status == damage[i])
			return true;
	return false;
}

enum ph_step ph__up_fail_status(struct ph__up *up, enum ph_status status, const char *during)
{
	const struct ph_service *service = &up->session.service;

	ph_log_line(service->log, PH_LOG_ERROR, "upload-pack", service->connection,
	            "%s: %s failed: %s%s%s", up->repo, during, ph_status_text(status),
	            *up->culprit ? ": object " : "", up->culprit);
	if (is_damage(status) && *up->culprit)
		return ph__up_fail(up, PH__SAY_ERR,
		                   "aborting due to possible repository corruption on the "
		                   "remote side: object %s",
		                   up->culprit);
	if (is_damage(status))
		return ph__up_fail(up, PH__SAY_ERR,
		                   "aborting due to possible repository corruption on the "
		                   "remote side.");
	/* A walk that comes to a limit does so at any object, but one may be too much to make. */
	return ph__up_fail(up, PH__SAY_ERR, "upload-pack: %s%s%s", ph_status_text(status),
	                   up->pack && *up->culprit ? ": object " : "",
	                   up->pack ? up->culprit : "");
}

/* ---- states of the session itself ---- */

static void draw_session_id(struct ph__up *up)
{
	const struct ph_service *service = &up->session.service;

	ph__session_id_draw(&up->session, up->session_id);
	ph_log_line(service->log, PH_LOG_DEBUG, "upload-pack", service->connection,
	            "%s: session-id %s", up->repo, up->session_id);
}

void ph__up_session_id(struct ph__up *up, const char *text, size_t len)
{
	const struct ph_service *service = &up->session.service;
	char show[128];

	ph_log_line(service->log, PH_LOG_DEBUG, "upload-pack", service->connection,
	            "%s: the client's session-id %s", up->repo, ph__up_show(show, text, len));
}

/* A repository that may not be read is told from one that is not there by nobody. */
static enum ph_step begin(struct ph__up *up, uint32_t *budget)
{
	const struct ph_service *service = &up->session.service;
	enum ph_status status = PH_ERR_NOT_FOUND;

	ph_budget_spend(budget, 1);
	if (service->permission >= PH_PERM_READ)
		status = ph_store_snapshot(service->store, up->repo, &up->seen);
	if (status == PH_ERR_NOT_FOUND)
		return ph__up_fail(up, PH__SAY_ERR, "repository '%s' not found", up->repo);
	if (status != PH_OK)
		return ph__up_fail_status(up, status, "opening the repository");
	status = ph_config_load(&up->config, service->store, up->seen, service->alloc);
	if (status != PH_OK)
		return ph__up_fail_status(up, status, "reading the configuration");
	if (service->permission >= PH_PERM_OWNER)
		ph_config_show_own(&up->config);
	up->algo = up->seen->algo;
	if (up->config.advertise_sid)
		draw_session_id(up);
	return ph__up_go(up, up->version == 2 ? PH__UP_V2_ADVERT : PH__UP_ADVERT);
}

/* What a state had begun to write into a packet is taken back: the peer sees whole packets only. */
static enum ph_step fail(struct ph__up *up, uint32_t *budget)
{
	struct ph_session *session = &up->session;

	(void)budget;
	/* No keepalive is due any more; a limit that has passed would have us run for nothing. */
	session->deadline_ms = PH_NO_DEADLINE;
	ph__session_hold(session, PH_STREAM_OUT, 0);
	if (up->failure_say == PH__SAY_ERR) {
		if (!ph__out_ready(session))
			return PH_STEP_OUTPUT;
		ph__out_err(session, "%s", up->failure);
	} else if (up->failure_say == PH__SAY_BAND && up->request.band_max) {
		if (!ph__out_band_text(session, PH_BAND_ERROR, "%s", up->failure))
			return PH_STEP_OUTPUT;
	}
	ph__session_error_line(session, "fatal: %s", up->failure);
	session->exit_status = 128;
	ph__up_request_clear(up);
	return ph__up_go(up, PH__UP_DONE);
}

static ph__up_function *const functions[] = {
        [PH__UP_BEGIN] = begin,
        [PH__UP_ADVERT] = ph__up_advert,
        [PH__UP_WANTS] = ph__up_wants,
        [PH__UP_HAVES] = ph__up_haves,
        [PH__UP_V2_ADVERT] = ph__up_v2_advert,
        [PH__UP_V2_REQUEST] = ph__up_v2_request,
        [PH__UP_V2_ARGS] = ph__up_v2_args,
        [PH__UP_V2_HAVES] = ph__up_v2_haves,
        [PH__UP_V2_ACKS] = ph__up_v2_acks,
        [PH__UP_WANT_REFS] = ph__up_want_refs,
        [PH__UP_WANTED_REFS] = ph__up_wanted_refs,
        [PH__UP_OBJECTS] = ph__up_objects,
        [PH__UP_OBJECT_LINES] = ph__up_object_lines,
        [PH__UP_BUNDLE_LINES] = ph__up_bundle_lines,
        [PH__UP_LS_HEAD] = ph__up_ls_head,
        [PH__UP_LS_REFS] = ph__up_ls_refs,
        [PH__UP_TIPS] = ph__up_tips,
        [PH__UP_PROVEN] = ph__up_proven,
        [PH__UP_ADMIT] = ph__up_admit,
        [PH__UP_REACH_TIPS] = ph__up_reach_tips,
        [PH__UP_REACH] = ph__up_reach,
        [PH__UP_CHOSEN] = ph__up_chosen,
        [PH__UP_KNOWN_TIPS] = ph__up_known_tips,
        [PH__UP_KNOWN_TARGETS] = ph__up_known_targets,
        [PH__UP_KNOWN] = ph__up_known,
        [PH__UP_HAVE] = ph__up_have,
        [PH__UP_FILTER] = ph__up_filter,
        [PH__UP_FILTER_TIPS] = ph__up_filter_tips,
        [PH__UP_FILTER_REACH] = ph__up_filter_reach,
        [PH__UP_CUT] = ph__up_cut,
        [PH__UP_SHALLOW_KNOWN] = ph__up_shallow_known,
        [PH__UP_DEPTH] = ph__up_depth,
        [PH__UP_DEPTH_RUN] = ph__up_depth_run,
        [PH__UP_SHALLOW_LINES] = ph__up_shallow_lines,
        [PH__UP_UNSHALLOW_LINES] = ph__up_unshallow_lines,
        [PH__UP_SHALLOW_DONE] = ph__up_shallow_done,
        [PH__UP_PACK_BEGIN] = ph__up_pack_begin,
        [PH__UP_WHOLE] = ph__up_whole,
        [PH__UP_WHOLE_TIPS] = ph__up_whole_tips,
        [PH__UP_WHOLE_REACH] = ph__up_whole_reach,
        [PH__UP_SHARE_GRAFTS] = ph__up_share_grafts,
        [PH__UP_SHARE_TIPS] = ph__up_share_tips,
        [PH__UP_SHARE] = ph__up_share,
        [PH__UP_WALK_GRAFTS] = ph__up_walk_grafts,
        [PH__UP_WALK_TIPS] = ph__up_walk_tips,
        [PH__UP_WALK] = ph__up_walk,
        [PH__UP_TAGS] = ph__up_tags,
        [PH__UP_PACKFILE_URIS] = ph__up_packfile_uris,
        [PH__UP_PACK] = ph__up_pack,
        [PH__UP_PACK_END] = ph__up_pack_end,
        [PH__UP_FAIL] = fail,
};

_Static_assert(sizeof(functions) / sizeof(*functions) == PH__UP_DONE, "a function for each state");

static enum ph_step step(struct ph_session *session, uint32_t *budget)
{
	struct ph__up *up = (struct ph__up *)session;

	if (up->state == PH__UP_DONE)
		return PH_STEP_DONE;
	return functions[up->state](up, budget);
}

/* ---- the object ---- */

static void free_session(struct ph_session *session)
{
	struct ph__up *up = (struct ph__up *)session;

	ph__up_request_clear(up);
	ph__oid_set_release(&up->request.wants);
	ph__oid_set_release(&up->request.haves);
	ph__oid_set_release(&up->request.shallows);
	ph__oid_set_release(&up->request.opened);
	ph__oid_set_release(&up->request.want_refs.names);
	ph__oid_set_release(&up->request.nots);
	ph__advert_release(&up->advert);
	ph_config_release(&up->config, session->service.alloc);
	ph_snapshot_release(up->seen);
	ph__session_release(session);
}

static const struct ph_session_ops ops = {step, free_session};

/* Decides in which slots of a set ids go, so that a client cannot choose ids that all collide. */
static uint64_t secret(const struct ph_service *service)
{
	uint64_t value = UINT64_C(0x6a09e667f3bcc909);
	uint64_t drawn;

	if (service->random &&
	    service->random(service->random_user, &drawn, sizeof(drawn)) == PH_OK)
		value = drawn;
	return value;
}

enum ph_status ph_upload_pack_new(struct ph_session **out, const struct ph_service *service,
                                  const char *repo, int version)
{
	struct ph__up *up = ph_mem_zalloc(service->alloc, 1, sizeof(*up));
	uint64_t slots = secret(service);
	enum ph_status status;

	if (!up)
		return PH_ERR_NOMEM;
	status = ph__session_init(&up->session, &ops, service);
	if (status != PH_OK) {
		ph_mem_free(service->alloc, up);
		return status;
	}
	ph__admission_init(&up->admission, &up->session);
	assert(version >= 0 && version <= 2);
	up->state = PH__UP_BEGIN;
	up->version = version;
	snprintf(up->repo, sizeof(up->repo), "%s", repo);
	ph__agent_clean(up->agent, sizeof(up->agent), service->agent);
	ph__oid_set_init(&up->request.wants, service->alloc, slots);
	ph__oid_set_init(&up->request.haves, service->alloc, slots);
	ph__oid_set_init(&up->request.shallows, service->alloc, slots);
	ph__oid_set_init(&up->request.opened, service->alloc, slots);
	ph__oid_set_init(&up->request.want_refs.names, service->alloc, slots);
	ph__oid_set_init(&up->request.nots, service->alloc, slots);
	up->request.algo = PH_HASH_SHA1;
	*out = &up->session;
	return PH_OK;
}
