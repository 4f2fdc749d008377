/* SPDX-License-Identifier: MIT */
/*
 * Conformance: copies of a whole store, where a store has them. What a copy opens as is the
 * implementation's to test; here is what every caller may count on.
 */
#include "conformance_int.h"

#include <stdlib.h>

struct asked {
	uint32_t settings;
	bool leave_out;
};

static enum ph_status look(void *user, const char *repo, const char *key, void *data, size_t *len)
{
	struct asked *asked = user;
	if (*repo == '\0') {
		assert_string_equal(key, "host-key");
		assert_int_equal(*len, 6);
		assert_memory_equal(data, "secret", 6);
	} else {
		assert_string_equal(repo, CONF_REPO);
		assert_string_equal(key, "owner");
		*len = 2;
	}
	asked->settings++;
	return asked->leave_out ? PH_ERR_NOT_FOUND : PH_OK;
}

/* Reads it to its end, at most room bytes at a time; commits go on if there is a repository. */
static void read_all(struct conf *c, struct ph_copy *copy, size_t room, struct ph_test_buf *out)
{
	uint8_t *buf = malloc(room);
	enum ph_status status = PH_OK;
	uint32_t number = 1;
	assert_non_null(buf);
	while (status == PH_OK) {
		size_t len = room + 1;
		status = ph_copy_read(copy, buf, room, &len);
		assert_true(len <= room);
		if (len)
			ph_test_buf_append(out, buf, len);
		assert_int_equal(copy->done, out->len);
		ph__conf_put(c, CONF_REPO, "refs/heads/other", ++number);
	}
	assert_status(status, PH_END);
	assert_int_equal(copy->bytes, out->len);
	assert_int_equal(copy->damaged, 0);
	assert_status(ph_copy_read(copy, buf, room, &(size_t){0}), PH_END);
	free(buf);
}

static void copy(struct conf *c)
{
	struct ph_copy_options options = {0};
	struct ph_copy *copies[2];
	struct ph_test_buf bytes[2] = {{0}, {0}};
	ph__conf_create(c, CONF_REPO);
	ph__conf_commit_pack(c, CONF_REPO, "a", 20);
	ph__conf_put(c, CONF_REPO, "refs/heads/main", 1);
	enum ph_status status = ph_store_copy(c->store, &options, &copies[0]);
	if (status == PH_ERR_UNSUPPORTED)
		return;
	assert_status(status, PH_OK);
	assert_status(ph_store_copy(c->store, &options, &copies[1]), PH_OK);
	/* Two of the same moment have the same bytes, whatever is committed meanwhile. */
	read_all(c, copies[0], 10000, &bytes[0]);
	ph_copy_free(copies[0]);
	read_all(c, copies[1], 7777, &bytes[1]);
	assert_int_equal(bytes[0].len, bytes[1].len);
	assert_memory_equal(bytes[0].data, bytes[1].data, bytes[0].len);
	ph_copy_free(copies[1]);
	/* One that is freed at once, or half way. */
	assert_status(ph_store_copy(c->store, &options, &copies[0]), PH_OK);
	ph_copy_free(copies[0]);
	assert_status(ph_store_copy(c->store, &options, &copies[0]), PH_OK);
	uint8_t byte;
	size_t len = 0;
	while (len == 0)
		assert_status(ph_copy_read(copies[0], &byte, 1, &len), PH_OK);
	ph_copy_free(copies[0]);
	for (uint32_t i = 0; i < 2; i++)
		ph_test_buf_release(&bytes[i]);
}

static void copy_settings(struct conf *c)
{
	struct asked asked = {0};
	struct ph_copy_options options = {.user = &asked, .setting = look};
	ph__conf_create(c, CONF_REPO);
	struct ph_txn *txn = ph__conf_begin(c, CONF_REPO);
	assert_status(ph_txn_set_setting(txn, "owner", "somebody", 8), PH_OK);
	ph__conf_commit(txn);
	assert_status(ph_store_setting_set(c->store, "host-key", "secret", 6), PH_OK);
	for (uint32_t i = 0; i < 2; i++) {
		struct ph_test_buf bytes = {0};
		struct ph_copy *copy;
		asked.settings = 0;
		asked.leave_out = i == 1;
		enum ph_status status = ph_store_copy(c->store, &options, &copy);
		if (status == PH_ERR_UNSUPPORTED)
			return;
		assert_status(status, PH_OK);
		read_all(c, copy, 60000, &bytes);
		assert_true(asked.settings >= 2);
		ph_copy_free(copy);
		ph_test_buf_release(&bytes);
	}
}

const struct conf_test ph__conf_copy_tests[] = {
        {"copy: the same bytes, whatever is committed meanwhile", copy, 0},
        {"copy: settings are asked about", copy_settings, CONF_ONCE},
        {NULL, NULL, 0},
};
