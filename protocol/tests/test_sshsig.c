/* SPDX-License-Identifier: MIT */
/* SSH signatures taken apart, lines of allowed signers, keys and fingerprints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "signatures.h"
#include "support.h"

#include <packhorse/hash.h>
#include <packhorse/sha512.h>
#include <packhorse/sshsig.h>
#include <string.h>

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJyUeFjtcq2uWZpTa1csKQvS2VO6GByG/a97z3GQNj5L"
#define OTHER "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJyUeFjtcq2uWZpTa1csKQvS2VO6GByG/a97z3GQNj5M"

static const char *why;

static size_t key_of(const char *line, uint8_t *out, size_t room)
{
	const char *text = strchr(line, ' ') + 1;

	assert_int_equal(ph_base64_decode(out, &room, text, strlen(text)), PH_OK);
	return room;
}

/* ---- base64 ---- */

static void expect_base64(const char *text, enum ph_status expected, const char *bytes)
{
	uint8_t out[16];
	size_t len = 6;

	assert_int_equal(ph_base64_decode(out, &len, text, strlen(text)), expected);
	if (expected == PH_OK) {
		assert_int_equal(len, strlen(bytes));
		assert_memory_equal(out, bytes, len);
	}
}

static void test_base64(void **state)
{
	static const char *const bad[] = {"Z",     "Zg",   "Zg=",      "Zm9vY",  "Zh==", "Zm9=",
	                                  "=m9v",  "Z===", "Zg==Zg==", "Z g=",   "Zg=v", "Zm-v",
	                                  "Zm9v=", "====", "Zg==\nZ",  "Zm9\x80"};

	(void)state;
	expect_base64("", PH_OK, "");
	expect_base64("Zg==", PH_OK, "f");
	expect_base64("Zm8=", PH_OK, "fo");
	expect_base64("Zm9v", PH_OK, "foo");
	expect_base64("Zm9v\nYmFy\r\n", PH_OK, "foobar");
	expect_base64("Zm9vYmFyZg==", PH_ERR_LIMIT, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		expect_base64(bad[i], PH_ERR_INVALID, NULL);
}

static void test_fingerprint(void **state)
{
	uint8_t key[64];
	size_t len = key_of(signatures[0].key, key, sizeof(key));
	char text[PH_FINGERPRINT_BYTES];

	(void)state;
	ph_key_fingerprint(text, key, len);
	assert_string_equal(text, ED25519_FINGERPRINT);
	assert_true(ph_key_line_is(ED25519_FINGERPRINT " a comment", key, len));
	assert_true(ph_key_line_is(KEY, key, len));
	assert_false(ph_key_line_is(OTHER, key, len));
	assert_false(ph_key_line_is("SHA256:", key, len));
	assert_int_equal(ph_key_line_check(KEY " comment", &why), PH_OK);
	assert_int_equal(ph_key_line_check("  " ED25519_FINGERPRINT, &why), PH_OK);
	assert_int_equal(ph_key_line_check("SHA256:abc", &why), PH_ERR_INVALID);
	assert_int_equal(ph_key_line_check("nonsense", &why), PH_ERR_INVALID);
	assert_int_equal(ph_key_line_check("ssh-ed25519", &why), PH_ERR_INVALID);
}

static void test_sha512(void **state)
{
	/* FIPS 180-4's example. */
	static const uint8_t expected[8] = {0xdd, 0xaf, 0x35, 0xa1, 0x93, 0x61, 0x7a, 0xba};
	struct ph_sha512 hash;
	uint8_t out[PH_SHA512_BYTES];

	(void)state;
	ph_sha512_init(&hash);
	ph_sha512_update(&hash, "a", 1);
	ph_sha512_update(&hash, NULL, 0);
	ph_sha512_update(&hash, "bc", 2);
	ph_sha512_final(&hash, out);
	assert_memory_equal(out, expected, sizeof(expected));
}

/* ---- signatures ---- */

static enum ph_status parse(const char *text, size_t len)
{
	struct ph_test_alloc memory;
	struct ph_sshsig sig;
	enum ph_status status;

	ph_test_alloc_init(&memory);
	why = NULL;
	status = ph_sshsig_parse(&sig, text, len, &memory.alloc, &why);
	if (status == PH_OK)
		ph_mem_free(&memory.alloc, sig.blob);
	else
		assert_non_null(why);
	assert_int_equal(memory.live, 0);
	return status;
}

static void test_good(void **state)
{
	struct ph_test_alloc memory;

	(void)state;
	ph_test_alloc_init(&memory);
	for (size_t i = 0; i < sizeof(signatures) / sizeof(*signatures); i++) {
		const char *text = signatures[i].text;
		uint8_t key[1024], out[PH_SSHSIG_SIGNED_MAX];
		size_t len = key_of(signatures[i].key, key, sizeof(key));
		struct ph_sshsig sig;

		assert_int_equal(ph_sshsig_parse(&sig, text, strlen(text), &memory.alloc, &why),
		                 PH_OK);
		assert_int_equal(sig.key_len, len);
		assert_memory_equal(sig.key, key, len);
		assert_int_equal(sig.sha512, !strstr(signatures[i].name, "sha256"));
		assert_true(ph_sshsig_is_for(&sig, "git"));
		assert_false(ph_sshsig_is_for(&sig, "gi"));
		assert_false(ph_sshsig_is_for(&sig, "file"));
		memset(key, 7, 64);
		assert_int_equal(ph_sshsig_signed(&sig, key, out, &len), PH_OK);
		assert_int_equal(len, 6 + 4 + 3 + 4 + 4 + 6 + 4 + (sig.sha512 ? 64 : 32));
		assert_memory_equal(out, "SSHSIG\0\0\0\3git\0\0\0\0\0\0\0\6sha", 24);
		ph_mem_free(&memory.alloc, sig.blob);
	}
	assert_int_equal(memory.live, 0);
	assert_int_equal(parse(other_purpose, strlen(other_purpose)), PH_OK);
}

/* Cut anywhere, it is none; and neither with anything in front or behind. */
static void test_cut(void **state)
{
	const char *text = signatures[0].text;
	size_t len = strlen(text);
	struct ph_test_buf buf = {0};

	(void)state;
	assert_int_equal(parse(text, len - 1), PH_OK); /* the last end of line is no matter */
	for (size_t i = 0; i < len - 1; i++)
		assert_int_not_equal(parse(text, i), PH_OK);
	ph_test_buf_print(&buf, "%s%s", text, text);
	assert_int_equal(parse((char *)buf.data, buf.len), PH_ERR_INVALID);
	ph_test_buf_clear(&buf);
	ph_test_buf_print(&buf, "%sx\n", text);
	assert_int_equal(parse((char *)buf.data, buf.len), PH_ERR_INVALID);
	ph_test_buf_clear(&buf);
	ph_test_buf_print(&buf, " %s", text);
	assert_int_equal(parse((char *)buf.data, buf.len), PH_ERR_INVALID);
	ph_test_buf_clear(&buf);
	ph_test_buf_print(&buf, "%s\n\r\n", text);
	assert_int_equal(parse((char *)buf.data, buf.len), PH_OK);
	for (size_t i = 0; i < PH_SSHSIG_TEXT_MAX; i++)
		ph_test_buf_append(&buf, "\n", 1);
	assert_int_equal(parse((char *)buf.data, buf.len), PH_ERR_LIMIT);
	ph_test_buf_release(&buf);
}

/* Base64 of a blob, in armor. */
static void wrap(struct ph_test_buf *out, const uint8_t *blob, size_t len)
{
	static const char digits[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	ph_test_buf_clear(out);
	ph_test_buf_print(out, PH_SSHSIG_BEGIN "\n");
	for (size_t i = 0; i < len; i += 3) {
		uint32_t bits = (uint32_t)blob[i] << 16;
		char group[4];

		bits |= i + 1 < len ? (uint32_t)blob[i + 1] << 8 : 0;
		bits |= i + 2 < len ? blob[i + 2] : 0;
		for (unsigned j = 0; j < 4; j++)
			group[j] = i + j > len ? '=' : digits[bits >> (18 - 6 * j) & 63];
		ph_test_buf_append(out, group, 4);
	}
	ph_test_buf_print(out, "\n" PH_SSHSIG_END "\n");
}

/* Every byte of the blob changed, every length of it: an error or other fields, never more. */
static void test_blobs(void **state)
{
	struct ph_test_alloc memory;
	struct ph_test_buf text = {0};
	struct ph_sshsig sig;
	uint8_t blob[512];
	size_t len;

	(void)state;
	ph_test_alloc_init(&memory);
	assert_int_equal(ph_sshsig_parse(&sig, signatures[0].text, strlen(signatures[0].text),
	                                 &memory.alloc, &why),
	                 PH_OK);
	len = (size_t)(sig.signature - sig.blob) + sig.signature_len;
	memcpy(blob, sig.blob, len);
	ph_mem_free(&memory.alloc, sig.blob);
	wrap(&text, blob, len);
	assert_int_equal(parse((char *)text.data, text.len), PH_OK);
	for (size_t i = 0; i < len; i++) {
		wrap(&text, blob, i);
		assert_int_equal(parse((char *)text.data, text.len), PH_ERR_INVALID);
		for (unsigned bit = 0; bit < 8; bit++) {
			blob[i] ^= (uint8_t)(1u << bit);
			wrap(&text, blob, len);
			parse((char *)text.data, text.len);
			blob[i] ^= (uint8_t)(1u << bit);
		}
	}
	blob[len] = 0;
	wrap(&text, blob, len + 1);
	assert_int_equal(parse((char *)text.data, text.len), PH_ERR_INVALID);
	assert_non_null(strstr(why, "behind its end"));
	blob[9] = 2;
	wrap(&text, blob, len);
	assert_int_equal(parse((char *)text.data, text.len), PH_ERR_UNSUPPORTED);
	ph_test_buf_release(&text);
}

static void test_no_memory(void **state)
{
	struct ph_test_alloc memory;
	struct ph_sshsig sig;

	(void)state;
	ph_test_alloc_init(&memory);
	memory.fail_at = 1;
	assert_int_equal(ph_sshsig_parse(&sig, signatures[0].text, strlen(signatures[0].text),
	                                 &memory.alloc, &why),
	                 PH_ERR_NOMEM);
	assert_int_equal(memory.live, 0);
}

static void test_long_names(void **state)
{
	uint8_t name[PH_SSHSIG_SIGNED_MAX] = {0}, digest[64] = {0}, out[PH_SSHSIG_SIGNED_MAX];
	struct ph_sshsig sig = {.name_space = name, .reserved = name, .sha512 = true};
	size_t len, room = PH_SSHSIG_SIGNED_MAX - 6 - 16 - 6 - 64;

	(void)state;
	for (size_t i = 0; i <= sizeof(name); i++) {
		sig.name_space_len = i;
		sig.reserved_len = i <= room ? room - i : 0;
		assert_int_equal(ph_sshsig_signed(&sig, digest, out, &len),
		                 i <= room ? PH_OK : PH_ERR_LIMIT);
		sig.reserved_len++;
		assert_int_equal(ph_sshsig_signed(&sig, digest, out, &len), PH_ERR_LIMIT);
	}
}

/* ---- signers ---- */

static struct ph_signer signer_of(const char *line)
{
	struct ph_signer signer;
	enum ph_status status = ph_signer_parse(&signer, line, &why);

	if (status != PH_OK)
		fail_msg("%s: %s", line, why);
	return signer;
}

static void expect_name(const char *line, const char *expected)
{
	struct ph_signer signer = signer_of(line);
	const char *name;
	size_t len;

	ph_signer_name(&signer, &name, &len);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(name, expected, len);
}

static void test_signers(void **state)
{
	static const char *const bad[] = {
	        "",
	        "   ",
	        "# a comment",
	        "a@b",
	        KEY,
	        "a@b ssh-ed25519",
	        "a@b ssh-ed25519 AAAA",
	        "a@b ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJyUeFjtcq2uWZpTa1csKQvS2VO6GByG/a97z3GQNj5L",
	        "a@b ssh-dss AAAAB3NzaC1kc3MAAAAA",
	        "a@b cert-authority " KEY,
	        "a@b namespaces=\"git\",cert-authority " KEY,
	        "a@b namespaces=git " KEY,
	        "a@b namespaces=\"git " KEY,
	        "a@b namespaces " KEY,
	        "a@b namespaces=\"git\", " KEY,
	        "a@b namespaces=\"git\"valid-after=\"20200101\" " KEY,
	        "a@b namespaces=\"git\",namespaces=\"git\" " KEY,
	        "a@b valid-after=\"2020\" " KEY,
	        "a@b valid-after=\"20201301\" " KEY,
	        "a@b valid-after=\"202001011\" " KEY,
	        "a@b valid-after=\"19700101\" " KEY,
	        "a@b valid-after=\"20200101\",valid-after=\"20200101\" " KEY,
	        "a@b no-such-option " KEY,
	        "a@b =\"x\" " KEY,
	        "\"a@b " KEY,
	        "a@b ssh-ed25519 AAAAC3Nza\rC1lZDI1NTE5AAAAIJyU",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct ph_signer signer;

		why = NULL;
		if (ph_signer_parse(&signer, bad[i], &why) != PH_ERR_INVALID)
			fail_msg("taken: %s", bad[i]);
		assert_non_null(why);
	}
	expect_name("a@b,c@d " KEY, "a@b");
	expect_name("!a@b,c@d\t" KEY " comment", "c@d");
	expect_name("\"a b,c\" " KEY, "a b");
	expect_name("!a " KEY, "");
	for (size_t i = 0; i < sizeof(signatures) / sizeof(*signatures); i++) {
		struct ph_test_buf line = {0};
		uint8_t key[1024];
		size_t len = key_of(signatures[i].key, key, sizeof(key));
		struct ph_signer signer;

		ph_test_buf_print(&line, "* %s", signatures[i].key);
		ph_test_buf_append(&line, "", 1);
		signer = signer_of((char *)line.data);
		assert_true(ph_signer_is(&signer, key, len));
		assert_false(ph_signer_is(&signer, key, len - 1));
		key[len] = 0;
		assert_false(ph_signer_is(&signer, key, len + 1));
		key[len - 1] ^= 1;
		assert_false(ph_signer_is(&signer, key, len));
		ph_test_buf_release(&line);
	}
}

static bool may(const char *options, uint64_t time)
{
	struct ph_test_buf line = {0};
	struct ph_signer signer;
	bool answer;

	ph_test_buf_print(&line, "a@b %s " KEY, options);
	ph_test_buf_append(&line, "", 1);
	signer = signer_of((char *)line.data);
	answer = ph_signer_may(&signer, "git") && ph_signer_valid(&signer, time);
	ph_test_buf_release(&line);
	return answer;
}

static void test_may(void **state)
{
	static const struct {
		const char *list;
		bool may;
	} lists[] = {{"git", true},       {"file,git", true}, {"file", false}, {"*", true},
	             {"g?t", true},       {"gi*t", true},     {"gi", false},   {"gitt", false},
	             {"*,!git", false},   {"!git,*", false},  {"!x,g*", true}, {"!x", false},
	             {"****t", true},     {"?", false},       {"", false},     {"*i*", true},
	             {"g*t*x,git", true}, {"???,!f*", true},  {",git", true}};
	struct ph_test_buf option = {0};

	(void)state;
	assert_true(may("", 0));
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		ph_test_buf_clear(&option);
		ph_test_buf_print(&option, "NameSpaces=\"%s\"", lists[i].list);
		ph_test_buf_append(&option, "", 1);
		if (may((char *)option.data, 1) != lists[i].may)
			fail_msg("namespaces=\"%s\"", lists[i].list);
	}
	ph_test_buf_release(&option);
	/* 2023-11-14 22:13:20 UTC is 1700000000. */
	assert_true(may("valid-after=\"20231114221320Z\"", 1700000000));
	assert_false(may("valid-after=\"20231114221321\"", 1700000000));
	assert_true(may("valid-before=\"20231114221320\"", 1700000000));
	assert_false(may("valid-before=\"20231114221319\"", 1700000000));
	assert_true(may("valid-before=\"20231115\"", 1700006400));
	assert_false(may("valid-before=\"20231115\"", 1700006401));
	assert_true(may("valid-after=\"200002291200\",valid-before=\"20000229120059\"", 951825659));
	assert_false(may("valid-before=\"20300101\"", 0));
	assert_false(may("valid-after=\"20000101\"", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_base64),    cmocka_unit_test(test_fingerprint),
	        cmocka_unit_test(test_sha512),    cmocka_unit_test(test_good),
	        cmocka_unit_test(test_cut),       cmocka_unit_test(test_blobs),
	        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_long_names),
	        cmocka_unit_test(test_signers),   cmocka_unit_test(test_may),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
