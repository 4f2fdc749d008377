/* SPDX-License-Identifier: MIT */
/*
 * The tips section of a joined pack (tips_int.h). What all refs reach has the refs' values as its
 * tips. Otherwise the notes of the packs that were joined are true of the new one when they are put
 * together: every object is reachable from the tips of the pack it came from, or is only a copy
 * where it came from. One that is a copy in some of them, and not in others, is none. If one has no
 * note, the new one has none.
 */
#include "maint_int.h"
#include "tips_int.h"

#include <string.h>

/* Looking at an object costs less than walking one. */
#define SCAN_PER_UNIT 64u

void ph__maint_note_release(struct ph__maint *maint)
{
	if (maint->note.begun)
		ph__oid_set_release(&maint->note.tips);
	ph_mem_free(maint->session.service.alloc, maint->note.originals);
	memset(&maint->note, 0, sizeof(maint->note));
}

static enum ph_step done(struct ph__maint *maint)
{
	ph__maint_note_release(maint);
	ph_pack_join_free(maint->join.join);
	maint->join.join = NULL;
	return ph__maint_go(maint, maint->join.map ? PH__MAINT_MAP_BEGIN : PH__MAINT_COMMIT);
}

static enum ph_step without(struct ph__maint *maint)
{
	if (maint->join.tips)
		maint->join.tips->ops->abort(maint->join.tips);
	return done(maint);
}

enum ph_step ph__maint_note_begin(struct ph__maint *maint, uint32_t *budget)
{
	const struct ph_alloc *alloc = maint->session.service.alloc;
	struct ph__maint_note *note = &maint->note;

	ph_budget_spend(budget, 1);
	if (!maint->join.tips)
		return done(maint);
	memset(note, 0, sizeof(*note));
	ph__oid_set_init(&note->tips, alloc, 0);
	note->begun = true;
	if (maint->walk)
		return ph__maint_go(maint, PH__MAINT_NOTE);
	note->originals = ph_mem_zalloc(alloc, (size_t)(maint->join.stats.objects / 8) + 1, 1);
	if (!note->originals)
		return ph__maint_fail(maint, PH_ERR_NOMEM, "joining packs");
	return ph__maint_go(maint, PH__MAINT_NOTE);
}

/* ---- what there is to say ---- */

static enum ph_status open_note(const struct ph__maint *maint, uint32_t pack, struct ph__tips *tips)
{
	const struct ph_bytes *section =
	        ph_snapshot_section(maint->snapshot, pack, PH__SECTION_TIPS);
	uint32_t entries;
	uint64_t bytes;

	if (!section)
		return PH_ERR_NOT_FOUND;
	maint->source->ops->pack_size(maint->source, pack, &entries, &bytes);
	return ph__tips_open(tips, section, maint->snapshot->algo, entries);
}

static enum ph_status add_tip(struct ph__maint *maint, const struct ph_oid *oid)
{
	enum ph_status status = ph__oid_set_add(&maint->note.tips, oid, PH__TIPS_MAX);

	return status == PH_ERR_EXISTS ? PH_OK : status;
}

/* Tips of refs. */
static enum ph_status gather_refs(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status = PH_OK;

	while (status == PH_OK && *budget > 0) {
		ph_budget_spend(budget, 1);
		status = ph__maint_ref(maint);
		if (status == PH_OK)
			status = add_tip(maint, &maint->ref.oid);
	}
	return status == PH_OK ? PH_AGAIN : status;
}

/* Marks the objects of one pack that are there as more than copies. */
static enum ph_status mark_originals(struct ph__maint *maint, const struct ph__tips *tips)
{
	struct ph__maint_note *note = &maint->note;
	uint32_t copy = 0, rank;

	for (unsigned i = 0; i < SCAN_PER_UNIT && note->pos < tips->entries; i++, note->pos++) {
		enum ph_status status = PH_OK;

		while (note->copy < tips->copies) {
			status = ph__tips_copy(tips, note->copy, &copy);
			if (status != PH_OK)
				return status;
			if (copy >= note->pos)
				break;
			note->copy++;
		}
		if (note->copy < tips->copies && copy == note->pos)
			continue;
		if (ph_pack_join_rank(maint->join.join, note->pack, note->pos, &rank))
			note->originals[rank / 8] |= (uint8_t)(1u << (rank % 8));
	}
	return PH_OK;
}

/* Tips and originals of the packs that were joined, one after the other. */
static enum ph_status gather_notes(struct ph__maint *maint, uint32_t *budget)
{
	struct ph__maint_note *note = &maint->note;
	struct ph__tips tips;
	enum ph_status status = PH_OK;

	while (note->pack < maint->join.count) {
		if (*budget == 0)
			return PH_AGAIN;
		ph_budget_spend(budget, 1);
		status = open_note(maint, maint->join.packs[note->pack], &tips);
		if (status == PH_OK && note->rank < tips.tips) {
			struct ph_oid oid;

			status = ph__tips_tip(&tips, note->rank++, &oid);
			if (status == PH_OK)
				status = add_tip(maint, &oid);
		} else if (status == PH_OK && note->pos < tips.entries) {
			status = mark_originals(maint, &tips);
		} else if (status == PH_OK) {
			note->rank = note->pos = note->copy = 0;
			note->pack++;
		}
		if (status != PH_OK)
			return status;
	}
	note->rank = 0;
	return PH_END;
}

static bool is_original(const struct ph__maint_note *note, uint32_t rank)
{
	return !note->originals || (note->originals[rank / 8] >> (rank % 8) & 1) != 0;
}

static enum ph_status begin_section(struct ph__maint *maint)
{
	struct ph__maint_note *note = &maint->note;
	uint32_t objects = maint->join.stats.objects;

	for (uint32_t rank = 0; rank < objects && note->originals; rank++)
		note->copies += !is_original(note, rank);
	if (note->copies > PH__TIPS_COPIES_MAX)
		return PH_ERR_LIMIT;
	return ph__tips_write(maint->join.tips, maint->snapshot->algo, objects, note->tips.count,
	                      note->copies);
}

enum ph_step ph__maint_note(struct ph__maint *maint, uint32_t *budget)
{
	enum ph_status status =
	        maint->walk ? gather_refs(maint, budget) : gather_notes(maint, budget);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status == PH_END)
		status = begin_section(maint);
	return status == PH_OK ? ph__maint_go(maint, PH__MAINT_NOTE_END) : without(maint);
}

enum ph_step ph__maint_note_end(struct ph__maint *maint, uint32_t *budget)
{
	struct ph__maint_note *note = &maint->note;
	struct ph_sink *sink = maint->join.tips;
	enum ph_hash_algo algo = maint->snapshot->algo;
	enum ph_status status = PH_OK;

	while (maint->cursor < note->tips.count && status == PH_OK) {
		if (*budget == 0)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, 1);
		status = ph__tips_write_tip(sink, algo, &note->tips.oids[maint->cursor++]);
	}
	while (note->copies > 0 && status == PH_OK) {
		if (*budget == 0)
			return PH_STEP_AGAIN;
		if (note->rank % SCAN_PER_UNIT == 0)
			ph_budget_spend(budget, 1);
		if (!is_original(note, note->rank)) {
			status = ph__tips_write_copy(sink, note->rank);
			note->copies--;
		}
		note->rank++;
	}
	if (status != PH_OK)
		return without(maint);
	maint->written += sink->size;
	return done(maint);
}
