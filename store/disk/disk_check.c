/* SPDX-License-Identifier: MIT */
/*
 * The whole check at once (disk_scrub.c): of a store in use, while no commit runs, with findings as
 * lines; and of what late epochs wrote, to decide at opening whether an epoch can be believed.
 */
#include "disk_scrub_int.h"

/* Bytes between two looks at nothing in particular: it goes through to the end. */
#define STEP_BYTES (1u << 20)

static enum ph_status run(struct ph__scrub *scrub)
{
	enum ph_status status;
	do
		status = ph_scrub_step(&scrub->scrub, STEP_BYTES);
	while (status == PH_AGAIN);
	return status;
}

enum ph_status ph__disk_verify(struct ph__disk *disk, const struct ph__super *super,
                               uint64_t min_epoch)
{
	static const struct ph_scrub_options options = {.found = NULL};
	struct ph__scrub *scrub;
	enum ph_status status = ph__scrub_new(&scrub, disk, &options);
	if (status != PH_OK)
		return status;
	scrub->fixed = scrub->first = true;
	scrub->min_epoch = min_epoch;
	scrub->super = *super;
	scrub->catalogue.tree = ph__super_tree(&scrub->super);
	scrub->stage = PH__SCRUB_TREES;
	status = run(scrub);
	ph__scrub_free(scrub);
	return status;
}

struct lines {
	void *user;
	void (*report)(void *user, const char *line);
};

static void found(void *user, const struct ph_finding *finding)
{
	const struct lines *lines = user;
	char line[PH_FINDING_LINE_MAX];
	ph_finding_line(finding, line, sizeof(line));
	if (lines->report)
		lines->report(lines->user, line);
}

enum ph_status ph_store_disk_check(struct ph_store *store, void *user,
                                   void (*report)(void *user, const char *line))
{
	struct ph__disk *disk = ph__disk_of(store);
	struct lines lines = {user, report};
	const struct ph_scrub_options options = {.user = &lines, .found = found, .exclusive = true};
	struct ph__scrub *scrub;
	/* No commit meanwhile; reading goes on. */
	ph__lock(disk->sync, disk->commit);
	enum ph_status status = ph__scrub_new(&scrub, disk, &options);
	if (status == PH_OK) {
		status = run(scrub);
		ph__scrub_free(scrub);
	}
	ph__unlock(disk->sync, disk->commit);
	return status;
}
