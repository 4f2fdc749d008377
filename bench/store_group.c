/* SPDX-License-Identifier: MIT */
/*
 * Commits per second of whole pushes on a device whose flush takes its time. "threads": a thread
 * for every writer, each with a repository and a history of its own, as many connections of a
 * daemon are. "loop": the same in one thread, as on the unikernel: every session runs until it can
 * do no more, then those that are about to commit do.
 */
#include "store_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS_MAX 256u
#define PUSHES_MAX 10000u
#define DEVICE_BYTES ((uint64_t)64 << 20)
#define DEVICE_BYTES_MAX ((uint64_t)4 << 30)
#define FILE_BYTES 400u
#define ZEROS "0000000000000000000000000000000000000000"

struct writer {
	struct bench_client client;
	struct ph_test_buf *requests; /* the first one makes the repository */
	char repo[16];
	uint32_t pushes, at;
	pthread_t thread;
};

static struct group {
	struct ph_limits limits;
	struct ph_store_disk_options options;
	struct ph_service service;
	struct sim_device *sim;
	struct ph_store *store;
	struct writer *writers;
	uint32_t count, pushes;
	bool loop;
} g;

/* ---- what is pushed: commits of one changed file, each with a pack of three objects ---- */

static void make_request(struct ph_test_rng *rng, struct ph_oid *tip, bool first, const char *name,
                         struct ph_test_buf *out)
{
	struct ph_test_buf text = {0};
	struct ph_test_pack pack;
	char content[FILE_BYTES], old_hex[PH_OID_HEX_MAX + 1] = ZEROS, hex[PH_OID_HEX_MAX + 1];
	uint32_t entry;

	if (!first)
		ph_oid_to_hex(old_hex, PH_HASH_SHA1, tip);
	ph_test_pack_init(&pack, PH_HASH_SHA1);
	ph_test_rng_text(rng, content, sizeof(content));
	entry = ph_test_pack_add(&pack, PH_OBJ_BLOB, content, sizeof(content));
	ph_test_tree_entry(&text, PH_HASH_SHA1, 0100644, name, &pack.entries[entry].oid);
	entry = ph_test_pack_add(&pack, PH_OBJ_TREE, text.data, text.len);
	ph_test_buf_clear(&text);
	ph_test_commit_text(&text, PH_HASH_SHA1, &pack.entries[entry].oid, tip, first ? 0 : 1,
	                    1700000000u, "a change\n");
	entry = ph_test_pack_add(&pack, PH_OBJ_COMMIT, text.data, text.len);
	*tip = pack.entries[entry].oid;
	ph_test_buf_clear(&text);
	ph_test_packfile(&pack, &text);
	ph_oid_to_hex(hex, PH_HASH_SHA1, tip);
	bench_request(out, old_hex, hex, "refs/heads/main", text.data, text.len);
	ph_test_buf_release(&text);
	ph_test_pack_release(&pack);
}

static void make_writer(struct writer *writer, uint32_t number)
{
	struct ph_test_rng rng;
	struct ph_oid tip = {{0}};

	snprintf(writer->repo, sizeof(writer->repo), "r%u", (unsigned)number);
	ph_test_rng_init(&rng, number);
	writer->pushes = g.pushes;
	writer->requests = calloc(g.pushes + 1, sizeof(*writer->requests));
	if (!writer->requests)
		bench_fail("out of memory");
	for (uint32_t i = 0; i <= g.pushes; i++)
		make_request(&rng, &tip, i == 0, writer->repo, &writer->requests[i]);
	bench_client_init(&writer->client, &g.service);
}

static void start(uint32_t flush_us)
{
	sim_options(&g.options);
	ph_limits_init(&g.limits);
	g.options.limits = &g.limits;
	g.options.sync = g.loop ? NULL : &ph_test_sync;
	g.options.deferred = g.loop;
	g.sim = sim_new(DEVICE_BYTES, DEVICE_BYTES_MAX);
	bench_check(sim_open(g.sim, &g.options, &g.store), "opening");
	g.service = (struct ph_service){.store = g.store,
	                                .alloc = ph_alloc_libc(),
	                                .limits = &g.limits,
	                                .identity = "bench",
	                                .permission = PH_PERM_OWNER,
	                                .agent = "packhorse/bench"};
	g.writers = calloc(g.count, sizeof(*g.writers));
	if (!g.writers)
		bench_fail("out of memory");
	for (uint32_t i = 0; i < g.count; i++)
		make_writer(&g.writers[i], i);
	g.sim->flush_us = flush_us;
}

/* ---- one thread ---- */

/* The next push of a writer that has none under way; whether there is one. */
static bool next_push(struct writer *writer)
{
	if (writer->client.session && !writer->client.done)
		return true;
	if (writer->client.session) {
		bench_client_end(&writer->client);
		writer->at++;
	}
	if (writer->at > writer->pushes)
		return false;
	const struct ph_test_buf *request = &writer->requests[writer->at];
	bench_client_begin(&writer->client, writer->repo, request->data, request->len);
	return true;
}

/* Pushes first to last of everybody. */
static void run_loop(uint32_t first, uint32_t last)
{
	bool any = true;

	for (uint32_t i = 0; i < g.count; i++) {
		g.writers[i].at = first;
		g.writers[i].pushes = last;
	}
	while (any) {
		any = false;
		for (uint32_t i = 0; i < g.count; i++) {
			if (!next_push(&g.writers[i]))
				continue;
			(void)bench_client_step(&g.writers[i].client);
			any = true;
		}
		(void)ph_store_disk_commit(g.store);
	}
}

/* ---- threads ---- */

static void *thread_main(void *arg)
{
	struct writer *writer = arg;

	for (; writer->at <= writer->pushes; writer->at++) {
		const struct ph_test_buf *request = &writer->requests[writer->at];

		bench_push(&writer->client, writer->repo, request->data, request->len);
	}
	return NULL;
}

static void run_threads(uint32_t first, uint32_t last)
{
	for (uint32_t i = 0; i < g.count; i++) {
		g.writers[i].at = first;
		g.writers[i].pushes = last;
		if (pthread_create(&g.writers[i].thread, NULL, thread_main, &g.writers[i]))
			bench_fail("no thread");
	}
	for (uint32_t i = 0; i < g.count; i++)
		pthread_join(g.writers[i].thread, NULL);
}

static void run(uint32_t first, uint32_t last)
{
	if (g.loop)
		run_loop(first, last);
	else
		run_threads(first, last);
}

static void finish(void)
{
	ph_store_close(g.store);
	bench_check(sim_open(g.sim, &g.options, &g.store), "opening again");
	bench_check(sim_check(g.store), "checking");
	ph_store_close(g.store);
	sim_free(g.sim);
	for (uint32_t i = 0; i < g.count; i++) {
		for (uint32_t k = 0; k <= g.pushes; k++)
			ph_test_buf_release(&g.writers[i].requests[k]);
		free(g.writers[i].requests);
		bench_client_release(&g.writers[i].client);
	}
	free(g.writers);
}

int bench_group(int argc, char **argv)
{
	if (argc != 4)
		bench_fail("group threads|loop WRITERS PUSHES FLUSH_US");
	g.loop = strcmp(argv[0], "loop") == 0;
	g.count = (uint32_t)bench_number(argv[1]);
	g.pushes = (uint32_t)bench_number(argv[2]);
	if (g.count == 0 || g.count > WRITERS_MAX || g.pushes == 0 || g.pushes > PUSHES_MAX)
		bench_fail("too many");
	start((uint32_t)bench_number(argv[3]));
	/* Making the repositories is not measured. */
	run(0, 0);
	uint64_t flushes = g.sim->flushes, bytes = g.sim->written_bytes;
	double wall = bench_wall_s(), cpu = bench_cpu_s();
	run(1, g.pushes);
	wall = bench_wall_s() - wall;
	cpu = bench_cpu_s() - cpu;
	double commits = (double)g.count * g.pushes;
	bench_figure("commits", commits);
	bench_figure("commits_per_s", commits / wall);
	bench_figure("flushes_per_commit", (double)(g.sim->flushes - flushes) / commits);
	bench_figure("bytes_per_commit", (double)(g.sim->written_bytes - bytes) / commits);
	bench_figure("cpu_us_per_commit", cpu / commits * 1e6);
	finish();
	return 0;
}
