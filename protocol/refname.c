/* SPDX-License-Identifier: MIT */
/*
 * The rules for names of refs. The first function is git's check_refname_format; the others add
 * what a server that stores strangers' names must refuse, because some client, shell or file system
 * would take such a name for something else.
 */
#include <packhorse/refname.h>

#include <packhorse/store.h>

#include <string.h>

static bool byte_allowed(unsigned char byte)
{
	/* strchr would find the terminator too, but a NUL is below 0x20. */
	return byte >= 0x20 && byte != 0x7f && !strchr(" ~^:?*[\\", byte);
}

/* One component between slashes. */
static bool component_valid(const char *name, size_t len)
{
	if (len == 0 || name[0] == '.')
		return false;
	if (len >= 5 && memcmp(name + len - 5, ".lock", 5) == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!byte_allowed((unsigned char)name[i]))
			return false;
		if (i && name[i - 1] == '.' && name[i] == '.')
			return false;
		if (i && name[i - 1] == '@' && name[i] == '{')
			return false;
	}
	return true;
}

static bool format_valid(const char *name, size_t len, size_t components_min)
{
	size_t at = 0, components = 0;

	if (len == 0 || name[len - 1] == '.' || (len == 1 && name[0] == '@'))
		return false;
	while (at <= len) {
		const char *slash = at < len ? memchr(name + at, '/', len - at) : NULL;
		size_t end = slash ? (size_t)(slash - name) : len;

		if (!component_valid(name + at, end - at))
			return false;
		components++;
		at = end + 1;
	}
	return components >= components_min;
}

bool ph_refname_valid(const char *name, size_t len)
{
	return format_valid(name, len, 2);
}

/* The length of the character at the front; 0 when it is not one that may be stored. */
static size_t utf8_length(const unsigned char *at, size_t len)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = at[0] < 0x80           ? 1
	           : (at[0] >> 5) == 0x06 ? 2
	           : (at[0] >> 4) == 0x0e ? 3
	           : (at[0] >> 3) == 0x1e ? 4
	                                  : 0;
	uint32_t point;

	if (n <= 1)
		return n;
	if (n > len)
		return 0;
	point = at[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (at[i] & 0x3fu);
	}
	/* Overlong forms, surrogates, beyond Unicode; and C1 controls, which terminals obey. */
	if (point < least[n] || (point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff ||
	    point < 0xa0)
		return 0;
	return n;
}

static bool utf8_valid(const char *text, size_t len)
{
	for (size_t at = 0; at < len;) {
		size_t n = utf8_length((const unsigned char *)text + at, len - at);

		if (n == 0)
			return false;
		at += n;
	}
	return true;
}

static bool starts(const char *name, size_t len, const char *prefix)
{
	size_t prefix_len = strlen(prefix);

	return len >= prefix_len && memcmp(name, prefix, prefix_len) == 0;
}

static bool all_hex(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
			return false;
	}
	return true;
}

/* A short name of a branch or tag that commands would take for an option, HEAD, or an object id. */
static bool short_name_confuses(const char *name, size_t len)
{
	return len == 0 || name[0] == '-' || (len == 4 && memcmp(name, "HEAD", 4) == 0) ||
	       ((len == 40 || len == 64) && all_hex(name, len));
}

static bool confuses(const char *name, size_t len)
{
	if (starts(name, len, "refs/namespaces/"))
		return true;
	if (starts(name, len, "refs/heads/"))
		return short_name_confuses(name + 11, len - 11);
	if (starts(name, len, "refs/tags/"))
		return short_name_confuses(name + 10, len - 10);
	return false;
}

static bool fits(size_t len, const struct ph_limits *limits)
{
	return len <= PH_REF_NAME_MAX && len <= limits->ref_name_bytes_max;
}

bool ph_refname_pushable(const char *name, size_t len, const struct ph_limits *limits)
{
	/* As git's receive-pack: what follows refs/ must be a valid name by itself. */
	return fits(len, limits) && starts(name, len, "refs/") &&
	       format_valid(name + 5, len - 5, 2) && utf8_valid(name, len) && !confuses(name, len);
}

bool ph_refname_deletable(const char *name, size_t len, const struct ph_limits *limits)
{
	return fits(len, limits) && starts(name, len, "refs/") &&
	       format_valid(name + 5, len - 5, 1);
}
