/* SPDX-License-Identifier: MIT */
/*
 * The reader of full entries (fulls.h). The table is searched where it lies: a clone without
 * history asks for each of its objects once, and few of a pack's are in it.
 */
#include "fulls_int.h"

#include <string.h>

enum ph_status ph_fulls_init(struct ph_fulls *fulls, const struct ph_source *source, uint32_t pack,
                             const struct ph_bytes *bytes)
{
	uint8_t header[FULLS_HEADER_BYTES], footer[FULLS_FOOTER_BYTES];
	uint64_t run_bytes, table_at, room;
	uint32_t entries, count;
	enum ph_status status;

	if (bytes->size < sizeof(header) + sizeof(footer))
		return PH_ERR_UNSUPPORTED;
	status = bytes->read(bytes, 0, header, sizeof(header));
	if (status == PH_OK)
		status = bytes->read(bytes, bytes->size - sizeof(footer), footer, sizeof(footer));
	if (status != PH_OK)
		return status;
	source->ops->pack_size(source, pack, &entries, &run_bytes);
	table_at = index_get64(footer);
	count = index_get32(footer + 8);
	room = bytes->size - sizeof(footer);
	if (memcmp(header, FULLS_MAGIC, 4) != 0 || header[4] != FULLS_VERSION ||
	    header[5] != (source->algo == PH_HASH_SHA256 ? 2 : 1) ||
	    index_get32(header + 8) != entries || memcmp(footer + 12, FULLS_END, 4) != 0 ||
	    count > entries || table_at < sizeof(header) || table_at > room ||
	    room - table_at != (uint64_t)count * FULLS_RECORD_BYTES)
		return PH_ERR_UNSUPPORTED;
	*fulls = (struct ph_fulls){
	        .bytes = bytes, .pack = pack, .count = count, .table_at = table_at};
	return PH_OK;
}

enum ph_status ph_fulls_find(const struct ph_fulls *fulls, uint32_t rank, uint64_t *offset,
                             uint64_t *end)
{
	uint32_t lo = 0, hi = fulls->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2, at;
		uint8_t record[FULLS_RECORD_BYTES];
		enum ph_status status = fulls->bytes->read(
		        fulls->bytes, fulls->table_at + (uint64_t)mid * FULLS_RECORD_BYTES, record,
		        sizeof(record));

		if (status != PH_OK)
			return status;
		at = index_get32(record);
		if (at == rank) {
			*offset = index_get64(record + 4);
			*end = index_get64(record + 12);
			return *offset >= FULLS_HEADER_BYTES && *offset < *end &&
			                       *end <= fulls->table_at
			               ? PH_OK
			               : PH_ERR_CORRUPT;
		}
		if (at < rank)
			lo = mid + 1;
		else
			hi = mid;
	}
	return PH_ERR_NOT_FOUND;
}
