/* SPDX-License-Identifier: MIT */
/* The command line: packhorse serve, tools on images, --version, --help. */
#include "daemon_int.h"
#include "tools_int.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void help(FILE *to)
{
	fputs("packhorse: a Git server that fits in a library\n"
	      "\n"
	      "usage: packhorse serve [OPTIONS]   serve repositories over SSH\n"
	      "       packhorse serve --help      what the options are\n"
	      "       packhorse mkfs FILE|DEV     make an empty store\n"
	      "       packhorse info FILE|DEV     what is in a store\n"
	      "       packhorse fsck FILE|DEV     look for damage\n"
	      "       packhorse export FILE|DEV REPO DIR|-          a repository out of a store\n"
	      "       packhorse import FILE|DEV REPO DIR|BUNDLE|-   and into one\n"
	      "       packhorse backup FILE|DEV OUT|-               a copy of a store\n"
	      "       packhorse help COMMAND      the options of one\n"
	      "       packhorse --version\n"
	      "\n"
	      "Without options, serve keeps its repositories in ./packhorse.img, takes your own\n"
	      "SSH keys as the owner's, and listens on 127.0.0.1:2222.\n",
	      to);
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} tools[] = {
        {"mkfs", ph__tool_mkfs},     {"info", ph__tool_info},     {"fsck", ph__tool_fsck},
        {"export", ph__tool_export}, {"import", ph__tool_import}, {"backup", ph__tool_backup},
};

/* "help COMMAND" is "COMMAND --help", in *argv too. */
static void turn_help(int argc, char **argv)
{
	static char flag[] = "--help";

	if (argc == 3 && strcmp(argv[1], "help") == 0) {
		argv[1] = argv[2];
		argv[2] = flag;
	}
}

/* Whether all that was said could be written is known now only. */
static int written(int code)
{
	const char *why = fflush(stdout) != 0 ? strerror(errno) : "a part of it is lost";

	if (!ferror(stdout))
		return code;
	if (code != PH_EXIT_FAILURE)
		fprintf(stderr, "packhorse: cannot write to standard output: %s\n", why);
	return code == PH_EXIT_OK ? PH_EXIT_FAILURE : code;
}

/* All but serve. */
static int run(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
		puts("packhorse " PH_VERSION);
		return PH_EXIT_OK;
	}
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
		help(stdout);
		return PH_EXIT_OK;
	}
	for (size_t i = 0; argc >= 2 && i < sizeof(tools) / sizeof(*tools); i++)
		if (strcmp(argv[1], tools[i].name) == 0)
			return tools[i].run(argc - 2, argv + 2);
	if (argc < 2)
		fputs("packhorse: say what to do, for example: packhorse serve\n", stderr);
	else
		fprintf(stderr, "packhorse: unknown command '%s'; try packhorse --help\n", argv[1]);
	return PH_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	turn_help(argc, argv);
	if (argc >= 2 && strcmp(argv[1], "serve") == 0) {
		struct ph_options options;
		int code = ph__options_parse(&options, argc - 2, argv + 2);

		return code >= 0 ? code : ph__serve(&options);
	}
	return written(run(argc, argv));
}
