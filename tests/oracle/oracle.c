/* SPDX-License-Identifier: MIT */
/*
 * What oracle.py asks for:
 *   list FORMAT PACK              "id type size" of every object, as we read the pack
 *   cat FORMAT PACK               the same with contents, as git cat-file --batch prints them
 *   compare FORMAT PACK GITDIR    every object equals what libgit2 reads from GITDIR
 *   make FORMAT PACK ofs|ref ID... -ID...   a pack of ours: wants, and haves after a minus
 *   index FORMAT PACK             libgit2's indexer takes the pack
 */
#include <packhorse/pack_in.h>
#include <packhorse/pack_out.h>
#include "support.h"
#include <git2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct world {
	enum ph_hash_algo algo;
	struct ph_limits limits;
	struct ph_test_sink run, index, scratch;
	struct ph_test_bytes run_bytes, index_bytes;
	struct ph_pack pack;
	const struct ph_pack *packs[1];
	struct ph_pack_set set;
	struct ph_reader *reader;
};

_Noreturn static void die(const char *what, enum ph_status status)
{
	fprintf(stderr, "oracle: %s: %s\n", what, ph_status_text(status));
	exit(1);
}

static void must(const char *what, enum ph_status status)
{
	if (status != PH_OK)
		die(what, status);
}

static uint8_t *read_all(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	long size;

	if (!f || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0)
		die(path, PH_ERR_IO);
	rewind(f);
	data = malloc((size_t)size + 1);
	*len = data ? fread(data, 1, (size_t)size, f) : 0;
	fclose(f);
	return data;
}

static void world_load(struct world *world, const char *format, const char *path)
{
	struct ph_pack_in_options options = {0};
	struct ph_pack_in *in;
	enum ph_status status;
	size_t len, used, at = 0;
	uint8_t *data = read_all(path, &len);
	uint32_t budget;

	memset(world, 0, sizeof *world);
	must(format, ph_hash_from_name(&world->algo, format, strlen(format)));
	ph_limits_init(&world->limits);
	ph_test_sink_init(&world->run);
	ph_test_sink_init(&world->index);
	ph_test_sink_init(&world->scratch);
	options.algo = world->algo;
	options.alloc = ph_alloc_libc();
	options.limits = &world->limits;
	options.run = &world->run.sink;
	options.index = &world->index.sink;
	options.scratch = &world->scratch.sink;
	must("pack in", ph_pack_in_new(&in, &options));
	do {
		budget = 1000;
		status = ph_pack_in_write(in, data + at, len - at, &used, &budget);
		at += used;
	} while (status == PH_AGAIN || (status == PH_OK && at < len));
	if (status != PH_END || at != len)
		die("writing the pack", status);
	do {
		budget = 1000;
		status = ph_pack_in_run(in, &budget);
	} while (status == PH_AGAIN);
	must("resolving", status);
	ph_pack_in_free(in);
	free(data);
	ph_test_bytes_init(&world->run_bytes, world->run.buf.data, world->run.sink.size);
	ph_test_bytes_init(&world->index_bytes, world->index.buf.data, world->index.sink.size);
	world->pack.run = &world->run_bytes.bytes;
	must("index", ph_index_init(&world->pack.index, &world->index_bytes.bytes, world->algo));
	world->packs[0] = &world->pack;
	ph_pack_set_init(&world->set, world->algo, NULL, world->packs, 1);
	must("reader",
	     ph_reader_new(&world->reader, &world->set.source, ph_alloc_libc(), &world->limits));
}

static void world_free(struct world *world)
{
	ph_reader_free(world->reader);
	ph_test_sink_release(&world->run);
	ph_test_sink_release(&world->index);
	ph_test_sink_release(&world->scratch);
}

static void each(struct world *world, void *user,
                 void (*call)(struct world *world, void *user, const struct ph_entry *entry,
                              const struct ph_object *object))
{
	for (uint32_t pos = 0; pos < world->pack.index.entries; pos++) {
		struct ph_loc loc = {0, pos};
		struct ph_object object;
		struct ph_entry entry;

		must("entry", world->set.source.ops->entry(&world->set.source, loc, &entry));
		must("read", ph_reader_read(world->reader, loc, UINT64_MAX, &object));
		if (object.type != entry.type || object.size != entry.size)
			die("an entry's type and size", PH_ERR_CORRUPT);
		call(world, user, &entry, &object);
		ph_object_release(world->reader, &object);
	}
}

static void list_one(struct world *world, void *user, const struct ph_entry *entry,
                     const struct ph_object *object)
{
	char hex[PH_OID_HEX_MAX + 1];
	bool cat = user != NULL;

	printf("%s %s %llu\n", ph_oid_to_hex(hex, world->algo, &entry->oid),
	       ph_object_type_name(object->type), (unsigned long long)object->size);
	if (cat) {
		fwrite(object->data, 1, (size_t)object->size, stdout);
		putchar('\n');
	}
}

static void compare_one(struct world *world, void *user, const struct ph_entry *entry,
                        const struct ph_object *object)
{
	git_odb *odb = user;
	git_odb_object *other;
	git_oid oid;

	(void)world;
	git_oid_fromraw(&oid, entry->oid.bytes);
	if (git_odb_read(&other, odb, &oid) != 0)
		die("libgit2 does not find an object", PH_ERR_NOT_FOUND);
	if (git_odb_object_size(other) != object->size ||
	    (int)git_odb_object_type(other) != (int)object->type ||
	    memcmp(git_odb_object_data(other), object->data, (size_t)object->size) != 0)
		die("libgit2 reads another object", PH_ERR_CORRUPT);
	git_odb_object_free(other);
}

static void compare(struct world *world, const char *git_dir)
{
	git_repository *repo;
	git_odb *odb;

	git_libgit2_init();
	if (git_repository_open(&repo, git_dir) != 0 || git_repository_odb(&odb, repo) != 0)
		die(git_dir, PH_ERR_IO);
	each(world, odb, compare_one);
	git_odb_free(odb);
	git_repository_free(repo);
	git_libgit2_shutdown();
}

static void make(struct world *world, bool ofs, int argc, char **argv)
{
	struct ph_walk_options walk_options = {0};
	struct ph_pack_out_options options = {0};
	struct ph_walk *walk;
	struct ph_pack_out *out;
	enum ph_status status;
	uint8_t buf[10000];
	uint32_t budget;
	size_t used;

	walk_options.source = &world->set.source;
	walk_options.alloc = ph_alloc_libc();
	walk_options.limits = &world->limits;
	must("walk", ph_walk_new(&walk, &walk_options));
	for (int i = 0; i < argc; i++) {
		const char *hex = argv[i] + (argv[i][0] == '-');
		struct ph_oid oid;

		must(hex, ph_oid_from_hex(&oid, world->algo, hex, strlen(hex)));
		must(hex, hex == argv[i] ? ph_walk_want(walk, &oid) : ph_walk_have(walk, &oid));
	}
	do {
		budget = 100;
		status = ph_walk_run(walk, &budget);
	} while (status == PH_AGAIN);
	must("walk", status);
	options.source = &world->set.source;
	options.walk = walk;
	options.alloc = ph_alloc_libc();
	options.limits = &world->limits;
	options.ofs_delta = ofs;
	must("pack out", ph_pack_out_new(&out, &options));
	do {
		budget = 100;
		status = ph_pack_out_read(out, buf, sizeof buf, &used, &budget);
		fwrite(buf, 1, used, stdout);
	} while (status == PH_OK || status == PH_AGAIN);
	if (status != PH_END)
		die("pack out", status);
	ph_pack_out_free(out);
	ph_walk_free(walk);
}

static void indexer_takes(const char *path)
{
	char folder[] = "/tmp/packhorse-oracle-XXXXXX";
	git_indexer_progress progress = {0};
	git_indexer *indexer;
	size_t len;
	uint8_t *data = read_all(path, &len);
	char command[128];

	git_libgit2_init();
	if (!mkdtemp(folder) || git_indexer_new(&indexer, folder, 0, NULL, NULL) != 0)
		die(folder, PH_ERR_IO);
	if (git_indexer_append(indexer, data, len, &progress) != 0 ||
	    git_indexer_commit(indexer, &progress) != 0)
		die(git_error_last()->message, PH_ERR_INVALID);
	git_indexer_free(indexer);
	git_libgit2_shutdown();
	free(data);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	if (system(command) != 0)
		die(folder, PH_ERR_IO);
}

int main(int argc, char **argv)
{
	struct world world;

	if (argc < 4)
		return 64;
	if (strcmp(argv[1], "index") == 0) {
		indexer_takes(argv[3]);
		return 0;
	}
	world_load(&world, argv[2], argv[3]);
	if (strcmp(argv[1], "list") == 0)
		each(&world, NULL, list_one);
	else if (strcmp(argv[1], "cat") == 0)
		each(&world, &world, list_one);
	else if (strcmp(argv[1], "compare") == 0 && argc == 5)
		compare(&world, argv[4]);
	else if (strcmp(argv[1], "make") == 0 && argc > 5)
		make(&world, strcmp(argv[4], "ofs") == 0, argc - 5, argv + 5);
	else
		return 64;
	world_free(&world);
	return fflush(stdout) == 0 ? 0 : 1;
}
