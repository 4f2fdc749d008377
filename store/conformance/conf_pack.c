/* SPDX-License-Identifier: MIT */
/* Conformance: packs of transactions. Sinks, sources, sections, and what is left of dropped ones.
 */
#include "conformance_int.h"

#include <stdlib.h>

static void take_in(struct conf *c)
{
	struct ph_test_pack pack;
	struct ph_test_buf index = {0};
	ph__conf_make_pack(c, &pack, "blob", 50);
	ph_test_pack_index(&pack, &index);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_expect_objects(ph_txn_source(txn), &pack, false);
	ph__conf_add_pack(txn, &pack);
	const struct ph_source *source = ph_txn_source(txn);
	assert_int_equal(source->algo, c->algo);
	assert_int_equal(source->ops->packs(source), 1);
	ph__conf_expect_objects(source, &pack, true);
	/* The quarantine: nobody else sees them. */
	struct ph_snapshot *before = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_objects(ph_snapshot_source(before), &pack, false);
	struct ph_txn *other = ph__conf_begin(c, CONF_REPO);
	ph__conf_expect_objects(ph_txn_source(other), &pack, false);
	ph__conf_commit(txn);
	ph__conf_expect_objects(ph_snapshot_source(before), &pack, false);
	ph__conf_expect_objects(ph_txn_source(other), &pack, false);
	ph_txn_free(other);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	source = ph_snapshot_source(s);
	assert_int_equal(source->algo, c->algo);
	assert_int_equal(source->ops->packs(source), 1);
	uint32_t entries;
	uint64_t bytes;
	source->ops->pack_size(source, 0, &entries, &bytes);
	assert_int_equal(entries, pack.count);
	assert_int_equal(bytes, pack.run.len);
	ph__conf_expect_objects(source, &pack, true);
	ph__conf_expect_bytes(ph_snapshot_section(s, 0, PH_SECTION_RUN), pack.run.data,
	                      pack.run.len);
	ph__conf_expect_bytes(ph_snapshot_section(s, 0, PH_SECTION_INDEX), index.data, index.len);
	assert_null(ph_snapshot_section(s, 0, PH_SECTION_SCRATCH));
	assert_null(ph_snapshot_section(s, 0, PH_SECTION_AUX));
	assert_null(ph_snapshot_section(s, 0, PH_SECTION_MAX));
	assert_null(ph_snapshot_section(s, 0, 0));
	assert_null(ph_snapshot_section(s, 0, PH_SECTION_MAX + 1));
	ph_snapshot_release(before);
	ph_snapshot_release(s);
	ph_test_buf_release(&index);
	ph_test_pack_release(&pack);
}

static void expect_read_back(struct ph_sink *sink, const struct ph_test_buf *want)
{
	static const size_t sizes[] = {1, 3, 100, 4095, 4096, 4097, 70000};
	uint8_t *buf = malloc(70000);
	assert_non_null(buf);
	assert_int_equal(sink->size, want->len);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t at = 0; at + sizes[i] <= want->len; at += sizes[i] * 7 + 13) {
			assert_status(sink->ops->read(sink, at, buf, sizes[i]), PH_OK);
			assert_memory_equal(buf, want->data + at, sizes[i]);
		}
	}
	if (want->len > 0) {
		assert_status(sink->ops->read(sink, want->len - 1, buf, 1), PH_OK);
		assert_int_equal(buf[0], want->data[want->len - 1]);
	}
	free(buf);
}

static void read_back(struct conf *c)
{
	/* What was appended can be read at once, whatever the pieces; sinks do not disturb each
	 * other. */
	static const size_t pieces[] = {1, 511, 1, 513, 4096, 7, 65536, 1000003, 12, 300000};
	struct ph_test_buf run = {0}, scratch = {0};
	struct ph_test_rng rng;
	struct ph_sink *run_sink, *scratch_sink, *aux_sink, *again;
	uint32_t pack, second;
	ph_test_rng_init(&rng, 42);
	uint8_t *data = malloc(1000003);
	assert_non_null(data);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_pack_begin(txn, &pack), PH_OK);
	assert_status(ph_txn_pack_begin(txn, &second), PH_OK);
	assert_true(pack != second);
	assert_status(ph_txn_sink(txn, pack, PH_SECTION_RUN, &run_sink), PH_OK);
	assert_status(ph_txn_sink(txn, pack, PH_SECTION_SCRATCH, &scratch_sink), PH_OK);
	assert_status(ph_txn_sink(txn, second, PH_SECTION_AUX, &aux_sink), PH_OK);
	assert_int_equal(run_sink->size, 0);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		ph_test_rng_fill(&rng, data, pieces[i]);
		assert_status(run_sink->ops->append(run_sink, data, pieces[i]), PH_OK);
		ph_test_buf_append(&run, data, pieces[i]);
		assert_status(aux_sink->ops->append(aux_sink, data, 1), PH_OK);
		if (i % 2 == 0) {
			assert_status(scratch_sink->ops->append(scratch_sink, data, pieces[i]),
			              PH_OK);
			ph_test_buf_append(&scratch, data, pieces[i]);
		}
		expect_read_back(run_sink, &run);
	}
	expect_read_back(scratch_sink, &scratch);
	/* Asked again it is the same sink. */
	assert_status(ph_txn_sink(txn, pack, PH_SECTION_RUN, &again), PH_OK);
	assert_ptr_equal(again, run_sink);
	/* Aborting one gives up that one only. */
	scratch_sink->ops->abort(scratch_sink);
	expect_read_back(run_sink, &run);
	ph_txn_free(txn);
	free(data);
	ph_test_buf_release(&run);
	ph_test_buf_release(&scratch);
}

static void sections(struct conf *c)
{
	/* A pack with two auxiliary sections and scratch space, which goes. */
	struct ph_test_pack pack;
	struct ph_test_buf index = {0};
	struct ph_sink *sink, *late, *dead;
	uint32_t number;
	ph__conf_make_pack(c, &pack, "blob", 3);
	ph_test_pack_index(&pack, &index);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_pack_begin(txn, &number), PH_OK);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_SCRATCH, &sink), PH_OK);
	ph__conf_append(sink, "scratch", 7);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_AUX, &sink), PH_OK);
	ph__conf_append(sink, "auxil", 5);
	late = sink;
	assert_status(ph_txn_sink(txn, number, PH_SECTION_AUX + 2, &dead), PH_OK);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_RUN, &sink), PH_OK);
	ph__conf_append(sink, pack.run.data, pack.run.len);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_MAX, &sink), PH_OK);
	ph__conf_append(sink, "last", 4);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_AUX + 1, &sink), PH_OK);
	ph__conf_append(sink, "given up", 8);
	sink->ops->abort(sink);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_INDEX, &sink), PH_OK);
	ph__conf_append(sink, index.data, index.len);
	/* Sections that are none. */
	assert_status(ph_txn_sink(txn, number, 0, &sink), PH_ERR_INVALID);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_SCRATCH + 1, &sink), PH_ERR_INVALID);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_AUX - 1, &sink), PH_ERR_INVALID);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_MAX + 1, &sink), PH_ERR_INVALID);
	assert_status(ph_txn_sink(txn, number, UINT32_MAX, &sink), PH_ERR_INVALID);
	assert_status(ph_txn_sink(txn, number + 7, PH_SECTION_RUN, &sink), PH_ERR_INVALID);
	assert_status(ph_txn_pack_end(txn, number), PH_OK);
	/* An ended pack takes nothing more, but for auxiliary sections that were begun. */
	assert_status(ph_txn_sink(txn, number, PH_SECTION_AUX, &sink), PH_ERR_INVALID);
	ph__conf_append(late, "iary", 4);
	dead->ops->abort(dead);
	assert_status(ph_txn_pack_end(txn, number), PH_ERR_INVALID);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	assert_null(ph_snapshot_section(s, 0, PH_SECTION_SCRATCH));
	assert_null(ph_snapshot_section(s, 0, PH_SECTION_AUX + 1));
	assert_null(ph_snapshot_section(s, 0, PH_SECTION_AUX + 2));
	ph__conf_expect_bytes(ph_snapshot_section(s, 0, PH_SECTION_AUX), "auxiliary", 9);
	ph__conf_expect_bytes(ph_snapshot_section(s, 0, PH_SECTION_MAX), "last", 4);
	ph__conf_expect_objects(ph_snapshot_source(s), &pack, true);
	ph_snapshot_release(s);
	ph_test_buf_release(&index);
	ph_test_pack_release(&pack);
}

/* Fills a pack with a run and an index, and says how it ends. */
static enum ph_status end_status(struct ph_txn *txn, const struct ph_test_buf *run,
                                 const struct ph_test_buf *index)
{
	struct ph_sink *sink;
	uint32_t pack;
	assert_status(ph_txn_pack_begin(txn, &pack), PH_OK);
	if (run) {
		assert_status(ph_txn_sink(txn, pack, PH_SECTION_RUN, &sink), PH_OK);
		ph__conf_append(sink, run->data, run->len);
	}
	if (index) {
		assert_status(ph_txn_sink(txn, pack, PH_SECTION_INDEX, &sink), PH_OK);
		ph__conf_append(sink, index->data, index->len);
	}
	enum ph_status status = ph_txn_pack_end(txn, pack);
	if (status != PH_OK)
		ph_txn_pack_drop(txn, pack);
	return status;
}

static void wrong_index(struct conf *c)
{
	struct ph_test_pack pack, other;
	struct ph_test_buf index = {0}, other_index = {0}, foreign = {0};
	struct ph_test_pack foreign_pack;
	struct conf another = *c;
	another.algo = c->algo == PH_HASH_SHA1 ? PH_HASH_SHA256 : PH_HASH_SHA1;
	ph__conf_make_pack(c, &pack, "blob", 10);
	ph__conf_make_pack(c, &other, "another blob", 11);
	ph__conf_make_pack(&another, &foreign_pack, "blob", 10);
	ph_test_pack_index(&pack, &index);
	ph_test_pack_index(&other, &other_index);
	ph_test_pack_index(&foreign_pack, &foreign);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(end_status(txn, &pack.run, &other_index), PH_ERR_CORRUPT);
	assert_status(end_status(txn, &pack.run, &foreign), PH_ERR_CORRUPT);
	assert_status(end_status(txn, &pack.run, NULL), PH_ERR_CORRUPT);
	assert_status(end_status(txn, NULL, &index), PH_ERR_CORRUPT);
	assert_status(end_status(txn, NULL, NULL), PH_ERR_CORRUPT);
	assert_status(end_status(txn, &pack.run, &pack.run), PH_ERR_CORRUPT);
	struct ph_test_buf cut = index;
	cut.len--;
	assert_status(end_status(txn, &pack.run, &cut), PH_ERR_CORRUPT);
	cut.len = 4;
	assert_status(end_status(txn, &pack.run, &cut), PH_ERR_CORRUPT);
	struct ph_test_buf short_run = pack.run;
	short_run.len--;
	assert_status(end_status(txn, &short_run, &index), PH_ERR_CORRUPT);
	/* Nothing of these is in the source, and a right one still goes. */
	const struct ph_source *source = ph_txn_source(txn);
	assert_int_equal(source->ops->packs(source), 0);
	assert_status(end_status(txn, &pack.run, &index), PH_OK);
	ph__conf_expect_objects(ph_txn_source(txn), &pack, true);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	source = ph_snapshot_source(s);
	assert_int_equal(source->ops->packs(source), 1);
	ph_snapshot_release(s);
	ph_test_buf_release(&index);
	ph_test_buf_release(&other_index);
	ph_test_buf_release(&foreign);
	ph_test_pack_release(&pack);
	ph_test_pack_release(&other);
	ph_test_pack_release(&foreign_pack);
}

static void empty_pack(struct conf *c)
{
	struct ph_test_pack pack;
	ph_test_pack_init(&pack, c->algo);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_add_pack(txn, &pack);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	const struct ph_source *source = ph_snapshot_source(s);
	struct ph_oid oid = ph__conf_oid(c, 1);
	struct ph_loc loc;
	assert_int_equal(source->ops->packs(source), 1);
	assert_status(source->ops->find(source, &oid, &loc), PH_ERR_NOT_FOUND);
	ph_snapshot_release(s);
	ph_test_pack_release(&pack);
}

static void numbers(struct conf *c)
{
	/* Base packs come first under their numbers; dropped and unfinished packs have none. */
	struct ph_test_pack packs[5];
	static const char *const labels[] = {"a", "b", "c", "d", "e"};
	struct ph_loc loc;
	uint32_t number[5], unfinished;
	ph__conf_create(c, CONF_REPO);
	ph__conf_commit_pack(c, CONF_REPO, "a", 3);
	ph__conf_commit_pack(c, CONF_REPO, "b", 4);
	for (uint32_t i = 0; i < 5; i++)
		ph__conf_make_pack(c, &packs[i], labels[i], 3 + i);
	struct ph_snapshot *base = ph__conf_snapshot(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	for (uint32_t i = 2; i < 5; i++)
		number[i] = ph__conf_add_pack(txn, &packs[i]);
	assert_status(ph_txn_pack_begin(txn, &unfinished), PH_OK);
	const struct ph_source *source = ph_txn_source(txn);
	const struct ph_source *base_source = ph_snapshot_source(base);
	assert_int_equal(source->ops->packs(source), 5);
	for (uint32_t i = 0; i < 2; i++) {
		struct ph_loc base_loc;
		assert_status(source->ops->find(source, &packs[i].entries[0].oid, &loc), PH_OK);
		assert_status(
		        base_source->ops->find(base_source, &packs[i].entries[0].oid, &base_loc),
		        PH_OK);
		assert_int_equal(loc.pack, base_loc.pack);
	}
	for (uint32_t i = 2; i < 5; i++)
		ph__conf_expect_objects(source, &packs[i], true);
	ph_txn_pack_drop(txn, number[3]);
	ph_txn_pack_drop(txn, number[3]);
	source = ph_txn_source(txn);
	assert_int_equal(source->ops->packs(source), 4);
	for (uint32_t i = 0; i < 5; i++)
		ph__conf_expect_objects(source, &packs[i], i != 3);
	assert_status(source->ops->find(source, &packs[4].entries[0].oid, &loc), PH_OK);
	assert_true(loc.pack >= 2);
	/* A commit takes what was ended, and nothing else. */
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	source = ph_snapshot_source(s);
	assert_int_equal(source->ops->packs(source), 4);
	for (uint32_t i = 0; i < 5; i++)
		ph__conf_expect_objects(source, &packs[i], i != 3);
	/* Lasting ids: different ones, and those of the base are what they were. */
	for (uint32_t i = 0; i < 4; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_true(ph_snapshot_pack_id(s, i) != ph_snapshot_pack_id(s, j));
	for (uint32_t i = 0; i < 2; i++)
		assert_true(ph__conf_pack_number(s, ph_snapshot_pack_id(base, i)) < 4);
	ph_snapshot_release(base);
	ph_snapshot_release(s);
	for (uint32_t i = 0; i < 5; i++)
		ph_test_pack_release(&packs[i]);
}

static void nothing_left(struct conf *c)
{
	struct ph_test_pack pack;
	struct ph_test_buf dump = {0};
	ph__conf_make_pack(c, &pack, "x", 30);
	ph__conf_create(c, CONF_REPO);
	ph__conf_commit_pack(c, CONF_REPO, "kept", 3);
	ph__conf_dump(c->store, &dump);
	/* Freed with its pack; and committed with the pack dropped. */
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_add_pack(txn, &pack);
	ph_txn_free(txn);
	ph__conf_expect_dump(c, &dump);
	txn = ph__conf_begin(c, CONF_REPO);
	ph_txn_pack_drop(txn, ph__conf_add_pack(txn, &pack));
	ph__conf_commit(txn);
	ph__conf_expect_dump(c, &dump);
	/* A transaction that only lacks its end: the pack is not in. */
	uint32_t number;
	struct ph_sink *sink;
	txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_pack_begin(txn, &number), PH_OK);
	assert_status(ph_txn_sink(txn, number, PH_SECTION_RUN, &sink), PH_OK);
	ph__conf_append(sink, pack.run.data, pack.run.len);
	ph__conf_commit(txn);
	ph__conf_expect_dump(c, &dump);
	ph_test_buf_release(&dump);
	ph_test_pack_release(&pack);
}

static void duplicates(struct conf *c)
{
	/* An object in several packs has one location, in the first of them. */
	struct ph_test_pack small, large;
	struct ph_loc first, second, again;
	ph__conf_make_pack(c, &small, "same", 4);
	ph__conf_make_pack(c, &large, "same", 9);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_add_pack(txn, &small);
	ph__conf_add_pack(txn, &large);
	ph__conf_commit(txn);
	ph__conf_commit_pack(c, CONF_REPO, "same", 4);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	const struct ph_source *source = ph_snapshot_source(s);
	assert_int_equal(source->ops->packs(source), 3);
	assert_status(source->ops->find(source, &small.entries[0].oid, &first), PH_OK);
	assert_int_equal(first.pack, 0);
	for (uint32_t i = 0; i < small.count; i++) {
		assert_status(source->ops->find(source, &small.entries[i].oid, &second), PH_OK);
		assert_status(source->ops->find(source, &small.entries[i].oid, &again), PH_OK);
		assert_int_equal(second.pack, 0);
		assert_int_equal(second.pos, again.pos);
	}
	ph__conf_expect_objects(source, &large, true);
	ph_snapshot_release(s);
	ph_test_pack_release(&small);
	ph_test_pack_release(&large);
}

static void large_pack(struct conf *c)
{
	/* Larger than any buffer: 24 MiB that do not compress. */
	struct ph_test_pack pack;
	struct ph_test_rng rng;
	ph_test_rng_init(&rng, 7);
	ph_test_pack_init(&pack, c->algo);
	uint8_t *data = malloc(3 << 20);
	assert_non_null(data);
	for (unsigned i = 0; i < 8; i++) {
		ph_test_rng_fill(&rng, data, 3 << 20);
		ph_test_pack_add(&pack, PH_OBJ_BLOB, data, 3 << 20);
	}
	free(data);
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	ph__conf_add_pack(txn, &pack);
	ph__conf_expect_objects(ph_txn_source(txn), &pack, true);
	ph__conf_commit(txn);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	ph__conf_expect_objects(ph_snapshot_source(s), &pack, true);
	ph_snapshot_release(s);
	ph_test_pack_release(&pack);
}

static void outlives(struct conf *c)
{
	/* A snapshot's objects stay readable when its repository and all else is gone. */
	struct ph_test_pack pack;
	ph__conf_make_pack(c, &pack, "x", 8);
	ph__conf_create(c, CONF_REPO);
	uint64_t id = ph__conf_commit_pack(c, CONF_REPO, "x", 8);
	struct ph_snapshot *s = ph__conf_snapshot(c, CONF_REPO);
	struct ph_txn *reader = ph__conf_begin(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_delete_repo(txn), PH_OK);
	ph__conf_commit(txn);
	for (unsigned i = 0; i < 20; i++) {
		/* What others write next must not land in its space. */
		ph__conf_create(c, CONF_REPO);
		ph__conf_commit_pack(c, CONF_REPO, "something else", 10);
		txn = ph__conf_begin(c, CONF_REPO);
		assert_status(ph_txn_delete_repo(txn), PH_OK);
		ph__conf_commit(txn);
	}
	ph__conf_expect_objects(ph_snapshot_source(s), &pack, true);
	assert_int_equal(ph_snapshot_pack_id(s, 0), id);
	ph_snapshot_release(s);
	ph__conf_expect_objects(ph_txn_source(reader), &pack, true);
	ph_txn_free(reader);
	ph_test_pack_release(&pack);
}

const struct conf_test ph__conf_pack_tests[] = {
        {"packs: taken in", take_in, 0},
        {"packs: sinks read back", read_back, CONF_ONCE},
        {"packs: sections", sections, CONF_ONCE},
        {"packs: a wrong index", wrong_index, 0},
        {"packs: an empty one", empty_pack, 0},
        {"packs: numbers and ids", numbers, 0},
        {"packs: nothing left of dropped ones", nothing_left, CONF_ONCE},
        {"packs: objects in several", duplicates, 0},
        {"packs: a large one", large_pack, CONF_ONCE},
        {"packs: outlive their repository", outlives, CONF_ONCE},
        {NULL, NULL, 0},
};
