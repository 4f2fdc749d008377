/* SPDX-License-Identifier: MIT */
/*
 * True random bytes: from the processor, if it has them and they are not obviously stuck, and from
 * a virtio device. Where there are both they are mixed, so that neither alone need be trusted.
 */
#include "machine_int.h"

#define TRIES 200u
/* By chance one bit is the same in all of them once in 2^57 boots. */
#define SAMPLES 64u
#define DEVICE_BYTES 256u
#define DEVICE_TIMEOUT_NS UINT64_C(5000000000)

static bool seed_instruction, random_instruction;
static struct ph__virtio *device;
static struct ph__virtq queue;
static uint8_t *pool;
static size_t pool_left;

static bool draw(uint64_t *value)
{
	uint8_t good = 0;

	for (unsigned i = 0; i < TRIES && good == 0; i++) {
		if (seed_instruction)
			__asm__ volatile("rdseed %0; setc %1" : "=r"(*value), "=qm"(good) : : "cc");
		if (good == 0 && random_instruction)
			__asm__ volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(good) : : "cc");
		if (good == 0)
			ph__cpu_pause();
	}
	return good != 0;
}

/* Whether samples of the processor look at all like random ones. */
static bool test(void)
{
	uint64_t one, ones = 0, zeros = 0, last = 0;

	for (unsigned i = 0; i < SAMPLES; i++) {
		if (!draw(&one) || one == 0 || one == UINT64_MAX || one == last)
			return false;
		last = one;
		ones |= one;
		zeros |= ~one;
	}
	return ones == UINT64_MAX && zeros == UINT64_MAX;
}

void ph__entropy_start(void)
{
	random_instruction = (ph__cpuid(1).c >> 30 & 1) != 0;
	seed_instruction = ph__cpuid(0).a >= 7 && (ph__cpuid(7).b >> 18 & 1) != 0;
	if ((random_instruction || seed_instruction) && !test()) {
		ph__plat_say("WARN", "the processor's random numbers are not random");
		random_instruction = seed_instruction = false;
	}
}

/* Fills the pool; it is then at least one byte. */
static bool refill(void)
{
	uint64_t start = ph__tsc(), ticks = ph__clock_ticks(DEVICE_TIMEOUT_NS);
	struct ph__segment segment = {pool, DEVICE_BYTES, true};
	int slot = ph__virtq_take(&queue);
	uint32_t bytes;

	if (slot < 0)
		return false;
	ph__virtq_put(&queue, slot, &segment, 1);
	ph__virtq_kick(&queue);
	while (ph__virtq_get(&queue, &bytes) < 0) {
		if (!device->broken && ph__tsc() - start > ticks)
			ph__virtio_break(device, "no answer in nanoseconds", DEVICE_TIMEOUT_NS);
		if (device->broken)
			return false;
	}
	pool_left = bytes == PH__QUEUE_OVERLONG ? 0 : bytes;
	return pool_left != 0;
}

void ph__entropy_device_start(struct ph__virtio *found)
{
	unsigned differ = 0;

	if (ph__virtio_begin(found, 0) != PH_OK ||
	    ph__virtq_open(&queue, found, 0, 1, 1, false) != PH_OK)
		return;
	pool = ph__boot_pages(1);
	if (pool == NULL)
		return;
	ph__virtio_ready(found);
	device = found;
	if (refill())
		for (size_t i = 1; i < pool_left; i++)
			differ += pool[i] != pool[i - 1];
	if (differ < pool_left / 2 || pool_left < 16) {
		ph__virtio_break(found, "its bytes are not random, of them", pool_left);
		device = NULL;
	}
}

enum ph_status ph__plat_entropy(void *buf, size_t len)
{
	bool processor = random_instruction || seed_instruction;
	uint8_t *out = buf;
	uint64_t word = 0;

	if (!processor && (device == NULL || device->broken))
		return PH_ERR_UNSUPPORTED;
	for (size_t i = 0; i < len; i++) {
		if (processor && i % 8 == 0 && !draw(&word))
			return PH_ERR_IO;
		out[i] = (uint8_t)word;
		word >>= 8;
		if (device == NULL || (pool_left == 0 && !refill())) {
			if (!processor)
				return PH_ERR_IO;
			continue;
		}
		out[i] ^= pool[--pool_left];
		pool[pool_left] = 0; /* used once, and not kept */
	}
	return PH_OK;
}
