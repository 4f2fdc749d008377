/* SPDX-License-Identifier: MIT */
/*
 * Large objects in pieces. A chain of deltas is a list of levels: a byte of the object is looked up
 * in the instructions of the first, which name a byte of its base, and so on down, until it is in
 * an instruction itself or in the base below all, which is whole. Nothing recurses, and a level
 * that is asked for what lies behind where it is goes back to a mark. Blocks of the base are kept
 * for a while, since deltas like to copy the same few places again and again.
 */
#include "entry_int.h"
#include "large_int.h"

#include <packhorse/footprint.h>

#include <assert.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)64 << 10)
#define BLOCKS_MIN 4u
#define BLOCKS_MAX 32u
#define MARKS_MIN 4u
/* Of a delta and of the base, that is read at once. */
#define DELTA_WINDOW_BYTES ((size_t)4 << 10)
#define BASE_WINDOW_BYTES ((size_t)64 << 10)
#define INSERT_BYTES_MAX 127u
/* Instructions looked at that make one unit of work. */
#define OPS_PER_UNIT 64u
#define COPY_SIZE_ZERO_MEANS 0x10000u
#define NO_BLOCK UINT64_MAX
/*
 * The base, the deltas and what they make, all sizes together, may be inflated so many times.
 * Deltas are ascending for the most part, which takes little more than once; but one that copies
 * from all over a base inflates half of what lies between two marks for each instruction: tens of
 * MiB for a few bytes of a push. What the chain makes counts because a step back goes through all
 * deltas below, and because pushes were charged for it.
 */
#define WORK_FACTOR 64u

/* A delta: where its instructions have come to. */
struct level {
	struct ph__tape tape;
	uint64_t size;      /* of what it makes */
	uint64_t base_size; /* of what it is a delta on */
	uint64_t at;        /* in what it makes: where the instruction at hand begins */
	uint64_t offset;    /* in the base, for a copy */
	uint32_t len;       /* of the instruction at hand; 0 before the first */
	bool copy;
	uint8_t insert[INSERT_BYTES_MAX];
};

struct block {
	uint64_t number, used_at;
	uint8_t *data;
};

struct ph_large {
	const struct ph_alloc *alloc;
	struct ph_reader *reader;
	enum ph_object_type type;
	uint64_t size, at;
	struct level *levels; /* the object's own first */
	uint32_t count;
	/* The base: in memory, or as a stream with blocks of it. */
	bool in_memory;
	struct ph_object object;
	struct ph__tape base;
	struct block blocks[BLOCKS_MAX];
	uint32_t block_count;
	uint64_t clock;
	uint32_t ops;            /* that the budget has not been told of */
	uint64_t work, work_max; /* bytes inflated since the front */
};

/* ---- opening ---- */

/* What of the chain is found before anything is allocated for it. */
struct chain {
	struct ph_loc loc;
	struct ph_entry entry;
	struct ph_entry_header header;
};

static enum ph_status look_up(const struct ph_source *source, struct chain *chain)
{
	enum ph_status status = source->ops->entry(source, chain->loc, &chain->entry);

	if (status == PH_OK)
		status = ph_entry_header_read(source, chain->loc.pack, chain->entry.offset,
		                              &chain->header);
	return status;
}

static enum ph_status find_base(const struct ph_source *source, struct chain *chain)
{
	const struct ph_entry_header *header = &chain->header;
	enum ph_status status;

	if (header->type == PH_OBJ_OFS_DELTA)
		status = source->ops->at_offset(source, chain->loc.pack, header->base_offset,
		                                &chain->loc);
	else
		status = source->ops->find(source, &header->base, &chain->loc);
	return status == PH_ERR_NOT_FOUND ? PH_ERR_CORRUPT : status;
}

static void set_tape(struct ph_large *large, struct ph__tape *tape, const struct chain *chain)
{
	tape->work = &large->work;
	large->work_max += WORK_FACTOR * chain->header.size;
	tape->pack = chain->loc.pack;
	tape->start = chain->entry.offset + chain->header.header_bytes;
	tape->end = chain->entry.end;
	tape->size = chain->header.size;
}

static enum ph_status push_level(struct ph_large *large, const struct chain *chain)
{
	struct level *grown;

	if (large->count == PH_LARGE_LINKS_MAX)
		return PH_ERR_LIMIT;
	grown = ph_mem_resize(large->alloc, large->levels, (size_t)large->count + 1,
	                      sizeof(*grown));
	if (!grown)
		return PH_ERR_NOMEM;
	large->levels = grown;
	memset(&grown[large->count], 0, sizeof(*grown));
	grown[large->count].size = chain->entry.size;
	large->work_max += WORK_FACTOR * chain->entry.size;
	set_tape(large, &grown[large->count++].tape, chain);
	return PH_OK;
}

/* Reads an object whole if nothing that it is made from is large either; PH_ERR_LIMIT if not. */
static enum ph_status read_small(struct ph_large *large, const struct chain *chain,
                                 uint64_t resident_max)
{
	enum ph_status status =
	        ph_reader_read(large->reader, chain->loc, resident_max, &large->object);

	large->in_memory = status == PH_OK;
	return status;
}

/* From the object down to a base that is whole, or made from small ones. */
static enum ph_status collect(struct ph_large *large, struct chain *chain, uint64_t resident_max)
{
	const struct ph_source *source = ph_reader_source(large->reader);

	for (;;) {
		enum ph_status status = look_up(source, chain);

		if (status != PH_OK)
			return status;
		if (large->count == 0) {
			large->type = chain->entry.type;
			large->size = chain->entry.size;
		} else {
			large->levels[large->count - 1].base_size = chain->entry.size;
		}
		status = read_small(large, chain, resident_max);
		if (status != PH_ERR_LIMIT)
			return status;
		if (chain->header.type <= PH_OBJ_TAG)
			return PH_OK;
		status = push_level(large, chain);
		if (status == PH_OK)
			status = find_base(source, chain);
		if (status != PH_OK)
			return status;
	}
}

static uint64_t resident_bytes(const struct ph_limits *limits)
{
	return limits->delta_resident_bytes_max < PH_FOOTPRINT_OBJECT_BYTES
	               ? limits->delta_resident_bytes_max
	               : PH_FOOTPRINT_OBJECT_BYTES;
}

static enum ph_status open_base(struct ph_large *large, const struct chain *chain, uint32_t marks,
                                uint64_t resident)
{
	uint64_t blocks = resident / 4 / BLOCK_BYTES;
	enum ph_status status;

	if (large->in_memory)
		return PH_OK;
	if (chain->header.size != chain->entry.size)
		return PH_ERR_CORRUPT;
	set_tape(large, &large->base, chain);
	status = ph__tape_open(&large->base, ph_reader_source(large->reader), large->alloc, marks,
	                       BASE_WINDOW_BYTES);
	if (blocks < BLOCKS_MIN)
		blocks = BLOCKS_MIN;
	large->block_count = blocks < BLOCKS_MAX ? (uint32_t)blocks : BLOCKS_MAX;
	for (uint32_t i = 0; i < large->block_count && status == PH_OK; i++) {
		large->blocks[i].number = NO_BLOCK;
		large->blocks[i].data = ph_mem_alloc(large->alloc, BLOCK_BYTES);
		if (!large->blocks[i].data)
			status = PH_ERR_NOMEM;
	}
	return status;
}

/* Half of the marks that there is memory for are the base's, the deltas share the others. */
static enum ph_status open_all(struct ph_large *large, const struct chain *chain,
                               const struct ph_limits *limits)
{
	uint64_t resident = resident_bytes(limits);
	uint32_t marks = (uint32_t)(resident / PH__TAPE_STATE_BYTES / 2);
	enum ph_status status;

	if (marks < MARKS_MIN)
		marks = MARKS_MIN;
	status = open_base(large, chain, marks, resident);
	for (uint32_t i = 0; i < large->count && status == PH_OK; i++)
		status = ph__tape_open(&large->levels[i].tape, ph_reader_source(large->reader),
		                       large->alloc, marks / large->count, DELTA_WINDOW_BYTES);
	return status;
}

enum ph_status ph_large_open(struct ph_large **out, struct ph_reader *reader, struct ph_loc loc,
                             const struct ph_alloc *alloc, const struct ph_limits *limits)
{
	struct ph_large *large = ph_mem_zalloc(alloc, 1, sizeof(*large));
	struct chain chain = {.loc = loc};
	enum ph_status status;

	if (!large)
		return PH_ERR_NOMEM;
	large->alloc = alloc;
	large->reader = reader;
	status = collect(large, &chain, limits->delta_resident_bytes_max);
	if (status == PH_OK)
		status = open_all(large, &chain, limits);
	if (status != PH_OK) {
		ph_large_free(large);
		return status;
	}
	*out = large;
	return PH_OK;
}

void ph_large_free(struct ph_large *large)
{
	if (!large)
		return;
	for (uint32_t i = 0; i < large->count; i++)
		ph__tape_release(&large->levels[i].tape);
	for (uint32_t i = 0; i < large->block_count; i++)
		ph_mem_free(large->alloc, large->blocks[i].data);
	ph__tape_release(&large->base);
	if (large->in_memory)
		ph_object_release(large->reader, &large->object);
	ph_mem_free(large->alloc, large->levels);
	ph_mem_free(large->alloc, large);
}

enum ph_object_type ph_large_type(const struct ph_large *large)
{
	return large->type;
}

uint64_t ph_large_size(const struct ph_large *large)
{
	return large->size;
}

void ph_large_rewind(struct ph_large *large)
{
	large->at = 0;
	large->work = 0;
}

/* ---- the base ---- */

static struct block *oldest_block(struct ph_large *large)
{
	struct block *oldest = &large->blocks[0];

	for (uint32_t i = 1; i < large->block_count; i++)
		if (large->blocks[i].used_at < oldest->used_at)
			oldest = &large->blocks[i];
	return oldest;
}

static struct block *find_block(struct ph_large *large, uint64_t number)
{
	for (uint32_t i = 0; i < large->block_count; i++)
		if (large->blocks[i].number == number)
			return &large->blocks[i];
	return NULL;
}

static size_t block_len(const struct ph__tape *base, uint64_t number)
{
	uint64_t left = base->size - number * BLOCK_BYTES;

	return left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
}

/* Inflates blocks up to this one; each may be of use later. PH_AGAIN: budget spent. */
static enum ph_status load_block(struct ph_large *large, uint64_t number, struct block **out,
                                 uint32_t *budget)
{
	struct ph__tape *base = &large->base;
	uint64_t offset = number * BLOCK_BYTES;
	const struct ph__tape_mark *mark = ph__tape_before(base, offset);
	enum ph_status status = PH_OK;

	if (base->out > offset || (mark && mark->out > base->out))
		status = ph__tape_back(base, mark);
	while (status == PH_OK && base->out <= offset) {
		struct block *block = oldest_block(large);
		uint64_t at = base->out / BLOCK_BYTES;

		if (*budget == 0)
			return PH_AGAIN;
		ph__tape_mark(base, base->out);
		block->number = NO_BLOCK;
		status = ph__tape_pull(base, block->data, block_len(base, at));
		ph_budget_spend_bytes(budget, BLOCK_BYTES);
		if (status != PH_OK)
			return status;
		block->number = at;
		block->used_at = ++large->clock;
		*out = block;
	}
	return status;
}

static enum ph_status read_base(struct ph_large *large, uint64_t offset, uint8_t *buf, size_t *len,
                                uint32_t *budget)
{
	uint64_t number = offset / BLOCK_BYTES;
	size_t in_block = (size_t)(offset % BLOCK_BYTES);
	struct block *block;
	enum ph_status status = PH_OK;

	if (large->in_memory) {
		memcpy(buf, large->object.data + offset, *len);
		return PH_OK;
	}
	block = find_block(large, number);
	if (!block)
		status = load_block(large, number, &block, budget);
	if (status != PH_OK)
		return status;
	block->used_at = ++large->clock;
	if (*len > block_len(&large->base, number) - in_block)
		*len = block_len(&large->base, number) - in_block;
	memcpy(buf, block->data + in_block, *len);
	return PH_OK;
}

/* ---- deltas ---- */

/* Little endian base 128, at most 63 bits. */
static enum ph_status pull_size(struct ph__tape *tape, uint64_t *out)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 63; shift += 7) {
		uint8_t byte;
		enum ph_status status = ph__tape_pull(tape, &byte, 1);

		if (status != PH_OK)
			return status;
		value |= (uint64_t)(byte & 0x7f) << shift;
		*out = value;
		if (!(byte & 0x80))
			return PH_OK;
	}
	return PH_ERR_CORRUPT;
}

static enum ph_status pull_head(struct level *level)
{
	uint64_t base_size = 0, size = 0;
	enum ph_status status = pull_size(&level->tape, &base_size);

	if (status == PH_OK)
		status = pull_size(&level->tape, &size);
	if (status == PH_OK && (base_size != level->base_size || size != level->size))
		return PH_ERR_CORRUPT;
	return status;
}

/* A copy's argument: one byte for each of the bits set, little endian. */
static enum ph_status pull_copy(struct level *level, uint8_t code)
{
	uint8_t bytes[7];
	uint32_t values[2] = {0, 0};
	size_t count = 0, at = 0;
	enum ph_status status;

	for (unsigned i = 0; i < 7; i++)
		count += code >> i & 1;
	status = ph__tape_pull(&level->tape, bytes, count);
	if (status != PH_OK)
		return status;
	for (unsigned i = 0; i < 7; i++)
		if (code >> i & 1)
			values[i / 4] |= (uint32_t)bytes[at++] << (i % 4 * 8);
	level->copy = true;
	level->offset = values[0];
	level->len = values[1] ? values[1] : COPY_SIZE_ZERO_MEANS;
	if (level->offset > level->base_size || level->len > level->base_size - level->offset)
		return PH_ERR_CORRUPT;
	return PH_OK;
}

static enum ph_status next_op(struct level *level)
{
	enum ph_status status = PH_OK;
	uint8_t code;

	level->at += level->len;
	level->len = 0;
	if (level->tape.out == 0)
		status = pull_head(level);
	else
		ph__tape_mark(&level->tape, level->at);
	if (status == PH_OK)
		status = ph__tape_pull(&level->tape, &code, 1);
	if (status == PH_OK && code & 0x80) {
		status = pull_copy(level, code);
	} else if (status == PH_OK) {
		level->copy = false;
		level->len = code;
		status = code ? ph__tape_pull(&level->tape, level->insert, code) : PH_ERR_CORRUPT;
	}
	if (status == PH_OK && level->len > level->size - level->at)
		return PH_ERR_CORRUPT;
	return status;
}

static void spend_op(struct ph_large *large, uint32_t *budget)
{
	if (++large->ops % OPS_PER_UNIT == 0)
		ph_budget_spend(budget, 1);
}

/* To the instruction that makes the byte at offset. PH_AGAIN: budget spent. */
static enum ph_status seek(struct ph_large *large, struct level *level, uint64_t offset,
                           uint32_t *budget)
{
	enum ph_status status = PH_OK;

	if (offset < level->at) {
		const struct ph__tape_mark *mark = ph__tape_before(&level->tape, offset);

		status = ph__tape_back(&level->tape, mark);
		level->at = mark ? mark->tag : 0;
		level->len = 0;
	}
	while (status == PH_OK && offset >= level->at + level->len) {
		if (*budget == 0)
			return PH_AGAIN;
		status = next_op(level);
		spend_op(large, budget);
	}
	spend_op(large, budget);
	return status;
}

/* ---- reading ---- */

/* Bytes from at on that come from one place: *len of them, fewer than asked for as a rule. */
static enum ph_status piece(struct ph_large *large, uint8_t *buf, size_t *len, uint32_t *budget)
{
	uint64_t offset = large->at;

	if (large->work > large->work_max)
		return PH_ERR_LIMIT;
	for (uint32_t i = 0; i < large->count; i++) {
		struct level *level = &large->levels[i];
		uint64_t in_op;
		enum ph_status status = seek(large, level, offset, budget);

		if (status != PH_OK)
			return status;
		in_op = offset - level->at;
		if (*len > level->len - in_op)
			*len = (size_t)(level->len - in_op);
		if (!level->copy) {
			memcpy(buf, level->insert + in_op, *len);
			return PH_OK;
		}
		offset = level->offset + in_op;
	}
	return read_base(large, offset, buf, len, budget);
}

enum ph_status ph_large_read(struct ph_large *large, uint8_t *buf, size_t room, size_t *used,
                             uint32_t *budget)
{
	*used = 0;
	if (large->at == large->size)
		return PH_END;
	while (*used < room && large->at < large->size) {
		size_t len = room - *used;
		enum ph_status status = PH_AGAIN;

		if (len > large->size - large->at)
			len = (size_t)(large->size - large->at);
		if (*budget > 0)
			status = piece(large, buf + *used, &len, budget);
		if (status == PH_AGAIN)
			break;
		if (status != PH_OK)
			return status;
		*used += len;
		large->at += len;
	}
	ph_budget_spend_bytes(budget, *used);
	return PH_OK;
}
