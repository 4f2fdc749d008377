/* SPDX-License-Identifier: MIT */
/*
 * A block is one of a collision attack when there is another that differs from it as a vector says
 * and reaches the same state from some state. Both have the same state before one of two steps, so
 * the other's first and last states are computed from there, backward and forward. This is the text
 * of it for lanes of any width, which who includes it defines: the type LANES of LANES_COUNT words
 * with LANES_ADD, LANES_SUB, LANES_XOR, LANES_XOR3, LANES_CHOOSE, LANES_MAJORITY, LANES_ROTATE,
 * LANES_ALL, LANES_LOAD, LANES_SELECT and LANES_SAME, and LANES_TARGET for functions.
 */
static const uint32_t recheck_constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};

/* The sum of round function, constant and word at step t. */
LANES_TARGET static inline LANES recheck_sum(const LANES *w, unsigned t, LANES b, LANES c, LANES d)
{
	LANES sum = LANES_ADD(w[t], LANES_ALL(recheck_constants[t / 20]));

	if (t < 20)
		return LANES_ADD(sum, LANES_CHOOSE(b, c, d));
	if (t >= 40 && t < 60)
		return LANES_ADD(sum, LANES_MAJORITY(b, c, d));
	return LANES_ADD(sum, LANES_XOR3(b, c, d));
}

LANES_TARGET static void recheck_forward(LANES s[5], const LANES *w, unsigned from, unsigned to)
{
	LANES a = s[0], b = s[1], c = s[2], d = s[3], e = s[4];

	for (unsigned t = from; t < to; t++) {
		LANES next =
		        LANES_ADD(LANES_ADD(e, LANES_ROTATE(a, 5)), recheck_sum(w, t, b, c, d));

		e = d;
		d = c;
		c = LANES_ROTATE(b, 30);
		b = a;
		a = next;
	}
	s[0] = a, s[1] = b, s[2] = c, s[3] = d, s[4] = e;
}

/* From the state after step from - 1 to that before step to. */
LANES_TARGET static void recheck_backward(LANES s[5], const LANES *w, unsigned from, unsigned to)
{
	LANES a = s[0], b = s[1], c = s[2], d = s[3], e = s[4];

	for (unsigned t = from; t-- > to;) {
		LANES was_b = LANES_ROTATE(c, 2);
		LANES was_e =
		        LANES_SUB(LANES_SUB(a, LANES_ROTATE(b, 5)), recheck_sum(w, t, was_b, d, e));

		a = b;
		b = was_b;
		c = d;
		d = e;
		e = was_e;
	}
	s[0] = a, s[1] = b, s[2] = c, s[3] = d, s[4] = e;
}

LANES_TARGET static void recheck_expand(LANES w[80], const uint32_t (*words)[16], unsigned first)
{
	for (unsigned t = 0; t < 16; t++)
		w[t] = LANES_LOAD(words[t] + first);
	for (unsigned t = 16; t < 80; t++)
		w[t] = LANES_ROTATE(LANES_XOR(LANES_XOR3(w[t - 3], w[t - 8], w[t - 14]), w[t - 16]),
		                    1);
}

LANES_TARGET static void recheck_select(LANES s[5], LANES by, const LANES yes[5], const LANES no[5])
{
	for (unsigned i = 0; i < 5; i++)
		s[i] = LANES_SELECT(by, yes[i], no[i]);
}

/* A bit for each of the suspects from first on that is one of an attack. */
LANES_TARGET static unsigned recheck_some(const struct ph__sha1_suspects *suspects, unsigned first)
{
	LANES late = LANES_LOAD(suspects->late + first);
	LANES w[80], start[5], early_state[5], late_state[5], end[5], other_start[5], other_end[5];
	unsigned same = ~0u;

	for (unsigned i = 0; i < 5; i++)
		start[i] = early_state[i] = LANES_LOAD(suspects->state[i] + first);
	recheck_expand(w, suspects->block, first);
	recheck_forward(early_state, w, 0, PH__SHA1_STEP_EARLY);
	memcpy(late_state, early_state, sizeof(late_state));
	recheck_forward(late_state, w, PH__SHA1_STEP_EARLY, PH__SHA1_STEP_LATE);
	memcpy(end, late_state, sizeof(end));
	recheck_forward(end, w, PH__SHA1_STEP_LATE, 80);

	recheck_expand(w, suspects->other, first);
	memcpy(other_end, early_state, sizeof(other_end));
	recheck_forward(other_end, w, PH__SHA1_STEP_EARLY, PH__SHA1_STEP_LATE);
	recheck_select(other_end, late, late_state, other_end);
	recheck_forward(other_end, w, PH__SHA1_STEP_LATE, 80);
	memcpy(other_start, late_state, sizeof(other_start));
	recheck_backward(other_start, w, PH__SHA1_STEP_LATE, PH__SHA1_STEP_EARLY);
	recheck_select(other_start, late, other_start, early_state);
	recheck_backward(other_start, w, PH__SHA1_STEP_EARLY, 0);
	for (unsigned i = 0; i < 5; i++)
		same &= LANES_SAME(LANES_ADD(start[i], end[i]),
		                   LANES_ADD(other_start[i], other_end[i]));
	return same;
}

LANES_TARGET static void recheck(struct ph__sha1_suspects *suspects)
{
	for (unsigned first = 0; first < suspects->count; first += LANES_COUNT) {
		unsigned same = recheck_some(suspects, first);

		for (unsigned i = 0; i < LANES_COUNT && first + i < suspects->count; i++) {
			if (same >> i & 1)
				*suspects->attacked[first + i] = true;
		}
	}
	suspects->count = 0;
}
