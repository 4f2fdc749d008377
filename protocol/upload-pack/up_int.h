/* SPDX-License-Identifier: MIT */
/*
 * The inside of an upload-pack session: one struct, one enum of states, one function a state. A
 * state function works until it cannot go on and says why (enum ph_step); when it is through, it
 * sets the next state and answers PH_STEP_AGAIN. So a session can stop behind any line and any
 * byte.
 *
 *   v0, v1   BEGIN ADVERT WANTS | TIPS (SHALLOW_KNOWN DEPTH SHALLOW_LINES) HAVES (CUT) | pack |
 *            DONE
 *   v2       BEGIN V2_ADVERT then for each request: V2_REQUEST V2_ARGS and
 *              LS_HEAD LS_REFS
 *              (WANT_REFS) TIPS (V2_HAVES V2_ACKS CUT) (SHALLOW...) WANTED_REFS | pack
 *              OBJECTS TIPS (PROVEN) ADMIT (REACH_TIPS REACH) OBJECT_LINES
 *              BUNDLE_LINES
 *   TIPS     TIPS (PROVEN) ADMIT (REACH_TIPS REACH) CHOSEN (FILTER FILTER_TIPS FILTER_REACH)
 *            (KNOWN_TIPS KNOWN_TARGETS KNOWN)
 *   HAVES    HAVES (HAVE)
 *   pack     PACK_BEGIN (WHOLE WHOLE_TIPS WHOLE_REACH) (SHARE_GRAFTS SHARE_TIPS SHARE)
 *            (WALK_GRAFTS WALK_TIPS WALK TAGS) (PACKFILE_URIS) PACK PACK_END
 *
 * Files: upload_pack.c dispatch and failing; up_input.c packets and object ids in; up_v0.c and
 * up_v2.c requests; up_refs.c ls-refs; up_want_refs.c wants by name; up_wants.c what may be had;
 * up_admit.c memory; up_maps.c maps of packs; up_filter.c patterns of filters; up_names.c refs by
 * short names; up_haves.c negotiation; up_known.c what counts as had where refs are hidden;
 * up_shallow.c depth; up_whole.c answers without a walk; up_shared.c answers
 * of other sessions; up_pack.c the answer; up_uris.c what comes from elsewhere; up_objects.c and
 * up_bundles.c the commands object-info and bundle-uri.
 */
#ifndef PACKHORSE_UP_INT_H
#define PACKHORSE_UP_INT_H

#include "admission_int.h"
#include "advert_int.h"
#include "map_set_int.h"
#include "oid_set_int.h"
#include "selections_int.h"
#include "visible_int.h"

#include <packhorse/config.h>
#include <packhorse/hash.h>
#include <packhorse/pack_out.h>
#include <packhorse/upload_pack.h>

enum ph__up_state {
	PH__UP_BEGIN,
	PH__UP_ADVERT,
	PH__UP_WANTS,
	PH__UP_HAVES,
	PH__UP_V2_ADVERT,
	PH__UP_V2_REQUEST,
	PH__UP_V2_ARGS,
	PH__UP_V2_HAVES,
	PH__UP_V2_ACKS,
	PH__UP_WANT_REFS,
	PH__UP_WANTED_REFS,
	PH__UP_OBJECTS,
	PH__UP_OBJECT_LINES,
	PH__UP_BUNDLE_LINES,
	PH__UP_LS_HEAD,
	PH__UP_LS_REFS,
	PH__UP_TIPS,
	PH__UP_PROVEN,
	PH__UP_ADMIT,
	PH__UP_REACH_TIPS,
	PH__UP_REACH,
	PH__UP_CHOSEN,
	PH__UP_KNOWN_TIPS,
	PH__UP_KNOWN_TARGETS,
	PH__UP_KNOWN,
	PH__UP_HAVE,
	PH__UP_FILTER,
	PH__UP_FILTER_TIPS,
	PH__UP_FILTER_REACH,
	PH__UP_CUT,
	PH__UP_SHALLOW_KNOWN,
	PH__UP_DEPTH,
	PH__UP_DEPTH_RUN,
	PH__UP_SHALLOW_LINES,
	PH__UP_UNSHALLOW_LINES,
	PH__UP_SHALLOW_DONE,
	PH__UP_PACK_BEGIN,
	PH__UP_WHOLE,
	PH__UP_WHOLE_TIPS,
	PH__UP_WHOLE_REACH,
	PH__UP_SHARE_GRAFTS,
	PH__UP_SHARE_TIPS,
	PH__UP_SHARE,
	PH__UP_WALK_GRAFTS,
	PH__UP_WALK_TIPS,
	PH__UP_WALK,
	PH__UP_TAGS,
	PH__UP_PACKFILE_URIS,
	PH__UP_PACK,
	PH__UP_PACK_END,
	PH__UP_FAIL,
	PH__UP_DONE
};

/* Marks on wants. */
#define PH__WANT_SEEN 1u   /* a ref's value in the snapshot that the client saw */
#define PH__WANT_NOW 2u    /* a ref's value now */
#define PH__WANT_TARGET 4u /* given to reach */
#define PH__WANT_PROVEN 8u /* a push has shown that it was reachable */
/* Marks on the client's shallow lines. */
#define PH__SHALLOW_KNOWN 1u
#define PH__SHALLOW_OPENED 2u /* unshallow was said */

/* What an id takes that the client names: in a set with its slots, half of them empty. */
#define PH__UP_TIP_BYTES 128u

/* Packs whose maps are used: a repository has one or two that are worth it, and each is looked for
 * in this list at every commit. */
#define PH__UP_MAPS_MAX PH__MAP_SET_MAX

/* How failing says so; see ph__up_fail. */
enum ph__up_say { PH__SAY_STDERR, PH__SAY_ERR, PH__SAY_BAND };

/* Prefixes of one ls-refs, sorted, none the prefix of another. Without any, all refs are listed. */
struct ph__prefixes {
	char *text; /* each with a NUL */
	size_t text_len, text_room;
	uint32_t *at; /* offsets into text */
	uint32_t count, room;
	uint32_t lines; /* ref-prefix lines seen, also of those not kept */
	bool all;       /* too many: they are ignored */
};

/* Refs wanted by name, in the order they were asked for. */
struct ph__want_ref {
	uint32_t name; /* where it is in text */
	struct ph_oid oid;
};
struct ph__want_refs {
	struct ph__want_ref *items;
	uint32_t count, room;
	char *text; /* names, each with a NUL */
	size_t text_len, text_room;
	struct ph__oid_set names; /* the names' hashes: to find repeats */
};

/* Objects that object-info asks for, in the order they were asked for; the set is wants. */
struct ph__infos {
	uint32_t *wants; /* numbers in wants */
	uint32_t count, room;
	bool size; /* sizes are asked for */
};

#define PH__URI_PROTOCOLS_MAX 127u

/* A command of protocol 2. */
enum ph__command {
	PH__COMMAND_NONE,
	PH__COMMAND_LS_REFS,
	PH__COMMAND_FETCH,
	PH__COMMAND_OBJECT_INFO,
	PH__COMMAND_BUNDLE_URI
};

/* How haves are acknowledged in protocols 0 and 1. */
enum ph__ack_mode { PH__ACK_ONCE, PH__ACK_MULTI, PH__ACK_DETAILED };

/* What one request asks for; v0 has one. Zeroed by ph__up_request_clear. */
struct ph__up_request {
	struct ph__oid_set wants, shallows;
	struct ph__oid_set haves;  /* v2: all lines; v0: the common ones */
	struct ph__oid_set opened; /* parents of the boundary that opens: wanted as well */
	struct ph__prefixes prefixes;
	struct ph__want_refs want_refs;
	struct ph__infos infos;
	uint32_t lines; /* packets read */
	uint32_t have_lines, server_options;
	uint32_t depth; /* of `deepen`; 0 for none */
	bool deepen_relative;
	bool deepen_list;        /* deepen-since or deepen-not was said */
	uint64_t since;          /* of `deepen-since`; 0 for none */
	struct ph__oid_set nots; /* values of the refs of `deepen-not` */
	struct ph_filter filter;
	bool filter_given, filter_cap;
	bool thin, ofs_delta, no_progress, include_tag, done;
	bool no_done, wait_for_done, sideband_all;
	enum ph__ack_mode ack_mode;
	/* Protocols by which objects may come from elsewhere, "http,https"; "" for none. */
	char uri_protocols[PH__URI_PROTOCOLS_MAX + 1];
	bool seen_line;  /* something of the request was read */
	size_t band_max; /* bytes in a packet's payload; 0 without a side-band */
	bool ls_peel, ls_symrefs, ls_unborn;
	enum ph__command command;
	enum ph_hash_algo algo; /* that the client speaks */
	bool algo_said;         /* by the client, in so many words */
};

/* The maps and the full entries of a snapshot's packs. */
struct ph__up_maps {
	const struct ph_snapshot *of; /* NULL: none were looked for */
	struct ph__map_set set;
	struct ph_fulls fulls[PH__UP_MAPS_MAX];
	uint32_t fulls_count;
};

/* The sparse:oid that is being looked up. */
struct ph__up_sparse {
	const char *path; /* what is left of its name; NULL before it has begun */
	struct ph_oid oid;
	bool has_path, peeled;
};

struct ph__up {
	struct ph_session session; /* first */
	enum ph__up_state state;
	int version;
	enum ph_hash_algo algo;
	char repo[PH_REPO_NAME_MAX + 1];
	char agent[128];
	char session_id[PH_SESSION_ID_BYTES]; /* "" when none is advertised */
	char failure[320];
	char culprit[PH_OID_HEX_MAX + 1]; /* the object that could not be read, or "" */
	enum ph__up_say failure_say;

	struct ph_config config; /* of the repository as it was when the session began */

	struct ph_snapshot *seen; /* what the client saw last: advertised, or its last ls-refs */
	struct ph_snapshot *now;  /* of this request, when seen does not have all wants */
	struct ph_snapshot *use;  /* one of the two; not held by itself */
	const struct ph_source *source;
	struct ph__up_maps maps;

	struct ph__advert advert;
	struct ph__up_request request;
	uint32_t cursor; /* of the state's loop */
	struct ph_ref_iter *iter;
	struct ph_ref ref;
	uint32_t marked; /* wants with the mark that TIPS is looking for */
	bool tips_now;   /* TIPS is at the snapshot of now */

	struct ph__admission admission;
	uint64_t claim_bytes;          /* 0 until ADMIT has reckoned */
	enum ph__up_state after_admit; /* REACH_TIPS or CHOSEN */

	struct ph_reach *reach;
	struct ph_reach
	        *known; /* haves that count, where refs are hidden; NULL: all that are here */
	struct ph_cut *cut;
	bool got_common, got_other; /* since the last flush */
	bool said_ready;
	struct ph_oid last_common, asked; /* asked: the unknown have that CUT runs for */
	bool cut_at_flush;
	bool cut_grafted;                          /* it has all boundaries */
	uint32_t cut_wants, cut_opened, cut_haves; /* given to cut so far */

	struct ph__up_sparse sparse;
	struct ph_depth *depth;
	uint32_t depth_cursor;
	uint32_t shallows_known;
	bool unshallow_all; /* every boundary within reach of a ref opens */
	bool shallow_reply;
	bool uris_said; /* the section packfile-uris has begun */

	uint32_t targets;               /* tips of packs that are no wants */
	bool whole_begun;               /* WHOLE is at work, */
	uint32_t whole_tip, whole_copy; /* at this tip and copy of the pack at the cursor */
	struct ph_walk *walk;           /* NULL: everything goes */
	struct ph__selection_user selection;
	bool walk_shared; /* walk belongs to the selection */
	struct ph_hash shared_hash;
	struct ph_oid shared_key;
	struct ph_pack_out *pack;
	struct ph_reader *reader;
	size_t filled;        /* bytes of the packet that is being filled */
	bool pack_phase;      /* from here on failure goes to band 3 */
	uint64_t spoke_at_ms; /* when output was last written in the pack phase */
};

/* Whether the client asks for a boundary. */
static inline bool ph__up_deepens(const struct ph__up_request *request)
{
	return request->depth > 0 || request->deepen_list;
}

typedef enum ph_step ph__up_function(struct ph__up *up, uint32_t *budget);

/* ---- upload_pack.c ---- */

/* Goes to a state, its cursor at 0. */
enum ph_step ph__up_go(struct ph__up *up, enum ph__up_state state);
/*
 * Ends the session with 128: the text on stderr as git says it, and as ERR packet or on band 3 as
 * say tells (in the pack phase always band 3, when there is one).
 */
enum ph_step ph__up_fail(struct ph__up *up, enum ph__up_say say, const char *format, ...)
        PH_PRINTF(3, 4);
/* The same for a status of a lower layer: a fixed phrase for the client, the detail to the log. */
enum ph_step ph__up_fail_status(struct ph__up *up, enum ph_status status, const char *during);
/* Forgets the request and all that was made for it. */
void ph__up_request_clear(struct ph__up *up);
/* To the next request (v2), or to the end. */
enum ph_step ph__up_request_done(struct ph__up *up);

/* Makes the reader, if there is none yet. */
enum ph_status ph__up_need_reader(struct ph__up *up);

/* Has the memory of the request claimed, unless that was done before, and goes to a state. */
enum ph_step ph__up_admit_then(struct ph__up *up, enum ph__up_state state);

/* Notes the client's own id of this session, for the log. */
void ph__up_session_id(struct ph__up *up, const char *text, size_t len);

/* ---- up_maps.c ---- */

/* Has the maps of this snapshot ready; those that cannot be read are done without. */
enum ph_status ph__up_maps_open(struct ph__up *up, struct ph_snapshot *snapshot);
/* Before their snapshot goes, and after what uses them. */
void ph__up_maps_close(struct ph__up *up);
/*
 * Whether what failed with this status, and is freed already, is to be done anew without maps: they
 * may be what is damaged. From then on this snapshot has none.
 */
bool ph__up_maps_blamed(struct ph__up *up, enum ph_status status);

/* ---- up_input.c ---- */

enum ph__up_got {
	PH__GOT_PKT,
	PH__GOT_END,  /* input ended between packets */
	PH__GOT_NONE, /* answer *step */
};
/*
 * The next packet, chomped. ERR from the client and what is no packet fail, and so does the end of
 * input inside one, or anywhere unless end_ok.
 */
enum ph__up_got ph__up_read(struct ph__up *up, struct ph_pkt *pkt, bool end_ok, enum ph_step *step);
/* An id at the front of a text; *rest is behind it. */
bool ph__up_oid(const struct ph__up *up, struct ph_oid *out, const char *text, size_t len,
                const char **rest, size_t *rest_len);
/* Fails for more of something than a limit allows, which is named. */
enum ph_step ph__up_too_many(struct ph__up *up, const char *what, const char *limit, uint64_t max);
/* Adds to one of the request's sets; what and limit are as in ph__up_too_many. */
enum ph_step ph__up_add(struct ph__up *up, struct ph__oid_set *set, const struct ph_oid *oid,
                        const char *what, const char *limit, uint32_t max);
/* Lines that both protocols have; *known tells whether it was one. PH_STEP_AGAIN when all is well.
 */
enum ph_step ph__up_common_line(struct ph__up *up, const struct ph_pkt *pkt, bool *known);
/* A printable copy of a line for a message, cut. */
const char *ph__up_show(char out[128], const void *text, size_t len);

/* Prefixes of ls-refs. */
enum ph_status ph__prefixes_add(struct ph__prefixes *prefixes, const struct ph_alloc *alloc,
                                uint32_t max, const char *text, size_t len);
void ph__prefixes_sort(struct ph__prefixes *prefixes);
void ph__prefixes_release(struct ph__prefixes *prefixes, const struct ph_alloc *alloc);
/* Whether a name begins with one of them, or all are listed. After sort. */
bool ph__prefixes_match(const struct ph__prefixes *prefixes, const char *name);

/* ---- up_names.c, up_filter.c ---- */

/*
 * The value of the ref that a short name means, of those that the client is shown; *count tells how
 * many there are, and out is the first in git's order.
 */
enum ph_status ph__up_name(struct ph__up *up, struct ph_snapshot *snapshot, const char *text,
                           size_t len, struct ph_oid *out, unsigned *count);
/* Behind CHOSEN: what the filter needs, and then on with the request. */
enum ph_step ph__up_filter_begin(struct ph__up *up);

/* ---- arguments of protocol 2: a line, PH_STEP_AGAIN when all is well; and their end ---- */

enum ph_step ph__up_want_ref_line(struct ph__up *up, const char *name, size_t len);
void ph__want_refs_release(struct ph__want_refs *refs, const struct ph_alloc *alloc);
enum ph_step ph__up_uris_line(struct ph__up *up, const char *protocols, size_t len);
enum ph_step ph__up_object_line(struct ph__up *up, const struct ph_pkt *pkt);

/* ---- up_wants.c ---- */

/*
 * The next ref that has a value which is good as a want; exact: for itself, not for what it
 * reaches. PH_AGAIN for one that is not; PH_END behind the last. The iterator is up->iter.
 */
enum ph_status ph__up_next_tip(struct ph__up *up, struct ph_snapshot *snapshot, bool exact);
/*
 * Takes the repository as it is now in the place of *out, with the configuration that holds now, so
 * that what was hidden before it was pushed stays so. PH_ERR_NOT_FOUND when it is gone.
 */
enum ph_status ph__up_take(struct ph__up *up, struct ph_snapshot **out);

/* ---- up_known.c ---- */

/* Finds out which haves and shallow lines count, and goes on behind CHOSEN. */
enum ph_step ph__up_known_begin(struct ph__up *up);
/* A have or shallow line that was given to known_begin; PH_ERR_NOT_FOUND when it does not count. */
enum ph_status ph__up_find(struct ph__up *up, const struct ph_oid *oid, struct ph_loc *loc);
/* The same for one that was not. PH_AGAIN. */
enum ph_status ph__up_find_now(struct ph__up *up, const struct ph_oid *oid, uint32_t *budget);

/* ---- up_shared.c ---- */

/* Goes on to select what goes, or to take what another session selects. */
enum ph_step ph__up_select_begin(struct ph__up *up);
/* The walk has selected all: others may have it. */
void ph__up_share_selected(struct ph__up *up);
/* Gives back what is shared, walk included. */
void ph__up_share_leave(struct ph__up *up);

/* ---- up_whole.c, up_pack.c ---- */

/* The commits whose parents do not count, one by one. PH_END behind the last. */
enum ph_status ph__up_next_graft(struct ph__up *up, struct ph_oid *oid);
/* What the walk begins from, one by one; OPENED is a have that has to be there. */
enum ph__up_tip { PH__TIP_NONE, PH__TIP_WANT, PH__TIP_OPENED, PH__TIP_HAVE, PH__TIP_END };
enum ph__up_tip ph__up_next_walk_tip(struct ph__up *up, struct ph_oid *oid);

/* Whether the request is one that may be answered with everything. */
bool ph__up_whole_may(const struct ph__up *up);
/* Goes on to select what goes by a walk. */
enum ph_step ph__up_walk_begin(struct ph__up *up);
/* In every state of the pack phase that may take long. */
void ph__up_keep_alive(struct ph__up *up);

/* ---- states ---- */

ph__up_function ph__up_advert, ph__up_wants, ph__up_haves;
ph__up_function ph__up_v2_advert, ph__up_v2_request, ph__up_v2_args;
ph__up_function ph__up_v2_haves, ph__up_v2_acks;
ph__up_function ph__up_want_refs, ph__up_wanted_refs, ph__up_packfile_uris;
ph__up_function ph__up_objects, ph__up_object_lines, ph__up_bundle_lines;
ph__up_function ph__up_ls_head, ph__up_ls_refs;
ph__up_function ph__up_tips, ph__up_admit, ph__up_reach_tips, ph__up_reach, ph__up_chosen;
ph__up_function ph__up_proven, ph__up_known_tips, ph__up_known_targets, ph__up_known, ph__up_have;
ph__up_function ph__up_filter, ph__up_filter_tips, ph__up_filter_reach;
ph__up_function ph__up_cut;
ph__up_function ph__up_shallow_known, ph__up_depth, ph__up_depth_run, ph__up_shallow_lines;
ph__up_function ph__up_unshallow_lines, ph__up_shallow_done;
ph__up_function ph__up_whole, ph__up_whole_tips, ph__up_whole_reach;
ph__up_function ph__up_share_grafts, ph__up_share_tips, ph__up_share;
ph__up_function ph__up_pack_begin, ph__up_walk_grafts, ph__up_walk_tips, ph__up_walk, ph__up_tags;
ph__up_function ph__up_pack, ph__up_pack_end;

#endif
