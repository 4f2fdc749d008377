/* SPDX-License-Identifier: MIT */
/*
 * The command line, which is that of Solo5's tenders, and what it names: the tap device, the disk,
 * boot modules. Runs before there is a C library, of which it uses functions on bytes alone.
 */
#define _GNU_SOURCE 1

#include "host_int.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define MIB ((size_t)1 << 20)
#define MEMORY_MIB_DEFAULT 64u
#define MEMORY_MIB_MIN 4u
#define MEMORY_MIB_MAX (1u << 20)
#define MODULE_BYTES_MAX MIB
#define EXIT_FAILED 1
/* From Linux's headers, which need not be there. */
#define TUN_SET_IFF 0x400454caL
#define TUN_TAP 0x0002
#define TUN_NO_PI 0x1000
#define BLOCK_GET_SIZE64 0x80081272L

static const char usage[] =
        "usage: packhorse-host [OPTION]... -- [BOOT ARGUMENT]...\n"
        "  --mem=MIB                          memory, default 64\n"
        "  --net:service=TAP                  an existing tap device\n"
        "  --block:storage=FILE               the disk: a file or a block device\n"
        "  --block-sector-size:storage=BYTES  512 to 4096, default 512\n"
        "  --module=FILE                      a file for the machine, such as authorized_keys\n"
        "Boot arguments are the machine's own; try -- --help.\n";

struct ph__host ph__host_state = {.tap = -1, .disk = -1};

static void say(const char *text)
{
	PH__CALL(SYS_write, PH__CONSOLE_FD, text, strlen(text));
}

void ph__host_fail(const char *what, const char *name, long error)
{
	static const struct {
		long error;
		const char *text;
	} reasons[] = {{0, ""},
	               {-ENOENT, ": it does not exist"},
	               {-ENODEV, ": it does not exist"},
	               {-EACCES, ": permission denied"},
	               {-EPERM, ": permission denied"},
	               {-EBUSY, ": in use"},
	               {-EWOULDBLOCK, ": in use"},
	               {-EISDIR, ": a directory"},
	               {-EFBIG, ": too large"},
	               {-EINVAL, ": not understood"},
	               {-ENOMEM, ": out of memory"}};
	const char *reason = ": it failed";
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].error == error)
			reason = reasons[i].text;
	say("packhorse-host: ");
	say(what);
	say(name);
	say(reason);
	say("\n");
	ph__host_exit(EXIT_FAILED);
}

void *ph__host_pages(size_t bytes, int protection)
{
	/* The sixth argument, the offset, is 0. */
	long at = PH__CALL(SYS_mmap, 0, bytes, protection,
	                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	if (at < 0 && at > -(long)PH__PAGE_BYTES)
		ph__host_fail("memory", "", at);
	return (void *)(uintptr_t)at;
}

static int open_file(const char *name, int flags)
{
	return (int)PH__CALL(SYS_open, name, flags | O_CLOEXEC | O_NOCTTY);
}

static long control(int fd, unsigned long request, const void *argument)
{
	return PH__CALL(SYS_ioctl, fd, request, argument);
}

/* ---- the tap device ---- */

/*
 * Ours is not the device's own address, which is the host's side. It comes from that and the name,
 * so that it stays while the device does, and no two machines of a bridge share it.
 */
static void choose_mac(const char *name, const char *hardware)
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
	for (size_t i = 0; i < 6 + strlen(name); i++) {
		hash ^= (uint8_t)(i < 6 ? hardware[i] : name[i - 6]);
		hash *= 0x100000001b3;
	}
	for (unsigned i = 0; i < 6; i++)
		ph__host_state.mac[i] = (uint8_t)(hash >> 8 * i);
	ph__host_state.mac[0] =
	        (uint8_t)((ph__host_state.mac[0] & 0xfcu) | 2u); /* local, one host */
}

static void open_tap(const char *name)
{
	struct ifreq request;
	memset(&request, 0, sizeof request);
	if (strlen(name) >= sizeof request.ifr_name)
		ph__host_fail("tap device ", name, -ENODEV);
	memcpy(request.ifr_name, name, strlen(name));
	/* Attaching would make a new device where there is none. */
	long fd = PH__CALL(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC);
	long result = fd < 0 ? fd : control((int)fd, SIOCGIFMTU, &request);
	ph__host_state.mtu = (unsigned)request.ifr_mtu;
	if (result >= 0)
		result = control((int)fd, SIOCGIFHWADDR, &request);
	if (result < 0)
		ph__host_fail("tap device ", name, result);
	PH__CALL(SYS_close, fd);
	choose_mac(name, request.ifr_hwaddr.sa_data);
	if (ph__host_state.mtu > PH__MTU_MAX)
		ph__host_state.mtu = PH__MTU_MAX;
	ph__host_state.tap = open_file("/dev/net/tun", O_RDWR | O_NONBLOCK);
	if (ph__host_state.tap < 0)
		ph__host_fail("", "/dev/net/tun", ph__host_state.tap);
	request.ifr_flags = TUN_TAP | TUN_NO_PI;
	result = control(ph__host_state.tap, TUN_SET_IFF, &request);
	if (result < 0)
		ph__host_fail("tap device ", name, result);
}

/* ---- files ---- */

static void open_disk(const char *name)
{
	struct ph__host *host = &ph__host_state;
	host->disk = open_file(name, O_RDWR);
	if (host->disk == -EACCES || host->disk == -EROFS || host->disk == -EPERM) {
		host->block.read_only = true;
		host->disk = open_file(name, O_RDONLY);
	}
	if (host->disk < 0)
		ph__host_fail("disk ", name, host->disk);
	/* The same lock as the daemon's. */
	long result = PH__CALL(SYS_flock, host->disk, LOCK_EX | LOCK_NB);
	if (result < 0)
		ph__host_fail("disk ", name, result);
	struct stat info;
	result = PH__CALL(SYS_fstat, host->disk, &info);
	uint64_t bytes = result == 0 && info.st_size > 0 ? (uint64_t)info.st_size : 0;
	if (result == 0 && S_ISBLK(info.st_mode))
		result = control(host->disk, BLOCK_GET_SIZE64, &bytes);
	else if (result == 0 && !S_ISREG(info.st_mode))
		result = -EINVAL;
	if (result < 0)
		ph__host_fail("disk ", name, result);
	host->block.bytes = bytes - bytes % host->block.block_bytes;
	host->block.can_flush = true;
}

static void read_module(const char *name)
{
	struct ph__machine *machine = &ph__host_state.machine;
	if (machine->module_count == PH__MODULES_MAX)
		ph__host_fail("too many modules at ", name, 0);
	int fd = open_file(name, O_RDONLY);
	if (fd < 0)
		ph__host_fail("module ", name, fd);
	uint8_t *data = ph__host_pages(MODULE_BYTES_MAX + 1, PROT_READ | PROT_WRITE);
	size_t len = 0;
	for (long got = 1; got > 0; len += (size_t)got) {
		got = PH__CALL(SYS_read, fd, data + len, MODULE_BYTES_MAX + 1 - len);
		if (got < 0 || len + (size_t)got > MODULE_BYTES_MAX)
			ph__host_fail("module ", name, got < 0 ? got : -EFBIG);
	}
	PH__CALL(SYS_close, fd);
	machine->modules[machine->module_count++] = (struct ph__module){data, len};
}

/* ---- words ---- */

static bool read_number(const char *text, size_t min, size_t max, size_t *out)
{
	size_t value = 0;
	const char *at = text;
	for (; *at >= '0' && *at <= '9' && value <= max; at++)
		value = value * 10 + (size_t)(*at - '0');
	*out = value;
	return at != text && *at == '\0' && value >= min && value <= max;
}

/* Joins the boot arguments, each in '...', with ' itself as '\''. */
static const char *join(char **words)
{
	size_t size = 1;
	for (char **word = words; *word; word++)
		size += 4 * strlen(*word) + 3;
	char *text = ph__host_pages(size, PROT_READ | PROT_WRITE), *to = text;
	for (char **word = words; *word; word++) {
		*to++ = '\'';
		for (const char *from = *word; *from; from++) {
			if (*from == '\'') {
				memcpy(to, "'\\'", 3);
				to += 3;
			}
			*to++ = *from;
		}
		*to++ = '\'';
		*to++ = ' ';
	}
	return text;
}

/* The value when word is name=value. */
static const char *value_of(const char *word, const char *name)
{
	size_t len = strlen(name);
	return strncmp(word, name, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

static void read_option(const char *word)
{
	struct ph__host *host = &ph__host_state;
	const char *value;
	size_t number = 0;
	bool good = true;
	if ((value = value_of(word, "--mem"))) {
		good = read_number(value, MEMORY_MIB_MIN, MEMORY_MIB_MAX, &number);
		host->memory_bytes = number * MIB;
	} else if ((value = value_of(word, "--net:service"))) {
		host->tap_name = value;
	} else if ((value = value_of(word, "--block:storage"))) {
		host->disk_name = value;
	} else if ((value = value_of(word, "--block-sector-size:storage"))) {
		good = read_number(value, 512, 4096, &number) && (number & (number - 1)) == 0;
		host->block.block_bytes = (uint32_t)number;
	} else if ((value = value_of(word, "--module"))) {
		read_module(value);
	} else if (strcmp(word, "--help") == 0) {
		say(usage);
		ph__host_exit(0);
	} else {
		good = false;
	}
	if (!good)
		ph__host_fail("", word, -EINVAL);
}

void ph__host_options(int argc, char **argv)
{
	struct ph__host *host = &ph__host_state;
	host->memory_bytes = MEMORY_MIB_DEFAULT * MIB;
	host->block.block_bytes = 512;
	int i = 1;
	for (; i < argc && strcmp(argv[i], "--") != 0; i++)
		read_option(argv[i]);
	host->machine.platform = "host";
	host->machine.arguments = join(argv + (i < argc ? i + 1 : argc));
	if (host->tap_name)
		open_tap(host->tap_name);
	if (host->disk_name)
		open_disk(host->disk_name);
}
