/* SPDX-License-Identifier: MIT */
/*
 * One suite that every store passes. A test program of a store describes how to make one and calls
 * ph_conformance_run; the suite covers store.h sentence by sentence, on both hash formats, and
 * where the store survives being closed it compares everything after opening it again.
 */
#ifndef PACKHORSE_CONFORMANCE_H
#define PACKHORSE_CONFORMANCE_H

#include <packhorse/store.h>

/* What a test wants its store opened with. */
struct ph_conformance_options {
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	const struct ph_sync *sync; /* NULL in tests of one thread */
	uint64_t bytes_max; /* 0: room for at least 256 MiB. Else room for about this much */
};

struct ph_conformance_factory {
	const char *name; /* of the store, for the report */
	void *user;
	/* A new empty store. One at a time, or several: what the store under test can do. */
	enum ph_status (*open)(void *user, const struct ph_conformance_options *options,
	                       struct ph_store **out);
	/*
	 * Closes *store and opens what it left, with the same options as before. NULL when the
	 * store does not survive. On error *store is NULL.
	 */
	enum ph_status (*reopen)(void *user, const struct ph_conformance_options *options,
	                         struct ph_store **store);
	/* Closes a store (NULL is fine) and removes what it left. */
	void (*close)(void *user, struct ph_store *store);
	bool threads; /* options.sync makes it safe for several threads */
	bool bounded; /* options.bytes_max is honoured, from 2 MiB on */
};

/* Runs everything; returns the number of tests that failed, for main() to return. */
int ph_conformance_run(const struct ph_conformance_factory *factory);

#endif
