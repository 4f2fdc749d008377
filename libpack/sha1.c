/* SPDX-License-Identifier: MIT */
/*
 * SHA-1 as a stream, around the functions of a path: what is held back until a block is full, the
 * padding, and which blocks of a message are suspects of a collision attack. The digest is never
 * changed by what is found.
 */
#include "sha1_int.h"

#include <stdatomic.h>
#include <string.h>

/* ---- paths ---- */

static const struct ph__sha1_path portable = {
        .name = "portable",
        .blocks = ph__sha1_portable_blocks,
        .conditions = ph__sha1_portable_conditions,
        .recheck = ph__sha1_portable_recheck,
};

#ifdef PH__SHA1_X86
static const struct ph__sha1_path sha = {
        .name = "sha",
        .blocks = ph__sha1_x86_blocks,
        .conditions = ph__sha1_portable_conditions,
        .recheck = ph__sha1_portable_recheck,
};
#endif

#ifdef PH__SHA1_WIDE
#define WIDE(text, one, two, vectors, lane_count, too_few)                                         \
	{                                                                                          \
		.name = text, .blocks = one, .pair = two,                                          \
		.conditions = ph__sha1_##vectors##_conditions,                                     \
		.recheck = ph__sha1_##vectors##_recheck, .lanes = ph__sha1_##vectors##_lanes,      \
		.width = lane_count, .few = too_few                                                \
	}

static const struct ph__sha1_path avx2 = WIDE("avx2", ph__sha1_portable_blocks, NULL, avx2, 8, 1);
static const struct ph__sha1_path avx512 =
        WIDE("avx512", ph__sha1_portable_blocks, NULL, avx512, 16, 1);
static const struct ph__sha1_path sha_avx2 =
        WIDE("sha+avx2", ph__sha1_x86_blocks, ph__sha1_x86_pair, avx2, 8, 4);
static const struct ph__sha1_path sha_avx512 =
        WIDE("sha+avx512", ph__sha1_x86_blocks, ph__sha1_x86_pair, avx512, 16, 6);
#endif

struct choice {
	unsigned needs; /* of the processor */
	const struct ph__sha1_path *path;
};

static const struct choice choices[] = {
        {0, &portable},
#ifdef PH__SHA1_X86
        {PH__SHA1_HAS_SHA, &sha},
#endif
#ifdef PH__SHA1_WIDE
        {PH__SHA1_HAS_AVX2, &avx2},
        {PH__SHA1_HAS_AVX512, &avx512},
        {PH__SHA1_HAS_SHA | PH__SHA1_HAS_AVX2, &sha_avx2},
        {PH__SHA1_HAS_SHA | PH__SHA1_HAS_AVX512, &sha_avx512},
#endif
};

const struct ph__sha1_path *ph__sha1_path(unsigned i)
{
#ifdef PH__SHA1_X86
	unsigned has = ph__sha1_x86_has();
#else
	unsigned has = 0;
#endif

	for (size_t c = 0; c < sizeof(choices) / sizeof(choices[0]); c++) {
		if ((choices[c].needs & ~has) == 0 && i-- == 0)
			return choices[c].path;
	}
	return NULL;
}

/* Asking costs a virtual machine an exit, and every object asks; the answer is always the same. */
const struct ph__sha1_path *ph__sha1_best(void)
{
	static atomic_uint known; /* its number, and 1 */
	unsigned number = atomic_load_explicit(&known, memory_order_relaxed);

	if (number == 0) {
		while (ph__sha1_path(number))
			number++;
		for (size_t c = 0; c < sizeof(choices) / sizeof(choices[0]); c++) {
			if (choices[c].path == ph__sha1_path(number - 1))
				number = (unsigned)c + 1;
		}
		atomic_store_explicit(&known, number, memory_order_relaxed);
	}
	return choices[number - 1].path;
}

/* ---- watching ---- */

static void suspect_some(const struct ph__sha1_path *path, struct ph__sha1_suspects *suspects,
                         const uint8_t *data, size_t blocks, const uint32_t *masks,
                         uint32_t (*before)[8], bool *attacked)
{
	for (size_t i = 0; i < blocks; i++) {
		if (masks[i] != 0)
			ph__sha1_suspect(path, suspects, data + PH__SHA1_BLOCK_BYTES * i, before[i],
			                 masks[i], attacked);
	}
}

void ph__sha1_watch(const struct ph__sha1_path *path, struct ph__sha1_suspects *suspects,
                    uint32_t state[5], const uint8_t *data, size_t blocks, bool *attacked)
{
	uint32_t masks[PH__SHA1_LANES_MAX];
	uint32_t before[PH__SHA1_LANES_MAX][8];

	while (blocks > 0) {
		size_t some = blocks < PH__SHA1_LANES_MAX ? blocks : PH__SHA1_LANES_MAX;
		bool any = path->conditions(data, some, masks);

		path->blocks(state, data, some, before);
		if (any)
			suspect_some(path, suspects, data, some, masks, before, attacked);
		data += PH__SHA1_BLOCK_BYTES * some;
		blocks -= some;
	}
}

#ifdef PH__SHA1_WIDE
void ph__sha1_watch_pair(const struct ph__sha1_path *path, struct ph__sha1_suspects *suspects,
                         uint32_t *const states[2], const uint8_t *const data[2], size_t blocks,
                         bool *const attacked[2])
{
	uint32_t masks[2][PH__SHA1_LANES_MAX];
	uint32_t before[2][PH__SHA1_LANES_MAX][8];
	uint32_t(*const both[2])[8] = {before[0], before[1]};
	const uint8_t *at[2] = {data[0], data[1]};

	while (blocks > 0) {
		size_t some = blocks < PH__SHA1_LANES_MAX ? blocks : PH__SHA1_LANES_MAX;
		bool any[2];

		for (unsigned i = 0; i < 2; i++)
			any[i] = path->conditions(at[i], some, masks[i]);
		path->pair(states, at, some, both);
		for (unsigned i = 0; i < 2; i++) {
			if (any[i])
				suspect_some(path, suspects, at[i], some, masks[i], before[i],
				             attacked[i]);
			at[i] += PH__SHA1_BLOCK_BYTES * some;
		}
		blocks -= some;
	}
}
#endif

static void end_waiting(struct ph__sha1 *sha1)
{
	const struct ph__sha1_path *path = sha1->path;
	struct ph__sha1_suspects suspects;
	uint32_t masks[PH__SHA1_WAITING_MAX];
	unsigned waiting = sha1->waiting;

	sha1->waiting = 0;
	if (waiting == 0 || !path->conditions(sha1->blocks[0], waiting, masks))
		return;
	suspects.count = 0;
	suspect_some(path, &suspects, sha1->blocks[0], waiting, masks, sha1->before,
	             &sha1->attacked);
	if (suspects.count > 0)
		path->recheck(&suspects);
}

static void take_blocks(struct ph__sha1 *sha1, const uint8_t *data, size_t blocks)
{
	struct ph__sha1_suspects suspects;

	if (sha1->plain) {
		sha1->path->blocks(sha1->state, data, blocks, NULL);
		return;
	}
	if (blocks <= PH__SHA1_WAITING_MAX) {
		if (blocks > PH__SHA1_WAITING_MAX - sha1->waiting)
			end_waiting(sha1);
		memcpy(sha1->blocks[sha1->waiting], data, PH__SHA1_BLOCK_BYTES * blocks);
		sha1->path->blocks(sha1->state, data, blocks, sha1->before + sha1->waiting);
		sha1->waiting += (unsigned)blocks;
		return;
	}
	suspects.count = 0;
	ph__sha1_watch(sha1->path, &suspects, sha1->state, data, blocks, &sha1->attacked);
	if (suspects.count > 0)
		sha1->path->recheck(&suspects);
}

/* ---- the stream ---- */

const uint32_t ph__sha1_start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};

void ph__sha1_init(struct ph__sha1 *sha1, const struct ph__sha1_path *path, bool plain)
{
	sha1->path = path;
	memcpy(sha1->state, ph__sha1_start, sizeof(ph__sha1_start));
	sha1->bytes = 0;
	sha1->plain = plain;
	sha1->waiting = 0;
	sha1->attacked = false;
}

void ph__sha1_update(struct ph__sha1 *sha1, const uint8_t *data, size_t len)
{
	size_t held = (size_t)(sha1->bytes % PH__SHA1_BLOCK_BYTES);

	sha1->bytes += len;
	if (held > 0) {
		size_t take = PH__SHA1_BLOCK_BYTES - held < len ? PH__SHA1_BLOCK_BYTES - held : len;

		memcpy(sha1->block + held, data, take);
		data += take;
		len -= take;
		if (held + take < PH__SHA1_BLOCK_BYTES)
			return;
		take_blocks(sha1, sha1->block, 1);
	}
	if (len >= PH__SHA1_BLOCK_BYTES)
		take_blocks(sha1, data, len / PH__SHA1_BLOCK_BYTES);
	memcpy(sha1->block, data + len - len % PH__SHA1_BLOCK_BYTES, len % PH__SHA1_BLOCK_BYTES);
}

void ph__sha1_final(struct ph__sha1 *sha1, uint8_t out[20])
{
	uint8_t end[2 * PH__SHA1_BLOCK_BYTES] = {0};
	uint64_t bits = sha1->bytes * 8;
	size_t held = (size_t)(sha1->bytes % PH__SHA1_BLOCK_BYTES);
	size_t blocks = held < 56 ? 1 : 2;

	memcpy(end, sha1->block, held);
	end[held] = 0x80;
	for (unsigned i = 0; i < 8; i++)
		end[blocks * PH__SHA1_BLOCK_BYTES - 8 + i] = (uint8_t)(bits >> (56 - 8 * i));
	take_blocks(sha1, end, blocks);
	end_waiting(sha1);
	for (unsigned i = 0; i < 20; i++)
		out[i] = (uint8_t)(sha1->state[i / 4] >> (24 - 8 * (i % 4)));
}
