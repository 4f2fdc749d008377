/* SPDX-License-Identifier: MIT */
/*
 * git-receive-pack as a session: push, protocols 0 and 1 (gitprotocol-pack). A client that asks for
 * 2 gets 0, as from git.
 *
 * What is built: advertisement, commands with old values, delete-refs, packs (thin ones completed),
 * report-status, side-band-64k, quiet, atomic, quarantine, connectivity, both object formats. "ok"
 * in a report means that objects and ref are committed, on stable storage where the store is
 * durable.
 *
 * An owner's push to a name that does not exist creates the repository when its first ref does. Its
 * HEAD follows the first branch pushed when neither main nor master is among them.
 *
 * The push log (ph_txn_log) gets records of at most 4096 bytes, each of lines of text: first
 * "push", the time in seconds since 1970 and who; "key" and the fingerprint of the key that opened
 * the connection; "options" and how many push options came, if any did; "certificate", if there is
 * one: its blob, its status (policy.h), that of its nonce, the fingerprint of its key and its
 * signer, "-" for what is not known. Then the old value, the new value and the name of each ref.
 * The store chains the records (store.h). Many refs make several records, very many end in a line
 * "and N more". A record that begins with "refused" takes back lines of earlier ones of the same
 * commit: a ref that moved just before it.
 */
#ifndef PACKHORSE_RECEIVE_PACK_H
#define PACKHORSE_RECEIVE_PACK_H

#include <packhorse/service.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As ph_upload_pack_new. Without PH_PERM_WRITE the session refuses in its advertisement. */
PH_MUST_CHECK PH_API enum ph_status ph_receive_pack_new(struct ph_session **out,
                                                        const struct ph_service *service,
                                                        const char *repo, int version);

#ifdef __cplusplus
}
#endif
#endif
