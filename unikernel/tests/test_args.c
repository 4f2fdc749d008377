/* SPDX-License-Identifier: MIT */
/* Boot arguments: words and quotes, every option, what is refused, and that secrets are not shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "image.h"
#include "support.h"

#include <stdio.h>
#include <string.h>

static char text[PH__ARG_BYTES_MAX];
static struct ph__args args;

static bool parse(const char *line)
{
	snprintf(text, sizeof(text), "%s", line);
	return ph__args_parse(&args, text);
}

static void expect_error(const char *line, const char *what)
{
	if (parse(line))
		fail_msg("\"%s\" was taken", line);
	if (!strstr(args.error, what))
		fail_msg("\"%s\" said \"%s\"", line, args.error);
}

static void expect_words(const char *line, enum ph_status status, const char *joined)
{
	char *words[8], got[256] = "";
	unsigned count;

	snprintf(text, sizeof(text), "%s", line);
	assert_int_equal(ph__words_split(text, words, 8, &count), status);
	if (status != PH_OK)
		return;
	for (unsigned i = 0; i < count; i++) {
		strncat(got, words[i], sizeof(got) - strlen(got) - 1);
		strncat(got, "|", sizeof(got) - strlen(got) - 1);
	}
	assert_string_equal(got, joined);
}

static void test_words(void **state)
{
	(void)state;
	expect_words("", PH_OK, "");
	expect_words("  \t\n ", PH_OK, "");
	expect_words("a  b\tc\n", PH_OK, "a|b|c|");
	expect_words("a'b c'd e", PH_OK, "ab cd|e|");
	expect_words("'' \"\" x", PH_OK, "||x|");
	expect_words("\"a\\\"b\\\\c\\d\"", PH_OK, "a\"b\\c\\d|");
	expect_words("'a\\'b", PH_OK, "a\\b|");
	expect_words("a\\ b\\'c", PH_OK, "a b'c|");
	expect_words("--k='x=\"y\" z' t", PH_OK, "--k=x=\"y\" z|t|");
	expect_words("1 2 3 4 5 6 7 8", PH_OK, "1|2|3|4|5|6|7|8|");
	expect_words("1 2 3 4 5 6 7 8 9", PH_ERR_LIMIT, NULL);
	expect_words("'a", PH_ERR_INVALID, NULL);
	expect_words("a \"b", PH_ERR_INVALID, NULL);
	expect_words("a \"b\\", PH_ERR_INVALID, NULL);
	expect_words("a \"b\\\"", PH_ERR_INVALID, NULL);
	expect_words("a\\", PH_ERR_INVALID, NULL);
	expect_words("a '", PH_ERR_INVALID, NULL);
}

static void test_defaults(void **state)
{
	(void)state;
	assert_true(parse(""));
	assert_null(args.ipv4);
	assert_int_equal(args.port, 22);
	assert_true(args.accept_router_advertisements);
	assert_false(args.ipv4_only || args.ipv6_only || args.initialize_disk || args.anon_read);
	assert_string_equal(args.left, "");
}

static void test_all_options(void **state)
{
	(void)state;
	assert_true(parse("--ipv4=10.0.0.2/24 --ipv4-gateway 10.0.0.1 --ipv6=fd00::2/64 "
	                  "--ipv6-gateway=fd00::1 --ipv4-only=false --ipv6-only "
	                  "--accept-router-advertisements=false --ssh-key=ed25519:AAAA= "
	                  "--authorized-key='ssh-ed25519 AAAA me' --authorized-key ed25519:BBBB "
	                  "--port=2222 --name=robur:git -l '*:info,ssh:debug' --logs=debug -lwarn "
	                  "--initialize-disk --anon-read=true --loss-in=100 --loss-out 7"));
	assert_string_equal(args.ipv4, "10.0.0.2/24");
	assert_string_equal(args.ipv4_gateway, "10.0.0.1");
	assert_string_equal(args.ipv6, "fd00::2/64");
	assert_string_equal(args.ipv6_gateway, "fd00::1");
	assert_true(args.ipv6_only && !args.ipv4_only && !args.accept_router_advertisements);
	assert_string_equal(args.ssh_key, "ed25519:AAAA=");
	assert_int_equal(args.authorized_count, 2);
	assert_string_equal(args.authorized[0], "ssh-ed25519 AAAA me");
	assert_string_equal(args.authorized[1], "ed25519:BBBB");
	assert_int_equal(args.port, 2222);
	assert_string_equal(args.name, "robur:git");
	assert_int_equal(args.logs_count, 3);
	assert_string_equal(args.logs[0], "*:info,ssh:debug");
	assert_string_equal(args.logs[2], "warn");
	assert_true(args.initialize_disk && args.anon_read);
	assert_int_equal(args.loss_in, 100);
	assert_int_equal(args.loss_out, 7);
}

static void test_forms(void **state)
{
	(void)state;
	/* The last one counts; supervisors put their own --name in front. */
	assert_true(parse("--name=a --name b --port 1 --port=2"));
	assert_string_equal(args.name, "b");
	assert_int_equal(args.port, 2);
	assert_true(parse("--anon-read true --ipv4-only false --initialize-disk rest"));
	assert_true(args.anon_read && args.initialize_disk && !args.ipv4_only);
	assert_string_equal(args.left, "rest");
	assert_true(parse("--ipv4-only --anon-read"));
	assert_true(args.ipv4_only && args.anon_read);
	assert_true(parse("-v"));
	assert_true(args.version);
	/* What follows is not looked at: somebody wants to read. */
	assert_true(parse("--help --frob"));
	assert_true(args.help);
}

static void test_platform_words(void **state)
{
	(void)state;
	assert_true(parse("console=ttyS0 reboot=k panic=1 pci=off root=/dev/vda rw "
	                  "virtio_mmio.device=4K@0xd0000000:5 tsc_khz=2600000 exit=debug -- "
	                  "--port=23"));
	assert_int_equal(args.port, 23);
	assert_non_null(strstr(args.left, "console=ttyS0 reboot=k panic=1"));
	assert_non_null(strstr(args.left, "exit=debug"));
	expect_error("ipv4=10.0.0.2/24", "two dashes belong before it: ipv4");
	/* Longer than is kept of them. */
	for (size_t i = 0; i + 2 < 4000; i += 2)
		memcpy(text + i, "x ", 3);
	assert_false(ph__args_parse(&args, text));
	memset(text, 'x', 4000);
	text[4000] = '\0';
	assert_true(ph__args_parse(&args, text));
	assert_int_equal(strlen(args.left), sizeof(args.left) - 1);
}

static void test_errors(void **state)
{
	(void)state;
	expect_error("--frob", "unknown option, try --help: --frob");
	expect_error("--frob=secret", "--frob");
	assert_null(strstr(args.error, "secret"));
	expect_error("-x", "unknown option");
	expect_error("-", "unknown option");
	expect_error("--ipv=1", "unknown option");
	expect_error("--ipv4", "a value is missing: --ipv4");
	expect_error("--ipv4=", "a value is missing");
	expect_error("--port=0", "not a number that fits: --port");
	expect_error("--port=65536", "not a number");
	expect_error("--port=-1", "not a number");
	expect_error("--port=12x", "not a number");
	expect_error("--port=99999999999999999999", "not a number");
	expect_error("--anon-read=yes", "true or false");
	expect_error("--help=1", "takes no value");
	expect_error("--ipv4-only --ipv6-only", "exclude each other");
	expect_error("--name='a b'", "not a name");
	expect_error("--name=0123456789012345678901234567890123456789012345678901234567890123",
	             "not a name");
	expect_error("--authorized-key='ssh", "quote");
	expect_error("--\x1b[31m", "--?[31m");
	text[0] = '\0';
	for (unsigned i = 0; i <= PH__AUTHORIZED_MAX; i++)
		strcat(text, "--authorized-key=x ");
	assert_false(ph__args_parse(&args, text));
	assert_non_null(strstr(args.error, "given too often"));
}

static void test_help(void **state)
{
	char buf[128];
	const char *line;
	unsigned count = 0;

	(void)state;
	while ((line = ph__args_help(count, buf)) != NULL) {
		assert_true(strlen(line) < 120);
		count++;
	}
	assert_int_equal(count, 20);
}

/* Any bytes: it ends, and says why when it refuses. */
static void test_random(void **state)
{
	static const char alphabet[] = "-=lporti ipv46'\"\\nametrue:\n\x01\xff";
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 11);
	for (unsigned round = 0; round < 20000; round++) {
		size_t len = ph_test_rng_below(&rng, 60);

		for (size_t i = 0; i < len; i++)
			text[i] = alphabet[ph_test_rng_below(&rng, sizeof(alphabet) - 1)];
		text[len] = '\0';
		if (!ph__args_parse(&args, text))
			assert_int_not_equal(args.error[0], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_words),          cmocka_unit_test(test_defaults),
	        cmocka_unit_test(test_all_options),    cmocka_unit_test(test_forms),
	        cmocka_unit_test(test_platform_words), cmocka_unit_test(test_errors),
	        cmocka_unit_test(test_help),           cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
