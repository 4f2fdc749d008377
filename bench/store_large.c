/* SPDX-License-Identifier: MIT */
/*
 * A large store: made through the store's own interface in a sparse file, since its packs are runs
 * of zeros, of which neither the bytes are written nor the checksums calculated anew; and opened,
 * by a process that has done nothing else.
 */
#define _DEFAULT_SOURCE 1 /* pread, ftruncate */
#define _FILE_OFFSET_BITS 64
#include "store_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <packhorse/device_posix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZEROS_BYTES 65536u
#define CHUNK_BYTES 16384u
#define BLOCK 4096u
/* Every so many-th repository is deleted again. */
#define DELETED 11u
#define REPOS_MAX 1000000u

static const uint8_t zeros[ZEROS_BYTES];

/* ---- checksums: the linker leads calls of ph_crc32 here ---- */

uint32_t __real_ph_crc32(uint32_t crc, const void *data, size_t len);
uint32_t __wrap_ph_crc32(uint32_t crc, const void *data, size_t len);

static bool is_ours(const void *data)
{
	const uint8_t *at = data;

	return at >= zeros && at < zeros + ZEROS_BYTES;
}

uint32_t __wrap_ph_crc32(uint32_t crc, const void *data, size_t len)
{
	static _Atomic uint32_t known;

	if (crc != 0 || len != CHUNK_BYTES || !is_ours(data))
		return __real_ph_crc32(crc, data, len);
	if (known == 0)
		known = __real_ph_crc32(0, zeros, CHUNK_BYTES);
	return known;
}

/* ---- a file with holes ---- */

struct sparse {
	struct ph_device device;
	int fd;
	uint8_t *written; /* a byte for each block: it is no hole */
};

static bool is_hole(const struct sparse *sparse, uint64_t offset, size_t len)
{
	return !memchr(sparse->written + offset / BLOCK, 1, len / BLOCK);
}

static enum ph_status sparse_read(struct ph_device *device, uint64_t offset, void *buf, size_t len)
{
	ssize_t got = pread(((struct sparse *)device)->fd, buf, len, (off_t)offset);

	return got == (ssize_t)len ? PH_OK : PH_ERR_IO;
}

static enum ph_status sparse_write(struct ph_device *device, uint64_t offset, const void *buf,
                                   size_t len)
{
	struct sparse *sparse = (struct sparse *)device;
	bool zero = is_ours(buf) || (len <= ZEROS_BYTES && memcmp(buf, zeros, len) == 0);

	if (zero && is_hole(sparse, offset, len))
		return PH_OK;
	memset(sparse->written + offset / BLOCK, 1, len / BLOCK);
	ssize_t put = pwrite(sparse->fd, buf, len, (off_t)offset);
	return put == (ssize_t)len ? PH_OK : PH_ERR_IO;
}

/* Nothing is to survive here. */
static enum ph_status sparse_flush(struct ph_device *device)
{
	(void)device;
	return PH_OK;
}

static enum ph_status sparse_grow(struct ph_device *device, uint64_t bytes)
{
	struct sparse *sparse = (struct sparse *)device;
	uint8_t *written = realloc(sparse->written, bytes / BLOCK);

	if (!written)
		return PH_ERR_NOMEM;
	sparse->written = written;
	memset(written + device->bytes / BLOCK, 0, (bytes - device->bytes) / BLOCK);
	if (ftruncate(sparse->fd, (off_t)bytes) != 0)
		return PH_ERR_FULL;
	device->bytes = bytes;
	return PH_OK;
}

static void sparse_close(struct ph_device *device)
{
	struct sparse *sparse = (struct sparse *)device;

	free(sparse->written);
	close(sparse->fd);
}

static const struct ph_device_ops sparse_ops = {.read = sparse_read,
                                                .write = sparse_write,
                                                .flush = sparse_flush,
                                                .grow = sparse_grow,
                                                .close = sparse_close};

/* ---- making it ---- */

static void put(struct ph_test_buf *out, uint64_t value, unsigned bytes)
{
	uint8_t digits[8];

	for (unsigned i = 0; i < bytes; i++)
		digits[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
	ph_test_buf_append(out, digits, bytes);
}

/* The index (pack_index.h) of a run that is one blob. */
static void make_index(const struct ph_oid *oid, uint64_t run_bytes, struct ph_test_buf *out)
{
	ph_test_buf_append(out, "PHIX\1\1\0\0", 8);
	put(out, 1, 4);
	put(out, run_bytes, 8);
	ph_test_buf_append(out, zeros, 20);
	for (unsigned i = 0; i < 256; i++)
		put(out, i >= oid->bytes[0], 4);
	ph_test_buf_append(out, oid->bytes, 20);
	put(out, 0, 4);
	put(out, 0, 7);
	put(out, PH_OBJ_BLOB, 1);
	put(out, run_bytes, 8);
	put(out, 0, 4);
}

static void append(struct ph_txn *txn, uint32_t pack, uint32_t section, const uint8_t *data,
                   uint64_t bytes, bool again)
{
	struct ph_sink *sink;

	bench_check(ph_txn_sink(txn, pack, section, &sink), "a section");
	while (bytes > 0) {
		size_t len = bytes < ZEROS_BYTES ? (size_t)bytes : ZEROS_BYTES;

		bench_check(sink->ops->append(sink, data, len), "writing");
		bytes -= len;
		data = again ? data : data + len;
	}
}

static void name_of(uint32_t number, char name[32])
{
	snprintf(name, 32, "team%02u/repository%06u", (unsigned)(number % 97), (unsigned)number);
}

static void add_repo(struct ph_store *store, uint32_t number, uint64_t bytes)
{
	struct ph_test_buf index = {0};
	struct ph_txn *txn;
	struct ph_oid oid;
	char name[32];
	uint32_t pack, change;

	name_of(number, name);
	ph_hash_object(&oid, PH_HASH_SHA1, PH_OBJ_BLOB, name, strlen(name));
	bench_check(ph_store_create(store, name, PH_HASH_SHA1, &txn), name);
	bench_check(ph_txn_pack_begin(txn, &pack), "a pack");
	append(txn, pack, PH_SECTION_RUN, zeros, bytes, true);
	make_index(&oid, bytes, &index);
	append(txn, pack, PH_SECTION_INDEX, index.data, index.len, false);
	bench_check(ph_txn_pack_end(txn, pack), "the end of a pack");
	bench_check(ph_txn_ref_update(txn, "refs/heads/main", NULL, &oid, NULL, &change), "a ref");
	bench_check(ph_txn_commit(txn, NULL, NULL), "a commit");
	ph_txn_free(txn);
	ph_test_buf_release(&index);
}

static void delete_repo(struct ph_store *store, uint32_t number)
{
	struct ph_snapshot *snapshot;
	struct ph_txn *txn;
	char name[32];

	name_of(number, name);
	bench_check(ph_store_snapshot(store, name, &snapshot), name);
	bench_check(ph_store_begin(store, snapshot, &txn), name);
	ph_snapshot_release(snapshot);
	bench_check(ph_txn_delete_repo(txn), name);
	bench_check(ph_txn_commit(txn, NULL, NULL), name);
	ph_txn_free(txn);
}

static void options_for(struct ph_store_disk_options *options, struct ph_limits *limits)
{
	sim_options(options);
	ph_limits_init(limits);
	limits->repos_max = REPOS_MAX;
	options->limits = limits;
}

int bench_large_make(int argc, char **argv)
{
	struct sparse sparse = {.device = {.ops = &sparse_ops, .block_bytes = 4096}};
	struct ph_store_disk_options options;
	struct ph_limits limits;
	struct ph_store *store;

	if (argc != 3)
		bench_fail("large-make FILE REPOSITORIES PACK_BYTES");
	uint64_t count = bench_number(argv[1]), bytes = bench_number(argv[2]);
	if (count == 0 || count > REPOS_MAX / 2)
		bench_fail("too many repositories");
	count += count / (DELETED - 1);
	double wall = bench_wall_s();
	sparse.fd = open(argv[0], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (sparse.fd < 0)
		bench_fail("%s: %s", argv[0], strerror(errno));
	options_for(&options, &limits);
	bench_check(ph_store_disk_format(&sparse.device, &options), "formatting");
	bench_check(ph_store_disk_open(&store, &sparse.device, &options), "opening");
	for (uint32_t i = 0; i < count; i++)
		add_repo(store, i, bytes);
	for (uint32_t i = 0; i < count; i += DELETED)
		delete_repo(store, i);
	ph_store_close(store);
	bench_figure("wall_s", bench_wall_s() - wall);
	return 0;
}

/* ---- opening it ---- */

/* The most memory this program has had. getrusage also counts what its parent had before it. */
static unsigned long peak_kib(void)
{
	char line[256];
	unsigned long kib = 0;
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtoul(line + 6, NULL, 10);
	if (file)
		fclose(file);
	if (kib == 0)
		bench_fail("cannot tell how much memory was used");
	return kib;
}

int bench_large_open(int argc, char **argv)
{
	struct ph_store_disk_options options;
	struct ph_store_disk_info info;
	struct ph_limits limits;
	struct ph_device *device;
	struct ph_snapshot *snapshot;
	struct ph_store *store;
	struct ph_ref ref;
	char name[32];
	static uint8_t buf[ZEROS_BYTES];

	if (argc != 1)
		bench_fail("large-open FILE");
	options_for(&options, &limits);
	double wall = bench_wall_s(), cpu = bench_cpu_s();
	bench_check(ph_device_posix_open(&device, options.alloc, argv[0], false), argv[0]);
	bench_check(ph_store_disk_open(&store, device, &options), "opening");
	wall = bench_wall_s() - wall;
	cpu = bench_cpu_s() - cpu;
	ph_store_disk_info(store, &info);
	name_of(DELETED + 1, name);
	bench_check(ph_store_snapshot(store, name, &snapshot), name);
	bench_check(ph_snapshot_ref(snapshot, "refs/heads/main", &ref), "a ref");
	const struct ph_source *source = ph_snapshot_source(snapshot);
	bench_check(source->ops->read(source, 0, 0, buf, sizeof(buf)), "reading a pack");
	if (memcmp(buf, zeros, sizeof(buf)) != 0)
		bench_fail("a pack has changed");
	ph_snapshot_release(snapshot);
	ph_store_close(store);
	bench_figure("wall_s", wall);
	bench_figure("cpu_s", cpu);
	bench_figure("peak_bytes", (double)peak_kib() * 1024);
	bench_figure("repos", (double)info.repos);
	bench_figure("used_bytes", (double)(info.bytes - info.free_bytes));
	return 0;
}
