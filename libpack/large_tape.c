/* SPDX-License-Identifier: MIT */
/*
 * A zlib stream that is pulled from by the byte and can be gone back in. A stream has no other
 * places to begin at than its start, so now and then the inflater is copied as it is; to go back is
 * to go on with a copy of such a copy.
 */
#include "large_int.h"

#include <assert.h>
#include <string.h>

/* What going back costs beside what is inflated again: a copy of the state, and a read. */
#define BACK_BYTES (PH__TAPE_STATE_BYTES / 4)

enum ph_status ph__tape_open(struct ph__tape *tape, const struct ph_source *source,
                             const struct ph_alloc *alloc, uint32_t marks, size_t window)
{
	uint64_t len = tape->end - tape->start;
	enum ph_status status;

	tape->source = source;
	tape->alloc = alloc;
	tape->window_room = len < window ? (size_t)len + 1 : window;
	tape->stride = tape->size / (marks + 1) + 1;
	/* A mark costs as much to make and to go back to as this takes to inflate. */
	if (tape->stride < 4 * PH__TAPE_STATE_BYTES)
		tape->stride = 4 * PH__TAPE_STATE_BYTES;
	tape->mark_room = marks;
	tape->marks = ph_mem_zalloc(alloc, (size_t)marks + 1, sizeof(*tape->marks));
	tape->window = ph_mem_alloc(alloc, tape->window_room);
	if (!tape->marks || !tape->window)
		return PH_ERR_NOMEM;
	status = ph_inflate_new(&tape->inflate, alloc);
	if (status == PH_OK)
		status = ph__tape_back(tape, NULL);
	return status;
}

void ph__tape_release(struct ph__tape *tape)
{
	for (uint32_t i = 0; i < tape->mark_count; i++)
		ph_inflate_free(tape->marks[i].inflate);
	tape->mark_count = 0;
	ph_inflate_free(tape->inflate);
	tape->inflate = NULL;
	if (!tape->alloc)
		return;
	ph_mem_free(tape->alloc, tape->marks);
	ph_mem_free(tape->alloc, tape->window);
	tape->marks = NULL;
	tape->window = NULL;
}

/* The stream's bytes from next on: some, when there are any. */
static enum ph_status fill(struct ph__tape *tape, const uint8_t **bytes, size_t *len)
{
	uint64_t left = tape->end - tape->next;
	enum ph_status status;

	if (tape->next < tape->window_at || tape->next - tape->window_at >= tape->window_len) {
		size_t want = left < tape->window_room ? (size_t)left : tape->window_room;

		if (want == 0)
			return PH_ERR_CORRUPT;
		tape->window_len = 0;
		status = tape->source->ops->read(tape->source, tape->pack, tape->next, tape->window,
		                                 want);
		if (status != PH_OK)
			return status;
		tape->window_at = tape->next;
		tape->window_len = want;
	}
	*bytes = tape->window + (tape->next - tape->window_at);
	*len = tape->window_len - (size_t)(tape->next - tape->window_at);
	return PH_OK;
}

enum ph_status ph__tape_pull(struct ph__tape *tape, uint8_t *to, size_t len)
{
	size_t done = 0;

	if (len > tape->size - tape->out)
		return PH_ERR_CORRUPT;
	while (done < len) {
		const uint8_t *bytes;
		size_t have, used = 0;
		enum ph_status status = fill(tape, &bytes, &have);

		if (status == PH_OK)
			status = ph_inflate_step(tape->inflate, bytes, &used, have, to, &done, len);
		tape->next += used;
		if (status == PH_ERR_ZLIB || (status == PH_END && done < len))
			return PH_ERR_CORRUPT;
		if (status < 0)
			return status;
	}
	tape->out += len;
	*tape->work += len;
	return PH_OK;
}

void ph__tape_mark(struct ph__tape *tape, uint64_t tag)
{
	uint64_t last = tape->mark_count > 0 ? tape->marks[tape->mark_count - 1].out : 0;
	struct ph__tape_mark *mark = &tape->marks[tape->mark_count];

	if (tape->mark_count == tape->mark_room || tape->out < last ||
	    tape->out - last < tape->stride || tape->out == tape->size)
		return;
	if (ph_inflate_copy(&mark->inflate, tape->inflate) != PH_OK)
		return;
	mark->next = tape->next;
	mark->out = tape->out;
	mark->tag = tag;
	tape->mark_count++;
}

const struct ph__tape_mark *ph__tape_before(const struct ph__tape *tape, uint64_t tag)
{
	uint32_t i = tape->mark_count;

	while (i > 0 && tape->marks[i - 1].tag > tag)
		i--;
	return i > 0 ? &tape->marks[i - 1] : NULL;
}

enum ph_status ph__tape_back(struct ph__tape *tape, const struct ph__tape_mark *mark)
{
	struct ph_inflate *inflate;
	enum ph_status status;

	*tape->work += BACK_BYTES;
	if (!mark) {
		ph_inflate_start(tape->inflate, tape->size);
		tape->next = tape->start;
		tape->out = 0;
		return PH_OK;
	}
	status = ph_inflate_copy(&inflate, mark->inflate);
	if (status != PH_OK)
		return status;
	ph_inflate_free(tape->inflate);
	tape->inflate = inflate;
	tape->next = mark->next;
	tape->out = mark->out;
	return PH_OK;
}
