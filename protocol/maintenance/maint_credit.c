/* SPDX-License-Identifier: MIT */
/*
 * What joining packs may cost. Fetches are fastest where all is in one pack with its map, and to
 * keep it so after every push would write everything again each time. So a repository has an
 * account: what is pushed gives credit, CREDIT times its bytes, and what maintenance writes, packs
 * and what is beside them, takes from it. A burst of pushes is followed by one join of everything,
 * and over a day no more is written than was earned. The account is a setting of the repository,
 * changed with the packs.
 */
#include "maint_int.h"
#include "tips_int.h"

#define SETTING "maintenance"
#define SETTING_BYTES 16u
/* Bytes that may be written for each that was pushed. */
#define CREDIT 2u
/* What an object takes beside its bytes: in the index, the map and the note. */
#define BESIDE_BYTES 64u
/* And a join: what sections are rounded up to, and the store's own trees. */
#define COMMIT_BYTES 16384u
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

/* What packs weigh together. */
struct sum {
	uint64_t bytes;  /* of their runs, without the copies that completed thin packs */
	uint64_t beside; /* about what their sections take */
};

/*
 * How many of the last entries of a pack are copies by its note: the bases that completed a thin
 * pack, which were not pushed and go when it is joined. Where the i-th copy and all after it are
 * the pack's last entries, so it is for every later one.
 */
static uint32_t copies_at_end(const struct ph__maint *maint, uint32_t pack, uint32_t entries)
{
	const struct ph_bytes *section =
	        ph_snapshot_section(maint->snapshot, pack, PH__SECTION_TIPS);
	uint32_t low = 0, high, rank;
	struct ph__tips tips;

	if (!section || ph__tips_open(&tips, section, maint->snapshot->algo, entries) != PH_OK)
		return 0;
	high = tips.copies;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ph__tips_copy(&tips, middle, &rank) != PH_OK)
			return 0;
		if (rank == entries - (tips.copies - middle))
			high = middle;
		else
			low = middle + 1;
	}
	return tips.copies - low;
}

static struct sum weigh(const struct ph__maint *maint, uint32_t pack)
{
	const struct ph_source *source = maint->source;
	struct ph_entry entry;
	struct sum sum;
	uint32_t entries, copies;

	source->ops->pack_size(source, pack, &entries, &sum.bytes);
	copies = copies_at_end(maint, pack, entries);
	if (copies > 0 &&
	    source->ops->entry(source, (struct ph_loc){pack, entries - copies}, &entry) == PH_OK) {
		sum.bytes = entry.offset;
		entries -= copies;
	}
	sum.bytes = sum.bytes < BYTES_MAX ? sum.bytes : BYTES_MAX;
	sum.beside = (uint64_t)entries * BESIDE_BYTES;
	return sum;
}

/* Of all packs of the snapshot. */
static struct sum weigh_all(const struct ph__maint *maint)
{
	uint32_t packs = maint->source->ops->packs(maint->source);
	struct sum all = {0, 0};

	for (uint32_t i = 0; i < packs && all.bytes < BYTES_MAX; i++) {
		struct sum one = weigh(maint, i);

		all.bytes += one.bytes;
		all.beside += one.beside;
	}
	return all;
}

/* What is left of the account, with what was pushed since it was written. */
static uint64_t credit(const struct ph__maint *maint, uint64_t bytes)
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
	left += bytes > known ? (bytes - known) * CREDIT : 0;
	/* More than twice all there is would only be spent on writing it again and again. */
	return left < bytes * CREDIT ? left : bytes * CREDIT;
}

bool ph__maint_affordable(const struct ph__maint *maint)
{
	struct sum all = weigh_all(maint);

	return credit(maint, all.bytes) >= all.bytes + all.beside + COMMIT_BYTES;
}

enum ph_status ph__maint_account(struct ph__maint *maint)
{
	uint64_t bytes, left, spent = maint->written;
	uint8_t account[SETTING_BYTES];

	if (spent == 0 && maint->join.count == 0)
		return PH_OK;
	/* Nothing is written where packs only go. What has to be joined in the middle of a long
	 * burst does not take from what its end has earned. */
	if (spent > 0)
		spent = maint->light ? 0 : spent + COMMIT_BYTES;
	bytes = weigh_all(maint).bytes;
	left = credit(maint, bytes);
	for (uint32_t i = 0; i < maint->join.count; i++)
		bytes -= weigh(maint, maint->join.packs[i]).bytes;
	bytes += maint->join.stats.bytes;
	put64(account, left > spent ? left - spent : 0);
	/* What was written without credit is earned before new. */
	put64(account + 8, bytes + (spent > left ? (spent - left) / CREDIT : 0));
	return ph_txn_set_setting(maint->txn, SETTING, account, sizeof(account));
}
