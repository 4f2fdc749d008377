/* SPDX-License-Identifier: MIT */
/*
 * pkt-line and side-band framing (gitprotocol-common, gitprotocol-pack).
 */
#ifndef PACKHORSE_PKT_H
#define PACKHORSE_PKT_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PH_PKT_BYTES_MAX 65520u /* with its length */
#define PH_PKT_PAYLOAD_MAX 65516u
#define PH_BAND_PAYLOAD_MAX 65515u     /* side-band-64k */
#define PH_BAND_PAYLOAD_MAX_SMALL 995u /* side-band */

enum ph_pkt_kind { PH_PKT_DATA, PH_PKT_FLUSH, PH_PKT_DELIM, PH_PKT_RESPONSE_END };

struct ph_pkt {
	enum ph_pkt_kind kind;
	const uint8_t *data; /* into the buffer that was parsed */
	size_t len;
};

/*
 * Parses the packet at the start of a buffer. *used is its whole length on PH_OK. Exactly four hex
 * digits of either case; 0003 and lengths over 65520 are PH_ERR_INVALID. PH_AGAIN: not all of it is
 * there yet. 0004 is a data packet of no bytes.
 */
PH_API enum ph_status ph_pkt_parse(struct ph_pkt *out, size_t *used, const uint8_t *data,
                                   size_t len);
/* Takes one trailing newline off, if there is one. */
PH_API void ph_pkt_chomp(struct ph_pkt *pkt);
/* Whether the payload is exactly this text. */
PH_API bool ph_pkt_is(const struct ph_pkt *pkt, const char *text);
/* Whether it begins with it; *rest and *rest_len (may be NULL) are what follows. */
PH_API bool ph_pkt_starts(const struct ph_pkt *pkt, const char *prefix, const char **rest,
                          size_t *rest_len);

/* Writes a packet's four digits for a payload of len bytes. */
PH_API void ph_pkt_header(uint8_t out[4], size_t payload_len);

/* ---- capability lists: words between spaces, key or key=value ---- */

/* Finds a word; *value points behind its "=" (value_len 0 when it has none). May be NULL. */
PH_API bool ph_caps_find(const char *caps, size_t len, const char *key, const char **value,
                         size_t *value_len);

#ifdef __cplusplus
}
#endif
#endif
