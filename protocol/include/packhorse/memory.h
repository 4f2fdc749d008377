/* SPDX-License-Identifier: MIT */
/*
 * One budget of memory for all sessions of an owner, with admission before work: a session claims
 * what it may need at worst before it starts to work, or waits its turn, so that many clients at
 * once are slow rather than killed. Claims are granted in order of arrival. A session has at most
 * one claim at a time and claims once, so nobody waits for somebody who waits.
 *
 * The budget counts, it does not allocate. Thread-safe when it was made with locks.
 */
#ifndef PACKHORSE_MEMORY_H
#define PACKHORSE_MEMORY_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_memory;

/* One claim; embedded in what claims, zeroed before first use, and at its place while in use. */
struct ph_claim {
	struct ph_claim *prev, *next;
	struct ph_memory *memory;
	uint64_t bytes;
	bool granted;
	void *user;
	void (*wake)(void *user);
};

/* bytes: what all claims together may come to. sync NULL: one thread. PH_ERR_NOMEM. */
PH_MUST_CHECK PH_API enum ph_status ph_memory_new(struct ph_memory **out,
                                                  const struct ph_alloc *alloc, uint64_t bytes,
                                                  const struct ph_sync *sync);
/* No claim may be left. NULL is fine. */
PH_API void ph_memory_free(struct ph_memory *memory);

/*
 * PH_OK: granted. PH_PENDING: queued; wake(user) is called once when it is granted, from the thread
 * that made room, without the lock held. PH_ERR_LIMIT: more than the whole budget, now or ever;
 * nothing is claimed.
 */
PH_MUST_CHECK PH_API enum ph_status ph_memory_claim(struct ph_memory *memory,
                                                    struct ph_claim *claim, uint64_t bytes,
                                                    void (*wake)(void *user), void *user);
/* Whether a queued claim has been granted by now. */
PH_API bool ph_memory_granted(const struct ph_claim *claim);
/*
 * Gives it back, or leaves the queue; fine on a claim that is neither. wake is not called later: if
 * another thread is calling it just now, this returns when that has. So wake calls nothing here.
 */
PH_API void ph_memory_release(struct ph_claim *claim);

struct ph_memory_counts {
	uint64_t bytes, claimed;
	uint32_t running, waiting;
};
PH_API void ph_memory_counts(struct ph_memory *memory, struct ph_memory_counts *out);

/*
 * Scales the limits that are sizes of caches and resident objects down to a machine with so little
 * memory for sessions; leaves them alone where there is plenty. Call it after ph_limits_init.
 */
PH_API void ph_limits_for_memory(struct ph_limits *limits, uint64_t bytes);

#ifdef __cplusplus
}
#endif
#endif
