/* SPDX-License-Identifier: MIT */
/*
 * Drives lwIP: starts it, gives it frames and time. Everything happens inside ph__net_poll and the
 * calls on connections; nothing runs by itself.
 */
#include "net_int.h"

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/sys.h>
#include <lwip/timeouts.h>

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

/* Complaints about lwIP's state that are logged; all are counted. */
#define ASSERTS_LOGGED 10u

static struct netif card;
static struct ph__net_options options;
static const struct ph_log *log_to;
static uint64_t now_ns;
static jmp_buf escape;
static bool guarded;
static unsigned asserts;

uint64_t ph__net_now(void)
{
	return now_ns;
}

void ph__net_tick(void)
{
	now_ns = ph__plat_monotonic_ns();
}

const struct ph_log *ph__net_log(void)
{
	return log_to;
}

/* lwIP's clock; read once a round, which is often enough for it. */
u32_t sys_now(void)
{
	return (u32_t)(now_ns / PH__MILLISECOND_NS);
}

/*
 * lwIP found its own state wrong. Going on where it stands would work on that state, and stopping
 * would let a peer that found a way here stop the machine. So the frame or the timers at hand are
 * left, whatever memory they hold, and the service goes on: most of lwIP's assertions stand before
 * anything was changed. No frame is known to get here; tests turn this into an abort.
 */
_Noreturn void ph__net_assert(const char *message)
{
	if (asserts++ < ASSERTS_LOGGED)
		ph_log_line(log_to, PH_LOG_ERROR, "net", 0, "lwIP: %.200s", message);
#ifdef PH__NET_ASSERT_ABORTS
	abort();
#endif
	if (!guarded)
		ph__plat_exit(255);
	longjmp(escape, 1);
}

static bool step(void)
{
	bool any;

	if (setjmp(escape) != 0) {
		tcp_input_pcb = NULL;
		ph__link_reset();
		guarded = false;
		return true;
	}
	guarded = true;
	any = ph__link_poll();
	sys_check_timeouts();
	if (now_ns >= ph__connection_deadline_ns())
		ph__connection_timers();
	guarded = false;
	return any;
}

bool ph__net_poll(void)
{
	bool any;

	ph__net_tick();
	any = step();
	ph__plat_net_flush();
	return any;
}

uint64_t ph__net_deadline_ns(void)
{
	uint64_t connections = ph__connection_deadline_ns();
	u32_t sleep = sys_timeouts_sleeptime();
	uint64_t timers = sleep == SYS_TIMEOUTS_SLEEPTIME_INFINITE
	                          ? UINT64_MAX
	                          : now_ns + sleep * PH__MILLISECOND_NS;

	return timers < connections ? timers : connections;
}

enum ph_status ph__net_start(const struct ph__net_options *given, const struct ph_log *log,
                             const char **what)
{
	enum ph_status status;

	*what = NULL;
	options = *given;
	log_to = log;
	ph__net_tick();
	status = ph__secret_open();
	if (status != PH_OK)
		return status;
	ph__memory_limit(options.buffer_bytes_max);
	lwip_init();
	status = ph__link_open(&card, &options);
	if (status == PH_OK)
		status = ph__address_setup(&card, &options, what);
	if (status == PH_OK)
		status = ph__admit_listen(&options);
	ph__plat_net_flush();
	return status;
}

void ph__net_counts(struct ph__net_counts *out)
{
	const struct ph__connections *all = ph__admit_all();

	memset(out, 0, sizeof *out);
	out->buffer_bytes = ph__memory_held();
	ph__link_counts(out);
	out->open = all->open;
	out->accepted = all->accepted;
	out->dropped = all->dropped;
	out->retransmitted = all->again;
	for (unsigned i = 0; i < all->size; i++) {
		out->waiting += all->table[i].state == PH__WAITING;
		out->retransmitted += all->table[i].recovery.again;
	}
}
