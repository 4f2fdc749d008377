/* SPDX-License-Identifier: MIT */
/*
 * ls-refs of protocol 2, and its prefixes. The prefixes are sorted and made free of one another, so
 * the refs under each are one range of the store's order: 65535 prefixes over a million refs cost
 * what the answer costs, and a name is tested by one search.
 */
#include "up_int.h"

#include <assert.h>
#include <string.h>

/* Text of all prefixes of one request. Beyond it they are ignored, as beyond their number. */
#define PREFIX_TEXT_BYTES_MAX (4u << 20)

/* ---- prefixes ---- */

void ph__prefixes_release(struct ph__prefixes *prefixes, const struct ph_alloc *alloc)
{
	ph_mem_free(alloc, prefixes->text);
	ph_mem_free(alloc, prefixes->at);
	memset(prefixes, 0, sizeof(*prefixes));
}

static enum ph_status make_room(struct ph__prefixes *prefixes, const struct ph_alloc *alloc,
                                size_t len)
{
	void *moved;

	if (prefixes->count == prefixes->room) {
		uint32_t room = prefixes->room ? prefixes->room * 2 : 8;

		moved = ph_mem_resize(alloc, prefixes->at, room, sizeof(*prefixes->at));
		if (!moved)
			return PH_ERR_NOMEM;
		prefixes->at = moved;
		prefixes->room = room;
	}
	if (prefixes->text_room - prefixes->text_len < len) {
		size_t room = prefixes->text_room * 2 + len + 128;

		moved = ph_mem_resize(alloc, prefixes->text, room, 1);
		if (!moved)
			return PH_ERR_NOMEM;
		prefixes->text = moved;
		prefixes->text_room = room;
	}
	return PH_OK;
}

enum ph_status ph__prefixes_add(struct ph__prefixes *prefixes, const struct ph_alloc *alloc,
                                uint32_t max, const char *text, size_t len)
{
	enum ph_status status;

	if (prefixes->all)
		return PH_OK;
	if (prefixes->lines == max || prefixes->text_len + len > PREFIX_TEXT_BYTES_MAX) {
		ph__prefixes_release(prefixes, alloc);
		prefixes->all = true;
		return PH_OK;
	}
	prefixes->lines++;
	/* What no name of a ref can begin with selects nothing, but it is a prefix all the same. */
	if (len > PH_REF_NAME_MAX || memchr(text, 0, len))
		return PH_OK;
	status = make_room(prefixes, alloc, len + 1);
	if (status != PH_OK)
		return status;
	prefixes->at[prefixes->count++] = (uint32_t)prefixes->text_len;
	memcpy(prefixes->text + prefixes->text_len, text, len);
	prefixes->text_len += len;
	prefixes->text[prefixes->text_len++] = 0;
	return PH_OK;
}

static const char *prefix(const struct ph__prefixes *prefixes, uint32_t i)
{
	return prefixes->text + prefixes->at[i];
}

static void sift(struct ph__prefixes *prefixes, uint32_t root, uint32_t count)
{
	for (uint32_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
		uint32_t moved = prefixes->at[root];

		if (child + 1 < count &&
		    strcmp(prefix(prefixes, child), prefix(prefixes, child + 1)) < 0)
			child++;
		if (strcmp(prefix(prefixes, root), prefix(prefixes, child)) >= 0)
			return;
		prefixes->at[root] = prefixes->at[child];
		prefixes->at[child] = moved;
		root = child;
	}
}

static bool begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

/* Heap sort, which needs no memory and has no bad case; then what another covers goes out. */
void ph__prefixes_sort(struct ph__prefixes *prefixes)
{
	uint32_t kept = 0;

	for (uint32_t i = prefixes->count / 2; i > 0; i--)
		sift(prefixes, i - 1, prefixes->count);
	for (uint32_t n = prefixes->count; n > 1; n--) {
		uint32_t largest = prefixes->at[0];

		prefixes->at[0] = prefixes->at[n - 1];
		prefixes->at[n - 1] = largest;
		sift(prefixes, 0, n - 1);
	}
	for (uint32_t i = 0; i < prefixes->count; i++)
		if (kept == 0 || !begins(prefix(prefixes, i), prefix(prefixes, kept - 1)))
			prefixes->at[kept++] = prefixes->at[i];
	prefixes->count = kept;
}

/* Only the last prefix that is not behind the name can be one of it: they cover no one another. */
bool ph__prefixes_match(const struct ph__prefixes *prefixes, const char *name)
{
	uint32_t low = 0, high = prefixes->count;

	if (prefixes->all || prefixes->lines == 0)
		return true;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (strcmp(prefix(prefixes, middle), name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && begins(name, prefix(prefixes, low - 1));
}

/* ---- lines ---- */

static void put_line(struct ph__up *up, const char *name, const char *target,
                     const struct ph_ref *value)
{
	const struct ph__up_request *request = &up->request;
	char hex[PH_OID_HEX_MAX + 1], peeled[PH_OID_HEX_MAX + 1] = "";
	bool symref = request->ls_symrefs && *target;

	ph_oid_to_hex(hex, up->algo, &value->oid);
	if (request->ls_peel && !ph_oid_is_zero(&value->peeled))
		ph_oid_to_hex(peeled, up->algo, &value->peeled);
	ph__out_line(&up->session, "%s %s%s%s%s%s\n", hex, name, symref ? " symref-target:" : "",
	             symref ? target : "", *peeled ? " peeled:" : "", peeled);
}

enum ph_step ph__up_ls_head(struct ph__up *up, uint32_t *budget)
{
	char target[PH_REF_NAME_MAX + 1];
	struct ph_ref value;
	enum ph_status status;
	bool symref;

	ph_budget_spend(budget, 1);
	if (!ph__out_ready(&up->session))
		return PH_STEP_OUTPUT;
	/* The snapshot that the client will see is kept for its fetches. */
	status = ph__up_take(up, &up->seen);
	if (status == PH_ERR_NOT_FOUND)
		return ph__up_fail(up, PH__SAY_ERR, "repository '%s' not found", up->repo);
	if (status != PH_OK)
		return ph__up_fail_status(up, status, "listing refs");
	up->iter = NULL;
	ph__up_go(up, PH__UP_LS_REFS);
	if (!ph__prefixes_match(&up->request.prefixes, "HEAD"))
		return PH_STEP_AGAIN;
	status = ph__visible_resolve(up->seen, &up->config.hide_upload, "HEAD", &value, target);
	if (status == PH_ERR_DENIED)
		return PH_STEP_AGAIN;
	symref = strcmp(target, "HEAD") != 0;
	if (status == PH_OK)
		put_line(up, "HEAD", symref ? target : "", &value);
	else if (status == PH_ERR_NOT_FOUND && symref && up->request.ls_unborn &&
	         up->request.ls_symrefs && up->config.unborn != PH_UNBORN_IGNORE)
		ph__out_line(&up->session, "unborn HEAD symref-target:%s\n", target);
	else if (status != PH_ERR_NOT_FOUND && status != PH_ERR_LIMIT)
		return ph__up_fail_status(up, status, "listing refs");
	return PH_STEP_AGAIN;
}

/* The range of refs that the cursor's prefix selects, or NULL behind the last. */
static const char *range(struct ph__up *up)
{
	const struct ph__prefixes *prefixes = &up->request.prefixes;

	if (prefixes->all || prefixes->lines == 0)
		return up->cursor == 0 ? "refs/" : NULL;
	for (; up->cursor < prefixes->count; up->cursor++) {
		const char *at = prefix(prefixes, up->cursor);

		if (begins("refs/", at))
			return "refs/";
		if (begins(at, "refs/"))
			return at;
	}
	return NULL;
}

static enum ph_status put_ref(struct ph__up *up)
{
	char target[PH_REF_NAME_MAX + 1];
	struct ph_ref value;
	enum ph_status status;

	if (!*up->ref.target) {
		put_line(up, up->ref.name, "", &up->ref);
		return PH_OK;
	}
	status = ph__visible_resolve(up->seen, &up->config.hide_upload, up->ref.name, &value,
	                             target);
	if (status == PH_OK)
		put_line(up, up->ref.name, target, &value);
	return status == PH_ERR_NOT_FOUND || status == PH_ERR_LIMIT || status == PH_ERR_DENIED
	               ? PH_OK
	               : status;
}

/* One ref; PH_END behind the last. */
static enum ph_status next_ref(struct ph__up *up)
{
	const char *from = range(up);
	enum ph_status status;

	if (!from)
		return PH_END;
	if (!up->iter) {
		status = ph_snapshot_refs(up->seen, from, &up->iter);
		if (status != PH_OK)
			return status;
	}
	status = ph__visible_next(up->iter, &up->config.hide_upload, &up->ref);
	if (status == PH_AGAIN && begins(up->ref.name, from))
		return PH_OK;
	if (status == PH_OK && begins(up->ref.name, from))
		return put_ref(up);
	if (status < 0)
		return status;
	ph_ref_iter_free(up->iter);
	up->iter = NULL;
	up->cursor++;
	return PH_OK;
}

enum ph_step ph__up_ls_refs(struct ph__up *up, uint32_t *budget)
{
	while (*budget > 0) {
		enum ph_status status;

		if (!ph__out_ready(&up->session))
			return PH_STEP_OUTPUT;
		status = next_ref(up);
		ph_budget_spend(budget, 1);
		if (status == PH_END) {
			ph__out_flush(&up->session);
			return ph__up_request_done(up);
		}
		if (status != PH_OK)
			return ph__up_fail_status(up, status, "listing refs");
	}
	return PH_STEP_AGAIN;
}
