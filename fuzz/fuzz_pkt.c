/* SPDX-License-Identifier: MIT */
/* pkt-lines one after the other, and each payload as a capability list. */
#include <packhorse/pkt.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_caps(const struct ph_pkt *pkt)
{
	const char *caps = (const char *)pkt->data, *value = NULL;
	size_t len = 0;

	if (!ph_caps_find(caps, pkt->len, "agent", &value, &len))
		return;
	if (value < caps + 5 || value + len > caps + pkt->len || memchr(value, ' ', len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (size_t at = 0; at < size;) {
		struct ph_pkt pkt;
		size_t used = 0;
		enum ph_status status = ph_pkt_parse(&pkt, &used, data + at, size - at);
		uint8_t header[4];

		if (status != PH_OK)
			break;
		if (used < 4 || used > size - at || pkt.len > PH_PKT_PAYLOAD_MAX)
			abort();
		if (pkt.kind == PH_PKT_DATA) {
			/* A header that is written says the same, in lower case. */
			ph_pkt_header(header, pkt.len);
			for (int i = 0; i < 4; i++)
				if (header[i] != (data[at + (size_t)i] | 0x20) &&
				    header[i] != data[at + (size_t)i])
					abort();
			check_caps(&pkt);
			ph_pkt_chomp(&pkt);
		} else if (pkt.len != 0 || used != 4) {
			abort();
		}
		at += used;
	}
	return 0;
}
