/* SPDX-License-Identifier: MIT */
/*
 * Filters of partial clones (git-rev-list --filter): which objects of a closure stay behind until
 * the client asks for them. A combined filter lets go what all its parts let go, so a filter is a
 * flat list of parts however deeply its spec nests.
 */
#ifndef PACKHORSE_FILTER_H
#define PACKHORSE_FILTER_H

#include <packhorse/object.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A spec comes from a client, and takes memory and time before anything is known of it. */
#define PH_FILTER_SPEC_MAX 4096u
/* combine: inside combine:. git nests one. */
#define PH_FILTER_NESTING_MAX 4u
/* Parts of one filter, combine: itself counted. */
#define PH_FILTER_PARTS_MAX 32u
/* The sparse-checkout patterns of one filter; those of large monorepos have a few KiB. */
#define PH_FILTER_SPARSE_BYTES_MAX ((uint64_t)256 << 10)
/* Room for a text that says what is wrong. */
#define PH_FILTER_WHY_MAX 160u

enum ph_filter_kind {
	PH_FILTER_NONE,
	PH_FILTER_BLOB_NONE,
	PH_FILTER_BLOB_LIMIT,
	PH_FILTER_TREE,
	PH_FILTER_SPARSE_OID,
	PH_FILTER_OBJECT_TYPE,
	PH_FILTER_COMBINE
};

struct ph__sparse;

struct ph_filter_part {
	enum ph_filter_kind kind;
	uint64_t number;          /* BLOB_LIMIT: bytes; TREE: depth */
	enum ph_object_type type; /* OBJECT_TYPE */
	const char *name;         /* SPARSE_OID: the blob as the client names it, NUL-terminated */
	struct ph__sparse *patterns; /* private: NULL until ph_filter_sparse_load */
};

struct ph_filter {
	enum ph_filter_kind kind; /* PH_FILTER_NONE: everything goes, and there are no parts */
	uint32_t count;
	struct ph_filter_part
	        *parts; /* in the order of the spec; a combine: before what it joins */
};

/*
 * From a filter-spec. PH_ERR_INVALID when it is none, PH_ERR_LIMIT, PH_ERR_NOMEM; *out is no filter
 * then, and why says it in git's words.
 */
PH_MUST_CHECK PH_API enum ph_status ph_filter_parse(struct ph_filter *out,
                                                    const struct ph_alloc *alloc, const char *spec,
                                                    size_t len, char why[PH_FILTER_WHY_MAX]);
/* Makes it no filter. */
PH_API void ph_filter_release(struct ph_filter *filter, const struct ph_alloc *alloc);

/* The name that configuration knows a kind by, such as "blob:none"; "none" for PH_FILTER_NONE. */
PH_API const char *ph_filter_kind_name(enum ph_filter_kind kind);

/*
 * Whether a filter may be used: PH_ERR_UNSUPPORTED, with what to tell the client in why. Bits are
 * 1 << kind; a combine: needs to be allowed itself, and so does each of its parts.
 */
struct ph_filter_policy {
	bool allow;              /* what neither bit says */
	uint32_t allowed;        /* kinds allowed by name */
	uint32_t denied;         /* kinds denied by name */
	uint64_t tree_depth_max; /* of tree:N */
};
PH_API enum ph_status ph_filter_allowed(const struct ph_filter *filter,
                                        const struct ph_filter_policy *policy,
                                        char why[PH_FILTER_WHY_MAX]);

/*
 * Gives a part of kind PH_FILTER_SPARSE_OID its patterns: the contents of the blob that it names,
 * which are copied. Every such part needs them before a walk is made. PH_ERR_LIMIT, PH_ERR_NOMEM.
 */
PH_MUST_CHECK PH_API enum ph_status ph_filter_sparse_load(struct ph_filter *filter, uint32_t part,
                                                          const struct ph_alloc *alloc,
                                                          const void *data, size_t size);

/*
 * Whether the filter decides by type and size alone, whatever tree an object is in. Then omits says
 * how, of objects that were not wanted by id. Tags and commits that tags name count as wanted so.
 */
PH_API bool ph_filter_by_object(const struct ph_filter *filter);
PH_API bool ph_filter_omits(const struct ph_filter *filter, enum ph_object_type type,
                            uint64_t size);

#ifdef __cplusplus
}
#endif
#endif
