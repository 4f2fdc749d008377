/* SPDX-License-Identifier: MIT */
/* The command line: packhorse serve, --version, --help. */
#include "daemon_int.h"
#include <stdio.h>
#include <string.h>

static void help(FILE *to)
{
	fputs("packhorse: a Git server that fits in a library\n"
	      "\n"
	      "usage: packhorse serve [OPTIONS]   serve repositories over SSH\n"
	      "       packhorse serve --help      what the options are\n"
	      "       packhorse --version\n"
	      "\n"
	      "Without options, serve keeps its repositories in ./packhorse.img, takes your own\n"
	      "SSH keys as the owner's, and listens on 127.0.0.1:2222.\n",
	      to);
}

int main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
		puts("packhorse " PH_VERSION);
		return PH_EXIT_OK;
	}
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
		help(stdout);
		return PH_EXIT_OK;
	}
	if (argc >= 2 && strcmp(argv[1], "serve") == 0) {
		struct ph_options options;
		int code = ph__options_parse(&options, argc - 2, argv + 2);

		return code >= 0 ? code : ph__serve(&options);
	}
	if (argc < 2)
		fputs("packhorse: say what to do, for example: packhorse serve\n", stderr);
	else
		fprintf(stderr, "packhorse: unknown command '%s'; try packhorse --help\n", argv[1]);
	return PH_EXIT_USAGE;
}
