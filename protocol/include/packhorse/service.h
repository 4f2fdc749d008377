/* SPDX-License-Identifier: MIT */
/*
 * What a session is given of the outside world, and the request that a client names it by.
 */
#ifndef PACKHORSE_SERVICE_H
#define PACKHORSE_SERVICE_H

#include <packhorse/executor.h>
#include <packhorse/memory.h>
#include <packhorse/policy.h>
#include <packhorse/selections.h>
#include <packhorse/session.h>
#include <packhorse/store.h>
#include <packhorse/unpack.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ph_permission { PH_PERM_NONE, PH_PERM_READ, PH_PERM_WRITE, PH_PERM_OWNER };

struct ph_service {
	struct ph_store *store;
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	const struct ph_log *log; /* may be NULL */
	uint64_t connection;      /* for log lines */
	/* Who: the name of the key that was verified, for logs and the push log. Lives with the
	 * owner. */
	const char *identity;
	enum ph_permission permission;
	/* Random bytes; for session ids. */
	void *random_user;
	enum ph_status (*random)(void *user, void *buf, size_t len);
	/* Called, from any thread, when a WAITING session can go on. Must not call into the
	 * session. */
	void *wake_user;
	void (*wake)(void *user, struct ph_session *session);
	/* "packhorse/VERSION", as the agent capability says it. */
	const char *agent;
	/* Shared by all sessions; NULL: no admission, every session starts at once. */
	struct ph_memory *memory;
	/* The owner command "shutdown": starts an orderly end. NULL: there is no such command. */
	void *shutdown_user;
	void (*shutdown)(void *user, const char *identity);
	/*
	 * A commit has changed a repository: maintenance may be due (maintenance.h). Called from
	 * any thread that runs a session; must not block. NULL: nobody keeps it.
	 */
	void *changed_user;
	void (*changed)(void *user, const char *repo);
	/* Answers that sessions share (selections.h); NULL: each selects for itself. */
	struct ph_selections *selections;
	/* Threads that help with one push; NULL: none. */
	const struct ph_executor *executor;
	/* Inflates what of a push is at hand as a whole (unpack.h); may be NULL. */
	const struct ph_unpack *unpack;
	/* What the owner has to say about pushes (policy.h); NULL: nothing. */
	const struct ph_policy *policy;
	/*
	 * The public key whose signature opened the connection, as in authorized_keys but decoded
	 * (RFC 4253, 6.6); NULL where there is none. Lives with the owner.
	 */
	const uint8_t *key;
	size_t key_len;
	/*
	 * Whether signature (RFC 4253: string algorithm, string blob) is key's over message. NULL:
	 * push certificates cannot be verified. PH_OK, PH_ERR_DENIED, PH_ERR_UNSUPPORTED.
	 */
	void *verify_user;
	enum ph_status (*verify)(void *user, const uint8_t *key, size_t key_len,
	                         const uint8_t *signature, size_t signature_len,
	                         const uint8_t *message, size_t message_len);
};

enum ph_request_kind {
	PH_REQUEST_UPLOAD_PACK,
	PH_REQUEST_RECEIVE_PACK,
	PH_REQUEST_UPLOAD_ARCHIVE,
	PH_REQUEST_OTHER /* an owner command; words are in argv */
};

#define PH_REQUEST_ARGS_MAX 16u
#define PH_REQUEST_BYTES_MAX 4096u

/* A parsed command line of an SSH exec request, or of an embedder. */
struct ph_request {
	enum ph_request_kind kind;
	char repo[PH_REPO_NAME_MAX + 1]; /* canonical: see ph_repo_name_canonical */
	int version;                     /* of the protocol asked for: 0, 1 or 2 */
	unsigned argc;
	const char *argv[PH_REQUEST_ARGS_MAX]; /* into text */
	char text[PH_REQUEST_BYTES_MAX + 1];
};

/*
 * Parses "git-upload-pack 'path'", "git upload-pack 'path'" and so on, with one argument, quoted as
 * git's sq_quote does or bare; anything else is split into words as an owner command. No shell is
 * involved: words of plain characters, '...' and \' and \! between them. protocol is the value of
 * GIT_PROTOCOL or NULL: colon-separated keys, the highest version=N of 0 to 2 counts, the rest is
 * ignored; values longer than 256 bytes or outside [A-Za-z0-9=:._-] count as absent.
 * PH_ERR_INVALID: not a command (control bytes, open quote, leftovers, option-like path, too many
 * words), PH_ERR_LIMIT: too long. out->repo is filled for the three git services.
 */
PH_API enum ph_status ph_request_parse(struct ph_request *out, const char *command, size_t len,
                                       const char *protocol);

/*
 * The name of a repository out of a URL's path: leading slashes, trailing slashes and one ".git"
 * are taken off, "~user/" and "~/" at the front are not a home here but refused, "//" counts as
 * "/". Then ph_repo_name_check. out has PH_REPO_NAME_MAX + 1 bytes.
 */
PH_API enum ph_status ph_repo_name_canonical(char *out, const char *path, size_t len);

/*
 * A session for a request: upload-pack, receive-pack, or an owner command. What it may do follows
 * from service->permission; refusals are sessions too, that say so and end. So this fails only with
 * PH_ERR_NOMEM. service is copied. Lives in a library above the services (ph_services).
 */
PH_MUST_CHECK PH_API enum ph_status ph_service_open(struct ph_session **out,
                                                    const struct ph_service *service,
                                                    const struct ph_request *request);

#ifdef __cplusplus
}
#endif
#endif
