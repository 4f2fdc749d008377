/* SPDX-License-Identifier: MIT */
/*
 * packhorse import: a repository of git's, or a bundle, becomes a repository of a store, or is
 * added to one. All of it in one transaction: what fails or is interrupted leaves the store as it
 * was.
 */
#include "daemon_int.h"
#include "import.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void usage(FILE *to)
{
	fputs("usage: packhorse import [--force] [--quiet] [--json] FILE|DEV REPO DIR|BUNDLE|-\n"
	      "\n"
	      "Makes REPO in the store FILE of a repository of git's, bare or with a working tree, "
	      "or\n"
	      "of a bundle; - is a bundle on stdin. When there is REPO, what it has not is added.\n"
	      "\n"
	      "  --force   refs of REPO that would lose what they have are changed, too\n"
	      "  --quiet   no progress, no warnings\n"
	      "  --json    what was done, for programs\n",
	      to);
}

/* -1 to go on, or an exit code. */
static int parse(struct ph_import *import, int argc, char **argv)
{
	const char *given[3] = {0};
	const struct ph_tool_flag flags[] = {{"--force", NULL, &import->force},
	                                     {"--quiet", "-q", &import->quiet},
	                                     {"--json", NULL, &import->json},
	                                     {NULL, NULL, NULL}};
	int code = ph__tool_args(argc, argv, flags, given, 3, usage);

	import->image.path = given[0];
	import->repo = given[1];
	import->from = given[2];
	return code;
}

static enum ph_status take(struct ph_import *import)
{
	bool standard = strcmp(import->from, "-") == 0;
	char head[8] = "";
	struct stat about;
	ssize_t len;
	enum ph_status status;
	int fd;

	if (standard) {
		import->from = "standard input";
		return ph__import_bundle(import, STDIN_FILENO);
	}
	if (stat(import->from, &about) != 0)
		return ph__import_errno(import, import->from);
	if (S_ISDIR(about.st_mode))
		return ph__import_folder(import);
	fd = open(import->from, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ph__import_errno(import, import->from);
	/* The .git of a linked worktree is a file, too. */
	len = S_ISREG(about.st_mode) ? pread(fd, head, sizeof(head), 0) : 0;
	status = len == sizeof(head) && memcmp(head, "gitdir: ", sizeof(head)) == 0
	                 ? ph__import_folder(import)
	                 : ph__import_bundle(import, fd);
	close(fd);
	return status;
}

static void tell(const struct ph_import *import)
{
	if (!import->json) {
		if (!import->quiet)
			fprintf(stderr,
			        "%s: %" PRIu32 " refs, %" PRIu32 " of them new, %" PRIu64
			        " objects read\n",
			        import->repo, import->refs.count, import->changed, import->objects);
		return;
	}
	printf("{\"repository\": ");
	ph__json_text(stdout, import->repo);
	printf(", \"object_format\": \"%s\", \"created\": %s, \"refs\": %" PRIu32
	       ", \"refs_changed\": %" PRIu32 ", \"packs\": %" PRIu32 ", \"objects\": %" PRIu64
	       ", \"bytes\": %" PRIu64 ", \"warnings\": %" PRIu32 "}\n",
	       ph_hash_name(import->algo), import->base ? "false" : "true", import->refs.count,
	       import->changed, import->packs, import->objects, import->bytes, import->warnings);
}

static void failed(const struct ph_import *import, enum ph_status status)
{
	const char *why = import->why;

	if (import->interrupted)
		why = "it was interrupted; nothing has changed";
	else if (!*why && status == PH_ERR_FULL)
		why = "there is no room left in the store; nothing has changed";
	else if (!*why && status == PH_ERR_READ_ONLY)
		why = "the store cannot be written; is the file read-only?";
	else if (!*why && status == PH_ERR_CORRUPT)
		why = "the store is damaged; packhorse fsck says what is";
	else if (!*why)
		why = ph_status_text(status);
	fprintf(stderr, "packhorse: cannot import into %s: %s\n", import->repo, why);
}

int ph__tool_import(int argc, char **argv)
{
	struct ph_import import = {0};
	const char *path;
	enum ph_status status;
	int code = parse(&import, argc, argv);

	if (code >= 0)
		return code;
	path = import.image.path;
	if (!ph__image_open(&import.image, path))
		return PH_EXIT_FAILURE;
	ph__interrupt_hold();
	status = take(&import);
	if (status == PH_OK)
		status = ph__import_prove(&import);
	if (status == PH_OK)
		status = ph__import_forward(&import);
	if (status == PH_OK)
		status = ph__import_refs_stage(&import);
	if (status == PH_OK)
		status = ph__import_commit(&import);
	ph__progress_clear(&import.progress);
	if (status == PH_OK)
		tell(&import);
	else
		failed(&import, status);
	ph__import_release(&import);
	ph__image_close(&import.image);
	if (status == PH_OK)
		return PH_EXIT_OK;
	ph__interrupt_release();
	return status == PH_ERR_CORRUPT ? PH_EXIT_DAMAGED : PH_EXIT_FAILURE;
}
