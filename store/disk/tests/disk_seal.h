/* SPDX-License-Identifier: MIT */
/*
 * Makes the checksums of an image in memory right again after it was changed, from the newest
 * superblock down, so that what reads it sees the change and not only a wrong checksum. The image
 * may say anything: nothing outside it is touched, and the work is bounded.
 */
#ifndef PH_TEST_DISK_SEAL_H
#define PH_TEST_DISK_SEAL_H

#include <stdint.h>

/* The slot whose superblock says the highest epoch, whatever its checksum. */
uint32_t disk_newest_slot(const uint8_t *image, uint64_t bytes);
void disk_seal(uint8_t *image, uint64_t bytes, uint32_t slot);

#endif
