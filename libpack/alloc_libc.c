/* SPDX-License-Identifier: MIT */
/*
 * The C library's malloc as a ph_alloc. It is a library of its own: an owner that brings another
 * allocator links none of this, and no other file of the lower layers knows malloc.
 */
#include <packhorse/base.h>

#include <stdlib.h>

static void *libc_alloc(void *user, size_t size)
{
	(void)user;
	return malloc(size);
}

static void *libc_resize(void *user, void *ptr, size_t size)
{
	(void)user;
	return realloc(ptr, size);
}

static void libc_free(void *user, void *ptr)
{
	(void)user;
	free(ptr);
}

const struct ph_alloc *ph_alloc_libc(void)
{
	static const struct ph_alloc alloc = {NULL, libc_alloc, libc_resize, libc_free};

	return &alloc;
}
