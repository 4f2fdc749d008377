/* SPDX-License-Identifier: MIT */
/*
 * SHA-1 that watches for collision attacks. A path is a way to compute it: a compression function,
 * portable or by the SHA extensions of x86-64, and beside it the conditions of
 * sha1_conditions_int.h one block at a time or by vectors. All give the same digests and verdicts.
 */
#ifndef PACKHORSE_SHA1_INT_H
#define PACKHORSE_SHA1_INT_H

#include <packhorse/hash.h>

#define PH__SHA1_BLOCK_BYTES 64u
#define PH__SHA1_LANES_MAX 16u

/* A block that may be one of an attack by one vector, to be looked at with others. */
struct ph__sha1_suspects {
	_Alignas(64) uint32_t block[16][PH__SHA1_LANES_MAX]; /* word by word, a column each */
	_Alignas(64) uint32_t other[16][PH__SHA1_LANES_MAX]; /* what it would collide with */
	_Alignas(64) uint32_t state[5][PH__SHA1_LANES_MAX];  /* before the block */
	_Alignas(64) uint32_t late[PH__SHA1_LANES_MAX];      /* all ones for late vectors */
	bool *attacked[PH__SHA1_LANES_MAX];                  /* set where there is an attack */
	unsigned count;
};

/* Messages side by side, for as many blocks as the caller knows to follow each row. */
struct ph__sha1_lanes {
	_Alignas(64) uint32_t state[5][PH__SHA1_LANES_MAX];
	const uint8_t *rows[PH__SHA1_LANES_MAX];
	bool *attacked[PH__SHA1_LANES_MAX]; /* NULL where nothing is computed in earnest */
	struct ph__sha1_suspects *suspects;
};

struct ph__sha1_path {
	const char *name;
	/* before, unless NULL, gets the state before each block; at most PH__SHA1_LANES_MAX then.
	 */
	void (*blocks)(uint32_t state[5], const uint8_t *data, size_t blocks,
	               uint32_t (*before)[8]);
	/* The same for two messages side by side; before is wanted. NULL where that is no gain. */
	void (*pair)(uint32_t *const states[2], const uint8_t *const data[2], size_t blocks,
	             uint32_t (*const before[2])[8]);
	/*
	 * For each of 1 to PH__SHA1_LANES_MAX blocks in a row, the vectors whose conditions hold.
	 * Whether there are any.
	 */
	bool (*conditions)(const uint8_t *data, size_t blocks, uint32_t *masks);
	/* Looks at all suspects, and there are none. */
	void (*recheck)(struct ph__sha1_suspects *suspects);
	/* NULL where there are no lanes. Rows are moved past the blocks. */
	void (*lanes)(const struct ph__sha1_path *path, struct ph__sha1_lanes *lanes,
	              size_t blocks);
	unsigned width; /* lanes */
	unsigned few;   /* so many messages are hashed sooner one by one */
};

/* Blocks whose conditions wait for others, since many cost as much as one. */
#define PH__SHA1_WAITING_MAX 8u

struct ph__sha1 {
	const struct ph__sha1_path *path;
	uint32_t state[5];
	uint64_t bytes; /* so far */
	uint8_t block[PH__SHA1_BLOCK_BYTES];
	bool plain; /* not watched */
	bool attacked;
	unsigned waiting;
	uint32_t before[PH__SHA1_WAITING_MAX][8];
	uint8_t blocks[PH__SHA1_WAITING_MAX][PH__SHA1_BLOCK_BYTES];
};

/* The paths of this processor, slowest first, NULL from some i on; the best, asked for once. */
const struct ph__sha1_path *ph__sha1_path(unsigned i);
const struct ph__sha1_path *ph__sha1_best(void);

extern const uint32_t ph__sha1_start[5];

void ph__sha1_init(struct ph__sha1 *sha1, const struct ph__sha1_path *path, bool plain);
void ph__sha1_update(struct ph__sha1 *sha1, const uint8_t *data, size_t len);
void ph__sha1_final(struct ph__sha1 *sha1, uint8_t out[20]);
/* The blocks at data, watched. Suspects stay until path->recheck. */
void ph__sha1_watch(const struct ph__sha1_path *path, struct ph__sha1_suspects *suspects,
                    uint32_t state[5], const uint8_t *data, size_t blocks, bool *attacked);
/* The same for two messages side by side, where path->pair is there. */
void ph__sha1_watch_pair(const struct ph__sha1_path *path, struct ph__sha1_suspects *suspects,
                         uint32_t *const states[2], const uint8_t *const data[2], size_t blocks,
                         bool *const attacked[2]);
/* Adds a block for each vector of mask; there is always room. */
void ph__sha1_suspect(const struct ph__sha1_path *path, struct ph__sha1_suspects *suspects,
                      const uint8_t *block, const uint32_t state[5], uint32_t mask, bool *attacked);
void ph__sha1_items(const struct ph__sha1_path *path, struct ph_hash_item *items, size_t count);
/* "<type> <size>" and its NUL; returns its length. */
#define PH__OBJECT_HEADER_BYTES_MAX 32u
size_t ph__object_header(uint8_t *out, enum ph_object_type type, uint64_t size);

/* ---- parts of paths ---- */

static inline uint32_t ph__sha1_word(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void ph__sha1_portable_blocks(uint32_t state[5], const uint8_t *data, size_t blocks,
                              uint32_t (*before)[8]);
bool ph__sha1_portable_conditions(const uint8_t *data, size_t blocks, uint32_t *masks);
void ph__sha1_portable_recheck(struct ph__sha1_suspects *suspects);

#if defined(__x86_64__) && defined(__GNUC__)
#define PH__SHA1_X86 1

/* What this processor and its system can. */
enum { PH__SHA1_HAS_SHA = 1, PH__SHA1_HAS_AVX2 = 2, PH__SHA1_HAS_AVX512 = 4 };
unsigned ph__sha1_x86_has(void);
void ph__sha1_x86_blocks(uint32_t state[5], const uint8_t *data, size_t blocks,
                         uint32_t (*before)[8]);
#endif

/* Vectors are left out where size counts for more (PH_SHA1_SMALL). */
#if defined(PH__SHA1_X86) && !defined(PH_SHA1_SMALL)
#define PH__SHA1_WIDE 1

void ph__sha1_x86_pair(uint32_t *const states[2], const uint8_t *const data[2], size_t blocks,
                       uint32_t (*const before[2])[8]);
bool ph__sha1_avx2_conditions(const uint8_t *data, size_t blocks, uint32_t *masks);
void ph__sha1_avx2_recheck(struct ph__sha1_suspects *suspects);
void ph__sha1_avx2_lanes(const struct ph__sha1_path *path, struct ph__sha1_lanes *lanes,
                         size_t blocks);
bool ph__sha1_avx512_conditions(const uint8_t *data, size_t blocks, uint32_t *masks);
void ph__sha1_avx512_recheck(struct ph__sha1_suspects *suspects);
void ph__sha1_avx512_lanes(const struct ph__sha1_path *path, struct ph__sha1_lanes *lanes,
                           size_t blocks);
#endif

#endif
