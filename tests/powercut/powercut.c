/* SPDX-License-Identifier: MIT */
/*
 * powercut [--seed N] [--states N] [--workload NAME] [--state TRACE.N] [--break flush] [--json]
 *
 * Tries states of disks after power cuts (cut.h) and prints, by workload, how many, and in how many
 * something was lost. Exit status 0 when nothing was, 1 when something was, 3 when a workload did
 * not do what it should. A state that is wrong is printed with the command that repeats it.
 * --break flush makes flushes count for nothing, as on a device that lies: there must be losses.
 */
#define _POSIX_C_SOURCE 200809L
#include "cut.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Where a workload has any number of traces, states for each. */
#define STATES_A_TRACE 400u

struct options {
	uint64_t seed, states;
	const char *workload;
	bool json, break_flush, only;
	uint32_t trace;
	uint64_t number;
};

static const struct {
	const char *name, *title;
} columns[] = {{"states", "states"},          {"lost", "acked lost"},
               {"unopened", "not opened"},    {"corrupt", "corrupt"},
               {"partly", "in part"},         {"next_failed", "next failed"},
               {"newest_lost", "newest lost"}};
#define COLUMNS (sizeof(columns) / sizeof(*columns))

static void figures(const struct cut_tally *tally, uint64_t out[COLUMNS])
{
	const uint64_t all[] = {tally->states,     tally->lost,   tally->unopened,
	                        tally->corrupt,    tally->partly, tally->next_failed,
	                        tally->newest_lost};

	memcpy(out, all, sizeof(all));
}

static bool is_bad(const struct cut_tally *tally)
{
	return tally->lost + tally->unopened + tally->corrupt + tally->partly + tally->next_failed >
	       0;
}

/* ---- running ---- */

static void run_trace(const struct cut_workload *workload, const struct options *options,
                      struct cut_plan *plan, struct cut_tally *tally)
{
	static struct cut_world world;
	char where[200];

	snprintf(where, sizeof(where), "powercut --workload %s --seed %" PRIu64 "%s",
	         workload->name, options->seed, options->break_flush ? " --break flush" : "");
	plan->repeat = where;
	workload->run(&world, where, options->seed, plan->trace);
	cut_try_states(&world, plan, tally);
	cut_world_release(&world);
}

static void run_workload(const struct cut_workload *workload, const struct options *options,
                         uint64_t states, struct cut_tally *tally)
{
	uint64_t traces = workload->traces ? workload->traces : 1 + states / STATES_A_TRACE;
	struct cut_plan plan = {.seed = options->seed,
	                        .break_flush = options->break_flush,
	                        .only = options->only,
	                        .from = options->number,
	                        .trace = options->trace};

	if (options->only) {
		run_trace(workload, options, &plan, tally);
		return;
	}
	for (uint64_t i = 0; i < traces; i++) {
		uint64_t turn = (i + options->seed) % traces;

		plan.trace = (uint32_t)i;
		plan.states = (turn + 1) * states / traces - turn * states / traces;
		/* Where there are more of them than states, some do not run. */
		if (plan.states > 0)
			run_trace(workload, options, &plan, tally);
	}
}

/* ---- printing ---- */

static void print_head(const struct options *options)
{
	if (options->json) {
		printf("{\"seed\": %" PRIu64 ", \"workloads\": {", options->seed);
		return;
	}
	printf("%-10s", "workload");
	for (size_t i = 0; i < COLUMNS; i++)
		printf(" %11s", columns[i].title);
	putchar('\n');
}

static void print_row(const struct options *options, const char *name,
                      const struct cut_tally *tally, bool first)
{
	uint64_t values[COLUMNS];

	figures(tally, values);
	if (options->json)
		printf("%s\"%s\": {", first ? "" : ", ", name);
	else
		printf("%-10s", name);
	for (size_t i = 0; i < COLUMNS; i++)
		if (options->json)
			printf("%s\"%s\": %" PRIu64, i ? ", " : "", columns[i].name, values[i]);
		else
			printf(" %11" PRIu64, values[i]);
	puts(options->json ? "}" : "");
	fflush(stdout);
}

static void add(struct cut_tally *sum, const struct cut_tally *tally)
{
	sum->states += tally->states;
	sum->lost += tally->lost;
	sum->unopened += tally->unopened;
	sum->corrupt += tally->corrupt;
	sum->partly += tally->partly;
	sum->next_failed += tally->next_failed;
	sum->newest_lost += tally->newest_lost;
}

/* ---- the command line ---- */

static int usage(void)
{
	fputs("usage: powercut [--seed N] [--states N] [--workload NAME] [--state TRACE.N]\n"
	      "                [--break flush] [--json]\nworkloads:",
	      stderr);
	for (uint32_t i = 0; i < cut_workload_count; i++)
		fprintf(stderr, " %s", cut_workloads[i].name);
	fputc('\n', stderr);
	return 64;
}

static bool parse_number(const char *text, char end, uint64_t *out, const char **rest)
{
	char *stop;

	if (*text < '0' || *text > '9')
		return false;
	*out = strtoull(text, &stop, 10);
	*rest = stop + 1;
	return *stop == end;
}

static bool parse_option(struct options *options, const char *name, const char *value)
{
	const char *rest;
	uint64_t trace;

	if (strcmp(name, "--seed") == 0)
		return parse_number(value, '\0', &options->seed, &rest);
	if (strcmp(name, "--states") == 0)
		return parse_number(value, '\0', &options->states, &rest);
	if (strcmp(name, "--workload") == 0) {
		options->workload = value;
		return true;
	}
	if (strcmp(name, "--break") == 0) {
		options->break_flush = true;
		return strcmp(value, "flush") == 0;
	}
	if (strcmp(name, "--state") != 0 || !parse_number(value, '.', &trace, &rest) ||
	    trace > UINT32_MAX)
		return false;
	options->only = true;
	options->trace = (uint32_t)trace;
	return parse_number(rest, '\0', &options->number, &rest);
}

static bool parse(struct options *options, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			options->json = true;
			continue;
		}
		if (i + 1 == argc || !parse_option(options, argv[i], argv[i + 1]))
			return false;
		i++;
	}
	return !options->only || options->workload;
}

static bool is_asked(const struct options *options, const struct cut_workload *workload)
{
	return !options->workload || strcmp(options->workload, workload->name) == 0;
}

int main(int argc, char **argv)
{
	struct options options = {.seed = 1, .states = 24000};
	struct cut_tally sum = {0};
	uint32_t weights = 0;
	bool first = true;
	clock_t began = clock();

	if (!parse(&options, argc, argv))
		return usage();
	for (uint32_t i = 0; i < cut_workload_count; i++)
		weights += is_asked(&options, &cut_workloads[i]) ? cut_workloads[i].weight : 0;
	if (weights == 0)
		return usage();
	print_head(&options);
	for (uint32_t i = 0; i < cut_workload_count; i++) {
		struct cut_tally tally = {0};

		if (!is_asked(&options, &cut_workloads[i]))
			continue;
		run_workload(&cut_workloads[i], &options,
		             (options.states * cut_workloads[i].weight + weights - 1) / weights,
		             &tally);
		print_row(&options, cut_workloads[i].name, &tally, first);
		add(&sum, &tally);
		first = false;
	}
	if (options.json)
		fputs("}, ", stdout);
	print_row(&options, "all", &sum, true);
	if (options.json)
		puts("}");
	else
		printf("%.1f s of processor time, seed %" PRIu64 "\n",
		       (double)(clock() - began) / CLOCKS_PER_SEC, options.seed);
	return is_bad(&sum);
}
