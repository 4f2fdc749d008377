/* SPDX-License-Identifier: MIT */
/*
 * The states of a medium after a power cut, by number. What was written between two flushes is a
 * window: any of it may be there, in any order, whole or torn at sectors. The first numbers are
 * the window's own: all subsets of few writes; of many, every prefix, each alone and all but each;
 * every write torn at sectors of 512 and at blocks of 4096 bytes, a superblock in every way there
 * is. Numbers behind that are samples: random cuts, subsets and tears.
 *
 * A write that comes late is one that is missing while later ones are there. So an order of writes
 * that do not touch the same sectors is a subset; of those that do, the last one may be missing.
 *
 * Without flush a window is all that the last epochs wrote.
 */
#include "cut.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBSETS_ALL 10u /* writes; of more, not all subsets are tried */
#define TEARS_MAX 8u
#define SECTOR 512u
#define BLOCK 4096u
#define RING_BYTES (32u * BLOCK)
/* Epochs whose writes a device without flush may lose. */
#define LOSS_EPOCHS 16u
/* Windows that are open at once when flushes count for nothing. */
#define BROKEN_WINDOWS 8u

struct window {
	size_t from, to;  /* events */
	uint32_t need;    /* the state that was acknowledged in the end */
	uint64_t numbers; /* of its own states */
	uint64_t first;   /* the first of them */
};

struct windows {
	struct window *list;
	uint32_t count, room;
	uint64_t numbers; /* of all windows' own states */
};

/* ---- windows ---- */

static uint32_t acked_at(const struct cut_world *w, size_t event)
{
	uint32_t need = CUT_NONE;

	for (uint32_t i = 0; i < w->ack_count; i++)
		if (w->acks[i].event <= event && (need == CUT_NONE || w->acks[i].state > need))
			need = w->acks[i].state;
	/* What was formatted before the beginning stays. */
	if (need == CUT_NONE && w->state_count > 0 && w->states[0].event <= event)
		need = 0;
	return need;
}

static uint32_t tears_at(size_t len, size_t unit)
{
	size_t parts = len / unit;

	if (parts < 2)
		return 0;
	return 2 * (uint32_t)(parts < TEARS_MAX ? parts : TEARS_MAX);
}

static bool is_super(const struct sim_event *event)
{
	return event->kind == SIM_WRITE && event->offset < RING_BYTES && event->len == BLOCK;
}

static uint32_t tears(const struct sim_event *event)
{
	if (event->kind != SIM_WRITE)
		return 0;
	return is_super(event) ? 254 : tears_at(event->len, SECTOR) + tears_at(event->len, BLOCK);
}

static uint32_t writes_in(const struct cut_world *w, const struct window *window)
{
	uint32_t count = 0;

	for (size_t i = window->from; i < window->to; i++)
		count += w->sim->events[i].kind != SIM_FLUSH;
	return count;
}

static void add_window(struct cut_world *w, struct windows *windows, size_t from, size_t to,
                       bool samples_only)
{
	struct window *window;
	uint32_t writes;

	windows->list = cut_room(windows->list, windows->count, &windows->room, sizeof(*window));
	window = &windows->list[windows->count++];
	*window = (struct window){.from = from, .to = to, .need = acked_at(w, to)};
	window->first = windows->numbers;
	if (samples_only)
		return;
	writes = writes_in(w, window);
	window->numbers = writes <= SUBSETS_ALL ? (uint64_t)1 << writes : 1 + 3 * (uint64_t)writes;
	for (size_t i = from; i < to; i++)
		window->numbers += tears(&w->sim->events[i]);
	windows->numbers += window->numbers;
}

/* Between flushes; broken: as if those before a window had not been. */
static void find_windows(struct cut_world *w, struct windows *windows, bool broken)
{
	size_t starts[BROKEN_WINDOWS] = {0};
	uint32_t turn = 0;

	for (size_t i = 0; i <= w->sim->event_count; i++) {
		if (i < w->sim->event_count && w->sim->events[i].kind != SIM_FLUSH)
			continue;
		add_window(w, windows, starts[broken ? (turn + 1) % BROKEN_WINDOWS : turn], i,
		           broken);
		turn = (turn + 1) % BROKEN_WINDOWS;
		starts[turn] = i + 1;
	}
}

/* Where the epochs end, that is, behind their superblocks. */
static size_t *find_ends(const struct cut_world *w, uint32_t *count)
{
	size_t *ends = NULL;
	uint32_t room = 0;

	*count = 0;
	for (size_t i = 0; i < w->sim->event_count; i++) {
		if (!is_super(&w->sim->events[i]))
			continue;
		ends = cut_room(ends, *count, &room, sizeof(*ends));
		ends[(*count)++] = i + 1;
	}
	return ends;
}

/*
 * Of the last epochs anything may be missing. One whose superblock is not there is not an epoch
 * yet, so what it has written is beside the last ones.
 */
static void find_epochs(struct cut_world *w, struct windows *windows)
{
	uint32_t count;
	size_t *ends = find_ends(w, &count);

	for (uint32_t i = 0; i < count; i++) {
		size_t before = i > LOSS_EPOCHS ? ends[i - LOSS_EPOCHS - 1] : 0;
		size_t from = i >= LOSS_EPOCHS ? ends[i - LOSS_EPOCHS] : 0;

		add_window(w, windows, before, ends[i] - 1, true);
		windows->list[windows->count - 1].need = acked_at(w, before);
		add_window(w, windows, from, ends[i], true);
		windows->list[windows->count - 1].need = acked_at(w, from);
	}
	free(ends);
}

/* ---- a state of a window ---- */

static void apply_all(struct cut_world *w, struct sim_device *medium, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		sim_apply(medium, &w->sim->events[i], 0);
}

/* Of an event, the parts of this size for which the mask has a bit, by turns. */
static void apply_mask(struct sim_device *medium, const struct sim_event *event, size_t unit,
                       uint64_t mask)
{
	size_t parts = event->len / unit;

	for (size_t i = 0; i < parts; i++)
		if (mask >> (i % 64) & 1)
			sim_apply_range(medium, event, i * unit, unit);
}

/* One part alone, or all but one; the parts are spread over the event. */
static void apply_tear(struct sim_device *medium, const struct sim_event *event, uint32_t tear)
{
	uint32_t small = tears_at(event->len, SECTOR);
	size_t unit = tear < small ? SECTOR : BLOCK, parts = event->len / unit, part;
	uint32_t count = tears_at(event->len, unit) / 2;

	if (is_super(event)) {
		apply_mask(medium, event, SECTOR, tear + 1);
		return;
	}
	tear = tear < small ? tear : tear - small;
	part = (size_t)(tear / 2) * (parts - 1) / (count - 1);
	if (tear % 2 == 0) {
		sim_apply_range(medium, event, part * unit, unit);
		return;
	}
	sim_apply_range(medium, event, 0, part * unit);
	sim_apply_range(medium, event, (part + 1) * unit, event->len - (part + 1) * unit);
}

/* Of many writes: every prefix, each alone, all but each. Of few: every subset. */
static bool has_write(uint64_t number, uint32_t writes, uint32_t at)
{
	if (writes <= SUBSETS_ALL)
		return number >> at & 1;
	if (number <= writes)
		return at < number;
	number -= writes + 1;
	return number % 2 ? at == number / 2 : at != number / 2;
}

static void apply_own(struct cut_world *w, struct sim_device *medium, const struct window *window,
                      uint64_t number)
{
	uint32_t writes = writes_in(w, window), at = 0;
	uint64_t whole = writes <= SUBSETS_ALL ? (uint64_t)1 << writes : 1 + 3 * (uint64_t)writes;
	bool torn = false;

	for (size_t i = window->from; i < window->to; i++) {
		const struct sim_event *event = &w->sim->events[i];

		if (event->kind == SIM_FLUSH)
			continue;
		if (number < whole) {
			if (has_write(number, writes, at++))
				sim_apply(medium, event, 0);
		} else if (!torn && number - whole < tears(event)) {
			apply_tear(medium, event, (uint32_t)(number - whole));
			torn = true;
		} else {
			number -= torn ? 0 : tears(event);
			sim_apply(medium, event, 0);
		}
	}
}

static void apply_dice(struct sim_device *medium, const struct sim_event *event,
                       struct ph_test_rng *rng, uint32_t dice)
{
	uint64_t mask = ph_test_rng_next(rng);

	if (dice == 4)
		return;
	if (dice < 4 || event->kind == SIM_GROW) {
		sim_apply(medium, event, 0);
	} else if (dice == 5 || event->kind == SIM_DISCARD) {
		sim_apply(medium, event, mask | 1);
	} else if (dice == 6) {
		apply_mask(medium, event, BLOCK, mask);
	} else {
		sim_apply_range(medium, event, 0, mask % (event->len / SECTOR) * SECTOR);
	}
}

/* A random cut; of what was written before, each in any way, or all but one whole. */
static size_t apply_sample(struct cut_world *w, struct sim_device *medium,
                           const struct window *window, uint64_t seed)
{
	struct ph_test_rng rng;
	size_t cut = window->to, odd, length = window->to - window->from;
	bool mixed;

	ph_test_rng_init(&rng, seed);
	mixed = ph_test_rng_below(&rng, 3) > 0;
	if (length > 0 && ph_test_rng_below(&rng, 3) == 0)
		cut = window->from + ph_test_rng_below(&rng, (uint32_t)length);
	odd = window->from + ph_test_rng_below(&rng, (uint32_t)length + 1);
	for (size_t i = window->from; i < cut; i++) {
		uint32_t dice = ph_test_rng_below(&rng, 8);

		if (w->sim->events[i].kind == SIM_FLUSH)
			continue;
		if (!mixed)
			dice = i == odd ? 4 + dice / 2 : 0;
		apply_dice(medium, &w->sim->events[i], &rng, dice);
	}
	return cut;
}

/* ---- trying them ---- */

struct run {
	struct cut_world *w;
	const struct cut_plan *plan;
	struct cut_tally *tally;
	struct windows windows;
	struct sim_device *medium;
};

static void count(struct run *run, uint64_t number, const struct cut_verdict *verdict)
{
	struct cut_tally *tally = run->tally;

	tally->states++;
	tally->lost += verdict->lost;
	tally->newest_lost += verdict->newest_lost;
	tally->unopened += verdict->unopened;
	tally->corrupt += verdict->corrupt;
	tally->partly += verdict->partly;
	tally->next_failed += verdict->next_failed;
	if (*verdict->why &&
	    (run->plan->only ||
	     tally->lost + tally->unopened + tally->corrupt + tally->partly + tally->next_failed <=
	             5))
		fprintf(stderr, "%s\n  %s --state %" PRIu32 ".%" PRIu64 "\n", verdict->why,
		        run->plan->repeat, run->plan->trace, number);
}

static void try_state(struct run *run, const struct window *window, uint64_t number)
{
	struct cut_verdict verdict;
	size_t cut = window->to;
	uint32_t need = window->need;
	bool own = number < run->windows.numbers;

	sim_try(run->medium);
	if (own) {
		apply_own(run->w, run->medium, window, number - window->first);
	} else {
		cut = apply_sample(run->w, run->medium, window,
		                   (run->plan->seed + number) * 0x9e3779b97f4a7c15u);
		if (!run->w->no_flush)
			need = acked_at(run->w, cut);
	}
	cut_check(run->w, run->medium, cut, need, number, &verdict);
	sim_take_back(run->medium);
	count(run, number, &verdict);
}

/* Whether a window's own state is among those that are tried when there are too many. */
static bool is_chosen(const struct run *run, uint64_t number)
{
	uint64_t all = run->windows.numbers, want = run->plan->states;
	uint64_t at = (number + run->plan->seed) % all;

	return want >= all || (at + 1) * want / all != at * want / all;
}

static void try_window(struct run *run, uint32_t index)
{
	const struct window *window = &run->windows.list[index];
	uint64_t own = run->windows.numbers, step = run->windows.count;

	if (run->plan->only) {
		uint64_t number = run->plan->from;

		if (number < own
		            ? number >= window->first && number < window->first + window->numbers
		            : (number - own) % step == index)
			try_state(run, window, number);
		return;
	}
	for (uint64_t i = 0; i < window->numbers; i++)
		if (is_chosen(run, window->first + i))
			try_state(run, window, window->first + i);
	for (uint64_t number = own + index; number < run->plan->states; number += step)
		try_state(run, window, number);
}

void cut_try_states(struct cut_world *w, const struct cut_plan *plan, struct cut_tally *tally)
{
	struct run run = {.w = w, .plan = plan, .tally = tally};
	size_t done = 0;

	if (w->no_flush)
		find_epochs(w, &run.windows);
	else
		find_windows(w, &run.windows, plan->break_flush);
	run.medium = sim_copy(w->start);
	run.medium->device.ops = w->start->device.ops;
	for (uint32_t i = 0; i < run.windows.count; i++) {
		const struct window *window = &run.windows.list[i];

		apply_all(w, run.medium, done, window->from);
		done = window->from;
		try_window(&run, i);
	}
	free(run.windows.list);
	sim_free(run.medium);
}
