/* SPDX-License-Identifier: MIT */
/*
 * One push: what its phases share. Each phase is a file: the session itself and its advertisement
 * (receive_pack.c), commands (receive_commands.c), certificates
 * (receive_cert_int.h), push options (receive_options.c), the wait for
 * memory (receive_admit.c), the pack (receive_unpack.c), what of it the pusher may not build on
 * (receive_hidden.c), the proof that what is new is connected (receive_connect.c,
 * receive_shallow.c, receive_tips.c), checks of every command (receive_check.c, receive_deny.c),
 * the transaction's end (receive_commit.c), and the report (receive_report.c). Between them the
 * owner is asked (receive_policy.c), and what the configuration rules out is refused
 * (receive_rules.c, receive_paths.c).
 *
 * A phase's function works a little and returns what it needs next. It moves on by setting phase
 * and returning PH_STEP_AGAIN.
 */
#ifndef PACKHORSE_RECEIVE_INT_H
#define PACKHORSE_RECEIVE_INT_H

#include "admission_int.h"
#include "advert_int.h"
#include "commit_int.h"
#include "oid_set_int.h"
#include "map_set_int.h"
#include "out_int.h"
#include "receive_cert_int.h"
#include "receive_policy_int.h"
#include "session_int.h"

#include <packhorse/config.h>
#include <packhorse/pack_in.h>
#include <packhorse/pkt.h>
#include <packhorse/reader.h>
#include <packhorse/receive_pack.h>
#include <packhorse/refname.h>
#include <packhorse/walk.h>

/* A name that is no good is still named in the report; one longer than this ends the session. */
#define RECEIVE_NAME_BYTES_MAX 4096u
/* Lines for the user (errors, warnings) per push: enough to see what is wrong. */
#define RECEIVE_LINES_MAX 64u
/* Warnings of fsck among them; all are logged, up to the second number. */
#define RECEIVE_FSCK_LINES_MAX 8u
#define RECEIVE_FSCK_LOGGED_MAX 100u

enum receive_phase {
	RECEIVE_AUTHORISE,
	RECEIVE_OPEN,
	RECEIVE_ADVERTISE,
	RECEIVE_COMMANDS,
	RECEIVE_CERT_READ,
	RECEIVE_OPTIONS,
	RECEIVE_CERT_CHECK,
	RECEIVE_ADMIT,
	RECEIVE_BEGIN,
	RECEIVE_QUOTA,
	RECEIVE_PACK,
	RECEIVE_RESOLVE,
	RECEIVE_BASES,
	RECEIVE_TARGETS,
	RECEIVE_SORT,
	RECEIVE_CONNECT,
	RECEIVE_NAMES,
	RECEIVE_ALIASES,
	RECEIVE_PRE_RECEIVE,
	RECEIVE_CHECK,
	RECEIVE_RULES,
	RECEIVE_UPDATE,
	RECEIVE_STAGE,
	RECEIVE_CERT_STORE,
	RECEIVE_PREPARE,
	RECEIVE_COMMIT,
	RECEIVE_REPORT,
	RECEIVE_DONE
};

struct receive_command {
	struct ph_oid old_oid, new_oid;
	struct ph_oid peeled;
	size_t name;       /* where it is in names: as the client gave it */
	size_t target;     /* the ref that changes: another name when the one given is a symref */
	const char *error; /* a static text for "ng"; NULL as long as all is well */
	uint32_t change;   /* its number in the transaction, when staged */
	uint32_t leader;   /* 1 + the command that does this one's work; 0 for none */
	bool deletes;
	bool funny;  /* its name is none that a ref may have */
	bool skip;   /* nothing to do: reported ok all the same */
	bool staged; /* part of the transaction, and not dropped */
	bool proven; /* its tip was found connected */
	bool cut;    /* not without the client's shallow boundary */
	bool logged; /* the transaction's log says that it is done */
};

/* The proof of connectivity, for the commands from first up to end at once. */
enum receive_connect_stage {
	CONNECT_CLOSED,
	CONNECT_START,
	CONNECT_WANTS,
	CONNECT_REFS,
	CONNECT_PROVEN,
	CONNECT_WALK,
	CONNECT_OWN,
	CONNECT_TIPS
};

struct receive_connect {
	enum receive_connect_stage stage;
	struct ph__map_set maps; /* of the base's packs */
	bool mapped;             /* they were opened, or are not to be used */
	struct ph_walk *walk;
	struct ph_ref_iter *refs;
	uint32_t first, end;
	uint32_t width;  /* of the next window; 0 at first: all */
	uint32_t at;     /* next command whose tip is to be added */
	uint32_t wanted; /* commands that the walk is for */
	uint32_t own;    /* of what it has selected, objects that the push has brought */
	uint64_t spent;  /* on walks so far */
	bool again;      /* it is not the first walk */
	bool bounded;    /* walks end at the client's shallow boundary, too */
};

/* Whether the pusher may see what the push builds on and has not brought. */
struct receive_bases {
	struct ph_reach *reach; /* NULL before it has begun */
	struct ph_ref_iter *refs;
	uint32_t pack, at; /* the next that may have to be a target */
	bool told;         /* all visible refs are tips */
};

/* Push options, each NUL-terminated. */
struct receive_options {
	char **list;
	uint32_t count, size;
};

/* The client's boundary, and what of it the repository's becomes. */
struct receive_shallow {
	struct ph_oid *oids;
	uint32_t count, size;
	uint32_t at, kept; /* while those that may be needed are looked for */
	bool *used;        /* which of them the second round has met */
	bool staged;       /* the transaction sets the repository's */
};

/* What is noted of the pack for later readers. */
struct receive_tips {
	struct ph_sink *sink; /* the transaction's; NULL: nothing is noted */
	uint32_t rank;        /* next object of the pack to look at */
	uint32_t *copies;
	uint32_t count, room;
};

struct receive {
	struct ph_session session; /* first */
	enum receive_phase phase;
	int version;
	char repo[PH_REPO_NAME_MAX + 1];
	enum ph_hash_algo algo;
	bool creates; /* the repository is not there (yet) */
	/* As of when the session began, for what it offers; from RECEIVE_BEGIN on as of then. */
	struct ph_config config;
	char session_id[PH_SESSION_ID_BYTES]; /* "" when none is advertised */

	struct ph_snapshot *snapshot; /* NULL when it creates; what was advertised, then the base */
	struct ph__advert advert;
	struct ph_txn *txn;

	/* Commands, and what the client's capabilities say. */
	struct receive_command *commands;
	uint32_t count, commands_size;
	char *names;
	size_t names_len, names_size;
	struct receive_shallow shallow;
	bool report, side_band, quiet, atomic, updates;
	bool asks_options; /* push options follow the commands, maybe none */
	struct receive_options options;

	struct receive_cert cert;

	struct ph__admission admission;
	uint64_t claim_bytes; /* 0 until it is reckoned */
	bool gathers;         /* links of a first pack, so that no walk need prove it */
	char refusal[PH_ADMISSION_TEXT_BYTES];

	uint64_t begun_at_ms; /* the transaction was asked for, and had to wait; 0 */

	/* The pack. */
	struct ph_pack_in *pack_in;
	struct ph_pack_in_options pack_options;
	uint32_t pack;
	const char *unpack_error; /* static; NULL when it was fine */
	uint32_t fsck_warnings;
	struct ph_fsck_rules fsck; /* what the configuration says, while the pack is read */
	struct ph_oid *fsck_skips;
	bool closed;         /* all that its objects refer to is in the pack itself */
	uint64_t pack_taken; /* bytes of it so far */
	uint64_t pack_bytes;
	uint32_t pack_objects;

	/* Commands by target; heap is the size of the heap while it is sorted. */
	uint32_t *order;
	uint32_t heap, at;

	struct receive_connect connect;
	struct receive_bases bases;
	struct receive_tips tips;
	struct ph_reader *reader;
	struct ph_reach *forward; /* whether a branch moves forward; NULL: none is looked at */
	char head[PH_REF_NAME_MAX + 1]; /* the branch HEAD names, or "" */
	bool head_staged, log_begun;
	struct ph__commit commit;
	struct receive_policy policy;

	/* Towards the client. */
	uint64_t spoke_at_ms; /* something went out on the side-band */
	uint64_t progress_at_ms;
	uint32_t lines;
	size_t report_left; /* bytes of the report that are not written */
	size_t chunk_left;  /* of them in the band packet that was begun */
	size_t line_at;     /* bytes of the current line that are written */
	uint32_t report_at; /* the line: 0 for "unpack", then commands, then the flush */
	bool report_begun;
};

static inline const char *receive_name(const struct receive *r, const struct receive_command *c)
{
	return r->names + c->name;
}

static inline const char *receive_target(const struct receive *r, const struct receive_command *c)
{
	return r->names + c->target;
}

/* Whether a command is still to be done. */
static inline bool receive_live(const struct receive_command *c)
{
	return !c->error && !c->skip;
}

/* What the report says of it: a command that another does for it shares that one's fate. */
static inline const char *receive_verdict(const struct receive *r, const struct receive_command *c)
{
	return c->leader && !c->error ? r->commands[c->leader - 1].error : c->error;
}

/* ---- receive_pack.c ---- */

/* Ends the session: a short phrase for the client, status 128. */
enum ph_step ph__receive_die(struct receive *r, const char *text);
/* The phrase of a status as a phase's answer: die, or what budgets ask for. */
enum ph_step ph__receive_die_status(struct receive *r, enum ph_status status);
/* A line for the user: on band 2, or the error stream. Control bytes are escaped. */
void ph__receive_say(struct receive *r, const char *format, ...) PH_PRINTF(2, 3);
/* Several lines of ours, as they are, in one packet. */
void ph__receive_say_text(struct receive *r, const char *text);
/* An empty packet on band 1 if nothing was said for too long; sets the deadline for the next. */
void ph__receive_keepalive(struct receive *r);
/* The push has failed as a whole, before anything is proven: only the report is left. */
enum ph_step ph__receive_fail_unpack(struct receive *r, const char *text);
/* Every command that has no error gets this one. */
void ph__receive_fail_all(struct receive *r, const char *text);
/* Frees what only the work needs, before the report: the transaction above all. */
void ph__receive_drop_work(struct receive *r);

/* ---- receive_fsck.c ---- */

/* Has the pack checked as the configuration says. After pack_options are made. PH_ERR_NOMEM. */
enum ph_status ph__receive_fsck_begin(struct receive *r);
/* Tells the client which object was refused, and why. */
void ph__receive_fsck_refuse(struct receive *r, const char *hex, const char *id);
void ph__receive_fsck_release(struct receive *r);

/* ---- phases ---- */

enum ph_step ph__receive_authorise(struct receive *r);
enum ph_step ph__receive_commands(struct receive *r, uint32_t *budget);
/* A command, from a packet or out of a certificate. */
enum ph_step ph__receive_take_command(struct receive *r, const char *line, size_t len);
/* All commands are there: on to what comes next. */
enum ph_step ph__receive_commands_done(struct receive *r);
enum ph_step ph__receive_cert_read(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_cert_check(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_cert_store(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_options(struct receive *r, uint32_t *budget);
/* Whether the option of this number is this one; false behind the last. */
bool ph__receive_option_is(const struct receive *r, uint32_t number, const char *text, size_t len);
void ph__receive_options_release(struct receive *r);
enum ph_step ph__receive_admit(struct receive *r);
enum ph_step ph__receive_begin(struct receive *r);
enum ph_step ph__receive_quota(struct receive *r);
enum ph_step ph__receive_pack_bytes(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_resolve(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_bases(struct receive *r, uint32_t *budget);
void ph__receive_bases_release(struct receive *r);
enum ph_step ph__receive_targets(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_sort(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_connect(struct receive *r, uint32_t *budget);
/* Refuses commands for refs that are hidden, and for names that are none. */
enum ph_step ph__receive_names(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_aliases(struct receive *r, uint32_t *budget);
void ph__receive_connect_release(struct receive *r);
/* The maps of the base's packs, for a walk over the transaction's. */
enum ph_status ph__receive_maps(struct receive *r, struct ph_walk_options *options);
/* Whether one of them may be to blame: they are closed then, and all is to be done again. Whatever
 * uses them must be gone before. */
bool ph__receive_maps_blamed(struct receive *r, enum ph_status status);
/* ---- receive_hidden.c ---- */

/* Whether the pusher may not see all that is here. */
static inline bool receive_hides(const struct receive *r)
{
	return r->snapshot && r->config.hide_receive.count > 0;
}
/*
 * Whether everything that the walk has selected was brought by the push: what was here, and is not
 * reachable from what the pusher may see, proves nothing. PH_AGAIN: budget spent, call it again;
 * PH_ERR_MISSING.
 */
enum ph_status ph__receive_all_own(struct receive *r, uint32_t *budget);

/* ---- receive_shallow.c ---- */

/* One line of the client's boundary. PH_ERR_LIMIT, PH_ERR_NOMEM. */
enum ph_status ph__receive_shallow_add(struct receive *r, const struct ph_oid *oid);
/*
 * Whether any of it may be needed: commits that are not in the repository but in the pack. Only
 * those are kept. PH_AGAIN: budget spent.
 */
enum ph_status ph__receive_shallow_any(struct receive *r, bool *any, uint32_t *budget);
/* Has a walk end there. */
enum ph_status ph__receive_shallow_graft(struct receive *r, struct ph_walk *walk);
/* Takes note of where a walk has ended. */
enum ph_status ph__receive_shallow_used(struct receive *r, const struct ph_walk *walk);
/* Puts it into the transaction when a staged command needs it. */
enum ph_status ph__receive_shallow_stage(struct receive *r);
void ph__receive_shallow_release(struct receive *r);

/* Asks for the section while the pack is being written. */
enum ph_status ph__receive_tips_begin(struct receive *r);
/* Writes it, with the walk that has proven all commands. False: budget spent, call it again. */
bool ph__receive_tips(struct receive *r, uint32_t *budget);
/* Writes it when the pack is closed: all of it can be reached from heads. */
void ph__receive_tips_heads(struct receive *r, const struct ph_oid *heads, uint32_t count,
                            uint32_t entries);
/* Gives it up, unless it is complete. Before the pack is dropped, or the transaction freed. */
void ph__receive_tips_release(struct receive *r);
/*
 * Refuses a command that the configuration does not allow. PH_AGAIN: budget spent, call it again;
 * others are failures of ours.
 */
enum ph_status ph__receive_deny(struct receive *r, struct receive_command *c, uint32_t *budget);
void ph__receive_deny_release(struct receive *r);
enum ph_step ph__receive_pre_receive(struct receive *r);
enum ph_step ph__receive_check(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_rules(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_update(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_stage(struct receive *r, uint32_t *budget);
enum ph_step ph__receive_prepare(struct receive *r);
enum ph_step ph__receive_commit(struct receive *r);
/* Tells the owner what was committed. */
void ph__receive_post_receive(struct receive *r);
enum ph_step ph__receive_report(struct receive *r, uint32_t *budget);

/* ---- certificates ---- */

/* Makes the nonce, where certificates are asked for. */
enum ph_status ph__receive_cert_offer(struct receive *r);
enum ph_step ph__receive_cert_begin(struct receive *r);
/* A line of it, with its LF. */
enum ph_step ph__receive_cert_line(struct receive *r, const char *line, size_t len);
/* The next header of this name from *at on, which moves behind it. */
bool ph__receive_cert_header(const struct receive_cert *cert, const char *name, size_t *at,
                             const char **value, size_t *len);
void ph__receive_cert_release(struct receive *r);

/*
 * Brings the transaction's log in line with what is staged; verb begins each record. Records are
 * only ever added, so what was logged and is refused at the commit gets one that says so.
 */
enum ph_status ph__receive_log(struct receive *r, const char *verb);
/* Appends a name to the arena. PH_ERR_NOMEM, PH_ERR_LIMIT. */
enum ph_status ph__receive_name_add(struct receive *r, const char *name, size_t len, size_t *at);

#endif
