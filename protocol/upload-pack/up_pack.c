/* SPDX-License-Identifier: MIT */
/*
 * The answer: the walk that selects objects, annotated tags for include-tag, and the pack, written
 * straight into packets in the output buffer. Packets are filled to their limit whatever the budget
 * and the peer's reading are, so the same request gives the same bytes; only silence longer than
 * the keepalive time sends a packet early.
 */
#include "up_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Tags that name tags; as in ph_reader_peel. */
#define TAG_LINKS_MAX 64u

/* What could not be read, where that can be told. */
static void blame(struct ph__up *up, const char *detail)
{
	struct ph_oid oid;

	if (detail)
		snprintf(up->culprit, sizeof(up->culprit), "%.*s", (int)PH_OID_HEX_MAX, detail);
	else if (up->pack && ph_pack_out_culprit(up->pack, &oid) == PH_OK)
		ph_oid_to_hex(up->culprit, up->use->algo, &oid);
}

static enum ph_step pack_failed(struct ph__up *up, enum ph_status status)
{
	return ph__up_fail_status(up, status, "making the pack");
}

/* ---- silence ---- */

static void spoke(struct ph__up *up)
{
	uint64_t keepalive = up->session.service.limits->keepalive_ms;

	if (up->config.upload_keepalive_s != PH_CONFIG_UNSET)
		keepalive = (uint64_t)up->config.upload_keepalive_s * 1000;
	up->spoke_at_ms = up->session.now_ms;
	if (up->request.band_max && keepalive && up->spoke_at_ms < PH_NO_DEADLINE - keepalive)
		up->session.deadline_ms = up->spoke_at_ms + keepalive;
}

/*
 * Something for a client that has heard nothing for too long: what there is of the pack, or an
 * empty packet. While output waits to be taken, the silence is the client's.
 */
void ph__up_keep_alive(struct ph__up *up)
{
	struct ph_session *session = &up->session;
	bool waits = ph__session_output_waits(session);

	if (session->now_ms < session->deadline_ms)
		return;
	if (!waits && up->filled) {
		ph__out_band_end(session, PH_BAND_DATA, up->filled);
		up->filled = 0;
	} else if (!waits && ph__out_ready(session)) {
		ph__out_band_empty(session, PH_BAND_DATA);
	}
	spoke(up);
}

/* ---- what goes ---- */

enum ph_step ph__up_pack_begin(struct ph__up *up, uint32_t *budget)
{
	ph_budget_spend(budget, 1);
	if (!ph__out_ready(&up->session))
		return PH_STEP_OUTPUT;
	/* Negotiation is over; its memory is better used by the walk. */
	ph_cut_free(up->cut);
	up->cut = NULL;
	ph_reach_free(up->known);
	up->known = NULL;
	/* What comes from elsewhere is known behind the walk, and said before the pack. */
	if (up->version == 2 && !*up->request.uri_protocols)
		ph__out_line(&up->session, "packfile\n");
	up->pack_phase = true;
	up->filled = 0;
	up->depth_cursor = 0;
	spoke(up);
	/* So is what was cached for the depth. */
	ph_reader_free(up->reader);
	up->reader = NULL;
	return ph__up_whole_may(up) ? ph__up_go(up, PH__UP_WHOLE) : ph__up_select_begin(up);
}

enum ph_step ph__up_walk_begin(struct ph__up *up)
{
	const struct ph_service *service = &up->session.service;
	struct ph_walk_options options = {
	        .source = up->source,
	        .alloc = service->alloc,
	        .limits = service->limits,
	        .filter = up->request.filter,
	        .maps = &up->maps.set.maps,
	};
	enum ph_status status = ph_walk_new(&up->walk, &options);

	if (status != PH_OK)
		return pack_failed(up, status);
	return ph__up_go(up, PH__UP_WALK_GRAFTS);
}

/*
 * Every boundary cuts the walk: the repository's own, the one the client has (also where it opens:
 * its parents become wants), and the one it gets. PH_END behind the last.
 */
enum ph_status ph__up_next_graft(struct ph__up *up, struct ph_oid *oid)
{
	const struct ph__oid_set *shallows = &up->request.shallows;
	const struct ph_oid *own;
	uint32_t count = ph_snapshot_shallow(up->use, &own);

	if (up->cursor < count) {
		*oid = own[up->cursor++];
		return PH_OK;
	}
	while (up->cursor - count < shallows->count) {
		uint32_t i = up->cursor++ - count;

		if (shallows->marks[i] & PH__SHALLOW_KNOWN) {
			*oid = shallows->oids[i];
			return PH_OK;
		}
	}
	return up->depth ? ph_depth_next(up->depth, &up->depth_cursor, oid) : PH_END;
}

enum ph_step ph__up_walk_grafts(struct ph__up *up, uint32_t *budget)
{
	while (*budget > 0) {
		struct ph_oid oid;
		enum ph_status status = ph__up_next_graft(up, &oid);

		ph_budget_spend(budget, 1);
		if (status == PH_END)
			return ph__up_go(up, PH__UP_WALK_TIPS);
		if (status == PH_OK)
			status = ph_walk_graft(up->walk, &oid);
		if (status != PH_OK && status != PH_ERR_NOT_FOUND)
			return pack_failed(up, status);
	}
	return PH_STEP_AGAIN;
}

/*
 * Wants, the parents of a boundary that opens, its commits (the client has them), and what is
 * common, by one cursor.
 */
enum ph__up_tip ph__up_next_walk_tip(struct ph__up *up, struct ph_oid *oid)
{
	const struct ph__up_request *request = &up->request;
	uint32_t at = up->cursor++;

	if (at < request->wants.count) {
		*oid = request->wants.oids[at];
		return PH__TIP_WANT;
	}
	at -= request->wants.count;
	if (at < request->opened.count) {
		*oid = request->opened.oids[at];
		return PH__TIP_WANT;
	}
	at -= request->opened.count;
	if (at < request->shallows.count) {
		*oid = request->shallows.oids[at];
		return request->shallows.marks[at] & PH__SHALLOW_OPENED ? PH__TIP_OPENED
		                                                        : PH__TIP_NONE;
	}
	at -= request->shallows.count;
	if (at >= request->haves.count)
		return PH__TIP_END;
	*oid = request->haves.oids[at];
	/* Only common ones are marked; all others are unknown here. */
	return request->haves.marks[at] ? PH__TIP_HAVE : PH__TIP_NONE;
}

static enum ph_status give_tip(struct ph__up *up, enum ph__up_tip tip, const struct ph_oid *oid)
{
	enum ph_status status = PH_OK;

	if (tip == PH__TIP_WANT)
		return ph_walk_want(up->walk, oid);
	if (tip != PH__TIP_NONE)
		status = ph_walk_have(up->walk, oid);
	return status == PH_ERR_NOT_FOUND && tip == PH__TIP_HAVE ? PH_OK : status;
}

enum ph_step ph__up_walk_tips(struct ph__up *up, uint32_t *budget)
{
	ph__up_keep_alive(up);
	while (*budget > 0) {
		struct ph_oid oid;
		enum ph__up_tip tip = ph__up_next_walk_tip(up, &oid);
		enum ph_status status;

		ph_budget_spend(budget, 1);
		if (tip == PH__TIP_END)
			return ph__up_go(up, PH__UP_WALK);
		status = give_tip(up, tip, &oid);
		if (status != PH_OK)
			return pack_failed(up, status);
	}
	return PH_STEP_AGAIN;
}

static enum ph_step selected(struct ph__up *up)
{
	ph__up_share_selected(up);
	return ph__up_go(up, *up->request.uri_protocols ? PH__UP_PACKFILE_URIS : PH__UP_PACK);
}

enum ph_step ph__up_walk(struct ph__up *up, uint32_t *budget)
{
	enum ph_status status;

	ph__up_keep_alive(up);
	status = ph_walk_run(up->walk, budget);
	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status != PH_OK) {
		blame(up, ph_walk_error(up->walk)->detail);
		ph_walk_free(up->walk);
		up->walk = NULL;
		up->depth_cursor = 0;
		return ph__up_maps_blamed(up, status) ? ph__up_walk_begin(up)
		                                      : pack_failed(up, status);
	}
	return up->request.include_tag ? ph__up_go(up, PH__UP_TAGS) : selected(up);
}

/* ---- include-tag ---- */

/* Adds a tag and the tags it names one after the other. */
static enum ph_status add_chain(struct ph__up *up, struct ph_oid oid)
{
	uint64_t size_max = up->session.service.limits->metadata_bytes_max;

	for (unsigned links = 0; links < TAG_LINKS_MAX; links++) {
		struct ph_object object;
		struct ph_tag tag;
		struct ph_loc loc;
		enum ph_status status = up->source->ops->find(up->source, &oid, &loc);

		if (status == PH_OK)
			status = ph_reader_read(up->reader, loc, size_max, &object);
		if (status != PH_OK)
			return status;
		if (object.type == PH_OBJ_TAG) {
			ph_walk_select(up->walk, loc);
			status = ph_tag_parse(&tag, up->algo, object.data, object.size);
		} else {
			status = PH_END;
		}
		ph_object_release(up->reader, &object);
		if (status != PH_OK)
			return status == PH_END ? PH_OK : status;
		oid = tag.object;
	}
	return PH_OK;
}

/* One ref under refs/tags/; PH_END behind the last. */
static enum ph_status next_tag(struct ph__up *up)
{
	enum ph_status status = PH_OK;
	struct ph_loc loc;

	if (!up->iter)
		status = ph_snapshot_refs(up->use, "refs/tags/", &up->iter);
	if (status == PH_OK)
		status = ph__visible_next(up->iter, &up->config.hide_upload, &up->ref);
	if (status < 0 || status == PH_END)
		return status;
	if (strncmp(up->ref.name, "refs/tags/", 10) != 0)
		return PH_END;
	if (status == PH_AGAIN)
		return PH_OK;
	if (*up->ref.target || ph_oid_is_zero(&up->ref.peeled))
		return PH_OK;
	status = up->source->ops->find(up->source, &up->ref.peeled, &loc);
	if (status == PH_OK && ph_walk_selected(up->walk, loc))
		status = add_chain(up, up->ref.oid);
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

enum ph_step ph__up_tags(struct ph__up *up, uint32_t *budget)
{
	ph__up_keep_alive(up);
	while (*budget > 0) {
		enum ph_status status = ph__up_need_reader(up);

		if (status == PH_OK)
			status = next_tag(up);
		ph_budget_spend(budget, 1);
		if (status == PH_END) {
			ph_ref_iter_free(up->iter);
			up->iter = NULL;
			ph_reader_free(up->reader);
			up->reader = NULL;
			return selected(up);
		}
		if (status != PH_OK)
			return pack_failed(up, status);
	}
	return PH_STEP_AGAIN;
}

/* ---- the pack ---- */

static bool progress(const struct ph__up *up)
{
	return up->request.band_max && !up->request.no_progress;
}

/*
 * A filtered client may lack blobs of what it has, so it gets no deltas against them. PH_PENDING
 * when there is no room for the line on band 2.
 */
static enum ph_status pack_new(struct ph__up *up)
{
	const struct ph_service *service = &up->session.service;
	struct ph_pack_out_options options = {
	        .source = up->source,
	        .walk = up->walk,
	        .alloc = service->alloc,
	        .limits = service->limits,
	        .fulls = up->maps.fulls,
	        .fulls_count = up->maps.fulls_count,
	        .ofs_delta = up->request.ofs_delta,
	        .thin = up->request.thin && up->request.filter.kind == PH_FILTER_NONE,
	        .count_deltas = progress(up),
	};

	if (!ph__out_ready(&up->session))
		return PH_PENDING;
	if (progress(up) && up->walk)
		ph__out_band_text(&up->session, PH_BAND_PROGRESS,
		                  "Enumerating objects: %" PRIu32 ", done.\n",
		                  ph_walk_count(up->walk));
	return ph_pack_out_new(&up->pack, &options);
}

/* Without a side-band the pack is the rest of the stream. */
static enum ph_status read_bare(struct ph__up *up, uint32_t *budget)
{
	struct ph_session *session = &up->session;
	size_t room, used = 0;
	uint8_t *out = ph__session_put_buf(session, PH_STREAM_OUT, &room);
	enum ph_status status;

	if (!out)
		return PH_PENDING;
	status = ph_pack_out_read(up->pack, out, room, &used, budget);
	if (status >= 0)
		ph__session_put_done(session, PH_STREAM_OUT, used);
	return status;
}

/* Fills a packet in place, over several calls if need be, and sends it when it is full. */
static enum ph_status read_banded(struct ph__up *up, uint32_t *budget)
{
	struct ph_session *session = &up->session;
	size_t max = up->request.band_max, room, used = 0;
	uint8_t *out = ph__out_band_begin(session, max, max, &room);
	enum ph_status status;

	if (!out)
		return PH_PENDING;
	status = ph_pack_out_read(up->pack, out + up->filled, max - up->filled, &used, budget);
	if (status < 0)
		return status;
	up->filled += used;
	if (up->filled == max || status == PH_END) {
		ph__out_band_end(session, PH_BAND_DATA, up->filled);
		up->filled = 0;
		spoke(up);
	} else {
		/* The five bytes of the packet's header stand in front. Without a byte behind them
		 * there is nothing to hold: an empty packet may have to go first. */
		ph__session_hold(session, PH_STREAM_OUT, up->filled ? up->filled + 5 : 0);
	}
	return status;
}

enum ph_step ph__up_pack(struct ph__up *up, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	ph__up_keep_alive(up);
	if (!up->pack)
		status = pack_new(up);
	while (status == PH_OK && *budget > 0)
		status = up->request.band_max ? read_banded(up, budget) : read_bare(up, budget);
	if (status == PH_OK || status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status == PH_PENDING)
		return PH_STEP_OUTPUT;
	if (status == PH_END)
		return ph__up_go(up, PH__UP_PACK_END);
	blame(up, NULL);
	return pack_failed(up, status);
}

enum ph_step ph__up_pack_end(struct ph__up *up, uint32_t *budget)
{
	const struct ph_pack_out_stats *stats = ph_pack_out_stats(up->pack);
	const struct ph_service *service = &up->session.service;

	ph_budget_spend(budget, 1);
	/* Nothing is computed any more: from here on all silence is the client's. */
	up->session.deadline_ms = PH_NO_DEADLINE;
	if (!ph__out_ready(&up->session))
		return PH_STEP_OUTPUT;
	if (progress(up))
		ph__out_band_text(&up->session, PH_BAND_PROGRESS,
		                  "Total %" PRIu32 " (delta %" PRIu32 "), reused %" PRIu32
		                  " (delta %" PRIu32 "), pack-reused 0\n",
		                  stats->objects, stats->deltas, stats->reused, stats->deltas);
	if (up->request.band_max)
		ph__out_flush(&up->session);
	ph_log_line(service->log, PH_LOG_INFO, "upload-pack", service->connection,
	            "%s: sent %" PRIu32 " objects, %" PRIu64 " bytes", up->repo, stats->objects,
	            stats->bytes);
	return ph__up_request_done(up);
}
