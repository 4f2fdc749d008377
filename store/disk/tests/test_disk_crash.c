/* SPDX-License-Identifier: MIT */
/*
 * Power cuts. A workload runs on a device that records every write and flush. Then the medium is
 * built as each cut may leave it: all that was flushed, and of the rest every prefix, and random
 * subsets torn at sectors. Each must open, pass the check, show exactly the state after some
 * commit, namely the last one acknowledged or the one under way, and take another commit.
 */
#include "disk_tools.h"

#undef assert_status
#include "conformance_int.h"

#define STEPS_MAX 96u
#define PUSH_BYTES 3000u

struct run {
	struct sim_device *device;
	struct ph_store *store;
	struct sim_device *start; /* the medium before the first event */
	size_t acked[STEPS_MAX];  /* events when step i was acknowledged */
	struct ph_test_buf state[STEPS_MAX];
	uint32_t steps;
	uint64_t seed;
	uint32_t tried;
};

static struct ph_store_disk_options options;

static void note(struct run *run)
{
	assert_true(run->steps < STEPS_MAX);
	run->acked[run->steps] = run->device->event_count;
	ph__conf_dump(run->store, &run->state[run->steps]);
	run->steps++;
}

static void step(struct run *run, enum ph_status status)
{
	if (status != PH_OK)
		fail_msg("step %u: %s", (unsigned)run->steps, ph_status_name(status));
	note(run);
}

/* Several changes of every kind in one commit. */
static enum ph_status everything(struct ph_store *store, const char *repo, uint32_t number)
{
	struct ph_txn *txn;
	struct ph_oid oid[40];
	struct ph_sink *sink;
	uint8_t *large = calloc(1, 20000);
	char name[64];
	uint32_t change;
	assert_non_null(large);
	assert_status(tool_begin(store, repo, &txn), PH_OK);
	for (uint32_t i = 0; i < 40; i++) {
		oid[i] = ph_test_oid_fake(PH_HASH_SHA1, (uint8_t)(number + i + 1));
		snprintf(name, sizeof(name), "refs/tags/v%u.%u", (unsigned)number, (unsigned)i);
		assert_status(ph_txn_ref_update(txn, name, NULL, &oid[i], &oid[0], &change), PH_OK);
	}
	assert_status(ph_txn_symref_update(txn, "HEAD", NULL, "refs/heads/x", &change), PH_OK);
	assert_status(ph_txn_set_shallow(txn, oid, 40), PH_OK);
	assert_status(ph_txn_set_setting(txn, "large", large, 20000), PH_OK);
	assert_status(ph_txn_set_setting(txn, "owner", "somebody", 8), PH_OK);
	assert_status(ph_txn_log(txn, large, 4000), PH_OK);
	const struct ph_source *source = ph_snapshot_source(txn->base);
	if (source->ops->packs(source) > 0) {
		uint64_t id = ph_snapshot_pack_id(txn->base, 0);
		assert_status(ph_txn_attach(txn, id, PH_SECTION_AUX, &sink), PH_OK);
		assert_status(sink->ops->append(sink, large, 10000), PH_OK);
	}
	enum ph_status status = tool_commit(txn, false);
	ph_txn_free(txn);
	free(large);
	return status;
}

/* 300 KB: blocks of checksums, and more than one write. */
#define LARGE_BYTES 300000u

static void workload(struct run *run)
{
	struct ph_store *store = run->store;
	step(run, tool_create(store, "a"));
	step(run, tool_push(store, "a", "refs/heads/main", 1, PUSH_BYTES));
	step(run, ph_store_setting_set(store, "host-key", "secret", 6));
	step(run, tool_push(store, "a", "refs/heads/main", 2, PUSH_BYTES));
	step(run, tool_create(store, "b/c"));
	step(run, everything(store, "a", 0));
	step(run, tool_push(store, "b/c", "refs/heads/large", 3, LARGE_BYTES));
	step(run, tool_set(store, "a", "refs/heads/main", 0));
	step(run, tool_repack(store, "a", 4, PUSH_BYTES, true));
	step(run, everything(store, "a", 7));
	step(run, tool_delete_repo(store, "b/c"));
	for (uint32_t i = 0; i < 12; i++) {
		char ref[32];
		snprintf(ref, sizeof(ref), "refs/heads/%u", (unsigned)i % 5);
		step(run, tool_push(store, "a", ref, 100 + i, PUSH_BYTES + i * 5000));
		if (i % 4 == 3)
			step(run, tool_repack(store, "a", 200 + i, PUSH_BYTES, false));
	}
	step(run, tool_create(store, "b/c"));
	step(run, tool_push(store, "b/c", "refs/heads/large", 5, LARGE_BYTES));
	step(run, tool_set(store, "a", "refs/heads/1", 0));
	step(run, ph_store_setting_set(store, "host-key", NULL, 0));
	step(run, tool_delete_repo(store, "a"));
	step(run, tool_push(store, "b/c", "refs/heads/large", 6, LARGE_BYTES));
}

static void record(struct run *run, bool flush, uint64_t bytes, uint64_t bytes_max)
{
	memset(run, 0, sizeof(*run));
	sim_options(&options);
	run->device = sim_new(bytes, bytes_max);
	if (!flush)
		sim_no_flush(run->device);
	assert_status(sim_open(run->device, &options, &run->store), PH_OK);
	run->start = sim_copy(run->device);
	run->device->recording = true;
	note(run);
	workload(run);
	assert_status(sim_check(run->store), PH_OK);
	ph_store_close(run->store);
}

static void release(struct run *run)
{
	for (uint32_t i = 0; i < run->steps; i++)
		ph_test_buf_release(&run->state[i]);
	sim_free(run->device);
	sim_free(run->start);
}

static bool same(const struct ph_test_buf *a, const struct ph_test_buf *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* The last step acknowledged when so many events had happened. */
static uint32_t last_acked(const struct run *run, size_t events)
{
	uint32_t step = 0;
	while (step + 1 < run->steps && run->acked[step + 1] <= events)
		step++;
	return step;
}

/* The store must show one of the states [first, last], and work. */
static void try_medium(struct run *run, struct sim_device *medium, uint32_t first, uint32_t last,
                       size_t events)
{
	struct ph_store *store;
	struct ph_test_buf now = {0};
	enum ph_status status = sim_open(medium, &options, &store);
	if (status != PH_OK)
		fail_msg("cut after %zu events: open: %s", events, ph_status_name(status));
	if (sim_check(store) != PH_OK)
		fail_msg("cut after %zu events: not clean", events);
	ph__conf_dump(store, &now);
	bool found = false;
	for (uint32_t i = first; i <= last && i < run->steps; i++)
		found = found || same(&now, &run->state[i]);
	if (!found)
		fail_msg("cut after %zu events: none of the states %u to %u", events,
		         (unsigned)first, (unsigned)last);
	ph_test_buf_release(&now);
	/* Every eighth goes on: the next commits must not step on anything. */
	if (run->tried++ % 8 == 0) {
		assert_status(tool_create(store, "next"), PH_OK);
		assert_status(tool_push(store, "next", "refs/heads/n", 77, PUSH_BYTES), PH_OK);
		assert_status(sim_check(store), PH_OK);
		ph_store_close(store);
		assert_status(sim_open(medium, &options, &store), PH_OK);
		assert_true(tool_has(store, "next", "refs/heads/n", 77, PUSH_BYTES));
	}
	ph_store_close(store);
}

/* Applies a random subset of events, torn here and there. */
static void apply_some(struct run *run, struct sim_device *medium, size_t from, size_t to,
                       struct ph_test_rng *rng)
{
	(void)run;
	for (size_t i = from; i < to; i++) {
		uint32_t dice = ph_test_rng_below(rng, 8);
		if (dice < 4)
			sim_apply(medium, &run->device->events[i], 0);
		else if (dice < 6)
			sim_apply(medium, &run->device->events[i], ph_test_rng_next(rng) | 1);
	}
}

static void cut_everywhere(struct run *run, uint32_t subsets)
{
	struct sim_device *flushed = sim_copy(run->start);
	struct ph_test_rng rng;
	size_t flushed_at = 0;
	ph_test_rng_init(&rng, 20240517);
	for (size_t cut = 0; cut <= run->device->event_count; cut++) {
		uint32_t acked = last_acked(run, cut);
		for (uint32_t k = 0; k <= subsets; k++) {
			struct sim_device *medium = sim_copy(flushed);
			if (k == 0)
				for (size_t i = flushed_at; i < cut; i++)
					sim_apply(medium, &run->device->events[i], 0);
			else
				apply_some(run, medium, flushed_at, cut, &rng);
			try_medium(run, medium, acked, acked + 1, cut);
			sim_free(medium);
		}
		if (cut < run->device->event_count && run->device->events[cut].kind == SIM_FLUSH) {
			for (; flushed_at < cut; flushed_at++)
				sim_apply(flushed, &run->device->events[flushed_at], 0);
			flushed_at = cut + 1;
		}
	}
	sim_free(flushed);
}

static void test_cuts(void **state)
{
	struct run run;
	(void)state;
	record(&run, true, 1 << 20, 64 << 20);
	cut_everywhere(&run, 6);
	print_message("%u states\n", (unsigned)run.tried);
	release(&run);
}

/* On a small device of fixed size space is used again soon. */
static void test_cuts_small(void **state)
{
	struct run run;
	(void)state;
	record(&run, true, 3 << 20, 3 << 20);
	cut_everywhere(&run, 6);
	print_message("%u states\n", (unsigned)run.tried);
	release(&run);
}

/* Without flush the last epochs may be missing in part: an earlier state shows, whole. */
static void test_cuts_without_flush(void **state)
{
	struct run run;
	struct ph_test_rng rng;
	const uint32_t window = 12;
	(void)state;
	record(&run, false, 6 << 20, 6 << 20);
	ph_test_rng_init(&rng, 99);
	struct sim_device *stable = sim_copy(run.start);
	size_t stable_at = 0;
	for (size_t cut = 0; cut <= run.device->event_count; cut++) {
		uint32_t acked = last_acked(&run, cut);
		uint32_t first = acked > window ? acked - window : 0;
		for (; stable_at < run.acked[first]; stable_at++)
			sim_apply(stable, &run.device->events[stable_at], 0);
		for (uint32_t k = 0; k < 3; k++) {
			struct sim_device *medium = sim_copy(stable);
			apply_some(&run, medium, stable_at, cut, &rng);
			try_medium(&run, medium, first, acked + 1, cut);
			sim_free(medium);
		}
	}
	sim_free(stable);
	print_message("%u states\n", (unsigned)run.tried);
	release(&run);
}

#define RING_BYTES ((uint64_t)32 * 4096)

static void push_some(struct ph_store *store, const char *repo, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++)
		assert_status(tool_push(store, repo, "refs/heads/x", i, 3000), PH_OK);
}

/*
 * Applies events to a medium from one on; of [bad, end) only the last superblock, or all of them
 * when supers is set, but nothing else.
 */
static void lose(struct sim_device *medium, const struct sim_device *from, size_t bad, size_t end,
                 bool supers)
{
	size_t last = 0;
	for (size_t i = bad; i < end; i++)
		if (from->events[i].offset < RING_BYTES)
			last = i;
	for (size_t i = 0; i < from->event_count; i++)
		if (i < bad || i >= end || i == last ||
		    (supers && from->events[i].offset < RING_BYTES))
			sim_apply(medium, &from->events[i], 0);
}

/* Opens a device that lost what the newest superblocks name: the repository is as it was pushed. */
static void open_lost(struct sim_device *medium, bool writable)
{
	struct ph_store *store;
	assert_status(sim_open(medium, &options, &store), PH_OK);
	assert_true(tool_has(store, "a", "refs/heads/x", 1, 3000));
	assert_status(sim_check(store), PH_OK);
	if (writable) {
		push_some(store, "b", 70, 1);
		assert_status(sim_check(store), PH_OK);
	}
	ph_store_close(store);
	sim_free(medium);
}

/*
 * Without flush, two cuts. The first loses what a commit wrote that is fifteen back, so that it and
 * all later ones do not count; the second what was written since, except for the last superblock.
 */
static void test_two_cuts_without_flush(void **state)
{
	struct sim_device *sim = sim_new(2 << 20, 2 << 20);
	struct ph_store *store;
	(void)state;
	sim_options(&options);
	sim_no_flush(sim);
	assert_status(sim_open(sim, &options, &store), PH_OK);
	assert_status(tool_create(store, "a"), PH_OK);
	assert_status(tool_create(store, "b"), PH_OK);
	push_some(store, "a", 1, 1);
	push_some(store, "b", 10, 20);
	struct sim_device *first = sim_copy(sim);
	sim->recording = true;
	push_some(store, "a", 2, 1);
	size_t lost = sim->event_count;
	push_some(store, "b", 40, 14);
	ph_store_close(store);
	lose(first, sim, 0, lost, false);
	struct sim_device *after = sim_copy(first);
	after->recording = true;
	assert_status(sim_open(after, &options, &store), PH_OK);
	assert_true(tool_has(store, "a", "refs/heads/x", 1, 3000));
	size_t opened = after->event_count;
	push_some(store, "b", 60, 2);
	ph_store_close(store);
	struct sim_device *second = sim_copy(first);
	/* All of it, and what opening wrote, too. */
	lose(second, after, 0, after->event_count, false);
	open_lost(second, false);
	second = sim_copy(first);
	/* Two commits were lost, which is no reason to write no more. */
	lose(second, after, opened, after->event_count, false);
	open_lost(second, true);
	second = sim_copy(first);
	lose(second, after, opened, after->event_count, true);
	open_lost(second, true);
	sim_free(after);
	sim_free(first);
	sim_free(sim);
}

static void assert_zero(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(data[i], 0);
}

/* What was not finished says so, or is as blank as before. */
static void check_unfinished(const struct sim_device *medium)
{
	static const char text[] = PH_STORE_DISK_UNFINISHED;

	if (memcmp(medium->data, text, sizeof(text)) == 0)
		assert_zero(medium->data + sizeof(text), 64 * 1024 - sizeof(text));
	else
		assert_zero(medium->data, 2 << 20);
}

/* A format that is cut short leaves a device that opens or can be formatted again. */
static void test_format_cut(void **state)
{
	struct ph_test_rng rng;
	(void)state;
	sim_options(&options);
	struct sim_device *start = sim_new(2 << 20, 2 << 20);
	struct sim_device *device = sim_copy(start);
	device->recording = true;
	assert_status(ph_store_disk_format(&device->device, &options), PH_OK);
	ph_test_rng_init(&rng, 5);
	for (size_t cut = 0; cut <= device->event_count; cut++) {
		size_t flushed = 0;
		for (size_t i = 0; i < cut; i++)
			if (device->events[i].kind == SIM_FLUSH)
				flushed = i + 1;
		for (uint32_t k = 0; k < 20; k++) {
			struct sim_device *medium = sim_copy(start);
			struct ph_store *store;
			for (size_t i = 0; i < flushed; i++)
				sim_apply(medium, &device->events[i], 0);
			for (size_t i = flushed; i < cut; i++)
				sim_apply(medium, &device->events[i],
				          k == 0 ? 0 : ph_test_rng_next(&rng) | 1);
			enum ph_status status =
			        ph_store_disk_open(&store, &medium->device, &options);
			if (status == PH_ERR_INVALID)
				check_unfinished(medium);
			if (status == PH_ERR_INVALID || status == PH_ERR_CORRUPT) {
				assert_status(ph_store_disk_format(&medium->device, &options),
				              PH_OK);
				status = ph_store_disk_open(&store, &medium->device, &options);
			}
			assert_status(status, PH_OK);
			assert_status(tool_create(store, "x"), PH_OK);
			assert_status(sim_check(store), PH_OK);
			ph_store_close(store);
			sim_free(medium);
		}
	}
	sim_free(device);
	sim_free(start);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_format_cut),
	        cmocka_unit_test(test_cuts),
	        cmocka_unit_test(test_cuts_small),
	        cmocka_unit_test(test_cuts_without_flush),
	        cmocka_unit_test(test_two_cuts_without_flush),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
