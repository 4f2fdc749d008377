/* SPDX-License-Identifier: MIT */
/*
 * Time from the processor's counter. Its rate comes from the argument tsc_khz=, from what the
 * processor or the hypervisor says, or from the PIT's channel 0, read latched (some machines lack
 * the gate of channel 2). Wall time comes from KVM, or from the RTC at boot.
 */
#include "machine_int.h"

#define KVM_LEAF 0x40000001u
#define KVM_CLOCK 8u /* the feature's bit */
#define KVM_WALL_MSR 0x4b564d00
#define KVM_TIME_MSR 0x4b564d01
#define PIT_HZ UINT64_C(1193182)
#define PIT_TICKS 3600u /* 3 ms */
#define READS_MAX 100000u
#define RTC_READS_MAX 2000u
/* Less than the PIT's round of 55 ms on any processor. */
#define STALL_TICKS 20000000u
#define WALL_CHECK_NS (600 * PH__NSEC)
#define GUESS_KHZ UINT64_C(1000000)

__extension__ typedef unsigned __int128 wide;

/* As KVM lays it out, and used for our own rate likewise: ns = base + (ticks << shift) * mul >> 32.
 */
struct rate {
	uint32_t version, pad;
	uint64_t tsc, base;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pads[2];
};

/* A page of its own for what the hypervisor writes. */
static union {
	struct {
		struct rate rate;
		struct {
			uint32_t version, seconds, ns;
		} wall;
	} kvm;
	uint8_t page[PH__PAGE];
} shared __attribute__((aligned(4096)));
static struct rate own;
static bool kvm;
static uint64_t latest, wall_base, wall_checked;

static uint64_t scale(const struct rate *rate, uint64_t tsc)
{
	/* A snapshot may be from just after the counter was read. */
	uint64_t ticks = tsc > rate->tsc ? tsc - rate->tsc : 0;

	ticks = rate->shift >= 0 ? ticks << (rate->shift & 31) : ticks >> (-rate->shift & 31);
	return rate->base + (uint64_t)((wide)ticks * rate->mul >> 32);
}

uint64_t ph__plat_monotonic_ns(void)
{
	uint64_t now = 0;

	if (kvm) {
		const volatile struct rate *from = &shared.kvm.rate;
		struct rate copy;
		uint32_t version;
		unsigned tries = 0;

		do {
			version = from->version;
			copy = (struct rate){.tsc = from->tsc,
			                     .base = from->base,
			                     .mul = from->mul,
			                     .shift = from->shift};
		} while (((version & 1) != 0 || version != from->version) && ++tries < READS_MAX);
		now = scale(&copy, ph__tsc());
	} else {
		now = scale(&own, ph__tsc());
	}
	if (now > latest)
		latest = now;
	return latest;
}

uint64_t ph__clock_ticks(uint64_t ns)
{
	const struct rate *rate = kvm ? &shared.kvm.rate : &own;
	uint64_t factor = UINT64_MAX / (rate->mul == 0 ? 1 : rate->mul);
	uint64_t ticks = (uint64_t)((wide)ns * factor >> 32);

	return rate->shift >= 0 ? ticks >> (rate->shift & 31) : ticks << (-rate->shift & 31);
}

static void set_rate(uint64_t khz)
{
	/* From 1 MHz to 1 THz; the factor is kept below 2^32. */
	own.mul = 0;
	own.shift = 0;
	while (khz <= 1000000) {
		khz *= 2;
		own.shift++;
	}
	own.mul = (uint32_t)((UINT64_C(1000000) << 32) / khz);
	own.tsc = ph__tsc();
}

/* A reading of the counter: its value, and between which two ticks of ours it was latched. */
struct reading {
	uint16_t value;
	uint64_t before, after;
};

static struct reading pit(void)
{
	struct reading r = {.before = ph__tsc()};

	ph__out8(0x43, 0);
	r.after = ph__tsc();
	r.value = ph__in8(0x40);
	r.value = (uint16_t)(r.value | ph__in8(0x40) << 8);
	return r;
}

/* A hypervisor may hold us up anywhere: what it spoils shows in how long a reading took. */
static uint64_t pit_khz(void)
{
	struct reading first, now;
	uint64_t elapsed, unsure;
	unsigned reads = 0, ticks = 0, seen = 0;

	ph__out8(0x43, 0x34); /* mode 2, from 65,536 down */
	ph__out8(0x40, 0);
	ph__out8(0x40, 0);
	first = now = pit();
	do {
		uint64_t last = now.after;

		/* Where nothing answers, all reads are alike. */
		if (++reads > (seen == 0 ? 1000u : READS_MAX))
			return 0;
		now = pit();
		ticks = (uint16_t)(first.value - now.value);
		seen |= ticks;
		/* It may have been around unseen; or a better beginning. */
		if (now.after - last > STALL_TICKS ||
		    (ticks < PIT_TICKS / 4 &&
		     now.after - now.before < first.after - first.before)) {
			first = now;
			ticks = 0;
		}
		elapsed = (now.before + now.after - first.before - first.after) / 2;
		unsure = now.after - now.before + first.after - first.before;
	} while (ticks < PIT_TICKS || (unsure > elapsed / 200 && ticks < PIT_TICKS * 10));
	return elapsed * PIT_HZ / ticks / 1000;
}

static uint64_t told_khz(void)
{
	uint64_t khz = ph__boot_arguments.tsc_khz;

	if (khz == 0 && ph__cpuid(0).a >= 0x15) {
		struct ph__cpuid crystal = ph__cpuid(0x15);

		if (crystal.a != 0)
			khz = (uint64_t)crystal.c * crystal.b / crystal.a / 1000;
	}
	if (khz == 0 && (ph__cpuid(1).c >> 31) != 0 && ph__cpuid(0x40000000).a >= 0x40000010)
		khz = ph__cpuid(0x40000010).a;
	return khz >= 1000 && khz <= 1000000000 ? khz : 0;
}

static bool kvm_start(void)
{
	struct ph__cpuid name;

	if ((ph__cpuid(1).c >> 31) == 0)
		return false;
	name = ph__cpuid(0x40000000);
	if (name.b != 0x4b4d564b || name.c != 0x564b4d56 ||
	    (ph__cpuid(KVM_LEAF).a & KVM_CLOCK) == 0)
		return false;
	ph__msr_write(KVM_TIME_MSR, (uintptr_t)&shared.kvm.rate | 1);
	ph__msr_write(KVM_WALL_MSR, (uintptr_t)&shared.kvm.wall);
	const volatile struct rate *rate = &shared.kvm.rate;
	wall_base = shared.kvm.wall.seconds * PH__NSEC + shared.kvm.wall.ns;
	return rate->mul != 0;
}

static unsigned rtc(uint8_t at, bool binary)
{
	ph__out8(0x70, at);
	unsigned value = ph__in8(0x71);
	return binary ? value : (value >> 4) * 10 + (value & 15);
}

/* Seconds since 1970, or 0. */
static uint64_t rtc_seconds(void)
{
	static const uint8_t at[6] = {0, 2, 4, 7, 8, 9};
	unsigned t[6], again = 1, tries = 0;

	/* An update takes 2 ms; where there is no RTC all bits are set. */
	while (again != 0 && ++tries < RTC_READS_MAX && rtc(10, true) != 0xff) {
		again = rtc(10, true) & 0x80; /* it is being updated */
		unsigned binary = rtc(11, true) & 4;
		for (unsigned i = 0; i < 6; i++)
			t[i] = rtc(at[i], binary != 0);
		again |= rtc(0, binary != 0) ^ t[0];
	}
	if (again != 0 || t[0] > 60 || t[1] > 59 || t[2] > 23 || t[3] - 1 > 30 || t[4] - 1 > 11 ||
	    t[5] > 99)
		return 0;
	/* Days since 1970 of a day in 2000 to 2099; years begin in March. */
	uint64_t month = (t[4] + 9) % 12, year = 2000 + t[5] - (t[4] <= 2 ? 1 : 0);
	uint64_t days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 +
	                t[3] - 1 - 719468;
	return ((days * 24 + t[2]) * 60 + t[1]) * 60 + t[0];
}

/* Anew at times: our own rate is good to some hundred parts in a million. */
uint64_t ph__plat_wall_ns(void)
{
	uint64_t now = ph__plat_monotonic_ns();

	if (!kvm && wall_base != 0 && now - wall_checked > WALL_CHECK_NS) {
		uint64_t seconds = rtc_seconds();

		wall_checked = now;
		if (seconds * PH__NSEC > now)
			wall_base = seconds * PH__NSEC - now;
	}
	return wall_base == 0 ? 0 : wall_base + now;
}

void ph__clock_start(void)
{
	set_rate(GUESS_KHZ);
	kvm = kvm_start();
	if (kvm)
		return;
	uint64_t khz = told_khz();
	if (khz == 0)
		khz = pit_khz();
	if (khz == 0) {
		khz = GUESS_KHZ;
		ph__plat_say("WARN",
		             "no clock to measure the processor's by, assuming 1 GHz; tsc_khz= "
		             "says better");
	}
	set_rate(khz);
	wall_base = rtc_seconds() * PH__NSEC;
}
