/* SPDX-License-Identifier: MIT */
/*
 * One check of a store on its way through it. disk_scrub.c goes from stage to stage and keeps up
 * with commits, disk_scrub_store.c reads what belongs to the store itself, disk_scrub_tree.c walks
 * trees, disk_scrub_pack.c reads packs and tells which objects damage hits.
 *
 * Nothing is pinned. What the newest epoch names is not overwritten while it is the newest, so
 * damage counts only when the tree that led there is still current after the reading; otherwise the
 * walk goes on in the new one, from the key it had come to.
 */
#ifndef PACKHORSE_DISK_SCRUB_INT_H
#define PACKHORSE_DISK_SCRUB_INT_H

#include "disk_int.h"

#include <packhorse/scrub.h>

/* Where a walk is. */
struct ph__scrub_walk {
	struct ph__tree tree;
	struct ph__tree_level *levels; /* [0] is the leaf */
	uint8_t room;                  /* of levels */
	struct ph__tree_level buffer;
	struct ph__cell cell; /* of the nodes, for when the buffer has come to it */
	uint8_t level;
	bool waits, ended; /* there is such a cell; the nodes have no more */
	bool placed;       /* the levels are those of the tree */
	uint8_t key[PH__KEY_MAX];
	uint32_t key_len;   /* of the last cell; 0: at the beginning */
	struct ph__ptr bad; /* the last node that was told of */
};

/* The pack at work. */
struct ph__scrub_pack {
	uint64_t id; /* 0: none */
	struct ph__pack *pack;
	struct ph_pack_set set; /* of this pack alone */
	const struct ph_pack *set_packs[1];
	enum ph_status index;  /* of reading it */
	bool index_told;       /* that it is damaged */
	uint32_t section;      /* the one being read */
	uint64_t chunk;        /* the next one of it */
	uint64_t *hit;         /* a bit for each entry; NULL while there is no damage */
	uint64_t hits, deltas; /* entries in it; of these by their bases */
	uint32_t entry;        /* the next one to look at for its base */
	uint32_t rounds;
	bool grew;    /* in this round */
	bool renewed; /* its record was read again in this step */
};

enum ph__scrub_stage {
	PH__SCRUB_RING,
	PH__SCRUB_MAP,
	PH__SCRUB_TREES,
	PH__SCRUB_SPACE,
	PH__SCRUB_DONE
};

struct ph__scrub {
	struct ph_scrub scrub;
	struct ph__disk *disk;
	void *user;
	void (*found)(void *user, const struct ph_finding *finding);
	enum ph__scrub_stage stage;
	bool fixed;  /* the superblock does not move on */
	bool first;  /* the first finding ends it */
	bool counts; /* the repository has not changed since it was begun */
	uint64_t min_epoch;
	uint64_t left, bytes, repos, findings;
	struct ph__super super;
	uint8_t *buffer; /* PH__CHECK_BYTES */
	uint64_t *seen;  /* a bit for a block that has an owner; NULL when owners do not matter */
	uint64_t space_at;
	/* The map of free blocks. */
	struct ph__map_root map;
	uint32_t map_at, map_tries;
	uint32_t map_crc[2]; /* of the base, of the log */
	enum ph_status map_status[2];
	/* Trees. */
	struct ph__scrub_walk catalogue, tree;
	char repo[PH_REPO_NAME_MAX + 1]; /* "" between two */
	char last[PH_REPO_NAME_MAX + 1];
	struct ph__record record;
	uint64_t repo_findings;    /* when it was begun */
	uint64_t refs, packs, log; /* counted */
	uint64_t log_number;       /* of the last record of the log */
	struct ph_oid log_tip;     /* and its SHA-256 */
	struct ph__scrub_pack pack;
};

/* ---- disk_scrub.c ---- */

enum ph_status ph__scrub_new(struct ph__scrub **out, struct ph__disk *disk,
                             const struct ph_scrub_options *options);
void ph__scrub_free(struct ph__scrub *scrub);
/* Tells; what it returns goes on or ends all. */
enum ph_status ph__scrub_tell(struct ph__scrub *scrub, struct ph_finding *finding);
/* The same of the part at work, without objects. */
enum ph_status ph__scrub_say(struct ph__scrub *scrub, enum ph_finding_part part,
                             enum ph_status status, const char *advice, const char *format, ...)
        PH_PRINTF(5, 6);
/* Whether a status tells nothing of what is on the device. One that cannot be read is no loss. */
bool ph__scrub_mute(const struct ph__scrub *scrub, enum ph_status status);
void ph__scrub_spend(struct ph__scrub *scrub, uint64_t bytes);
/*
 * Catches up with commits: a walk whose tree is another is not placed any more, and the repository
 * at work is left when it is gone.
 */
enum ph_status ph__scrub_refresh(struct ph__scrub *scrub);
/* The repository at work is done with. */
void ph__scrub_leave(struct ph__scrub *scrub);

/* ---- disk_scrub_store.c ---- */

enum ph_status ph__scrub_ring(struct ph__scrub *scrub);
enum ph_status ph__scrub_map(struct ph__scrub *scrub);
enum ph_status ph__scrub_space(struct ph__scrub *scrub);
enum ph_status ph__scrub_claim(struct ph__scrub *scrub, struct ph__extent extent, const char *what);

/* ---- disk_scrub_tree.c ---- */

/* One cell of the catalogue or of the repository at work, or what is due between two. */
enum ph_status ph__scrub_trees(struct ph__scrub *scrub);
/* Reads a value and claims its blocks; data may be NULL. */
enum ph_status ph__scrub_value(struct ph__scrub *scrub, const struct ph__cell *cell,
                               const char *what, uint8_t **data, uint32_t *len);

/* ---- disk_scrub_pack.c ---- */

enum ph_status ph__scrub_pack_begin(struct ph__scrub *scrub, const struct ph__cell *cell);
/* The next piece of the pack at work. */
enum ph_status ph__scrub_pack_step(struct ph__scrub *scrub);
/* Its record again, from a tree that is another. */
enum ph_status ph__scrub_pack_again(struct ph__scrub *scrub);
void ph__scrub_pack_leave(struct ph__scrub *scrub);

#endif
