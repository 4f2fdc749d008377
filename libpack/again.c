/* SPDX-License-Identifier: MIT */
/*
 * Objects that are stored as deltas and go out whole. What is small enough to stay in memory while
 * deltas are applied is read whole, anything larger in parts; so are small objects with large
 * bases.
 */
#include "again_int.h"

#include <assert.h>
#include <string.h>

/* Of a whole object so much is deflated in one step. */
#define STEP_BYTES ((size_t)256 << 10)

enum ph_status ph__again_open(struct ph__again *again, struct ph_reader *reader, struct ph_loc loc,
                              const struct ph_alloc *alloc, const struct ph_limits *limits,
                              uint64_t whole_max, struct ph_deflate *deflate)
{
	enum ph_status status;

	assert(!again->open);
	memset(again, 0, sizeof(*again));
	again->reader = reader;
	status = ph_reader_read(reader, loc, limits->delta_resident_bytes_max, &again->object);
	if (status == PH_ERR_LIMIT)
		status = ph_large_open(&again->large, reader, loc, alloc, limits);
	/* More links than that can do. */
	if (status == PH_ERR_LIMIT)
		status = ph_reader_read(reader, loc, whole_max, &again->object);
	if (status != PH_OK)
		return status;
	again->open = true;
	again->last_part = again->large == NULL;
	again->part = again->object.data;
	again->part_len = (size_t)again->object.size;
	ph_deflate_start(deflate);
	return PH_OK;
}

void ph__again_close(struct ph__again *again)
{
	if (!again->open)
		return;
	if (again->large)
		ph_large_free(again->large);
	else
		ph_object_release(again->reader, &again->object);
	memset(again, 0, sizeof(*again));
}

enum ph_object_type ph__again_type(const struct ph__again *again)
{
	return again->large ? ph_large_type(again->large) : again->object.type;
}

uint64_t ph__again_size(const struct ph__again *again)
{
	return again->large ? ph_large_size(again->large) : again->object.size;
}

uint64_t ph__again_read(const struct ph__again *again)
{
	return again->object.size;
}

static enum ph_status next_part(struct ph__again *again, uint8_t *window, size_t window_bytes,
                                uint32_t *budget)
{
	enum ph_status status;

	again->part = window;
	again->part_pos = again->part_len = 0;
	status = ph_large_read(again->large, window, window_bytes, &again->part_len, budget);
	again->last_part = status == PH_END;
	return status == PH_END ? PH_OK : status;
}

enum ph_status ph__again_step(struct ph__again *again, struct ph_deflate *deflate, uint8_t *window,
                              size_t window_bytes, uint8_t *out, size_t room, size_t *used,
                              uint32_t *budget)
{
	size_t start, end;
	bool last;
	enum ph_status status = PH_OK;

	if (again->part_pos == again->part_len && !again->last_part)
		status = next_part(again, window, window_bytes, budget);
	if (status != PH_OK || (again->part_len == 0 && !again->last_part))
		return status;
	start = again->part_pos;
	end = again->part_len - start > STEP_BYTES ? start + STEP_BYTES : again->part_len;
	last = again->last_part && end == again->part_len;
	status =
	        ph_deflate_step(deflate, again->part, &again->part_pos, end, out, used, room, last);
	ph_budget_spend_bytes(budget, again->part_pos - start);
	if (status == PH_END)
		ph__again_close(again);
	return status;
}
