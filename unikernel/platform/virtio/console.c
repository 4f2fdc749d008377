/* SPDX-License-Identifier: MIT */
/*
 * The serial console, and the platform's own lines on it. A line that the port does not take within
 * some milliseconds is cut short: nobody waits for a console.
 */
#include "machine_int.h"

#include <stdarg.h>

#define PORT 0x3f8
#define LINE_STATUS (PORT + 5)
#define FIFO_EMPTY 0x20
#define FIFO_BYTES 16u
#define LINE_BYTES 512u
/* About 10 ms at 115,200 baud on a fast processor: 16 bytes take 1.4 ms. */
#define STATUS_READS_MAX 10000u

void ph__console_start(void)
{
	ph__out8(PORT + 1, 0); /* no interrupts */
	ph__out8(PORT + 3, 0x80);
	ph__out8(PORT + 0, 1); /* 115,200 baud */
	ph__out8(PORT + 1, 0);
	ph__out8(PORT + 3, 3); /* 8 bits, no parity */
	ph__out8(PORT + 2, 7); /* FIFOs on, and empty */
	ph__out8(PORT + 4, 3);
}

void ph__plat_console(const char *text, size_t len)
{
	while (len != 0) {
		unsigned reads = 0;
		size_t part = len < FIFO_BYTES ? len : FIFO_BYTES;

		while ((ph__in8(LINE_STATUS) & FIFO_EMPTY) == 0) {
			if (++reads == STATUS_READS_MAX)
				return;
			ph__cpu_pause();
		}
		len -= part;
		__asm__ volatile("rep outsb"
		                 : "+S"(text), "+c"(part)
		                 : "d"((uint16_t)PORT)
		                 : "memory");
	}
}

static size_t put(char *line, size_t len, const char *text)
{
	while (*text != '\0' && len < LINE_BYTES - 1)
		line[len++] = *text++;
	return len;
}

static size_t put_number(char *line, size_t len, unsigned long value, unsigned base)
{
	char digits[21];
	unsigned at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	return put(line, len, &digits[at]);
}

void ph__plat_say(const char *level, const char *format, ...)
{
	uint64_t ms = ph__plat_monotonic_ns() / 1000000;
	char line[LINE_BYTES], one[2] = "";
	size_t len = put_number(line, put(line, 0, "+"), ms / 1000, 10);
	va_list args;

	/* Three digits: of a thousand and some the first becomes the point. */
	len = put_number(line, len, 1000 + ms % 1000, 10);
	line[len - 4] = '.';
	len = put(line, put(line, put(line, len, " "), level), " [virtio] ");

	va_start(args, format);
	for (; *format != '\0'; format++) {
		if (*format != '%') {
			one[0] = *format;
			len = put(line, len, one);
		} else if (*++format == 's') {
			len = put(line, len, va_arg(args, const char *));
		} else if (*format == 'u') {
			len = put_number(line, len, va_arg(args, unsigned), 10);
		} else {
			format++; /* %lx */
			len = put_number(line, len, va_arg(args, unsigned long), 16);
		}
	}
	va_end(args);
	line[len++] = '\n';
	ph__plat_console(line, len);
}
