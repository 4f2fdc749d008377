/* SPDX-License-Identifier: MIT */
/*
 * From arguments to a server: what the machine has decides how much of everything there may be,
 * then the store, the keys and the loop. Everything that can be wrong with a machine has its line
 * and its exit code here or in the file that finds it.
 */
#include "image.h"
#include "sys/sys.h"

#include <stdio.h>
#include <string.h>

/*
 * How the heap is divided. The parts are upper bounds that their users keep; what they leave is
 * the slack that malloc needs for its own granularity.
 *
 *   heap                     14 MB    30 MB    61 MB   125 MB   253 MB
 *   connections at once         59      128      260      533     1024   H/6 at 40 KiB each
 *   network buffers              1.2      2.5      5.1     10.4     21.1 H/12, at most 32 MB
 *   cache of the store           3.5      7.5     15.3     31.3     63.3 H/4, at most 64 MB
 *   spare                        1.4      2.4      4.3      8.3     16.3 H/16 and 512 KiB
 *   sessions                     5.6     12.6     26.2     54.2    112.3 the rest
 *
 * A connection was measured to hold 28 KiB in its key exchange and 36 KiB when logged in and idle.
 * Without a disk there is no cache; the store gets its part and half of that of the sessions.
 */
#define CONNECTION_BYTES 40960u
#define CONNECTIONS_MIN 8u
#define CONNECTIONS_MAX 1024u
#define NETWORK_BYTES_MAX ((size_t)32 << 20)
#define CACHE_BYTES_MAX ((size_t)64 << 20)
/* Below this not even one small clone gets through. */
#define HEAP_BYTES_MIN ((size_t)5 << 20)

struct plan {
	unsigned connections;
	size_t network, cache, sessions;
};

static size_t at_most(size_t bytes, size_t max)
{
	return bytes < max ? bytes : max;
}

static bool make_plan(struct plan *plan, size_t heap)
{
	size_t connections = at_most(heap / 6 / CONNECTION_BYTES, CONNECTIONS_MAX), used;

	if (heap < HEAP_BYTES_MIN) {
		ph__say(PH_LOG_ERROR, "too little memory: %zu KiB are free, %zu are needed",
		        heap >> 10, HEAP_BYTES_MIN >> 10);
		return false;
	}
	plan->connections = connections < CONNECTIONS_MIN ? CONNECTIONS_MIN : (unsigned)connections;
	plan->network = at_most(heap / 12, NETWORK_BYTES_MAX);
	plan->cache = at_most(heap / 4, CACHE_BYTES_MAX);
	used = plan->connections * CONNECTION_BYTES + plan->network + plan->cache + heap / 16 +
	       ((size_t)512 << 10);
	plan->sessions = heap - used;
	ph_log_line(ph__log(), PH_LOG_DEBUG, "main", 0,
	            "heap %zu KiB: %u connections, %zu KiB for the network, %zu for the store's "
	            "cache, %zu for sessions",
	            heap >> 10, plan->connections, plan->network >> 10, plan->cache >> 10,
	            plan->sessions >> 10);
	return true;
}

/* ---- arguments ---- */

static void print(const char *text)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	if (n > 0)
		ph__plat_console(line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static enum ph__exit show_help(void)
{
	char buf[128];
	const char *line;

	for (unsigned i = 0; (line = ph__args_help(i, buf)) != NULL; i++)
		print(line);
	return PH__EXIT_HELP;
}

static enum ph__exit wrong_argument(const char *why)
{
	ph__say(PH_LOG_ERROR, "arguments: %s", why);
	return PH__EXIT_USAGE;
}

static enum ph__exit read_arguments(struct ph__args *args, const struct ph__machine *machine)
{
	static char text[PH__ARG_BYTES_MAX];
	size_t len = machine->arguments ? strlen(machine->arguments) : 0;

	if (len >= sizeof(text))
		return wrong_argument("too long");
	if (len)
		memcpy(text, machine->arguments, len);
	text[len] = '\0';
	if (!ph__args_parse(args, text))
		return wrong_argument(args->error);
	if (args->help)
		return show_help();
	if (args->version) {
		print("packhorse " PH_VERSION);
		return PH__EXIT_HELP;
	}
	for (unsigned i = 0; i < args->logs_count; i++)
		if (!ph__log_levels(args->logs[i]))
			return wrong_argument("--logs takes LEVEL or *:info,ssh:debug; levels are "
			                      "quiet, error, warning, info, debug");
	ph__say(PH_LOG_INFO, "packhorse " PH_VERSION " on %s, %zu MB of memory", machine->platform,
	        machine->heap_bytes >> 20);
	if (*args->left)
		ph__say(PH_LOG_INFO, "words left to the platform: %s", args->left);
	return PH__EXIT_OFF;
}

/* ---- the start ---- */

/* One label of a host name; what the DHCP server is told must be one. */
static const char *host_name(const char *name)
{
	static char label[64];
	size_t n = 0;

	if (!name)
		return NULL;
	for (; name[n] && n + 1 < sizeof(label); n++) {
		char c = name[n];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		             (c >= '0' && c <= '9') || c == '.';
		label[n] = plain ? c : '-';
	}
	label[n] = '\0';
	return label;
}

static struct ph__net_options network(const struct ph__args *args, const struct plan *plan)
{
	struct ph__net_options net = {0};

	net.ipv4 = args->ipv4;
	net.ipv4_gateway = args->ipv4_gateway;
	net.ipv6 = args->ipv6;
	net.ipv6_gateway = args->ipv6_gateway;
	net.ipv4_only = args->ipv4_only;
	net.ipv6_only = args->ipv6_only;
	net.accept_router_advertisements = args->accept_router_advertisements;
	net.name = host_name(args->name);
	net.port = (uint16_t)args->port;
	net.connections_max = plan->connections;
	net.buffer_bytes_max = plan->network;
	net.loss_in = args->loss_in;
	net.loss_out = args->loss_out;
	return net;
}

/* The parts in the order in which they rest on each other; what there is of them goes at the end.
 */
static enum ph__exit start(const struct ph__args *args, const struct ph__machine *machine,
                           const struct plan *plan, struct ph_ssh_options *options,
                           struct ph_keys **keys)
{
	static char host_key[PH__HOST_KEY_BYTES];
	struct ph_service *service = &options->service;
	struct ph__net_options net = network(args, plan);
	enum ph__exit code = ph__keys_users(keys, args, machine);

	if (code == PH__EXIT_OFF)
		code = ph__disk_open(&service->store, service->limits, plan->cache,
		                     plan->cache + plan->sessions / 2, args->initialize_disk);
	if (code == PH__EXIT_OFF)
		code = ph__keys_host(host_key, args, service->store);
	if (code != PH__EXIT_OFF)
		return code;
	/* Without a disk the other half is the store's. */
	if (ph_memory_new(&service->memory, service->alloc,
	                  service->store->durable ? plan->sessions : plan->sessions / 2,
	                  NULL) != PH_OK ||
	    ph_selections_new(&service->selections, service->alloc, NULL) != PH_OK)
		return PH__EXIT_FAILURE;
	options->host_key = host_key;
	options->keys = *keys;
	return ph__serve(options, &net);
}

static enum ph__exit serve(const struct ph__args *args, const struct ph__machine *machine,
                           const struct plan *plan)
{
	struct ph_limits limits;
	struct ph_ssh_options options = {0};
	struct ph_keys *keys = NULL;

	ph_limits_init(&limits);
	ph_limits_for_memory(&limits, plan->sessions);
	options.service.alloc = ph_alloc_libc();
	options.service.limits = &limits;
	options.service.log = ph__log();
	options.service.random = ph__random;
	options.service.agent = "packhorse/" PH_VERSION;
	options.anon_read = args->anon_read;
	enum ph__exit code = start(args, machine, plan, &options, &keys);
	/* The connections are gone, and with them every session and its claims. */
	ph_selections_free(options.service.selections);
	ph_memory_free(options.service.memory);
	if (options.service.store)
		ph_store_close(options.service.store);
	ph_keys_free(keys);
	return code;
}

int ph__main(const struct ph__machine *machine)
{
	static struct ph__args args;
	struct plan plan;
	enum ph__exit code = read_arguments(&args, machine);

	if (code != PH__EXIT_OFF)
		return (int)code;
	if (!ph__random_start() || !make_plan(&plan, machine->heap_bytes))
		return PH__EXIT_MACHINE;
	code = serve(&args, machine, &plan);
	if (code == PH__EXIT_OFF)
		ph__say(PH_LOG_INFO, "powered off in order");
	return (int)code;
}
