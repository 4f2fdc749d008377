/* SPDX-License-Identifier: MIT */
/*
 * The log of pushes as a ref (packhorse.pushLogRef): a chain of commits, one for each record, whose
 * trees hold the record as the store keeps it, and the push's certificate where there is one. It
 * comes from the records alone, so the same records give the same commits, and since each record
 * names the hash of the one before it, what a tip shows can be checked against the store's chain
 * and the other way round. It is made soon after a push and before anything is dropped: until
 * then nothing reaches a certificate.
 */
#include "maint_int.h"
#include "tips_int.h"
#include "visible_int.h"

#include <packhorse/config.h>

#include <stdio.h>
#include <string.h>

/* The hash of the last record that the ref has, in hex: a setting of the repository. */
#define SETTING "push-log-ref"
#define HASH_HEX 64u
/* Records of one job: the rest is for the next. Three objects each. */
#define RECORDS_MAX 4096u
#define OBJECTS_EACH 3u
/* A record is hashed, deflated and parsed again. */
#define RECORD_COST 16u
#define COMMIT_BYTES 4096u
#define DEFLATED_BYTES (PH_LOG_LINKED_MAX + 512u)
#define LEVEL 6
/* Seconds: what fsck takes for a date. */
#define TIME_MAX ((unsigned long long)1 << 50)

static void hash_hex(char hex[PH_OID_HEX_MAX + 1], const void *data, size_t len)
{
	struct ph_hash hash;
	struct ph_oid oid;

	ph_hash_init(&hash, PH_HASH_SHA256);
	ph_hash_update(&hash, data, len);
	ph_hash_final(&hash, &oid);
	ph_oid_to_hex(hex, PH_HASH_SHA256, &oid);
}

/* A record with a NUL behind it. */
static enum ph_status read_record(const struct ph__maint *maint, uint64_t number,
                                  char text[PH_LOG_LINKED_MAX + 1], size_t *len)
{
	enum ph_status status;

	*len = PH_LOG_LINKED_MAX;
	status = ph_snapshot_log_read(maint->snapshot, number, text, len);
	if (status == PH_OK)
		text[*len] = 0;
	return status;
}

/* ---- what is due ---- */

static enum ph_status wanted(const struct ph__maint *maint, bool *out)
{
	const struct ph_service *service = &maint->session.service;
	struct ph_config config;
	enum ph_status status =
	        ph_config_load(&config, service->store, maint->snapshot, service->alloc);

	if (status != PH_OK)
		return status;
	*out = config.push_log_ref;
	ph_config_release(&config, service->alloc);
	return PH_OK;
}

/* The record that the ref ends with, as hex; "" when there is no ref. */
static enum ph_status covered(const struct ph__maint *maint, char hex[HASH_HEX + 1],
                              struct ph_ref *ref)
{
	size_t len = HASH_HEX;
	enum ph_status status = ph_snapshot_ref(maint->snapshot, PH__LOG_REF, ref);

	hex[0] = 0;
	if (status == PH_OK)
		status = ph_snapshot_setting(maint->snapshot, SETTING, hex, &len);
	if (status == PH_OK)
		hex[len] = 0;
	return status == PH_ERR_NOT_FOUND ? PH_OK : status;
}

enum ph_status ph__maint_log_due(struct ph__maint *maint, bool *due)
{
	uint64_t count = ph_snapshot_log_count(maint->snapshot);
	char text[PH_LOG_LINKED_MAX + 1], newest[PH_OID_HEX_MAX + 1];
	size_t len;
	enum ph_status status = PH_OK;

	*due = false;
	if (count > 0)
		status = wanted(maint, due);
	if (status != PH_OK || !*due)
		return status;
	status = covered(maint, maint->log.covered, &maint->ref);
	if (status == PH_OK)
		status = read_record(maint, count - 1, text, &len);
	if (status != PH_OK)
		return status;
	hash_hex(newest, text, len);
	*due = strcmp(newest, maint->log.covered) != 0;
	maint->log.tip = maint->ref.oid;
	if (!maint->log.covered[0])
		memset(&maint->log.tip, 0, sizeof(maint->log.tip));
	maint->log.at = maint->log.end = count;
	return PH_OK;
}

uint64_t ph__maint_log_reckon(const struct ph_limits *limits)
{
	return ph_footprint_pack_in(limits, (uint64_t)RECORDS_MAX * OBJECTS_EACH) +
	       ph_footprint_deflate();
}

/* ---- the pack ---- */

void ph__maint_log_release(struct ph__maint *maint)
{
	struct ph__maint_log *log = &maint->log;

	ph_pack_in_free(log->in);
	ph_deflate_free(log->deflate);
	log->in = NULL;
	log->deflate = NULL;
}

static enum ph_step without(struct ph__maint *maint, enum ph_status status)
{
	const struct ph_service *service = &maint->session.service;

	ph_log_line(service->log, PH_LOG_WARN, "maintenance", service->connection,
	            "%s: no ref of the push log: %s", maint->repo, ph_status_text(status));
	maint->no.log = true;
	return ph__maint_again(maint);
}

static enum ph_status put(struct ph__maint_log *log, const void *data, size_t len)
{
	const uint8_t *at = data;
	enum ph_status status = PH_OK;

	while (len > 0 && status >= 0 && status != PH_END) {
		uint32_t budget = UINT32_MAX;
		size_t used = 0;

		status = ph_pack_in_write(log->in, at, len, &used, &budget);
		at += used;
		len -= used;
	}
	return status;
}

static enum ph_status put_hashed(struct ph__maint_log *log, const void *data, size_t len)
{
	ph_hash_update(&log->hash, data, len);
	return put(log, data, len);
}

static enum ph_status put_object(struct ph__maint_log *log, enum ph_object_type type,
                                 const void *data, size_t size, struct ph_oid *oid)
{
	uint8_t header[16], deflated[DEFLATED_BYTES];
	size_t at = 0, in = 0, out = 0, rest = size >> 4;
	enum ph_status status;

	header[at] = (uint8_t)((unsigned)type << 4 | (size & 15));
	for (; rest; rest >>= 7) {
		header[at++] |= 0x80;
		header[at] = (uint8_t)(rest & 127);
	}
	ph_hash_object(oid, log->options.algo, type, data, size);
	ph_deflate_start(log->deflate);
	status = ph_deflate_step(log->deflate, data, &in, size, deflated, &out, sizeof(deflated),
	                         true);
	if (status != PH_END)
		return status < 0 ? status : PH_ERR_LIMIT;
	status = put_hashed(log, header, at + 1);
	return status < 0 ? status : put_hashed(log, deflated, out);
}

static enum ph_status pack_begin(struct ph__maint *maint)
{
	const struct ph_service *service = &maint->session.service;
	struct ph__maint_log *log = &maint->log;
	uint32_t objects = (uint32_t)(log->end - log->at) * OBJECTS_EACH;
	uint8_t header[12] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};
	struct ph_pack_in_options *options = &log->options;
	enum ph_status status = ph_store_begin(service->store, maint->snapshot, &maint->txn);

	/* Small, and what is let go of has to wait for it. */
	if (status == PH_OK)
		maint->txn->upkeep = true;
	*options = (struct ph_pack_in_options){.algo = maint->snapshot->algo,
	                                       .alloc = service->alloc,
	                                       .limits = service->limits,
	                                       .base = maint->source};
	for (unsigned i = 0; i < 4; i++)
		header[8 + i] = (uint8_t)(objects >> (24 - 8 * i));
	if (status == PH_OK)
		status = ph_txn_pack_begin(maint->txn, &log->pack);
	if (status == PH_OK)
		status = ph_txn_sink(maint->txn, log->pack, PH_SECTION_RUN, &options->run);
	if (status == PH_OK)
		status = ph_txn_sink(maint->txn, log->pack, PH_SECTION_INDEX, &options->index);
	if (status == PH_OK)
		status = ph_txn_sink(maint->txn, log->pack, PH_SECTION_SCRATCH, &options->scratch);
	if (status == PH_OK)
		status = ph_txn_sink(maint->txn, log->pack, PH__SECTION_TIPS, &log->tips);
	if (status == PH_OK)
		status = ph_pack_in_new(&log->in, options);
	if (status == PH_OK)
		status = ph_deflate_new(&log->deflate, service->alloc, LEVEL);
	if (status != PH_OK)
		return status;
	ph_hash_init(&log->hash, options->algo);
	return put_hashed(log, header, sizeof(header));
}

/* ---- a record's commit ---- */

struct said {
	char verb[16], who[300], ref[PH_REF_NAME_MAX + 1];
	struct ph_oid certificate; /* zero: none */
	unsigned long long time;
	uint32_t refs;
};

/* At most room - 1 bytes up to the end of the line; what git's own headers are made of is not. */
static void copy_line(char *out, size_t room, const char *text)
{
	size_t len = 0;

	for (; text[len] && text[len] != '\n' && len + 1 < room; len++)
		out[len] = text[len] == '<' || text[len] == '>' ? '?' : text[len];
	out[len] = 0;
}

/* "push 1700000000 alice" */
static const char *read_first(struct said *said, const char *line)
{
	size_t verb = strcspn(line, " \n");
	const char *at = line + verb + 1;

	if (line[verb] != ' ' || verb >= sizeof(said->verb))
		return strchr(line, '\n');
	memcpy(said->verb, line, verb);
	said->verb[verb] = 0;
	for (; *at >= '0' && *at <= '9' && said->time < TIME_MAX; at++)
		said->time = 10 * said->time + (unsigned)(*at - '0');
	if (*at == ' ')
		copy_line(said->who, sizeof(said->who), at + 1);
	return strchr(line, '\n');
}

static void read_line(struct said *said, const char *line, enum ph_hash_algo algo)
{
	size_t hex = 2 * ph_hash_bytes(algo);

	if (strncmp(line, "certificate ", 12) == 0) {
		if (strlen(line) > 12 + hex)
			(void)ph_oid_from_hex(&said->certificate, algo, line + 12, hex);
	} else if (strncmp(line, "key ", 4) != 0 && strncmp(line, "options ", 8) != 0) {
		if (said->refs++ == 0 && strlen(line) > 2 * hex + 2)
			copy_line(said->ref, sizeof(said->ref), line + 2 * hex + 2);
	}
}

/* What a record says, for people; one that is not as ours are says nothing. */
static void read_said(struct said *said, const char *text, enum ph_hash_algo algo)
{
	const char *line = strchr(text, '\n');

	memset(said, 0, sizeof(*said));
	memcpy(said->verb, "record", 7);
	memcpy(said->who, "-", 2);
	if (line)
		line = read_first(said, line + 1);
	while (line && line[1]) {
		read_line(said, line + 1, algo);
		line = strchr(line + 1, '\n');
	}
}

static size_t put_entry(uint8_t *out, const char *mode_and_name, const struct ph_oid *oid,
                        enum ph_hash_algo algo)
{
	size_t len = strlen(mode_and_name) + 1;

	memcpy(out, mode_and_name, len);
	memcpy(out + len, oid->bytes, ph_hash_bytes(algo));
	return len + ph_hash_bytes(algo);
}

static bool is_blob(const struct ph__maint *maint, const struct ph_oid *oid)
{
	struct ph_loc loc;
	struct ph_entry entry;

	return !ph_oid_is_zero(oid) &&
	       maint->source->ops->find(maint->source, oid, &loc) == PH_OK &&
	       maint->source->ops->entry(maint->source, loc, &entry) == PH_OK &&
	       entry.type == PH_OBJ_BLOB;
}

static enum ph_status put_tree(struct ph__maint *maint, const struct said *said,
                               const struct ph_oid *record, struct ph_oid *tree)
{
	enum ph_hash_algo algo = maint->log.options.algo;
	uint8_t data[128];
	size_t len = 0;

	if (is_blob(maint, &said->certificate))
		len = put_entry(data, "100644 certificate", &said->certificate, algo);
	len += put_entry(data + len, "100644 record", record, algo);
	return put_object(&maint->log, PH_OBJ_TREE, data, len, tree);
}

static enum ph_status put_commit(struct ph__maint_log *log, const struct said *said,
                                 const struct ph_oid *tree)
{
	enum ph_hash_algo algo = log->options.algo;
	char text[COMMIT_BYTES], hex[PH_OID_HEX_MAX + 1], more[32] = "";
	bool first = ph_oid_is_zero(&log->tip);
	int len = snprintf(text, sizeof(text), "tree %s\n", ph_oid_to_hex(hex, algo, tree));

	if (!first)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "parent %s\n",
		                ph_oid_to_hex(hex, algo, &log->tip));
	if (said->refs > 1)
		snprintf(more, sizeof(more), " and %u more", said->refs - 1);
	len += snprintf(text + len, sizeof(text) - (size_t)len,
	                "author %s <> %llu +0000\ncommitter %s <> %llu +0000\n\n%s by %s: %s%s\n",
	                said->who, said->time, said->who, said->time, said->verb, said->who,
	                said->ref, more);
	return put_object(log, PH_OBJ_COMMIT, text, (size_t)len, &log->tip);
}

static enum ph_status put_record(struct ph__maint *maint)
{
	struct ph__maint_log *log = &maint->log;
	char text[PH_LOG_LINKED_MAX + 1], hex[PH_OID_HEX_MAX + 1];
	struct said said;
	struct ph_oid record, tree;
	size_t len;
	enum ph_status status = read_record(maint, log->at, text, &len);

	if (status != PH_OK)
		return status;
	read_said(&said, text, log->options.algo);
	status = put_object(log, PH_OBJ_BLOB, text, len, &record);
	if (status >= 0)
		status = put_tree(maint, &said, &record, &tree);
	if (status >= 0)
		status = put_commit(log, &said, &tree);
	hash_hex(hex, text, len);
	memcpy(log->covered, hex, sizeof(log->covered));
	return status;
}

/* ---- states ---- */

/* Back from the newest record to the one behind what the ref has, or to the oldest kept. */
enum ph_step ph__maint_log_find(struct ph__maint *maint, uint32_t *budget)
{
	struct ph__maint_log *log = &maint->log;
	char text[PH_LOG_LINKED_MAX + 1];
	size_t len;

	while (log->at > 0) {
		enum ph_status status;

		if (*budget == 0)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, 1);
		status = read_record(maint, --log->at, text, &len);
		if (status != PH_OK)
			return without(maint, status);
		if (log->covered[0] && len > HASH_HEX && memcmp(text, log->covered, HASH_HEX) == 0)
			break;
	}
	if (log->end - log->at > RECORDS_MAX)
		log->end = log->at + RECORDS_MAX;
	log->count = (uint32_t)(log->end - log->at);
	return ph__maint_go(maint, PH__MAINT_LOG_WRITE);
}

enum ph_step ph__maint_log_write(struct ph__maint *maint, uint32_t *budget)
{
	struct ph__maint_log *log = &maint->log;
	struct ph_oid trailer;
	enum ph_status status = maint->txn ? PH_OK : pack_begin(maint);

	while (status >= 0 && log->at < log->end) {
		if (*budget == 0)
			return PH_STEP_AGAIN;
		ph_budget_spend(budget, RECORD_COST);
		status = put_record(maint);
		log->at++;
	}
	if (status >= 0) {
		ph_hash_final(&log->hash, &trailer);
		status = put(log, trailer.bytes, ph_hash_bytes(log->options.algo));
	}
	return status < 0 ? without(maint, status) : ph__maint_go(maint, PH__MAINT_LOG_END);
}

static enum ph_status set_ref(struct ph__maint *maint)
{
	struct ph__maint_log *log = &maint->log;
	struct ph_ref ref;
	struct ph_oid old = {{0}};
	uint32_t change;
	enum ph_status status = ph_snapshot_ref(maint->snapshot, PH__LOG_REF, &ref);

	if (status == PH_OK)
		old = ref.oid;
	else if (status != PH_ERR_NOT_FOUND)
		return status;
	status = ph_txn_ref_update(maint->txn, PH__LOG_REF, &old, &log->tip, NULL, &change);
	if (status != PH_OK)
		return status;
	return ph_txn_set_setting(maint->txn, SETTING, log->covered, HASH_HEX);
}

enum ph_step ph__maint_log_end(struct ph__maint *maint, uint32_t *budget)
{
	struct ph__maint_log *log = &maint->log;
	enum ph_hash_algo algo = maint->snapshot->algo;
	enum ph_status status = ph_pack_in_run(log->in, budget);

	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status == PH_OK)
		status = ph_txn_pack_end(maint->txn, log->pack);
	/* All that is in it can be reached from its last commit, but for certificates. */
	if (status == PH_OK)
		status = ph__tips_write(log->tips, algo, log->count * OBJECTS_EACH, 1, 0);
	if (status == PH_OK)
		status = ph__tips_write_tip(log->tips, algo, &log->tip);
	if (status == PH_OK)
		status = set_ref(maint);
	ph__maint_log_release(maint);
	return status == PH_OK ? ph__maint_go(maint, PH__MAINT_COMMIT) : without(maint, status);
}
