/* SPDX-License-Identifier: MIT */
/*
 * Which repository is to be looked after next. A push seldom comes alone, so one that changed waits
 * for a moment of quiet, but not for ever; and what the next push would make worthless waits until
 * it has been calm for longer. So wait all when a server starts, as somebody may be waiting for it.
 * How long its last maintenance took decides how soon the next may begin, so that a busy repository
 * does not keep a core busy for a gain that the next push takes away; when it is calm, sooner, as
 * it is likely the last.
 */
#include <packhorse/maintenance.h>

#include <string.h>

/* Without another push for this long it is quiet, and calm. It is taken for either after so long,
 * and for quiet after so many pushes. */
#define QUIET_MS 1000u
#define CALM_MS 10000u
#define NOISE_MS_MAX 300000u
#define NOISE_CHANGES_MAX 512u
/* Pause after maintenance, in times of what it took, and at most; of what is calm, once that. */
#define PAUSE_TIMES 4u
#define PAUSE_MS_MAX 600000u
/* When others were in the way. */
#define LEFT_MS 30000u
/* Repositories that are noted; when more have changed, all are looked at. */
#define ITEMS_MAX 1024u

struct item {
	char name[PH_REPO_NAME_MAX + 1];
	bool due;                   /* when it is quiet */
	bool left;                  /* something was, for when it is calm */
	uint64_t first_ms, last_ms; /* of the changes since the last time; last: of all */
	uint64_t left_ms;           /* since when something is left */
	uint64_t not_before_ms, calm_not_before_ms;
	uint32_t changes;
};

struct ph_maintenance_queue {
	struct ph_store *store;
	const struct ph_alloc *alloc;
	struct item *items;
	uint32_t count, room;
	bool scanning; /* all repositories are due from scan_ms on: those behind after */
	uint64_t scan_ms;
	char after[PH_REPO_NAME_MAX + 1];
};

enum ph_status ph_maintenance_queue_new(struct ph_maintenance_queue **out, struct ph_store *store,
                                        const struct ph_alloc *alloc, uint64_t now_ms)
{
	struct ph_maintenance_queue *queue = ph_mem_zalloc(alloc, 1, sizeof(*queue));

	if (!queue)
		return PH_ERR_NOMEM;
	queue->store = store;
	queue->alloc = alloc;
	queue->scanning = true;
	queue->scan_ms = now_ms + QUIET_MS;
	*out = queue;
	return PH_OK;
}

void ph_maintenance_queue_free(struct ph_maintenance_queue *queue)
{
	if (!queue)
		return;
	ph_mem_free(queue->alloc, queue->items);
	ph_mem_free(queue->alloc, queue);
}

static void scan_again(struct ph_maintenance_queue *queue)
{
	queue->scanning = true;
	queue->after[0] = '\0';
}

/* What is neither due nor to be held back is forgotten. */
static void forget(struct ph_maintenance_queue *queue, uint64_t now_ms)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < queue->count; i++)
		if (queue->items[i].due || queue->items[i].left ||
		    queue->items[i].not_before_ms > now_ms)
			queue->items[kept++] = queue->items[i];
	queue->count = kept;
}

static struct item *find(struct ph_maintenance_queue *queue, const char *repo)
{
	for (uint32_t i = 0; i < queue->count; i++)
		if (strcmp(queue->items[i].name, repo) == 0)
			return &queue->items[i];
	return NULL;
}

/* The item of a repository, a new one if need be; NULL when there is no room. */
static struct item *item_of(struct ph_maintenance_queue *queue, const char *repo, uint64_t now_ms)
{
	struct item *item = find(queue, repo);
	size_t len = strlen(repo);

	if (item)
		return item;
	if (queue->count == queue->room)
		forget(queue, now_ms);
	if (queue->count == queue->room) {
		uint32_t room = queue->room ? 2 * queue->room : 4;
		void *items;

		if (queue->room == ITEMS_MAX)
			return NULL;
		items = ph_mem_resize(queue->alloc, queue->items, room, sizeof(*queue->items));
		if (!items)
			return NULL;
		queue->items = items;
		queue->room = room;
	}
	if (len > PH_REPO_NAME_MAX)
		return NULL;
	memset(&queue->items[queue->count], 0, sizeof(*queue->items));
	memcpy(queue->items[queue->count].name, repo, len + 1);
	return &queue->items[queue->count++];
}

void ph_maintenance_queue_changed(struct ph_maintenance_queue *queue, const char *repo,
                                  uint64_t now_ms)
{
	struct item *item = item_of(queue, repo, now_ms);

	if (!item) {
		scan_again(queue);
		return;
	}
	if (!item->due) {
		item->first_ms = now_ms;
		item->changes = 0;
	}
	item->due = true;
	item->last_ms = now_ms;
	item->changes++;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t quiet_at(const struct item *item)
{
	if (item->changes >= NOISE_CHANGES_MAX)
		return item->first_ms;
	return least(item->last_ms + QUIET_MS, item->first_ms + NOISE_MS_MAX);
}

/* What has been left for long does not wait for calm any more. */
static uint64_t calm_at(const struct item *item)
{
	uint64_t at = item->last_ms + CALM_MS;

	return item->left ? least(at, item->left_ms + NOISE_MS_MAX) : at;
}

static uint64_t due_at(const struct item *item)
{
	uint64_t at = later(calm_at(item), item->calm_not_before_ms);

	return item->due ? least(at, later(quiet_at(item), item->not_before_ms)) : at;
}

/* The next one of all, but for those that changed, whose time comes. */
static enum ph_status scan(struct ph_maintenance_queue *queue, uint64_t now_ms, char *out,
                           uint64_t *at_ms)
{
	if (!queue->scanning)
		return PH_END;
	if (now_ms < queue->scan_ms) {
		*at_ms = least(*at_ms, queue->scan_ms);
		return PH_END;
	}
	while (ph_store_next_repo(queue->store, queue->after, out) == PH_OK) {
		const struct item *item = find(queue, out);

		memcpy(queue->after, out, strlen(out) + 1);
		if (!item || !item->due)
			return PH_OK;
	}
	/* A store that cannot say what it has is not asked again. */
	queue->scanning = false;
	return PH_END;
}

enum ph_status ph_maintenance_queue_next(struct ph_maintenance_queue *queue, uint64_t now_ms,
                                         char *out, enum ph_maintenance_extent *extent,
                                         uint64_t *at_ms)
{
	struct item *next = NULL;

	for (uint32_t i = 0; i < queue->count; i++) {
		struct item *item = &queue->items[i];

		if ((item->due || item->left) && (!next || due_at(item) < due_at(next)))
			next = item;
	}
	*extent = PH_MAINTENANCE_WHOLE;
	*at_ms = next ? due_at(next) : PH_NO_DEADLINE;
	if (next && *at_ms <= now_ms) {
		next->due = false;
		if (now_ms < calm_at(next))
			*extent = PH_MAINTENANCE_LIGHT;
		else
			next->left = false;
		memcpy(out, next->name, sizeof(next->name));
		return PH_OK;
	}
	return scan(queue, now_ms, out, at_ms);
}

static void leave(struct item *item, uint64_t now_ms)
{
	if (!item->left)
		item->left_ms = now_ms;
	item->left = true;
}

void ph_maintenance_queue_ended(struct ph_maintenance_queue *queue, const char *repo,
                                uint64_t now_ms, uint64_t took_ms, int exit_status)
{
	uint64_t took = least(took_ms, PAUSE_MS_MAX);
	uint64_t calm_pause_ms = later(took, exit_status == 2 ? LEFT_MS : 0);
	uint64_t pause_ms = later(least(PAUSE_TIMES * took, PAUSE_MS_MAX), calm_pause_ms);
	struct item *item;

	item = pause_ms > 0 || exit_status == 3 ? item_of(queue, repo, now_ms) : NULL;
	if (!item) {
		if (exit_status == 3)
			scan_again(queue);
		return;
	}
	item->not_before_ms = now_ms + pause_ms;
	item->calm_not_before_ms = now_ms + calm_pause_ms;
	if (exit_status == 3)
		leave(item, now_ms);
	if (exit_status == 2 && !item->due) {
		item->due = true;
		item->first_ms = item->last_ms = now_ms;
	}
}
