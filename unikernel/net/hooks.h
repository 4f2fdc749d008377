/* SPDX-License-Identifier: MIT */
/*
 * Where lwIP calls us: lwipopts.h names these as its hooks.
 */
#ifndef PACKHORSE_NET_HOOKS_H
#define PACKHORSE_NET_HOOKS_H

#include <lwip/arch.h>
#include <lwip/err.h>

struct pbuf;
struct tcp_hdr;
struct tcp_pcb;

/* The first sequence number of a connection. */
u32_t ph__net_isn(void);
/* A segment for a connection or listener, header in host order; not ERR_OK drops it. */
err_t ph__connection_packet_in(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t options_len,
                               struct pbuf *p);
/* A segment, first sent or sent again; header in network order, pcb may be NULL. Adds no options.
 */
u32_t *ph__connection_packet_out(struct pbuf *p, struct tcp_hdr *header, const struct tcp_pcb *pcb,
                                 u32_t *options);
/* What may wait out of order. */
u32_t ph__connection_ooseq_bytes(const struct tcp_pcb *pcb);
u16_t ph__connection_ooseq_pieces(const struct tcp_pcb *pcb);

#endif
