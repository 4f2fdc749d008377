/* SPDX-License-Identifier: MIT */
/*
 * What is due, by the sizes of packs and the sections beside them. Every rule is one of proportion,
 * so that what maintenance writes stays a small multiple of what was pushed: packs are joined when
 * there are several of about a size, and everything into one when what came since is no longer
 * small beside the largest and maint_credit.c has credit for it. What nobody can reach goes first
 * where that costs nothing, as whole packs. A light session makes maps, and leaves joining and
 * dropping to one after the last push of a burst, as long as packs are not too many.
 */
#include "maint_int.h"
#include "map_section_int.h"
#include "tips_int.h"

#include <string.h>

/* All is joined when the largest pack is less than so many times the rest and there is credit for
 * it: clones find nearly everything in one pack with its map. */
#define REST_SHARE 16u
/* It is joined without credit when the rest weighs so many times the largest. */
#define REST_MAX 3u
/* Packs are joined when together they weigh so many times the heaviest of them: whatever is written
 * again is then in a pack that has grown so much, so that it is seldom. Some packs of each size
 * stay. */
#define GROWTH 8u
/* More packs than this are not left to be joined later: finding an object looks into each. */
#define PACKS_LEFT_MAX 48u
/* What an object weighs besides its bytes: about what one of a source tree's history takes. */
#define OBJECT_BYTES 1024u
/* Weights stay in range whatever a store says. */
#define WEIGHT_MAX ((uint64_t)1 << 48)
/* A tip of a note being made, in a set with its slots. */
#define TIP_BYTES 64u

struct weighed {
	uint64_t weight;
	uint32_t pack;
};

static uint64_t weigh(const struct ph__maint *maint, uint32_t pack, uint32_t *entries)
{
	uint64_t bytes;

	maint->source->ops->pack_size(maint->source, pack, entries, &bytes);
	if (bytes > WEIGHT_MAX)
		bytes = WEIGHT_MAX;
	return bytes + (uint64_t)*entries * OBJECT_BYTES;
}

/* Lightest first, and of equals the newest: shell sort, as there may be many or few. */
static void sort(struct weighed *packs, uint32_t count)
{
	for (uint32_t gap = count / 2; gap > 0; gap /= 2)
		for (uint32_t i = gap; i < count; i++) {
			struct weighed value = packs[i];
			uint32_t hole = i;

			while (hole >= gap && (packs[hole - gap].weight > value.weight ||
			                       (packs[hole - gap].weight == value.weight &&
			                        packs[hole - gap].pack < value.pack))) {
				packs[hole] = packs[hole - gap];
				hole -= gap;
			}
			packs[hole] = value;
		}
}

/* The lightest count packs are the ones to join, in the source's order. */
static void choose(struct ph__maint *maint, const struct weighed *packs, uint32_t count)
{
	struct ph__maint_join *join = &maint->join;

	join->count = count < PH_PACK_JOIN_MAX ? count : PH_PACK_JOIN_MAX;
	for (uint32_t i = 0; i < join->count; i++) {
		uint32_t hole = i;

		for (; hole > 0 && join->packs[hole - 1] > packs[i].pack; hole--)
			join->packs[hole] = join->packs[hole - 1];
		join->packs[hole] = packs[i].pack;
	}
}

/* The most of the lightest packs that together weigh GROWTH times the heaviest of them. */
static uint32_t out_of_proportion(const struct weighed *packs, uint32_t count)
{
	uint64_t sum = 0;
	uint32_t found = 0;

	for (uint32_t i = 0; i < count; i++) {
		sum += packs[i].weight;
		if (i > 0 && sum >= GROWTH * packs[i].weight)
			found = i + 1;
	}
	return found;
}

/* Whether a note names a tip that is no ref's value now, or a pack has no note. */
static bool may_be_unreachable(const struct ph__maint *maint, uint32_t packs)
{
	for (uint32_t i = 0; i < packs; i++) {
		const struct ph_bytes *section =
		        ph_snapshot_section(maint->snapshot, i, PH__SECTION_TIPS);
		struct ph__tips tips;
		uint32_t entries;

		(void)weigh(maint, i, &entries);
		if (!section ||
		    ph__tips_open(&tips, section, maint->snapshot->algo, entries) != PH_OK)
			return true;
		/* One pack with a tip for each ref was made so; what moved since is in others. */
		if (tips.tips != maint->refs || packs > 1)
			return true;
	}
	return false;
}

/* Whether a job is left for later. */
static bool defer(struct ph__maint *maint, uint32_t packs)
{
	bool later = maint->light && !maint->no.room && packs <= PACKS_LEFT_MAX;

	maint->deferred = maint->deferred || later;
	return later;
}

/* What is made of packs anew; PH__MAINT_NOTHING when they are as they should be. */
static enum ph__maint_job decide_writing(struct ph__maint *maint, const struct weighed *packs,
                                         uint32_t count)
{
	uint64_t rest = 0;
	uint32_t found;

	for (uint32_t i = 0; i + 1 < count; i++)
		rest += packs[i].weight;
	if (!maint->no.drop && count > 1 && rest * REST_SHARE >= packs[count - 1].weight &&
	    (rest >= packs[count - 1].weight * REST_MAX || ph__maint_affordable(maint)) &&
	    !defer(maint, count)) {
		choose(maint, packs, count);
		return count > PH_PACK_JOIN_MAX ? PH__MAINT_SOME : PH__MAINT_ALL;
	}
	found = out_of_proportion(packs, maint->no.drop ? count : count - 1);
	if (found > 1 && !maint->no.join && !defer(maint, count)) {
		choose(maint, packs, found);
		return PH__MAINT_SOME;
	}
	if (!maint->no.map &&
	    !ph_snapshot_section(maint->snapshot, maint->largest, PH__SECTION_MAP))
		return PH__MAINT_MAP_ONLY;
	return ph__maint_fulls_due(maint) ? PH__MAINT_FULLS_ONLY : PH__MAINT_NOTHING;
}

static enum ph__maint_job decide(struct ph__maint *maint, struct weighed *packs, uint32_t count)
{
	enum ph__maint_job job = PH__MAINT_NOTHING;

	if (count == 0)
		return PH__MAINT_NOTHING;
	sort(packs, count);
	maint->largest = packs[count - 1].pack;
	if (!maint->no.room)
		job = decide_writing(maint, packs, count);
	if (job != PH__MAINT_NOTHING)
		return job;
	if (maint->no.drop || maint->no.check || !may_be_unreachable(maint, count) ||
	    defer(maint, count))
		return PH__MAINT_NOTHING;
	choose(maint, packs, count);
	return PH__MAINT_CHECK;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Tips that a note of the joined pack may have. */
static uint64_t noted_tips(const struct ph__maint *maint)
{
	uint64_t count = maint->job == PH__MAINT_SOME ? 0 : maint->refs;

	for (uint32_t i = 0; i < maint->join.count && maint->job == PH__MAINT_SOME; i++) {
		uint32_t pack = maint->join.packs[i], entries;
		const struct ph_bytes *section =
		        ph_snapshot_section(maint->snapshot, pack, PH__SECTION_TIPS);
		struct ph__tips tips;

		(void)weigh(maint, pack, &entries);
		if (section &&
		    ph__tips_open(&tips, section, maint->snapshot->algo, entries) == PH_OK)
			count += tips.tips;
	}
	return least(count, PH__TIPS_MAX);
}

/* What follows each other does not add up; of a walk its states stay while packs are joined. */
static uint64_t reckon(const struct ph__maint *maint)
{
	const struct ph_limits *limits = maint->session.service.limits;
	uint64_t walk = ph_footprint_walk(limits, maint->entries, maint->refs);
	uint64_t joined = 0, join, work;
	uint32_t entries;

	for (uint32_t i = 0; i < maint->join.count; i++) {
		(void)weigh(maint, maint->join.packs[i], &entries);
		joined += entries;
	}
	join = ph_footprint_pack_join(limits, joined);
	join += joined / 8 + noted_tips(maint) * TIP_BYTES;
	(void)weigh(maint, maint->largest, &entries);
	if (maint->job == PH__MAINT_SOME)
		work = join;
	else if (maint->job == PH__MAINT_MAP_ONLY)
		work = ph_footprint_map(limits, entries, maint->refs);
	else if (maint->job == PH__MAINT_LOG)
		work = ph__maint_log_reckon(limits);
	else if (maint->job == PH__MAINT_FULLS_ONLY)
		work = walk + ph_footprint_pack_out(limits, maint->entries);
	else
		work = larger(larger(walk, maint->entries + join),
		              ph_footprint_map(limits, maint->entries, maint->refs));
	return PH_ADMISSION_SESSION_BYTES + PH_ADMISSION_OUTSIDE_BYTES + work;
}

enum ph_step ph__maint_plan(struct ph__maint *maint, uint32_t *budget)
{
	const struct ph_alloc *alloc = maint->session.service.alloc;
	uint32_t count = maint->source->ops->packs(maint->source), entries;
	struct weighed *packs = ph_mem_zalloc(alloc, (size_t)count + 1, sizeof(*packs));
	enum ph_status status;
	bool log_due = false;

	if (!packs)
		return ph__maint_fail(maint, PH_ERR_NOMEM, "looking at packs");
	ph_budget_spend(budget, 1 + count / 16);
	maint->entries = 0;
	for (uint32_t i = 0; i < count; i++) {
		packs[i] = (struct weighed){weigh(maint, i, &entries), i};
		maint->entries += entries;
	}
	maint->join.count = 0;
	status = ph__maint_log_due(maint, &log_due);
	/* What only the ref would reach must not be dropped without it. */
	if (log_due && maint->no.log)
		maint->no.drop = true;
	maint->job = log_due && !maint->no.log ? PH__MAINT_LOG : decide(maint, packs, count);
	ph_mem_free(alloc, packs);
	if (status != PH_OK)
		return ph__maint_fail(maint, status, "looking at the push log");
	if (maint->job != PH__MAINT_NOTHING)
		maint->claim_bytes = reckon(maint);
	return ph__maint_go(maint, PH__MAINT_ADMIT);
}
