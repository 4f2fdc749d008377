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
#define ROUND(f, k, a, b, c, d, e, t)                                                              \
	do {                                                                                       \
		e += ROTATE(a, 5) + f(b, c, d) + (k) + w[t];                                       \
		b = ROTATE(b, 30);                                                                 \
	} while (0)

#define ROUNDS(f, k, from)                                                                         \
	for (unsigned t = (from); t < (from) + 20; t += 5) {                                       \
		ROUND(f, k, a, b, c, d, e, t);                                                     \
		ROUND(f, k, e, a, b, c, d, t + 1);                                                 \
		ROUND(f, k, d, e, a, b, c, t + 2);                                                 \
		ROUND(f, k, c, d, e, a, b, t + 3);                                                 \
		ROUND(f, k, b, c, d, e, a, t + 4);                                                 \
	}

static void compress(uint32_t state[5], const uint32_t w[80])
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

	ROUNDS(CHOOSE, 0x5a827999, 0)
	ROUNDS(PARITY, 0x6ed9eba1, 20)
	ROUNDS(MAJORITY, 0x8f1bbcdc, 40)
	ROUNDS(PARITY, 0xca62c1d6, 60)
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
}

void ph__sha1_portable_blocks(uint32_t state[5], const uint8_t *data, size_t blocks,
                              uint32_t (*before)[8])
{
	uint32_t w[80];

	for (size_t i = 0; i < blocks; i++) {
		if (before)
			memcpy(before[i], state, 5 * sizeof(state[0]));
		expand(w, data + PH__SHA1_BLOCK_BYTES * i, 80);
		compress(state, w);
	}
}

/* ---- conditions ---- */

#define ROW(n, word_a, bit_i, word_b, bit_j, must_differ, vectors)                                 \
	[n] = {vectors, word_a, bit_i, word_b, bit_j, must_differ},

const struct ph__sha1_condition ph__sha1_conditions[PH__SHA1_CONDITIONS] = {
        PH__SHA1_CONDITIONS_ALL(ROW)};

static uint32_t hold(const uint32_t *w)
{
	uint32_t mask = UINT32_MAX;

	/* A few dozen are enough to rule all vectors out, but for one block of twenty. */
	for (unsigned n = 0; n < PH__SHA1_CONDITIONS && mask != 0; n++) {
		const struct ph__sha1_condition *condition = &ph__sha1_conditions[n];
		uint32_t differ =
		        (w[condition->a] >> condition->i ^ w[condition->b] >> condition->j) & 1;

		/* All ones where it does not hold. */
		mask &= ~(condition->dvs & (0 - (differ ^ condition->differ)));
	}
	return mask;
}

bool ph__sha1_portable_conditions(const uint8_t *data, size_t blocks, uint32_t *masks)
{
	uint32_t w[65], any = 0;

	for (size_t i = 0; i < blocks; i++) {
		expand(w, data + PH__SHA1_BLOCK_BYTES * i, 65);
		masks[i] = hold(w);
		any |= masks[i];
	}
	return any != 0;
}

/* ---- suspects, one by one ---- */

#define LANES uint32_t
#define LANES_COUNT 1u
#define LANES_TARGET
#define LANES_ADD(x, y) ((x) + (y))
#define LANES_SUB(x, y) ((x) - (y))
#define LANES_XOR(x, y) ((x) ^ (y))
#define LANES_XOR3 PARITY
#define LANES_CHOOSE CHOOSE
#define LANES_MAJORITY MAJORITY
#define LANES_ROTATE ROTATE
#define LANES_ALL(x) (x)
#define LANES_LOAD(at) (*(at))
#define LANES_SELECT(by, yes, no) (((by) & (yes)) | (~(by) & (no)))
#define LANES_SAME(x, y) ((unsigned)((x) == (y)))

#include "sha1_recheck_int.h"

void ph__sha1_portable_recheck(struct ph__sha1_suspects *suspects)
{
	recheck(suspects);
}
