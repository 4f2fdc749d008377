/* SPDX-License-Identifier: MIT */
/* Short ways to change a store, for tests; they return what the store says. Sync may be used. */
#ifndef PH_TEST_DISK_TOOLS_H
#define PH_TEST_DISK_TOOLS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "sim_device.h"
#include "support.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define assert_status(have, want)                                                                  \
	do {                                                                                       \
		enum ph_status status_ = (have);                                                   \
		if (status_ != (want))                                                             \
			fail_msg("%s: is %s", #have, ph_status_name(status_));                     \
	} while (0)

/* Commits, waiting for a wake when use_wake says so. */
enum ph_status tool_commit(struct ph_txn *txn, bool use_wake);
enum ph_status tool_create(struct ph_store *store, const char *repo);
enum ph_status tool_begin(struct ph_store *store, const char *repo, struct ph_txn **out);
/* Adds a pack of one blob of random bytes that number decides. */
enum ph_status tool_add_pack(struct ph_txn *txn, uint32_t number, size_t bytes, struct ph_oid *oid);
/* A push: such a pack, a ref to its blob, a record in the log. */
enum ph_status tool_push(struct ph_store *store, const char *repo, const char *ref, uint32_t number,
                         size_t bytes);
/* bytes 0: no pack, an id that names nothing; number 0 deletes. */
enum ph_status tool_set(struct ph_store *store, const char *repo, const char *ref, uint32_t number);
enum ph_status tool_delete_repo(struct ph_store *store, const char *repo);
/* Replaces all packs by one, as maintenance does. */
enum ph_status tool_repack(struct ph_store *store, const char *repo, uint32_t number, size_t bytes,
                           bool drop);
/* Whether a ref names the blob of this number. */
bool tool_has(struct ph_store *store, const char *repo, const char *ref, uint32_t number,
              size_t bytes);

#endif
