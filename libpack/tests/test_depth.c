/* SPDX-License-Identifier: MIT */
/* Boundaries of shallow clones, against a naive breadth-first search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "history.h"
#include <packhorse/walk.h>
#include <stdlib.h>

struct query {
	uint32_t wants[4];
	uint32_t count;
	uint32_t depth;
	const bool *own; /* boundaries of the repository, by node */
	uint32_t budget;
};

static enum ph_status ask_with(const struct history *h, const struct query *query,
                               const struct ph_alloc *alloc, struct ph_depth **out)
{
	struct ph_depth_options options = {.source = &h->source.set.source,
	                                   .alloc = alloc,
	                                   .limits = &h->limits,
	                                   .depth = query->depth};
	struct ph_depth *depth;
	enum ph_status status = ph_depth_new(&depth, &options);

	if (status != PH_OK) {
		return status;
	}
	for (uint32_t i = 0; i < query->count && status == PH_OK; i++) {
		status = ph_depth_want(depth, &h->nodes[query->wants[i]].oid);
	}
	for (uint32_t i = 0; i < h->count && query->own != NULL && status == PH_OK; i++) {
		if (query->own[i]) {
			status = ph_depth_boundary(depth, &h->nodes[i].oid);
		}
	}
	if (status == PH_OK) {
		do {
			uint32_t budget = query->budget > 0 ? query->budget : 1000000;

			status = ph_depth_run(depth, &budget);
		} while (status == PH_AGAIN);
	}
	if (status != PH_OK) {
		ph_depth_free(depth);
		return status;
	}
	*out = depth;
	return PH_OK;
}

static enum ph_status ask(const struct history *h, const struct query *query, struct ph_depth **out)
{
	return ask_with(h, query, ph_alloc_libc(), out);
}

static bool is_inside(const struct ph_depth *depth, const struct ph_oid *oid)
{
	bool inside;

	assert_int_equal(ph_depth_inside(depth, oid, &inside), PH_OK);
	return inside;
}

static bool is_boundary(const struct ph_depth *depth, const struct ph_oid *oid)
{
	bool boundary;

	assert_int_equal(ph_depth_is_boundary(depth, oid, &boundary), PH_OK);
	return boundary;
}

/* Shortest distances, by going over all commits until nothing changes. 0: not reached. */
static uint32_t *distances(const struct history *h, const struct query *query)
{
	uint32_t *made = calloc(h->count + 1, sizeof *made);
	bool changed = true;

	assert_non_null(made);
	for (uint32_t i = 0; i < query->count; i++) {
		uint32_t at = query->wants[i];

		while (h->nodes[at].type == PH_OBJ_TAG) {
			at = h->nodes[at].links[0];
		}
		if (h->nodes[at].type == PH_OBJ_COMMIT) {
			made[at] = 1;
		}
	}
	while (changed) {
		changed = false;
		for (uint32_t i = 0; i < h->count; i++) {
			bool stops = made[i] == 0 || (query->own != NULL && query->own[i]) ||
			             (query->depth != PH_DEPTH_INFINITE && made[i] >= query->depth);

			for (uint32_t k = 1; k < h->nodes[i].count && !stops; k++) {
				uint32_t *parent = &made[h->nodes[i].links[k]];

				if (*parent == 0 || *parent > made[i] + 1) {
					*parent = made[i] + 1;
					changed = true;
				}
			}
		}
	}
	return made;
}

static void check(const struct history *h, const struct query *query, const struct ph_depth *depth)
{
	uint32_t *distance = distances(h, query);
	uint32_t expected = 0;
	uint32_t listed = 0;
	uint32_t cursor = 0;
	bool own = false;
	struct ph_oid oid;
	struct ph_oid last = {{0}};

	for (uint32_t i = 0; i < h->count; i++) {
		own = own || (query->own != NULL && query->own[i]);
	}
	for (uint32_t i = 0; i < h->count; i++) {
		bool commit = h->nodes[i].type == PH_OBJ_COMMIT && distance[i] > 0;
		bool boundary =
		        commit &&
		        ((query->own != NULL && query->own[i]) ||
		         (query->depth != PH_DEPTH_INFINITE && distance[i] == query->depth));

		expected += boundary;
		assert_int_equal(is_boundary(depth, &h->nodes[i].oid), boundary);
		if (query->depth != PH_DEPTH_INFINITE || own) {
			assert_int_equal(is_inside(depth, &h->nodes[i].oid), commit && !boundary);
		} else {
			assert_true(is_inside(depth, &h->nodes[i].oid));
		}
	}
	while (ph_depth_next(depth, &cursor, &oid) == PH_OK) {
		assert_true(listed == 0 || ph_oid_cmp(&last, &oid) < 0);
		assert_true(is_boundary(depth, &oid));
		last = oid;
		listed++;
	}
	assert_int_equal(listed, expected);
	assert_int_equal(ph_depth_next(depth, &cursor, &oid), PH_END);
	free(distance);
}

static void agrees_with_the_oracle(void **state)
{
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 1);
	for (int round = 0; round < 16; round++) {
		struct history h;
		bool *own;

		history_init(&h, round % 2 == 0 ? PH_HASH_SHA1 : PH_HASH_SHA256);
		history_random(&h, &rng, 60, round % 3 == 0);
		for (uint32_t i = 0; i < 6; i++) {
			history_tag(&h, h.count - 1 - ph_test_rng_below(&rng, 30), i);
		}
		history_seal(&h, &rng);
		own = calloc(h.count, sizeof *own);
		assert_non_null(own);
		for (int ask_round = 0; ask_round < 40; ask_round++) {
			struct query query = {.own = ask_round % 2 == 0 ? own : NULL};
			struct ph_depth *depth;

			query.count = ph_test_rng_below(&rng, 5);
			for (uint32_t i = 0; i < query.count; i++) {
				query.wants[i] = ph_test_rng_below(&rng, 4) == 0
				                         ? ph_test_rng_below(&rng, h.count)
				                         : h.commits[ph_test_rng_below(
				                                   &rng, h.commit_count)];
			}
			query.depth = ph_test_rng_below(&rng, 5) == 0
			                      ? PH_DEPTH_INFINITE
			                      : 1 + ph_test_rng_below(&rng, 8);
			query.budget = ph_test_rng_below(&rng, 3);
			memset(own, 0, h.count * sizeof *own);
			for (uint32_t i = ph_test_rng_below(&rng, 4); i > 0; i--) {
				own[h.commits[ph_test_rng_below(&rng, h.commit_count)]] = true;
			}
			assert_int_equal(ask(&h, &query, &depth), PH_OK);
			check(&h, &query, depth);
			ph_depth_free(depth);
		}
		free(own);
		history_release(&h);
	}
}

/* The root of a history of one commit is a boundary at depth 1, as in git. */
static void one_commit(void **state)
{
	struct history h;
	struct query query = {.count = 1, .depth = 1};
	struct ph_oid unknown = ph_test_oid_fake(PH_HASH_SHA1, 3);
	struct ph_oid oid;
	struct ph_depth_options options = {.source = &h.source.set.source,
	                                   .alloc = ph_alloc_libc(),
	                                   .limits = &h.limits,
	                                   .depth = 1};
	struct ph_depth *depth;
	uint32_t cursor = 0;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	query.wants[0] = history_commit(&h, history_tree(&h, NULL, 0), NULL, 0, 1);
	history_seal(&h, NULL);
	assert_int_equal(ask(&h, &query, &depth), PH_OK);
	assert_int_equal(ph_depth_next(depth, &cursor, &oid), PH_OK);
	assert_true(ph_oid_equal(&oid, &h.nodes[query.wants[0]].oid));
	assert_int_equal(ph_depth_next(depth, &cursor, &oid), PH_END);
	assert_false(is_inside(depth, &unknown));
	assert_false(is_boundary(depth, &unknown));
	ph_depth_free(depth);
	query.depth = 2;
	assert_int_equal(ask(&h, &query, &depth), PH_OK);
	cursor = 0;
	assert_int_equal(ph_depth_next(depth, &cursor, &oid), PH_END);
	assert_true(is_inside(depth, &h.nodes[query.wants[0]].oid));
	ph_depth_free(depth);
	assert_int_equal(ph_depth_new(&depth, &options), PH_OK);
	assert_int_equal(ph_depth_want(depth, &unknown), PH_ERR_NOT_FOUND);
	assert_int_equal(ph_depth_boundary(depth, &unknown), PH_OK);
	ph_depth_free(depth);
	ph_depth_free(NULL);
	history_release(&h);
}

/*
 * A ladder of merges has 2^n paths: distances must come from levels, not from paths. And a missing
 * parent behind the boundary is nobody's business; one inside is.
 */
static void many_paths(void **state)
{
	struct history h;
	struct query query = {.count = 1, .depth = PH_DEPTH_INFINITE - 1};
	struct ph_depth *depth;
	uint32_t tree, left, right;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	tree = history_tree(&h, NULL, 0);
	left = history_commit(&h, tree, NULL, 0, 0);
	right = history_commit(&h, tree, NULL, 0, 1);
	for (uint32_t i = 1; i < 200; i++) {
		uint32_t both[2] = {left, right};

		left = history_commit(&h, tree, both, 2, 2 * i);
		right = history_commit(&h, tree, both, 2, 2 * i + 1);
	}
	query.wants[0] = left;
	h.nodes[h.commits[0]].left_out = true;
	history_seal(&h, NULL);
	assert_int_equal(ask(&h, &query, &depth), PH_ERR_CORRUPT);
	query.depth = 199;
	assert_int_equal(ask(&h, &query, &depth), PH_OK);
	check(&h, &query, depth);
	ph_depth_free(depth);
	history_release(&h);
}

static void goes_deep(void **state)
{
	struct history h;
	struct query query = {.count = 1, .depth = 90000};
	struct ph_depth *depth;
	struct ph_oid oid;
	uint32_t tree, node = 0, cut = 0, cursor = 0;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	h.unique = true;
	tree = history_tree(&h, NULL, 0);
	for (uint32_t i = 0; i < 100000; i++) {
		node = history_commit(&h, tree, i > 0 ? &node : NULL, i > 0, i);
		cut = i == 10000 ? node : cut;
	}
	query.wants[0] = node;
	history_seal(&h, NULL);
	assert_int_equal(ask(&h, &query, &depth), PH_OK);
	assert_int_equal(ph_depth_next(depth, &cursor, &oid), PH_OK);
	assert_true(ph_oid_equal(&oid, &h.nodes[cut].oid));
	assert_int_equal(ph_depth_next(depth, &cursor, &oid), PH_END);
	ph_depth_free(depth);
	h.limits.walk_objects_max = 1000;
	assert_int_equal(ask(&h, &query, &depth), PH_ERR_LIMIT);
	history_release(&h);
}

/* A parent that is a tree: the store is broken, whichever side of the boundary it is on. */
static void wrong_types(void **state)
{
	(void)state;
	for (uint32_t deep = 1; deep <= 3; deep++) {
		struct history h;
		struct query query = {.count = 1, .depth = deep};
		struct ph_depth *depth;
		uint32_t tree;

		history_init(&h, PH_HASH_SHA1);
		tree = history_tree(&h, NULL, 0);
		query.wants[0] = history_commit(&h, tree, &tree, 1, 1);
		history_seal(&h, NULL);
		assert_int_equal(ask(&h, &query, &depth), deep == 1 ? PH_OK : PH_ERR_CORRUPT);
		if (deep == 1) {
			ph_depth_free(depth);
		}
		history_release(&h);
	}
}

static void survives_failing_memory(void **state)
{
	struct ph_test_rng rng;
	struct history h;
	struct query query = {.count = 1, .depth = 4};

	(void)state;
	ph_test_rng_init(&rng, 2);
	history_init(&h, PH_HASH_SHA1);
	history_random(&h, &rng, 30, false);
	query.wants[0] = history_tag(&h, h.commits[29], 0);
	history_seal(&h, &rng);
	for (uint64_t i = 1;; i++) {
		struct ph_test_alloc memory;
		struct ph_depth *depth;
		enum ph_status status;

		ph_test_alloc_init(&memory);
		memory.fail_at = i;
		status = ask_with(&h, &query, &memory.alloc, &depth);
		if (status == PH_OK) {
			check(&h, &query, depth);
			ph_depth_free(depth);
		} else {
			assert_int_equal(status, PH_ERR_NOMEM);
		}
		assert_int_equal(memory.live, 0);
		if (memory.calls < i) {
			break;
		}
	}
	history_release(&h);
}

/* --- By time and by what is left out --- */

struct list_query {
	uint32_t wants[3], outs[2];
	uint32_t want_count, out_count;
	uint64_t since;
	uint32_t budget;
	const bool *own;
};

static enum ph_status ask_list(const struct history *h, const struct list_query *query,
                               const struct ph_alloc *alloc, struct ph_depth **out)
{
	struct ph_depth_options options = {.source = &h->source.set.source,
	                                   .alloc = alloc,
	                                   .limits = &h->limits,
	                                   .since = query->since};
	struct ph_depth *depth;
	enum ph_status status = ph_depth_new(&depth, &options);

	if (status != PH_OK) {
		return status;
	}
	for (uint32_t i = 0; i < query->want_count && status == PH_OK; i++) {
		status = ph_depth_want(depth, &h->nodes[query->wants[i]].oid);
	}
	for (uint32_t i = 0; i < query->out_count && status == PH_OK; i++) {
		status = ph_depth_exclude(depth, &h->nodes[query->outs[i]].oid);
	}
	for (uint32_t i = 0; i < h->count && query->own != NULL && status == PH_OK; i++) {
		if (query->own[i]) {
			status = ph_depth_boundary(depth, &h->nodes[i].oid);
		}
	}
	if (status == PH_OK) {
		do {
			uint32_t budget = query->budget;

			status = ph_depth_run(depth, &budget);
		} while (status == PH_AGAIN);
	}
	if (status != PH_OK) {
		ph_depth_free(depth);
		return status;
	}
	*out = depth;
	return PH_OK;
}

/* Marks what a commit reaches by way of commits that are recent enough, and not out. */
static void mark_recent(const struct history *h, uint32_t from, uint64_t since, const bool *out,
                        const bool *own, bool *in)
{
	uint32_t *stack = calloc(h->count + 1, sizeof *stack);
	uint32_t count = 0;

	assert_non_null(stack);
	for (; h->nodes[from].type == PH_OBJ_TAG; from = h->nodes[from].links[0]) {
	}
	if (h->nodes[from].type == PH_OBJ_COMMIT) {
		stack[count++] = from;
	}
	while (count > 0) {
		uint32_t at = stack[--count];
		const struct node *node = &h->nodes[at];

		if (in[at] || out[at] || node->time < since) {
			continue;
		}
		in[at] = true;
		for (uint32_t i = 1; i < node->count && (own == NULL || !own[at]); i++) {
			if (!in[node->links[i]]) {
				assert_true(count < h->count);
				stack[count++] = node->links[i];
			}
		}
	}
	free(stack);
}

static void check_list(const struct history *h, const struct list_query *query,
                       struct ph_depth *depth, enum ph_status status)
{
	bool *in = calloc(h->count + 1, sizeof *in);
	bool *out = calloc(h->count + 1, sizeof *out);
	uint32_t selected = 0;
	uint32_t boundary = 0;
	uint32_t cursor = 0;
	struct ph_oid oid;

	assert_non_null(in);
	assert_non_null(out);
	for (uint32_t i = 0; i < query->out_count; i++) {
		history_closure(h, query->outs[i], query->own, out);
	}
	for (uint32_t i = 0; i < query->want_count; i++) {
		mark_recent(h, query->wants[i], query->since, out, query->own, in);
	}
	for (uint32_t i = 0; i < h->commit_count; i++) {
		selected += in[h->commits[i]];
	}
	assert_int_equal(status, selected > 0 ? PH_OK : PH_ERR_NOT_FOUND);
	for (uint32_t i = 0; i < h->commit_count && status == PH_OK; i++) {
		const struct node *node = &h->nodes[h->commits[i]];
		bool edge = query->own != NULL && query->own[h->commits[i]];

		for (uint32_t k = 1; k < node->count; k++) {
			edge = edge || !in[node->links[k]];
		}
		edge = edge && in[h->commits[i]];
		boundary += edge;
		assert_int_equal(is_boundary(depth, &node->oid), edge);
		assert_int_equal(is_inside(depth, &node->oid), in[h->commits[i]] && !edge);
	}
	while (status == PH_OK && ph_depth_next(depth, &cursor, &oid) == PH_OK) {
		boundary--;
	}
	assert_int_equal(boundary, 0);
	free(in);
	free(out);
}

/* With times that only grow: what git makes of others, tests against git show. */
static void leaves_out_what_is_old_or_excluded(void **state)
{
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 8);
	for (uint32_t round = 0; round < 40; round++) {
		struct history h;
		bool *own = NULL;

		history_init(&h, PH_HASH_SHA1);
		history_random(&h, &rng, 1 + ph_test_rng_below(&rng, 40), false);
		history_tag(&h, h.commits[h.commit_count / 2], 1);
		history_seal(&h, &rng);
		if (ph_test_rng_below(&rng, 3) == 0) {
			own = calloc(h.count + 1, sizeof *own);
			assert_non_null(own);
			own[h.commits[ph_test_rng_below(&rng, h.commit_count)]] = true;
		}
		for (uint32_t i = 0; i < 12; i++) {
			struct list_query query = {
			        .want_count = 1 + ph_test_rng_below(&rng, 3),
			        .out_count = ph_test_rng_below(&rng, 3),
			        .budget = ph_test_rng_below(&rng, 2) == 0 ? 1 : 100000,
			        .own = own,
			};
			struct ph_depth *depth = NULL;
			enum ph_status status;
			uint32_t some = h.commits[ph_test_rng_below(&rng, h.commit_count)];

			if (ph_test_rng_below(&rng, 2) == 0) {
				query.since = h.nodes[some].time + ph_test_rng_below(&rng, 2);
			}
			for (uint32_t k = 0; k < 3; k++) {
				query.wants[k] = ph_test_rng_below(&rng, 8) == 0
				                         ? h.count - 1
				                         : h.commits[ph_test_rng_below(
				                                   &rng, h.commit_count)];
			}
			for (uint32_t k = 0; k < 2; k++) {
				query.outs[k] = h.commits[ph_test_rng_below(&rng, h.commit_count)];
			}
			status = ask_list(&h, &query, ph_alloc_libc(), &depth);
			check_list(&h, &query, depth, status);
			ph_depth_free(depth);
		}
		free(own);
		history_release(&h);
	}
}

static void list_survives_failing_memory(void **state)
{
	struct ph_test_rng rng;
	struct history h;
	struct list_query query = {.want_count = 1, .out_count = 1, .budget = 100000};

	(void)state;
	ph_test_rng_init(&rng, 9);
	history_init(&h, PH_HASH_SHA1);
	history_random(&h, &rng, 30, false);
	history_seal(&h, &rng);
	query.wants[0] = h.commits[29];
	query.outs[0] = h.commits[3];
	for (uint64_t i = 1;; i++) {
		struct ph_test_alloc memory;
		struct ph_depth *depth = NULL;
		enum ph_status status;

		ph_test_alloc_init(&memory);
		memory.fail_at = i;
		status = ask_list(&h, &query, &memory.alloc, &depth);
		if (status == PH_OK) {
			check_list(&h, &query, depth, status);
			ph_depth_free(depth);
		} else {
			assert_int_equal(status, PH_ERR_NOMEM);
		}
		assert_int_equal(memory.live, 0);
		if (memory.calls < i) {
			break;
		}
	}
	history_release(&h);
}

/* --- Relative to what the client has --- */

/* One line of commits, newest first: from the nearest of the client's boundaries so many more. */
static void counts_from_the_clients_boundary(void **state)
{
	static const struct {
		uint32_t from[2]; /* distances of the client's boundaries from the want */
		uint32_t depth;
		uint32_t boundary; /* distance of what becomes the boundary; 0 for none */
	} rows[] = {{{3, 3}, 1, 4},   {{3, 5}, 2, 5},   {{1, 1}, 3, 4},  {{9, 2}, 20, 0},
	            {{40, 40}, 1, 0}, {{10, 10}, 1, 0}, {{9, 9}, 1, 10}, {{3, 3}, 0x7ffffffe, 0}};
	struct history h;
	uint32_t line[10];
	uint32_t tree;
	uint32_t other;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	tree = history_tree(&h, NULL, 0);
	for (uint32_t i = 0; i < 10; i++) {
		line[9 - i] = history_commit(&h, tree, i > 0 ? &line[10 - i] : NULL, i > 0, i);
	}
	other = history_commit(&h, tree, NULL, 0, 77);
	history_seal(&h, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ph_depth_options options = {.source = &h.source.set.source,
		                                   .alloc = ph_alloc_libc(),
		                                   .limits = &h.limits,
		                                   .depth = rows[i].depth,
		                                   .relative = true};
		bool met = false;
		struct ph_depth *depth;
		uint32_t budget = 100000;

		assert_int_equal(ph_depth_new(&depth, &options), PH_OK);
		assert_int_equal(ph_depth_want(depth, &h.nodes[line[0]].oid), PH_OK);
		for (uint32_t k = 0; k < 2; k++) {
			uint32_t at = rows[i].from[k];

			met = met || at <= 10;
			assert_int_equal(
			        ph_depth_from(depth, &h.nodes[at <= 10 ? line[at - 1] : other].oid),
			        PH_OK);
		}
		assert_int_equal(ph_depth_run(depth, &budget), PH_OK);
		for (uint32_t k = 0; k < 10; k++) {
			const struct ph_oid *oid = &h.nodes[line[k]].oid;
			bool last = rows[i].boundary == k + 1;
			bool beyond = rows[i].boundary > 0 && k + 1 > rows[i].boundary;

			assert_int_equal(is_boundary(depth, oid), last);
			assert_int_equal(is_inside(depth, oid), met && !last && !beyond);
		}
		ph_depth_free(depth);
	}
	history_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(agrees_with_the_oracle),
	        cmocka_unit_test(one_commit),
	        cmocka_unit_test(many_paths),
	        cmocka_unit_test(goes_deep),
	        cmocka_unit_test(wrong_types),
	        cmocka_unit_test(survives_failing_memory),
	        cmocka_unit_test(leaves_out_what_is_old_or_excluded),
	        cmocka_unit_test(list_survives_failing_memory),
	        cmocka_unit_test(counts_from_the_clients_boundary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
