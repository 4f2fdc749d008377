/* SPDX-License-Identifier: MIT */
/*
 * git-upload-archive as a session: what `git archive --remote` talks to.
 *
 *   client   argument <arg> LF (at most 64), flush
 *   server   ACK LF or NACK <reason> LF, flush, then bands: 1 the archive, 2 what git prints on its
 *            error stream, 3 that it failed; flush
 *
 * Formats are tar, tgz, tar.gz and zip, byte for byte what git writes. A tree is named by a ref
 * that the client may see, or by a path in one ("main:doc"); ids and "main^" only where the
 * configuration has uploadarchive.allowUnreachable.
 *
 * Attributes come from the .gitattributes of the tree: export-ignore, export-subst, text, eol,
 * crlf, ident, diff (for zip), and macros. export-subst expands the placeholders of git's pretty
 * formats that need nothing but the commit and the refs; all others stay as they are: signatures,
 * notes, trailers, %(describe). There is no mailmap, no filter, and no working-tree-encoding.
 */
#ifndef PACKHORSE_UPLOAD_ARCHIVE_H
#define PACKHORSE_UPLOAD_ARCHIVE_H

#include <packhorse/service.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A session on a repository. One that is not there, or may not be read, gives a session that says
 * so (NACK) and exits with 128. PH_ERR_NOMEM.
 */
PH_MUST_CHECK PH_API enum ph_status
ph_upload_archive_new(struct ph_session **out, const struct ph_service *service, const char *repo);

#ifdef __cplusplus
}
#endif
#endif
