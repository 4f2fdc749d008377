/* SPDX-License-Identifier: MIT */
/*
 * Packhorse: the server side of Git's smart protocol as a library. This header is for embedders; it
 * brings all that one needs:
 *
 *   1. a store: ph_store_mem_new, or ph_store_disk_open over a device (store.h says what it
 * promises)
 *   2. for each client a request (ph_request_parse) and a session for it (ph_service_open)
 *   3. a loop that moves bytes and calls ph_session_run (session.h shows it)
 *
 * examples/embed.c does all three with poll, read and write. base.h states the conventions.
 */
#ifndef PACKHORSE_PACKHORSE_H
#define PACKHORSE_PACKHORSE_H

#include <packhorse/admin.h>
#include <packhorse/device.h>
#include <packhorse/maintenance.h>
#include <packhorse/receive_pack.h>
#include <packhorse/service.h>
#include <packhorse/session.h>
#include <packhorse/store.h>
#include <packhorse/store_disk.h>
#include <packhorse/store_mem.h>
#include <packhorse/upload_archive.h>
#include <packhorse/upload_pack.h>

#endif
