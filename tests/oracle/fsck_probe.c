/* SPDX-License-Identifier: MIT */
/*
 * fsck_probe FORMAT [ID=SEVERITY...]: checks the objects that come on standard input, each "TYPE
 * KIND SIZE\n" and its bytes; KIND is 0, or of a blob what a tree calls it. For each a line: what
 * was found, as "e:ID" or "w:ID", and what a tree calls a special file, as "s:KIND:ID"; "-" for
 * nothing.
 */
#include <packhorse/fsck.h>

#include <stdio.h>
#include <stdlib.h>

static enum ph_hash_algo algo;

static void report(void *user, enum ph_fsck_severity severity, const char *id)
{
	bool *any = user;

	printf("%s%c:%s", *any ? " " : "", severity == PH_FSCK_ERROR ? 'e' : 'w', id);
	*any = true;
}

static enum ph_status special(void *user, enum ph_fsck_blob_kind kind, const struct ph_oid *oid)
{
	char hex[PH_OID_HEX_MAX + 1];
	bool *any = user;

	printf("%ss:%d:%s", *any ? " " : "", (int)kind, ph_oid_to_hex(hex, algo, oid));
	*any = true;
	return PH_OK;
}

static int read_rules(struct ph_fsck_rules *rules, int count, char **words)
{
	ph_fsck_rules_init(rules);
	for (int i = 0; i < count; i++) {
		char *value = strchr(words[i], '=');

		if (value == NULL)
			return 2;
		*value = '\0';
		if (ph_fsck_rules_set(rules, words[i], value + 1) != PH_OK) {
			fprintf(stderr, "no such rule: %s\n", words[i]);
			return 2;
		}
	}
	return 0;
}

static int check(const struct ph_fsck_rules *rules, const char *type, unsigned kind, size_t size)
{
	bool any = false;
	struct ph_fsck fsck = {
	        .algo = algo, .rules = rules, .user = &any, .report = report, .special = special};
	enum ph_object_type number = ph_object_type_from_name(type, strlen(type));
	void *data = malloc(size > 0 ? size : 1);

	if (data == NULL || fread(data, 1, size, stdin) != size) {
		free(data);
		return 2;
	}
	if (kind == 0)
		(void)ph_fsck_object(&fsck, number, data, size);
	else
		(void)ph_fsck_blob(&fsck, (enum ph_fsck_blob_kind)kind, number, data, size);
	printf("%s\n", any ? "" : "-");
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	struct ph_fsck_rules rules;
	char line[64];

	if (argc < 2 || ph_hash_from_name(&algo, argv[1], strlen(argv[1])) != PH_OK ||
	    read_rules(&rules, argc - 2, argv + 2) != 0)
		return 2;
	while (fgets(line, sizeof line, stdin) != NULL) {
		unsigned long kind;
		unsigned long size;
		char *at = strchr(line, ' ');

		if (at == NULL)
			return 2;
		*at++ = '\0';
		kind = strtoul(at, &at, 10);
		size = strtoul(at, NULL, 10);
		if (check(&rules, line, (unsigned)kind, size) != 0)
			return 2;
	}
	return 0;
}
