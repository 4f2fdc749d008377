/* SPDX-License-Identifier: MIT */
/*
 * What a push keeps for its owner's calls (receive_policy.c) and for the rules that the
 * configuration declares (receive_rules.c, receive_paths.c). Part of struct receive.
 */
#ifndef PACKHORSE_RECEIVE_POLICY_INT_H
#define PACKHORSE_RECEIVE_POLICY_INT_H

#include <packhorse/policy.h>

struct receive;
struct receive_text;

struct receive_policy {
	/* What the owner and the log are shown. certificate is set by who reads it. */
	struct ph_push push;
	struct ph_push_command *commands; /* push.commands, once they are shown */
	const char *why;                  /* the owner's, of the call under way */
	struct receive_text *texts;       /* what was kept of those */
	size_t texts_bytes;
	uint64_t quota; /* the owner's: bytes of pack */
	/* Rules. */
	struct ph_limits limits; /* the session's, with a lower object_bytes_max */
	uint64_t stored;         /* bytes that the repository held when the push began */
	uint64_t space_at;       /* bytes of pack at which the store's space is looked at next */
	struct receive_paths *paths;
	bool paths_done;
	const char *path_error; /* of all commands that set something; NULL: none */
};

/* The limits for the pack. */
const struct ph_limits *ph__receive_pack_limits(struct receive *r);
/*
 * Why no more of the pack can be taken, bytes of which have come; NULL: go on. The client was told
 * more.
 */
const char *ph__receive_over(struct receive *r, uint64_t bytes);
/* The text for a pack that failed: a rule's, if one is the reason, and the client was told more. */
const char *ph__receive_pack_rule(struct receive *r, const struct ph_error *error);
/* The same for a commit's status. */
const char *ph__receive_commit_rule(struct receive *r, enum ph_status status);
/*
 * Goes over the paths that new commits change: PH_AGAIN, PH_OK with path_error set or not, or a
 * failure of ours.
 */
enum ph_status ph__receive_paths(struct receive *r, uint32_t *budget);
void ph__receive_paths_release(struct receive *r);

/* A copy of a text, without control bytes, that lives as long as the push; NULL: no room. */
const char *ph__receive_text(struct receive *r, const char *text);
void ph__receive_policy_release(struct receive *r);

#endif
