/* SPDX-License-Identifier: MIT */
/*
 * The command line of an image: words, options, and what is said of them. Whoever starts the image
 * writes it, but a hypervisor may add to it, and nothing in it may take us outside our buffers.
 */
#include "image.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ph__args args;
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (ph__args_parse(&args, text)) {
		for (unsigned i = 0; i < args.authorized_count; i++)
			if (args.authorized[i] < text ||
			    args.authorized[i] + strlen(args.authorized[i]) > text + size)
				abort();
		if (!args.help && !args.version && (args.port == 0 || args.port > 65535))
			abort();
	} else if (!args.error[0]) {
		abort();
	}
	free(text);
	return 0;
}
