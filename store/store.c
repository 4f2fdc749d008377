/* SPDX-License-Identifier: MIT */
/*
 * What every store shares with its callers: following symrefs, and the rule for names of
 * repositories. Names come from peers and are looked up in a table, so the rule does not guard a
 * file system; it keeps out what would confuse people, logs and the commands that carry names.
 */
#include <packhorse/store.h>

#include <string.h>

/* As many as git follows. */
#define SYMREF_LINKS_MAX 5u

/* Copies a name when it has room in a ph_ref. */
static bool copy_name(char *out, const char *name)
{
	size_t len = 0;
	while (len <= PH_REF_NAME_MAX && name[len] != '\0')
		len++;
	if (len > PH_REF_NAME_MAX)
		return false;
	memmove(out, name, len);
	out[len] = '\0';
	return true;
}

enum ph_status ph_snapshot_resolve(struct ph_snapshot *snapshot, const char *name,
                                   struct ph_ref *out, char *target)
{
	struct ph_ref ref;
	char tried[PH_REF_NAME_MAX + 1];
	enum ph_status status = PH_ERR_LIMIT;
	if (!copy_name(tried, name))
		return PH_ERR_NOT_FOUND;
	for (unsigned links = 0; links <= SYMREF_LINKS_MAX; links++) {
		status = ph_snapshot_ref(snapshot, tried, &ref);
		if (status != PH_OK || ref.target[0] == '\0')
			break;
		status = PH_ERR_LIMIT;
		if (links < SYMREF_LINKS_MAX)
			copy_name(tried, ref.target);
	}
	if (target)
		copy_name(target, tried);
	if (status == PH_OK)
		*out = ref;
	return status;
}

/* Length of the UTF-8 sequence at the start of text, or 0 when there is no valid one. */
static size_t utf8_sequence(const unsigned char *text, size_t len)
{
	/* Least code point for each length: what could be written shorter is malformed. */
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = text[0];
	size_t count = first < 0x80   ? 1
	               : first < 0xc0 ? 0
	               : first < 0xe0 ? 2
	               : first < 0xf0 ? 3
	                              : 4;
	if (count == 0 || first >= 0xf8 || count > len)
		return 0;
	uint32_t point = count == 1 ? first : first & (0x7fu >> count);
	for (size_t i = 1; i < count; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (text[i] & 0x3fu);
	}
	bool surrogate = point >= 0xd800 && point <= 0xdfff;
	return point < least[count] || point > 0x10ffff || surrogate ? 0 : count;
}

static bool characters_good(const char *name, size_t len)
{
	const unsigned char *at = (const unsigned char *)name;
	while (len > 0) {
		if (*at < 0x20 || *at == 0x7f || *at == '\\')
			return false;
		size_t count = utf8_sequence(at, len);
		if (count == 0)
			return false;
		at += count;
		len -= count;
	}
	return true;
}

static bool component_good(const char *name, size_t len)
{
	if (len == 0 || name[0] == '.' || name[0] == '-')
		return false;
	return len < 4 || memcmp(name + len - 4, ".git", 4) != 0;
}

enum ph_status ph_repo_name_check(const char *name, size_t len)
{
	if (len == 0 || len > PH_REPO_NAME_MAX || !characters_good(name, len))
		return PH_ERR_INVALID;
	size_t start = 0;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && name[i] != '/')
			continue;
		if (!component_good(name + start, i - start))
			return PH_ERR_INVALID;
		start = i + 1;
	}
	return PH_OK;
}
