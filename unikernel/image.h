/* SPDX-License-Identifier: MIT */
/* What the files of this folder share: the image above its platform, its network and its C library.
 */
#ifndef PACKHORSE_IMAGE_H
#define PACKHORSE_IMAGE_H

#include "net/net.h"

#include <packhorse/ssh.h>

/*
 * How an image ends. A supervisor such as Albatross starts it again unless the code says that this
 * mends nothing: 1, which the tenders of Solo5 use for their own errors, and 60 to 64.
 *
 *    0  powered off in order
 *    2  something that may be gone next time: out of memory, an input/output error while opening
 *   60  the disk: blank, not ours, of a later format, damaged, or too small
 *   61  the host key: cannot be read, or is of no use
 *   62  the machine: no network card, no entropy, too little memory
 *   63  --help or --version was given
 *   64  the arguments: unknown, unreadable, contradictory, or nobody could log in
 */
enum ph__exit {
	PH__EXIT_OFF = 0,
	PH__EXIT_FAILURE = 2,
	PH__EXIT_DISK = 60,
	PH__EXIT_KEY = 61,
	PH__EXIT_MACHINE = 62,
	PH__EXIT_HELP = 63,
	PH__EXIT_USAGE = 64
};

/* ---- words.c ---- */

/*
 * Splits text in place as a shell does: blanks between words; '...' as it stands; "..." with
 * \ before " and \ taken off; \ before anything else outside. PH_ERR_INVALID: a quote is left open
 * or \ ends the text. PH_ERR_LIMIT: more than max words.
 */
enum ph_status ph__words_split(char *text, char **words, unsigned max, unsigned *count);

/* ---- args.c ---- */

#define PH__ARG_BYTES_MAX 16384u
#define PH__WORDS_MAX 256u
#define PH__AUTHORIZED_MAX 64u

struct ph__args {
	const char *ipv4, *ipv4_gateway, *ipv6, *ipv6_gateway, *name, *ssh_key;
	bool ipv4_only, ipv6_only, accept_router_advertisements, initialize_disk, anon_read;
	const char *authorized[PH__AUTHORIZED_MAX];
	const char *logs[PH__AUTHORIZED_MAX];
	unsigned authorized_count, logs_count;
	unsigned port, loss_in, loss_out;
	bool help, version;
	char left[256];  /* words that are not ours, or "" */
	char error[256]; /* what is wrong, without the values of secrets */
};

/*
 * Reads text, which is changed and must live on. False: error says why, for PH__EXIT_USAGE. With
 * help or version set nothing else counts.
 */
bool ph__args_parse(struct ph__args *out, char *text);
/* The line-th line of --help; NULL behind the last. buf has 128 bytes. */
const char *ph__args_help(unsigned line, char *buf);

/* ---- log.c ---- */

/* Lines to the console. Lives for ever; the level is that of the most talkative source. */
const struct ph_log *ph__log(void);
/* A line from this folder that no level hides and no flood displaces. */
void ph__say(enum ph_log_level level, const char *format, ...) PH_PRINTF(2, 3);
/* Adds "LEVEL" or "SOURCE:LEVEL,...", with * for all sources. False: not understood. */
bool ph__log_levels(const char *text);
/* Says how many lines were left out, once there is room for that again. */
void ph__log_poll(void);

/* ---- random.c ---- */

/* False after a line that says why: without entropy nothing starts. */
bool ph__random_start(void);
enum ph_status ph__random(void *user, void *buf, size_t len);

/* ---- disk.c ---- */

/* The store on the disk, or in memory (at most memory_bytes). Otherwise a line and an exit code. */
enum ph__exit ph__disk_open(struct ph_store **out, const struct ph_limits *limits,
                            uint64_t cache_bytes, uint64_t memory_bytes, bool initialize);
/*
 * Makes the commits that sessions wait for; they share flushes. others: more sessions are ready to
 * run, which may be about to commit, so that it may wait a little. Whether it did anything.
 */
bool ph__disk_commit(bool others);

/* ---- keys.c ---- */

#define PH__HOST_KEY_BYTES 16384u

/* From --ssh-key, the store, or made now and kept there; PEM text with its NUL. */
enum ph__exit ph__keys_host(char pem[PH__HOST_KEY_BYTES], const struct ph__args *args,
                            struct ph_store *store);
/* Who is let in: arguments and boot modules. */
enum ph__exit ph__keys_users(struct ph_keys **out, const struct ph__args *args,
                             const struct ph__machine *machine);

/* ---- figures.c ---- */

/* A debug line about memory, where something changed; returns when to call it again. */
uint64_t ph__figures_poll(void);

/* ---- serve.c ---- */

/* Serves until somebody asks for the end. options: all but what the loop itself provides. */
enum ph__exit ph__serve(struct ph_ssh_options *options, const struct ph__net_options *net);

#endif
