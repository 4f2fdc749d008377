/* SPDX-License-Identifier: MIT */
/* Headers of pack entries, for the reader and for pack out. */
#ifndef PH_ENTRY_INT_H
#define PH_ENTRY_INT_H

#include <packhorse/reader.h>

/* Type and size take at most 10 bytes, a distance 10, an id 32. */
#define PH__ENTRY_HEADER_BYTES_MAX (10u + PH_OID_BYTES_MAX)

/*
 * Parses the header of the entry that is at offset in its run, from the first len bytes of it.
 * PH_ERR_CORRUPT when it is cut, of no known type, or too large; when its base is not before it.
 */
enum ph_status ph__entry_header_parse(struct ph_entry_header *out, enum ph_hash_algo algo,
                                      uint64_t offset, const uint8_t *bytes, size_t len);
/* Writes type and size; returns how many bytes that took, at most 10. */
size_t ph__entry_header_write(uint8_t *out, enum ph_object_type type, uint64_t size);
/* Writes an OFS_DELTA's distance; returns how many bytes that took, at most 10. */
size_t ph__entry_distance_write(uint8_t *out, uint64_t distance);

#endif
