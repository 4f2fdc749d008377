/* SPDX-License-Identifier: MIT */
/* When negotiation may end, against a naive search asked anew after every have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "history.h"
#include <packhorse/walk.h>
#include <stdlib.h>

static struct ph_cut *cut_new(const struct history *h)
{
	struct ph_cut *cut;

	assert_int_equal(ph_cut_new(&cut, &h->source.set.source, ph_alloc_libc(), &h->limits, NULL),
	                 PH_OK);
	return cut;
}

/* With as much budget as it takes. */
static enum ph_status common(struct ph_cut *cut, const struct ph_oid *oid, bool *known)
{
	enum ph_status status;

	do {
		uint32_t budget = 1;

		status = ph_cut_common(cut, oid, known, &budget);
	} while (status == PH_AGAIN);
	return status;
}

static enum ph_status run(struct ph_cut *cut, uint32_t slice, bool *ready)
{
	enum ph_status status;

	do {
		uint32_t budget = slice;

		status = ph_cut_run(cut, &budget, ready);
	} while (status == PH_AGAIN);
	return status;
}

/* What is common, and how old the oldest common commit is. */
struct truth {
	bool *common;
	bool *grafts;
	uint64_t oldest;
	bool any;
};

static void add_common(const struct history *h, struct truth *truth, uint32_t node)
{
	const struct node *have = &h->nodes[node];

	truth->common[node] = true;
	truth->any = true;
	for (uint32_t i = 1; have->type == PH_OBJ_COMMIT && !truth->grafts[node] && i < have->count;
	     i++) {
		truth->common[have->links[i]] = true;
	}
	if (have->type == PH_OBJ_COMMIT && have->time < truth->oldest) {
		truth->oldest = have->time;
	}
}

/* By depth-first search; a commit is expanded when it is a want or not older than the oldest. */
static bool reaches(const struct history *h, const struct truth *truth, uint32_t want)
{
	bool *seen = calloc(h->count, sizeof *seen);
	uint32_t *stack = calloc(h->count + 1, sizeof *stack);
	uint32_t depth = 0;
	bool found;

	assert_non_null(seen);
	assert_non_null(stack);
	while (h->nodes[want].type == PH_OBJ_TAG) {
		want = h->nodes[want].links[0];
	}
	/* What is no commit does not count, and of a tag what it names does. */
	found = truth->common[want] || h->nodes[want].type != PH_OBJ_COMMIT;
	stack[depth++] = want;
	seen[want] = true;
	while (depth > 0 && !found) {
		uint32_t at = stack[--depth];
		const struct node *node = &h->nodes[at];

		if (truth->grafts[at] || (at != want && node->time < truth->oldest)) {
			continue;
		}
		for (uint32_t i = 1; i < node->count; i++) {
			found = found || truth->common[node->links[i]];
			if (!seen[node->links[i]]) {
				seen[node->links[i]] = true;
				stack[depth++] = node->links[i];
			}
		}
	}
	free(seen);
	free(stack);
	return found;
}

static void add_grafts(const struct history *h, struct ph_cut *cut, struct truth *truth,
                       struct ph_test_rng *rng)
{
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t node = h->commits[ph_test_rng_below(rng, h->commit_count)];

		truth->grafts[node] = true;
		assert_int_equal(ph_cut_graft(cut, &h->nodes[node].oid), PH_OK);
	}
}

static void agrees_with_the_oracle(void **state)
{
	struct ph_test_rng rng;
	unsigned turned = 0;

	(void)state;
	ph_test_rng_init(&rng, 1);
	for (int round = 0; round < 100; round++) {
		struct history h;
		struct truth truth = {.oldest = UINT64_MAX};
		uint32_t wants[5];
		uint32_t count = ph_test_rng_below(&rng, 6);
		struct ph_cut *cut;
		bool last = false;

		history_init(&h, round % 2 == 0 ? PH_HASH_SHA1 : PH_HASH_SHA256);
		history_random(&h, &rng, 40, round % 3 == 0);
		for (uint32_t i = 0; i < 6; i++) {
			history_tag(&h, h.count - 1 - ph_test_rng_below(&rng, 20), i);
		}
		history_seal(&h, &rng);
		truth.common = calloc(h.count, sizeof *truth.common);
		truth.grafts = calloc(h.count, sizeof *truth.grafts);
		assert_non_null(truth.common);
		assert_non_null(truth.grafts);
		cut = cut_new(&h);
		if (round % 2 == 1) {
			add_grafts(&h, cut, &truth, &rng);
		}
		for (uint32_t i = 0; i < count; i++) {
			wants[i] = ph_test_rng_below(&rng, 6) == 0
			                   ? ph_test_rng_below(&rng, h.count)
			                   : h.commits[h.commit_count - 1 -
			                               ph_test_rng_below(&rng, 25)];
			assert_int_equal(ph_cut_want(cut, &h.nodes[wants[i]].oid), PH_OK);
		}
		for (int have = 0; have < 12; have++) {
			bool ready = !last;
			bool known;
			bool expected = truth.any;
			uint32_t node =
			        ph_test_rng_below(&rng, 8) == 0
			                ? ph_test_rng_below(&rng, h.count)
			                : h.commits[ph_test_rng_below(&rng, h.commit_count)];

			for (uint32_t i = 0; i < count && expected; i++) {
				expected = reaches(&h, &truth, wants[i]);
			}
			assert_int_equal(run(cut, 1 + 100 * ph_test_rng_below(&rng, 2), &ready),
			                 PH_OK);
			assert_int_equal(ready, expected);
			turned += ready && !last;
			last = ready;
			known = !truth.common[node];
			assert_int_equal(common(cut, &h.nodes[node].oid, &known), PH_OK);
			assert_int_equal(known, truth.common[node]);
			add_common(&h, &truth, node);
		}
		ph_cut_free(cut);
		free(truth.common);
		free(truth.grafts);
		history_release(&h);
	}
	assert_true(turned > 30);
}

static void unknown_objects(void **state)
{
	struct history h;
	struct ph_oid unknown = ph_test_oid_fake(PH_HASH_SHA1, 3);
	struct ph_cut *cut;
	bool known;
	bool ready = true;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	for (uint32_t i = 1; i < 4; i++) {
		history_blob(&h, i);
	}
	history_seal(&h, NULL);
	cut = cut_new(&h);
	assert_int_equal(ph_cut_graft(cut, &unknown), PH_OK);
	assert_int_equal(ph_cut_want(cut, &unknown), PH_ERR_NOT_FOUND);
	assert_int_equal(common(cut, &unknown, &known), PH_ERR_NOT_FOUND);
	assert_int_equal(run(cut, 10, &ready), PH_OK);
	assert_false(ready);
	/* Wants that are no commits wait for something common, whatever it is. */
	assert_int_equal(ph_cut_want(cut, &h.nodes[0].oid), PH_OK);
	assert_int_equal(ph_cut_want(cut, &h.nodes[0].oid), PH_OK);
	assert_int_equal(run(cut, 10, &ready), PH_OK);
	assert_false(ready);
	assert_int_equal(common(cut, &h.nodes[0].oid, &known), PH_OK);
	assert_false(known);
	assert_int_equal(common(cut, &h.nodes[0].oid, &known), PH_OK);
	assert_true(known);
	assert_int_equal(run(cut, 10, &ready), PH_OK);
	assert_true(ready);
	/* A want that comes after the have it is, and one that nothing leads from. */
	assert_int_equal(common(cut, &h.nodes[1].oid, &known), PH_OK);
	assert_int_equal(ph_cut_want(cut, &h.nodes[1].oid), PH_OK);
	assert_int_equal(run(cut, 10, &ready), PH_OK);
	assert_true(ready);
	assert_int_equal(ph_cut_want(cut, &h.nodes[2].oid), PH_OK);
	assert_int_equal(run(cut, 10, &ready), PH_OK);
	assert_true(ready);
	ph_cut_free(cut);
	ph_cut_free(NULL);
	history_release(&h);
}

/* Of a tag that both have it is the commit that has to be common, too. */
static void tags_are_peeled(void **state)
{
	struct history h;
	struct ph_cut *cut;
	uint32_t tag;
	bool known;
	bool ready = true;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	tag = history_tag(&h, history_commit(&h, history_tree(&h, NULL, 0), NULL, 0, 10), 0);
	history_seal(&h, NULL);
	cut = cut_new(&h);
	assert_int_equal(ph_cut_want(cut, &h.nodes[tag].oid), PH_OK);
	assert_int_equal(common(cut, &h.nodes[tag].oid, &known), PH_OK);
	assert_int_equal(run(cut, 10, &ready), PH_OK);
	assert_false(ready);
	assert_int_equal(common(cut, &h.nodes[tag].oid, &known), PH_OK);
	assert_true(known);
	assert_int_equal(common(cut, &h.nodes[h.commits[0]].oid, &known), PH_OK);
	assert_false(known);
	assert_int_equal(run(cut, 10, &ready), PH_OK);
	assert_true(ready);
	ph_cut_free(cut);
	history_release(&h);
}

/*
 * A question after every one of many haves: each commit is walked once all in all. The limit would
 * stop a search that starts anew.
 */
static void asks_often(void **state)
{
	struct history h;
	struct ph_cut *cut;
	uint32_t tree, side = 0, tip = 0;
	bool known;
	bool ready = true;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	h.unique = true;
	tree = history_tree(&h, NULL, 0);
	for (uint32_t i = 0; i < 30000; i++) {
		tip = history_commit(&h, tree, i > 0 ? &tip : NULL, i > 0, 10 + 2 * i);
	}
	/* What the client has is another history, older and older. */
	for (uint32_t i = 0; i < 5000; i++) {
		side = history_commit(&h, tree, i > 0 ? &side : NULL, i > 0, 11 + 12 * i);
	}
	history_seal(&h, NULL);
	h.limits.walk_objects_max = 100000;
	cut = cut_new(&h);
	assert_int_equal(ph_cut_want(cut, &h.nodes[tip].oid), PH_OK);
	for (uint32_t i = 0; i < 5000; i++) {
		uint32_t have = h.commits[h.commit_count - 1 - i];

		assert_int_equal(common(cut, &h.nodes[have].oid, &known), PH_OK);
		assert_int_equal(known, i > 0);
		assert_int_equal(run(cut, 1000, &ready), PH_OK);
		assert_false(ready);
	}
	/* Common at last, at the far end: the news runs all the way down. */
	assert_int_equal(common(cut, &h.nodes[h.commits[0]].oid, &known), PH_OK);
	assert_int_equal(run(cut, 1, &ready), PH_OK);
	assert_true(ready);
	ph_cut_free(cut);
	history_release(&h);
}

/* A have with so many parents is many steps, each of them as long as its budget. */
static void parents_are_work(void **state)
{
	const uint32_t parents = 50000;
	uint32_t *links = calloc(parents, sizeof *links);
	uint64_t calls = 0, most = 0;
	struct history h;
	struct ph_cut *cut;
	uint32_t tree, have;
	bool known = true;
	bool ready = false;
	enum ph_status status;

	(void)state;
	assert_non_null(links);
	history_init(&h, PH_HASH_SHA1);
	tree = history_tree(&h, NULL, 0);
	links[0] = history_commit(&h, tree, NULL, 0, 10);
	for (uint32_t i = 1; i < parents; i++) {
		links[i] = links[0];
	}
	have = history_commit(&h, tree, links, parents, 20);
	history_seal(&h, NULL);
	cut = cut_new(&h);
	assert_int_equal(ph_cut_want(cut, &h.nodes[links[0]].oid), PH_OK);
	do {
		uint64_t before = h.source.faults.calls;
		uint32_t budget = 64;

		status = ph_cut_common(cut, &h.nodes[have].oid, &known, &budget);
		assert_true(status != PH_AGAIN || budget == 0);
		if (h.source.faults.calls - before > most) {
			most = h.source.faults.calls - before;
		}
		calls++;
	} while (status == PH_AGAIN);
	assert_int_equal(status, PH_OK);
	assert_false(known);
	assert_true(calls > parents / 64);
	/* A find reads the index two times. */
	assert_true(most < 4 * 64);
	assert_int_equal(common(cut, &h.nodes[links[0]].oid, &known), PH_OK);
	assert_true(known);
	assert_int_equal(run(cut, 10, &ready), PH_OK);
	assert_true(ready);
	ph_cut_free(cut);
	/* Given up in the middle, nothing is left behind. */
	cut = cut_new(&h);
	assert_int_equal(ph_cut_common(cut, &h.nodes[have].oid, &known, &(uint32_t){700}),
	                 PH_AGAIN);
	ph_cut_free(cut);
	history_release(&h);
	free(links);
}

static enum ph_status scenario(const struct history *h, const struct ph_alloc *alloc, bool *ready)
{
	struct ph_cut *cut;
	bool known;
	enum ph_status status = ph_cut_new(&cut, &h->source.set.source, alloc, &h->limits, NULL);

	if (status != PH_OK) {
		return status;
	}
	status = ph_cut_graft(cut, &h->nodes[h->commits[10]].oid);
	if (status == PH_OK) {
		status = ph_cut_want(cut, &h->nodes[h->count - 1].oid);
	}
	for (uint32_t i = 0; i < 5 && status == PH_OK; i++) {
		status = common(cut, &h->nodes[h->commits[25 - 5 * i]].oid, &known);
		if (status == PH_OK) {
			status = run(cut, 10, ready);
		}
	}
	ph_cut_free(cut);
	return status;
}

static void survives_failing_memory(void **state)
{
	struct ph_test_rng rng;
	struct history h;
	bool expected;

	(void)state;
	ph_test_rng_init(&rng, 4);
	history_init(&h, PH_HASH_SHA1);
	history_random(&h, &rng, 30, false);
	history_tag(&h, h.commits[29], 0);
	history_seal(&h, &rng);
	assert_int_equal(scenario(&h, ph_alloc_libc(), &expected), PH_OK);
	for (uint64_t i = 1;; i++) {
		struct ph_test_alloc memory;
		bool ready = !expected;
		enum ph_status status;

		ph_test_alloc_init(&memory);
		memory.fail_at = i;
		status = scenario(&h, &memory.alloc, &ready);
		assert_int_equal(memory.live, 0);
		if (status == PH_OK) {
			assert_int_equal(ready, expected);
		} else {
			assert_int_equal(status, PH_ERR_NOMEM);
		}
		if (memory.calls < i) {
			assert_int_equal(status, PH_OK);
			break;
		}
	}
	history_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(agrees_with_the_oracle), cmocka_unit_test(unknown_objects),
	        cmocka_unit_test(tags_are_peeled),        cmocka_unit_test(asks_often),
	        cmocka_unit_test(parents_are_work),       cmocka_unit_test(survives_failing_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
