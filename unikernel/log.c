/* SPDX-License-Identifier: MIT */
/*
 * The console: one line a fact, at most 512 bytes with its end, as supervisors cut them. Each level
 * has its own allowance of lines a second, so that a flood of strangers neither fills somebody's
 * disk nor holds up the loop, and never hides an error; what was left out is counted and said.
 */
#include "image.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE_BYTES 512u
#define RULES_MAX 32u
#define SOURCE_BYTES 24u
#define NS_PER_S 1000000000u

struct allowance {
	unsigned burst, per_second;
	uint64_t lines_ns; /* lines allowed now, each worth a second / per_second */
	uint64_t filled_ns, reported_ns;
	unsigned left_out;
};

static struct {
	char source[SOURCE_BYTES];
	enum ph_log_level level;
} rules[RULES_MAX];
static unsigned rule_count;
static enum ph_log_level default_level = PH_LOG_INFO;

/* A level each: error, warn, info, debug. */
static struct allowance allowances[4] = {{100, 10, 0, 0, 0, 0},
                                         {100, 10, 0, 0, 0, 0},
                                         {200, 20, 0, 0, 0, 0},
                                         {2000, 500, 0, 0, 0, 0}};

static void put(enum ph_log_level level, const char *source, uint64_t connection,
                const char *message)
{
	static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
	uint64_t wall = ph__plat_wall_ns(), up = ph__plat_monotonic_ns();
	time_t seconds = (time_t)(wall / NS_PER_S);
	const struct tm *utc = wall ? gmtime(&seconds) : NULL;
	char line[LINE_BYTES], when[40], number[24] = "";
	int n;

	/* Without a clock on the wall: since the start, told apart by its sign. */
	if (!utc || strftime(when, 24, "%Y-%m-%dT%H:%M:%S", utc) == 0)
		snprintf(when, sizeof(when), "+%llu.%03u", (unsigned long long)(up / NS_PER_S),
		         (unsigned)(up % NS_PER_S / 1000000));
	else
		snprintf(when + strlen(when), 8, ".%03uZ", (unsigned)(wall % NS_PER_S / 1000000));
	if (connection)
		snprintf(number, sizeof(number), "#%llu ", (unsigned long long)connection);
	n = snprintf(line, sizeof(line), "%s %s [%s] %s%s\n", when, names[level], source, number,
	             message);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(line)) {
		n = sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	ph__plat_console(line, (size_t)n);
}

/* ---- floods ---- */

static bool allowed(struct allowance *allowance, uint64_t now_ns)
{
	uint64_t each = NS_PER_S / allowance->per_second, full = allowance->burst * each;
	uint64_t since = now_ns - allowance->filled_ns;

	if (allowance->filled_ns == 0 || since > full)
		allowance->lines_ns = full;
	else if ((allowance->lines_ns += since) > full)
		allowance->lines_ns = full;
	allowance->filled_ns = now_ns ? now_ns : 1;
	if (allowance->lines_ns < each) {
		allowance->left_out++;
		return false;
	}
	allowance->lines_ns -= each;
	return true;
}

static void report_left_out(unsigned level, uint64_t now_ns)
{
	struct allowance *allowance = &allowances[level];
	unsigned left_out = allowance->left_out;
	char text[64];

	if (left_out == 0 || now_ns - allowance->reported_ns < NS_PER_S)
		return;
	allowance->left_out = 0;
	allowance->reported_ns = now_ns;
	snprintf(text, sizeof(text), "%u lines like the ones before were left out", left_out);
	put((enum ph_log_level)level, "log", 0, text);
}

void ph__log_poll(void)
{
	for (unsigned i = 0; i < 4; i++)
		if (allowances[i].left_out)
			report_left_out(i, ph__plat_monotonic_ns());
}

/* ---- levels ---- */

static enum ph_log_level level_of(const char *source)
{
	/* The last word counts. */
	for (unsigned i = rule_count; i > 0; i--)
		if (strcmp(rules[i - 1].source, source) == 0)
			return rules[i - 1].level;
	return default_level;
}

static bool read_level(const char *text, size_t len, enum ph_log_level *out)
{
	static const struct {
		const char *name;
		enum ph_log_level level;
	} names[] = {{"quiet", PH_LOG_ERROR},  {"app", PH_LOG_ERROR}, {"error", PH_LOG_ERROR},
	             {"warning", PH_LOG_WARN}, {"warn", PH_LOG_WARN}, {"info", PH_LOG_INFO},
	             {"debug", PH_LOG_DEBUG}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i].name) == len && memcmp(names[i].name, text, len) == 0) {
			*out = names[i].level;
			return true;
		}
	}
	return false;
}

static bool add_rule(const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len);
	size_t source = colon ? (size_t)(colon - text) : 0, skip = colon ? source + 1 : 0;
	enum ph_log_level level;

	if (!read_level(text + skip, len - skip, &level) || (colon && source == 0))
		return false;
	if (!colon || (source == 1 && *text == '*')) {
		default_level = level;
		return true;
	}
	if (source >= SOURCE_BYTES || rule_count == RULES_MAX)
		return false;
	memcpy(rules[rule_count].source, text, source);
	rules[rule_count].source[source] = '\0';
	rules[rule_count++].level = level;
	return true;
}

/* ---- the log ---- */

static void line_write(void *user, enum ph_log_level level, const char *source, uint64_t connection,
                       const char *message)
{
	uint64_t now_ns = ph__plat_monotonic_ns();

	(void)user;
	if (level > level_of(source))
		return;
	report_left_out(level, now_ns);
	if (allowed(&allowances[level], now_ns))
		put(level, source, connection, message);
}

static struct ph_log the_log = {NULL, PH_LOG_INFO, line_write};

const struct ph_log *ph__log(void)
{
	return &the_log;
}

bool ph__log_levels(const char *text)
{
	bool good = true;

	while (good && text) {
		size_t len = strcspn(text, ",");

		good = add_rule(text, len);
		text = text[len] ? text + len + 1 : NULL;
	}
	the_log.level = default_level;
	for (unsigned i = 0; i < rule_count; i++)
		if (rules[i].level > the_log.level)
			the_log.level = rules[i].level;
	return good;
}

void ph__say(enum ph_log_level level, const char *format, ...)
{
	char text[LINE_BYTES - 64];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put(level, "main", 0, text);
}
