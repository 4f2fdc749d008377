/* SPDX-License-Identifier: MIT */
/*
 * object-info of protocol 2: sizes of objects without the objects. A client is told of what it may
 * fetch and of nothing else: whether an object is reachable is found out as for wants, and one that
 * is not is answered as one that does not exist.
 */
#include "up_int.h"

#include <inttypes.h>

static enum ph_status append(struct ph__infos *infos, const struct ph_alloc *alloc, uint32_t want)
{
	if (infos->count == infos->room) {
		uint32_t room = infos->room ? infos->room * 2 : 16;
		void *moved = ph_mem_resize(alloc, infos->wants, room, sizeof(*infos->wants));

		if (!moved)
			return PH_ERR_NOMEM;
		infos->wants = moved;
		infos->room = room;
	}
	infos->wants[infos->count++] = want;
	return PH_OK;
}

enum ph_step ph__up_object_line(struct ph__up *up, const struct ph_pkt *pkt)
{
	struct ph__infos *infos = &up->request.infos;
	uint32_t max = up->session.service.limits->object_infos_max;
	const char *text;
	size_t len;
	struct ph_oid oid;
	enum ph_status status;
	char show[128];

	if (ph_pkt_is(pkt, "size")) {
		infos->size = true;
		return PH_STEP_AGAIN;
	}
	if (!ph_pkt_starts(pkt, "oid ", &text, &len))
		return ph__up_fail(up, PH__SAY_ERR, "object-info: unexpected line: '%s'",
		                   ph__up_show(show, pkt->data, pkt->len));
	ph__up_show(show, text, len);
	if (!ph__up_oid(up, &oid, text, len, &text, &len) || len)
		return ph__up_fail(up, PH__SAY_ERR,
		                   "object-info: protocol error, expected to get oid, not '%s'",
		                   show);
	if (infos->count >= max)
		return ph__up_too_many(up, "objects asked about", "object_infos_max", max);
	status = ph__oid_set_add(&up->request.wants, &oid, max);
	if (status == PH_OK || status == PH_ERR_EXISTS)
		status = append(infos, up->session.service.alloc,
		                ph__oid_set_find(&up->request.wants, &oid));
	if (status != PH_OK)
		return ph__up_fail_status(up, status, "reading the request");
	return PH_STEP_AGAIN;
}

enum ph_step ph__up_objects(struct ph__up *up, uint32_t *budget)
{
	enum ph_status status;

	ph_budget_spend(budget, 1);
	if (up->request.infos.count == 0) {
		if (!ph__out_ready(&up->session))
			return PH_STEP_OUTPUT;
		ph__out_flush(&up->session);
		return ph__up_request_done(up);
	}
	status = ph__up_take(up, &up->now);
	if (status == PH_ERR_NOT_FOUND)
		return ph__up_fail(up, PH__SAY_ERR, "repository '%s' not found", up->repo);
	if (status != PH_OK)
		return ph__up_fail_status(up, status, "opening the repository");
	up->tips_now = true;
	up->use = up->now;
	up->source = ph_snapshot_source(up->now);
	return ph__up_go(up, PH__UP_TIPS);
}

/* Whether a client may have it: as for wants. */
static bool may_have(const struct ph__up *up, uint32_t want, struct ph_loc loc)
{
	return up->request.wants.marks[want] || up->config.allow_any_sha1 ||
	       (up->reach && ph_reach_found(up->reach, loc));
}

/* One line, without a newline as git has it. */
static enum ph_status put_line(struct ph__up *up, uint32_t want)
{
	const struct ph_oid *oid = &up->request.wants.oids[want];
	char hex[PH_OID_HEX_MAX + 1];
	struct ph_entry entry;
	struct ph_loc loc;
	enum ph_status status = up->source->ops->find(up->source, oid, &loc);

	ph_oid_to_hex(hex, up->algo, oid);
	if (status == PH_OK && !may_have(up, want, loc))
		status = PH_ERR_NOT_FOUND;
	if (status == PH_OK)
		status = up->source->ops->entry(up->source, loc, &entry);
	if (status == PH_OK && up->request.infos.size)
		ph__out_line(&up->session, "%s %" PRIu64, hex, entry.size);
	else if (status == PH_OK)
		ph__out_line(&up->session, "%s", hex);
	else if (status == PH_ERR_NOT_FOUND)
		ph__out_line(&up->session, "%s ", hex);
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

enum ph_step ph__up_object_lines(struct ph__up *up, uint32_t *budget)
{
	const struct ph__infos *infos = &up->request.infos;

	while (*budget > 0) {
		enum ph_status status;

		if (!ph__out_ready(&up->session))
			return PH_STEP_OUTPUT;
		ph_budget_spend(budget, 1);
		if (up->cursor == infos->count) {
			ph__out_flush(&up->session);
			return ph__up_request_done(up);
		}
		if (up->cursor == 0 && infos->size)
			ph__out_line(&up->session, "size");
		status = put_line(up, infos->wants[up->cursor++]);
		if (status != PH_OK)
			return ph__up_fail_status(up, status, "looking for objects");
	}
	return PH_STEP_AGAIN;
}
