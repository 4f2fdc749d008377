/* SPDX-License-Identifier: MIT */
/* What the library asks its owner for: locks, random bytes, time; and reading small files. */
#include "daemon_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static enum ph_status mutex_new(void *user, void **out)
{
	uv_mutex_t *mutex = malloc(sizeof *mutex);

	(void)user;
	if (!mutex)
		return PH_ERR_NOMEM;
	if (uv_mutex_init(mutex) != 0) {
		free(mutex);
		return PH_ERR_NOMEM;
	}
	*out = mutex;
	return PH_OK;
}

static void mutex_free(void *user, void *mutex)
{
	(void)user;
	if (mutex)
		uv_mutex_destroy(mutex);
	free(mutex);
}

static void mutex_lock(void *user, void *mutex)
{
	(void)user;
	uv_mutex_lock(mutex);
}

static void mutex_unlock(void *user, void *mutex)
{
	(void)user;
	uv_mutex_unlock(mutex);
}

const struct ph_sync ph__sync_uv = {NULL, mutex_new, mutex_free, mutex_lock, mutex_unlock};

enum ph_status ph__random(void *user, void *buf, size_t len)
{
	uint8_t *at = buf;

	(void)user;
	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return PH_ERR_IO;
		at += n;
		len -= (size_t)n;
	}
	return PH_OK;
}

uint64_t ph__now_ms(void)
{
	return uv_hrtime() / 1000000;
}

uint64_t ph__wall_s(void)
{
	return (uint64_t)time(NULL);
}

char *ph__read_file(const char *path, size_t size_max, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = malloc(size_max + 1);
	size_t at = 0;
	ssize_t n = -1;

	if (fd < 0 || !text)
		goto failed;
	while (at < size_max && (n = read(fd, text + at, size_max - at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto failed;
		at += (size_t)n;
	}
	if (at == size_max) {
		errno = EFBIG;
		goto failed;
	}
	close(fd);
	text[at] = '\0';
	*len = at;
	return text;
failed:
	if (fd >= 0) {
		int why = errno;

		close(fd);
		errno = why;
	}
	free(text);
	return NULL;
}
