/* SPDX-License-Identifier: MIT */
/*
 * Figures of the store on disk, one command each; bench/store.py runs them and says what they mean.
 * Prints lines "name value".
 */
#define _DEFAULT_SOURCE 1 /* clocks */
#include "store_bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void bench_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("store_bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

void bench_check(enum ph_status status, const char *what)
{
	if (status != PH_OK)
		bench_fail("%s: %s", what, ph_status_text(status));
}

void bench_figure(const char *name, double value)
{
	printf("%s %.6g\n", name, value);
	fflush(stdout);
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double bench_wall_s(void)
{
	return seconds(CLOCK_MONOTONIC);
}

double bench_cpu_s(void)
{
	return seconds(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t bench_number(const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (!*text || *end)
		bench_fail("not a number: %s", text);
	return value;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
	        {"group", bench_group},
	        {"play", bench_play},
	        {"large-make", bench_large_make},
	        {"large-open", bench_large_open},
	};

	for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 2, argv + 2);
	fputs("usage: store_bench group threads|loop WRITERS PUSHES FLUSH_US\n"
	      "       store_bench play SCRIPT\n"
	      "       store_bench large-make FILE REPOSITORIES PACK_BYTES\n"
	      "       store_bench large-open FILE\n",
	      stderr);
	return 64;
}
