/* SPDX-License-Identifier: MIT */
/*
 * A copy of the store as a stream: pins the newest epoch, goes over all of it to find out where
 * everything will be, and then gives out the ring, the data and the map. One step of either is some
 * 64 KiB, whoever asks; blocks that a step made wait in a buffer until they are taken.
 */
#include "disk_copy_int.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint8_t *ph__copy_take(struct ph__copy *copy, uint32_t count)
{
	copy->next += count;
	if (!copy->giving)
		return NULL;
	uint8_t *to = copy->out + copy->out_len;
	assert(copy->out_len + (size_t)count * PH__BLOCK <= sizeof(copy->out));
	copy->out_len += (size_t)count * PH__BLOCK;
	return to;
}

enum ph_status ph__copy_finding(struct ph__copy *copy, enum ph_status status, const char *format,
                                ...)
{
	char line[640];
	int len = 0;
	copy->copy.damaged++;
	if (copy->repo[0])
		len = snprintf(line, sizeof(line), "repository %s: ", copy->repo);
	va_list args;
	va_start(args, format);
	len += vsnprintf(line + len, sizeof(line) - (size_t)len, format, args);
	va_end(args);
	if (len >= 0 && (size_t)len < sizeof(line))
		snprintf(line + len, sizeof(line) - (size_t)len, ": %s", ph_status_text(status));
	if (copy->options.report)
		copy->options.report(copy->options.user, line);
	return copy->options.keep_going ? PH_OK : status;
}

/* ---- turns ---- */

/* To the beginning of the data, where the ring ends. */
static enum ph_status rewind_data(struct ph__copy *copy)
{
	copy->next = PH__RING_BLOCKS;
	ph__grown_start(&copy->catalogue, 0);
	return ph__cursor_seek(&copy->names, "", 0);
}

static enum ph_status plan_step(struct ph__copy *copy)
{
	enum ph_status status = ph__copy_data(copy);
	if (status == PH_END)
		status = ph__grown_end(copy, &copy->catalogue, &copy->super.catalogue);
	else
		return status;
	if (status != PH_OK)
		return status;
	ph__copy_super(copy);
	copy->copy.bytes = copy->super.blocks * PH__BLOCK;
	copy->next = 0;
	copy->phase = PH__COPY_PLAN_MAP;
	return PH_OK;
}

static enum ph_status plan_map_step(struct ph__copy *copy)
{
	struct ph__map_root *map = &copy->super.map;
	uint64_t blocks = ((uint64_t)map->base_bytes + PH__BLOCK - 1) / PH__BLOCK;
	for (uint32_t i = 0; i < PH__COPY_BLOCKS && copy->next < blocks; i++) {
		ph__copy_map_block(copy, copy->next++, copy->out);
		map->base_crc = ph_crc32(map->base_crc, copy->out, PH__BLOCK);
	}
	if (copy->next < blocks)
		return PH_OK;
	copy->next = 0;
	copy->giving = true;
	copy->phase = PH__COPY_RING;
	return PH_OK;
}

static enum ph_status ring_step(struct ph__copy *copy)
{
	for (uint32_t i = 0; i < PH__COPY_BLOCKS && copy->next < PH__RING_BLOCKS; i++) {
		uint64_t number = copy->next;
		ph__copy_ring_block(copy, number, ph__copy_take(copy, 1));
	}
	if (copy->next < PH__RING_BLOCKS)
		return PH_OK;
	copy->phase = PH__COPY_DATA;
	return rewind_data(copy);
}

static enum ph_status data_step(struct ph__copy *copy)
{
	struct ph__tree tree;
	enum ph_status status = ph__copy_data(copy);
	if (status != PH_END)
		return status;
	status = ph__grown_end(copy, &copy->catalogue, &tree);
	copy->phase = PH__COPY_MAP;
	if (status != PH_OK)
		return status;
	/* What was counted is what was given: otherwise the superblock, which is out, is wrong. */
	const struct ph__ptr *root = &copy->super.catalogue.root;
	bool same = copy->next == copy->map_at && tree.height == copy->super.catalogue.height &&
	            tree.root.block == root->block && tree.root.crc == root->crc;
	return same ? PH_OK : PH_ERR_CORRUPT;
}

static enum ph_status map_step(struct ph__copy *copy)
{
	uint64_t end = copy->map_at + copy->super.map.base_blocks;
	for (uint32_t i = 0; i < PH__COPY_BLOCKS && copy->next < end; i++) {
		uint64_t number = copy->next - copy->map_at;
		ph__copy_map_block(copy, number, ph__copy_take(copy, 1));
	}
	if (copy->next == end)
		copy->phase = PH__COPY_REST;
	return PH_OK;
}

static enum ph_status rest_step(struct ph__copy *copy)
{
	for (uint32_t i = 0; i < PH__COPY_BLOCKS && copy->next < copy->super.blocks; i++)
		memset(ph__copy_take(copy, 1), 0, PH__BLOCK);
	if (copy->next == copy->super.blocks)
		copy->phase = PH__COPY_END;
	return PH_OK;
}

static enum ph_status step(struct ph__copy *copy)
{
	switch (copy->phase) {
	case PH__COPY_PLAN:
		return plan_step(copy);
	case PH__COPY_PLAN_MAP:
		return plan_map_step(copy);
	case PH__COPY_RING:
		return ring_step(copy);
	case PH__COPY_DATA:
		return data_step(copy);
	case PH__COPY_MAP:
		return map_step(copy);
	case PH__COPY_REST:
		return rest_step(copy);
	case PH__COPY_END:
	default:
		return PH_END;
	}
}

/* ---- the stream ---- */

/* Cells that are counted in one call. */
#define PLAN_STEPS 64u

static enum ph_status fill(struct ph__copy *copy)
{
	copy->out_at = copy->out_len = 0;
	enum ph_status status = PH_OK;
	for (uint32_t i = 0; i < PLAN_STEPS && status == PH_OK; i++) {
		/* What a step gives out must fit. */
		if (copy->out_len > PH__BLOCK)
			break;
		status = step(copy);
	}
	return status;
}

static enum ph_status copy_read(struct ph_copy *base, void *buf, size_t room, size_t *len)
{
	struct ph__copy *copy = (struct ph__copy *)base;
	*len = 0;
	if (copy->status == PH_OK && copy->out_at == copy->out_len)
		copy->status = fill(copy);
	if (copy->status != PH_OK && (copy->status != PH_END || copy->out_at == copy->out_len))
		return copy->status;
	*len = copy->out_len - copy->out_at < room ? copy->out_len - copy->out_at : room;
	if (*len)
		memcpy(buf, copy->out + copy->out_at, *len);
	copy->out_at += *len;
	copy->copy.done += *len;
	return PH_OK;
}

static void copy_free(struct ph_copy *base)
{
	struct ph__copy *copy = (struct ph__copy *)base;
	const struct ph_alloc *alloc = copy->disk->alloc;
	if (copy->in_repo)
		ph__cursor_release(&copy->cells);
	ph__cursor_release(&copy->names);
	ph__grown_release(&copy->catalogue, alloc);
	ph__grown_release(&copy->tree, alloc);
	ph_mem_free(alloc, copy->cell.data);
	ph__pack_release(copy->disk, copy->cell.pack);
	ph_mem_free(alloc, copy->skipped);
	ph__disk_unpin(copy->disk, &copy->pin);
	ph_mem_free(alloc, copy);
}

enum ph_status ph__store_copy(struct ph_store *store, const struct ph_copy_options *options,
                              struct ph_copy **out)
{
	static const struct ph_copy_ops ops = {copy_read, copy_free};
	struct ph__disk *disk = ph__disk_of(store);
	struct ph__copy *copy = ph_mem_zalloc(disk->alloc, 1, sizeof(*copy));
	if (!copy)
		return PH_ERR_NOMEM;
	copy->copy.ops = &ops;
	copy->disk = disk;
	copy->options = *options;
	ph__disk_pin(disk, &copy->pin);
	/* What a later version needs besides is not known. */
	const struct ph__tree catalogue = ph__super_tree(&copy->pin.super);
	enum ph_status status = copy->pin.super.features[1] ? PH_ERR_UNSUPPORTED : PH_OK;
	if (status == PH_OK)
		status = ph__cursor_init(&copy->names, disk, NULL, &catalogue);
	if (status == PH_OK)
		status = rewind_data(copy);
	else
		copy->names.disk = disk;
	if (status != PH_OK) {
		copy_free(&copy->copy);
		return status;
	}
	*out = &copy->copy;
	return PH_OK;
}
