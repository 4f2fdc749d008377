/* SPDX-License-Identifier: MIT */
/* What a pack refers to: right types, missing objects, repetitions, bounds, and ids made to
 * collide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"
#include "../pack_in_links_int.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static struct ph__links_buffer buffer;

static struct ph__links *begin(enum ph_hash_algo algo, uint32_t max)
{
	struct ph__links *links;

	assert_int_equal(ph__links_new(&links, algo, ph_alloc_libc(), NULL, 7, max), PH_OK);
	ph__links_buffer_init(&buffer, links);
	return links;
}

/* Number n of all ids; n is below 2^32. */
static struct ph_oid id_of(enum ph_hash_algo algo, uint32_t n)
{
	struct ph_test_rng rng;
	struct ph_oid oid = {{0}};

	ph_test_rng_init(&rng, n);
	ph_test_rng_fill(&rng, oid.bytes, ph_hash_bytes(algo));
	return oid;
}

static void add(enum ph_hash_algo algo, enum ph_object_type type, uint32_t n)
{
	struct ph_oid oid = id_of(algo, n);

	ph__links_add(&buffer, type, oid.bytes);
}

static void settle(struct ph__links *links, enum ph_hash_algo algo, enum ph_object_type type,
                   uint32_t n)
{
	struct ph_oid oid = id_of(algo, n);

	ph__links_settle(links, type, &oid);
}

static void expect_outside(const struct ph__links *links, enum ph_hash_algo algo,
                           enum ph_object_type type, uint32_t n)
{
	struct ph_oid wanted = id_of(algo, n);
	struct ph_oid oid;
	enum ph_object_type found;
	uint32_t at = 0;

	assert_int_equal(ph__links_next(links, &at, &found, &oid), PH_OK);
	assert_true(ph_oid_equal(&oid, &wanted));
	assert_int_equal(found, type);
	assert_int_equal(ph__links_next(links, &at, &found, &oid), PH_END);
}

static void nothing(void **state)
{
	struct ph__links *links = begin(PH_HASH_SHA1, 10);
	struct ph_oid oid;
	enum ph_object_type type;
	uint32_t at = 0;

	(void)state;
	ph__links_flush(&buffer);
	settle(links, PH_HASH_SHA1, PH_OBJ_BLOB, 1);
	assert_true(ph__links_closed(links));
	assert_int_equal(ph__links_count(links), 0);
	assert_int_equal(ph__links_next(links, &at, &type, &oid), PH_END);
	ph__links_free(links);
	ph__links_free(NULL);
}

/* A commit of a tree of a tree, a file, a symbolic link and a submodule; and a tag of it. */
static struct ph__links *history(enum ph_hash_algo algo)
{
	struct ph__links *links = begin(algo, 100);
	struct ph_test_buf text = {0};
	struct ph_oid oid = id_of(algo, 1);
	struct ph_oid parents[2] = {id_of(algo, 2), id_of(algo, 3)};

	ph_test_commit_text(&text, algo, &oid, parents, 2, 1, "m");
	ph__links_add_object(&buffer, PH_OBJ_COMMIT, text.data, text.len);
	ph_test_buf_clear(&text);
	oid = id_of(algo, 4);
	ph_test_tree_entry(&text, algo, 0100644, "a", &oid);
	oid = id_of(algo, 5);
	ph_test_tree_entry(&text, algo, 040000, "b", &oid);
	oid = id_of(algo, 6);
	ph_test_tree_entry(&text, algo, 0120000, "c", &oid);
	oid = id_of(algo, 7);
	ph_test_tree_entry(&text, algo, 0160000, "d", &oid);
	ph__links_add_object(&buffer, PH_OBJ_TREE, text.data, text.len);
	ph_test_buf_clear(&text);
	oid = id_of(algo, 2);
	ph_test_tag_text(&text, algo, &oid, PH_OBJ_COMMIT, "v1");
	ph__links_add_object(&buffer, PH_OBJ_TAG, text.data, text.len);
	ph__links_add_object(&buffer, PH_OBJ_BLOB, "x", 1);
	ph__links_flush(&buffer);
	ph_test_buf_release(&text);
	assert_int_equal(ph__links_count(links), 6);
	return links;
}

static const struct {
	enum ph_object_type type;
	uint32_t n;
} members[] = {{PH_OBJ_TREE, 1}, {PH_OBJ_COMMIT, 2}, {PH_OBJ_COMMIT, 3},
               {PH_OBJ_BLOB, 4}, {PH_OBJ_TREE, 5},   {PH_OBJ_BLOB, 6}};
#define MEMBERS (sizeof members / sizeof members[0])

static void objects(void **state)
{
	(void)state;
	for (unsigned algo = PH_HASH_SHA1; algo <= PH_HASH_SHA256; algo++) {
		struct ph__links *links = history((enum ph_hash_algo)algo);

		for (size_t i = 0; i < MEMBERS; i++) {
			assert_false(ph__links_closed(links));
			settle(links, (enum ph_hash_algo)algo, members[i].type, members[i].n);
			settle(links, (enum ph_hash_algo)algo, members[i].type, members[i].n);
		}
		assert_true(ph__links_closed(links));
		ph__links_free(links);
	}
}

/* What is there with another type is not there; nor is what is not there at all. */
static void missing_and_wrong_types(void **state)
{
	(void)state;
	for (size_t wrong = 0; wrong < MEMBERS; wrong++) {
		for (unsigned type = 0; type <= PH_OBJ_TAG; type++) {
			struct ph__links *links = history(PH_HASH_SHA1);

			if (type == (unsigned)members[wrong].type)
				type++;
			for (size_t i = 0; i < MEMBERS; i++) {
				if (i != wrong)
					settle(links, PH_HASH_SHA1, members[i].type, members[i].n);
				else if (type > 0)
					settle(links, PH_HASH_SHA1, (enum ph_object_type)type,
					       members[i].n);
			}
			assert_false(ph__links_closed(links));
			assert_int_equal(ph__links_outside(links), 1);
			expect_outside(links, PH_HASH_SHA1, members[wrong].type, members[wrong].n);
			ph__links_free(links);
		}
	}
}

/* One id that two entries call a file and a directory cannot be both. */
static void two_types(void **state)
{
	struct ph__links *links = begin(PH_HASH_SHA1, 10);

	(void)state;
	add(PH_HASH_SHA1, PH_OBJ_TREE, 1);
	add(PH_HASH_SHA1, PH_OBJ_BLOB, 1);
	ph__links_flush(&buffer);
	settle(links, PH_HASH_SHA1, PH_OBJ_TREE, 1);
	assert_false(ph__links_closed(links));
	expect_outside(links, PH_HASH_SHA1, PH_OBJ_BLOB, 1);
	ph__links_free(links);
}

static void unreadable(void **state)
{
	static const enum ph_object_type types[] = {PH_OBJ_COMMIT, PH_OBJ_TREE, PH_OBJ_TAG};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct ph__links *links = begin(PH_HASH_SHA1, 10);
		struct ph_oid oid;
		enum ph_object_type type;
		uint32_t at = 0;

		ph__links_add_object(&buffer, types[i], "100644 x", 8);
		ph__links_flush(&buffer);
		assert_false(ph__links_closed(links));
		assert_true(ph__links_gave_up(links));
		assert_int_equal(ph__links_next(links, &at, &type, &oid), PH_ERR_LIMIT);
		settle(links, PH_HASH_SHA1, PH_OBJ_BLOB, 1);
		add(PH_HASH_SHA1, PH_OBJ_BLOB, 1);
		ph__links_flush(&buffer);
		assert_false(ph__links_closed(links));
		ph__links_free(links);
	}
}

/* Each many times, in turns that no recent one catches. */
static void many(void **state)
{
	const uint32_t count = 100000;

	(void)state;
	for (unsigned a = PH_HASH_SHA1; a <= PH_HASH_SHA256; a++) {
		enum ph_hash_algo algo = (enum ph_hash_algo)a;
		struct ph__links *links = begin(algo, count);

		for (unsigned round = 0; round < 12; round++) {
			for (uint32_t i = 0; i < count; i++)
				add(algo, i % 2 ? PH_OBJ_TREE : PH_OBJ_BLOB, i);
		}
		ph__links_flush(&buffer);
		assert_int_equal(ph__links_count(links), count);
		assert_true(ph__links_held(links) <
		            (uint64_t)count * (ph_hash_bytes(algo) + 12) + 65536);
		for (uint32_t i = 1; i < count; i++)
			settle(links, algo, i % 2 ? PH_OBJ_TREE : PH_OBJ_BLOB, i);
		assert_int_equal(ph__links_outside(links), 1);
		expect_outside(links, algo, PH_OBJ_BLOB, 0);
		settle(links, algo, PH_OBJ_BLOB, 0);
		assert_true(ph__links_closed(links));
		ph__links_free(links);
	}
}

static void bounds(void **state)
{
	struct ph__links *links = begin(PH_HASH_SHA1, 1000);

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		add(PH_HASH_SHA1, PH_OBJ_BLOB, i);
	ph__links_flush(&buffer);
	assert_false(ph__links_gave_up(links));
	add(PH_HASH_SHA1, PH_OBJ_BLOB, 1000);
	ph__links_flush(&buffer);
	assert_true(ph__links_gave_up(links));
	assert_false(ph__links_closed(links));
	assert_true(ph__links_held(links) < 1024);
	ph__links_free(links);
}

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 27) * 0x94d049bb133111ebu;
	return value ^ value >> 31;
}

/* Who knows the seed can make ids of one bucket. They end the set, and not its speed. */
static void made_to_collide(void **state)
{
	struct ph__links *links = begin(PH_HASH_SHA256, 1000000);
	uint64_t key0 = mix(7 + 0x9e3779b97f4a7c15u) | 1;
	uint64_t key1 = mix(7 + 2 * 0x9e3779b97f4a7c15u) | 1;
	uint32_t added = 0;

	(void)state;
	for (; added < 100000 && !ph__links_gave_up(links); added++) {
		uint64_t words[4] = {key1 * added, 0 - key0 * added, 1, 1};

		ph__links_add(&buffer, PH_OBJ_BLOB, (const uint8_t *)words);
		ph__links_flush(&buffer);
	}
	assert_true(added < 100);
	assert_false(ph__links_closed(links));
	ph__links_free(links);
}

/* Without memory it gives up, and leaks nothing. */
static void memory(void **state)
{
	struct ph_test_alloc alloc;
	bool through = false;

	(void)state;
	for (uint64_t fail = 1; !through; fail++) {
		struct ph__links *links = NULL;
		enum ph_status status;

		ph_test_alloc_init(&alloc);
		alloc.fail_at = fail;
		status = ph__links_new(&links, PH_HASH_SHA1, &alloc.alloc, NULL, 1, 100000);
		if (status == PH_OK) {
			ph__links_buffer_init(&buffer, links);
			for (uint32_t i = 0; i < 50000; i++)
				add(PH_HASH_SHA1, PH_OBJ_BLOB, i);
			ph__links_flush(&buffer);
			through = alloc.calls < fail;
			assert_int_equal(ph__links_gave_up(links), !through);
		} else {
			assert_int_equal(status, PH_ERR_NOMEM);
		}
		ph__links_free(links);
		assert_int_equal(alloc.live, 0);
	}
}

/* ---- threads ---- */

#define THREADS 4u
#define EACH 20000u

struct thread {
	struct ph__links_buffer buffer;
	uint32_t number;
};

/* Half of what one adds is what the next one adds, too. */
static void *fill(void *arg)
{
	struct thread *thread = arg;

	for (uint32_t i = 0; i < EACH; i++) {
		struct ph_oid oid = id_of(PH_HASH_SHA1, thread->number * EACH / 2 + i);

		ph__links_add(&thread->buffer, PH_OBJ_BLOB, oid.bytes);
	}
	ph__links_flush(&thread->buffer);
	return NULL;
}

static void threads(void **state)
{
	static struct thread lanes[THREADS];
	pthread_t ids[THREADS];
	struct ph__links *links;

	(void)state;
	assert_int_equal(
	        ph__links_new(&links, PH_HASH_SHA1, ph_alloc_libc(), &ph_test_sync, 1, 1000000),
	        PH_OK);
	for (uint32_t i = 0; i < THREADS; i++) {
		ph__links_buffer_init(&lanes[i].buffer, links);
		lanes[i].number = i;
		assert_int_equal(pthread_create(&ids[i], NULL, fill, &lanes[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(ids[i], NULL), 0);
	assert_int_equal(ph__links_count(links), EACH / 2 * (THREADS + 1));
	for (uint32_t i = 0; i < EACH / 2 * (THREADS + 1); i++)
		settle(links, PH_HASH_SHA1, PH_OBJ_BLOB, i);
	assert_true(ph__links_closed(links));
	ph__links_free(links);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing),         cmocka_unit_test(objects),
	        cmocka_unit_test(two_types),       cmocka_unit_test(missing_and_wrong_types),
	        cmocka_unit_test(unreadable),      cmocka_unit_test(many),
	        cmocka_unit_test(bounds),          cmocka_unit_test(memory),
	        cmocka_unit_test(made_to_collide), cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
