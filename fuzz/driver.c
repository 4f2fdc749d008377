/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without a fuzzer, so that its corpus is an ordinary test: every file of the
 * folders given, and seeded mutations of each. A *.hex file is text: hex digits, and comments from
 * # to the end of the line.
 *
 *   fuzz_NAME FOLDER... [-m MUTATIONS] [-s SEED]
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t seed = 1;
static unsigned mutations = 200;
static unsigned long runs;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* A copy of exactly the input's size, so that a sanitizer sees every byte read behind it. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	runs++;
}

static void mutate(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 8);

	if (!copy)
		abort();
	for (unsigned m = 0; m < mutations; m++) {
		size_t len = size;

		memcpy(copy, data, size);
		for (uint64_t n = next_random() % 4; len > 0 && n < 4; n++) {
			size_t at = next_random() % len;

			switch (next_random() % 4) {
			case 0:
				copy[at] ^= (uint8_t)(1u << next_random() % 8);
				break;
			case 1:
				copy[at] = (uint8_t)next_random();
				break;
			case 2:
				len = at;
				break;
			default:
				memmove(copy + at, copy + at + 1, len - at - 1);
				len--;
				break;
			}
		}
		run(copy, len);
	}
	free(copy);
}

static size_t hex_decode(uint8_t *data, size_t size)
{
	size_t out = 0, digits = 0;
	unsigned value = 0;

	for (size_t i = 0; i < size; i++) {
		const char *at;

		if (data[i] == '#')
			while (i < size && data[i] != '\n')
				i++;
		if (i >= size || data[i] == '\0')
			continue;
		at = strchr("0123456789abcdef", data[i]);
		if (!at)
			continue;
		value = value << 4 | (unsigned)(at - "0123456789abcdef");
		if (++digits % 2 == 0)
			data[out++] = (uint8_t)value;
	}
	return out;
}

static void run_file(const char *path)
{
	static uint8_t data[INPUT_BYTES_MAX];
	FILE *f = fopen(path, "rb");
	size_t size, len = strlen(path);

	if (!f) {
		perror(path);
		exit(1);
	}
	size = fread(data, 1, sizeof data, f);
	fclose(f);
	if (len > 4 && strcmp(path + len - 4, ".hex") == 0)
		size = hex_decode(data, size);
	run(data, size);
	mutate(data, size);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void run_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char *names[4096];
	size_t count = 0;

	if (!dir) {
		perror(folder);
		exit(1);
	}
	while ((entry = readdir(dir)) != NULL && count < 4096)
		if (entry->d_name[0] != '.')
			names[count++] = strdup(entry->d_name);
	closedir(dir);
	qsort(names, count, sizeof *names, compare);
	for (size_t i = 0; i < count; i++) {
		char path[4096];

		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		run_file(path);
		free(names[i]);
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-m") == 0 && i + 1 < argc)
			mutations = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10) | 1;
	}
	run((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			i++;
		else
			run_folder(argv[i]);
	}
	printf("%lu inputs\n", runs);
	return runs > 1 ? 0 : 1;
}
