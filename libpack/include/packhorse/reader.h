/* SPDX-License-Identifier: MIT */
/*
 * Reads whole objects from a source, with a bounded cache of delta bases. One user at a time.
 */
#ifndef PACKHORSE_READER_H
#define PACKHORSE_READER_H

#include <packhorse/source.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_reader;

/*
 * source, alloc and limits must outlive it. The cache holds delta_cache_bytes_max at most. Where
 * the source has an unpack, it inflates what was read whole, and what it refuses is inflated again
 * by inflate.h, whose verdict counts. PH_ERR_NOMEM.
 */
PH_MUST_CHECK PH_API enum ph_status ph_reader_new(struct ph_reader **out,
                                                  const struct ph_source *source,
                                                  const struct ph_alloc *alloc,
                                                  const struct ph_limits *limits);
PH_API void ph_reader_free(struct ph_reader *reader);
/* Where little is read twice: a quarter of the cache will do. Before anything is read. */
PH_API void ph_reader_lean(struct ph_reader *reader);

struct ph_object {
	enum ph_object_type type;
	uint64_t size;
	const uint8_t *data; /* size bytes, and a NUL behind them */
	void *hold;          /* private */
};

/*
 * Reads an object; give it back with ph_object_release. size_max bounds what is allocated.
 * PH_ERR_LIMIT when it is larger; PH_ERR_NOT_FOUND (by id only); PH_ERR_CORRUPT; PH_ERR_NOMEM;
 * read errors. Chains are followed without recursion.
 */
PH_MUST_CHECK PH_API enum ph_status ph_reader_read(struct ph_reader *reader, struct ph_loc loc,
                                                   uint64_t size_max, struct ph_object *out);
PH_MUST_CHECK PH_API enum ph_status ph_reader_read_oid(struct ph_reader *reader,
                                                       const struct ph_oid *oid, uint64_t size_max,
                                                       struct ph_object *out);
PH_API void ph_object_release(struct ph_reader *reader, struct ph_object *object);

/* The source it reads. */
PH_API const struct ph_source *ph_reader_source(const struct ph_reader *reader);

/*
 * Follows tags from an object: the first that is not a tag. PH_ERR_NOT_FOUND when a link is
 * missing, PH_ERR_LIMIT after 64 links.
 */
PH_MUST_CHECK PH_API enum ph_status ph_reader_peel(struct ph_reader *reader,
                                                   const struct ph_oid *oid, struct ph_oid *out,
                                                   enum ph_object_type *type);

/* An entry's own header, parsed: how it is stored. */
struct ph_entry_header {
	enum ph_object_type type; /* as stored: OFS_DELTA and REF_DELTA too */
	uint64_t size;            /* of what inflates: the delta's, for a delta */
	uint32_t header_bytes;    /* up to the zlib stream */
	uint64_t base_offset;     /* OFS_DELTA: of the base's entry in the same run */
	struct ph_oid base;       /* REF_DELTA */
};
PH_MUST_CHECK PH_API enum ph_status ph_entry_header_read(const struct ph_source *source,
                                                         uint32_t pack, uint64_t offset,
                                                         struct ph_entry_header *out);

#ifdef __cplusplus
}
#endif
#endif
