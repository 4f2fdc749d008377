/* SPDX-License-Identifier: MIT */
/*
 * The options of an authorized_keys line. Options mean something: what cannot be honoured refuses
 * the line, because a key whose owner thinks it restricted must not get in unrestricted. What
 * restrict and the no-* options forbid (terminals, forwarding, user rc files) does not exist here.
 */
#include "address_int.h"
#include "keys_int.h"

#include <string.h>

struct option {
	const char *name;
	size_t name_len;
	const char *value; /* NULL: none given */
	size_t value_len;
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool name_is(const struct option *option, const char *name)
{
	size_t len = strlen(name);
	if (option->name_len != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (lower(option->name[i]) != name[i])
			return false;
	}
	return true;
}

static bool value_is(const struct option *option, const char *text)
{
	return option->value_len == strlen(text) &&
	       memcmp(option->value, text, option->value_len) == 0;
}

/* Two digits of a date, between low and high. */
static bool two_digits(const char *text, unsigned low, unsigned high, unsigned *out)
{
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return false;
	*out = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
	return *out >= low && *out <= high;
}

static bool leap_year(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_in_month(unsigned year, unsigned month)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	return days[month - 1] + (month == 2 && leap_year(year) ? 1u : 0u);
}

/* YYYYMMDD[HHMM[SS]][Z]. Without the Z, sshd takes local time; there is none here, so all is UTC.
 */
static bool parse_time(uint64_t *out, const char *text, size_t len)
{
	unsigned century, year, month, day, hour = 0, minute = 0, second = 0;

	if (len > 0 && (text[len - 1] == 'Z' || text[len - 1] == 'z'))
		len--;
	if (len != 8 && len != 12 && len != 14)
		return false;
	if (!two_digits(text, 0, 99, &century) || !two_digits(text + 2, 0, 99, &year) ||
	    !two_digits(text + 4, 1, 12, &month) || !two_digits(text + 6, 1, 31, &day))
		return false;
	if (len >= 12 &&
	    (!two_digits(text + 8, 0, 23, &hour) || !two_digits(text + 10, 0, 59, &minute)))
		return false;
	if (len == 14 && !two_digits(text + 12, 0, 60, &second))
		return false;
	year += century * 100;
	if (year < 1970 || day > days_in_month(year, month))
		return false;

	uint64_t days = day - 1;
	for (unsigned y = 1970; y < year; y++)
		days += leap_year(y) ? 366 : 365;
	for (unsigned m = 1; m < month; m++)
		days += days_in_month(year, m);
	*out = days * 86400 + hour * 3600 + minute * 60 + second;
	return true;
}

static const char *set_permission(struct ph__key_options *out, const struct option *option)
{
	if (out->has_permission)
		return "packhorse= more than once";
	if (value_is(option, "ro"))
		out->permission = PH_PERM_READ;
	else if (value_is(option, "rw"))
		out->permission = PH_PERM_WRITE;
	else if (value_is(option, "owner"))
		out->permission = PH_PERM_OWNER;
	else
		return "packhorse= is none of ro, rw and owner";
	out->has_permission = true;
	return NULL;
}

static const char *set_from(struct ph__key_options *out, const struct option *option)
{
	if (out->from)
		return "from= more than once";
	if (!ph__patterns_check(option->value, option->value_len))
		return "from= is not a list of patterns";
	out->from = option->value;
	out->from_len = option->value_len;
	return NULL;
}

static const char *set_expiry(struct ph__key_options *out, const struct option *option)
{
	uint64_t when;
	if (!parse_time(&when, option->value, option->value_len))
		return "expiry-time= is not a date";
	if (!out->has_expiry || when < out->expiry_s)
		out->expiry_s = when;
	out->has_expiry = true;
	return NULL;
}

/* NULL, or why the line is refused. */
static const char *apply(struct ph__key_options *out, const struct option *option)
{
	static const char *const harmless[] = {
	        "restrict",          "no-agent-forwarding", "no-port-forwarding", "no-pty",
	        "no-touch-required", "no-user-rc",          "no-x11-forwarding",
	};
	static const struct {
		const char *name;
		const char *(*set)(struct ph__key_options *out, const struct option *option);
	} valued[] = {
	        {"packhorse", set_permission},
	        {"from", set_from},
	        {"expiry-time", set_expiry},
	};
	for (size_t i = 0; i < sizeof(valued) / sizeof(valued[0]); i++) {
		if (name_is(option, valued[i].name))
			return option->value ? valued[i].set(out, option)
			                     : "an option lacks its value";
	}
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		if (name_is(option, harmless[i]))
			return option->value ? "an option has a value that takes none" : NULL;
	}
	if (name_is(option, "command"))
		return "command= is not supported";
	if (name_is(option, "cert-authority"))
		return "cert-authority is not supported";
	return "unknown option";
}

static bool name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '@' || c == '.' || c == '_';
}

/* A quoted value at line[*pos]; \" in it is a quote. It is moved together where it stands. */
static bool unquote(char *line, size_t len, size_t *pos, struct option *option)
{
	if (*pos >= len || line[*pos] != '"')
		return false;
	size_t from = *pos + 1, to = from;
	option->value = line + from;
	for (; from < len && line[from] != '"'; from++) {
		if (line[from] == '\\' && from + 1 < len && line[from + 1] == '"')
			from++;
		line[to++] = line[from];
	}
	if (from >= len)
		return false;
	option->value_len = to - (*pos + 1);
	*pos = from + 1;
	return true;
}

bool ph__key_options_parse(struct ph__key_options *out, char *line, size_t len, size_t *used,
                           const char **why)
{
	size_t pos = 0;

	memset(out, 0, sizeof(*out));
	for (;;) {
		struct option option = {.name = line + pos};
		while (pos < len && name_byte(line[pos]))
			pos++;
		option.name_len = (size_t)(line + pos - option.name);
		if (option.name_len == 0) {
			*why = "not a key and not an option";
			return false;
		}
		if (pos < len && line[pos] == '=') {
			pos++;
			if (!unquote(line, len, &pos, &option)) {
				*why = "an option's value is not quoted";
				return false;
			}
		}
		*why = apply(out, &option);
		if (*why)
			return false;
		if (pos >= len || line[pos] != ',')
			break;
		pos++;
	}
	if (pos >= len || (line[pos] != ' ' && line[pos] != '\t')) {
		*why = "not a key and not an option";
		return false;
	}
	while (pos < len && (line[pos] == ' ' || line[pos] == '\t'))
		pos++;
	*used = pos;
	return true;
}
