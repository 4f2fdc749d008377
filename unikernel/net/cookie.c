/* SPDX-License-Identifier: MIT */
/*
 * SYN cookies: with as many half-open connections as we keep, further ones are kept nowhere. Our
 * first sequence number is then a hash of who asks and when, and whoever sends it back has proved
 * that he is there: his SYN is made up again, and lwIP goes on as if it had come just now. Options
 * of the SYN are lost, so such a connection is a plain one; that is for the length of a flood.
 */
#include "net_int.h"

#include "hooks.h"

#include <lwip/inet_chksum.h>
#include <lwip/ip.h>

#include <string.h>

/* A cookie is good in the slot of time it was given in, and in the next. */
#define SLOT_NS (32 * PH__SECOND_NS)
#define TTL 64u

static bool resuming, waiting;
static uint64_t given_slot; /* the latest in which a cookie was given; 0: never */
static ip_addr_t peer, us;
static struct tcp_hdr answer; /* the one that came back, in host order */

static uint64_t slot_now(void)
{
	return ph__net_now() / SLOT_NS + 2;
}

static uint32_t cookie(const struct tcp_hdr *header, uint64_t slot)
{
	uint8_t data[44];

	memset(data, 0, sizeof data);
	if (ip_current_is_v6()) {
		memcpy(data, ip6_current_src_addr()->addr, 16);
		memcpy(data + 16, ip6_current_dest_addr()->addr, 16);
	} else {
		memcpy(data, ip4_current_src_addr(), 4);
		memcpy(data + 16, ip4_current_dest_addr(), 4);
	}
	memcpy(data + 32, &header->src, 2);
	memcpy(data + 34, &header->dest, 2);
	memcpy(data + 36, &slot, 8);
	return ph__secret_hash(data, sizeof data);
}

/* A segment without payload or options, from the TCP header on; header is in host order. */
static struct pbuf *segment(const struct tcp_hdr *header, const ip_addr_t *from,
                            const ip_addr_t *to)
{
	struct pbuf *p = pbuf_alloc(PBUF_IP, TCP_HLEN, PBUF_RAM);
	struct tcp_hdr *out;

	if (!p)
		return NULL;
	out = p->payload;
	*out = *header;
	out->src = lwip_htons(header->src);
	out->dest = lwip_htons(header->dest);
	out->seqno = lwip_htonl(header->seqno);
	out->ackno = lwip_htonl(header->ackno);
	out->wnd = lwip_htons(header->wnd);
	out->chksum = 0;
	out->chksum = ip_chksum_pseudo(p, IP_PROTO_TCP, p->tot_len, from, to);
	p->way_known = 0; /* it answers the frame at hand */
	return p;
}

bool ph__cookie_give(const struct tcp_hdr *syn)
{
	struct tcp_hdr header = {0};
	struct pbuf *p;

	if (resuming)
		return false;
	given_slot = slot_now();
	header.src = syn->dest;
	header.dest = syn->src;
	header.seqno = cookie(syn, given_slot);
	header.ackno = syn->seqno + 1;
	header.wnd = TCP_WND;
	TCPH_HDRLEN_FLAGS_SET(&header, 5, TCP_SYN | TCP_ACK);
	p = segment(&header, ip_current_dest_addr(), ip_current_src_addr());
	if (p) {
		ip_output_if(p, ip_current_dest_addr(), ip_current_src_addr(), TTL, 0, IP_PROTO_TCP,
		             ip_current_input_netif());
		pbuf_free(p);
	}
	return true;
}

bool ph__cookie_take(const struct tcp_hdr *header)
{
	uint32_t number = header->ackno - 1;
	uint64_t slot = slot_now();

	if (resuming || slot > given_slot + 1 ||
	    (number != cookie(header, slot) && number != cookie(header, slot - 1)))
		return false;
	waiting = true;
	answer = *header;
	ip_addr_copy(peer, *ip_current_src_addr());
	ip_addr_copy(us, *ip_current_dest_addr());
	return true;
}

/* As if header had come from the card, without its payload, which will be sent again. */
static void receive(struct netif *card, const struct tcp_hdr *header)
{
	struct pbuf *p = segment(header, &peer, &us);

	if (!p)
		return;
	if (IP_IS_V6(&us)) {
		struct ip6_hdr *ip;

		if (pbuf_add_header(p, IP6_HLEN) != 0)
			goto out;
		ip = p->payload;
		IP6H_VTCFL_SET(ip, 6, 0, 0);
		IP6H_PLEN_SET(ip, TCP_HLEN);
		IP6H_NEXTH_SET(ip, IP_PROTO_TCP);
		IP6H_HOPLIM_SET(ip, TTL);
		ip6_addr_copy_to_packed(ip->src, *ip_2_ip6(&peer));
		ip6_addr_copy_to_packed(ip->dest, *ip_2_ip6(&us));
	} else {
		struct ip_hdr *ip;

		if (pbuf_add_header(p, IP_HLEN) != 0)
			goto out;
		ip = p->payload;
		memset(ip, 0, IP_HLEN);
		IPH_VHL_SET(ip, 4, IP_HLEN / 4);
		IPH_LEN_SET(ip, lwip_htons(p->tot_len));
		IPH_TTL_SET(ip, TTL);
		IPH_PROTO_SET(ip, IP_PROTO_TCP);
		ip4_addr_copy(ip->src, *ip_2_ip4(&peer));
		ip4_addr_copy(ip->dest, *ip_2_ip4(&us));
		IPH_CHKSUM_SET(ip, inet_chksum(ip, IP_HLEN));
	}
	ip_input(p, card);
	return;
out:
	pbuf_free(p);
}

void ph__cookie_resume(struct netif *card)
{
	struct tcp_hdr syn = answer;

	resuming = false; /* an error of lwIP's may have left it */
	if (!waiting)
		return;
	waiting = false;
	resuming = true;
	syn.seqno--;
	TCPH_HDRLEN_FLAGS_SET(&syn, 5, TCP_SYN);
	receive(card, &syn);
	TCPH_HDRLEN_FLAGS_SET(&answer, 5, TCP_ACK);
	receive(card, &answer);
	resuming = false;
}

u32_t ph__net_isn(void)
{
	return resuming ? answer.ackno - 1 : ph__net_random();
}
