/* SPDX-License-Identifier: MIT */
/*
 * What a client is shown of a snapshot's refs. Whatever reads refs on behalf of a client does it by
 * these functions, so that transfer.hideRefs and its kin hold everywhere. A symref is hidden as
 * well when what it finally names is: its value would tell that one's.
 */
#ifndef PACKHORSE_VISIBLE_INT_H
#define PACKHORSE_VISIBLE_INT_H

#include <packhorse/config.h>

/* Refs below it are the server's own: pushes do not change them. */
#define PH__OWN_REFS "refs/packhorse/"
#define PH__LOG_REF PH__OWN_REFS "log"

/*
 * The next ref of an iterator over a snapshot's refs. PH_AGAIN for one that is hidden, so that a
 * caller's budget counts it: call again. PH_END behind the last. A symref may still be one to a
 * hidden ref; ph__visible_resolve tells.
 */
PH_MUST_CHECK enum ph_status
ph__visible_next(struct ph_ref_iter *iter, const struct ph_config_list *hidden, struct ph_ref *out);
/*
 * As ph_snapshot_resolve; PH_ERR_DENIED when the ref, or the one that it finally names, is hidden,
 * born or not. target must not be NULL.
 */
PH_MUST_CHECK enum ph_status ph__visible_resolve(struct ph_snapshot *snapshot,
                                                 const struct ph_config_list *hidden,
                                                 const char *name, struct ph_ref *out,
                                                 char *target);

#endif
