/* SPDX-License-Identifier: MIT */
/*
 * Eight lanes of SHA-1 by AVX2. The work is in sha1_lanes_int.h and sha1_recheck_int.h; here is
 * what an instruction is called, and what takes several.
 */
#include "sha1_attack_int.h"
#include "sha1_int.h"

#ifdef PH__SHA1_WIDE

#include <immintrin.h>
#include <string.h>

#define LANES __m256i
#define LANES_COUNT 8u
#define LANES_TARGET __attribute__((target("avx2")))

#define LANES_ADD _mm256_add_epi32
#define LANES_SUB _mm256_sub_epi32
#define LANES_XOR _mm256_xor_si256
#define LANES_XOR3(x, y, z) LANES_XOR(LANES_XOR(x, y), z)
#define LANES_CHOOSE(x, y, z) LANES_XOR(z, _mm256_and_si256(x, LANES_XOR(y, z)))
#define LANES_MAJORITY(x, y, z)                                                                    \
	_mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)))
#define LANES_ROTATE(x, by) rotate(x, by)
#define LANES_LEFT(x, by) _mm256_slli_epi32(x, by)
#define LANES_RIGHT(x, by) _mm256_srli_epi32(x, by)
#define LANES_ALL(x) _mm256_set1_epi32((int)(x))
#define LANES_ONES LANES_ALL(-1)
#define LANES_LOAD(at) _mm256_load_si256((const __m256i *)(const void *)(at))
#define LANES_STORE(at, x) _mm256_store_si256((__m256i *)(void *)(at), x)
#define LANES_SELECT(by, yes, no) LANES_CHOOSE(by, yes, no)
#define LANES_SAME(x, y)                                                                           \
	((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(x, y))))
#define LANES_ANY(x) (!_mm256_testz_si256(x, x))
#define LANES_LOW32 _mm256_unpacklo_epi32
#define LANES_HIGH32 _mm256_unpackhi_epi32
#define LANES_LOW64 _mm256_unpacklo_epi64
#define LANES_HIGH64 _mm256_unpackhi_epi64

/* Where the bit of x is not as it must be, only left stays of mask. */
#define LANES_CLEAR(mask, x, differ, bit, left)                                                    \
	clear(mask, x, differ, LANES_ALL(bit), LANES_ALL(left))

LANES_TARGET static inline LANES rotate(LANES x, int by)
{
	return _mm256_or_si256(_mm256_slli_epi32(x, by), _mm256_srli_epi32(x, 32 - by));
}

LANES_TARGET static inline LANES clear(LANES mask, LANES x, bool differ, LANES bit, LANES left)
{
	LANES there = _mm256_and_si256(x, bit);
	LANES good = _mm256_cmpeq_epi32(there, differ ? bit : _mm256_setzero_si256());

	return _mm256_and_si256(mask, _mm256_or_si256(good, left));
}

/* 16 bytes of row i and of the fourth row after it. */
LANES_TARGET static inline LANES pick(const uint8_t *const *rows, unsigned i, unsigned at)
{
#define AT(row) _mm_loadu_si128((const __m128i *)(const void *)(rows[row] + at))
	return _mm256_inserti128_si256(_mm256_castsi128_si256(AT(i)), AT(i + 4), 1);
#undef AT
}

LANES_TARGET static inline LANES swap(LANES x)
{
	return _mm256_shuffle_epi8(x, _mm256_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203,
	                                                0x0c0d0e0f08090a0b, 0x0405060700010203));
}

#define LANES_PICK pick
#define LANES_SWAP swap

#include "sha1_recheck_int.h"

#include "sha1_lanes_int.h"

bool ph__sha1_avx2_conditions(const uint8_t *data, size_t blocks, uint32_t *masks)
{
	return lanes_watch(data, blocks, masks);
}

void ph__sha1_avx2_recheck(struct ph__sha1_suspects *suspects)
{
	recheck(suspects);
}

void ph__sha1_avx2_lanes(const struct ph__sha1_path *path, struct ph__sha1_lanes *lanes,
                         size_t blocks)
{
	lanes_hash(path, lanes, blocks);
}

#endif
