/* SPDX-License-Identifier: MIT */
/*
 * Connections that have not logged in yet, counted in all and by where they come from, so that one
 * address that opens many locks nobody else out. Where all places are taken, who has none of them
 * may still come in: a flood from many addresses leaves each its first.
 */
#include "daemon_int.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/*
 * Places for all, and how many of them one address may have: for a company behind one address that
 * starts its builds at once, yet only a quarter of what there is. A stranger costs less than 64 KiB
 * and stays half a minute at most.
 */
#define STRANGERS_MAX 512u
#define STRANGERS_PER_ADDRESS_MAX 128u
/* Addresses at once: more than there may be connections of all kinds. */
#define ADDRESSES_MAX 2048u

/* An IPv4 address, or the 64 bits of an IPv6 address that a network has; the rest is its own. */
struct origin {
	uint8_t key[8];
	unsigned count;
};

struct ph_strangers {
	uv_mutex_t lock;
	unsigned total, used;
	struct origin origins[ADDRESSES_MAX]; /* those with a count, in no order */
};

struct ph_strangers *ph__strangers_new(void)
{
	struct ph_strangers *strangers = calloc(1, sizeof *strangers);

	if (strangers && uv_mutex_init(&strangers->lock) != 0) {
		free(strangers);
		return NULL;
	}
	return strangers;
}

void ph__strangers_free(struct ph_strangers *strangers)
{
	if (!strangers)
		return;
	uv_mutex_destroy(&strangers->lock);
	free(strangers);
}

static void key_of(uint8_t key[8], const char *address)
{
	uint8_t v6[16] = {0};

	memset(key, 0, 8);
	if (inet_pton(AF_INET6, address, v6) == 1)
		memcpy(key, v6, 8);
	else
		(void)inet_pton(AF_INET, address, key + 4);
}

static struct origin *find(struct ph_strangers *strangers, const uint8_t key[8])
{
	for (unsigned i = 0; i < strangers->used; i++)
		if (memcmp(strangers->origins[i].key, key, 8) == 0)
			return &strangers->origins[i];
	return NULL;
}

static bool may_enter(const struct ph_strangers *strangers, const struct origin *origin)
{
	if (!origin)
		return strangers->used < ADDRESSES_MAX;
	return strangers->total < STRANGERS_MAX && origin->count < STRANGERS_PER_ADDRESS_MAX;
}

bool ph__strangers_enter(struct ph_strangers *strangers, const char *address)
{
	struct origin *origin;
	uint8_t key[8];
	bool may;

	key_of(key, address);
	uv_mutex_lock(&strangers->lock);
	origin = find(strangers, key);
	may = may_enter(strangers, origin);
	if (may && !origin) {
		origin = &strangers->origins[strangers->used++];
		memcpy(origin->key, key, sizeof origin->key);
		origin->count = 0;
	}
	if (may) {
		origin->count++;
		strangers->total++;
	}
	uv_mutex_unlock(&strangers->lock);
	return may;
}

void ph__strangers_leave(struct ph_strangers *strangers, const char *address)
{
	struct origin *origin;
	uint8_t key[8];

	key_of(key, address);
	uv_mutex_lock(&strangers->lock);
	origin = find(strangers, key);
	if (origin) {
		strangers->total--;
		if (--origin->count == 0)
			*origin = strangers->origins[--strangers->used];
	}
	uv_mutex_unlock(&strangers->lock);
}
