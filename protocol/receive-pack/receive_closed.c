/* SPDX-License-Identifier: MIT */
/*
 * A first push brings all that it refers to. Pack-in has seen so while it had every object at hand
 * (ph_pack_in_closed): whatever is in such a pack is connected, and a tip has only to be in it.
 * When all that nothing in the pack refers to are tips, nothing of it is out of their reach, and
 * the note of that needs no walk either.
 */
#include "receive_int.h"

#include <string.h>

void ph__receive_closed_keep(struct receive *r)
{
	struct receive_closed *closed = &r->closed;
	uint32_t count;
	const struct ph_oid *heads = ph_pack_in_heads(r->pack_in, &count);

	closed->known = ph_pack_in_closed(r->pack_in);
	if (!closed->known)
		return;
	ph__oid_set_init(&closed->heads, r->session.service.alloc, r->pack_options.seed);
	closed->whole = heads != NULL;
	/* Without memory for them it is only the note that is not made. */
	for (uint32_t i = 0; i < count && closed->whole; i++)
		closed->whole = ph__oid_set_add(&closed->heads, &heads[i], UINT32_MAX) == PH_OK;
}

void ph__receive_closed_release(struct receive *r)
{
	if (r->closed.known)
		ph__oid_set_release(&r->closed.heads);
	memset(&r->closed, 0, sizeof(r->closed));
}

static void mark_head(struct receive_closed *closed, const struct ph_oid *oid)
{
	uint32_t number = closed->whole ? ph__oid_set_find(&closed->heads, oid) : UINT32_MAX;

	if (number == UINT32_MAX || closed->heads.marks[number])
		return;
	closed->heads.marks[number] = 1;
	closed->marked++;
}

bool ph__receive_closed(struct receive *r, uint32_t *budget)
{
	struct receive_closed *closed = &r->closed;
	const struct ph_source *source;

	/* There may be no transaction then. */
	if (!closed->known)
		return true;
	source = ph_txn_source(r->txn);
	while (closed->at < r->count) {
		struct receive_command *c = &r->commands[closed->at];
		struct ph_loc loc;

		if (*budget == 0)
			return false;
		ph_budget_spend(budget, 1);
		closed->at++;
		if (!receive_live(c) || c->deletes)
			continue;
		if (source->ops->find(source, &c->new_oid, &loc) == PH_OK) {
			c->proven = true;
			mark_head(closed, &c->new_oid);
		}
	}
	if (closed->whole && closed->marked == closed->heads.count)
		ph__receive_tips_whole(r);
	ph__receive_closed_release(r);
	return true;
}
