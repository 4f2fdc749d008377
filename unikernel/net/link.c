/* SPDX-License-Identifier: MIT */
/*
 * Frames between the card and lwIP. What is no use to a Git server is dropped before lwIP parses
 * it: fragments, UDP that is not DHCP, extension headers, neighbour discovery whose options do not
 * add up.
 *
 * An answer goes back the way its question came: to the sender of the frame that is being handled,
 * or of the connection's latest one. So a machine that only answers needs no neighbour table for
 * it, and a flood of made-up neighbours pushes nobody out. Tables are left for what we begin
 * ourselves.
 */
#include "net_int.h"

#include "hooks.h"

#include <lwip/etharp.h>
#include <lwip/ethip6.h>
#include <lwip/icmp6.h>
#include <lwip/ip.h>
#include <lwip/prot/ip4.h>
#include <lwip/prot/tcp.h>
#include <lwip/stats.h>
#include <netif/ethernet.h>

#include <string.h>

#define ETHERNET_BYTES 14u
#define MAC_BYTES 6u
#define ARP_BYTES 28u
#define IPV4_BYTES 20u
#define IPV6_BYTES 40u
#define ICMPV6_BYTES 4u
/* Frames handled in one round, so that what they started gets its turn. */
#define ROUND_FRAMES 256u
/* Shorter frames are copied to memory of their size, or a byte would hold a whole buffer. */
#define SHORT_BYTES 1024u
#define PIECES_MAX 16u
#define MTU_MIN 1280u /* of IPv6 */
#define MTU_MAX 9000u

static uint8_t mac[MAC_BYTES];
static size_t frame_bytes; /* the longest */
static const struct ph__net_options *options;
static struct netif *card;
static struct pbuf *spare;    /* to receive into */
static const uint8_t *sender; /* of the frame being handled */
static uint64_t in, out, bad;
static uint64_t loss_state = UINT64_C(0x9e3779b97f4a7c15);

/* One packet in so many, by a generator of its own so that runs can be repeated. */
static bool lose(unsigned one_in)
{
	if (one_in == 0)
		return false;
	loss_state ^= loss_state << 13;
	loss_state ^= loss_state >> 7;
	loss_state ^= loss_state << 17;
	return loss_state % one_in == 0;
}

static unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* ---- out ---- */

static err_t send_frame(struct netif *netif, struct pbuf *p)
{
	struct ph__piece pieces[PIECES_MAX];
	unsigned count = 0;
	uint8_t whole[ETHERNET_BYTES + MTU_MAX];

	(void)netif;
	if (p->tot_len > frame_bytes)
		return ERR_BUF;
	for (struct pbuf *q = p; q && count < PIECES_MAX; q = q->next) {
		pieces[count].data = q->payload;
		pieces[count++].len = q->len;
		if (q->next && count == PIECES_MAX) {
			count = 1;
			pieces[0].data = whole;
			pieces[0].len = pbuf_copy_partial(p, whole, p->tot_len, 0);
			break;
		}
	}
	out++;
	/* A full card is a lossy one: TCP sends again. */
	if (!lose(options->loss_out))
		(void)ph__plat_net_send(pieces, count);
	return ERR_OK;
}

/* Where p goes when it answers; NULL: ask for the neighbour. */
static const uint8_t *way_back(const struct pbuf *p, const ip_addr_t *to)
{
	const uint8_t *header = p->payload;
	bool tcp = IP_IS_V6(to) ? p->len > IPV6_BYTES && header[6] == IP_PROTO_TCP
	                        : p->len > IPV4_BYTES && header[9] == IP_PROTO_TCP;

	if (tcp && p->way_known)
		return p->way;
	return sender && ip_addr_cmp(to, ip_current_src_addr()) ? sender : NULL;
}

/* false: unknown, ask lwIP's tables. */
static bool send_back(struct netif *netif, struct pbuf *p, const ip_addr_t *to, u16_t type)
{
	const uint8_t *way = way_back(p, to);
	struct eth_addr destination;

	if (!way)
		return false;
	memcpy(destination.addr, way, MAC_BYTES);
	ethernet_output(netif, p, (const struct eth_addr *)netif->hwaddr, &destination, type);
	return true;
}

static err_t send_ipv4(struct netif *netif, struct pbuf *p, const ip4_addr_t *next)
{
	const struct ip_hdr *header = p->payload;
	ip_addr_t to;

	ip_addr_copy_from_ip4(to, header->dest);
	return send_back(netif, p, &to, ETHTYPE_IP) ? ERR_OK : etharp_output(netif, p, next);
}

static err_t send_ipv6(struct netif *netif, struct pbuf *p, const ip6_addr_t *next)
{
	ip_addr_t to;

	ip_addr_copy_from_ip6(to, *next);
	return send_back(netif, p, &to, ETHTYPE_IPV6) ? ERR_OK : ethip6_output(netif, p, next);
}

/* ---- in ---- */

/*
 * lwIP believes the lengths of neighbour discovery's options. They must be there, and those that
 * name an Ethernet address must be of its size.
 */
static bool discovery_is_sound(const uint8_t *message, size_t len)
{
	size_t at;

	switch (message[0]) {
	case ICMP6_TYPE_RS:
		at = 8;
		break;
	case ICMP6_TYPE_RA:
		if (!options->accept_router_advertisements)
			return false;
		at = 16;
		break;
	case ICMP6_TYPE_NS:
	case ICMP6_TYPE_NA:
		at = 24;
		break;
	case ICMP6_TYPE_RD:
		return false; /* nobody sends us elsewhere */
	default:
		return true;
	}
	while (at < len) {
		size_t left = len - at, size;

		if (left < 8 || message[at + 1] == 0)
			return false;
		size = (size_t)message[at + 1] * 8;
		if (size > left || (message[at] <= 2 && size != 8))
			return false;
		at += size;
	}
	return at == len;
}

static bool ipv6_is_welcome(const uint8_t *packet, size_t len)
{
	size_t at = IPV6_BYTES, end;
	unsigned next;

	if (options->ipv4_only || len < IPV6_BYTES)
		return false;
	end = IPV6_BYTES + get16(packet + 4);
	next = packet[6];
	if (end > len)
		return false;
	if (next == IP6_NEXTH_HOPBYHOP) { /* of multicast listener discovery, nothing else */
		size_t size;

		if (end - at < 8)
			return false;
		next = packet[at] == IP6_NEXTH_ICMP6 ? IP6_NEXTH_ICMP6 : IP6_NEXTH_NONE;
		size = ((size_t)packet[at + 1] + 1) * 8;
		if (size > end - at || end - at - size < ICMPV6_BYTES || size != 8)
			return false;
		at += size;
		if (packet[at] < ICMP6_TYPE_MLQ || packet[at] > ICMP6_TYPE_MLD)
			return false;
	}
	if (next == IP6_NEXTH_ICMP6)
		return end - at >= ICMPV6_BYTES && discovery_is_sound(packet + at, end - at);
	return next == IP6_NEXTH_TCP;
}

static bool ipv4_is_welcome(const uint8_t *packet, size_t len)
{
	size_t header;

	if (options->ipv6_only || len < IPV4_BYTES || packet[0] >> 4 != 4)
		return false;
	header = (packet[0] & 15u) * 4u;
	if (header < IPV4_BYTES || header > len || (get16(packet + 6) & 0x3fff) != 0)
		return false;
	switch (packet[9]) {
	case IP_PROTO_TCP:
	case IP_PROTO_ICMP:
		return true;
	case IP_PROTO_UDP:
		return len >= header + 8 && get16(packet + header + 2) == 68; /* DHCP's answers */
	default:
		return false;
	}
}

static bool is_welcome(const uint8_t *frame, size_t len)
{
	if (len <= ETHERNET_BYTES || (frame[MAC_BYTES] & 1) != 0)
		return false;
	switch (get16(frame + 2 * MAC_BYTES)) {
	case ETHTYPE_IP:
		return ipv4_is_welcome(frame + ETHERNET_BYTES, len - ETHERNET_BYTES);
	case ETHTYPE_ARP:
		/* lwIP reads all of it, whether it is there or not. */
		return !options->ipv6_only && len >= ETHERNET_BYTES + ARP_BYTES;
	case ETHTYPE_IPV6:
		return ipv6_is_welcome(frame + ETHERNET_BYTES, len - ETHERNET_BYTES);
	default:
		return false;
	}
}

static struct pbuf *fit(size_t len)
{
	struct pbuf *p = len < SHORT_BYTES ? pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM) : NULL;

	if (p) {
		memcpy(p->payload, spare->payload, len);
		return p;
	}
	p = spare;
	spare = NULL;
	p->len = p->tot_len = (u16_t)len;
	return p;
}

/* The source stays readable while the frame may already be gone. */
static void handle(size_t len)
{
	uint8_t from[MAC_BYTES];
	struct pbuf *p;

	if (!is_welcome(spare->payload, len)) {
		bad++;
		return;
	}
	if (lose(options->loss_in))
		return;
	memcpy(from, (const uint8_t *)spare->payload + MAC_BYTES, MAC_BYTES);
	p = fit(len);
	sender = from;
	if (card->input(p, card) != ERR_OK)
		pbuf_free(p);
	ph__cookie_resume(card);
	sender = NULL;
}

bool ph__link_poll(void)
{
	unsigned n;

	for (n = 0; n < ROUND_FRAMES; n++) {
		size_t len;

		ph__memory_urgent(true);
		if (!spare)
			spare = pbuf_alloc(PBUF_RAW, (u16_t)frame_bytes, PBUF_RAM);
		ph__memory_urgent(false);
		if (!spare)
			break;
		len = ph__plat_net_receive(spare->payload, frame_bytes);
		if (len == 0)
			break;
		in++;
		if (n % 8 == 7)
			ph__net_tick(); /* round trips may be shorter than a round */
		handle(len);
	}
	return n > 0;
}

const uint8_t *ph__link_sender(void)
{
	return sender;
}

void ph__link_reset(void)
{
	sender = NULL;
}

void ph__link_counts(struct ph__net_counts *counts)
{
	const struct stats_proto *protocols[] = {
	        &lwip_stats.etharp, &lwip_stats.ip,  &lwip_stats.icmp,  &lwip_stats.udp,
	        &lwip_stats.tcp,    &lwip_stats.ip6, &lwip_stats.icmp6, &lwip_stats.nd6};

	counts->frames_in = in;
	counts->frames_out = out;
	counts->frames_bad = bad;
	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
		counts->frames_bad += (uint64_t)protocols[i]->chkerr + protocols[i]->lenerr +
		                      protocols[i]->proterr;
}

/* ---- the card ---- */

static err_t init_card(struct netif *netif)
{
	netif->name[0] = 'n';
	netif->name[1] = 't';
	netif->output = send_ipv4;
	netif->output_ip6 = send_ipv6;
	netif->linkoutput = send_frame;
	netif->hwaddr_len = MAC_BYTES;
	memcpy(netif->hwaddr, mac, MAC_BYTES);
	netif->mtu = (u16_t)(frame_bytes - ETHERNET_BYTES);
	netif->mtu6 = netif->mtu;
	netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
	               NETIF_FLAG_LINK_UP | NETIF_FLAG_MLD6;
	return ERR_OK;
}

enum ph_status ph__link_open(struct netif *netif, const struct ph__net_options *given)
{
	unsigned mtu = 0;
	enum ph_status status = ph__plat_net_open(mac, &mtu);

	if (status != PH_OK)
		return status;
	if (mtu < MTU_MIN)
		return PH_ERR_UNSUPPORTED;
	options = given;
	card = netif;
	frame_bytes = ETHERNET_BYTES + (mtu < MTU_MAX ? mtu : MTU_MAX);
	if (!netif_add_noaddr(netif, NULL, init_card, ethernet_input))
		return PH_ERR_NOMEM;
	netif_set_default(netif);
	return PH_OK;
}
