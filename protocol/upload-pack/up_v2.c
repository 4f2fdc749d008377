/* SPDX-License-Identifier: MIT */
/*
 * Protocol 2 (gitprotocol-v2): the capability advertisement, and requests. A request is read to its
 * flush before the first byte of an answer. What is wrong with a request's form is said on stderr
 * alone, as git does: a stateless client would take a packet for an answer.
 */
#include "up_int.h"

#include <stdio.h>
#include <string.h>

enum ph_step ph__up_v2_advert(struct ph__up *up, uint32_t *budget)
{
	struct ph_session *session = &up->session;

	ph_budget_spend(budget, 1);
	if (!ph__out_ready(session))
		return PH_STEP_OUTPUT;
	ph__out_line(session, "version 2\n");
	ph__out_line(session, "agent=%s\n", up->agent);
	ph__out_line(session, "ls-refs=unborn\n");
	ph__out_line(session, "fetch=shallow filter\n");
	ph__out_line(session, "object-format=%s\n", ph_hash_name(up->algo));
	ph__out_flush(session);
	return ph__up_go(up, PH__UP_V2_REQUEST);
}

/* ---- command and capabilities ---- */

static const char *command_name(const struct ph__up_request *request)
{
	return request->command == PH__COMMAND_FETCH ? "fetch" : "ls-refs";
}

static enum ph_step command_line(struct ph__up *up, const char *name, size_t len)
{
	struct ph__up_request *request = &up->request;
	bool ls_refs = len == 7 && memcmp(name, "ls-refs", 7) == 0;
	bool fetch = len == 5 && memcmp(name, "fetch", 5) == 0;
	char show[128];

	ph__up_show(show, name, len);
	if (request->command != PH__COMMAND_NONE)
		return ph__up_fail(up, PH__SAY_STDERR,
		                   "command '%s' requested after already requesting command '%s'",
		                   show, command_name(request));
	if (!ls_refs && !fetch)
		return ph__up_fail(up, PH__SAY_STDERR, "invalid command '%s'", show);
	request->command = fetch ? PH__COMMAND_FETCH : PH__COMMAND_LS_REFS;
	return PH_STEP_AGAIN;
}

static enum ph_step capability_line(struct ph__up *up, const struct ph_pkt *pkt)
{
	const char *rest;
	size_t len;
	char show[128];

	up->request.seen_line = true;
	if (ph_pkt_starts(pkt, "command=", &rest, &len))
		return command_line(up, rest, len);
	if (ph_pkt_is(pkt, "agent") || ph_pkt_starts(pkt, "agent=", NULL, NULL))
		return PH_STEP_AGAIN;
	if (ph_pkt_starts(pkt, "object-format=", &rest, &len)) {
		if (ph_hash_from_name(&up->request.algo, rest, len) == PH_OK)
			return PH_STEP_AGAIN;
		return ph__up_fail(up, PH__SAY_STDERR, "unknown object format '%s'",
		                   ph__up_show(show, rest, len));
	}
	return ph__up_fail(up, PH__SAY_STDERR, "unknown capability '%s'",
	                   ph__up_show(show, pkt->data, pkt->len));
}

/* All capabilities are there; the arguments follow, or with a flush there are none. */
static enum ph_step capabilities_end(struct ph__up *up)
{
	struct ph__up_request *request = &up->request;

	if (request->command == PH__COMMAND_NONE)
		return ph__up_fail(up, PH__SAY_STDERR, "no command requested");
	if (request->algo != up->algo)
		return ph__up_fail(up, PH__SAY_STDERR,
		                   "mismatched object format: server %s; client %s",
		                   ph_hash_name(up->algo), ph_hash_name(request->algo));
	return ph__up_go(up, request->command == PH__COMMAND_FETCH ? PH__UP_V2_FETCH_ARGS
	                                                           : PH__UP_V2_LS_ARGS);
}

static enum ph_step ls_begin(struct ph__up *up)
{
	ph__prefixes_sort(&up->request.prefixes);
	return ph__up_go(up, PH__UP_LS_HEAD);
}

static enum ph_step fetch_begin(struct ph__up *up)
{
	if (up->request.wants.count == 0)
		return ph__up_request_done(up);
	up->request.band_max = PH_BAND_PAYLOAD_MAX;
	up->tips_now = false;
	return ph__up_go(up, PH__UP_TIPS);
}

static enum ph_step arguments_end(struct ph__up *up)
{
	return up->request.command == PH__COMMAND_FETCH ? fetch_begin(up) : ls_begin(up);
}

enum ph_step ph__up_v2_request(struct ph__up *up, uint32_t *budget)
{
	while (*budget > 0 && up->state == PH__UP_V2_REQUEST) {
		struct ph_pkt pkt;
		enum ph_step step;
		enum ph__up_got got = ph__up_read(up, &pkt, !up->request.seen_line, &step);

		ph_budget_spend(budget, 1);
		if (got == PH__GOT_NONE)
			return step;
		if (got == PH__GOT_END || (pkt.kind == PH_PKT_FLUSH && !up->request.seen_line))
			return ph__up_go(up, PH__UP_DONE);
		if (pkt.kind == PH_PKT_RESPONSE_END)
			return ph__up_fail(up, PH__SAY_STDERR, "unexpected response end packet");
		if (pkt.kind == PH_PKT_DATA) {
			capability_line(up, &pkt);
			continue;
		}
		step = capabilities_end(up);
		if (pkt.kind == PH_PKT_FLUSH && up->state != PH__UP_FAIL)
			step = arguments_end(up);
		return step;
	}
	return PH_STEP_AGAIN;
}

/* ---- arguments ---- */

static enum ph_step unexpected(struct ph__up *up, const struct ph_pkt *pkt)
{
	char show[128];

	return ph__up_fail(up, PH__SAY_STDERR, "unexpected line: '%s'",
	                   ph__up_show(show, pkt->data, pkt->len));
}

static enum ph_step ls_line(struct ph__up *up, const struct ph_pkt *pkt)
{
	struct ph__up_request *request = &up->request;
	const struct ph_service *service = &up->session.service;
	const char *rest;
	size_t len;
	enum ph_status status;

	if (ph_pkt_is(pkt, "peel")) {
		request->ls_peel = true;
	} else if (ph_pkt_is(pkt, "symrefs")) {
		request->ls_symrefs = true;
	} else if (ph_pkt_is(pkt, "unborn")) {
		request->ls_unborn = true;
	} else if (ph_pkt_starts(pkt, "ref-prefix ", &rest, &len)) {
		status = ph__prefixes_add(&request->prefixes, service->alloc,
		                          service->limits->ref_prefixes_max, rest, len);
		if (status != PH_OK)
			return ph__up_fail_status(up, status, "reading the request");
	} else {
		return unexpected(up, pkt);
	}
	return PH_STEP_AGAIN;
}

static enum ph_step want_line(struct ph__up *up, const struct ph_pkt *pkt, const char *text,
                              size_t len)
{
	struct ph_oid oid;
	char show[128];

	if (!ph__up_oid(up, &oid, text, len, &text, &len) || len)
		return ph__up_fail(up, PH__SAY_STDERR,
		                   "git upload-pack: protocol error, expected to get oid, not '%s'",
		                   ph__up_show(show, pkt->data, pkt->len));
	return ph__up_add(up, &up->request.wants, &oid, up->session.service.limits->wants_max,
	                  "wants");
}

static enum ph_step have_line(struct ph__up *up, const char *text, size_t len)
{
	struct ph_oid oid;
	char show[128];
	const char *rest;
	size_t rest_len;

	if (!ph__up_oid(up, &oid, text, len, &rest, &rest_len) || rest_len)
		return ph__up_fail(up, PH__SAY_STDERR,
		                   "git upload-pack: expected object ID, got '%s'",
		                   ph__up_show(show, text, len));
	return ph__up_add(up, &up->request.haves, &oid, up->session.service.limits->haves_max,
	                  "haves");
}

static bool fetch_flag(struct ph__up_request *request, const struct ph_pkt *pkt)
{
	if (ph_pkt_is(pkt, "thin-pack"))
		request->thin = true;
	else if (ph_pkt_is(pkt, "ofs-delta"))
		request->ofs_delta = true;
	else if (ph_pkt_is(pkt, "no-progress"))
		request->no_progress = true;
	else if (ph_pkt_is(pkt, "include-tag"))
		request->include_tag = true;
	else if (ph_pkt_is(pkt, "done"))
		request->done = true;
	else
		return false;
	return true;
}

static enum ph_step fetch_line(struct ph__up *up, const struct ph_pkt *pkt)
{
	const char *rest;
	size_t len;
	bool known;
	enum ph_step step;

	if (ph_pkt_starts(pkt, "want ", &rest, &len))
		return want_line(up, pkt, rest, len);
	if (ph_pkt_starts(pkt, "have ", &rest, &len))
		return have_line(up, rest, len);
	if (fetch_flag(&up->request, pkt))
		return PH_STEP_AGAIN;
	step = ph__up_common_line(up, pkt, &known);
	return known ? step : unexpected(up, pkt);
}

static enum ph_step arguments(struct ph__up *up, uint32_t *budget,
                              enum ph_step (*line)(struct ph__up *up, const struct ph_pkt *pkt))
{
	enum ph__up_state state = up->state;

	while (*budget > 0 && up->state == state) {
		struct ph_pkt pkt;
		enum ph_step step;
		enum ph__up_got got = ph__up_read(up, &pkt, false, &step);

		ph_budget_spend(budget, 1);
		if (got != PH__GOT_PKT)
			return step;
		if (pkt.kind == PH_PKT_FLUSH)
			return arguments_end(up);
		if (pkt.kind != PH_PKT_DATA)
			return ph__up_fail(up, PH__SAY_STDERR, "expected flush after %s arguments",
			                   command_name(&up->request));
		line(up, &pkt);
	}
	return PH_STEP_AGAIN;
}

enum ph_step ph__up_v2_ls_args(struct ph__up *up, uint32_t *budget)
{
	return arguments(up, budget, ls_line);
}

enum ph_step ph__up_v2_fetch_args(struct ph__up *up, uint32_t *budget)
{
	return arguments(up, budget, fetch_line);
}
