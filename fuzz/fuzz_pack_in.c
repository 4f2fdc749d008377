/* SPDX-License-Identifier: MIT */
/*
 * A pack coming in. The first byte of the input chooses format, limits, how the pack is split and
 * how many lanes resolve it; the second announces the number of objects. Lanes take turns on this
 * one thread, in an order drawn from the input; sometimes nobody takes them. The rest is either
 * what stands between a pack's header and its trailer, or a list of entries to be compressed here,
 * so that the fuzzer gets past the checksums of zlib; the trailer is made here in any case. Thin
 * packs find their bases in a source of three objects.
 */
#include "support.h"

#include <packhorse/pack_in.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void set_limits(struct ph_limits *limits, uint8_t choice)
{
	ph_limits_init(limits);
	limits->object_bytes_max = 1 << 20;
	limits->metadata_bytes_max = 1 << 16;
	limits->delta_resident_bytes_max = choice & 2 ? 16 : 1 << 20;
	limits->delta_cache_bytes_max = choice & 4 ? 0 : 1 << 16;
	limits->delta_depth_max = 50;
	limits->inflate_ratio_max = 100;
	limits->inflate_slack_bytes = 1 << 20;
}

/*
 * Entries out of a list of: type and base, length, content. The base of a delta is an entry before
 * it or, for a REF_DELTA, an object that is there.
 */
static void make_entries(const struct ph_test_pack *there, const uint8_t *data, size_t len,
                         struct ph_test_pack *pack)
{
	ph_test_pack_init(pack, there->algo);
	while (len >= 2 && pack->count < 100) {
		struct ph_test_raw raw = {.stored = (enum ph_object_type)(data[0] & 7)};
		uint32_t base = data[0] >> 3;
		size_t size = data[1] < len - 2 ? data[1] : len - 2;
		raw.content = data + 2;
		raw.content_len = size;
		raw.declared = size;
		raw.type = raw.stored;
		if (pack->count > 0)
			raw.distance = pack->run.len - pack->entries[base % pack->count].offset;
		if (base < there->count)
			raw.base = there->entries[base].oid;
		else if (base - there->count < pack->count)
			raw.base = pack->entries[base - there->count].oid;
		if (raw.stored >= PH_OBJ_COMMIT && raw.stored <= PH_OBJ_TAG)
			ph_hash_object(&raw.oid, pack->algo, raw.stored, raw.content, size);
		(void)ph_test_pack_add_raw(pack, &raw);
		data += 2 + size;
		len -= 2 + size;
	}
}

static void make_file(enum ph_hash_algo algo, uint8_t count, const uint8_t *entries, size_t len,
                      struct ph_test_buf *file)
{
	uint8_t header[12] = {'P', 'A', 'C', 'K', 0, 0, 0, 2, 0, 0, 0, count};
	uint8_t trailer[PH_OID_BYTES_MAX] = {0};

	ph_test_buf_append(file, header, sizeof(header));
	if (len > 0)
		ph_test_buf_append(file, entries, len);
	ph_test_buf_append(file, trailer, ph_hash_bytes(algo));
	ph_test_packfile_seal(algo, file);
}

/* ---- lanes ---- */

#define QUEUE_MAX 16u

static struct {
	struct {
		void (*run)(void *arg);
		void *arg;
	} items[QUEUE_MAX];
	uint32_t count, submits;
	struct ph_test_rng rng;
} queue;

static enum ph_status submit(void *user, void (*run)(void *arg), void *arg)
{
	(void)user;
	if (queue.count == QUEUE_MAX || ++queue.submits % 11 == 0)
		return PH_ERR_BUSY;
	queue.items[queue.count].run = run;
	queue.items[queue.count++].arg = arg;
	return PH_OK;
}

/* Runs one of those that wait; false when there is none. */
static bool run_one(void)
{
	uint32_t at;

	if (queue.count == 0)
		return false;
	at = ph_test_rng_below(&queue.rng, queue.count);
	{
		void (*run)(void *arg) = queue.items[at].run;
		void *arg = queue.items[at].arg;

		queue.items[at] = queue.items[--queue.count];
		run(arg);
	}
	return true;
}

/* ---- */

static void take(struct ph_pack_in *in, const struct ph_test_buf *file, size_t piece)
{
	enum ph_status status = PH_OK;
	size_t done = 0;

	while (done < file->len && (status == PH_OK || status == PH_AGAIN)) {
		uint32_t budget = 64;
		size_t len = file->len - done < piece ? file->len - done : piece;
		size_t used;
		status = ph_pack_in_write(in, file->data + done, len, &used, &budget);
		done += used;
	}
	if (status == PH_END) {
		uint32_t budget;
		do {
			budget = 64;
			status = ph_pack_in_run(in, &budget);
			/* Who waits for lanes, waits for some that are there. */
			if (status == PH_PENDING && !run_one())
				abort();
		} while (status == PH_AGAIN || status == PH_PENDING);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum ph_hash_algo algo;
	struct ph_test_pack there;
	struct ph_test_pack pack;
	struct ph_test_source source;
	struct ph_test_sink sinks[3];
	struct ph_test_buf file = {0};
	struct ph_limits limits;
	struct ph_pack_in *in;
	struct ph_pack_in_options options = {.alloc = ph_alloc_libc(), .limits = &limits};
	struct ph_executor executor = {.submit = submit, .sync = &ph_test_sync};
	size_t i;

	if (size < 2)
		return 0;
	algo = data[0] & 1 ? PH_HASH_SHA256 : PH_HASH_SHA1;
	set_limits(&limits, data[0]);
	ph_test_pack_init(&there, algo);
	(void)ph_test_pack_add(&there, PH_OBJ_BLOB, "there", 5);
	(void)ph_test_pack_add(&there, PH_OBJ_TREE, "", 0);
	(void)ph_test_pack_add_ofs(&there, 0, "there is", 8);
	ph_test_source_init(&source, &there, 1);
	for (i = 0; i < 3; i++)
		ph_test_sink_init(&sinks[i]);
	options.algo = algo;
	options.run = &sinks[0].sink;
	options.index = &sinks[1].sink;
	options.scratch = &sinks[2].sink;
	options.base = &source.set.source;
	options.links = data[1] & 1;
	ph_test_rng_init(&queue.rng, size + data[1]);
	queue.submits = data[1];
	executor.width = 1u + (data[0] >> 5 & 3);
	if (data[0] >> 5 & 3)
		options.executor = &executor;
	ph_test_pack_init(&pack, algo);
	if (data[0] & 16) {
		make_entries(&there, data + 2, size - 2, &pack);
		make_file(algo, (uint8_t)pack.count, pack.run.data, pack.run.len, &file);
	} else {
		make_file(algo, data[1], data + 2, size - 2, &file);
	}
	if (ph_pack_in_new(&in, &options) == PH_OK) {
		take(in, &file, data[0] & 8 ? 1 : 100);
		ph_pack_in_free(in);
		while (run_one())
			;
	}
	for (i = 0; i < 3; i++)
		ph_test_sink_release(&sinks[i]);
	ph_test_buf_release(&file);
	ph_test_source_release(&source);
	ph_test_pack_release(&pack);
	ph_test_pack_release(&there);
	return 0;
}
