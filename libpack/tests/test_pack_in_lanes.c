/* SPDX-License-Identifier: MIT */
/*
 * Pack-in with an executor: whatever the number of lanes and the order of their slices, the index
 * and the warnings are those of one thread; and it may be given up, or fail, at any slice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

#include <pthread.h>
#include <stdlib.h>

/* ---- an executor whose parts run when the test says so ---- */

#define PARTS_MAX 64u

struct turns {
	struct ph_executor executor;
	struct {
		void (*run)(void *arg);
		void *arg;
	} parts[PARTS_MAX];
	unsigned count;
	unsigned refuse; /* every so many-th submission is refused; 0: none */
	unsigned submits, wakes;
	struct ph_test_rng rng;
};

static enum ph_status submit(void *user, void (*run)(void *arg), void *arg)
{
	struct turns *turns = user;

	turns->submits++;
	if (turns->refuse && turns->submits % turns->refuse == 0)
		return PH_ERR_BUSY;
	assert_true(turns->count < PARTS_MAX);
	turns->parts[turns->count].run = run;
	turns->parts[turns->count++].arg = arg;
	return PH_OK;
}

static void wake(void *user)
{
	struct turns *turns = user;

	turns->wakes++;
}

static void turns_init(struct turns *turns, uint32_t width, uint64_t seed)
{
	memset(turns, 0, sizeof(*turns));
	turns->executor.user = turns;
	turns->executor.width = width;
	turns->executor.submit = submit;
	turns->executor.sync = &ph_test_sync;
	ph_test_rng_init(&turns->rng, seed);
}

/* Runs one of the parts that wait. */
static bool turn(struct turns *turns)
{
	unsigned at;
	void (*run)(void *arg);
	void *arg;

	if (turns->count == 0)
		return false;
	at = ph_test_rng_below(&turns->rng, turns->count);
	run = turns->parts[at].run;
	arg = turns->parts[at].arg;
	turns->parts[at] = turns->parts[--turns->count];
	run(arg);
	return true;
}

static void until_woken(void *user)
{
	struct turns *turns = user;
	unsigned wakes = turns->wakes;

	while (turns->wakes == wakes && turn(turns))
		;
	/* Nothing is left to wait for. */
	assert_true(turns->wakes > 0);
}

static void prepare(struct intake *intake, struct turns *turns, const struct ph_alloc *alloc,
                    enum ph_hash_algo algo, const struct ph_source *base)
{
	intake_init(intake, algo, alloc, base);
	intake->options.executor = &turns->executor;
	intake->options.wake = wake;
	intake->options.wake_user = turns;
	intake->options.links = true;
	intake->pending = until_woken;
	intake->pending_user = turns;
}

/* ---- packs ---- */

/* Families of blobs and of trees with entries that git warns of; refs: REF_DELTAs among them. */
static void build(struct ph_test_pack *pack, bool refs, uint32_t families)
{
	static uint8_t data[8000];
	struct ph_test_buf tree = {0};
	struct ph_test_rng rng;

	ph_test_rng_init(&rng, 5);
	ph_test_pack_init(pack, PH_HASH_SHA1);
	for (uint32_t f = 0; f < families; f++) {
		uint32_t first = pack->count;
		uint32_t blob;
		size_t size = 3000 + ph_test_rng_below(&rng, 4000);

		ph_test_rng_fill(&rng, data, size);
		(void)ph_test_pack_add(pack, PH_OBJ_BLOB, data, size);
		for (uint32_t i = 0; i < 40; i++) {
			uint32_t base = first + ph_test_rng_below(&rng, pack->count - first);

			data[ph_test_rng_below(&rng, (uint32_t)size)] ^= 0x55;
			if (refs && i % 3 == 0)
				(void)ph_test_pack_add_ref(pack, base, data, size);
			else
				(void)ph_test_pack_add_ofs(pack, base, data, size);
		}
		blob = first;
		ph_test_buf_clear(&tree);
		ph_test_tree_entry(&tree, PH_HASH_SHA1, 0100664, "a", &pack->entries[first].oid);
		first = ph_test_pack_add(pack, PH_OBJ_TREE, tree.data, tree.len);
		for (uint32_t i = 0; i < 5; i++) {
			char name[8] = {'b', (char)('a' + i)};

			ph_test_tree_entry(&tree, PH_HASH_SHA1, i % 2 ? 0100664 : 0100644, name,
			                   &pack->entries[blob + i].oid);
			first = ph_test_pack_add_ofs(pack, first, tree.data, tree.len);
		}
	}
	ph_test_buf_release(&tree);
}

static void expect_same(const struct intake *intake, const struct ph_test_pack *pack,
                        struct ph_hash told)
{
	struct ph_hash mine = intake->told;
	struct ph_oid a;
	struct ph_oid b;

	expect_pack(intake, pack);
	assert_int_equal(intake->stats.resolved, intake->stats.deltas);
	ph_hash_final(&mine, &a);
	ph_hash_final(&told, &b);
	assert_true(ph_oid_equal(&a, &b));
}

/* ---- tests ---- */

static void one_thread(const struct ph_test_buf *file, struct ph_hash *told)
{
	struct intake intake;

	intake_init(&intake, PH_HASH_SHA1, ph_alloc_libc(), NULL);
	assert_int_equal(intake_file(&intake, file), PH_OK);
	*told = intake.told;
	assert_true(intake.warnings > 0);
	intake_release(&intake);
}

static void test_turns(void **state)
{
	(void)state;
	for (uint32_t variant = 0; variant < 24; variant++) {
		struct ph_test_pack pack;
		struct ph_test_buf file = {0};
		struct ph_test_alloc memory;
		struct turns turns;
		struct intake intake;
		struct ph_hash told;

		build(&pack, variant % 2, 12);
		ph_test_packfile(&pack, &file);
		one_thread(&file, &told);
		ph_test_alloc_init(&memory);
		turns_init(&turns, 1 + variant % 5, variant);
		turns.refuse = variant % 3 == 2 ? 2 + variant % 4 : 0;
		if (variant >= 20)
			turns.refuse = 1;
		prepare(&intake, &turns, &memory.alloc, PH_HASH_SHA1, NULL);
		/* Some objects are large then, and go through the scratch. */
		if (variant % 4 == 1)
			intake.limits.delta_resident_bytes_max = 5000;
		if (variant % 4 == 2)
			intake.limits.delta_cache_bytes_max = 9000;
		assert_int_equal(intake_file(&intake, &file), PH_OK);
		assert_true(turns.submits > 0);
		expect_same(&intake, &pack, told);
		assert_true(ph_pack_in_closed(intake.in));
		intake_release(&intake);
		while (turn(&turns))
			;
		assert_int_equal(memory.live, 0);
		ph_test_buf_release(&file);
		ph_test_pack_release(&pack);
	}
}

/* Feeds all, runs at most parts of it, and gives it up; what the executor still has ends itself. */
static bool given_up(const struct ph_test_buf *file, unsigned parts)
{
	struct ph_test_alloc memory;
	struct turns turns;
	struct intake intake;
	size_t used;
	uint32_t budget = UINT32_MAX;
	enum ph_status status;

	ph_test_alloc_init(&memory);
	turns_init(&turns, 3, parts);
	prepare(&intake, &turns, &memory.alloc, PH_HASH_SHA1, NULL);
	intake.limits.delta_resident_bytes_max = 5000;
	assert_int_equal(ph_pack_in_new(&intake.in, &intake.options), PH_OK);
	status = ph_pack_in_write(intake.in, file->data, file->len, &used, &budget);
	assert_int_equal(status, PH_END);
	while ((status = ph_pack_in_run(intake.in, &budget)) == PH_PENDING && parts > 0) {
		parts--;
		(void)turn(&turns);
	}
	intake_release(&intake);
	while (turn(&turns))
		;
	assert_int_equal(memory.live, 0);
	return status == PH_PENDING;
}

static void test_given_up(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	unsigned parts = 0;

	(void)state;
	build(&pack, false, 40);
	ph_test_packfile(&pack, &file);
	while (given_up(&file, parts))
		parts++;
	assert_true(parts >= 3);
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

static void test_memory(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	uint64_t fail_at;

	(void)state;
	build(&pack, true, 2);
	ph_test_packfile(&pack, &file);
	for (fail_at = 1;; fail_at += 1 + fail_at / 40) {
		struct ph_test_alloc memory;
		struct turns turns;
		struct intake intake;
		enum ph_status status;

		ph_test_alloc_init(&memory);
		memory.fail_at = fail_at;
		turns_init(&turns, 2, fail_at);
		prepare(&intake, &turns, &memory.alloc, PH_HASH_SHA1, NULL);
		status = intake_file(&intake, &file);
		intake_release(&intake);
		while (turn(&turns))
			;
		assert_int_equal(memory.live, 0);
		if (memory.calls < fail_at)
			break;
		/* Links, and marks of trees, go without. */
		assert_true(status == PH_ERR_NOMEM || status == PH_OK);
	}
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* A delta that is no good, in one of many families. */
static void test_bad(void **state)
{
	struct ph_test_pack pack;
	struct ph_test_buf file = {0};
	static const uint8_t delta[] = {1, 5, 0x90, 1};
	struct ph_test_raw raw = {.stored = PH_OBJ_OFS_DELTA,
	                          .declared = sizeof(delta),
	                          .content = delta,
	                          .content_len = sizeof(delta),
	                          .type = PH_OBJ_BLOB,
	                          .size = 5};

	(void)state;
	build(&pack, false, 12);
	(void)ph_test_pack_add(&pack, PH_OBJ_BLOB, "x", 1);
	raw.distance = pack.run.len - pack.entries[pack.count - 1].offset;
	(void)ph_test_pack_add_raw(&pack, &raw);
	ph_test_packfile(&pack, &file);
	for (uint32_t width = 1; width <= 4; width++) {
		struct ph_test_alloc memory;
		struct turns turns;
		struct intake intake;

		ph_test_alloc_init(&memory);
		turns_init(&turns, width, width);
		prepare(&intake, &turns, &memory.alloc, PH_HASH_SHA1, NULL);
		assert_int_equal(intake_file(&intake, &file), PH_ERR_DELTA);
		intake_release(&intake);
		while (turn(&turns))
			;
		assert_int_equal(memory.live, 0);
	}
	ph_test_buf_release(&file);
	ph_test_pack_release(&pack);
}

/* ---- threads ---- */

struct crew {
	struct ph_executor executor;
	pthread_mutex_t lock;
	pthread_cond_t ready, woken;
	struct turns queue; /* only its parts */
	bool stop, wake;
	pthread_t threads[4];
};

static enum ph_status crew_submit(void *user, void (*run)(void *arg), void *arg)
{
	struct crew *crew = user;

	pthread_mutex_lock(&crew->lock);
	(void)submit(&crew->queue, run, arg);
	pthread_cond_signal(&crew->ready);
	pthread_mutex_unlock(&crew->lock);
	return PH_OK;
}

static void crew_wake(void *user)
{
	struct crew *crew = user;

	pthread_mutex_lock(&crew->lock);
	crew->wake = true;
	pthread_cond_signal(&crew->woken);
	pthread_mutex_unlock(&crew->lock);
}

static void crew_wait(void *user)
{
	struct crew *crew = user;

	pthread_mutex_lock(&crew->lock);
	while (!crew->wake)
		pthread_cond_wait(&crew->woken, &crew->lock);
	crew->wake = false;
	pthread_mutex_unlock(&crew->lock);
}

static void *crew_main(void *arg)
{
	struct crew *crew = arg;

	pthread_mutex_lock(&crew->lock);
	while (!crew->stop || crew->queue.count > 0) {
		void (*run)(void *part_arg);
		void *part;

		if (crew->queue.count == 0) {
			pthread_cond_wait(&crew->ready, &crew->lock);
			continue;
		}
		crew->queue.count--;
		run = crew->queue.parts[crew->queue.count].run;
		part = crew->queue.parts[crew->queue.count].arg;
		pthread_mutex_unlock(&crew->lock);
		run(part);
		pthread_mutex_lock(&crew->lock);
	}
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

static void with_threads(const struct ph_test_pack *pack, const struct ph_test_buf *file,
                         uint32_t width, struct ph_hash told, bool give_up)
{
	struct crew crew;
	struct intake intake;

	memset(&crew, 0, sizeof(crew));
	pthread_mutex_init(&crew.lock, NULL);
	pthread_cond_init(&crew.ready, NULL);
	pthread_cond_init(&crew.woken, NULL);
	crew.executor = (struct ph_executor){
	        .user = &crew, .width = width, .submit = crew_submit, .sync = &ph_test_sync};
	for (uint32_t i = 0; i < width; i++)
		assert_int_equal(pthread_create(&crew.threads[i], NULL, crew_main, &crew), 0);
	prepare(&intake, &crew.queue, ph_alloc_libc(), PH_HASH_SHA1, NULL);
	intake.options.executor = &crew.executor;
	intake.options.wake = crew_wake;
	intake.options.wake_user = &crew;
	intake.pending = crew_wait;
	intake.pending_user = &crew;
	if (give_up) {
		size_t used;
		uint32_t budget = UINT32_MAX;

		assert_int_equal(ph_pack_in_new(&intake.in, &intake.options), PH_OK);
		assert_int_equal(ph_pack_in_write(intake.in, file->data, file->len, &used, &budget),
		                 PH_END);
		assert_true(ph_pack_in_run(intake.in, &budget) >= 0);
	} else {
		assert_int_equal(intake_file(&intake, file), PH_OK);
		expect_same(&intake, pack, told);
	}
	intake_release(&intake);
	pthread_mutex_lock(&crew.lock);
	crew.stop = true;
	pthread_cond_broadcast(&crew.ready);
	pthread_mutex_unlock(&crew.lock);
	for (uint32_t i = 0; i < width; i++)
		pthread_join(crew.threads[i], NULL);
	pthread_mutex_destroy(&crew.lock);
	pthread_cond_destroy(&crew.ready);
	pthread_cond_destroy(&crew.woken);
}

static void test_threads(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 4; round++) {
		struct ph_test_pack pack;
		struct ph_test_buf file = {0};
		struct ph_hash told;

		build(&pack, round % 2, 30);
		ph_test_packfile(&pack, &file);
		one_thread(&file, &told);
		for (uint32_t width = 1; width <= 4; width *= 2)
			with_threads(&pack, &file, width, told, round >= 2);
		ph_test_buf_release(&file);
		ph_test_pack_release(&pack);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_turns),   cmocka_unit_test(test_given_up),
	        cmocka_unit_test(test_memory),  cmocka_unit_test(test_bad),
	        cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
