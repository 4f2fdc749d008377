/* SPDX-License-Identifier: MIT */
/*
 * Command lines of exec requests. The first line is GIT_PROTOCOL, the rest the command. A name that
 * comes out must be canonical already, and quoting it as git does must give it again.
 */
#include <packhorse/service.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const char *repo)
{
	static struct ph_request again;
	char name[PH_REPO_NAME_MAX + 1];
	char command[2048] = "git-upload-pack '";
	size_t at = strlen(command);

	if (ph_repo_name_check(repo, strlen(repo)) != PH_OK ||
	    ph_repo_name_canonical(name, repo, strlen(repo)) != PH_OK || strcmp(name, repo) != 0)
		abort();
	for (const char *from = repo; *from; from++)
		at += (size_t)snprintf(command + at, sizeof(command) - at,
		                       *from == '\'' || *from == '!' ? "'\\%c'" : "%c", *from);
	snprintf(command + at, sizeof(command) - at, "'");
	if (ph_request_parse(&again, command, strlen(command), NULL) != PH_OK ||
	    strcmp(again.repo, repo) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ph_request request;
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size_t first = newline ? (size_t)(newline - data) : 0;
	char *protocol = malloc(first + 1);
	const char *command = (const char *)data + (newline ? first + 1 : 0);
	size_t len = size - (newline ? first + 1 : 0);

	if (!protocol)
		return 0;
	if (first)
		memcpy(protocol, data, first);
	protocol[first] = 0;
	if (ph_request_parse(&request, len ? command : "", len, protocol) == PH_OK) {
		if (request.version < 0 || request.version > 2 || request.argc == 0 ||
		    request.argc > PH_REQUEST_ARGS_MAX)
			abort();
		for (unsigned i = 0; i < request.argc; i++)
			if (request.argv[i] < request.text ||
			    request.argv[i] + strlen(request.argv[i]) >=
			            request.text + sizeof(request.text))
				abort();
		if (request.kind != PH_REQUEST_OTHER)
			check_again(request.repo);
	}
	free(protocol);
	return 0;
}
