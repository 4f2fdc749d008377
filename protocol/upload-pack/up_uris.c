/* SPDX-License-Identifier: MIT */
/*
 * packfile-uris of protocol 2: blobs that the owner has put elsewhere (uploadpack.blobPackfileUri,
 * "object hash uri") and that a client says it can fetch from there. They are taken out of the
 * selection, so the pack has neither them nor deltas against them, and the client is told where
 * they are.
 */
#include "up_int.h"

#include <string.h>

/* One line of the configuration, taken apart. */
struct uri {
	struct ph_oid oid;
	const char *hash; /* and behind it a space and the URI */
	const char *uri;
};

enum ph_step ph__up_uris_line(struct ph__up *up, const char *protocols, size_t len)
{
	struct ph__up_request *request = &up->request;

	if (request->uri_protocols[0])
		return ph__up_fail(up, PH__SAY_ERR, "multiple packfile-uris lines forbidden");
	/* The first ones of a list that is longer than any we know of. */
	if (len > PH__URI_PROTOCOLS_MAX)
		len = PH__URI_PROTOCOLS_MAX;
	memcpy(request->uri_protocols, protocols, len);
	request->uri_protocols[len] = 0;
	return PH_STEP_AGAIN;
}

/* Whether the client named the protocol of a URI. */
static bool can_fetch(const struct ph__up *up, const char *uri)
{
	size_t scheme = strcspn(uri, ":");

	if (!uri[scheme])
		return false;
	for (const char *at = up->request.uri_protocols; *at;) {
		size_t len = strcspn(at, ",");

		if (len == scheme && memcmp(at, uri, len) == 0)
			return true;
		at += len + (at[len] == ',');
	}
	return false;
}

static bool plain(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f)
			return false;
	return true;
}

/* False for one that is not as it should be, or is about objects of another format. */
static bool take_apart(const struct ph__up *up, const char *text, struct uri *out)
{
	size_t hex = ph_hash_hex(up->algo);
	struct ph_oid hash;

	if (strlen(text) < 2 * hex + 3 || text[hex] != ' ' || text[2 * hex + 1] != ' ')
		return false;
	out->hash = text + hex + 1;
	out->uri = text + 2 * hex + 2;
	return plain(out->uri) && ph_oid_from_hex(&out->oid, up->algo, text, hex) == PH_OK &&
	       ph_oid_from_hex(&hash, up->algo, out->hash, hex) == PH_OK;
}

/* Takes one object out if it was to go and the client can have it from elsewhere. */
static enum ph_status leave_out(struct ph__up *up, const char *text, struct uri *uri, bool *left)
{
	struct ph_loc loc;
	enum ph_status status;

	*left = false;
	if (!take_apart(up, text, uri) || !can_fetch(up, uri->uri))
		return PH_OK;
	status = up->source->ops->find(up->source, &uri->oid, &loc);
	if (status == PH_OK && ph_walk_selected(up->walk, loc)) {
		ph_walk_deselect(up->walk, loc);
		*left = true;
	}
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

enum ph_step ph__up_packfile_uris(struct ph__up *up, uint32_t *budget)
{
	const struct ph_config_list *list = &up->config.blob_packfile_uris;

	ph__up_keep_alive(up);
	for (; up->cursor<list->count && * budget> 0; up->cursor++) {
		struct uri uri;
		bool left;
		enum ph_status status;

		if (!ph__out_ready(&up->session))
			return PH_STEP_OUTPUT;
		ph_budget_spend(budget, 1);
		status = leave_out(up, list->items[up->cursor].text, &uri, &left);
		if (status != PH_OK)
			return ph__up_fail_status(up, status, "making the pack");
		if (!left)
			continue;
		if (!up->uris_said)
			ph__out_line(&up->session, "packfile-uris\n");
		up->uris_said = true;
		ph__out_line(&up->session, "%s\n", uri.hash);
	}
	if (up->cursor < list->count)
		return PH_STEP_AGAIN;
	if (!ph__out_ready(&up->session))
		return PH_STEP_OUTPUT;
	if (up->uris_said)
		ph__out_delim(&up->session);
	ph__out_line(&up->session, "packfile\n");
	return ph__up_go(up, PH__UP_PACK);
}
