/* SPDX-License-Identifier: MIT */
/*
 * Owner commands: what a person types behind "ssh HOST". Results go to the first stream, one fact a
 * line; errors go to the error stream, with what to do next. No word reaches a shell or a path:
 * names are looked up in the store's table. Nothing is asked back, because nobody may be there to
 * answer.
 */
#include "admin_int.h"

#include <stdio.h>
#include <string.h>

static const char usage[] = "usage: repo create NAME [--object-format=sha1|sha256]\n"
                            "       repo list\n"
                            "       repo head NAME [BRANCH]\n"
                            "       repo delete NAME\n"
                            "       repo config NAME [--add|--unset] [KEY [VALUE]]\n"
                            "       config [--add|--unset] [KEY [VALUE]]\n"
                            "       repo maintain NAME\n"
                            "       repo log NAME\n"
                            "       backup [--with-host-key] [--keep-going] > FILE\n"
                            "       scrub [state]\n"
                            "       help\n";

static const char help[] =
        "repo create NAME [--object-format=sha1|sha256]\n"
        "        Makes an empty repository. Pushing to a new name does so as well.\n"
        "repo list\n"
        "        A line for each repository, four fields between tabs: name, object format,\n"
        "        what HEAD names (\"-\" for nothing), number of refs.\n"
        "repo head NAME [BRANCH]\n"
        "        Shows what HEAD names, or sets it: the branch that a clone checks out.\n"
        "repo delete NAME\n"
        "        Deletes a repository with all it holds, at once.\n"
        "repo config NAME [KEY]\n"
        "        Shows a repository's configuration, or the values of one key, named as in\n"
        "        git-config(1).\n"
        "repo config NAME KEY VALUE\n"
        "        Sets a key. With --add before KEY, gives it one more value (hideRefs, ...).\n"
        "repo config NAME --unset KEY [VALUE]\n"
        "        Takes a key, or one of its values, away.\n"
        "config ...\n"
        "        The same for the server: what holds where a repository says nothing else.\n"
        "repo maintain NAME\n"
        "        Joins packs, makes maps of them and drops what no ref reaches, as far as that\n"
        "        is due. The server does so by itself when nothing else is to be done.\n"
        "repo log NAME\n"
        "        Shows who pushed what and when, oldest first. Each record names the hash of\n"
        "        the one before it; that they do is checked.\n"
        "backup [--with-host-key] [--keep-going]\n"
        "        Writes a copy of the whole store as it is now to stdout, while the server\n"
        "        goes on: send it to a file, which packhorse can serve. It has no host key and\n"
        "        no receive.certNonceSeed unless --with-host-key is given. With --keep-going\n"
        "        damage is named and does not end it.\n"
        "scrub\n"
        "        Reads all that is stored and names what is damaged, with the objects it hits.\n"
        "        The server does so by itself, slowly (packhorse.scrubDays); findings are in\n"
        "        its log, and \"scrub state\" tells when it was last done.\n"
        "help\n"
        "        This text.\n";
/* Only where an owner can end the machine. */
static const char help_shutdown[] =
        "shutdown\n"
        "        Ends the server in order: pushes that run are finished, then it powers off.\n";
static const char help_status[] = "Status: 0 when done, 1 when not.\n";

static struct admin *of(struct ph_session *session)
{
	return (struct admin *)session;
}

/* ---- what the user reads ---- */

enum ph_step ph__admin_end(struct admin *admin, int exit_status)
{
	admin->session.exit_status = exit_status;
	return PH_STEP_DONE;
}

void ph__admin_print(struct admin *admin, const char *text)
{
	ph__session_put(&admin->session, PH_STREAM_OUT, text, strlen(text));
}

static void complain(struct admin *admin, const char *text)
{
	size_t len = strlen(text), room = ph__session_room(&admin->session, PH_STREAM_ERR);

	ph__session_put(&admin->session, PH_STREAM_ERR, text, len < room ? len : room);
}

enum ph_step ph__admin_usage(struct admin *admin, const char *what, const char *word)
{
	char escaped[ADMIN_ESCAPED_BYTES];

	ph__session_error_line(&admin->session, "%s%s%s", what, *word ? ": " : "",
	                       ph__admin_escape(escaped, word));
	complain(admin, usage);
	return ph__admin_end(admin, 1);
}

enum ph_step ph__admin_fail(struct admin *admin, enum ph_status status)
{
	const char *name = admin->repo;

	if (status == PH_ERR_NOT_FOUND)
		ph__session_error_line(&admin->session, "no such repository: %s; see: repo list",
		                       name);
	else if (status == PH_ERR_EXISTS)
		ph__session_error_line(&admin->session,
		                       "repository exists already: %s; see: repo list", name);
	else if (status == PH_ERR_CONFLICT || status == PH_ERR_BUSY)
		ph__session_error_line(
		        &admin->session,
		        "%s is being changed by another; nothing was done, try again", name);
	else
		ph__session_error_line(&admin->session, "nothing was done: %s",
		                       ph_status_text(status));
	return ph__admin_end(admin, 1);
}

/* How many bytes of a control character stand here; 0 for none. */
static size_t control_len(const unsigned char *at)
{
	if (at[0] < 0x20 || at[0] == 0x7f)
		return 1;
	return at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0 ? 2 : 0;
}

char *ph__admin_escape(char *out, const char *text)
{
	size_t len = 0;

	while (*text && len + 9 < ADMIN_ESCAPED_BYTES) {
		size_t control = control_len((const unsigned char *)text);

		if (control == 0)
			out[len++] = *text++;
		for (; control; control--)
			len += (size_t)snprintf(out + len, 5, "\\x%02x", (unsigned char)*text++);
	}
	out[len] = 0;
	return out;
}

static void report(struct admin *admin, const char *what, const char *more)
{
	char escaped[ADMIN_ESCAPED_BYTES], line[2 * ADMIN_ESCAPED_BYTES + 64];

	snprintf(line, sizeof(line), "%s %s%s\n", what, ph__admin_escape(escaped, admin->repo),
	         more);
	ph__admin_print(admin, line);
}

static void log_change(struct admin *admin, const char *what)
{
	const struct ph_service *service = &admin->session.service;

	ph_log_line(service->log, PH_LOG_INFO, "admin", service->connection, "%s %s by %s", what,
	            admin->repo, service->identity ? service->identity : "?");
}

/* ---- commands ---- */

static enum ph_step run_help(struct admin *admin, uint32_t *budget)
{
	(void)budget;
	ph__admin_print(admin, help);
	if (admin->session.service.shutdown)
		ph__admin_print(admin, help_shutdown);
	ph__admin_print(admin, help_status);
	return ph__admin_end(admin, 0);
}

/* What ends the server lets this session end first, so the line reaches who asked. */
static enum ph_step run_shutdown(struct admin *admin, uint32_t *budget)
{
	const struct ph_service *service = &admin->session.service;

	(void)budget;
	ph_log_line(service->log, PH_LOG_INFO, "admin", service->connection, "shutdown by %s",
	            service->identity ? service->identity : "?");
	ph__admin_print(admin, "shutting down\n");
	service->shutdown(service->shutdown_user, service->identity);
	return ph__admin_end(admin, 0);
}

/* Commits; then says what was done. */
static enum ph_step finish(struct admin *admin, const char *what, const char *more)
{
	enum ph_status status = ph__commit_run(&admin->commit, admin->txn);

	if (status == PH_PENDING || status == PH_AGAIN)
		return ph__commit_step(status);
	ph_txn_free(admin->txn);
	admin->txn = NULL;
	if (status != PH_OK)
		return ph__admin_fail(admin, status);
	log_change(admin, what);
	report(admin, what, more);
	/* Maintenance gives the space of what was deleted back. */
	if (admin->session.service.changed)
		admin->session.service.changed(admin->session.service.changed_user, admin->repo);
	return ph__admin_end(admin, 0);
}

static enum ph_step run_create(struct admin *admin, uint32_t *budget)
{
	char more[32];

	(void)budget;
	if (!admin->txn) {
		enum ph_status status = ph_store_create(admin->session.service.store, admin->repo,
		                                        admin->algo, &admin->txn);

		if (status != PH_OK)
			return ph__admin_fail(admin, status);
	}
	snprintf(more, sizeof(more), " (%s)", ph_hash_name(admin->algo));
	return finish(admin, "created", more);
}

/* A transaction over the repository as it is now. */
static enum ph_status begin(struct admin *admin)
{
	struct ph_store *store = admin->session.service.store;
	enum ph_status status = ph_store_snapshot(store, admin->repo, &admin->snapshot);

	return status == PH_OK ? ph_store_begin(store, admin->snapshot, &admin->txn) : status;
}

static enum ph_step run_delete(struct admin *admin, uint32_t *budget)
{
	(void)budget;
	if (!admin->txn) {
		enum ph_status status = begin(admin);

		if (status == PH_OK)
			status = ph_txn_delete_repo(admin->txn);
		/* Too damaged to be opened: by its name. */
		else if (status == PH_ERR_CORRUPT || status == PH_ERR_IO)
			status = ph_store_remove(admin->session.service.store, admin->repo,
			                         &admin->txn);
		if (status != PH_OK)
			return ph__admin_fail(admin, status);
	}
	return finish(admin, "deleted", "");
}

static enum ph_step show_head(struct admin *admin)
{
	char escaped[ADMIN_ESCAPED_BYTES], hex[PH_OID_HEX_MAX + 1];
	struct ph_ref ref;
	enum ph_status status =
	        ph_store_snapshot(admin->session.service.store, admin->repo, &admin->snapshot);

	if (status != PH_OK)
		return ph__admin_fail(admin, status);
	status = ph_snapshot_ref(admin->snapshot, "HEAD", &ref);
	if (status == PH_ERR_NOT_FOUND) {
		ph__session_error_line(&admin->session,
		                       "HEAD names nothing; set it: repo head NAME BRANCH");
		return ph__admin_end(admin, 1);
	}
	if (status != PH_OK)
		return ph__admin_fail(admin, status);
	ph__admin_print(admin, *ref.target ? ph__admin_escape(escaped, ref.target)
	                                   : ph_oid_to_hex(hex, admin->snapshot->algo, &ref.oid));
	ph__admin_print(admin, "\n");
	return ph__admin_end(admin, 0);
}

static enum ph_status begin_head(struct admin *admin)
{
	struct ph_ref ref;
	uint32_t change;
	enum ph_status status = begin(admin);

	if (status != PH_OK)
		return status;
	if (ph_snapshot_ref(admin->snapshot, admin->branch, &ref) == PH_ERR_NOT_FOUND)
		ph__session_error_line(&admin->session,
		                       "note: %s does not exist yet; clones check nothing out",
		                       admin->branch);
	return ph_txn_symref_update(admin->txn, "HEAD", NULL, admin->branch, &change);
}

static enum ph_step run_head(struct admin *admin, uint32_t *budget)
{
	char escaped[ADMIN_ESCAPED_BYTES], more[ADMIN_ESCAPED_BYTES + 8];

	(void)budget;
	if (!*admin->branch)
		return show_head(admin);
	if (!admin->txn) {
		enum ph_status status = begin_head(admin);

		if (status != PH_OK)
			return ph__admin_fail(admin, status);
	}
	snprintf(more, sizeof(more), " %s", ph__admin_escape(escaped, admin->branch));
	return finish(admin, "head", more);
}

/* ---- words ---- */

static const char prefix[] = "--object-format=";

/* What follows the two words of a command: a name, maybe more, in any order with the option. */
struct operands {
	const char *words[2];
	unsigned count;
	const char *format; /* NULL when not given */
	const char *excess; /* a word too many, or an unknown option */
};

static void read_operands(const struct admin *admin, struct operands *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 2; i < admin->argc; i++) {
		const char *word = admin->argv[i];

		if (strncmp(word, prefix, sizeof(prefix) - 1) == 0 && !out->format)
			out->format = word + sizeof(prefix) - 1;
		else if (word[0] == '-' || out->count == 2)
			out->excess = word;
		else
			out->words[out->count++] = word;
	}
}

/* A branch by its short name or its full one. */
static bool set_branch(struct admin *admin, const char *word)
{
	bool full = strncmp(word, "refs/heads/", 11) == 0;
	int len = snprintf(admin->branch, sizeof(admin->branch), "%s%s", full ? "" : "refs/heads/",
	                   word);

	return len > 0 && (size_t)len < sizeof(admin->branch) &&
	       ph_refname_pushable(admin->branch, (size_t)len, admin->session.service.limits);
}

/* Reads NAME and what may follow it; NULL when all is well, or what is wrong and with which word.
 */
static const char *read_repo(struct admin *admin, unsigned words_max, bool format_allowed,
                             const char **word)
{
	struct operands operands;

	read_operands(admin, &operands);
	*word = operands.excess ? operands.excess : "";
	if (operands.excess)
		return "what is this";
	if (operands.count == 0)
		return "the name of a repository is missing";
	*word = operands.words[operands.count - 1];
	if (operands.count > words_max)
		return "one word too many";
	*word = operands.words[0];
	if (ph_repo_name_canonical(admin->repo, *word, strlen(*word)) != PH_OK)
		return "not a name for a repository";
	if (operands.count == 2 && !set_branch(admin, *word = operands.words[1]))
		return "not a name for a branch";
	if (!operands.format)
		return NULL;
	*word = operands.format;
	if (!format_allowed)
		return "no object format can be chosen here";
	return ph_hash_from_name(&admin->algo, *word, strlen(*word)) == PH_OK
	               ? NULL
	               : "not an object format; sha1 and sha256 are";
}

struct command {
	const char *word; /* behind "repo" */
	admin_step step;
	unsigned words_max; /* operands; 0: none at all */
	bool format;        /* --object-format is allowed */
	bool owner;
};

static const struct command commands[] = {
        {"create", run_create, 1, true, true},
        {"list", ph__admin_list, 0, false, false},
        {"head", run_head, 2, false, true},
        {"delete", run_delete, 1, false, true},
        {"maintain", ph__admin_maintain, 1, false, true},
        {"log", ph__admin_log, 1, false, true},
};

static enum ph_step deny(struct admin *admin)
{
	ph__session_error_line(&admin->session, "permission denied: only the owner may do this");
	return ph__admin_end(admin, 1);
}

static enum ph_step start_repo(struct admin *admin, const struct command *command)
{
	const char *word = "", *wrong = NULL;

	if (command->owner && admin->session.service.permission < PH_PERM_OWNER)
		return deny(admin);
	if (command->words_max)
		wrong = read_repo(admin, command->words_max, command->format, &word);
	else if (admin->argc > 2)
		return ph__admin_usage(admin, "one word too many", admin->argv[2]);
	if (wrong)
		return ph__admin_usage(admin, wrong, word);
	admin->step = command->step;
	return PH_STEP_AGAIN;
}

static enum ph_step start_shutdown(struct admin *admin)
{
	if (admin->session.service.permission < PH_PERM_OWNER)
		return deny(admin);
	if (admin->argc > 1)
		return ph__admin_usage(admin, "one word too many", admin->argv[1]);
	admin->step = run_shutdown;
	return PH_STEP_AGAIN;
}

static enum ph_step start_scrub(struct admin *admin)
{
	bool state = admin->argc > 1 && strcmp(admin->argv[1], "state") == 0;

	if (admin->session.service.permission < PH_PERM_OWNER)
		return deny(admin);
	if (admin->argc > 2 || (admin->argc == 2 && !state))
		return ph__admin_usage(admin, "what is this", admin->argv[admin->argc - 1]);
	admin->step = state ? ph__admin_scrub_state : ph__admin_scrub;
	return PH_STEP_AGAIN;
}

static enum ph_step start_config(struct admin *admin, unsigned at)
{
	if (admin->session.service.permission < PH_PERM_OWNER)
		return deny(admin);
	return ph__admin_config(admin, at);
}

static enum ph_step start_repo_config(struct admin *admin)
{
	const char *word = admin->argc > 2 ? admin->argv[2] : "";

	if (admin->argc == 2)
		return ph__admin_usage(admin, "the name of a repository is missing", "");
	if (ph_repo_name_canonical(admin->repo, word, strlen(word)) != PH_OK)
		return ph__admin_usage(admin, "not a name for a repository", word);
	return start_config(admin, 3);
}

/* The first step finds out which command it is. */
static enum ph_step start(struct admin *admin, uint32_t *budget)
{
	(void)budget;
	if (admin->session.service.permission < PH_PERM_READ) {
		ph__session_error_line(&admin->session, "access denied");
		return ph__admin_end(admin, 1);
	}
	if (admin->argc == 0)
		return ph__admin_usage(admin, "a command is missing", "");
	if (strcmp(admin->argv[0], "help") == 0 && admin->argc == 1) {
		admin->step = run_help;
		return PH_STEP_AGAIN;
	}
	if (strcmp(admin->argv[0], "shutdown") == 0 && admin->session.service.shutdown)
		return start_shutdown(admin);
	if (strcmp(admin->argv[0], "config") == 0)
		return start_config(admin, 1);
	if (strcmp(admin->argv[0], "backup") == 0)
		return admin->session.service.permission < PH_PERM_OWNER ? deny(admin)
		                                                         : ph__admin_backup(admin);
	if (strcmp(admin->argv[0], "scrub") == 0)
		return start_scrub(admin);
	if (strcmp(admin->argv[0], "repo") != 0)
		return ph__admin_usage(admin, "no such command", admin->argv[0]);
	if (admin->argc == 1)
		return ph__admin_usage(admin, "repo what", "");
	if (strcmp(admin->argv[1], "config") == 0)
		return start_repo_config(admin);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(admin->argv[1], commands[i].word) == 0)
			return start_repo(admin, &commands[i]);
	return ph__admin_usage(admin, "no such command", admin->argv[1]);
}

/* ---- the session ---- */

static enum ph_step step(struct ph_session *session, uint32_t *budget)
{
	struct admin *admin = of(session);
	size_t len;

	/* Nobody reads what is typed to a command. */
	ph__session_input(session, &len);
	ph__session_consume(session, len);
	if (!ph__out_ready(session))
		return PH_STEP_OUTPUT;
	return admin->step(admin, budget);
}

static void admin_free(struct ph_session *session)
{
	struct admin *admin = of(session);

	ph_ref_iter_free(admin->refs);
	ph_copy_free(admin->copy);
	ph_session_free(admin->inner);
	ph_scrub_free(admin->scrub);
	ph_txn_free(admin->txn);
	ph_snapshot_release(admin->snapshot);
	ph_mem_free(session->service.alloc, admin->config);
	ph_mem_free(session->service.alloc, admin->text);
	ph__session_release(session);
}

/* Copies the words; those beyond the limits are as good as a wrong command. */
static enum ph_status copy_words(struct admin *admin, unsigned argc, const char *const *argv)
{
	size_t len = 0, at = 0;

	for (unsigned i = 0; i < argc; i++)
		len += strlen(argv[i]) + 1;
	if (argc > PH_REQUEST_ARGS_MAX || len > PH_REQUEST_BYTES_MAX)
		argc = 0;
	if (argc == 0)
		return PH_OK;
	admin->text = ph_mem_alloc(admin->session.service.alloc, len);
	if (!admin->text)
		return PH_ERR_NOMEM;
	for (unsigned i = 0; i < argc; i++) {
		size_t word_len = strlen(argv[i]) + 1;

		admin->argv[i] = admin->text + at;
		memcpy(admin->argv[i], argv[i], word_len);
		at += word_len;
	}
	admin->argc = argc;
	return PH_OK;
}

enum ph_status ph_admin_new(struct ph_session **out, const struct ph_service *service,
                            unsigned argc, const char *const *argv)
{
	static const struct ph_session_ops ops = {.step = step, .free = admin_free};
	struct admin *admin = ph_mem_zalloc(service->alloc, 1, sizeof(*admin));
	enum ph_status status;

	if (!admin)
		return PH_ERR_NOMEM;
	status = ph__session_init(&admin->session, &ops, service);
	if (status != PH_OK) {
		ph_mem_free(service->alloc, admin);
		return status;
	}
	admin->step = start;
	admin->algo = PH_HASH_SHA1;
	ph__commit_init(&admin->commit, &admin->session);
	status = copy_words(admin, argc, argv);
	if (status != PH_OK) {
		admin_free(&admin->session);
		return status;
	}
	*out = &admin->session;
	return PH_OK;
}
