/* SPDX-License-Identifier: MIT */
/*
 * Disturbance vectors, and blocks that are under suspicion. All known attacks on SHA-1 follow one
 * of a few vectors, whose bits say where local collisions begin. A vector is determined by 16 words
 * in a row, those of II(k, b) or I(k, b) from word k on, since it obeys the message expansion both
 * ways; how two colliding blocks differ is the sum of six of its words for each step of a local
 * collision. So the differences of one type and b are the same row of words, that k moves and b
 * rotates.
 */
#include "sha1_attack_int.h"

#include "sha1_int.h"

const struct ph__sha1_vector ph__sha1_vectors[PH__SHA1_VECTORS] = {
        {1, 43, 0}, {1, 44, 0}, {1, 45, 0}, {1, 46, 0}, {1, 46, 2}, {1, 47, 0}, {1, 47, 2},
        {1, 48, 0}, {1, 48, 2}, {1, 49, 0}, {1, 49, 2}, {1, 50, 0}, {1, 50, 2}, {1, 51, 0},
        {1, 51, 2}, {1, 52, 0}, {2, 45, 0}, {2, 46, 0}, {2, 46, 2}, {2, 47, 0}, {2, 48, 0},
        {2, 49, 0}, {2, 49, 2}, {2, 50, 0}, {2, 50, 2}, {2, 51, 0}, {2, 51, 2}, {2, 52, 0},
        {2, 53, 0}, {2, 54, 0}, {2, 55, 0}, {2, 56, 0},
};

#define K_MAX 56u

/* The words of I(k, 0) and II(k, 0) from k - K_MAX on, to word 15 of the least k. */
static const uint32_t differences[2][29] = {
        {
                0x08000012, 0x28000010, 0xbc000010, 0x24000004, 0x04000010, 0xe8000000,
                0x0800000c, 0x18000000, 0xb800000a, 0xc8000010, 0x2c000010, 0xf4000014,
                0xb4000008, 0x08000000, 0x9800000c, 0xd8000010, 0x08000010, 0xb8000010,
                0x98000000, 0x60000000, 0x00000008, 0xc0000000, 0x90000014, 0x10000010,
                0xb8000014, 0x28000000, 0x20000010, 0x48000000, 0x08000018,
        },
        {
                0x2600001a, 0x00000010, 0x0400001c, 0xcc000014, 0x0c000002, 0xc0000010,
                0xb400001c, 0x3c000004, 0xbc00001a, 0x20000010, 0x2400001c, 0xec000014,
                0x0c000002, 0xc0000010, 0xb400001c, 0x2c000004, 0xbc000018, 0xb0000010,
                0x0000000c, 0xb8000010, 0x08000018, 0x78000010, 0x08000014, 0x70000010,
                0xb800001c, 0xe8000000, 0xb0000004, 0x58000010, 0xb000000c,
        },
};

uint32_t ph__sha1_difference(const struct ph__sha1_vector *vector, unsigned word)
{
	uint32_t of_bit_0 = differences[vector->type - 1][word + K_MAX - vector->k];

	return vector->b == 0 ? of_bit_0 : of_bit_0 << vector->b | of_bit_0 >> (32 - vector->b);
}

/* The last local collision before the free steps ends with word k + 4, or k + 8 for II. */
bool ph__sha1_vector_is_late(const struct ph__sha1_vector *vector)
{
	return vector->k + (vector->type == 1 ? 5u : 9u) > PH__SHA1_STEP_EARLY;
}

void ph__sha1_suspect(const struct ph__sha1_path *path, struct ph__sha1_suspects *suspects,
                      const uint8_t *block, const uint32_t state[5], uint32_t mask, bool *attacked)
{
	for (unsigned dv = 0; mask != 0; dv++, mask >>= 1) {
		const struct ph__sha1_vector *vector = &ph__sha1_vectors[dv];
		unsigned at = suspects->count;

		if (!(mask & 1))
			continue;
		for (unsigned i = 0; i < 16; i++) {
			suspects->block[i][at] = ph__sha1_word(block + 4 * i);
			suspects->other[i][at] =
			        suspects->block[i][at] ^ ph__sha1_difference(vector, i);
		}
		for (unsigned i = 0; i < 5; i++)
			suspects->state[i][at] = state[i];
		suspects->late[at] = ph__sha1_vector_is_late(vector) ? UINT32_MAX : 0;
		suspects->attacked[at] = attacked;
		if (++suspects->count == PH__SHA1_LANES_MAX)
			path->recheck(suspects);
	}
}
