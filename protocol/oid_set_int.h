/* SPDX-License-Identifier: MIT */
/*
 * A set of object ids that keeps the order of insertion: wants, haves, shallow lines. Members are
 * numbered from 0. Slots depend on a secret, because a peer chooses the ids.
 */
#ifndef PACKHORSE_OID_SET_INT_H
#define PACKHORSE_OID_SET_INT_H

#include <packhorse/oid.h>

struct ph__oid_set {
	const struct ph_alloc *alloc;
	struct ph_oid *oids;
	uint8_t *marks;  /* a byte a member, for the owner's use; 0 at first */
	uint32_t *slots; /* a member's number and 1; 0 when free */
	uint32_t count, room, slot_count;
	uint64_t secret;
};

void ph__oid_set_init(struct ph__oid_set *set, const struct ph_alloc *alloc, uint64_t secret);
void ph__oid_set_release(struct ph__oid_set *set);
/* Empties it; memory is kept when small. */
void ph__oid_set_clear(struct ph__oid_set *set);
/* PH_OK added, PH_ERR_EXISTS, PH_ERR_LIMIT when it has max members, PH_ERR_NOMEM. */
PH_MUST_CHECK enum ph_status ph__oid_set_add(struct ph__oid_set *set, const struct ph_oid *oid,
                                             uint32_t max);
/* Its number, or UINT32_MAX. */
uint32_t ph__oid_set_find(const struct ph__oid_set *set, const struct ph_oid *oid);

static inline bool ph__oid_set_has(const struct ph__oid_set *set, const struct ph_oid *oid)
{
	return ph__oid_set_find(set, oid) != UINT32_MAX;
}

#endif
