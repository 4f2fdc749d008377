/* SPDX-License-Identifier: MIT */
/*
 * What joining packs may cost. Fetches are fastest where all is in one pack with its map, and to
 * keep it so after every push would write everything again each time. So a repository has an
 * account: what is pushed gives credit, CREDIT times its bytes, and what maintenance writes takes
 * from it. A burst of pushes is followed by one join of everything, and over a day no more is
 * written than was earned. The account is a setting of the repository, changed with the packs.
 */
#include "maint_int.h"

#define SETTING "maintenance"
#define SETTING_BYTES 16u
/* Bytes that may be written for each that was pushed. */
#define CREDIT 2u
/* What an object takes beside its bytes: in the index, the map and the note. */
#define BESIDE_BYTES 64u
/* Sums stay in range whatever a store says. */
#define BYTES_MAX ((uint64_t)1 << 48)

static uint64_t get64(const uint8_t *from)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i++)
		value = value << 8 | from[i];
	return value;
}

static void put64(uint8_t *to, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		to[i] = (uint8_t)(value >> (56 - 8 * i));
}

/* Bytes that a pack takes, what is beside its run among them. */
static uint64_t pack_bytes(const struct ph__maint *maint, uint32_t pack)
{
	uint32_t entries;
	uint64_t bytes;

	maint->source->ops->pack_size(maint->source, pack, &entries, &bytes);
	return (bytes < BYTES_MAX ? bytes : BYTES_MAX) + (uint64_t)entries * BESIDE_BYTES;
}

/* Of all packs of the snapshot. */
static uint64_t all_bytes(const struct ph__maint *maint)
{
	uint32_t packs = maint->source->ops->packs(maint->source);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < packs && sum < BYTES_MAX; i++)
		sum += pack_bytes(maint, i);
	return sum;
}

/* What is left of the account, with what was pushed since it was written. */
static uint64_t credit(const struct ph__maint *maint, uint64_t all)
{
	uint8_t account[SETTING_BYTES];
	size_t len = sizeof(account);
	uint64_t left = 0, known = 0;

	/* Without one everything was pushed since. A damaged one is no reason to do nothing. */
	if (ph_snapshot_setting(maint->snapshot, SETTING, account, &len) == PH_OK &&
	    len == sizeof(account)) {
		left = get64(account);
		known = get64(account + 8);
	}
	left = left < BYTES_MAX ? left : BYTES_MAX;
	left += all > known ? (all - known) * CREDIT : 0;
	/* More than twice all there is would only be spent on writing it again and again. */
	return left < all * CREDIT ? left : all * CREDIT;
}

bool ph__maint_affordable(const struct ph__maint *maint)
{
	uint64_t all = all_bytes(maint);

	return credit(maint, all) >= all;
}

enum ph_status ph__maint_account(struct ph__maint *maint)
{
	const struct ph_pack_join_stats *stats = &maint->join.stats;
	uint64_t all = all_bytes(maint), left = credit(maint, all), written;
	uint8_t account[SETTING_BYTES];

	if (maint->job != PH__MAINT_SOME && maint->job != PH__MAINT_ALL &&
	    maint->job != PH__MAINT_PACKS)
		return PH_OK;
	/* Nothing, where packs only go. */
	written = stats->bytes + (uint64_t)stats->objects * BESIDE_BYTES;
	for (uint32_t i = 0; i < maint->join.count; i++)
		all -= pack_bytes(maint, maint->join.packs[i]);
	put64(account, left > written ? left - written : 0);
	put64(account + 8, all + written);
	return ph_txn_set_setting(maint->txn, SETTING, account, sizeof(account));
}
