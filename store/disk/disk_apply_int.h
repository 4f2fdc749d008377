/* SPDX-License-Identifier: MIT */
/* One transaction on its way into a batch: shared by disk_apply.c and disk_edits.c. */
#ifndef PACKHORSE_DISK_APPLY_INT_H
#define PACKHORSE_DISK_APPLY_INT_H

#include "disk_int.h"

struct ph__arena {
	struct ph__arena *next;
	size_t used, room;
	uint8_t data[];
};

/* What the transaction makes of its repository; nothing else is changed until all of it is there.
 */
struct ph__apply {
	struct ph__disk *disk;
	struct ph__batch *batch;
	struct ph__dtxn *txn;
	struct ph__record record;
	struct ph__pack **packs; /* retained */
	uint32_t pack_count;
	struct ph__shallow *shallow; /* retained */
	struct ph__edit *edits;
	uint32_t edit_count, edit_room;
	struct ph__arena *arena; /* keys and values of the edits */
	struct ph__extents allocs, frees;
};

/* A repository of the batch; its name lives with the caller. NULL: out of memory. */
struct ph__work *ph__work_new(struct ph__batch *batch, const char *name);
struct ph__work *ph__work_find(struct ph__batch *batch, const char *name);
/* Gives back all that its tree names; without a repository in memory, as far as it can be read. */
enum ph_status ph__work_delete(struct ph__batch *batch, struct ph__work *work);
/* Deletes by name what cannot be opened. */
enum ph_status ph__batch_remove(struct ph__batch *batch, struct ph__dtxn *txn);

void ph__apply_release(struct ph__apply *apply);
/* Fills edits, packs, shallow, allocs, frees, and the record's numbers. */
enum ph_status ph__apply_edits(struct ph__apply *apply, struct ph__pack **packs, uint32_t count,
                               bool created);
/* Settings in a tree; one more than the limit is as good as any larger number. */
enum ph_status ph__settings_count(struct ph__disk *disk, const struct ph__batch *batch,
                                  const struct ph__tree *tree, uint32_t *count);

#endif
