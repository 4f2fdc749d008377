/* SPDX-License-Identifier: MIT */
/*
 * Many objects at once, one a lane. Lanes go on together for as many blocks as each of them has in
 * a row: an object's first block, which begins with its header, those in the middle, which are read
 * where they are, and the last ones with the padding. Long objects go first, so that lanes are busy
 * until the end; what is then left in too few of them is hashed one by one.
 */
#include "sha1_int.h"

#ifdef PH__SHA1_WIDE

#include <string.h>

/* Sorted together; a few times more than there are lanes. */
#define GROUP_ITEMS 256u

struct stretch {
	const uint8_t *data;
	size_t blocks;
};

struct lane {
	struct ph_hash_item *item; /* NULL: idle */
	struct stretch stretches[3];
	unsigned next;
	size_t left;                            /* blocks of the present stretch */
	uint8_t head[PH__SHA1_BLOCK_BYTES];     /* of header and data */
	uint8_t tail[2 * PH__SHA1_BLOCK_BYTES]; /* of data and padding */
};

struct machine {
	struct ph__sha1_lanes lanes;
	struct ph__sha1_suspects suspects;
	const struct ph__sha1_path *path;
	struct lane lane[PH__SHA1_LANES_MAX];
	unsigned active;
};

/* ---- one message ---- */

static size_t blocks_of(const struct ph_hash_item *item)
{
	return item->size / PH__SHA1_BLOCK_BYTES + 1;
}

/* What is left of data, and the padding of a message of so many bytes. */
static size_t write_tail(uint8_t tail[2 * PH__SHA1_BLOCK_BYTES], size_t used, uint64_t bytes)
{
	size_t blocks = used < 56 ? 1 : 2;
	uint64_t bits = bytes * 8;

	memset(tail + used, 0, blocks * PH__SHA1_BLOCK_BYTES - used);
	tail[used] = 0x80;
	for (unsigned i = 0; i < 8; i++)
		tail[blocks * PH__SHA1_BLOCK_BYTES - 8 + i] = (uint8_t)(bits >> (56 - 8 * i));
	return blocks;
}

/* Of item's blocks, those with the header, those inside of the data and those with the padding. */
static void cut(struct lane *lane, const struct ph_hash_item *item)
{
	const uint8_t *data = item->data;
	size_t header = ph__object_header(lane->head, item->type, item->size);
	size_t size = item->size;
	size_t first = 0, used;

	if (header + size >= PH__SHA1_BLOCK_BYTES) {
		first = PH__SHA1_BLOCK_BYTES - header;
		memcpy(lane->head + header, data, first);
		used = (size - first) % PH__SHA1_BLOCK_BYTES;
		memcpy(lane->tail, data + size - used, used);
	} else {
		memcpy(lane->tail, lane->head, header);
		if (size > 0)
			memcpy(lane->tail + header, data, size);
		used = header + size;
	}
	lane->stretches[0] = (struct stretch){lane->head, first > 0};
	lane->stretches[1] =
	        (struct stretch){first > 0 ? data + first : NULL,
	                         first > 0 ? (size - first) / PH__SHA1_BLOCK_BYTES : 0};
	lane->stretches[2] =
	        (struct stretch){lane->tail, write_tail(lane->tail, used, header + size)};
	lane->next = 0;
}

/* ---- lanes ---- */

/* Goes to the next stretch that has blocks; false at the end. */
static bool advance(struct machine *machine, unsigned i)
{
	struct lane *lane = &machine->lane[i];

	while (lane->next < 3) {
		struct stretch *stretch = &lane->stretches[lane->next++];

		if (stretch->blocks > 0) {
			machine->lanes.rows[i] = stretch->data;
			lane->left = stretch->blocks;
			return true;
		}
	}
	return false;
}

static void begin(struct machine *machine, unsigned i, struct ph_hash_item *item)
{
	struct lane *lane = &machine->lane[i];

	item->attacked = false;
	lane->item = item;
	cut(lane, item);
	for (unsigned word = 0; word < 5; word++)
		machine->lanes.state[word][i] = ph__sha1_start[word];
	machine->lanes.attacked[i] = &item->attacked;
	machine->active++;
	advance(machine, i);
}

static void end(struct machine *machine, unsigned i)
{
	struct ph_oid *oid = &machine->lane[i].item->oid;

	memset(oid, 0, sizeof(*oid));
	for (unsigned word = 0; word < 5; word++) {
		uint32_t value = machine->lanes.state[word][i];

		oid->bytes[4 * word] = (uint8_t)(value >> 24);
		oid->bytes[4 * word + 1] = (uint8_t)(value >> 16);
		oid->bytes[4 * word + 2] = (uint8_t)(value >> 8);
		oid->bytes[4 * word + 3] = (uint8_t)value;
	}
	machine->lane[i].item = NULL;
	machine->lanes.attacked[i] = NULL;
	machine->active--;
}

/* The rest of a lane's message, by itself. */
static void finish_alone(struct machine *machine, unsigned i)
{
	struct ph__sha1_lanes *lanes = &machine->lanes;
	uint32_t state[5];

	for (unsigned word = 0; word < 5; word++)
		state[word] = lanes->state[word][i];
	do
		ph__sha1_watch(machine->path, &machine->suspects, state, lanes->rows[i],
		               machine->lane[i].left, lanes->attacked[i]);
	while (advance(machine, i));
	for (unsigned word = 0; word < 5; word++)
		lanes->state[word][i] = state[word];
	end(machine, i);
}

/* One of two messages that are hashed side by side. */
struct twin {
	uint32_t state[5];
	unsigned lane;
};

/* The next lane that has a message, from *next on; false: there is none. */
static bool twin_begin(struct machine *machine, struct twin *twin, unsigned *next)
{
	while (*next < machine->path->width && !machine->lane[*next].item)
		++*next;
	if (*next == machine->path->width)
		return false;
	twin->lane = (*next)++;
	for (unsigned word = 0; word < 5; word++)
		twin->state[word] = machine->lanes.state[word][twin->lane];
	return true;
}

static void twin_leave(struct machine *machine, const struct twin *twin)
{
	for (unsigned word = 0; word < 5; word++)
		machine->lanes.state[word][twin->lane] = twin->state[word];
}

/* Both, up to the first end of a stretch. */
static void twins_run(struct machine *machine, struct twin twins[2])
{
	struct lane *one = &machine->lane[twins[0].lane], *two = &machine->lane[twins[1].lane];
	const uint8_t **rows = machine->lanes.rows;
	uint32_t *const states[2] = {twins[0].state, twins[1].state};
	const uint8_t *const data[2] = {rows[twins[0].lane], rows[twins[1].lane]};
	bool *const attacked[2] = {machine->lanes.attacked[twins[0].lane],
	                           machine->lanes.attacked[twins[1].lane]};
	size_t blocks = one->left < two->left ? one->left : two->left;

	ph__sha1_watch_pair(machine->path, &machine->suspects, states, data, blocks, attacked);
	for (unsigned i = 0; i < 2; i++) {
		rows[twins[i].lane] += PH__SHA1_BLOCK_BYTES * blocks;
		machine->lane[twins[i].lane].left -= blocks;
	}
}

/* The rest of the messages of all lanes: two by two, where that is faster, and one by one. */
static void finish_few(struct machine *machine)
{
	struct twin twins[2];
	unsigned next = 0;
	bool both = machine->path->pair && machine->active > 1 &&
	            twin_begin(machine, &twins[0], &next) && twin_begin(machine, &twins[1], &next);

	while (both) {
		twins_run(machine, twins);
		for (unsigned i = 0; i < 2; i++) {
			unsigned lane = twins[i].lane;

			if (machine->lane[lane].left > 0 || advance(machine, lane))
				continue;
			twin_leave(machine, &twins[i]);
			end(machine, lane);
			both = twin_begin(machine, &twins[i], &next) && both;
			/* The other one goes on alone. */
			if (!both && machine->lane[twins[1 - i].lane].item)
				twin_leave(machine, &twins[1 - i]);
		}
	}
	for (unsigned i = 0; i < machine->path->width; i++) {
		if (machine->lane[i].item)
			finish_alone(machine, i);
	}
}

/* All lanes, up to the first end of a stretch. Idle ones repeat what another does. */
static void run(struct machine *machine)
{
	size_t blocks = SIZE_MAX;
	unsigned some = 0;

	for (unsigned i = 0; i < machine->path->width; i++) {
		if (machine->lane[i].item && machine->lane[i].left < blocks) {
			blocks = machine->lane[i].left;
			some = i;
		}
	}
	for (unsigned i = 0; i < machine->path->width; i++) {
		if (!machine->lane[i].item)
			machine->lanes.rows[i] = machine->lanes.rows[some];
	}
	machine->path->lanes(machine->path, &machine->lanes, blocks);
	for (unsigned i = 0; i < machine->path->width; i++)
		machine->lane[i].left -= machine->lane[i].item ? blocks : 0;
}

/* ---- many ---- */

/* Numbers that grow with the length, 8 for each power of two. */
static unsigned class_of(const struct ph_hash_item *item)
{
	size_t blocks = blocks_of(item);
	unsigned shift = 0;

	while (blocks >> shift >= 16)
		shift++;
	return shift * 8 + (unsigned)(blocks >> shift);
}

#define CLASSES (8u * 64u + 16u)

/* Their places by length, longest first. */
static void sort(const struct ph_hash_item *items, unsigned count, uint16_t order[GROUP_ITEMS])
{
	uint16_t ends[CLASSES + 1] = {0};

	for (unsigned i = 0; i < count; i++)
		ends[CLASSES - 1 - class_of(&items[i])]++;
	for (unsigned i = 1; i < CLASSES; i++)
		ends[i] = (uint16_t)(ends[i] + ends[i - 1]);
	for (unsigned i = count; i-- > 0;)
		order[--ends[CLASSES - 1 - class_of(&items[i])]] = (uint16_t)i;
}

static void hash_group(struct machine *machine, struct ph_hash_item *items, unsigned count)
{
	uint16_t order[GROUP_ITEMS];
	unsigned next = 0;

	sort(items, count, order);
	while (next < count || machine->active > 0) {
		for (unsigned i = 0; i < machine->path->width; i++) {
			if (machine->lane[i].item && machine->lane[i].left == 0 &&
			    !advance(machine, i))
				end(machine, i);
			if (!machine->lane[i].item && next < count)
				begin(machine, i, &items[order[next++]]);
		}
		if (machine->active > machine->path->few)
			run(machine);
		else
			finish_few(machine);
	}
}

void ph__sha1_items(const struct ph__sha1_path *path, struct ph_hash_item *items, size_t count)
{
	struct machine machine;

	machine.path = path;
	machine.active = 0;
	machine.suspects.count = 0;
	machine.lanes.suspects = &machine.suspects;
	memset(machine.lanes.state, 0, sizeof(machine.lanes.state));
	for (unsigned i = 0; i < PH__SHA1_LANES_MAX; i++) {
		machine.lane[i].item = NULL;
		machine.lanes.attacked[i] = NULL;
	}
	for (; count > 0 && !path->lanes; items++, count--) {
		begin(&machine, 0, items);
		finish_alone(&machine, 0);
	}
	while (count > 0) {
		unsigned some = count < GROUP_ITEMS ? (unsigned)count : GROUP_ITEMS;

		hash_group(&machine, items, some);
		items += some;
		count -= some;
	}
	if (machine.suspects.count > 0)
		path->recheck(&machine.suspects);
}

#endif
