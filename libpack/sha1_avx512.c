/* SPDX-License-Identifier: MIT */
/*
 * Sixteen lanes of SHA-1 by AVX-512: three-input logic, rotation and masks make it twice as fast as
 * AVX2 where registers are whole, and 32 of them hold schedule and state. The work is in
 * sha1_lanes_int.h and sha1_recheck_int.h; here is what an instruction is called.
 */
#include "sha1_attack_int.h"
#include "sha1_int.h"

#ifdef PH__SHA1_WIDE

#include <immintrin.h>
#include <string.h>

#define LANES __m512i
#define LANES_COUNT 16u
#define LANES_TARGET __attribute__((target("avx512f,avx512bw")))

#define LANES_ADD _mm512_add_epi32
#define LANES_SUB _mm512_sub_epi32
#define LANES_XOR _mm512_xor_si512
#define LANES_XOR3(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0x96)
#define LANES_CHOOSE(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xca)
#define LANES_MAJORITY(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xe8)
#define LANES_ROTATE(x, by) _mm512_rol_epi32(x, by)
#define LANES_LEFT(x, by) _mm512_slli_epi32(x, by)
#define LANES_RIGHT(x, by) _mm512_srli_epi32(x, by)
#define LANES_ALL(x) _mm512_set1_epi32((int)(x))
#define LANES_ONES LANES_ALL(-1)
#define LANES_LOAD(at) _mm512_load_si512((const void *)(at))
#define LANES_STORE(at, x) _mm512_store_si512((void *)(at), x)
#define LANES_SELECT(by, yes, no) _mm512_ternarylogic_epi32(by, yes, no, 0xca)
#define LANES_SAME(x, y) ((unsigned)_mm512_cmpeq_epi32_mask(x, y))
#define LANES_ANY(x) (_mm512_test_epi32_mask(x, x) != 0)
#define LANES_LOW32 _mm512_unpacklo_epi32
#define LANES_HIGH32 _mm512_unpackhi_epi32
#define LANES_LOW64 _mm512_unpacklo_epi64
#define LANES_HIGH64 _mm512_unpackhi_epi64

/* Where the bit of x is not as it must be, only left stays of mask. */
#define LANES_CLEAR(mask, x, differ, bit, left)                                                    \
	_mm512_mask_and_epi32(mask,                                                                \
	                      (differ) ? _mm512_testn_epi32_mask(x, LANES_ALL(bit))                \
	                               : _mm512_test_epi32_mask(x, LANES_ALL(bit)),                \
	                      mask, LANES_ALL(left))

/* 16 bytes of row i and of every fourth row after it. */
LANES_TARGET static inline LANES pick(const uint8_t *const *rows, unsigned i, unsigned at)
{
#define AT(row) _mm_loadu_si128((const __m128i *)(const void *)(rows[row] + at))
	LANES x = _mm512_castsi128_si512(AT(i));

	x = _mm512_mask_broadcast_i32x4(x, 0x00f0, AT(i + 4));
	x = _mm512_mask_broadcast_i32x4(x, 0x0f00, AT(i + 8));
	return _mm512_mask_broadcast_i32x4(x, 0xf000, AT(i + 12));
#undef AT
}

LANES_TARGET static inline LANES swap(LANES x)
{
	return _mm512_shuffle_epi8(
	        x, _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203)));
}

#define LANES_PICK pick
#define LANES_SWAP swap

#include "sha1_recheck_int.h"

#include "sha1_lanes_int.h"

bool ph__sha1_avx512_conditions(const uint8_t *data, size_t blocks, uint32_t *masks)
{
	return lanes_watch(data, blocks, masks);
}

void ph__sha1_avx512_recheck(struct ph__sha1_suspects *suspects)
{
	recheck(suspects);
}

void ph__sha1_avx512_lanes(const struct ph__sha1_path *path, struct ph__sha1_lanes *lanes,
                           size_t blocks)
{
	lanes_hash(path, lanes, blocks);
}

#endif
