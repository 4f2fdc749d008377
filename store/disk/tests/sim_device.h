/* SPDX-License-Identifier: MIT */
/*
 * A device in memory for tests. Its medium outlives the device object, so a store can be closed and
 * opened again. It can be bounded, fail from some operation on, be slow at flushing, have no flush,
 * and record every write, so that the medium as a power cut may leave it can be built afterwards.
 */
#ifndef PH_TEST_SIM_DEVICE_H
#define PH_TEST_SIM_DEVICE_H

#include <packhorse/store_disk.h>
#include <pthread.h>

enum sim_op { SIM_READ = 1, SIM_WRITE = 2, SIM_FLUSH = 4, SIM_GROW = 8, SIM_DISCARD = 16 };

/* Recorded in order. Of a flush only kind is set, growth goes to offset; only a write has data. */
struct sim_event {
	enum sim_op kind;
	uint64_t offset;
	size_t len;
	uint8_t *data;
};

/* What blocks held before a trial began; see sim_try. */
struct sim_undo {
	bool on;
	uint32_t turn;
	uint32_t *turns; /* of every block: the trial that saved it last */
	uint64_t *saved; /* blocks */
	uint8_t *data;   /* of them */
	size_t count, room;
	uint64_t bytes;
};

struct sim_device {
	struct ph_device device; /* pass &sim->device */
	pthread_mutex_t lock;
	uint8_t *data;
	uint64_t capacity;  /* of data */
	uint64_t touched;   /* what is behind was never written */
	uint64_t bytes_max; /* growth stops here */
	uint32_t flush_us;
	bool open;
	/* Counted; the fail_at-th operation of the kinds in fail_ops, and all later ones, fail. */
	uint64_t reads, writes, flushes, discards, written_bytes, discarded_bytes;
	uint64_t fail_at, fail_count;
	unsigned fail_ops;
	bool fail_once;      /* later ones succeed again */
	uint64_t bad_writes; /* writes and flushes that failed */
	/* Called when a write or flush is done and before it returns: others run meanwhile. */
	void (*after)(void *user, enum sim_op op);
	void *after_user;
	bool recording;
	struct sim_event *events;
	size_t event_count, event_room;
	struct sim_undo undo;
};

/* bytes of zeros that can grow to bytes_max. */
struct sim_device *sim_new(uint64_t bytes, uint64_t bytes_max);
/* The same medium, copied, with nothing recorded. */
struct sim_device *sim_copy(const struct sim_device *from);
void sim_free(struct sim_device *sim);
void sim_no_flush(struct sim_device *sim);
/*
 * Writes part of an event: only the 512-byte sectors whose bit in a hash of seed is set; 0: all. Of
 * a range that was discarded, each block is then as it was, noise, or zeros; 0: noise.
 */
void sim_apply(struct sim_device *sim, const struct sim_event *event, uint64_t seed);
/* Writes some bytes of an event, whole sectors. */
void sim_apply_range(struct sim_device *sim, const struct sim_event *event, size_t from,
                     size_t len);

/*
 * A trial: whatever is done to the medium from here on, sim_take_back takes back, at the price of
 * what was touched.
 */
void sim_try(struct sim_device *sim);
void sim_take_back(struct sim_device *sim);

/* Options over malloc with random bytes from a counter. */
void sim_options(struct ph_store_disk_options *options);
/* Opens a store; formats the device first when it is blank. */
enum ph_status sim_open(struct sim_device *sim, const struct ph_store_disk_options *options,
                        struct ph_store **out);
/* ph_store_disk_check, printing what it finds. */
enum ph_status sim_check(struct ph_store *store);

#endif
