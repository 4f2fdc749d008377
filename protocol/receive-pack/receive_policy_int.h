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
};

/* A copy of a text, without control bytes, that lives as long as the push; NULL: no room. */
const char *ph__receive_text(struct receive *r, const char *text);
void ph__receive_policy_release(struct receive *r);

#endif
