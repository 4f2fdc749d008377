/* SPDX-License-Identifier: MIT */
/*
 * Object types and the parsers of commits, tags and trees. They are on the path of every walk, so
 * they point into what they parse. They accept what git accepts of old histories, such as odd times
 * and zero-padded modes; a commit or tag whose links cannot be trusted is refused.
 */
#include <packhorse/object.h>

#include <assert.h>

/* Longest first line of each kind is fixed: a keyword, an id in hex, a newline. */
#define TREE_KEYWORD "tree "
#define PARENT_KEYWORD "parent "
#define OBJECT_KEYWORD "object "

const char *ph_object_type_name(enum ph_object_type type)
{
	switch (type) {
	case PH_OBJ_COMMIT:
		return "commit";
	case PH_OBJ_TREE:
		return "tree";
	case PH_OBJ_BLOB:
		return "blob";
	case PH_OBJ_TAG:
		return "tag";
	case PH_OBJ_NONE:
	case PH_OBJ_OFS_DELTA:
	case PH_OBJ_REF_DELTA:
		break;
	}
	return "none";
}

enum ph_object_type ph_object_type_from_name(const char *name, size_t len)
{
	if (len == 6 && memcmp(name, "commit", 6) == 0)
		return PH_OBJ_COMMIT;
	if (len == 4 && memcmp(name, "tree", 4) == 0)
		return PH_OBJ_TREE;
	if (len == 4 && memcmp(name, "blob", 4) == 0)
		return PH_OBJ_BLOB;
	if (len == 3 && memcmp(name, "tag", 3) == 0)
		return PH_OBJ_TAG;
	return PH_OBJ_NONE;
}

static bool starts_with(const char *at, const char *end, const char *keyword, size_t len)
{
	return (size_t)(end - at) >= len && memcmp(at, keyword, len) == 0;
}

/* A whole line "<keyword><id>\n" at *at; moves *at behind it. */
static enum ph_status take_id_line(const char **at, const char *end, const char *keyword,
                                   enum ph_hash_algo algo, struct ph_oid *out)
{
	size_t keyword_len = strlen(keyword);
	size_t hex_len = ph_hash_hex(algo);

	if (!starts_with(*at, end, keyword, keyword_len))
		return PH_ERR_INVALID;
	if ((size_t)(end - *at) < keyword_len + hex_len + 1)
		return PH_ERR_INVALID;
	if ((*at)[keyword_len + hex_len] != '\n')
		return PH_ERR_INVALID;
	if (ph_oid_from_hex(out, algo, *at + keyword_len, hex_len) != PH_OK)
		return PH_ERR_INVALID;
	*at += keyword_len + hex_len + 1;
	return PH_OK;
}

/* A whole line "<keyword><text>\n" at *at; moves *at behind it. */
static enum ph_status take_text_line(const char **at, const char *end, const char *keyword,
                                     const char **text, size_t *text_len)
{
	size_t keyword_len = strlen(keyword);
	const char *newline;

	if (!starts_with(*at, end, keyword, keyword_len))
		return PH_ERR_INVALID;
	*at += keyword_len;
	newline = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
	if (!newline)
		return PH_ERR_INVALID;
	*text = *at;
	*text_len = (size_t)(newline - *at);
	*at = newline + 1;
	return PH_OK;
}

/*
 * The time behind the last '>' of a committer's line, as git reads it: names may hold anything
 * else. 0 when there is none, when it is negative or when it does not fit.
 */
static uint64_t read_time(const char *line, size_t len)
{
	uint64_t time = 0;
	size_t at = len;

	while (at > 0 && line[at - 1] != '>')
		at--;
	if (at == 0)
		return 0;
	while (at < len && line[at] == ' ')
		at++;
	for (; at < len && line[at] >= '0' && line[at] <= '9'; at++) {
		uint64_t digit = (uint64_t)(line[at] - '0');
		if (time > (UINT64_MAX - digit) / 10)
			return 0;
		time = time * 10 + digit;
	}
	return time;
}

enum ph_status ph_commit_parse(struct ph_commit *out, enum ph_hash_algo algo, const void *data,
                               size_t size)
{
	struct ph_commit commit = {.algo = algo};
	const char *at = data;
	const char *end;
	const char *line;
	size_t line_len;
	struct ph_oid parent;

	if (size == 0)
		return PH_ERR_INVALID;
	end = at + size;
	if (take_id_line(&at, end, TREE_KEYWORD, algo, &commit.tree) != PH_OK)
		return PH_ERR_INVALID;
	while (starts_with(at, end, PARENT_KEYWORD, sizeof(PARENT_KEYWORD) - 1)) {
		if (!commit.parent0)
			commit.parent0 = at;
		if (commit.parents == UINT32_MAX)
			return PH_ERR_INVALID;
		if (take_id_line(&at, end, PARENT_KEYWORD, algo, &parent) != PH_OK)
			return PH_ERR_INVALID;
		commit.parents++;
	}
	if (take_text_line(&at, end, "author ", &line, &line_len) == PH_OK &&
	    take_text_line(&at, end, "committer ", &line, &line_len) == PH_OK)
		commit.time = read_time(line, line_len);
	*out = commit;
	return PH_OK;
}

void ph_commit_parent(const struct ph_commit *commit, uint32_t index, struct ph_oid *out)
{
	size_t keyword_len = sizeof(PARENT_KEYWORD) - 1;
	size_t hex_len = ph_hash_hex(commit->algo);
	const char *hex;
	enum ph_status status;

	assert(index < commit->parents);
	hex = commit->parent0 + index * (keyword_len + hex_len + 1) + keyword_len;
	status = ph_oid_from_hex(out, commit->algo, hex, hex_len);
	/* ph_commit_parse has read these very digits. */
	assert(status == PH_OK);
	(void)status;
}

enum ph_status ph_tag_parse(struct ph_tag *out, enum ph_hash_algo algo, const void *data,
                            size_t size)
{
	struct ph_tag tag;
	const char *at = data;
	const char *end;
	const char *type;
	size_t type_len;

	if (size == 0)
		return PH_ERR_INVALID;
	end = at + size;
	if (take_id_line(&at, end, OBJECT_KEYWORD, algo, &tag.object) != PH_OK ||
	    take_text_line(&at, end, "type ", &type, &type_len) != PH_OK ||
	    take_text_line(&at, end, "tag ", &tag.name, &tag.name_len) != PH_OK)
		return PH_ERR_INVALID;
	tag.type = ph_object_type_from_name(type, type_len);
	if (tag.type == PH_OBJ_NONE)
		return PH_ERR_INVALID;
	*out = tag;
	return PH_OK;
}

void ph_tree_iter_init(struct ph_tree_iter *iter, enum ph_hash_algo algo, const void *data,
                       size_t size)
{
	iter->algo = algo;
	iter->at = data;
	iter->end = size > 0 ? iter->at + size : iter->at;
}

/* Octal digits up to a space. The mode is kept as written, which may have leading zeros. */
static const uint8_t *take_mode(const uint8_t *at, const uint8_t *end, uint32_t *mode)
{
	uint32_t value = 0;
	const uint8_t *start = at;

	for (; at < end && *at >= '0' && *at <= '7'; at++) {
		if (value > UINT32_MAX >> 3)
			return NULL;
		value = value << 3 | (uint32_t)(*at - '0');
	}
	if (at == start || at == end || *at != ' ')
		return NULL;
	*mode = value;
	return at + 1;
}

enum ph_status ph_tree_iter_next(struct ph_tree_iter *iter, struct ph_tree_entry *out)
{
	size_t hash_len = ph_hash_bytes(iter->algo);
	const uint8_t *name;
	const uint8_t *nul;

	if (iter->at == iter->end)
		return PH_END;
	name = take_mode(iter->at, iter->end, &out->mode);
	if (!name || name == iter->end)
		return PH_ERR_INVALID;
	nul = memchr(name, 0, (size_t)(iter->end - name));
	if (!nul || nul == name || (size_t)(iter->end - nul) < 1 + hash_len)
		return PH_ERR_INVALID;
	out->name = (const char *)name;
	out->name_len = (size_t)(nul - name);
	ph_oid_from_bytes(&out->oid, iter->algo, nul + 1);
	iter->at = nul + 1 + hash_len;
	return PH_OK;
}
