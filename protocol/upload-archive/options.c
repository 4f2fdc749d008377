/* SPDX-License-Identifier: MIT */
/*
 * Options are read as git's own parser reads them: long ones may be shortened as far as they stay
 * unambiguous, short ones may stand together, options and names may be mixed, "--" ends them. What
 * only a client can do for itself is refused here in git's words.
 */
#include "options_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum option {
	OPTION_FORMAT,
	OPTION_PREFIX,
	OPTION_ADD_FILE,
	OPTION_ADD_VIRTUAL_FILE,
	OPTION_OUTPUT,
	OPTION_WORKTREE_ATTRIBUTES,
	OPTION_VERBOSE,
	OPTION_MTIME,
	OPTION_LIST,
	OPTION_REMOTE,
	OPTION_EXEC,
	OPTION_COUNT
};

static const struct {
	const char *name;
	bool value; /* takes one */
	bool no;    /* may be negated */
	char letter;
} options[OPTION_COUNT] = {
        [OPTION_FORMAT] = {"format", true, true, 0},
        [OPTION_PREFIX] = {"prefix", true, true, 0},
        [OPTION_ADD_FILE] = {"add-file", true, true, 0},
        [OPTION_ADD_VIRTUAL_FILE] = {"add-virtual-file", true, true, 0},
        [OPTION_OUTPUT] = {"output", true, true, 'o'},
        [OPTION_WORKTREE_ATTRIBUTES] = {"worktree-attributes", false, true, 0},
        [OPTION_VERBOSE] = {"verbose", false, true, 'v'},
        [OPTION_MTIME] = {"mtime", true, false, 0},
        [OPTION_LIST] = {"list", false, true, 'l'},
        [OPTION_REMOTE] = {"remote", true, true, 0},
        [OPTION_EXEC] = {"exec", true, true, 0},
};

struct parse {
	struct ph__archive_options *out;
	const char *const *argv;
	unsigned argc, at;
	const char *values[OPTION_COUNT]; /* as given last; NULL */
	bool flags[OPTION_COUNT];
	unsigned added; /* of --add-file and --add-virtual-file */
	const char *names[PH__ARCHIVE_ARGS_MAX];
	unsigned name_count;
	char *why;
};

static enum ph__options_result say(const struct parse *parse, enum ph__options_result result,
                                   const char *format, ...) PH_PRINTF(3, 4);

static enum ph__options_result say(const struct parse *parse, enum ph__options_result result,
                                   const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vsnprintf(parse->why, PH__ARCHIVE_WHY_BYTES, format, args) < 0)
		parse->why[0] = 0;
	va_end(args);
	return result;
}

const char *ph__archive_format_name(enum ph__archive_format format)
{
	static const char *const names[PH__FORMAT_COUNT] = {"tar", "tgz", "tar.gz", "zip"};

	return names[format];
}

/* ---- one option ---- */

static void take(struct parse *parse, enum option option, const char *value, bool no)
{
	bool adds = option == OPTION_ADD_FILE || option == OPTION_ADD_VIRTUAL_FILE;

	parse->values[option] = no ? NULL : value;
	parse->flags[option] = !no;
	if (adds)
		parse->added = no ? 0 : parse->added + 1;
}

/* One name, "no-" in front or not, against what was given; exact counts more than a beginning. */
enum fit { FIT_NO, FIT_BEGINS, FIT_EXACT };

static enum fit fit(const char *name, const char *given, size_t len)
{
	if (strncmp(name, given, len) != 0)
		return FIT_NO;
	return name[len] ? FIT_BEGINS : FIT_EXACT;
}

/* Which option is meant. OPTION_COUNT: none; *other is set when it could be one more. */
static enum option find_long(const char *given, size_t len, bool *no, enum option *other)
{
	enum option found = OPTION_COUNT;
	char negated[32];

	*other = OPTION_COUNT;
	for (int i = 0; i < 2 * OPTION_COUNT; i++) {
		enum option option = (enum option)(i / 2);
		bool negates = i % 2;
		enum fit how;

		if (negates && !options[option].no)
			continue;
		snprintf(negated, sizeof(negated), "no-%s", options[option].name);
		how = fit(negates ? negated : options[option].name, given, len);
		if (how == FIT_EXACT) {
			*no = negates;
			*other = OPTION_COUNT;
			return option;
		}
		if (how == FIT_NO)
			continue;
		if (found == OPTION_COUNT) {
			found = option;
			*no = negates;
		} else {
			*other = option;
		}
	}
	return found;
}

static enum ph__options_result take_long(struct parse *parse, const char *given)
{
	size_t len = strcspn(given, "=");
	const char *value = given[len] ? given + len + 1 : NULL;
	bool no = false;
	enum option other, option = find_long(given, len, &no, &other);

	if (option == OPTION_COUNT || len == 0)
		return say(parse, PH__OPTIONS_USAGE, "unknown option `%.200s'", given);
	if (other != OPTION_COUNT)
		return say(parse, PH__OPTIONS_USAGE,
		           "ambiguous option: %.200s (could be --%s%s or --%s)", given,
		           no ? "no-" : "", options[option].name, options[other].name);
	if (value && (no || !options[option].value))
		return say(parse, PH__OPTIONS_USAGE, "option `%s%s' takes no value",
		           no ? "no-" : "", options[option].name);
	if (!value && !no && options[option].value) {
		if (parse->at == parse->argc)
			return say(parse, PH__OPTIONS_USAGE, "option `%s' requires a value",
			           options[option].name);
		value = parse->argv[parse->at++];
	}
	take(parse, option, value, no);
	return PH__OPTIONS_OK;
}

/* Digits are a level of compression, all that stand together. */
static const char *take_level(struct parse *parse, const char *at)
{
	int level = 0;

	for (; *at >= '0' && *at <= '9'; at++)
		level = level < 10000 ? level * 10 + (*at - '0') : level;
	parse->out->level = level;
	return at;
}

static enum ph__options_result take_short(struct parse *parse, const char *at)
{
	while (*at) {
		enum option option = 0;

		if (*at >= '0' && *at <= '9') {
			at = take_level(parse, at);
			continue;
		}
		if (*at == 'h')
			return say(parse, PH__OPTIONS_USAGE, "%s", "");
		while (option < OPTION_COUNT && options[option].letter != *at)
			option++;
		if (option == OPTION_COUNT)
			return say(parse, PH__OPTIONS_USAGE, "unknown switch `%c'", *at);
		at++;
		if (!options[option].value) {
			take(parse, option, NULL, false);
			continue;
		}
		if (!*at && parse->at == parse->argc)
			return say(parse, PH__OPTIONS_USAGE, "switch `%c' requires a value",
			           options[option].letter);
		take(parse, option, *at ? at : parse->argv[parse->at++], false);
		return PH__OPTIONS_OK;
	}
	return PH__OPTIONS_OK;
}

static enum ph__options_result take_all(struct parse *parse)
{
	bool ended = false;

	while (parse->at < parse->argc) {
		const char *given = parse->argv[parse->at++];
		enum ph__options_result result = PH__OPTIONS_OK;

		if (ended || given[0] != '-' || !given[1])
			parse->names[parse->name_count++] = given;
		else if (given[1] != '-')
			result = take_short(parse, given + 1);
		else if (given[2])
			result = take_long(parse, given + 2);
		else
			ended = true;
		if (result != PH__OPTIONS_OK)
			return result;
	}
	return PH__OPTIONS_OK;
}

/* ---- what they mean together ---- */

static enum ph__options_result refuse_local(const struct parse *parse)
{
	if (parse->values[OPTION_REMOTE])
		return say(parse, PH__OPTIONS_FATAL, "Unexpected option --remote");
	if (parse->values[OPTION_EXEC])
		return say(parse, PH__OPTIONS_FATAL, "the option '--exec' requires '--remote'");
	if (parse->values[OPTION_OUTPUT])
		return say(parse, PH__OPTIONS_FATAL, "Unexpected option --output");
	if (parse->added)
		return say(parse, PH__OPTIONS_FATAL,
		           "options '--add-file' and '--remote' cannot be used together");
	if (parse->flags[OPTION_WORKTREE_ATTRIBUTES])
		return say(parse, PH__OPTIONS_FATAL,
		           "--worktree-attributes: this server has no working tree");
	return PH__OPTIONS_OK;
}

static enum ph__options_result choose_format(const struct parse *parse)
{
	struct ph__archive_options *out = parse->out;
	const char *given = parse->values[OPTION_FORMAT];
	int format = 0;

	while (given && format < PH__FORMAT_COUNT &&
	       strcmp(given, ph__archive_format_name((enum ph__archive_format)format)) != 0)
		format++;
	if (format == PH__FORMAT_COUNT)
		return say(parse, PH__OPTIONS_FATAL, "Unknown archive format '%.200s'", given);
	out->format = (enum ph__archive_format)format;
	if (out->level > 9 || (out->level >= 0 && out->format == PH__FORMAT_TAR))
		return say(parse, PH__OPTIONS_FATAL, "Argument not supported for format '%s': -%d",
		           ph__archive_format_name(out->format), out->level);
	return PH__OPTIONS_OK;
}

static enum ph__options_result finish(const struct parse *parse)
{
	struct ph__archive_options *out = parse->out;
	const char *mtime = parse->values[OPTION_MTIME];
	enum ph__options_result result = refuse_local(parse);

	if (result != PH__OPTIONS_OK)
		return result;
	out->list = parse->flags[OPTION_LIST];
	out->verbose = parse->flags[OPTION_VERBOSE];
	if (parse->values[OPTION_PREFIX])
		out->prefix = parse->values[OPTION_PREFIX];
	if (out->list && parse->name_count)
		return say(parse, PH__OPTIONS_FATAL, "extra command line parameter '%.200s'",
		           parse->names[0]);
	if (out->list)
		return PH__OPTIONS_OK;
	if (parse->name_count == 0)
		return say(parse, PH__OPTIONS_USAGE, "%s", "");
	out->treeish = parse->names[0];
	out->path_count = parse->name_count - 1;
	memcpy(out->paths, parse->names + 1, out->path_count * sizeof(*out->paths));
	out->mtime_given = mtime != NULL;
	if (mtime && !ph__archive_mtime_parse(&out->mtime, mtime))
		return say(parse, PH__OPTIONS_FATAL,
		           "--mtime: '%.100s' is not a time that is understood here", mtime);
	return choose_format(parse);
}

enum ph__options_result ph__archive_options_parse(struct ph__archive_options *out,
                                                  const char *const *argv, unsigned argc,
                                                  char why[PH__ARCHIVE_WHY_BYTES])
{
	struct parse parse = {.out = out, .argv = argv, .argc = argc, .why = why};
	enum ph__options_result result;

	why[0] = 0;
	memset(out, 0, sizeof(*out));
	out->level = -1;
	out->prefix = "";
	result = take_all(&parse);
	return result == PH__OPTIONS_OK ? finish(&parse) : result;
}
