/* SPDX-License-Identifier: MIT */
/* The arguments of `git archive`, as the client passes them on. */
#ifndef PACKHORSE_OPTIONS_INT_H
#define PACKHORSE_OPTIONS_INT_H

#include <packhorse/base.h>

/* git's MAX_ARGS. */
#define PH__ARCHIVE_ARGS_MAX 64u
/* Bytes of all of them: 64 paths of 4096. */
#define PH__ARCHIVE_ARGS_BYTES_MAX (256u * 1024)

enum ph__archive_format {
	PH__FORMAT_TAR,
	PH__FORMAT_TGZ,
	PH__FORMAT_TAR_GZ,
	PH__FORMAT_ZIP,
	PH__FORMAT_COUNT
};

struct ph__archive_options {
	enum ph__archive_format format;
	int level; /* of compression; -1 for the usual one */
	const char *prefix;
	bool verbose, list, mtime_given;
	uint64_t mtime;
	const char *treeish;
	const char *paths[PH__ARCHIVE_ARGS_MAX];
	unsigned path_count;
};

#define PH__ARCHIVE_WHY_BYTES 512u

/* "tar", "tgz", "tar.gz", "zip". */
const char *ph__archive_format_name(enum ph__archive_format format);

enum ph__options_result {
	PH__OPTIONS_OK,
	PH__OPTIONS_FATAL, /* why says what is wrong */
	PH__OPTIONS_USAGE  /* the same, and then the usage is to be told; why may be "" */
};

/* argv must outlive *out. */
enum ph__options_result ph__archive_options_parse(struct ph__archive_options *out,
                                                  const char *const *argv, unsigned argc,
                                                  char why[PH__ARCHIVE_WHY_BYTES]);

/*
 * A time: "@seconds", seconds alone (nine digits or more), "YYYY-MM-DD", "YYYY-MM-DD HH:MM[:SS]",
 * with "T" or a blank between, and then nothing (UTC), "Z" or an offset as "+0100". False for any
 * other.
 */
bool ph__archive_mtime_parse(uint64_t *out, const char *text);

#endif
