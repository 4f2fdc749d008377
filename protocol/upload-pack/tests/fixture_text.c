/* SPDX-License-Identifier: MIT */
/* What a session answered, as text: packets, bands, and the pack with its entries by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fixture.h"

#include <packhorse/delta.h>
#include <packhorse/inflate.h>
#include <packhorse/pkt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fail_msg("%s:%d: %s", __FILE__, __LINE__, #cond);                          \
	} while (0)

#define ENTRIES_MAX 64u

struct got {
	uint64_t offset;
	uint32_t name;
	char text[24];
};

struct unpack {
	const struct fix *fix;
	const uint8_t *data;
	size_t at, len;
	struct ph_inflate *inflate;
	struct got got[ENTRIES_MAX];
	uint32_t count;
};

static uint32_t name_of(const struct fix *fix, const struct ph_oid *oid)
{
	char hex[PH_OID_HEX_MAX + 1];

	ph_oid_to_hex(hex, fix->algo, oid);
	for (uint32_t i = 0; i < fix->names; i++)
		if (strcmp(fix->name[i].hex, hex) == 0)
			return i;
	fail_msg("an object that the repository does not have: %s", hex);
	return 0;
}

static const struct ph_test_entry *object(const struct unpack *unpack, uint32_t name)
{
	return &unpack->fix->pack.entries[unpack->fix->name[name].entry];
}

/* Type and size of an entry, as gitformat-pack has them. */
static unsigned entry_header(struct unpack *unpack, uint64_t *size)
{
	uint8_t byte = unpack->data[unpack->at++];
	unsigned type = byte >> 4 & 7, shift = 4;

	*size = byte & 15;
	while (byte & 0x80) {
		byte = unpack->data[unpack->at++];
		*size |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	}
	return type;
}

static uint64_t distance(struct unpack *unpack)
{
	uint8_t byte = unpack->data[unpack->at++];
	uint64_t value = byte & 0x7f;

	while (byte & 0x80) {
		byte = unpack->data[unpack->at++];
		value = (value + 1) << 7 | (byte & 0x7f);
	}
	return value;
}

static uint8_t *inflate_entry(struct unpack *unpack, uint64_t size)
{
	uint8_t *out = malloc(size + 1);
	size_t done = 0;
	enum ph_status status;

	CHECK(out != NULL);
	ph_inflate_start(unpack->inflate, size);
	do {
		status = ph_inflate_step(unpack->inflate, unpack->data, &unpack->at, unpack->len,
		                         out, &done, size);
	} while (status == PH_OK && unpack->at < unpack->len);
	CHECK(status == PH_END && done == size);
	return out;
}

/* The delta's result, whose id says which object it is. */
static uint32_t apply(struct unpack *unpack, uint32_t base, const uint8_t *delta, size_t len)
{
	const struct ph_test_entry *from = object(unpack, base);
	uint64_t base_size, size;
	size_t header;
	uint8_t *result;
	struct ph_oid oid;

	CHECK(ph_delta_sizes(delta, len, &base_size, &size, &header) == PH_OK);
	result = malloc(size + 1);
	CHECK(result != NULL);
	CHECK(ph_delta_apply(from->data, from->size, delta, len, result, size) == PH_OK);
	ph_hash_object(&oid, unpack->fix->algo, from->type, result, size);
	free(result);
	return name_of(unpack->fix, &oid);
}

static uint32_t base_at(const struct unpack *unpack, uint64_t offset)
{
	for (uint32_t i = 0; i < unpack->count; i++)
		if (unpack->got[i].offset == offset)
			return unpack->got[i].name;
	fail_msg("OFS_DELTA without a base");
	return 0;
}

static void entry(struct unpack *unpack)
{
	const struct fix *fix = unpack->fix;
	struct got *got = &unpack->got[unpack->count];
	uint64_t size;
	uint32_t base = 0;
	unsigned type;
	uint8_t *data;
	struct ph_oid oid;

	CHECK(unpack->count < ENTRIES_MAX);
	got->offset = unpack->at;
	type = entry_header(unpack, &size);
	if (type == PH_OBJ_OFS_DELTA) {
		base = base_at(unpack, got->offset - distance(unpack));
	} else if (type == PH_OBJ_REF_DELTA) {
		ph_oid_from_bytes(&oid, fix->algo, unpack->data + unpack->at);
		unpack->at += ph_hash_bytes(fix->algo);
		base = name_of(fix, &oid);
	}
	data = inflate_entry(unpack, size);
	if (type < PH_OBJ_OFS_DELTA) {
		ph_hash_object(&oid, fix->algo, (enum ph_object_type)type, data, size);
		got->name = name_of(fix, &oid);
		snprintf(got->text, sizeof(got->text), "%s", fix->name[got->name].name);
	} else {
		got->name = apply(unpack, base, data, size);
		snprintf(got->text, sizeof(got->text), "%s%s%s", fix->name[got->name].name,
		         type == PH_OBJ_OFS_DELTA ? "<" : "<<", fix->name[base].name);
	}
	free(data);
	unpack->count++;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct got *)a)->text, ((const struct got *)b)->text);
}

static void pack_text(const struct fix *fix, const struct ph_test_buf *pack,
                      struct ph_test_buf *text)
{
	struct unpack *unpack = calloc(1, sizeof(*unpack));
	size_t trailer = ph_hash_bytes(fix->algo);
	struct ph_hash hash;
	struct ph_oid is, said;
	uint32_t count;

	CHECK(unpack != NULL);
	unpack->fix = fix;
	unpack->data = pack->data;
	CHECK(pack->len >= 12 + trailer && memcmp(pack->data, "PACK\0\0\0\2\0\0\0", 11) == 0);
	unpack->len = pack->len - trailer;
	CHECK(ph_inflate_new(&unpack->inflate, ph_alloc_libc()) == PH_OK);
	unpack->at = 12;
	count = pack->data[11];
	for (uint32_t i = 0; i < count; i++)
		entry(unpack);
	CHECK(unpack->at == unpack->len);
	ph_hash_init(&hash, fix->algo);
	ph_hash_update(&hash, pack->data, unpack->len);
	ph_hash_final(&hash, &is);
	ph_oid_from_bytes(&said, fix->algo, pack->data + unpack->len);
	CHECK(ph_oid_equal(&is, &said));
	qsort(unpack->got, count, sizeof(*unpack->got), by_text);
	ph_test_buf_print(text, "pack:");
	for (uint32_t i = 0; i < count; i++)
		ph_test_buf_print(text, " %s", unpack->got[i].text);
	ph_test_buf_print(text, "\n");
	ph_inflate_free(unpack->inflate);
	free(unpack);
}

void fix_line_text(const struct fix *fix, const uint8_t *data, size_t len, struct ph_test_buf *text)
{
	size_t hex = ph_hash_hex(fix->algo);

	if (len && data[len - 1] == '\n')
		len--;
	for (size_t i = 0; i < len;) {
		uint32_t found = fix->names;

		for (uint32_t n = 0; n < fix->names && len - i >= hex; n++)
			if (memcmp(data + i, fix->name[n].hex, hex) == 0)
				found = n;
		if (found < fix->names) {
			ph_test_buf_print(text, "$%s", fix->name[found].name);
			i += hex;
			continue;
		}
		if (data[i] == 0)
			ph_test_buf_append(text, "\\0", 2);
		else
			ph_test_buf_append(text, &data[i], 1);
		i++;
	}
	ph_test_buf_append(text, "\n", 1);
}

/* With sideband-all everything is on bands; the pack begins with its signature. */
static bool is_banded_line(const struct ph_pkt *pkt, const struct ph_test_buf *pack)
{
	return pack->len == 0 && pkt->len > 1 &&
	       (pkt->len < 5 || memcmp(pkt->data + 1, "PACK", 4) != 0);
}

static void pkt_text(const struct fix *fix, const struct ph_pkt *pkt, struct ph_test_buf *pack,
                     struct ph_test_buf *text)
{
	uint8_t band = pkt->len ? pkt->data[0] : 0;

	if (pkt->kind != PH_PKT_DATA) {
		if (pack->len)
			pack_text(fix, pack, text);
		ph_test_buf_clear(pack);
		ph_test_buf_print(text, "%s\n", pkt->kind == PH_PKT_FLUSH ? "0000" : "0001");
	} else if (band == 1 && is_banded_line(pkt, pack)) {
		ph_test_buf_print(text, "1:");
		fix_line_text(fix, pkt->data + 1, pkt->len - 1, text);
	} else if (band == 1) {
		ph_test_buf_append(pack, pkt->data + 1, pkt->len - 1);
	} else if (band == 2 || band == 3) {
		ph_test_buf_print(text, "%d:", band);
		fix_line_text(fix, pkt->data + 1, pkt->len - 1, text);
	} else {
		fix_line_text(fix, pkt->data, pkt->len, text);
	}
}

void fix_text(const struct fix *fix, const struct fix_run *run, bool with_advert,
              struct ph_test_buf *text)
{
	struct ph_test_buf pack = {0};
	bool skip = !with_advert;

	for (size_t at = 0; at < run->out.len;) {
		const uint8_t *data = run->out.data + at;
		size_t len = run->out.len - at, used;
		struct ph_pkt pkt;

		if (len >= 4 && memcmp(data, "PACK", 4) == 0) {
			ph_test_buf_append(&pack, data, len);
			pack_text(fix, &pack, text);
			ph_test_buf_clear(&pack);
			break;
		}
		if (ph_pkt_parse(&pkt, &used, data, len) != PH_OK)
			fail_msg("not a packet at %u of %u", (unsigned)at, (unsigned)run->out.len);
		at += used;
		if (!skip)
			pkt_text(fix, &pkt, &pack, text);
		if (pkt.kind == PH_PKT_FLUSH)
			skip = false;
	}
	ph_test_buf_release(&pack);
}
