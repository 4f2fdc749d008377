/* SPDX-License-Identifier: MIT */
/*
 * Commits, tags and trees. The first byte chooses hash and kind; the rest is the object. Whatever a
 * parser accepts is used the way a walk would.
 */
#include <packhorse/object.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_commit(enum ph_hash_algo algo, const uint8_t *data, size_t size)
{
	struct ph_commit commit;
	uint32_t i;

	if (ph_commit_parse(&commit, algo, data, size) != PH_OK)
		return;
	for (i = 0; i < commit.parents; i++) {
		struct ph_oid parent;
		ph_commit_parent(&commit, i, &parent);
	}
}

static void use_tag(enum ph_hash_algo algo, const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct ph_tag tag;

	if (ph_tag_parse(&tag, algo, data, size) != PH_OK)
		return;
	if (tag.name < text || tag.name_len > size - (size_t)(tag.name - text))
		abort();
}

static void use_tree(enum ph_hash_algo algo, const uint8_t *data, size_t size)
{
	struct ph_tree_iter iter;
	struct ph_tree_entry entry;
	size_t names = 0;

	ph_tree_iter_init(&iter, algo, data, size);
	while (ph_tree_iter_next(&iter, &entry) == PH_OK) {
		if (entry.name_len == 0 || memchr(entry.name, 0, entry.name_len))
			abort();
		names += entry.name_len;
	}
	if (names > size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum ph_hash_algo algo;

	if (size == 0)
		return 0;
	algo = data[0] & 1 ? PH_HASH_SHA256 : PH_HASH_SHA1;
	switch (data[0] >> 1 & 3) {
	case 0:
		use_commit(algo, data + 1, size - 1);
		break;
	case 1:
		use_tag(algo, data + 1, size - 1);
		break;
	default:
		use_tree(algo, data + 1, size - 1);
		break;
	}
	return 0;
}
