/* SPDX-License-Identifier: MIT */
/* Locks that may be absent: a store that one thread uses has none. */
#ifndef PACKHORSE_DISK_LOCK_INT_H
#define PACKHORSE_DISK_LOCK_INT_H

#include <packhorse/base.h>

static inline void ph__lock(const struct ph_sync *sync, void *mutex)
{
	if (sync)
		sync->mutex_lock(sync->user, mutex);
}

static inline void ph__unlock(const struct ph_sync *sync, void *mutex)
{
	if (sync)
		sync->mutex_unlock(sync->user, mutex);
}

#endif
