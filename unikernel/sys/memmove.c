/* SPDX-License-Identifier: MIT */
/*
 * memmove for the image. libssh moves every packet up by a few bytes to make room in front, which
 * musl does with a backward "rep movsb": slow on every processor, and in emulation slower than the
 * cipher. Eight bytes at a time it costs next to nothing.
 */
#include <stdint.h>
#include <string.h>

void *memmove(void *to, const void *from, size_t len)
{
	unsigned char *out = to;
	const unsigned char *in = from;

	/* musl's memcpy goes forward, and its own memmove relies on that too. */
	if ((uintptr_t)out - (uintptr_t)in >= len)
		return memcpy(to, from, len);
	while (len >= 16) {
		uint64_t high, low;

		len -= 16;
		memcpy(&high, in + len + 8, 8);
		memcpy(&low, in + len, 8);
		memcpy(out + len + 8, &high, 8);
		memcpy(out + len, &low, 8);
	}
	while (len > 0) {
		len--;
		out[len] = in[len];
	}
	return to;
}
