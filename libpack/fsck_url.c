/* SPDX-License-Identifier: MIT */
/*
 * Which submodule URLs and names a client's git may be given. git hands URLs to helpers that speak
 * line by line (a newline smuggles in another host and leaks credentials), passes them on command
 * lines (a leading dash is an option), and resolves relative ones against the superproject's; names
 * become paths below .git/modules.
 */
#include "fsck_int.h"

static bool is_separator(char byte)
{
	return byte == '/' || byte == '\\';
}

bool ph__submodule_name_ok(const char *name, size_t len)
{
	size_t start = 0;

	if (len == 0 || memchr(name, '\0', len) != NULL) {
		return false;
	}
	for (size_t i = 0; i <= len; i++) {
		if (i < len && !is_separator(name[i])) {
			continue;
		}
		if (i - start == 2 && name[start] == '.' && name[start + 1] == '.') {
			return false;
		}
		start = i + 1;
	}
	return true;
}

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9') {
		return digit - '0';
	}
	if (digit >= 'a' && digit <= 'f') {
		return digit - 'a' + 10;
	}
	if (digit >= 'A' && digit <= 'F') {
		return digit - 'A' + 10;
	}
	return -1;
}

/* The byte an escape at `at` stands for, or -1 when it is none. */
static int unescape(const char *url, size_t len, size_t at)
{
	int high;
	int low;

	if (at + 2 >= len || url[at] != '%') {
		return -1;
	}
	high = hex_value(url[at + 1]);
	low = hex_value(url[at + 2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool breaks_line(int byte)
{
	return byte == '\n' || byte == '\r' || byte == '\0';
}

/* Whether the URL, as written or unescaped, spans lines. */
static bool has_line_break(const char *url, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (breaks_line(url[i]) || (url[i] == '%' && breaks_line(unescape(url, len, i)))) {
			return true;
		}
	}
	return false;
}

static bool starts_with(const char *url, size_t len, const char *prefix, size_t *prefix_len)
{
	*prefix_len = strlen(prefix);
	return len >= *prefix_len && memcmp(url, prefix, *prefix_len) == 0;
}

/* Bytes of a leading "./" or "../"; *up tells which. */
static size_t dot_component(const char *url, size_t len, bool *up)
{
	*up = false;
	if (len >= 2 && url[0] == '.' && is_separator(url[1])) {
		return 2;
	}
	if (len >= 3 && url[0] == '.' && url[1] == '.' && is_separator(url[2])) {
		*up = true;
		return 3;
	}
	return 0;
}

/*
 * A relative URL may climb, but not so that what follows replaces the host: resolved against
 * https://host/a, "../../../:x" would be "https::x".
 */
static bool relative_ok(const char *url, size_t len)
{
	bool climbs = false;
	bool up;
	size_t step;
	size_t at = 0;

	while ((step = dot_component(url + at, len - at, &up)) != 0) {
		climbs = climbs || up;
		at += step;
	}
	return !climbs || at == len || (url[at] != ':' && url[at] != '/');
}

static bool is_host_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || (byte != '\0' && strchr(".-_[:]", byte) != NULL);
}

static bool port_ok(const char *port, size_t len)
{
	uint32_t number = 0;

	if (len == 0) {
		return true; /* "host:" is the default port */
	}
	for (size_t i = 0; i < len; i++) {
		if (port[i] < '0' || port[i] > '9') {
			return false;
		}
		number = number * 10 + (uint32_t)(port[i] - '0');
		if (number > 65535) {
			return false;
		}
	}
	return number > 0;
}

/* "host", "host:port", "[v6]:port". */
static bool host_ok(const char *host, size_t len)
{
	size_t colon = len;

	if (len == 0 || host[0] == ':') {
		return false;
	}
	for (size_t i = len; i > 0 && host[i - 1] != ']'; i--) {
		if (host[i - 1] == ':') {
			colon = i - 1;
			break;
		}
	}
	for (size_t i = 0; i < colon; i++) {
		if (!is_host_byte(host[i])) {
			return false;
		}
	}
	return colon == len || port_ok(host + colon + 1, len - colon - 1);
}

static bool escapes_ok(const char *url, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (url[i] == '%' && unescape(url, len, i) < 0) {
			return false;
		}
	}
	return true;
}

/* How many dots a segment consists of, escaped ones too; 0 when of anything else. */
static unsigned segment_dots(const char *segment, size_t len)
{
	unsigned dots = 0;

	for (size_t i = 0; i < len; dots++) {
		if (segment[i] == '.') {
			i++;
		} else if (unescape(segment, len, i) == '.') {
			i += 3;
		} else {
			return 0;
		}
	}
	return dots;
}

/* Whether no ".." of the path climbs above its root. */
static bool path_ok(const char *path, size_t len)
{
	size_t depth = 0;
	size_t start = 0;

	for (size_t i = 0; i <= len; i++) {
		unsigned dots;

		if (i < len && path[i] != '/' && path[i] != '?' && path[i] != '#') {
			continue;
		}
		dots = segment_dots(path + start, i - start);
		if (dots == 2) {
			if (depth == 0) {
				return false;
			}
			depth--;
		} else if (dots != 1) {
			depth++;
		}
		if (i < len && path[i] != '/') {
			break;
		}
		start = i + 1;
	}
	return true;
}

/* A URL as the HTTP and FTP helper takes it: scheme://[user@]host[:port][/path]. */
static bool helper_url_ok(const char *url, size_t len)
{
	const char *end = url + len;
	const char *at = url;
	const char *slash;
	const char *host;

	while (at < end && ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
	                    (at > url && ((*at >= '0' && *at <= '9') || *at == '+' || *at == '.' ||
	                                  *at == '-')))) {
		at++;
	}
	if (at == url || end - at < 3 || memcmp(at, "://", 3) != 0) {
		return false;
	}
	host = at + 3;
	for (slash = host; slash < end && strchr("/?#", *slash) == NULL; slash++) {
	}
	at = memchr(host, '@', (size_t)(slash - host));
	if (at != NULL) {
		host = at + 1;
	}
	if (!escapes_ok(url, len) || !host_ok(host, (size_t)(slash - host))) {
		return false;
	}
	if (slash < end && *slash == '/') {
		slash++;
	}
	return path_ok(slash, (size_t)(end - slash));
}

bool ph__submodule_url_ok(const char *url, size_t len)
{
	static const char helpers[][8] = {"http::", "https::", "ftp::", "ftps::"};
	static const char schemes[][9] = {"http://", "https://", "ftp://", "ftps://"};
	size_t prefix;
	bool up;

	if (len > 0 && url[0] == '-') {
		return false;
	}
	if (memchr(url, '\0', len) != NULL || memchr(url, '\n', len) != NULL) {
		return false;
	}
	if (dot_component(url, len, &up) != 0) {
		return !has_line_break(url, len) && relative_ok(url, len);
	}
	if (starts_with(url, len, "git://", &prefix)) {
		return !has_line_break(url, len);
	}
	for (size_t i = 0; i < sizeof helpers / sizeof helpers[0]; i++) {
		if (starts_with(url, len, helpers[i], &prefix)) {
			return !has_line_break(url, len) &&
			       helper_url_ok(url + prefix, len - prefix);
		}
		if (starts_with(url, len, schemes[i], &prefix)) {
			return !has_line_break(url, len) && helper_url_ok(url, len);
		}
	}
	return true;
}
