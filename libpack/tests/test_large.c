/* SPDX-License-Identifier: MIT */
/*
 * Large objects in pieces: right to the last byte for chains of deltas that jump about in their
 * bases, with every room and budget and after every rewind; bounded memory; damage and failures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <packhorse/delta.h>
#include <packhorse/large.h>
#include <packhorse/pack_out.h>
#include <stdlib.h>

#define RESIDENT ((uint64_t)20000)

struct fixture {
	struct ph_test_alloc memory;
	struct ph_limits limits;
	struct ph_test_rng rng;
	struct ph_test_pack pack;
	struct ph_test_source source;
	struct ph_reader *reader;
	struct ph_test_buf wanted; /* the last object */
	bool blamed;
	struct ph_oid culprit; /* of what could not be sent */
};

static void begin(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	ph_test_alloc_init(&f->memory);
	ph_test_rng_init(&f->rng, 11);
	ph_limits_init(&f->limits);
	f->limits.delta_resident_bytes_max = RESIDENT;
	f->limits.delta_cache_bytes_max = RESIDENT;
	ph_test_pack_init(&f->pack, PH_HASH_SHA1);
}

static enum ph_status open_source(struct fixture *f)
{
	ph_test_source_init(&f->source, &f->pack, 1);
	return ph_reader_new(&f->reader, &f->source.set.source, &f->memory.alloc, &f->limits);
}

static void end(struct fixture *f)
{
	ph_reader_free(f->reader);
	assert_int_equal(f->memory.live, 0);
	ph_test_source_release(&f->source);
	ph_test_pack_release(&f->pack);
	ph_test_buf_release(&f->wanted);
}

/* A whole blob, half noise and half text, as the object at hand. */
static void add_base(struct fixture *f, size_t size)
{
	uint8_t *data = malloc(size);

	ph_test_rng_text(&f->rng, data, size);
	ph_test_rng_fill(&f->rng, data, size / 2);
	ph_test_pack_add(&f->pack, PH_OBJ_BLOB, data, size);
	ph_test_buf_clear(&f->wanted);
	ph_test_buf_append(&f->wanted, data, size);
	free(data);
}

static void put_size(struct ph_test_buf *out, uint64_t size)
{
	do {
		uint8_t byte = (uint8_t)((size & 0x7f) | (size > 0x7f ? 0x80u : 0));

		ph_test_buf_append(out, &byte, 1);
		size >>= 7;
	} while (size);
}

static void put_copy(struct ph_test_buf *out, uint32_t offset, uint32_t size)
{
	uint8_t op[8] = {0xff,
	                 (uint8_t)offset,
	                 (uint8_t)(offset >> 8),
	                 (uint8_t)(offset >> 16),
	                 (uint8_t)(offset >> 24),
	                 (uint8_t)size,
	                 (uint8_t)(size >> 8),
	                 (uint8_t)(size >> 16)};

	ph_test_buf_append(out, op, sizeof(op));
}

/* Instructions that jump about in the base, some of them to the same few places. */
static void make_ops(struct fixture *f, struct ph_test_buf *ops, struct ph_test_buf *result,
                     uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t kind = ph_test_rng_below(&f->rng, 4);
		uint32_t size = 1 + ph_test_rng_below(&f->rng, kind == 3 ? 70000 : 2000);
		uint32_t offset = kind == 1 ? 4000 : ph_test_rng_below(&f->rng, 1u << 30);
		uint8_t insert[127], len = (uint8_t)(1 + ph_test_rng_below(&f->rng, 127));

		if (kind == 0) {
			ph_test_rng_fill(&f->rng, insert, len);
			ph_test_buf_append(ops, &len, 1);
			ph_test_buf_append(ops, insert, len);
			ph_test_buf_append(result, insert, len);
			continue;
		}
		if (size > f->wanted.len)
			size = (uint32_t)f->wanted.len;
		offset = offset % (uint32_t)(f->wanted.len - size + 1);
		put_copy(ops, offset, size);
		ph_test_buf_append(result, f->wanted.data + offset, size);
	}
}

/* Adds an entry that is this delta; what it makes becomes the object at hand. Takes both. */
static void add_made(struct fixture *f, struct ph_test_raw *raw, struct ph_test_buf *delta,
                     struct ph_test_buf *result)
{
	raw->declared = raw->content_len = delta->len;
	raw->content = delta->data;
	raw->size = result->len;
	ph_hash_object(&raw->oid, PH_HASH_SHA1, PH_OBJ_BLOB, result->data, result->len);
	ph_test_pack_add_raw(&f->pack, raw);
	ph_test_buf_release(&f->wanted);
	f->wanted = *result;
	ph_test_buf_release(delta);
}

/* A delta on the last entry, which becomes the object at hand. */
static void add_delta(struct fixture *f, uint32_t ops_count, bool by_id)
{
	const struct ph_test_entry *base = &f->pack.entries[f->pack.count - 1];
	struct ph_test_buf ops = {0}, result = {0}, delta = {0};
	struct ph_test_raw raw = {.stored = by_id ? PH_OBJ_REF_DELTA : PH_OBJ_OFS_DELTA,
	                          .distance = f->pack.run.len - base->offset,
	                          .base = base->oid,
	                          .type = PH_OBJ_BLOB};

	make_ops(f, &ops, &result, ops_count);
	put_size(&delta, f->wanted.len);
	put_size(&delta, result.len);
	ph_test_buf_append(&delta, ops.data, ops.len);
	add_made(f, &raw, &delta, &result);
	ph_test_buf_release(&ops);
}

static struct ph_loc last(const struct fixture *f)
{
	struct ph_loc loc = {0, f->pack.count - 1};

	return loc;
}

static enum ph_status open_last(struct fixture *f, struct ph_large **out)
{
	return ph_large_open(out, f->reader, last(f), &f->memory.alloc, &f->limits);
}

/* Reads all that is left in pieces of room bytes at most; compares it from at on. */
static enum ph_status read_rest(struct fixture *f, struct ph_large *large, size_t at, size_t room,
                                uint32_t budget)
{
	uint8_t *buf = malloc(room);
	uint32_t calls = 0;
	enum ph_status status;

	for (;;) {
		uint32_t left = budget;
		size_t used;

		status = ph_large_read(large, buf, room, &used, &left);
		if (status != PH_OK)
			break;
		assert_true(used > 0 || left == 0);
		assert_true(used <= f->wanted.len - at);
		assert_memory_equal(buf, f->wanted.data + at, used);
		at += used;
		assert_true(++calls < 10000000);
	}
	free(buf);
	if (status == PH_END)
		assert_int_equal(at, f->wanted.len);
	return status;
}

static void every_byte_comes(void **state)
{
	static const size_t rooms[] = {65536, 1, 1000, 1 << 20};
	static const uint32_t budgets[] = {1000, 1000, 1, 7};

	(void)state;
	for (uint32_t links = 0; links < 4; links++) {
		struct fixture f;
		struct ph_large *large;

		begin(&f);
		add_base(&f, 700001);
		for (uint32_t i = 0; i < links; i++)
			add_delta(&f, 60, i % 2 == 1);
		assert_int_equal(open_source(&f), PH_OK);
		assert_int_equal(open_last(&f, &large), PH_OK);
		assert_int_equal(ph_large_type(large), PH_OBJ_BLOB);
		assert_int_equal(ph_large_size(large), f.wanted.len);
		for (size_t i = 0; i < 4; i++) {
			/* Room for one byte is slow, and need not go through all. */
			if (rooms[i] == 1 && links > 1)
				continue;
			assert_int_equal(read_rest(&f, large, 0, rooms[i], budgets[i]), PH_END);
			ph_large_rewind(large);
		}
		ph_large_free(large);
		end(&f);
	}
}

/* A small object on a large base, and a large one on small bases. */
static void sizes_may_mix(void **state)
{
	struct fixture f;
	struct ph_large *large;

	(void)state;
	begin(&f);
	add_base(&f, 300000);
	add_delta(&f, 3, false);
	while (f.wanted.len > RESIDENT)
		add_delta(&f, 1, false);
	assert_int_equal(open_source(&f), PH_OK);
	assert_int_equal(open_last(&f, &large), PH_OK);
	assert_int_equal(read_rest(&f, large, 0, 65536, 1000), PH_END);
	ph_large_free(large);
	end(&f);

	begin(&f);
	add_base(&f, 10000);
	add_delta(&f, 300, false);
	assert_true(f.wanted.len > RESIDENT);
	assert_int_equal(open_source(&f), PH_OK);
	assert_int_equal(open_last(&f, &large), PH_OK);
	assert_int_equal(read_rest(&f, large, 0, 65536, 1000), PH_END);
	ph_large_free(large);
	end(&f);
}

static void memory_is_bounded(void **state)
{
	struct fixture f;
	struct ph_large *large;
	int64_t before;

	(void)state;
	begin(&f);
	/* So many marks that they count. */
	f.limits.delta_resident_bytes_max = 1u << 20;
	add_base(&f, 6u << 20);
	add_delta(&f, 600, false);
	add_delta(&f, 600, false);
	assert_true(f.wanted.len > (2u << 20));
	assert_int_equal(open_source(&f), PH_OK);
	before = f.memory.live_bytes;
	f.memory.peak_bytes = before;
	assert_int_equal(open_last(&f, &large), PH_OK);
	assert_int_equal(read_rest(&f, large, 0, 65536, 1000), PH_END);
	assert_true(f.memory.peak_bytes - before < (int64_t)(2 * (1u << 20)));
	ph_large_free(large);
	end(&f);
}

static void long_chains_are_refused(void **state)
{
	struct fixture f;
	struct ph_large *large;

	(void)state;
	begin(&f);
	add_base(&f, 60000);
	for (uint32_t i = 0; i < PH_LARGE_LINKS_MAX; i++) {
		struct ph_test_buf copy = {0};
		const struct ph_test_entry *base = &f.pack.entries[f.pack.count - 1];

		ph_test_buf_append(&copy, f.wanted.data, f.wanted.len);
		copy.data[i] ^= 1;
		ph_test_pack_add_ofs(&f.pack, (uint32_t)(base - f.pack.entries), copy.data,
		                     copy.len);
		ph_test_buf_release(&f.wanted);
		f.wanted = copy;
	}
	assert_int_equal(open_source(&f), PH_OK);
	assert_int_equal(open_last(&f, &large), PH_OK);
	assert_int_equal(read_rest(&f, large, 0, 65536, 1000), PH_END);
	ph_large_free(large);
	ph_reader_free(f.reader);
	ph_test_source_release(&f.source);
	ph_test_pack_add_ofs(&f.pack, f.pack.count - 1, "short\n", 6);
	assert_int_equal(open_source(&f), PH_OK);
	assert_int_equal(open_last(&f, &large), PH_ERR_LIMIT);
	end(&f);
}

/* Copies of one byte each, from places far apart, in an order that needs the whole base each time.
 */
static void add_jumps(struct fixture *f, uint32_t count, uint32_t places, bool ascending)
{
	const struct ph_test_entry *base = &f->pack.entries[f->pack.count - 1];
	uint32_t apart = (uint32_t)f->wanted.len / places;
	struct ph_test_buf result = {0}, delta = {0};
	struct ph_test_raw raw = {.stored = PH_OBJ_OFS_DELTA,
	                          .distance = f->pack.run.len - base->offset,
	                          .type = PH_OBJ_BLOB};

	put_size(&delta, f->wanted.len);
	put_size(&delta, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = ascending ? i * ((uint32_t)f->wanted.len / count)
		                        : i * 7 % places * apart + apart / 2;

		put_copy(&delta, at, 1);
		ph_test_buf_append(&result, f->wanted.data + at, 1);
	}
	add_made(f, &raw, &delta, &result);
}

/*
 * A delta may ask for a great part of its base with each of its instructions: it is given up, after
 * so much work as is in proportion. One that copies in order makes what it makes.
 */
static void work_is_bounded(void **state)
{
	(void)state;
	for (unsigned ascending = 0; ascending < 2; ascending++) {
		const uint64_t size = 4u << 20, ops = 5000;
		struct fixture f;
		struct ph_large *large;
		uint8_t buf[5000];
		uint64_t units = 0;
		enum ph_status status;

		begin(&f);
		add_base(&f, size);
		add_jumps(&f, ops, 17, ascending);
		assert_int_equal(open_source(&f), PH_OK);
		assert_int_equal(open_last(&f, &large), PH_OK);
		do {
			uint32_t budget = 100;
			size_t used;

			status = ph_large_read(large, buf, sizeof(buf), &used, &budget);
			units += 100 - budget;
		} while (status == PH_OK);
		ph_large_free(large);
		/* A unit is 4 KiB of the base. */
		assert_true(units < 65 * (size + 10 * ops) / 4096);
		if (ascending) {
			assert_int_equal(status, PH_END);
			assert_true(units < 2 * size / 4096);
		} else {
			assert_int_equal(status, PH_ERR_LIMIT);
		}
		end(&f);
	}
}

/* Deltas that are wrong, on a large base. */
static void damage_is_told(void **state)
{
	/* base size, result size, then instructions. */
	static const struct {
		uint8_t delta[16];
		size_t len, size;
	} wrong[] = {
	        {{0xe0, 0xd4, 0x03, 4, 0x90, 4}, 5, 4},       /* an argument is cut off */
	        {{0xe0, 0xd4, 0x03, 4, 0x90, 4}, 6, 5},       /* not the size of the index */
	        {{0xe1, 0xd4, 0x03, 4, 0x90, 4}, 6, 4},       /* another base */
	        {{0xe0, 0xd4, 0x03, 4, 0}, 5, 4},             /* reserved */
	        {{0xe0, 0xd4, 0x03, 4, 0x90, 3}, 6, 4},       /* too little */
	        {{0xe0, 0xd4, 0x03, 4, 0x90, 5}, 6, 4},       /* too much */
	        {{0xe0, 0xd4, 0x03, 4, 4, 'a', 'b'}, 7, 4},   /* an insert is cut off */
	        {{0xe0, 0xd4, 0x03, 4, 0x94, 0xff, 4}, 7, 4}, /* behind the base */
	        {{0xe0, 0xd4, 0x03, 4, 0x97, 0x5d, 0xea, 0, 4}, 9, 4}, /* over its end */
	        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}, 11, 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct fixture f;
		struct ph_test_raw raw = {.stored = PH_OBJ_OFS_DELTA,
		                          .declared = wrong[i].len,
		                          .content = wrong[i].delta,
		                          .content_len = wrong[i].len,
		                          .type = PH_OBJ_BLOB,
		                          .size = wrong[i].size};
		struct ph_large *large;
		uint8_t buf[64];
		size_t used;
		uint32_t budget = 1000;
		enum ph_status status;

		begin(&f);
		add_base(&f, 60000);
		raw.distance = f.pack.run.len;
		raw.oid = ph_test_oid_fake(PH_HASH_SHA1, 7);
		ph_test_pack_add_raw(&f.pack, &raw);
		assert_int_equal(open_source(&f), PH_OK);
		assert_int_equal(open_last(&f, &large), PH_OK);
		do
			status = ph_large_read(large, buf, sizeof(buf), &used, &budget);
		while (status == PH_OK);
		assert_int_equal(status, PH_ERR_CORRUPT);
		ph_large_free(large);
		end(&f);
	}
}

/* The base's stream ends early, and is none. */
static void broken_bases_are_told(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 2; kind++) {
		struct fixture f;
		struct ph_test_raw raw = {.stored = PH_OBJ_BLOB, .type = PH_OBJ_BLOB};
		struct ph_test_buf stream = {0};
		struct ph_large *large;
		uint8_t *data = calloc(1, 60000);

		begin(&f);
		ph_test_rng_text(&f.rng, data, 60000);
		ph_test_deflate(&stream, data, kind ? 60000 : 50000);
		if (kind)
			memset(stream.data + stream.len / 2, 0xff, 32);
		raw.declared = raw.size = 60000;
		raw.content = stream.data;
		raw.content_len = stream.len;
		raw.content_is_stream = true;
		raw.oid = ph_test_oid_fake(PH_HASH_SHA1, 7);
		ph_test_pack_add_raw(&f.pack, &raw);
		ph_test_buf_append(&f.wanted, data, 60000);
		assert_int_equal(open_source(&f), PH_OK);
		assert_int_equal(open_last(&f, &large), PH_OK);
		assert_int_equal(read_rest(&f, large, 0, 65536, 1000), PH_ERR_CORRUPT);
		ph_large_free(large);
		end(&f);
		ph_test_buf_release(&stream);
		free(data);
	}
}

/* The object goes out as a whole, since the client has nothing that it is a delta on. */
static enum ph_status send_last(struct fixture *f, struct ph_test_buf *file)
{
	struct ph_walk_options walk_options = {
	        .source = &f->source.set.source, .alloc = &f->memory.alloc, .limits = &f->limits};
	struct ph_pack_out_options options = {
	        .source = &f->source.set.source, .alloc = &f->memory.alloc, .limits = &f->limits};
	struct ph_walk *walk = NULL;
	struct ph_pack_out *out = NULL;
	uint32_t budget = 100000;
	enum ph_status status = ph_walk_new(&walk, &walk_options);

	if (status == PH_OK)
		status = ph_walk_want(walk, &f->pack.entries[f->pack.count - 1].oid);
	if (status == PH_OK)
		status = ph_walk_run(walk, &budget);
	options.walk = walk;
	if (status == PH_OK)
		status = ph_pack_out_new(&out, &options);
	while (status == PH_OK) {
		uint8_t chunk[5000];
		size_t used = 0;
		uint32_t left = 3;

		status = ph_pack_out_read(out, chunk, sizeof(chunk), &used, &left);
		ph_test_buf_append(file, chunk, used);
		if (status == PH_AGAIN)
			status = PH_OK;
	}
	f->blamed = out && status < 0 && ph_pack_out_culprit(out, &f->culprit) == PH_OK;
	ph_pack_out_free(out);
	ph_walk_free(walk);
	return status;
}

static void packs_have_them(void **state)
{
	struct fixture f;
	struct ph_test_buf file = {0};
	struct ph_test_unpacked unpacked;
	int64_t before;

	(void)state;
	begin(&f);
	add_base(&f, 1500000);
	add_delta(&f, 200, false);
	assert_int_equal(open_source(&f), PH_OK);
	before = f.memory.live_bytes;
	f.memory.peak_bytes = before;
	assert_int_equal(send_last(&f, &file), PH_END);
	/* Less than the object, and than its base. */
	assert_true(f.memory.peak_bytes - before < 1200000);
	assert_null(ph_test_unpack(&unpacked, PH_HASH_SHA1, file.data, file.len, NULL, 0));
	assert_int_equal(unpacked.count, 1);
	assert_int_equal(unpacked.entries[0].size, f.wanted.len);
	assert_memory_equal(unpacked.entries[0].data, f.wanted.data, f.wanted.len);
	ph_test_unpacked_release(&unpacked);
	ph_test_buf_release(&file);
	end(&f);
}

/* What is too much work ends the pack, and it is told which object that was. */
static void packs_name_what_they_lack(void **state)
{
	struct fixture f;
	struct ph_test_buf file = {0};

	(void)state;
	begin(&f);
	add_base(&f, 1500000);
	add_jumps(&f, 5000, 17, false);
	assert_int_equal(open_source(&f), PH_OK);
	assert_int_equal(send_last(&f, &file), PH_ERR_LIMIT);
	assert_true(f.blamed);
	assert_true(ph_oid_equal(&f.culprit, &f.pack.entries[f.pack.count - 1].oid));
	ph_test_buf_release(&file);
	end(&f);
}

static void failures_leave_nothing(void **state)
{
	(void)state;
	for (unsigned device = 0; device < 2; device++) {
		for (uint64_t i = 1;; i++) {
			struct fixture f;
			struct ph_test_buf file = {0};
			enum ph_status status;
			bool through;

			begin(&f);
			add_base(&f, 130000);
			add_delta(&f, 20, false);
			assert_int_equal(open_source(&f), PH_OK);
			f.memory.calls = 0;
			f.memory.fail_at = device ? 0 : i;
			f.source.faults.calls = 0;
			f.source.faults.fail_at = device ? i : 0;
			status = send_last(&f, &file);
			through = (device ? f.source.faults.calls : f.memory.calls) < i;
			/* Without memory for a mark there is none, and all is well. */
			if (device)
				assert_int_equal(status, through ? PH_END : PH_ERR_IO);
			else
				assert_true(status == PH_END ||
				            (!through && status == PH_ERR_NOMEM));
			ph_test_buf_release(&file);
			end(&f);
			if (through)
				break;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_byte_comes),
	        cmocka_unit_test(sizes_may_mix),
	        cmocka_unit_test(memory_is_bounded),
	        cmocka_unit_test(work_is_bounded),
	        cmocka_unit_test(long_chains_are_refused),
	        cmocka_unit_test(damage_is_told),
	        cmocka_unit_test(broken_bases_are_told),
	        cmocka_unit_test(packs_have_them),
	        cmocka_unit_test(packs_name_what_they_lack),
	        cmocka_unit_test(failures_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
