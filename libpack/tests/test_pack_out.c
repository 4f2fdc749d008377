/* SPDX-License-Identifier: MIT */
/*
 * Packs going out: right to the last byte whatever is stored how, with every split, budget and
 * failure; deltas only on what the other side can resolve them with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <packhorse/pack_out.h>
#include <stdio.h>
#include <stdlib.h>

#define PACKS_MAX 3

struct fixture {
	struct ph_test_alloc memory;
	struct ph_limits limits;
	enum ph_hash_algo algo;
	struct ph_test_pack packs[PACKS_MAX];
	uint32_t pack_count;
	struct ph_test_source source;
	struct ph_pack_out_options options;
	struct ph_walk *walk;
	struct ph_pack_out_stats stats; /* of the last pack */
};

static void begin(struct fixture *fixture, enum ph_hash_algo algo, uint32_t pack_count)
{
	uint32_t i;

	memset(fixture, 0, sizeof(*fixture));
	ph_test_alloc_init(&fixture->memory);
	ph_limits_init(&fixture->limits);
	fixture->algo = algo;
	fixture->pack_count = pack_count;
	for (i = 0; i < PACKS_MAX; i++)
		ph_test_pack_init(&fixture->packs[i], algo);
}

static void open_source(struct fixture *fixture)
{
	ph_test_source_init(&fixture->source, fixture->packs, fixture->pack_count);
	fixture->options.source = &fixture->source.set.source;
	fixture->options.alloc = &fixture->memory.alloc;
	fixture->options.limits = &fixture->limits;
	fixture->options.ofs_delta = true;
	fixture->options.count_deltas = true;
}

static void end(struct fixture *fixture)
{
	uint32_t i;

	ph_walk_free(fixture->walk);
	assert_int_equal(fixture->memory.live, 0);
	ph_test_source_release(&fixture->source);
	for (i = 0; i < PACKS_MAX; i++)
		ph_test_pack_release(&fixture->packs[i]);
}

/* Takes the whole pack in buffers of step bytes with this budget a call. */
static enum ph_status take(struct fixture *fixture, size_t step, uint32_t budget,
                           struct ph_test_buf *file)
{
	struct ph_pack_out *out;
	uint8_t *chunk = malloc(step);
	enum ph_status status = ph_pack_out_new(&out, &fixture->options);

	ph_test_buf_clear(file);
	if (status != PH_OK) {
		free(chunk);
		return status;
	}
	do {
		uint32_t left = budget;
		size_t used;
		status = ph_pack_out_read(out, chunk, step, &used, &left);
		assert_true(used <= step);
		assert_true(status != PH_OK || used == step);
		assert_true(status != PH_AGAIN || left == 0);
		ph_test_buf_append(file, chunk, used);
	} while (status == PH_OK || status == PH_AGAIN);
	fixture->stats = *ph_pack_out_stats(out);
	assert_true(fixture->stats.bytes == file->len);
	if (status != PH_END) {
		/* It stays failed. */
		uint32_t left = 1000;
		size_t used;
		assert_int_equal(ph_pack_out_read(out, chunk, step, &used, &left), status);
		assert_int_equal(used, 0);
	}
	ph_pack_out_free(out);
	free(chunk);
	return status;
}

static void take_apart(struct fixture *fixture, const struct ph_test_buf *file, bool thin,
                       struct ph_test_unpacked *unpacked)
{
	const char *wrong = ph_test_unpack(unpacked, fixture->algo, file->data, file->len,
	                                   fixture->packs, thin ? fixture->pack_count : 0);

	if (wrong)
		fail_msg("%s", wrong);
	assert_int_equal(fixture->stats.objects, unpacked->count);
	assert_int_equal(fixture->stats.written, unpacked->count);
	assert_int_equal(fixture->stats.deltas, unpacked->ofs_deltas + unpacked->ref_deltas);
	assert_in_range(fixture->stats.reused, fixture->stats.deltas, unpacked->count);
}

/* Everything in the packs is in the file, once. */
static void check_union(struct fixture *fixture, const struct ph_test_buf *file)
{
	struct ph_test_unpacked unpacked;
	uint32_t distinct = 0;
	uint32_t i, k;

	take_apart(fixture, file, false, &unpacked);
	for (i = 0; i < fixture->pack_count; i++) {
		for (k = 0; k < fixture->packs[i].count; k++) {
			const struct ph_test_entry *entry = &fixture->packs[i].entries[k];
			const struct ph_test_entry *got =
			        ph_test_unpacked_find(&unpacked, &entry->oid);
			struct ph_loc loc;
			assert_non_null(got);
			assert_int_equal(got->type, entry->type);
			assert_int_equal(fixture->source.set.source.ops->find(
			                         &fixture->source.set.source, &entry->oid, &loc),
			                 PH_OK);
			distinct += loc.pack == i;
		}
	}
	assert_int_equal(unpacked.count, distinct);
	ph_test_unpacked_release(&unpacked);
}

/* Adds blobs, stored in every way; some are in an earlier pack as well, in another form. */
static void fill_pack(struct fixture *fixture, uint32_t number, struct ph_test_rng *rng,
                      uint32_t count)
{
	static const uint32_t sizes[] = {0, 3, 100, 3000, 30000, 90000};
	struct ph_test_pack *pack = &fixture->packs[number];
	uint32_t i;

	for (i = 0; i < count; i++) {
		uint32_t size = sizes[ph_test_rng_below(rng, 6)];
		uint32_t kind = ph_test_rng_below(rng, 4);
		uint32_t base = i > 0 ? ph_test_rng_below(rng, i) : 0;
		uint32_t tag = number << 16 | i;
		uint8_t *data = malloc(size + 4);
		if (size > 20000)
			ph_test_rng_fill(rng, data, size);
		else
			ph_test_rng_text(rng, data, size);
		if (i > 0)
			memcpy(data, pack->entries[base].data,
			       pack->entries[base].size < size ? pack->entries[base].size : size);
		memcpy(data + size, &tag, 4);
		size += 4;
		if (number > 0 && i % 3 == 0 && i < fixture->packs[0].count) {
			size = (uint32_t)fixture->packs[0].entries[i].size;
			data = realloc(data, size + 1);
			memcpy(data, fixture->packs[0].entries[i].data, size);
		}
		if (kind == 0 || i == 0)
			ph_test_pack_add(pack, PH_OBJ_BLOB, data, size);
		else if (kind == 1)
			ph_test_pack_add_ref(pack, base, data, size);
		else
			ph_test_pack_add_ofs(pack, base, data, size);
		free(data);
	}
}

static void a_whole_run_goes_out_as_it_is(void **state)
{
	struct fixture fixture;
	struct ph_test_rng rng;
	struct ph_test_buf file = {0};
	struct ph_test_buf want = {0};
	int algo;

	(void)state;
	for (algo = PH_HASH_SHA1; algo <= PH_HASH_SHA256; algo++) {
		struct ph_source_ops ops;
		begin(&fixture, (enum ph_hash_algo)algo, 1);
		ph_test_rng_init(&rng, 21);
		fill_pack(&fixture, 0, &rng, 60);
		open_source(&fixture);
		ph_test_buf_clear(&want);
		ph_test_packfile(&fixture.packs[0], &want);
		assert_int_equal(take(&fixture, 10000, 1000, &file), PH_END);
		assert_int_equal(file.len, want.len);
		assert_memory_equal(file.data, want.data, want.len);
		assert_int_equal(fixture.stats.reused, 60);
		check_union(&fixture, &file);
		/* Nobody asked how many deltas there are: the same bytes. */
		fixture.options.count_deltas = false;
		assert_int_equal(take(&fixture, 777, 1000, &file), PH_END);
		assert_int_equal(file.len, want.len);
		assert_memory_equal(file.data, want.data, want.len);
		assert_int_equal(fixture.stats.written, 60);
		assert_int_equal(fixture.stats.deltas, 0);
		fixture.options.count_deltas = true;
		/* Nothing of it is held in memory. */
		assert_true(fixture.memory.peak_bytes < 8192);
		/* A source that does not know trailers gives the same. */
		ops = *fixture.source.set.source.ops;
		ops.trailer = NULL;
		fixture.source.set.source.ops = &ops;
		assert_int_equal(take(&fixture, 10000, 1000, &file), PH_END);
		assert_int_equal(file.len, want.len);
		assert_memory_equal(file.data, want.data, want.len);
		end(&fixture);
	}
	ph_test_buf_release(&file);
	ph_test_buf_release(&want);
}

static void nothing_is_a_pack_too(void **state)
{
	struct fixture fixture;
	struct ph_test_buf file = {0};
	struct ph_test_unpacked unpacked;
	uint32_t packs;

	(void)state;
	for (packs = 0; packs <= 2; packs++) {
		begin(&fixture, PH_HASH_SHA1, packs);
		open_source(&fixture);
		assert_int_equal(take(&fixture, 100, 1, &file), PH_END);
		assert_int_equal(file.len, 32);
		take_apart(&fixture, &file, false, &unpacked);
		ph_test_unpacked_release(&unpacked);
		end(&fixture);
	}
	ph_test_buf_release(&file);
}

static void everything_from_several_packs(void **state)
{
	struct ph_test_buf file = {0};
	unsigned round;

	(void)state;
	for (round = 0; round < 12; round++) {
		struct fixture fixture;
		struct ph_test_rng rng;
		uint32_t i;
		begin(&fixture, round % 2 ? PH_HASH_SHA256 : PH_HASH_SHA1, 1 + round % PACKS_MAX);
		ph_test_rng_init(&rng, 30 + round);
		for (i = 0; i < fixture.pack_count; i++)
			fill_pack(&fixture, i, &rng, 25);
		open_source(&fixture);
		fixture.options.ofs_delta = round < 6;
		assert_int_equal(take(&fixture, 5000, 100, &file), PH_END);
		check_union(&fixture, &file);
		/* Almost all deltas can be kept. */
		assert_true(fixture.stats.reused >= fixture.stats.objects * 3 / 4);
		end(&fixture);
	}
	ph_test_buf_release(&file);
}

static void no_ofs_delta_unless_it_is_taken(void **state)
{
	struct fixture fixture;
	struct ph_test_buf file = {0};
	struct ph_test_unpacked unpacked;

	(void)state;
	begin(&fixture, PH_HASH_SHA1, 1);
	ph_test_pack_add(&fixture.packs[0], PH_OBJ_BLOB, "a first line\n", 13);
	ph_test_pack_add_ofs(&fixture.packs[0], 0, "a first line\nmore\n", 18);
	ph_test_pack_add_ofs(&fixture.packs[0], 1, "a first line\nmore\nand\n", 22);
	open_source(&fixture);
	fixture.options.ofs_delta = false;
	assert_int_equal(take(&fixture, 1000, 1000, &file), PH_END);
	take_apart(&fixture, &file, false, &unpacked);
	assert_int_equal(unpacked.ofs_deltas, 0);
	assert_int_equal(unpacked.ref_deltas, 2);
	ph_test_unpacked_release(&unpacked);
	end(&fixture);
	ph_test_buf_release(&file);
}

static void splits_and_budgets_do_not_matter(void **state)
{
	static const size_t steps[] = {1, 2, 13, 1000, 65536, 1000000};
	static const uint32_t budgets[] = {1, 7, 100000};
	struct fixture fixture;
	struct ph_test_rng rng;
	struct ph_test_buf want = {0};
	struct ph_test_buf file = {0};
	size_t i;

	(void)state;
	begin(&fixture, PH_HASH_SHA1, 3);
	ph_test_rng_init(&rng, 22);
	fill_pack(&fixture, 0, &rng, 12);
	fill_pack(&fixture, 1, &rng, 12);
	fill_pack(&fixture, 2, &rng, 12);
	open_source(&fixture);
	assert_int_equal(take(&fixture, 10000000, 100000000, &want), PH_END);
	for (i = 0; i < 18; i++) {
		assert_int_equal(take(&fixture, steps[i / 3], budgets[i % 3], &file), PH_END);
		assert_int_equal(file.len, want.len);
		assert_memory_equal(file.data, want.data, want.len);
	}
	end(&fixture);
	ph_test_buf_release(&want);
	ph_test_buf_release(&file);
}

static void a_call_overdraws_by_one_step(void **state)
{
	struct fixture fixture;
	struct ph_test_rng rng;
	size_t size = (size_t)4 << 20;
	uint8_t *data = malloc(size);
	uint8_t *chunk = malloc(2 * size);
	struct ph_pack_out *out;
	uint32_t packs;
	enum ph_status status;

	(void)state;
	for (packs = 1; packs <= 2; packs++) {
		begin(&fixture, PH_HASH_SHA1, packs);
		ph_test_rng_init(&rng, 23);
		ph_test_rng_fill(&rng, data, size);
		ph_test_pack_add(&fixture.packs[0], PH_OBJ_BLOB, data, size);
		open_source(&fixture);
		fixture.options.ofs_delta = packs == 1;
		assert_int_equal(ph_pack_out_new(&out, &fixture.options), PH_OK);
		do {
			uint32_t budget = 1;
			size_t used;
			status = ph_pack_out_read(out, chunk, 2 * size, &used, &budget);
			assert_true(used <= (size_t)1 << 20);
		} while (status == PH_AGAIN);
		assert_int_equal(status, PH_END);
		assert_true(fixture.memory.peak_bytes < 200000);
		ph_pack_out_free(out);
		end(&fixture);
	}
	free(data);
	free(chunk);
}

static void failures_are_final_and_leak_nothing(void **state)
{
	struct fixture fixture;
	struct ph_test_rng rng;
	struct ph_test_buf file = {0};
	size_t whole;
	uint64_t i;

	(void)state;
	begin(&fixture, PH_HASH_SHA1, 2);
	ph_test_rng_init(&rng, 24);
	fill_pack(&fixture, 0, &rng, 10);
	fill_pack(&fixture, 1, &rng, 10);
	open_source(&fixture);
	assert_int_equal(take(&fixture, 1000, 1000, &file), PH_END);
	whole = file.len;
	for (i = 1;; i++) {
		enum ph_status status;
		ph_test_alloc_init(&fixture.memory);
		fixture.memory.fail_at = i;
		status = take(&fixture, 1000, 1000, &file);
		assert_int_equal(fixture.memory.live, 0);
		if (fixture.memory.calls < i) {
			assert_int_equal(status, PH_END);
			break;
		}
		/* The reader's cache may fail without an error. */
		assert_true(status == PH_ERR_NOMEM || status == PH_END);
		assert_true(status == PH_END || file.len < whole);
	}
	assert_true(i > 3);
	for (i = 1;; i++) {
		enum ph_status status;
		fixture.source.faults.calls = 0;
		fixture.source.faults.fail_at = i;
		status = take(&fixture, 1000, 1000, &file);
		if (fixture.source.faults.calls < i)
			break;
		assert_int_equal(status, PH_ERR_IO);
		assert_true(file.len < whole);
	}
	end(&fixture);
	ph_test_buf_release(&file);
}

/* Damage either stops the pack or is passed on to a client that will notice: never more than that.
 */
static void damage_is_survived(void **state)
{
	struct fixture fixture;
	struct ph_test_rng rng;
	struct ph_test_buf file = {0};
	unsigned round;
	unsigned stopped = 0;

	(void)state;
	begin(&fixture, PH_HASH_SHA1, 2);
	ph_test_rng_init(&rng, 25);
	fill_pack(&fixture, 0, &rng, 12);
	fill_pack(&fixture, 1, &rng, 12);
	open_source(&fixture);
	fixture.options.ofs_delta = false;
	for (round = 0; round < 600; round++) {
		struct ph_test_buf *in =
		        round % 2 ? &fixture.packs[1].run : &fixture.source.indexes[1];
		size_t skip = round % 2 ? 0 : in->len - 12 * 44;
		uint8_t *byte =
		        in->data + skip + ph_test_rng_below(&rng, (uint32_t)(in->len - skip));
		uint8_t keep = *byte;
		enum ph_status status;
		*byte = (uint8_t)ph_test_rng_next(&rng);
		status = take(&fixture, 100000, 100000, &file);
		assert_true(status == PH_END || status == PH_ERR_CORRUPT || status == PH_ERR_LIMIT);
		stopped += status != PH_END;
		*byte = keep;
	}
	assert_true(stopped > 50);
	end(&fixture);
	ph_test_buf_release(&file);
}

/* --- With a walk: histories of commits, each with a tree of one file. ---------------------------
 */

struct history {
	struct ph_oid blobs[8], trees[8], commits[8];
};

/* Versions of a file that grow by a line; each is stored as kind says, on the one at base. */
struct version {
	enum ph_object_type stored;
	int base; /* version */
};

static void version_text(struct ph_test_buf *text, uint32_t version)
{
	uint32_t i;

	for (i = 0; i < 30; i++)
		ph_test_buf_print(text, "line %u that all versions have\n", i);
	for (i = 0; i <= version; i++)
		ph_test_buf_print(text, "line of version %u\n", i);
}

/* Blobs go into a pack in the given order, so that bases may come later. */
static void add_blob(struct fixture *fixture, uint32_t number, struct history *history,
                     uint32_t version, const struct version *how)
{
	struct ph_test_pack *pack = &fixture->packs[number];
	struct ph_test_buf text = {0};
	struct ph_test_buf base_text = {0};
	struct ph_oid base;
	uint32_t i;

	version_text(&text, version);
	ph_hash_object(&history->blobs[version], fixture->algo, PH_OBJ_BLOB, text.data, text.len);
	if (how->stored == PH_OBJ_BLOB) {
		ph_test_pack_add(pack, PH_OBJ_BLOB, text.data, text.len);
	} else {
		version_text(&base_text, (uint32_t)how->base);
		ph_hash_object(&base, fixture->algo, PH_OBJ_BLOB, base_text.data, base_text.len);
		for (i = 0; i < pack->count && how->stored == PH_OBJ_OFS_DELTA; i++) {
			if (ph_oid_equal(&pack->entries[i].oid, &base))
				break;
		}
		if (how->stored == PH_OBJ_OFS_DELTA)
			ph_test_pack_add_ofs(pack, i, text.data, text.len);
		else
			ph_test_pack_add_thin(pack, PH_OBJ_BLOB, &base, base_text.data,
			                      base_text.len, text.data, text.len);
	}
	ph_test_buf_release(&text);
	ph_test_buf_release(&base_text);
}

/* The commit of a version, and its tree. */
static void add_commit(struct fixture *fixture, uint32_t number, struct history *history,
                       uint32_t version)
{
	struct ph_test_pack *pack = &fixture->packs[number];
	struct ph_test_buf text = {0};
	uint32_t at;

	ph_test_tree_entry(&text, fixture->algo, 0100644, "file", &history->blobs[version]);
	at = ph_test_pack_add(pack, PH_OBJ_TREE, text.data, text.len);
	history->trees[version] = pack->entries[at].oid;
	ph_test_buf_clear(&text);
	ph_test_commit_text(&text, fixture->algo, &history->trees[version],
	                    version > 0 ? &history->commits[version - 1] : NULL, version > 0,
	                    1000 + version, "m");
	at = ph_test_pack_add(pack, PH_OBJ_COMMIT, text.data, text.len);
	history->commits[version] = pack->entries[at].oid;
	ph_test_buf_release(&text);
}

static void run_walk(struct fixture *fixture, const struct ph_oid *want, const struct ph_oid *have)
{
	struct ph_walk_options options = {.source = &fixture->source.set.source,
	                                  .alloc = &fixture->memory.alloc,
	                                  .limits = &fixture->limits};
	enum ph_status status;

	assert_int_equal(ph_walk_new(&fixture->walk, &options), PH_OK);
	assert_int_equal(ph_walk_want(fixture->walk, want), PH_OK);
	if (have)
		assert_int_equal(ph_walk_have(fixture->walk, have), PH_OK);
	do {
		uint32_t budget = 100;
		status = ph_walk_run(fixture->walk, &budget);
	} while (status == PH_AGAIN);
	assert_int_equal(status, PH_OK);
	fixture->options.walk = fixture->walk;
}

static void take_with_walk(struct fixture *fixture, bool thin, struct ph_test_unpacked *unpacked)
{
	struct ph_test_buf file = {0};

	fixture->options.thin = thin;
	assert_int_equal(take(fixture, 500, 10, &file), PH_END);
	take_apart(fixture, &file, thin, unpacked);
	assert_int_equal(unpacked->count, ph_walk_count(fixture->walk));
	ph_test_buf_release(&file);
}

static void only_what_is_selected_goes_out(void **state)
{
	static const struct version how[] = {{PH_OBJ_BLOB, 0},
	                                     {PH_OBJ_OFS_DELTA, 0},
	                                     {PH_OBJ_OFS_DELTA, 1},
	                                     {PH_OBJ_OFS_DELTA, 2}};
	struct ph_test_unpacked unpacked;
	struct history history;
	struct fixture fixture;
	uint32_t i;

	(void)state;
	begin(&fixture, PH_HASH_SHA1, 1);
	for (i = 0; i < 4; i++)
		add_blob(&fixture, 0, &history, i, &how[i]);
	for (i = 0; i < 4; i++)
		add_commit(&fixture, 0, &history, i);
	open_source(&fixture);
	run_walk(&fixture, &history.commits[3], &history.commits[1]);
	/* Version 2 is a delta on 1, which is had: whole, or thin. 3 builds on 2. */
	take_with_walk(&fixture, false, &unpacked);
	assert_int_equal(unpacked.count, 6);
	assert_int_equal(unpacked.ofs_deltas, 1);
	assert_int_equal(unpacked.ref_deltas, 0);
	assert_null(ph_test_unpacked_find(&unpacked, &history.blobs[1]));
	assert_non_null(ph_test_unpacked_find(&unpacked, &history.blobs[2]));
	ph_test_unpacked_release(&unpacked);
	take_with_walk(&fixture, true, &unpacked);
	assert_int_equal(unpacked.count, 6);
	assert_int_equal(unpacked.ofs_deltas, 1);
	assert_int_equal(unpacked.ref_deltas, 1);
	assert_int_equal(unpacked.thin, 1);
	ph_test_unpacked_release(&unpacked);
	end(&fixture);
}

static void bases_that_come_later(void **state)
{
	static const struct version how[] = {{PH_OBJ_REF_DELTA, 2},
	                                     {PH_OBJ_REF_DELTA, 0},
	                                     {PH_OBJ_REF_DELTA, 3},
	                                     {PH_OBJ_BLOB, 0}};
	struct ph_test_unpacked unpacked;
	struct history history;
	struct fixture fixture;
	uint32_t i;

	(void)state;
	begin(&fixture, PH_HASH_SHA256, 1);
	for (i = 0; i < 4; i++)
		add_blob(&fixture, 0, &history, i, &how[i]);
	for (i = 0; i < 4; i++)
		add_commit(&fixture, 0, &history, i);
	/* One more, so that the pack is not selected whole. */
	ph_test_pack_add(&fixture.packs[0], PH_OBJ_BLOB, "unreachable", 11);
	open_source(&fixture);
	run_walk(&fixture, &history.commits[3], NULL);
	take_with_walk(&fixture, false, &unpacked);
	assert_int_equal(unpacked.count, 12);
	/* 0 on 2 and 2 on 3, which come later, by id; 1 on 0, which has gone out, by distance. */
	assert_int_equal(unpacked.ref_deltas, 2);
	assert_int_equal(unpacked.ofs_deltas, 1);
	ph_test_unpacked_release(&unpacked);
	end(&fixture);
	/* Of version 2 alone, the base is not selected: it goes out whole, and 0 and 1 stay deltas.
	 */
	begin(&fixture, PH_HASH_SHA256, 1);
	for (i = 0; i < 4; i++)
		add_blob(&fixture, 0, &history, i, &how[i]);
	for (i = 0; i < 4; i++)
		add_commit(&fixture, 0, &history, i);
	open_source(&fixture);
	run_walk(&fixture, &history.commits[2], NULL);
	take_with_walk(&fixture, false, &unpacked);
	assert_int_equal(unpacked.count, 9);
	assert_int_equal(unpacked.ref_deltas, 1);
	assert_int_equal(unpacked.ofs_deltas, 1);
	assert_null(ph_test_unpacked_find(&unpacked, &history.blobs[3]));
	ph_test_unpacked_release(&unpacked);
	end(&fixture);
}

/*
 * Pack 0 has version 1 as a delta on 0, pack 1 has 0 as a delta on 1. Each pack is complete, and
 * keeping both deltas would be a cycle. Here 0 is found in pack 0, so no cycle can arise from the
 * copies that count; the deltas of pack 1 build across packs only on what went out before.
 */
/* Every other object goes out, so many that where the first ones went is forgotten by the end. */
static void old_bases_are_named(void **state)
{
	struct ph_test_unpacked unpacked;
	struct fixture fixture;
	struct ph_walk_options options;
	enum ph_status status;
	uint32_t pairs = 20000, early, late;

	(void)state;
	begin(&fixture, PH_HASH_SHA1, 1);
	for (uint32_t i = 0; i < pairs; i++) {
		char text[32];
		int len = snprintf(text, sizeof(text), "number %u\n", (unsigned)i);

		ph_test_pack_add(&fixture.packs[0], PH_OBJ_BLOB, text, (size_t)len);
		text[0] = 'N';
		ph_test_pack_add(&fixture.packs[0], PH_OBJ_BLOB, text, (size_t)len);
	}
	early = ph_test_pack_add_ofs(&fixture.packs[0], 0, "number 0\nand more\n", 18);
	late = ph_test_pack_add_ofs(&fixture.packs[0], 2 * pairs - 2, "number 19999\nmore\n", 18);
	open_source(&fixture);
	options = (struct ph_walk_options){.source = fixture.options.source,
	                                   .alloc = &fixture.memory.alloc,
	                                   .limits = &fixture.limits};
	assert_int_equal(ph_walk_new(&fixture.walk, &options), PH_OK);
	for (uint32_t i = 0; i < fixture.packs[0].count; i++)
		if (i % 2 == 0 || i >= early)
			assert_int_equal(
			        ph_walk_want(fixture.walk, &fixture.packs[0].entries[i].oid),
			        PH_OK);
	do {
		uint32_t budget = 100000;
		status = ph_walk_run(fixture.walk, &budget);
	} while (status == PH_AGAIN);
	assert_int_equal(status, PH_OK);
	fixture.options.walk = fixture.walk;
	take_with_walk(&fixture, false, &unpacked);
	assert_int_equal(unpacked.count, pairs + 2);
	assert_int_equal(unpacked.ref_deltas, 1);
	assert_int_equal(unpacked.ofs_deltas, 1);
	assert_non_null(ph_test_unpacked_find(&unpacked, &fixture.packs[0].entries[late].oid));
	ph_test_unpacked_release(&unpacked);
	end(&fixture);
}

static void no_cycles_across_packs(void **state)
{
	static const struct version whole = {PH_OBJ_BLOB, 0};
	static const struct version on0 = {PH_OBJ_REF_DELTA, 0};
	static const struct version on1 = {PH_OBJ_REF_DELTA, 1};
	static const struct version on2 = {PH_OBJ_REF_DELTA, 2};
	struct ph_test_unpacked unpacked;
	struct history history;
	struct fixture fixture;
	uint32_t i;

	(void)state;
	begin(&fixture, PH_HASH_SHA1, 2);
	add_blob(&fixture, 0, &history, 1, &on0);
	add_blob(&fixture, 0, &history, 0, &whole);
	add_blob(&fixture, 1, &history, 0, &on1);
	add_blob(&fixture, 1, &history, 1, &whole);
	add_blob(&fixture, 1, &history, 2, &on0);
	for (i = 0; i < 3; i++)
		add_commit(&fixture, 1, &history, i);
	open_source(&fixture);
	run_walk(&fixture, &history.commits[2], NULL);
	take_with_walk(&fixture, false, &unpacked);
	assert_int_equal(unpacked.count, 9);
	assert_int_equal(unpacked.ofs_deltas + unpacked.ref_deltas, 2);
	ph_test_unpacked_release(&unpacked);
	end(&fixture);
	/*
	 * A pack that is not complete by itself, as no store keeps one: in pack 0, 1 builds on 2,
	 * which is in pack 1 and could be a delta on 1. A base to come from another pack is never
	 * relied on.
	 */
	begin(&fixture, PH_HASH_SHA1, 2);
	add_blob(&fixture, 0, &history, 0, &whole);
	add_blob(&fixture, 0, &history, 1, &on2);
	add_blob(&fixture, 1, &history, 2, &on0);
	for (i = 0; i < 3; i++)
		add_commit(&fixture, 1, &history, i);
	ph_test_pack_add(&fixture.packs[0], PH_OBJ_BLOB, "unreachable", 11);
	ph_test_pack_add(&fixture.packs[1], PH_OBJ_BLOB, "unreachable as well", 19);
	open_source(&fixture);
	run_walk(&fixture, &history.commits[2], NULL);
	take_with_walk(&fixture, false, &unpacked);
	assert_int_equal(unpacked.count, 9);
	assert_int_equal(unpacked.ofs_deltas, 1);
	assert_int_equal(unpacked.ref_deltas, 0);
	ph_test_unpacked_release(&unpacked);
	end(&fixture);
}

static void walks_over_random_histories(void **state)
{
	unsigned round;

	(void)state;
	for (round = 0; round < 60; round++) {
		struct ph_test_rng rng;
		struct ph_test_unpacked unpacked;
		struct history history;
		struct fixture fixture;
		uint32_t i, want, have;
		begin(&fixture, round % 2 ? PH_HASH_SHA1 : PH_HASH_SHA256, 2);
		ph_test_rng_init(&rng, 40 + round);
		for (i = 0; i < 8; i++) {
			/* Both packs have all blobs, in forms of their own. */
			struct version a = {PH_OBJ_BLOB, 0};
			struct version b = {PH_OBJ_BLOB, 0};
			if (i > 0) {
				a.base = (int)ph_test_rng_below(&rng, i);
				b.base = (int)ph_test_rng_below(&rng, i);
				a.stored = (enum ph_object_type)(6 + ph_test_rng_below(&rng, 2));
				b.stored = (enum ph_object_type)(6 + ph_test_rng_below(&rng, 2));
			}
			add_blob(&fixture, 0, &history, i, &a);
			add_blob(&fixture, 1, &history, i, &b);
			add_commit(&fixture, ph_test_rng_below(&rng, 2), &history, i);
		}
		open_source(&fixture);
		fixture.options.ofs_delta = ph_test_rng_below(&rng, 3) > 0;
		want = ph_test_rng_below(&rng, 8);
		have = ph_test_rng_below(&rng, 8);
		run_walk(&fixture, &history.commits[want],
		         have < want ? &history.commits[have] : NULL);
		take_with_walk(&fixture, ph_test_rng_below(&rng, 2) > 0, &unpacked);
		assert_int_equal(unpacked.count, 3 * (have < want ? want - have : want + 1));
		for (i = 0; i < 8; i++) {
			bool in = i <= want && (have >= want || i > have);
			assert_int_equal(
			        ph_test_unpacked_find(&unpacked, &history.blobs[i]) != NULL, in);
			assert_int_equal(
			        ph_test_unpacked_find(&unpacked, &history.commits[i]) != NULL, in);
		}
		ph_test_unpacked_release(&unpacked);
		end(&fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_whole_run_goes_out_as_it_is),
	        cmocka_unit_test(nothing_is_a_pack_too),
	        cmocka_unit_test(everything_from_several_packs),
	        cmocka_unit_test(no_ofs_delta_unless_it_is_taken),
	        cmocka_unit_test(splits_and_budgets_do_not_matter),
	        cmocka_unit_test(a_call_overdraws_by_one_step),
	        cmocka_unit_test(failures_are_final_and_leak_nothing),
	        cmocka_unit_test(damage_is_survived),
	        cmocka_unit_test(only_what_is_selected_goes_out),
	        cmocka_unit_test(bases_that_come_later),
	        cmocka_unit_test(old_bases_are_named),
	        cmocka_unit_test(no_cycles_across_packs),
	        cmocka_unit_test(walks_over_random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
