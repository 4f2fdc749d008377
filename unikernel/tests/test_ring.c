/* SPDX-License-Identifier: MIT */
/* Queues, network card and disk against a simulated device: an honest one, and all kinds of others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "virtio_sim.h"

#include <string.h>

#define MODERN (PH__FEATURE_VERSION_1 | PH__FEATURE_EVENT_IDX)
#define LEGACY (PH__FEATURE_ANY_LAYOUT)
#define NET_MTU (UINT64_C(1) << 3)
#define NET_MAC (UINT64_C(1) << 5)
#define BLOCK_SIZE_MAX (UINT64_C(1) << 1)
#define BLOCK_SEGMENTS (UINT64_C(1) << 2)
#define BLOCK_READ_ONLY (UINT64_C(1) << 5)
#define BLOCK_SIZE (UINT64_C(1) << 6)
#define BLOCK_FLUSH (UINT64_C(1) << 9)
#define BLOCK_DISCARD (UINT64_C(1) << 13)

static struct sim sim;
static uint8_t data[SIM_DISK_BYTES], back[SIM_DISK_BYTES];

static int teardown(void **state)
{
	(void)state;
	sim_release();
	return 0;
}

static void start_net(uint64_t features)
{
	sim_release();
	sim_init(&sim, PH__VIRTIO_NET, features | NET_MAC);
	ph__net_card_start(&sim.device, 64);
}

static void start_disk(uint64_t features)
{
	sim_release();
	sim_init(&sim, PH__VIRTIO_BLOCK, features | BLOCK_FLUSH);
	ph__disk_start(&sim.device);
}

static enum ph_status send_bytes(const void *frame, size_t len)
{
	struct ph__piece pieces[2] = {{frame, 14}, {(const uint8_t *)frame + 14, len - 14}};
	enum ph_status status = ph__plat_net_send(pieces, 2);

	ph__plat_net_flush();
	return status;
}

static void check_echo(size_t len, uint8_t seed)
{
	uint8_t frame[1600], got[1600];

	for (size_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(i + seed);
	assert_int_equal(send_bytes(frame, len), PH_OK);
	assert_true(ph__net_card_pending());
	assert_int_equal(ph__plat_net_receive(got, sizeof(got)), len);
	assert_memory_equal(got, frame, len);
	assert_int_equal(ph__plat_net_receive(got, sizeof(got)), 0);
}

static void frames_come_back(void **state)
{
	static const uint64_t kinds[] = {MODERN, PH__FEATURE_VERSION_1, LEGACY,
	                                 LEGACY | PH__FEATURE_EVENT_IDX};
	uint8_t mac[6];
	unsigned mtu;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		start_net(kinds[i]);
		assert_int_equal(ph__plat_net_open(mac, &mtu), PH_OK);
		assert_int_equal(mtu, 1500);
		assert_memory_equal(mac, "\x02\0\0\0\0\x01", 6);
		/* Past the wrap of the rings' 16-bit indexes. */
		for (unsigned n = 0; n < 70000; n++)
			check_echo(14 + n % 1501, (uint8_t)n);
		assert_int_equal(sim_lines, 0);
	}
}

static void mtu_is_kept(void **state)
{
	uint8_t mac[6], frame[1600] = {0}, got[1600];
	unsigned mtu;

	(void)state;
	sim_init(&sim, PH__VIRTIO_NET, MODERN | NET_MTU | NET_MAC);
	sim_set(&sim, 10, 1280, 2);
	ph__net_card_start(&sim.device, 64);
	assert_int_equal(ph__plat_net_open(mac, &mtu), PH_OK);
	assert_int_equal(mtu, 1280);
	assert_int_equal(send_bytes(frame, 1294), PH_OK);
	assert_int_equal(send_bytes(frame, 1295), PH_ERR_INVALID);
	assert_int_equal(ph__plat_net_receive(got, sizeof(got)), 1294);
	/* Longer than it may be, or than the caller's buffer: dropped. */
	assert_true(sim_frame(&sim, frame, 1295));
	assert_true(sim_frame(&sim, frame, 600));
	assert_true(sim_frame(&sim, frame, 100));
	assert_int_equal(ph__plat_net_receive(got, 599), 100);
	static const uint64_t odd[] = {0, 67, 9000, 65535};
	for (unsigned i = 0; i < 4; i++) {
		sim_release();
		sim_init(&sim, PH__VIRTIO_NET, MODERN | NET_MTU);
		sim_set(&sim, 10, odd[i], 2);
		ph__net_card_start(&sim.device, 64);
		assert_int_equal(ph__plat_net_open(mac, &mtu), PH_OK);
		assert_int_equal(mtu, 1500);
		/* Made up: of a single station, and nobody's product. */
		assert_int_equal(mac[0] & 3, 2);
	}
}

static void full_queue_says_so(void **state)
{
	uint8_t frame[60] = {0};
	struct ph__piece piece = {frame, sizeof(frame)};

	(void)state;
	start_net(MODERN);
	sim.silent = true;
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(ph__plat_net_send(&piece, 1), PH_OK);
	assert_int_equal(ph__plat_net_send(&piece, 1), PH_ERR_FULL);
	assert_false(sim.device.broken);
}

static void kicks_are_few(void **state)
{
	uint8_t frame[60] = {0};
	struct ph__piece piece = {frame, sizeof(frame)};

	(void)state;
	for (unsigned events = 0; events < 2; events++) {
		start_net(events ? MODERN : PH__FEATURE_VERSION_1);
		for (unsigned i = 0; i < 32; i++)
			assert_int_equal(ph__plat_net_send(&piece, 1), PH_OK);
		ph__plat_net_flush();
		ph__plat_net_flush();
		assert_int_equal(sim.queues[1].kicks, 1);
		/* The device says that it looks by itself. */
		if (events)
			sim.queues[1].driver->used[2 + 4 * 256] = 1000;
		else
			sim.queues[1].driver->used[0] = 1;
		assert_int_equal(ph__plat_net_send(&piece, 1), PH_OK);
		ph__plat_net_flush();
		assert_int_equal(sim.queues[1].kicks, 1);
	}
}

static void watch_says_when_to_sleep(void **state)
{
	uint8_t frame[60] = {0}, got[100];

	(void)state;
	start_net(MODERN);
	struct ph__virtq *queue = sim.queues[0].driver;
	assert_false(ph__net_card_watch());
	assert_int_equal(queue->available[2 + 256], queue->seen);
	ph__net_card_unwatch();
	assert_int_equal(queue->available[2 + 256], (uint16_t)(queue->seen - 1));
	assert_true(sim_frame(&sim, frame, sizeof(frame)));
	assert_true(ph__net_card_watch());
	assert_int_equal(ph__plat_net_receive(got, sizeof(got)), 60);
	start_net(PH__FEATURE_VERSION_1);
	queue = sim.queues[0].driver;
	assert_int_equal(queue->available[0], 1);
	assert_false(ph__net_card_watch());
	assert_int_equal(queue->available[0], 0);
}

/* ---- what a device may not do ---- */

static uint32_t bent_id, bent_bytes;

static void bend_id(struct sim *s, unsigned queue, uint32_t *id, uint32_t *bytes)
{
	(void)s;
	(void)bytes;
	if (queue == 0)
		*id = bent_id;
}

static void bend_bytes(struct sim *s, unsigned queue, uint32_t *id, uint32_t *bytes)
{
	(void)s;
	(void)id;
	if (queue == 0)
		*bytes = bent_bytes;
}

static void bend_twice(struct sim *s, unsigned queue, uint32_t *id, uint32_t *bytes)
{
	if (queue == 0)
		sim_done(s, queue, *id, *bytes);
}

static void check_net_broken(void)
{
	uint8_t mac[6], frame[60] = {0};
	unsigned mtu, resets = sim.resets;

	assert_true(sim.device.broken);
	assert_true(resets >= 1);
	assert_int_equal(sim_lines, 1);
	assert_false(ph__net_card_pending());
	assert_false(ph__net_card_watch());
	assert_int_equal(ph__plat_net_receive(frame, sizeof(frame)), 0);
	assert_int_equal(send_bytes(frame, sizeof(frame)), PH_ERR_IO);
	assert_int_equal(ph__plat_net_open(mac, &mtu), PH_ERR_NOT_FOUND);
	assert_int_equal(sim_lines, 1);
}

static void wild_entries_end_the_card(void **state)
{
	static const uint32_t ids[] = {64, 255, 256, 65535, 65536, UINT32_MAX};
	uint8_t frame[60] = {0}, got[100];

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		start_net(MODERN);
		sim.bend = bend_id;
		bent_id = ids[i];
		assert_true(sim_frame(&sim, frame, sizeof(frame)));
		assert_int_equal(ph__plat_net_receive(got, sizeof(got)), 0);
		check_net_broken();
	}
	/* An entry for a buffer that it has given back; it is ours. */
	start_net(MODERN);
	assert_int_equal(send_bytes(frame, sizeof(frame)), PH_OK);
	assert_int_equal(ph__plat_net_receive(got, sizeof(got)), 60);
	sim_done(&sim, 1, 0, 0);
	assert_int_equal(send_bytes(frame, sizeof(frame)), PH_OK);
	/* More entries than there are buffers. */
	start_net(MODERN);
	sim.queues[0].driver->used[1] = 65;
	assert_int_equal(ph__plat_net_receive(got, sizeof(got)), 0);
	check_net_broken();
	start_net(MODERN);
	sim.queues[0].driver->used[1] = UINT16_MAX;
	assert_int_equal(ph__plat_net_receive(got, sizeof(got)), 0);
	check_net_broken();
}

static void twice_done_is_harmless(void **state)
{
	uint8_t frame[60] = {0}, got[100];

	(void)state;
	start_net(MODERN);
	sim.bend = bend_twice;
	assert_true(sim_frame(&sim, frame, sizeof(frame)));
	/* The second entry names a buffer that it has again by then: a frame like any other. */
	assert_int_equal(ph__plat_net_receive(got, sizeof(got)), 60);
	assert_int_equal(ph__plat_net_receive(got, sizeof(got)), 60);
	assert_int_equal(ph__plat_net_receive(got, sizeof(got)), 0);
	/* A sent one is not given again by itself. */
	start_net(MODERN);
	struct ph__piece piece = {frame, sizeof(frame)};
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(ph__plat_net_send(&piece, 1), PH_OK);
	int head = sim_next(&sim, 1);
	sim_done(&sim, 1, (uint32_t)head, 0);
	sim_done(&sim, 1, (uint32_t)head, 0);
	for (unsigned i = 0; i < 64; i++)
		(void)ph__plat_net_send(&piece, 1);
	check_net_broken();
}

static void impossible_lengths_are_dropped(void **state)
{
	static const uint32_t lengths[] = {0,         1, 11, 12, 25, 2049, 65536, UINT32_MAX - 1,
	                                   UINT32_MAX};
	uint8_t frame[60] = {0}, got[2048];

	(void)state;
	start_net(MODERN);
	for (unsigned i = 0; i < 9; i++) {
		sim.bend = bend_bytes;
		bent_bytes = lengths[i];
		assert_true(sim_frame(&sim, frame, sizeof(frame)));
		assert_int_equal(ph__plat_net_receive(got, sizeof(got)), 0);
		sim.bend = NULL;
		check_echo(60, 1);
	}
	assert_int_equal(sim_lines, 1);
}

static void bad_beginnings_are_refused(void **state)
{
	uint8_t mac[6];
	unsigned mtu;

	(void)state;
	/* Takes back FEATURES_OK. */
	sim_init(&sim, PH__VIRTIO_NET, MODERN);
	sim.refuse_status = PH__STATUS_FEATURES_OK;
	ph__net_card_start(&sim.device, 64);
	check_net_broken();
	sim_release();
	/* Modern registers, and no modern feature. */
	sim_init(&sim, PH__VIRTIO_NET, LEGACY);
	sim.device.legacy = false;
	ph__net_card_start(&sim.device, 64);
	check_net_broken();
	sim_release();
	/* Headers in pieces of their own. */
	sim_init(&sim, PH__VIRTIO_NET, 0);
	ph__net_card_start(&sim.device, 64);
	check_net_broken();
	static const unsigned sizes[] = {0, 1};
	for (unsigned i = 0; i < 2; i++) {
		sim_release();
		sim_init(&sim, PH__VIRTIO_NET, MODERN);
		sim.queue_bytes = sizes[i];
		ph__net_card_start(&sim.device, 64);
		check_net_broken();
	}
	/* Sizes that are no power of two, or too large: less is used. */
	static const unsigned odd[] = {2, 3, 100, 1024, 32768};
	for (unsigned i = 0; i < 5; i++) {
		sim_release();
		sim_init(&sim, PH__VIRTIO_NET, MODERN);
		sim.queue_bytes = odd[i];
		ph__net_card_start(&sim.device, 64);
		assert_int_equal(ph__plat_net_open(mac, &mtu), PH_OK);
		for (unsigned n = 0; n < 300; n++)
			check_echo(100, (uint8_t)n);
	}
}

static void no_memory_is_no_device(void **state)
{
	struct ph__block_info info;
	uint8_t mac[6];
	unsigned mtu;

	(void)state;
	for (unsigned pages = 0; pages < 80; pages++) {
		sim_release();
		sim_pages_max = pages;
		sim_init(&sim, PH__VIRTIO_NET, MODERN);
		ph__net_card_start(&sim.device, 64);
		if (ph__plat_net_open(mac, &mtu) == PH_OK)
			break;
		assert_true(pages < 79);
	}
	for (unsigned pages = 0; pages < 80; pages++) {
		sim_release();
		sim_pages_max = pages;
		sim_init(&sim, PH__VIRTIO_BLOCK, MODERN);
		ph__disk_start(&sim.device);
		if (ph__plat_block_open(&info) == PH_OK)
			break;
		assert_true(pages < 79);
	}
}

/* ---- the disk ---- */

static void check_disk(void)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + (i >> 9));
	assert_int_equal(ph__plat_block_write(0, data, sizeof(data)), PH_OK);
	assert_memory_equal(sim.disk, data, sizeof(data));
	memset(back, 0, sizeof(back));
	assert_int_equal(ph__plat_block_read(4096, back, sizeof(back) - 8192), PH_OK);
	assert_memory_equal(back, data + 4096, sizeof(back) - 8192);
	unsigned flushes = sim.flushes;
	assert_int_equal(ph__plat_block_flush(), PH_OK);
	assert_int_equal(sim.flushes, flushes + 1);
}

static void disk_in_all_sizes(void **state)
{
	static const struct {
		uint64_t size_max, segments;
		uint32_t segment;
		unsigned most;
	} limits[] = {{4096, 4, 4096, 4},   {512, 1, 512, 1},
	              {1000, 126, 512, 14}, {UINT32_MAX, 0, 262144, 1},
	              {65536, 2, 65536, 2}, {8192, UINT32_MAX, 8192, 14}};
	struct ph__block_info info;

	(void)state;
	start_disk(MODERN);
	assert_int_equal(ph__plat_block_open(&info), PH_OK);
	assert_int_equal(info.bytes, SIM_DISK_BYTES);
	assert_int_equal(info.block_bytes, 512);
	assert_true(info.can_flush && !info.read_only);
	check_disk();
	start_disk(LEGACY);
	check_disk();
	for (unsigned i = 0; i < 6; i++) {
		sim_release();
		sim_init(&sim, PH__VIRTIO_BLOCK,
		         MODERN | BLOCK_FLUSH | BLOCK_SIZE_MAX | BLOCK_SEGMENTS);
		sim_set(&sim, 8, limits[i].size_max, 4);
		sim_set(&sim, 12, limits[i].segments, 4);
		ph__disk_start(&sim.device);
		check_disk();
		assert_int_equal(sim.largest_segment, limits[i].segment);
		assert_int_equal(sim.largest_segments, limits[i].most);
	}
	assert_int_equal(sim_lines, 0);
}

static void start_discard(uint64_t features, uint32_t sectors)
{
	sim_release();
	sim_init(&sim, PH__VIRTIO_BLOCK, MODERN | features);
	sim_set(&sim, 36, sectors, 4);
	sim.discard_max = sectors;
	ph__disk_start(&sim.device);
}

static void disk_discards(void **state)
{
	struct ph__block_info info;

	(void)state;
	start_discard(BLOCK_FLUSH | BLOCK_DISCARD, 100);
	assert_int_equal(ph__plat_block_open(&info), PH_OK);
	assert_non_null(info.discard);
	check_disk();
	assert_int_equal(info.discard(NULL, 4096, 256 * 512), PH_OK);
	assert_int_equal(sim.discards, 3);
	assert_memory_equal(sim.disk, data, 4096);
	assert_int_equal(sim.disk[4096], 0x5a);
	assert_int_equal(sim.disk[4096 + 256 * 512 - 1], 0x5a);
	assert_int_not_equal(sim.disk[4096 + 256 * 512 + 1], 0x5a);
	assert_int_equal(info.discard(NULL, info.bytes, 512), PH_ERR_IO);
	sim.fail_request = sim.requests + 2;
	assert_int_equal(info.discard(NULL, 0, 300 * 512), PH_ERR_IO);
	check_disk();
	/* Not offered, with a limit of nothing, and on a disk that is read-only. */
	static const uint64_t none[] = {0, BLOCK_DISCARD, BLOCK_DISCARD | BLOCK_READ_ONLY};
	for (unsigned i = 0; i < 3; i++) {
		start_discard(none[i], i == 1 ? 0 : 100);
		assert_int_equal(ph__plat_block_open(&info), PH_OK);
		assert_null(info.discard);
	}
}

static void disk_geometry(void **state)
{
	static const uint64_t refused[] = {0, 1, 511, 768, 8192, UINT32_MAX};
	struct ph__block_info info;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		sim_release();
		sim_init(&sim, PH__VIRTIO_BLOCK, MODERN | BLOCK_SIZE);
		sim_set(&sim, 20, refused[i], 4);
		ph__disk_start(&sim.device);
		assert_int_equal(ph__plat_block_open(&info), PH_ERR_NOT_FOUND);
		assert_int_equal(ph__plat_block_read(0, back, 512), PH_ERR_IO);
		assert_int_equal(sim_lines, 1);
	}
	sim_release();
	sim_init(&sim, PH__VIRTIO_BLOCK, MODERN | BLOCK_SIZE | BLOCK_READ_ONLY);
	sim_set(&sim, 0, 2047, 8);
	sim_set(&sim, 20, 4096, 4);
	ph__disk_start(&sim.device);
	assert_int_equal(ph__plat_block_open(&info), PH_OK);
	assert_int_equal(info.bytes, SIM_DISK_BYTES - 4096);
	assert_int_equal(info.block_bytes, 4096);
	assert_true(info.read_only && !info.can_flush);
	assert_int_equal(ph__plat_block_write(0, data, 4096), PH_ERR_READ_ONLY);
	assert_int_equal(ph__plat_block_flush(), PH_ERR_UNSUPPORTED);
	assert_int_equal(ph__plat_block_read(512, back, 4096), PH_ERR_INVALID);
	assert_int_equal(ph__plat_block_read(0, back, 512), PH_ERR_INVALID);
	assert_int_equal(ph__plat_block_read(info.bytes, back, 4096), PH_ERR_INVALID);
	assert_int_equal(ph__plat_block_read(info.bytes - 4096, back, 8192), PH_ERR_INVALID);
	assert_int_equal(ph__plat_block_read(UINT64_MAX - 4095, back, 8192), PH_ERR_INVALID);
	assert_int_equal(ph__plat_block_read(info.bytes - 4096, back, 4096), PH_OK);
	assert_int_equal(ph__plat_block_read(info.bytes, back, 0), PH_OK);
	sim_release();
	sim_init(&sim, PH__VIRTIO_BLOCK, MODERN);
	sim_set(&sim, 0, UINT64_MAX, 8);
	ph__disk_start(&sim.device);
	assert_int_equal(ph__plat_block_open(&info), PH_ERR_NOT_FOUND);
}

static void disk_errors_are_told(void **state)
{
	(void)state;
	/* Each single request of a larger transfer, and then all is well again. */
	for (unsigned n = 1; n <= 4; n++) {
		start_disk(MODERN);
		sim.fail_request = n;
		assert_int_equal(ph__plat_block_read(0, back, sizeof(back)), PH_ERR_IO);
		assert_false(sim.device.broken);
		check_disk();
	}
	start_disk(MODERN);
	sim.disk_status = 2;
	assert_int_equal(ph__plat_block_write(0, data, 512), PH_ERR_IO);
	assert_int_equal(ph__plat_block_flush(), PH_ERR_IO);
	sim.disk_status = 0;
	sim.no_status = true;
	assert_int_equal(ph__plat_block_write(0, data, 512), PH_ERR_IO);
	assert_int_equal(ph__plat_block_flush(), PH_ERR_IO);
	sim.no_status = false;
	static const uint32_t lengths[] = {0, 1, 4095, 4098, UINT32_MAX};
	for (unsigned i = 0; i < 5; i++) {
		sim.bend = bend_bytes;
		bent_bytes = lengths[i];
		assert_int_equal(ph__plat_block_read(0, back, 4096), PH_ERR_IO);
	}
	/* Without the status byte in the count, as one hypervisor has it. */
	bent_bytes = 4096;
	assert_int_equal(ph__plat_block_read(0, back, 4096), PH_OK);
	sim.bend = NULL;
	check_disk();
}

static void check_disk_broken(void)
{
	struct ph__block_info info;

	assert_true(sim.device.broken);
	assert_int_equal(sim_lines, 1);
	assert_int_equal(sim.status, 0);
	assert_int_equal(ph__plat_block_read(0, back, 512), PH_ERR_IO);
	assert_int_equal(ph__plat_block_write(0, data, 512), PH_ERR_IO);
	assert_int_equal(ph__plat_block_flush(), PH_ERR_IO);
	assert_int_equal(ph__plat_block_open(&info), PH_ERR_NOT_FOUND);
	assert_int_equal(sim_lines, 1);
}

static void wild_entries_end_the_disk(void **state)
{
	/* Inside a slot, a slot that is free, beyond. */
	static const uint32_t ids[] = {1, 15, 113, 16 * 3, 256, UINT32_MAX};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		start_disk(MODERN);
		sim.bend = bend_id;
		bent_id = ids[i];
		assert_int_equal(ph__plat_block_read(0, back, 512), PH_ERR_IO);
		check_disk_broken();
	}
	start_disk(MODERN);
	sim.bend = bend_twice;
	assert_int_equal(ph__plat_block_read(0, back, 512), PH_ERR_IO);
	check_disk_broken();
	/* No answer at all. */
	start_disk(MODERN);
	sim.silent = true;
	uint64_t before = sim_now_ns;
	assert_int_equal(ph__plat_block_flush(), PH_ERR_IO);
	assert_true(sim_now_ns - before > UINT64_C(10000000000));
	check_disk_broken();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(frames_come_back, teardown),
	        cmocka_unit_test_teardown(mtu_is_kept, teardown),
	        cmocka_unit_test_teardown(full_queue_says_so, teardown),
	        cmocka_unit_test_teardown(kicks_are_few, teardown),
	        cmocka_unit_test_teardown(watch_says_when_to_sleep, teardown),
	        cmocka_unit_test_teardown(wild_entries_end_the_card, teardown),
	        cmocka_unit_test_teardown(twice_done_is_harmless, teardown),
	        cmocka_unit_test_teardown(impossible_lengths_are_dropped, teardown),
	        cmocka_unit_test_teardown(bad_beginnings_are_refused, teardown),
	        cmocka_unit_test_teardown(no_memory_is_no_device, teardown),
	        cmocka_unit_test_teardown(disk_in_all_sizes, teardown),
	        cmocka_unit_test_teardown(disk_discards, teardown),
	        cmocka_unit_test_teardown(disk_geometry, teardown),
	        cmocka_unit_test_teardown(disk_errors_are_told, teardown),
	        cmocka_unit_test_teardown(wild_entries_end_the_disk, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
