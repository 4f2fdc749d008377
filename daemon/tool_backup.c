/* SPDX-License-Identifier: MIT */
/*
 * packhorse backup: a copy of an image that no server has open. A file gets its name once it is
 * whole and on stable storage; what was cut off before goes, and a stream that was does not open.
 */
#include "daemon_int.h"
#include "progress.h"
#include "tools_int.h"
#include <errno.h>
#include <inttypes.h>
#include <packhorse/backup.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096u
#define STEP_BYTES 65536u

struct backup {
	struct ph_image image;
	const char *to; /* "-" is stdout */
	char temporary[PATH_BYTES];
	int fd;
	bool with_host_key, keep_going, quiet, json;
	bool left_out; /* secrets were */
	struct ph_progress progress;
	uint64_t bytes, damaged;
	enum ph_status ended; /* the copy; PH_END when all of it was read */
};

static void usage(FILE *to)
{
	fputs("usage: packhorse backup FILE|DEV OUT|- [--with-host-key] [--keep-going] [--quiet]\n"
	      "                        [--json]\n"
	      "\n"
	      "Copies a store that no server has open into the new file OUT, or to stdout; of a\n"
	      "server that runs: ssh HOST backup > OUT. All that is copied is checked.\n"
	      "\n"
	      "  --with-host-key  the copy has the server's host key and receive.certNonceSeed,\n"
	      "                   too: whoever has it can pass for the server\n"
	      "  --keep-going     damage is named, and all else is copied\n"
	      "  --quiet, -q      no progress\n"
	      "  --json           says at the end what was copied, as JSON\n",
	      to);
}

static void failed(const struct backup *backup, const char *what)
{
	fprintf(stderr, "packhorse: cannot %s %s: %s\n", what, backup->to, strerror(errno));
}

/* ---- the file ---- */

static bool is_stdout(const struct backup *backup)
{
	return strcmp(backup->to, "-") == 0;
}

static bool open_out(struct backup *backup)
{
	struct stat found;

	if (is_stdout(backup)) {
		backup->fd = STDOUT_FILENO;
		if (!isatty(STDOUT_FILENO))
			return true;
		fputs("packhorse: a backup is no text; send it to a file\n", stderr);
		return false;
	}
	if (lstat(backup->to, &found) == 0) {
		errno = EEXIST;
		failed(backup, "make");
		return false;
	}
	if (snprintf(backup->temporary, sizeof(backup->temporary), "%s.XXXXXX", backup->to) >=
	    (int)sizeof(backup->temporary)) {
		backup->temporary[0] = '\0';
		errno = ENAMETOOLONG;
		failed(backup, "make");
		return false;
	}
	/* Of mode 0600. */
	backup->fd = mkstemp(backup->temporary);
	if (backup->fd >= 0)
		return true;
	backup->temporary[0] = '\0';
	failed(backup, "make");
	return false;
}

static bool put(struct backup *backup, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t wrote = write(backup->fd, data, len);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0) {
			ph__progress_clear(&backup->progress);
			failed(backup, "write");
			return false;
		}
		data += wrote;
		len -= (size_t)wrote;
	}
	return true;
}

/* A link does not take the place of a file that came meanwhile, as renaming would. */
static bool give_name(struct backup *backup)
{
	if (link(backup->temporary, backup->to) != 0) {
		struct stat found;

		/* Some file systems have none. */
		if (errno == EEXIST || lstat(backup->to, &found) == 0 ||
		    rename(backup->temporary, backup->to) != 0)
			return false;
	} else if (unlink(backup->temporary) != 0) {
		return false;
	}
	/* The name is durable when its folder is. */
	return ph__folder_sync_above(backup->to);
}

static bool close_out(struct backup *backup, bool good)
{
	if (is_stdout(backup))
		return good;
	if (good && (fsync(backup->fd) != 0 || !give_name(backup))) {
		failed(backup, "finish");
		good = false;
	}
	if (backup->fd >= 0)
		close(backup->fd);
	if (!good && backup->temporary[0])
		unlink(backup->temporary);
	return good;
}

/* ---- the copy ---- */

static void report(void *user, const char *line)
{
	struct backup *backup = user;

	ph__progress_clear(&backup->progress);
	fprintf(stderr, "packhorse: damaged: %s\n", line);
}

static enum ph_status setting(void *user, const char *repo, const char *key, void *data,
                              size_t *len)
{
	struct backup *backup = user;

	return ph_backup_setting(&backup->left_out, repo, key, data, len);
}

/* Damage ended the copy, not only was passed by. */
static bool is_damage(const struct backup *backup)
{
	return backup->ended == PH_ERR_CORRUPT || (backup->ended == PH_ERR_IO && backup->damaged);
}

/* Why the copy ended; then what would help. */
static void failed_copy(const struct backup *backup)
{
	if (is_damage(backup))
		fprintf(stderr,
		        "packhorse: cannot copy %s: it is damaged; packhorse fsck says what is%s\n",
		        backup->image.path,
		        backup->keep_going ? "" : ", and --keep-going copies what can be");
	else
		ph__image_failed(backup->image.path, "copy", backup->ended);
}

/* False: said why. */
static bool pump(struct backup *backup, struct ph_copy *copy)
{
	uint8_t *buf = malloc(STEP_BYTES);
	enum ph_status status = buf ? PH_OK : PH_ERR_NOMEM;
	bool good = true, begun = false;

	while (status == PH_OK && good && !ph__interrupt_waits()) {
		size_t len = 0;

		status = ph_copy_read(copy, buf, STEP_BYTES, &len);
		if (copy->bytes && !begun)
			ph__progress_begin(&backup->progress, backup->quiet, "Copying blocks",
			                   copy->bytes / 4096);
		begun = copy->bytes > 0;
		good = put(backup, buf, len);
		ph__progress_at(&backup->progress, copy->done / 4096, copy->done);
	}
	free(buf);
	backup->bytes = copy->done;
	backup->damaged = copy->damaged;
	backup->ended = status;
	if (status == PH_END && good)
		ph__progress_end(&backup->progress);
	else
		ph__progress_clear(&backup->progress);
	if (status != PH_OK && status != PH_END)
		failed_copy(backup);
	return status == PH_END && good;
}

static bool copy_all(struct backup *backup)
{
	const struct ph_copy_options options = {.keep_going = backup->keep_going,
	                                        .user = backup,
	                                        .setting = backup->with_host_key ? NULL : setting,
	                                        .report = report};
	struct ph_copy *copy;
	enum ph_status status = ph_store_copy(backup->image.store, &options, &copy);
	bool good;

	if (status != PH_OK) {
		backup->ended = status;
		failed_copy(backup);
		return false;
	}
	good = pump(backup, copy);
	ph_copy_free(copy);
	return good;
}

static void conclude(const struct backup *backup)
{
	FILE *to = is_stdout(backup) ? stderr : stdout;

	if (!backup->json) {
		if (backup->left_out && !backup->quiet)
			fputs("packhorse: the host key and nonce seeds are left out; see "
			      "--with-host-key\n",
			      stderr);
		return;
	}
	fputs("{\"file\": ", to);
	ph__json_text(to, backup->to);
	fprintf(to, ", \"bytes\": %" PRIu64 ", \"host_key\": %s, \"damaged\": %" PRIu64 "}\n",
	        backup->bytes, backup->with_host_key ? "true" : "false", backup->damaged);
}

static int run(struct backup *backup)
{
	bool good;

	if (!open_out(backup))
		return PH_EXIT_FAILURE;
	ph__interrupt_hold();
	good = close_out(backup, copy_all(backup));
	ph__interrupt_release();
	if (good) {
		conclude(backup);
		return backup->damaged ? PH_EXIT_DAMAGED : PH_EXIT_OK;
	}
	return is_damage(backup) ? PH_EXIT_DAMAGED : PH_EXIT_FAILURE;
}

int ph__tool_backup(int argc, char **argv)
{
	struct backup *backup = calloc(1, sizeof(*backup));
	const char *given[2];
	int code;

	if (!backup) {
		fputs("packhorse: out of memory\n", stderr);
		return PH_EXIT_FAILURE;
	}
	const struct ph_tool_flag flags[] = {{"--with-host-key", NULL, &backup->with_host_key},
	                                     {"--keep-going", NULL, &backup->keep_going},
	                                     {"--quiet", "-q", &backup->quiet},
	                                     {"--json", NULL, &backup->json},
	                                     {NULL, NULL, NULL}};
	code = ph__tool_args(argc, argv, flags, given, 2, usage);
	if (code < 0) {
		backup->fd = -1;
		backup->to = given[1];
		code = ph__image_open(&backup->image, given[0]) ? run(backup) : PH_EXIT_FAILURE;
		ph__image_close(&backup->image);
	}
	free(backup);
	return code;
}
