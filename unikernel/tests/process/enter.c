/* SPDX-License-Identifier: MIT */
/*
 * The build as a process on glibc, for sanitizers: the C library's own start and end, its memory,
 * and no seccomp, which a sanitizer could not live under.
 */
#include "../../platform/host/host_int.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
	ph__host_options(argc, argv);
	ph__host_ready();
	ph__host_state.machine.heap_bytes = ph__host_state.memory_bytes;
	ph__start(&ph__host_state.machine);
}

void ph__plat_tls(void *base)
{
	(void)base;
}

void ph__host_exit(int code)
{
	exit(code);
}

void ph__plat_exit(int code)
{
	exit(code);
}
