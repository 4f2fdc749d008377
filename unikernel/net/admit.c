/* SPDX-License-Identifier: MIT */
/*
 * Who becomes a connection, and who has to go for it. lwIP has no bounds of its own here:
 *
 *  - Half-open ones, HALF_OPEN_MAX: beyond, cookie.c answers and keeps nothing.
 *  - Established ones, connections_max: beyond, one that is not trusted gives way: of the peer that
 *    has the most of those, the oldest. So who floods us with connections pushes out his own, and
 *    an honest client has its time to log in.
 *  - Closed ones that still drain, and those in TIME-WAIT: the oldest is forgotten.
 *
 * lwIP tells when one of its connections is gone, for whatever reason, through the callbacks of
 * their first extra argument.
 */
#include "net_int.h"

#include <lwip/ip.h>
#include <lwip/priv/tcp_priv.h>

#include <stdlib.h>
#include <string.h>

#define HALF_OPEN_MAX 256u
#define DRAINING_MAX 64u
#define TIME_WAIT_MAX 128u
/* A peer that wants its bytes in smaller pieces wants something else. */
#define MSS_MIN 88u

static struct ph__connections all;
static unsigned connections_max, half_open;
static struct tcp_pcb *listener;
static uint8_t half_open_mark; /* stands for a connection that is none yet */

static err_t on_half_open(u8_t id, struct tcp_pcb_listen *from, struct tcp_pcb *pcb);
static void on_destroyed(u8_t id, void *data);

static const struct tcp_ext_arg_callbacks watch = {on_destroyed, on_half_open};

struct ph__connections *ph__admit_all(void)
{
	return &all;
}

struct ph__connection *ph__admit_find(const struct tcp_pcb *pcb)
{
	void *data = pcb && pcb->state != LISTEN ? tcp_ext_arg_get(pcb, 0) : NULL;

	return data == &half_open_mark ? NULL : data;
}

bool ph__admit_is_full(void)
{
	return half_open >= HALF_OPEN_MAX;
}

static void on_destroyed(u8_t id, void *data)
{
	(void)id;
	if (data == &half_open_mark)
		half_open--;
	else if (data)
		ph__connection_over(data);
}

/* To make room for one that brought a cookie. */
static void forget_half_open(void)
{
	unsigned n = ph__net_random() % half_open;

	for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
		if (tcp_ext_arg_get(pcb, 0) == &half_open_mark && n-- == 0) {
			all.dropped++;
			tcp_abandon(pcb, 0);
			return;
		}
}

static err_t on_half_open(u8_t id, struct tcp_pcb_listen *from, struct tcp_pcb *pcb)
{
	(void)from;
	if (ph__admit_is_full())
		forget_half_open();
	tcp_ext_arg_set(pcb, id, &half_open_mark);
	tcp_ext_arg_set_callbacks(pcb, id, &watch);
	half_open++;
	return ERR_OK;
}

/* Whether two come from the same place: an IPv4 address, or an IPv6 network of 64 bits. */
static bool same_place(const ip_addr_t *a, const ip_addr_t *b)
{
	if (IP_IS_V6(a) != IP_IS_V6(b))
		return false;
	if (!IP_IS_V6(a))
		return ip4_addr_cmp(ip_2_ip4(a), ip_2_ip4(b));
	return memcmp(ip_2_ip6(a)->addr, ip_2_ip6(b)->addr, 8) == 0;
}

static bool is_stranger(const struct ph__connection *c)
{
	return (c->state == PH__WAITING || c->state == PH__OPEN) && c->pcb && !c->trusted;
}

/* The rule at the top. NULL when all are trusted. */
static struct ph__connection *who_gives_way(void)
{
	struct ph__connection *choice = NULL;
	unsigned most = 0;

	for (unsigned i = 0; i < all.size; i++) {
		unsigned count = 0;

		if (!is_stranger(&all.table[i]))
			continue;
		for (unsigned j = 0; j < all.size; j++)
			count += is_stranger(&all.table[j]) &&
			         same_place(&all.table[i].pcb->remote_ip,
			                    &all.table[j].pcb->remote_ip);
		if (count > most || (count == most && all.table[i].order < choice->order)) {
			most = count;
			choice = &all.table[i];
		}
	}
	return choice;
}

static struct ph__connection *take_slot(void)
{
	if (all.open >= connections_max) {
		struct ph__connection *victim = who_gives_way();

		if (!victim)
			return NULL;
		all.dropped++;
		tcp_abort(victim->pcb);
	}
	if (all.draining >= DRAINING_MAX)
		tcp_abort(ph__connection_oldest(PH__DRAINING)->pcb);
	for (unsigned i = 0; i < all.size; i++)
		if (all.table[i].state == PH__FREE)
			return &all.table[i];
	return NULL; /* many are over, and not yet closed */
}

static void trim_time_wait(void)
{
	unsigned count = 0;

	for (struct tcp_pcb *pcb = tcp_tw_pcbs; pcb; pcb = pcb->next)
		if (++count > TIME_WAIT_MAX) { /* the list has the newest first */
			tcp_abort(pcb);
			return;
		}
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct ph__connection *c;

	(void)arg;
	if (err != ERR_OK || !pcb)
		return ERR_VAL;
	trim_time_wait();
	c = pcb->mss >= MSS_MIN ? take_slot() : NULL;
	if (!c) {
		all.dropped++;
		return ERR_VAL;
	}
	half_open--;
	tcp_ext_arg_set(pcb, 0, c);
	ph__connection_begin(c, pcb);
	return ERR_OK;
}

enum ph_status ph__admit_listen(const struct ph__net_options *options)
{
	struct tcp_pcb *pcb;
	u8_t type = options->ipv4_only   ? IPADDR_TYPE_V4
	            : options->ipv6_only ? IPADDR_TYPE_V6
	                                 : IPADDR_TYPE_ANY;

	connections_max = options->connections_max ? options->connections_max : 1;
	all.size = 2 * connections_max + DRAINING_MAX;
	all.table = calloc(all.size, sizeof *all.table);
	if (!all.table)
		return PH_ERR_NOMEM;
	tcp_ext_arg_alloc_id(); /* the first is 0 */
	pcb = tcp_new_ip_type(type);
	if (!pcb || tcp_bind(pcb, type == IPADDR_TYPE_V4 ? IP4_ADDR_ANY : IP_ANY_TYPE,
	                     options->port) != ERR_OK)
		return PH_ERR_NOMEM;
	listener = tcp_listen(pcb);
	if (!listener)
		return PH_ERR_NOMEM;
	tcp_accept(listener, on_accept);
	tcp_ext_arg_set_callbacks(listener, 0, &watch);
	return PH_OK;
}

void ph__net_stop_listening(void)
{
	if (!listener)
		return;
	tcp_close(listener);
	listener = NULL;
	for (unsigned i = 0; i < all.size; i++)
		if (all.table[i].state == PH__WAITING)
			tcp_abort(all.table[i].pcb);
	ph__plat_net_flush();
}
