/* SPDX-License-Identifier: MIT */
/*
 * A superblock with one wrong bit. The newest one is all that tells of the last commit, and one
 * that is not valid looks like one that was being written when the power went, so rot there would
 * take an acknowledged push away. A CRC tells which bit is wrong if it is only one, and a second
 * CRC over the same bytes in another order tells that it is so: what a power cut left fits one of
 * them by chance once in 100,000 times, and never both.
 */
#include "disk_int.h"

#include <string.h>

#define POLYNOMIAL 0xedb88320u
#define AT_CRC (PH__BLOCK - 4u)
#define HALF (PH__BLOCK / 2u)

uint32_t ph__super_check(const uint8_t *block)
{
	static const uint8_t none[4] = {0};
	uint32_t crc = ph_crc32(0, block + HALF, AT_CRC - HALF);
	crc = ph_crc32(crc, block, PH__SUPER_CHECK_AT);
	crc = ph_crc32(crc, none, sizeof(none));
	return ph_crc32(crc, block + PH__SUPER_CHECK_AT + 4, HALF - PH__SUPER_CHECK_AT - 4);
}

/* Turns the bit that is wrong if only one is; returns its number, or UINT32_MAX. */
static uint32_t turn_wrong_bit(uint8_t *block)
{
	uint32_t wrong = ph_crc32(0, block, AT_CRC) ^ ph__get32(block + AT_CRC);
	uint32_t bit = PH__BLOCK * 8, effect = POLYNOMIAL;
	if (wrong != 0 && (wrong & (wrong - 1)) == 0) {
		/* A bit of the CRC itself, which stands there with its highest byte first. */
		uint32_t low = 0;
		while (wrong >> low != 1)
			low++;
		bit = (PH__BLOCK - 1 - low / 8) * 8 + low % 8;
	} else {
		/* What a wrong bit does to the CRC, from the last bit on. */
		for (bit = AT_CRC * 8; bit > 0 && effect != wrong; bit--)
			effect = effect & 1 ? effect >> 1 ^ POLYNOMIAL : effect >> 1;
		if (bit == 0)
			return UINT32_MAX;
		bit--;
	}
	block[bit / 8] ^= (uint8_t)(1u << bit % 8);
	return bit;
}

bool ph__super_mend(uint8_t *block)
{
	static const uint8_t magic[8] = {'P', 'A', 'C', 'K', 'H', 'O', 'R', 'S'};
	unsigned differ = 0;
	for (size_t i = 0; i < sizeof(magic); i++)
		differ += block[i] != magic[i];
	if (differ > 1)
		return false;
	uint32_t bit = turn_wrong_bit(block);
	if (bit == UINT32_MAX)
		return false;
	if (ph__super_check(block) == ph__get32(block + PH__SUPER_CHECK_AT))
		return true;
	block[bit / 8] ^= (uint8_t)(1u << bit % 8);
	return false;
}
