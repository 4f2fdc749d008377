/* SPDX-License-Identifier: MIT */
/*
 * Objects and special blobs of any bytes. The first byte says which kind; bit 7 means SHA-256. What
 * is let through must be what the parsers can read, since the walks rely on that.
 */
#include <packhorse/fsck.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct worst {
	enum ph_fsck_severity severity;
};

static void report(void *user, enum ph_fsck_severity severity, const char *id)
{
	struct worst *worst = user;

	if (strlen(id) == 0)
		abort();
	if (severity > worst->severity)
		worst->severity = severity;
}

static enum ph_status special(void *user, enum ph_fsck_blob_kind kind, const struct ph_oid *oid)
{
	(void)user;
	(void)oid;
	if (kind != PH_FSCK_GITMODULES && kind != PH_FSCK_GITATTRIBUTES)
		abort();
	return PH_OK;
}

static void check_readable(enum ph_hash_algo algo, enum ph_object_type type, const void *data,
                           size_t size)
{
	struct ph_commit commit;
	struct ph_tag tag;
	struct ph_tree_iter iter;
	struct ph_tree_entry entry;
	enum ph_status status = PH_OK;

	if (type == PH_OBJ_COMMIT)
		status = ph_commit_parse(&commit, algo, data, size);
	if (type == PH_OBJ_TAG)
		status = ph_tag_parse(&tag, algo, data, size);
	if (type == PH_OBJ_TREE) {
		ph_tree_iter_init(&iter, algo, data, size);
		while ((status = ph_tree_iter_next(&iter, &entry)) == PH_OK) {
		}
		status = status == PH_END ? PH_OK : status;
	}
	if (status != PH_OK)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct worst worst = {PH_FSCK_OK};
	struct ph_fsck fsck = {.user = &worst, .report = report, .special = special};
	enum ph_object_type type;
	enum ph_status status;
	unsigned kind;

	if (size == 0)
		return 0;
	fsck.algo = (data[0] & 0x80) != 0 ? PH_HASH_SHA256 : PH_HASH_SHA1;
	kind = (data[0] & 0x0f) % 6;
	data++;
	size--;
	if (kind < 4) {
		type = (enum ph_object_type)(PH_OBJ_COMMIT + kind);
		status = ph_fsck_object(&fsck, type, data, size);
		if (status == PH_OK)
			check_readable(fsck.algo, type, data, size);
	} else {
		status = ph_fsck_blob(&fsck, kind == 4 ? PH_FSCK_GITMODULES : PH_FSCK_GITATTRIBUTES,
		                      PH_OBJ_BLOB, data, size);
	}
	if ((status == PH_ERR_FSCK) != (worst.severity == PH_FSCK_ERROR))
		abort();
	return 0;
}
