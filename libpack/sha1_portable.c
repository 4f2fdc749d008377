/* SPDX-License-Identifier: MIT */
/*
 * SHA-1 (FIPS 180-4) and the search for collision attacks in plain C, for processors without
 * instructions that help and for what is too short for them. Small rather than unrolled.
 */
#include "sha1_attack_int.h"
#include "sha1_int.h"

#include <string.h>

#define ROTATE(x, by) ((x) << (by) | (x) >> (32 - (by)))
#define CHOOSE(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define PARITY(b, c, d) ((b) ^ (c) ^ (d))
#define MAJORITY(b, c, d) (((b) & (c)) | ((d) & ((b) | (c))))

static void expand(uint32_t *w, const uint8_t *block, unsigned words)
{
	for (unsigned t = 0; t < 16; t++)
		w[t] = ph__sha1_word(block + 4 * t);
	for (unsigned t = 16; t < words; t++) {
		uint32_t x = w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16];

		w[t] = ROTATE(x, 1);
	}
}

/* Instead of moving five words along, five rounds take them under other names. */
#define ROUND(f, k, a, b, c, d, e, word)                                                           \
	do {                                                                                       \
		e += ROTATE(a, 5) + f(b, c, d) + (k) + (word);                                     \
		b = ROTATE(b, 30);                                                                 \
	} while (0)

#define FIVE(f, k, word, t)                                                                        \
	ROUND(f, k, a, b, c, d, e, word(t));                                                       \
	ROUND(f, k, e, a, b, c, d, word((t) + 1));                                                 \
	ROUND(f, k, d, e, a, b, c, word((t) + 2));                                                 \
	ROUND(f, k, c, d, e, a, b, word((t) + 3));                                                 \
	ROUND(f, k, b, c, d, e, a, word((t) + 4))

#ifdef PH_SHA1_SMALL

#define WORD(t) (w[t])
#define WORDS 80

#define TWENTY(f, k, from)                                                                         \
	for (unsigned t = (from); t < (from) + 20; t += 5) {                                       \
		FIVE(f, k, WORD, t);                                                               \
	}

#else

/* A window of the schedule, which is computed as rounds need it. */
#define WORD(t) (w[(t)&15] = (t) < 16 ? w[t] : ROTATE(SUM(t), 1))
#define SUM(t) (w[((t)-3) & 15] ^ w[((t)-8) & 15] ^ w[((t)-14) & 15] ^ w[(t)&15])
#define WORDS 16

#define TWENTY(f, k, from)                                                                         \
	FIVE(f, k, WORD, from);                                                                    \
	FIVE(f, k, WORD, (from) + 5);                                                              \
	FIVE(f, k, WORD, (from) + 10);                                                             \
	FIVE(f, k, WORD, (from) + 15);

#endif

static void compress(uint32_t state[5], const uint8_t *block)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], w[WORDS];

	expand(w, block, WORDS);
	TWENTY(CHOOSE, 0x5a827999, 0)
	TWENTY(PARITY, 0x6ed9eba1, 20)
	TWENTY(MAJORITY, 0x8f1bbcdc, 40)
	TWENTY(PARITY, 0xca62c1d6, 60)
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
}

void ph__sha1_portable_blocks(uint32_t state[5], const uint8_t *data, size_t blocks,
                              uint32_t (*before)[8])
{
	for (size_t i = 0; i < blocks; i++) {
		if (before)
			memcpy(before[i], state, 5 * sizeof(state[0]));
		compress(state, data + PH__SHA1_BLOCK_BYTES * i);
	}
}

/* ---- conditions ---- */

#define ROW(n, word_a, bit_i, word_b, bit_j, must_differ, vectors)                                 \
	[n] = {vectors, word_a, bit_i, word_b, bit_j, must_differ},

const struct ph__sha1_condition ph__sha1_conditions[PH__SHA1_CONDITIONS] = {
        PH__SHA1_CONDITIONS_ALL(ROW)};

/* Some fifty are enough to rule all vectors out, but for one block of twenty. */
static uint32_t one_block(const uint8_t *block)
{
	uint32_t w[65], mask = UINT32_MAX;

	expand(w, block, 65);
	for (unsigned n = 0; n < PH__SHA1_CONDITIONS && mask != 0; n++) {
		const struct ph__sha1_condition *condition = &ph__sha1_conditions[n];
		uint32_t differ =
		        (w[condition->a] >> condition->i ^ w[condition->b] >> condition->j) & 1;

		/* All ones where it does not hold. */
		mask &= ~(condition->dvs & (0 - (differ ^ condition->differ)));
	}
	return mask;
}

/* Words side by side, which compilers make vectors of. */
#define SIDE 16u

static void side_expand(uint32_t w[65][SIDE], const uint8_t *data, size_t blocks)
{
	for (unsigned i = 0; i < SIDE; i++) {
		for (unsigned t = 0; t < 16; t++)
			w[t][i] = i < blocks
			                  ? ph__sha1_word(data + PH__SHA1_BLOCK_BYTES * i + 4 * t)
			                  : 0;
	}
	for (unsigned t = 16; t < 65; t++) {
		for (unsigned i = 0; i < SIDE; i++) {
			uint32_t x = w[t - 3][i] ^ w[t - 8][i] ^ w[t - 14][i] ^ w[t - 16][i];

			w[t][i] = ROTATE(x, 1);
		}
	}
}

static void side_by_side(const uint8_t *data, size_t blocks, uint32_t *masks)
{
	uint32_t w[65][SIDE], mask[SIDE];

	side_expand(w, data, blocks);
	memset(mask, 0xff, sizeof(mask));
	for (unsigned n = 0; n < PH__SHA1_CONDITIONS; n++) {
		const struct ph__sha1_condition *condition = &ph__sha1_conditions[n];
		const uint32_t *a = w[condition->a], *b = w[condition->b];
		unsigned i = condition->i, j = condition->j;
		uint32_t differ = condition->differ, dvs = condition->dvs;

		for (unsigned k = 0; k < SIDE; k++)
			mask[k] &= ~((0 - ((a[k] >> i ^ b[k] >> j ^ differ) & 1)) & dvs);
	}
	memcpy(masks, mask, blocks * sizeof(masks[0]));
}

/* Fewer are sooner looked at one by one. */
#define SIDE_WORTH 8u

bool ph__sha1_portable_conditions(const uint8_t *data, size_t blocks, uint32_t *masks)
{
	_Static_assert(SIDE == PH__SHA1_LANES_MAX, "there are never more");
	uint32_t any = 0;

	if (blocks >= SIDE_WORTH)
		side_by_side(data, blocks, masks);
	for (size_t i = 0; i < blocks; i++) {
		if (blocks < SIDE_WORTH)
			masks[i] = one_block(data + PH__SHA1_BLOCK_BYTES * i);
		any |= masks[i];
	}
	return any != 0;
}

/* ---- suspects, four by four: GCC and Clang have vectors for every processor ---- */

typedef uint32_t four __attribute__((vector_size(16)));

#define LANES four
#define LANES_COUNT 4u
#define LANES_TARGET
#define LANES_ADD(x, y) ((x) + (y))
#define LANES_SUB(x, y) ((x) - (y))
#define LANES_XOR(x, y) ((x) ^ (y))
#define LANES_XOR3 PARITY
#define LANES_CHOOSE CHOOSE
#define LANES_MAJORITY MAJORITY
#define LANES_ROTATE ROTATE
#define LANES_ALL(x) ((four){(x), (x), (x), (x)})
#define LANES_LOAD(at) (*(const four *)(const void *)(at))
#define LANES_SELECT(by, yes, no) (((by) & (yes)) | (~(by) & (no)))
#define LANES_SAME(x, y) equal(x, y)

static inline unsigned equal(four x, four y)
{
	four differ = x ^ y;
	unsigned bits = 0;

	for (unsigned i = 0; i < LANES_COUNT; i++)
		bits |= (differ[i] == 0 ? 1u : 0u) << i;
	return bits;
}

#include "sha1_recheck_int.h"

void ph__sha1_portable_recheck(struct ph__sha1_suspects *suspects)
{
	recheck(suspects);
}
