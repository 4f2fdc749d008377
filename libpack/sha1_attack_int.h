/* SPDX-License-Identifier: MIT */
/*
 * What collision attacks on SHA-1 are made of: the disturbance vectors that all known ones use, and
 * the conditions of blocks that follow one as tables.
 */
#ifndef PACKHORSE_SHA1_ATTACK_INT_H
#define PACKHORSE_SHA1_ATTACK_INT_H

#include "sha1_conditions_int.h"

#include <packhorse/base.h>

#define PH__SHA1_VECTORS 32u

/* Vector I(k, b) or II(k, b), of S. Manuel's classification. */
struct ph__sha1_vector {
	uint8_t type; /* 1 or 2 */
	uint8_t k;
	uint8_t b;
};
extern const struct ph__sha1_vector ph__sha1_vectors[PH__SHA1_VECTORS];

/*
 * Steps before which blocks that collide by a vector have the same state: that of local collisions
 * which ended, and of the next that has not begun. No single step is one for all vectors.
 */
#define PH__SHA1_STEP_EARLY 58u
#define PH__SHA1_STEP_LATE 65u
bool ph__sha1_vector_is_late(const struct ph__sha1_vector *vector);

/* How blocks that collide by a vector differ in words 0 to 15. */
uint32_t ph__sha1_difference(const struct ph__sha1_vector *vector, unsigned word);

struct ph__sha1_condition {
	uint32_t dvs;   /* a bit each, in the order of ph__sha1_vectors */
	unsigned a : 7; /* a word of the message schedule */
	unsigned i : 5; /* a bit of it */
	unsigned b : 7;
	unsigned j : 5;
	unsigned differ : 1;
};
/* Those that rule out most vectors first. */
extern const struct ph__sha1_condition ph__sha1_conditions[PH__SHA1_CONDITIONS];

#endif
