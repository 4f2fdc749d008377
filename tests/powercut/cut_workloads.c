/* SPDX-License-Identifier: MIT */
/*
 * What clients do while the power may go: every kind of change that a store takes, through the
 * sessions that a server runs, on devices that are small so that space is used again soon.
 */
#include "cut.h"

#include <stdio.h>
#include <string.h>

#define MB ((uint64_t)1 << 20)
#define MAIN "refs/heads/main"

/* ---- what several do ---- */

static void must(struct cut_world *w, bool done, const char *what)
{
	if (!done)
		cut_fail(w, "refused: %s", what);
}

/* A commit on top of a ref, pushed. */
static bool grow_ref(struct cut_world *w, const char *repo, const char *name, uint32_t bytes)
{
	return cut_push(w, repo, name, cut_commit(w, cut_ref(w, repo, name), bytes));
}

static void grow_refs(struct cut_world *w, const char *repo, uint32_t count, uint32_t bytes)
{
	for (uint32_t i = 0; i < count; i++)
		must(w, grow_ref(w, repo, MAIN, 100 + ph_test_rng_below(&w->rng, bytes)), "a push");
}

static void begin(struct cut_world *w, const char *where, uint64_t seed, uint64_t bytes,
                  uint64_t bytes_max)
{
	cut_world_init(w, where, seed, bytes, bytes_max);
	cut_world_start(w);
}

static void end(struct cut_world *w)
{
	cut_expect(w);
	cut_world_stop(w);
}

static void name_ref(struct cut_change *change, const char *format, uint32_t number)
{
	snprintf(change->name, sizeof(change->name), "%s%u", format, (unsigned)number);
}

/* ---- one after the other ---- */

static void run_create(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	static const char *const names[] = {"a", "b/c", "b/d", "a2", "z"};

	(void)trace;
	begin(w, where, seed, 2 * MB, 8 * MB);
	for (uint32_t i = 0; i < 5; i++)
		grow_refs(w, names[i], 1 + i % 2, 3000);
	must(w, cut_admin(w, "repo create empty") == 0, "repo create");
	grow_refs(w, "empty", 1, 500);
	end(w);
}

static void run_push(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	(void)trace;
	begin(w, where, seed, 2 * MB, 8 * MB);
	grow_refs(w, "a", 6, 3000);
	/* Blocks of checksums, and more than one write. */
	grow_refs(w, "a", 2, 400000);
	must(w, grow_ref(w, "a", "refs/heads/large", 300000), "a large push");
	grow_refs(w, "a", 3, 20000);
	end(w);
}

static void run_force(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	uint32_t root;

	(void)trace;
	begin(w, where, seed, 2 * MB, 8 * MB);
	grow_refs(w, "a", 2, 3000);
	root = cut_ref(w, "a", MAIN);
	for (uint32_t i = 0; i < 6; i++) {
		must(w, cut_push(w, "a", "refs/heads/side", cut_commit(w, root, 2000)), "a force");
		if (i % 2)
			must(w, cut_push(w, "a", "refs/heads/side", CUT_NONE), "a deletion");
		must(w, grow_ref(w, "a", "refs/tags/v", 300), "a tag");
	}
	must(w, cut_push(w, "a", "refs/tags/v", CUT_NONE), "a deletion");
	grow_refs(w, "a", 1, 3000);
	end(w);
}

static void run_atomic(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	struct cut_change changes[50];
	uint32_t root;

	(void)trace;
	begin(w, where, seed, 2 * MB, 8 * MB);
	grow_refs(w, "a", 1, 3000);
	root = cut_ref(w, "a", MAIN);
	for (uint32_t round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < 50; i++) {
			name_ref(&changes[i], "refs/heads/many/", i);
			changes[i].old = cut_ref(w, "a", changes[i].name);
			changes[i].new = round == 3 ? CUT_NONE : cut_commit(w, root, 100);
		}
		must(w, cut_push_many(w, "a", changes, 50, CUT_ATOMIC), "50 refs");
		/* One has moved: none is changed. */
		changes[17].old = changes[17].new = root;
		if (round < 3 && cut_push_many(w, "a", changes, 50, CUT_ATOMIC))
			cut_fail(w, "an atomic push was granted with a wrong old value");
	}
	end(w);
}

/* One ref of a push has moved: the others are changed. */
static void run_part(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	(void)trace;
	begin(w, where, seed, 2 * MB, 8 * MB);
	grow_refs(w, "a", 2, 3000);
	for (uint32_t round = 0; round < 6; round++) {
		struct cut_change changes[3] = {{MAIN, 0, 0}};
		uint32_t tip = cut_ref(w, "a", MAIN);

		changes[0] = (struct cut_change){MAIN, tip, cut_commit(w, tip, 2000)};
		changes[1] = (struct cut_change){"refs/heads/wrong", tip, cut_commit(w, tip, 900)};
		name_ref(&changes[2], "refs/heads/b", round);
		changes[2].old = CUT_NONE;
		changes[2].new = cut_commit(w, tip, 500);
		if (cut_push_many(w, "a", changes, 3, 0) || cut_ref(w, "a", MAIN) != changes[0].new)
			cut_fail(w, "not the one ref alone was refused");
	}
	end(w);
}

static void run_maintain(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	uint32_t root;

	(void)trace;
	begin(w, where, seed, 3 * MB, 8 * MB);
	for (uint32_t round = 0; round < 4; round++) {
		grow_refs(w, "a", 3, 9000);
		root = cut_ref(w, "a", MAIN);
		must(w, cut_push(w, "a", "refs/heads/gone", cut_commit(w, root, 5000)), "a push");
		must(w, cut_maintain(w, "a") == 0, "maintenance");
		must(w, cut_push(w, "a", "refs/heads/gone", CUT_NONE), "a deletion");
		must(w, cut_maintain(w, "a") == 0, "maintenance");
		cut_expect(w);
	}
	end(w);
}

static void run_grow(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	(void)trace;
	begin(w, where, seed, 1 * MB, 24 * MB);
	for (uint32_t i = 0; i < 10; i++)
		must(w, grow_ref(w, "a", MAIN, 250000 + ph_test_rng_below(&w->rng, 900000)),
		     "a push");
	end(w);
}

/* Until nothing goes in; then a deletion and maintenance make room again. */
static void run_full(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	uint32_t number = 0, most = 0;
	struct cut_change change;

	(void)trace;
	begin(w, where, seed, 2 * MB, 2 * MB);
	grow_refs(w, "a", 1, 3000);
	for (uint32_t round = 0; round < 3; round++) {
		for (number = 0; number < 40; number++) {
			name_ref(&change, "refs/heads/b", number);
			if (!cut_push(w, "a", change.name,
			              cut_commit(w, cut_ref(w, "a", MAIN), 90000)))
				break;
		}
		most = number > most ? number : most;
		if (number == 40)
			cut_fail(w, "the device does not get full");
		for (uint32_t i = 0; i < number; i++) {
			name_ref(&change, "refs/heads/b", i);
			must(w, cut_push(w, "a", change.name, CUT_NONE),
			     "a deletion when it is full");
		}
		(void)cut_maintain(w, "a");
		if (number + 2 < most)
			cut_fail(w, "room for %u pushes, and before for %u", number, most);
	}
	grow_refs(w, "a", 2, 3000);
	end(w);
}

static void run_repos(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	(void)trace;
	begin(w, where, seed, 2 * MB, 2 * MB);
	grow_refs(w, "stays", 2, 3000);
	for (uint32_t round = 0; round < 6; round++) {
		must(w, grow_ref(w, "comes", MAIN, 300000), "a push to a new repository");
		must(w, grow_ref(w, "comes", "refs/heads/b", 100000), "a push");
		if (round % 2)
			grow_refs(w, "stays", 1, 9000);
		must(w, cut_admin(w, "repo delete comes") == 0, "repo delete");
		cut_repo_gone(w, "comes");
	}
	end(w);
}

/* What repositories leave behind is given back to the device, and taken again. */
static void run_trim(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	uint64_t discards;

	(void)trace;
	begin(w, where, seed, 8 * MB, 8 * MB);
	grow_refs(w, "stays", 2, 3000);
	discards = w->sim->discards;
	for (uint32_t round = 0; round < 3; round++) {
		must(w, grow_ref(w, "comes", MAIN, 1500000), "a push to a new repository");
		must(w, grow_ref(w, "comes", MAIN, 900000), "a push");
		must(w, cut_admin(w, "repo delete comes") == 0, "repo delete");
		cut_repo_gone(w, "comes");
		while (ph_store_trim(w->service.store, 1u << 20) == PH_AGAIN)
			;
		grow_refs(w, "stays", 1, 200000);
	}
	if (w->sim->discards == discards)
		cut_fail(w, "nothing was given back");
	end(w);
}

static void run_settings(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	char line[80];

	(void)trace;
	begin(w, where, seed, 2 * MB, 8 * MB);
	grow_refs(w, "a", 1, 3000);
	for (uint32_t i = 0; i < 5; i++) {
		snprintf(line, sizeof(line), "repo config a uploadpack.keepAlive %u", i + 1);
		must(w, cut_admin(w, line) == 0, line);
		snprintf(line, sizeof(line), "config uploadpack.keepAlive %u", i + 10);
		must(w, cut_admin(w, line) == 0, line);
		grow_refs(w, "a", 1, 900);
		must(w, grow_ref(w, "a", "refs/heads/other", 900), "a push");
		snprintf(line, sizeof(line), "repo head a %s", i % 2 ? "main" : "other");
		must(w, cut_admin(w, line) == 0, line);
	}
	must(w, cut_admin(w, "repo config a --unset uploadpack.keepAlive") == 0, "unset");
	end(w);
}

static void run_mkfs(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	(void)trace;
	cut_world_init(w, where, seed, 2 * MB, 2 * MB);
	cut_world_record(w);
	if (ph_store_disk_format(&w->sim->device, &w->options) != PH_OK)
		cut_fail(w, "the device is not formatted");
	cut_world_open(w);
	grow_refs(w, "a", 1, 3000);
	end(w);
}

/* ---- at the same time ---- */

/* To two repositories, some to the same ref: of those one is granted. */
static void together(struct cut_world *w, uint32_t round)
{
	static const char *const repos[] = {"a", "b"};
	struct cut_client clients[7];
	uint32_t count = 5 + ph_test_rng_below(&w->rng, 2);

	for (uint32_t i = 0; i < count; i++) {
		const char *repo = repos[i % 2];
		struct cut_change change;

		name_ref(&change, "refs/heads/t", round % 3 * 3 + (i == 4 ? 0 : i / 2));
		change.old = cut_ref(w, repo, change.name);
		change.new = cut_commit(w, cut_ref(w, repo, MAIN),
		                        100 + ph_test_rng_below(&w->rng, i == 1 ? 60000 : 2000));
		cut_push_begin(w, &clients[i], repo, &change, 1, 0);
	}
	cut_maintain_begin(w, &clients[count], repos[round % 2]);
	cut_together(w, clients, count + 1);
}

/* Clients who were told of the same state: their commits were one. */
static uint32_t shared(const struct cut_world *w)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i < w->ack_count; i++)
		count += w->acks[i].state == w->acks[i - 1].state;
	return count;
}

static void run_together(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	begin(w, where, seed + (uint64_t)trace * 1000003, 3 * MB, 8 * MB);
	grow_refs(w, "a", 1, 3000);
	grow_refs(w, "b", 1, 3000);
	for (uint32_t round = 0; round < 5; round++)
		together(w, round);
	if (shared(w) == 0)
		cut_fail(w, "no two commits shared a flush");
	end(w);
}

/* ---- a device that cannot flush ---- */

static void run_no_flush(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	cut_world_init(w, where, seed + trace, 4 * MB, 8 * MB);
	w->no_flush = true;
	cut_world_start(w);
	for (uint32_t round = 0; round < 4; round++) {
		grow_refs(w, "a", 6, 9000);
		must(w, grow_ref(w, "b", MAIN, 50000), "a push");
		must(w, cut_push(w, "a", "refs/heads/x", cut_commit(w, CUT_NONE, 9000)), "a push");
		must(w, cut_maintain(w, "a") == 0, "maintenance");
		must(w, cut_push(w, "a", "refs/heads/x", CUT_NONE), "a deletion");
		must(w, cut_maintain(w, "a") == 0, "maintenance");
		if (round % 2) {
			must(w, cut_admin(w, "repo delete b") == 0, "repo delete");
			cut_repo_gone(w, "b");
		}
	}
	end(w);
}

const struct cut_workload cut_workloads[] = {
        {"create", 1, 2, run_create},
        {"push", 1, 2, run_push},
        {"force", 1, 2, run_force},
        {"atomic", 1, 2, run_atomic},
        {"part", 1, 2, run_part},
        {"together", 0, 4, run_together},
        {"maintain", 1, 3, run_maintain},
        {"grow", 1, 1, run_grow},
        {"full", 1, 2, run_full},
        {"repos", 1, 2, run_repos},
        {"trim", 1, 1, run_trim},
        {"settings", 1, 1, run_settings},
        {"mkfs", 1, 1, run_mkfs},
        {"no-flush", 1, 3, run_no_flush},
        {"faults", CUT_FAULTS, 4, cut_run_faults},
        {"races", CUT_RACES, 7, cut_run_races},
};
const uint32_t cut_workload_count = sizeof(cut_workloads) / sizeof(*cut_workloads);
