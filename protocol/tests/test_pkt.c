/* SPDX-License-Identifier: MIT */
/* pkt-line framing: what is a packet, what is not yet one, and what never will be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <packhorse/pkt.h>

#include <stdlib.h>
#include <string.h>

static enum ph_status parse(struct ph_pkt *pkt, size_t *used, const char *text)
{
	return ph_pkt_parse(pkt, used, (const uint8_t *)text, strlen(text));
}

static void test_kinds(void **state)
{
	struct ph_pkt pkt;
	size_t used;

	(void)state;
	assert_int_equal(parse(&pkt, &used, "0000rest"), PH_OK);
	assert_int_equal(pkt.kind, PH_PKT_FLUSH);
	assert_int_equal(used, 4);
	assert_int_equal(parse(&pkt, &used, "0001"), PH_OK);
	assert_int_equal(pkt.kind, PH_PKT_DELIM);
	assert_int_equal(parse(&pkt, &used, "0002"), PH_OK);
	assert_int_equal(pkt.kind, PH_PKT_RESPONSE_END);
	assert_int_equal(parse(&pkt, &used, "0004"), PH_OK);
	assert_int_equal(pkt.kind, PH_PKT_DATA);
	assert_int_equal(pkt.len, 0);
	assert_int_equal(used, 4);
	assert_int_equal(parse(&pkt, &used, "000aHello\n0000"), PH_OK);
	assert_int_equal(pkt.len, 6);
	assert_int_equal(used, 10);
	assert_memory_equal(pkt.data, "Hello\n", 6);
	ph_pkt_chomp(&pkt);
	assert_true(ph_pkt_is(&pkt, "Hello"));
	ph_pkt_chomp(&pkt);
	assert_int_equal(pkt.len, 5);
}

static void test_partial(void **state)
{
	struct ph_pkt pkt;
	size_t used;
	const char *whole = "000Ahello!";

	(void)state;
	for (size_t len = 0; len < 10; len++)
		assert_int_equal(ph_pkt_parse(&pkt, &used, (const uint8_t *)whole, len), PH_AGAIN);
	assert_int_equal(ph_pkt_parse(&pkt, &used, (const uint8_t *)whole, 10), PH_OK);
}

static void test_bad_lengths(void **state)
{
	static const char *const bad[] = {"0003",   "+005a",  "-001",   "0x05a",  " 005a", "005 a",
	                                  "fff1",   "FFFF",   "fff5aa", "000g",   "g",     "00:0",
	                                  "00\n05", "00/0aa", "00@0aa", "00`0aa", "\n"};
	struct ph_pkt pkt;
	size_t used;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(parse(&pkt, &used, bad[i]), PH_ERR_INVALID);
}

static void test_largest(void **state)
{
	uint8_t *buf = malloc(PH_PKT_BYTES_MAX);
	struct ph_pkt pkt;
	size_t used;

	(void)state;
	assert_non_null(buf);
	memset(buf, 'x', PH_PKT_BYTES_MAX);
	ph_pkt_header(buf, PH_PKT_PAYLOAD_MAX);
	assert_memory_equal(buf, "fff0", 4);
	assert_int_equal(ph_pkt_parse(&pkt, &used, buf, PH_PKT_BYTES_MAX - 1), PH_AGAIN);
	assert_int_equal(ph_pkt_parse(&pkt, &used, buf, PH_PKT_BYTES_MAX), PH_OK);
	assert_int_equal(pkt.len, PH_PKT_PAYLOAD_MAX);
	free(buf);
}

static void test_starts(void **state)
{
	struct ph_pkt pkt;
	size_t used, len;
	const char *rest;

	(void)state;
	assert_int_equal(parse(&pkt, &used, "000cwant abc"), PH_OK);
	assert_true(ph_pkt_starts(&pkt, "want ", &rest, &len));
	assert_int_equal(len, 3);
	assert_memory_equal(rest, "abc", 3);
	assert_true(ph_pkt_starts(&pkt, "want abc", NULL, NULL));
	assert_false(ph_pkt_starts(&pkt, "want abcd", NULL, NULL));
	assert_false(ph_pkt_starts(&pkt, "have ", NULL, NULL));
	assert_int_equal(parse(&pkt, &used, "0000"), PH_OK);
	assert_false(ph_pkt_starts(&pkt, "", NULL, NULL));
	assert_false(ph_pkt_is(&pkt, ""));
}

static void test_caps(void **state)
{
	static const char caps[] = " thin-pack side-band-64k agent=git/2 object-format= x";
	const char *value;
	size_t len;

	(void)state;
	assert_true(ph_caps_find(caps, sizeof(caps) - 1, "thin-pack", NULL, NULL));
	assert_true(ph_caps_find(caps, sizeof(caps) - 1, "x", &value, &len));
	assert_int_equal(len, 0);
	assert_false(ph_caps_find(caps, sizeof(caps) - 1, "side-band", NULL, NULL));
	assert_false(ph_caps_find(caps, sizeof(caps) - 1, "band-64k", NULL, NULL));
	assert_false(ph_caps_find(caps, sizeof(caps) - 1, "git/2", NULL, NULL));
	assert_true(ph_caps_find(caps, sizeof(caps) - 1, "agent", &value, &len));
	assert_int_equal(len, 5);
	assert_memory_equal(value, "git/2", 5);
	assert_true(ph_caps_find(caps, sizeof(caps) - 1, "object-format", &value, &len));
	assert_int_equal(len, 0);
	assert_false(ph_caps_find(NULL, 0, "x", NULL, NULL));
	assert_false(ph_caps_find("xy", 2, "x", NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_kinds),       cmocka_unit_test(test_partial),
	        cmocka_unit_test(test_bad_lengths), cmocka_unit_test(test_largest),
	        cmocka_unit_test(test_starts),      cmocka_unit_test(test_caps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
