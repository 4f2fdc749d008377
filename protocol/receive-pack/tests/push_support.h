/* SPDX-License-Identifier: MIT */
/*
 * A client of receive-pack for tests: a store in memory, a small history of objects, requests byte
 * by byte, and a pump that feeds them in pieces of any size and takes the answer.
 */
#ifndef PH_PUSH_SUPPORT_H
#define PH_PUSH_SUPPORT_H

#include "support.h"

#include <packhorse/receive_pack.h>
#include <packhorse/store_mem.h>

struct fixture {
	struct ph_test_alloc memory;
	struct ph_limits limits;
	struct ph_store *store;
	struct ph_service service;
	struct ph_log log;
	struct ph_test_buf log_text;
	enum ph_hash_algo algo;
	uint64_t now_ms;

	/* Objects: two blobs, a tree of each, a commit of each (the second the first's child), an
	 * annotated tag of the second commit. */
	struct ph_test_pack all;
	uint32_t blob[2], tree[2], commit[2], tag;
};

void fixture_init(struct fixture *f, enum ph_hash_algo algo);
void fixture_release(struct fixture *f);

/* Text of an object's id, in one of a few turning buffers. */
const char *hex(const struct fixture *f, uint32_t entry);
const char *zero(const struct fixture *f);

/* A packfile of these entries of all, stored whole. count 0: an empty pack. */
void pack_of(const struct fixture *f, const uint32_t *entries, uint32_t count,
             struct ph_test_buf *out);
/* The packfile of everything, or up to the first commit. */
void pack_all(const struct fixture *f, struct ph_test_buf *out);
void pack_first(const struct fixture *f, struct ph_test_buf *out);

/* Appends a pkt-line; the command form puts caps behind a NUL unless they are NULL. */
void pkt(struct ph_test_buf *out, const void *data, size_t len);
void pkt_text(struct ph_test_buf *out, const char *text);
void command(struct ph_test_buf *out, const char *old_hex, const char *new_hex, const char *ref,
             const char *caps);
void flush(struct ph_test_buf *out);

/* How a request is fed. */
enum feed { FEED_AT_ONCE, FEED_BYTES, FEED_RANDOM };

struct answer {
	struct ph_test_buf out, err;
	size_t advert; /* bytes of out up to the first flush, with it */
	int exit_status;
	uint64_t spent; /* units of work */
	bool done;      /* false: it waits for more input */
};

struct pump {
	enum feed feed;
	uint64_t seed;
	uint32_t budget;     /* per run; 0: 1024 */
	bool no_eof;         /* the client does not close its side */
	bool patient;        /* who waits is run at its deadlines */
	uint32_t step_ms;    /* the clock goes on by this with every run */
	unsigned *wait_runs; /* counts runs while a commit is pending; then calls woken */
	void (*woken)(void *user);
	void *woken_user;
};

/* Runs a session on this input to its end; frees it. */
void pump(struct fixture *f, struct ph_session *session, const struct pump *how,
          const struct ph_test_buf *input, struct answer *answer);
void answer_release(struct answer *answer);

/* Opens receive-pack on a repository and pumps. PH_ERR_NOMEM when there is no session. */
enum ph_status push_how(struct fixture *f, const char *repo, int version, const struct pump *how,
                        const struct ph_test_buf *input, struct answer *answer);
/* All at once, with the end of input; the answer behind the advertisement as text. */
void push(struct fixture *f, const char *repo, const struct ph_test_buf *input,
          struct answer *answer);

/* Asserts what follows the advertisement. */
void expect_body(const struct answer *answer, const char *text);
/* "unpack ok" or what, and lines without their lengths: "ok refs/heads/main\n..." */
void expect_report(const struct answer *answer, const char *lines);
/* Whether either stream has this text. */
bool says(const struct answer *answer, const char *text);

/* The value of a ref, as text; "" when it or the repository is not there; a symref's target. */
const char *ref_value(struct fixture *f, const char *repo, const char *name);
/* Everything that a store shows: names, refs, numbers of objects. For before and after. */
void store_text(struct fixture *f, struct ph_test_buf *out);
/* Pushes the history with main at the second commit and v1 at the tag. */
void push_history(struct fixture *f, const char *repo);

/* A transaction on a repository as it is, and its end. */
struct ph_txn *begin_change(struct fixture *f, const char *repo);
void commit_change(struct ph_txn *txn);
/* Lines "key=value" become all of its configuration. */
void set_config(struct fixture *f, const char *repo, const char *text);

/* What many tests begin with: the history in "demo", an empty request, and no answer. */
void begin_demo(struct fixture *f, struct ph_test_buf *request, struct answer *answer);
/* The next request; what was answered is let go. */
void next_request(struct ph_test_buf *request, struct answer *answer);
void end_demo(struct fixture *f, struct ph_test_buf *request, struct answer *answer);

#endif
