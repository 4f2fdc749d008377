/* SPDX-License-Identifier: MIT */
/*
 * File names that are more than they seem. NTFS drops trailing dots and spaces, gives every file a
 * short name (GIT~1) and hides streams behind a colon; HFS+ drops certain code points; both fold
 * case. A name that one of them takes for .git is a way into a repository's configuration, so what
 * counts is how any client may read it, not how it is written.
 */
#include "fsck_int.h"

/* A file git reads by itself: its name without the dot, and how NTFS may hash it to a short name.
 */
struct dot_file {
	char name[16];
	char short_hash[8];
	enum ph__name_kind kind;
};

static const struct dot_file dot_files[] = {
        {"gitmodules", "gi7eba", PH__NAME_GITMODULES},
        {"gitattributes", "gi7d29", PH__NAME_GITATTRIBUTES},
        {"gitignore", "gi250a", PH__NAME_GITIGNORE},
        {"mailmap", "maba30", PH__NAME_MAILMAP},
};

static uint8_t byte_at(const char *name, size_t len, size_t at)
{
	return at < len ? (uint8_t)name[at] : 0;
}

static uint8_t lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

/* Bytes of the code point at `at` when HFS+ ignores it in names, else 0. */
static size_t hfs_ignored(const char *name, size_t len, size_t at)
{
	uint8_t a = byte_at(name, len, at);
	uint8_t b = byte_at(name, len, at + 1);
	uint8_t c = byte_at(name, len, at + 2);

	if (a == 0xef) {
		return b == 0xbb && c == 0xbf ? 3 : 0; /* U+FEFF */
	}
	if (a != 0xe2) {
		return 0;
	}
	if (b == 0x80) { /* U+200C..U+200F, U+202A..U+202E */
		return (c >= 0x8c && c <= 0x8f) || (c >= 0xaa && c <= 0xae) ? 3 : 0;
	}
	return b == 0x81 && c >= 0xaa && c <= 0xaf ? 3 : 0; /* U+206A..U+206F */
}

static size_t hfs_skip(const char *name, size_t len, size_t at)
{
	size_t step;

	while ((step = hfs_ignored(name, len, at)) != 0) {
		at += step;
	}
	return at;
}

static bool follows(const char *name, size_t len, size_t at, size_t count)
{
	for (size_t i = 1; i <= count; i++) {
		if ((byte_at(name, len, at + i) & 0xc0) != 0x80) {
			return false;
		}
	}
	return true;
}

/* Whether a code point of UTF-8 begins here: in its shortest form, no surrogate, no U+FFFE. */
static bool is_utf8(const char *name, size_t len, size_t at)
{
	uint8_t a = byte_at(name, len, at);
	uint8_t b = byte_at(name, len, at + 1);

	if (a < 0x80) {
		return true;
	}
	if (a < 0xe0) {
		return a >= 0xc2 && follows(name, len, at, 1);
	}
	if (a < 0xf0) {
		return follows(name, len, at, 2) && (a != 0xe0 || b >= 0xa0) &&
		       (a != 0xed || b < 0xa0) &&
		       (a != 0xef || b != 0xbf || (byte_at(name, len, at + 2) & 0xfe) != 0xbe);
	}
	return a <= 0xf4 && follows(name, len, at, 3) && (a != 0xf0 || b >= 0x90) &&
	       (a != 0xf4 || b < 0x90);
}

/* Whether HFS+ reads the name as a dot and the word. Nobody knows what it makes of bytes that are
 * no UTF-8, so that they end a name, as for git. */
static bool hfs_is_dot(const char *name, size_t len, const char *word)
{
	size_t at = hfs_skip(name, len, 0);

	if (byte_at(name, len, at) != '.') {
		return false;
	}
	for (at++; *word != '\0'; word++, at++) {
		at = hfs_skip(name, len, at);
		if (lower(byte_at(name, len, at)) != (uint8_t)*word) {
			return false;
		}
	}
	at = hfs_skip(name, len, at);
	return at >= len || !is_utf8(name, len, at);
}

/* NTFS drops dots and spaces at the end; what follows a colon names a stream of the same file. */
static bool ntfs_ends(const char *name, size_t len, size_t at)
{
	while (at < len && (name[at] == '.' || name[at] == ' ')) {
		at++;
	}
	return at >= len || name[at] == ':' || name[at] == '\\' || name[at] == '/';
}

static bool matches(const char *name, size_t len, size_t at, const char *word, size_t word_len)
{
	if (at > len || len - at < word_len) {
		return false;
	}
	for (size_t i = 0; i < word_len; i++) {
		if (lower((uint8_t)name[at + i]) != (uint8_t)word[i]) {
			return false;
		}
	}
	return true;
}

static bool ntfs_is_dotgit(const char *name, size_t len)
{
	if (matches(name, len, 0, ".git", 4)) {
		return ntfs_ends(name, len, 4);
	}
	return matches(name, len, 0, "git~1", 5) && ntfs_ends(name, len, 5);
}

static bool is_digit(uint8_t byte, uint8_t from)
{
	return byte >= from && byte <= '9';
}

/* The short name NTFS falls back to: some of six known characters, a tilde, a number; eight in all.
 */
static bool ntfs_is_hashed(const char *name, size_t len, const char *hash)
{
	size_t at = 0;

	if (len < 8) {
		return false;
	}
	while (at < 6 && lower((uint8_t)name[at]) == (uint8_t)hash[at]) {
		at++;
	}
	if (name[at] != '~' || !is_digit((uint8_t)name[at + 1], '1')) {
		return false;
	}
	for (at += 2; at < 8; at++) {
		if (!is_digit((uint8_t)name[at], '0')) {
			return false;
		}
	}
	return ntfs_ends(name, len, 8);
}

static bool ntfs_is_dot(const char *name, size_t len, const struct dot_file *file)
{
	size_t word_len = strlen(file->name);
	uint8_t number;

	if (byte_at(name, len, 0) == '.' && matches(name, len, 1, file->name, word_len)) {
		return ntfs_ends(name, len, word_len + 1);
	}
	number = byte_at(name, len, 7);
	if (matches(name, len, 0, file->name, 6) && byte_at(name, len, 6) == '~' && number >= '1' &&
	    number <= '4') {
		return ntfs_ends(name, len, 8);
	}
	return ntfs_is_hashed(name, len, file->short_hash);
}

/* One component, as written or behind a backslash. */
static unsigned component_kinds(const char *name, size_t len)
{
	unsigned kinds = PH__NAME_PLAIN;

	if (len == 1 && name[0] == '.') {
		kinds |= PH__NAME_DOT;
	}
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		kinds |= PH__NAME_DOTDOT;
	}
	if (ntfs_is_dotgit(name, len) || hfs_is_dot(name, len, "git")) {
		kinds |= PH__NAME_DOTGIT;
	}
	for (size_t i = 0; i < sizeof dot_files / sizeof dot_files[0]; i++) {
		if (ntfs_is_dot(name, len, &dot_files[i]) ||
		    hfs_is_dot(name, len, dot_files[i].name)) {
			kinds |= (unsigned)dot_files[i].kind;
		}
	}
	return kinds;
}

/* Every spelling begins like one of these: nearly all names are done after two comparisons. */
static bool may_be_special(const char *name, size_t len)
{
	uint8_t second = lower(byte_at(name, len, 1));

	switch ((uint8_t)name[0]) {
	case '.':
		return second == 'g' || second == 'm' || second == '.' || second >= 0x80 ||
		       len == 1;
	case 'g':
	case 'G':
		return second == 'i' || second == '~';
	case 'm':
	case 'M':
		return second == 'a' || second == '~';
	case 0xe2:
	case 0xef:
		return true;
	default:
		return false;
	}
}

unsigned ph__name_kinds(const char *name, size_t len)
{
	unsigned kinds = PH__NAME_PLAIN;
	bool backslash = false;
	bool slash = false;
	size_t start = 0;

	if (len == 0) {
		return kinds;
	}
	for (size_t i = 0; i < len; i++) {
		slash = slash || name[i] == '/';
		backslash = backslash || name[i] == '\\';
	}
	if (slash) {
		kinds |= PH__NAME_SLASH;
	}
	if (may_be_special(name, len)) {
		kinds |= component_kinds(name, len);
	}
	/* A directory separator on Windows: a/.git written as one name. */
	for (size_t i = 0; backslash && i <= len; i++) {
		if (i < len && name[i] != '\\') {
			continue;
		}
		if (i > start && may_be_special(name + start, i - start)) {
			kinds |= component_kinds(name + start, i - start);
		}
		start = i + 1;
	}
	return kinds;
}
