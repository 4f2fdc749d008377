/* SPDX-License-Identifier: MIT */
/*
 * git-upload-pack as a session: fetch and clone, protocols 0, 1 (gitprotocol-pack) and 2
 * (gitprotocol-v2).
 *
 * What is built: advertisement with peeled tags and HEAD's symref, ls-refs with unborn, wants
 * checked against what the client may see, multi_ack_detailed, plain deepen, thin-pack, ofs-delta,
 * both side-bands, include-tag, filter blob:none, both object formats. What is not is not
 * advertised, but for one thing: version 2's "shallow" feature stands for deepen-since, deepen-not
 * and deepen-relative too, and cannot be advertised for plain deepen alone. Those three are
 * answered with an ERR that names them.
 *
 * A want is good if it is a ref's value in the snapshot that the client saw last or in the
 * repository now; over version 2 also when it is reachable from one. In 2 the snapshot of the last
 * ls-refs is kept, so a force-push between ls-refs and fetch breaks no clone.
 */
#ifndef PACKHORSE_UPLOAD_PACK_H
#define PACKHORSE_UPLOAD_PACK_H

#include <packhorse/service.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A session on a repository. version as in struct ph_request. A repository that is not there, or
 * may not be read, gives a session that says so (ERR) and exits with 128. PH_ERR_NOMEM.
 */
PH_MUST_CHECK PH_API enum ph_status ph_upload_pack_new(struct ph_session **out,
                                                       const struct ph_service *service,
                                                       const char *repo, int version);

#ifdef __cplusplus
}
#endif
#endif
