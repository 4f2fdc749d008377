/* SPDX-License-Identifier: MIT */
/*
 * Negotiation: which haves are common, and whether the server can cut, that is, whether every want
 * reaches something the client has. Protocol 0 acknowledges line by line, protocol 2 request by
 * request. The set of haves keeps, marked, what is common.
 */
#include "up_int.h"

#include <string.h>

#define COMMON 1u

static enum ph_step negotiation_failed(struct ph__up *up, enum ph_status status)
{
	return ph__up_fail_status(up, status, "negotiating");
}

static void ack(struct ph__up *up, const struct ph_oid *oid, const char *what)
{
	char hex[PH_OID_HEX_MAX + 1];

	ph__out_line(&up->session, "ACK %s%s\n", ph_oid_to_hex(hex, up->algo, oid), what);
}

static void nak(struct ph__up *up)
{
	ph__out_line(&up->session, "NAK\n");
}

/* ---- protocols 0 and 1 ---- */

/*
 * What follows a flush, once it is known whether the server is ready. A client that said "no-done"
 * takes the pack then, without asking for it; it is not offered, but git too does what it says.
 */
static enum ph_step flush_answer(struct ph__up *up, bool ready)
{
	up->said_ready |= ready;
	if (ready)
		ack(up, &up->last_common, " ready");
	if (up->request.haves.count == 0 || up->request.ack_mode != PH__ACK_ONCE)
		nak(up);
	up->got_common = up->got_other = false;
	if (!up->request.no_done || !up->said_ready)
		return ph__up_go(up, PH__UP_HAVES);
	ack(up, &up->last_common, "");
	return ph__up_go(up, PH__UP_PACK_BEGIN);
}

static enum ph_step have_flush(struct ph__up *up)
{
	if (up->request.ack_mode == PH__ACK_DETAILED && up->got_common && !up->got_other) {
		up->cut_at_flush = true;
		return ph__up_go(up, PH__UP_CUT);
	}
	return flush_answer(up, false);
}

/* Without multi_ack the first common one is acknowledged, and then nothing until "done". */
static enum ph_step have_common(struct ph__up *up, const struct ph_oid *oid)
{
	struct ph__oid_set *haves = &up->request.haves;
	bool first = haves->count == 0;
	enum ph_status status = ph__oid_set_add(haves, oid, UINT32_MAX);

	if (status != PH_OK && status != PH_ERR_EXISTS)
		return negotiation_failed(up, status);
	haves->marks[ph__oid_set_find(haves, oid)] |= COMMON;
	up->got_common = true;
	up->last_common = *oid;
	if (up->request.ack_mode == PH__ACK_DETAILED)
		ack(up, oid, " common");
	else if (up->request.ack_mode == PH__ACK_MULTI)
		ack(up, oid, " continue");
	else if (first)
		ack(up, oid, "");
	return PH_STEP_AGAIN;
}

static enum ph_step have_line(struct ph__up *up, const char *text, size_t len)
{
	uint32_t max = up->session.service.limits->haves_max;
	const char *rest;
	size_t rest_len;
	struct ph_oid oid;
	char show[128];

	if (!ph__up_oid(up, &oid, text, len, &rest, &rest_len) || rest_len)
		return ph__up_fail(up, PH__SAY_STDERR,
		                   "git upload-pack: expected SHA1 object, got '%s'",
		                   ph__up_show(show, text, len));
	if (up->request.have_lines++ >= max)
		return ph__up_too_many(up, "haves", "haves_max", max);
	up->asked = oid;
	return ph__up_go(up, PH__UP_HAVE);
}

/* The line that was read last, which may have to be looked for in slices. */
enum ph_step ph__up_have(struct ph__up *up, uint32_t *budget)
{
	enum ph_status status = ph__up_find_now(up, &up->asked, budget);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	ph__up_go(up, PH__UP_HAVES);
	if (status == PH_OK)
		return have_common(up, &up->asked);
	if (status != PH_ERR_NOT_FOUND)
		return negotiation_failed(up, status);
	up->got_other = true;
	if (up->request.ack_mode == PH__ACK_ONCE || up->request.haves.count == 0)
		return PH_STEP_AGAIN;
	up->cut_at_flush = false;
	return ph__up_go(up, PH__UP_CUT);
}

static enum ph_step have_done(struct ph__up *up)
{
	if (up->request.haves.count == 0)
		nak(up);
	else if (up->request.ack_mode != PH__ACK_ONCE)
		ack(up, &up->last_common, "");
	return ph__up_go(up, PH__UP_PACK_BEGIN);
}

static enum ph_step have_pkt(struct ph__up *up, const struct ph_pkt *pkt)
{
	const char *rest;
	size_t len;
	char show[128];

	if (pkt->kind == PH_PKT_FLUSH)
		return have_flush(up);
	if (ph_pkt_starts(pkt, "have ", &rest, &len))
		return have_line(up, rest, len);
	if (ph_pkt_is(pkt, "done"))
		return have_done(up);
	return ph__up_fail(up, PH__SAY_STDERR, "git upload-pack: expected SHA1 list, got '%s'",
	                   ph__up_show(show, pkt->data, pkt->len));
}

enum ph_step ph__up_haves(struct ph__up *up, uint32_t *budget)
{
	while (*budget > 0 && up->state == PH__UP_HAVES) {
		struct ph_pkt pkt;
		enum ph_step step;

		if (!ph__out_ready(&up->session))
			return PH_STEP_OUTPUT;
		if (ph__up_read(up, &pkt, false, &step) != PH__GOT_PKT)
			return step;
		ph_budget_spend(budget, 1);
		have_pkt(up, &pkt);
	}
	return PH_STEP_AGAIN;
}

/* ---- protocol 2 ---- */

enum ph_step ph__up_v2_haves(struct ph__up *up, uint32_t *budget)
{
	struct ph__oid_set *haves = &up->request.haves;

	for (; up->cursor<haves->count && * budget> 0; up->cursor++) {
		struct ph_loc loc;
		enum ph_status status = ph__up_find(up, &haves->oids[up->cursor], &loc);

		ph_budget_spend(budget, 1);
		if (status == PH_OK) {
			haves->marks[up->cursor] |= COMMON;
			up->got_common = true;
		} else if (status != PH_ERR_NOT_FOUND) {
			return negotiation_failed(up, status);
		}
	}
	if (up->cursor < haves->count)
		return PH_STEP_AGAIN;
	return ph__up_go(up, up->request.done ? PH__UP_SHALLOW_KNOWN : PH__UP_V2_ACKS);
}

/* Behind the acknowledgments: "ready" and on to the other sections, or the end of the answer. */
static enum ph_step acks_end(struct ph__up *up, bool ready)
{
	if (!ready) {
		ph__out_flush(&up->session);
		return ph__up_request_done(up);
	}
	ph__out_line(&up->session, "ready\n");
	ph__out_delim(&up->session);
	return ph__up_go(up, PH__UP_SHALLOW_KNOWN);
}

enum ph_step ph__up_v2_acks(struct ph__up *up, uint32_t *budget)
{
	const struct ph__oid_set *haves = &up->request.haves;

	while (*budget > 0) {
		if (!ph__out_ready(&up->session))
			return PH_STEP_OUTPUT;
		ph_budget_spend(budget, 1);
		if (up->cursor == 0)
			ph__out_line(&up->session, "acknowledgments\n");
		if (up->cursor == 0 && !up->got_common)
			nak(up);
		if (!up->got_common)
			return acks_end(up, false);
		if (haves->marks[up->cursor] & COMMON)
			ack(up, &haves->oids[up->cursor], "");
		if (++up->cursor < haves->count)
			continue;
		if (up->request.wait_for_done)
			return acks_end(up, false);
		return ph__up_go(up, PH__UP_CUT);
	}
	return PH_STEP_AGAIN;
}

/* ---- both ---- */

/* Gives the cut a set's members from *at on; those of the haves that are common, as such. */
static enum ph_status cut_give(struct ph__up *up, const struct ph__oid_set *set, uint32_t *at,
                               uint32_t *budget)
{
	bool haves = set == &up->request.haves;
	enum ph_status status = PH_OK;
	bool known;

	while (status == PH_OK && *at < set->count) {
		if (*budget == 0)
			return PH_AGAIN;
		if (!haves)
			status = ph_cut_want(up->cut, &set->oids[*at]);
		else if (set->marks[*at] & COMMON)
			status = ph_cut_common(up->cut, &set->oids[*at], &known, budget);
		*at += status == PH_OK;
		ph_budget_spend(budget, 1);
	}
	return status;
}

/*
 * The boundaries that are known by now, once. In protocol 2 that is the repository's own: the
 * client's is looked at behind the acknowledgments, in git too.
 */
static enum ph_status cut_grafts(struct ph__up *up, uint32_t *budget)
{
	while (!up->cut_grafted) {
		struct ph_oid oid;
		enum ph_status status;

		if (*budget == 0)
			return PH_AGAIN;
		ph_budget_spend(budget, 1);
		status = ph__up_next_graft(up, &oid);
		up->cut_grafted = status == PH_END;
		if (status == PH_OK)
			status = ph_cut_graft(up->cut, &oid);
		if (status != PH_OK && status != PH_END)
			return status;
	}
	return PH_OK;
}

/* The wants, once, and the common haves that are new since it ran last. */
static enum ph_status cut_feed(struct ph__up *up, uint32_t *budget)
{
	const struct ph_service *service = &up->session.service;
	const struct ph__up_request *request = &up->request;
	enum ph_status status = PH_OK;

	if (!up->cut) {
		up->cut_wants = up->cut_opened = up->cut_haves = 0;
		up->cut_grafted = false;
		up->cursor = up->depth_cursor = 0;
		status = ph_cut_new(&up->cut, up->source, service->alloc, service->limits,
		                    &up->maps.set.maps);
	}
	if (status == PH_OK)
		status = cut_grafts(up, budget);
	if (status == PH_OK)
		status = cut_give(up, &request->wants, &up->cut_wants, budget);
	if (status == PH_OK)
		status = cut_give(up, &request->opened, &up->cut_opened, budget);
	if (status == PH_OK)
		status = cut_give(up, &request->haves, &up->cut_haves, budget);
	return status == PH_OK && *budget == 0 ? PH_AGAIN : status;
}

enum ph_step ph__up_cut(struct ph__up *up, uint32_t *budget)
{
	bool ready = false;
	enum ph_status status;

	if (!ph__out_ready(&up->session))
		return PH_STEP_OUTPUT;
	status = cut_feed(up, budget);
	if (status == PH_OK)
		status = ph_cut_run(up->cut, budget, &ready);
	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status != PH_OK) {
		ph_cut_free(up->cut);
		up->cut = NULL;
		return ph__up_maps_blamed(up, status) ? PH_STEP_AGAIN
		                                      : negotiation_failed(up, status);
	}
	if (up->version == 2)
		return acks_end(up, ready);
	if (up->cut_at_flush)
		return flush_answer(up, ready);
	if (ready && up->request.ack_mode == PH__ACK_DETAILED) {
		up->said_ready = true;
		ack(up, &up->asked, " ready");
	} else if (ready) {
		ack(up, &up->asked, " continue");
	}
	return ph__up_go(up, PH__UP_HAVES);
}
