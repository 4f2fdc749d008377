/* SPDX-License-Identifier: MIT */
/*
 * Shared by the tests of every module: a failing allocator, bytes and sinks in memory, a seeded
 * generator, texts of objects, and a builder of packs, right ones and deliberately wrong ones.
 *
 * A helper that runs out of memory itself, or is misused, prints why and aborts: tests need not
 *check it. The failing allocator may be used from several threads, everything else from one at a
 *time.
 *
 * A small pack, and a source over it:
 *
 *	struct ph_test_pack pack;
 *	struct ph_test_source source;
 *	uint32_t blob;
 *
 *	ph_test_pack_init(&pack, PH_HASH_SHA1);
 *	blob = ph_test_pack_add(&pack, PH_OBJ_BLOB, "hello\n", 6);
 *	ph_test_pack_add_ofs(&pack, blob, "hello you\n", 10);
 *	ph_test_source_init(&source, &pack, 1);
 *	... ph_reader_new(&reader, &source.set.source, ...) ...
 *	ph_test_source_release(&source);
 *	ph_test_pack_release(&pack);
 */
#ifndef PH_TEST_SUPPORT_H
#define PH_TEST_SUPPORT_H

#include <packhorse/hash.h>
#include <packhorse/pack_index.h>
#include <stdatomic.h>

/* --- Memory ------------------------------------------------------------------------------------
 */

/*
 * malloc with counters. Set fail_at to fail the fail_at-th alloc or resize (1 is the first; 0 fails
 * none), and fail_on to fail all later ones too. live tells what has not been freed: 0 at the end.
 *
 *	for (i = 1; ; i++) {
 *		ph_test_alloc_init(&memory);
 *		memory.fail_at = i;
 *		status = scenario(&memory.alloc);
 *		assert_int_equal(memory.live, 0);
 *		if (memory.calls < i)
 *			break;                           // nothing failed: it is through
 *		assert_int_equal(status, PH_ERR_NOMEM);
 *	}
 */
struct ph_test_alloc {
	struct ph_alloc alloc; /* pass &memory.alloc */
	uint64_t fail_at;
	bool fail_on;
	_Atomic uint64_t calls;     /* of alloc and resize */
	_Atomic int64_t live;       /* allocations */
	_Atomic int64_t live_bytes; /* in them */
	_Atomic int64_t peak_bytes; /* most there ever were */
};

void ph_test_alloc_init(struct ph_test_alloc *memory);

/* --- Locks ---------------------------------------------------------------------------------------
 */

/* Of POSIX threads. */
extern const struct ph_sync ph_test_sync;

/* --- Random numbers ----------------------------------------------------------------------------
 */

/* A small generator (splitmix64): the same seed gives the same numbers everywhere. */
struct ph_test_rng {
	uint64_t state;
};

void ph_test_rng_init(struct ph_test_rng *rng, uint64_t seed);
uint64_t ph_test_rng_next(struct ph_test_rng *rng);
/* 0 to n - 1; n > 0. */
uint32_t ph_test_rng_below(struct ph_test_rng *rng, uint32_t n);
void ph_test_rng_fill(struct ph_test_rng *rng, void *data, size_t len);
/* Words and newlines: text that compresses. */
void ph_test_rng_text(struct ph_test_rng *rng, void *data, size_t len);

/* --- Bytes -------------------------------------------------------------------------------------
 */

/* A growing buffer. {0} is an empty one. */
struct ph_test_buf {
	uint8_t *data;
	size_t len, capacity;
};

void ph_test_buf_append(struct ph_test_buf *buf, const void *data, size_t len);
void ph_test_buf_print(struct ph_test_buf *buf, const char *format, ...) PH_PRINTF(2, 3);
void ph_test_buf_clear(struct ph_test_buf *buf);
void ph_test_buf_release(struct ph_test_buf *buf);

/*
 * ph_bytes over memory that the test keeps. fail_at makes the fail_at-th read of all that share
 * this counter fail with fail_status (PH_ERR_IO unless set).
 */
struct ph_test_faults {
	uint64_t calls;
	uint64_t fail_at;
	enum ph_status fail_status;
};

struct ph_test_bytes {
	struct ph_bytes bytes; /* pass &x.bytes */
	const uint8_t *data;
	struct ph_test_faults *faults; /* may be NULL */
};

void ph_test_bytes_init(struct ph_test_bytes *bytes, const void *data, uint64_t size);

/*
 * A sink in memory. size_max makes an append that would pass it fail with PH_ERR_FULL; fail_at
 * makes the fail_at-th append fail with PH_ERR_IO. What was taken is in buf until release.
 */
struct ph_test_sink {
	struct ph_sink sink; /* pass &x.sink */
	struct ph_test_buf buf;
	uint64_t size_max;
	uint64_t appends, fail_at;
	bool aborted;
};

void ph_test_sink_init(struct ph_test_sink *sink);
void ph_test_sink_release(struct ph_test_sink *sink);

/* --- Objects -----------------------------------------------------------------------------------
 */

/* From hex digits; aborts when they are none. */
struct ph_oid ph_test_oid(enum ph_hash_algo algo, const char *hex);
/* An id that no object has: every byte is the same. */
struct ph_oid ph_test_oid_fake(enum ph_hash_algo algo, uint8_t byte);
/* Appends one tree entry. Entries must come in git's order; nothing checks it. */
void ph_test_tree_entry(struct ph_test_buf *tree, enum ph_hash_algo algo, uint32_t mode,
                        const char *name, const struct ph_oid *oid);
/* Appends the text of a commit; the time is author's and committer's, in UTC. */
void ph_test_commit_text(struct ph_test_buf *text, enum ph_hash_algo algo,
                         const struct ph_oid *tree, const struct ph_oid *parents, uint32_t count,
                         uint64_t time, const char *message);
/* Appends the text of an annotated tag. */
void ph_test_tag_text(struct ph_test_buf *text, enum ph_hash_algo algo, const struct ph_oid *object,
                      enum ph_object_type type, const char *name);

/* --- Packs -------------------------------------------------------------------------------------
 */

/* zlib-compresses data and appends it. */
void ph_test_deflate(struct ph_test_buf *out, const void *data, size_t len);
/*
 * Appends a delta that makes result from base: copies of the longest common prefix and suffix, and
 * inserts for what is between. Right, not good.
 */
void ph_test_delta_make(struct ph_test_buf *out, const void *base, size_t base_len,
                        const void *result, size_t result_len);

struct ph_test_entry {
	struct ph_oid oid;
	uint64_t offset;            /* in the run, which has no header */
	enum ph_object_type type;   /* of the object */
	enum ph_object_type stored; /* as stored: with OFS_DELTA and REF_DELTA */
	uint8_t *data;              /* of the object; NULL when added raw */
	size_t size;
};

/* A pack being made: its run of entries, and what is in it. */
struct ph_test_pack {
	enum ph_hash_algo algo;
	struct ph_test_buf run;
	struct ph_test_entry *entries;
	uint32_t count, capacity;
};

void ph_test_pack_init(struct ph_test_pack *pack, enum ph_hash_algo algo);
void ph_test_pack_release(struct ph_test_pack *pack);

/* All of these return the number of the new entry: entries[number] has its id and offset. */

/* A whole object. */
uint32_t ph_test_pack_add(struct ph_test_pack *pack, enum ph_object_type type, const void *data,
                          size_t size);
/* An object as an OFS_DELTA on an earlier entry of this pack. */
uint32_t ph_test_pack_add_ofs(struct ph_test_pack *pack, uint32_t base, const void *data,
                              size_t size);
/* An object as a REF_DELTA on an entry of this pack. */
uint32_t ph_test_pack_add_ref(struct ph_test_pack *pack, uint32_t base, const void *data,
                              size_t size);
/* An object as a REF_DELTA on one that need not be in the pack: a thin pack, or a later base. */
uint32_t ph_test_pack_add_thin(struct ph_test_pack *pack, enum ph_object_type type,
                               const struct ph_oid *base, const void *base_data, size_t base_size,
                               const void *data, size_t size);

/*
 * Any entry, also a wrong one: a header of this stored type and declared size; for OFS_DELTA the
 * distance as given, for REF_DELTA the id; then content, compressed. oid and type are what the
 * index will say of it, and size what it will say its object has.
 */
struct ph_test_raw {
	enum ph_object_type stored; /* any value below 8 */
	uint64_t declared;          /* size in the header */
	uint64_t distance;
	struct ph_oid base;
	const void *content;
	size_t content_len;
	bool content_is_stream; /* content goes in as it is, not compressed */
	struct ph_oid oid;
	enum ph_object_type type;
	size_t size;
};
uint32_t ph_test_pack_add_raw(struct ph_test_pack *pack, const struct ph_test_raw *raw);

/*
 * Appends the packfile: header, run, trailer. The entries' header count is pack->count; use the
 * second to announce another. Damage it afterwards as you like: ph_test_packfile_seal recomputes
 * the trailer of what then stands before it.
 */
void ph_test_packfile(const struct ph_test_pack *pack, struct ph_test_buf *out);
void ph_test_packfile_announce(const struct ph_test_pack *pack, uint32_t count,
                               struct ph_test_buf *out);
void ph_test_packfile_seal(enum ph_hash_algo algo, struct ph_test_buf *file);
/* The hash that a packfile of this run ends in. */
void ph_test_pack_trailer(const struct ph_test_pack *pack, struct ph_oid *out);
/* Appends the index of the run (pack_index.h). */
void ph_test_pack_index(const struct ph_test_pack *pack, struct ph_test_buf *out);

/*
 * A source over packs, in this order. The packs must outlive it and get no more entries. Set
 * faults.fail_at to make reads fail. To damage an index, change indexes[i] and call
 * ph_test_source_reload.
 */
struct ph_test_source {
	struct ph_pack_set set; /* pass &x.set.source */
	uint32_t count;
	struct ph_test_faults faults;
	struct ph_test_buf *indexes;
	struct ph_test_bytes *index_bytes, *runs;
	struct ph_pack *packs;
	const struct ph_pack **pointers;
};

void ph_test_source_init(struct ph_test_source *source, const struct ph_test_pack *packs,
                         uint32_t count);
enum ph_status ph_test_source_reload(struct ph_test_source *source, uint32_t pack);
void ph_test_source_release(struct ph_test_source *source);

/*
 * Takes a packfile apart, without the code under test except inflating and hashing: for checking
 * what was sent. Bases of a thin pack are looked for in the packs given. Returns NULL when the file
 * is right to its last byte, else what is wrong; release it in both cases. For packs of some
 * hundred objects.
 */
struct ph_test_unpacked {
	struct ph_test_entry *entries; /* offsets count from the file's beginning */
	uint32_t count;
	uint32_t ofs_deltas, ref_deltas;
	uint32_t thin; /* of them, with a base that is not in the file */
};

const char *ph_test_unpack(struct ph_test_unpacked *out, enum ph_hash_algo algo, const void *file,
                           size_t len, const struct ph_test_pack *bases, uint32_t base_count);
/* The entry with this id, or NULL. */
const struct ph_test_entry *ph_test_unpacked_find(const struct ph_test_unpacked *unpacked,
                                                  const struct ph_oid *oid);
void ph_test_unpacked_release(struct ph_test_unpacked *unpacked);

#endif
