/* SPDX-License-Identifier: MIT */
/* Tools on images that no server has open: what they share. */
#ifndef PACKHORSE_TOOLS_INT_H
#define PACKHORSE_TOOLS_INT_H

#include <packhorse/device.h>
#include <packhorse/store_disk.h>
#include <stdbool.h>
#include <stdio.h>

/* Damage was found, by a tool that looks for it. */
#define PH_EXIT_DAMAGED 3

struct ph_image {
	const char *path;
	struct ph_limits limits;
	struct ph_store_disk_options options;
	struct ph_device *device; /* until the store owns it */
	struct ph_store *store;
};

/* Opens the file or device alone; create: makes an empty file when there is none. False: said why.
 */
bool ph__image_device(struct ph_image *image, const char *path, bool create);
/* Opens the store in it. Nothing is written. False: said why. */
bool ph__image_open(struct ph_image *image, const char *path);
void ph__image_close(struct ph_image *image);
/* Why it cannot be opened when PH_ERR_BUSY is: who has it open. */
#define PH_IMAGE_BUSY_BYTES 256u
void ph__image_busy(const char *path, char *text, size_t room);
/* One line on stderr: what could not be done, and why. */
void ph__image_failed(const char *path, const char *what, enum ph_status status);

/*
 * Arguments of a tool that takes one path and one flag. -1 to go on, or an exit code: --help was
 * asked for, or something else that it does not know.
 */
int ph__tool_parse(int argc, char **argv, const char *flag, bool *set, const char **path,
                   void (*usage)(FILE *to));

/* A flag of a tool: --quiet, maybe -q (or NULL), and what it sets. The last has no name. */
struct ph_tool_flag {
	const char *name, *other;
	bool *set;
};
/*
 * Arguments of a tool: flags in any place, and exactly count others, into given. "-" is one of
 * those; "--" ends the flags. -1 to go on, or an exit code after a line that says why.
 */
int ph__tool_args(int argc, char **argv, const struct ph_tool_flag *flags, const char **given,
                  unsigned count, void (*usage)(FILE *to));

/* ---- blank.c ---- */

/* What is on a device, in a few words; NULL in *found when it is blank. */
enum ph_status ph__blank_look(struct ph_device *device, const char **found);
/* Makes both of its ends blank. */
enum ph_status ph__blank_wipe(struct ph_device *device);

/* ---- folder.c ---- */

/* What is in a folder stays there; of the folder that path is in. False: errno. */
bool ph__folder_sync(const char *path);
bool ph__folder_sync_above(const char *path);

/* ---- json.c ---- */

/* UTF-8, in quotes and escaped. */
void ph__json_text(FILE *to, const char *text);

/* ---- interrupt.c ---- */

/* From now on SIGINT, SIGTERM and SIGHUP wait, in this thread and those that it starts. */
void ph__interrupt_hold(void);
/* Whether one of them waits: clean up, then release. */
bool ph__interrupt_waits(void);
/* What waits ends the program now. */
void ph__interrupt_release(void);

/* The commands; argv is what follows their names. Exit codes. */
int ph__tool_mkfs(int argc, char **argv);
int ph__tool_info(int argc, char **argv);
int ph__tool_fsck(int argc, char **argv);
int ph__tool_export(int argc, char **argv);
int ph__tool_import(int argc, char **argv);
int ph__tool_backup(int argc, char **argv);

#endif
