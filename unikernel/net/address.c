/* SPDX-License-Identifier: MIT */
/*
 * Our own addresses: given, leased or advertised. A given address is used at once; only those we
 * make up ourselves (link-local, and from router advertisements) are first asked for on the link,
 * which takes a second. A gateway is told to lwIP where that has a place for it, but nothing here
 * depends on it: answers go back the way the question came (link.c).
 */
#include "net_int.h"

#include <lwip/dhcp.h>
#include <lwip/dns.h>
#include <lwip/ip.h>

#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 64u
#define DNS_SERVERS 2u

static struct netif *card;
static netif_ext_callback_t watch;
static unsigned generation;
static char name[NAME_BYTES];
static ip_addr_t dns_servers[DNS_SERVERS];
static ip4_addr_t leased;

/* ---- what DHCP tells of name servers, in place of lwIP's resolver ---- */

void dns_init(void)
{
}

void dns_tmr(void)
{
}

void dns_setserver(u8_t index, const ip_addr_t *server)
{
	if (index < DNS_SERVERS)
		dns_servers[index] = server ? *server : *IP_ANY_TYPE;
}

/* ---- changes ---- */

static void log_lease(void)
{
	char address[PH__ADDRESS_BYTES], gateway[PH__ADDRESS_BYTES], dns[PH__ADDRESS_BYTES];
	const ip4_addr_t *now = netif_ip4_addr(card);
	uint32_t mask = lwip_ntohl(ip4_addr_get_u32(netif_ip4_netmask(card)));
	unsigned prefix = 0;

	if (ip4_addr_cmp(now, &leased))
		return;
	ip4_addr_copy(leased, *now);
	if (ip4_addr_isany(now)) {
		ph_log_line(ph__net_log(), PH_LOG_WARN, "dhcp", 0, "the lease has ended");
		return;
	}
	for (; mask & UINT32_C(0x80000000); mask <<= 1)
		prefix++;
	ph_log_line(ph__net_log(), PH_LOG_INFO, "dhcp", 0, "leased %s/%u, gateway %s, DNS %s",
	            ph__address_text(netif_ip_addr4(card), address), prefix,
	            ph__address_text(netif_ip_gw4(card), gateway),
	            ip_addr_isany(&dns_servers[0]) ? "none"
	                                           : ph__address_text(&dns_servers[0], dns));
}

static void on_change(struct netif *netif, netif_nsc_reason_t reason,
                      const netif_ext_callback_args_t *args)
{
	(void)args;
	if (reason & LWIP_NSC_IPV4_SETTINGS_CHANGED) {
		generation++;
		if (netif_dhcp_data(netif))
			log_lease();
	}
	if (reason & (LWIP_NSC_IPV6_SET | LWIP_NSC_IPV6_ADDR_STATE_CHANGED))
		generation++;
}

unsigned ph__net_generation(void)
{
	return generation;
}

const char *ph__address_text(const ip_addr_t *address, char text[PH__ADDRESS_BYTES])
{
	ipaddr_ntoa_r(address, text, PH__ADDRESS_BYTES);
	for (char *at = text; *at; at++)
		if (*at >= 'A' && *at <= 'F')
			*at = (char)(*at - 'A' + 'a'); /* RFC 5952 */
	return text;
}

/* lwIP's order has link-local first; who reads it wants what works from everywhere first. */
const char *ph__net_address(unsigned index, char text[PH__ADDRESS_BYTES])
{
	if (!card)
		return NULL;
	if (!ip4_addr_isany(netif_ip4_addr(card)) && index-- == 0)
		return ph__address_text(netif_ip_addr4(card), text);
	for (unsigned step = 1; step <= LWIP_IPV6_NUM_ADDRESSES; step++) {
		s8_t i = (s8_t)(step % LWIP_IPV6_NUM_ADDRESSES);

		if (ip6_addr_isvalid(netif_ip6_addr_state(card, i)) && index-- == 0)
			return ph__address_text(netif_ip_addr6(card, i), text);
	}
	return NULL;
}

/* ---- options ---- */

/* Cuts "ADDRESS/BITS" apart; with max 0 there must be no slash. */
static bool split(const char *text, const char *allowed, unsigned max,
                  char address[PH__ADDRESS_BYTES], unsigned *bits)
{
	size_t len = strspn(text, allowed);
	const char *at = text + len;
	unsigned value = 0;

	if (len == 0 || len >= PH__ADDRESS_BYTES)
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (max == 0)
		return *at == '\0';
	if (*at++ != '/' || *at == '\0' || strlen(at) > 3)
		return false;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (unsigned)(*at - '0');
	*bits = value;
	return *at == '\0' && value > 0 && value <= max;
}

/* Four numbers: lwIP would take fewer. */
static bool parse_ipv4(const char *text, unsigned max, ip4_addr_t *address, unsigned *bits)
{
	char copy[PH__ADDRESS_BYTES];
	unsigned dots = 0;

	if (!split(text, "0123456789.", max, copy, bits))
		return false;
	for (const char *at = copy; *at; at++)
		dots += *at == '.';
	return dots == 3 && ip4addr_aton(copy, address) && !ip4_addr_isany(address) &&
	       !ip4_addr_ismulticast(address);
}

static bool parse_ipv6(const char *text, unsigned max, ip6_addr_t *address, unsigned *bits)
{
	char copy[PH__ADDRESS_BYTES];

	return split(text, "0123456789abcdefABCDEF:.", max, copy, bits) &&
	       ip6addr_aton(copy, address) && !ip6_addr_isany(address) &&
	       !ip6_addr_ismulticast(address);
}

/* A name as DHCP servers like it: letters, digits and hyphens. */
static void set_name(const char *text)
{
	size_t len = 0;

	for (; text && *text && len + 1 < sizeof name; text++) {
		bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
		              (*text >= '0' && *text <= '9');

		if (letter || (*text == '-' && len > 0))
			name[len++] = *text;
	}
	name[len] = '\0';
	if (len > 0)
		netif_set_hostname(card, name);
}

struct given {
	ip4_addr_t ipv4, mask, ipv4_gateway;
	ip6_addr_t ipv6, ipv6_gateway;
};

static bool read_options(const struct ph__net_options *options, struct given *given,
                         const char **what)
{
	unsigned bits = 0;

	*what = "ipv4";
	if (options->ipv4 && !parse_ipv4(options->ipv4, 32, &given->ipv4, &bits))
		return false;
	if (options->ipv4)
		ip4_addr_set_u32(&given->mask, lwip_htonl(UINT32_MAX << (32 - bits)));
	*what = "ipv4-gateway";
	if (options->ipv4_gateway &&
	    !parse_ipv4(options->ipv4_gateway, 0, &given->ipv4_gateway, &bits))
		return false;
	*what = "ipv6";
	if (options->ipv6 && !parse_ipv6(options->ipv6, 128, &given->ipv6, &bits))
		return false;
	*what = "ipv6-gateway";
	return !options->ipv6_gateway ||
	       parse_ipv6(options->ipv6_gateway, 0, &given->ipv6_gateway, &bits);
}

static enum ph_status setup_ipv4(const struct ph__net_options *options, const struct given *given)
{
	if (options->ipv4) {
		netif_set_addr(card, &given->ipv4, &given->mask, &given->ipv4_gateway);
		return PH_OK;
	}
	ph_log_line(ph__net_log(), PH_LOG_INFO, "dhcp", 0, "asking for an address");
	return dhcp_start(card) == ERR_OK ? PH_OK : PH_ERR_NOMEM;
}

static void setup_ipv6(const struct ph__net_options *options, const struct given *given)
{
	netif_create_ip6_linklocal_address(card, 1);
	if (options->ipv6) {
		ip6_addr_t address = given->ipv6;

		ip6_addr_assign_zone(&address, IP6_UNICAST, card);
		netif_ip6_addr_set(card, 1, &address);
		netif_ip6_addr_set_state(card, 1, IP6_ADDR_PREFERRED);
	}
	netif_set_ip6_autoconfig_enabled(
	        card, (u8_t)(!options->ipv6 && options->accept_router_advertisements));
}

enum ph_status ph__address_setup(struct netif *netif, const struct ph__net_options *options,
                                 const char **what)
{
	struct given given = {0};

	if (!read_options(options, &given, what))
		return PH_ERR_INVALID;
	*what = NULL;
	card = netif;
	netif_add_ext_callback(&watch, on_change);
	set_name(options->name);
	netif_set_up(card);
	if (!options->ipv4_only)
		setup_ipv6(options, &given);
	return options->ipv6_only ? PH_OK : setup_ipv4(options, &given);
}
