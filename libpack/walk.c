/* SPDX-License-Identifier: MIT */
/*
 * The walk's interface: what is wanted and had, the loop over small steps, and the result. The work
 * itself is in walk_run.c.
 */
#include "walk_run_int.h"

/* What only the work needs; the result is in the states. */
static void release_work(struct ph_walk *walk)
{
	if (walk->env.reader != NULL) {
		ph__parents_stop(&walk->parents, &walk->env);
		ph__trees_release(&walk->trees, &walk->env);
		ph__walk_filter_free(walk);
		ph__walk_env_release(&walk->env);
	}
	ph__queue_release(&walk->queue, walk->env.alloc);
	ph__locs_release(&walk->roots, walk->env.alloc);
	ph__walk_maps_release(walk);
}

enum ph_status ph_walk_new(struct ph_walk **out, const struct ph_walk_options *options)
{
	struct ph_walk *walk = ph_mem_zalloc(options->alloc, 1, sizeof *walk);
	enum ph_status status;

	if (walk == NULL) {
		return PH_ERR_NOMEM;
	}
	walk->connectivity = options->connectivity;
	walk->filter = options->filter;
	walk->last_time = UINT64_MAX;
	walk->error.what = "";
	status = ph__walk_env_init(&walk->env, options->source, options->alloc, options->limits);
	walk->env.maps = options->maps;
	if (status == PH_OK) {
		status = ph__states_init(&walk->states, options->source, options->alloc);
	}
	if (status == PH_OK) {
		status = ph__trees_init(&walk->trees, &walk->env,
		                        walk->states.base[walk->states.packs]);
	}
	walk->trees.skip_blobs = walk->filter.kind == PH_FILTER_BLOB_NONE;
	if (status == PH_OK && walk->filter.count > 0 && !walk->trees.skip_blobs) {
		status = ph__walk_filter_new(walk);
	}
	if (status != PH_OK) {
		ph_walk_free(walk);
		return status;
	}
	walk->maps.fit = options->maps != NULL && options->maps->count > 0 &&
	                 ph_filter_by_object(&walk->filter);
	/* Other walks read trees whatever maps there are. */
	if (walk->maps.fit && !walk->connectivity) {
		ph__walk_env_maps(&walk->env, options->maps);
	}
	*out = walk;
	return PH_OK;
}

void ph_walk_free(struct ph_walk *walk)
{
	const struct ph_alloc *alloc;

	if (walk == NULL) {
		return;
	}
	alloc = walk->env.alloc;
	release_work(walk);
	ph__states_release(&walk->states, alloc);
	ph_mem_free(alloc, walk);
}

static enum ph_status add_root(struct ph_walk *walk, const struct ph_oid *oid, uint8_t colour)
{
	const struct ph_source *source = walk->env.source;
	struct ph_loc loc;
	enum ph_status status;

	assert(walk->phase == WALK_ROOTS);
	status = source->ops->find(source, oid, &loc);
	return status == PH_OK ? ph__walk_root(walk, loc, colour) : status;
}

enum ph_status ph_walk_want(struct ph_walk *walk, const struct ph_oid *oid)
{
	return add_root(walk, oid, WALK_WANTED);
}

enum ph_status ph_walk_have(struct ph_walk *walk, const struct ph_oid *oid)
{
	enum ph_status status = add_root(walk, oid, WALK_HAD);

	walk->haves = walk->haves || status == PH_OK;
	return status;
}

enum ph_status ph_walk_graft(struct ph_walk *walk, const struct ph_oid *oid)
{
	const struct ph_source *source = walk->env.source;
	struct ph_loc loc;
	enum ph_status status;

	assert(walk->phase == WALK_ROOTS);
	status = source->ops->find(source, oid, &loc);
	if (status == PH_OK) {
		*ph__states_at(&walk->states, loc) |= WALK_GRAFT;
		/* Bitmaps know nothing of it. */
		walk->maps.fit = false;
	}
	/* A boundary that the source does not know is never met. */
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

enum ph_status ph_walk_run(struct ph_walk *walk, uint32_t *budget)
{
	while (walk->phase<WALK_DONE && * budget> 0) {
		enum ph_status status = ph__walk_step(walk, budget);

		if (status != PH_OK) {
			assert(status < 0);
			walk->phase = WALK_FAILED;
			walk->error.status = status;
			if (walk->error.what[0] == '\0') {
				walk->error.what = ph_status_text(status);
			}
		}
	}
	if (walk->phase < WALK_DONE) {
		return PH_AGAIN;
	}
	release_work(walk);
	return walk->error.status;
}

const struct ph_error *ph_walk_error(const struct ph_walk *walk)
{
	return &walk->error;
}

uint32_t ph_walk_count(const struct ph_walk *walk)
{
	return walk->count;
}

bool ph_walk_selected(const struct ph_walk *walk, struct ph_loc loc)
{
	return (*ph__states_at(&walk->states, loc) & WALK_SELECTED) != 0;
}

bool ph_walk_had(const struct ph_walk *walk, struct ph_loc loc)
{
	return (*ph__states_at(&walk->states, loc) & WALK_HAD) != 0;
}

void ph_walk_select(struct ph_walk *walk, struct ph_loc loc)
{
	uint8_t *state = ph__states_at(&walk->states, loc);

	assert(walk->phase == WALK_DONE);
	if ((*state & (WALK_SELECTED | WALK_HAD)) == 0) {
		ph__walk_select(walk, state, 0);
	}
}

void ph_walk_deselect(struct ph_walk *walk, struct ph_loc loc)
{
	uint8_t *state = ph__states_at(&walk->states, loc);

	assert(walk->phase == WALK_DONE);
	if ((*state & WALK_SELECTED) != 0) {
		*state &= (uint8_t)~WALK_SELECTED;
		walk->count--;
	}
}
