/* SPDX-License-Identifier: MIT */
/*
 * What the proof of connectivity has shown of the pack as a whole is kept beside it (tips_int.h):
 * when the one walk for all commands met every object of the pack, or the pack is closed and it is
 * known what in it nothing refers to, later readers need not walk it again. A pack with objects
 * that nothing reaches, or too much to note, gets no such section. That costs them time and nothing
 * else, so no failure here is one of the push.
 */
#include "receive_int.h"
#include "tips_int.h"

#include <string.h>

/* Looking whether an object was met is cheap: so many make one unit of work. */
#define SCAN_PER_UNIT 256u

enum ph_status ph__receive_tips_begin(struct receive *r)
{
	enum ph_status status = ph_txn_sink(r->txn, r->pack, PH__SECTION_TIPS, &r->tips.sink);

	if (status != PH_OK)
		r->tips.sink = NULL;
	return status == PH_ERR_NOMEM ? status : PH_OK;
}

void ph__receive_tips_release(struct receive *r)
{
	/* The sink is the transaction's. What was not finished is not left half written. */
	if (r->tips.sink && r->txn)
		r->tips.sink->ops->abort(r->tips.sink);
	ph_mem_free(r->session.service.alloc, r->tips.copies);
	memset(&r->tips, 0, sizeof(r->tips));
}

static bool is_tip(const struct receive_command *c)
{
	return receive_live(c) && !c->deletes;
}

static bool note_copy(struct receive *r, uint32_t rank)
{
	struct receive_tips *tips = &r->tips;

	if (tips->count == PH__TIPS_COPIES_MAX)
		return false;
	if (tips->count == tips->room) {
		uint32_t room = tips->room ? 2 * tips->room : 64;
		void *copies = ph_mem_resize(r->session.service.alloc, tips->copies, room,
		                             sizeof(*tips->copies));

		if (!copies)
			return false;
		tips->copies = copies;
		tips->room = room;
	}
	tips->copies[tips->count++] = rank;
	return true;
}

/* Whether it was met, or is only a copy of one that another pack had before. */
static bool is_known(struct receive *r, const struct ph_source *source, struct ph_loc loc)
{
	struct ph_loc first;
	struct ph_entry entry;

	if (ph_walk_selected(r->connect.walk, loc))
		return true;
	if (source->ops->entry(source, loc, &entry) != PH_OK ||
	    source->ops->find(source, &entry.oid, &first) != PH_OK || first.pack == loc.pack)
		return false;
	return note_copy(r, loc.pos);
}

static enum ph_status write_all(struct receive *r, uint32_t entries)
{
	struct ph_sink *sink = r->tips.sink;
	enum ph_status status;
	uint32_t count = 0;

	for (uint32_t i = 0; i < r->count; i++)
		count += is_tip(&r->commands[i]);
	if (count > PH__TIPS_MAX)
		return PH_ERR_LIMIT;
	status = ph__tips_write(sink, r->algo, entries, count, r->tips.count);
	for (uint32_t i = 0; i < r->count && status == PH_OK; i++)
		if (is_tip(&r->commands[i]))
			status = ph__tips_write_tip(sink, r->algo, &r->commands[i].new_oid);
	for (uint32_t i = 0; i < r->tips.count && status == PH_OK; i++)
		status = ph__tips_write_copy(sink, r->tips.copies[i]);
	return status;
}

bool ph__receive_tips(struct receive *r, uint32_t *budget)
{
	const struct ph_source *source = ph_txn_source(r->txn);
	struct receive_tips *tips = &r->tips;
	uint32_t packs = source->ops->packs(source), entries = 0;
	uint64_t bytes;

	if (!tips->sink || packs == 0)
		return true;
	/* The push's own is the last one. */
	source->ops->pack_size(source, packs - 1, &entries, &bytes);
	while (tips->rank < entries) {
		if (*budget == 0)
			return false;
		ph_budget_spend(budget, 1);
		for (uint32_t i = 0; i < SCAN_PER_UNIT && tips->rank < entries; i++) {
			struct ph_loc loc = {packs - 1, tips->rank++};

			if (!is_known(r, source, loc)) {
				ph__receive_tips_release(r);
				return true;
			}
		}
	}
	if (write_all(r, entries) == PH_OK)
		tips->sink = NULL;
	ph__receive_tips_release(r);
	return true;
}

void ph__receive_tips_heads(struct receive *r, const struct ph_oid *heads, uint32_t count,
                            uint32_t entries)
{
	struct ph_sink *sink = r->tips.sink;
	enum ph_status status;

	if (!sink || !heads || count > PH__TIPS_MAX)
		return;
	status = ph__tips_write(sink, r->algo, entries, count, 0);
	for (uint32_t i = 0; i < count && status == PH_OK; i++)
		status = ph__tips_write_tip(sink, r->algo, &heads[i]);
	if (status == PH_OK)
		r->tips.sink = NULL;
	ph__receive_tips_release(r);
}
