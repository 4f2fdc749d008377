/* SPDX-License-Identifier: MIT */
/*
 * What the machine holds, as a debug line whenever it changed and at most twice a second: tests
 * look for leaks there, and operators see how much memory their work needs.
 */
#include "image.h"
#include "sys/sys.h"

#define PAUSE_NS UINT64_C(500000000)

uint64_t ph__figures_poll(void)
{
	static uint64_t next_ns;
	static size_t used;
	static unsigned open;
	uint64_t now_ns = ph__plat_monotonic_ns();
	struct ph__pages_counts pages;
	struct ph__net_counts net;

	if (ph__log()->level < PH_LOG_DEBUG)
		return UINT64_MAX;
	if (now_ns < next_ns)
		return next_ns;
	ph__pages_counts(&pages);
	ph__net_counts(&net);
	if (pages.used == used && net.open == open)
		return UINT64_MAX;
	used = pages.used;
	open = net.open;
	next_ns = now_ns + PAUSE_NS;
	ph_log_line(ph__log(), PH_LOG_DEBUG, "main", 0,
	            "memory: %zu KiB used, %zu KiB peak, %u connections, %zu KiB in the network",
	            pages.used >> 10, pages.peak >> 10, net.open, net.buffer_bytes >> 10);
	return next_ns;
}
