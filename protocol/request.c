/* SPDX-License-Identifier: MIT */
/*
 * The command line of an exec request, taken apart without a shell. git quotes the path with
 * sq_quote; people type it bare. Everything a shell would act upon is refused instead of being
 * passed on, so nothing that looks like a command inside a path ever means one.
 */
#include <packhorse/service.h>

#include <assert.h>
#include <string.h>

/* Longest GIT_PROTOCOL value that is looked at; git itself sends 9 bytes. */
#define PROTOCOL_BYTES_MAX 256u

/* ---- words ---- */

struct splitter {
	const char *at, *end;
	char *out;
};

/* A byte that stands for itself outside quotes. */
static bool is_plain(char c)
{
	return !strchr("'\"\\$`&|;<>()", c);
}

static enum ph_status quoted(struct splitter *split)
{
	const char *close = memchr(split->at, '\'', (size_t)(split->end - split->at));
	size_t len;

	if (!close)
		return PH_ERR_INVALID;
	len = (size_t)(close - split->at);
	memcpy(split->out, split->at, len);
	split->out += len;
	split->at = close + 1;
	return PH_OK;
}

/* \' and \!, the two that sq_quote writes. */
static enum ph_status escaped(struct splitter *split)
{
	if (split->at == split->end || (*split->at != '\'' && *split->at != '!'))
		return PH_ERR_INVALID;
	*split->out++ = *split->at++;
	return PH_OK;
}

/* One word, up to a space or the end; terminated in the output. */
static enum ph_status word(struct splitter *split)
{
	while (split->at < split->end && *split->at != ' ') {
		char c = *split->at++;
		enum ph_status status = PH_OK;

		if (c == '\'')
			status = quoted(split);
		else if (c == '\\')
			status = escaped(split);
		else if (is_plain(c))
			*split->out++ = c;
		else
			status = PH_ERR_INVALID;
		if (status != PH_OK)
			return status;
	}
	*split->out++ = 0;
	return PH_OK;
}

static enum ph_status split_words(struct ph_request *out, const char *command, size_t len)
{
	struct splitter split = {command, command + len, out->text};

	for (;;) {
		enum ph_status status;

		while (split.at < split.end && *split.at == ' ')
			split.at++;
		if (split.at == split.end)
			return out->argc ? PH_OK : PH_ERR_INVALID;
		if (out->argc == PH_REQUEST_ARGS_MAX)
			return PH_ERR_INVALID;
		out->argv[out->argc++] = split.out;
		status = word(&split);
		if (status != PH_OK)
			return status;
		/* A word and its NUL are never longer than the word was with what ended it. */
		assert((size_t)(split.out - out->text) <= len + 1);
	}
}

/* ---- the three git services ---- */

static enum ph_request_kind service_kind(const char *name)
{
	if (strcmp(name, "upload-pack") == 0)
		return PH_REQUEST_UPLOAD_PACK;
	if (strcmp(name, "receive-pack") == 0)
		return PH_REQUEST_RECEIVE_PACK;
	if (strcmp(name, "upload-archive") == 0)
		return PH_REQUEST_UPLOAD_ARCHIVE;
	return PH_REQUEST_OTHER;
}

/* "git-upload-pack" and "git upload-pack"; *words is how many of argv name the service. */
static enum ph_request_kind request_kind(const struct ph_request *request, unsigned *words)
{
	*words = 1;
	if (strncmp(request->argv[0], "git-", 4) == 0)
		return service_kind(request->argv[0] + 4);
	if (strcmp(request->argv[0], "git") != 0 || request->argc < 2)
		return PH_REQUEST_OTHER;
	*words = 2;
	return service_kind(request->argv[1]);
}

static int protocol_version(const char *protocol)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                              "0123456789=:._-";
	const char *end = memchr(protocol, 0, PROTOCOL_BYTES_MAX + 1);
	int version = 0;

	if (!end || strspn(protocol, allowed) != (size_t)(end - protocol))
		return 0;
	for (const char *at = protocol; at < end;) {
		size_t len = strcspn(at, ":");

		if (len == 9 && memcmp(at, "version=", 8) == 0 && at[8] >= '0' && at[8] <= '2' &&
		    at[8] - '0' > version)
			version = at[8] - '0';
		at += len + (at[len] == ':');
	}
	return version;
}

static enum ph_status parse(struct ph_request *out, const char *command, size_t len)
{
	enum ph_status status;
	unsigned words;
	const char *path;

	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)command[i];

		if (byte < 0x20 || byte == 0x7f)
			return PH_ERR_INVALID;
	}
	status = split_words(out, command, len);
	if (status != PH_OK)
		return status;
	out->kind = request_kind(out, &words);
	if (out->kind == PH_REQUEST_OTHER)
		return PH_OK;
	if (out->argc != words + 1)
		return PH_ERR_INVALID;
	path = out->argv[words];
	if (path[0] == '-')
		return PH_ERR_INVALID;
	return ph_repo_name_canonical(out->repo, path, strlen(path));
}

enum ph_status ph_request_parse(struct ph_request *out, const char *command, size_t len,
                                const char *protocol)
{
	if (len > PH_REQUEST_BYTES_MAX)
		return PH_ERR_LIMIT;
	memset(out, 0, sizeof(*out));
	out->kind = PH_REQUEST_OTHER;
	if (protocol)
		out->version = protocol_version(protocol);
	return parse(out, command, len);
}

/* ---- names of repositories ---- */

static size_t copy_without_double_slashes(char *out, const char *path, size_t len)
{
	size_t at = 0;

	for (size_t i = 0; i < len; i++)
		if (path[i] != '/' || at == 0 || out[at - 1] != '/') {
			if (at == PH_REPO_NAME_MAX)
				return PH_REPO_NAME_MAX + 1;
			out[at++] = path[i];
		}
	return at;
}

enum ph_status ph_repo_name_canonical(char *out, const char *path, size_t len)
{
	char name[PH_REPO_NAME_MAX + 1];
	size_t name_len;
	enum ph_status status;

	while (len && path[0] == '/') {
		path++;
		len--;
	}
	while (len && path[len - 1] == '/')
		len--;
	if (len > 4 && memcmp(path + len - 4, ".git", 4) == 0 && path[len - 5] != '/')
		len -= 4;
	if (len && path[0] == '~')
		return PH_ERR_INVALID;
	name_len = copy_without_double_slashes(name, path, len);
	if (name_len > PH_REPO_NAME_MAX)
		return PH_ERR_LIMIT;
	status = ph_repo_name_check(name, name_len);
	if (status != PH_OK)
		return status;
	memcpy(out, name, name_len);
	out[name_len] = 0;
	return PH_OK;
}
