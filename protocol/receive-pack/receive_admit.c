/* SPDX-License-Identifier: MIT */
/*
 * The memory of a push, claimed when the header of its pack tells how many objects come, before the
 * transaction begins and anything of the pack is taken. The number is a claim's bound and nothing
 * more: memory is taken for objects that came. A push without a pack needs none.
 */
#include "receive_int.h"

#include <string.h>

#define HEADER_BYTES 12u
/* A change of a transaction: the ref, its old and new values, its name once more. */
#define CHANGE_BYTES 256u

/*
 * Taking the pack and proving it connected follow each other, so the larger counts. A thin pack is
 * completed by at most one base for each of its objects; the proof looks at every ref there is.
 */
static uint64_t reckon(const struct receive *r, uint64_t announced)
{
	const struct ph_limits *limits = r->session.service.limits;
	uint64_t here = r->snapshot ? ph_source_objects(ph_snapshot_source(r->snapshot)) : 0;
	uint64_t bases = here < announced ? here : announced;
	uint64_t pack = ph_footprint_pack_in(limits, announced + bases) +
	                ph_footprint_pack_in_lanes(limits, announced, r->session.service.executor) +
	                (r->gathers ? ph_footprint_links(announced) : 0);
	uint64_t walk = ph_footprint_walk(limits, here + announced + bases,
	                                  (uint64_t)r->advert.refs + r->count);
	uint64_t maps = r->snapshot ? ph_snapshot_source(r->snapshot)
	                                      ->ops->packs(ph_snapshot_source(r->snapshot))
	                            : 0;
	uint64_t lists = (uint64_t)r->commands_size * sizeof(*r->commands) + r->names_size +
	                 r->cert.size + (uint64_t)r->shallow.size * 3 * sizeof(*r->shallow.oids) +
	                 (uint64_t)r->count * (sizeof(*r->order) + CHANGE_BYTES);

	walk += (maps < PH__MAP_SET_MAX ? maps : PH__MAP_SET_MAX) * ph_footprint_map_reader();
	return PH_ADMISSION_SESSION_BYTES + PH_ADMISSION_OUTSIDE_BYTES + lists +
	       (pack > walk ? pack : walk);
}

/* Links spare a first pack its walk. Where they would never fit, it is walked. */
static void claim(struct receive *r, uint64_t announced)
{
	const struct ph_source *base = r->snapshot ? ph_snapshot_source(r->snapshot) : NULL;

	r->gathers = r->session.service.random && (!base || base->ops->packs(base) == 0);
	r->claim_bytes = reckon(r, announced);
	if (r->gathers && !ph__admission_fits(&r->admission, r->claim_bytes)) {
		r->gathers = false;
		r->claim_bytes = reckon(r, announced);
	}
}

static enum ph_step next(struct receive *r)
{
	r->phase = RECEIVE_BEGIN;
	return PH_STEP_AGAIN;
}

/* Reads the header where it stands, without taking it. What is wrong with it pack-in will say. */
static bool announced(const struct receive *r, const uint8_t *data, uint64_t *count)
{
	*count = (uint64_t)data[8] << 24 | (uint64_t)data[9] << 16 | (uint64_t)data[10] << 8 |
	         data[11];
	return *count <= r->session.service.limits->pack_objects_max;
}

/* What git says of what is no pack at all; NULL when it may be one. */
static const char *bad_header(const uint8_t *data, size_t len)
{
	if (len < HEADER_BYTES)
		return "eof before pack header was fully read";
	if (memcmp(data, "PACK", 4) != 0)
		return "protocol error (pack signature mismatch detected)";
	if (memcmp(data + 4, "\0\0\0", 3) != 0 || (data[7] != 2 && data[7] != 3))
		return "protocol error (pack version unsupported)";
	return NULL;
}

static enum ph_step refuse(struct receive *r)
{
	const struct ph_service *service = &r->session.service;

	ph__admission_never(&r->admission, r->claim_bytes, r->refusal);
	ph_log_line(service->log, PH_LOG_WARN, "receive-pack", service->connection, "%s: %s",
	            r->repo, r->refusal);
	ph__receive_say(r, "error: %s", r->refusal);
	return ph__receive_fail_unpack(r, r->refusal);
}

static enum ph_step wait(struct receive *r, bool first)
{
	const struct ph_service *service = &r->session.service;
	char text[PH_ADMISSION_TEXT_BYTES];

	if (first) {
		ph__admission_waits(&r->admission, text);
		ph__receive_say(r, "%s", text);
		ph_log_line(service->log, PH_LOG_INFO, "receive-pack", service->connection,
		            "%s: %s", r->repo, text);
		r->spoke_at_ms = r->session.now_ms;
	}
	ph__receive_keepalive(r);
	return PH_STEP_WAIT;
}

enum ph_step ph__receive_admit(struct receive *r)
{
	size_t len;
	const uint8_t *data = ph__session_input(&r->session, &len);
	uint64_t count;
	bool first;
	enum ph_status status;

	if (!r->updates)
		return next(r);
	if (!r->claim_bytes) {
		const char *wrong;

		if (len < HEADER_BYTES && !r->session.eof)
			return PH_STEP_INPUT;
		wrong = bad_header(data, len);
		if (wrong)
			return ph__receive_fail_unpack(r, wrong);
		if (!announced(r, data, &count))
			return next(r);
		claim(r, count);
	}
	status = ph__admission_ask(&r->admission, r->claim_bytes, &first);
	if (status == PH_ERR_LIMIT)
		return refuse(r);
	return status == PH_OK ? next(r) : wait(r, first);
}
