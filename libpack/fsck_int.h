/* SPDX-License-Identifier: MIT */
/*
 * Shared by the fsck files: the table of findings, and the rules for names and URLs.
 */
#ifndef PACKHORSE_FSCK_INT_H
#define PACKHORSE_FSCK_INT_H

#include <packhorse/fsck.h>

/*
 * Every finding: name, severity, git's id. An error is what harms who clones, or what makes an
 * object unreadable. What old tools wrote into histories that exist only warns: nobody can rewrite
 * those.
 */
#define PH__FSCK_MAP(X)                                                                            \
	X(BAD_DATE, WARN, "badDate")                                                               \
	X(BAD_DATE_OVERFLOW, WARN, "badDateOverflow")                                              \
	X(BAD_EMAIL, WARN, "badEmail")                                                             \
	X(BAD_FILEMODE, WARN, "badFilemode")                                                       \
	X(BAD_GPGSIG, ERROR, "badGpgsig")                                                          \
	X(BAD_NAME, WARN, "badName")                                                               \
	X(BAD_OBJECT_SHA1, ERROR, "badObjectSha1")                                                 \
	X(BAD_PARENT_SHA1, ERROR, "badParentSha1")                                                 \
	X(BAD_TAG_NAME, WARN, "badTagName")                                                        \
	X(BAD_TIMEZONE, WARN, "badTimezone")                                                       \
	X(BAD_TREE, ERROR, "badTree")                                                              \
	X(BAD_TREE_SHA1, ERROR, "badTreeSha1")                                                     \
	X(BAD_TYPE, ERROR, "badType")                                                              \
	X(DUPLICATE_ENTRIES, ERROR, "duplicateEntries")                                            \
	X(EMPTY_NAME, ERROR, "emptyName")                                                          \
	X(EXTRA_HEADER_ENTRY, WARN, "extraHeaderEntry")                                            \
	X(FULL_PATHNAME, ERROR, "fullPathname")                                                    \
	X(GITATTRIBUTES_BLOB, ERROR, "gitattributesBlob")                                          \
	X(GITATTRIBUTES_LARGE, ERROR, "gitattributesLarge")                                        \
	X(GITATTRIBUTES_LINE_LENGTH, ERROR, "gitattributesLineLength")                             \
	X(GITATTRIBUTES_SYMLINK, WARN, "gitattributesSymlink")                                     \
	X(GITIGNORE_SYMLINK, WARN, "gitignoreSymlink")                                             \
	X(GITMODULES_BLOB, ERROR, "gitmodulesBlob")                                                \
	X(GITMODULES_LARGE, ERROR, "gitmodulesLarge")                                              \
	X(GITMODULES_NAME, ERROR, "gitmodulesName")                                                \
	X(GITMODULES_PARSE, WARN, "gitmodulesParse")                                               \
	X(GITMODULES_PATH, ERROR, "gitmodulesPath")                                                \
	X(GITMODULES_SYMLINK, ERROR, "gitmodulesSymlink")                                          \
	X(GITMODULES_UPDATE, ERROR, "gitmodulesUpdate")                                            \
	X(GITMODULES_URL, ERROR, "gitmodulesUrl")                                                  \
	X(HAS_DOT, ERROR, "hasDot")                                                                \
	X(HAS_DOTDOT, ERROR, "hasDotdot")                                                          \
	X(HAS_DOTGIT, ERROR, "hasDotgit")                                                          \
	X(LARGE_PATHNAME, ERROR, "largePathname")                                                  \
	X(MAILMAP_SYMLINK, WARN, "mailmapSymlink")                                                 \
	X(MISSING_AUTHOR, ERROR, "missingAuthor")                                                  \
	X(MISSING_COMMITTER, ERROR, "missingCommitter")                                            \
	X(MISSING_EMAIL, WARN, "missingEmail")                                                     \
	X(MISSING_NAME_BEFORE_EMAIL, WARN, "missingNameBeforeEmail")                               \
	X(MISSING_OBJECT, ERROR, "missingObject")                                                  \
	X(MISSING_SPACE_BEFORE_DATE, WARN, "missingSpaceBeforeDate")                               \
	X(MISSING_SPACE_BEFORE_EMAIL, WARN, "missingSpaceBeforeEmail")                             \
	X(MISSING_TAG_ENTRY, ERROR, "missingTagEntry")                                             \
	X(MISSING_TAGGER_ENTRY, WARN, "missingTaggerEntry")                                        \
	X(MISSING_TREE, ERROR, "missingTree")                                                      \
	X(MISSING_TYPE_ENTRY, ERROR, "missingTypeEntry")                                           \
	X(MULTIPLE_AUTHORS, WARN, "multipleAuthors")                                               \
	X(NUL_IN_COMMIT, WARN, "nulInCommit")                                                      \
	X(NUL_IN_HEADER, ERROR, "nulInHeader")                                                     \
	X(NULL_SHA1, ERROR, "nullSha1")                                                            \
	X(TREE_NOT_SORTED, ERROR, "treeNotSorted")                                                 \
	X(UNKNOWN_TYPE, ERROR, "unknownType")                                                      \
	X(UNTERMINATED_HEADER, ERROR, "unterminatedHeader")                                        \
	X(ZERO_PADDED_DATE, WARN, "zeroPaddedDate")                                                \
	X(ZERO_PADDED_FILEMODE, WARN, "zeroPaddedFilemode")

enum ph__fsck_id {
#define X(name, severity, text) PH__FSCK_##name,
	PH__FSCK_MAP(X)
#undef X
	        PH__FSCK_COUNT
};

/* One object under examination. */
struct ph__fsck_run {
	const struct ph_fsck *rules;
	bool failed; /* an error was found */
};

/* Reports a finding. */
void ph__fsck_find(struct ph__fsck_run *run, enum ph__fsck_id id);

/* PH_OK whatever it found (see run->failed), or an error of the special callback. */
enum ph_status ph__fsck_tree(struct ph__fsck_run *run, const void *data, size_t size);

/* What a file name may be taken for by HFS+, NTFS or any file system that folds case. */
enum ph__name_kind {
	PH__NAME_PLAIN = 0,
	PH__NAME_DOT = 1 << 0,
	PH__NAME_DOTDOT = 1 << 1,
	PH__NAME_DOTGIT = 1 << 2,
	PH__NAME_GITMODULES = 1 << 3,
	PH__NAME_GITATTRIBUTES = 1 << 4,
	PH__NAME_GITIGNORE = 1 << 5,
	PH__NAME_MAILMAP = 1 << 6,
	PH__NAME_SLASH = 1 << 7 /* has one */
};
/* A set of enum ph__name_kind. Components between backslashes count too. */
unsigned ph__name_kinds(const char *name, size_t len);

/* Whether a submodule's URL is safe to hand to a client's git. */
bool ph__submodule_url_ok(const char *url, size_t len);
/* Whether its name is safe as a path below .git/modules. */
bool ph__submodule_name_ok(const char *name, size_t len);

#endif
