/* SPDX-License-Identifier: MIT */
/*
 * A store on a device: formatting, opening, closing, and the operations of the store itself. What
 * the bytes on the device mean is in SPEC.md, how the parts hang together in disk_int.h.
 */
#include "disk_copy_int.h"

#include <assert.h>
#include <string.h>

#define BLANK_BYTES 65536u
#define DEVICE_BYTES_MIN ((uint64_t)1 << 20)
#define TABLE_BUCKETS 1024u

static const char unfinished[] = PH_STORE_DISK_UNFINISHED;

/* ---- making and freeing the object ---- */

static enum ph_status mutex_new(struct ph__disk *disk, void **out)
{
	return disk->sync ? disk->sync->mutex_new(disk->sync->user, out) : PH_OK;
}

static void mutex_free(struct ph__disk *disk, void *mutex)
{
	if (disk->sync && mutex)
		disk->sync->mutex_free(disk->sync->user, mutex);
}

/* Everything but the device. */
static void disk_free(struct ph__disk *disk)
{
	ph__repo_free_all(disk);
	while (disk->catalogues.oldest) {
		struct ph__view *next = disk->catalogues.oldest->newer;
		ph__freed_discard(disk, &disk->catalogues.oldest->freed);
		ph_mem_free(disk->alloc, disk->catalogues.oldest);
		disk->catalogues.oldest = next;
	}
	ph__freed_discard(disk, &disk->pending);
	ph__extents_release(disk->alloc, &disk->ahead);
	assert(!disk->pins && !disk->held.first);
	ph_mem_free(disk->alloc, disk->table);
	if (disk->cache.alloc)
		ph__disk_cache_release(&disk->cache);
	if (disk->map.alloc)
		ph__map_release(&disk->map);
	if (disk->io.device)
		ph__io_release(&disk->io);
	mutex_free(disk, disk->commit);
	mutex_free(disk, disk->gates[0]);
	mutex_free(disk, disk->gates[1]);
	mutex_free(disk, disk->load);
	mutex_free(disk, disk->lock);
	ph_mem_free(disk->alloc, disk);
}

static enum ph_status init_parts(struct ph__disk *disk, struct ph_device *device,
                                 uint64_t cache_bytes)
{
	enum ph_status status = ph__io_init(&disk->io, device, disk->sync);
	if (status == PH_OK)
		status = ph__map_init(&disk->map, disk->alloc, &disk->io, disk->sync);
	if (status == PH_OK)
		status = ph__disk_cache_init(&disk->cache, disk->alloc, disk->sync, cache_bytes);
	if (status == PH_OK)
		status = mutex_new(disk, &disk->commit);
	for (uint32_t i = 0; i < 2 && status == PH_OK; i++)
		status = mutex_new(disk, &disk->gates[i]);
	if (status == PH_OK)
		status = mutex_new(disk, &disk->load);
	if (status == PH_OK)
		status = mutex_new(disk, &disk->lock);
	if (status != PH_OK)
		return status;
	disk->table = ph_mem_zalloc(disk->alloc, TABLE_BUCKETS, sizeof(*disk->table));
	disk->table_mask = TABLE_BUCKETS - 1;
	return disk->table ? PH_OK : PH_ERR_NOMEM;
}

static bool device_fits(const struct ph_device *device)
{
	uint32_t bytes = device->block_bytes;
	return bytes >= 512 && bytes <= PH__BLOCK && (bytes & (bytes - 1)) == 0;
}

static enum ph_status disk_new(struct ph__disk **out, struct ph_device *device,
                               const struct ph_store_disk_options *options)
{
	if (!device_fits(device))
		return PH_ERR_UNSUPPORTED;
	struct ph__disk *disk = ph_mem_zalloc(options->alloc, 1, sizeof(*disk));
	if (!disk)
		return PH_ERR_NOMEM;
	disk->alloc = options->alloc;
	disk->sync = options->sync;
	disk->log = options->log;
	disk->crc32 = options->crc32 ? options->crc32 : ph_crc32;
	disk->unpack = options->unpack;
	disk->why = options->why;
	disk->deferred = options->deferred;
	disk->limits_copy = *options->limits;
	disk->limits = &disk->limits_copy;
	atomic_init(&disk->durable, 0);
	atomic_init(&disk->sections, 1);
	enum ph_status status = init_parts(disk, device, options->cache_bytes);
	if (status != PH_OK) {
		disk_free(disk);
		return status;
	}
	*out = disk;
	return PH_OK;
}

/* ---- formatting ---- */

static enum ph_status check_blank(struct ph__disk *disk)
{
	uint64_t blocks = atomic_load(&disk->io.blocks);
	uint32_t count = BLANK_BYTES / PH__BLOCK;
	if (count > blocks)
		count = (uint32_t)blocks;
	if (count == 0)
		return PH_OK;
	uint8_t *data = ph_mem_alloc(disk->alloc, BLANK_BYTES);
	if (!data)
		return PH_ERR_NOMEM;
	enum ph_status status = ph__io_read(&disk->io, 0, count, data);
	if (status == PH_OK && memcmp(data, unfinished, sizeof(unfinished)) == 0)
		memset(data, 0, sizeof(unfinished));
	for (size_t i = 0; i < (size_t)count * PH__BLOCK && status == PH_OK; i++)
		if (data[i] != 0)
			status = PH_ERR_EXISTS;
	ph_mem_free(disk->alloc, data);
	return status;
}

/* The mark is where the second superblock comes. */
static enum ph_status clear_ring(struct ph__disk *disk)
{
	uint8_t *ring = ph_mem_zalloc(disk->alloc, PH__RING_BLOCKS, PH__BLOCK);
	if (!ring)
		return PH_ERR_NOMEM;
	memcpy(ring, unfinished, sizeof(unfinished));
	enum ph_status status = ph__io_write(&disk->io, 0, PH__RING_BLOCKS, ring);
	ph_mem_free(disk->alloc, ring);
	return status == PH_OK ? ph__io_flush(&disk->io) : status;
}

/*
 * Two superblocks: the first in the last slot, the second in the first. If the power goes in
 * between, the device either opens or is still blank, and never neither.
 */
static enum ph_status write_first(struct ph__disk *disk, struct ph__batch *batch)
{
	enum ph_status status = ph__space_prepare(batch);
	batch->super.unflushed = !disk->io.device->ops->flush;
	if (status == PH_OK)
		status = ph__batch_write(batch);
	if (status == PH_OK)
		status = ph__io_flush(&disk->io);
	for (uint32_t i = 0; i < 2 && status == PH_OK; i++) {
		status = ph__super_write(disk, &batch->super);
		if (status == PH_OK)
			status = ph__io_flush(&disk->io);
		batch->super.epoch++;
	}
	return status;
}

static enum ph_status format(struct ph__disk *disk, const struct ph_store_disk_options *options)
{
	enum ph_status status = check_blank(disk);
	uint64_t blocks = atomic_load(&disk->io.blocks), least = DEVICE_BYTES_MIN / PH__BLOCK;
	if (status == PH_OK && blocks < least)
		status = ph__io_grow(&disk->io, least - blocks);
	if (status == PH_OK)
		status = options->random(options->user, disk->super.id, sizeof(disk->super.id));
	if (status == PH_OK)
		status = ph__map_cover(&disk->map, atomic_load(&disk->io.blocks));
	if (status == PH_OK)
		status = clear_ring(disk);
	if (status != PH_OK)
		return status;
	struct ph__batch batch;
	disk->super.next_repo = 1;
	disk->last_epoch = PH__RING_BLOCKS - 2;
	ph__batch_init(&batch, disk);
	status = write_first(disk, &batch);
	ph__batch_release(&batch, false);
	return status;
}

enum ph_status ph_store_disk_format(struct ph_device *device,
                                    const struct ph_store_disk_options *options)
{
	struct ph_store_disk_options alone = *options;
	struct ph__disk *disk;
	if (!options->random)
		return PH_ERR_INVALID;
	if (device->read_only)
		return PH_ERR_READ_ONLY;
	alone.sync = NULL;
	enum ph_status status = disk_new(&disk, device, &alone);
	if (status != PH_OK)
		return status;
	status = format(disk, options);
	disk_free(disk);
	return status;
}

/* ---- the operations ---- */

static void store_close(struct ph_store *store)
{
	struct ph__disk *disk = ph__disk_of(store);
	struct ph_device *device = disk->io.device;
	assert(!disk->queue && !disk->leading);
	disk_free(disk);
	device->ops->close(device);
}

static enum ph_status name_after(struct ph__cursor *cursor, const char *after, char *out)
{
	uint8_t key[PH__KEY_MAX];
	uint32_t len = ph__key_prefix(key, PH__KEY_REPO, after);
	struct ph__cell cell;
	enum ph_status status = ph__cursor_seek(cursor, key, len);
	if (status == PH_OK)
		status = ph__cursor_next(cursor, &cell);
	if (status == PH_OK && ph__key_cmp(cell.key, cell.key_len, key, len) == 0)
		status = ph__cursor_next(cursor, &cell);
	if (status != PH_OK)
		return status;
	if (cell.key[0] != PH__KEY_REPO)
		return PH_END;
	if (cell.key_len < 2 || cell.key_len - 1 > PH_REPO_NAME_MAX ||
	    memchr(cell.key + 1, 0, cell.key_len - 1))
		return PH_ERR_CORRUPT;
	memcpy(out, cell.key + 1, cell.key_len - 1);
	out[cell.key_len - 1] = '\0';
	return PH_OK;
}

static enum ph_status store_next_repo(struct ph_store *store, const char *after, char *out)
{
	struct ph__disk *disk = ph__disk_of(store);
	struct ph__catalogue *catalogue = ph__catalogue_pin(disk);
	struct ph__cursor cursor;
	enum ph_status status = ph__cursor_init(&cursor, disk, NULL, &catalogue->tree);
	if (status == PH_OK) {
		status = name_after(&cursor, after, out);
		ph__cursor_release(&cursor);
	}
	ph__catalogue_unpin(disk, catalogue);
	return status;
}

static enum ph_status store_snapshot(struct ph_store *store, const char *name,
                                     struct ph_snapshot **out)
{
	struct ph__state *state;
	if (!ph__name_fits(name, PH_REPO_NAME_MAX) || name[0] == '\0')
		return PH_ERR_NOT_FOUND;
	enum ph_status status = ph__repo_open(ph__disk_of(store), name, &state);
	if (status == PH_OK)
		*out = &state->snapshot;
	return status;
}

static enum ph_status store_begin(struct ph_store *store, struct ph_snapshot *base,
                                  struct ph_txn **out)
{
	struct ph__disk *disk = ph__disk_of(store);
	assert(base->store == store);
	if (ph__disk_read_only(disk))
		return PH_ERR_READ_ONLY;
	return ph__dtxn_new(disk, (struct ph__state *)base, NULL, base->algo, out);
}

/* A value of the catalogue; data is the caller's to free, NULL when it need not be known. */
static enum ph_status catalogue_get(struct ph__disk *disk, enum ph__space space, const char *name,
                                    uint8_t **data, uint32_t *data_len)
{
	uint8_t key[PH__KEY_MAX], value[PH__VALUE_MAX];
	uint32_t len, key_len = ph__key_name(key, space, name);
	struct ph__catalogue *catalogue = ph__catalogue_pin(disk);
	enum ph_status status =
	        ph__tree_get(disk, NULL, &catalogue->tree, key, key_len, value, &len);
	if (status == PH_OK && data)
		status = ph__value_load(disk, value, len, data, data_len);
	ph__catalogue_unpin(disk, catalogue);
	return status;
}

static enum ph_status store_create(struct ph_store *store, const char *name, enum ph_hash_algo algo,
                                   struct ph_txn **out)
{
	struct ph__disk *disk = ph__disk_of(store);
	size_t max = disk->limits->repo_name_bytes_max;
	if (!ph__name_fits(name, max < PH_REPO_NAME_MAX ? max : PH_REPO_NAME_MAX) ||
	    ph_repo_name_check(name, strlen(name)) != PH_OK)
		return PH_ERR_INVALID;
	if (algo != PH_HASH_SHA1 && algo != PH_HASH_SHA256)
		return PH_ERR_UNSUPPORTED;
	if (ph__disk_read_only(disk))
		return PH_ERR_READ_ONLY;
	enum ph_status status = catalogue_get(disk, PH__KEY_REPO, name, NULL, NULL);
	if (status != PH_ERR_NOT_FOUND)
		return status == PH_OK ? PH_ERR_EXISTS : status;
	ph__lock(disk->sync, disk->lock);
	bool full = disk->super.repos >= disk->limits->repos_max;
	ph__unlock(disk->sync, disk->lock);
	return full ? PH_ERR_LIMIT : ph__dtxn_new(disk, NULL, name, algo, out);
}

static enum ph_status store_setting_get(struct ph_store *store, const char *key, void *buf,
                                        size_t *len)
{
	struct ph__disk *disk = ph__disk_of(store);
	uint8_t *data;
	uint32_t data_len;
	if (ph__setting_check(key, NULL, 0) != PH_OK)
		return PH_ERR_NOT_FOUND;
	enum ph_status status = catalogue_get(disk, PH__KEY_SETTING, key, &data, &data_len);
	if (status != PH_OK)
		return status;
	status = ph__bytes_out(data, data_len, buf, len);
	ph_mem_free(disk->alloc, data);
	return status;
}

static enum ph_status store_setting_swap(struct ph_store *store, const char *key, const void *old,
                                         size_t old_len, const void *data, size_t len)
{
	struct ph__disk *disk = ph__disk_of(store);
	struct ph__request request = {.key = key,
	                              .data = data,
	                              .len = len,
	                              .swaps = true,
	                              .old = old,
	                              .old_len = old_len};
	enum ph_status status = ph__setting_check(key, data, len);
	if (status != PH_OK)
		return status;
	if (ph__disk_read_only(disk))
		return PH_ERR_READ_ONLY;
	return ph__commit(disk, &request, NULL, NULL);
}

static enum ph_status store_setting_set(struct ph_store *store, const char *key, const void *data,
                                        size_t len)
{
	struct ph__disk *disk = ph__disk_of(store);
	struct ph__request request = {.key = key, .data = data, .len = len};
	enum ph_status status = ph__setting_check(key, data, len);
	if (status != PH_OK)
		return status;
	if (ph__disk_read_only(disk))
		return PH_ERR_READ_ONLY;
	/* What is not there need not be deleted. */
	if (!data && catalogue_get(disk, PH__KEY_SETTING, key, NULL, NULL) == PH_ERR_NOT_FOUND)
		return PH_OK;
	return ph__commit(disk, &request, NULL, NULL);
}

/*
 * Free blocks lie in a file as blocks of its file system: those that are left there come on top.
 * Blocks that may be holes are among these, or not.
 */
static uint64_t store_space(struct ph_store *store)
{
	struct ph__disk *disk = ph__disk_of(store);
	struct ph_device *device = disk->io.device;
	ph__lock(disk->sync, disk->map.lock);
	uint64_t hollow = disk->map.hollow_free * PH__BLOCK;
	uint64_t bytes = (disk->map.free + disk->map.ahead) * PH__BLOCK - hollow;
	ph__unlock(disk->sync, disk->map.lock);
	uint64_t room = 0;
	if (device->ops->grow)
		room = device->ops->room ? device->ops->room(device) : UINT64_MAX;
	room = room > hollow ? room : hollow;
	return room > UINT64_MAX - bytes ? UINT64_MAX : bytes + room;
}

static const struct ph_store_ops store_ops = {
        .close = store_close,
        .next_repo = store_next_repo,
        .snapshot = store_snapshot,
        .begin = store_begin,
        .create = store_create,
        .setting_get = store_setting_get,
        .setting_set = store_setting_set,
        .setting_swap = store_setting_swap,
        .space = store_space,
        .scrub = ph__disk_scrub,
        .remove = ph__disk_remove,
        .trim = ph__disk_trim,
        .copy = ph__store_copy,
};

/* ---- opening ---- */

static enum ph_status start(struct ph__disk *disk)
{
	enum ph_status status = ph__disk_choose(disk);
	/*
	 * It comes from a device that could not flush: what was just read may be in a cache of the
	 * host's only, and from here on space is used again as if it were on the medium.
	 */
	if (status == PH_OK && disk->super.unflushed && !disk->io.device->read_only)
		status = ph__io_flush(&disk->io);
	if (status != PH_OK)
		return status;
	struct ph__catalogue *catalogue = ph__catalogue_new(disk, &disk->super);
	if (!catalogue)
		return PH_ERR_NOMEM;
	ph__views_push(&disk->catalogues, &catalogue->view);
	atomic_store(&disk->durable, disk->super.epoch);
	/* The id is random: names cannot be chosen so that they fall together in the table. */
	disk->seed = ph__get64(disk->super.id) | 1;
	disk->read_only = disk->read_only || disk->io.device->read_only;
	ph__map_known(&disk->map);
	/* Not where that could make the device grow for those who only read. */
	if (!disk->io.device->ops->grow)
		ph__space_ahead(disk);
	disk->store.ops = &store_ops;
	disk->store.durable = true;
	return PH_OK;
}

enum ph_status ph_store_disk_open(struct ph_store **out, struct ph_device *device,
                                  const struct ph_store_disk_options *options)
{
	struct ph__disk *disk;
	enum ph_status status = disk_new(&disk, device, options);
	if (status != PH_OK)
		return status;
	status = start(disk);
	if (status != PH_OK) {
		disk_free(disk);
		return status;
	}
	*out = &disk->store;
	return PH_OK;
}
