/* SPDX-License-Identifier: MIT */
/*
 * A device that reports an error, at one operation after the other, once or from then on; and then
 * the power goes. Whoever was told that it is done finds it; after a write or a flush that failed
 * nothing more is granted until the store is opened again; reading goes on.
 */
#include "cut.h"

#include <stdio.h>
#include <string.h>

#define KINDS 6u
#define STATES_MAX 64u
#define MAIN "refs/heads/main"

/* What fails, and whether it works again afterwards. */
static const struct {
	unsigned ops;
	bool once;
} kinds[KINDS] = {{SIM_WRITE, true},  {SIM_WRITE, false}, {SIM_FLUSH, true},
                  {SIM_FLUSH, false}, {SIM_READ, true},   {SIM_READ, false}};

static void attempt(struct cut_world *w, const char *repo, const char *name, uint32_t bytes)
{
	(void)cut_push(w, repo, name, cut_commit(w, cut_ref(w, repo, name), bytes));
}

static void script(struct cut_world *w)
{
	for (uint32_t i = 0; i < 3; i++)
		attempt(w, "a", MAIN, 3000);
	attempt(w, "b", MAIN, 150000);
	attempt(w, "a", "refs/heads/x", 2000);
	(void)cut_push(w, "a", "refs/heads/x", CUT_NONE);
	(void)cut_maintain(w, "a");
	attempt(w, "a", MAIN, 20000);
	(void)cut_admin(w, "repo config a uploadpack.keepAlive 7");
	if (cut_admin(w, "repo delete b") == 0)
		cut_repo_gone(w, "b");
	attempt(w, "c", MAIN, 3000);
}

static void start(struct cut_world *w, const char *where, uint64_t seed)
{
	cut_world_init(w, where, seed, 2u << 20, 2u << 20);
	cut_world_start(w);
	attempt(w, "a", MAIN, 3000);
}

/* The script where nothing fails: how many operations it has, and what it shows. */
struct reference {
	uint64_t seed, reads, writes, flushes;
	struct cut_state states[STATES_MAX];
	uint32_t count; /* 0: not made */
};

static const struct reference *refer(const char *where, uint64_t seed)
{
	static struct reference made;
	struct cut_world w;

	if (made.count > 0 && made.seed == seed)
		return &made;
	start(&w, where, seed);
	w.sim->reads = w.sim->writes = w.sim->flushes = 0;
	script(&w);
	cut_expect(&w);
	cut_world_stop(&w);
	made = (struct reference){.seed = seed,
	                          .reads = w.sim->reads,
	                          .writes = w.sim->writes,
	                          .flushes = w.sim->flushes,
	                          .count = w.state_count};
	if (w.state_count > STATES_MAX)
		cut_fail(&w, "more states than there is room for");
	memcpy(made.states, w.states, w.state_count * sizeof(*w.states));
	cut_world_release(&w);
	return &made;
}

static uint64_t operations(const struct reference *reference, unsigned ops)
{
	return (ops & SIM_READ ? reference->reads : 0) + (ops & SIM_WRITE ? reference->writes : 0) +
	       (ops & SIM_FLUSH ? reference->flushes : 0);
}

/* Nothing goes in any more, and everything can be read. */
static void expect_sealed(struct cut_world *w)
{
	uint32_t states = w->state_count;

	attempt(w, "a", "refs/heads/late", 500);
	if (cut_ref(w, "a", "refs/heads/late") != CUT_NONE || w->state_count != states)
		cut_fail(w, "a push was granted after a write or flush had failed");
	cut_expect(w);
}

void cut_run_faults(struct cut_world *w, const char *where, uint64_t seed, uint32_t trace)
{
	const struct reference *reference = refer(where, seed);
	unsigned ops = kinds[trace % KINDS].ops;
	bool seals;

	start(w, where, seed);
	w->sim->fail_ops = ops;
	w->sim->fail_once = kinds[trace % KINDS].once;
	w->sim->fail_at = 1 + trace / KINDS * operations(reference, ops) / (CUT_FAULTS / KINDS);
	script(w);
	seals = w->sim->bad_writes > 0;
	if (seals)
		expect_sealed(w);
	w->sim->fail_ops = 0;
	cut_expect(w);
	cut_world_stop(w);
	if (!seals || w->state_count == reference->count)
		return;
	/* The commit that failed may have reached the medium whole. */
	w->states = cut_room(w->states, w->state_count, &w->state_room, sizeof(*w->states));
	w->states[w->state_count] = reference->states[w->state_count];
	w->states[w->state_count++].event = w->sim->event_count + 1;
}
