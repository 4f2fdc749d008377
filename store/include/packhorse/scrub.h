/* SPDX-License-Identifier: MIT */
/*
 * Checking a store for rot while it is in use: everything that is stored is read from the medium
 * and held against its checksums, in steps that the caller bounds. Nothing is pinned or locked
 * between two steps; what changes meanwhile is read as it is then.
 */
#ifndef PACKHORSE_SCRUB_H
#define PACKHORSE_SCRUB_H

#include <packhorse/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is damaged. */
enum ph_finding_part {
	PH_FINDING_SUPERBLOCK, /* another one serves */
	PH_FINDING_MAP,        /* of free blocks: the store cannot be written to */
	PH_FINDING_SPACE,      /* blocks with two owners, or with none */
	PH_FINDING_TREE,   /* refs, settings, records of packs, the log: what names everything */
	PH_FINDING_VALUE,  /* one entry of it */
	PH_FINDING_PACK,   /* a section of a pack */
	PH_FINDING_OBJECT, /* one object: by who makes and hashes them */
	PH_FINDING_REF,    /* by who follows them */
};

/* Ids of objects that a finding names; what is beyond is counted. */
#define PH_FINDING_OIDS 8u

/* Lives until the callback returns. */
struct ph_finding {
	enum ph_finding_part part;
	enum ph_status status; /* PH_ERR_CORRUPT, or PH_ERR_IO: the medium gave nothing */
	const char *repo;      /* "": the store itself */
	const char *what;      /* which part of it, in words; escaped */
	const char *advice;    /* what that means, or "" */
	uint64_t pack;         /* its lasting id; 0: none */
	uint32_t section;      /* of the pack, store.h; 0: none */
	/* Objects that are hit, and others that are deltas on them; as far as that can be told. */
	enum ph_hash_algo algo;
	uint64_t objects, deltas;
	uint32_t oid_count; /* at most PH_FINDING_OIDS of them are here */
	struct ph_oid oids[PH_FINDING_OIDS];
};

/* One line without newline, cut to size: "repository NAME: WHAT: STATUS; objects ...". */
#define PH_FINDING_LINE_MAX 1400u
PH_API void ph_finding_line(const struct ph_finding *finding, char *line, size_t size);

struct ph_scrub_options {
	void *user;
	void (*found)(void *user, const struct ph_finding *finding); /* may be NULL */
	/*
	 * Nobody changes the store before the end: that every block has one owner, and what numbers
	 * of refs and packs are said, is checked, too. Takes a bit a block.
	 */
	bool exclusive;
	/* Begins with the repository behind this one, "" for all. */
	const char *after;
};

struct ph_scrub_progress {
	uint64_t bytes;    /* read so far */
	uint64_t repos;    /* begun */
	uint64_t findings; /* told so far */
	uint64_t total;    /* about as many bytes are there to be read */
	const char *repo;  /* the one at work, "" between two; until the next step */
	const char *last;  /* the last one that was done with; likewise */
};

struct ph_scrub_ops {
	enum ph_status (*step)(struct ph_scrub *scrub, uint64_t bytes);
	void (*progress)(const struct ph_scrub *scrub, struct ph_scrub_progress *out);
	void (*free)(struct ph_scrub *scrub);
};

struct ph_scrub {
	const struct ph_scrub_ops *ops;
};

/*
 * One user at a time. PH_ERR_UNSUPPORTED: this store has nothing that could rot. PH_ERR_NOMEM.
 */
static inline enum ph_status ph_store_scrub(struct ph_store *store,
                                            const struct ph_scrub_options *options,
                                            struct ph_scrub **out)
{
	return store->ops->scrub ? store->ops->scrub(store, options, out) : PH_ERR_UNSUPPORTED;
}

/*
 * Reads about so many bytes. PH_AGAIN: there is more. PH_OK: all was read and nothing found;
 * PH_ERR_CORRUPT: all was read and findings were told. PH_ERR_NOMEM: it has to begin again.
 */
static inline enum ph_status ph_scrub_step(struct ph_scrub *scrub, uint64_t bytes)
{
	return scrub->ops->step(scrub, bytes);
}

static inline void ph_scrub_progress(const struct ph_scrub *scrub, struct ph_scrub_progress *out)
{
	scrub->ops->progress(scrub, out);
}

/* NULL is fine. */
static inline void ph_scrub_free(struct ph_scrub *scrub)
{
	if (scrub)
		scrub->ops->free(scrub);
}

#ifdef __cplusplus
}
#endif
#endif
