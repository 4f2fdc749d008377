/* SPDX-License-Identifier: MIT */
/*
 * What libpack needs from storage, and all it needs.
 *
 * A pack is stored as a run of entries: the bytes of a packfile without its 12-byte header and
 * without its trailer, so the first entry is at offset 0. Beside the run stands its index
 * (pack_index.h) and, later, auxiliary sections. Offsets, here and in the index, count from the
 * start of the run; OFS_DELTA distances are the same in both ways of counting.
 * A stored pack is complete: the base of each of its deltas is an entry of the same pack.
 *
 *  ph_bytes   immutable bytes at random offsets: a run, an index. Shared by threads.
 *  ph_source  finds objects in a set of packs and reads their entries. Shared by threads.
 *  ph_sink    takes new bytes in order, and reads back what it took. One user; but while nobody
 *             appends, several threads may read.
 */
#ifndef PACKHORSE_SOURCE_H
#define PACKHORSE_SOURCE_H

#include <packhorse/object.h>
#include <packhorse/unpack.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Immutable bytes. The implementer embeds it first in a struct of its own. */
struct ph_bytes {
	/*
	 * Reads len bytes at offset; offset + len <= size is the caller's duty. No short reads.
	 * PH_ERR_IO, PH_ERR_CORRUPT (a checksum of the store failed), PH_ERR_NOMEM.
	 */
	enum ph_status (*read)(const struct ph_bytes *bytes, uint64_t offset, void *buf,
	                       size_t len);
	uint64_t size;
};

/* Where an object is: pack number in the source, and rank among the pack's entries by offset. */
struct ph_loc {
	uint32_t pack;
	uint32_t pos;
};

/* What the index knows of an entry without reading it. */
struct ph_entry {
	struct ph_oid oid;
	uint64_t offset;          /* of its header, in the run */
	uint64_t end;             /* offset of what follows */
	uint64_t size;            /* of the object, inflated and with its delta applied */
	enum ph_object_type type; /* the object's: commit, tree, blob or tag, never a delta */
	bool delta;               /* stored as a delta */
};

struct ph_source;

struct ph_source_ops {
	/* Number of packs. Locations have pack < packs. */
	uint32_t (*packs)(const struct ph_source *source);
	/* Number of entries and bytes of the run of one pack. */
	void (*pack_size)(const struct ph_source *source, uint32_t pack, uint32_t *entries,
	                  uint64_t *bytes);
	/* PH_OK, PH_ERR_NOT_FOUND, or an error of reading. An object in several packs has one
	 * location: the first in pack order, always the same for one source. */
	enum ph_status (*find)(const struct ph_source *source, const struct ph_oid *oid,
	                       struct ph_loc *out);
	enum ph_status (*entry)(const struct ph_source *source, struct ph_loc loc,
	                        struct ph_entry *out);
	/* The rank of the entry that starts at offset; PH_ERR_NOT_FOUND when none does. */
	enum ph_status (*at_offset)(const struct ph_source *source, uint32_t pack, uint64_t offset,
	                            struct ph_loc *out);
	/* Bytes of the run. No short reads. */
	enum ph_status (*read)(const struct ph_source *source, uint32_t pack, uint64_t offset,
	                       void *buf, size_t len);
	/* The hash that a packfile of exactly this run ends in. May be NULL: it is computed then.
	 */
	enum ph_status (*trailer)(const struct ph_source *source, uint32_t pack,
	                          struct ph_oid *out);
	/* As find, in this pack alone. May be NULL: then only what find finds in it is known. */
	enum ph_status (*find_in)(const struct ph_source *source, uint32_t pack,
	                          const struct ph_oid *oid, uint32_t *pos);
	/*
	 * As entry for count entries of a pack from pos on, at most 16 and no more than there are,
	 * without their ids: cheaper where many are looked at in order. May be NULL.
	 */
	enum ph_status (*entries)(const struct ph_source *source, uint32_t pack, uint32_t pos,
	                          uint32_t count, struct ph_entry *out);
};

struct ph_source {
	const struct ph_source_ops *ops;
	enum ph_hash_algo algo;
	const struct ph_unpack *unpack; /* for readers (unpack.h); NULL: there is none */
};

/* Entries of all packs together: objects, and copies of some. */
static inline uint64_t ph_source_objects(const struct ph_source *source)
{
	uint64_t objects = 0;

	for (uint32_t i = 0; i < source->ops->packs(source); i++) {
		uint32_t entries;
		uint64_t bytes;

		source->ops->pack_size(source, i, &entries, &bytes);
		objects += entries;
	}
	return objects;
}

/* The rank of an object in one pack, also when an earlier pack has it too. PH_ERR_NOT_FOUND. */
static inline enum ph_status ph_source_find_in(const struct ph_source *source, uint32_t pack,
                                               const struct ph_oid *oid, uint32_t *pos)
{
	struct ph_loc loc;
	enum ph_status status;

	if (source->ops->find_in != NULL) {
		return source->ops->find_in(source, pack, oid, pos);
	}
	status = source->ops->find(source, oid, &loc);
	if (status == PH_OK && loc.pack != pack) {
		return PH_ERR_NOT_FOUND;
	}
	if (status == PH_OK) {
		*pos = loc.pos;
	}
	return status;
}

struct ph_sink;

struct ph_sink_ops {
	/* PH_ERR_FULL, PH_ERR_NOMEM, PH_ERR_IO, PH_ERR_LIMIT; the sink is dead then. */
	enum ph_status (*append)(struct ph_sink *sink, const void *data, size_t len);
	/* Reads back; offset + len <= size is the caller's duty. */
	enum ph_status (*read)(struct ph_sink *sink, uint64_t offset, void *buf, size_t len);
	/* Gives the bytes up and their space back; only the owner's freeing may follow. */
	void (*abort)(struct ph_sink *sink);
};

struct ph_sink {
	const struct ph_sink_ops *ops;
	uint64_t size; /* bytes appended so far; kept by the implementation */
};

#ifdef __cplusplus
}
#endif
#endif
