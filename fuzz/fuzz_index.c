/* SPDX-License-Identifier: MIT */
/*
 * An index of a pack: the input is one. What init accepts is asked for everything it has; no answer
 * may be out of its range, and no read may leave the bytes.
 */
#include <packhorse/pack_index.h>

#include <stdlib.h>

/* Look-ups per input, so that a large index does not take long. */
#define ENTRIES_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	struct ph_bytes bytes;
	const uint8_t *data;
};

static enum ph_status input_read(const struct ph_bytes *bytes, uint64_t offset, void *buf,
                                 size_t len)
{
	const struct input *input = (const struct input *)(const void *)bytes;

	if (offset > bytes->size || len > bytes->size - offset)
		abort();
	memcpy(buf, input->data + offset, len);
	return PH_OK;
}

static void use_index(const struct ph_index *index)
{
	uint32_t i;

	for (i = 0; i < index->entries && i < ENTRIES_MAX; i++) {
		struct ph_entry entry;
		uint32_t pos = 0;
		if (ph_index_entry(index, i, &entry) != PH_OK)
			continue;
		if (entry.offset >= entry.end || entry.end > index->run_bytes)
			abort();
		if (entry.type < PH_OBJ_COMMIT || entry.type > PH_OBJ_TAG)
			abort();
		if (ph_index_find(index, &entry.oid, &pos) == PH_OK && pos >= index->entries)
			abort();
		if (ph_index_at_offset(index, entry.offset, &pos) == PH_OK && pos >= index->entries)
			abort();
		entry.oid.bytes[1] ^= 1;
		(void)ph_index_find(index, &entry.oid, &pos);
		(void)ph_index_at_offset(index, entry.offset + 1, &pos);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {{input_read, size}, data};
	struct ph_index index;

	if (ph_index_init(&index, &input.bytes, PH_HASH_SHA1) == PH_OK)
		use_index(&index);
	if (ph_index_init(&index, &input.bytes, PH_HASH_SHA256) == PH_OK)
		use_index(&index);
	return 0;
}
