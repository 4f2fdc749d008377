/* SPDX-License-Identifier: MIT */
/*
 * Full entries: a pack of versions of some files, the newest stored whole and every other one as a
 * delta on the next, and a clone of one version in the middle. With the section it is the same
 * objects, all of them copied.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <packhorse/fulls.h>
#include <packhorse/pack_out.h>

#include "support.h"

#define FILES 5u
#define VERSIONS 6u

struct fixture {
	struct ph_test_alloc memory;
	struct ph_limits limits;
	struct ph_test_pack pack;
	struct ph_test_source source;
	struct ph_walk *walk;
	struct ph_test_sink sink;
};

static void content(struct ph_test_buf *text, uint32_t file, uint32_t version)
{
	ph_test_buf_clear(text);
	for (uint32_t i = 0; i < 40; i++)
		ph_test_buf_print(text, "line %u of file %u\n", i * i, file);
	ph_test_buf_print(text, "version %u\n", version);
}

/* Files first, newest first, each behind its base; then the tree and the commit of one version. */
static void begin(struct fixture *f, enum ph_hash_algo algo, uint32_t version)
{
	struct ph_walk_options options;
	struct ph_test_buf text = {0}, tree = {0};
	struct ph_oid want;
	enum ph_status status;
	uint32_t at;

	memset(f, 0, sizeof(*f));
	ph_test_alloc_init(&f->memory);
	ph_limits_init(&f->limits);
	ph_test_sink_init(&f->sink);
	ph_test_pack_init(&f->pack, algo);
	for (uint32_t file = 0; file < FILES; file++) {
		char name[2] = {(char)('a' + file), 0};

		for (uint32_t v = VERSIONS; v-- > 0;) {
			content(&text, file, v);
			at = v + 1 == VERSIONS
			             ? ph_test_pack_add(&f->pack, PH_OBJ_BLOB, text.data, text.len)
			             : ph_test_pack_add_ofs(&f->pack, f->pack.count - 1, text.data,
			                                    text.len);
			if (v == version)
				ph_test_tree_entry(&tree, algo, 0100644, name,
				                   &f->pack.entries[at].oid);
		}
	}
	at = ph_test_pack_add(&f->pack, PH_OBJ_TREE, tree.data, tree.len);
	ph_test_buf_clear(&text);
	ph_test_commit_text(&text, algo, &f->pack.entries[at].oid, NULL, 0, 1000, "m");
	at = ph_test_pack_add(&f->pack, PH_OBJ_COMMIT, text.data, text.len);
	want = f->pack.entries[at].oid;
	ph_test_buf_release(&text);
	ph_test_buf_release(&tree);
	ph_test_source_init(&f->source, &f->pack, 1);
	options = (struct ph_walk_options){
	        .source = &f->source.set.source, .alloc = &f->memory.alloc, .limits = &f->limits};
	assert_int_equal(ph_walk_new(&f->walk, &options), PH_OK);
	assert_int_equal(ph_walk_want(f->walk, &want), PH_OK);
	do {
		uint32_t budget = 1000;
		status = ph_walk_run(f->walk, &budget);
	} while (status == PH_AGAIN);
	assert_int_equal(status, PH_OK);
}

static void end(struct fixture *f)
{
	ph_walk_free(f->walk);
	ph_test_sink_release(&f->sink);
	assert_int_equal(f->memory.live, 0);
	ph_test_source_release(&f->source);
	ph_test_pack_release(&f->pack);
}

static enum ph_status make(struct fixture *f, uint64_t bytes_max, uint32_t step, uint32_t *count)
{
	struct ph_fulls_options options = {.source = &f->source.set.source,
	                                   .walk = f->walk,
	                                   .sink = &f->sink.sink,
	                                   .alloc = &f->memory.alloc,
	                                   .limits = &f->limits,
	                                   .bytes_max = bytes_max};
	struct ph_fulls_maker *maker;
	enum ph_status status = ph_fulls_maker_new(&maker, &options);

	if (status != PH_OK)
		return status;
	do {
		uint32_t budget = step;
		status = ph_fulls_maker_run(maker, &budget);
	} while (status == PH_AGAIN);
	*count = ph_fulls_maker_count(maker);
	ph_fulls_maker_free(maker);
	return status;
}

/* The clone; with section NULL, without full entries. */
static enum ph_status take(struct fixture *f, const struct ph_bytes *section,
                           struct ph_test_buf *file, struct ph_pack_out_stats *stats)
{
	struct ph_pack_out_options options = {.source = &f->source.set.source,
	                                      .walk = f->walk,
	                                      .alloc = &f->memory.alloc,
	                                      .limits = &f->limits,
	                                      .ofs_delta = true};
	struct ph_pack_out *out;
	struct ph_fulls fulls;
	enum ph_status status;

	if (section && ph_fulls_init(&fulls, options.source, 0, section) == PH_OK) {
		options.fulls = &fulls;
		options.fulls_count = 1;
	}
	assert_int_equal(ph_pack_out_new(&out, &options), PH_OK);
	do {
		uint8_t chunk[100];
		uint32_t budget = 3;
		size_t used;

		status = ph_pack_out_read(out, chunk, sizeof(chunk), &used, &budget);
		ph_test_buf_append(file, chunk, used);
	} while (status == PH_OK || status == PH_AGAIN);
	*stats = *ph_pack_out_stats(out);
	ph_pack_out_free(out);
	return status;
}

static void check_clone(struct fixture *f, const struct ph_test_buf *file)
{
	struct ph_test_unpacked unpacked;
	const char *wrong = ph_test_unpack(&unpacked, f->pack.algo, file->data, file->len, NULL, 0);

	if (wrong)
		fail_msg("%s", wrong);
	assert_int_equal(unpacked.count, FILES + 2);
	assert_int_equal(unpacked.ofs_deltas + unpacked.ref_deltas, 0);
	for (uint32_t i = 0; i < f->pack.count; i++) {
		struct ph_loc loc;

		assert_int_equal(f->source.set.source.ops->find(&f->source.set.source,
		                                                &f->pack.entries[i].oid, &loc),
		                 PH_OK);
		assert_int_equal(ph_test_unpacked_find(&unpacked, &f->pack.entries[i].oid) != NULL,
		                 ph_walk_selected(f->walk, loc));
	}
	ph_test_unpacked_release(&unpacked);
}

static void a_clone_is_copied(void **state)
{
	(void)state;
	for (int algo = PH_HASH_SHA1; algo <= PH_HASH_SHA256; algo++) {
		struct ph_pack_out_stats stats;
		struct ph_test_bytes section;
		struct ph_test_buf file = {0};
		struct fixture f;
		uint32_t count;

		begin(&f, (enum ph_hash_algo)algo, 2);
		assert_int_equal(make(&f, UINT64_MAX, 1000, &count), PH_OK);
		assert_int_equal(count, FILES);
		assert_int_equal(take(&f, NULL, &file, &stats), PH_END);
		assert_int_equal(stats.reused, 2);
		check_clone(&f, &file);
		ph_test_buf_clear(&file);
		ph_test_bytes_init(&section, f.sink.buf.data, f.sink.buf.len);
		assert_int_equal(take(&f, &section.bytes, &file, &stats), PH_END);
		assert_int_equal(stats.reused, FILES + 2);
		check_clone(&f, &file);
		ph_test_buf_release(&file);
		end(&f);
	}
}

/* What is stored whole, or as a delta on what goes too, needs no full entry. */
static void nothing_to_do(void **state)
{
	struct ph_test_bytes section;
	struct ph_fulls fulls;
	struct fixture f;
	uint64_t offset, behind;
	uint32_t count;

	(void)state;
	begin(&f, PH_HASH_SHA1, VERSIONS - 1);
	assert_int_equal(make(&f, UINT64_MAX, 1000, &count), PH_OK);
	assert_int_equal(count, 0);
	ph_test_bytes_init(&section, f.sink.buf.data, f.sink.buf.len);
	assert_int_equal(ph_fulls_init(&fulls, &f.source.set.source, 0, &section.bytes), PH_OK);
	for (uint32_t rank = 0; rank <= f.pack.count; rank++)
		assert_int_equal(ph_fulls_find(&fulls, rank, &offset, &behind), PH_ERR_NOT_FOUND);
	end(&f);
}

static void a_bound_leaves_out(void **state)
{
	struct ph_pack_out_stats stats;
	struct ph_test_bytes section;
	struct ph_test_buf file = {0};
	struct fixture f;
	uint32_t count;

	(void)state;
	begin(&f, PH_HASH_SHA1, 0);
	assert_int_equal(make(&f, 300, 1000, &count), PH_OK);
	assert_in_range(count, 1, FILES - 1);
	ph_test_bytes_init(&section, f.sink.buf.data, f.sink.buf.len);
	assert_int_equal(take(&f, &section.bytes, &file, &stats), PH_END);
	assert_int_equal(stats.reused, 2 + count);
	check_clone(&f, &file);
	ph_test_buf_release(&file);
	end(&f);
}

static void budgets_do_not_matter(void **state)
{
	struct ph_test_buf once = {0};
	struct fixture f;
	uint32_t count;

	(void)state;
	begin(&f, PH_HASH_SHA1, 1);
	assert_int_equal(make(&f, UINT64_MAX, UINT32_MAX, &count), PH_OK);
	ph_test_buf_append(&once, f.sink.buf.data, f.sink.buf.len);
	ph_test_sink_release(&f.sink);
	ph_test_sink_init(&f.sink);
	assert_int_equal(make(&f, UINT64_MAX, 1, &count), PH_OK);
	assert_int_equal(f.sink.buf.len, once.len);
	assert_memory_equal(f.sink.buf.data, once.data, once.len);
	ph_test_buf_release(&once);
	end(&f);
}

/* Whatever a byte of it becomes, it is not taken, or found out, or was of no account: content alone
 * is not looked at, the store below has checksums for that. */
static void damage_is_survived(void **state)
{
	struct fixture f;
	uint32_t count;

	(void)state;
	begin(&f, PH_HASH_SHA1, 3);
	assert_int_equal(make(&f, UINT64_MAX, 1000, &count), PH_OK);
	for (size_t i = 0; i < f.sink.buf.len; i++) {
		struct ph_pack_out_stats stats;
		struct ph_test_bytes section;
		struct ph_test_buf file = {0};
		enum ph_status status;

		f.sink.buf.data[i] ^= 0x81;
		ph_test_bytes_init(&section, f.sink.buf.data, f.sink.buf.len);
		status = take(&f, &section.bytes, &file, &stats);
		assert_true(status == PH_END || status == PH_ERR_CORRUPT);
		ph_test_buf_release(&file);
		f.sink.buf.data[i] ^= 0x81;
	}
	for (size_t len = 0; len < f.sink.buf.len; len++) {
		struct ph_test_bytes section;
		struct ph_fulls fulls;

		ph_test_bytes_init(&section, f.sink.buf.data, len);
		assert_int_equal(ph_fulls_init(&fulls, &f.source.set.source, 0, &section.bytes),
		                 PH_ERR_UNSUPPORTED);
	}
	end(&f);
}

static void failures_leak_nothing(void **state)
{
	struct fixture f;
	uint32_t count;
	uint64_t i;

	(void)state;
	begin(&f, PH_HASH_SHA1, 3);
	for (i = 1;; i++) {
		enum ph_status status;
		uint64_t before = f.memory.calls;

		ph_test_sink_release(&f.sink);
		ph_test_sink_init(&f.sink);
		f.memory.fail_at = before + i;
		status = make(&f, UINT64_MAX, 1000, &count);
		if (f.memory.calls < before + i) {
			assert_int_equal(status, PH_OK);
			break;
		}
		/* The reader can do without its cache. */
		assert_true(status == PH_ERR_NOMEM || status == PH_OK);
	}
	assert_true(i > 5);
	f.memory.fail_at = 0;
	for (i = 1;; i++) {
		enum ph_status status;

		ph_test_sink_release(&f.sink);
		ph_test_sink_init(&f.sink);
		f.sink.fail_at = i;
		status = make(&f, UINT64_MAX, 1000, &count);
		if (status == PH_OK)
			break;
		assert_int_equal(status, PH_ERR_IO);
	}
	assert_true(i > FILES);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_clone_is_copied),  cmocka_unit_test(nothing_to_do),
	        cmocka_unit_test(a_bound_leaves_out), cmocka_unit_test(budgets_do_not_matter),
	        cmocka_unit_test(damage_is_survived), cmocka_unit_test(failures_leak_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
