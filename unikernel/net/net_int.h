/* SPDX-License-Identifier: MIT */
/*
 * What the files of net/ know of each other: net.c drives, link.c moves frames, address.c has our
 * addresses, admit.c and cookie.c decide who becomes a connection, connection.c has them as
 * sockets, recovery.c knows what to do about lost segments, memory.c bounds the memory below lwIP,
 * secret.c has numbers that nobody guesses.
 */
#ifndef PACKHORSE_NET_INT_H
#define PACKHORSE_NET_INT_H

#include "net.h"

#include <lwip/netif.h>
#include <lwip/prot/tcp.h>
#include <lwip/tcp.h>

#define PH__SECOND_NS UINT64_C(1000000000)
#define PH__MILLISECOND_NS UINT64_C(1000000)

/* net.c: the time, as it was when this round or the last ph__net_send began; and the log. */
uint64_t ph__net_now(void);
void ph__net_tick(void);
const struct ph_log *ph__net_log(void);

/* link.c */
enum ph_status ph__link_open(struct netif *card, const struct ph__net_options *options);
/* Takes the frames that are there, a bounded number of them; true when there was one. */
bool ph__link_poll(void);
/* The sender of the frame that is being handled; NULL between frames. */
const uint8_t *ph__link_sender(void);
void ph__link_counts(struct ph__net_counts *out);
/* Errors inside lwIP are over: see ph__net_assert. */
void ph__link_reset(void);

/* address.c */
enum ph_status ph__address_setup(struct netif *card, const struct ph__net_options *options,
                                 const char **what);

/* Without a zone, which means nothing to others. */
const char *ph__address_text(const ip_addr_t *address, char text[PH__ADDRESS_BYTES]);

/* secret.c */
enum ph_status ph__secret_open(void);
uint32_t ph__secret_hash(const void *data, size_t len);

/* cookie.c: on a SYN, and on an acknowledgement that no connection knows, while lwIP handles it,
 * header in host order; false: not ours. Then, when lwIP is done with the frame, resume. */
bool ph__cookie_give(const struct tcp_hdr *syn);
bool ph__cookie_take(const struct tcp_hdr *header);
void ph__cookie_resume(struct netif *card);

/* memory.c: bytes held, and the bound that ordinary use keeps to. */
void ph__memory_limit(size_t bytes);
/* While it is so, the bound does not hold. */
void ph__memory_urgent(bool yes);
size_t ph__memory_held(void);
size_t ph__memory_free(void);

/* recovery.c: one connection's view of its own losses; zeroed before use. */
struct ph__recovery {
	uint64_t timer_ns;        /* when to look again; 0: never */
	uint64_t sent_ns;         /* when something was last sent */
	uint64_t newest_ns;       /* when the newest segment left that arrived */
	uint64_t rtt_ns;          /* the latest round trip */
	uint64_t srtt_ns, var_ns; /* smoothed */
	uint64_t least_rtt_ns;    /* ever seen */
	uint32_t point;           /* recovery is over once this is acknowledged */
	uint32_t round_end;       /* a round trip is over once this is acknowledged */
	uint32_t delivered;       /* bytes that arrived */
	uint32_t round_start;     /* of them when this round trip began */
	uint32_t round_bytes;     /* in the last round trip */
	uint32_t round_lost;      /* bytes found lost in this one */
	uint32_t target;          /* what may be under way while losses are repaired */
	uint32_t window;          /* the congestion window to set after lwIP had its say; 0: none */
	uint32_t again;           /* segments sent again */
	uint8_t probes;           /* since the last answer */
	bool recovering, reduced;
};

/* lwIP is about to handle an acknowledgement. header is in host order. */
void ph__recovery_acknowledged(struct ph__recovery *recovery, struct tcp_pcb *pcb,
                               const struct tcp_hdr *header, size_t options_len);
/* lwIP has handled one that acknowledged new data. */
void ph__recovery_settle(struct ph__recovery *recovery, struct tcp_pcb *pcb);
/* A segment leaves; first tells whether for the first time. */
void ph__recovery_sent(struct ph__recovery *recovery, struct pbuf *p, bool data, bool first);
/* timer_ns has come. Sends what is due. */
void ph__recovery_timer(struct ph__recovery *recovery, struct tcp_pcb *pcb);

/* connection.c: one connection, in the table of all. */
enum ph__connection_state {
	PH__FREE,
	PH__WAITING, /* for ph__net_accept */
	PH__OPEN,
	PH__DRAINING, /* closed by us; what was sent is still under way */
};

struct ph__connection {
	enum ph__connection_state state;
	struct tcp_pcb *pcb;       /* NULL: the connection is over */
	struct pbuf *first, *last; /* received and not yet read; their tot_len means nothing */
	size_t queued;             /* bytes in them */
	size_t gather_room;        /* bytes that still fit the last one */
	uint64_t order;            /* rises with every connection */
	uint64_t forget_ns;        /* PH__DRAINING: when */
	struct ph__recovery recovery;
	uint8_t way[6]; /* the sender of its latest frame */
	bool trusted, ended, reset;
};

struct ph__connections {
	struct ph__connection *table;
	unsigned size;
	unsigned open, draining; /* open: PH__WAITING or PH__OPEN, with a pcb */
	uint64_t accepted, dropped, again;
};

/* The free slot c becomes the connection of pcb; data of its first extra argument. */
void ph__connection_begin(struct ph__connection *c, struct tcp_pcb *pcb);
/* Its pcb is no more. */
void ph__connection_over(struct ph__connection *c);
struct ph__connection *ph__connection_oldest(enum ph__connection_state state);
/* When ph__connection_timers must be called; UINT64_MAX: no need. */
uint64_t ph__connection_deadline_ns(void);
void ph__connection_timers(void);

/* admit.c */
enum ph_status ph__admit_listen(const struct ph__net_options *options);
struct ph__connections *ph__admit_all(void);
/* The connection of pcb; NULL: it is half-open, a listener, or none. */
struct ph__connection *ph__admit_find(const struct tcp_pcb *pcb);
bool ph__admit_is_full(void); /* of half-open ones */

#endif
