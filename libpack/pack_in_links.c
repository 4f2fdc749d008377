/* SPDX-License-Identifier: MIT */
/*
 * The set of what a pack refers to: a hash table whose chains lie in pieces and whose buckets grow
 * one at a time (linear hashing), so that no step of it takes long and nothing is ever there twice.
 * A peer chooses the ids. A chain that gets longer than chance allows is an attack, or might as
 * well be one: the set gives up then, which costs nothing but a walk.
 */
#include "pack_in_links_int.h"

#include <string.h>

/* Links and buckets of a piece. */
#define PIECE_SHIFT 12u
#define PIECE_COUNT (1u << PIECE_SHIFT)
/* There is a bucket for each link: even of 2^32, a chain of more than 14 is rare. */
#define CHAIN_MAX 64u
#define NONE UINT32_MAX

/* A link as it lies in a piece: its id, a byte of flags, the number of the next in its chain. */
#define TYPE_BITS 7u
#define SETTLED 8u

struct ph__links {
	const struct ph_alloc *alloc;
	const struct ph_sync *sync;
	void *mutex;
	size_t id_bytes, link_bytes;
	uint64_t keys[4];
	uint8_t **links;    /* pieces */
	uint32_t **buckets; /* pieces; as many as links */
	uint32_t count, max;
	uint32_t pieces, pieces_cap;
	uint32_t split; /* buckets are numbered by this many bits of a hash, or by one more */
	uint32_t settled;
	bool gave_up;
};

/* ---- places ---- */

static uint8_t *link_at(const struct ph__links *links, uint32_t number)
{
	return links->links[number >> PIECE_SHIFT] +
	       (size_t)(number & (PIECE_COUNT - 1)) * links->link_bytes;
}

static uint32_t *bucket_at(const struct ph__links *links, uint32_t number)
{
	return &links->buckets[number >> PIECE_SHIFT][number & (PIECE_COUNT - 1)];
}

static uint32_t load_next(const struct ph__links *links, const uint8_t *link)
{
	uint32_t next;

	memcpy(&next, link + links->id_bytes + 1, sizeof next);
	return next;
}

static void store_next(const struct ph__links *links, uint8_t *link, uint32_t next)
{
	memcpy(link + links->id_bytes + 1, &next, sizeof next);
}

static uint64_t load64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof value);
	return value;
}

/* A step of SplitMix64. */
static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 27) * 0x94d049bb133111ebu;
	return value ^ value >> 31;
}

/* All bytes of an id go into it; the type does not, as an id has one. */
static uint32_t hash_of(const struct ph__links *links, const uint8_t *id)
{
	uint64_t sum = 0;

	for (size_t i = 0; i + 8 <= links->id_bytes; i += 8)
		sum += load64(id + i) * links->keys[i / 8];
	/* The last 8 bytes: of 20, four of them a second time. */
	sum += load64(id + links->id_bytes - 8) * links->keys[3];
	return (uint32_t)(mix(sum) >> 32);
}

/* With count buckets, those from `split` on are not split yet. */
static uint32_t bucket_of(uint32_t hash, uint32_t count, uint32_t split)
{
	uint32_t bucket = hash & (split * 2 - 1);

	return bucket < count ? bucket : bucket - split;
}

/* ---- memory ---- */

static void drop_pieces(struct ph__links *links)
{
	for (uint32_t i = 0; i < links->pieces; i++) {
		ph_mem_free(links->alloc, links->links[i]);
		ph_mem_free(links->alloc, links->buckets[i]);
	}
	ph_mem_free(links->alloc, links->links);
	ph_mem_free(links->alloc, links->buckets);
	links->links = NULL;
	links->buckets = NULL;
	links->pieces = links->pieces_cap = 0;
}

/* Under the lock. */
static void give_up(struct ph__links *links)
{
	links->gave_up = true;
	links->count = links->settled = 0;
	drop_pieces(links);
}

static bool grow_tables(struct ph__links *links)
{
	uint32_t cap = links->pieces_cap > 0 ? links->pieces_cap * 2 : 8;
	void *grown;

	grown = ph_mem_resize(links->alloc, links->links, cap, sizeof *links->links);
	if (grown == NULL)
		return false;
	links->links = grown;
	grown = ph_mem_resize(links->alloc, links->buckets, cap, sizeof *links->buckets);
	if (grown == NULL)
		return false;
	links->buckets = grown;
	links->pieces_cap = cap;
	return true;
}

static bool add_piece(struct ph__links *links)
{
	uint8_t *piece;
	uint32_t *buckets;

	if (links->pieces == links->pieces_cap && !grow_tables(links))
		return false;
	piece = ph_mem_alloc(links->alloc, PIECE_COUNT * links->link_bytes);
	buckets = ph_mem_alloc(links->alloc, PIECE_COUNT * sizeof *buckets);
	if (piece == NULL || buckets == NULL) {
		ph_mem_free(links->alloc, piece);
		ph_mem_free(links->alloc, buckets);
		return false;
	}
	links->links[links->pieces] = piece;
	links->buckets[links->pieces++] = buckets;
	return true;
}

enum ph_status ph__links_new(struct ph__links **out, enum ph_hash_algo algo,
                             const struct ph_alloc *alloc, const struct ph_sync *sync,
                             uint64_t seed, uint32_t max)
{
	struct ph__links *links = ph_mem_zalloc(alloc, 1, sizeof *links);

	if (links == NULL)
		return PH_ERR_NOMEM;
	links->alloc = alloc;
	links->sync = sync;
	links->id_bytes = ph_hash_bytes(algo);
	links->link_bytes = links->id_bytes + 1 + sizeof(uint32_t);
	links->max = max < NONE / 2 ? max : NONE / 2;
	links->split = 1;
	for (size_t i = 0; i < sizeof links->keys / sizeof links->keys[0]; i++) {
		seed += 0x9e3779b97f4a7c15u;
		links->keys[i] = mix(seed) | 1;
	}
	if (sync != NULL && sync->mutex_new(sync->user, &links->mutex) != PH_OK) {
		ph_mem_free(alloc, links);
		return PH_ERR_NOMEM;
	}
	*out = links;
	return PH_OK;
}

void ph__links_free(struct ph__links *links)
{
	if (links == NULL)
		return;
	drop_pieces(links);
	if (links->sync != NULL)
		links->sync->mutex_free(links->sync->user, links->mutex);
	ph_mem_free(links->alloc, links);
}

static void lock(struct ph__links *links)
{
	if (links->sync != NULL)
		links->sync->mutex_lock(links->sync->user, links->mutex);
}

static void unlock(struct ph__links *links)
{
	if (links->sync != NULL)
		links->sync->mutex_unlock(links->sync->user, links->mutex);
}

void ph__links_give_up(struct ph__links *links)
{
	lock(links);
	give_up(links);
	unlock(links);
}

/* ---- the table ---- */

/* The link, or NULL; *len: how long its chain is, if it is not there. */
static uint8_t *find(const struct ph__links *links, uint32_t hash, enum ph_object_type type,
                     const uint8_t *id, uint32_t *len)
{
	uint32_t number;

	*len = 0;
	if (links->count == 0)
		return NULL;
	number = *bucket_at(links, bucket_of(hash, links->count, links->split));
	for (; number != NONE; ++*len) {
		uint8_t *link = link_at(links, number);

		if (memcmp(link, id, links->id_bytes) == 0 &&
		    (link[links->id_bytes] & TYPE_BITS) == (uint8_t)type)
			return link;
		number = load_next(links, link);
	}
	return NULL;
}

/* The links of a bucket are dealt out anew, between it and the last one. */
static void split_bucket(struct ph__links *links, uint32_t last)
{
	uint32_t *from = bucket_at(links, last - links->split);
	uint32_t number = *from;

	*from = NONE;
	while (number != NONE) {
		uint8_t *link = link_at(links, number);
		uint32_t next = load_next(links, link);
		uint32_t to = bucket_of(hash_of(links, link), last + 1, links->split);
		uint32_t *bucket = bucket_at(links, to);

		store_next(links, link, *bucket);
		*bucket = number;
		number = next;
	}
}

/* One more link, and one more bucket. */
static void insert(struct ph__links *links, uint32_t hash, enum ph_object_type type,
                   const uint8_t *id)
{
	uint32_t number = links->count;
	uint32_t *bucket;
	uint8_t *link;

	if (number == links->max || (number >> PIECE_SHIFT == links->pieces && !add_piece(links))) {
		give_up(links);
		return;
	}
	*bucket_at(links, number) = NONE;
	if (number == links->split * 2)
		links->split *= 2;
	if (number > 0)
		split_bucket(links, number);
	links->count++;
	bucket = bucket_at(links, bucket_of(hash, links->count, links->split));
	link = link_at(links, number);
	memcpy(link, id, links->id_bytes);
	link[links->id_bytes] = (uint8_t)type;
	store_next(links, link, *bucket);
	*bucket = number;
}

static void add(struct ph__links *links, enum ph_object_type type, const uint8_t *id)
{
	uint32_t hash = hash_of(links, id);
	uint32_t len;

	if (links->gave_up || find(links, hash, type, id, &len) != NULL)
		return;
	if (len >= CHAIN_MAX)
		give_up(links);
	else
		insert(links, hash, type, id);
}

/* ---- buffers ---- */

void ph__links_buffer_init(struct ph__links_buffer *buffer, struct ph__links *links)
{
	memset(buffer, 0, sizeof *buffer);
	buffer->links = links;
}

void ph__links_flush(struct ph__links_buffer *buffer)
{
	struct ph__links *links = buffer->links;

	if (buffer->count == 0)
		return;
	lock(links);
	for (uint32_t i = 0; i < buffer->count; i++)
		add(links, (enum ph_object_type)buffer->waiting[i].type, buffer->waiting[i].id);
	unlock(links);
	buffer->count = 0;
}

void ph__links_add(struct ph__links_buffer *buffer, enum ph_object_type type, const uint8_t *id)
{
	size_t len = buffer->links->id_bytes;
	struct ph__link *recent = &buffer->recent[(id[0] ^ id[len - 1]) % PH__LINKS_RECENT];
	struct ph__link *waiting;

	if (recent->type == (uint8_t)type && memcmp(recent->id, id, len) == 0)
		return;
	memcpy(recent->id, id, len);
	recent->type = (uint8_t)type;
	waiting = &buffer->waiting[buffer->count++];
	memcpy(waiting->id, id, len);
	waiting->type = (uint8_t)type;
	if (buffer->count == PH__LINKS_BUFFER)
		ph__links_flush(buffer);
}

/* ---- objects ---- */

static bool add_commit(struct ph__links_buffer *buffer, enum ph_hash_algo algo, const void *data,
                       size_t size)
{
	struct ph_commit commit;
	struct ph_oid parent;

	if (ph_commit_parse(&commit, algo, data, size) != PH_OK)
		return false;
	ph__links_add(buffer, PH_OBJ_TREE, commit.tree.bytes);
	for (uint32_t i = 0; i < commit.parents; i++) {
		ph_commit_parent(&commit, i, &parent);
		ph__links_add(buffer, PH_OBJ_COMMIT, parent.bytes);
	}
	return true;
}

static bool add_tree(struct ph__links_buffer *buffer, enum ph_hash_algo algo, const void *data,
                     size_t size)
{
	struct ph_tree_entry entry;
	struct ph_tree_iter iter;
	enum ph_status status;

	ph_tree_iter_init(&iter, algo, data, size);
	while ((status = ph_tree_iter_next(&iter, &entry)) == PH_OK) {
		if (!ph_mode_is_submodule(entry.mode))
			ph__links_add(buffer,
			              ph_mode_is_tree(entry.mode) ? PH_OBJ_TREE : PH_OBJ_BLOB,
			              entry.oid.bytes);
	}
	return status == PH_END;
}

static bool add_tag(struct ph__links_buffer *buffer, enum ph_hash_algo algo, const void *data,
                    size_t size)
{
	struct ph_tag tag;

	if (ph_tag_parse(&tag, algo, data, size) != PH_OK)
		return false;
	ph__links_add(buffer, tag.type, tag.object.bytes);
	return true;
}

void ph__links_add_object(struct ph__links_buffer *buffer, enum ph_object_type type,
                          const void *data, size_t size)
{
	enum ph_hash_algo algo = buffer->links->id_bytes == ph_hash_bytes(PH_HASH_SHA1)
	                                 ? PH_HASH_SHA1
	                                 : PH_HASH_SHA256;
	bool well = true;

	if (type == PH_OBJ_COMMIT)
		well = add_commit(buffer, algo, data, size);
	else if (type == PH_OBJ_TREE)
		well = add_tree(buffer, algo, data, size);
	else if (type == PH_OBJ_TAG)
		well = add_tag(buffer, algo, data, size);
	if (!well)
		ph__links_give_up(buffer->links);
}

/* ---- the end ---- */

bool ph__links_settle(struct ph__links *links, enum ph_object_type type, const struct ph_oid *oid)
{
	uint32_t len;
	uint8_t *link = find(links, hash_of(links, oid->bytes), type, oid->bytes, &len);

	if (link == NULL)
		return false;
	if ((link[links->id_bytes] & SETTLED) == 0)
		links->settled++;
	link[links->id_bytes] |= SETTLED;
	return true;
}

bool ph__links_closed(const struct ph__links *links)
{
	return !links->gave_up && links->settled == links->count;
}

uint32_t ph__links_count(const struct ph__links *links)
{
	return links->count;
}

uint32_t ph__links_outside(const struct ph__links *links)
{
	return links->count - links->settled;
}

bool ph__links_gave_up(const struct ph__links *links)
{
	return links->gave_up;
}

enum ph_status ph__links_next(const struct ph__links *links, uint32_t *at,
                              enum ph_object_type *type, struct ph_oid *oid)
{
	if (links->gave_up)
		return PH_ERR_LIMIT;
	while (*at < links->count) {
		const uint8_t *link = link_at(links, (*at)++);
		uint8_t flags = link[links->id_bytes];

		if ((flags & SETTLED) != 0)
			continue;
		memset(oid, 0, sizeof *oid);
		memcpy(oid->bytes, link, links->id_bytes);
		*type = (enum ph_object_type)(flags & TYPE_BITS);
		return PH_OK;
	}
	return PH_END;
}

size_t ph__links_held(const struct ph__links *links)
{
	return sizeof *links +
	       links->pieces * PIECE_COUNT * (links->link_bytes + sizeof(uint32_t)) +
	       links->pieces_cap * 2 * sizeof(void *);
}
