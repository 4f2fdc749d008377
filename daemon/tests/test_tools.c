/* SPDX-License-Identifier: MIT */
/*
 * packhorse fsck and info where they cannot look at all: memory that is not there is no damage and
 * leaves no verdict, and what a limit keeps fsck from reading is told apart from what is damaged.
 * The image is a simulated one, so what opens images is this file's.
 */
#include "disk_tools.h"

#include "daemon_int.h"
#include "tools_int.h"

#include <unistd.h>

static struct {
	struct ph_store_disk_options options;
	struct ph_limits limits;
	struct ph_test_alloc memory;
	struct sim_device *sim;
	uint64_t fail; /* the allocation that fails, counted from opening on; 0: none */
	bool json;
	char said[8192];
} world;

/* ---- in place of image.c ---- */

bool ph__image_open(struct ph_image *image, const char *path)
{
	memset(image, 0, sizeof(*image));
	image->path = path;
	image->limits = world.limits;
	image->options = world.options;
	world.sim->open = true;
	if (ph_store_disk_open(&image->store, &world.sim->device, &image->options) != PH_OK)
		return false;
	world.memory.fail_at = world.fail ? world.memory.calls + world.fail : 0;
	return true;
}

void ph__image_close(struct ph_image *image)
{
	world.memory.fail_at = 0;
	ph_store_close(image->store);
}

void ph__image_failed(const char *path, const char *what, enum ph_status status)
{
	fprintf(stderr, "cannot %s %s: %s\n", what, path, ph_status_text(status));
}

int ph__tool_args(int argc, char **argv, const struct ph_tool_flag *flags, const char **given,
                  unsigned count, void (*usage)(FILE *to))
{
	(void)argc;
	(void)argv;
	(void)count;
	(void)usage;
	for (; flags->name; flags++)
		*flags->set = strcmp(flags->name, "--deep") == 0 ||
		              (world.json && strcmp(flags->name, "--json") == 0);
	given[0] = "a.img";
	return -1;
}

int ph__tool_parse(int argc, char **argv, const char *flag, bool *set, const char **path,
                   void (*usage)(FILE *to))
{
	(void)argc;
	(void)argv;
	(void)flag;
	(void)usage;
	*set = world.json;
	*path = "a.img";
	return -1;
}

/* ---- running them ---- */

static int set_up(void **state)
{
	struct ph_store *store;
	(void)state;
	memset(&world, 0, sizeof(world));
	sim_options(&world.options);
	ph_test_alloc_init(&world.memory);
	world.options.alloc = &world.memory.alloc;
	ph_limits_init(&world.limits);
	world.sim = sim_new(1 << 20, 32 << 20);
	assert_status(sim_open(world.sim, &world.options, &store), PH_OK);
	assert_status(tool_create(store, "one"), PH_OK);
	assert_status(tool_push(store, "one", "refs/heads/large", 1, 50000), PH_OK);
	assert_status(tool_push(store, "one", "refs/heads/small", 2, 500), PH_OK);
	ph_store_close(store);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(world.memory.live, 0);
	sim_free(world.sim);
	return 0;
}

/* Both streams of a tool are in world.said. */
static int run(int (*tool)(int argc, char **argv))
{
	FILE *file = tmpfile();
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), code;
	assert_true(file && out >= 0 && err >= 0);
	fflush(stdout);
	assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	code = tool(0, NULL);
	fflush(stdout);
	assert_true(dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0);
	close(out);
	close(err);
	rewind(file);
	world.said[fread(world.said, 1, sizeof(world.said) - 1, file)] = '\0';
	fclose(file);
	return code;
}

static int fsck(void)
{
	return run(ph__tool_fsck);
}

static bool says(const char *text)
{
	return strstr(world.said, text) != NULL;
}

/* ---- tests ---- */

static void test_clean(void **state)
{
	(void)state;
	assert_int_equal(fsck(), PH_EXIT_OK);
	assert_true(says("a.img: clean, 2 objects"));
	world.json = true;
	assert_int_equal(fsck(), PH_EXIT_OK);
	assert_true(says("\"unchecked\": 0, \"clean\": true}"));
}

/* Whatever allocation fails: never a finding, and no verdict. */
static void test_no_memory(void **state)
{
	uint32_t failed = 0;
	int code = PH_EXIT_FAILURE;
	(void)state;
	for (world.fail = 1; world.fail < 500; world.fail++) {
		world.json = world.fail % 2;
		code = fsck();
		if (code == PH_EXIT_OK)
			continue;
		failed++;
		if (code != PH_EXIT_FAILURE || !says("cannot check a.img: out of memory"))
			fail_msg("allocation %u: exit code %d: %s", (unsigned)world.fail, code,
			         world.said);
		assert_false(says(": clean") || says("finding,") || says("\"clean\": true"));
		assert_true(!world.json || says("\"clean\": null}"));
	}
	assert_true(failed > 5 && code == PH_EXIT_OK);
}

/* An object that is larger than may be read is not damaged, and not called clean either. */
static void test_limit(void **state)
{
	(void)state;
	world.limits.object_bytes_max = 10000;
	assert_int_equal(fsck(), PH_EXIT_FAILURE);
	assert_true(says("repository one: object ") &&
	            says(" is not checked: a limit was exceeded"));
	assert_true(says("a.img: no damage in what was checked; what is named above was not"));
	assert_false(says(": clean") || says("finding"));
	world.json = true;
	assert_int_equal(fsck(), PH_EXIT_FAILURE);
	assert_true(says("\"findings\": []") && says("\"unchecked\": 1, \"clean\": null}"));
}

/* Beside that, damage is damage. */
static void test_limit_and_damage(void **state)
{
	struct ph_test_rng rng;
	uint8_t data[32];
	uint64_t at = 0;
	(void)state;
	ph_test_rng_init(&rng, 2);
	ph_test_rng_fill(&rng, data, sizeof(data));
	while (memcmp(world.sim->data + at, data + 8, 16) != 0)
		at++;
	world.sim->data[at] ^= 1;
	world.limits.object_bytes_max = 10000;
	assert_int_equal(fsck(), PH_EXIT_DAMAGED);
	assert_true(says("is not checked") && says("next: copy the image"));
	world.json = true;
	assert_int_equal(fsck(), PH_EXIT_DAMAGED);
	assert_true(says("\"unchecked\": 1, \"clean\": false}"));
}

/* Where the list of repositories cannot be read to its end, too, a check ends with what it found.
 */
static void test_catalogue(void **state)
{
	struct ph_store *store;
	char name[32];
	uint32_t hits = 0;
	(void)state;
	world.sim->open = true;
	assert_status(ph_store_disk_open(&store, &world.sim->device, &world.options), PH_OK);
	for (uint32_t i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "repository-%u", (unsigned)i);
		assert_status(tool_create(store, name), PH_OK);
	}
	ph_store_close(store);
	/* A byte of every block that may be one of the catalogue's: those of the ring are not. */
	for (uint64_t at = 32 * 4096 + 100; at < world.sim->device.bytes; at += 4096) {
		world.sim->data[at] ^= 1;
		int code = fsck();
		/* One that does not open says nothing here. */
		if (code != PH_EXIT_OK && code != PH_EXIT_DAMAGED && world.said[0])
			fail_msg("byte %u: exit code %d: %s", (unsigned)at, code, world.said);
		if (says("listing repositories")) {
			assert_int_equal(code, PH_EXIT_DAMAGED);
			hits++;
		}
		world.sim->data[at] ^= 1;
	}
	assert_true(hits >= 2);
}

/* A repository that cannot be looked at is named, and is damaged only if it is. */
static void test_info(void **state)
{
	uint32_t failed = 0;
	int code = PH_EXIT_FAILURE;
	(void)state;
	for (world.fail = 1; world.fail < 500; world.fail++) {
		code = run(ph__tool_info);
		failed += code != PH_EXIT_OK;
		if (code != PH_EXIT_OK && (code != PH_EXIT_FAILURE || !says("out of memory")))
			fail_msg("allocation %u: exit code %d: %s", (unsigned)world.fail, code,
			         world.said);
	}
	assert_true(failed > 3 && code == PH_EXIT_OK);
	world.fail = 0;
	assert_int_equal(run(ph__tool_info), PH_EXIT_OK);
	assert_true(says(" refs    2 packs          2 objects"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_clean, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_limit_and_damage, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_catalogue, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_info, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("packhorse fsck and info", tests, NULL, NULL);
}
