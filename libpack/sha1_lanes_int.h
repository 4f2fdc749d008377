/* SPDX-License-Identifier: MIT */
/*
 * SHA-1 and the conditions of attacks by vectors, one block a lane: the text of it for lanes of any
 * width. Who includes it defines what sha1_recheck_int.h needs, and LANES_PICK, LANES_SWAP,
 * LANES_LOW32, LANES_HIGH32, LANES_LOW64, LANES_HIGH64, LANES_LEFT, LANES_RIGHT, LANES_ONES,
 * LANES_CLEAR, LANES_STORE and LANES_ANY. The schedule is a window of sixteen words, and a
 * condition is tried as soon as its later word is there, where it fills gaps between rounds.
 */

/*
 * A condition's bit, and the vectors that are left where it does not hold. Compilers would make
 * constants in general registers and move them over, which costs more than to load them; so they
 * are not to know that these are constants.
 */
struct lanes_constants {
	uint32_t round[4];
	uint32_t bit[PH__SHA1_CONDITIONS];
	uint32_t left[PH__SHA1_CONDITIONS];
};

#define LANES_BIT(n, a, i, b, j, differ, dvs) [n] = 1u << (j),
#define LANES_LEFT_OVER(n, a, i, b, j, differ, dvs) [n] = ~(uint32_t)dvs,

static const struct lanes_constants lanes_constants = {
        {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6},
        {PH__SHA1_CONDITIONS_ALL(LANES_BIT)},
        {PH__SHA1_CONDITIONS_ALL(LANES_LEFT_OVER)},
};

static inline const struct lanes_constants *lanes_hidden(void)
{
	const struct lanes_constants *constants = &lanes_constants;

	__asm__("" : "+r"(constants));
	return constants;
}

/* Words 4q to 4q + 3 of each row's block. Registers are four by four words, turned each. */
LANES_TARGET static inline void lanes_load(LANES w[16], const uint8_t *const *rows, unsigned q)
{
	LANES x0 = LANES_PICK(rows, 0, 16 * q), x1 = LANES_PICK(rows, 1, 16 * q);
	LANES x2 = LANES_PICK(rows, 2, 16 * q), x3 = LANES_PICK(rows, 3, 16 * q);
	LANES low01 = LANES_LOW32(x0, x1), low23 = LANES_LOW32(x2, x3);
	LANES high01 = LANES_HIGH32(x0, x1), high23 = LANES_HIGH32(x2, x3);

	w[4 * q] = LANES_SWAP(LANES_LOW64(low01, low23));
	w[4 * q + 1] = LANES_SWAP(LANES_HIGH64(low01, low23));
	w[4 * q + 2] = LANES_SWAP(LANES_LOW64(high01, high23));
	w[4 * q + 3] = LANES_SWAP(LANES_HIGH64(high01, high23));
}

#define LANES_EXPAND(t)                                                                            \
	w[(t)&15] = LANES_ROTATE(                                                                  \
	        LANES_XOR(LANES_XOR3(w[((t)-3) & 15], w[((t)-8) & 15], w[((t)-14) & 15]),          \
	                  w[(t)&15]),                                                              \
	        1);

#define LANES_CONDITION(n, a, i, b, j, differ, dvs)                                                \
	mask = LANES_CLEAR(mask,                                                                   \
	                   LANES_XOR((i) == (j)  ? w[(a)&15]                                       \
	                             : (i) > (j) ? LANES_RIGHT(w[(a)&15], ((i) - (j)) & 31)        \
	                                         : LANES_LEFT(w[(a)&15], ((j) - (i)) & 31),        \
	                             w[(b)&15]),                                                   \
	                   differ, constants->bit[n], constants->left[n]);

#define LANES_ROUND(t, f)                                                                          \
	{                                                                                          \
		LANES sum = LANES_ADD(LANES_ADD(e, LANES_ALL(constants->round[(t) / 20])),         \
		                      LANES_ADD(w[(t)&15], f(b, c, d)));                           \
                                                                                                   \
		e = d;                                                                             \
		d = c;                                                                             \
		c = LANES_ROTATE(b, 30);                                                           \
		b = a;                                                                             \
		a = LANES_ADD(sum, LANES_ROTATE(a, 5));                                            \
	}

/* clang-format off */
#define LANES_FIVE(step, t, f) \
	step((t), f) step((t) + 1, f) step((t) + 2, f) step((t) + 3, f) step((t) + 4, f)
#define LANES_NEXT(t, f) LANES_EXPAND(t) LANES_ROUND(t, f)
#define LANES_TRY(t) LANES_EXPAND(t) PH__SHA1_CONDITIONS_##t(LANES_CONDITION)
#define LANES_NEXT_TRY(t, f) LANES_TRY(t) LANES_ROUND(t, f)
#define LANES_FIVE_EXPANDED(t) \
	LANES_EXPAND(t) LANES_EXPAND((t) + 1) LANES_EXPAND((t) + 2) \
	LANES_EXPAND((t) + 3) LANES_EXPAND((t) + 4)

/* The conditions alone, for blocks in w. */
LANES_TARGET static inline LANES lanes_conditions(LANES w[16],
                                                  const struct lanes_constants *constants)
{
	LANES mask = LANES_ONES;

	LANES_FIVE_EXPANDED(16) LANES_FIVE_EXPANDED(21)
	LANES_FIVE_EXPANDED(26) LANES_FIVE_EXPANDED(31)
	LANES_TRY(36) LANES_TRY(37) LANES_TRY(38) LANES_TRY(39) LANES_TRY(40)
	LANES_TRY(41) LANES_TRY(42) LANES_TRY(43) LANES_TRY(44) LANES_TRY(45)
	LANES_TRY(46) LANES_TRY(47) LANES_TRY(48) LANES_TRY(49) LANES_TRY(50)
	LANES_TRY(51) LANES_TRY(52) LANES_TRY(53) LANES_TRY(54) LANES_TRY(55)
	LANES_TRY(56) LANES_TRY(57) LANES_TRY(58) LANES_TRY(59) LANES_TRY(60)
	LANES_TRY(61) LANES_TRY(62) LANES_TRY(63) LANES_TRY(64)
	return mask;
}

/* The 80 rounds with the conditions between them. */
LANES_TARGET static inline LANES lanes_rounds(LANES s[5], LANES w[16],
                                              const struct lanes_constants *constants)
{
	LANES a = s[0], b = s[1], c = s[2], d = s[3], e = s[4];
	LANES mask = LANES_ONES;

	LANES_FIVE(LANES_ROUND, 0, LANES_CHOOSE) LANES_FIVE(LANES_ROUND, 5, LANES_CHOOSE)
	LANES_FIVE(LANES_ROUND, 10, LANES_CHOOSE) LANES_ROUND(15, LANES_CHOOSE)
	LANES_NEXT(16, LANES_CHOOSE) LANES_NEXT(17, LANES_CHOOSE)
	LANES_NEXT(18, LANES_CHOOSE) LANES_NEXT(19, LANES_CHOOSE)
	LANES_FIVE(LANES_NEXT, 20, LANES_XOR3) LANES_FIVE(LANES_NEXT, 25, LANES_XOR3)
	LANES_FIVE(LANES_NEXT, 30, LANES_XOR3) LANES_NEXT(35, LANES_XOR3)
	LANES_NEXT_TRY(36, LANES_XOR3) LANES_NEXT_TRY(37, LANES_XOR3)
	LANES_NEXT_TRY(38, LANES_XOR3) LANES_NEXT_TRY(39, LANES_XOR3)
	LANES_NEXT_TRY(40, LANES_MAJORITY) LANES_NEXT_TRY(41, LANES_MAJORITY)
	LANES_NEXT_TRY(42, LANES_MAJORITY) LANES_NEXT_TRY(43, LANES_MAJORITY)
	LANES_NEXT_TRY(44, LANES_MAJORITY) LANES_NEXT_TRY(45, LANES_MAJORITY)
	LANES_NEXT_TRY(46, LANES_MAJORITY) LANES_NEXT_TRY(47, LANES_MAJORITY)
	LANES_NEXT_TRY(48, LANES_MAJORITY) LANES_NEXT_TRY(49, LANES_MAJORITY)
	LANES_NEXT_TRY(50, LANES_MAJORITY) LANES_NEXT_TRY(51, LANES_MAJORITY)
	LANES_NEXT_TRY(52, LANES_MAJORITY) LANES_NEXT_TRY(53, LANES_MAJORITY)
	LANES_NEXT_TRY(54, LANES_MAJORITY) LANES_NEXT_TRY(55, LANES_MAJORITY)
	LANES_NEXT_TRY(56, LANES_MAJORITY) LANES_NEXT_TRY(57, LANES_MAJORITY)
	LANES_NEXT_TRY(58, LANES_MAJORITY) LANES_NEXT_TRY(59, LANES_MAJORITY)
	LANES_NEXT_TRY(60, LANES_XOR3) LANES_NEXT_TRY(61, LANES_XOR3)
	LANES_NEXT_TRY(62, LANES_XOR3) LANES_NEXT_TRY(63, LANES_XOR3) LANES_NEXT_TRY(64, LANES_XOR3)
	LANES_FIVE(LANES_NEXT, 65, LANES_XOR3) LANES_FIVE(LANES_NEXT, 70, LANES_XOR3)
	LANES_FIVE(LANES_NEXT, 75, LANES_XOR3)
	s[0] = LANES_ADD(s[0], a);
	s[1] = LANES_ADD(s[1], b);
	s[2] = LANES_ADD(s[2], c);
	s[3] = LANES_ADD(s[3], d);
	s[4] = LANES_ADD(s[4], e);
	return mask;
}
/* clang-format on */

/* Up to LANES_COUNT blocks in a row; lanes without one repeat the first. */
LANES_TARGET static bool lanes_some(const uint8_t *data, size_t blocks, uint32_t *masks)
{
	_Alignas(64) uint32_t all[LANES_COUNT];
	const uint8_t *rows[LANES_COUNT];
	LANES w[16], mask;

	for (size_t i = 0; i < LANES_COUNT; i++)
		rows[i] = data + (i < blocks ? PH__SHA1_BLOCK_BYTES * i : 0);
	for (unsigned q = 0; q < 4; q++)
		lanes_load(w, rows, q);
	mask = lanes_conditions(w, lanes_hidden());
	LANES_STORE(all, mask);
	memcpy(masks, all, blocks * sizeof(masks[0]));
	return LANES_ANY(mask);
}

LANES_TARGET static bool lanes_watch(const uint8_t *data, size_t blocks, uint32_t *masks)
{
	bool any = false;

	while (blocks > 0) {
		size_t some = blocks < LANES_COUNT ? blocks : LANES_COUNT;

		if (lanes_some(data, some, masks))
			any = true;
		data += PH__SHA1_BLOCK_BYTES * some;
		masks += some;
		blocks -= some;
	}
	return any;
}

/* Takes the blocks of rows for which a vector's conditions hold, with the states before them. */
LANES_TARGET static __attribute__((noinline)) void lanes_suspect(const struct ph__sha1_path *path,
                                                                 struct ph__sha1_lanes *lanes,
                                                                 const LANES before[5],
                                                                 const uint32_t *masks)
{
	_Alignas(64) uint32_t states[5][LANES_COUNT];

	for (unsigned i = 0; i < 5; i++)
		LANES_STORE(states[i], before[i]);
	for (unsigned lane = 0; lane < LANES_COUNT; lane++) {
		uint32_t state[5];

		if (masks[lane] == 0 || !lanes->attacked[lane])
			continue;
		for (unsigned i = 0; i < 5; i++)
			state[i] = states[i][lane];
		ph__sha1_suspect(path, lanes->suspects, lanes->rows[lane], state, masks[lane],
		                 lanes->attacked[lane]);
	}
}

LANES_TARGET static void lanes_hash(const struct ph__sha1_path *path, struct ph__sha1_lanes *lanes,
                                    size_t blocks)
{
	const struct lanes_constants *constants = lanes_hidden();
	LANES s[5];

	for (unsigned i = 0; i < 5; i++)
		s[i] = LANES_LOAD(lanes->state[i]);
	for (; blocks > 0; blocks--) {
		LANES before[5], w[16], mask;

		for (unsigned i = 0; i < 5; i++)
			before[i] = s[i];
		for (unsigned q = 0; q < 4; q++)
			lanes_load(w, lanes->rows, q);
		mask = lanes_rounds(s, w, constants);
		if (LANES_ANY(mask)) {
			_Alignas(64) uint32_t masks[LANES_COUNT];

			LANES_STORE(masks, mask);
			lanes_suspect(path, lanes, before, masks);
		}
		for (unsigned i = 0; i < LANES_COUNT; i++)
			lanes->rows[i] += PH__SHA1_BLOCK_BYTES;
	}
	for (unsigned i = 0; i < 5; i++)
		LANES_STORE(lanes->state[i], s[i]);
}
