/* SPDX-License-Identifier: MIT */
/*
 * Maintenance that is cut off: after any slice, at any write, flush or growth of the device, and
 * where no space is left. Everything is as it was before, no space is lost, and the next one does
 * what was left to do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "maintain_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL_SLICES 100000u
#define DISK_BYTES ((uint64_t)64 << 20)

static struct world world, *const w = &world;

static void grow(uint32_t branch, uint32_t commits)
{
	uint32_t commit = w->branches[branch];

	for (uint32_t i = 0; i < commits; i++)
		commit = world_commit(w, commit);
	world_push(w, branch, commit);
}

/* Packs to be joined, and one to be dropped as a whole. */
static void many_packs(void)
{
	grow(0, 60);
	for (uint32_t i = 0; i < 9; i++)
		grow(1, 1);
	grow(2, 3);
	world_push(w, 2, WORLD_NONE);
}

/* All is to be joined, without a good part of it. */
static void much_unreachable(void)
{
	grow(0, 8);
	grow(1, 8);
	grow(0, 4);
	world_push(w, 0, w->commits[w->branches[0]].parent);
	world_push(w, 1, WORLD_NONE);
}

/* The map of the largest pack alone. */
static void no_map(void)
{
	grow(0, 30);
}

typedef void make_function(void);
static make_function *const makers[] = {many_packs, much_unreachable, no_map};

static void begin(make_function *make)
{
	world_init(w, 5, DISK_BYTES);
	make();
	/* What closing lets go of must not be taken for what maintenance gave back. */
	world_reopen(w);
}

static void all_is_done(void)
{
	assert_int_equal(world_maintain(w, ALL_SLICES), 0);
	world_check(w);
}

static void test_cut_after_any_slice(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(makers) / sizeof(*makers); i++)
		for (uint32_t slices = 1;; slices++) {
			uint64_t space, generation;
			struct ph_snapshot *snapshot;
			int exit_status;

			begin(makers[i]);
			space = ph_store_space(w->f.store);
			assert_int_equal(ph_store_snapshot(w->f.store, WORLD_REPO, &snapshot),
			                 PH_OK);
			generation = snapshot->generation;
			ph_snapshot_release(snapshot);
			exit_status = world_maintain(w, slices);
			world_check(w);
			assert_int_equal(ph_store_snapshot(w->f.store, WORLD_REPO, &snapshot),
			                 PH_OK);
			/* Of several jobs the first may be done. */
			if (exit_status == -1 && snapshot->generation == generation)
				assert_int_equal(ph_store_space(w->f.store), space);
			ph_snapshot_release(snapshot);
			all_is_done();
			world_release(w);
			if (exit_status != -1)
				break;
		}
}

static void fail_at_each(unsigned ops)
{
	for (size_t i = 0; i < sizeof(makers) / sizeof(*makers); i++)
		for (uint64_t at = 1;; at++) {
			int exit_status;
			bool through;

			begin(makers[i]);
			w->sim->fail_ops = ops;
			w->sim->fail_at = at;
			w->sim->fail_count = 0;
			exit_status = world_maintain(w, ALL_SLICES);
			through = w->sim->fail_count < at;
			w->sim->fail_ops = 0;
			if (!through)
				assert_int_equal(exit_status, 1);
			world_reopen(w);
			world_check(w);
			all_is_done();
			world_release(w);
			if (through)
				break;
		}
}

static void test_cut_at_any_write(void **state)
{
	(void)state;
	fail_at_each(SIM_WRITE);
	fail_at_each(SIM_FLUSH);
	fail_at_each(SIM_WRITE | SIM_FLUSH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cut_after_any_slice),
	        cmocka_unit_test(test_cut_at_any_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
