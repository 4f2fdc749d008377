/* SPDX-License-Identifier: MIT */
/*
 * ref-in-want of protocol 2: refs wanted by name. They are looked up when the request is complete,
 * in the repository as it is then, so a push between ls-refs and fetch goes to the client instead
 * of failing it. What they were found to be is said in a section of the answer.
 */
#include "up_int.h"

#include <packhorse/hash.h>

#include <string.h>

static const char *name_of(const struct ph__want_refs *refs, uint32_t i)
{
	return refs->text + refs->items[i].name;
}

void ph__want_refs_release(struct ph__want_refs *refs, const struct ph_alloc *alloc)
{
	ph_mem_free(alloc, refs->items);
	ph_mem_free(alloc, refs->text);
}

static enum ph_status make_room(struct ph__want_refs *refs, const struct ph_alloc *alloc,
                                size_t bytes)
{
	void *moved;

	if (refs->count == refs->room) {
		uint32_t room = refs->room ? refs->room * 2 : 8;

		moved = ph_mem_resize(alloc, refs->items, room, sizeof(*refs->items));
		if (!moved)
			return PH_ERR_NOMEM;
		refs->items = moved;
		refs->room = room;
	}
	if (refs->text_room - refs->text_len < bytes) {
		size_t room = refs->text_room * 2 + bytes + 128;

		moved = ph_mem_resize(alloc, refs->text, room, 1);
		if (!moved)
			return PH_ERR_NOMEM;
		refs->text = moved;
		refs->text_room = room;
	}
	return PH_OK;
}

static enum ph_step unknown_ref(struct ph__up *up, const char *name, size_t len)
{
	char show[128];

	return ph__up_fail(up, PH__SAY_ERR, "unknown ref %s", ph__up_show(show, name, len));
}

static enum ph_step append(struct ph__up *up, const char *name, size_t len)
{
	struct ph__want_refs *refs = &up->request.want_refs;
	enum ph_status status = make_room(refs, up->session.service.alloc, len + 1);

	if (status != PH_OK)
		return ph__up_fail_status(up, status, "reading the request");
	refs->items[refs->count++].name = (uint32_t)refs->text_len;
	memcpy(refs->text + refs->text_len, name, len);
	refs->text_len += len;
	refs->text[refs->text_len++] = 0;
	return PH_STEP_AGAIN;
}

enum ph_step ph__up_want_ref_line(struct ph__up *up, const char *name, size_t len)
{
	const struct ph_limits *limits = up->session.service.limits;
	struct ph__want_refs *refs = &up->request.want_refs;
	struct ph_hash hash;
	struct ph_oid id = {{0}};
	enum ph_status status;
	char show[128];

	if (len > PH_REF_NAME_MAX || memchr(name, 0, len))
		return unknown_ref(up, name, len);
	if (refs->text_len + len >= limits->want_ref_bytes_max)
		return ph__up_too_many(up, "bytes in names of wanted refs", "want_ref_bytes_max",
		                       limits->want_ref_bytes_max);
	ph_hash_init(&hash, PH_HASH_SHA256);
	ph_hash_update(&hash, name, len);
	ph_hash_final(&hash, &id);
	status = ph__oid_set_add(&refs->names, &id, limits->want_refs_max);
	if (status == PH_ERR_EXISTS)
		return ph__up_fail(up, PH__SAY_ERR, "duplicate want-ref %s",
		                   ph__up_show(show, name, len));
	if (status == PH_ERR_LIMIT)
		return ph__up_too_many(up, "wanted refs", "want_refs_max", limits->want_refs_max);
	if (status != PH_OK)
		return ph__up_fail_status(up, status, "reading the request");
	return append(up, name, len);
}

/* PH_ERR_NOT_FOUND also for what this client is not shown. */
static enum ph_status look_up(struct ph__up *up, const char *name, struct ph_oid *oid)
{
	char target[PH_REF_NAME_MAX + 1];
	struct ph_ref value;
	enum ph_status status =
	        ph__visible_resolve(up->now, &up->config.hide_upload, name, &value, target);

	if (status == PH_OK)
		*oid = value.oid;
	return status == PH_ERR_LIMIT || status == PH_ERR_DENIED ? PH_ERR_NOT_FOUND : status;
}

/* A value of a visible ref now: nothing more is to be shown for it. */
static enum ph_step want(struct ph__up *up, const struct ph_oid *oid)
{
	struct ph__oid_set *wants = &up->request.wants;
	enum ph_step step = ph__up_add(up, wants, oid, "wants", "wants_max",
	                               up->session.service.limits->wants_max);

	if (up->state != PH__UP_FAIL)
		wants->marks[ph__oid_set_find(wants, oid)] |= PH__WANT_NOW;
	return step;
}

enum ph_step ph__up_want_refs(struct ph__up *up, uint32_t *budget)
{
	struct ph__want_refs *refs = &up->request.want_refs;
	enum ph_status status = PH_OK;

	if (!up->now)
		status = ph__up_take(up, &up->now);
	for (; status == PH_OK && up->cursor<refs->count && * budget> 0; up->cursor++) {
		const char *name = name_of(refs, up->cursor);
		enum ph_step step;

		ph_budget_spend(budget, 1);
		status = look_up(up, name, &refs->items[up->cursor].oid);
		if (status == PH_ERR_NOT_FOUND)
			return unknown_ref(up, name, strlen(name));
		if (status != PH_OK)
			break;
		step = want(up, &refs->items[up->cursor].oid);
		if (up->state == PH__UP_FAIL)
			return step;
	}
	if (status == PH_ERR_NOT_FOUND)
		return ph__up_fail(up, PH__SAY_ERR, "repository '%s' not found", up->repo);
	if (status != PH_OK)
		return ph__up_fail_status(up, status, "looking for wants");
	return up->cursor < refs->count ? PH_STEP_AGAIN : ph__up_go(up, PH__UP_TIPS);
}

enum ph_step ph__up_wanted_refs(struct ph__up *up, uint32_t *budget)
{
	const struct ph__want_refs *refs = &up->request.want_refs;
	char hex[PH_OID_HEX_MAX + 1];

	while (*budget > 0 && up->cursor < refs->count) {
		if (!ph__out_ready(&up->session))
			return PH_STEP_OUTPUT;
		ph_budget_spend(budget, 1);
		if (up->cursor == 0)
			ph__out_line(&up->session, "wanted-refs\n");
		ph_oid_to_hex(hex, up->algo, &refs->items[up->cursor].oid);
		ph__out_line(&up->session, "%s %s\n", hex, name_of(refs, up->cursor));
		if (++up->cursor == refs->count)
			ph__out_delim(&up->session);
	}
	return up->cursor < refs->count ? PH_STEP_AGAIN : ph__up_go(up, PH__UP_PACK_BEGIN);
}
