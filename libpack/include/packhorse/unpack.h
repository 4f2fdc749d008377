/* SPDX-License-Identifier: MIT */
/*
 * Whole zlib streams at once: all of the input is at hand, and there is room for all of the output.
 * Libraries made for that take half the time of one that can stop anywhere. It is the owner's to
 * bring one, for they have allocators of their own; without it inflate.h does everything.
 */
#ifndef PACKHORSE_UNPACK_H
#define PACKHORSE_UNPACK_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Called from any thread, with one state by one at a time. */
struct ph_unpack {
	/* A state for any number of streams. PH_ERR_NOMEM. */
	enum ph_status (*begin)(void **state);
	void (*end)(void *state);
	/*
	 * Exactly size bytes come out of the stream that in begins with, and used is its length:
	 * PH_OK. Anything else is PH_ERR_ZLIB, for what reason ever: ph_inflate knows better then.
	 */
	enum ph_status (*run)(void *state, const uint8_t *in, size_t len, size_t *used,
	                      uint8_t *out, size_t size);
	/*
	 * The same, of bytes that will be stored for others to read: PH_OK only for a stream that
	 * every decoder takes for the same bytes, and the same length.
	 */
	enum ph_status (*run_agreed)(void *state, const uint8_t *in, size_t len, size_t *used,
	                             uint8_t *out, size_t size);
};

/*
 * By libdeflate. Lives in a library of its own, so that who wants none links none. Its states are
 * taken from libdeflate's allocator, which is one for the whole process (malloc, unless it was set
 * otherwise); run takes no memory.
 */
PH_API const struct ph_unpack *ph_unpack_libdeflate(void);

/* The same as ph_crc32, for an owner to give to whoever takes one (store_disk.h). */
PH_API uint32_t ph_crc32_libdeflate(uint32_t crc, const void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
