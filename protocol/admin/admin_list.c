/* SPDX-License-Identifier: MIT */
/*
 * repo list: a line for each repository in the order of their names, four fields between tabs,
 * which no name can contain. It goes from name to name and holds one snapshot at a time, so any
 * number of repositories costs one buffer, and one that is made or deleted meanwhile disturbs
 * nothing.
 */
#include "admin_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void close_repo(struct admin *admin)
{
	ph_ref_iter_free(admin->refs);
	ph_snapshot_release(admin->snapshot);
	admin->refs = NULL;
	admin->snapshot = NULL;
}

/* One that cannot be read is listed as such, and the others are listed all the same. */
static enum ph_status print_damaged(struct admin *admin, enum ph_status status)
{
	char name[ADMIN_ESCAPED_BYTES], line[PH_REPO_NAME_MAX * 4 + 64];

	close_repo(admin);
	if (!*admin->repo || (status != PH_ERR_CORRUPT && status != PH_ERR_IO))
		return status;
	admin->damaged = true;
	snprintf(line, sizeof(line), "%s\tdamaged\t-\t0\n", ph__admin_escape(name, admin->repo));
	ph__admin_print(admin, line);
	ph__session_error_line(&admin->session, "%s: %s; see: scrub", name, ph_status_text(status));
	return PH_OK;
}

/* PH_END behind the last; PH_AGAIN when the next one went away before it could be looked at. */
static enum ph_status open_next(struct admin *admin)
{
	struct ph_store *store = admin->session.service.store;
	char next[PH_REPO_NAME_MAX + 1];
	enum ph_status status = ph_store_next_repo(store, admin->repo, next);

	if (status != PH_OK)
		return status;
	memcpy(admin->repo, next, sizeof(next));
	status = ph_store_snapshot(store, next, &admin->snapshot);
	if (status == PH_ERR_NOT_FOUND)
		return PH_AGAIN;
	admin->ref_count = 0;
	if (status == PH_OK)
		status = ph_snapshot_refs(admin->snapshot, "refs/", &admin->refs);
	return status == PH_OK ? PH_OK : print_damaged(admin, status);
}

static enum ph_status print_repo(struct admin *admin)
{
	char name[ADMIN_ESCAPED_BYTES], head[ADMIN_ESCAPED_BYTES], hex[PH_OID_HEX_MAX + 1];
	char line[PH_REPO_NAME_MAX * 4 + PH_REF_NAME_MAX * 4 + 64];
	struct ph_ref ref;
	const char *value = "-";
	enum ph_status status = ph_snapshot_ref(admin->snapshot, "HEAD", &ref);

	if (status == PH_OK)
		value = *ref.target ? ref.target
		                    : ph_oid_to_hex(hex, admin->snapshot->algo, &ref.oid);
	else if (status != PH_ERR_NOT_FOUND)
		return status;
	snprintf(line, sizeof(line), "%s\t%s\t%s\t%" PRIu64 "\n",
	         ph__admin_escape(name, admin->repo), ph_hash_name(admin->snapshot->algo),
	         ph__admin_escape(head, value), admin->ref_count);
	ph__admin_print(admin, line);
	return PH_OK;
}

/* Counts the refs, then prints the line. */
static enum ph_status go_on(struct admin *admin, uint32_t *budget)
{
	struct ph_ref ref;
	enum ph_status status = PH_OK;

	while (status == PH_OK) {
		if (*budget == 0)
			return PH_AGAIN;
		ph_budget_spend(budget, 1);
		status = ph_ref_iter_next(admin->refs, &ref);
		admin->ref_count += status == PH_OK;
	}
	if (status == PH_END)
		status = print_repo(admin);
	if (status != PH_OK)
		return print_damaged(admin, status);
	close_repo(admin);
	return PH_OK;
}

enum ph_step ph__admin_list(struct admin *admin, uint32_t *budget)
{
	enum ph_status status = admin->refs ? go_on(admin, budget) : open_next(admin);

	if (status == PH_END)
		return ph__admin_end(admin, admin->damaged);
	return status < 0 ? ph__admin_fail(admin, status) : PH_STEP_AGAIN;
}
