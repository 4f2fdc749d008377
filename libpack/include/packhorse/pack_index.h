/* SPDX-License-Identifier: MIT */
/*
 * The index of a run of entries: our own format, written by pack_in.h and by maintenance, read in
 * place through a ph_bytes without ever being held in memory whole. All integers are big endian.
 *
 *   header     "PHIX", u8 version 1, u8 hash (1 SHA-1, 2 SHA-256), u16 0, u32 entries N, u64 bytes
 *              of the run, then the hash a packfile of exactly this run would end in (its trailer)
 *   fanout     256 x u32: ids whose first byte is <= i
 *   ids        N hashes, sorted
 *   ranks      N x u32: for the i-th id, the rank of its entry by offset
 *   entries    N x { u56 offset, u8 type and flag; u64 size; u32 number of its id }, by offset;
 *              the object's type is in the low three bits, 0x80 says that it is stored as a delta
 *
 * Every id occurs once and every byte of the run belongs to one entry: pack-in refuses packs that
 * hold an object twice.
 */
#ifndef PACKHORSE_PACK_INDEX_H
#define PACKHORSE_PACK_INDEX_H

#include <packhorse/source.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A reader: small (the fanout), immutable after init, shared by threads. */
struct ph_index {
	const struct ph_bytes *bytes;
	enum ph_hash_algo algo;
	uint32_t entries;
	uint64_t run_bytes;
	struct ph_oid trailer;
	uint32_t fanout[256];
	uint64_t ids_at, ranks_at, entries_at;
};

/* bytes must outlive the index. PH_ERR_CORRUPT when it is no index of this hash; read errors. */
PH_API enum ph_status ph_index_init(struct ph_index *index, const struct ph_bytes *bytes,
                                    enum ph_hash_algo algo);
PH_API enum ph_status ph_index_find(const struct ph_index *index, const struct ph_oid *oid,
                                    uint32_t *pos);
PH_API enum ph_status ph_index_entry(const struct ph_index *index, uint32_t pos,
                                     struct ph_entry *out);
/*
 * Entries from pos on in one read, without their ids, which lie elsewhere: out[i].oid is left
 * alone. At most PH_INDEX_ENTRIES_MAX, and no more than there are.
 */
#define PH_INDEX_ENTRIES_MAX 16u
PH_API enum ph_status ph_index_entries(const struct ph_index *index, uint32_t pos, uint32_t count,
                                       struct ph_entry *out);
PH_API enum ph_status ph_index_at_offset(const struct ph_index *index, uint64_t offset,
                                         uint32_t *pos);

/* One entry for the writer. */
struct ph_index_record {
	struct ph_oid oid;
	uint64_t offset;
	uint64_t size;
	uint8_t type; /* enum ph_object_type of the object */
	uint8_t delta;
};

/*
 * Writes an index. records come sorted by offset; order holds the numbers of the records sorted by
 * id. PH_ERR_INVALID when two ids are equal; the sink's errors.
 */
PH_API enum ph_status ph_index_write(struct ph_sink *sink, enum ph_hash_algo algo,
                                     const struct ph_index_record *records, const uint32_t *order,
                                     uint32_t count, uint64_t run_bytes,
                                     const struct ph_oid *trailer);

/* One stored pack, as a store keeps it. */
struct ph_pack {
	const struct ph_bytes *run;
	struct ph_index index;
};

/*
 * A source over an array of packs that belongs to the store: all a store needs to give its
 * snapshots a ph_source. packs and unpack, which may be NULL, must outlive it. Nothing to release.
 */
struct ph_pack_set {
	struct ph_source source;
	const struct ph_pack *const *packs;
	uint32_t count;
};

PH_API void ph_pack_set_init(struct ph_pack_set *set, enum ph_hash_algo algo,
                             const struct ph_unpack *unpack, const struct ph_pack *const *packs,
                             uint32_t count);

#ifdef __cplusplus
}
#endif
#endif
