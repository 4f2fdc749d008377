/* SPDX-License-Identifier: MIT */
/*
 * Status codes, allocator, locks, limits and the conventions that hold everywhere.
 *
 * Conventions, said once:
 *  - Functions return enum ph_status: 0 is success, negative is an error, positive is a condition
 *    that is not an error (more work, no more items). Out-parameters are written on success only,
 *    unless the function says otherwise.
 *  - A pointer may be NULL only where its length is 0 or the text says so.
 *  - S_init sets up a caller's struct, S_release gives back what it holds; S_new allocates, S_free
 *    takes NULL. An object is used by one thread at a time unless its header says it is shared.
 *  - The library has no globals, starts no thread, opens nothing, reads no clock and calls no
 *    malloc: everything it needs is passed in.
 *  - Assertions guard against programming errors and stay on in release builds. No bytes from a
 * peer can trip one.
 */
#ifndef PACKHORSE_BASE_H
#define PACKHORSE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PH_API __attribute__((visibility("default")))
#define PH_MUST_CHECK __attribute__((warn_unused_result))
#define PH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define PH_API
#define PH_MUST_CHECK
#define PH_PRINTF(fmt, args)
#endif

/*
 * Every status: name, value, text. The text is a short fixed phrase that may be shown to a peer.
 * Comments say what the caller must do.
 */
#define PH_STATUS_MAP(X)                                                                           \
	X(OK, 0, "ok")                                                                             \
	/* Budget spent: call again. */                                                            \
	X(AGAIN, 1, "more work to do")                                                             \
	/* Something else will complete it; wait for the wake callback, then call again. */        \
	X(PENDING, 2, "waiting")                                                                   \
	/* No more items, or the end of a stream. */                                               \
	X(END, 3, "end")                                                                           \
	X(ERR_NOMEM, -1, "out of memory")                                                          \
	X(ERR_LIMIT, -2, "a limit was exceeded")                                                   \
	X(ERR_NOT_FOUND, -3, "not found")                                                          \
	X(ERR_EXISTS, -4, "already exists")                                                        \
	/* A ref or repository moved since the transaction began: prepare again, or report it. */  \
	X(ERR_CONFLICT, -5, "changed meanwhile")                                                   \
	/* What is stored does not match its checksum or its format. */                            \
	X(ERR_CORRUPT, -6, "stored data is corrupt")                                               \
	/* The device failed. The store is read-only until it is opened again. */                  \
	X(ERR_IO, -7, "input/output error")                                                        \
	X(ERR_READ_ONLY, -8, "store is read-only")                                                 \
	X(ERR_FULL, -9, "no space left in the store")                                              \
	/* Malformed bytes from a peer or a caller. */                                             \
	X(ERR_INVALID, -10, "malformed input")                                                     \
	X(ERR_TRUNCATED, -11, "unexpected end of input")                                           \
	X(ERR_CHECKSUM, -12, "checksum mismatch")                                                  \
	X(ERR_ZLIB, -13, "bad zlib stream")                                                        \
	X(ERR_DELTA, -14, "bad delta")                                                             \
	X(ERR_MISSING_BASE, -15, "unresolved deltas")                                              \
	/* An object other objects refer to is not there. */                                       \
	X(ERR_MISSING, -16, "missing object")                                                      \
	/* A received object breaks a rule that clients rely on for their safety. */               \
	X(ERR_FSCK, -17, "object failed a safety check")                                           \
	X(ERR_COLLISION, -18, "hash collision")                                                    \
	X(ERR_DENIED, -19, "permission denied")                                                    \
	X(ERR_UNSUPPORTED, -20, "not supported")                                                   \
	X(ERR_BUSY, -21, "in use")                                                                 \
	X(ERR_TIMEOUT, -22, "timed out")

enum ph_status {
#define X(name, value, text) PH_##name = (value),
	PH_STATUS_MAP(X)
#undef X
};

/* The fixed text of a status; "unknown status" for a value that is none. Never NULL. */
PH_API const char *ph_status_text(enum ph_status status);
/* Its name without the prefix, such as "ERR_NOMEM". Never NULL. */
PH_API const char *ph_status_name(enum ph_status status);

/*
 * Memory. One allocator serves one tree of objects; it must outlive them. All three calls may come
 * from any thread that uses the tree. alloc and resize return memory aligned for any type, or NULL,
 * which makes the calling function return PH_ERR_NOMEM with its objects unchanged. resize(NULL) is
 * alloc; free(NULL) does nothing. size is never 0.
 */
struct ph_alloc {
	void *user;
	void *(*alloc)(void *user, size_t size);
	void *(*resize)(void *user, void *ptr, size_t size);
	void (*free)(void *user, void *ptr);
};

/* The C library's malloc. Lives in a library of its own, so that who brings another links none. */
PH_API const struct ph_alloc *ph_alloc_libc(void);

PH_API void *ph_mem_alloc(const struct ph_alloc *alloc, size_t size);
/* count * size zeroed bytes, or NULL also when the product overflows. */
PH_API void *ph_mem_zalloc(const struct ph_alloc *alloc, size_t count, size_t size);
/* Resize to count * size bytes, or NULL (ptr stays valid) also when the product overflows. */
PH_API void *ph_mem_resize(const struct ph_alloc *alloc, void *ptr, size_t count, size_t size);
PH_API void ph_mem_free(const struct ph_alloc *alloc, void *ptr);
/* A NUL-terminated copy of len bytes, or NULL. */
PH_API char *ph_mem_strdup(const struct ph_alloc *alloc, const char *text, size_t len);

/*
 * Locks, given by an owner that uses a store from several threads; NULL where a single thread uses
 * it. Not recursive. mutex_new may fail (PH_ERR_NOMEM).
 */
struct ph_sync {
	void *user;
	enum ph_status (*mutex_new)(void *user, void **out);
	void (*mutex_free)(void *user, void *mutex);
	void (*mutex_lock)(void *user, void *mutex);
	void (*mutex_unlock)(void *user, void *mutex);
};

/* What went wrong, kept by long-lived objects. text is a static string or "". */
struct ph_error {
	enum ph_status status;
	uint64_t offset;  /* bytes into the stream being parsed, where known */
	const char *what; /* static: the rule broken, such as an fsck message id */
	char detail[96];  /* printable ASCII: an object id, a name; may be "" */
};

/*
 * Log lines. message is UTF-8 without control characters (what came from a peer is escaped before
 * it gets here), at most 400 bytes, without a newline. The callback may be called from any thread
 * that drives a session. source is a short static word such as "receive-pack".
 */
enum ph_log_level { PH_LOG_ERROR, PH_LOG_WARN, PH_LOG_INFO, PH_LOG_DEBUG };

struct ph_log {
	void *user;
	enum ph_log_level level; /* lines above this level are not made */
	void (*write)(void *user, enum ph_log_level level, const char *source, uint64_t connection,
	              const char *message);
};

/* Formats and writes a line; log may be NULL. Control and non-ASCII bytes become \xNN. */
PH_API void ph_log_line(const struct ph_log *log, enum ph_log_level level, const char *source,
                        uint64_t connection, const char *format, ...) PH_PRINTF(5, 6);

/*
 * A budget counts work units. One unit is 4 KiB read, inflated or hashed, or one object walked.
 * Functions that take one subtract what they did and return PH_AGAIN when it is spent. One call may
 * overdraw by a single step (at most 1 MiB of bytes), never by more.
 */
#define PH_BUDGET_UNIT_BYTES 4096u

static inline void ph_budget_spend(uint32_t *budget, uint64_t units)
{
	*budget = units >= *budget ? 0 : *budget - (uint32_t)units;
}

static inline void ph_budget_spend_bytes(uint32_t *budget, uint64_t bytes)
{
	ph_budget_spend(budget, (bytes + PH_BUDGET_UNIT_BYTES - 1) / PH_BUDGET_UNIT_BYTES);
}

/* Every limit, with its default and the reason. All are inclusive maxima. */
#define PH_LIMITS_MAP(X)                                                                           \
	/* A received object, inflated. Larger ones belong in LFS; protects walk and client. */    \
	X(uint64_t, object_bytes_max, (uint64_t)4 << 30)                                           \
	/* A commit, tree or tag: they are parsed whole in memory. git's own largest are < 32 MiB. \
	 */                                                                                        \
	X(uint64_t, metadata_bytes_max, (uint64_t)64 << 20)                                        \
	/* An object kept whole in memory while a delta is applied. */                             \
	X(uint64_t, delta_resident_bytes_max, (uint64_t)16 << 20)                                  \
	/* Cache of delta bases, per pack received and per reader. */                              \
	X(uint64_t, delta_cache_bytes_max, (uint64_t)16 << 20)                                     \
	/* Links in a chain of deltas; git writes at most 4095. */                                 \
	X(uint32_t, delta_depth_max, 4095)                                                         \
	/* One pushed pack as it comes over the wire. */                                           \
	X(uint64_t, pack_bytes_max, (uint64_t)1 << 40)                                             \
	X(uint32_t, pack_objects_max, 100000000)                                                   \
	/* Inflated bytes of one pack may be at most this many times its own size, plus            \
	 * inflate_slack_bytes: stops zip and delta bombs. git.git is 26 times. */                 \
	X(uint32_t, inflate_ratio_max, 2000)                                                       \
	X(uint64_t, inflate_slack_bytes, (uint64_t)1 << 30)                                        \
	/* Ref names: file systems of clones stop at 255 a component, 4096 a path. */              \
	X(uint32_t, ref_name_bytes_max, 1024)                                                      \
	X(uint32_t, repo_name_bytes_max, 255)                                                      \
	X(uint32_t, refs_max, 1000000)                                                             \
	X(uint32_t, repos_max, 100000)                                                             \
	/* Commands of one push. */                                                                \
	X(uint32_t, commands_max, 200000)                                                          \
	/* A push certificate: its commands, and some lines around them. */                        \
	X(uint64_t, certificate_bytes_max, (uint64_t)32 << 20)                                     \
	X(uint32_t, certificate_lines_max, 201000)                                                 \
	/* All names in them: 200000 of 300 bytes. Bounds what a client makes us hold. */          \
	X(uint64_t, command_bytes_max, (uint64_t)64 << 20)                                         \
	/* Push options are kept for policies and logs; nobody types more, or longer ones. */      \
	X(uint32_t, push_options_max, 64)                                                          \
	X(uint32_t, push_option_bytes_max, 4096)                                                   \
	/* Negotiation: a client that needs more than this has lost its way. */                    \
	X(uint32_t, wants_max, 200000)                                                             \
	X(uint32_t, haves_max, 1000000)                                                            \
	/* Refs whose history a shallow clone leaves out; people name one. */                      \
	X(uint32_t, deepen_nots_max, 1024)                                                         \
	X(uint32_t, shallows_max, 200000)                                                          \
	/* git itself ignores all prefixes from the 65536th on. */                                 \
	X(uint32_t, ref_prefixes_max, 65535)                                                       \
	/* want-ref lines, and the names of refs in them: people name a handful, scripts more. */  \
	X(uint32_t, want_refs_max, 65536)                                                          \
	X(uint64_t, want_ref_bytes_max, (uint64_t)4 << 20)                                         \
	/* Objects in one object-info request: a checkout of a partial clone asks in batches. */   \
	X(uint32_t, object_infos_max, 65536)                                                       \
	/* Server options are logged; nobody types more, or longer ones. */                        \
	X(uint32_t, server_options_max, 64)                                                        \
	X(uint32_t, server_option_bytes_max, 4096)                                                 \
	/* Packets of one request, repeats among them: all that the limits above allow fits. */    \
	X(uint32_t, request_lines_max, 2000000)                                                    \
	X(uint32_t, depth_max, 2147483647)                                                         \
	/* Objects one request may walk. */                                                        \
	X(uint64_t, walk_objects_max, 1000000000)                                                  \
	/* A client that sends or takes nothing for this long is cut off; while others wait for    \
	 * the memory its transfer holds, one that sends and takes less than 64 KiB. */            \
	X(uint32_t, idle_ms_max, 600000)                                                           \
	/* Silence on a side-band after which an empty packet keeps the connection alive. */       \
	X(uint32_t, keepalive_ms, 5000)

struct ph_limits {
#define X(type, name, value) type name;
	PH_LIMITS_MAP(X)
#undef X
};

/* The defaults above. */
PH_API void ph_limits_init(struct ph_limits *limits);
/* Sets one by its name. PH_ERR_NOT_FOUND, PH_ERR_LIMIT when the value does not fit. */
PH_API enum ph_status ph_limits_set(struct ph_limits *limits, const char *name, size_t name_len,
                                    uint64_t value);

#ifdef __cplusplus
}
#endif
#endif
