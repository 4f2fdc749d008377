/* SPDX-License-Identifier: MIT */
/*
 * What libssh does with the descriptor of a connection: poll, send, receive, a few options. All of
 * it ends in net/. The only call that may wait is poll; it lets the network go on meanwhile.
 */
#include "sys_int.h"

#include "../net/net.h"

#include <errno.h>

/* Lets the network go on until something came, or until_ns. */
static void pump(uint64_t until_ns)
{
	if (ph__net_poll())
		return;
	uint64_t deadline = ph__net_deadline_ns();
	ph__plat_wait(deadline < until_ns ? deadline : until_ns);
}

bool ph__sys_is_connection(int fd)
{
	return fd >= PH__NET_FD_FIRST && (ph__net_ready(fd) & POLLNVAL) == 0;
}

static int count_ready(struct pollfd *fds, size_t count)
{
	int ready = 0;
	for (size_t i = 0; i < count; i++) {
		int state = 0;
		if (fds[i].fd >= PH__NET_FD_FIRST)
			state = ph__net_ready(fds[i].fd);
		else if (fds[i].fd >= 0)
			state = POLLNVAL;
		fds[i].revents = (short)(state & (fds[i].events | POLLHUP | POLLERR | POLLNVAL));
		ready += fds[i].revents != 0;
	}
	return ready;
}

int ph__sys_poll(struct pollfd *fds, size_t count, int timeout_ms)
{
	uint64_t until = UINT64_MAX;
	if (timeout_ms > 0)
		until = ph__plat_monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
	for (;;) {
		int ready = count_ready(fds, count);
		if (ready > 0 || timeout_ms == 0 || ph__plat_power_off())
			return ready;
		if (ph__plat_monotonic_ns() >= until)
			return 0;
		pump(until);
	}
}

int ph__sys_get_option(int fd, int level, int option, int *value, socklen_t *len)
{
	if (!ph__sys_is_connection(fd))
		return -EBADF;
	if (level != SOL_SOCKET || option != SO_ERROR || *len < sizeof *value)
		return -ENOPROTOOPT;
	*value = (ph__net_ready(fd) & POLLERR) != 0 ? ECONNRESET : 0;
	*len = sizeof *value;
	return 0;
}
