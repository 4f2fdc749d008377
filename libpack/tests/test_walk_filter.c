/* SPDX-License-Identifier: MIT */
/*
 * Walks under filters, against going through every place of every tree: an object goes exactly when
 * there is a place at which all parts of the filter let it go, or when it was named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../sparse_int.h"
#include "history.h"
#include <packhorse/footprint.h>
#include <packhorse/walk.h>

#include <stdio.h>
#include <stdlib.h>

#define LISTS_MAX 8u
#define PLACES_MAX 400000u

/* --- Histories with deep trees that occur at several paths --- */

#define DEPTH 5u
#define WIDTH 5u

static uint32_t random_tree(struct history *h, struct ph_test_rng *rng, const uint32_t *below,
                            uint32_t below_count)
{
	uint32_t links[WIDTH];
	uint32_t count = 1 + ph_test_rng_below(rng, WIDTH);

	for (uint32_t i = 0; i < count; i++) {
		if (below_count > 0 && ph_test_rng_below(rng, 2) == 0) {
			links[i] = below[ph_test_rng_below(rng, below_count)];
		} else {
			links[i] = history_blob(h, ph_test_rng_below(rng, 40));
		}
	}
	return history_tree(h, links, count);
}

static void deep_history(struct history *h, struct ph_test_rng *rng, uint32_t commits)
{
	uint32_t trees[DEPTH * 6];
	uint32_t count = 0;

	history_init(h, PH_HASH_SHA1);
	for (uint32_t level = 0; level < DEPTH; level++) {
		uint32_t below = count;

		for (uint32_t i = 0; i < 6; i++) {
			trees[count] = random_tree(h, rng, trees, below);
			count++;
		}
	}
	for (uint32_t i = 0; i < commits; i++) {
		uint32_t parents[2];
		uint32_t parent_count = 0;

		for (; i > 0 && parent_count < 2 && ph_test_rng_below(rng, 3) > 0; parent_count++) {
			parents[parent_count] = h->commits[ph_test_rng_below(rng, i)];
		}
		parent_count -= parent_count == 2 && parents[0] == parents[1];
		history_commit(h, random_tree(h, rng, trees, count), parents, parent_count,
		               1000 + i);
	}
	history_tag(h, history_tag(h, h->commits[commits / 2], 1), 2);
	history_tag(h, trees[count - 1], 3);
	history_tag(h, history_blob(h, 1), 4);
	history_seal(h, rng);
}

/* --- Filters --- */

/* A filter, and its rule taken from the parts by the simplest way. */
struct rule {
	struct ph_filter filter;
	char spec[512];
	struct ph__sparse *lists[LISTS_MAX];
	uint32_t list_count;
};

static void random_patterns(struct ph_test_rng *rng, char *out, size_t room)
{
	static const char *const some[] = {"*",          "/*",        "!/*/",
	                                   "/e00000/",   "e00001",    "!e00001",
	                                   "**/e00002",  "e00000/**", "!*2",
	                                   "e0000[1-3]", "/*/*/",     "e00001/e00000",
	                                   "/e00002/*",  "!e00003/",  "**/e00001/e00002"};
	size_t at = 0;

	out[0] = '\0';
	for (uint32_t i = 1 + ph_test_rng_below(rng, 4); i > 0; i--) {
		at += (size_t)snprintf(out + at, room - at, "%s\n",
		                       some[ph_test_rng_below(rng, sizeof some / sizeof some[0])]);
	}
}

static void random_rule(struct rule *rule, struct ph_test_rng *rng)
{
	static const char *const some[] = {"blob:none",        "blob:limit=5", "blob:limit=7",
	                                   "tree:0",           "tree:1",       "tree:2",
	                                   "tree:3",           "tree:4",       "sparse:oid=x",
	                                   "sparse:oid=y",     "sparse:oid=z", "object:type=blob",
	                                   "object:type=tree", "tree:9",       "object:type=commit",
	                                   "object:type=tag"};
	uint32_t parts = 1 + ph_test_rng_below(rng, 3);
	char why[PH_FILTER_WHY_MAX];
	size_t at = 0;

	*rule = (struct rule){.list_count = 0};
	if (parts > 1) {
		at = (size_t)snprintf(rule->spec, sizeof rule->spec, "combine:");
	}
	for (uint32_t i = 0; i < parts; i++) {
		at += (size_t)snprintf(rule->spec + at, sizeof rule->spec - at, "%s%s",
		                       i > 0 ? "+" : "",
		                       some[ph_test_rng_below(rng, sizeof some / sizeof some[0])]);
	}
	assert_int_equal(ph_filter_parse(&rule->filter, ph_alloc_libc(), rule->spec, at, why),
	                 PH_OK);
	for (uint32_t i = 0; i < rule->filter.count; i++) {
		char lines[256];

		if (rule->filter.parts[i].kind == PH_FILTER_SPARSE_OID) {
			random_patterns(rng, lines, sizeof lines);
			assert_int_equal(ph_filter_sparse_load(&rule->filter, i, ph_alloc_libc(),
			                                       lines, strlen(lines)),
			                 PH_OK);
			rule->lists[rule->list_count++] = rule->filter.parts[i].patterns;
		}
	}
}

/* --- The oracle --- */

/* A tree at a place. */
struct spot {
	uint32_t node;
	uint32_t depth; /* of its entries */
	bool in[LISTS_MAX];
	char path[64];
};

static bool list_says(const struct ph__sparse *list, const char *path, bool is_tree, bool parent)
{
	const char *slash = strrchr(path, '/');
	enum ph__sparse_says says;
	uint32_t at = 0;
	uint64_t cost = 0;

	while (ph__sparse_match(list, path, strlen(path),
	                        slash != NULL ? (size_t)(slash + 1 - path) : 0, is_tree, &at, &cost,
	                        &says) == PH_AGAIN) {
	}
	return says == PH__SPARSE_NOTHING ? parent : says == PH__SPARSE_IN;
}

/* Whether the filter lets an object go at a place. */
static bool goes(const struct rule *rule, const struct node *node, uint32_t depth, const bool *in)
{
	bool all = !ph_filter_omits(&rule->filter, node->type, node->size);

	for (uint32_t i = 0; i < rule->filter.count; i++) {
		const struct ph_filter_part *part = &rule->filter.parts[i];

		if (part->kind == PH_FILTER_TREE && node->type != PH_OBJ_COMMIT &&
		    depth >= part->number) {
			all = false;
		}
	}
	for (uint32_t i = 0; i < rule->list_count && node->type == PH_OBJ_BLOB; i++) {
		all = all && in[i];
	}
	return all;
}

static void go_through(const struct history *h, const struct rule *rule, const struct spot *root,
                       bool *out)
{
	struct spot *stack = malloc(PLACES_MAX * sizeof *stack);
	uint32_t count = 1;

	assert_non_null(stack);
	stack[0] = *root;
	while (count > 0) {
		struct spot at = stack[--count];
		const struct node *tree = &h->nodes[at.node];

		for (uint32_t i = 0; i < tree->count; i++) {
			const struct node *node = &h->nodes[tree->links[i]];
			struct spot next = {.node = tree->links[i], .depth = at.depth + 1};
			int len = snprintf(next.path, sizeof next.path, "%s%se%05u", at.path,
			                   at.path[0] != '\0' ? "/" : "", (unsigned)i);

			assert_true(len > 0 && (size_t)len < sizeof next.path);
			for (uint32_t k = 0; k < rule->list_count; k++) {
				next.in[k] = list_says(rule->lists[k], next.path,
				                       node->type == PH_OBJ_TREE, at.in[k]);
			}
			if (goes(rule, node, at.depth, next.in)) {
				out[next.node] = true;
			}
			if (node->type == PH_OBJ_TREE) {
				assert_true(count < PLACES_MAX);
				stack[count++] = next;
			}
		}
	}
	free(stack);
}

/*
 * What goes of wanted nodes. Commits that are had do not; of other objects that are named a cheap
 * walk may not know that they are had: then known is NULL.
 */
static void oracle(const struct history *h, const struct rule *rule, const uint32_t *wants,
                   uint32_t want_count, const bool *had, const bool *known, bool *out)
{
	bool *reached = calloc(h->count + 1, sizeof *reached);

	assert_non_null(reached);
	for (uint32_t i = 0; i < want_count; i++) {
		uint32_t at = wants[i];

		history_closure(h, at, NULL, reached);
		for (; h->nodes[at].type == PH_OBJ_TAG; at = h->nodes[at].links[0]) {
			out[at] = true;
		}
		out[at] = out[at] || h->nodes[at].type != PH_OBJ_COMMIT || !had[at];
		if (h->nodes[at].type == PH_OBJ_TREE && (known == NULL || !known[at])) {
			struct spot root = {.node = at};

			go_through(h, rule, &root, out);
		}
	}
	for (uint32_t i = 0; i < h->commit_count; i++) {
		const struct node *commit = &h->nodes[h->commits[i]];
		struct spot root = {.node = commit->links[0], .depth = 1};

		if (!reached[h->commits[i]] || had[h->commits[i]]) {
			continue;
		}
		for (uint32_t k = 0; k < rule->list_count; k++) {
			root.in[k] = list_says(rule->lists[k], "", true, false);
		}
		if (goes(rule, commit, 0, root.in)) {
			out[h->commits[i]] = true;
		}
		if (goes(rule, &h->nodes[root.node], 0, root.in)) {
			out[root.node] = true;
		}
		go_through(h, rule, &root, out);
	}
	free(reached);
}

/* --- The walk --- */

struct query {
	uint32_t wants[3], haves[2];
	uint32_t want_count, have_count;
	uint32_t budget;
};

static enum ph_status ask(const struct history *h, const struct rule *rule,
                          const struct query *query, const struct ph_alloc *alloc,
                          struct ph_walk **out)
{
	struct ph_walk_options options = {.source = &h->source.set.source,
	                                  .alloc = alloc,
	                                  .limits = &h->limits,
	                                  .filter = rule->filter};
	struct ph_walk *walk;
	enum ph_status status = ph_walk_new(&walk, &options);

	if (status != PH_OK) {
		return status;
	}
	for (uint32_t i = 0; i < query->want_count && status == PH_OK; i++) {
		status = ph_walk_want(walk, &h->nodes[query->wants[i]].oid);
	}
	for (uint32_t i = 0; i < query->have_count && status == PH_OK; i++) {
		status = ph_walk_have(walk, &h->nodes[query->haves[i]].oid);
	}
	if (status == PH_OK) {
		do {
			uint32_t budget = query->budget;

			status = ph_walk_run(walk, &budget);
		} while (status == PH_AGAIN);
	}
	if (status != PH_OK) {
		ph_walk_free(walk);
		return status;
	}
	*out = walk;
	return PH_OK;
}

/* What is had may go again where a cheap walk cannot know it; nothing else is too much or less. */
static void check(const struct history *h, const struct rule *rule, const struct query *query,
                  const struct ph_walk *walk)
{
	bool *least = calloc(h->count + 1, sizeof *least);
	bool *most = calloc(h->count + 1, sizeof *most);
	bool *had = calloc(h->count + 1, sizeof *had);

	assert_non_null(least);
	assert_non_null(most);
	assert_non_null(had);
	for (uint32_t i = 0; i < query->have_count; i++) {
		history_closure(h, query->haves[i], NULL, had);
	}
	oracle(h, rule, query->wants, query->want_count, had, had, least);
	oracle(h, rule, query->wants, query->want_count, had, NULL, most);
	for (uint32_t i = 0; i < h->count; i++) {
		bool selected = ph_walk_selected(walk, history_loc(h, i));

		if ((selected && !most[i]) || (least[i] && !selected && !had[i])) {
			fail_msg("%s: node %u (%s) is %s", rule->spec, (unsigned)i,
			         ph_object_type_name(h->nodes[i].type),
			         selected ? "too much" : "missing");
		}
	}
	free(least);
	free(most);
	free(had);
}

static void random_query(const struct history *h, struct ph_test_rng *rng, struct query *query)
{
	*query = (struct query){
	        .want_count = 1 + ph_test_rng_below(rng, 3),
	        .have_count = ph_test_rng_below(rng, 4) > 0 ? 0 : 1 + ph_test_rng_below(rng, 2),
	        .budget = ph_test_rng_below(rng, 2) == 0 ? 1 : 1000000};
	for (uint32_t i = 0; i < query->want_count; i++) {
		query->wants[i] = ph_test_rng_below(rng, 3) == 0
		                          ? ph_test_rng_below(rng, h->count)
		                          : h->commits[ph_test_rng_below(rng, h->commit_count)];
	}
	for (uint32_t i = 0; i < query->have_count; i++) {
		query->haves[i] = h->commits[ph_test_rng_below(rng, h->commit_count)];
	}
}

static void agrees_with_the_oracle(void **state)
{
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 5);
	for (uint32_t round = 0; round < 12; round++) {
		struct history h;

		deep_history(&h, &rng, 2 + ph_test_rng_below(&rng, 12));
		for (uint32_t i = 0; i < 30; i++) {
			struct rule rule;
			struct query query;
			struct ph_walk *walk = NULL;

			random_rule(&rule, &rng);
			random_query(&h, &rng, &query);
			assert_int_equal(ask(&h, &rule, &query, ph_alloc_libc(), &walk), PH_OK);
			check(&h, &rule, &query, walk);
			ph_walk_free(walk);
			ph_filter_release(&rule.filter, ph_alloc_libc());
		}
		history_release(&h);
	}
}

static void survives_failing_memory(void **state)
{
	static const char spec[] = "combine:sparse:oid=x+tree:4+blob:limit=9";
	struct ph_test_rng rng;
	struct history h;
	struct rule rule = {.list_count = 0};
	struct query query = {.want_count = 1, .budget = 1000000};
	char why[PH_FILTER_WHY_MAX];

	(void)state;
	ph_test_rng_init(&rng, 6);
	deep_history(&h, &rng, 6);
	query.wants[0] = h.commits[5];
	assert_int_equal(ph_filter_parse(&rule.filter, ph_alloc_libc(), spec, strlen(spec), why),
	                 PH_OK);
	assert_int_equal(ph_filter_sparse_load(&rule.filter, 1, ph_alloc_libc(), "*1\n/*", 5),
	                 PH_OK);
	rule.lists[rule.list_count++] = rule.filter.parts[1].patterns;
	for (uint64_t i = 1;; i++) {
		struct ph_test_alloc memory;
		struct ph_walk *walk = NULL;
		enum ph_status status;

		ph_test_alloc_init(&memory);
		memory.fail_at = i;
		status = ask(&h, &rule, &query, &memory.alloc, &walk);
		if (status == PH_OK) {
			check(&h, &rule, &query, walk);
			ph_walk_free(walk);
		} else {
			assert_int_equal(status, PH_ERR_NOMEM);
		}
		assert_int_equal(memory.live, 0);
		if (memory.calls < i) {
			break;
		}
	}
	ph_filter_release(&rule.filter, ph_alloc_libc());
	history_release(&h);
}

/* A tree that holds itself ten times over, and so on: more paths than can be walked. */
static void ends_where_paths_do_not(void **state)
{
	static const struct {
		const char *spec;
		enum ph_status status;
	} rows[] = {{"sparse:oid=x", PH_ERR_LIMIT},
	            {"tree:30", PH_OK},
	            {"combine:sparse:oid=x+tree:3", PH_OK},
	            {"blob:limit=1", PH_OK},
	            {"object:type=blob", PH_OK}};
	struct history h;
	struct query query = {.want_count = 1, .budget = 1000000};
	uint32_t links[10];
	uint32_t tree;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	tree = history_blob(&h, 1);
	for (uint32_t i = 0; i < 12; i++) {
		for (uint32_t k = 0; k < 10; k++) {
			links[k] = tree;
		}
		tree = history_tree(&h, links, 10);
	}
	query.wants[0] = history_commit(&h, tree, NULL, 0, 1);
	history_seal(&h, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct rule rule = {.list_count = 0};
		struct ph_walk *walk = NULL;
		char why[PH_FILTER_WHY_MAX];

		assert_int_equal(ph_filter_parse(&rule.filter, ph_alloc_libc(), rows[i].spec,
		                                 strlen(rows[i].spec), why),
		                 PH_OK);
		for (uint32_t k = 0; k < rule.filter.count; k++) {
			if (rule.filter.parts[k].kind == PH_FILTER_SPARSE_OID) {
				assert_int_equal(ph_filter_sparse_load(&rule.filter, k,
				                                       ph_alloc_libc(), "x", 1),
				                 PH_OK);
			}
		}
		assert_int_equal(ask(&h, &rule, &query, ph_alloc_libc(), &walk), rows[i].status);
		ph_walk_free(walk);
		ph_filter_release(&rule.filter, ph_alloc_libc());
	}
	history_release(&h);
}

/* Deeper than a working tree can be: what is too deep stays behind, and nothing overflows. */
static void goes_deep(void **state)
{
	static const char *const specs[] = {"sparse:oid=x", "tree:5000", "blob:limit=9"};
	struct history h;
	struct query query = {.want_count = 1, .budget = 1000000};
	uint32_t node;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	h.unique = true;
	node = history_blob(&h, 1);
	for (uint32_t i = 0; i < 3000; i++) {
		node = history_tree(&h, &node, 1);
	}
	query.wants[0] = history_commit(&h, node, NULL, 0, 1);
	history_seal(&h, NULL);
	for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
		struct rule rule = {.list_count = 0};
		struct ph_walk *walk = NULL;
		char why[PH_FILTER_WHY_MAX];

		assert_int_equal(ph_filter_parse(&rule.filter, ph_alloc_libc(), specs[i],
		                                 strlen(specs[i]), why),
		                 PH_OK);
		if (rule.filter.kind == PH_FILTER_SPARSE_OID) {
			assert_int_equal(
			        ph_filter_sparse_load(&rule.filter, 0, ph_alloc_libc(), "*", 1),
			        PH_OK);
		}
		assert_int_equal(ask(&h, &rule, &query, ph_alloc_libc(), &walk), PH_OK);
		assert_true(ph_walk_count(walk) > 500);
		ph_walk_free(walk);
		ph_filter_release(&rule.filter, ph_alloc_libc());
	}
	history_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(agrees_with_the_oracle),
	        cmocka_unit_test(survives_failing_memory),
	        cmocka_unit_test(ends_where_paths_do_not),
	        cmocka_unit_test(goes_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
