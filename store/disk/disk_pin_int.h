/* SPDX-License-Identifier: MIT */
/* disk_pin.c: an epoch that is kept as a whole. */
#ifndef PACKHORSE_DISK_PIN_INT_H
#define PACKHORSE_DISK_PIN_INT_H

#include "disk_int.h"

struct ph__pin {
	struct ph__pin *next;
	struct ph__super super; /* as it was */
};

/* The newest durable epoch: no block that it names is used again before unpin. */
void ph__disk_pin(struct ph__disk *disk, struct ph__pin *pin);
void ph__disk_unpin(struct ph__disk *disk, struct ph__pin *pin);
/* With the lock held: whether a pinned epoch names what was written in birth and given up in freed.
 */
bool ph__disk_pinned(const struct ph__disk *disk, uint64_t birth, uint64_t freed);

#endif
