/* SPDX-License-Identifier: MIT */
/*
 * Pack-in against git: histories that git made, packed by git in every way, whole and thin, give
 * the ids, types and sizes that git says they have, and git takes what came out.
 */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

#include <stdio.h>
#include <stdlib.h>

#define COMMITS 400u

struct repo {
	enum ph_hash_algo algo;
	char dir[64];
};

/* Runs a command in the repository; it must succeed. */
static void run(const struct repo *repo, const char *command)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), "cd '%s' && { %s; }", repo->dir, command);
	if (system(line) != 0)
		fail_msg("failed: %s", line);
}

static void read_file(const struct repo *repo, const char *name, struct ph_test_buf *out)
{
	char path[256];
	char chunk[65536];
	FILE *file;
	size_t len;

	(void)snprintf(path, sizeof(path), "%s/%s", repo->dir, name);
	file = fopen(path, "rb");
	assert_non_null(file);
	while ((len = fread(chunk, 1, sizeof(chunk), file)) > 0)
		ph_test_buf_append(out, chunk, len);
	assert_int_equal(fclose(file), 0);
}

static void write_file(const struct repo *repo, const char *name, const struct ph_test_buf *data)
{
	char path[256];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", repo->dir, name);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(data->data, 1, data->len, file), data->len);
	assert_int_equal(fclose(file), 0);
}

/* A file's lines, of which each commit changes a few. */
static void put_lines(struct ph_test_buf *out, struct ph_test_rng *rng, uint32_t *lines,
                      uint32_t count)
{
	struct ph_test_buf text = {0};
	uint32_t i;

	lines[ph_test_rng_below(rng, count)]++;
	for (i = 0; i < count; i++)
		ph_test_buf_print(&text, "line %u of a file, in its version %u\n", (unsigned)i,
		                  (unsigned)lines[i]);
	ph_test_buf_print(out, "data %u\n", (unsigned)text.len);
	ph_test_buf_append(out, text.data, text.len);
	ph_test_buf_print(out, "\n");
	ph_test_buf_release(&text);
}

static void put_commit(struct ph_test_buf *out, uint32_t number, const char *branch)
{
	ph_test_buf_print(out, "commit refs/heads/%s\nmark :%u\n", branch, (unsigned)number);
	ph_test_buf_print(out, "committer C O Mitter <c@example.com> %u +0200\n",
	                  1500000000u + number);
	ph_test_buf_print(out, "data 12\nsome message\n");
}

/* For git fast-import: two branches with merges, directories, special files and tags. */
static void make_history(struct ph_test_buf *out)
{
	static uint32_t lines[10][300];
	static const char *const names[10] = {"a",     "b",         "c",         "dir/d",
	                                      "dir/e", "dir/sub/f", "dir/sub/g", "x/y/z/h",
	                                      "i.c",   "README"};
	struct ph_test_rng rng;
	uint32_t i;

	ph_test_rng_init(&rng, 1);
	memset(lines, 0, sizeof(lines));
	for (i = 1; i <= COMMITS; i++) {
		uint32_t file = ph_test_rng_below(&rng, 10);
		put_commit(out, i, i % 5 == 0 ? "side" : "main");
		if (i == 1)
			ph_test_buf_print(out,
			                  "M 100644 inline .gitattributes\ndata 9\n*.c text\n\n");
		if (i % 20 == 1 && i > 20)
			ph_test_buf_print(out, "merge :%u\n", (unsigned)(i - 1));
		ph_test_buf_print(out, "M 100644 inline %s\n", names[file]);
		put_lines(out, &rng, lines[file], 300);
		ph_test_buf_print(out, "\n");
		if (i % 50 == 0)
			ph_test_buf_print(
			        out,
			        "tag v%u\nfrom :%u\ntagger T <t@example.com> 1500000000 +0000\n"
			        "data 5\nnotes\n",
			        (unsigned)i, (unsigned)i);
	}
}

static void repo_init(struct repo *repo, enum ph_hash_algo algo)
{
	struct ph_test_buf history = {0};
	char command[256];

	repo->algo = algo;
	(void)snprintf(repo->dir, sizeof(repo->dir), "/tmp/packhorse-pack-in-XXXXXX");
	assert_non_null(mkdtemp(repo->dir));
	(void)snprintf(command, sizeof(command),
	               "git init -q --bare --object-format=%s repo && "
	               "git init -q --bare --object-format=%s other",
	               ph_hash_name(algo), ph_hash_name(algo));
	run(repo, command);
	make_history(&history);
	write_file(repo, "history", &history);
	ph_test_buf_release(&history);
	run(repo,
	    "git -C repo fast-import --quiet <history && git -C repo repack -adfq --depth=50");
}

static void repo_release(struct repo *repo)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", repo->dir);
	run(repo, command);
}

/* A stored pack, to be read as a source. */
struct stored {
	struct ph_test_bytes run, index;
	struct ph_pack pack;
	const struct ph_pack *packs[1];
	struct ph_pack_set set;
};

static void stored_init(struct stored *stored, const struct intake *intake)
{
	ph_test_bytes_init(&stored->run, intake->run.buf.data, intake->run.buf.len);
	ph_test_bytes_init(&stored->index, intake->index.buf.data, intake->index.buf.len);
	stored->pack.run = &stored->run.bytes;
	assert_int_equal(
	        ph_index_init(&stored->pack.index, &stored->index.bytes, intake->options.algo),
	        PH_OK);
	stored->packs[0] = &stored->pack;
	ph_pack_set_init(&stored->set, intake->options.algo, NULL, stored->packs, 1);
}

/* The pack holds exactly the objects of a listing "id type size". */
static void expect_listing(const struct repo *repo, const struct intake *intake, const char *name)
{
	struct ph_test_buf listing = {0};
	struct stored stored;
	uint32_t count = 0;
	char *line;
	char *rest;

	stored_init(&stored, intake);
	read_file(repo, name, &listing);
	ph_test_buf_append(&listing, "", 1);
	for (line = (char *)listing.data; *line; line = rest) {
		struct ph_index *index = &stored.pack.index;
		struct ph_entry entry;
		char type[16];
		unsigned long long size;
		uint32_t pos;
		struct ph_oid oid;
		size_t hex = ph_hash_hex(repo->algo);
		rest = strchr(line, '\n');
		*rest++ = '\0';
		assert_int_equal(ph_oid_from_hex(&oid, repo->algo, line, hex), PH_OK);
		assert_int_equal(sscanf(line + hex, " %15s %llu", type, &size), 2);
		assert_int_equal(ph_index_find(index, &oid, &pos), PH_OK);
		assert_int_equal(ph_index_entry(index, pos, &entry), PH_OK);
		assert_int_equal(entry.size, size);
		assert_string_equal(ph_object_type_name(entry.type), type);
		count++;
	}
	assert_true(count > 1000);
	assert_int_equal(count, stored.pack.index.entries);
	ph_test_buf_release(&listing);
}

/* git takes the run as a pack of its own. */
static void expect_accepted(const struct repo *repo, const struct intake *intake)
{
	struct ph_test_buf file = {0};
	struct stored stored;
	uint32_t count;
	uint8_t header[12] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};

	stored_init(&stored, intake);
	count = stored.pack.index.entries;
	header[9] = (uint8_t)(count >> 16);
	header[10] = (uint8_t)(count >> 8);
	header[11] = (uint8_t)count;
	ph_test_buf_append(&file, header, sizeof(header));
	ph_test_buf_append(&file, intake->run.buf.data, intake->run.buf.len);
	ph_test_buf_append(&file, stored.pack.index.trailer.bytes, ph_hash_bytes(repo->algo));
	write_file(repo, "out.pack", &file);
	ph_test_buf_release(&file);
	run(repo, "git -C other index-pack --stdin <out.pack >/dev/null");
}

static void feed(const struct repo *repo, struct intake *intake, const struct ph_source *base,
                 uint64_t resident)
{
	struct ph_test_buf file = {0};
	struct feeding feeding = {.piece = 65536, .budget = 100};

	read_file(repo, "pack", &file);
	intake_init(intake, repo->algo, ph_alloc_libc(), base);
	intake->limits.delta_resident_bytes_max = resident;
	intake->limits.delta_cache_bytes_max = resident;
	intake_feed(intake, file.data, file.len, &feeding);
	assert_int_equal(intake->status, PH_OK);
	ph_test_buf_release(&file);
}

static void test_whole(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	static const char *const options[] = {"--delta-base-offset", "",
	                                      "--no-reuse-delta --window=20 --depth=200",
	                                      "--delta-base-offset --window=0 --no-reuse-delta"};
	static const uint64_t residents[] = {16 << 20, 0, 5000};
	struct repo repo;
	size_t i;

	repo_init(&repo, algo);
	run(&repo, "git -C repo cat-file --batch-all-objects --batch-check >listing");
	for (i = 0; i < 4; i++) {
		struct intake intake;
		char command[256];
		(void)snprintf(command, sizeof(command),
		               "git -C repo pack-objects -q --all --stdout --revs %s "
		               "</dev/null >pack",
		               options[i]);
		run(&repo, command);
		feed(&repo, &intake, NULL, residents[i % 3]);
		assert_true(i == 3 || intake.stats.deltas > 500);
		expect_listing(&repo, &intake, "listing");
		expect_accepted(&repo, &intake);
		intake_release(&intake);
	}
	repo_release(&repo);
}

/* The second half of the history as a thin pack on the first. */
static void test_thin(void **state)
{
	enum ph_hash_algo algo = *(enum ph_hash_algo *)*state;
	static const char *const options[] = {"--delta-base-offset", ""};
	struct repo repo;
	struct intake first;
	struct stored stored;
	size_t i;

	repo_init(&repo, algo);
	run(&repo, "echo main~150 | git -C repo pack-objects -q --stdout --revs "
	           "--delta-base-offset >pack");
	feed(&repo, &first, NULL, 16 << 20);
	stored_init(&stored, &first);
	for (i = 0; i < 2; i++) {
		struct intake intake;
		char command[256];
		(void)snprintf(command, sizeof(command),
		               "printf 'main\\n^main~150\\n' | git -C repo pack-objects -q --thin "
		               "--stdout --revs %s >pack",
		               options[i]);
		run(&repo, command);
		feed(&repo, &intake, &stored.set.source, i == 0 ? 16 << 20 : 3000);
		assert_true(intake.stats.bases_added > 0);
		expect_accepted(&repo, &intake);
		intake_release(&intake);
	}
	intake_release(&first);
	repo_release(&repo);
}

int main(void)
{
	static enum ph_hash_algo algos[] = {PH_HASH_SHA1, PH_HASH_SHA256};
	void *sha1 = &algos[0];
	void *sha256 = &algos[1];
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_prestate(test_whole, sha1),
	        cmocka_unit_test_prestate(test_whole, sha256),
	        cmocka_unit_test_prestate(test_thin, sha1),
	        cmocka_unit_test_prestate(test_thin, sha256),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
