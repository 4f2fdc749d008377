/* SPDX-License-Identifier: MIT */
/*
 * What comes from the client, for both protocols: packets, object ids, the sets they go into, and
 * the lines that a v0 request and a v2 fetch share. Texts of errors are git's own where git has
 * one, because people and scripts search for them.
 */
#include "up_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *ph__up_show(char out[128], const void *text, size_t len)
{
	const char *from = text;
	size_t at = 0;

	for (; at < len && at < 127; at++)
		out[at] = from[at] >= 0x20 && from[at] < 0x7f ? from[at] : '?';
	out[at] = 0;
	return out;
}

enum ph__up_got ph__up_read(struct ph__up *up, struct ph_pkt *pkt, bool end_ok, enum ph_step *step)
{
	size_t len, used = 0, rest_len;
	const uint8_t *data = ph__session_input(&up->session, &len);
	enum ph_status status = ph_pkt_parse(pkt, &used, data, len);
	uint32_t max = up->session.service.limits->request_lines_max;
	const char *rest;
	char show[128];

	if (status == PH_AGAIN) {
		*step = PH_STEP_INPUT;
		if (!up->session.eof)
			return PH__GOT_NONE;
		if (len == 0 && end_ok)
			return PH__GOT_END;
		*step = ph__up_fail(up, PH__SAY_STDERR, "the remote end hung up unexpectedly");
		return PH__GOT_NONE;
	}
	if (status != PH_OK) {
		*step = ph__up_fail(up, PH__SAY_STDERR, "protocol error: bad line length: %s",
		                    ph__up_show(show, data, len < 4 ? len : 4));
		return PH__GOT_NONE;
	}
	/* Repeats cost no memory, and yet a request must end. */
	if (up->request.lines >= max) {
		*step = ph__up_too_many(up, "lines", "request_lines_max", max);
		return PH__GOT_NONE;
	}
	up->request.lines++;
	/* The packet's bytes stay where they are until the owner asks for input room again. */
	ph__session_consume(&up->session, used);
	ph_pkt_chomp(pkt);
	if (ph_pkt_starts(pkt, "ERR ", &rest, &rest_len)) {
		*step = ph__up_fail(up, PH__SAY_STDERR, "remote error: %s",
		                    ph__up_show(show, rest, rest_len));
		return PH__GOT_NONE;
	}
	return PH__GOT_PKT;
}

bool ph__up_oid(const struct ph__up *up, struct ph_oid *out, const char *text, size_t len,
                const char **rest, size_t *rest_len)
{
	size_t hex = ph_hash_hex(up->algo);

	if (len < hex || ph_oid_from_hex(out, up->algo, text, hex) != PH_OK)
		return false;
	*rest = text + hex;
	*rest_len = len - hex;
	return true;
}

enum ph_step ph__up_too_many(struct ph__up *up, const char *what, const char *limit, uint64_t max)
{
	return ph__up_fail(up, PH__SAY_ERR, "upload-pack: too many %s (%s %" PRIu64 ")", what,
	                   limit, max);
}

enum ph_step ph__up_add(struct ph__up *up, struct ph__oid_set *set, const struct ph_oid *oid,
                        const char *what, const char *limit, uint32_t max)
{
	enum ph_status status = ph__oid_set_add(set, oid, max);

	if (status == PH_OK || status == PH_ERR_EXISTS)
		return PH_STEP_AGAIN;
	if (status == PH_ERR_LIMIT)
		return ph__up_too_many(up, what, limit, max);
	return ph__up_fail_status(up, status, "reading the request");
}

/* ---- lines ---- */

static enum ph_step shallow_line(struct ph__up *up, const struct ph_pkt *pkt, const char *text,
                                 size_t len)
{
	char show[128];
	struct ph_oid oid;

	if (!ph__up_oid(up, &oid, text, len, &text, &len) || len)
		return ph__up_fail(up, PH__SAY_STDERR, "invalid shallow line: %s",
		                   ph__up_show(show, pkt->data, pkt->len));
	return ph__up_add(up, &up->request.shallows, &oid, "shallow lines", "shallows_max",
	                  up->session.service.limits->shallows_max);
}

/* A boundary is counted, or found by what is left out. */
static enum ph_step one_way(struct ph__up *up)
{
	if (up->request.depth && up->request.deepen_list)
		return ph__up_fail(up, PH__SAY_STDERR,
		                   "git upload-pack: deepen and deepen-since (or deepen-not) "
		                   "cannot be used together");
	return PH_STEP_AGAIN;
}

/* Decimal digits alone, 1 to depth_max: a sign or a space is no number here. */
static enum ph_step deepen_line(struct ph__up *up, const struct ph_pkt *pkt, const char *text,
                                size_t len)
{
	uint64_t depth = 0;
	size_t at = 0;
	char show[128];

	for (; at < len && at < 10 && text[at] >= '0' && text[at] <= '9'; at++)
		depth = depth * 10 + (uint64_t)(text[at] - '0');
	if (at != len || depth == 0 || depth > PH_DEPTH_INFINITE)
		return ph__up_fail(up, PH__SAY_STDERR, "Invalid deepen: %s",
		                   ph__up_show(show, pkt->data, pkt->len));
	if (depth != PH_DEPTH_INFINITE && depth > up->session.service.limits->depth_max)
		return ph__up_fail(up, PH__SAY_ERR, "upload-pack: too deep (depth_max %" PRIu32 ")",
		                   up->session.service.limits->depth_max);
	up->request.depth = (uint32_t)depth;
	return one_way(up);
}

/* Seconds since 1970. What is not a number of that size, and git's own "no limit", is none. */
static enum ph_step since_line(struct ph__up *up, const struct ph_pkt *pkt, const char *text,
                               size_t len)
{
	uint64_t since = 0;
	size_t at = 0;
	char show[128];

	for (; at < len && at < 19 && text[at] >= '0' && text[at] <= '9'; at++)
		since = since * 10 + (uint64_t)(text[at] - '0');
	if (at != len || len == 0)
		return ph__up_fail(up, PH__SAY_STDERR, "Invalid deepen-since: %s",
		                   ph__up_show(show, pkt->data, pkt->len));
	up->request.since = since;
	up->request.deepen_list = true;
	return one_way(up);
}

static enum ph_step not_line(struct ph__up *up, const struct ph_pkt *pkt, const char *text,
                             size_t len)
{
	struct ph_oid oid;
	unsigned count;
	char show[128];
	enum ph_status status = ph__up_name(up, up->seen, text, len, &oid, &count);
	enum ph_step step;

	if (status != PH_OK)
		return ph__up_fail_status(up, status, "reading refs");
	if (count != 1)
		return ph__up_fail(up, PH__SAY_ERR, "git upload-pack: %s: %s",
		                   count ? "ambiguous deepen-not" : "deepen-not is not a ref",
		                   ph__up_show(show, pkt->data, pkt->len));
	step = ph__up_add(up, &up->request.nots, &oid, "deepen-not lines", "deepen_nots_max",
	                  up->session.service.limits->deepen_nots_max);
	if (up->state == PH__UP_FAIL)
		return step;
	up->request.deepen_list = true;
	return one_way(up);
}

static enum ph_step filter_line(struct ph__up *up, const char *text, size_t len)
{
	const struct ph_config *config = &up->config;
	struct ph_filter_policy policy = {
	        .allow = config->filter_allow,
	        .allowed = config->filters_allowed,
	        .denied = config->filters_denied,
	        .tree_depth_max = config->tree_depth_max,
	};
	char why[PH_FILTER_WHY_MAX];
	enum ph_status status;

	if (config->tree_depth_max == PH_CONFIG_UNSET)
		policy.tree_depth_max = UINT64_MAX;

	if (up->request.filter_given)
		return ph__up_fail(up, PH__SAY_ERR, "multiple filter-specs cannot be combined");
	up->request.filter_given = true;
	status = ph_filter_parse(&up->request.filter, up->session.service.alloc, text, len, why);
	if (status == PH_OK)
		status = ph_filter_allowed(&up->request.filter, &policy, why);
	return status == PH_OK ? PH_STEP_AGAIN : ph__up_fail(up, PH__SAY_ERR, "%s", why);
}

enum ph_step ph__up_common_line(struct ph__up *up, const struct ph_pkt *pkt, bool *known)
{
	const char *rest;
	size_t len;

	*known = true;
	if (ph_pkt_starts(pkt, "shallow ", &rest, &len))
		return shallow_line(up, pkt, rest, len);
	if (ph_pkt_starts(pkt, "deepen ", &rest, &len))
		return deepen_line(up, pkt, rest, len);
	if (ph_pkt_starts(pkt, "deepen-since ", &rest, &len))
		return since_line(up, pkt, rest, len);
	if (ph_pkt_starts(pkt, "deepen-not ", &rest, &len))
		return not_line(up, pkt, rest, len);
	if (ph_pkt_starts(pkt, "filter ", &rest, &len))
		return filter_line(up, rest, len);
	*known = false;
	return PH_STEP_AGAIN;
}
