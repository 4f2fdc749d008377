/* SPDX-License-Identifier: MIT */
/*
 * A map of a pack: the input is a section, or what the pages of one hold, which get right checksums
 * then, so that what is behind them is reached. What opens is asked for everything; no answer may
 * be out of its range, and no write behind a bitmap.
 */
#include <packhorse/hash.h>
#include <packhorse/map.h>

#include <stdlib.h>

#define PAGE_BYTES 1024u
#define PAGE_DATA (PAGE_BYTES - 4u)
#define FOOTER_BYTES 72u
#define COMMITS_MAX 256u
#define PARENTS_MAX 64u
#define REACHES_MAX 32u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	struct ph_bytes bytes;
	const uint8_t *data;
};

/* A pack that is as the footer says. */
struct fake {
	struct ph_source source;
	uint32_t entries;
	uint64_t bytes;
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

static void fake_size(const struct ph_source *source, uint32_t pack, uint32_t *entries,
                      uint64_t *bytes)
{
	const struct fake *fake = (const struct fake *)(const void *)source;

	if (pack != 0)
		abort();
	*entries = fake->entries;
	*bytes = fake->bytes;
}

static uint64_t number(const uint8_t *at, size_t len)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < len; i++)
		value = value << 8 | at[i];
	return value;
}

static void use_commit(struct ph_map *map, const struct ph_map_commit *commit, uint64_t *words)
{
	uint32_t entries = ph_map_entries(map);
	uint32_t budget = 1000;
	uint32_t parent;
	uint32_t i;

	if (commit->tree >= entries || commit->generation == 0)
		abort();
	for (i = 0; i < commit->parents && i < PARENTS_MAX; i++) {
		if (ph_map_parent(map, commit, i, &parent) == PH_OK && parent >= entries)
			abort();
	}
	if (commit->parents > PARENTS_MAX &&
	    ph_map_parent(map, commit, commit->parents - 1, &parent) == PH_OK && parent >= entries)
		abort();
	if (commit->bitmap && ph_map_reach(map, commit->pos, words, &budget) == PH_OK &&
	    budget == 1000)
		abort();
}

static void use_map(struct ph_map *map)
{
	uint32_t entries = ph_map_entries(map);
	size_t count = ph_map_words(entries);
	uint64_t *words = calloc(count + 1, sizeof(*words));
	uint32_t commits = 0;
	uint32_t reaches = 0;
	uint32_t pos;
	unsigned type;

	if (!words)
		abort();
	for (pos = 0; pos < entries && commits < COMMITS_MAX; pos++) {
		struct ph_map_commit commit;
		if (ph_map_commit(map, pos, &commit) != PH_OK)
			continue;
		commits++;
		commit.bitmap = commit.bitmap && reaches++ < REACHES_MAX;
		use_commit(map, &commit, words);
	}
	if (entries % 64 != 0 && words[count - 1] >> entries % 64 != 0)
		abort();
	for (type = PH_OBJ_COMMIT; type <= PH_OBJ_TAG; type++) {
		if (ph_map_type(map, (enum ph_object_type)type, 0, count, words) == PH_OK &&
		    entries % 64 != 0 && words[count - 1] >> entries % 64 != 0)
			abort();
	}
	if (words[count] != 0)
		abort();
	free(words);
}

static void try_section(const uint8_t *data, size_t size, const uint8_t *footer)
{
	static const struct ph_source_ops ops = {.pack_size = fake_size};
	struct fake fake = {.source = {.ops = &ops, .algo = PH_HASH_SHA1}};
	struct input input = {{input_read, size}, data};
	struct ph_map *map;

	fake.entries = (uint32_t)number(footer, 4);
	fake.bytes = number(footer + 4, 8);
	if (footer[69] == PH_HASH_SHA256)
		fake.source.algo = PH_HASH_SHA256;
	if (ph_map_open(&map, &fake.source, 0, &input.bytes, ph_alloc_libc()) == PH_OK) {
		use_map(map);
		ph_map_free(map);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *section = malloc(size + (size / PAGE_DATA + 1) * 4);
	size_t used = 0;
	size_t at;

	if (!section)
		abort();
	if (size < FOOTER_BYTES + 4) {
		free(section);
		return 0;
	}
	try_section(data, size, data + size - FOOTER_BYTES - 4);
	for (at = 0; at < size;) {
		size_t len = size - at < PAGE_DATA ? size - at : PAGE_DATA;
		uint32_t crc = ph_crc32((uint32_t)(at / PAGE_DATA), data + at, len);
		memcpy(section + used, data + at, len);
		at += len;
		used += len;
		section[used++] = (uint8_t)(crc >> 24);
		section[used++] = (uint8_t)(crc >> 16);
		section[used++] = (uint8_t)(crc >> 8);
		section[used++] = (uint8_t)crc;
	}
	try_section(section, used, data + size - FOOTER_BYTES);
	free(section);
	return 0;
}
