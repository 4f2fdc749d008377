/* SPDX-License-Identifier: MIT */
/*
 * A small repository in memory, conversations with an upload-pack session over it, and what came
 *back as readable text.
 *
 *	c1 - c2 - c3 - c4 - c5   refs/heads/main, HEAD     commits c<n> with tree t<n>, blob b<n>
 *	  \                                                b<n> is stored as an OFS_DELTA on b<n-1>
 *	   s1                    refs/heads/side           tree ts, blobs b1 and bs
 *	refs/tags/light c1, refs/tags/v1 -> tag v1 of c2, refs/tags/vv -> tag vv of tag v1
 *	u1, bu                   stored, under no ref
 *	x1, x2                   ids that no object has
 */
#ifndef UP_FIXTURE_H
#define UP_FIXTURE_H

#include "support.h"

#include <packhorse/store_mem.h>
#include <packhorse/upload_pack.h>

#define FIX_NAMES_MAX 64u

struct fix {
	enum ph_hash_algo algo;
	struct ph_test_alloc memory;
	struct ph_limits limits;
	struct ph_store *store;
	struct ph_test_pack pack;
	uint32_t names;
	struct {
		char name[8];
		uint32_t entry;
		char hex[PH_OID_HEX_MAX + 1];
	} name[FIX_NAMES_MAX];
	/* How sessions are run. */
	enum ph_permission permission;
	const char *repo;
	struct ph_selections *selections; /* that they share; NULL for none */
	uint64_t now_step_ms;             /* that passes between two runs */
	struct ph_log log;                /* of fix_open */
	struct ph_test_buf *log_text;     /* what sessions log goes here, when it is set */
	/* Called once, when hook_at bytes were fed and the session waits for more. */
	void (*hook)(struct fix *fix);
	size_t hook_at;
};

void fix_init(struct fix *fix, enum ph_hash_algo algo);
/* The same without refs/heads/side, and without the objects that no other ref reaches. */
void fix_init_less(struct fix *fix, enum ph_hash_algo algo);
void fix_release(struct fix *fix);
/* The same for cmocka: *state is a struct fix with SHA-1. */
int fix_setup(void **state);
int fix_teardown(void **state);
/* The id of a named object in hex; aborts when there is none. */
const char *fix_hex(const struct fix *fix, const char *name);
/* Its number in fix->pack. */
uint32_t fix_entry(const struct fix *fix, const char *name);
struct ph_oid fix_oid(const struct fix *fix, const char *name);
/* Sets a ref ("" deletes) or the shallow boundary in a commit of its own. */
void fix_set_ref(struct fix *fix, const char *ref, const char *name);
void fix_set_symref(struct fix *fix, const char *ref, const char *target);
void fix_set_shallow(struct fix *fix, const char *name);
/* The repository's configuration, lines of key=value. */
void fix_set_config(struct fix *fix, const char *text);
/* Adds a blob of random bytes, called "bl", in a pack of its own and under refs/blobs/large. */
void fix_add_large(struct fix *fix, size_t bytes);
/* An empty repository. */
void fix_add_empty(struct fix *fix, const char *repo);

/*
 * Packets from words: "|" ends one, so "want $c5|done|0000" is two lines and a flush. "$name"
 * becomes the id of a named object, "0000", "0001" and "0002" alone the special packets. Lines get
 * a newline.
 */
void fix_say(const struct fix *fix, struct ph_test_buf *out, const char *script);

/* A session of the fixture, by itself; NULL for want of memory. */
struct ph_session *fix_open(struct fix *fix, int version);

struct fix_run {
	struct ph_test_buf out, err;
	int status;
};

struct fix_pace {
	size_t feed;     /* most bytes given at once */
	size_t take;     /* most bytes taken at once */
	uint32_t budget; /* of a run */
	uint64_t seed;   /* not 0: sizes are random up to these */
};

/* Feeds all of input, then its end, and runs the session until it is done. */
void fix_talk(struct fix *fix, int version, const struct ph_test_buf *input,
              const struct fix_pace *pace, struct fix_run *run);
/* The same at several paces, whose outputs must be the same. */
void fix_talk_all(struct fix *fix, int version, const struct ph_test_buf *input,
                  struct fix_run *run);
void fix_run_release(struct fix_run *run);

/*
 * What the session answered after its advertisement, a line a packet: ids of named objects as
 * "$name", "0000" and "0001", band 2 and 3, and lines on band 1, as "2:text", the pack as "pack: b5
 * c5 t5", sorted, deltas as "b5<b4" (OFS) and "b5<<b4" (REF). Aborts on what is malformed.
 */
void fix_text(const struct fix *fix, const struct fix_run *run, bool with_advert,
              struct ph_test_buf *text);

/* A line, with ids of named objects as $name; it ends in one newline. */
void fix_line_text(const struct fix *fix, const uint8_t *data, size_t len,
                   struct ph_test_buf *text);

/* Talks at all paces (one, with a hook) and compares: the answer, stderr and the exit status. */
void fix_expect(struct fix *fix, int version, const char *script, const char *answer,
                const char *err, int status);
/* The same with the advertisement. */
void fix_expect_all(struct fix *fix, int version, const char *script, const char *answer,
                    const char *err, int status);

#endif
