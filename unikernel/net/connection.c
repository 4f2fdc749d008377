/* SPDX-License-Identifier: MIT */
/*
 * Connections as sockets are: what was received waits here, what is sent waits in lwIP. Strangers
 * have a few kilobytes in either direction. Those who are trusted share what memory is free, each a
 * part of it, so that there is always a rest for the next; and when there is none, every one still
 * gets on by a piece at a time.
 */
#include "net_int.h"

#include "hooks.h"

#include <lwip/ip.h>
#include <lwip/priv/tcp_priv.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* A peer that takes nothing of what is left after close for this long is forgotten. */
#define DRAIN_NS (10 * PH__SECOND_NS)
#define DRAIN_FIN_NS (2 * PH__SECOND_NS)
/* However little memory there is; lwIP announces no less at a time. */
#define LEAST_WINDOW (TCP_WND / 2u)
/* POLLOUT means that this much fits. */
#define PIECE_BYTES 4096u
#define STRANGER_SEND_BYTES 16384u
#define STRANGER_SEGMENTS 32u
#define TRUSTED_MIN_BYTES 32768u
#define TRUSTED_MAX_BYTES 524288u
#define STRANGER_OOSEQ_BYTES 8192u
#define STRANGER_OOSEQ_PIECES 8u
#define TRUSTED_OOSEQ_PIECES 512u
/* Received pieces below this are gathered in blocks of GATHER_BYTES. */
#define GATHER_BELOW_BYTES 256u
#define GATHER_BYTES 1024u
#define INITIAL_SEGMENTS 10u /* RFC 6928 */

static uint64_t deadline_ns = UINT64_MAX;

static struct ph__connection *find(int fd)
{
	struct ph__connections *all = ph__admit_all();
	unsigned i = (unsigned)(fd - PH__NET_FD_FIRST);

	if (fd < PH__NET_FD_FIRST || i >= all->size || all->table[i].state != PH__OPEN)
		return NULL;
	return &all->table[i];
}

static void wake_at(uint64_t when)
{
	if (when && when < deadline_ns)
		deadline_ns = when;
}

/* ---- received bytes ---- */

static void forget_received(struct ph__connection *c)
{
	while (c->first) {
		struct pbuf *next = c->first->next;

		c->first->next = NULL;
		pbuf_free(c->first);
		c->first = next;
	}
	c->last = NULL;
	c->queued = c->gather_room = 0;
}

static size_t receive_window(const struct ph__connection *c)
{
	size_t share = ph__memory_free() / 4;

	if (!c->trusted)
		return TCP_WND;
	if (share > TRUSTED_MAX_BYTES)
		share = TRUSTED_MAX_BYTES;
	if (!(c->pcb->flags & TF_WND_SCALE) && share > 0xffff)
		share = 0xffff;
	return share > LEAST_WINDOW ? share : LEAST_WINDOW;
}

/*
 * Opens the window as far as it should be. In place of tcp_recved, which knows one constant size;
 * a window that was announced is never taken back.
 */
static void open_window(struct ph__connection *c)
{
	size_t window = receive_window(c), wish;

	if (!c->pcb || c->pcb->state < ESTABLISHED || c->pcb->state == TIME_WAIT)
		return;
	wish = window > c->queued ? window - c->queued : 0;
	if (wish <= c->pcb->rcv_wnd)
		return;
	c->pcb->rcv_wnd = (tcpwnd_size_t)wish;
	if (tcp_update_rcv_ann_wnd(c->pcb) >= window / 4) {
		tcp_ack_now(c->pcb);
		tcp_output(c->pcb);
	}
}

static void append(struct ph__connection *c, struct pbuf *p)
{
	if (c->last)
		c->last->next = p;
	else
		c->first = p;
	while (p->next)
		p = p->next;
	c->last = p;
}

/* Small pieces share a block, or their headers would take more memory than any window shows. */
static err_t gather(struct ph__connection *c, const struct pbuf *p)
{
	u16_t len = p->tot_len;

	if (c->gather_room < len) {
		struct pbuf *block = pbuf_alloc(PBUF_RAW, GATHER_BYTES, PBUF_RAM);

		if (!block)
			return ERR_MEM;
		block->len = 0;
		append(c, block);
		c->gather_room = GATHER_BYTES;
	}
	pbuf_copy_partial(p, (uint8_t *)c->last->payload + c->last->len, len, 0);
	c->last->len = (u16_t)(c->last->len + len);
	c->gather_room -= len;
	c->queued += len;
	return ERR_OK;
}

static err_t on_receive(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct ph__connection *c = arg;

	(void)err;
	(void)pcb;
	if (!p) {
		c->ended = true;
		return ERR_OK;
	}
	if (c->state == PH__DRAINING) {
		pbuf_free(p);
		open_window(c);
		return ERR_OK;
	}
	if (p->tot_len < GATHER_BELOW_BYTES) {
		if (gather(c, p) != ERR_OK)
			return ERR_MEM; /* lwIP keeps it, and comes again */
		pbuf_free(p);
		return ERR_OK;
	}
	c->queued += p->tot_len;
	c->gather_room = 0;
	append(c, p);
	return ERR_OK;
}

/* ---- coming and going ---- */

static void release(struct ph__connection *c)
{
	forget_received(c);
	memset(c, 0, sizeof *c);
}

void ph__connection_over(struct ph__connection *c)
{
	struct ph__connections *all = ph__admit_all();

	all->again += c->recovery.again;
	c->recovery.again = 0;
	c->pcb = NULL;
	if (c->state == PH__DRAINING) {
		all->draining--;
		release(c);
		return;
	}
	all->open--;
	if (!c->ended)
		c->reset = true;
	c->ended = true;
	if (c->state == PH__WAITING)
		release(c);
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct ph__connection *c = arg;

	(void)len;
	ph__recovery_settle(&c->recovery, pcb);
	/* lwIP asserts that who waits for a window has something to send, but a probe of a closed
	 * window may have been the whole of it. */
	if (!pcb->unsent)
		pcb->persist_backoff = 0;
	wake_at(c->recovery.timer_ns);
	if (c->state == PH__DRAINING)
		c->forget_ns = ph__net_now() + DRAIN_NS;
	return ERR_OK;
}

void ph__connection_begin(struct ph__connection *c, struct tcp_pcb *pcb)
{
	struct ph__connections *all = ph__admit_all();

	all->open++;
	c->state = PH__WAITING;
	c->pcb = pcb;
	c->order = ++all->accepted;
	if (ph__link_sender())
		memcpy(c->way, ph__link_sender(), sizeof c->way);
	tcp_arg(pcb, c);
	tcp_recv(pcb, on_receive);
	tcp_sent(pcb, on_sent);
	tcp_nagle_disable(pcb);
	pcb->so_options |= SOF_KEEPALIVE;
}

/* ---- as sockets ---- */

struct ph__connection *ph__connection_oldest(enum ph__connection_state state)
{
	struct ph__connections *all = ph__admit_all();
	struct ph__connection *oldest = NULL;

	for (unsigned i = 0; i < all->size; i++) {
		struct ph__connection *c = &all->table[i];

		if (c->state == state && (!oldest || c->order < oldest->order))
			oldest = c;
	}
	return oldest;
}

int ph__net_accept(char peer[PH__ADDRESS_BYTES])
{
	struct ph__connection *oldest = ph__connection_oldest(PH__WAITING);

	if (!oldest)
		return -1;
	oldest->state = PH__OPEN;
	ph__address_text(&oldest->pcb->remote_ip, peer);
	return PH__NET_FD_FIRST + (int)(oldest - ph__admit_all()->table);
}

static bool may_send(const struct ph__connection *c)
{
	return c->pcb && (c->pcb->state == ESTABLISHED || c->pcb->state == CLOSE_WAIT);
}

/*
 * What fits into the send buffer: twice what the network takes at once, so that there is always
 * something to send, and a share of the memory that is free.
 */
static size_t send_room(const struct ph__connection *c)
{
	size_t held = TCP_SND_BUF - c->pcb->snd_buf, limit = STRANGER_SEND_BYTES;

	if (c->trusted) {
		size_t share = held + ph__memory_free() / 4;

		limit = TRUSTED_MIN_BYTES + 2 * (size_t)c->pcb->cwnd;
		if (limit > share)
			limit = share;
		if (limit > TRUSTED_MAX_BYTES)
			limit = TRUSTED_MAX_BYTES;
	}
	if (limit < PIECE_BYTES || ph__memory_free() < PIECE_BYTES)
		limit = PIECE_BYTES; /* one piece at a time always works */
	if (c->pcb->snd_queuelen > (c->trusted ? TCP_SND_QUEUELEN / 2 : STRANGER_SEGMENTS))
		return 0;
	return limit > held ? limit - held : 0;
}

int ph__net_ready(int fd)
{
	const struct ph__connection *c = find(fd);
	int events = 0;

	if (!c)
		return POLLNVAL;
	if (c->queued > 0 || c->ended)
		events |= POLLIN;
	if (!c->pcb)
		events |= c->reset ? POLLERR | POLLHUP : POLLHUP;
	else if (may_send(c) && send_room(c) >= PIECE_BYTES)
		events |= POLLOUT;
	return events;
}

ssize_t ph__net_send(int fd, const void *data, size_t len)
{
	struct ph__connection *c = find(fd);
	const uint8_t *at = data;
	size_t room, piece, done = 0;

	if (!c)
		return -EBADF;
	if (!may_send(c))
		return c->reset ? -ECONNRESET : -EPIPE;
	ph__net_tick();
	room = send_room(c);
	if (len > room)
		len = room;
	if (c->pcb->cwnd < INITIAL_SEGMENTS * (tcpwnd_size_t)c->pcb->mss && !c->recovery.delivered)
		c->pcb->cwnd = INITIAL_SEGMENTS * (tcpwnd_size_t)c->pcb->mss;
	for (piece = len; done < len && piece > 0;) {
		u16_t n = (u16_t)(piece < 0xffff ? piece : 0xffff);
		u8_t more = done + n < len ? TCP_WRITE_FLAG_MORE : 0;

		/* Small segments may be too many, where fewer bytes are not. */
		if (tcp_write(c->pcb, at + done, n, TCP_WRITE_FLAG_COPY | more) == ERR_OK) {
			done += n;
			piece = len - done;
		} else {
			piece = n / 2u;
		}
	}
	tcp_output(c->pcb);
	return done > 0 || len == 0 ? (ssize_t)done : -EAGAIN;
}

static void drop_front(struct ph__connection *c)
{
	struct pbuf *p = c->first;

	c->first = p->next;
	p->next = NULL;
	pbuf_free(p);
	if (!c->first) {
		c->last = NULL;
		c->gather_room = 0;
	}
}

ssize_t ph__net_receive(int fd, void *buf, size_t len, bool peek)
{
	struct ph__connection *c = find(fd);
	uint8_t *to = buf;
	size_t done = 0;

	if (!c)
		return -EBADF;
	if (c->queued == 0) {
		if (c->reset)
			return -ECONNRESET;
		return c->ended ? 0 : -EAGAIN;
	}
	for (struct pbuf *p = c->first; p && done < len;) {
		size_t n = p->len < len - done ? p->len : len - done;
		struct pbuf *next = p->next;

		memcpy(to + done, p->payload, n);
		done += n;
		if (!peek) {
			p->payload = (uint8_t *)p->payload + n;
			p->len = (u16_t)(p->len - n);
			if (p->len == 0)
				drop_front(c);
		}
		p = next;
	}
	if (!peek) {
		c->queued -= done;
		if (c->pcb)
			open_window(c);
	}
	return (ssize_t)done;
}

int ph__net_close(int fd)
{
	struct ph__connection *c = find(fd);

	if (!c)
		return -EBADF;
	if (!c->pcb) {
		release(c);
		return 0;
	}
	forget_received(c);
	open_window(c);
	ph__admit_all()->open--;
	ph__admit_all()->draining++;
	c->state = PH__DRAINING;
	c->forget_ns = ph__net_now() + DRAIN_NS;
	wake_at(c->forget_ns);
	if (!may_send(c) || tcp_shutdown(c->pcb, 0, 1) != ERR_OK)
		tcp_abort(c->pcb);
	return 0;
}

void ph__net_trust(int fd)
{
	struct ph__connection *c = find(fd);

	if (!c || c->trusted)
		return;
	c->trusted = true;
	if (c->pcb)
		open_window(c);
}

/* ---- lwIP's hooks ---- */

err_t ph__connection_packet_in(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t options_len,
                               struct pbuf *p)
{
	struct ph__connection *c = ph__admit_find(pcb);
	unsigned flags = TCPH_FLAGS(header) & (TCP_ACK | TCP_RST | TCP_SYN);

	if (pcb->state == LISTEN &&
	    ((flags == TCP_SYN && ph__admit_is_full() && ph__cookie_give(header)) ||
	     (flags == TCP_ACK && ph__cookie_take(header))))
		return ERR_MEM;
	if (!c || pcb->state == TIME_WAIT)
		return ERR_OK;
	/* Full: what is to be read has to be read first. Acknowledgements are always welcome. */
	if (p->tot_len > 0 && ph__memory_free() == 0 && c->queued >= LEAST_WINDOW)
		return ERR_MEM;
	if (ph__link_sender() &&
	    TCP_SEQ_BETWEEN(header->seqno, pcb->rcv_nxt, pcb->rcv_nxt + pcb->rcv_wnd))
		memcpy(c->way, ph__link_sender(), sizeof c->way);
	if (pcb->state >= ESTABLISHED && flags == TCP_ACK) {
		ph__recovery_acknowledged(&c->recovery, pcb, header, options_len);
		wake_at(c->recovery.timer_ns);
	}
	return ERR_OK;
}

u32_t *ph__connection_packet_out(struct pbuf *p, struct tcp_hdr *header, const struct tcp_pcb *pcb,
                                 u32_t *options)
{
	struct ph__connection *c = ph__admit_find(pcb);
	/* A listener, too, may reset; it has no sequence numbers. */
	bool first = !pcb || pcb->state == LISTEN ||
	             TCP_SEQ_GEQ(lwip_ntohl(header->seqno), pcb->snd_nxt);
	bool data = p->tot_len > TCPH_HDRLEN_BYTES(header) || (TCPH_FLAGS(header) & TCP_FIN);

	if (c) {
		memcpy(p->way, c->way, sizeof p->way);
		p->way_known = 1;
		ph__recovery_sent(&c->recovery, p, data, first);
		wake_at(c->recovery.timer_ns);
	} else if (ph__link_sender()) {
		memcpy(p->way, ph__link_sender(), sizeof p->way);
		p->way_known = 1;
	} else if (first || !(TCPH_FLAGS(header) & TCP_SYN)) {
		p->way_known = 0; /* else it is a SYN-ACK again, which knows */
	}
	return options;
}

u32_t ph__connection_ooseq_bytes(const struct tcp_pcb *pcb)
{
	const struct ph__connection *c = ph__admit_find(pcb);

	return c && c->trusted ? pcb->rcv_wnd : STRANGER_OOSEQ_BYTES;
}

u16_t ph__connection_ooseq_pieces(const struct tcp_pcb *pcb)
{
	const struct ph__connection *c = ph__admit_find(pcb);

	return c && c->trusted && ph__memory_free() > 0 ? TRUSTED_OOSEQ_PIECES
	                                                : STRANGER_OOSEQ_PIECES;
}

/* ---- time ---- */

uint64_t ph__connection_deadline_ns(void)
{
	return deadline_ns;
}

static void drain(struct ph__connection *c, uint64_t now)
{
	bool sent = c->pcb->unsent == NULL && c->pcb->unacked == NULL;

	if (sent && c->pcb->state == TIME_WAIT) {
		/* Peer and we have said goodbye: lwIP waits alone. */
		tcp_ext_arg_set(c->pcb, 0, NULL);
		tcp_arg(c->pcb, NULL);
		ph__connection_over(c);
	} else if (now >= c->forget_ns) {
		tcp_abandon(c->pcb, !sent);
	} else if (sent && c->forget_ns > now + DRAIN_FIN_NS) {
		c->forget_ns = now + DRAIN_FIN_NS;
	}
}

void ph__connection_timers(void)
{
	struct ph__connections *all = ph__admit_all();
	uint64_t now = ph__net_now();

	deadline_ns = UINT64_MAX;
	for (unsigned i = 0; i < all->size; i++) {
		struct ph__connection *c = &all->table[i];

		if (!c->pcb)
			continue;
		if (c->recovery.timer_ns && now >= c->recovery.timer_ns)
			ph__recovery_timer(&c->recovery, c->pcb);
		if (c->pcb && c->state == PH__DRAINING)
			drain(c, now);
		if (c->pcb) {
			wake_at(c->recovery.timer_ns);
			if (c->state == PH__DRAINING)
				wake_at(now + 100 * PH__MILLISECOND_NS);
		}
	}
}
