/* SPDX-License-Identifier: MIT */
/*
 * A pack coming in: creation and end, the two calls that do the work, budget and errors. write
 * feeds the parser; run walks through the states behind the trailer, each of which does a step that
 * is bounded and says in in->state what comes next. An error is final and stays in in->main.error.
 */
#include "pack_in_int.h"
#include "pack_index_int.h"

#include <assert.h>
#include <string.h>

#define PIECES_MIN 16u

enum ph_status ph__in_window(struct ph_pack_in *in, uint8_t **buffer)
{
	if (!*buffer)
		*buffer = ph_mem_alloc(in->options.alloc, PH__IN_WINDOW_BYTES);
	return *buffer ? PH_OK : PH_ERR_NOMEM;
}

static enum ph_status new_links(struct ph_pack_in *in)
{
	const struct ph_pack_in_options *options = &in->options;
	const struct ph_sync *sync = options->executor ? options->executor->sync : NULL;

	return ph__links_new(&in->links, options->algo, options->alloc, sync, options->seed,
	                     options->limits->pack_objects_max);
}

enum ph_status ph_pack_in_new(struct ph_pack_in **out, const struct ph_pack_in_options *options)
{
	struct ph_pack_in *in = ph_mem_zalloc(options->alloc, 1, sizeof(*in));
	enum ph_status status = PH_OK;

	assert(options->run->size == 0);
	assert(options->index->size == 0);
	assert(!options->base || options->base->algo == options->algo);
	if (!in)
		return PH_ERR_NOMEM;
	in->state = PH__IN_HEADER;
	in->options = *options;
	in->main.in = in;
	in->hash_bytes = ph_hash_bytes(options->algo);
	in->scratch_in_at = options->scratch->size;
	ph_hash_init_plain(&in->pack_hash, options->algo);
	if (options->links)
		status = new_links(in);
	if (status == PH_OK)
		status = ph__lane_init(&in->main, in, options->limits->delta_cache_bytes_max,
		                       ph__in_batch_bytes(options->limits));
	if (status == PH_OK)
		status = ph__in_window(in, &in->collected);
	if (status == PH_OK)
		status = ph__in_window(in, &in->main.window);
	if (status != PH_OK) {
		ph_pack_in_free(in);
		return status;
	}
	*out = in;
	return PH_OK;
}

void ph_pack_in_free(struct ph_pack_in *in)
{
	const struct ph_alloc *alloc;

	if (!in)
		return;
	alloc = in->options.alloc;
	ph__in_crew_free(in);
	ph__in_blob_release(&in->main, &in->other);
	ph__lane_release(&in->main);
	ph__links_free(in->links);
	ph_mem_free(alloc, in->heads);
	ph_deflate_free(in->deflate);
	ph__in_nodes_free(in);
	for (uint32_t i = 0; i < in->pieces; i++)
		ph_mem_free(alloc, in->records[i]);
	ph_mem_free(alloc, in->records);
	ph_mem_free(alloc, in->order);
	ph_mem_free(alloc, in->buckets);
	ph_mem_free(alloc, in->sort_starts);
	ph_mem_free(alloc, in->collected);
	ph_mem_free(alloc, in->meta);
	ph_mem_free(alloc, in->scratch_out);
	ph_mem_free(alloc, in->scratch_in);
	ph_mem_free(alloc, in);
}

const struct ph_pack_in_stats *ph_pack_in_stats(const struct ph_pack_in *in)
{
	return &in->stats;
}

const struct ph_error *ph_pack_in_error(const struct ph_pack_in *in)
{
	return &in->main.error;
}

enum ph_status ph__in_fail(struct ph_pack_in *in, enum ph_status status, const char *what,
                           const struct ph_oid *oid)
{
	return ph__lane_fail(&in->main, status, what, oid);
}

void ph__in_charge(struct ph_pack_in *in, uint64_t bytes)
{
	ph__lane_charge(&in->main, bytes);
}

uint64_t ph__in_inflate_max(const struct ph_pack_in *in)
{
	const struct ph_limits *limits = in->options.limits;
	uint64_t ratio = limits->inflate_ratio_max;
	uint64_t product;

	if (ratio > 0 && in->stats.bytes > UINT64_MAX / ratio)
		return UINT64_MAX;
	product = in->stats.bytes * ratio;
	if (product > UINT64_MAX - limits->inflate_slack_bytes)
		return UINT64_MAX;
	return product + limits->inflate_slack_bytes;
}

/* A longer list of pieces, of both tables. */
static enum ph_status grow_lists(struct ph_pack_in *in)
{
	uint32_t cap = in->pieces_cap ? 2 * in->pieces_cap : PIECES_MIN;
	void *grown;

	if (in->pieces < in->pieces_cap)
		return PH_OK;
	grown = ph_mem_resize(in->options.alloc, in->records, cap, sizeof(*in->records));
	if (!grown)
		return PH_ERR_NOMEM;
	in->records = grown;
	grown = ph_mem_resize(in->options.alloc, in->nodes, cap, sizeof(*in->nodes));
	if (!grown)
		return PH_ERR_NOMEM;
	in->nodes = grown;
	in->pieces_cap = cap;
	return PH_OK;
}

/* The announced count is only a bound: room is made for what has come, a piece at a time. */
enum ph_status ph__in_grow(struct ph_pack_in *in)
{
	const struct ph_alloc *alloc = in->options.alloc;
	enum ph_status status;
	uint32_t at = in->pieces;

	if (in->count >> PH__IN_PIECE_SHIFT < in->pieces)
		return PH_OK;
	status = grow_lists(in);
	if (status != PH_OK)
		return status;
	in->records[at] = ph_mem_alloc(alloc, PH__IN_PIECE_ENTRIES * sizeof(**in->records));
	in->nodes[at] = ph_mem_alloc(alloc, PH__IN_PIECE_ENTRIES * sizeof(**in->nodes));
	in->pieces++;
	return in->records[at] && in->nodes[at] ? PH_OK : PH_ERR_NOMEM;
}

void ph__in_nodes_free(struct ph_pack_in *in)
{
	for (uint32_t i = 0; in->nodes && i < in->pieces; i++)
		ph_mem_free(in->options.alloc, in->nodes[i]);
	ph_mem_free(in->options.alloc, in->nodes);
	in->nodes = NULL;
}

/* Makes an error final; its place noted whatever it was. */
static enum ph_status finish_failed(struct ph_pack_in *in, enum ph_status status)
{
	if (in->main.error.status != status)
		ph__in_fail(in, status, ph_status_text(status), NULL);
	in->state = PH__IN_FAILED;
	in->stats.resolved = in->resolved;
	return status;
}

enum ph_status ph_pack_in_write(struct ph_pack_in *in, const uint8_t *data, size_t len,
                                size_t *used, uint32_t *budget)
{
	enum ph_status status = PH_OK;
	size_t pos = 0;

	*used = 0;
	if (in->state == PH__IN_FAILED)
		return in->main.error.status;
	in->main.budget = budget;
	while (status == PH_OK && pos < len && in->state <= PH__IN_TRAILER) {
		if (*budget == 0)
			status = PH_AGAIN;
		else
			status = ph__in_parse(in, data, len, &pos);
	}
	*used = pos;
	if (status < 0)
		return finish_failed(in, status);
	return in->state > PH__IN_TRAILER ? PH_END : status;
}

static enum ph_status write_index(struct ph_pack_in *in)
{
	enum ph_status status = ph__index_write(in->options.index, in->options.algo,
	                                        (const struct ph_index_record *const *)in->records,
	                                        PH__IN_PIECE_SHIFT, in->order, in->count,
	                                        in->options.run->size, &in->trailer);

	if (status == PH_OK)
		in->state = PH__IN_DONE;
	return status;
}

static enum ph_status check_step(struct ph_pack_in *in)
{
	if (in->state == PH__IN_SORT)
		return ph__in_sort(in);
	if (in->state == PH__IN_SETTLE)
		return ph__in_settle(in);
	if (in->state == PH__IN_EXISTING)
		return ph__in_existing(in);
	if (in->state == PH__IN_EXISTING_LOAD)
		return ph__in_existing_load(in);
	if (in->state == PH__IN_EXISTING_COMPARE)
		return ph__in_existing_compare(in);
	if (in->state == PH__IN_SPECIAL)
		return ph__in_special(in);
	if (in->state == PH__IN_SPECIAL_LOAD)
		return ph__in_special_load(in);
	assert(in->state == PH__IN_INDEX);
	return write_index(in);
}

static enum ph_status thin_step(struct ph_pack_in *in)
{
	if (in->state == PH__IN_THIN)
		return ph__in_thin(in);
	if (in->state == PH__IN_APPEND)
		return ph__in_append(in);
	if (in->state == PH__IN_APPEND_LOAD)
		return ph__in_append_load(in);
	if (in->state == PH__IN_APPEND_WHOLE)
		return ph__in_append_whole(in);
	if (in->state == PH__IN_APPEND_COPY)
		return ph__in_append_copy(in);
	if (in->state == PH__IN_REHASH)
		return ph__in_rehash(in);
	return check_step(in);
}

static enum ph_status run_step(struct ph_pack_in *in)
{
	if (in->state == PH__IN_ROOTS)
		return ph__in_roots(in);
	if (in->state == PH__IN_CREW)
		return ph__in_crew(in);
	if (in->state == PH__IN_FAMILY)
		return ph__in_family(in);
	if (in->state == PH__IN_LINK)
		return ph__in_link(in);
	return thin_step(in);
}

static enum ph_status run(struct ph_pack_in *in)
{
	enum ph_status status = PH_OK;

	while (in->state != PH__IN_DONE && status >= 0 && status != PH_PENDING) {
		if (*in->main.budget == 0)
			return PH_AGAIN;
		status = run_step(in);
	}
	return status < 0 || status == PH_PENDING ? status : PH_OK;
}

enum ph_status ph_pack_in_run(struct ph_pack_in *in, uint32_t *budget)
{
	enum ph_status status;

	/* Calling it before write has returned PH_END is a mistake of the caller. */
	assert(in->state > PH__IN_TRAILER);
	if (in->state == PH__IN_FAILED)
		return in->main.error.status;
	in->main.budget = budget;
	status = run(in);
	if (status < 0)
		return finish_failed(in, status);
	/* While others are at work, ph__in_crew does this. */
	if (in->state != PH__IN_CREW) {
		ph__lane_tell(&in->main);
		in->stats.resolved = in->resolved;
	}
	return status;
}
