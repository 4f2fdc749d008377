/* SPDX-License-Identifier: MIT */
/*
 * The compression function of SHA-1 (FIPS 180-4) with the SHA extensions of x86-64. Registers hold
 * four words each: A to D in one, and in another what becomes E, which the instructions take from
 * the A of four rounds before. The message schedule is four registers that go round.
 */
#include "sha1_int.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define LEAF_7_EBX_SHA (1u << 29)
#define LEAF_1_ECX_SSSE3 (1u << 9)
#define LEAF_1_ECX_SSE41 (1u << 19)

enum { UNKNOWN, NO, YES };

static int ask(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & LEAF_1_ECX_SSSE3) || !(c & LEAF_1_ECX_SSE41))
		return NO;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & LEAF_7_EBX_SHA) ? YES : NO;
}

/* Asking costs a virtual machine an exit, and every object asks; the answer is always the same. */
bool ph__sha1_usable(void)
{
	static atomic_int known;
	int answer = atomic_load_explicit(&known, memory_order_relaxed);

	if (answer == UNKNOWN) {
		answer = ask();
		atomic_store_explicit(&known, answer, memory_order_relaxed);
	}
	return answer == YES;
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

__attribute__((target("sha,ssse3,sse4.1"))) void ph__sha1_blocks(uint32_t state[5],
                                                                 const uint8_t *data, size_t blocks)
{
	const __m128i swap = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
	__m128i abcd =
	        _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0x1b);
	__m128i e_in = _mm_set_epi32((int)state[4], 0, 0, 0);

	for (; blocks > 0; blocks--, data += PH__SHA1_BLOCK_BYTES) {
		const __m128i *from = (const __m128i *)(const void *)data;
		const __m128i abcd_in = abcd;
		__m128i w[4], e, sum;

		for (unsigned i = 0; i < 4; i++)
			w[i] = _mm_shuffle_epi8(_mm_loadu_si128(from + i), swap);
		/* The first E is given as it is; later ones are rotated on the way. */
		sum = _mm_add_epi32(e_in, w[0]);
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
		e_in = _mm_sha1nexte_epu32(e, e_in);
		abcd = _mm_add_epi32(abcd, abcd_in);
	}
	_mm_storeu_si128((__m128i *)(void *)state, _mm_shuffle_epi32(abcd, 0x1b));
	state[4] = (uint32_t)_mm_extract_epi32(e_in, 3);
}

#else

bool ph__sha1_usable(void)
{
	return false;
}

void ph__sha1_blocks(uint32_t state[5], const uint8_t *data, size_t blocks)
{
	(void)state;
	(void)data;
	(void)blocks;
}

#endif
