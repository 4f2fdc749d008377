/* SPDX-License-Identifier: MIT */
/*
 * The memory of one request, claimed once the snapshot that answers it is known and before anything
 * is walked. Protocol 2 claims request by request, so a client that thinks between two of them
 * holds nothing. Nothing of an answer has been said at this point, and there is no side-band yet:
 * whoever has to wait reads so on the error stream.
 */
#include "up_int.h"

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * The phases of a request follow each other, so the largest counts; of a depth, its states stay to
 * the end. In protocols 0 and 1 the haves come later, so there a negotiation is reckoned with.
 */
static uint64_t reckon(const struct ph__up *up)
{
	const struct ph_limits *limits = up->session.service.limits;
	const struct ph__up_request *request = &up->request;
	const struct ph_source *source =
	        ph_snapshot_source(up->tips_now && up->now ? up->now : up->seen);
	uint64_t objects = ph_source_objects(source);
	uint64_t maps = source->ops->packs(source);
	/* A boundary that opens makes its parents wants. */
	uint64_t tips = (uint64_t)request->wants.count + request->haves.count +
	                request->nots.count + 3 * (uint64_t)request->shallows.count;
	uint64_t work = larger(ph_footprint_walk(limits, objects, tips),
	                       ph_footprint_pack_out(limits, objects));

	maps = maps < PH__UP_MAPS_MAX ? maps : PH__UP_MAPS_MAX;
	if (request->filter.count)
		work += ph_footprint_filter(limits, objects, &request->filter);
	if (up->version < 2 || request->haves.count)
		work = larger(work, ph_footprint_cut(limits, objects, tips));
	/* Which haves count is known to the end of the negotiation. */
	if (up->config.hide_upload.count)
		work = larger(work, ph_footprint_cut(limits, objects, tips) +
		                            ph_footprint_walk(limits, objects, tips));
	if (ph__up_deepens(request) || request->shallows.count)
		work = larger(work, ph_footprint_depth(limits, objects, tips)) + objects;
	return PH_ADMISSION_SESSION_BYTES + PH_ADMISSION_OUTSIDE_BYTES + tips * PH__UP_TIP_BYTES +
	       maps * ph_footprint_map_reader() + work;
}

enum ph_step ph__up_admit_then(struct ph__up *up, enum ph__up_state state)
{
	if (up->claim_bytes)
		return ph__up_go(up, state);
	up->claim_bytes = reckon(up);
	up->after_admit = state;
	return ph__up_go(up, PH__UP_ADMIT);
}

enum ph_step ph__up_admit(struct ph__up *up, uint32_t *budget)
{
	const struct ph_service *service = &up->session.service;
	char text[PH_ADMISSION_TEXT_BYTES];
	bool first;
	enum ph_status status = ph__admission_ask(&up->admission, up->claim_bytes, &first);

	(void)budget;
	if (status == PH_OK)
		return ph__up_go(up, up->after_admit);
	if (status == PH_ERR_LIMIT) {
		ph__admission_never(&up->admission, up->claim_bytes, text);
		ph_log_line(service->log, PH_LOG_WARN, "upload-pack", service->connection, "%s: %s",
		            up->repo, text);
		return ph__up_fail(up, PH__SAY_ERR, "%s", text);
	}
	if (first) {
		ph__admission_waits(&up->admission, text);
		ph__session_error_line(&up->session, "%s", text);
		ph_log_line(service->log, PH_LOG_INFO, "upload-pack", service->connection, "%s: %s",
		            up->repo, text);
	}
	return PH_STEP_WAIT;
}
