/* SPDX-License-Identifier: MIT */
/* Makes histories; see history.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "history.h"
#include <stdio.h>
#include <stdlib.h>

static void *grow(void *items, size_t count, size_t size)
{
	void *grown = realloc(items, count * size);

	if (grown == NULL) {
		abort();
	}
	return grown;
}

void history_init(struct history *h, enum ph_hash_algo algo)
{
	memset(h, 0, sizeof *h);
	h->algo = algo;
	ph_limits_init(&h->limits);
	for (int i = 0; i < 3; i++) {
		ph_test_pack_init(&h->packs[i], algo);
	}
}

void history_release(struct history *h)
{
	for (uint32_t i = 0; i < h->count; i++) {
		free(h->nodes[i].links);
		free(h->nodes[i].data);
	}
	free(h->nodes);
	free(h->commits);
	if (h->sealed) {
		ph_test_source_release(&h->source);
	}
	for (int i = 0; i < 3; i++) {
		ph_test_pack_release(&h->packs[i]);
	}
}

uint32_t history_find(const struct history *h, const struct ph_oid *oid)
{
	for (uint32_t i = h->count; i > 0; i--) {
		if (ph_oid_equal(&h->nodes[i - 1].oid, oid)) {
			return i - 1;
		}
	}
	return NODE_NONE;
}

uint32_t history_raw(struct history *h, enum ph_object_type type, const void *data, size_t size,
                     const uint32_t *links, uint32_t count)
{
	struct node *node;
	struct ph_oid oid;
	uint32_t found;

	ph_hash_object(&oid, h->algo, type, data, size);
	found = h->unique ? NODE_NONE : history_find(h, &oid);
	if (found != NODE_NONE) {
		return found;
	}
	if (h->count == h->capacity) {
		h->capacity = h->capacity == 0 ? 64 : h->capacity * 2;
		h->nodes = grow(h->nodes, h->capacity, sizeof *h->nodes);
	}
	node = &h->nodes[h->count];
	memset(node, 0, sizeof *node);
	node->oid = oid;
	node->type = type;
	node->links = grow(NULL, count + 1, sizeof *node->links);
	for (uint32_t i = 0; i < count; i++) {
		if (links[i] != NODE_NONE) {
			node->links[node->count++] = links[i];
		}
	}
	node->data = grow(NULL, size + 1, 1);
	memcpy(node->data, size > 0 ? data : "", size);
	node->size = size;
	return h->count++;
}

uint32_t history_blob(struct history *h, uint32_t number)
{
	char text[32];

	snprintf(text, sizeof text, "blob %u\n", (unsigned)number);
	return history_raw(h, PH_OBJ_BLOB, text, strlen(text), NULL, 0);
}

uint32_t history_tree(struct history *h, const uint32_t *links, uint32_t count)
{
	struct ph_test_buf text = {0};
	struct ph_oid fake = ph_test_oid_fake(h->algo, 0x77);
	uint32_t node;

	for (uint32_t i = 0; i < count; i++) {
		const struct node *link = links[i] == NODE_NONE ? NULL : &h->nodes[links[i]];
		uint32_t mode = link == NULL                ? 0160000
		                : link->type == PH_OBJ_TREE ? 0040000
		                : i % 3 == 0                ? 0120000
		                                            : 0100644;
		char name[16];

		snprintf(name, sizeof name, "e%05u", (unsigned)i);
		ph_test_tree_entry(&text, h->algo, mode, name, link == NULL ? &fake : &link->oid);
	}
	node = history_raw(h, PH_OBJ_TREE, text.data, text.len, links, count);
	ph_test_buf_release(&text);
	return node;
}

uint32_t history_commit(struct history *h, uint32_t tree, const uint32_t *parents, uint32_t count,
                        uint64_t time)
{
	struct ph_test_buf text = {0};
	struct ph_oid *oids = grow(NULL, count + 1, sizeof *oids);
	uint32_t *links = grow(NULL, count + 1, sizeof *links);
	char message[32];
	uint32_t node;

	links[0] = tree;
	for (uint32_t i = 0; i < count; i++) {
		oids[i] = h->nodes[parents[i]].oid;
		links[i + 1] = parents[i];
	}
	snprintf(message, sizeof message, "commit %u", (unsigned)h->commit_count);
	ph_test_commit_text(&text, h->algo, &h->nodes[tree].oid, oids, count, time, message);
	node = history_raw(h, PH_OBJ_COMMIT, text.data, text.len, links, count + 1);
	h->nodes[node].time = time;
	if ((h->commit_count & (h->commit_count + 1)) == 0) { /* 2^n - 1: full */
		h->commits = grow(h->commits, 2 * (size_t)h->commit_count + 1, sizeof *h->commits);
	}
	h->commits[h->commit_count++] = node;
	ph_test_buf_release(&text);
	free(oids);
	free(links);
	return node;
}

uint32_t history_tag(struct history *h, uint32_t node, uint32_t number)
{
	struct ph_test_buf text = {0};
	char name[16];
	uint32_t tag;

	snprintf(name, sizeof name, "v%u", (unsigned)number);
	ph_test_tag_text(&text, h->algo, &h->nodes[node].oid, h->nodes[node].type, name);
	tag = history_raw(h, PH_OBJ_TAG, text.data, text.len, &node, 1);
	ph_test_buf_release(&text);
	return tag;
}

#define DIRS 3u
#define FILES 4u

/* What a commit's working tree holds. */
struct content {
	uint32_t files[DIRS + 1][FILES];
	bool submodule;
};

static uint32_t content_tree(struct history *h, const struct content *content)
{
	uint32_t root[DIRS + FILES + 1];
	uint32_t links[FILES];
	uint32_t at = 0;

	for (uint32_t d = 0; d <= DIRS; d++) {
		for (uint32_t f = 0; f < FILES; f++) {
			links[f] = history_blob(h, content->files[d][f]);
			if (d == DIRS) {
				root[at++] = links[f];
			}
		}
		if (d < DIRS) {
			root[at++] = history_tree(h, links, FILES);
		}
	}
	if (content->submodule) {
		root[at++] = NODE_NONE;
	}
	return history_tree(h, root, at);
}

void history_random(struct history *h, struct ph_test_rng *rng, uint32_t commits, bool skewed)
{
	struct content *contents = calloc(commits, sizeof *contents);

	if (contents == NULL) {
		abort();
	}
	for (uint32_t i = 0; i < commits; i++) {
		struct content *content = &contents[i];
		uint32_t parents[4];
		uint32_t count = 0;
		uint32_t recent = i < 8 ? i : 8;
		uint64_t time = 1000000;

		if (i > 0 && ph_test_rng_below(rng, 25) > 0) {
			uint32_t first = i - 1 - ph_test_rng_below(rng, recent);
			uint32_t more = ph_test_rng_below(rng, 6);

			*content = contents[first];
			parents[count++] = h->commits[first];
			for (; more > 2; more--) {
				uint32_t other = i - 1 - ph_test_rng_below(rng, i < 20 ? i : 20);

				parents[count++] = h->commits[other];
			}
		}
		for (uint32_t k = ph_test_rng_below(rng, 3); k < 3; k++) {
			/* Few numbers: contents come back, also from elsewhere. */
			content->files[ph_test_rng_below(rng, DIRS + 1)]
			              [ph_test_rng_below(rng, FILES)] =
			        ph_test_rng_below(rng, 3 * commits);
		}
		content->submodule = ph_test_rng_below(rng, 2) == 0;
		for (uint32_t k = 0; k < count; k++) {
			if (h->nodes[parents[k]].time > time) {
				time = h->nodes[parents[k]].time;
			}
		}
		time += ph_test_rng_below(rng, 3);
		if (skewed && ph_test_rng_below(rng, 2) == 0) {
			time = ph_test_rng_below(rng, 2000000);
		}
		history_commit(h, content_tree(h, content), parents, count, time);
	}
	free(contents);
}

/* zlib's format without compression: histories are made by the hundred thousand objects. */
static void store_stream(struct ph_test_buf *out, const uint8_t *data, size_t size)
{
	uint32_t a = 1;
	uint32_t b = 0;
	uint8_t sum[4];
	size_t at = 0;

	ph_test_buf_append(out, "\x78\x01", 2);
	do {
		size_t len = size - at > 65535 ? 65535 : size - at;
		uint8_t head[5] = {at + len == size, (uint8_t)len, (uint8_t)(len >> 8),
		                   (uint8_t)~len, (uint8_t)(~len >> 8)};

		ph_test_buf_append(out, head, sizeof head);
		ph_test_buf_append(out, data + at, len);
		at += len;
	} while (at < size);
	for (at = 0; at < size; at++) {
		a = (a + data[at]) % 65521;
		b = (b + a) % 65521;
	}
	sum[0] = (uint8_t)(b >> 8);
	sum[1] = (uint8_t)b;
	sum[2] = (uint8_t)(a >> 8);
	sum[3] = (uint8_t)a;
	ph_test_buf_append(out, sum, sizeof sum);
}

static void put(struct ph_test_pack *pack, const struct node *node, struct ph_test_buf *scratch)
{
	struct ph_test_raw raw = {.stored = node->type,
	                          .declared = node->size,
	                          .content_is_stream = true,
	                          .oid = node->oid,
	                          .type = node->type,
	                          .size = node->size};

	ph_test_buf_clear(scratch);
	store_stream(scratch, node->data, node->size);
	raw.content = scratch->data;
	raw.content_len = scratch->len;
	ph_test_pack_add_raw(pack, &raw);
}

void history_seal(struct history *h, struct ph_test_rng *rng)
{
	struct ph_test_buf scratch = {0};

	for (uint32_t i = 0; i < h->count; i++) {
		/* Newest first, as packs are mostly written. */
		const struct node *node = &h->nodes[h->oldest_first ? i : h->count - 1 - i];
		uint32_t where = rng == NULL ? 0 : ph_test_rng_below(rng, 8);

		if (node->left_out) {
			continue;
		}
		if (where < 5) {
			put(&h->packs[0], node, &scratch);
		}
		if (where > 3) {
			put(&h->packs[1], node, &scratch);
		}
	}
	ph_test_buf_release(&scratch);
	ph_test_source_init(&h->source, h->packs, 2);
	h->sealed = true;
}

void history_seal_closed(struct history *h, struct ph_test_rng *rng, bool closed[3])
{
	struct ph_test_buf scratch = {0};
	bool *in[3], *placed = calloc(h->count, sizeof *placed);
	uint32_t open = ph_test_rng_below(rng, 3);

	assert_non_null(placed);
	for (uint32_t p = 0; p < 3; p++) {
		in[p] = calloc(h->count, sizeof *in[p]);
		assert_non_null(in[p]);
		closed[p] = p != open && ph_test_rng_below(rng, 4) > 0;
		for (uint32_t i = ph_test_rng_below(rng, 5); i > 0 && closed[p]; i--) {
			uint32_t back = ph_test_rng_below(rng, h->commit_count);

			back = ph_test_rng_below(rng, back + 1);
			history_closure(h, h->commits[h->commit_count - 1 - back], NULL, in[p]);
			history_closure(h, ph_test_rng_below(rng, h->count), NULL, in[p]);
		}
		for (uint32_t i = 0; i < h->count; i++) {
			placed[i] = placed[i] || in[p][i];
		}
	}
	for (uint32_t i = 0; i < h->count; i++) {
		for (uint32_t p = 0; p < 3; p++) {
			bool rest = !closed[p] && (!placed[i] || ph_test_rng_below(rng, 8) == 0);

			if (in[p][i] || rest) {
				put(&h->packs[p], &h->nodes[i], &scratch);
				placed[i] = true;
			}
		}
	}
	for (uint32_t p = 0; p < 3; p++) {
		free(in[p]);
	}
	free(placed);
	ph_test_buf_release(&scratch);
	ph_test_source_init(&h->source, h->packs, 3);
	h->sealed = true;
}

struct ph_loc history_loc(const struct history *h, uint32_t node)
{
	const struct ph_source *source = &h->source.set.source;
	struct ph_loc loc = {0, 0};

	assert_int_equal(source->ops->find(source, &h->nodes[node].oid, &loc), PH_OK);
	return loc;
}

struct ph_oid history_oid(const struct history *h, uint32_t node)
{
	return h->nodes[node].oid;
}

void history_closure(const struct history *h, uint32_t from, const bool *grafts, bool *out)
{
	uint32_t *stack = grow(NULL, h->count + 1, sizeof *stack);
	uint32_t depth = 0;

	if (!out[from]) {
		out[from] = true;
		stack[depth++] = from;
	}
	while (depth > 0) {
		uint32_t at = stack[--depth];
		const struct node *node = &h->nodes[at];
		bool cut = grafts != NULL && grafts[at] && node->type == PH_OBJ_COMMIT;

		for (uint32_t i = 0; i < (cut ? 1 : node->count); i++) {
			if (!out[node->links[i]]) {
				out[node->links[i]] = true;
				stack[depth++] = node->links[i];
			}
		}
	}
	free(stack);
}
