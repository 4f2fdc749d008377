/* SPDX-License-Identifier: MIT */
/*
 * Takes packfiles apart to check them: a plain reading of gitformat-pack, simple and slow, that
 * shares nothing with the code under test but inflating and hashing.
 */
#include "support_int.h"

#include <packhorse/inflate.h>
#include <stdlib.h>

/* Where an entry's base is, until it is resolved. */
struct base {
	uint64_t offset;
	struct ph_oid oid;
	struct ph_test_buf delta;
};

struct unpacker {
	struct ph_test_unpacked *out;
	enum ph_hash_algo algo;
	const uint8_t *file;
	size_t len, at;
	struct base *bases;
	struct ph_inflate *inflate;
};

static const char *take_header(struct unpacker *unpacker, struct ph_test_entry *entry,
                               struct base *base)
{
	size_t hash_len = ph_hash_bytes(unpacker->algo);
	const uint8_t *file = unpacker->file;
	unsigned shift = 4;
	uint8_t byte;

	if (unpacker->at == unpacker->len)
		return "entries are missing";
	entry->offset = unpacker->at;
	byte = file[unpacker->at++];
	entry->stored = (enum ph_object_type)(byte >> 4 & 7);
	entry->size = byte & 15;
	for (; byte & 0x80; shift += 7) {
		if (unpacker->at == unpacker->len || shift > 53)
			return "a bad size";
		byte = file[unpacker->at++];
		entry->size |= (size_t)(byte & 0x7f) << shift;
	}
	if (entry->stored == PH_OBJ_OFS_DELTA) {
		uint64_t distance = 0;
		bool first = true;
		do {
			if (unpacker->at == unpacker->len || distance > UINT64_MAX >> 9)
				return "a bad distance";
			byte = file[unpacker->at++];
			distance = ((distance + !first) << 7) | (byte & 0x7f);
			first = false;
		} while (byte & 0x80);
		if (distance == 0 || distance > entry->offset)
			return "a distance out of the file";
		base->offset = entry->offset - distance;
		unpacker->out->ofs_deltas++;
	} else if (entry->stored == PH_OBJ_REF_DELTA) {
		if (unpacker->len - unpacker->at < hash_len)
			return "a cut base";
		ph_oid_from_bytes(&base->oid, unpacker->algo, file + unpacker->at);
		unpacker->at += hash_len;
		unpacker->out->ref_deltas++;
	} else if (entry->stored < PH_OBJ_COMMIT || entry->stored > PH_OBJ_TAG) {
		return "a bad type";
	}
	return NULL;
}

static const char *take_entry(struct unpacker *unpacker, struct ph_test_entry *entry,
                              struct base *base)
{
	const char *wrong = take_header(unpacker, entry, base);
	size_t out_pos = 0;

	if (wrong)
		return wrong;
	if (entry->size > (size_t)1 << 30)
		return "an object too large for this test";
	entry->data = ph__test_grow(NULL, entry->size);
	ph_inflate_start(unpacker->inflate, entry->size);
	if (ph_inflate_step(unpacker->inflate, unpacker->file, &unpacker->at, unpacker->len,
	                    entry->data, &out_pos, entry->size) != PH_END)
		return "a bad stream";
	if (entry->stored <= PH_OBJ_TAG) {
		entry->type = entry->stored;
		ph_hash_object(&entry->oid, unpacker->algo, entry->type, entry->data, entry->size);
	} else {
		/* It has no type until its base is known. */
		base->delta.data = entry->data;
		base->delta.len = entry->size;
		entry->data = NULL;
	}
	return NULL;
}

const struct ph_test_entry *ph_test_unpacked_find(const struct ph_test_unpacked *unpacked,
                                                  const struct ph_oid *oid)
{
	uint32_t i;

	for (i = 0; i < unpacked->count; i++) {
		if (unpacked->entries[i].type != PH_OBJ_NONE &&
		    ph_oid_equal(&unpacked->entries[i].oid, oid))
			return &unpacked->entries[i];
	}
	return NULL;
}

/* The resolved base of an entry, or NULL while there is none. */
static const struct ph_test_entry *find_base(const struct unpacker *unpacker, uint32_t number,
                                             const struct ph_test_pack *packs, uint32_t pack_count,
                                             bool *thin)
{
	const struct ph_test_unpacked *out = unpacker->out;
	const struct base *base = &unpacker->bases[number];
	const struct ph_test_entry *found;
	uint32_t i, k;

	*thin = false;
	if (out->entries[number].stored == PH_OBJ_OFS_DELTA) {
		for (i = 0; i < number; i++) {
			if (out->entries[i].offset == base->offset)
				return out->entries[i].type != PH_OBJ_NONE ? &out->entries[i]
				                                           : NULL;
		}
		return NULL;
	}
	found = ph_test_unpacked_find(out, &base->oid);
	for (i = 0; i < pack_count && !found; i++) {
		for (k = 0; k < packs[i].count && !found; k++) {
			if (packs[i].entries[k].data &&
			    ph_oid_equal(&packs[i].entries[k].oid, &base->oid))
				found = &packs[i].entries[k];
		}
		*thin = found != NULL;
	}
	return found;
}

static uint64_t take_size(const struct ph_test_buf *delta, size_t *at)
{
	uint64_t size = 0;
	unsigned shift = 0;

	while (*at < delta->len && shift < 63) {
		uint8_t byte = delta->data[(*at)++];
		size |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80))
			return size;
	}
	return UINT64_MAX;
}

/* Appends what one instruction of a delta makes. */
static bool delta_op(const struct ph_test_buf *delta, size_t *at, const struct ph_test_entry *base,
                     struct ph_test_buf *result)
{
	uint8_t op = delta->data[(*at)++];
	uint64_t offset = 0;
	uint64_t size = 0;
	unsigned i;

	if (!(op & 0x80)) {
		if (op == 0 || op > delta->len - *at)
			return false;
		ph_test_buf_append(result, delta->data + *at, op);
		*at += op;
		return true;
	}
	for (i = 0; i < 7; i++) {
		uint64_t *field = i < 4 ? &offset : &size;
		if (!(op >> i & 1))
			continue;
		if (*at == delta->len)
			return false;
		*field |= (uint64_t)delta->data[(*at)++] << 8 * (i < 4 ? i : i - 4);
	}
	if (size == 0)
		size = 0x10000;
	if (offset + size > base->size)
		return false;
	ph_test_buf_append(result, base->data + offset, (size_t)size);
	return true;
}

static bool delta_apply(const struct ph_test_buf *delta, const struct ph_test_entry *base,
                        struct ph_test_buf *result)
{
	size_t at = 0;
	uint64_t base_size = take_size(delta, &at);
	uint64_t size = take_size(delta, &at);

	if (base_size != base->size)
		return false;
	while (at < delta->len) {
		if (!delta_op(delta, &at, base, result))
			return false;
	}
	return result->len == size;
}

/* Resolves what can be; tells how many deltas were. */
static const char *resolve_round(struct unpacker *unpacker, const struct ph_test_pack *packs,
                                 uint32_t pack_count, uint32_t *resolved)
{
	uint32_t i;

	for (i = 0; i < unpacker->out->count; i++) {
		struct ph_test_entry *entry = &unpacker->out->entries[i];
		struct ph_test_buf result = {0};
		const struct ph_test_entry *base;
		bool thin;
		if (entry->type != PH_OBJ_NONE)
			continue;
		base = find_base(unpacker, i, packs, pack_count, &thin);
		if (!base)
			continue;
		if (!delta_apply(&unpacker->bases[i].delta, base, &result)) {
			ph_test_buf_release(&result);
			return "a bad delta";
		}
		entry->type = base->type;
		entry->data = result.data;
		entry->size = result.len;
		ph_hash_object(&entry->oid, unpacker->algo, entry->type, entry->data, entry->size);
		unpacker->out->thin += thin;
		(*resolved)++;
	}
	return NULL;
}

static const char *check_ends(const struct unpacker *unpacker)
{
	size_t hash_len = ph_hash_bytes(unpacker->algo);
	struct ph_hash hash;
	struct ph_oid trailer;
	uint32_t i, k;

	if (unpacker->len - unpacker->at != hash_len)
		return "no trailer at the end";
	ph_hash_init(&hash, unpacker->algo);
	ph_hash_update(&hash, unpacker->file, unpacker->at);
	ph_hash_final(&hash, &trailer);
	if (memcmp(trailer.bytes, unpacker->file + unpacker->at, hash_len) != 0)
		return "a wrong trailer";
	for (i = 0; i < unpacker->out->count; i++) {
		for (k = 0; k < i; k++) {
			if (ph_oid_equal(&unpacker->out->entries[i].oid,
			                 &unpacker->out->entries[k].oid))
				return "an object twice";
		}
	}
	return NULL;
}

static const char *unpack(struct unpacker *unpacker, const struct ph_test_pack *packs,
                          uint32_t pack_count)
{
	struct ph_test_unpacked *out = unpacker->out;
	uint32_t done = 0;
	uint32_t before;
	const char *wrong;
	uint32_t i;

	for (i = 0; i < out->count; i++) {
		wrong = take_entry(unpacker, &out->entries[i], &unpacker->bases[i]);
		if (wrong)
			return wrong;
	}
	do {
		before = done;
		wrong = resolve_round(unpacker, packs, pack_count, &done);
		if (wrong)
			return wrong;
	} while (done > before);
	if (done != out->ofs_deltas + out->ref_deltas)
		return "unresolved deltas";
	return check_ends(unpacker);
}

const char *ph_test_unpack(struct ph_test_unpacked *out, enum ph_hash_algo algo, const void *file,
                           size_t len, const struct ph_test_pack *bases, uint32_t base_count)
{
	struct unpacker unpacker = {.out = out, .algo = algo, .file = file, .len = len, .at = 12};
	const uint8_t *head = file;
	const char *wrong;
	uint32_t i;

	memset(out, 0, sizeof(*out));
	if (len < 12 || memcmp(head, "PACK\0\0\0\2", 8) != 0)
		return "no header";
	out->count = (uint32_t)head[8] << 24 | (uint32_t)head[9] << 16 | (uint32_t)head[10] << 8 |
	             head[11];
	if (out->count > len)
		return "a count that cannot be";
	out->entries = ph__test_grow(NULL, out->count * sizeof(*out->entries));
	unpacker.bases = ph__test_grow(NULL, out->count * sizeof(*unpacker.bases));
	memset(out->entries, 0, out->count * sizeof(*out->entries));
	memset(unpacker.bases, 0, out->count * sizeof(*unpacker.bases));
	if (ph_inflate_new(&unpacker.inflate, ph_alloc_libc()) != PH_OK)
		ph__test_die("no inflater");
	wrong = unpack(&unpacker, bases, base_count);
	ph_inflate_free(unpacker.inflate);
	for (i = 0; i < out->count; i++)
		free(unpacker.bases[i].delta.data);
	free(unpacker.bases);
	return wrong;
}

void ph_test_unpacked_release(struct ph_test_unpacked *unpacked)
{
	uint32_t i;

	for (i = 0; i < unpacked->count && unpacked->entries; i++)
		free(unpacked->entries[i].data);
	free(unpacked->entries);
	memset(unpacked, 0, sizeof(*unpacked));
}
