/* SPDX-License-Identifier: MIT */
/*
 * gzip (RFC 1952) around a tar: a header without name and time, so that the same tree gives the
 * same bytes, the deflated tar, its checksum and its length.
 */
#include "archive_int.h"

#include <string.h>

#define STAGE_BYTES 32768u
#define USUAL_LEVEL 6
#define HEADER_BYTES 10u
#define TRAILER_BYTES 8u

struct ph__gzip {
	const struct ph_alloc *alloc;
	struct ph_deflate *deflate;
	uint8_t stage[STAGE_BYTES]; /* of the tar */
	size_t at, len;
	bool plain_ended;
	uint32_t crc, length;
	uint8_t edge[HEADER_BYTES]; /* header, and then trailer */
	size_t edge_at, edge_len;
	bool ended; /* the edge is the trailer */
};

enum ph_status ph__gzip_new(struct ph__gzip **out, const struct ph_alloc *alloc, int level)
{
	struct ph__gzip *gzip = ph_mem_zalloc(alloc, 1, sizeof(*gzip));
	int used = level < 0 ? USUAL_LEVEL : level;
	enum ph_status status;

	if (!gzip)
		return PH_ERR_NOMEM;
	gzip->alloc = alloc;
	status = ph_deflate_new_raw(&gzip->deflate, alloc, used);
	if (status != PH_OK) {
		ph_mem_free(alloc, gzip);
		return status;
	}
	ph_deflate_start(gzip->deflate);
	/* Two magic bytes, deflate, no flags, no time, how hard it was tried, and Unix. */
	memcpy(gzip->edge, "\x1f\x8b\x08\0\0\0\0\0\0\x03", HEADER_BYTES);
	gzip->edge[8] = used == 9 ? 2 : used < 2 ? 4 : 0;
	gzip->edge_len = HEADER_BYTES;
	*out = gzip;
	return PH_OK;
}

void ph__gzip_free(struct ph__gzip *gzip)
{
	if (!gzip)
		return;
	ph_deflate_free(gzip->deflate);
	ph_mem_free(gzip->alloc, gzip);
}

static void put_le32(uint8_t *out, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

static void make_trailer(struct ph__gzip *gzip)
{
	put_le32(gzip->edge, gzip->crc);
	put_le32(gzip->edge + 4, gzip->length);
	gzip->edge_at = 0;
	gzip->edge_len = TRAILER_BYTES;
	gzip->ended = true;
}

static void give_edge(struct ph__gzip *gzip, uint8_t *out, size_t room, size_t *used)
{
	size_t len = gzip->edge_len - gzip->edge_at;

	if (len > room - *used)
		len = room - *used;
	memcpy(out + *used, gzip->edge + gzip->edge_at, len);
	gzip->edge_at += len;
	*used += len;
}

/* Fills the stage, also over several calls: what is compressed at once does not depend on budgets.
 */
static enum ph_status refill(struct ph__gzip *gzip, struct ph__archive *archive, uint32_t *budget)
{
	size_t got;
	enum ph_status status;

	if (gzip->at == gzip->len)
		gzip->at = gzip->len = 0;
	status = ph__archive_read_plain(archive, gzip->stage + gzip->len, STAGE_BYTES - gzip->len,
	                                &got, budget);
	gzip->crc = ph_crc32(gzip->crc, gzip->stage + gzip->len, got);
	gzip->length += (uint32_t)got;
	gzip->len += got;
	gzip->plain_ended = status == PH_END;
	return status == PH_END ? PH_OK : status;
}

enum ph_status ph__gzip_read(struct ph__gzip *gzip, struct ph__archive *archive, uint8_t *out,
                             size_t room, size_t *used, uint32_t *budget)
{
	*used = 0;
	for (;;) {
		size_t before = gzip->at;
		enum ph_status status = PH_OK;

		give_edge(gzip, out, room, used);
		if (gzip->ended && gzip->edge_at == gzip->edge_len)
			return PH_END;
		if (*used == room)
			return PH_OK;
		if (!gzip->plain_ended &&
		    (gzip->at > 0 ? gzip->at == gzip->len : gzip->len < STAGE_BYTES))
			status = refill(gzip, archive, budget);
		if (status != PH_OK)
			return status;
		if (*budget == 0)
			return PH_AGAIN;
		status = ph_deflate_step(gzip->deflate, gzip->stage, &gzip->at, gzip->len, out,
		                         used, room, gzip->plain_ended);
		ph_budget_spend_bytes(budget, 4 * (gzip->at - before) + 1);
		if (status == PH_END)
			make_trailer(gzip);
		else if (status != PH_OK)
			return status;
	}
}
