/* SPDX-License-Identifier: MIT */
/*
 * Finds who holds the lock of a file or block device: Linux lists all locks in /proc/locks, by
 * device and inode, with the process that took each. Everything here is a courtesy to whoever reads
 * the message: what cannot be found out is left out, and nothing depends on it.
 */
#define _DEFAULT_SOURCE 1 /* major, minor */
#define _FILE_OFFSET_BITS 64

#include <packhorse/device_posix.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/sysmacros.h>

/* A line of /proc/locks is shorter; of one that is not, the rest is passed over. */
#define LINE_BYTES 256u
/* Locks of a busy host that are looked at. */
#define LINES_MAX 100000u

/* Reads a file that may end early; how many bytes there were. */
static size_t read_file(const char *path, char *buf, size_t room)
{
	size_t len = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while (len < room) {
		ssize_t got = read(fd, buf + len, room - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		len += (size_t)got;
	}
	close(fd);
	return len;
}

/* "1: FLOCK  ADVISORY  WRITE 4242 fe:00:1234 0 EOF": the process, when it is this file's; else 0.
 */
static unsigned parse_line(const char *line, const struct stat *file)
{
	unsigned pid, major_number, minor_number;
	unsigned long long inode;
	if (sscanf(line, "%*u: FLOCK ADVISORY WRITE %u %x:%x:%llu", &pid, &major_number,
	           &minor_number, &inode) != 4)
		return 0;
	if (major_number != major(file->st_dev) || minor_number != minor(file->st_dev) ||
	    inode != file->st_ino)
		return 0;
	return pid;
}

/* One byte at a time into a line; whether that is whole. */
static bool add_byte(char line[LINE_BYTES], size_t *len, char byte)
{
	bool ends = byte == '\n';
	if (!ends && *len + 1 < LINE_BYTES)
		line[(*len)++] = byte;
	if (ends) {
		line[*len] = '\0';
		*len = 0;
	}
	return ends;
}

static unsigned find_process(const struct stat *file)
{
	char buf[4096], line[LINE_BYTES];
	size_t len = 0;
	unsigned pid = 0, lines = 0;
	ssize_t got;
	int fd = open("/proc/locks", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while (pid == 0 && lines < LINES_MAX && (got = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < got && pid == 0; i++)
			if (add_byte(line, &len, buf[i])) {
				pid = parse_line(line, file);
				lines++;
			}
	close(fd);
	return pid;
}

/* Its arguments, for people: NULs become blanks, and what a terminal may act on, question marks. */
static void command_of(unsigned pid, char *out, size_t room)
{
	char path[40];
	snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	size_t len = read_file(path, out, room - 1);
	if (len == 0) {
		snprintf(path, sizeof(path), "/proc/%u/comm", pid);
		len = read_file(path, out, room - 1);
	}
	while (len > 0 && (out[len - 1] == '\0' || out[len - 1] == '\n'))
		len--;
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)out[i];
		if (byte == '\0')
			out[i] = ' ';
		else if (byte < 0x20 || byte >= 0x7f)
			out[i] = '?';
	}
	out[len] = '\0';
}

bool ph_device_posix_holder(const char *path, char text[PH_DEVICE_HOLDER_BYTES])
{
	char command[PH_DEVICE_HOLDER_BYTES - 32];
	struct stat file;
	unsigned pid = stat(path, &file) == 0 ? find_process(&file) : 0;
	if (pid == 0)
		return false;
	command_of(pid, command, sizeof(command));
	/* It ended since: only its number is left. */
	if (command[0])
		snprintf(text, PH_DEVICE_HOLDER_BYTES, "process %u (%s)", pid, command);
	else
		snprintf(text, PH_DEVICE_HOLDER_BYTES, "process %u", pid);
	return true;
}

#else

bool ph_device_posix_holder(const char *path, char text[PH_DEVICE_HOLDER_BYTES])
{
	(void)path;
	(void)text;
	return false;
}

#endif
