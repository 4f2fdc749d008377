/* SPDX-License-Identifier: MIT */
/* Text in JSON (RFC 8259), for what tools print with --json. */
#include "tools_int.h"

void ph__json_text(FILE *to, const char *text)
{
	putc('"', to);
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			fprintf(to, "\\%c", byte);
		else if (byte < 0x20)
			fprintf(to, "\\u%04x", byte);
		else
			putc(byte, to);
	}
	putc('"', to);
}
