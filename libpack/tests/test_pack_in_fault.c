/* SPDX-License-Identifier: MIT */
/* Pack-in when memory, or a sink, gives out at any point: the error comes through, nothing leaks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

#include <stdlib.h>

/* A thin pack with everything in it: large deltas, trees, special files, objects that exist. */
struct scene {
	struct ph_test_pack there, pack;
	struct ph_test_source source;
	struct ph_test_buf file;
};

static void scene_init(struct scene *scene)
{
	static const char modules[] = "[submodule \"a\"]\n\tpath = a\n\turl = https://e.com/a\n";
	struct ph_test_pack *pack = &scene->pack;
	struct ph_test_buf tree = {0};
	struct ph_test_rng rng;
	uint8_t data[9000];
	uint32_t i;

	memset(scene, 0, sizeof(*scene));
	ph_test_rng_init(&rng, 4);
	ph_test_rng_fill(&rng, data, sizeof(data));
	ph_test_pack_init(&scene->there, PH_HASH_SHA1);
	(void)ph_test_pack_add(&scene->there, PH_OBJ_BLOB, data, sizeof(data));
	(void)ph_test_pack_add_ofs(&scene->there, 0, data + 100, sizeof(data) - 100);
	ph_test_source_init(&scene->source, &scene->there, 1);

	ph_test_pack_init(pack, PH_HASH_SHA1);
	(void)ph_test_pack_add(pack, PH_OBJ_BLOB, modules, strlen(modules));
	ph_test_tree_entry(&tree, PH_HASH_SHA1, 0100644, ".gitmodules", &pack->entries[0].oid);
	(void)ph_test_pack_add(pack, PH_OBJ_TREE, tree.data, tree.len);
	ph_test_buf_release(&tree);
	(void)ph_test_pack_add(pack, PH_OBJ_BLOB, data, sizeof(data));
	(void)ph_test_pack_add_thin(pack, PH_OBJ_BLOB, &scene->there.entries[1].oid, data + 100,
	                            sizeof(data) - 100, data + 200, sizeof(data) - 200);
	for (i = 0; i < 10; i++) {
		data[i * 800 + 5] ^= 1;
		(void)ph_test_pack_add_ofs(pack, pack->count - 1 - i / 3, data + 10 * i,
		                           sizeof(data) - 100);
	}
	ph_test_packfile(pack, &scene->file);
}

static void scene_release(struct scene *scene)
{
	ph_test_buf_release(&scene->file);
	ph_test_source_release(&scene->source);
	ph_test_pack_release(&scene->pack);
	ph_test_pack_release(&scene->there);
}

/* resident: large objects go through the scratch when it is small. */
static void prepare(struct scene *scene, struct intake *intake, const struct ph_alloc *alloc,
                    uint64_t resident)
{
	intake_init(intake, PH_HASH_SHA1, alloc, &scene->source.set.source);
	intake->limits.delta_resident_bytes_max = resident;
	intake->limits.delta_cache_bytes_max = resident;
}

static void test_memory(void **state)
{
	static const uint64_t residents[] = {1000, 1 << 20};
	struct scene scene;
	size_t i;

	(void)state;
	scene_init(&scene);
	for (i = 0; i < 2; i++) {
		uint64_t fail_at;
		for (fail_at = 1;; fail_at++) {
			struct ph_test_alloc memory;
			struct intake intake;
			enum ph_status status;
			uint64_t calls;
			ph_test_alloc_init(&memory);
			memory.fail_at = fail_at;
			prepare(&scene, &intake, &memory.alloc, residents[i]);
			status = intake_file(&intake, &scene.file);
			intake_release(&intake);
			calls = memory.calls;
			assert_int_equal(memory.live, 0);
			if (calls < fail_at) {
				assert_int_equal(status, PH_OK);
				break;
			}
			assert_int_equal(status, PH_ERR_NOMEM);
		}
		assert_true(fail_at > 20);
	}
	scene_release(&scene);
}

/* Every append of every sink fails once. */
static void test_sinks(void **state)
{
	struct scene scene;
	int which;

	(void)state;
	scene_init(&scene);
	for (which = 0; which < 3; which++) {
		uint64_t fail_at;
		for (fail_at = 1;; fail_at++) {
			struct ph_test_alloc memory;
			struct intake intake;
			struct ph_test_sink *sinks[3] = {&intake.run, &intake.index,
			                                 &intake.scratch};
			enum ph_status status;
			uint64_t appends;
			ph_test_alloc_init(&memory);
			prepare(&scene, &intake, &memory.alloc, 1000);
			sinks[which]->fail_at = fail_at;
			status = intake_file(&intake, &scene.file);
			appends = sinks[which]->appends;
			intake_release(&intake);
			assert_int_equal(memory.live, 0);
			if (appends < fail_at) {
				assert_int_equal(status, PH_OK);
				break;
			}
			assert_int_equal(status, PH_ERR_IO);
		}
		assert_true(fail_at > 1);
	}
	scene_release(&scene);
}

static void test_full(void **state)
{
	struct scene scene;
	struct intake intake;

	(void)state;
	scene_init(&scene);
	prepare(&scene, &intake, ph_alloc_libc(), 1000);
	intake.run.size_max = 5000;
	assert_int_equal(intake_file(&intake, &scene.file), PH_ERR_FULL);
	intake_release(&intake);
	scene_release(&scene);
}

/* Thrown away at any point. */
static void test_cancel(void **state)
{
	struct scene scene;
	size_t len;
	uint32_t runs;

	(void)state;
	scene_init(&scene);
	for (len = 0; len < scene.file.len; len += 97) {
		struct ph_test_alloc memory;
		struct intake intake;
		struct feeding feeding = {0};
		ph_test_alloc_init(&memory);
		prepare(&scene, &intake, &memory.alloc, 1000);
		assert_int_equal(intake_feed(&intake, scene.file.data, len, &feeding), PH_AGAIN);
		intake_release(&intake);
		assert_int_equal(memory.live, 0);
	}
	for (runs = 0; runs < 100; runs++) {
		struct ph_test_alloc memory;
		struct intake intake;
		uint32_t budget = UINT32_MAX;
		size_t used;
		uint32_t i;
		ph_test_alloc_init(&memory);
		prepare(&scene, &intake, &memory.alloc, 1000);
		assert_int_equal(ph_pack_in_new(&intake.in, &intake.options), PH_OK);
		assert_int_equal(ph_pack_in_write(intake.in, scene.file.data, scene.file.len, &used,
		                                  &budget),
		                 PH_END);
		for (i = 0; i < runs; i++) {
			budget = 1;
			assert_true(ph_pack_in_run(intake.in, &budget) >= 0);
		}
		intake_release(&intake);
		assert_int_equal(memory.live, 0);
	}
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_memory),
	        cmocka_unit_test(test_sinks),
	        cmocka_unit_test(test_full),
	        cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
