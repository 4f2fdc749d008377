/* SPDX-License-Identifier: MIT */
/*
 * An owner command while it runs: its words, and what its steps share. admin.c reads the words and
 * runs what changes a repository; admin_list.c lists them; admin_config.c is their configuration;
 * admin_maintain.c has them maintained; admin_log.c prints their log of pushes; admin_backup.c
 * copies all of them.
 */
#ifndef PACKHORSE_ADMIN_INT_H
#define PACKHORSE_ADMIN_INT_H

#include "commit_int.h"
#include "config_int.h"
#include "out_int.h"
#include "session_int.h"

#include <packhorse/admin.h>
#include <packhorse/refname.h>
#include <packhorse/scrub.h>

/* A name with every byte escaped. */
#define ADMIN_ESCAPED_BYTES (4u * PH_REF_NAME_MAX + 1)

struct admin;

/* One command: a step like a session's. */
typedef enum ph_step (*admin_step)(struct admin *admin, uint32_t *budget);

struct admin {
	struct ph_session session; /* first */
	admin_step step;
	unsigned argc;
	char *argv[PH_REQUEST_ARGS_MAX]; /* into text */
	char *text;

	/* What the words said. */
	char repo[PH_REPO_NAME_MAX + 1];
	char branch[PH_REF_NAME_MAX + 1]; /* full name, or "" */
	enum ph_hash_algo algo;
	char key[PH_CONFIG_KEY_MAX + 1];
	struct ph__config_change change; /* of the configuration; key NULL: all is listed */

	/* What is under way. */
	struct ph_txn *txn;
	struct ph__commit commit;
	struct ph_snapshot *snapshot;
	struct ph_ref_iter *refs;
	uint64_t ref_count;
	bool damaged; /* one of the list cannot be read */
	char *config; /* the text that is read or changed; NULL for none */
	size_t config_len;
	char *config_at; /* the line to print next */
	unsigned tries;

	uint64_t log_at;       /* the record of the log to print next */
	struct ph_oid log_tip; /* SHA-256 of the one before it */

	struct ph_copy *copy; /* of backup */
	struct ph_copy_options copy_options;
	bool left_out;          /* secrets were */
	struct ph_scrub *scrub; /* of scrub */
	uint64_t sign_ms;       /* when to say that it goes on */

	struct ph_session *inner; /* of repo maintain */
	struct ph_log inner_log;
	bool maintained; /* it said something */
};

/* Ends the command with this status. */
enum ph_step ph__admin_end(struct admin *admin, int exit_status);
/* Text on the first stream, all of it: only after ph__out_ready said yes. */
void ph__admin_print(struct admin *admin, const char *text);
/* What failed, and status 1. */
enum ph_step ph__admin_fail(struct admin *admin, enum ph_status status);
/* Control bytes, of C1 too, as \xNN. out has ADMIN_ESCAPED_BYTES. Returns out. */
char *ph__admin_escape(char *out, const char *text);

/* What is wrong with the words, and the usage. */
enum ph_step ph__admin_usage(struct admin *admin, const char *what, const char *word);

/* Reads the words of config from this one on; the repository's name, if any, was read. */
enum ph_step ph__admin_config(struct admin *admin, unsigned at);
/* Reads the words of backup. */
enum ph_step ph__admin_backup(struct admin *admin);
enum ph_step ph__admin_list(struct admin *admin, uint32_t *budget);
enum ph_step ph__admin_log(struct admin *admin, uint32_t *budget);
enum ph_step ph__admin_scrub(struct admin *admin, uint32_t *budget);
enum ph_step ph__admin_scrub_state(struct admin *admin, uint32_t *budget);
enum ph_step ph__admin_maintain(struct admin *admin, uint32_t *budget);

#endif
