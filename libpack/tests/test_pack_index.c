/* SPDX-License-Identifier: MIT */
/* The index: written and read back at many sizes, every byte of it damaged, and sets of packs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <stdlib.h>

/* A made-up pack of count entries, without a run: an index does not look into it. */
struct made {
	struct ph_index_record *records;
	uint32_t *order;
	uint32_t count;
	uint64_t run_bytes;
	struct ph_oid trailer;
	struct ph_test_sink sink;
	struct ph_test_bytes bytes;
};

static int compare_ids(const void *a, const void *b)
{
	const struct ph_index_record *left = a;
	const struct ph_index_record *right = b;

	return ph_oid_cmp(&left->oid, &right->oid);
}

static void make_records(struct made *made, enum ph_hash_algo algo, uint32_t count, bool skewed)
{
	struct ph_test_rng rng;
	uint64_t offset = 0;
	uint32_t i;

	memset(made, 0, sizeof(*made));
	ph_test_rng_init(&rng, 9);
	made->count = count;
	made->records = calloc(count + 1, sizeof(*made->records));
	made->order = calloc(count + 1, sizeof(*made->order));
	for (i = 0; i < count; i++) {
		struct ph_index_record *record = &made->records[i];
		/* Skewed: all in one fanout row, and close to each other. */
		ph_test_rng_fill(&rng, record->oid.bytes, ph_hash_bytes(algo));
		if (skewed)
			memset(record->oid.bytes, i % 10 == 0 ? 0xfe : 0x42, 9);
		record->size = ph_test_rng_next(&rng) >> (i % 64);
	}
	/* Entries in the order of ids would hide mistakes: sort, then deal them out. */
	qsort(made->records, count, sizeof(*made->records), compare_ids);
	for (i = 0; i < count; i++) {
		uint32_t other = i + ph_test_rng_below(&rng, count - i);
		struct ph_index_record swap = made->records[i];
		made->records[i] = made->records[other];
		made->records[other] = swap;
	}
	for (i = 0; i < count; i++) {
		made->records[i].offset = offset;
		made->records[i].type = (uint8_t)(1 + i % 4);
		made->records[i].delta = i % 3 == 0;
		offset += 1 + ph_test_rng_below(&rng, skewed && i % 100 == 0 ? 1u << 30 : 300);
	}
	made->run_bytes = offset;
	made->trailer = ph_test_oid_fake(algo, 0xcc);
}

static void make_order(struct made *made)
{
	uint32_t i;

	for (i = 0; i < made->count; i++)
		made->order[i] = i;
	/* Insertion into a sorted prefix by bisection: small enough here. */
	for (i = 1; i < made->count; i++) {
		uint32_t lo = 0;
		uint32_t hi = i;
		while (lo < hi) {
			uint32_t mid = lo + (hi - lo) / 2;
			if (ph_oid_cmp(&made->records[made->order[mid]].oid,
			               &made->records[i].oid) < 0)
				lo = mid + 1;
			else
				hi = mid;
		}
		memmove(made->order + lo + 1, made->order + lo, (i - lo) * sizeof(*made->order));
		made->order[lo] = i;
	}
}

static void make_index(struct made *made, enum ph_hash_algo algo, uint32_t count, bool skewed)
{
	make_records(made, algo, count, skewed);
	make_order(made);
	ph_test_sink_init(&made->sink);
	assert_int_equal(ph_index_write(&made->sink.sink, algo, made->records, made->order, count,
	                                made->run_bytes, &made->trailer),
	                 PH_OK);
	ph_test_bytes_init(&made->bytes, made->sink.buf.data, made->sink.buf.len);
}

static void free_made(struct made *made)
{
	ph_test_sink_release(&made->sink);
	free(made->records);
	free(made->order);
}

static void check_entry(const struct made *made, const struct ph_index *index, uint32_t pos)
{
	const struct ph_index_record *record = &made->records[pos];
	struct ph_entry entry;

	assert_int_equal(ph_index_entry(index, pos, &entry), PH_OK);
	assert_true(ph_oid_equal(&entry.oid, &record->oid));
	assert_true(entry.offset == record->offset);
	assert_true(entry.end == (pos + 1 < made->count ? record[1].offset : made->run_bytes));
	assert_true(entry.size == record->size);
	assert_int_equal(entry.type, record->type);
	assert_int_equal(entry.delta, record->delta != 0);
}

static void check_index(struct made *made, enum ph_hash_algo algo)
{
	struct ph_index index;
	struct ph_oid oid;
	uint32_t pos;
	uint32_t i;

	assert_int_equal(ph_index_init(&index, &made->bytes.bytes, algo), PH_OK);
	assert_int_equal(index.entries, made->count);
	assert_true(index.run_bytes == made->run_bytes);
	assert_true(ph_oid_equal(&index.trailer, &made->trailer));
	for (i = 0; i < made->count; i++) {
		check_entry(made, &index, i);
		assert_int_equal(ph_index_find(&index, &made->records[i].oid, &pos), PH_OK);
		assert_int_equal(pos, i);
		assert_int_equal(ph_index_at_offset(&index, made->records[i].offset, &pos), PH_OK);
		assert_int_equal(pos, i);
		if (i + 1 == made->count ||
		    made->records[i].offset + 1 < made->records[i + 1].offset)
			assert_int_equal(
			        ph_index_at_offset(&index, made->records[i].offset + 1, &pos),
			        PH_ERR_NOT_FOUND);
		oid = made->records[i].oid;
		oid.bytes[ph_hash_bytes(algo) - 1] ^= 1;
		assert_int_equal(ph_index_find(&index, &oid, &pos), PH_ERR_NOT_FOUND);
	}
	oid = ph_test_oid_fake(algo, 0);
	assert_int_equal(ph_index_find(&index, &oid, &pos), PH_ERR_NOT_FOUND);
	oid = ph_test_oid_fake(algo, 0xff);
	assert_int_equal(ph_index_find(&index, &oid, &pos), PH_ERR_NOT_FOUND);
	assert_int_equal(ph_index_at_offset(&index, made->run_bytes, &pos), PH_ERR_NOT_FOUND);
	assert_int_equal(ph_index_at_offset(&index, UINT64_MAX, &pos), PH_ERR_NOT_FOUND);
}

static void all_sizes_both_hashes(void **state)
{
	static const uint32_t counts[] = {0, 1, 2, 63, 64, 65, 129, 1000, 20000};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct made made;
		make_index(&made, PH_HASH_SHA1, counts[i], false);
		check_index(&made, PH_HASH_SHA1);
		free_made(&made);
		make_index(&made, PH_HASH_SHA256, counts[i], false);
		check_index(&made, PH_HASH_SHA256);
		free_made(&made);
	}
}

static void skewed_ids_and_offsets_are_found(void **state)
{
	struct made made;

	(void)state;
	make_index(&made, PH_HASH_SHA1, 5000, true);
	check_index(&made, PH_HASH_SHA1);
	free_made(&made);
}

static void lookups_take_few_reads(void **state)
{
	struct ph_test_faults faults = {0};
	struct ph_index index;
	struct made made;
	uint32_t pos;
	uint32_t i;

	(void)state;
	make_index(&made, PH_HASH_SHA1, 20000, false);
	assert_int_equal(ph_index_init(&index, &made.bytes.bytes, PH_HASH_SHA1), PH_OK);
	made.bytes.faults = &faults;
	for (i = 0; i < made.count; i++)
		assert_int_equal(ph_index_find(&index, &made.records[i].oid, &pos), PH_OK);
	/* One block and the rank. */
	assert_true(faults.calls < made.count * 2 + made.count / 10);
	free_made(&made);
}

static void layout_is_as_documented(void **state)
{
	struct made made;
	const uint8_t *at;

	(void)state;
	make_index(&made, PH_HASH_SHA1, 3, false);
	at = made.sink.buf.data;
	assert_int_equal(made.sink.buf.len, 20 + 20 + 1024 + 3 * (20 + 4 + 20));
	assert_memory_equal(at, "PHIX\1\1\0\0\0\0\0\3", 12);
	assert_memory_equal(at + 20, made.trailer.bytes, 20);
	assert_memory_equal(at + 40 + 1020, "\0\0\0\3", 4);
	assert_memory_equal(at + 1064, made.records[made.order[0]].oid.bytes, 20);
	assert_int_equal(at[1064 + 60 + 3], made.order[0]);
	/* The first entry: offset 0, a commit stored as a delta. */
	assert_memory_equal(at + 1064 + 72, "\0\0\0\0\0\0\0\x81", 8);
	free_made(&made);
}

static enum ph_status write_again(const struct made *made, uint64_t run_bytes)
{
	struct ph_test_sink sink;
	enum ph_status status;

	ph_test_sink_init(&sink);
	status = ph_index_write(&sink.sink, PH_HASH_SHA1, made->records, made->order, made->count,
	                        run_bytes, &made->trailer);
	if (status == PH_ERR_INVALID)
		assert_int_equal(sink.sink.size, 0);
	ph_test_sink_release(&sink);
	return status;
}

static void writer_refuses_what_is_wrong(void **state)
{
	struct made made;
	struct ph_index_record keep;
	uint32_t swap;

	(void)state;
	make_index(&made, PH_HASH_SHA1, 100, false);
	assert_int_equal(write_again(&made, made.run_bytes), PH_OK);
	assert_int_equal(write_again(&made, made.records[99].offset), PH_ERR_INVALID);
	assert_int_equal(write_again(&made, (uint64_t)1 << 56), PH_ERR_INVALID);
	keep = made.records[50];
	made.records[50].oid = made.records[made.order[10]].oid;
	assert_int_equal(write_again(&made, made.run_bytes), PH_ERR_INVALID);
	made.records[50] = keep;
	made.records[50].offset = made.records[51].offset;
	assert_int_equal(write_again(&made, made.run_bytes), PH_ERR_INVALID);
	made.records[50] = keep;
	made.records[50].type = PH_OBJ_OFS_DELTA;
	assert_int_equal(write_again(&made, made.run_bytes), PH_ERR_INVALID);
	made.records[50] = keep;
	made.records[0].offset = 1;
	assert_int_equal(write_again(&made, made.run_bytes + 1), PH_ERR_INVALID);
	made.records[0].offset = 0;
	swap = made.order[3];
	made.order[3] = made.order[4];
	assert_int_equal(write_again(&made, made.run_bytes), PH_ERR_INVALID);
	made.order[3] = 100;
	assert_int_equal(write_again(&made, made.run_bytes), PH_ERR_INVALID);
	made.order[3] = swap;
	assert_int_equal(write_again(&made, made.run_bytes), PH_OK);
	made.count = 0;
	assert_int_equal(write_again(&made, 1), PH_ERR_INVALID);
	free_made(&made);
}

static void equal_ids_are_refused(void **state)
{
	struct made made;

	(void)state;
	make_index(&made, PH_HASH_SHA1, 2, false);
	made.records[0].oid = made.records[1].oid;
	assert_int_equal(write_again(&made, made.run_bytes), PH_ERR_INVALID);
	free_made(&made);
}

static void sink_errors_come_back(void **state)
{
	struct made made;
	uint64_t i;

	(void)state;
	make_index(&made, PH_HASH_SHA1, 1000, false);
	for (i = 1;; i++) {
		struct ph_test_sink sink;
		enum ph_status status;
		bool through;
		ph_test_sink_init(&sink);
		sink.fail_at = i;
		status = ph_index_write(&sink.sink, PH_HASH_SHA1, made.records, made.order, 1000,
		                        made.run_bytes, &made.trailer);
		through = sink.appends < i;
		ph_test_sink_release(&sink);
		if (through) {
			assert_int_equal(status, PH_OK);
			break;
		}
		assert_int_equal(status, PH_ERR_IO);
	}
	assert_true(i > 3);
	free_made(&made);
}

static enum ph_status init_only(const struct ph_test_bytes *bytes, enum ph_hash_algo algo)
{
	struct ph_index index;

	return ph_index_init(&index, &bytes->bytes, algo);
}

static void wrong_headers_are_refused(void **state)
{
	static const size_t fields[] = {0, 3, 4, 5, 6, 7, 8, 11, 12, 13};
	struct ph_test_faults faults = {.fail_at = 1};
	struct made made;
	uint8_t *data;
	size_t i;

	(void)state;
	make_index(&made, PH_HASH_SHA1, 10, false);
	data = made.sink.buf.data;
	assert_int_equal(init_only(&made.bytes, PH_HASH_SHA1), PH_OK);
	assert_int_equal(init_only(&made.bytes, PH_HASH_SHA256), PH_ERR_CORRUPT);
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		/* 0x81 also makes a run of more than 56 bits of the size's high bytes. */
		uint8_t keep = data[fields[i]];
		data[fields[i]] ^= 0x81;
		if (fields[i] < 13)
			assert_int_equal(init_only(&made.bytes, PH_HASH_SHA1), PH_ERR_CORRUPT);
		data[fields[i]] = keep;
	}
	/* A fanout that falls, or does not end at the number of entries. */
	data[40] = 0x01;
	assert_int_equal(init_only(&made.bytes, PH_HASH_SHA1), PH_ERR_CORRUPT);
	data[40] = 0;
	data[40 + 1023]--;
	assert_int_equal(init_only(&made.bytes, PH_HASH_SHA1), PH_ERR_CORRUPT);
	data[40 + 1023]++;
	for (i = 0; i < made.sink.buf.len; i += i < 1100 ? 1 : 7) {
		made.bytes.bytes.size = i;
		assert_int_equal(init_only(&made.bytes, PH_HASH_SHA1), PH_ERR_CORRUPT);
	}
	made.bytes.bytes.size = made.sink.buf.len;
	made.bytes.faults = &faults;
	assert_int_equal(init_only(&made.bytes, PH_HASH_SHA1), PH_ERR_IO);
	free_made(&made);
}

/* Whatever byte is wrong, no call reads outside (support.c aborts) or gives a value out of range.
 */
static void any_damage_is_survived(void **state)
{
	struct ph_test_rng rng;
	struct made made;
	unsigned round;
	unsigned noticed = 0;

	(void)state;
	ph_test_rng_init(&rng, 10);
	make_index(&made, PH_HASH_SHA1, 200, false);
	for (round = 0; round < 3000; round++) {
		uint32_t at = 12 + ph_test_rng_below(&rng, (uint32_t)made.sink.buf.len - 12);
		uint8_t *byte = &made.sink.buf.data[at];
		uint8_t keep = *byte;
		struct ph_index index;
		uint32_t i;
		*byte = (uint8_t)ph_test_rng_next(&rng);
		if (ph_index_init(&index, &made.bytes.bytes, PH_HASH_SHA1) != PH_OK) {
			noticed++;
			*byte = keep;
			continue;
		}
		for (i = 0; i < 200; i++) {
			struct ph_entry entry;
			uint32_t pos = 0;
			enum ph_status status = ph_index_entry(&index, i, &entry);
			if (status == PH_OK) {
				assert_true(entry.offset < entry.end);
				assert_true(entry.end <= index.run_bytes);
				assert_in_range(entry.type, PH_OBJ_COMMIT, PH_OBJ_TAG);
			} else {
				assert_int_equal(status, PH_ERR_CORRUPT);
				noticed++;
			}
			if (ph_index_find(&index, &made.records[i].oid, &pos) == PH_OK)
				assert_true(pos < 200);
			if (ph_index_at_offset(&index, made.records[i].offset, &pos) == PH_OK)
				assert_true(pos < 200);
		}
		*byte = keep;
	}
	assert_true(noticed > 100);
	free_made(&made);
}

static void read_errors_come_back(void **state)
{
	struct ph_test_faults faults = {0};
	struct ph_index index;
	struct ph_entry entry;
	struct made made;
	uint32_t pos;

	(void)state;
	make_index(&made, PH_HASH_SHA1, 500, false);
	assert_int_equal(ph_index_init(&index, &made.bytes.bytes, PH_HASH_SHA1), PH_OK);
	made.bytes.faults = &faults;
	for (faults.fail_at = 1; faults.fail_at <= 2; faults.fail_at++) {
		faults.calls = 0;
		assert_int_equal(ph_index_entry(&index, 3, &entry), PH_ERR_IO);
		faults.calls = 0;
		assert_int_equal(ph_index_find(&index, &made.records[3].oid, &pos), PH_ERR_IO);
	}
	faults.calls = 0;
	faults.fail_at = 1;
	faults.fail_status = PH_ERR_CORRUPT;
	assert_int_equal(ph_index_at_offset(&index, made.records[3].offset, &pos), PH_ERR_CORRUPT);
	free_made(&made);
}

static void sets_ask_packs_in_order(void **state)
{
	struct ph_test_pack packs[2];
	struct ph_test_source source;
	const struct ph_source_ops *ops;
	const struct ph_source *over;
	struct ph_loc loc;
	struct ph_entry entry;
	struct ph_oid none = ph_test_oid_fake(PH_HASH_SHA1, 3);
	uint32_t entries;
	uint64_t bytes;
	uint8_t byte;

	(void)state;
	ph_test_pack_init(&packs[0], PH_HASH_SHA1);
	ph_test_pack_init(&packs[1], PH_HASH_SHA1);
	ph_test_pack_add(&packs[0], PH_OBJ_BLOB, "one", 3);
	ph_test_pack_add(&packs[0], PH_OBJ_BLOB, "both", 4);
	ph_test_pack_add(&packs[1], PH_OBJ_BLOB, "both", 4);
	ph_test_pack_add_ofs(&packs[1], 0, "booth", 5);
	ph_test_source_init(&source, packs, 2);
	over = &source.set.source;
	ops = over->ops;
	assert_int_equal(ops->packs(over), 2);
	ops->pack_size(over, 1, &entries, &bytes);
	assert_int_equal(entries, 2);
	assert_int_equal(bytes, packs[1].run.len);
	assert_int_equal(ops->find(over, &packs[1].entries[0].oid, &loc), PH_OK);
	assert_int_equal(loc.pack, 0);
	assert_int_equal(loc.pos, 1);
	assert_int_equal(ops->find(over, &packs[1].entries[1].oid, &loc), PH_OK);
	assert_int_equal(loc.pack, 1);
	assert_int_equal(ops->entry(over, loc, &entry), PH_OK);
	assert_int_equal(entry.size, 5);
	assert_true(entry.delta);
	assert_int_equal(ops->find(over, &none, &loc), PH_ERR_NOT_FOUND);
	assert_int_equal(ops->at_offset(over, 1, packs[1].entries[1].offset, &loc), PH_OK);
	assert_int_equal(loc.pos, 1);
	assert_int_equal(ops->at_offset(over, 1, 1, &loc), PH_ERR_NOT_FOUND);
	assert_int_equal(ops->read(over, 1, bytes - 1, &byte, 1), PH_OK);
	assert_int_equal(byte, packs[1].run.data[bytes - 1]);
	assert_int_equal(ops->read(over, 1, bytes, &byte, 1), PH_ERR_CORRUPT);
	assert_int_equal(ops->read(over, 1, UINT64_MAX, &byte, 1), PH_ERR_CORRUPT);
	source.faults.fail_at = source.faults.calls + 1;
	assert_int_equal(ops->find(over, &packs[1].entries[0].oid, &loc), PH_ERR_IO);
	ph_test_source_release(&source);
	ph_test_source_init(&source, NULL, 0);
	assert_int_equal(source.set.source.ops->packs(&source.set.source), 0);
	assert_int_equal(source.set.source.ops->find(&source.set.source, &none, &loc),
	                 PH_ERR_NOT_FOUND);
	ph_test_source_release(&source);
	ph_test_pack_release(&packs[0]);
	ph_test_pack_release(&packs[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_sizes_both_hashes),
	        cmocka_unit_test(skewed_ids_and_offsets_are_found),
	        cmocka_unit_test(lookups_take_few_reads),
	        cmocka_unit_test(layout_is_as_documented),
	        cmocka_unit_test(writer_refuses_what_is_wrong),
	        cmocka_unit_test(equal_ids_are_refused),
	        cmocka_unit_test(sink_errors_come_back),
	        cmocka_unit_test(wrong_headers_are_refused),
	        cmocka_unit_test(any_damage_is_survived),
	        cmocka_unit_test(read_errors_come_back),
	        cmocka_unit_test(sets_ask_packs_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
