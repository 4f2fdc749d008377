/* SPDX-License-Identifier: MIT */
/*
 * Walks against a naive search on the same history: nothing that is needed is ever missing, and
 * what is sent too much is only what no cheap walk can know.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "history.h"
#include <packhorse/walk.h>
#include <stdlib.h>

/* One question to a walk. */
struct query {
	const uint32_t *wants, *haves;
	uint32_t want_count, have_count;
	const bool *grafts; /* by node; NULL for none */
	bool connectivity;
	bool filtered;
	uint32_t budget; /* of each call */
};

static enum ph_status ask_with(const struct history *h, const struct query *query,
                               const struct ph_alloc *alloc, struct ph_walk **out)
{
	struct ph_walk_options options = {
	        .source = &h->source.set.source,
	        .alloc = alloc,
	        .limits = &h->limits,
	        .filter.kind = query->filtered ? PH_FILTER_BLOB_NONE : PH_FILTER_NONE,
	        .connectivity = query->connectivity,
	};
	struct ph_walk *walk;
	enum ph_status status = ph_walk_new(&walk, &options);

	if (status != PH_OK) {
		return status;
	}
	for (uint32_t i = 0; i < h->count && query->grafts != NULL && status == PH_OK; i++) {
		if (query->grafts[i]) {
			status = ph_walk_graft(walk, &h->nodes[i].oid);
		}
	}
	for (uint32_t i = 0; i < query->want_count && status == PH_OK; i++) {
		status = ph_walk_want(walk, &h->nodes[query->wants[i]].oid);
	}
	for (uint32_t i = 0; i < query->have_count && status == PH_OK; i++) {
		status = ph_walk_have(walk, &h->nodes[query->haves[i]].oid);
	}
	while (status == PH_OK || status == PH_AGAIN) {
		uint32_t budget = query->budget > 0 ? query->budget : 1000000;

		status = ph_walk_run(walk, &budget);
		if (status == PH_OK) {
			break;
		}
	}
	if (status == PH_ERR_NOMEM) {
		ph_walk_free(walk);
		return status;
	}
	*out = walk;
	return status;
}

static enum ph_status ask(const struct history *h, const struct query *query, struct ph_walk **out)
{
	return ask_with(h, query, ph_alloc_libc(), out);
}

static bool *flags(const struct history *h)
{
	bool *made = calloc(h->count + 1, sizeof *made);

	assert_non_null(made);
	return made;
}

/* The truth: what the wants reach, and what the other side has. */
struct truth {
	bool *wanted, *had;
};

static void truth_init(struct truth *truth, const struct history *h, const struct query *query)
{
	truth->wanted = flags(h);
	truth->had = flags(h);
	for (uint32_t i = 0; i < query->want_count; i++) {
		history_closure(h, query->wants[i], query->grafts, truth->wanted);
	}
	for (uint32_t i = 0; i < query->have_count; i++) {
		history_closure(h, query->haves[i], query->grafts, truth->had);
	}
}

static void truth_release(struct truth *truth)
{
	free(truth->wanted);
	free(truth->had);
}

/* Whether a node is in the list, or a tag there names it. */
static bool is_named(const struct history *h, const uint32_t *list, uint32_t count, uint32_t node)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = list[i];

		while (at != node && h->nodes[at].type == PH_OBJ_TAG) {
			at = h->nodes[at].links[0];
		}
		if (at == node) {
			return true;
		}
	}
	return false;
}

/* Nothing of a had parent's contents goes out again. */
static void check_edges(const struct history *h, const struct truth *truth,
                        const struct ph_walk *walk, const bool *grafts)
{
	bool *parents = flags(h);

	for (uint32_t i = 0; i < h->count; i++) {
		const struct node *node = &h->nodes[i];

		if (node->type != PH_OBJ_COMMIT || !truth->wanted[i] || truth->had[i] ||
		    (grafts != NULL && grafts[i])) {
			continue;
		}
		for (uint32_t k = 1; k < node->count; k++) {
			if (truth->had[node->links[k]]) {
				history_closure(h, h->nodes[node->links[k]].links[0], NULL,
				                parents);
			}
		}
	}
	for (uint32_t i = 0; i < h->count; i++) {
		if (parents[i]) {
			assert_false(ph_walk_selected(walk, history_loc(h, i)));
			assert_true(ph_walk_had(walk, history_loc(h, i)));
		}
	}
	free(parents);
}

static void check_walk(const struct history *h, const struct query *query,
                       const struct ph_walk *walk, bool skewed)
{
	struct truth truth;
	uint32_t count = 0;

	truth_init(&truth, h, query);
	for (uint32_t i = 0; i < h->count; i++) {
		struct ph_loc loc = history_loc(h, i);
		bool selected = ph_walk_selected(walk, loc);
		bool had = ph_walk_had(walk, loc);
		bool blob = h->nodes[i].type == PH_OBJ_BLOB;
		bool named = is_named(h, query->wants, query->want_count, i);
		bool omitted = query->filtered && blob && !named;
		bool needed = truth.wanted[i] && !truth.had[i] && !omitted;

		count += selected;
		assert_false(selected && had);
		if (selected) {
			assert_true(truth.wanted[i] && !omitted);
		}
		if (needed) {
			assert_true(selected);
		}
		if (had) {
			assert_true(truth.had[i]);
			assert_true(!query->filtered || !blob ||
			            is_named(h, query->haves, query->have_count, i));
		}
		if (!skewed &&
		    (h->nodes[i].type == PH_OBJ_COMMIT || h->nodes[i].type == PH_OBJ_TAG)) {
			assert_int_equal(selected, needed);
		}
	}
	assert_int_equal(ph_walk_count(walk), count);
	if (!skewed && !query->filtered && !query->connectivity && query->have_count > 0) {
		check_edges(h, &truth, walk, query->grafts);
	}
	truth_release(&truth);
}

static void pick(struct ph_test_rng *rng, const struct history *h, uint32_t *out, uint32_t *count,
                 uint32_t max)
{
	*count = ph_test_rng_below(rng, max + 1);
	for (uint32_t i = 0; i < *count; i++) {
		/* Mostly recent commits, at times anything at all. */
		if (ph_test_rng_below(rng, 6) == 0) {
			out[i] = ph_test_rng_below(rng, h->count);
		} else {
			uint32_t back = ph_test_rng_below(rng, h->commit_count);

			back = ph_test_rng_below(rng, back + 1);
			out[i] = h->commits[h->commit_count - 1 - back];
		}
	}
}

static void make_history(struct history *h, struct ph_test_rng *rng, enum ph_hash_algo algo,
                         bool skewed)
{
	history_init(h, algo);
	history_random(h, rng, 60, skewed);
	for (uint32_t i = 0; i < 8; i++) {
		/* Of anything, also of a tag. */
		history_tag(h, h->count - 1 - ph_test_rng_below(rng, 40), i);
	}
	history_seal(h, rng);
}

static void random_walks(enum ph_hash_algo algo, bool skewed, bool grafted, uint64_t seed)
{
	struct ph_test_rng rng;

	ph_test_rng_init(&rng, seed);
	for (int round = 0; round < 12; round++) {
		struct history h;
		bool *grafts;

		make_history(&h, &rng, algo, skewed);
		grafts = flags(&h);
		for (int ask_round = 0; ask_round < 40; ask_round++) {
			uint32_t wants[4], haves[5];
			struct query query = {.wants = wants, .haves = haves};
			struct ph_walk *walk;

			pick(&rng, &h, wants, &query.want_count, 4);
			pick(&rng, &h, haves, &query.have_count, 5);
			query.filtered = ph_test_rng_below(&rng, 3) == 0;
			query.connectivity = ph_test_rng_below(&rng, 3) == 0;
			query.budget = ph_test_rng_below(&rng, 4) == 0 ? 1 : 0;
			if (grafted) {
				query.grafts = grafts;
				memset(grafts, 0, h.count * sizeof *grafts);
				for (int i = 0; i < 4; i++) {
					grafts[h.commits[ph_test_rng_below(&rng, h.commit_count)]] =
					        true;
				}
			}
			assert_int_equal(ask(&h, &query, &walk), PH_OK);
			check_walk(&h, &query, walk, skewed);
			ph_walk_free(walk);
		}
		free(grafts);
		history_release(&h);
	}
}

static void agrees_with_the_oracle(void **state)
{
	(void)state;
	random_walks(PH_HASH_SHA1, false, false, 1);
	random_walks(PH_HASH_SHA256, false, false, 2);
}

static void agrees_when_clocks_are_wrong(void **state)
{
	(void)state;
	random_walks(PH_HASH_SHA1, true, false, 3);
}

static void agrees_with_boundaries(void **state)
{
	(void)state;
	random_walks(PH_HASH_SHA1, false, true, 4);
	random_walks(PH_HASH_SHA256, true, true, 5);
}

/* The same answer whatever the budget of a call is. */
static void resumes_anywhere(void **state)
{
	static const uint32_t budgets[] = {1, 2, 3, 17, 1000};
	struct ph_test_rng rng;
	struct history h;

	(void)state;
	ph_test_rng_init(&rng, 6);
	make_history(&h, &rng, PH_HASH_SHA1, true);
	for (int round = 0; round < 20; round++) {
		uint32_t wants[4], haves[5];
		struct query query = {.wants = wants, .haves = haves};
		struct ph_walk *whole;

		pick(&rng, &h, wants, &query.want_count, 4);
		pick(&rng, &h, haves, &query.have_count, 5);
		assert_int_equal(ask(&h, &query, &whole), PH_OK);
		for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
			struct ph_walk *walk;

			query.budget = budgets[i];
			assert_int_equal(ask(&h, &query, &walk), PH_OK);
			for (uint32_t n = 0; n < h.count; n++) {
				struct ph_loc loc = history_loc(&h, n);

				assert_int_equal(ph_walk_selected(walk, loc),
				                 ph_walk_selected(whole, loc));
				assert_int_equal(ph_walk_had(walk, loc), ph_walk_had(whole, loc));
			}
			ph_walk_free(walk);
		}
		ph_walk_free(whole);
	}
	history_release(&h);
}

/* An object that is not there is found out exactly when it is needed, and named. */
static void finds_what_is_missing(void **state)
{
	struct ph_test_rng rng;
	unsigned refused = 0;

	(void)state;
	ph_test_rng_init(&rng, 8);
	for (int round = 0; round < 60; round++) {
		struct history h;
		uint32_t want, have, gone;
		struct query query = {.wants = &want, .haves = &have, .want_count = 1};
		struct truth truth;
		struct ph_walk *walk;
		enum ph_status status;
		char hex[PH_OID_HEX_MAX + 1];

		history_init(&h, PH_HASH_SHA1);
		history_random(&h, &rng, 20, false);
		want = history_tag(&h, h.commits[h.commit_count - 1], 1);
		have = h.commits[ph_test_rng_below(&rng, h.commit_count - 1)];
		query.have_count = ph_test_rng_below(&rng, 2);
		query.connectivity = ph_test_rng_below(&rng, 3) > 0;
		query.budget = ph_test_rng_below(&rng, 5);
		truth_init(&truth, &h, &query);
		do {
			gone = ph_test_rng_below(&rng, h.count);
		} while (gone == want || gone == have);
		h.nodes[gone].left_out = true;
		history_seal(&h, &rng);
		status = ask(&h, &query, &walk);
		if (!truth.wanted[gone]) {
			assert_int_equal(status, PH_OK);
		} else if (!truth.had[gone] &&
		           (query.connectivity || h.nodes[gone].type != PH_OBJ_BLOB)) {
			refused++;
			assert_int_equal(status,
			                 query.connectivity ? PH_ERR_MISSING : PH_ERR_CORRUPT);
			assert_int_equal(ph_walk_error(walk)->status, status);
			assert_string_equal(ph_walk_error(walk)->what, "missing object");
			assert_string_equal(ph_walk_error(walk)->detail,
			                    ph_oid_to_hex(hex, h.algo, &h.nodes[gone].oid));
		}
		ph_walk_free(walk);
		truth_release(&truth);
		history_release(&h);
	}
	assert_true(refused > 15);
}

/* A link that names an object of another type, in every place there is one. */
static void refuses_wrong_types(void **state)
{
	(void)state;
	for (int kind = 0; kind < 8; kind++) {
		for (int connectivity = 0; connectivity < 2; connectivity++) {
			struct history h;
			struct ph_test_buf text = {0};
			uint32_t blob, tree, commit, want, links[2];
			struct query query = {.wants = &want, .want_count = 1};
			struct ph_walk *walk;
			enum ph_status status;

			history_init(&h, PH_HASH_SHA1);
			blob = history_blob(&h, 1);
			tree = history_tree(&h, &blob, 1);
			commit = history_commit(&h, tree, NULL, 0, 5);
			links[0] = blob;
			links[1] = tree;
			switch (kind) {
			case 0: /* a blob as a commit's tree */
				want = history_commit(&h, blob, NULL, 0, 6);
				break;
			case 1: /* a commit as a commit's tree */
				want = history_commit(&h, commit, NULL, 0, 6);
				break;
			case 2: /* a tree as a parent */
				want = history_commit(&h, tree, &tree, 1, 6);
				break;
			case 3: /* a blob as a directory */
			case 4: /* a tree as a file */
				ph_test_tree_entry(&text, h.algo, kind == 3 ? 040000 : 0100644, "a",
				                   &h.nodes[links[kind - 3]].oid);
				want = history_raw(&h, PH_OBJ_TREE, text.data, text.len,
				                   &links[kind - 3], 1);
				break;
			case 5: /* the same blob as a file and as a directory */
				ph_test_tree_entry(&text, h.algo, 0100644, "a", &h.nodes[blob].oid);
				ph_test_tree_entry(&text, h.algo, 040000, "b", &h.nodes[blob].oid);
				want = history_raw(&h, PH_OBJ_TREE, text.data, text.len, links, 1);
				break;
			case 6: /* a commit as a file, wanted itself too */
				ph_test_tree_entry(&text, h.algo, 0100644, "a",
				                   &h.nodes[commit].oid);
				tree = history_raw(&h, PH_OBJ_TREE, text.data, text.len, &commit,
				                   1);
				want = history_commit(&h, tree, &commit, 1, 6);
				break;
			default: /* a tag that says the wrong type */
				ph_test_tag_text(&text, h.algo, &h.nodes[blob].oid, PH_OBJ_COMMIT,
				                 "v1");
				want = history_raw(&h, PH_OBJ_TAG, text.data, text.len, links, 1);
				break;
			}
			query.connectivity = connectivity == 1;
			history_seal(&h, NULL);
			status = ask(&h, &query, &walk);
			/* What is stored has been checked: a file that is a tree may pass. */
			if (connectivity == 1 || kind != 4) {
				assert_int_equal(status, connectivity == 1 ? PH_ERR_MISSING
				                                           : PH_ERR_CORRUPT);
				assert_string_equal(ph_walk_error(walk)->what, "wrong type");
			}
			ph_walk_free(walk);
			ph_test_buf_release(&text);
			history_release(&h);
		}
	}
}

/* A tag is neither file nor directory nor a commit's tree, be it had or wanted as well. */
static void refuses_tags_in_trees(void **state)
{
	(void)state;
	for (int kind = 0; kind < 6; kind++) {
		struct history h;
		struct ph_test_buf text = {0};
		uint32_t tag, tree, wants[2];
		bool had = kind >= 3;
		struct query query = {.wants = wants, .haves = &tag, .connectivity = true};
		struct ph_walk *walk;

		history_init(&h, PH_HASH_SHA1);
		tag = history_tag(&h, history_blob(&h, 1), 1);
		ph_test_tree_entry(&text, h.algo, kind % 3 == 0 ? 0100644 : 040000, "a",
		                   &h.nodes[tag].oid);
		tree = kind % 3 == 2 ? tag
		                     : history_raw(&h, PH_OBJ_TREE, text.data, text.len, &tag, 1);
		wants[0] = history_commit(&h, tree, NULL, 0, 6);
		wants[1] = tag;
		query.want_count = had ? 1 : 2;
		query.have_count = had ? 1 : 0;
		history_seal(&h, NULL);
		assert_int_equal(ask(&h, &query, &walk), PH_ERR_MISSING);
		assert_string_equal(ph_walk_error(walk)->what, "wrong type");
		ph_walk_free(walk);
		ph_test_buf_release(&text);
		history_release(&h);
	}
}

static void roots_of_every_type(void **state)
{
	struct history h;
	uint32_t blob, tree, tag, root, wants[2], haves[2];
	struct query query = {.wants = wants, .haves = haves, .want_count = 1};
	struct ph_oid unknown = ph_test_oid_fake(PH_HASH_SHA1, 9);
	struct ph_walk_options options = {0};
	struct ph_walk *walk;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	blob = history_blob(&h, 1);
	tree = history_tree(&h, &blob, 1);
	root = history_tree(&h, &tree, 1);
	tag = history_tag(&h, root, 1);
	tag = history_tag(&h, tag, 2);
	history_seal(&h, NULL);

	wants[0] = tag;
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	assert_int_equal(ph_walk_count(walk), 5);
	ph_walk_free(walk);
	/* Filtered, but the blob is asked for by name as well. */
	wants[1] = blob;
	query.filtered = true;
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	assert_int_equal(ph_walk_count(walk), 4);
	ph_walk_free(walk);
	query.want_count = 2;
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	assert_int_equal(ph_walk_count(walk), 5);
	ph_walk_free(walk);
	/* A filtered client has the tree, not its blob. */
	haves[0] = tree;
	query.have_count = 1;
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	assert_true(ph_walk_selected(walk, history_loc(&h, blob)));
	assert_true(ph_walk_had(walk, history_loc(&h, tree)));
	assert_int_equal(ph_walk_count(walk), 4);
	ph_walk_free(walk);
	query.filtered = false;
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	assert_true(ph_walk_had(walk, history_loc(&h, blob)));
	assert_int_equal(ph_walk_count(walk), 3);
	/* An object added at the end, once; and one the other side has, never. */
	ph_walk_select(walk, history_loc(&h, blob));
	assert_int_equal(ph_walk_count(walk), 3);
	ph_walk_free(walk);

	wants[0] = blob;
	query.want_count = 1;
	query.have_count = 0;
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	assert_int_equal(ph_walk_count(walk), 1);
	ph_walk_select(walk, history_loc(&h, tag));
	ph_walk_select(walk, history_loc(&h, tag));
	assert_int_equal(ph_walk_count(walk), 2);
	assert_true(ph_walk_selected(walk, history_loc(&h, tag)));
	/* Taken out again, it is no base either; what was not in stays so. */
	ph_walk_deselect(walk, history_loc(&h, tag));
	ph_walk_deselect(walk, history_loc(&h, tag));
	ph_walk_deselect(walk, history_loc(&h, tree));
	assert_int_equal(ph_walk_count(walk), 1);
	assert_false(ph_walk_selected(walk, history_loc(&h, tag)));
	assert_false(ph_walk_had(walk, history_loc(&h, tag)));
	ph_walk_free(walk);

	/* The same object wanted and had is had. */
	haves[0] = blob;
	query.have_count = 1;
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	assert_int_equal(ph_walk_count(walk), 0);
	ph_walk_free(walk);

	options.source = &h.source.set.source;
	options.alloc = ph_alloc_libc();
	options.limits = &h.limits;
	assert_int_equal(ph_walk_new(&walk, &options), PH_OK);
	assert_int_equal(ph_walk_want(walk, &unknown), PH_ERR_NOT_FOUND);
	assert_int_equal(ph_walk_have(walk, &unknown), PH_ERR_NOT_FOUND);
	assert_int_equal(ph_walk_graft(walk, &unknown), PH_OK);
	ph_walk_free(walk);
	ph_walk_free(NULL);
	history_release(&h);
}

/*
 * A client with a boundary that deepens: the old boundary's parents are wanted, and nothing behind
 * it is taken for had although the commits before it are.
 */
static void deepens(void **state)
{
	struct history h;
	uint32_t commits[6], trees[6], wants[2], haves[2];
	bool grafts[64] = {false};
	struct query query = {.wants = wants, .haves = haves, .grafts = grafts};
	struct ph_walk *walk;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	for (uint32_t i = 0; i < 6; i++) {
		uint32_t blobs[2] = {history_blob(&h, 100), history_blob(&h, i)};

		trees[i] = history_tree(&h, blobs, 2);
		commits[i] = history_commit(&h, trees[i], i > 0 ? &commits[i - 1] : NULL, i > 0,
		                            100 + i);
	}
	history_seal(&h, NULL);
	/* The client has 5 and 4, cut at 4; it asks for two more, to be cut at 2. */
	grafts[commits[4]] = true;
	grafts[commits[2]] = true;
	wants[0] = commits[5];
	wants[1] = commits[3];
	haves[0] = commits[5];
	haves[1] = commits[4];
	query.want_count = 2;
	query.have_count = 2;
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	/* Two commits, two trees, a blob each; the blob they all share is had. */
	assert_int_equal(ph_walk_count(walk), 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(ph_walk_selected(walk, history_loc(&h, commits[i])),
		                 i == 2 || i == 3);
		assert_int_equal(ph_walk_had(walk, history_loc(&h, trees[i])), i >= 4);
	}
	ph_walk_free(walk);
	history_release(&h);
}

/* A commit that an edge leads to by a wrong clock after it seemed to be wanted. */
static void paints_over(void **state)
{
	struct history h;
	uint32_t tree, base, old, mid, tip, have;
	struct query query = {.wants = &tip, .haves = &have, .want_count = 1, .have_count = 1};
	struct ph_walk *walk;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	tree = history_tree(&h, NULL, 0);
	base = history_commit(&h, tree, NULL, 0, 90);
	old = history_commit(&h, tree, &base, 1, 95);
	mid = history_commit(&h, tree, &old, 1, 10); /* a clock that was far behind */
	have = history_commit(&h, tree, &mid, 1, 99);
	tip = history_commit(&h, tree, &old, 1, 100);
	history_seal(&h, NULL);
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	assert_int_equal(ph_walk_count(walk), 1);
	assert_true(ph_walk_had(walk, history_loc(&h, base)));
	ph_walk_free(walk);
	history_release(&h);
}

#define LONG 100000u

/* A long chain of commits, and trees within trees: no stack, and linear time. */
static void goes_deep(void **state)
{
	struct history h;
	uint32_t node, tree, tip, first = 0;
	struct query query = {.wants = &tip, .want_count = 1};
	struct ph_walk *walk;

	(void)state;
	history_init(&h, PH_HASH_SHA1);
	h.unique = true;
	node = history_blob(&h, 1);
	for (uint32_t i = 0; i < LONG / 4; i++) {
		node = history_tree(&h, &node, 1);
	}
	tree = node;
	for (uint32_t i = 0; i < LONG; i++) {
		node = history_commit(&h, tree, i > 0 ? &node : NULL, i > 0, 1000 + i);
		first = i == LONG / 2 ? node : first;
	}
	tip = node;
	history_seal(&h, NULL);
	query.connectivity = true;
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	assert_int_equal(ph_walk_count(walk), LONG + LONG / 4 + 1);
	ph_walk_free(walk);
	query.haves = &first;
	query.have_count = 1;
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	assert_int_equal(ph_walk_count(walk), LONG - LONG / 2 - 1);
	ph_walk_free(walk);
	/* A limit on what one walk may look at. */
	h.limits.walk_objects_max = LONG;
	query.have_count = 0;
	assert_int_equal(ask(&h, &query, &walk), PH_ERR_LIMIT);
	ph_walk_free(walk);
	history_release(&h);
}

/* A tree with many entries, and a commit with many parents, in small slices. */
static void goes_wide(void **state)
{
	struct history h;
	uint32_t *links = calloc(20000, sizeof *links);
	uint32_t empty, tree, tip;
	struct query query = {.wants = &tip, .want_count = 1, .budget = 100};
	struct ph_walk *walk;

	(void)state;
	assert_non_null(links);
	history_init(&h, PH_HASH_SHA256);
	h.unique = true;
	for (uint32_t i = 0; i < 20000; i++) {
		links[i] = history_blob(&h, i);
	}
	tree = history_tree(&h, links, 20000);
	empty = history_tree(&h, NULL, 0);
	for (uint32_t i = 0; i < 2000; i++) {
		links[i] = history_commit(&h, empty, NULL, 0, i);
	}
	tip = history_commit(&h, tree, links, 2000, 5000);
	history_seal(&h, NULL);
	assert_int_equal(ask(&h, &query, &walk), PH_OK);
	assert_int_equal(ph_walk_count(walk), h.count);
	ph_walk_free(walk);
	free(links);
	history_release(&h);
}

static void survives_failing_memory(void **state)
{
	struct ph_test_rng rng;
	struct history h;
	uint32_t wants[2], haves[2];
	struct query query = {.wants = wants, .haves = haves, .want_count = 2, .have_count = 1};

	(void)state;
	ph_test_rng_init(&rng, 10);
	history_init(&h, PH_HASH_SHA1);
	history_random(&h, &rng, 12, false);
	wants[0] = h.commits[11];
	wants[1] = history_tag(&h, h.commits[10], 1);
	haves[0] = h.commits[3];
	history_seal(&h, &rng);
	for (uint64_t i = 1;; i++) {
		struct ph_test_alloc memory;
		struct ph_walk *walk = NULL;
		enum ph_status status;

		ph_test_alloc_init(&memory);
		memory.fail_at = i;
		status = ask_with(&h, &query, &memory.alloc, &walk);
		if (memory.calls < i) {
			assert_int_equal(status, PH_OK);
			check_walk(&h, &query, walk, false);
			ph_walk_free(walk);
			assert_int_equal(memory.live, 0);
			break;
		}
		if (status == PH_OK) { /* a cache may do without */
			check_walk(&h, &query, walk, false);
			ph_walk_free(walk);
		} else {
			assert_int_equal(status, PH_ERR_NOMEM);
		}
		assert_int_equal(memory.live, 0);
	}
	history_release(&h);
}

/* Errors of reading come through as they are, and stay. */
static void passes_read_errors_on(void **state)
{
	struct ph_test_rng rng;
	struct history h;
	uint32_t want, have;
	struct query query = {.wants = &want, .haves = &have, .want_count = 1, .have_count = 1};
	uint64_t failed = 0;

	(void)state;
	ph_test_rng_init(&rng, 11);
	history_init(&h, PH_HASH_SHA1);
	history_random(&h, &rng, 10, false);
	want = h.commits[9];
	have = h.commits[2];
	history_seal(&h, &rng);
	for (uint64_t i = 1;; i++) {
		struct ph_walk *walk = NULL;
		enum ph_status status;
		uint32_t budget = 10;

		h.source.faults.calls = 0;
		h.source.faults.fail_at = i;
		status = ask(&h, &query, &walk);
		h.source.faults.fail_at = 0;
		if (status == PH_OK) {
			ph_walk_free(walk);
			break;
		}
		assert_int_equal(status, PH_ERR_IO);
		/* Before the walk began it is an error of the call, and nothing is decided. */
		if (ph_walk_error(walk)->status != PH_OK) {
			failed++;
			assert_int_equal(ph_walk_run(walk, &budget), PH_ERR_IO);
			assert_int_equal(ph_walk_error(walk)->status, PH_ERR_IO);
		}
		ph_walk_free(walk);
	}
	assert_true(failed > 20);
	history_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(agrees_with_the_oracle),
	        cmocka_unit_test(agrees_when_clocks_are_wrong),
	        cmocka_unit_test(agrees_with_boundaries),
	        cmocka_unit_test(resumes_anywhere),
	        cmocka_unit_test(finds_what_is_missing),
	        cmocka_unit_test(refuses_wrong_types),
	        cmocka_unit_test(refuses_tags_in_trees),
	        cmocka_unit_test(roots_of_every_type),
	        cmocka_unit_test(deepens),
	        cmocka_unit_test(paints_over),
	        cmocka_unit_test(goes_deep),
	        cmocka_unit_test(goes_wide),
	        cmocka_unit_test(survives_failing_memory),
	        cmocka_unit_test(passes_read_errors_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
