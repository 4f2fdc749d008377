/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of connections, for the image's system calls and for glibc's functions in the build
 * as a process. Results are as a kernel gives them: the negative errno on failure.
 */
#ifndef PACKHORSE_SYS_INT_H
#define PACKHORSE_SYS_INT_H

#include "sys.h"

#include <poll.h>
#include <sys/socket.h>

/* An open one. */
bool ph__sys_is_connection(int fd);
/* Answers at once when something is ready, on a timeout of 0, and when the machine is to stop. */
int ph__sys_poll(struct pollfd *fds, size_t count, int timeout_ms);
/* Knows SO_ERROR, which is asked for after poll has said POLLERR or POLLHUP. */
int ph__sys_get_option(int fd, int level, int option, int *value, socklen_t *len);

#endif
