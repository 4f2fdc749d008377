/* SPDX-License-Identifier: MIT */
/*
 * From a request to the session that serves it. What somebody may not do, or what is not there, is
 * a session as well: one that says so. Whether a repository exists is told only to those who may
 * read.
 */
#include <packhorse/admin.h>
#include <packhorse/receive_pack.h>
#include <packhorse/upload_archive.h>
#include <packhorse/upload_pack.h>

static enum ph_status refuse(struct ph_session **out, const struct ph_service *service,
                             const char *text)
{
	return ph_refusal_new(out, service, true, 128, text);
}

static enum ph_status open_other(struct ph_session **out, const struct ph_service *service,
                                 const struct ph_request *request)
{
	if (service->permission == PH_PERM_NONE)
		return ph_refusal_new(out, service, false, 1, "access denied");
	if (request->argc == 0)
		return ph_greeting_new(out, service);
	return ph_admin_new(out, service, request->argc, request->argv);
}

enum ph_status ph_service_open(struct ph_session **out, const struct ph_service *service,
                               const struct ph_request *request)
{
	if (request->kind == PH_REQUEST_OTHER)
		return open_other(out, service, request);
	if (service->permission == PH_PERM_NONE)
		return refuse(out, service, "access denied");
	switch (request->kind) {
	case PH_REQUEST_UPLOAD_PACK:
		return ph_upload_pack_new(out, service, request->repo, request->version);
	case PH_REQUEST_RECEIVE_PACK:
		return ph_receive_pack_new(out, service, request->repo, request->version);
	case PH_REQUEST_UPLOAD_ARCHIVE:
		return ph_upload_archive_new(out, service, request->repo);
	case PH_REQUEST_OTHER:
	default:
		return refuse(out, service, "no such service");
	}
}
