/* SPDX-License-Identifier: MIT */
/* SHA-1 and SHA-256 against the vectors of FIPS 180, ids that git is known for, CRC-32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

struct vector {
	enum ph_hash_algo algo;
	const char *text;
	const char *digest;
};

static const struct vector vectors[] = {
        {PH_HASH_SHA1, "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {PH_HASH_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {PH_HASH_SHA1, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {PH_HASH_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {PH_HASH_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {PH_HASH_SHA256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void assert_hex(enum ph_hash_algo algo, const struct ph_oid *oid, const char *hex)
{
	char got[PH_OID_HEX_MAX + 1];

	assert_string_equal(ph_oid_to_hex(got, algo, oid), hex);
}

static void published_vectors(void **state)
{
	struct ph_hash hash;
	struct ph_oid oid;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		ph_hash_init(&hash, vectors[i].algo);
		ph_hash_update(&hash, vectors[i].text, strlen(vectors[i].text));
		ph_hash_final(&hash, &oid);
		assert_hex(vectors[i].algo, &oid, vectors[i].digest);
	}
}

static void a_million_times_a(void **state)
{
	struct ph_hash one;
	struct ph_hash two;
	struct ph_oid oid;
	char block[1000];
	unsigned i;

	(void)state;
	memset(block, 'a', sizeof(block));
	ph_hash_init(&one, PH_HASH_SHA1);
	ph_hash_init(&two, PH_HASH_SHA256);
	for (i = 0; i < 1000; i++) {
		ph_hash_update(&one, block, sizeof(block));
		ph_hash_update(&two, block, sizeof(block));
	}
	ph_hash_final(&one, &oid);
	assert_hex(PH_HASH_SHA1, &oid, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
	ph_hash_final(&two, &oid);
	assert_hex(PH_HASH_SHA256, &oid,
	           "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void splits_do_not_matter(void **state)
{
	uint8_t data[300];
	struct ph_test_rng rng;
	struct ph_oid whole;
	struct ph_oid split;
	struct ph_hash hash;
	size_t cut;
	int algo;

	(void)state;
	ph_test_rng_init(&rng, 1);
	ph_test_rng_fill(&rng, data, sizeof(data));
	for (algo = PH_HASH_SHA1; algo <= PH_HASH_SHA256; algo++) {
		ph_hash_init(&hash, (enum ph_hash_algo)algo);
		ph_hash_update(&hash, data, sizeof(data));
		ph_hash_final(&hash, &whole);
		for (cut = 0; cut <= sizeof(data); cut++) {
			ph_hash_init(&hash, (enum ph_hash_algo)algo);
			ph_hash_update(&hash, data, cut);
			ph_hash_update(&hash, NULL, 0);
			ph_hash_update(&hash, data + cut, sizeof(data) - cut);
			ph_hash_final(&hash, &split);
			assert_true(ph_oid_equal(&whole, &split));
		}
	}
}

static void known_objects(void **state)
{
	struct ph_hash hash;
	struct ph_oid oid;

	(void)state;
	ph_hash_object(&oid, PH_HASH_SHA1, PH_OBJ_TREE, NULL, 0);
	assert_hex(PH_HASH_SHA1, &oid, "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
	ph_hash_object(&oid, PH_HASH_SHA1, PH_OBJ_BLOB, NULL, 0);
	assert_hex(PH_HASH_SHA1, &oid, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
	ph_hash_object(&oid, PH_HASH_SHA1, PH_OBJ_BLOB, "hello\n", 6);
	assert_hex(PH_HASH_SHA1, &oid, "ce013625030ba8dba906f756967f9e9ca394464a");
	ph_hash_object(&oid, PH_HASH_SHA256, PH_OBJ_TREE, NULL, 0);
	assert_hex(PH_HASH_SHA256, &oid,
	           "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321");
	ph_hash_object(&oid, PH_HASH_SHA256, PH_OBJ_BLOB, NULL, 0);
	assert_hex(PH_HASH_SHA256, &oid,
	           "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813");
	ph_hash_init_object(&hash, PH_HASH_SHA1, PH_OBJ_BLOB, 6);
	ph_hash_update(&hash, "hel", 3);
	ph_hash_update(&hash, "lo\n", 3);
	ph_hash_final(&hash, &oid);
	assert_hex(PH_HASH_SHA1, &oid, "ce013625030ba8dba906f756967f9e9ca394464a");
}

static void object_headers_hold_any_size(void **state)
{
	static const char header[] = "commit 18446744073709551615";
	struct ph_hash hash;
	struct ph_oid want;
	struct ph_oid got;

	(void)state;
	ph_hash_init(&hash, PH_HASH_SHA1);
	ph_hash_update(&hash, header, sizeof(header));
	ph_hash_final(&hash, &want);
	ph_hash_init_object(&hash, PH_HASH_SHA1, PH_OBJ_COMMIT, UINT64_MAX);
	ph_hash_final(&hash, &got);
	assert_true(ph_oid_equal(&want, &got));
}

/* Side by side or one by one, of any sizes and number: the same ids. */
static void items_are_as_objects(void **state)
{
	static uint8_t data[3000];
	struct ph_hash_item items[200];
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 3);
	ph_test_rng_fill(&rng, data, sizeof(data));
	for (size_t count = 0; count <= 200; count++) {
		for (size_t i = 0; i < count; i++) {
			size_t max = ph_test_rng_next(&rng) % 4 == 0 ? sizeof(data) : 100;

			items[i].size = (size_t)(ph_test_rng_next(&rng) % max);
			items[i].data =
			        data + ph_test_rng_next(&rng) % (sizeof(data) - items[i].size);
			items[i].type = (enum ph_object_type)(1 + ph_test_rng_next(&rng) % 4);
			items[i].attacked = true;
			if (ph_test_rng_next(&rng) % 8 == 0)
				items[i] = (struct ph_hash_item){.type = PH_OBJ_BLOB};
		}
		for (int algo = PH_HASH_SHA1; algo <= PH_HASH_SHA256; algo++) {
			ph_hash_items((enum ph_hash_algo)algo, items, count);
			for (size_t i = 0; i < count; i++) {
				struct ph_oid oid;

				ph_hash_object(&oid, (enum ph_hash_algo)algo, items[i].type,
				               items[i].data, items[i].size);
				assert_true(ph_oid_equal(&oid, &items[i].oid));
				assert_false(items[i].attacked);
			}
		}
	}
}

static void crc32_check_value(void **state)
{
	(void)state;
	assert_int_equal(ph_crc32(0, "123456789", 9), 0xcbf43926u);
	assert_int_equal(ph_crc32(ph_crc32(0, "1234", 4), "56789", 5), 0xcbf43926u);
	assert_int_equal(ph_crc32(5, NULL, 0), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(published_vectors),
	        cmocka_unit_test(a_million_times_a),
	        cmocka_unit_test(splits_do_not_matter),
	        cmocka_unit_test(known_objects),
	        cmocka_unit_test(object_headers_hold_any_size),
	        cmocka_unit_test(items_are_as_objects),
	        cmocka_unit_test(crc32_check_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
