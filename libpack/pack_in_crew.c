/* SPDX-License-Identifier: MIT */
/*
 * Families are resolved by several lanes side by side, on threads of the owner's executor. Lanes
 * take entries from one list, in turns, and each resolves the families of the whole objects among
 * them. They work in slices: a slice is one call by the executor, and asks for the next.
 *
 * in->lock guards what lanes share: in->next, the buckets of REF_DELTAs, in->running, stopping and
 * large, the sums of ph__lane_tell, and a lane's ended and waits. A hand is what an executor holds
 * of a lane: it outlives the lane where its turn has not come when everything is given up. Its lock
 * is held during a slice, so freeing waits for no more than that. Locks are taken in the order
 * hand, in->lock.
 */
#include "pack_in_int.h"

#include <assert.h>
#include <string.h>

/* More lanes than this share too little cache to be of use. */
#define LANES_MAX 16u
/* A lane more for so many deltas. */
#define LANE_DELTAS 64u
/* Work units of a slice: a few milliseconds. */
#define SLICE_UNITS 1024u
/* Entries that a lane takes to look for roots in. */
#define TAKE_ENTRIES 64u

struct ph__in_hand {
	const struct ph_executor *executor;
	const struct ph_alloc *alloc;
	void *lock;
	struct ph__in_lane *lane; /* NULL: given up */
	bool out;                 /* the executor has it */
};

static void part(void *arg);

static void hand_lock(const struct ph__in_hand *hand)
{
	hand->executor->sync->mutex_lock(hand->executor->sync->user, hand->lock);
}

static void hand_unlock(const struct ph__in_hand *hand)
{
	hand->executor->sync->mutex_unlock(hand->executor->sync->user, hand->lock);
}

static enum ph_status hand_new(struct ph__in_lane *lane)
{
	const struct ph_executor *executor = lane->in->options.executor;
	const struct ph_alloc *alloc = lane->in->options.alloc;
	struct ph__in_hand *hand = ph_mem_zalloc(alloc, 1, sizeof(*hand));
	enum ph_status status;

	if (!hand)
		return PH_ERR_NOMEM;
	status = executor->sync->mutex_new(executor->sync->user, &hand->lock);
	if (status != PH_OK) {
		ph_mem_free(alloc, hand);
		return status;
	}
	hand->executor = executor;
	hand->alloc = alloc;
	hand->lane = lane;
	lane->hand = hand;
	return PH_OK;
}

static void hand_free(struct ph__in_hand *hand)
{
	hand->executor->sync->mutex_free(hand->executor->sync->user, hand->lock);
	ph_mem_free(hand->alloc, hand);
}

/* ---- large objects ---- */

enum ph_status ph__in_large_take(struct ph__in_lane *lane)
{
	struct ph_pack_in *in = lane->in;
	bool mine;

	if (!lane->hand || lane->has_large)
		return PH_OK;
	ph__in_lock(in);
	mine = !in->large;
	if (mine)
		in->large = lane;
	ph__in_unlock(in);
	lane->has_large = mine;
	return mine ? PH_OK : PH_PENDING;
}

void ph__in_large_give(struct ph__in_lane *lane)
{
	struct ph_pack_in *in = lane->in;
	bool wanted = false;

	if (!lane->has_large)
		return;
	lane->has_large = false;
	ph__in_lock(in);
	in->large = NULL;
	for (uint32_t i = 0; i < in->lanes_count; i++)
		wanted = wanted || in->lanes[i].waits;
	ph__in_unlock(in);
	/* Those who wait are sent on by run. */
	if (wanted && in->options.wake)
		in->options.wake(in->options.wake_user);
}

/* ---- slices ---- */

/* Takes more entries to look for roots in; false when there are none. */
static bool take_entries(struct ph__in_lane *lane)
{
	struct ph_pack_in *in = lane->in;

	ph__in_lock(in);
	lane->next = in->next;
	lane->next_end = in->stats.received - in->next > TAKE_ENTRIES ? in->next + TAKE_ENTRIES
	                                                              : in->stats.received;
	in->next = lane->next_end;
	ph__in_unlock(in);
	return lane->next < lane->next_end;
}

/* PH_AGAIN: there is more to do. PH_OK: all is done, PH_PENDING, errors. */
static enum ph_status slice(struct ph__in_lane *lane)
{
	while (*lane->budget > 0) {
		enum ph_status status = PH_OK;

		if (lane->state != PH__IN_IDLE) {
			status = ph__lane_step(lane);
		} else if (lane->next < lane->next_end || take_entries(lane)) {
			status = ph__in_roots_next(lane, &lane->next, lane->next_end);
		} else {
			status = ph__lane_flush(lane);
			if (status == PH_OK)
				return PH_OK;
		}
		if (status < 0 || status == PH_PENDING)
			return status;
	}
	return PH_AGAIN;
}

/* What a slice came to: whether the lane goes on at once, and whether it was the last at work. */
static bool account(struct ph__in_lane *lane, enum ph_status status, bool *last)
{
	struct ph_pack_in *in = lane->in;
	bool on = false;

	ph__in_lock(in);
	ph__lane_tell(lane);
	if (status < 0) {
		if (lane->error.status != status)
			ph__lane_fail(lane, status, ph_status_text(status), NULL);
		in->stopping = true;
	}
	if (status <= PH_OK)
		lane->ended = true;
	else if (status == PH_PENDING)
		lane->waits = in->large != NULL;
	on = !lane->ended && !lane->waits && !in->stopping;
	if (!on)
		in->running--;
	*last = in->running == 0;
	ph__in_unlock(in);
	return on;
}

/* Called by the executor. */
static void part(void *arg)
{
	struct ph__in_hand *hand = arg;
	struct ph__in_lane *lane;
	bool on = true;
	bool last = false;

	hand_lock(hand);
	lane = hand->lane;
	while (lane && on) {
		uint32_t budget = SLICE_UNITS;

		lane->budget = &budget;
		on = account(lane, slice(lane), &last);
		/* Where it is not taken back, it goes on here. */
		if (on && hand->executor->submit(hand->executor->user, part, hand) == PH_OK)
			break;
	}
	if (!on)
		hand->out = false;
	/* The lock keeps everything in place while the owner is told. */
	if (!on && last && lane->in->options.wake)
		lane->in->options.wake(lane->in->options.wake_user);
	hand_unlock(hand);
	if (!lane)
		hand_free(hand);
}

/* Hands a lane to the executor. False: it is not taken. */
static bool send(struct ph__in_lane *lane)
{
	struct ph_pack_in *in = lane->in;
	struct ph__in_hand *hand = lane->hand;
	bool taken;

	ph__in_lock(in);
	lane->waits = false;
	in->running++;
	ph__in_unlock(in);
	hand_lock(hand);
	hand->out = true;
	taken = hand->executor->submit(hand->executor->user, part, hand) == PH_OK;
	hand->out = taken;
	hand_unlock(hand);
	if (taken)
		return true;
	ph__in_lock(in);
	in->running--;
	lane->waits = true;
	ph__in_unlock(in);
	return false;
}

/* ---- for run ---- */

uint32_t ph__in_crew_width(const struct ph_executor *executor, uint64_t deltas)
{
	uint32_t width = executor ? executor->width : 0;

	if (width > LANES_MAX)
		width = LANES_MAX;
	return width > 1 + deltas / LANE_DELTAS ? (uint32_t)(1 + deltas / LANE_DELTAS) : width;
}

enum ph_status ph__in_crew_begin(struct ph_pack_in *in)
{
	const struct ph_executor *executor = in->options.executor;
	uint32_t width = ph__in_crew_width(executor, in->stats.deltas);
	enum ph_status status = executor->sync->mutex_new(executor->sync->user, &in->lock);

	if (status != PH_OK)
		return status;
	in->lanes = ph_mem_zalloc(in->options.alloc, width, sizeof(*in->lanes));
	if (!in->lanes)
		return PH_ERR_NOMEM;
	while (in->lanes_count < width && status == PH_OK) {
		struct ph__in_lane *lane = &in->lanes[in->lanes_count++];

		status = ph__lane_init(lane, in, in->options.limits->delta_cache_bytes_max / width,
		                       in->main.batch.bytes_max);
		if (status == PH_OK)
			status = hand_new(lane);
		lane->waits = true;
	}
	in->state = PH__IN_CREW;
	return status;
}

/* Of what went wrong, what is first in the pack. */
static enum ph_status failed(struct ph_pack_in *in)
{
	const struct ph__in_lane *first = NULL;

	for (uint32_t i = 0; i < in->lanes_count; i++) {
		const struct ph__in_lane *lane = &in->lanes[i];

		if (lane->error.status < 0 && (!first || lane->making < first->making))
			first = lane;
	}
	assert(first);
	in->main.error = first->error;
	return first->error.status;
}

static enum ph_status ended(struct ph_pack_in *in)
{
	enum ph_status status = PH_OK;

	for (uint32_t i = 0; i < in->lanes_count && status == PH_OK; i++) {
		if (in->links)
			ph__links_flush(in->lanes[i].links);
		status = ph__in_finds_merge(&in->lanes[i]);
		if (status == PH_OK)
			status = ph__in_specials_merge(&in->lanes[i]);
	}
	ph__in_crew_free(in);
	in->next = 0;
	in->state = PH__IN_THIN;
	return status;
}

/* Sends on what waits and can go on. Whether everything has ended. */
static bool send_waiting(struct ph_pack_in *in)
{
	bool all = true;

	for (uint32_t i = 0; i < in->lanes_count; i++) {
		struct ph__in_lane *lane = &in->lanes[i];
		bool go;

		ph__in_lock(in);
		all = all && lane->ended;
		go = lane->waits && !in->large && !in->stopping;
		ph__in_unlock(in);
		/* One whose turn it is may take what the others wait for; they ask again. */
		if (go)
			(void)send(lane);
	}
	return all;
}

/* No thread takes any: the caller does some of the work. */
static enum ph_status alone(struct ph_pack_in *in)
{
	for (uint32_t i = 0; i < in->lanes_count; i++) {
		struct ph__in_lane *lane = &in->lanes[i];
		bool last;

		if (lane->ended || (in->large && in->large != lane))
			continue;
		in->running++;
		lane->waits = false;
		lane->budget = in->main.budget;
		if (account(lane, slice(lane), &last))
			in->running--;
		lane->waits = !lane->ended;
		break;
	}
	return PH_OK;
}

enum ph_status ph__in_crew(struct ph_pack_in *in)
{
	bool all = send_waiting(in);
	bool idle;
	bool stopping;

	ph__in_lock(in);
	idle = in->running == 0;
	stopping = in->stopping;
	in->stats.resolved = in->resolved;
	ph__in_unlock(in);
	if (!idle)
		return PH_PENDING;
	if (stopping)
		return failed(in);
	return all ? ended(in) : alone(in);
}

void ph__in_crew_free(struct ph_pack_in *in)
{
	ph__in_lock(in);
	in->stopping = true;
	ph__in_unlock(in);
	for (uint32_t i = 0; i < in->lanes_count; i++) {
		struct ph__in_hand *hand = in->lanes[i].hand;
		bool out;

		if (!hand)
			continue;
		hand_lock(hand);
		hand->lane = NULL;
		out = hand->out;
		hand_unlock(hand);
		/* Where the executor still has it, it ends when its turn comes. */
		if (!out)
			hand_free(hand);
	}
	for (uint32_t i = 0; i < in->lanes_count; i++)
		ph__lane_release(&in->lanes[i]);
	ph_mem_free(in->options.alloc, in->lanes);
	in->lanes = NULL;
	in->lanes_count = 0;
	if (in->lock)
		in->options.executor->sync->mutex_free(in->options.executor->sync->user, in->lock);
	in->lock = NULL;
}
