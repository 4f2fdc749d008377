/* SPDX-License-Identifier: MIT */
/*
 * The compression function of SHA-1 (FIPS 180-4) with the SHA extensions of x86-64, and what the
 * processor can. Registers hold four words each: A to D in one, and in another what becomes E,
 * which the instructions take from the A of four rounds before. The message schedule is four
 * registers that go round.
 */
#include "sha1_int.h"

#ifdef PH__SHA1_X86

#include <cpuid.h>
#include <immintrin.h>

#define LEAF_1_ECX_SSSE3 (1u << 9)
#define LEAF_1_ECX_SSE41 (1u << 19)
#define LEAF_1_ECX_OSXSAVE (1u << 27)
#define LEAF_7_EBX_AVX2 (1u << 5)
#define LEAF_7_EBX_AVX512F (1u << 16)
#define LEAF_7_EBX_SHA (1u << 29)
#define LEAF_7_EBX_AVX512BW (1u << 30)
/* Registers that the system keeps for every thread: those of SSE and AVX, and of AVX-512. */
#define STATES_AVX 0x06u
#define STATES_AVX512 0xe6u

static unsigned states(void)
{
	unsigned low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low;
}

unsigned ph__sha1_x86_has(void)
{
	unsigned a, b, c, d, features, kept, has = 0;

	if (!__get_cpuid(1, &a, &b, &features, &d) || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return 0;
	if ((features & LEAF_1_ECX_SSSE3) && (features & LEAF_1_ECX_SSE41) && (b & LEAF_7_EBX_SHA))
		has |= PH__SHA1_HAS_SHA;
	kept = features & LEAF_1_ECX_OSXSAVE ? states() : 0;
	if ((b & LEAF_7_EBX_AVX2) && (kept & STATES_AVX) == STATES_AVX)
		has |= PH__SHA1_HAS_AVX2;
	if ((b & LEAF_7_EBX_AVX512F) && (b & LEAF_7_EBX_AVX512BW) &&
	    (kept & STATES_AVX512) == STATES_AVX512)
		has |= PH__SHA1_HAS_AVX512;
	return has;
}

/* Words n * 4 to n * 4 + 3 of the message schedule, for n from 4 on. */
#define SCHEDULE(n)                                                                                \
	w[(n)&3] = _mm_sha1msg2_epu32(                                                             \
	        _mm_xor_si128(_mm_sha1msg1_epu32(w[(n)&3], w[((n) + 1) & 3]), w[((n) + 2) & 3]),   \
	        w[((n) + 3) & 3])

/* Four rounds; f is the number of the round function. */
#define ROUNDS(n, f)                                                                               \
	do {                                                                                       \
		sum = _mm_sha1nexte_epu32(e, w[(n)&3]);                                            \
		e = abcd;                                                                          \
		abcd = _mm_sha1rnds4_epu32(abcd, sum, f);                                          \
	} while (0)

#define STEP(n, f)                                                                                 \
	do {                                                                                       \
		SCHEDULE(n);                                                                       \
		ROUNDS(n, f);                                                                      \
	} while (0)

#define TARGET __attribute__((target("sha,ssse3,sse4.1")))

/* A message at work. */
struct state {
	__m128i abcd, e; /* E is the highest word */
};

TARGET static inline struct state load(const uint32_t state[5])
{
	return (struct state){
	        _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0x1b),
	        _mm_set_epi32((int)state[4], 0, 0, 0)};
}

TARGET static inline void store(uint32_t state[5], struct state from)
{
	_mm_storeu_si128((__m128i *)(void *)state, _mm_shuffle_epi32(from.abcd, 0x1b));
	state[4] = (uint32_t)_mm_extract_epi32(from.e, 3);
}

/* Notes the state before a block. */
TARGET static inline void note(uint32_t before[8], struct state state)
{
	__m128i *to = (__m128i *)(void *)before;

	_mm_storeu_si128(to, _mm_shuffle_epi32(state.abcd, 0x1b));
	_mm_storeu_si128(to + 1, _mm_shuffle_epi32(state.e, 0x1b));
}

TARGET static inline struct state block(struct state state, const uint8_t *data)
{
	const __m128i swap = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
	const __m128i *from = (const __m128i *)(const void *)data;
	__m128i abcd = state.abcd, w[4], e, sum;

	for (unsigned i = 0; i < 4; i++)
		w[i] = _mm_shuffle_epi8(_mm_loadu_si128(from + i), swap);
	/* The first E is given as it is; later ones are rotated on the way. */
	sum = _mm_add_epi32(state.e, w[0]);
	e = abcd;
	abcd = _mm_sha1rnds4_epu32(abcd, sum, 0);
	ROUNDS(1, 0);
	ROUNDS(2, 0);
	ROUNDS(3, 0);
	STEP(4, 0);
	STEP(5, 1);
	STEP(6, 1);
	STEP(7, 1);
	STEP(8, 1);
	STEP(9, 1);
	STEP(10, 2);
	STEP(11, 2);
	STEP(12, 2);
	STEP(13, 2);
	STEP(14, 2);
	STEP(15, 3);
	STEP(16, 3);
	STEP(17, 3);
	STEP(18, 3);
	STEP(19, 3);
	return (struct state){_mm_add_epi32(abcd, state.abcd), _mm_sha1nexte_epu32(e, state.e)};
}

TARGET void ph__sha1_x86_blocks(uint32_t state[5], const uint8_t *data, size_t blocks,
                                uint32_t (*before)[8])
{
	struct state at = load(state);

	for (; blocks > 0; blocks--, data += PH__SHA1_BLOCK_BYTES) {
		if (before)
			note(*before++, at);
		at = block(at, data);
	}
	store(state, at);
}

#ifdef PH__SHA1_WIDE
/* Each waits for itself most of the time: two together take little longer than one. */
TARGET void ph__sha1_x86_pair(uint32_t *const states[2], const uint8_t *const data[2],
                              size_t blocks, uint32_t (*const before[2])[8])
{
	struct state one = load(states[0]), two = load(states[1]);

	for (size_t i = 0; i < blocks; i++) {
		note(before[0][i], one);
		note(before[1][i], two);
		one = block(one, data[0] + PH__SHA1_BLOCK_BYTES * i);
		two = block(two, data[1] + PH__SHA1_BLOCK_BYTES * i);
	}
	store(states[0], one);
	store(states[1], two);
}
#endif

#endif
