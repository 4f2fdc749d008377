/* SPDX-License-Identifier: MIT */
/*
 * What to do about lost segments. lwIP tells its peers what it received (SACK), but does not listen
 * when they tell it, and waits for timers of half a second. So this file reads their SACK options
 * before lwIP sees the acknowledgement, finds what is lost as RACK-TLP (RFC 8985) does, by the time
 * that later segments took to arrive, and moves it back to lwIP's queue of unsent segments, from
 * where it goes out at once. lwIP keeps the slow start, congestion avoidance and the timeout of
 * last resort; while losses are being repaired the congestion window is ours (RFC 6675's pipe).
 *
 * A loss reduces the window only when there are other signs of a full network: round trips that
 * grow, or losses that are many. Then it goes down to what got through in a round trip (as in TCP
 * Westwood), at worst to half. So links that lose packets for other reasons stay usable.
 *
 * Seconds that 5 MB took out over a tap device, so many packets lost in either direction (of three
 * runs the middle one; lwIP alone took 19.5 s at 1 ms and 1 in 100, and with shorter timers 3.9 s):
 *
 *      round trip   none lost   1 in 100   1 in 50
 *         1 ms        0.06        0.14       0.25
 *        10 ms        0.20        0.67       0.86
 *        30 ms        0.51        1.55       3.05
 */
#include "net_int.h"

#include "hooks.h"

#include <lwip/priv/tcp_priv.h>

#include <string.h>

/* Of pbuf.mark. */
#define ARRIVED 1u
#define AGAIN 2u

#define SACKS_MAX 4u
#define OPTION_SACK 5u
/* This many later segments there, and reordering is no longer a likely reason (RFC 5681). */
#define DUPLICATES 3u
/* Losses up to this part of a round trip, or one segment, need not mean a full network. */
#define LOSS_PARTS 32u
#define PROBES_MAX 2u
#define PROBE_MIN_NS (10 * PH__MILLISECOND_NS)
/* A lone segment's acknowledgement may be held back this long by the peer. */
#define DELAYED_ACK_NS (50 * PH__MILLISECOND_NS)
/* So much may round trips differ without a queue, beside a quarter. */
#define JITTER_NS (PH__MILLISECOND_NS / 2)
#define TIMEOUT_MIN_NS (200 * PH__MILLISECOND_NS)
#define TICK_NS (TCP_SLOW_INTERVAL * PH__MILLISECOND_NS)

struct range {
	uint32_t left, right;
};

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t start_of(const struct tcp_seg *seg)
{
	return lwip_ntohl(seg->tcphdr->seqno);
}

static uint32_t end_of(const struct tcp_seg *seg)
{
	return start_of(seg) + TCP_TCPLEN(seg);
}

/* The ranges of the SACK option that can be true. */
static unsigned read_sacks(const struct tcp_pcb *pcb, const struct tcp_hdr *header, size_t len,
                           struct range sacks[SACKS_MAX])
{
	const uint8_t *at = (const uint8_t *)(header + 1);
	unsigned count = 0;

	while (len > 0 && at[0] != LWIP_TCP_OPT_EOL) {
		size_t size = at[0] == LWIP_TCP_OPT_NOP ? 1 : len >= 2 ? at[1] : 0;

		if (size == 0 || size > len || (size == 1 && at[0] != LWIP_TCP_OPT_NOP))
			break;
		for (size_t i = 2; at[0] == OPTION_SACK && i + 8 <= size && count < SACKS_MAX;
		     i += 8) {
			struct range r = {get32(at + i), get32(at + i + 4)};

			if (TCP_SEQ_LT(r.left, r.right) && TCP_SEQ_GEQ(r.left, header->ackno) &&
			    TCP_SEQ_LEQ(r.right, pcb->snd_nxt))
				sacks[count++] = r;
		}
		at += size;
		len -= size;
	}
	return count;
}

/* ---- round trip times ---- */

/* RFC 6298, in nanoseconds. */
static void measure(struct ph__recovery *r, uint64_t rtt)
{
	uint64_t off = rtt > r->srtt_ns ? rtt - r->srtt_ns : r->srtt_ns - rtt;

	r->rtt_ns = rtt;
	if (r->least_rtt_ns == 0 || rtt < r->least_rtt_ns)
		r->least_rtt_ns = rtt;
	if (r->srtt_ns == 0) {
		r->srtt_ns = rtt;
		r->var_ns = rtt / 2;
	} else {
		r->var_ns = r->var_ns - r->var_ns / 4 + off / 4;
		r->srtt_ns = r->srtt_ns - r->srtt_ns / 8 + rtt / 8;
	}
}

/* lwIP counts in ticks, of which the first may be as good as over. */
static void set_timeout(const struct ph__recovery *r, struct tcp_pcb *pcb)
{
	uint64_t timeout = r->srtt_ns + 4 * r->var_ns;
	uint64_t ticks;

	if (timeout < TIMEOUT_MIN_NS)
		timeout = TIMEOUT_MIN_NS;
	ticks = timeout / TICK_NS + 1;
	pcb->sa = 0;
	pcb->sv = (s16_t)(ticks < 600 ? ticks : 600);
	pcb->rto = pcb->sv;
}

/* seg is at the peer. Gives its round trip, or 0 when nobody knows which copy arrived. */
static uint64_t arrived(struct ph__recovery *r, const struct tcp_seg *seg)
{
	uint64_t now = ph__net_now();
	uint64_t rtt = now > seg->p->sent_ns ? now - seg->p->sent_ns : 0;
	bool again = (seg->p->mark & AGAIN) != 0;

	seg->p->mark |= ARRIVED;
	r->delivered += seg->len;
	if (again && rtt < r->least_rtt_ns)
		return 0; /* the first copy, late */
	if (seg->p->sent_ns > r->newest_ns)
		r->newest_ns = seg->p->sent_ns;
	return again ? 0 : rtt;
}

/* ---- losses ---- */

static bool is_full(const struct ph__recovery *r, const struct tcp_pcb *pcb)
{
	uint32_t usual = r->round_bytes / LOSS_PARTS;

	return r->srtt_ns > r->least_rtt_ns + r->least_rtt_ns / 4 + JITTER_NS ||
	       r->round_lost > (usual > pcb->mss ? usual : pcb->mss);
}

/* What the window should be when losses show that the network is full. */
static uint32_t reduced(const struct ph__recovery *r, const struct tcp_pcb *pcb, uint32_t flight)
{
	uint32_t least = flight / 2 > 2u * pcb->mss ? flight / 2 : 2u * pcb->mss;
	uint64_t good = r->round_bytes;

	if (r->srtt_ns > 0)
		good = good * r->least_rtt_ns / r->srtt_ns;
	if (good > flight)
		good = flight;
	return good > least ? (uint32_t)good : least;
}

/* Moves the segment at *link from the sent ones to its place among the unsent ones. */
static void send_again(struct tcp_pcb *pcb, struct tcp_seg **link)
{
	struct tcp_seg *seg = *link, **to = &pcb->unsent;

	*link = seg->next;
	while (*to && TCP_SEQ_LT(start_of(*to), start_of(seg)))
		to = &(*to)->next;
	seg->next = *to;
	*to = seg;
	pcb->rtime = 0;
}

struct survey {
	uint32_t flight, arrived, segments; /* bytes sent beyond the acknowledged; of these there */
	uint32_t lost;                      /* bytes lost and not sent again */
};

static void survey(const struct tcp_pcb *pcb, uint32_t ack, struct survey *s)
{
	memset(s, 0, sizeof *s);
	s->flight = pcb->snd_nxt - ack;
	for (const struct tcp_seg *seg = pcb->unacked; seg; seg = seg->next)
		if ((seg->p->mark & ARRIVED) && TCP_SEQ_GT(end_of(seg), ack)) {
			s->arrived += seg->len;
			s->segments++;
		}
}

/* Whether seg is lost; if it is too early to tell, *look is when to look again. */
static bool is_lost(const struct ph__recovery *r, const struct tcp_seg *seg, uint64_t patience,
                    uint64_t *look)
{
	uint64_t due = seg->p->sent_ns + r->rtt_ns + patience;

	if (seg->p->mark & ARRIVED)
		return false;
	if (seg->p->sent_ns >= r->newest_ns)
		return false;
	if (patience == 0 || ph__net_now() >= due)
		return true;
	if (*look == 0 || due < *look)
		*look = due;
	return false;
}

/*
 * Finds what is lost and sends it again, as far as the window has room. Leaves the congestion
 * window that lwIP is to send by: it counts from the last acknowledged byte, so what arrived beyond
 * and what is lost do not count.
 */
static void repair(struct ph__recovery *r, struct tcp_pcb *pcb, uint32_t ack)
{
	struct tcp_seg **link = &pcb->unacked;
	struct survey s;
	uint64_t patience, look = 0;
	uint32_t pipe, moved = 0;

	survey(pcb, ack, &s);
	patience = s.segments >= DUPLICATES || r->recovering ? 0 : r->least_rtt_ns / 4 + 1;
	pipe = s.flight - s.arrived;
	while (*link) {
		struct tcp_seg *seg = *link;

		if (TCP_SEQ_LEQ(end_of(seg), ack) || !is_lost(r, seg, patience, &look)) {
			link = &seg->next;
			continue;
		}
		if (!r->recovering) {
			r->recovering = true;
			r->reduced = false;
			r->point = pcb->snd_nxt;
			r->target = s.flight;
		}
		pipe -= seg->len < pipe ? seg->len : pipe;
		if (moved == 0 || pipe + seg->len <= r->target) {
			send_again(pcb, link);
			pipe += seg->len;
			moved += seg->len;
			r->round_lost += seg->len;
		} else {
			s.lost += seg->len;
			link = &seg->next;
		}
		if (!(pcb->flags & TF_SACK))
			break; /* nothing is known of the others */
	}
	if (look)
		r->timer_ns = look;
	if (r->recovering && !r->reduced && is_full(r, pcb)) {
		r->reduced = true;
		r->target = reduced(r, pcb, s.flight);
		pcb->ssthresh = r->target;
	}
	r->window = r->recovering ? r->target + s.arrived + s.lost : 0;
	if (r->recovering)
		pcb->cwnd = r->window;
}

static uint64_t probe_time(const struct ph__recovery *r, const struct tcp_pcb *pcb)
{
	uint64_t wait = 2 * r->srtt_ns > PROBE_MIN_NS ? 2 * r->srtt_ns : PROBE_MIN_NS;

	if (pcb->unacked && !pcb->unacked->next)
		wait += DELAYED_ACK_NS;
	return r->sent_ns + (wait << r->probes);
}

void ph__recovery_acknowledged(struct ph__recovery *r, struct tcp_pcb *pcb,
                               const struct tcp_hdr *header, size_t options_len)
{
	struct range sacks[SACKS_MAX];
	uint32_t ack = header->ackno;
	uint64_t rtt = 0;
	unsigned count;

	if (TCP_SEQ_LT(ack, pcb->lastack) || TCP_SEQ_GT(ack, pcb->snd_nxt) || !pcb->unacked)
		return;
	count = read_sacks(pcb, header, options_len, sacks);
	if (count == 0 && ack == pcb->lastack)
		return;
	if (pcb->flags & TF_SACK)
		pcb->dupacks = 0; /* lwIP's own way of noticing losses would come on top */
	pcb->rttest = 0;
	if (r->delivered == 0)
		r->round_end = ack;
	for (struct tcp_seg *seg = pcb->unacked; seg; seg = seg->next) {
		bool there = TCP_SEQ_LEQ(end_of(seg), ack);

		if (!there && count == 0)
			break;
		for (unsigned i = 0; i < count && !there; i++)
			there = TCP_SEQ_GEQ(start_of(seg), sacks[i].left) &&
			        TCP_SEQ_LEQ(end_of(seg), sacks[i].right);
		if (there && !(seg->p->mark & ARRIVED)) {
			uint64_t took = arrived(r, seg);

			rtt = took ? took : rtt; /* the latest one's */
		}
	}
	if (rtt)
		measure(r, rtt);
	if (TCP_SEQ_GEQ(ack, r->round_end)) {
		r->round_bytes = r->delivered - r->round_start;
		r->round_start = r->delivered;
		r->round_end = pcb->snd_nxt;
		r->round_lost = 0;
	}
	if (r->recovering && TCP_SEQ_GEQ(ack, r->point)) {
		r->recovering = false;
		pcb->cwnd = r->target;
	}
	r->probes = 0;
	r->timer_ns = 0;
	repair(r, pcb, ack);
	if (r->timer_ns == 0)
		r->timer_ns = probe_time(r, pcb);
}

void ph__recovery_settle(struct ph__recovery *r, struct tcp_pcb *pcb)
{
	set_timeout(r, pcb);
	if (r->window) {
		pcb->cwnd = r->window;
		r->window = 0;
	}
	if (!pcb->unacked && !pcb->unsent)
		r->timer_ns = 0;
}

/* Every segment has a time of its own, so that there is an order. */
void ph__recovery_sent(struct ph__recovery *r, struct pbuf *p, bool data, bool first)
{
	if (!data)
		return;
	r->sent_ns = ph__net_now() > r->sent_ns ? ph__net_now() : r->sent_ns + 1;
	p->sent_ns = r->sent_ns;
	p->mark = first ? 0 : AGAIN;
	r->again += !first;
	if (r->timer_ns == 0 && r->probes < PROBES_MAX)
		r->timer_ns = r->sent_ns + PROBE_MIN_NS;
}

void ph__recovery_timer(struct ph__recovery *r, struct tcp_pcb *pcb)
{
	struct tcp_seg **last = &pcb->unacked;

	r->timer_ns = 0;
	if (!pcb->unacked || r->srtt_ns == 0)
		return;
	repair(r, pcb, pcb->lastack);
	if (pcb->unacked && r->timer_ns == 0 && r->probes < PROBES_MAX) {
		if (ph__net_now() < probe_time(r, pcb)) {
			r->timer_ns = probe_time(r, pcb);
			return;
		}
		/* Nothing came back for long: the answer to the last segment will tell what is
		 * missing. */
		while ((*last)->next)
			last = &(*last)->next;
		r->probes++;
		send_again(pcb, last);
	}
	tcp_output(pcb);
}
