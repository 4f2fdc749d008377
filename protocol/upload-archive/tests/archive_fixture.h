/* SPDX-License-Identifier: MIT */
/*
 * A small repository in memory whose tree has what an archive treats in ways of its own, and
 * conversations with an upload-archive session over it.
 *
 *	.gitattributes  as given         dir/.gitattributes  "*.no export-ignore"
 *	big             1.2 MiB           dir/a.no  dir/b.yes
 *	file.fmt        as given         dir/run (executable)
 *	link -> file.fmt                 (a name of 120 bytes)
 *	mod             a submodule      second              a delta on file.fmt
 *
 *	refs/heads/main, HEAD; refs/heads/hidden, which transfer.hideRefs hides; refs/tags/v1,
 *annotated; refs/tags/gone, whose tree lacks a blob
 */
#ifndef ARCHIVE_FIXTURE_H
#define ARCHIVE_FIXTURE_H

#include "support.h"

#include <packhorse/store_mem.h>
#include <packhorse/upload_archive.h>

#define AFIX_BIG_BYTES ((size_t)1200 << 10)

struct afix {
	enum ph_hash_algo algo;
	struct ph_test_alloc memory;
	struct ph_limits limits;
	struct ph_store *store;
	struct ph_test_pack pack;
	struct ph_oid commit, big;
	struct ph_memory *budget; /* for sessions; NULL */
	uint64_t claimed;         /* the most that a session had claimed */
	uint64_t now_step_ms;     /* that passes between two runs */
	const char *repo;
	enum ph_permission permission;
};

void afix_init(struct afix *fix, enum ph_hash_algo algo, const void *attributes,
               size_t attributes_len, const void *format, size_t format_len);
void afix_release(struct afix *fix);

/* "argument" packets from words between "|", and a flush. */
void afix_say(struct ph_test_buf *out, const char *arguments);

struct afix_pace {
	size_t feed, take; /* most bytes at once */
	uint32_t budget;   /* of a run */
	uint64_t seed;     /* not 0: sizes are random up to these */
};

struct afix_run {
	struct ph_test_buf out;     /* as it came */
	struct ph_test_buf band[4]; /* what came on each */
	struct ph_test_buf err;
	bool ack, flush; /* came, and came last */
	int status;      /* -1: the session could not be made */
};

/* Feeds all of input, then its end, and runs the session until it is done. */
void afix_talk(struct afix *fix, const struct ph_test_buf *input, const struct afix_pace *pace,
               struct afix_run *run);
void afix_run_release(struct afix_run *run);
extern const struct afix_pace afix_at_once;

#endif
