/* SPDX-License-Identifier: MIT */
/* Locks of POSIX threads for tests, as an owner with threads gives them. */
#include "support.h"

#include <pthread.h>
#include <stdlib.h>

static enum ph_status mutex_new(void *user, void **out)
{
	pthread_mutex_t *mutex = malloc(sizeof(*mutex));

	(void)user;
	if (!mutex)
		return PH_ERR_NOMEM;
	pthread_mutex_init(mutex, NULL);
	*out = mutex;
	return PH_OK;
}

static void mutex_free(void *user, void *mutex)
{
	(void)user;
	pthread_mutex_destroy(mutex);
	free(mutex);
}

static void mutex_lock(void *user, void *mutex)
{
	(void)user;
	pthread_mutex_lock(mutex);
}

static void mutex_unlock(void *user, void *mutex)
{
	(void)user;
	pthread_mutex_unlock(mutex);
}

const struct ph_sync ph_test_sync = {NULL, mutex_new, mutex_free, mutex_lock, mutex_unlock};
