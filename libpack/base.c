/* SPDX-License-Identifier: MIT */
/*
 * What everything above stands on: the texts of the status codes, the default limits, memory
 * helpers that check their products for overflow, and the one place where a log line is made.
 * Whatever a peer sent becomes printable ASCII here, so no log can be made to carry a terminal's
 * control codes.
 */
#include <packhorse/base.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The promise of struct ph_log: no message is longer. */
#define LOG_MESSAGE_BYTES_MAX 400u

const char *ph_status_text(enum ph_status status)
{
	switch (status) {
#define X(name, value, text)                                                                       \
	case PH_##name:                                                                            \
		return text;
		PH_STATUS_MAP(X)
#undef X
	}
	return "unknown status";
}

const char *ph_status_name(enum ph_status status)
{
	switch (status) {
#define X(name, value, text)                                                                       \
	case PH_##name:                                                                            \
		return #name;
		PH_STATUS_MAP(X)
#undef X
	}
	return "unknown status";
}

void *ph_mem_alloc(const struct ph_alloc *alloc, size_t size)
{
	assert(size > 0);
	return alloc->alloc(alloc->user, size);
}

void *ph_mem_zalloc(const struct ph_alloc *alloc, size_t count, size_t size)
{
	void *ptr;

	assert(count > 0 && size > 0);
	if (count > SIZE_MAX / size)
		return NULL;
	ptr = alloc->alloc(alloc->user, count * size);
	if (ptr)
		memset(ptr, 0, count * size);
	return ptr;
}

void *ph_mem_resize(const struct ph_alloc *alloc, void *ptr, size_t count, size_t size)
{
	assert(count > 0 && size > 0);
	if (count > SIZE_MAX / size)
		return NULL;
	return alloc->resize(alloc->user, ptr, count * size);
}

void ph_mem_free(const struct ph_alloc *alloc, void *ptr)
{
	if (ptr)
		alloc->free(alloc->user, ptr);
}

char *ph_mem_strdup(const struct ph_alloc *alloc, const char *text, size_t len)
{
	char *copy;

	if (len == SIZE_MAX)
		return NULL;
	copy = ph_mem_alloc(alloc, len + 1);
	if (!copy)
		return NULL;
	if (len > 0)
		memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

/* Copies text with every byte that is not printable ASCII as \xNN; cuts between, not within, those.
 */
static void escape_message(char *out, size_t out_max, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c >= 0x20 && c < 0x7f) {
			if (at + 1 > out_max)
				break;
			out[at++] = (char)c;
		} else {
			if (at + 4 > out_max)
				break;
			out[at++] = '\\';
			out[at++] = 'x';
			out[at++] = digits[c >> 4];
			out[at++] = digits[c & 15];
		}
	}
	out[at] = '\0';
}

void ph_log_line(const struct ph_log *log, enum ph_log_level level, const char *source,
                 uint64_t connection, const char *format, ...)
{
	char raw[LOG_MESSAGE_BYTES_MAX + 1];
	char message[LOG_MESSAGE_BYTES_MAX + 1];
	va_list args;
	int len;

	if (!log || !log->write || level > log->level)
		return;
	va_start(args, format);
	len = vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	if (len < 0)
		return;
	escape_message(message, LOG_MESSAGE_BYTES_MAX, raw);
	log->write(log->user, level, source, connection, message);
}

void ph_limits_init(struct ph_limits *limits)
{
#define X(type, name, value) limits->name = (value);
	PH_LIMITS_MAP(X)
#undef X
}

enum ph_status ph_limits_set(struct ph_limits *limits, const char *name, size_t name_len,
                             uint64_t value)
{
#define X(type, field, default_value)                                                              \
	if (name_len == sizeof #field - 1 && memcmp(name, #field, name_len) == 0) {                \
		if (value != (type)value)                                                          \
			return PH_ERR_LIMIT;                                                       \
		limits->field = (type)value;                                                       \
		return PH_OK;                                                                      \
	}
	PH_LIMITS_MAP(X)
#undef X
	return PH_ERR_NOT_FOUND;
}
