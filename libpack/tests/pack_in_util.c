/* SPDX-License-Identifier: MIT */
/* Feeding packs to pack-in in every way, and packs to feed it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pack_in_util.h"

#include <stdio.h>
#include <stdlib.h>

static void warn(void *user, const char *id, const struct ph_oid *oid)
{
	struct intake *intake = user;

	assert_non_null(oid);
	intake->warnings++;
	ph_hash_update(&intake->told, id, strlen(id));
	ph_hash_update(&intake->told, oid->bytes, sizeof(oid->bytes));
	(void)snprintf(intake->last_warning, sizeof(intake->last_warning), "%s", id);
}

void intake_init(struct intake *intake, enum ph_hash_algo algo, const struct ph_alloc *alloc,
                 const struct ph_source *base)
{
	memset(intake, 0, sizeof(*intake));
	ph_limits_init(&intake->limits);
	ph_hash_init(&intake->told, PH_HASH_SHA1);
	ph_test_sink_init(&intake->run);
	ph_test_sink_init(&intake->index);
	ph_test_sink_init(&intake->scratch);
	intake->options.algo = algo;
	intake->options.alloc = alloc;
	intake->options.limits = &intake->limits;
	intake->options.run = &intake->run.sink;
	intake->options.index = &intake->index.sink;
	intake->options.scratch = &intake->scratch.sink;
	intake->options.base = base;
	intake->options.user = intake;
	intake->options.warn = warn;
#ifdef PH_TEST_UNPACK
	intake->options.unpack = ph_unpack_libdeflate();
#endif
}

void intake_release(struct intake *intake)
{
	ph_pack_in_free(intake->in);
	ph_test_sink_release(&intake->run);
	ph_test_sink_release(&intake->index);
	ph_test_sink_release(&intake->scratch);
}

static size_t next_piece(const struct feeding *feeding, size_t left)
{
	size_t piece = feeding->piece > 0 ? feeding->piece : left;

	if (feeding->rng)
		piece = 1 + ph_test_rng_below(feeding->rng, (uint32_t)piece);
	return piece < left ? piece : left;
}

/* Writes one piece, from memory of its own so that a sanitizer sees a byte too many. */
static enum ph_status write_piece(struct intake *intake, const uint8_t *data, size_t len,
                                  uint32_t given)
{
	uint8_t *copy = malloc(len);
	size_t done = 0;
	enum ph_status status = PH_OK;

	memcpy(copy, data, len);
	while (done < len && (status == PH_OK || status == PH_AGAIN)) {
		uint32_t budget = given > 0 ? given : UINT32_MAX;
		size_t used = 0;
		status = ph_pack_in_write(intake->in, copy + done, len - done, &used, &budget);
		assert_true(used <= len - done);
		if (status == PH_OK)
			assert_int_equal(used, len - done);
		if (status == PH_AGAIN)
			assert_int_equal(budget, 0);
		done += used;
	}
	free(copy);
	intake->used += done;
	return status;
}

static enum ph_status write_all(struct intake *intake, const uint8_t *data, size_t len,
                                const struct feeding *feeding)
{
	size_t done = 0;
	enum ph_status status = PH_OK;

	while (done < len && status == PH_OK) {
		size_t piece = next_piece(feeding, len - done);
		status = write_piece(intake, data + done, piece, feeding->budget);
		done += piece;
	}
	return status;
}

static enum ph_status run_all(struct intake *intake, uint32_t given)
{
	enum ph_status status;

	do {
		uint32_t budget = given > 0 ? given : UINT32_MAX;
		status = ph_pack_in_run(intake->in, &budget);
		if (status == PH_AGAIN)
			assert_int_equal(budget, 0);
		if (status == PH_PENDING)
			intake->pending(intake->pending_user);
	} while (status == PH_AGAIN || status == PH_PENDING);
	return status;
}

enum ph_status intake_feed(struct intake *intake, const uint8_t *data, size_t len,
                           const struct feeding *feeding)
{
	enum ph_status status = ph_pack_in_new(&intake->in, &intake->options);

	intake->status = status;
	if (status != PH_OK)
		return status;
	status = write_all(intake, data, len, feeding);
	if (status == PH_OK)
		status = PH_AGAIN;
	else if (status == PH_END)
		status = run_all(intake, feeding->budget);
	intake->status = status;
	intake->stats = *ph_pack_in_stats(intake->in);
	intake->error = *ph_pack_in_error(intake->in);
	if (status < 0) {
		size_t used = 1;
		uint32_t budget = 1;
		assert_int_equal(intake->error.status, status);
		assert_non_null(intake->error.what);
		/* Final. */
		assert_int_equal(ph_pack_in_write(intake->in, data, 1, &used, &budget), status);
		assert_int_equal(used, 0);
	}
	return status;
}

enum ph_status intake_file(struct intake *intake, const struct ph_test_buf *file)
{
	struct feeding feeding = {0};

	return intake_feed(intake, file->data, file->len, &feeding);
}

void expect_pack(const struct intake *intake, const struct ph_test_pack *pack)
{
	struct ph_test_buf index = {0};

	ph_test_pack_index(pack, &index);
	assert_int_equal(intake->status, PH_OK);
	assert_int_equal(intake->run.buf.len, pack->run.len);
	if (pack->run.len > 0)
		assert_memory_equal(intake->run.buf.data, pack->run.data, pack->run.len);
	assert_int_equal(intake->index.buf.len, index.len);
	assert_memory_equal(intake->index.buf.data, index.data, index.len);
	ph_test_buf_release(&index);
}

void expect_file_status(enum ph_hash_algo algo, const struct ph_test_buf *file,
                        enum ph_status status)
{
	struct ph_test_alloc memory;
	struct intake intake;

	ph_test_alloc_init(&memory);
	intake_init(&intake, algo, &memory.alloc, NULL);
	intake_file(&intake, file);
	if (intake.status != status)
		print_message("%s (%s), not %s\n", ph_status_name(intake.status), intake.error.what,
		              ph_status_name(status));
	assert_int_equal(intake.status, status);
	intake_release(&intake);
	assert_int_equal(memory.live, 0);
}

void expect_status(const struct ph_test_pack *pack, enum ph_status status)
{
	struct ph_test_buf file = {0};

	ph_test_packfile(pack, &file);
	expect_file_status(pack->algo, &file, status);
	ph_test_buf_release(&file);
}

void add_text_blob(struct ph_test_pack *pack, uint32_t number, size_t size)
{
	struct ph_test_rng rng;
	uint8_t *data = malloc(size + 1);

	ph_test_rng_init(&rng, number);
	ph_test_rng_text(&rng, data, size);
	(void)ph_test_pack_add(pack, PH_OBJ_BLOB, data, size);
	free(data);
}

/* A variant of an entry's content: one place changed. Returns its size; out has room. */
static size_t vary(struct ph_test_rng *rng, const struct ph_test_entry *entry, uint8_t *out)
{
	size_t at = entry->size > 0 ? ph_test_rng_below(rng, (uint32_t)entry->size) : 0;
	size_t more = 1 + ph_test_rng_below(rng, 300);

	if (at > 0)
		memcpy(out, entry->data, at);
	ph_test_rng_fill(rng, out + at, more);
	if (entry->size > at)
		memcpy(out + at + more, entry->data + at, entry->size - at);
	return entry->size + more;
}

static void add_deltas(struct ph_test_pack *pack, struct ph_test_rng *rng)
{
	uint8_t *data = malloc(1 << 20);
	uint32_t first = pack->count;
	uint32_t i;

	add_text_blob(pack, 77, 3000);
	for (i = 0; i < 120; i++) {
		uint32_t base = first + ph_test_rng_below(rng, pack->count - first);
		size_t size = vary(rng, &pack->entries[base], data);
		if (ph_test_rng_below(rng, 2) == 0)
			(void)ph_test_pack_add_ofs(pack, base, data, size);
		else
			(void)ph_test_pack_add_ref(pack, base, data, size);
	}
	free(data);
}

/* A REF_DELTA, and one on that, before the whole object they lead to. */
static void add_early_deltas(struct ph_test_pack *pack)
{
	static const char first[] = "this one comes last";
	static const char second[] = "this one comes in the middle";
	static const char third[] = "this one comes first";
	struct ph_oid first_oid;
	struct ph_oid second_oid;

	ph_hash_object(&first_oid, pack->algo, PH_OBJ_BLOB, first, strlen(first));
	ph_hash_object(&second_oid, pack->algo, PH_OBJ_BLOB, second, strlen(second));
	(void)ph_test_pack_add_thin(pack, PH_OBJ_BLOB, &second_oid, second, strlen(second), third,
	                            strlen(third));
	(void)ph_test_pack_add_thin(pack, PH_OBJ_BLOB, &first_oid, first, strlen(first), second,
	                            strlen(second));
	(void)ph_test_pack_add(pack, PH_OBJ_BLOB, first, strlen(first));
}

static void add_metadata(struct ph_test_pack *pack)
{
	struct ph_test_buf text = {0};
	enum ph_hash_algo algo = pack->algo;
	struct ph_oid oid = pack->entries[0].oid;
	uint32_t commit;
	uint32_t i;

	ph_test_tree_entry(&text, algo, 0100644, "file", &oid);
	i = ph_test_pack_add(pack, PH_OBJ_TREE, text.data, text.len);
	oid = pack->entries[i].oid;
	ph_test_buf_clear(&text);
	ph_test_commit_text(&text, algo, &oid, NULL, 0, 1000000000, "first");
	commit = ph_test_pack_add(pack, PH_OBJ_COMMIT, text.data, text.len);
	ph_test_buf_clear(&text);
	ph_test_commit_text(&text, algo, &oid, &pack->entries[commit].oid, 1, 1000000001, "second");
	(void)ph_test_pack_add_ofs(pack, commit, text.data, text.len);
	ph_test_buf_clear(&text);
	ph_test_tag_text(&text, algo, &pack->entries[commit].oid, PH_OBJ_COMMIT, "v1");
	(void)ph_test_pack_add(pack, PH_OBJ_TAG, text.data, text.len);
	(void)ph_test_pack_add(pack, PH_OBJ_TREE, "", 0);
	ph_test_buf_release(&text);
}

void build_mixed(struct ph_test_pack *pack, enum ph_hash_algo algo, uint64_t seed)
{
	struct ph_test_rng rng;
	uint8_t *noise = malloc(300000);

	ph_test_rng_init(&rng, seed);
	ph_test_pack_init(pack, algo);
	add_text_blob(pack, 1, 100);
	(void)ph_test_pack_add(pack, PH_OBJ_BLOB, "", 0);
	add_early_deltas(pack);
	add_metadata(pack);
	ph_test_rng_fill(&rng, noise, 300000);
	(void)ph_test_pack_add(pack, PH_OBJ_BLOB, noise, 300000);
	(void)ph_test_pack_add_ofs(pack, pack->count - 1, noise + 5, 299000);
	add_deltas(pack, &rng);
	add_text_blob(pack, 2, 200000);
	free(noise);
}
