/* SPDX-License-Identifier: MIT */
/* All that a store shows, as text: two stores that look the same have the same dump. */
#include "conformance_int.h"

#include <stdlib.h>

/* Settings cannot be listed: these are the keys that tests use. */
static const char *const keys[] = {"description", "owner", "empty", "large",
                                   "host-key",    "k0",    "k1"};

static void dump_setting(struct ph_test_buf *out, enum ph_status status, const char *key,
                         const void *data, size_t len)
{
	if (status == PH_ERR_NOT_FOUND)
		return;
	assert_status(status, PH_OK);
	ph_test_buf_print(out, "setting %s %u %08x\n", key, (unsigned)len,
	                  (unsigned)ph_crc32(0, data, len));
}

static void dump_bytes(struct ph_test_buf *out, const char *what, uint32_t number,
                       const struct ph_bytes *bytes)
{
	uint8_t buf[4096];
	uint32_t crc = 0;
	for (uint64_t at = 0; at < bytes->size;) {
		uint64_t left = bytes->size - at;
		size_t part = left < sizeof(buf) ? (size_t)left : sizeof(buf);
		assert_status(bytes->read(bytes, at, buf, part), PH_OK);
		crc = ph_crc32(crc, buf, part);
		at += part;
	}
	ph_test_buf_print(out, "%s %u %llu %08x\n", what, (unsigned)number,
	                  (unsigned long long)bytes->size, (unsigned)crc);
}

static void dump_refs(struct ph_test_buf *out, struct ph_snapshot *snapshot)
{
	char hex[PH_OID_HEX_MAX + 1], peeled[PH_OID_HEX_MAX + 1];
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	enum ph_status status;
	assert_status(ph_snapshot_refs(snapshot, "", &iter), PH_OK);
	while ((status = ph_ref_iter_next(iter, &ref)) == PH_OK)
		ph_test_buf_print(out, "ref %s %s %s %s\n", ref.name, ref.target,
		                  ph_oid_to_hex(hex, snapshot->algo, &ref.oid),
		                  ph_oid_to_hex(peeled, snapshot->algo, &ref.peeled));
	assert_status(status, PH_END);
	ph_ref_iter_free(iter);
}

static void dump_packs(struct ph_test_buf *out, struct ph_snapshot *snapshot)
{
	const struct ph_source *source = ph_snapshot_source(snapshot);
	uint32_t packs = source->ops->packs(source);
	for (uint32_t pack = 0; pack < packs; pack++) {
		uint32_t entries;
		uint64_t bytes;
		source->ops->pack_size(source, pack, &entries, &bytes);
		ph_test_buf_print(out, "pack %llu %u %llu\n",
		                  (unsigned long long)ph_snapshot_pack_id(snapshot, pack),
		                  (unsigned)entries, (unsigned long long)bytes);
		for (uint32_t section = 0; section <= PH_SECTION_MAX; section++) {
			const struct ph_bytes *found = ph_snapshot_section(snapshot, pack, section);
			if (found)
				dump_bytes(out, "section", section, found);
		}
	}
}

static void dump_meta(struct ph_test_buf *out, struct ph_snapshot *snapshot, uint8_t *buf)
{
	char hex[PH_OID_HEX_MAX + 1];
	const struct ph_oid *shallow;
	uint32_t count = ph_snapshot_shallow(snapshot, &shallow);
	for (uint32_t i = 0; i < count; i++)
		ph_test_buf_print(out, "shallow %s\n",
		                  ph_oid_to_hex(hex, snapshot->algo, &shallow[i]));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t len = PH_SETTING_BYTES_MAX;
		enum ph_status status = ph_snapshot_setting(snapshot, keys[i], buf, &len);
		dump_setting(out, status, keys[i], buf, len);
	}
	for (uint64_t i = 0; i < ph_snapshot_log_count(snapshot); i++) {
		size_t len = PH_SETTING_BYTES_MAX;
		assert_status(ph_snapshot_log_read(snapshot, i, buf, &len), PH_OK);
		ph_test_buf_print(out, "log %u %08x\n", (unsigned)len,
		                  (unsigned)ph_crc32(0, buf, len));
	}
}

void ph__conf_dump(struct ph_store *store, struct ph_test_buf *out)
{
	char name[PH_REPO_NAME_MAX + 1], after[PH_REPO_NAME_MAX + 1] = "";
	uint8_t *buf = malloc(PH_SETTING_BYTES_MAX);
	enum ph_status status;
	assert_non_null(buf);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t len = PH_SETTING_BYTES_MAX;
		status = ph_store_setting_get(store, keys[i], buf, &len);
		dump_setting(out, status, keys[i], buf, len);
	}
	while ((status = ph_store_next_repo(store, after, name)) == PH_OK) {
		struct ph_snapshot *snapshot;
		assert_status(ph_store_snapshot(store, name, &snapshot), PH_OK);
		assert_string_equal(snapshot->name, name);
		assert_ptr_equal(snapshot->store, store);
		ph_test_buf_print(out, "repository %s %s\n", name, ph_hash_name(snapshot->algo));
		dump_refs(out, snapshot);
		dump_packs(out, snapshot);
		dump_meta(out, snapshot, buf);
		ph_snapshot_release(snapshot);
		memcpy(after, name, sizeof(after));
	}
	assert_status(status, PH_END);
	/* Ends the text, so that it can be shown. */
	ph_test_buf_append(out, "", 1);
	free(buf);
}

void ph__conf_expect_dump(struct conf *c, const struct ph_test_buf *dump)
{
	struct ph_test_buf now = {0};
	ph__conf_dump(c->store, &now);
	if (now.len != dump->len || memcmp(now.data, dump->data, now.len) != 0) {
		print_error("was:\n%.2000s\nis:\n%.2000s\n", (const char *)dump->data,
		            (const char *)now.data);
		fail();
	}
	ph_test_buf_release(&now);
}
