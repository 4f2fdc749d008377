/* SPDX-License-Identifier: MIT */
/*
 * TCP/IP over the platform's network card. The only folder that sees lwIP, and it shows none of it:
 * connections are small numbers, as descriptors are, so that libssh's socket calls reach them
 * through sys/.
 */
#ifndef PACKHORSE_NET_H
#define PACKHORSE_NET_H

#include "../platform.h"

#include <sys/types.h>

#define PH__ADDRESS_BYTES 64u
#define PH__ADDRESSES_MAX 8u
/* The first descriptor of a connection; what is below is not ours. */
#define PH__NET_FD_FIRST 16

struct ph__net_options {
	/* Text as "10.0.0.2/24" and "10.0.0.1"; NULL: DHCP, where the IP version is in use at all.
	 */
	const char *ipv4, *ipv4_gateway;
	/* Text as "fd00::2/64" and "fd00::1"; NULL: link-local, and router advertisements. */
	const char *ipv6, *ipv6_gateway;
	bool ipv4_only, ipv6_only;
	bool accept_router_advertisements;
	const char *name; /* told to the DHCP server; may be NULL */
	uint16_t port;
	unsigned connections_max; /* beyond, the oldest one that is not trusted gives way */
	/* Of these bytes at most are held for all connections together, in both directions. */
	size_t buffer_bytes_max;
	/* 0, or a packet in so many is lost in each direction: a measurement aid, never a default.
	 */
	unsigned loss_in, loss_out;
};

/*
 * Brings the card up and listens. PH_ERR_NOT_FOUND: no card. PH_ERR_INVALID: an address cannot be
 * read; *what names the option, and is NULL otherwise. PH_ERR_UNSUPPORTED: no entropy, or a card
 * whose frames are too short for IPv6 (1280 bytes). Call it once. log and given text must live on.
 */
enum ph_status ph__net_start(const struct ph__net_options *options, const struct ph_log *log,
                             const char **what);
/* Moves frames both ways and runs TCP's timers; true when something came. */
bool ph__net_poll(void);
/* When ph__net_poll must be called though no frame comes; monotonic nanoseconds. */
uint64_t ph__net_deadline_ns(void);
/* No new connections from here on; those that wait unaccepted are reset. */
void ph__net_stop_listening(void);

/* The next established connection, and its peer's numeric address; -1 when there is none. */
int ph__net_accept(char peer[PH__ADDRESS_BYTES]);
/* What poll(2) would say now: POLLIN, POLLOUT, POLLHUP, POLLERR; POLLNVAL when it is no connection.
 * POLLOUT only when a good piece fits. */
int ph__net_ready(int fd);
/* As send(2), recv(2), close(2), non-blocking; the negative errno on failure. After ph__net_ready
 * said POLLOUT, send takes at least one byte. close lets sent bytes drain, and forgets a peer that
 * does not take them in time. */
ssize_t ph__net_send(int fd, const void *data, size_t len);
ssize_t ph__net_receive(int fd, void *buf, size_t len, bool peek);
int ph__net_close(int fd);
/* Somebody was let in: it gets full windows, and does not give way. */
void ph__net_trust(int fd);

/* The index-th address that peers can reach us at now, without prefix length; NULL beyond the last.
 */
const char *ph__net_address(unsigned index, char text[PH__ADDRESS_BYTES]);
/* Rises whenever ph__net_address's answers changed: time to say so. */
unsigned ph__net_generation(void);

struct ph__net_counts {
	unsigned open, waiting; /* connections; those not accepted yet */
	size_t buffer_bytes;    /* held now */
	uint64_t frames_in, frames_out, frames_bad, accepted, dropped, retransmitted;
};
void ph__net_counts(struct ph__net_counts *out);

#endif
