/* SPDX-License-Identifier: MIT */
/*
 * Protocol 2 (gitprotocol-v2): the capability advertisement, and requests. A request is read to its
 * flush before the first byte of an answer. What is wrong with a request's form is said on stderr
 * alone, as git does: a stateless client would take a packet for an answer.
 */
#include "up_int.h"

#include <stdio.h>
#include <string.h>

/* ---- capabilities ---- */

/* git's order, in which they are advertised. */
enum capability {
	CAP_AGENT,
	CAP_LS_REFS,
	CAP_FETCH,
	CAP_SERVER_OPTION,
	CAP_OBJECT_FORMAT,
	CAP_SESSION_ID,
	CAP_OBJECT_INFO,
	CAP_BUNDLE_URI,
	CAPS
};

static const struct {
	const char *name;
	enum ph__command command; /* that it is; NONE: it goes with commands */
} capabilities[CAPS] = {
        [CAP_AGENT] = {"agent", PH__COMMAND_NONE},
        [CAP_LS_REFS] = {"ls-refs", PH__COMMAND_LS_REFS},
        [CAP_FETCH] = {"fetch", PH__COMMAND_FETCH},
        [CAP_SERVER_OPTION] = {"server-option", PH__COMMAND_NONE},
        [CAP_OBJECT_FORMAT] = {"object-format", PH__COMMAND_NONE},
        [CAP_SESSION_ID] = {"session-id", PH__COMMAND_NONE},
        [CAP_OBJECT_INFO] = {"object-info", PH__COMMAND_OBJECT_INFO},
        [CAP_BUNDLE_URI] = {"bundle-uri", PH__COMMAND_BUNDLE_URI},
};

static bool offered(const struct ph__up *up, enum capability cap)
{
	if (cap == CAP_SESSION_ID)
		return *up->session_id;
	if (cap == CAP_OBJECT_INFO)
		return up->config.advertise_object_info;
	if (cap == CAP_BUNDLE_URI)
		return up->config.advertise_bundle_uris;
	return true;
}

/* What it is advertised with, behind the "="; "" for nothing. */
static void offer_value(const struct ph__up *up, enum capability cap, char *out, size_t size)
{
	const struct ph_config *config = &up->config;

	*out = 0;
	if (cap == CAP_AGENT)
		snprintf(out, size, "%s", up->agent);
	else if (cap == CAP_LS_REFS && config->unborn == PH_UNBORN_ADVERTISE)
		snprintf(out, size, "unborn");
	else if (cap == CAP_FETCH)
		snprintf(out, size, "shallow wait-for-done%s%s%s%s",
		         config->allow_filter ? " filter" : "",
		         config->allow_ref_in_want ? " ref-in-want" : "",
		         config->allow_sideband_all ? " sideband-all" : "",
		         config->blob_packfile_uris.count ? " packfile-uris" : "");
	else if (cap == CAP_OBJECT_FORMAT)
		snprintf(out, size, "%s", ph_hash_name(up->algo));
	else if (cap == CAP_SESSION_ID)
		snprintf(out, size, "%s", up->session_id);
	else if (cap == CAP_OBJECT_INFO)
		snprintf(out, size, "size");
}

enum ph_step ph__up_v2_advert(struct ph__up *up, uint32_t *budget)
{
	struct ph_session *session = &up->session;
	char value[256];

	ph_budget_spend(budget, 1);
	if (!ph__out_ready(session))
		return PH_STEP_OUTPUT;
	ph__out_line(session, "version 2\n");
	for (unsigned i = 0; i < CAPS; i++) {
		offer_value(up, (enum capability)i, value, sizeof(value));
		if (offered(up, (enum capability)i))
			ph__out_line(session, "%s%s%s\n", capabilities[i].name, *value ? "=" : "",
			             value);
	}
	ph__out_flush(session);
	return ph__up_go(up, PH__UP_V2_REQUEST);
}

/*
 * The capability that a text names, alone or with "=" and a value (else *value is NULL); CAPS for
 * what is not offered here.
 */
static enum capability find_capability(const struct ph__up *up, const char *text, size_t len,
                                       const char **value, size_t *value_len)
{
	const char *equals = len ? memchr(text, '=', len) : NULL;
	size_t name_len = equals ? (size_t)(equals - text) : len;

	*value = equals ? equals + 1 : NULL;
	*value_len = equals ? len - name_len - 1 : 0;
	for (unsigned i = 0; i < CAPS; i++) {
		const char *name = capabilities[i].name;

		if (strlen(name) == name_len && memcmp(name, text, name_len) == 0 &&
		    offered(up, (enum capability)i))
			return (enum capability)i;
	}
	return CAPS;
}

/* ---- command and capabilities ---- */

static const char *command_name(const struct ph__up_request *request)
{
	for (unsigned i = 0; i < CAPS; i++)
		if (capabilities[i].command == request->command)
			return capabilities[i].name;
	return "";
}

static enum ph_step command_line(struct ph__up *up, const char *name, size_t len)
{
	struct ph__up_request *request = &up->request;
	const char *value;
	size_t value_len;
	enum capability cap = find_capability(up, name, len, &value, &value_len);
	char show[128];

	ph__up_show(show, name, len);
	if (request->command != PH__COMMAND_NONE)
		return ph__up_fail(up, PH__SAY_STDERR,
		                   "command '%s' requested after already requesting command '%s'",
		                   show, command_name(request));
	if (cap == CAPS || capabilities[cap].command == PH__COMMAND_NONE || value)
		return ph__up_fail(up, PH__SAY_STDERR, "invalid command '%s'", show);
	request->command = capabilities[cap].command;
	return PH_STEP_AGAIN;
}

/* Whatever it means, it is for this server's owner to know of. */
static enum ph_step server_option(struct ph__up *up, const char *text, size_t len)
{
	const struct ph_service *service = &up->session.service;
	const struct ph_limits *limits = service->limits;
	char show[128];

	if (up->request.server_options++ >= limits->server_options_max)
		return ph__up_too_many(up, "server options", "server_options_max",
		                       limits->server_options_max);
	if (len > limits->server_option_bytes_max)
		return ph__up_too_many(up, "bytes in a server option", "server_option_bytes_max",
		                       limits->server_option_bytes_max);
	ph_log_line(service->log, PH_LOG_DEBUG, "upload-pack", service->connection,
	            "%s: server option %s", up->repo, ph__up_show(show, text, len));
	return PH_STEP_AGAIN;
}

static enum ph_step object_format(struct ph__up *up, const char *name, size_t len)
{
	char show[128];

	if (!name)
		return ph__up_fail(up, PH__SAY_STDERR,
		                   "object-format capability requires an argument");
	if (ph_hash_from_name(&up->request.algo, name, len) == PH_OK)
		return PH_STEP_AGAIN;
	return ph__up_fail(up, PH__SAY_STDERR, "unknown object format '%s'",
	                   ph__up_show(show, name, len));
}

static enum ph_step capability_line(struct ph__up *up, const struct ph_pkt *pkt)
{
	const char *rest, *value;
	size_t len, value_len;
	char show[128];

	up->request.seen_line = true;
	if (ph_pkt_starts(pkt, "command=", &rest, &len))
		return command_line(up, rest, len);
	switch (find_capability(up, (const char *)pkt->data, pkt->len, &value, &value_len)) {
	case CAP_AGENT:
		return PH_STEP_AGAIN;
	case CAP_SERVER_OPTION:
		return server_option(up, value ? value : "", value_len);
	case CAP_OBJECT_FORMAT:
		return object_format(up, value, value_len);
	case CAP_SESSION_ID:
		ph__up_session_id(up, value ? value : "", value_len);
		return PH_STEP_AGAIN;
	case CAP_LS_REFS:
	case CAP_FETCH:
	case CAP_OBJECT_INFO:
	case CAP_BUNDLE_URI:
	case CAPS:
	default:
		return ph__up_fail(up, PH__SAY_STDERR, "unknown capability '%s'",
		                   ph__up_show(show, pkt->data, pkt->len));
	}
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
	return ph__up_go(up, PH__UP_V2_ARGS);
}

static enum ph_step fetch_begin(struct ph__up *up)
{
	struct ph__up_request *request = &up->request;
	bool wants = request->wants.count > 0 || request->want_refs.count > 0;

	if (!wants && !request->wait_for_done)
		return ph__up_request_done(up);
	/* The last round of a negotiation that found nothing: git's server sends a pack of nothing
	 * here, of which git's client dies. */
	if (!wants && request->haves.count == 0 && !request->done)
		return ph__up_go(up, PH__UP_V2_ACKS);
	/* There is no place for other sources in a response that is not banded. */
	if (!request->sideband_all)
		request->uri_protocols[0] = 0;
	request->band_max = PH_BAND_PAYLOAD_MAX;
	up->tips_now = false;
	return ph__up_go(up, request->want_refs.count ? PH__UP_WANT_REFS : PH__UP_TIPS);
}

static enum ph_step arguments_end(struct ph__up *up)
{
	switch (up->request.command) {
	case PH__COMMAND_FETCH:
		return fetch_begin(up);
	case PH__COMMAND_OBJECT_INFO:
		return ph__up_go(up, PH__UP_OBJECTS);
	case PH__COMMAND_BUNDLE_URI:
		return ph__up_go(up, PH__UP_BUNDLE_LINES);
	case PH__COMMAND_LS_REFS:
	case PH__COMMAND_NONE:
	default:
		ph__prefixes_sort(&up->request.prefixes);
		return ph__up_go(up, PH__UP_LS_HEAD);
	}
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
	return ph__up_add(up, &up->request.wants, &oid, "wants", "wants_max",
	                  up->session.service.limits->wants_max);
}

static enum ph_step have_line(struct ph__up *up, const char *text, size_t len)
{
	struct ph_oid oid;
	char show[128];
	const char *rest;
	size_t rest_len;

	if (!ph__up_oid(up, &oid, text, len, &rest, &rest_len) || rest_len)
		return ph__up_fail(up, PH__SAY_STDERR,
		                   "git upload-pack: expected SHA1 object, got '%s'",
		                   ph__up_show(show, text, len));
	return ph__up_add(up, &up->request.haves, &oid, "haves", "haves_max",
	                  up->session.service.limits->haves_max);
}

static bool fetch_flag(struct ph__up *up, const struct ph_pkt *pkt)
{
	struct ph__up_request *request = &up->request;

	if (ph_pkt_is(pkt, "thin-pack"))
		request->thin = true;
	else if (ph_pkt_is(pkt, "ofs-delta"))
		request->ofs_delta = true;
	else if (ph_pkt_is(pkt, "no-progress"))
		request->no_progress = true;
	else if (ph_pkt_is(pkt, "include-tag"))
		request->include_tag = true;
	else if (ph_pkt_is(pkt, "deepen-relative"))
		request->deepen_relative = true;
	else if (ph_pkt_is(pkt, "done"))
		request->done = true;
	else if (ph_pkt_is(pkt, "wait-for-done"))
		request->wait_for_done = true;
	else if (up->config.allow_sideband_all && ph_pkt_is(pkt, "sideband-all"))
		request->sideband_all = true;
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
	if (up->config.allow_ref_in_want && ph_pkt_starts(pkt, "want-ref ", &rest, &len))
		return ph__up_want_ref_line(up, rest, len);
	if (up->config.blob_packfile_uris.count &&
	    ph_pkt_starts(pkt, "packfile-uris ", &rest, &len))
		return ph__up_uris_line(up, rest, len);
	if (fetch_flag(up, pkt)) {
		/* Whatever goes wrong from here on is said there too. */
		if (up->request.sideband_all)
			up->session.line_band = PH_BAND_DATA;
		return PH_STEP_AGAIN;
	}
	if (!up->config.allow_filter && ph_pkt_starts(pkt, "filter ", NULL, NULL))
		return unexpected(up, pkt);
	step = ph__up_common_line(up, pkt, &known);
	return known ? step : unexpected(up, pkt);
}

static enum ph_step bundle_line(struct ph__up *up, const struct ph_pkt *pkt)
{
	char show[128];

	return ph__up_fail(up, PH__SAY_STDERR, "bundle-uri: unexpected argument: '%s'",
	                   ph__up_show(show, pkt->data, pkt->len));
}

static enum ph_step argument(struct ph__up *up, const struct ph_pkt *pkt)
{
	switch (up->request.command) {
	case PH__COMMAND_FETCH:
		return fetch_line(up, pkt);
	case PH__COMMAND_OBJECT_INFO:
		return ph__up_object_line(up, pkt);
	case PH__COMMAND_BUNDLE_URI:
		return bundle_line(up, pkt);
	case PH__COMMAND_LS_REFS:
	case PH__COMMAND_NONE:
	default:
		return ls_line(up, pkt);
	}
}

/* git says it in these words, and for object-info in a packet too. */
static enum ph_step no_flush(struct ph__up *up)
{
	enum ph__command command = up->request.command;
	const char *name = command_name(&up->request);

	if (command == PH__COMMAND_OBJECT_INFO || command == PH__COMMAND_BUNDLE_URI)
		return ph__up_fail(
		        up, command == PH__COMMAND_OBJECT_INFO ? PH__SAY_ERR : PH__SAY_STDERR,
		        "%s: expected flush after arguments", name);
	return ph__up_fail(up, PH__SAY_STDERR, "expected flush after %s arguments", name);
}

enum ph_step ph__up_v2_args(struct ph__up *up, uint32_t *budget)
{
	while (*budget > 0 && up->state == PH__UP_V2_ARGS) {
		struct ph_pkt pkt;
		enum ph_step step;
		enum ph__up_got got = ph__up_read(up, &pkt, false, &step);

		ph_budget_spend(budget, 1);
		if (got != PH__GOT_PKT)
			return step;
		if (pkt.kind == PH_PKT_FLUSH)
			return arguments_end(up);
		if (pkt.kind != PH_PKT_DATA)
			return no_flush(up);
		argument(up, &pkt);
	}
	return PH_STEP_AGAIN;
}
