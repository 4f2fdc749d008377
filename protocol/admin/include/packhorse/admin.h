/* SPDX-License-Identifier: MIT */
/*
 * Owner commands as sessions: repo create NAME [--object-format=sha256], repo list,
 * repo head NAME [BRANCH], repo delete NAME, backup, help. And sessions that only say something.
 */
#ifndef PACKHORSE_ADMIN_H
#define PACKHORSE_ADMIN_H

#include <packhorse/service.h>

#ifdef __cplusplus
extern "C" {
#endif

/* argv is copied. help and repo list are for everybody who may read; the rest is the owner's. */
PH_MUST_CHECK PH_API enum ph_status ph_admin_new(struct ph_session **out,
                                                 const struct ph_service *service, unsigned argc,
                                                 const char *const *argv);
/* What a connection without a command gets: a greeting on stdout, exit status 1. */
PH_MUST_CHECK PH_API enum ph_status ph_greeting_new(struct ph_session **out,
                                                    const struct ph_service *service);
/* A refusal: text as a pkt-line ERR on stdout when a git client asked, and on stderr; then status.
 */
PH_MUST_CHECK PH_API enum ph_status ph_refusal_new(struct ph_session **out,
                                                   const struct ph_service *service,
                                                   bool git_client, int exit_status,
                                                   const char *text);
/* Returns its input byte for byte: the smallest proof of a transport. */
PH_MUST_CHECK PH_API enum ph_status ph_echo_new(struct ph_session **out,
                                                const struct ph_service *service);

#ifdef __cplusplus
}
#endif
#endif
