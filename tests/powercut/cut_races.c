/* SPDX-License-Identifier: MIT */
/*
 * A branch is deleted, maintenance runs, and a push that was proved against the branch commits: in
 * every order of their steps. A step of a push ends where its commit would begin, which is where it
 * has been prepared; the commit is the next one. So is each of maintenance's. Whoever was told that
 * it is done must find all objects there, now and after more maintenance.
 */
#include "cut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPO "r"
#define SIDE "refs/heads/side"
#define STEPS 10u

enum { DELETION, MAINTENANCE, PUSH, ACTORS };
static const uint32_t steps_of[ACTORS] = {3, 4, 3};

/* ---- a gate before every commit ---- */

/* The store in use, its own operations, and whose turn it is. */
static struct {
	const struct ph_store_ops *store_ops;
	const struct ph_txn_ops *txn_ops;
	struct ph_store_ops gated_store;
	struct ph_txn_ops gated_txn;
	struct cut_client *current;
} gate;

static enum ph_status gated_commit(struct ph_txn *txn, ph_wake wake, void *arg)
{
	struct cut_client *c = gate.current;

	if (!c || c->pass > 0) {
		if (c)
			c->pass--;
		return gate.txn_ops->commit(txn, wake, arg);
	}
	c->gated = true;
	c->wake = wake;
	c->wake_arg = arg;
	return PH_PENDING;
}

static enum ph_status gated_begin(struct ph_store *store, struct ph_snapshot *base,
                                  struct ph_txn **out)
{
	enum ph_status status = gate.store_ops->begin(store, base, out);

	if (status != PH_OK)
		return status;
	gate.txn_ops = (*out)->ops;
	gate.gated_txn = *(*out)->ops;
	gate.gated_txn.commit = gated_commit;
	(*out)->ops = &gate.gated_txn;
	return PH_OK;
}

static void close_gate(struct ph_store *store)
{
	gate.store_ops = store->ops;
	gate.gated_store = *store->ops;
	gate.gated_store.begin = gated_begin;
	store->ops = &gate.gated_store;
}

static void let_pass(struct cut_client *c)
{
	ph_wake wake = c->wake;

	c->pass = 1;
	c->gated = false;
	wake(c->wake_arg);
}

/* Runs it to its next gate, its end, or as far as its input goes. */
static void run_on(struct cut_world *w, struct cut_client *c)
{
	uint32_t steps = 0;

	gate.current = c;
	while (!c->done && !c->gated && cut_client_step(w, c, 4096))
		if (steps++ > 100000)
			cut_fail(w, "it does not come to an end");
	gate.current = NULL;
}

/* ---- the race ---- */

struct race {
	struct cut_world *w;
	struct cut_client actors[ACTORS];
	uint32_t at[ACTORS];
	uint32_t side, child;
};

static void open_deletion(struct race *race)
{
	struct cut_change change = {SIDE, race->side, CUT_NONE};

	cut_push_begin(race->w, &race->actors[DELETION], REPO, &change, 1, 0);
	race->actors[DELETION].stop = 0;
}

/* Its pack is there but for the end, so its base is what it saw when it began. */
static void open_push(struct race *race)
{
	struct cut_change change = {"refs/heads/new", CUT_NONE, race->child};
	struct cut_client *c = &race->actors[PUSH];

	cut_push_begin(race->w, c, REPO, &change, 1, 0);
	c->stop = c->request.len - 10;
}

static void step(struct race *race, uint32_t actor)
{
	struct cut_client *c = &race->actors[actor];
	uint32_t at = race->at[actor]++;

	if (at == 0 && actor == DELETION)
		open_deletion(race);
	else if (at == 0 && actor == PUSH)
		open_push(race);
	else if (at == 0)
		cut_maintain_begin(race->w, c, REPO);
	if (at == 0 && actor == MAINTENANCE) {
		/* It has chosen what to join, and has a snapshot. */
		gate.current = c;
		for (uint32_t i = 0; i < 3; i++)
			(void)cut_client_step(race->w, c, 1);
		gate.current = NULL;
		return;
	}
	if (at == 1)
		c->stop = SIZE_MAX;
	if (c->gated)
		let_pass(c);
	run_on(race->w, c);
}

/* The number-th order of the steps: at each place as many follow with an actor as there are ways.
 */
static uint64_t ways(const uint32_t left[ACTORS])
{
	uint64_t result = 1;
	uint32_t n = 0;

	for (uint32_t a = 0; a < ACTORS; a++)
		for (uint32_t i = 1; i <= left[a]; i++)
			result = result * ++n / i;
	return result;
}

static void run_order(struct race *race, uint64_t number)
{
	uint32_t left[ACTORS];

	memcpy(left, steps_of, sizeof(left));
	for (uint32_t i = 0; i < STEPS; i++) {
		uint32_t actor = 0;

		for (;; actor++) {
			uint64_t with;

			if (left[actor] == 0)
				continue;
			left[actor]--;
			with = ways(left);
			if (number < with)
				break;
			number -= with;
			left[actor]++;
		}
		step(race, actor);
	}
}

static void finish(struct race *race)
{
	for (uint32_t turn = 0; turn < 100; turn++)
		for (uint32_t i = 0; i < ACTORS; i++)
			if (!race->actors[i].done) {
				if (race->actors[i].gated)
					let_pass(&race->actors[i]);
				run_on(race->w, &race->actors[i]);
			}
	for (uint32_t i = 0; i < ACTORS; i++)
		if (!race->actors[i].done)
			cut_fail(race->w, "actor %u stands still", i);
	race->w->client_count = 0;
}

static void check(struct race *race)
{
	struct cut_world *w = race->w;

	cut_expect(w);
	if (!race->actors[DELETION].granted)
		cut_fail(w, "the deletion was refused");
	for (uint32_t i = 0; i < ACTORS; i++)
		cut_client_end(&race->actors[i]);
	for (uint32_t i = 0; i < 2; i++) {
		(void)cut_maintain(w, REPO);
		cut_expect(w);
	}
}

void cut_run_races(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	struct race race = {.w = w};
	uint32_t root;

	cut_world_init(w, where, seed, 2u << 20, 2u << 20);
	cut_world_start(w);
	for (uint32_t i = 0; i < 3; i++)
		(void)cut_push(w, REPO, "refs/heads/main",
		               cut_commit(w, cut_ref(w, REPO, "refs/heads/main"), 3000));
	root = cut_ref(w, REPO, "refs/heads/main");
	race.side = cut_commit(w, root, 5000);
	race.child = cut_commit(w, race.side, 700);
	(void)cut_push(w, REPO, SIDE, race.side);
	(void)cut_push(w, REPO, "refs/heads/gone", cut_commit(w, root, 2000));
	(void)cut_push(w, REPO, "refs/heads/gone", CUT_NONE);
	close_gate(w->service.store);
	run_order(&race, trace);
	finish(&race);
	check(&race);
	w->service.store->ops = gate.store_ops;
	cut_world_stop(w);
}
