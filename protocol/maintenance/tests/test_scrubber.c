/* SPDX-License-Identifier: MIT */
/*
 * The scrubber: it reads everything once in the days that it is given, in small pieces, tells the
 * log of damage, and goes on where another one was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "disk_tools.h"

#include <packhorse/scrubber.h>

#define DAY_MS 86400000ull
#define WALL_S 1800000000ull

struct world {
	struct ph_store_disk_options options;
	struct ph_limits limits;
	struct sim_device *sim;
	struct ph_store *store;
	struct ph_log log;
	struct ph_service service;
	uint32_t errors, lines, most_reads, budget;
	char last[512];
};

static void on_line(void *user, enum ph_log_level level, const char *source, uint64_t connection,
                    const char *message)
{
	struct world *world = user;
	(void)source;
	(void)connection;
	world->lines++;
	world->errors += level == PH_LOG_ERROR;
	snprintf(world->last, sizeof(world->last), "%s", message);
}

static void world_open(struct world *world)
{
	memset(world, 0, sizeof(*world));
	world->budget = 512;
	sim_options(&world->options);
	ph_limits_init(&world->limits);
	world->sim = sim_new(1 << 20, 32 << 20);
	assert_status(sim_open(world->sim, &world->options, &world->store), PH_OK);
	for (uint32_t i = 0; i < 8; i++) {
		char name[16];
		snprintf(name, sizeof(name), "repo-%u", (unsigned)i);
		assert_status(tool_create(world->store, name), PH_OK);
		assert_status(tool_push(world->store, name, "refs/heads/x", i + 1, 300000), PH_OK);
	}
	world->log = (struct ph_log){world, PH_LOG_INFO, on_line};
	world->service.store = world->store;
	world->service.alloc = ph_alloc_libc();
	world->service.limits = &world->limits;
	world->service.log = &world->log;
}

static void world_close(struct world *world)
{
	ph_store_close(world->store);
	sim_free(world->sim);
}

/* Runs it as its owner would, by its deadlines alone, until then; returns when it stopped. */
static uint64_t run_until(struct world *world, struct ph_session *session, uint64_t from_ms,
                          uint64_t until_ms, uint32_t rounds)
{
	uint64_t now_ms = from_ms;
	uint32_t lines = world->lines;
	while (now_ms < until_ms && world->lines < lines + rounds) {
		uint64_t reads = world->sim->reads;
		ph_session_run(session, now_ms, WALL_S + now_ms / 1000, world->budget);
		assert_false(ph_session_state(session) & PH_DONE);
		reads = world->sim->reads - reads;
		if (reads > world->most_reads)
			world->most_reads = (uint32_t)reads;
		uint64_t at_ms = ph_session_deadline(session);
		if (ph_session_state(session) & PH_WANT_RUN)
			continue;
		assert_true(at_ms > now_ms && at_ms != PH_NO_DEADLINE);
		now_ms = at_ms;
	}
	return now_ms;
}

/* A round takes the days that were given, and reads little at a time. */
static void test_spread(void **state)
{
	struct world world;
	struct ph_session *session;
	struct ph_scrubber_state kept;
	(void)state;
	world_open(&world);
	assert_status(ph_scrubber_open(&session, &world.service), PH_OK);
	uint64_t ended_ms = run_until(&world, session, 5, 20 * DAY_MS, 1);
	print_message("a round of %u days\n", (unsigned)(ended_ms / DAY_MS));
	/* Pauses are no longer than ten minutes: what is small is done sooner. */
	assert_true(ended_ms > DAY_MS / 8 && ended_ms < 8 * DAY_MS);
	assert_int_equal(world.errors, 0);
	assert_true(world.most_reads < 64);
	assert_status(ph_scrubber_state_load(world.store, &kept), PH_OK);
	assert_true(kept.ended_s >= WALL_S && kept.began_s == 0 && kept.after[0] == '\0');
	ph_session_free(session);
	world_close(&world);
}

/* Damage is in the log with the repository, and in what is kept. */
static void test_damage(void **state)
{
	struct world world;
	struct ph_session *session;
	struct ph_scrubber_state kept;
	struct ph_test_rng rng;
	uint8_t needle[32];
	uint64_t at = 0;
	(void)state;
	world_open(&world);
	ph_test_rng_init(&rng, 4);
	ph_test_rng_fill(&rng, needle, sizeof(needle));
	while (memcmp(world.sim->data + at, needle + 8, 16) != 0)
		at++;
	world.sim->data[at + 40000] ^= 1;
	assert_status(ph_scrubber_open(&session, &world.service), PH_OK);
	(void)run_until(&world, session, 5, 20 * DAY_MS, 2);
	assert_status(ph_scrubber_state_load(world.store, &kept), PH_OK);
	assert_int_equal(world.errors, 2);
	assert_int_equal(kept.ended_findings, 1);
	ph_session_free(session);
	world_close(&world);
}

/* One that is ended in the middle is followed by one that goes on there. */
static void test_goes_on(void **state)
{
	struct world world;
	struct ph_session *session;
	struct ph_scrubber_state kept;
	(void)state;
	world_open(&world);
	assert_status(ph_scrubber_open(&session, &world.service), PH_OK);
	uint64_t now_ms = run_until(&world, session, 5, 7200000, 1);
	ph_session_free(session);
	assert_status(ph_scrubber_state_load(world.store, &kept), PH_OK);
	assert_true(kept.after[0] != '\0' && kept.began_s != 0);
	uint64_t reads = world.sim->reads;
	assert_status(ph_scrubber_open(&session, &world.service), PH_OK);
	(void)run_until(&world, session, now_ms, 40 * DAY_MS, 1);
	uint64_t rest = world.sim->reads - reads;
	reads = world.sim->reads;
	(void)run_until(&world, session, 50 * DAY_MS, 90 * DAY_MS, 1);
	uint64_t all = world.sim->reads - reads;
	print_message("%u reads of %u\n", (unsigned)rest, (unsigned)all);
	assert_true(rest < all);
	ph_session_free(session);
	world_close(&world);
}

/* The least budget is enough, also when a look at the configuration has spent it. */
static void test_least_budget(void **state)
{
	struct world world;
	struct ph_session *session;
	(void)state;
	world_open(&world);
	world.budget = 1;
	assert_status(ph_scrubber_open(&session, &world.service), PH_OK);
	(void)run_until(&world, session, 5, 20 * DAY_MS, 1);
	assert_int_equal(world.lines, 1);
	assert_int_equal(world.errors, 0);
	ph_session_free(session);
	world_close(&world);
}

/* With scrubDays 0 nothing is read but the configuration. */
static void test_never(void **state)
{
	struct world world;
	struct ph_session *session;
	(void)state;
	world_open(&world);
	assert_status(ph_store_setting_set(world.store, "config", "packhorse.scrubdays=0\n", 22),
	              PH_OK);
	assert_status(ph_scrubber_open(&session, &world.service), PH_OK);
	(void)run_until(&world, session, 5, 20 * DAY_MS, 1);
	assert_int_equal(world.lines, 0);
	assert_true(world.most_reads < 4);
	ph_session_free(session);
	world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_spread),  cmocka_unit_test(test_damage),
	        cmocka_unit_test(test_goes_on), cmocka_unit_test(test_least_budget),
	        cmocka_unit_test(test_never),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
