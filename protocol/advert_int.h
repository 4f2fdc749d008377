/* SPDX-License-Identifier: MIT */
/*
 * The advertisement of refs in protocol 0 and 1 (gitprotocol-pack, "Reference Discovery"), for both
 * services. Streams through the bounded output: an iterator keeps its place, so a million refs cost
 * one buffer.
 *
 *   version 1 LF                           version1
 *   <id> HEAD NUL <caps> LF                head, when HEAD resolves
 *   <id> <name> LF                         every ref under refs/, in byte order
 *   <id> <name>^{} LF                      peeled, behind each annotated tag
 *   <zero-id> capabilities^{} NUL <caps>   when no line was written
 *   shallow <id> LF                        shallow, the repository's own boundary
 *   0000
 *
 * Symrefs show the value of what they name, and are left out when that is unborn. Hidden refs are
 * left out, and so are symrefs to them.
 */
#ifndef PACKHORSE_ADVERT_INT_H
#define PACKHORSE_ADVERT_INT_H

#include "out_int.h"
#include "visible_int.h"

#include <packhorse/store.h>

#define PH_ADVERT_CAPS_MAX 512u

struct ph__advert_options {
	struct ph_snapshot *snapshot; /* NULL: of a repository that is not there yet, so empty */
	const struct ph_config_list *hidden; /* refs that are not told of */
	enum ph_hash_algo algo;
	bool version1; /* "version 1" comes first */
	bool head;     /* HEAD first iff it resolves; and the symref capability */
	bool peeled;
	bool shallow;
	/* The capability list without leading space: caps, then " symref=HEAD:x" (with head, when
	 * HEAD is a symref that resolves), then a space and caps_tail, which may be "". */
	const char *caps;
	const char *caps_tail;
};

struct ph__advert {
	enum ph__advert_state {
		PH__ADVERT_BEGIN,
		PH__ADVERT_HEAD,
		PH__ADVERT_REFS,
		PH__ADVERT_SHALLOW,
		PH__ADVERT_END,
		PH__ADVERT_DONE
	} state;
	struct ph__advert_options options;
	char caps[PH_ADVERT_CAPS_MAX];
	char caps_tail[PH_ADVERT_CAPS_MAX];
	char symref[PH_REF_NAME_MAX + 1]; /* what HEAD names; "" for none */
	bool caps_sent;
	struct ph_ref_iter *iter;
	uint32_t shallow_at;
	uint32_t refs;     /* that were looked at so far */
	struct ph_ref ref; /* scratch */
};

/* Copies the options (the capability lists too); snapshot and hidden must outlive it. Allocates
 * nothing. */
void ph__advert_init(struct ph__advert *advert, const struct ph__advert_options *options);
/*
 * Writes as much as fits: PH_OK all is written, the flush too; PH_PENDING output is full; PH_AGAIN
 * budget spent; errors of the store and PH_ERR_NOMEM (nothing more may be written then but ERR).
 */
enum ph_status ph__advert_step(struct ph__advert *advert, struct ph_session *session,
                               uint32_t *budget);
void ph__advert_release(struct ph__advert *advert);

#endif
