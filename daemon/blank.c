/* SPDX-License-Identifier: MIT */
/*
 * Whether a device is blank, before a store is made on it. The store itself looks at the first 64
 * KiB, which is what it needs; but btrfs, for one, begins behind that, and old RAID has its label
 * at the end, so both ends are looked at by the mebibyte. What is there is named where it is known,
 * to remind its owner whose disk this is.
 */
#include "tools_int.h"
#include <stdlib.h>
#include <string.h>

#define END_BYTES ((uint64_t)1 << 20)
/* Where superblocks are (store/disk/SPEC.md, section 1). */
#define RING_BYTES ((size_t)128 << 10)
/* What is zero behind the text of a store that was not finished. */
#define UNFINISHED_BYTES ((size_t)64 << 10)

struct mark {
	uint32_t offset; /* from the beginning */
	uint8_t len;
	const char *bytes, *what;
};

/* What stands inside another comes before it: a partition table of GPT has one of MBR in front. */
static const struct mark marks[] = {
        {512, 8, "EFI PART", "a partition table (GPT)"},
        {4096, 8, "EFI PART", "a partition table (GPT)"},
        {0, 6, "LUKS\xba\xbe", "an encrypted volume (LUKS)"},
        {0, 4, "XFSB", "an xfs file system"},
        {0, 4, "hsqs", "a squashfs file system"},
        {3, 8, "NTFS    ", "an NTFS file system"},
        {3, 8, "EXFAT   ", "an exFAT file system"},
        {54, 5, "FAT16", "a FAT file system"},
        {82, 5, "FAT32", "a FAT file system"},
        {1080, 2, "\x53\xef", "an ext2, ext3 or ext4 file system"},
        {1024, 4, "\x10\x20\xf5\xf2", "an f2fs file system"},
        {4086, 10, "SWAPSPACE2", "swap space"},
        {536, 8, "LVM2 001", "an LVM volume"},
        {4096, 4, "\xfc\x4e\x2b\xa9", "a part of a RAID (md)"},
        {32769, 5, "CD001", "a CD image (ISO 9660)"},
        {65600, 8, "_BHRfS_M", "a btrfs file system"},
        {0, 4, "QFI\xfb", "a disk image of QEMU's (qcow2)"},
        {510, 2, "\x55\xaa", "a partition table, or a boot sector"},
};

static bool is_zero(const uint8_t *data, size_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

/* In any of the slots. */
static bool is_store(const uint8_t *data, size_t len)
{
	for (size_t at = 0; at + 4096 <= len && at < RING_BYTES; at += 4096)
		if (memcmp(data + at, "PACKHORS", 8) == 0)
			return true;
	return false;
}

/* A store that was not finished: what there is behind is of its making. */
static bool is_unfinished(const uint8_t *data, size_t len)
{
	static const char text[] = PH_STORE_DISK_UNFINISHED;

	return len >= UNFINISHED_BYTES && memcmp(data, text, sizeof(text)) == 0 &&
	       is_zero(data + sizeof(text), UNFINISHED_BYTES - sizeof(text));
}

static const char *name_of(const uint8_t *data, size_t len)
{
	if (is_store(data, len))
		return "a store of packhorse";
	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		const struct mark *mark = &marks[i];

		if ((size_t)mark->offset + mark->len <= len &&
		    memcmp(data + mark->offset, mark->bytes, mark->len) == 0)
			return mark->what;
	}
	return "data of some kind";
}

enum ph_status ph__blank_look(struct ph_device *device, const char **found)
{
	size_t len = (size_t)(device->bytes < END_BYTES ? device->bytes : END_BYTES);
	uint8_t *data = len ? malloc(len) : NULL;
	enum ph_status status;

	*found = NULL;
	if (len == 0)
		return PH_OK;
	if (!data)
		return PH_ERR_NOMEM;
	status = device->ops->read(device, 0, data, len);
	if (status == PH_OK && !is_zero(data, len)) {
		*found = is_unfinished(data, len) ? NULL : name_of(data, len);
	} else if (status == PH_OK) {
		status = device->ops->read(device, device->bytes - len, data, len);
		if (status == PH_OK && !is_zero(data, len))
			*found = "data at its end, such as a spare partition table or a RAID's "
			         "label";
	}
	free(data);
	return status;
}

enum ph_status ph__blank_wipe(struct ph_device *device)
{
	size_t len = (size_t)(device->bytes < END_BYTES ? device->bytes : END_BYTES);
	uint8_t *zeros = len ? calloc(1, len) : NULL;
	enum ph_status status;

	if (len == 0)
		return PH_OK;
	if (!zeros)
		return PH_ERR_NOMEM;
	status = device->ops->write(device, 0, zeros, len);
	if (status == PH_OK)
		status = device->ops->write(device, device->bytes - len, zeros, len);
	if (status == PH_OK && device->ops->flush)
		status = device->ops->flush(device);
	free(zeros);
	return status;
}
