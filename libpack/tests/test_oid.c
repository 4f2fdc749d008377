/* SPDX-License-Identifier: MIT */
/* Object ids in hex and back, of both lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

static const char sha1_hex[] = "0123456789abcdef0123456789abcdef01234567";
static const char sha256_hex[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void hashes_have_names(void **state)
{
	enum ph_hash_algo algo = PH_HASH_SHA1;

	(void)state;
	assert_string_equal(ph_hash_name(PH_HASH_SHA1), "sha1");
	assert_string_equal(ph_hash_name(PH_HASH_SHA256), "sha256");
	assert_int_equal(ph_hash_from_name(&algo, "sha256", 6), PH_OK);
	assert_int_equal(algo, PH_HASH_SHA256);
	assert_int_equal(ph_hash_from_name(&algo, "sha1", 4), PH_OK);
	assert_int_equal(algo, PH_HASH_SHA1);
	assert_int_equal(ph_hash_from_name(&algo, "sha256", 4), PH_ERR_UNSUPPORTED);
	assert_int_equal(ph_hash_from_name(&algo, "sha1x", 5), PH_ERR_UNSUPPORTED);
	assert_int_equal(ph_hash_from_name(&algo, "", 0), PH_ERR_UNSUPPORTED);
	assert_int_equal(algo, PH_HASH_SHA1);
}

static void hex_goes_there_and_back(void **state)
{
	struct ph_oid oid;
	char hex[PH_OID_HEX_MAX + 1];
	size_t i;

	(void)state;
	memset(&oid, 0xee, sizeof(oid));
	assert_int_equal(ph_oid_from_hex(&oid, PH_HASH_SHA1, sha1_hex, 40), PH_OK);
	assert_int_equal(oid.bytes[0], 0x01);
	assert_int_equal(oid.bytes[19], 0x67);
	for (i = 20; i < PH_OID_BYTES_MAX; i++)
		assert_int_equal(oid.bytes[i], 0);
	assert_string_equal(ph_oid_to_hex(hex, PH_HASH_SHA1, &oid), sha1_hex);
	assert_int_equal(ph_oid_from_hex(&oid, PH_HASH_SHA256, sha256_hex, 64), PH_OK);
	assert_string_equal(ph_oid_to_hex(hex, PH_HASH_SHA256, &oid), sha256_hex);
}

static void hex_takes_both_cases(void **state)
{
	struct ph_oid lower;
	struct ph_oid upper;

	(void)state;
	assert_int_equal(ph_oid_from_hex(&upper, PH_HASH_SHA1,
	                                 "0123456789ABCDEF0123456789aBcDeF01234567", 40),
	                 PH_OK);
	assert_int_equal(ph_oid_from_hex(&lower, PH_HASH_SHA1, sha1_hex, 40), PH_OK);
	assert_true(ph_oid_equal(&lower, &upper));
}

static void every_other_byte_is_refused(void **state)
{
	struct ph_oid oid = ph_test_oid_fake(PH_HASH_SHA1, 9);
	struct ph_oid before = oid;
	char hex[41];
	unsigned byte;
	unsigned good = 0;

	(void)state;
	for (byte = 0; byte < 256; byte++) {
		size_t at = byte % 40;
		memcpy(hex, sha1_hex, sizeof(hex));
		hex[at] = (char)byte;
		if (ph_oid_from_hex(&oid, PH_HASH_SHA1, hex, 40) == PH_OK) {
			good++;
			oid = before;
		}
		assert_true(ph_oid_equal(&oid, &before));
	}
	assert_int_equal(good, 22);
}

static void other_lengths_are_refused(void **state)
{
	struct ph_oid oid;
	size_t len;

	(void)state;
	for (len = 0; len <= 64; len++) {
		assert_int_equal(ph_oid_from_hex(&oid, PH_HASH_SHA1, sha256_hex, len),
		                 len == 40 ? PH_OK : PH_ERR_INVALID);
		assert_int_equal(ph_oid_from_hex(&oid, PH_HASH_SHA256, sha256_hex, len),
		                 len == 64 ? PH_OK : PH_ERR_INVALID);
	}
}

static void ids_compare_as_bytes(void **state)
{
	struct ph_oid low = ph_test_oid_fake(PH_HASH_SHA1, 0x7f);
	struct ph_oid high = ph_test_oid_fake(PH_HASH_SHA1, 0x80);
	struct ph_oid zero = ph_test_oid_fake(PH_HASH_SHA256, 0);
	struct ph_oid copy;

	(void)state;
	assert_true(ph_oid_cmp(&low, &high) < 0);
	assert_true(ph_oid_cmp(&high, &low) > 0);
	assert_true(ph_oid_is_zero(&zero));
	assert_false(ph_oid_is_zero(&low));
	zero.bytes[31] = 1;
	assert_false(ph_oid_is_zero(&zero));
	memset(&copy, 0xff, sizeof(copy));
	ph_oid_from_bytes(&copy, PH_HASH_SHA1, low.bytes);
	assert_true(ph_oid_equal(&copy, &low));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(hashes_have_names),
	        cmocka_unit_test(hex_goes_there_and_back),
	        cmocka_unit_test(hex_takes_both_cases),
	        cmocka_unit_test(every_other_byte_is_refused),
	        cmocka_unit_test(other_lengths_are_refused),
	        cmocka_unit_test(ids_compare_as_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
