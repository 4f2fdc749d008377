/* SPDX-License-Identifier: MIT */
/*
 * Plays a script of pushes, with maintenance between them as the daemon runs it: by its queue, when
 * a repository has been quiet for a moment, on a clock that the script sets and that goes on by
 * what maintenance takes. What each of the two writes to the device is counted apart.
 *
 *   push MS REPOSITORY REF OLD NEW FILE    FILE holds the packfile, or is "-" for a deletion
 *
 * Ends with the figures, and what a store takes into which the refs, as they are in the end, were
 * pushed anew is for another script to say.
 */
#define _DEFAULT_SOURCE 1 /* clocks */
#include "store_bench.h"

#include <packhorse/maintenance.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE_BYTES ((uint64_t)16 << 20)
#define DEVICE_BYTES_MAX ((uint64_t)16 << 30)
#define LINE_BYTES 4096u
#define UNITS 512u
#define BLOCK 4096u

static struct play {
	struct ph_limits limits;
	struct ph_store_disk_options options;
	struct sim_device *sim;
	struct ph_store *store;
	struct ph_maintenance_queue *queue;
	struct bench_client client;
	uint64_t now_ms;
	/* Of pushes. */
	uint64_t pushes, packs, pack_bytes, push_bytes, push_flushes, flushes_most;
	uint64_t stored_bytes; /* of their packs, with the bases that complete thin ones */
	uint64_t extra_blocks, extra_most; /* beyond these and their indexes */
	/* Of maintenance. */
	uint64_t sessions, keep_bytes, keep_flushes;
	double keep_cpu_s;
	uint64_t file_most, used_most;
} p;

/* ---- the store ---- */

static void on_changed(void *user, const char *repo)
{
	(void)user;
	ph_maintenance_queue_changed(p.queue, repo, p.now_ms);
}

static void start(void)
{
	sim_options(&p.options);
	ph_limits_init(&p.limits);
	p.options.limits = &p.limits;
	p.sim = sim_new(DEVICE_BYTES, DEVICE_BYTES_MAX);
	bench_check(sim_open(p.sim, &p.options, &p.store), "opening");
	const struct ph_service service = {.store = p.store,
	                                   .alloc = ph_alloc_libc(),
	                                   .limits = &p.limits,
	                                   .identity = "bench",
	                                   .permission = PH_PERM_OWNER,
	                                   .changed = on_changed,
	                                   .agent = "packhorse/bench"};
	bench_client_init(&p.client, &service);
	bench_check(ph_maintenance_queue_new(&p.queue, p.store, ph_alloc_libc(), p.now_ms),
	            "a queue");
}

static uint64_t used_bytes(void)
{
	struct ph_store_disk_info info;

	ph_store_disk_info(p.store, &info);
	if (info.bytes - info.free_bytes > p.used_most)
		p.used_most = info.bytes - info.free_bytes;
	if (p.sim->device.bytes > p.file_most)
		p.file_most = p.sim->device.bytes;
	return info.bytes - info.free_bytes;
}

/* ---- maintenance ---- */

static void maintain(const char *repo, enum ph_maintenance_extent extent)
{
	uint64_t bytes = p.sim->written_bytes, flushes = p.sim->flushes, began_ms = p.now_ms;
	double cpu = bench_cpu_s(), wall = bench_wall_s();
	struct ph_session *session;

	bench_check(ph_maintenance_open(&session, &p.client.service, repo, extent), "maintenance");
	while (!(ph_session_state(session) & PH_DONE)) {
		if (!(ph_session_state(session) & PH_WANT_RUN) &&
		    ph_session_deadline(session) != PH_NO_DEADLINE)
			p.now_ms = ph_session_deadline(session);
		ph_session_run(session, p.now_ms, 1700000000, UNITS);
		(void)used_bytes();
	}
	p.now_ms += (uint64_t)((bench_wall_s() - wall) * 1000);
	p.keep_cpu_s += bench_cpu_s() - cpu;
	ph_maintenance_queue_ended(p.queue, repo, p.now_ms, p.now_ms - began_ms,
	                           ph_session_exit_status(session));
	ph_session_free(session);
	p.sessions++;
	p.keep_bytes += p.sim->written_bytes - bytes;
	p.keep_flushes += p.sim->flushes - flushes;
}

/* All that is due until then. */
static void maintain_until(uint64_t until_ms)
{
	char repo[PH_REPO_NAME_MAX + 1];
	enum ph_maintenance_extent extent;
	uint64_t at_ms;

	for (;;) {
		if (ph_maintenance_queue_next(p.queue, p.now_ms, repo, &extent, &at_ms) == PH_OK) {
			maintain(repo, extent);
		} else if (at_ms < until_ms) {
			p.now_ms = at_ms > p.now_ms ? at_ms : p.now_ms;
		} else {
			break;
		}
	}
	if (until_ms > p.now_ms)
		p.now_ms = until_ms;
}

/* ---- pushes ---- */

static void read_file(const char *path, struct ph_test_buf *out)
{
	char buf[65536];
	size_t got;
	FILE *file = fopen(path, "rb");

	if (!file)
		bench_fail("cannot read %s", path);
	while ((got = fread(buf, 1, sizeof(buf), file)) > 0)
		ph_test_buf_append(out, buf, got);
	fclose(file);
}

/* Bytes of the newest pack's run, and of its index. */
static uint64_t newest_pack(const char *repo, uint64_t *index)
{
	const struct ph_bytes *section;
	const struct ph_source *source;
	struct ph_snapshot *snapshot;
	uint32_t entries, packs;
	uint64_t bytes;

	bench_check(ph_store_snapshot(p.store, repo, &snapshot), "a snapshot");
	source = ph_snapshot_source(snapshot);
	packs = source->ops->packs(source);
	if (packs == 0)
		bench_fail("%s has no pack", repo);
	source->ops->pack_size(source, packs - 1, &entries, &bytes);
	section = ph_snapshot_section(snapshot, packs - 1, PH_SECTION_INDEX);
	*index = section ? section->size : 0;
	ph_snapshot_release(snapshot);
	return bytes;
}

static void count_push(uint64_t pack, const char *repo, uint64_t bytes, uint64_t flushes)
{
	uint64_t index = 0, stored = pack > 0 ? newest_pack(repo, &index) : 0;
	uint64_t beside = stored + index < bytes ? bytes - stored - index : 0;
	uint64_t blocks = (beside + BLOCK - 1) / BLOCK;

	p.pushes++;
	p.packs += pack > 0;
	p.pack_bytes += pack;
	p.stored_bytes += stored;
	p.push_bytes += bytes;
	p.push_flushes += flushes;
	p.extra_blocks += blocks;
	if (blocks > p.extra_most)
		p.extra_most = blocks;
	if (flushes > p.flushes_most)
		p.flushes_most = flushes;
	(void)used_bytes();
}

static void push(const char *repo, const char *ref, const char *old_hex, const char *new_hex,
                 const char *path)
{
	struct ph_test_buf request = {0}, pack = {0};
	uint64_t bytes = p.sim->written_bytes, flushes = p.sim->flushes;

	if (strcmp(path, "-") != 0)
		read_file(path, &pack);
	bench_request(&request, old_hex, new_hex, ref, pack.data, pack.len);
	bench_push(&p.client, repo, request.data, request.len);
	count_push(pack.len, repo, p.sim->written_bytes - bytes, p.sim->flushes - flushes);
	ph_test_buf_release(&request);
	ph_test_buf_release(&pack);
}

static void play_line(char *line)
{
	char *words[7];
	unsigned count = 0;

	while (*line && count < 7) {
		words[count++] = line;
		line += strcspn(line, " \n");
		if (*line)
			*line++ = '\0';
	}
	if (count != 7 || strcmp(words[0], "push") != 0)
		bench_fail("a line of the script is wrong");
	maintain_until(bench_number(words[1]));
	push(words[2], words[3], words[4], words[5], words[6]);
}

static void figures(void)
{
	bench_figure("pushes", (double)p.pushes);
	bench_figure("pack_bytes", (double)p.pack_bytes);
	bench_figure("stored_bytes", (double)p.stored_bytes);
	bench_figure("push_bytes", (double)p.push_bytes);
	bench_figure("flushes_per_push", (double)p.push_flushes / (double)p.pushes);
	bench_figure("flushes_most", (double)p.flushes_most);
	bench_figure("extra_blocks_per_push", (double)p.extra_blocks / (double)p.pushes);
	bench_figure("extra_blocks_most", (double)p.extra_most);
	bench_figure("maintenance_sessions", (double)p.sessions);
	bench_figure("maintenance_bytes", (double)p.keep_bytes);
	bench_figure("maintenance_flushes", (double)p.keep_flushes);
	bench_figure("maintenance_cpu_s", p.keep_cpu_s);
	bench_figure("used_bytes", (double)used_bytes());
	bench_figure("used_most", (double)p.used_most);
	bench_figure("file_bytes", (double)p.file_most);
}

int bench_play(int argc, char **argv)
{
	static char line[LINE_BYTES];
	FILE *script = argc == 1 ? fopen(argv[0], "r") : NULL;

	if (!script)
		bench_fail("play SCRIPT");
	start();
	while (fgets(line, sizeof(line), script))
		play_line(line);
	fclose(script);
	/* What is due in the hour after. */
	maintain_until(p.now_ms + 3600000);
	figures();
	bench_check(sim_check(p.store), "checking");
	bench_client_release(&p.client);
	ph_maintenance_queue_free(p.queue);
	ph_store_close(p.store);
	sim_free(p.sim);
	return 0;
}
