/* SPDX-License-Identifier: MIT */
/* Console lines: their form and length, levels by source, and what a flood does to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "image.h"

#include <stdio.h>
#include <string.h>

static uint64_t monotonic_ns = 1, wall_ns;
static char last[1024];
static unsigned lines, refusals, told;

uint64_t ph__plat_monotonic_ns(void)
{
	return monotonic_ns;
}

uint64_t ph__plat_wall_ns(void)
{
	return wall_ns;
}

void ph__plat_console(const char *text, size_t len)
{
	unsigned count;

	assert_true(len <= 512);
	assert_int_equal(text[len - 1], '\n');
	assert_null(memchr(text, '\n', len - 1));
	memcpy(last, text, len);
	last[len] = '\0';
	lines++;
	refusals += strstr(last, "refused") != NULL;
	if (sscanf(last, "%*s INFO [log] %u lines", &count) == 1)
		told += count;
}

static void write_line(enum ph_log_level level, const char *source, const char *message)
{
	ph__log()->write(NULL, level, source, 7, message);
}

static void test_form(void **state)
{
	char message[401];

	(void)state;
	ph__say(PH_LOG_INFO, "hello %d", 1);
	assert_string_equal(last, "+0.000 INFO [main] hello 1\n");
	monotonic_ns = UINT64_C(3723456789012);
	write_line(PH_LOG_WARN, "ssh", "closed");
	assert_string_equal(last, "+3723.456 WARN [ssh] #7 closed\n");
	wall_ns = UINT64_C(1795000000123456789);
	write_line(PH_LOG_ERROR, "disk", "closed");
	assert_string_equal(last, "2026-11-18T11:06:40.123Z ERROR [disk] #7 closed\n");
	memset(message, 'm', 400);
	message[400] = '\0';
	write_line(PH_LOG_INFO, "a-source-with-a-long-name", message);
	assert_non_null(strstr(last, message));
	wall_ns = 0;
}

static void test_levels(void **state)
{
	static const char *const wrong[] = {"",
	                                    "loud",
	                                    "ssh:",
	                                    ":info",
	                                    "ssh:info,",
	                                    "*:x",
	                                    "a:b:c",
	                                    "ssh=info",
	                                    ",",
	                                    "info,,debug",
	                                    "a-source-with-a-long-name:info"};

	(void)state;
	lines = 0;
	write_line(PH_LOG_DEBUG, "ssh", "x");
	assert_int_equal(lines, 0);
	assert_true(ph__log_levels("*:warning,ssh:debug"));
	assert_int_equal(ph__log()->level, PH_LOG_DEBUG);
	write_line(PH_LOG_DEBUG, "ssh", "x");
	assert_int_equal(lines, 1);
	write_line(PH_LOG_INFO, "admin", "x");
	assert_int_equal(lines, 1);
	assert_true(ph__log_levels("ssh:quiet"));
	write_line(PH_LOG_WARN, "ssh", "x");
	assert_int_equal(lines, 1);
	write_line(PH_LOG_ERROR, "ssh", "x");
	assert_int_equal(lines, 2);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (ph__log_levels(wrong[i]))
			fail_msg("\"%s\" was taken", wrong[i]);
	assert_true(ph__log_levels("info"));
	assert_true(ph__log_levels("ssh:info"));
}

/* A thousand lines a second for ten seconds, then silence. */
static void test_flood(void **state)
{
	unsigned said;

	(void)state;
	monotonic_ns += UINT64_C(100000000000);
	lines = 0;
	for (unsigned i = 0; i < 10000; i++) {
		monotonic_ns += 1000000;
		write_line(PH_LOG_INFO, "ssh", "refused");
		if (i % 1000 == 999) {
			/* Others are not drowned. */
			said = lines;
			write_line(PH_LOG_ERROR, "disk", "failed");
			assert_int_equal(lines, said + 1);
		}
	}
	assert_in_range(lines, 200, 450);
	monotonic_ns += UINT64_C(1000000000);
	ph__log_poll();
	assert_non_null(strstr(last, "left out"));
	said = lines;
	ph__log_poll();
	assert_int_equal(lines, said);
	assert_int_equal(refusals + told, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_form),
	        cmocka_unit_test(test_levels),
	        cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
