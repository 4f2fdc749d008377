/* SPDX-License-Identifier: MIT */
/*
 * lwIP as this machine needs it: one thread, one card, TCP in, and DHCP. The memory that it holds
 * comes from ph__net_malloc, which counts and bounds it; how many connections of which kind there
 * are is bounded in connection.c, so lwIP's pools have no sizes.
 */
#ifndef PACKHORSE_NET_LWIPOPTS_H
#define PACKHORSE_NET_LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_RAW 0
#define LWIP_SINGLE_NETIF 1
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1
#define LWIP_NETIF_LOOPBACK 0
#define LWIP_HAVE_LOOPIF 0
#define LWIP_HOOK_FILENAME "hooks.h"

/* Memory. */
#define MEM_ALIGNMENT 8
#define MEMP_MEM_MALLOC 1
#if defined(__has_include) && __has_include("lwip/acd.h") /* 2.2 has another name for it */
#define MEM_CUSTOM_ALLOCATOR 1
#define MEM_CUSTOM_MALLOC ph__net_malloc
#define MEM_CUSTOM_CALLOC ph__net_calloc
#define MEM_CUSTOM_FREE ph__net_free
#else
#define MEM_LIBC_MALLOC 1
#define mem_clib_malloc ph__net_malloc
#define mem_clib_calloc ph__net_calloc
#define mem_clib_free ph__net_free
#endif

/*
 * Every sent TCP packet remembers where it goes (hooks.h, link.c), when it left and what became of
 * it (recovery.c).
 */
#define LWIP_PBUF_CUSTOM_DATA                                                                      \
	unsigned char way[6];                                                                      \
	unsigned char way_known, mark;                                                             \
	uint64_t sent_ns;

/* IPv4. Fragments are dropped: TCP avoids them, and collecting them is a stranger's way to our
 * memory. */
#define LWIP_IPV4 1
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define IP_FORWARD 0
#define LWIP_ICMP 1
#define LWIP_IGMP 0
#define ARP_TABLE_SIZE 64
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 2
#define LWIP_UDP 1
#define LWIP_DHCP 1
#define LWIP_NETIF_HOSTNAME 1
/* The check for a duplicate delays the lease by a second; the server has checked. (2.2, 2.1) */
#define LWIP_DHCP_DOES_ACD_CHECK 0
#define DHCP_DOES_ARP_CHECK 0
/* lwIP's resolver is not compiled: address.c takes the servers that DHCP names. */
#define LWIP_DNS 1
#define LWIP_DHCP_MAX_DNS_SERVERS DNS_MAX_SERVERS

/* IPv6. */
#define LWIP_IPV6 1
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_FORWARD 0
#define LWIP_IPV6_MLD 1
#define LWIP_IPV6_AUTOCONFIG 1
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 1
#define LWIP_IPV6_NUM_ADDRESSES 4
#define LWIP_ND6_NUM_NEIGHBORS 32
#define LWIP_ND6_NUM_DESTINATIONS 32
#define LWIP_ND6_QUEUEING 1
#define MEMP_NUM_ND6_QUEUE 16
#define LWIP_ND6_TCP_REACHABILITY_HINTS 0

/*
 * TCP. The window here is that of a stranger, enough to log in with; connection.c opens it wide for
 * those it trusts, and keeps it within the memory there is. The same for what is sent: TCP_SND_BUF
 * is only an upper bound.
 *
 * The timer's beat divides all retransmission times. A beat of 50 ms costs nothing while nobody is
 * connected (lwIP stops it), and gives the times of other systems: 200 ms at least, against
 * lwIP's own 500 ms. What a lost packet costs is decided in recovery.c; its numbers are there.
 */
#define LWIP_TCP 1
#define TCP_MSS 8960 /* of jumbo frames; the card's MTU decides */
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define TCP_WND 16384
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 4
#define TCP_SND_BUF (1024 * 1024)
#define TCP_SND_QUEUELEN 1024
#define TCP_OVERSIZE 0
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_BYTES_LIMIT(pcb) ph__connection_ooseq_bytes(pcb)
#define TCP_OOSEQ_PBUFS_LIMIT(pcb) ph__connection_ooseq_pieces(pcb)
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
#define LWIP_TCP_TIMESTAMPS 0
#define TCP_LISTEN_BACKLOG 0 /* connection.c counts */
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1
#define LWIP_TCP_KEEPALIVE 1
#define TCP_KEEPIDLE_DEFAULT 60000UL
#define TCP_KEEPINTVL_DEFAULT 10000UL
#define TCP_KEEPCNT_DEFAULT 6U
#define TCP_TMR_INTERVAL 50
#define LWIP_TCP_RTO_TIME 500
#define TCP_MAXRTX 11
#define TCP_MSL 5000UL
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1 /* they know pools and one constant window only */

#define LWIP_HOOK_TCP_ISN(local, local_port, remote, remote_port) ph__net_isn()
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, hdr, optlen, opt1len, opt2, p)                             \
	ph__connection_packet_in(pcb, hdr, opt1len, p)
#define LWIP_HOOK_TCP_OUT_ADD_TCPOPTS(p, hdr, pcb, opts)                                           \
	ph__connection_packet_out(p, hdr, pcb, opts)

#define LWIP_STATS 1
#define LWIP_STATS_LARGE 1
#define LWIP_STATS_DISPLAY 0
#define MEM_STATS 0
#define MEMP_STATS 0

#endif
