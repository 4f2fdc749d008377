/* SPDX-License-Identifier: MIT */
/*
 * Runs the suite: each test gets an empty store, in both hash formats where that matters. Behind
 * each test the store is closed and must have freed all its memory; where the store survives, it is
 * first opened again and must look as before, whatever the test did to it.
 */
#include "conformance_int.h"

#include <stdio.h>
#include <stdlib.h>

static const struct conf_test *const lists[] = {
        ph__conf_refs_tests,    ph__conf_verdict_tests, ph__conf_repo_tests,   ph__conf_pack_tests,
        ph__conf_replace_tests, ph__conf_meta_tests,    ph__conf_memory_tests, ph__conf_model_tests,
        ph__conf_thread_tests,  ph__conf_copy_tests,
};

static void check_reopened(struct conf *c)
{
	struct ph_test_buf before = {0};
	ph__conf_dump(c->store, &before);
	assert_status(c->factory->reopen(c->factory->user, &c->options, &c->store), PH_OK);
	ph__conf_expect_dump(c, &before);
	ph_test_buf_release(&before);
}

static void close_store(struct conf *c)
{
	if (c->factory->reopen)
		check_reopened(c);
	c->factory->close(c->factory->user, c->store);
	c->store = NULL;
	assert_int_equal(c->memory.live, 0);
}

static void open_store(struct conf *c)
{
	assert_status(c->factory->open(c->factory->user, &c->options, &c->store), PH_OK);
}

void ph__conf_restart(struct conf *c)
{
	close_store(c);
	open_store(c);
}

static void run_one(void **state)
{
	struct conf *c = *state;
	ph_test_alloc_init(&c->memory);
	ph_limits_init(&c->limits);
	c->options.alloc = &c->memory.alloc;
	c->options.limits = &c->limits;
	c->options.sync = c->test->flags & CONF_THREADS ? &ph_test_sync : NULL;
	c->options.bytes_max = c->test->flags & CONF_SMALL ? CONF_SMALL_BYTES : 0;
	open_store(c);
	c->test->run(c);
	close_store(c);
}

static bool wanted(const struct ph_conformance_factory *factory, const struct conf_test *test,
                   enum ph_hash_algo algo)
{
	if (test->flags & CONF_THREADS && !factory->threads)
		return false;
	if (test->flags & CONF_SMALL && !factory->bounded)
		return false;
	return algo == PH_HASH_SHA1 || !(test->flags & CONF_ONCE);
}

struct plan {
	struct conf *conf;
	struct CMUnitTest *unit;
	size_t count;
};

/* Counts the tests, or with room for them adds them. */
static void plan_algo(struct plan *plan, const struct ph_conformance_factory *factory,
                      enum ph_hash_algo algo)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (const struct conf_test *test = lists[i]; test->name; test++) {
			if (!wanted(factory, test, algo))
				continue;
			if (plan->conf) {
				struct conf *c = &plan->conf[plan->count];
				char *name = malloc(100);
				if (!name)
					abort();
				snprintf(name, 100, "%s, %s", test->name, ph_hash_name(algo));
				c->factory = factory;
				c->test = test;
				c->algo = algo;
				plan->unit[plan->count].name = name;
				plan->unit[plan->count].test_func = run_one;
				plan->unit[plan->count].initial_state = c;
			}
			plan->count++;
		}
	}
}

int ph_conformance_run(const struct ph_conformance_factory *factory)
{
	struct plan plan = {0};
	plan_algo(&plan, factory, PH_HASH_SHA1);
	plan_algo(&plan, factory, PH_HASH_SHA256);
	plan.conf = calloc(plan.count, sizeof(*plan.conf));
	plan.unit = calloc(plan.count, sizeof(*plan.unit));
	if (!plan.conf || !plan.unit)
		abort();
	plan.count = 0;
	plan_algo(&plan, factory, PH_HASH_SHA1);
	plan_algo(&plan, factory, PH_HASH_SHA256);
	int failed = _cmocka_run_group_tests(factory->name, plan.unit, plan.count, NULL, NULL);
	for (size_t i = 0; i < plan.count; i++) {
		char *name;
		memcpy(&name, &plan.unit[i].name, sizeof(name));
		free(name);
	}
	free(plan.unit);
	free(plan.conf);
	return failed;
}
