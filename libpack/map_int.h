/* SPDX-License-Identifier: MIT */
/*
 * A map's format, shared by its reader and its maker.
 *
 * The section is a sequence of pages of 1024 bytes, the last one shorter. Each ends in the CRC-32
 * of what is in it, begun with the page's number, so that no byte is believed unchecked. What the
 * pages hold, put together, is what follows; offsets count in that. All integers are big endian.
 *
 *   blocks     for each 1024 entries { u32 commits before; the types of these entries, as four
 *              bitmaps of 128 bytes: commits, trees, blobs, tags }
 *   commits    for each, by pos { u32 pos of the tree; u64 time; u32 pos of the first parent, or
 *              NONE; u32 pos of the second, or NONE, or MORE and a number in the next table }
 *   more       of commits with over two parents { u32 parents; the pos of each but the first }
 *   extras     for each commit { u32 generation; u32 number of its bitmap from 1, or 0 }
 *   bitmaps    one after the other (map_bits.c); each is stored as what differs from an earlier one
 *   directory  for each bitmap { u64 offset; u32 bytes; u32 number of the other from 1, or 0 }
 *   footer     u32 entries, u64 bytes of the run, 32 bytes trailer of its packfile, u32 commits,
 * u32 length of more, u32 bitmaps, u64 offset of the directory, "PHMP", u8 version 1, u8 hash, u16
 * 0
 *
 * In a bitmap byte k holds the entries 8k to 8k + 7, the first in the lowest bit.
 */
#ifndef PH_MAP_INT_H
#define PH_MAP_INT_H

#include <packhorse/map.h>

#include "pack_index_int.h"

#define MAP_MAGIC "PHMP"
#define MAP_VERSION 1u
#define MAP_NONE UINT32_MAX
#define MAP_MORE 0x80000000u
/* So that MORE is no position. */
#define MAP_ENTRIES_MAX (MAP_MORE - 1u)

#define MAP_PAGE_BYTES 1024u
#define MAP_PAGE_DATA (MAP_PAGE_BYTES - 4u)
#define MAP_BLOCK_BITS 1024u
#define MAP_BLOCK_TYPE_BYTES (MAP_BLOCK_BITS / 8u)
#define MAP_BLOCK_BYTES (4u + 4u * MAP_BLOCK_TYPE_BYTES)
#define MAP_COMMIT_BYTES 20u
#define MAP_EXTRA_BYTES 8u
#define MAP_ROW_BYTES 16u
#define MAP_FOOTER_BYTES 72u
/* Bitmaps that are read to make one, beside itself. */
#define MAP_LINKS_MAX 8u

/* --- Pages --- */

/* Bytes written as pages. */
struct ph__map_out {
	struct ph_sink *sink;
	uint64_t size; /* of what was put */
	uint64_t page; /* number of the page that is being filled */
	size_t used;
	uint8_t data[MAP_PAGE_BYTES];
};

enum ph_status ph__map_put(struct ph__map_out *out, const void *data, size_t len);
enum ph_status ph__map_put32(struct ph__map_out *out, uint32_t value);
enum ph_status ph__map_put64(struct ph__map_out *out, uint64_t value);
/* Writes the last page. */
enum ph_status ph__map_put_end(struct ph__map_out *out);

/* The pages that a decoder of MAP_LINKS_MAX + 1 bitmaps reads in turns, and some more. */
#define MAP_CACHE_PAGES 16u

/* A cache of pages read back. */
struct ph__map_pages {
	const struct ph_bytes *bytes;
	const struct ph__map_out *tail; /* NULL; or what is still being written into bytes */
	uint64_t size;                  /* of what was put */
	uint64_t turn;
	struct {
		uint64_t number; /* from 1; 0 is none */
		uint64_t turn;
	} slots[MAP_CACHE_PAGES];
	uint8_t data[MAP_CACHE_PAGES][MAP_PAGE_BYTES];
};

void ph__map_pages_init(struct ph__map_pages *pages, const struct ph_bytes *bytes);
/* PH_ERR_CORRUPT also when it is not all there. */
enum ph_status ph__map_get(struct ph__map_pages *pages, uint64_t at, void *to, size_t len);

/* --- Bitmaps as stored --- */

/* Takes a bitmap and stores it; without out it only counts. */
struct ph__bits_out {
	struct ph__map_out *out;
	uint64_t bytes; /* stored */
	uint64_t zeros; /* bytes, before what is held */
	uint64_t ones;  /* bytes held: either these, or literal ones */
	size_t literals;
	uint8_t literal[256];
};

/* The words of a bitmap in order, each as it differs from another's; other may be NULL. */
enum ph_status ph__bits_put(struct ph__bits_out *bits, const uint64_t *words, const uint64_t *other,
                            size_t count);
enum ph_status ph__bits_end(struct ph__bits_out *bits);

/* A stored bitmap that is being read. */
struct ph__bits_in {
	uint64_t at, end; /* not fetched yet */
	uint64_t zeros, ones, literals;
	uint16_t pos, len;
	uint8_t data[240];
};

void ph__bits_open(struct ph__bits_in *bits, uint64_t at, uint64_t bytes);
/* The next len bytes of it, xored into to. */
enum ph_status ph__bits_get(struct ph__bits_in *bits, struct ph__map_pages *pages, uint8_t *to,
                            size_t len);
/* Nothing may be left behind the last byte. */
bool ph__bits_done(const struct ph__bits_in *bits);

/* Eight bytes of a bitmap as the word they are in memory. */
static inline uint64_t ph__bits_word(const uint8_t *at)
{
	uint64_t word = 0;

	for (unsigned k = 0; k < 8; k++) {
		word |= (uint64_t)at[k] << (8 * k);
	}
	return word;
}

/* Bytes of a bitmap made at once. */
#define MAP_STEP_BYTES 4096u

/* A bitmap being made from those it is stored in. */
struct ph__map_reach {
	uint32_t entries;
	uint32_t count; /* of those */
	uint64_t at;    /* bytes made */
	struct ph__bits_in bits[MAP_LINKS_MAX + 1];
	uint8_t step[MAP_STEP_BYTES];
};

/* Where one is stored. */
struct ph__map_row {
	uint64_t at;
	uint32_t bytes;
	uint32_t other; /* its number from 1, or 0 */
};

void ph__map_reach_start(struct ph__map_reach *reach, uint32_t entries);
/* The caller sees to it that there are no more than MAP_LINKS_MAX + 1. */
void ph__map_reach_add(struct ph__map_reach *reach, const struct ph__map_row *row);
/* Makes a few thousand bytes and ors them into words. PH_AGAIN, PH_OK at the end, or an error. */
enum ph_status ph__map_reach_step(struct ph__map_reach *reach, struct ph__map_pages *pages,
                                  uint64_t *words, uint32_t *budget);

/* --- A map that is open --- */

struct ph_map {
	const struct ph_alloc *alloc;
	struct ph__map_pages pages;
	struct ph__map_reach reach;
	uint32_t pack;
	uint32_t entries;
	uint32_t commits;
	uint32_t more;
	uint32_t bitmaps;
	uint64_t commits_at, more_at, extras_at, bitmaps_at, rows_at;
};

#endif
