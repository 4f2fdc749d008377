/* SPDX-License-Identifier: MIT */
/*
 * Deltas (gitformat-pack, "Deltified representation"): base size, result size, then copies from the
 * base and inserts.
 */
#ifndef PACKHORSE_DELTA_H
#define PACKHORSE_DELTA_H

#include <packhorse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads the two sizes; *header_len is how many bytes they took. PH_ERR_DELTA when cut or over 2^63.
 */
PH_API enum ph_status ph_delta_sizes(const uint8_t *delta, size_t len, uint64_t *base_size,
                                     uint64_t *result_size, size_t *header_len);
/*
 * Applies a whole delta. result has exactly result_size bytes (from ph_delta_sizes). PH_ERR_DELTA
 * when base_len is not the delta's base size, a copy leaves the base, the result would be shorter
 * or longer than announced, an instruction is cut or reserved.
 */
PH_API enum ph_status ph_delta_apply(const uint8_t *base, size_t base_len, const uint8_t *delta,
                                     size_t len, uint8_t *result, size_t result_size);

/*
 * One instruction at a time, for bases that are not in memory.
 *   PH_OK  *copy: copy size bytes from base offset; otherwise insert size bytes at *insert
 *   PH_END after the last instruction;  PH_ERR_DELTA cut or reserved
 */
struct ph_delta_op {
	bool copy;
	uint64_t offset;
	uint32_t size;
	const uint8_t *insert;
};
PH_API enum ph_status ph_delta_next(const uint8_t *delta, size_t len, size_t *pos,
                                    struct ph_delta_op *out);

#ifdef __cplusplus
}
#endif
#endif
