/* SPDX-License-Identifier: MIT */
/*
 * What the objects of a pack refer to, gathered while their content is at hand: each object once,
 * with the type that it must have. When all are known, the pack's own objects are held against
 * them; when none is left over, the pack is closed: nothing it refers to is elsewhere. About 30
 * bytes an object referred to (SHA-1).
 *
 * One set serves all threads, under one lock. Each has a buffer of its own, which leaves out what
 * it has seen just before and is emptied many links at a time.
 */
#ifndef PACKHORSE_PACK_IN_LINKS_INT_H
#define PACKHORSE_PACK_IN_LINKS_INT_H

#include <packhorse/object.h>

/* Links that a buffer holds, and those that it remembers to leave them out. */
#define PH__LINKS_BUFFER 256u
#define PH__LINKS_RECENT 256u

struct ph__links;

/* One thread's. About 16 KiB: not for a stack. */
struct ph__links_buffer {
	struct ph__links *links;
	uint32_t count;
	struct ph__link {
		uint8_t id[PH_OID_BYTES_MAX];
		uint8_t type;
	} waiting[PH__LINKS_BUFFER], recent[PH__LINKS_RECENT];
};

/*
 * max: of different links; with more it gives up, and the pack is not closed. seed spreads the ids:
 * any number, but better one that a peer cannot know. sync may be NULL. PH_ERR_NOMEM.
 */
enum ph_status ph__links_new(struct ph__links **out, enum ph_hash_algo algo,
                             const struct ph_alloc *alloc, const struct ph_sync *sync,
                             uint64_t seed, uint32_t max);
void ph__links_free(struct ph__links *links);

void ph__links_buffer_init(struct ph__links_buffer *buffer, struct ph__links *links);
/*
 * An object refers to id, which has to be of this type (commit, tree, blob or tag). id has the
 * bytes of a hash. Never fails: without memory the set gives up.
 */
void ph__links_add(struct ph__links_buffer *buffer, enum ph_object_type type, const uint8_t *id);
/* All links of an object whose content is at hand; what cannot be read leaves the pack open. */
void ph__links_add_object(struct ph__links_buffer *buffer, enum ph_object_type type,
                          const void *data, size_t size);
/* Something could not be looked into: the pack is not closed. */
void ph__links_give_up(struct ph__links *links);
/* To be called for each buffer before anything is settled. */
void ph__links_flush(struct ph__links_buffer *buffer);

/*
 * Then, by one thread: the pack has this object. Any order; an object told twice counts once.
 * Whether anything refers to it.
 */
bool ph__links_settle(struct ph__links *links, enum ph_object_type type, const struct ph_oid *oid);
/* After all objects: whether every link was settled. */
bool ph__links_closed(const struct ph__links *links);
/* How many different links there are, and how many were not settled. */
uint32_t ph__links_count(const struct ph__links *links);
uint32_t ph__links_outside(const struct ph__links *links);
/*
 * The links that were not settled, one at a time; *at is 0 to begin with. PH_OK, PH_END, or
 * PH_ERR_LIMIT when the set has given up.
 */
enum ph_status ph__links_next(const struct ph__links *links, uint32_t *at,
                              enum ph_object_type *type, struct ph_oid *oid);
bool ph__links_gave_up(const struct ph__links *links);
/* Bytes of memory in use. */
size_t ph__links_held(const struct ph__links *links);

#endif
