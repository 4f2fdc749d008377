/* SPDX-License-Identifier: MIT */
/*
 * The socket calls of the libraries above, in the build as a process: the linker sends them here
 * (--wrap), connections of net/ are answered as the image's system calls are, and all else goes on
 * to glibc. sys/CMakeLists.txt lists the names.
 */
#define _GNU_SOURCE 1

#include "../../sys/sys_int.h"

#include "../../net/net.h"

#include <errno.h>
#include <stdarg.h>

int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __real_send(int fd, const void *buf, size_t len, int flags);
int __real_close(int fd);
int __real_fcntl(int fd, int command, ...);
int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *len);

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags);
int __wrap_close(int fd);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *len);

static bool is_ours(int fd)
{
	return fd >= PH__NET_FD_FIRST;
}

/* A handler's result as the C library gives it. */
static ssize_t result(ssize_t value)
{
	if (value >= 0)
		return value;
	errno = (int)-value;
	return -1;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	for (nfds_t i = 0; i < count; i++)
		if (is_ours(fds[i].fd))
			return ph__sys_poll(fds, count, timeout);
	return __real_poll(fds, count, timeout);
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
	if (!is_ours(fd))
		return __real_recv(fd, buf, len, flags);
	return result(ph__net_receive(fd, buf, len, (flags & MSG_PEEK) != 0));
}

ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
	return is_ours(fd) ? result(ph__net_send(fd, buf, len)) : __real_send(fd, buf, len, flags);
}

int __wrap_close(int fd)
{
	return is_ours(fd) ? (int)result(ph__net_close(fd)) : __real_close(fd);
}

/* Nobody above passes more than flags. */
int __wrap_fcntl(int fd, int command, ...)
{
	va_list list;
	va_start(list, command);
	int argument = va_arg(list, int);
	va_end(list);
	if (!is_ours(fd))
		return __real_fcntl(fd, command, argument);
	return (int)result(ph__sys_is_connection(fd) ? 0 : -EBADF);
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	if (!is_ours(fd))
		return __real_setsockopt(fd, level, option, value, len);
	return (int)result(ph__sys_is_connection(fd) ? 0 : -EBADF);
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
	if (!is_ours(fd))
		return __real_getsockopt(fd, level, option, value, len);
	return (int)result(ph__sys_get_option(fd, level, option, value, len));
}
