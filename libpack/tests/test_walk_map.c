/* SPDX-License-Identifier: MIT */
/*
 * Walks, reaches, cuts and depths with maps against the same without, and against a naive search:
 * maps on none or some of several packs, with few or many bitmaps, copies in every order, and both
 * ways of walking.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../walk_run_int.h"
#include "history_map.h"
#include <stdlib.h>

struct query {
	uint32_t wants[4], haves[5];
	uint32_t want_count, have_count;
	const bool *grafts; /* by node; NULL for none */
	bool connectivity;
	struct ph_filter filter;
	bool bitmaps; /* without painting first */
	bool paint;   /* as if something that is had were newer than the maps */
	uint32_t budget;
};

static enum ph_status give(const struct history *h, const struct query *query, struct ph_walk *walk)
{
	enum ph_status status = PH_OK;

	for (uint32_t i = 0; i < h->count && query->grafts != NULL && status == PH_OK; i++) {
		status = query->grafts[i] ? ph_walk_graft(walk, &h->nodes[i].oid) : PH_OK;
	}
	for (uint32_t i = 0; i < query->want_count && status == PH_OK; i++) {
		status = ph_walk_want(walk, &h->nodes[query->wants[i]].oid);
	}
	for (uint32_t i = 0; i < query->have_count && status == PH_OK; i++) {
		status = ph_walk_have(walk, &h->nodes[query->haves[i]].oid);
	}
	return status;
}

static enum ph_status ask(const struct history *h, const struct query *query,
                          const struct ph_maps *maps, const struct ph_alloc *alloc,
                          struct ph_walk **out)
{
	struct ph_walk_options options = {
	        .source = &h->source.set.source,
	        .alloc = alloc,
	        .limits = &h->limits,
	        .filter = query->filter,
	        .connectivity = query->connectivity,
	        .maps = maps,
	};
	enum ph_status status = ph_walk_new(out, &options);

	if (status != PH_OK) {
		return status;
	}
	if (query->bitmaps) {
		(*out)->maps.painted = UINT32_MAX / 2;
	}
	(*out)->maps.beyond = query->paint;
	status = give(h, query, *out);
	while (status == PH_OK) {
		uint32_t budget = query->budget > 0 ? query->budget : 1000000;

		status = ph_walk_run(*out, &budget);
		if (status == PH_OK) {
			return status;
		}
		status = status == PH_AGAIN ? PH_OK : status;
	}
	ph_walk_free(*out);
	return status;
}

static bool *flags(const struct history *h)
{
	bool *made = calloc(h->count + 1, sizeof *made);

	assert_non_null(made);
	return made;
}

static bool named(const struct history *h, const uint32_t *list, uint32_t count, uint32_t node)
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

/* plain is the same walk without maps; exact: nothing is sent that is had. */
static void check(const struct history *h, const struct query *query, const struct ph_walk *walk,
                  const struct ph_walk *plain, bool exact)
{
	bool *wanted = flags(h), *had = flags(h);
	uint32_t count = 0;

	for (uint32_t i = 0; i < query->want_count; i++) {
		history_closure(h, query->wants[i], query->grafts, wanted);
	}
	for (uint32_t i = 0; i < query->have_count; i++) {
		history_closure(h, query->haves[i], query->grafts, had);
	}
	for (uint32_t i = 0; i < h->count; i++) {
		struct ph_loc loc = history_loc(h, i);
		bool selected = ph_walk_selected(walk, loc);
		bool has = ph_walk_had(walk, loc);
		bool omitted = ph_filter_omits(&query->filter, h->nodes[i].type, h->nodes[i].size);
		bool want_named = named(h, query->wants, query->want_count, i);
		bool have_named = named(h, query->haves, query->have_count, i);
		bool needed = wanted[i] && !had[i] && (!omitted || want_named);

		count += selected;
		assert_false(selected && has);
		assert_true(!needed || selected);
		assert_true(!selected || (wanted[i] && (!omitted || want_named)));
		assert_true(!has || had[i]);
		if (exact) {
			assert_true(!has || !omitted || have_named);
			assert_true(!selected || needed || (omitted && want_named && !have_named));
			assert_true(has == had[i] || query->filter.kind != PH_FILTER_NONE);
		}
		if (query->filter.kind == PH_FILTER_NONE) {
			assert_true(!selected || ph_walk_selected(plain, loc));
			assert_true(has || !ph_walk_had(plain, loc));
		}
	}
	assert_int_equal(ph_walk_count(walk), count);
	free(wanted);
	free(had);
}

static void pick(struct ph_test_rng *rng, const struct history *h, uint32_t *out, uint32_t *count,
                 uint32_t max)
{
	*count = ph_test_rng_below(rng, max + 1);
	for (uint32_t i = 0; i < *count; i++) {
		if (ph_test_rng_below(rng, 6) == 0) {
			out[i] = ph_test_rng_below(rng, h->count);
		} else {
			uint32_t back = ph_test_rng_below(rng, h->commit_count);

			back = ph_test_rng_below(rng, back + 1);
			out[i] = h->commits[h->commit_count - 1 - back];
		}
	}
}

/* One that goes by objects, half of the time. */
static void pick_filter(struct ph_test_rng *rng, struct query *query)
{
	static const char *const specs[] = {
	        "blob:none",        "blob:limit=8",    "object:type=commit",
	        "object:type=tree", "object:type=tag", "combine:blob:limit=8+object:type=blob"};
	const char *spec = specs[ph_test_rng_below(rng, sizeof specs / sizeof specs[0])];
	char why[PH_FILTER_WHY_MAX];

	if (ph_test_rng_below(rng, 2) == 0) {
		assert_int_equal(
		        ph_filter_parse(&query->filter, ph_alloc_libc(), spec, strlen(spec), why),
		        PH_OK);
	}
}

static void make(struct history *h, struct history_maps *maps, struct ph_test_rng *rng, int round)
{
	static const uint32_t one_of[] = {0, 1, 2, 5};
	bool closed[3];

	history_init(h, round % 2 == 0 ? PH_HASH_SHA1 : PH_HASH_SHA256);
	history_random(h, rng, 50, round % 3 == 0);
	for (uint32_t i = 0; i < 8; i++) {
		history_tag(h, h->count - 1 - ph_test_rng_below(rng, 40), i);
	}
	history_seal_closed(h, rng, closed);
	history_maps_init(maps, h, closed, rng, one_of[round / 2 % 4]);
}

static void walks_agree(void **state)
{
	struct ph_test_rng rng;
	uint32_t by_bitmap = 0;

	(void)state;
	ph_test_rng_init(&rng, 1);
	for (int round = 0; round < 48; round++) {
		struct history h;
		struct history_maps maps;
		bool *grafts;

		make(&h, &maps, &rng, round);
		grafts = flags(&h);
		for (int ask_round = 0; ask_round < 30; ask_round++) {
			struct query query = {.grafts = NULL};
			struct ph_walk *walk, *plain;
			bool exact;

			pick(&rng, &h, query.wants, &query.want_count, 4);
			pick(&rng, &h, query.haves, &query.have_count, 5);
			pick_filter(&rng, &query);
			query.connectivity = query.filter.kind == PH_FILTER_NONE &&
			                     ph_test_rng_below(&rng, 4) == 0;
			query.bitmaps = ph_test_rng_below(&rng, 2) == 0;
			query.paint = ph_test_rng_below(&rng, 2) == 0;
			query.budget = ph_test_rng_below(&rng, 4) == 0 ? 1 : 0;
			if (ph_test_rng_below(&rng, 4) == 0) {
				uint32_t n = ph_test_rng_below(&rng, h.commit_count);

				memset(grafts, 0, h.count * sizeof *grafts);
				grafts[h.commits[n]] = true;
				query.grafts = grafts;
			}
			assert_int_equal(ask(&h, &query, NULL, ph_alloc_libc(), &plain), PH_OK);
			assert_int_equal(ask(&h, &query, &maps.maps, ph_alloc_libc(), &walk),
			                 PH_OK);
			exact = maps.maps.count > 0 && query.bitmaps && !query.connectivity &&
			        query.grafts == NULL;
			check(&h, &query, walk, plain, exact);
			ph_walk_free(walk);
			ph_walk_free(plain);
			ph_filter_release(&query.filter, ph_alloc_libc());
		}
		for (int i = 0; i < 3; i++) {
			by_bitmap += maps.map[i].reached;
		}
		free(grafts);
		history_maps_release(&maps);
		history_release(&h);
	}
	assert_true(by_bitmap > 500);
}

/* A filter that goes by places keeps bitmaps out, and gets the same answer from the graph. */
static void filters_by_place_agree(void **state)
{
	static const char *const specs[] = {"tree:0", "tree:1", "tree:2",
	                                    "combine:tree:2+blob:none"};
	struct ph_test_rng rng;
	char why[PH_FILTER_WHY_MAX];

	(void)state;
	ph_test_rng_init(&rng, 7);
	for (int round = 0; round < 24; round++) {
		struct history h;
		struct history_maps maps;
		struct query query = {.bitmaps = true};

		make(&h, &maps, &rng, round);
		assert_int_equal(ph_filter_parse(&query.filter, ph_alloc_libc(), specs[round % 4],
		                                 strlen(specs[round % 4]), why),
		                 PH_OK);
		for (int ask_round = 0; ask_round < 20; ask_round++) {
			struct ph_walk *walk, *plain;

			pick(&rng, &h, query.wants, &query.want_count, 4);
			pick(&rng, &h, query.haves, &query.have_count, 5);
			assert_int_equal(ask(&h, &query, NULL, ph_alloc_libc(), &plain), PH_OK);
			assert_int_equal(ask(&h, &query, &maps.maps, ph_alloc_libc(), &walk),
			                 PH_OK);
			assert_int_equal(ph_walk_count(walk), ph_walk_count(plain));
			for (uint32_t i = 0; i < h.count; i++) {
				struct ph_loc loc = history_loc(&h, i);

				assert_int_equal(ph_walk_selected(walk, loc),
				                 ph_walk_selected(plain, loc));
			}
			ph_walk_free(walk);
			ph_walk_free(plain);
		}
		ph_filter_release(&query.filter, ph_alloc_libc());
		history_maps_release(&maps);
		history_release(&h);
	}
}

/* The same answer whatever the budget of a call is. */
static void resumes_anywhere(void **state)
{
	static const uint32_t budgets[] = {1, 2, 3, 17, 1000};
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 2);
	for (int round = 0; round < 16; round++) {
		struct history h;
		struct history_maps maps;
		struct query query = {.bitmaps = round % 2 == 0, .paint = true};
		struct ph_walk *whole;

		make(&h, &maps, &rng, round);
		pick(&rng, &h, query.wants, &query.want_count, 4);
		pick(&rng, &h, query.haves, &query.have_count, 5);
		assert_int_equal(ask(&h, &query, &maps.maps, ph_alloc_libc(), &whole), PH_OK);
		for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
			struct ph_walk *walk;

			query.budget = budgets[i];
			assert_int_equal(ask(&h, &query, &maps.maps, ph_alloc_libc(), &walk),
			                 PH_OK);
			assert_int_equal(ph_walk_count(walk), ph_walk_count(whole));
			for (uint32_t n = 0; n < h.count; n++) {
				struct ph_loc loc = history_loc(&h, n);

				assert_int_equal(ph_walk_selected(walk, loc),
				                 ph_walk_selected(whole, loc));
				assert_int_equal(ph_walk_had(walk, loc), ph_walk_had(whole, loc));
			}
			ph_walk_free(walk);
		}
		ph_walk_free(whole);
		history_maps_release(&maps);
		history_release(&h);
	}
}

static enum ph_status reach(const struct history *h, const struct query *query,
                            const struct ph_maps *maps, const struct ph_alloc *alloc,
                            struct ph_oid *missing)
{
	struct ph_reach *reach;
	enum ph_status status =
	        ph_reach_new(&reach, &h->source.set.source, alloc, &h->limits, maps);

	if (status != PH_OK) {
		return status;
	}
	for (uint32_t i = 0; i < query->want_count && status == PH_OK; i++) {
		status = ph_reach_target(reach, &h->nodes[query->wants[i]].oid);
	}
	for (uint32_t i = 0; i < query->have_count && status == PH_OK; i++) {
		status = ph_reach_tip(reach, &h->nodes[query->haves[i]].oid);
	}
	while (status == PH_OK) {
		uint32_t budget = query->budget > 0 ? query->budget : 1000000;

		status = ph_reach_run(reach, &budget, missing);
		if (status != PH_AGAIN) {
			break;
		}
		status = PH_OK;
	}
	ph_reach_free(reach);
	return status;
}

/* Haves are the tips, wants the targets. */
static void check_reach(const struct history *h, const struct query *query, enum ph_status status,
                        const struct ph_oid *missing)
{
	bool *reached = flags(h);
	uint32_t i;

	for (i = 0; i < query->have_count; i++) {
		history_closure(h, query->haves[i], NULL, reached);
	}
	for (i = 0; i < query->want_count && reached[query->wants[i]]; i++) {
	}
	assert_int_equal(status, i == query->want_count ? PH_OK : PH_ERR_NOT_FOUND);
	if (i < query->want_count) {
		assert_true(ph_oid_equal(missing, &h->nodes[query->wants[i]].oid));
	}
	free(reached);
}

static void reaches_agree(void **state)
{
	struct ph_test_rng rng;
	uint32_t by_bitmap = 0;

	(void)state;
	ph_test_rng_init(&rng, 3);
	for (int round = 0; round < 48; round++) {
		struct history h;
		struct history_maps maps;

		make(&h, &maps, &rng, round);
		for (int ask_round = 0; ask_round < 60; ask_round++) {
			struct query query = {.budget = ph_test_rng_below(&rng, 3)};
			struct ph_oid missing;
			enum ph_status status;

			pick(&rng, &h, query.haves, &query.have_count, 5);
			query.want_count = ph_test_rng_below(&rng, 4);
			for (uint32_t i = 0; i < query.want_count; i++) {
				query.wants[i] = ph_test_rng_below(&rng, h.count);
			}
			status = reach(&h, &query, &maps.maps, ph_alloc_libc(), &missing);
			check_reach(&h, &query, status, &missing);
		}
		for (int i = 0; i < 3; i++) {
			by_bitmap += maps.map[i].reached;
		}
		history_maps_release(&maps);
		history_release(&h);
	}
	assert_true(by_bitmap > 500);
}

static bool is_ready(const struct history *h, const struct query *query, const struct ph_maps *maps)
{
	struct ph_cut *cut;
	bool ready = false, known;
	enum ph_status status;

	assert_int_equal(ph_cut_new(&cut, &h->source.set.source, ph_alloc_libc(), &h->limits, maps),
	                 PH_OK);
	for (uint32_t i = 0; i < h->count && query->grafts != NULL; i++) {
		if (query->grafts[i]) {
			assert_int_equal(ph_cut_graft(cut, &h->nodes[i].oid), PH_OK);
		}
	}
	for (uint32_t i = 0; i < query->want_count; i++) {
		assert_int_equal(ph_cut_want(cut, &h->nodes[query->wants[i]].oid), PH_OK);
	}
	for (uint32_t i = 0; i < query->have_count; i++) {
		uint32_t budget = UINT32_MAX;

		assert_int_equal(
		        ph_cut_common(cut, &h->nodes[query->haves[i]].oid, &known, &budget), PH_OK);
	}
	do {
		uint32_t budget = 1;

		status = ph_cut_run(cut, &budget, &ready);
	} while (status == PH_AGAIN);
	assert_int_equal(status, PH_OK);
	ph_cut_free(cut);
	return ready;
}

static void cuts_agree(void **state)
{
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 4);
	for (int round = 0; round < 24; round++) {
		struct history h;
		struct history_maps maps;
		bool *grafts;

		make(&h, &maps, &rng, round);
		grafts = calloc(h.count, sizeof *grafts);
		assert_non_null(grafts);
		for (int i = 0; i < round % 4; i++) {
			grafts[h.commits[ph_test_rng_below(&rng, h.commit_count)]] = true;
		}
		for (int ask_round = 0; ask_round < 40; ask_round++) {
			struct query query = {.grafts = grafts};

			pick(&rng, &h, query.wants, &query.want_count, 4);
			pick(&rng, &h, query.haves, &query.have_count, 5);
			assert_int_equal(is_ready(&h, &query, &maps.maps),
			                 is_ready(&h, &query, NULL));
		}
		free(grafts);
		history_maps_release(&maps);
		history_release(&h);
	}
}

/* A long history painted in vain goes on by bitmaps, and costs no more than those do. */
static void long_ones_turn_to_bitmaps(void **state)
{
	struct history h;
	struct history_maps maps;
	struct ph_test_rng rng;
	bool closed[3] = {true, false, false};
	struct query query = {.want_count = 1, .have_count = 1};
	struct ph_walk *walk;
	uint32_t tree, node = 0;

	(void)state;
	ph_test_rng_init(&rng, 5);
	history_init(&h, PH_HASH_SHA1);
	tree = history_tree(&h, NULL, 0);
	for (uint32_t i = 0; i < 1500; i++) {
		node = history_commit(&h, tree, i > 0 ? &node : NULL, i > 0, 1000 + i);
	}
	query.wants[0] = node;
	query.haves[0] = h.commits[100];
	history_seal(&h, NULL);
	history_maps_init(&maps, &h, closed, &rng, 0);
	maps.map[0].bitmaps[h.count - 1 - node] = true;
	maps.map[0].bitmaps[h.count - 1 - h.commits[100]] = true;
	query.paint = true;
	assert_int_equal(ask(&h, &query, &maps.maps, ph_alloc_libc(), &walk), PH_OK);
	assert_int_equal(maps.map[0].reached, 2);
	assert_int_equal(ph_walk_count(walk), 1399);
	ph_walk_free(walk);
	/* A short one does not: but for the edge, to know what is had. */
	query.haves[0] = h.commits[1400];
	maps.map[0].reached = 0;
	assert_int_equal(ask(&h, &query, &maps.maps, ph_alloc_libc(), &walk), PH_OK);
	assert_int_equal(maps.map[0].reached, 0);
	assert_int_equal(ph_walk_count(walk), 99);
	assert_false(ph_walk_had(walk, history_loc(&h, h.commits[50])));
	ph_walk_free(walk);
	maps.map[0].bitmaps[h.count - 1 - h.commits[1200]] = true;
	assert_int_equal(ask(&h, &query, &maps.maps, ph_alloc_libc(), &walk), PH_OK);
	assert_int_equal(maps.map[0].reached, 1);
	assert_int_equal(ph_walk_count(walk), 99);
	assert_true(ph_walk_had(walk, history_loc(&h, h.commits[50])));
	ph_walk_free(walk);
	history_maps_release(&maps);
	history_release(&h);
}

static void survives_failing_memory(void **state)
{
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 6);
	for (int round = 0; round < 8; round++) {
		struct history h;
		struct history_maps maps;
		struct query query = {.want_count = 2, .have_count = (uint32_t)round % 3};
		struct ph_walk *plain;

		make(&h, &maps, &rng, round);
		query.wants[0] = h.commits[49];
		query.wants[1] = history_find(&h, &h.nodes[h.count - 1].oid);
		query.haves[0] = h.commits[30];
		query.haves[1] = h.commits[35];
		query.bitmaps = round % 2 == 0;
		query.paint = true;
		assert_int_equal(ask(&h, &query, NULL, ph_alloc_libc(), &plain), PH_OK);
		for (uint64_t i = 1, more = 1; more; i++) {
			struct ph_test_alloc memory;
			struct ph_walk *walk;
			struct ph_oid missing;
			enum ph_status status;

			ph_test_alloc_init(&memory);
			memory.fail_at = i;
			status = ask(&h, &query, &maps.maps, &memory.alloc, &walk);
			more = memory.calls >= i;
			if (status == PH_OK) {
				check(&h, &query, walk, plain, false);
				ph_walk_free(walk);
			} else {
				assert_int_equal(status, PH_ERR_NOMEM);
			}
			assert_int_equal(memory.live, 0);
			ph_test_alloc_init(&memory);
			memory.fail_at = i;
			status = reach(&h, &query, &maps.maps, &memory.alloc, &missing);
			more = more || memory.calls >= i;
			if (status != PH_ERR_NOMEM) {
				check_reach(&h, &query, status, &missing);
			}
			assert_int_equal(memory.live, 0);
		}
		ph_walk_free(plain);
		history_maps_release(&maps);
		history_release(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(walks_agree),
	        cmocka_unit_test(filters_by_place_agree),
	        cmocka_unit_test(resumes_anywhere),
	        cmocka_unit_test(reaches_agree),
	        cmocka_unit_test(cuts_agree),
	        cmocka_unit_test(long_ones_turn_to_bitmaps),
	        cmocka_unit_test(survives_failing_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
