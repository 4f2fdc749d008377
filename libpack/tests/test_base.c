/* SPDX-License-Identifier: MIT */
/* Status texts, limits, memory helpers and the escaping of log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support.h"

#include <string.h>

static void statuses_have_names_and_texts(void **state)
{
	(void)state;
	assert_string_equal(ph_status_name(PH_OK), "OK");
	assert_string_equal(ph_status_text(PH_OK), "ok");
	assert_string_equal(ph_status_name(PH_ERR_TIMEOUT), "ERR_TIMEOUT");
	assert_string_equal(ph_status_text(PH_ERR_NOMEM), "out of memory");
	assert_string_equal(ph_status_text((enum ph_status)77), "unknown status");
	assert_string_equal(ph_status_name((enum ph_status) - 999), "unknown status");
}

static void statuses_keep_their_signs(void **state)
{
	(void)state;
	assert_int_equal(PH_OK, 0);
#define X(name, value, text)                                                                       \
	assert_int_equal(strncmp(#name, "ERR_", 4) == 0, (value) < 0);                             \
	assert_true(strlen(text) > 0);
	PH_STATUS_MAP(X)
#undef X
}

static void limits_have_defaults(void **state)
{
	struct ph_limits limits;

	(void)state;
	memset(&limits, 0xff, sizeof(limits));
	ph_limits_init(&limits);
	assert_true(limits.object_bytes_max == (uint64_t)4 << 30);
	assert_int_equal(limits.delta_depth_max, 4095);
	assert_int_equal(limits.keepalive_ms, 5000);
}

static void limits_are_set_by_name(void **state)
{
	struct ph_limits limits, before;

	(void)state;
	ph_limits_init(&limits);
	assert_int_equal(ph_limits_set(&limits, "haves_max=", 9, 7), PH_OK);
	assert_int_equal(limits.haves_max, 7);
	assert_int_equal(ph_limits_set(&limits, "pack_bytes_max", 14, (uint64_t)1 << 50), PH_OK);
	assert_true(limits.pack_bytes_max == (uint64_t)1 << 50);
	before = limits;
	assert_int_equal(ph_limits_set(&limits, "haves_max", 9, (uint64_t)1 << 32), PH_ERR_LIMIT);
	assert_int_equal(ph_limits_set(&limits, "haves_ma", 8, 1), PH_ERR_NOT_FOUND);
	assert_int_equal(ph_limits_set(&limits, "haves_max", 10, 1), PH_ERR_NOT_FOUND);
	assert_int_equal(ph_limits_set(&limits, "", 0, 1), PH_ERR_NOT_FOUND);
	assert_memory_equal(&limits, &before, sizeof(limits));
}

static void memory_products_are_checked(void **state)
{
	struct ph_test_alloc memory;
	uint8_t *bytes;
	void *grown;
	size_t i;

	(void)state;
	ph_test_alloc_init(&memory);
	assert_null(ph_mem_zalloc(&memory.alloc, SIZE_MAX / 2, 3));
	assert_null(ph_mem_resize(&memory.alloc, NULL, SIZE_MAX / 8, 9));
	assert_int_equal(memory.calls, 0);
	bytes = ph_mem_zalloc(&memory.alloc, 10, 10);
	assert_non_null(bytes);
	for (i = 0; i < 100; i++)
		assert_int_equal(bytes[i], 0);
	bytes[99] = 7;
	memory.fail_at = 2;
	assert_null(ph_mem_resize(&memory.alloc, bytes, 20, 10));
	assert_int_equal(bytes[99], 7);
	grown = ph_mem_resize(&memory.alloc, bytes, 20, 10);
	assert_non_null(grown);
	bytes = grown;
	assert_int_equal(bytes[99], 7);
	assert_int_equal(memory.live, 1);
	assert_int_equal(memory.live_bytes, 200);
	ph_mem_free(&memory.alloc, bytes);
	ph_mem_free(&memory.alloc, NULL);
	assert_int_equal(memory.live, 0);
	assert_int_equal(memory.live_bytes, 0);
	assert_int_equal(memory.peak_bytes, 200);
}

static void strings_are_copied(void **state)
{
	struct ph_test_alloc memory;
	char *copy;

	(void)state;
	ph_test_alloc_init(&memory);
	copy = ph_mem_strdup(&memory.alloc, "horse and cart", 5);
	assert_string_equal(copy, "horse");
	ph_mem_free(&memory.alloc, copy);
	copy = ph_mem_strdup(&memory.alloc, NULL, 0);
	assert_string_equal(copy, "");
	ph_mem_free(&memory.alloc, copy);
	memory.fail_at = 3;
	assert_null(ph_mem_strdup(&memory.alloc, "x", 1));
	assert_int_equal(memory.live, 0);
}

static void libc_allocator_works(void **state)
{
	const struct ph_alloc *alloc = ph_alloc_libc();
	char *text;

	(void)state;
	text = ph_mem_strdup(alloc, "abc", 3);
	text = ph_mem_resize(alloc, text, 1000, 1);
	assert_string_equal(text, "abc");
	ph_mem_free(alloc, text);
}

struct lines {
	unsigned count;
	enum ph_log_level level;
	uint64_t connection;
	char source[32];
	char message[512];
};

static void keep_line(void *user, enum ph_log_level level, const char *source, uint64_t connection,
                      const char *message)
{
	struct lines *lines = user;

	lines->count++;
	lines->level = level;
	lines->connection = connection;
	strncpy(lines->source, source, sizeof(lines->source) - 1);
	strncpy(lines->message, message, sizeof(lines->message) - 1);
}

static void log_lines_are_escaped_and_cut(void **state)
{
	struct lines lines = {0};
	struct ph_log log = {&lines, PH_LOG_INFO, keep_line};
	char high[202];
	char wide[700];

	(void)state;
	ph_log_line(NULL, PH_LOG_ERROR, "test", 1, "nobody listens");
	ph_log_line(&log, PH_LOG_DEBUG, "test", 1, "above the level");
	assert_int_equal(lines.count, 0);
	ph_log_line(&log, PH_LOG_INFO, "test", 42, "a%sb %d", "\n\x1b[0m\x7f\xc3\xa4", 7);
	assert_int_equal(lines.count, 1);
	assert_int_equal(lines.connection, 42);
	assert_string_equal(lines.source, "test");
	assert_string_equal(lines.message, "a\\x0a\\x1b[0m\\x7f\\xc3\\xa4b 7");
	memset(wide, 'w', sizeof(wide));
	wide[sizeof(wide) - 1] = '\0';
	ph_log_line(&log, PH_LOG_WARN, "test", 1, "%s", wide);
	assert_int_equal(strlen(lines.message), 400);
	/* 201 escapes would be 804 bytes: whole ones are kept. */
	memset(high, 0x80, sizeof(high));
	high[sizeof(high) - 1] = '\0';
	memset(lines.message, 0, sizeof(lines.message));
	ph_log_line(&log, PH_LOG_WARN, "test", 1, "xy%s", high);
	assert_int_equal(strlen(lines.message), 2 + 99 * 4);
	assert_string_equal(lines.message + 2 + 98 * 4, "\\x80");
}

static void budgets_stop_at_zero(void **state)
{
	uint32_t budget = 10;

	(void)state;
	ph_budget_spend(&budget, 3);
	assert_int_equal(budget, 7);
	ph_budget_spend_bytes(&budget, 1);
	assert_int_equal(budget, 6);
	ph_budget_spend_bytes(&budget, 8192);
	assert_int_equal(budget, 4);
	ph_budget_spend(&budget, UINT64_MAX);
	assert_int_equal(budget, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(statuses_have_names_and_texts),
	        cmocka_unit_test(statuses_keep_their_signs),
	        cmocka_unit_test(limits_have_defaults),
	        cmocka_unit_test(limits_are_set_by_name),
	        cmocka_unit_test(memory_products_are_checked),
	        cmocka_unit_test(strings_are_copied),
	        cmocka_unit_test(libc_allocator_works),
	        cmocka_unit_test(log_lines_are_escaped_and_cut),
	        cmocka_unit_test(budgets_stop_at_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
