/* SPDX-License-Identifier: MIT */
/*
 * Protocols 0 and 1 (gitprotocol-pack): the advertisement and the request. The order of the lines
 * between the advertisement and the flush is free.
 */
#include "up_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* git's order. */
static const char caps[] =
        "multi_ack thin-pack side-band side-band-64k ofs-delta shallow deepen-since deepen-not "
        "deepen-relative no-progress include-tag multi_ack_detailed";

/* "no-done" is for clients without a connection of their own; see ph__up_haves for who says it. */
static void advert_begin(struct ph__up *up)
{
	const struct ph_config *config = &up->config;
	char head[PH_ADVERT_CAPS_MAX], tail[PH_ADVERT_CAPS_MAX];
	struct ph__advert_options options = {
	        .snapshot = up->seen,
	        .hidden = &up->config.hide_upload,
	        .algo = up->algo,
	        .version1 = up->version == 1,
	        .head = true,
	        .peeled = true,
	        .shallow = true,
	        .caps = head,
	        .caps_tail = tail,
	};
	bool any = config->allow_any_sha1;

	snprintf(head, sizeof(head), "%s%s%s", caps,
	         config->allow_tip_sha1 || any ? " allow-tip-sha1-in-want" : "",
	         config->allow_reachable_sha1 || any ? " allow-reachable-sha1-in-want" : "");
	snprintf(tail, sizeof(tail), "%s%s%s%sobject-format=%s agent=%s",
	         config->allow_filter ? "filter " : "", *up->session_id ? "session-id=" : "",
	         up->session_id, *up->session_id ? " " : "", ph_hash_name(up->algo), up->agent);
	ph__advert_init(&up->advert, &options);
}

enum ph_step ph__up_advert(struct ph__up *up, uint32_t *budget)
{
	enum ph_status status;

	if (!up->advert.options.snapshot)
		advert_begin(up);
	status = ph__advert_step(&up->advert, &up->session, budget);
	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status == PH_PENDING)
		return PH_STEP_OUTPUT;
	if (status != PH_OK)
		return ph__up_fail_status(up, status, "advertising");
	return ph__up_go(up, PH__UP_WANTS);
}

/* ---- want lines ---- */

static bool cap(const char *list, size_t len, const char *key)
{
	return ph_caps_find(list, len, key, NULL, NULL);
}

static void want_flags(struct ph__up *up, const char *list, size_t len)
{
	struct ph__up_request *request = &up->request;

	request->thin |= cap(list, len, "thin-pack");
	request->ofs_delta |= cap(list, len, "ofs-delta");
	request->no_progress |= cap(list, len, "no-progress");
	request->include_tag |= cap(list, len, "include-tag");
	request->deepen_relative |= cap(list, len, "deepen-relative");
	request->no_done |= cap(list, len, "no-done");
	request->filter_cap |= up->config.allow_filter && cap(list, len, "filter");
	if (cap(list, len, "multi_ack_detailed"))
		request->ack_mode = PH__ACK_DETAILED;
	else if (cap(list, len, "multi_ack"))
		request->ack_mode = PH__ACK_MULTI;
	if (cap(list, len, "side-band-64k"))
		request->band_max = PH_BAND_PAYLOAD_MAX;
	else if (cap(list, len, "side-band"))
		request->band_max = PH_BAND_PAYLOAD_MAX_SMALL;
}

/* git looks at the capabilities of every want line, and so do we; unknown ones are ignored. */
static enum ph_step want_caps(struct ph__up *up, const char *list, size_t len)
{
	struct ph__up_request *request = &up->request;
	const char *name;
	size_t name_len;
	char show[128];

	want_flags(up, list, len);
	if (ph_caps_find(list, len, "session-id", &name, &name_len))
		ph__up_session_id(up, name, name_len);
	if (!ph_caps_find(list, len, "object-format", &name, &name_len))
		return PH_STEP_AGAIN;
	request->algo_said = true;
	if (ph_hash_from_name(&request->algo, name, name_len) != PH_OK)
		return ph__up_fail(up, PH__SAY_ERR, "unknown object format '%s'",
		                   ph__up_show(show, name, name_len));
	return PH_STEP_AGAIN;
}

/*
 * Without object-format a client means sha1, and its id has 40 digits: no id of a SHA-256
 * repository. So the capabilities are looked for behind the id before the id is read. But git 2.39
 * leaves it out in SHA-256 repositories too, and there the length of its ids tells.
 */
static enum ph_step want_line(struct ph__up *up, const struct ph_pkt *pkt, const char *text,
                              size_t len)
{
	const char *space = memchr(text, ' ', len);
	size_t id_len = space ? (size_t)(space - text) : len;
	struct ph_oid oid;
	char show[128];
	enum ph_step step = PH_STEP_AGAIN;

	if (space)
		step = want_caps(up, text + id_len, len - id_len);
	if (up->state == PH__UP_FAIL)
		return step;
	if (!up->request.algo_said && id_len == ph_hash_hex(up->algo))
		up->request.algo = up->algo;
	if (up->request.algo != up->algo)
		return ph__up_fail(up, PH__SAY_ERR,
		                   "mismatched object format: server %s; client %s",
		                   ph_hash_name(up->algo), ph_hash_name(up->request.algo));
	if (ph_oid_from_hex(&oid, up->algo, text, id_len) != PH_OK)
		return ph__up_fail(up, PH__SAY_STDERR,
		                   "git upload-pack: protocol error, expected to get object ID, "
		                   "not '%s'",
		                   ph__up_show(show, pkt->data, pkt->len));
	return ph__up_add(up, &up->request.wants, &oid, "wants", "wants_max",
	                  up->session.service.limits->wants_max);
}

/* Behind the flush: nothing wanted ends it, as ls-remote and an up-to-date fetch do. */
static enum ph_step wants_end(struct ph__up *up)
{
	if (up->request.wants.count == 0 && !ph__up_deepens(&up->request))
		return ph__up_request_done(up);
	up->tips_now = false;
	return ph__up_go(up, PH__UP_TIPS);
}

static enum ph_step wants_pkt(struct ph__up *up, const struct ph_pkt *pkt)
{
	const char *rest;
	size_t len;
	bool known;
	char show[128];
	enum ph_step step;

	up->request.seen_line = true;
	if (ph_pkt_starts(pkt, "want ", &rest, &len))
		return want_line(up, pkt, rest, len);
	if (ph_pkt_starts(pkt, "filter ", NULL, NULL) && !up->request.filter_cap)
		return ph__up_fail(up, PH__SAY_ERR,
		                   "git upload-pack: filtering capability not negotiated");
	step = ph__up_common_line(up, pkt, &known);
	if (known)
		return step;
	return ph__up_fail(up, PH__SAY_STDERR,
	                   "git upload-pack: protocol error, expected to get object ID, not '%s'",
	                   ph__up_show(show, pkt->data, pkt->len));
}

enum ph_step ph__up_wants(struct ph__up *up, uint32_t *budget)
{
	while (*budget > 0 && up->state == PH__UP_WANTS) {
		struct ph_pkt pkt;
		enum ph_step step;
		enum ph__up_got got = ph__up_read(up, &pkt, !up->request.seen_line, &step);

		ph_budget_spend(budget, 1);
		if (got == PH__GOT_NONE)
			return step;
		if (got == PH__GOT_END)
			return ph__up_request_done(up);
		if (pkt.kind == PH_PKT_FLUSH)
			return wants_end(up);
		if (pkt.kind != PH_PKT_DATA)
			return ph__up_fail(up, PH__SAY_STDERR,
			                   "git upload-pack: protocol error, expected a flush");
		step = wants_pkt(up, &pkt);
		if (step != PH_STEP_AGAIN)
			return step;
	}
	return PH_STEP_AGAIN;
}
