/* SPDX-License-Identifier: MIT */
/* Options of packhorse serve. Every error is one line that says what to do. */
#include "daemon_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MIB_MIN 8u
#define MEMORY_MIB_MAX 16777216u

static void usage(void)
{
	fputs("usage: packhorse serve [OPTIONS]\n"
	      "\n"
	      "  --listen ADDR:PORT      where to listen; repeatable; [ADDR]:PORT for IPv6, port 0 "
	      "takes\n"
	      "                          a free one (default 127.0.0.1:2222)\n"
	      "  --store mem|FILE|DEV    where repositories are kept: memory, a file that is made "
	      "and\n"
	      "                          grows at need, or a block device (default packhorse.img)\n"
	      "  --authorized-keys FILE  whose keys are accepted, as for sshd; packhorse=\"ro\", "
	      "\"rw\" or\n"
	      "                          \"owner\" before a key says what it may do, an owner's is "
	      "the\n"
	      "                          default (without this: your ~/.ssh/authorized_keys and\n"
	      "                          ~/.ssh/*.pub)\n"
	      "  --host-key FILE         private host key (default: one made at the first start "
	      "and kept\n"
	      "                          in the store)\n"
	      "  --anon-read             anybody may clone, without a key\n"
	      "  --memory MB             what transfers may take of memory; the others wait their "
	      "turn\n"
	      "                          (default half of what the machine has)\n"
	      "  --limit NAME=VALUE      another limit on what clients may ask for; repeatable; "
	      "packhorse(1)\n"
	      "                          has the names\n"
	      "  --quiet                 say nothing but warnings and errors\n"
	      "  --log-level LEVEL       error, warn, info or debug (default info)\n"
	      "  --help\n"
	      "\n"
	      "For each address one line \"listening ssh://ADDR:PORT/\" goes to stdout, all else "
	      "to stderr.\n",
	      stdout);
}

static int level_parse(enum ph_log_level *out, const char *name)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	for (unsigned i = 0; i < 4; i++) {
		if (strcmp(name, names[i]) == 0) {
			*out = (enum ph_log_level)i;
			return -1;
		}
	}
	fprintf(stderr, "packhorse: --log-level takes error, warn, info or debug, not '%s'\n",
	        name);
	return PH_EXIT_USAGE;
}

/* From what one transfer needs at least, to more than machines have. */
static int memory_parse(uint64_t *out, const char *text)
{
	char *end;
	unsigned long mib = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || mib < MEMORY_MIB_MIN || mib > MEMORY_MIB_MAX) {
		fprintf(stderr,
		        "packhorse: --memory takes a number of MB from %u to %u, not '%s'\n",
		        MEMORY_MIB_MIN, MEMORY_MIB_MAX, text);
		return PH_EXIT_USAGE;
	}
	*out = (uint64_t)mib << 20;
	return -1;
}

bool ph__limit_apply(struct ph_limits *limits, const char *text)
{
	const char *equals = strchr(text, '=');
	uint64_t value = 0;

	if (!equals || !equals[1])
		return false;
	for (const char *at = equals + 1; *at; at++) {
		if (*at < '0' || *at > '9' || value > (UINT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (uint64_t)(*at - '0');
	}
	return ph_limits_set(limits, text, (size_t)(equals - text), value) == PH_OK;
}

static int limit_parse(struct ph_options *out, const char *text)
{
	struct ph_limits limits;

	ph_limits_init(&limits);
	if (!ph__limit_apply(&limits, text)) {
		fprintf(stderr,
		        "packhorse: --limit takes NAME=NUMBER, such as haves_max=100000, not "
		        "'%s'; packhorse(1) has the names\n",
		        text);
		return PH_EXIT_USAGE;
	}
	if (out->limits == PH_LIMITS_MAX) {
		fprintf(stderr, "packhorse: --limit can be given %d times at most\n",
		        PH_LIMITS_MAX);
		return PH_EXIT_USAGE;
	}
	out->limit[out->limits++] = text;
	return -1;
}

/* The options that take a value; returns -1 or an exit code. */
static int with_value(struct ph_options *out, const char *name, const char *value)
{
	if (strcmp(name, "--listen") == 0) {
		if (out->listens == PH_LISTEN_MAX) {
			fprintf(stderr, "packhorse: --listen can be given %d times at most\n",
			        PH_LISTEN_MAX);
			return PH_EXIT_USAGE;
		}
		if (!ph__listen_valid(value)) {
			fprintf(stderr,
			        "packhorse: --listen takes ADDR:PORT or [IPV6]:PORT, such as "
			        "127.0.0.1:2222, not '%s'\n",
			        value);
			return PH_EXIT_USAGE;
		}
		out->listen[out->listens++] = value;
	} else if (strcmp(name, "--store") == 0) {
		out->store = value;
	} else if (strcmp(name, "--authorized-keys") == 0) {
		out->authorized_keys = value;
	} else if (strcmp(name, "--host-key") == 0) {
		out->host_key = value;
	} else if (strcmp(name, "--log-level") == 0) {
		return level_parse(&out->level, value);
	} else if (strcmp(name, "--memory") == 0) {
		return memory_parse(&out->memory, value);
	} else if (strcmp(name, "--limit") == 0) {
		return limit_parse(out, value);
	} else {
		fprintf(stderr, "packhorse: unknown option '%s'; try packhorse serve --help\n",
		        name);
		return PH_EXIT_USAGE;
	}
	return -1;
}

static bool takes_value(const char *name)
{
	static const char *const names[] = {"--listen",   "--store",     "--authorized-keys",
	                                    "--host-key", "--log-level", "--memory",
	                                    "--limit"};

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* One argument, or two; *used says how many. "--name=value" is "--name value". */
static int one(struct ph_options *out, int argc, char **argv, int *used)
{
	char name[32];
	const char *arg = argv[0];
	const char *equals = strchr(arg, '=');
	const char *value = NULL;

	*used = 1;
	if (strcmp(arg, "--anon-read") == 0) {
		out->anon_read = true;
		return -1;
	}
	if (strcmp(arg, "--quiet") == 0) {
		out->quiet = true;
		return -1;
	}
	if (strcmp(arg, "--help") == 0) {
		usage();
		return PH_EXIT_OK;
	}
	if (equals && (size_t)(equals - arg) < sizeof name) {
		memcpy(name, arg, (size_t)(equals - arg));
		name[equals - arg] = '\0';
		value = equals + 1;
		arg = name;
	} else if (takes_value(arg)) {
		if (argc < 2) {
			fprintf(stderr, "packhorse: %s needs a value; try packhorse serve --help\n",
			        arg);
			return PH_EXIT_USAGE;
		}
		value = argv[1];
		*used = 2;
	}
	if (value && *value == '\0') {
		fprintf(stderr, "packhorse: %s needs a value that is not empty\n", arg);
		return PH_EXIT_USAGE;
	}
	return with_value(out, arg, value ? value : "");
}

int ph__options_parse(struct ph_options *out, int argc, char **argv)
{
	memset(out, 0, sizeof *out);
	out->store = "packhorse.img";
	out->level = PH_LOG_INFO;
	while (argc > 0) {
		int used, code = one(out, argc, argv, &used);

		if (code >= 0)
			return code;
		argc -= used;
		argv += used;
	}
	if (out->listens == 0)
		out->listen[out->listens++] = "127.0.0.1:2222";
	if (out->quiet && out->level > PH_LOG_WARN)
		out->level = PH_LOG_WARN;
	return -1;
}
