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

#include "support.h"

#define IMAGE_BYTES (1u << 20)
#define CHANGES_MAX 64u
/* Nodes sealed again for one input: pointers may lead in circles. */
#define SEALS_MAX 500u

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

/* ---- making checksums right ---- */

struct seal {
	struct image *image;
	uint32_t left;
};

static uint8_t *block_at(struct seal *seal, uint64_t block)
{
	return block < IMAGE_BYTES / PH__BLOCK ? seal->image->data + block * PH__BLOCK : NULL;
}

static void seal_node(struct seal *seal, uint8_t *ptr, unsigned level, bool catalogue);

/* A pointer at a place in a block, and below it a tree of this height. */
static void seal_tree(struct seal *seal, uint8_t *ptr, unsigned height, bool catalogue)
{
	if (height > 0 && height <= 4)
		seal_node(seal, ptr, height - 1, catalogue);
}

static void seal_cell(struct seal *seal, uint8_t *cell, uint8_t *end, unsigned level,
                      bool catalogue)
{
	if (level > 0 && end - cell >= 22)
		seal_node(seal, cell + 2, level - 1, catalogue);
	if (level > 0 || !catalogue || end - cell < 5 || cell[4] != PH__KEY_REPO)
		return;
	uint32_t key_len = ph__get16(cell);
	uint8_t *value = cell + 4 + key_len;
	if (key_len < 4096 && end - value >= (ptrdiff_t)PH__RECORD_BYTES)
		seal_tree(seal, value + 60, value[2], false);
}

static void seal_node(struct seal *seal, uint8_t *ptr, unsigned level, bool catalogue)
{
	uint8_t *node = block_at(seal, ph__get64(ptr));
	if (!node || seal->left == 0)
		return;
	seal->left--;
	uint32_t count = ph__get16(node + 6);
	for (uint32_t i = 0; i < count && i < 400; i++) {
		uint32_t at = ph__get16(node + PH__NODE_HEADER + 2 * (size_t)i);
		if (at + 4 < PH__BLOCK)
			seal_cell(seal, node + at, node + PH__BLOCK, level, catalogue);
	}
	ph__put32(ptr + 16, ph_crc32(0, node, PH__BLOCK));
}

static void seal_map(struct seal *seal, uint8_t *super)
{
	uint32_t base = ph__get32(super + 124), used = ph__get32(super + 140);
	uint32_t bytes = ph__get32(super + 128);
	uint8_t *area = block_at(seal, ph__get64(super + 148));
	uint64_t start = ph__get64(super + 148);
	uint64_t room = IMAGE_BYTES / PH__BLOCK;
	if (!area || base > room || used > room || start + base + used > room ||
	    bytes > base * PH__BLOCK)
		return;
	uint32_t padded = (bytes + PH__BLOCK - 1) / PH__BLOCK * PH__BLOCK;
	ph__put32(super + 132, ph_crc32(0, area, padded));
	ph__put32(super + 144,
	          used ? ph_crc32(0, area + (size_t)base * PH__BLOCK, (size_t)used * PH__BLOCK)
	               : 0);
}

static void seal_image(struct image *image, uint32_t slot)
{
	struct seal seal = {image, SEALS_MAX};
	uint8_t *super = image->data + (size_t)slot * PH__BLOCK;
	seal_tree(&seal, super + 96, super[116], true);
	seal_map(&seal, super);
	ph__put32(super + PH__BLOCK - 4, ph_crc32(0, super, PH__BLOCK - 4));
}

static uint32_t newest_slot(const struct image *image)
{
	uint32_t best = 0;
	uint64_t epoch = 0;
	for (uint32_t slot = 0; slot < PH__RING_BLOCKS; slot++) {
		uint64_t found = ph__get64(image->data + (size_t)slot * PH__BLOCK + 56);
		if (found > epoch) {
			epoch = found;
			best = slot;
		}
	}
	return best;
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
	uint32_t slot = newest_slot(&image);
	bool sealed = size > 0 && data[0] & 1;
	for (size_t i = 0; i < CHANGES_MAX && 1 + 5 * (i + 1) <= size; i++) {
		const uint8_t *change_at = data + 1 + 5 * i;
		uint32_t block = ph__get16(change_at) % 128;
		/* The ring is 32 blocks, of which one matters. */
		block = block < PH__RING_BLOCKS ? slot : block;
		image.data[block * PH__BLOCK + ph__get16(change_at + 2) % PH__BLOCK] = change_at[4];
	}
	if (sealed)
		seal_image(&image, slot);
	options_init(&options, &limits);
	if (ph_store_disk_open(&store, &image.device, &options) != PH_OK)
		return 0;
	use_store(store);
	ph_store_close(store);
	return 0;
}
