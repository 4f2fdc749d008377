/* SPDX-License-Identifier: MIT */
/* A store in memory: gone with the process, and its space with the last snapshot that shows it. */
#ifndef PACKHORSE_STORE_MEM_H
#define PACKHORSE_STORE_MEM_H

#include <packhorse/store.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_store_mem_options {
	const struct ph_alloc *alloc;
	const struct ph_limits *limits;
	const struct ph_sync *sync; /* NULL when one thread uses the store */
	uint64_t bytes_max;         /* of all sections together; 0 for no limit */
	/* Inflates for readers of its packs (unpack.h), and outlives the store; may be NULL. */
	const struct ph_unpack *unpack;
};

PH_MUST_CHECK PH_API enum ph_status ph_store_mem_new(struct ph_store **out,
                                                     const struct ph_store_mem_options *options);

#ifdef __cplusplus
}
#endif
#endif
