/* SPDX-License-Identifier: MIT */
/*
 * The power button and the ways off: ACPI's where its tables tell of them, then what hypervisors
 * without ACPI understand, and at last a fault that no processor survives.
 */
#include "machine_int.h"

#define BUTTON 0x100u
#define SLEEP_ENABLE 0x2000u
#define REDUCED_ENABLE 0x20u
/* QEMU's microvm: its event device, beside the sleep register. */
#define EVENT_OFFSET 0x200u
#define EVENT_REGISTER UINT64_C(0xfea00000)
#define EVENT_POWER_DOWN 2u
#define EVENT_IRQ 9u
#define CLOUD_HYPERVISOR_SLEEP 0x600
#define CLOUD_HYPERVISOR_OFF 0x34
#define KEYBOARD_CONTROLLER 0x64
#define KEYBOARD_RESET 0xfe
/* In case the button's interrupt does not reach us. */
#define LOOK_NS UINT64_C(250000000)

static volatile uint32_t *events;
static bool pressed;
static uint64_t looked_ns;

void ph__power_start(void)
{
	const struct ph__acpi *acpi = &ph__acpi;

	if (acpi->reduced) {
		/* Mapped now: later there are no pages for tables. */
		if (acpi->sleep.memory)
			ph__paging_device(acpi->sleep.address, 1);
		if (acpi->sleep.memory && acpi->sleep.address == EVENT_REGISTER + EVENT_OFFSET)
			events = (volatile uint32_t *)ph__paging_device(EVENT_REGISTER, PH__PAGE);
		if (events != NULL)
			ph__interrupt_route(EVENT_IRQ, PH__VECTOR_POWER);
	} else if (acpi->pm1_event != 0) {
		uint16_t enable = (uint16_t)(acpi->pm1_event + acpi->pm1_event_bytes / 2);

		ph__out16(acpi->pm1_event, BUTTON);
		ph__out16(enable, BUTTON);
		ph__interrupt_route(acpi->sci, PH__VECTOR_POWER);
	}
}

bool ph__plat_power_off(void)
{
	uint64_t now = ph__plat_monotonic_ns();

	if (pressed || (!ph__interrupt_power_seen() && now - looked_ns < LOOK_NS))
		return pressed;
	looked_ns = now;
	if (events != NULL)
		pressed = (*events & EVENT_POWER_DOWN) != 0;
	else if (!ph__acpi.reduced && ph__acpi.pm1_event != 0)
		pressed = (ph__in16(ph__acpi.pm1_event) & BUTTON) != 0;
	return pressed;
}

_Noreturn void ph__plat_exit(int code)
{
	const struct ph__acpi *acpi = &ph__acpi;

	if (ph__boot_arguments.debug_exit_port != 0)
		ph__out32(ph__boot_arguments.debug_exit_port, (uint32_t)code);
	uint8_t reduced = (uint8_t)((unsigned)acpi->s5 << 2 | REDUCED_ENABLE);
	if (acpi->sleep.present && acpi->sleep.memory) {
		volatile uint8_t *sleep = ph__paging_device(acpi->sleep.address, 1);
		if (sleep != NULL)
			*sleep = reduced;
	} else if (acpi->sleep.present) {
		ph__out8((uint16_t)acpi->sleep.address, reduced);
	} else if (acpi->pm1_control != 0) {
		ph__out16(acpi->pm1_control, (uint16_t)((unsigned)acpi->s5 << 10 | SLEEP_ENABLE));
	} else {
		ph__out8(CLOUD_HYPERVISOR_SLEEP, CLOUD_HYPERVISOR_OFF);
	}
	/* Firecracker's only way, and a reset where nothing above was heard. */
	ph__out8(KEYBOARD_CONTROLLER, KEYBOARD_RESET);
	ph__cpu_reset();
}
