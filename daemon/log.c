/* SPDX-License-Identifier: MIT */
/* Log lines on stderr, each in one write, so that lines of several threads never mix. */
#include "daemon_int.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void line_write(void *user, enum ph_log_level level, const char *source, uint64_t connection,
                       const char *message)
{
	static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
	char when[32], line[512];
	struct timespec now;
	struct tm utc;
	int n;

	(void)user;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
	if (connection)
		n = snprintf(line, sizeof line, "%s.%03ldZ %s [%s] #%llu %s\n", when,
		             now.tv_nsec / 1000000, names[level], source,
		             (unsigned long long)connection, message);
	else
		n = snprintf(line, sizeof line, "%s.%03ldZ %s [%s] %s\n", when,
		             now.tv_nsec / 1000000, names[level], source, message);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof line) {
		n = (int)sizeof line - 1;
		line[n - 1] = '\n';
	}
	/* Where stderr is gone there is nobody left to tell. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void ph__log_init(struct ph_log *log, enum ph_log_level level)
{
	log->user = NULL;
	log->level = level;
	log->write = line_write;
}
