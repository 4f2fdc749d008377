/* SPDX-License-Identifier: MIT */
/*
 * Shared by the fsck files: the table of findings, and the rules for names and URLs.
 */
#ifndef PACKHORSE_FSCK_INT_H
#define PACKHORSE_FSCK_INT_H

#include <packhorse/fsck.h>

/*
 * Every finding: name, severity, git's id, and what git says about it. An error is what harms who
 * clones, or what makes an object unreadable; one that is fatal cannot be made less. What old tools
 * wrote into histories that exist only warns: nobody can rewrite those.
 */
#define PH__FSCK_MAP(X)                                                                            \
	X(BAD_DATE, WARN, "badDate", "invalid author/committer line - bad date")                   \
	X(BAD_DATE_OVERFLOW, WARN, "badDateOverflow",                                              \
	  "invalid author/committer line - date causes integer overflow")                          \
	X(BAD_EMAIL, WARN, "badEmail", "invalid author/committer line - bad email")                \
	X(BAD_FILEMODE, WARN, "badFilemode", "contains bad file modes")                            \
	X(BAD_GPGSIG, ERROR, "badGpgsig",                                                          \
	  "invalid format - unexpected end after 'gpgsig' or 'gpgsig-sha256' line")                \
	X(BAD_HEADER_CONTINUATION, ERROR, "badHeaderContinuation",                                 \
	  "invalid format - unexpected end in 'gpgsig' or 'gpgsig-sha256' continuation line")      \
	X(BAD_NAME, WARN, "badName", "invalid author/committer line - bad name")                   \
	X(BAD_OBJECT_SHA1, ERROR, "badObjectSha1", "invalid 'object' line format - bad sha1")      \
	X(BAD_PARENT_SHA1, ERROR, "badParentSha1", "invalid 'parent' line format - bad sha1")      \
	X(BAD_TAG_NAME, WARN, "badTagName", "invalid 'tag' name")                                  \
	X(BAD_TIMEZONE, WARN, "badTimezone", "invalid author/committer line - bad time zone")      \
	X(BAD_TREE, ERROR, "badTree", "cannot be parsed as a tree")                                \
	X(BAD_TREE_SHA1, ERROR, "badTreeSha1", "invalid 'tree' line format - bad sha1")            \
	X(BAD_TYPE, ERROR, "badType", "invalid 'type' value")                                      \
	X(DUPLICATE_ENTRIES, ERROR, "duplicateEntries", "contains duplicate file entries")         \
	X(EMPTY_NAME, ERROR, "emptyName", "contains empty pathname")                               \
	X(EXTRA_HEADER_ENTRY, OK, "extraHeaderEntry",                                              \
	  "invalid format - extra header(s) after 'tagger'")                                       \
	X(FULL_PATHNAME, ERROR, "fullPathname", "contains full pathnames")                         \
	X(GITATTRIBUTES_BLOB, ERROR, "gitattributesBlob", "non-blob found at .gitattributes")      \
	X(GITATTRIBUTES_LARGE, ERROR, "gitattributesLarge", ".gitattributes too large to parse")   \
	X(GITATTRIBUTES_LINE_LENGTH, ERROR, "gitattributesLineLength",                             \
	  ".gitattributes has too long lines to parse")                                            \
	X(GITATTRIBUTES_MISSING, ERROR, "gitattributesMissing",                                    \
	  "unable to read .gitattributes blob")                                                    \
	X(GITATTRIBUTES_SYMLINK, WARN, "gitattributesSymlink", ".gitattributes is a symlink")      \
	X(GITIGNORE_SYMLINK, WARN, "gitignoreSymlink", ".gitignore is a symlink")                  \
	X(GITMODULES_BLOB, ERROR, "gitmodulesBlob", "non-blob found at .gitmodules")               \
	X(GITMODULES_LARGE, ERROR, "gitmodulesLarge", ".gitmodules too large to parse")            \
	X(GITMODULES_MISSING, ERROR, "gitmodulesMissing", "unable to read .gitmodules blob")       \
	X(GITMODULES_NAME, ERROR, "gitmodulesName", "disallowed submodule name")                   \
	X(GITMODULES_PARSE, WARN, "gitmodulesParse", "could not parse gitmodules blob")            \
	X(GITMODULES_PATH, ERROR, "gitmodulesPath", "disallowed submodule path")                   \
	X(GITMODULES_SYMLINK, ERROR, "gitmodulesSymlink", ".gitmodules is a symbolic link")        \
	X(GITMODULES_UPDATE, ERROR, "gitmodulesUpdate", "disallowed submodule update setting")     \
	X(GITMODULES_URL, ERROR, "gitmodulesUrl", "disallowed submodule url")                      \
	X(HAS_DOT, ERROR, "hasDot", "contains '.'")                                                \
	X(HAS_DOTDOT, ERROR, "hasDotdot", "contains '..'")                                         \
	X(HAS_DOTGIT, ERROR, "hasDotgit", "contains '.git'")                                       \
	X(LARGE_PATHNAME, ERROR, "largePathname", "contains excessively large pathname")           \
	X(MAILMAP_SYMLINK, WARN, "mailmapSymlink", ".mailmap is a symlink")                        \
	X(MISSING_AUTHOR, ERROR, "missingAuthor", "invalid format - expected 'author' line")       \
	X(MISSING_COMMITTER, ERROR, "missingCommitter",                                            \
	  "invalid format - expected 'committer' line")                                            \
	X(MISSING_EMAIL, WARN, "missingEmail", "invalid author/committer line - missing email")    \
	X(MISSING_NAME_BEFORE_EMAIL, WARN, "missingNameBeforeEmail",                               \
	  "invalid author/committer line - missing space before email")                            \
	X(MISSING_OBJECT, ERROR, "missingObject", "invalid format - expected 'object' line")       \
	X(MISSING_SPACE_BEFORE_DATE, WARN, "missingSpaceBeforeDate",                               \
	  "invalid author/committer line - missing space before date")                             \
	X(MISSING_SPACE_BEFORE_EMAIL, WARN, "missingSpaceBeforeEmail",                             \
	  "invalid author/committer line - missing space before email")                            \
	X(MISSING_TAG, ERROR, "missingTag", "invalid format - unexpected end after 'type' line")   \
	X(MISSING_TAG_ENTRY, ERROR, "missingTagEntry", "invalid format - expected 'tag' line")     \
	X(MISSING_TAGGER_ENTRY, WARN, "missingTaggerEntry",                                        \
	  "invalid format - expected 'tagger' line")                                               \
	X(MISSING_TREE, ERROR, "missingTree", "invalid format - expected 'tree' line")             \
	X(MISSING_TYPE, ERROR, "missingType", "invalid format - unexpected end after 'type' line") \
	X(MISSING_TYPE_ENTRY, ERROR, "missingTypeEntry", "invalid format - expected 'type' line")  \
	X(MULTIPLE_AUTHORS, WARN, "multipleAuthors", "invalid format - multiple 'author' lines")   \
	X(NUL_IN_COMMIT, WARN, "nulInCommit", "NUL byte in the commit object body")                \
	X(NUL_IN_HEADER, FATAL, "nulInHeader", "unterminated header: NUL")                         \
	X(NULL_SHA1, ERROR, "nullSha1", "contains entries pointing to null sha1")                  \
	X(TREE_NOT_SORTED, ERROR, "treeNotSorted", "not properly sorted")                          \
	X(UNKNOWN_TYPE, ERROR, "unknownType", "unknown type")                                      \
	X(UNTERMINATED_HEADER, FATAL, "unterminatedHeader", "unterminated header")                 \
	X(ZERO_PADDED_DATE, WARN, "zeroPaddedDate",                                                \
	  "invalid author/committer line - zero-padded date")                                      \
	X(ZERO_PADDED_FILEMODE, WARN, "zeroPaddedFilemode", "contains zero-padded file modes")

/* git's ids about files of refs, which are known as keys; there are no such files here. */
#define PH__FSCK_REFS_MAP(X)                                                                       \
	X(BAD_HEAD_TARGET, OK, "badHeadTarget", "")                                                \
	X(BAD_PACKED_REF_ENTRY, OK, "badPackedRefEntry", "")                                       \
	X(BAD_PACKED_REF_HEADER, OK, "badPackedRefHeader", "")                                     \
	X(BAD_REFERENT_NAME, OK, "badReferentName", "")                                            \
	X(BAD_REF_CONTENT, OK, "badRefContent", "")                                                \
	X(BAD_REF_FILETYPE, OK, "badRefFiletype", "")                                              \
	X(BAD_REF_NAME, OK, "badRefName", "")                                                      \
	X(BAD_REF_OID, OK, "badRefOid", "")                                                        \
	X(BAD_REFTABLE_TABLE_NAME, OK, "badReftableTableName", "")                                 \
	X(EMPTY_PACKED_REFS_FILE, OK, "emptyPackedRefsFile", "")                                   \
	X(PACKED_REF_ENTRY_NOT_TERMINATED, OK, "packedRefEntryNotTerminated", "")                  \
	X(PACKED_REF_UNSORTED, OK, "packedRefUnsorted", "")                                        \
	X(REF_MISSING_NEWLINE, OK, "refMissingNewline", "")                                        \
	X(SYMLINK_REF, OK, "symlinkRef", "")                                                       \
	X(SYMREF_TARGET_IS_NOT_A_REF, OK, "symrefTargetIsNotARef", "")                             \
	X(TRAILING_REF_CONTENT, OK, "trailingRefContent", "")

enum ph__fsck_id {
#define X(name, severity, id, text) PH__FSCK_##name,
	PH__FSCK_MAP(X)
	/* Those that can be found; then those of refs. */
	PH__FSCK_COUNT,
	PH__FSCK_BEFORE_REFS = PH__FSCK_COUNT - 1,
	PH__FSCK_REFS_MAP(X) PH__FSCK_ALL_COUNT
#undef X
};

/* One object under examination. */
struct ph__fsck_run {
	const struct ph_fsck *fsck;
	bool skipped; /* nothing is found in it */
	bool failed;  /* an error was found */
};

void ph__fsck_run_init(struct ph__fsck_run *run, const struct ph_fsck *fsck);
/* Reports a finding. False when it is an error. */
bool ph__fsck_find(struct ph__fsck_run *run, enum ph__fsck_id id);
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
