/* SPDX-License-Identifier: MIT */
/*
 * Shared selections: one makes, others wait and take, whoever leaves when. What is selected stands
 * for itself here: a walk is a pointer, and a snapshot one that counts its releases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "selections_int.h"
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define THREADS 4u
#define ROUNDS 2000u

static struct ph_test_alloc memory;

/* Another selection for each; NULL is a walk that free takes. */
struct fake_snapshot {
	struct ph_snapshot snapshot;
	_Atomic unsigned released;
	unsigned number;
};

static void fake_release(struct ph_snapshot *snapshot)
{
	((struct fake_snapshot *)(void *)snapshot)->released++;
}

static const struct ph_snapshot_ops fake_ops = {.release = fake_release};

static struct ph_oid key_of(unsigned number)
{
	return ph_test_oid_fake(PH_HASH_SHA1, (uint8_t)number);
}

static void wake_flag(void *arg)
{
	atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

struct client {
	struct ph__selection_user user;
	struct ph__selected selected;
	_Atomic unsigned woken;
};

static enum ph_status join(struct ph_selections *all, struct client *client, unsigned number)
{
	struct ph_oid key = key_of(number);

	return ph__selection_join(&client->user, all, &key, wake_flag, &client->woken,
	                          &client->selected);
}

static struct ph_selections *begin(const struct ph_sync *sync)
{
	struct ph_selections *all;

	ph_test_alloc_init(&memory);
	assert_int_equal(ph_selections_new(&all, &memory.alloc, sync), PH_OK);
	return all;
}

static void end(struct ph_selections *all)
{
	ph_selections_free(all);
	assert_int_equal(memory.live, 0);
}

static void one_makes_others_take(void **state)
{
	struct ph_selections *all = begin(NULL);
	struct fake_snapshot snapshot = {.snapshot.ops = &fake_ops};
	struct ph__selected made = {.snapshot = &snapshot.snapshot};
	struct client a = {0}, b = {0}, c = {0}, other = {0};
	struct ph_selections_counts counts;

	(void)state;
	assert_int_equal(join(all, &a, 1), PH_ERR_NOT_FOUND);
	assert_int_equal(join(all, &b, 1), PH_PENDING);
	assert_int_equal(join(all, &b, 1), PH_PENDING);
	assert_int_equal(join(all, &other, 2), PH_ERR_NOT_FOUND);
	assert_int_equal(b.woken, 0);
	ph__selection_finish(&a.user, &made);
	assert_int_equal(b.woken, 1);
	assert_int_equal(join(all, &b, 1), PH_OK);
	assert_ptr_equal(b.selected.snapshot, &snapshot);
	assert_int_equal(join(all, &c, 1), PH_OK);
	assert_ptr_equal(c.selected.snapshot, &snapshot);
	ph_selections_counts(all, &counts);
	assert_int_equal(counts.made, 2);
	assert_int_equal(counts.shared, 2);
	ph__selection_leave(&a.user);
	ph__selection_leave(&c.user);
	assert_int_equal(snapshot.released, 0);
	ph__selection_leave(&b.user);
	assert_int_equal(snapshot.released, 1);
	/* It is not kept for later. */
	assert_int_equal(join(all, &c, 1), PH_ERR_NOT_FOUND);
	ph__selection_leave(&c.user);
	ph__selection_leave(&other.user);
	ph__selection_leave(&other.user);
	end(all);
}

/* The next to ask makes it; who comes in between does not wait for one that nobody makes. */
static void the_maker_leaves(void **state)
{
	struct ph_selections *all = begin(NULL);
	struct fake_snapshot snapshot = {.snapshot.ops = &fake_ops};
	struct ph__selected made = {.snapshot = &snapshot.snapshot};
	struct client a = {0}, b = {0}, c = {0}, d = {0};

	(void)state;
	assert_int_equal(join(all, &a, 1), PH_ERR_NOT_FOUND);
	assert_int_equal(join(all, &b, 1), PH_PENDING);
	assert_int_equal(join(all, &c, 1), PH_PENDING);
	ph__selection_leave(&a.user);
	assert_int_equal(b.woken, 1);
	assert_int_equal(c.woken, 1);
	assert_int_equal(join(all, &d, 1), PH_ERR_NOT_FOUND);
	assert_int_equal(join(all, &b, 1), PH_PENDING);
	/* One that waits goes, and is not woken any more. */
	assert_int_equal(join(all, &c, 1), PH_PENDING);
	ph__selection_leave(&c.user);
	ph__selection_finish(&d.user, &made);
	assert_int_equal(b.woken, 2);
	assert_int_equal(c.woken, 1);
	assert_int_equal(join(all, &b, 1), PH_OK);
	ph__selection_leave(&d.user);
	ph__selection_leave(&b.user);
	assert_int_equal(snapshot.released, 1);
	end(all);
}

static void out_of_memory(void **state)
{
	struct ph_selections *all = NULL;
	struct client a = {0};

	(void)state;
	ph_test_alloc_init(&memory);
	memory.fail_at = 1;
	assert_int_equal(ph_selections_new(&all, &memory.alloc, NULL), PH_ERR_NOMEM);
	all = begin(NULL);
	memory.fail_at = memory.calls + 1;
	assert_int_equal(join(all, &a, 1), PH_ERR_NOMEM);
	ph__selection_leave(&a.user);
	assert_int_equal(join(all, &a, 1), PH_ERR_NOT_FOUND);
	ph__selection_leave(&a.user);
	end(all);
}

/* ---- threads ---- */

struct worker {
	struct ph_selections *all;
	pthread_t thread;
	uint64_t seed;
	_Atomic unsigned *made, *released;
	bool wrong;
};

struct counted_snapshot {
	struct ph_snapshot snapshot;
	_Atomic unsigned *released;
	unsigned number;
};

static void counted_release(struct ph_snapshot *snapshot)
{
	struct counted_snapshot *counted = (struct counted_snapshot *)(void *)snapshot;

	atomic_fetch_add(counted->released, 1);
	free(counted);
}

static const struct ph_snapshot_ops counted_ops = {.release = counted_release};

static void make(struct worker *worker, struct client *client, unsigned number)
{
	struct counted_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct ph__selected made = {.snapshot = &snapshot->snapshot};

	snapshot->snapshot.ops = &counted_ops;
	snapshot->released = worker->released;
	snapshot->number = number;
	sched_yield();
	atomic_fetch_add(worker->made, 1);
	ph__selection_finish(&client->user, &made);
}

static void round_of(struct worker *worker, struct ph_test_rng *rng)
{
	struct client *client = calloc(1, sizeof(*client));
	unsigned number = (unsigned)ph_test_rng_below(rng, 3), woken = 0;
	enum ph_status status;

	while ((status = join(worker->all, client, number)) == PH_PENDING) {
		if (ph_test_rng_below(rng, 8) == 0)
			break;
		while (atomic_load(&client->woken) == woken)
			sched_yield();
		woken++;
	}
	if (status == PH_ERR_NOT_FOUND && ph_test_rng_below(rng, 4) > 0)
		make(worker, client, number);
	else if (status == PH_OK)
		worker->wrong |=
		        ((struct counted_snapshot *)(void *)client->selected.snapshot)->number !=
		        number;
	sched_yield();
	ph__selection_leave(&client->user);
	free(client);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct ph_test_rng rng;

	ph_test_rng_init(&rng, worker->seed);
	for (unsigned i = 0; i < ROUNDS; i++)
		round_of(worker, &rng);
	return NULL;
}

static void threads(void **state)
{
	struct ph_selections *all = begin(&ph_test_sync);
	_Atomic unsigned made = 0, released = 0;
	struct worker workers[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
		        .all = all, .seed = i + 1, .made = &made, .released = &released};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		assert_false(workers[i].wrong);
	}
	assert_true(made > 0);
	assert_int_equal(released, made);
	end(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_makes_others_take),
	        cmocka_unit_test(the_maker_leaves),
	        cmocka_unit_test(out_of_memory),
	        cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
