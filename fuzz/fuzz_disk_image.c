/* SPDX-License-Identifier: MIT */
/*
 * A damaged store on disk. The input is a list of changes to a small good image: 5 bytes each,
 * block, offset and value. Where the first byte is odd all checksums are made right again
 * afterwards, so that the parsers behind them see the damage. The store may refuse to open or find
 * fault with anything; it must not crash, hang, or read out of the device.
 */
#include "../store/disk/disk_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk_seal.h"
#include "support.h"

#define IMAGE_BYTES (1u << 20)
#define CHANGES_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct image {
	struct ph_device device;
	uint8_t data[IMAGE_BYTES];
};

/* ---- the device ---- */

static void check_range(uint64_t offset, size_t len)
{
	if (offset > IMAGE_BYTES || len > IMAGE_BYTES - offset)
		abort();
}

static enum ph_status image_read(struct ph_device *device, uint64_t offset, void *buf, size_t len)
{
	check_range(offset, len);
	memcpy(buf, ((struct image *)device)->data + offset, len);
	return PH_OK;
}

static enum ph_status image_write(struct ph_device *device, uint64_t offset, const void *buf,
                                  size_t len)
{
	check_range(offset, len);
	memcpy(((struct image *)device)->data + offset, buf, len);
	return PH_OK;
}

static enum ph_status image_flush(struct ph_device *device)
{
	(void)device;
	return PH_OK;
}

static void image_close(struct ph_device *device)
{
	(void)device;
}

static const struct ph_device_ops image_ops = {
        .read = image_read,
        .write = image_write,
        .flush = image_flush,
        .close = image_close,
};

static enum ph_status image_random(void *user, void *buf, size_t len)
{
	(void)user;
	memset(buf, 5, len);
	return PH_OK;
}

/* ---- a good image ---- */

static void must(enum ph_status status)
{
	if (status != PH_OK)
		abort();
}

static void push(struct ph_store *store, const char *name, uint32_t number)
{
	struct ph_snapshot *snapshot;
	struct ph_txn *txn;
	struct ph_test_pack pack;
	struct ph_test_buf index = {0};
	struct ph_sink *sink;
	uint32_t handle, change;
	char ref[32];
	uint8_t large[3000] = {1};
	must(ph_store_snapshot(store, name, &snapshot));
	must(ph_store_begin(store, snapshot, &txn));
	ph_snapshot_release(snapshot);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	ph_test_pack_add(&pack, PH_OBJ_BLOB, &number, sizeof(number));
	ph_test_pack_index(&pack, &index);
	must(ph_txn_pack_begin(txn, &handle));
	must(ph_txn_sink(txn, handle, PH_SECTION_RUN, &sink));
	must(sink->ops->append(sink, pack.run.data, pack.run.len));
	must(ph_txn_sink(txn, handle, PH_SECTION_INDEX, &sink));
	must(sink->ops->append(sink, index.data, index.len));
	must(ph_txn_pack_end(txn, handle));
	for (uint32_t i = 0; i < 150; i++) {
		snprintf(ref, sizeof(ref), "refs/heads/%u-%u", (unsigned)number, (unsigned)i);
		must(ph_txn_ref_update(txn, ref, NULL, &pack.entries[0].oid, NULL, &change));
	}
	must(ph_txn_set_setting(txn, "large", large, sizeof(large)));
	must(ph_txn_set_shallow(txn, &pack.entries[0].oid, 1));
	must(ph_txn_log(txn, "a line", 6));
	must(ph_txn_commit(txn, NULL, NULL));
	ph_txn_free(txn);
	ph_test_buf_release(&index);
	ph_test_pack_release(&pack);
}

static void options_init(struct ph_store_disk_options *options, struct ph_limits *limits)
{
	ph_limits_init(limits);
	memset(options, 0, sizeof(*options));
	options->alloc = ph_alloc_libc();
	options->limits = limits;
	options->random = image_random;
	options->cache_bytes = 64 << 10;
}

static void make_image(struct image *image)
{
	struct ph_store_disk_options options;
	struct ph_limits limits;
	struct ph_store *store;
	struct ph_txn *txn;
	options_init(&options, &limits);
	image->device.ops = &image_ops;
	image->device.bytes = IMAGE_BYTES;
	image->device.block_bytes = 4096;
	must(ph_store_disk_format(&image->device, &options));
	must(ph_store_disk_open(&store, &image->device, &options));
	must(ph_store_setting_set(store, "host-key", "secret", 6));
	must(ph_store_create(store, "a", PH_HASH_SHA1, &txn));
	must(ph_txn_commit(txn, NULL, NULL));
	ph_txn_free(txn);
	push(store, "a", 1);
	push(store, "a", 2);
	ph_store_close(store);
}

/* ---- using what came of it ---- */

static void ignore_line(void *user, const char *line)
{
	(void)user;
	if (strlen(line) > 2000)
		abort();
}

static void check(struct ph_store *store)
{
	enum ph_status status = ph_store_disk_check(store, NULL, ignore_line);
	if (status != PH_OK && status != PH_ERR_CORRUPT)
		abort();
}

static void read_snapshot(struct ph_snapshot *snapshot)
{
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	uint8_t buf[4096];
	size_t len = sizeof(buf);
	const struct ph_oid *shallow;
	if (ph_snapshot_refs(snapshot, "", &iter) == PH_OK) {
		while (ph_ref_iter_next(iter, &ref) == PH_OK)
			;
		ph_ref_iter_free(iter);
	}
	(void)ph_snapshot_shallow(snapshot, &shallow);
	(void)ph_snapshot_setting(snapshot, "large", buf, &len);
	len = sizeof(buf);
	(void)ph_snapshot_log_read(snapshot, 0, buf, &len);
	const struct ph_source *source = ph_snapshot_source(snapshot);
	for (uint32_t i = 0; i < source->ops->packs(source); i++) {
		uint32_t entries;
		uint64_t bytes;
		source->ops->pack_size(source, i, &entries, &bytes);
		for (uint64_t at = 0; at < bytes && at < 100000; at += sizeof(buf)) {
			uint64_t left = bytes - at;
			(void)source->ops->read(source, i, at, buf,
			                        left < sizeof(buf) ? (size_t)left : sizeof(buf));
		}
	}
}

static void change(struct ph_store *store, struct ph_snapshot *snapshot, bool delete_repo)
{
	struct ph_txn *txn;
	struct ph_oid oid;
	uint32_t number;
	if (ph_store_begin(store, snapshot, &txn) != PH_OK)
		return;
	memset(&oid, 0, sizeof(oid));
	oid.bytes[0] = 1;
	for (uint32_t i = 0; i < 60; i++) {
		char ref[32];
		snprintf(ref, sizeof(ref), "refs/heads/1-%u", (unsigned)(2 * i));
		if (i % 3 == 0)
			memset(&oid, 0, sizeof(oid));
		else
			oid.bytes[0] = (uint8_t)i;
		(void)ph_txn_ref_update(txn, ref, NULL, &oid, NULL, &number);
	}
	(void)ph_txn_log(txn, "another", 7);
	(void)ph_txn_set_setting(txn, "large", NULL, 0);
	if (delete_repo)
		(void)ph_txn_delete_repo(txn);
	(void)ph_txn_commit(txn, NULL, NULL);
	ph_txn_free(txn);
}

static void use_store(struct ph_store *store)
{
	char name[PH_REPO_NAME_MAX + 1] = "", before[PH_REPO_NAME_MAX + 1] = "";
	struct ph_snapshot *snapshot;
	check(store);
	for (uint32_t i = 0; i < 50 && ph_store_next_repo(store, before, name) == PH_OK; i++) {
		/* A damaged catalogue may lead back; a reader would stop for that, too. */
		if (strcmp(before, name) >= 0)
			break;
		memcpy(before, name, sizeof(before));
		if (ph_store_snapshot(store, name, &snapshot) != PH_OK)
			continue;
		read_snapshot(snapshot);
		change(store, snapshot, false);
		ph_snapshot_release(snapshot);
		if (ph_store_snapshot(store, name, &snapshot) != PH_OK)
			continue;
		change(store, snapshot, true);
		ph_snapshot_release(snapshot);
	}
	(void)ph_store_setting_set(store, "host-key", "other", 5);
	check(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct image good;
	static struct image image;
	struct ph_store_disk_options options;
	struct ph_limits limits;
	struct ph_store *store;
	if (!good.device.ops)
		make_image(&good);
	memcpy(&image, &good, sizeof(image));
	uint32_t slot = disk_newest_slot(image.data, sizeof(image.data));
	bool sealed = size > 0 && data[0] & 1;
	for (size_t i = 0; i < CHANGES_MAX && 1 + 5 * (i + 1) <= size; i++) {
		const uint8_t *change_at = data + 1 + 5 * i;
		uint32_t block = ph__get16(change_at) % 128;
		/* The ring is 32 blocks, of which one matters. */
		block = block < PH__RING_BLOCKS ? slot : block;
		image.data[block * PH__BLOCK + ph__get16(change_at + 2) % PH__BLOCK] = change_at[4];
	}
	if (sealed)
		disk_seal(image.data, sizeof(image.data), slot);
	options_init(&options, &limits);
	if (ph_store_disk_open(&store, &image.device, &options) != PH_OK)
		return 0;
	use_store(store);
	ph_store_close(store);
	return 0;
}
