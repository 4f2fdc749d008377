/* SPDX-License-Identifier: MIT */
/*
 * An owner's word on pushes, said in its own process: there are no hook scripts. Calls come in
 * git's order (githooks(5)): authorise before anything is told or read, quota when a pack begins,
 * pre_receive once with all commands and a view into the quarantine, update for each ref that is
 * left, post_receive after the commit and before the client is told. Rules that the configuration
 * declares (config.h, packhorse.*) come before update.
 *
 * Each call comes from a thread that runs the session, and must not block: an owner that has to ask
 * somebody answers PH_PENDING and calls push->wake(push->wake_arg), once, from any thread, also
 * when the client has gone meanwhile; then the same call comes again. What a struct ph_push points
 * to is there during the call alone.
 */
#ifndef PACKHORSE_POLICY_H
#define PACKHORSE_POLICY_H

#include <packhorse/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One ref of a push. */
struct ph_push_command {
	struct ph_oid old_oid, new_oid; /* zero: it is not there before, or after */
	const char *name;
	const char *error; /* it fails already, for this reason; NULL */
};

/* What a certificate says (gitprotocol-pack, "Push Certificate"); all but status "" or NULL without
 * one. */
struct ph_push_certificate {
	/* As %G? of git-log(1): 'G', 'B', 'U', 'N', and 'E' for a kind of signature that cannot be
	 * verified here. */
	char status;
	const char *nonce_status; /* "OK", "BAD", "MISSING", "UNSOLICITED", "SLOP" */
	const char *signer;       /* a principal of allowed signers */
	const char *key;          /* fingerprint, "SHA256:..." */
	struct ph_oid blob; /* the certificate as it came, stored with the push; zero for none */
};

struct ph_push {
	const char *repo;
	const char *identity; /* whose key opened the connection */
	const struct ph_push_command *commands;
	uint32_t count;
	/* Objects of the repository and of the pack, which nobody else sees yet; NULL: none. */
	const struct ph_source *source;
	const struct ph_push_certificate *certificate; /* NULL: none was sent */
	/* Push options, opaque bytes of a peer, NUL-terminated. */
	const char *const *options;
	uint32_t options_count;
	uint64_t pack_bytes; /* received */
	uint32_t pack_objects;
	/* For PH_PENDING. */
	ph_wake wake;
	void *wake_arg;
	/* Tells the client a line, on band 2 where it has one; control bytes are escaped, and a
	 * push has at most 64 lines of whoever says something. During a call alone. */
	void (*say)(const struct ph_push *push, const char *text);
	void *session; /* private */
};

/*
 * Every call may be NULL. PH_OK goes on; PH_PENDING waits; anything else refuses, and *why may be
 * set to a text for the client (200 bytes of it), which lives until the owner is called again.
 * Without it the client is told what git says of a hook that declines. authorise and quota know
 * neither commands nor objects yet.
 */
struct ph_policy {
	void *user;
	enum ph_status (*authorise)(void *user, const struct ph_push *push, const char **why);
	/* How many bytes of pack the repository may take more: *bytes, which is UINT64_MAX at
	 * first, for any number. A pack that turns out larger is refused while it arrives. */
	enum ph_status (*quota)(void *user, const struct ph_push *push, uint64_t *bytes,
	                        const char **why);
	/* All commands, also those that have an error. */
	enum ph_status (*pre_receive)(void *user, const struct ph_push *push, const char **why);
	/* For commands[command], which has no error. */
	enum ph_status (*update)(void *user, const struct ph_push *push, uint32_t command,
	                         const char **why);
	/* Only when something was done, with the commands that were; source is the repository's as
	 * of now. */
	void (*post_receive)(void *user, const struct ph_push *push);
};

#ifdef __cplusplus
}
#endif
#endif
