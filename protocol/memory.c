/* SPDX-License-Identifier: MIT */
/*
 * The budget: a sum, and a queue of claims that wait for their turn. Strictly first come, first
 * served: a large claim at the head lets no smaller one pass, so it cannot starve. Two locks: one
 * for the sum and the queue, and one that is held while wakes are called, so that a claim can be
 * given back on one thread while another is just about to wake it: who gives it back waits until
 * that call has returned.
 */
#include <packhorse/memory.h>

#include <assert.h>
#include <string.h>

struct ph_memory {
	const struct ph_alloc *alloc;
	const struct ph_sync *sync;
	void *lock;  /* of all below, and of every claim */
	void *waker; /* held around wakes; taken before lock, never after it */
	uint64_t bytes, claimed;
	uint32_t running, waiting;
	struct ph_claim *first, *last; /* in order of arrival */
};

static void lock(const struct ph_memory *memory, void *mutex)
{
	if (memory->sync)
		memory->sync->mutex_lock(memory->sync->user, mutex);
}

static void unlock(const struct ph_memory *memory, void *mutex)
{
	if (memory->sync)
		memory->sync->mutex_unlock(memory->sync->user, mutex);
}

enum ph_status ph_memory_new(struct ph_memory **out, const struct ph_alloc *alloc, uint64_t bytes,
                             const struct ph_sync *sync)
{
	struct ph_memory *memory = ph_mem_zalloc(alloc, 1, sizeof(*memory));
	enum ph_status status = PH_OK;

	if (!memory)
		return PH_ERR_NOMEM;
	memory->alloc = alloc;
	memory->bytes = bytes;
	memory->sync = sync;
	if (sync)
		status = sync->mutex_new(sync->user, &memory->lock);
	if (sync && status == PH_OK)
		status = sync->mutex_new(sync->user, &memory->waker);
	if (status != PH_OK) {
		ph_memory_free(memory);
		return status;
	}
	*out = memory;
	return PH_OK;
}

void ph_memory_free(struct ph_memory *memory)
{
	if (!memory)
		return;
	assert(memory->running == 0 && memory->waiting == 0);
	if (memory->lock)
		memory->sync->mutex_free(memory->sync->user, memory->lock);
	if (memory->waker)
		memory->sync->mutex_free(memory->sync->user, memory->waker);
	ph_mem_free(memory->alloc, memory);
}

/* ---- under the lock ---- */

static void grant(struct ph_memory *memory, struct ph_claim *claim)
{
	claim->granted = true;
	memory->claimed += claim->bytes;
	memory->running++;
	assert(memory->claimed <= memory->bytes);
}

static void queue_put(struct ph_memory *memory, struct ph_claim *claim)
{
	claim->prev = memory->last;
	if (memory->last)
		memory->last->next = claim;
	else
		memory->first = claim;
	memory->last = claim;
	memory->waiting++;
}

static void queue_remove(struct ph_memory *memory, struct ph_claim *claim)
{
	if (claim->prev)
		claim->prev->next = claim->next;
	else
		memory->first = claim->next;
	if (claim->next)
		claim->next->prev = claim->prev;
	else
		memory->last = claim->prev;
	claim->prev = claim->next = NULL;
	memory->waiting--;
}

/* Grants the claim at the head of the queue when there is room for it, else NULL. */
static struct ph_claim *grant_next(struct ph_memory *memory)
{
	struct ph_claim *claim = memory->first;

	if (!claim || claim->bytes > memory->bytes - memory->claimed)
		return NULL;
	queue_remove(memory, claim);
	grant(memory, claim);
	return claim;
}

/* ---- claims ---- */

enum ph_status ph_memory_claim(struct ph_memory *memory, struct ph_claim *claim, uint64_t bytes,
                               void (*wake)(void *user), void *user)
{
	bool now;

	assert(!claim->memory);
	if (bytes > memory->bytes)
		return PH_ERR_LIMIT;
	*claim = (struct ph_claim){.memory = memory, .bytes = bytes, .user = user, .wake = wake};
	lock(memory, memory->lock);
	now = !memory->first && bytes <= memory->bytes - memory->claimed;
	if (now) {
		claim->wake = NULL;
		grant(memory, claim);
	} else {
		queue_put(memory, claim);
	}
	unlock(memory, memory->lock);
	return now ? PH_OK : PH_PENDING;
}

bool ph_memory_granted(const struct ph_claim *claim)
{
	const struct ph_memory *memory = claim->memory;
	bool granted;

	if (!memory)
		return false;
	lock(memory, memory->lock);
	granted = claim->granted;
	unlock(memory, memory->lock);
	return granted;
}

/* Until its wake has returned, a claim that was granted late keeps the pointer to it. */
static void wake_granted(struct ph_memory *memory)
{
	struct ph_claim *claim;

	lock(memory, memory->waker);
	lock(memory, memory->lock);
	while ((claim = grant_next(memory)) != NULL) {
		void (*wake)(void *user) = claim->wake;
		void *user = claim->user;

		unlock(memory, memory->lock);
		if (wake)
			wake(user);
		lock(memory, memory->lock);
		claim->wake = NULL;
	}
	unlock(memory, memory->lock);
	unlock(memory, memory->waker);
}

void ph_memory_release(struct ph_claim *claim)
{
	struct ph_memory *memory = claim->memory;
	bool waking;

	if (!memory)
		return;
	lock(memory, memory->lock);
	if (!claim->granted)
		queue_remove(memory, claim);
	waking = claim->granted && claim->wake;
	unlock(memory, memory->lock);
	if (waking) {
		lock(memory, memory->waker);
		unlock(memory, memory->waker);
	}
	lock(memory, memory->lock);
	if (claim->granted) {
		memory->claimed -= claim->bytes;
		memory->running--;
	}
	unlock(memory, memory->lock);
	memset(claim, 0, sizeof(*claim));
	/* What was at the head of the queue may have gone, too. */
	wake_granted(memory);
}

void ph_memory_counts(struct ph_memory *memory, struct ph_memory_counts *out)
{
	lock(memory, memory->lock);
	out->bytes = memory->bytes;
	out->claimed = memory->claimed;
	out->running = memory->running;
	out->waiting = memory->waiting;
	unlock(memory, memory->lock);
}

/* ---- limits ---- */

/*
 * Parts of the budget. At worst a transfer holds about seven times the first of them (a cache, an
 * object, its base and its delta, a list of trees), and what is fixed comes to as much again on a
 * machine of 64 MB: so four fit in at once.
 */
#define CACHE_SHARE 48u
/* Commits and trees above this are refused, so it is as large as can be afforded. */
#define METADATA_SHARE 40u
/* Smaller, and chains of deltas are resolved from their beginning again and again. */
#define CACHE_BYTES_MIN ((uint64_t)128 << 10)
/* Directories of 6,000 files, and commits with a text of a book's length. */
#define METADATA_BYTES_MIN ((uint64_t)256 << 10)
/* A list that a client has us hold before its transfer is admitted gets this part. */
#define LIST_SHARE 32u
/* About what a member of a set of ids takes, with its slots: see oid_set.c. */
#define ID_BYTES 64u
#define IDS_MIN 4096u
#define WANT_REF_BYTES_MIN (64u << 10)
/* git sends haves in requests that grow to 16384, and by a tenth more each time after that. */
#define HAVES_MIN 32768u
/* A command of a push with a name of usual length, in the session and in its transaction. */
#define COMMAND_BYTES 512u
#define COMMANDS_MIN 1024u
#define CERTIFICATE_BYTES_MIN ((uint64_t)256 << 10)

static uint64_t at_most(uint64_t value, uint64_t share, uint64_t least)
{
	if (share < least)
		share = least;
	return value < share ? value : share;
}

static uint32_t at_most32(uint32_t value, uint64_t share, uint32_t least)
{
	return (uint32_t)at_most(value, share, least);
}

void ph_limits_for_memory(struct ph_limits *limits, uint64_t bytes)
{
	uint64_t cache = bytes / CACHE_SHARE;
	uint64_t list = bytes / LIST_SHARE;

	limits->delta_cache_bytes_max =
	        at_most(limits->delta_cache_bytes_max, cache, CACHE_BYTES_MIN);
	limits->delta_resident_bytes_max =
	        at_most(limits->delta_resident_bytes_max, cache, CACHE_BYTES_MIN);
	limits->metadata_bytes_max =
	        at_most(limits->metadata_bytes_max, bytes / METADATA_SHARE, METADATA_BYTES_MIN);
	limits->wants_max = at_most32(limits->wants_max, list / ID_BYTES, IDS_MIN);
	limits->shallows_max = at_most32(limits->shallows_max, list / ID_BYTES, IDS_MIN);
	limits->haves_max = at_most32(limits->haves_max, list / ID_BYTES, HAVES_MIN);
	limits->object_infos_max = at_most32(limits->object_infos_max, list / ID_BYTES, IDS_MIN);
	limits->want_refs_max = at_most32(limits->want_refs_max, list / ID_BYTES, IDS_MIN);
	limits->want_ref_bytes_max = at_most(limits->want_ref_bytes_max, list, WANT_REF_BYTES_MIN);
	limits->commands_max =
	        at_most32(limits->commands_max, 2 * list / COMMAND_BYTES, COMMANDS_MIN);
	limits->certificate_bytes_max =
	        at_most(limits->certificate_bytes_max, list, CERTIFICATE_BYTES_MIN);
}
