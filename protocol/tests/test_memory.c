/* SPDX-License-Identifier: MIT */
/*
 * The budget: who gets memory when, who is woken, that it is never overdrawn, and that a claim may
 * be given back at any moment, also while another thread is waking it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <packhorse/memory.h>

#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 4u
#define ROUNDS 3000u

static struct ph_test_alloc memory;

static int setup(void **state)
{
	(void)state;
	ph_test_alloc_init(&memory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(memory.live, 0);
	return 0;
}

/* ---- one thread ---- */

static void count_wake(void *user)
{
	++*(unsigned *)user;
}

static struct ph_memory *budget(uint64_t bytes)
{
	struct ph_memory *made;

	assert_int_equal(ph_memory_new(&made, &memory.alloc, bytes, NULL), PH_OK);
	return made;
}

static void check_counts(struct ph_memory *of, uint64_t claimed, uint32_t running, uint32_t waiting)
{
	struct ph_memory_counts counts;

	ph_memory_counts(of, &counts);
	assert_int_equal(counts.claimed, claimed);
	assert_int_equal(counts.running, running);
	assert_int_equal(counts.waiting, waiting);
}

static void test_grants_while_it_lasts(void **state)
{
	struct ph_memory *of = budget(100);
	struct ph_claim claims[3] = {0};
	unsigned wakes = 0;

	(void)state;
	assert_int_equal(ph_memory_claim(of, &claims[0], 60, count_wake, &wakes), PH_OK);
	assert_int_equal(ph_memory_claim(of, &claims[1], 40, count_wake, &wakes), PH_OK);
	assert_int_equal(ph_memory_claim(of, &claims[2], 1, count_wake, &wakes), PH_PENDING);
	assert_true(ph_memory_granted(&claims[1]));
	assert_false(ph_memory_granted(&claims[2]));
	check_counts(of, 100, 2, 1);
	ph_memory_release(&claims[0]);
	assert_int_equal(wakes, 1);
	assert_true(ph_memory_granted(&claims[2]));
	check_counts(of, 41, 2, 0);
	ph_memory_release(&claims[1]);
	ph_memory_release(&claims[2]);
	assert_int_equal(wakes, 1);
	check_counts(of, 0, 0, 0);
	ph_memory_free(of);
}

static void test_more_than_all_is_refused(void **state)
{
	struct ph_memory *of = budget(100);
	struct ph_claim claim = {0};

	(void)state;
	assert_int_equal(ph_memory_claim(of, &claim, 101, NULL, NULL), PH_ERR_LIMIT);
	assert_int_equal(ph_memory_claim(of, &claim, UINT64_MAX, NULL, NULL), PH_ERR_LIMIT);
	check_counts(of, 0, 0, 0);
	ph_memory_release(&claim);
	assert_int_equal(ph_memory_claim(of, &claim, 100, NULL, NULL), PH_OK);
	ph_memory_release(&claim);
	ph_memory_release(&claim);
	check_counts(of, 0, 0, 0);
	ph_memory_free(of);
	ph_memory_free(NULL);
}

/* A small claim does not pass a large one that came before it, although it would fit. */
static void test_first_come_first_served(void **state)
{
	struct ph_memory *of = budget(100);
	struct ph_claim first = {0}, large = {0}, small = {0}, last = {0};
	unsigned large_wakes = 0, small_wakes = 0, last_wakes = 0;

	(void)state;
	assert_int_equal(ph_memory_claim(of, &first, 50, NULL, NULL), PH_OK);
	assert_int_equal(ph_memory_claim(of, &large, 90, count_wake, &large_wakes), PH_PENDING);
	assert_int_equal(ph_memory_claim(of, &small, 10, count_wake, &small_wakes), PH_PENDING);
	assert_int_equal(ph_memory_claim(of, &last, 20, count_wake, &last_wakes), PH_PENDING);
	ph_memory_release(&first);
	assert_int_equal(large_wakes, 1);
	assert_int_equal(small_wakes, 1);
	assert_int_equal(last_wakes, 0);
	check_counts(of, 100, 2, 1);
	ph_memory_release(&small);
	assert_int_equal(last_wakes, 0);
	ph_memory_release(&large);
	assert_int_equal(last_wakes, 1);
	ph_memory_release(&last);
	check_counts(of, 0, 0, 0);
	ph_memory_free(of);
}

/* Who leaves the queue may have been what held up the others. */
static void test_release_while_queued(void **state)
{
	struct ph_memory *of = budget(100);
	struct ph_claim first = {0}, large = {0}, small = {0};
	unsigned large_wakes = 0, small_wakes = 0;

	(void)state;
	assert_int_equal(ph_memory_claim(of, &first, 50, NULL, NULL), PH_OK);
	assert_int_equal(ph_memory_claim(of, &large, 90, count_wake, &large_wakes), PH_PENDING);
	assert_int_equal(ph_memory_claim(of, &small, 10, count_wake, &small_wakes), PH_PENDING);
	ph_memory_release(&large);
	assert_int_equal(large_wakes, 0);
	assert_int_equal(small_wakes, 1);
	check_counts(of, 60, 2, 0);
	ph_memory_release(&first);
	ph_memory_release(&small);
	assert_int_equal(large_wakes + small_wakes, 1);
	ph_memory_free(of);
}

static void test_out_of_memory(void **state)
{
	struct ph_memory *of;

	(void)state;
	memory.fail_at = 1;
	assert_int_equal(ph_memory_new(&of, &memory.alloc, 1, NULL), PH_ERR_NOMEM);
}

/* ---- threads ---- */

/* A mutex that cannot be had; the one before it is not forgotten. */
static unsigned mutexes_left;

static enum ph_status mutex_scarce(void *user, void **out)
{
	return mutexes_left-- > 0 ? ph_test_sync.mutex_new(user, out) : PH_ERR_NOMEM;
}

static void test_no_locks(void **state)
{
	struct ph_sync scarce = ph_test_sync;
	struct ph_memory *of;

	(void)state;
	scarce.mutex_new = mutex_scarce;
	for (unsigned i = 0; i < 2; i++) {
		mutexes_left = i;
		assert_int_equal(ph_memory_new(&of, &memory.alloc, 1, &scarce), PH_ERR_NOMEM);
		assert_int_equal(memory.live, 0);
	}
}

struct worker {
	struct ph_memory *of;
	pthread_t thread;
	uint64_t seed;
	_Atomic uint64_t *in_use;
	bool overdrawn;
	unsigned gave_up;
};

/* What is woken lies in memory that is freed as soon as the claim is given back. */
struct waiter {
	struct ph_claim claim;
	_Atomic unsigned wakes;
};

static void waiter_wake(void *user)
{
	struct waiter *waiter = user;

	atomic_fetch_add(&waiter->wakes, 1);
	sched_yield();
	/* Last touched a moment later, as a real owner's wake does. */
	assert_true(atomic_load(&waiter->wakes) == 1);
}

static void use(struct worker *worker, uint64_t bytes)
{
	if (atomic_fetch_add(worker->in_use, bytes) + bytes > 100)
		worker->overdrawn = true;
	sched_yield();
	atomic_fetch_sub(worker->in_use, bytes);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct ph_test_rng rng;

	ph_test_rng_init(&rng, worker->seed);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct waiter *waiter = calloc(1, sizeof(*waiter));
		uint64_t bytes = 1 + ph_test_rng_below(&rng, 70);
		bool patient = ph_test_rng_below(&rng, 3) > 0;
		enum ph_status status =
		        ph_memory_claim(worker->of, &waiter->claim, bytes, waiter_wake, waiter);

		while (status == PH_PENDING && patient && atomic_load(&waiter->wakes) == 0)
			sched_yield();
		if (status == PH_OK || (patient && ph_memory_granted(&waiter->claim)))
			use(worker, bytes);
		else
			worker->gave_up++;
		ph_memory_release(&waiter->claim);
		free(waiter);
	}
	return NULL;
}

static void test_threads(void **state)
{
	_Atomic uint64_t in_use = 0;
	struct worker workers[THREADS] = {0};
	struct ph_memory *of;

	(void)state;
	assert_int_equal(ph_memory_new(&of, &memory.alloc, 100, &ph_test_sync), PH_OK);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.of = of, .seed = i + 1, .in_use = &in_use};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		assert_false(workers[i].overdrawn);
	}
	check_counts(of, 0, 0, 0);
	ph_memory_free(of);
}

/* ---- limits ---- */

static void test_limits_plenty(void **state)
{
	struct ph_limits before, limits;

	(void)state;
	ph_limits_init(&before);
	limits = before;
	ph_limits_for_memory(&limits, (uint64_t)64 << 30);
	assert_memory_equal(&limits, &before, sizeof(limits));
}

static void test_limits_small(void **state)
{
	struct ph_limits before, limits, less;

	(void)state;
	ph_limits_init(&before);
	limits = before;
	ph_limits_for_memory(&limits, (uint64_t)52 << 20);
	assert_true(limits.delta_cache_bytes_max < (uint64_t)2 << 20);
	assert_true(limits.delta_resident_bytes_max < (uint64_t)2 << 20);
	assert_true(limits.metadata_bytes_max < (uint64_t)2 << 20);
	assert_true(limits.metadata_bytes_max > (uint64_t)1 << 20);
	assert_true(limits.wants_max > 20000);
	/* What a client may store, and how long it may take, is not a matter of memory. */
	assert_int_equal(limits.object_bytes_max, before.object_bytes_max);
	assert_int_equal(limits.pack_bytes_max, before.pack_bytes_max);
	assert_int_equal(limits.delta_depth_max, before.delta_depth_max);
	assert_int_equal(limits.refs_max, before.refs_max);
	/* Never below what small repositories need, and never up again. */
	less = limits;
	ph_limits_for_memory(&less, 0);
	assert_true(less.delta_cache_bytes_max >= (uint64_t)128 << 10);
	assert_true(less.metadata_bytes_max >= (uint64_t)256 << 10);
	assert_true(less.commands_max >= 1024);
	ph_limits_for_memory(&less, (uint64_t)64 << 30);
	assert_true(less.delta_cache_bytes_max < (uint64_t)256 << 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_grants_while_it_lasts, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_more_than_all_is_refused, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_first_come_first_served, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_release_while_queued, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_no_locks, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	        cmocka_unit_test(test_limits_plenty),
	        cmocka_unit_test(test_limits_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
