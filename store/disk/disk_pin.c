/* SPDX-License-Identifier: MIT */
/*
 * Pins: an epoch that somebody reads as a whole, without having every repository in memory. Space
 * that was given up later, and that the pinned epoch names, waits for the pin as it waits for
 * snapshots. What was written after the pin goes its usual way, so however long a pin lasts, no
 * more is held than the epoch has.
 */
#include "disk_pin_int.h"

#include <assert.h>

void ph__disk_pin(struct ph__disk *disk, struct ph__pin *pin)
{
	ph__lock(disk->sync, disk->lock);
	pin->super = disk->super;
	pin->next = disk->pins;
	disk->pins = pin;
	ph__unlock(disk->sync, disk->lock);
}

void ph__disk_unpin(struct ph__disk *disk, struct ph__pin *pin)
{
	ph__lock(disk->sync, disk->lock);
	struct ph__pin **link = &disk->pins;
	while (*link != pin) {
		assert(*link);
		link = &(*link)->next;
	}
	*link = pin->next;
	/* What another pin holds comes back to the list. */
	struct ph__freed_list held = disk->held;
	disk->held.first = disk->held.last = NULL;
	ph__space_return(disk, &held);
	ph__unlock(disk->sync, disk->lock);
}

bool ph__disk_pinned(const struct ph__disk *disk, uint64_t birth, uint64_t freed)
{
	const struct ph__pin *pin = disk->pins;
	while (pin && (birth > pin->super.epoch || freed <= pin->super.epoch))
		pin = pin->next;
	return pin != NULL;
}
