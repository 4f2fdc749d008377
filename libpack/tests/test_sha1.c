/* SPDX-License-Identifier: MIT */
/*
 * SHA-1 and its search for collision attacks on every path that this processor has: the same
 * digests as FIPS 180-4 word for word, the same conditions, the same verdicts. With "speed" as
 * argument, how fast each is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../sha1_attack_int.h"
#include "../sha1_int.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef PH_TEST_SHA1DC
/* git's own, to be compared with. */
void ubc_check(const uint32_t w[80], uint32_t mask[1]);
#endif

/* ---- a reference: FIPS 180-4, section 6.1.2 ---- */

static uint32_t rotated(uint32_t value, unsigned by)
{
	return value << by | value >> (32 - by);
}

static void reference_expand(uint32_t w[80], const uint8_t *block)
{
	for (unsigned t = 0; t < 80; t++)
		w[t] = t < 16 ? ph__sha1_word(block + 4 * t)
		              : rotated(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
}

static void reference_block(uint32_t h[5], const uint8_t *block)
{
	static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
	uint32_t w[80], v[5];

	memcpy(v, h, sizeof(v));
	reference_expand(w, block);
	for (unsigned t = 0; t < 80; t++) {
		uint32_t f, sum;

		if (t < 20)
			f = (v[1] & v[2]) | (~v[1] & v[3]);
		else if (t < 40 || t >= 60)
			f = v[1] ^ v[2] ^ v[3];
		else
			f = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
		sum = rotated(v[0], 5) + f + v[4] + constants[t / 20] + w[t];
		v[4] = v[3];
		v[3] = v[2];
		v[2] = rotated(v[1], 30);
		v[1] = v[0];
		v[0] = sum;
	}
	for (unsigned i = 0; i < 5; i++)
		h[i] += v[i];
}

static void reference(uint8_t out[20], const uint8_t *data, size_t len)
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	uint8_t end[128] = {0};
	size_t at, last;

	for (at = 0; len - at >= 64; at += 64)
		reference_block(h, data + at);
	memcpy(end, data + at, len - at);
	end[len - at] = 0x80;
	last = len - at < 56 ? 0 : 64;
	for (unsigned i = 0; i < 8; i++)
		end[last + 56 + i] = (uint8_t)((uint64_t)len * 8 >> (56 - 8 * i));
	for (at = 0; at <= last; at += 64)
		reference_block(h, end + at);
	for (unsigned i = 0; i < 20; i++)
		out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void reference_conditions(uint32_t *mask, const uint8_t *block)
{
	uint32_t w[80];

	reference_expand(w, block);
#ifdef PH_TEST_SHA1DC
	ubc_check(w, mask);
#else
	*mask = UINT32_MAX;
	for (unsigned n = 0; n < PH__SHA1_CONDITIONS; n++) {
		const struct ph__sha1_condition *c = &ph__sha1_conditions[n];

		if (((w[c->a] >> c->i ^ w[c->b] >> c->j) & 1) != c->differ)
			*mask &= ~c->dvs;
	}
#endif
}

/* ---- digests ---- */

static void every_length(void **state)
{
	const struct ph__sha1_path *path;
	uint8_t data[1200], want[20], got[20];
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 2);
	ph_test_rng_fill(&rng, data, sizeof(data));
	for (size_t len = 0; len < sizeof(data); len++) {
		reference(want, data, len);
		for (unsigned p = 0; (path = ph__sha1_path(p)) != NULL; p++) {
			size_t cut = ph_test_rng_below(&rng, (uint32_t)len + 1);
			struct ph__sha1 sha1;

			ph__sha1_init(&sha1, path, p == len % 7);
			ph__sha1_update(&sha1, data, cut);
			ph__sha1_update(&sha1, data + cut, len - cut);
			ph__sha1_final(&sha1, got);
			assert_memory_equal(got, want, sizeof(want));
			assert_false(sha1.attacked);
		}
	}
}

static void expect_items(const struct ph__sha1_path *path, struct ph_hash_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		items[i].attacked = true;
	ph__sha1_items(path, items, count);
	for (size_t i = 0; i < count; i++) {
		struct ph_oid oid;

		ph_hash_object(&oid, PH_HASH_SHA1, items[i].type, items[i].data, items[i].size);
		assert_true(ph_oid_equal(&oid, &items[i].oid));
		assert_false(items[i].attacked);
	}
}

/* Any number, of any sizes, among them all sizes near the ends of blocks, and none. */
static void items(void **state)
{
	static uint8_t data[40000];
	static struct ph_hash_item many[600];
	const struct ph__sha1_path *path;
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 3);
	ph_test_rng_fill(&rng, data, sizeof(data));
	for (size_t count = 0; count <= 600; count += count < 40 ? 1 : 93) {
		for (size_t i = 0; i < count; i++) {
			uint32_t max = i % 16 == 5 ? 30000 : i % 4 == 0 ? 3000 : 200;

			many[i].size = count > 500 ? i : ph_test_rng_below(&rng, max);
			many[i].data = data + ph_test_rng_below(&rng, 9000);
			many[i].type = (enum ph_object_type)(1 + ph_test_rng_below(&rng, 4));
			if (i % 9 == 8)
				many[i] = (struct ph_hash_item){.type = PH_OBJ_BLOB};
		}
		for (unsigned p = 0; (path = ph__sha1_path(p)) != NULL; p++)
			expect_items(path, many, count);
	}
}

/* ---- vectors and conditions ---- */

/* The words of a vector by its definition, from the 16 that it is named after. */
static uint32_t vector_word(const struct ph__sha1_vector *vector, int at)
{
	uint32_t words[160] = {0}; /* from -64 */
	int k = vector->k + 64;

	words[k + 15] = 1;
	if (vector->type == 2)
		words[k + 1] = words[k + 3] = 1u << 31;
	for (int t = k - 1; t >= 0; t--)
		words[t] = rotated(words[t + 16], 31) ^ words[t + 13] ^ words[t + 8] ^ words[t + 2];
	for (int t = k + 16; t < 160; t++)
		words[t] = rotated(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16], 1);
	return vector->b == 0 ? words[at + 64] : rotated(words[at + 64], vector->b);
}

static uint32_t difference(const struct ph__sha1_vector *vector, int t)
{
	return vector_word(vector, t) ^ rotated(vector_word(vector, t - 1), 5) ^
	       vector_word(vector, t - 2) ^ rotated(vector_word(vector, t - 3), 30) ^
	       rotated(vector_word(vector, t - 4), 30) ^ rotated(vector_word(vector, t - 5), 30);
}

static void vectors_are_as_defined(void **state)
{
	(void)state;
	for (unsigned dv = 0; dv < PH__SHA1_VECTORS; dv++) {
		const struct ph__sha1_vector *vector = &ph__sha1_vectors[dv];
		int same = ph__sha1_vector_is_late(vector) ? (int)PH__SHA1_STEP_LATE
		                                           : (int)PH__SHA1_STEP_EARLY;

		for (unsigned t = 0; t < 16; t++)
			assert_int_equal(ph__sha1_difference(vector, t),
			                 difference(vector, (int)t));
		/* A local collision takes six steps, so all that began have ended. */
		for (int t = same - 5; t < same; t++)
			assert_int_equal(vector_word(vector, t), 0);
	}
}

/*
 * A condition follows from local collisions of the vector's at steps near its words. So the same is
 * one of the vector whose k is one more, at words one later, unless these are past the last round's
 * first steps or before the first that are looked at.
 */
static void conditions_move_with_vectors(void **state)
{
	unsigned moved = 0;

	(void)state;
	for (unsigned n = 0; n < PH__SHA1_CONDITIONS; n++) {
		const struct ph__sha1_condition *c = &ph__sha1_conditions[n];

		assert_true(c->a <= c->b && c->b - c->a <= 8 && c->a >= 35 && c->b <= 64);
		for (unsigned other = 0; other < PH__SHA1_CONDITIONS; other++) {
			const struct ph__sha1_condition *o = &ph__sha1_conditions[other];

			if (o->a == c->a + 1 && o->b == c->b + 1 && o->i == c->i && o->j == c->j &&
			    o->differ == c->differ) {
				moved++;
				break;
			}
		}
	}
	assert_true(moved > 100);
}

/* A bit of the schedule as the sum of bits of the block: 512, and a constant. */
struct sum {
	uint64_t bits[8];
	bool one;
};

static struct sum schedule[65][32];

static void add(struct sum *to, const struct sum *from)
{
	for (unsigned i = 0; i < 8; i++)
		to->bits[i] ^= from->bits[i];
	to->one ^= from->one;
}

static void make_schedule(void)
{
	memset(schedule, 0, sizeof(schedule));
	for (unsigned t = 0; t < 65; t++) {
		for (unsigned bit = 0; bit < 32; bit++) {
			static const unsigned back[4] = {3, 8, 14, 16};
			unsigned number = 32 * t + bit;

			if (t < 16)
				schedule[t][bit].bits[number / 64] = UINT64_C(1) << number % 64;
			for (unsigned i = 0; t >= 16 && i < 4; i++)
				add(&schedule[t][bit], &schedule[t - back[i]][(bit + 31) % 32]);
		}
	}
}

static unsigned leading(const struct sum *sum)
{
	unsigned bit = 0;

	while (bit < 512 && !(sum->bits[bit / 64] >> bit % 64 & 1))
		bit++;
	return bit;
}

/* A random block for which some conditions of a vector hold, and at least so many do. */
static void make_block(struct ph_test_rng *rng, uint8_t block[64], unsigned dv, unsigned of_ten)
{
	struct sum rows[PH__SHA1_CONDITIONS];
	unsigned used = 0;
	uint32_t words[16];

	for (unsigned n = 0; n < PH__SHA1_CONDITIONS; n++) {
		const struct ph__sha1_condition *c = &ph__sha1_conditions[n];
		struct sum *row = &rows[used];

		if (!(c->dvs >> dv & 1) || ph_test_rng_below(rng, 10) >= of_ten)
			continue;
		*row = schedule[c->a][c->i];
		add(row, &schedule[c->b][c->j]);
		row->one ^= c->differ;
		for (unsigned i = 0; i < used; i++) {
			unsigned lead = leading(&rows[i]);

			if (row->bits[lead / 64] >> lead % 64 & 1)
				add(row, &rows[i]);
		}
		used += leading(row) < 512;
	}
	ph_test_rng_fill(rng, words, sizeof(words));
	/* Later rows lack the leading bits of earlier ones, so these are set last. */
	for (unsigned i = used; i-- > 0;) {
		unsigned lead = leading(&rows[i]);
		bool sum = rows[i].one;

		for (unsigned bit = 0; bit < 512; bit++)
			sum ^= (rows[i].bits[bit / 64] >> bit % 64 & 1) &
			       (words[bit / 32] >> bit % 32 & 1);
		if (sum)
			words[lead / 32] ^= 1u << lead % 32;
	}
	for (unsigned i = 0; i < 64; i++)
		block[i] = (uint8_t)(words[i / 4] >> (24 - 8 * (i % 4)));
}

static unsigned block_count(void)
{
	const char *count = getenv("PH_TEST_SHA1_BLOCKS");

	return count ? (unsigned)strtoul(count, NULL, 10) : 8000;
}

static void expect_conditions(const uint8_t *data, size_t blocks, const uint32_t *want)
{
	const struct ph__sha1_path *path;
	uint32_t masks[16];

	for (unsigned p = 0; (path = ph__sha1_path(p)) != NULL; p++) {
		uint32_t any = 0;

		for (size_t i = 0; i < blocks; i++)
			any |= want[i];
		memset(masks, 0x5a, sizeof(masks));
		assert_int_equal(path->conditions(data, blocks, masks), any != 0);
		assert_memory_equal(masks, want, blocks * sizeof(masks[0]));
	}
}

/* Random blocks, and such that all, nearly all or some conditions of a vector hold for. */
static void conditions_are_the_same(void **state)
{
	static uint8_t data[16 * 64];
	uint32_t want[16], seen = 0;
	struct ph_test_rng rng;

	(void)state;
	make_schedule();
	ph_test_rng_init(&rng, 5);
	for (unsigned round = 0; round < block_count() / 16; round++) {
		size_t blocks = 1 + round % 16;

		ph_test_rng_fill(&rng, data, sizeof(data));
		for (unsigned i = 0; i < blocks; i++) {
			unsigned dv = ph_test_rng_below(&rng, 32);
			unsigned of_ten = 4 + ph_test_rng_below(&rng, 7);

			if (round % 2)
				make_block(&rng, data + 64 * i, dv, of_ten);
			reference_conditions(&want[i], data + 64 * i);
			if (round % 2 && of_ten == 10) {
				assert_true(want[i] >> dv & 1);
				seen |= 1u << dv;
			}
		}
		expect_conditions(data, blocks, want);
	}
	assert_int_equal(seen, UINT32_MAX);
}

/* ---- suspects ---- */

/* Another block that is the same one reaches the same state; one that differs does not. */
static void rechecks_are_the_same(void **state)
{
	struct ph__sha1_suspects suspects;
	const struct ph__sha1_path *path;
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 6);
	for (unsigned round = 0; round < 64; round++) {
		unsigned count = 1 + round % 16;

		for (unsigned p = 0; (path = ph__sha1_path(p)) != NULL; p++) {
			bool attacked[16] = {false}, same[16];

			for (unsigned i = 0; i < count; i++) {
				uint8_t block[64];
				uint32_t start[5];

				ph_test_rng_fill(&rng, block, sizeof(block));
				ph_test_rng_fill(&rng, start, sizeof(start));
				suspects.count = i;
				/* One vector a block, and not the sixteenth, which would recheck.
				 */
				for (unsigned word = 0; word < 16; word++) {
					suspects.block[word][i] = ph__sha1_word(block + 4 * word);
					suspects.other[word][i] = suspects.block[word][i];
				}
				for (unsigned word = 0; word < 5; word++)
					suspects.state[word][i] = start[word];
				suspects.late[i] = ph_test_rng_below(&rng, 2) ? UINT32_MAX : 0;
				suspects.attacked[i] = &attacked[i];
				same[i] = ph_test_rng_below(&rng, 2);
				if (!same[i])
					suspects.other[ph_test_rng_below(&rng, 16)][i] ^=
					        1u << ph_test_rng_below(&rng, 32);
			}
			suspects.count = count;
			path->recheck(&suspects);
			assert_int_equal(suspects.count, 0);
			for (unsigned i = 0; i < count; i++)
				assert_int_equal(attacked[i], same[i]);
		}
	}
}

/*
 * The collision of Stevens, Bursztein, Karpman, Albertini and Markov (2017): what its two files
 * have in common, a PDF's beginning, and the two blocks after it of one of them.
 */
static const char shattered_prefix[] =
        "%PDF-1.3\n%\xe2\xe3\xcf\xd3\n\n\n1 0 obj\n<</Width 2 0 R/Height 3 0 R/Type 4 0 R"
        "/Subtype 5 0 R/Filter 6 0 R/ColorSpace 7 0 R/Length 8 0 R/BitsPerComponent 8>>\nstream\n"
        "\xff\xd8\xff\xfe\x00$SHA-1 is dead!!!!!\x85/\xec\t#9u\x9c"
        "9\xb1\xa1\xc6<L\x97\xe1\xff\xfe\x01";
static const uint8_t shattered_blocks[128] = {
        0x73, 0x46, 0xdc, 0x91, 0x66, 0xb6, 0x7e, 0x11, 0x8f, 0x02, 0x9a, 0xb6, 0x21, 0xb2, 0x56,
        0x0f, 0xf9, 0xca, 0x67, 0xcc, 0xa8, 0xc7, 0xf8, 0x5b, 0xa8, 0x4c, 0x79, 0x03, 0x0c, 0x2b,
        0x3d, 0xe2, 0x18, 0xf8, 0x6d, 0xb3, 0xa9, 0x09, 0x01, 0xd5, 0xdf, 0x45, 0xc1, 0x4f, 0x26,
        0xfe, 0xdf, 0xb3, 0xdc, 0x38, 0xe9, 0x6a, 0xc2, 0x2f, 0xe7, 0xbd, 0x72, 0x8f, 0x0e, 0x45,
        0xbc, 0xe0, 0x46, 0xd2, 0x3c, 0x57, 0x0f, 0xeb, 0x14, 0x13, 0x98, 0xbb, 0x55, 0x2e, 0xf5,
        0xa0, 0xa8, 0x2b, 0xe3, 0x31, 0xfe, 0xa4, 0x80, 0x37, 0xb8, 0xb5, 0xd7, 0x1f, 0x0e, 0x33,
        0x2e, 0xdf, 0x93, 0xac, 0x35, 0x00, 0xeb, 0x4d, 0xdc, 0x0d, 0xec, 0xc1, 0xa8, 0x64, 0x79,
        0x0c, 0x78, 0x2c, 0x76, 0x21, 0x56, 0x60, 0xdd, 0x30, 0x97, 0x91, 0xd0, 0x6b, 0xd0, 0xaf,
        0x3f, 0x98, 0xcd, 0xa4, 0xbc, 0x46, 0x29, 0xb1,
};
#define SHATTERED_BYTES 320u

/* The other file's: the first block differs as the vector II(52, 0) says, so does the second. */
static void make_shattered(uint8_t data[SHATTERED_BYTES], bool other)
{
	static const struct ph__sha1_vector vector = {2, 52, 0};

	memcpy(data, shattered_prefix, 192);
	memcpy(data + 192, shattered_blocks, 128);
	for (unsigned i = 0; other && i < 128; i++)
		data[192 + i] ^=
		        (uint8_t)(ph__sha1_difference(&vector, i / 4 % 16) >> (24 - 8 * (i % 4)));
}

/* The stream's verdict, and that of lanes among messages that are as they should be. */
static bool verdict(const struct ph__sha1_path *path, const uint8_t *data, size_t len,
                    uint8_t out[20])
{
	struct ph__sha1 sha1;

	ph__sha1_init(&sha1, path, false);
	ph__sha1_update(&sha1, data, len);
	ph__sha1_final(&sha1, out);
	return sha1.attacked;
}

static void published_collision(void **state)
{
	static const uint8_t id[20] = {0xf9, 0x2d, 0x74, 0xe3, 0x87, 0x45, 0x87, 0xaa, 0xf4, 0x43,
	                               0xd1, 0xdb, 0x96, 0x1d, 0x4e, 0x26, 0xdd, 0xe1, 0x3e, 0x9c};
	const struct ph__sha1_path *path;
	uint8_t data[2][SHATTERED_BYTES], got[20];
	struct ph_hash hash;
	struct ph_oid oid;

	(void)state;
	make_shattered(data[0], false);
	make_shattered(data[1], true);
	assert_memory_not_equal(data[0], data[1], SHATTERED_BYTES);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned p = 0; (path = ph__sha1_path(p)) != NULL; p++) {
			struct ph__sha1 plain;

			assert_true(verdict(path, data[i], SHATTERED_BYTES, got));
			assert_memory_equal(got, id, sizeof(id));
			/* The prefix is innocent. */
			assert_false(verdict(path, data[i], 192, got));
			ph__sha1_init(&plain, path, true);
			ph__sha1_update(&plain, data[i], SHATTERED_BYTES);
			ph__sha1_final(&plain, got);
			assert_false(plain.attacked);
			assert_memory_equal(got, id, sizeof(id));
		}
		ph_hash_init(&hash, PH_HASH_SHA1);
		ph_hash_update(&hash, data[i], 200);
		ph_hash_update(&hash, data[i] + 200, SHATTERED_BYTES - 200);
		ph_hash_final(&hash, &oid);
		assert_true(ph_hash_attacked(&hash));
		assert_memory_equal(oid.bytes, id, sizeof(id));
		ph_hash_init(&hash, PH_HASH_SHA1);
		ph_hash_final(&hash, &oid);
		assert_false(ph_hash_attacked(&hash));
		/* A blob's header gives the blocks another state to begin with: no collision. */
		ph_hash_init_object(&hash, PH_HASH_SHA1, PH_OBJ_BLOB, SHATTERED_BYTES);
		ph_hash_update(&hash, data[i], SHATTERED_BYTES);
		ph_hash_final(&hash, &oid);
		assert_false(ph_hash_attacked(&hash));
	}
}

/* Any bit that is not the attack's ends it, on all paths. */
static void one_bit_ends_it(void **state)
{
	const struct ph__sha1_path *path;
	uint8_t data[SHATTERED_BYTES], got[20];

	(void)state;
	make_shattered(data, false);
	for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		for (unsigned p = 0; (path = ph__sha1_path(p)) != NULL; p++)
			assert_false(verdict(path, data, sizeof(data), got));
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

/* In any lane, beside others; and lanes that are not in earnest say nothing. */
static void lanes_detect_it(void **state)
{
	static uint8_t data[16][SHATTERED_BYTES];
	const struct ph__sha1_path *path;
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 7);
	for (unsigned where = 0; where < 16; where++) {
		ph_test_rng_fill(&rng, data, sizeof(data));
		make_shattered(data[where], where % 2);
		for (unsigned p = 0; (path = ph__sha1_path(p)) != NULL; p++) {
			struct ph__sha1_suspects suspects = {.count = 0};
			struct ph__sha1_lanes lanes = {.suspects = &suspects};
			bool attacked[16] = {false};
			unsigned idle = where < 8 ? 0 : 3;

			if (where >= path->width)
				continue;
			for (unsigned i = 0; i < path->width; i++) {
				for (unsigned word = 0; word < 5; word++)
					lanes.state[word][i] = ph__sha1_start[word];
				lanes.rows[i] = data[i];
				lanes.attacked[i] = i == idle ? NULL : &attacked[i];
			}
			path->lanes(path, &lanes, 2);
			path->lanes(path, &lanes, SHATTERED_BYTES / 64 - 2);
			if (suspects.count > 0)
				path->recheck(&suspects);
			for (unsigned i = 0; i < path->width; i++) {
				uint32_t want[5];

				memcpy(want, ph__sha1_start, sizeof(want));
				for (size_t at = 0; at < SHATTERED_BYTES; at += 64)
					reference_block(want, data[i] + at);
				for (unsigned word = 0; word < 5; word++)
					assert_int_equal(lanes.state[word][i], want[word]);
				assert_int_equal(attacked[i], i == where && i != idle);
				assert_ptr_equal(lanes.rows[i], data[i] + SHATTERED_BYTES);
			}
		}
	}
}

/* The same for two side by side, in either, and beside another attack; in pieces, as they come. */
static void pairs_detect_it(void **state)
{
	static uint8_t data[2][SHATTERED_BYTES];
	const struct ph__sha1_path *path;
	struct ph_test_rng rng;

	(void)state;
	ph_test_rng_init(&rng, 9);
	for (unsigned which = 0; which < 4; which++) {
		ph_test_rng_fill(&rng, data, sizeof(data));
		for (unsigned i = 0; i < 2; i++) {
			if (which >> i & 1)
				make_shattered(data[i], i != 0);
		}
		for (unsigned p = 0; (path = ph__sha1_path(p)) != NULL; p++) {
			struct ph__sha1_suspects suspects = {.count = 0};
			uint32_t at[2][5], want[2][5];
			uint32_t *const states[2] = {at[0], at[1]};
			const uint8_t *const first[2] = {data[0], data[1]};
			const uint8_t *const rest[2] = {data[0] + 64, data[1] + 64};
			bool attacked[2] = {false, false};
			bool *const told[2] = {&attacked[0], &attacked[1]};

			if (!path->pair)
				continue;
			for (unsigned i = 0; i < 2; i++) {
				memcpy(at[i], ph__sha1_start, sizeof(at[i]));
				memcpy(want[i], ph__sha1_start, sizeof(want[i]));
				for (size_t b = 0; b < SHATTERED_BYTES; b += 64)
					reference_block(want[i], data[i] + b);
			}
			ph__sha1_watch_pair(path, &suspects, states, first, 1, told);
			ph__sha1_watch_pair(path, &suspects, states, rest, SHATTERED_BYTES / 64 - 1,
			                    told);
			if (suspects.count > 0)
				path->recheck(&suspects);
			assert_memory_equal(at, want, sizeof(at));
			assert_int_equal(attacked[0], which & 1);
			assert_int_equal(attacked[1], which >> 1);
		}
	}
}

/* ---- speed ---- */

/* Megabytes a second of one stream, or of 64 objects at a time of about a size. */
static double rate(const struct ph__sha1_path *path, const uint8_t *data, size_t bytes, size_t size,
                   bool plain)
{
	clock_t start = clock();
	struct ph_hash_item some[64];
	struct ph__sha1 sha1;
	uint8_t out[20];
	size_t at = 0;

	if (size == 0) {
		ph__sha1_init(&sha1, path, plain);
		ph__sha1_update(&sha1, data, bytes);
		ph__sha1_final(&sha1, out);
		at = bytes;
	}
	while (size > 0 && at + 64 * size <= bytes) {
		for (size_t i = 0; i < 64; i++) {
			some[i].type = PH_OBJ_BLOB;
			some[i].data = data + at;
			some[i].size = size - i * size / 128;
			at += some[i].size;
		}
		ph__sha1_items(path, some, 64);
	}
	return (double)at / 1e6 / ((double)(clock() - start) / CLOCKS_PER_SEC);
}

static int print_speed(void)
{
	const struct ph__sha1_path *path;
	size_t bytes = 64 << 20;
	uint8_t *data = malloc(bytes);
	struct ph_test_rng rng;

	if (!data)
		return 1;
	ph_test_rng_init(&rng, 1);
	ph_test_rng_fill(&rng, data, bytes);
	printf("MB/s of one core      plain  stream  objects of 500 bytes  15 KB  200 KB\n");
	for (unsigned p = 0; (path = ph__sha1_path(p)) != NULL; p++)
		printf("%-18s %8.0f%8.0f%22.0f%7.0f%8.0f\n", path->name,
		       rate(path, data, bytes, 0, true), rate(path, data, bytes, 0, false),
		       rate(path, data, bytes, 500, false), rate(path, data, bytes, 15000, false),
		       rate(path, data, bytes, 200000, false));
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_length),
	        cmocka_unit_test(items),
	        cmocka_unit_test(vectors_are_as_defined),
	        cmocka_unit_test(conditions_move_with_vectors),
	        cmocka_unit_test(conditions_are_the_same),
	        cmocka_unit_test(rechecks_are_the_same),
	        cmocka_unit_test(published_collision),
	        cmocka_unit_test(one_bit_ends_it),
	        cmocka_unit_test(lanes_detect_it),
	        cmocka_unit_test(pairs_detect_it),
	};

	if (argc > 1 && strcmp(argv[1], "speed") == 0)
		return print_speed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
