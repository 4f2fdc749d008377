/* SPDX-License-Identifier: MIT */
/*
 * A push certificate is kept as a blob, as in git, in a pack of its own within the push's
 * transaction: it is there exactly if the push is. It stays apart from the pusher's objects because
 * what is noted of those is that refs reach all of them.
 */
#include "receive_int.h"

#include <packhorse/pack_index.h>

#include <string.h>

#define CHUNK_BYTES 16384u
#define LEVEL 6
/* Of a packfile that is written nowhere: its hash is what the index has for a trailer. */
#define PACK_HEADER_BYTES 12u
#define ENTRY_HEADER_BYTES_MAX 10u

static enum ph_status put(struct receive_cert *cert, const void *data, size_t len)
{
	ph_hash_update(&cert->trailer, data, len);
	return cert->run->ops->append(cert->run, data, len);
}

/* The entry's type and size: four bits of it and then seven at a time. */
static enum ph_status put_header(struct receive_cert *cert)
{
	uint8_t bytes[ENTRY_HEADER_BYTES_MAX];
	uint64_t size = cert->len;
	size_t len = 0;

	bytes[len] = (uint8_t)(PH_OBJ_BLOB << 4 | (size & 15));
	for (size >>= 4; size > 0; size >>= 7) {
		bytes[len++] |= 0x80;
		bytes[len] = (uint8_t)(size & 0x7f);
	}
	return put(cert, bytes, len + 1);
}

static enum ph_status begin(struct receive *r)
{
	static const uint8_t header[PACK_HEADER_BYTES] = {'P', 'A', 'C', 'K', 0, 0,
	                                                  0,   2,   0,   0,   0, 1};
	struct receive_cert *cert = &r->cert;
	enum ph_status status = ph_txn_pack_begin(r->txn, &cert->pack);

	if (status == PH_OK)
		status = ph_txn_sink(r->txn, cert->pack, PH_SECTION_RUN, &cert->run);
	if (status == PH_OK)
		status = ph_txn_sink(r->txn, cert->pack, PH_SECTION_INDEX, &cert->index);
	if (status == PH_OK)
		status = ph_deflate_new(&cert->deflate, r->session.service.alloc, LEVEL);
	if (status != PH_OK)
		return status;
	ph_deflate_start(cert->deflate);
	ph_hash_init(&cert->trailer, r->algo);
	ph_hash_update(&cert->trailer, header, sizeof(header));
	return put_header(cert);
}

static enum ph_status end(struct receive *r)
{
	struct receive_cert *cert = &r->cert;
	const struct ph_index_record record = {
	        .oid = cert->says.blob, .size = cert->len, .type = PH_OBJ_BLOB};
	const uint32_t order = 0;
	struct ph_oid trailer;
	enum ph_status status;

	ph_deflate_free(cert->deflate);
	cert->deflate = NULL;
	ph_hash_final(&cert->trailer, &trailer);
	status =
	        ph_index_write(cert->index, r->algo, &record, &order, 1, cert->run->size, &trailer);
	return status == PH_OK ? ph_txn_pack_end(r->txn, cert->pack) : status;
}

/* Some of the text; PH_AGAIN until it is all there. */
static enum ph_status write(struct receive *r, uint32_t *budget)
{
	struct receive_cert *cert = &r->cert;
	uint8_t out[CHUNK_BYTES];
	size_t out_len = 0, before = cert->at;
	size_t until = cert->len - cert->at < CHUNK_BYTES ? cert->len : cert->at + CHUNK_BYTES;
	enum ph_status status =
	        ph_deflate_step(cert->deflate, (const uint8_t *)cert->text, &cert->at, until, out,
	                        &out_len, sizeof(out), until == cert->len);
	enum ph_status put_status = PH_OK;

	if (status < 0)
		return status;
	if (out_len > 0)
		put_status = put(cert, out, out_len);
	ph_budget_spend_bytes(budget, cert->at - before + out_len);
	if (put_status != PH_OK)
		return put_status;
	return status == PH_END ? end(r) : PH_AGAIN;
}

/* The same text has come before, and lies there already. */
static bool is_here(const struct receive *r)
{
	const struct ph_source *source = ph_txn_source(r->txn);
	struct ph_loc loc;

	return source->ops->find(source, &r->cert.says.blob, &loc) == PH_OK;
}

static bool any_staged(const struct receive *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->commands[i].staged)
			return true;
	return false;
}

/* Without it the push is not what was signed for, and fails as a whole. */
static enum ph_step fail(struct receive *r, enum ph_status status)
{
	if (status == PH_ERR_NOMEM)
		return ph__receive_die_status(r, status);
	ph__receive_say(r, "error: the push certificate cannot be stored: %s",
	                ph_status_text(status));
	ph__receive_fail_all(r, ph_status_text(status));
	ph__receive_drop_work(r);
	r->phase = RECEIVE_REPORT;
	return PH_STEP_AGAIN;
}

enum ph_step ph__receive_cert_store(struct receive *r, uint32_t *budget)
{
	struct receive_cert *cert = &r->cert;
	enum ph_status status = PH_OK;

	ph_budget_spend(budget, 1);
	if (cert->len > 0 && !cert->deflate && any_staged(r) && !is_here(r))
		status = begin(r);
	if (status == PH_OK && cert->deflate)
		status = write(r, budget);
	if (status == PH_AGAIN)
		return PH_STEP_AGAIN;
	if (status != PH_OK)
		return fail(r, status);
	r->phase = RECEIVE_PREPARE;
	return PH_STEP_AGAIN;
}
