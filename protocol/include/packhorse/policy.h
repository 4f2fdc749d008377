/* SPDX-License-Identifier: MIT */
/*
 * An owner's word on pushes, said in its own process: there are no hook scripts. Calls come in
 * git's order (githooks(5)): authorise before anything is read, quota when the pack begins,
 * pre_receive once with all commands and a view into the quarantine, update for each ref,
 * post_receive after the commit. Each comes from a thread that runs the session, and must not
 * block: an owner that has to ask somebody answers PH_PENDING and calls service->wake later; then
 * the same call comes again.
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
	char status;              /* as %G? of git-log(1): 'G', 'B', 'U', 'N' */
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
};

/*
 * Every call may be NULL. PH_OK goes on; PH_PENDING waits; anything else refuses, and *why may be
 * set to a text for the client, which lives until the call after. say() tells the client something
 * (band 2).
 */
struct ph_policy {
	void *user;
	enum ph_status (*authorise)(void *user, const char *repo, const char *identity,
	                            const char **why);
	/* Bytes that the repository may take more, UINT64_MAX for any number. */
	enum ph_status (*quota)(void *user, const char *repo, uint64_t *bytes, const char **why);
	enum ph_status (*pre_receive)(void *user, const struct ph_push *push, const char **why);
	enum ph_status (*update)(void *user, const struct ph_push *push, uint32_t command,
	                         const char **why);
	/* commands[].error tells what became of each. Its answer is not looked at. */
	void (*post_receive)(void *user, const struct ph_push *push);
};

#ifdef __cplusplus
}
#endif
#endif
