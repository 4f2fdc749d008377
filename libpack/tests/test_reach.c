/* SPDX-License-Identifier: MIT */
/* What is reachable from tips, against a naive search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "history.h"
#include <packhorse/walk.h>
#include <stdlib.h>

struct query {
	uint32_t tips[4], targets[4];
	uint32_t tip_count, target_count;
	uint32_t budget;
};

static enum ph_status ask_with(const struct history *h, const struct query *query,
                               const struct ph_alloc *alloc, struct ph_oid *missing)
{
	struct ph_reach *reach;
	enum ph_status status =
	        ph_reach_new(&reach, &h->source.set.source, alloc, &h->limits, NULL);

	if (status != PH_OK) {
		return status;
	}
	for (uint32_t i = 0; i < query->target_count && status == PH_OK; i++) {
		status = ph_reach_target(reach, &h->nodes[query->targets[i]].oid);
	}
	for (uint32_t i = 0; i < query->tip_count && status == PH_OK; i++) {
		status = ph_reach_tip(reach, &h->nodes[query->tips[i]].oid);
	}
	if (status == PH_OK) {
		do {
			uint32_t budget = query->budget > 0 ? query->budget : 1000000;

			status = ph_reach_run(reach, &budget, missing);
		} while (status == PH_AGAIN);
	}
	ph_reach_free(reach);
	return status;
}

static enum ph_status ask(const struct history *h, const struct query *query,
                          struct ph_oid *missing)
{
	return ask_with(h, query, ph_alloc_libc(), missing);
}

static void check(const struct history *h, const struct query *query, enum ph_status status,
                  const struct ph_oid *missing)
{
	bool *reached = calloc(h->count + 1, sizeof *reached);

	assert_non_null(reached);
	for (uint32_t i = 0; i < query->tip_count; i++) {
		history_closure(h, query->tips[i], NULL, reached);
	}
	for (uint32_t i = 0; i < query->target_count; i++) {
		if (!reached[query->targets[i]]) {
			assert_int_equal(status, PH_ERR_NOT_FOUND);
			assert_true(ph_oid_equal(missing, &h->nodes[query->targets[i]].oid));
			free(reached);
			return;
		}
	}
	assert_int_equal(status, PH_OK);
	free(reached);
}

static void agrees_with_the_oracle(void **state)
{
	struct ph_test_rng rng;
	unsigned all = 0;
	unsigned asked = 0;

	(void)state;
	ph_test_rng_init(&rng, 1);
	for (int round = 0; round < 12; round++) {
		struct history h;

		history_init(&h, round % 2 == 0 ? PH_HASH_SHA1 : PH_HASH_SHA256);
		history_random(&h, &rng, 60, round % 3 == 0);
		for (uint32_t i = 0; i < 6; i++) {
			history_tag(&h, h.count - 1 - ph_test_rng_below(&rng, 30), i);
		}
		history_seal(&h, &rng);
		for (int ask_round = 0; ask_round < 60; ask_round++) {
			struct query query = {0};
			struct ph_oid missing;
			enum ph_status status;

			query.tip_count = ph_test_rng_below(&rng, 5);
			for (uint32_t i = 0; i < query.tip_count; i++) {
				query.tips[i] = ph_test_rng_below(&rng, 3) == 0
				                        ? ph_test_rng_below(&rng, h.count)
				                        : h.commits[h.commit_count - 1 -
				                                    ph_test_rng_below(&rng, 20)];
			}
			query.target_count = ph_test_rng_below(&rng, 4);
			for (uint32_t i = 0; i < query.target_count; i++) {
				query.targets[i] = ask_round % 2 == 0
				                           ? ph_test_rng_below(&rng, h.count)
				                           : h.commits[ph_test_rng_below(
				                                     &rng, h.commit_count)];
			}
			query.budget = ph_test_rng_below(&rng, 3);
			status = ask(&h, &query, &missing);
			check(&h, &query, status, &missing);
			asked += query.target_count > 0;
			all += query.target_count > 0 && status == PH_OK;
		}
		history_release(&h);
	}
	/* Neither answer is rare. */
	assert_in_range(all, asked / 10, asked / 10 * 9);
}

static void unknown_objects(void **state)
{
	struct history h;
	struct ph_oid unknown = ph_test_oid_fake(PH_HASH_SHA1, 3);
	struct ph_oid missing;
	struct ph_reach *reach;
	uint32_t budget = 10;
	uint32_t blob;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	blob = history_blob(&h, 1);
	history_seal(&h, NULL);
	assert_int_equal(
	        ph_reach_new(&reach, &h.source.set.source, ph_alloc_libc(), &h.limits, NULL),
	        PH_OK);
	assert_int_equal(ph_reach_tip(reach, &unknown), PH_OK);
	assert_int_equal(ph_reach_target(reach, &unknown), PH_ERR_NOT_FOUND);
	assert_int_equal(ph_reach_run(reach, &budget, &missing), PH_OK);
	assert_int_equal(ph_reach_target(reach, &h.nodes[blob].oid), PH_OK);
	assert_int_equal(ph_reach_target(reach, &h.nodes[blob].oid), PH_OK);
	assert_int_equal(ph_reach_run(reach, &budget, &missing), PH_ERR_NOT_FOUND);
	assert_true(ph_oid_equal(&missing, &h.nodes[blob].oid));
	assert_int_equal(ph_reach_tip(reach, &h.nodes[blob].oid), PH_OK);
	assert_int_equal(ph_reach_run(reach, &budget, &missing), PH_OK);
	ph_reach_free(reach);
	ph_reach_free(NULL);
	history_release(&h);
}

/* What is missing ends its branch only. */
static void gaps(void **state)
{
	struct history h;
	struct query query = {.tip_count = 2, .target_count = 1};
	struct ph_oid missing;
	uint32_t tree, blob, commits[4];

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	blob = history_blob(&h, 1);
	tree = history_tree(&h, &blob, 1);
	commits[0] = history_commit(&h, tree, NULL, 0, 1);
	commits[1] = history_commit(&h, tree, &commits[0], 1, 2);
	commits[2] = history_commit(&h, tree, &commits[1], 1, 3);
	commits[3] = history_commit(&h, tree, &commits[0], 1, 0);
	h.nodes[commits[1]].left_out = true;
	h.nodes[tree].left_out = true;
	history_seal(&h, NULL);
	query.tips[0] = commits[2];
	query.tips[1] = commits[3];
	query.targets[0] = commits[0];
	assert_int_equal(ask(&h, &query, &missing), PH_OK);
	query.tip_count = 1;
	assert_int_equal(ask(&h, &query, &missing), PH_ERR_NOT_FOUND);
	query.tip_count = 2;
	query.targets[0] = blob;
	assert_int_equal(ask(&h, &query, &missing), PH_ERR_NOT_FOUND);
	history_release(&h);
}

/* It stops at the first sight of the last target: recent ones cost little in a long history. */
static void goes_no_further_than_needed(void **state)
{
	struct history h;
	struct query query = {.tip_count = 1, .target_count = 2};
	struct ph_oid missing;
	uint32_t blob, tree, node = 0, old = 0;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	h.unique = true;
	blob = history_blob(&h, 1);
	tree = history_tree(&h, &blob, 1);
	for (uint32_t i = 0; i < 100000; i++) {
		node = history_commit(&h, tree, i > 0 ? &node : NULL, i > 0, i);
		old = i == 0 ? node : old;
		query.targets[1] = i == 99990 ? node : query.targets[1];
	}
	query.tips[0] = node;
	query.targets[0] = blob;
	history_seal(&h, NULL);
	h.limits.walk_objects_max = 100;
	assert_int_equal(ask(&h, &query, &missing), PH_OK);
	query.targets[1] = old;
	assert_int_equal(ask(&h, &query, &missing), PH_ERR_LIMIT);
	h.limits.walk_objects_max = 1000000;
	assert_int_equal(ask(&h, &query, &missing), PH_OK);
	history_release(&h);
}

/* Every target is known to be found or not, also when some are not. */
static void tells_of_each(void **state)
{
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 7);
	for (uint32_t round = 0; round < 20; round++) {
		struct history h;
		struct ph_reach *reach;
		struct ph_oid missing;
		bool *reached;
		uint32_t tip;
		enum ph_status status;

		history_init(&h, round % 2 == 0 ? PH_HASH_SHA1 : PH_HASH_SHA256);
		history_random(&h, &rng, 30, round % 3 == 0);
		history_seal(&h, &rng);
		tip = h.commits[ph_test_rng_below(&rng, h.commit_count)];
		reached = calloc(h.count, sizeof *reached);
		assert_non_null(reached);
		history_closure(&h, tip, NULL, reached);
		assert_int_equal(ph_reach_new(&reach, &h.source.set.source, ph_alloc_libc(),
		                              &h.limits, NULL),
		                 PH_OK);
		assert_int_equal(ph_reach_tip(reach, &h.nodes[tip].oid), PH_OK);
		for (uint32_t i = 0; i < h.count; i++) {
			assert_int_equal(ph_reach_target(reach, &h.nodes[i].oid), PH_OK);
		}
		do {
			uint32_t budget = 5;

			status = ph_reach_run(reach, &budget, &missing);
		} while (status == PH_AGAIN);
		assert_true(status == PH_OK || status == PH_ERR_NOT_FOUND);
		for (uint32_t i = 0; i < h.count; i++) {
			assert_int_equal(ph_reach_found(reach, history_loc(&h, i)), reached[i]);
		}
		ph_reach_free(reach);
		free(reached);
		history_release(&h);
	}
}

static void survives_failing_memory(void **state)
{
	struct ph_test_rng rng;
	struct history h;
	struct query query = {.tip_count = 1, .target_count = 2};

	(void)state;
	ph_test_rng_init(&rng, 2);
	history_init(&h, PH_HASH_SHA1);
	history_random(&h, &rng, 20, false);
	query.tips[0] = history_tag(&h, h.commits[19], 0);
	query.targets[0] = h.commits[0];
	query.targets[1] = h.nodes[h.commits[1]].links[0];
	history_seal(&h, &rng);
	for (uint64_t i = 1;; i++) {
		struct ph_test_alloc memory;
		struct ph_oid missing;
		enum ph_status status;

		ph_test_alloc_init(&memory);
		memory.fail_at = i;
		status = ask_with(&h, &query, &memory.alloc, &missing);
		if (status != PH_ERR_NOMEM) {
			check(&h, &query, status, &missing);
		}
		assert_int_equal(memory.live, 0);
		if (memory.calls < i) {
			assert_int_not_equal(status, PH_ERR_NOMEM);
			break;
		}
	}
	history_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(agrees_with_the_oracle),
	        cmocka_unit_test(unknown_objects),
	        cmocka_unit_test(gaps),
	        cmocka_unit_test(goes_no_further_than_needed),
	        cmocka_unit_test(tells_of_each),
	        cmocka_unit_test(survives_failing_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
