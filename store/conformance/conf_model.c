/* SPDX-License-Identifier: MIT */
/*
 * Conformance: random sequences of transactions against a model so naive that it is right: a list
 * of names and values, and verdicts by comparing everything with everything. Several transactions
 * are open at a time, over bases of any age; repositories come and go.
 */
#include "conformance_int.h"

#include <stdlib.h>

/* Few, so that some transactions reach it. */
#define MODEL_REFS_MAX 9u
#define MODEL_CHANGES_MAX 12u
#define MODEL_TXNS 4u
#define MODEL_REPOS 2u

static const char *const ref_names[] = {
        "HEAD",       "refs/a",          "refs/a/b",          "refs/a/b/c", "refs/a/b/d",
        "refs/a-b",   "refs/a.b",        "refs/a/b-c",        "refs/b",     "refs/b/a",
        "refs/b/a/b", "refs/b/b",        "refs/heads/aa",     "refs/aa",    "refs/a/bb",
        "refs/a0",    "refs/heads/main", "refs/heads/main/x",
};
#define NAMES (sizeof(ref_names) / sizeof(ref_names[0]))

/* A value: nothing (0), the id of this number, or a symref to this name (negative, from -1). */
typedef int model_value;

struct model_repo {
	bool there;
	uint32_t incarnation;
	model_value value[NAMES];
	uint32_t packs;
};

struct model_change {
	uint32_t name;
	bool any;
	model_value old, new_value;
	bool dropped;
	enum ph_status verdict;
};

struct model_txn {
	struct ph_txn *txn;
	uint32_t repo;
	uint32_t incarnation; /* of the repository when it began */
	bool creates, deletes;
	uint32_t packs;
	uint32_t changes;
	struct model_change change[MODEL_CHANGES_MAX];
};

struct model {
	struct conf *c;
	struct ph_test_rng rng;
	uint32_t incarnations;
	uint32_t packs; /* ever made: each has objects of its own */
	struct model_repo repo[MODEL_REPOS];
	struct model_txn txn[MODEL_TXNS];
};

static const char *const repo_names[MODEL_REPOS] = {"one", "two/three"};

static uint32_t below(struct model *m, uint32_t n)
{
	return ph_test_rng_below(&m->rng, n);
}

/* Whether one name is a directory of the other. */
static bool exclude(uint32_t a, uint32_t b)
{
	size_t len_a = strlen(ref_names[a]), len_b = strlen(ref_names[b]);
	const char *shorter = len_a < len_b ? ref_names[a] : ref_names[b];
	const char *longer = len_a < len_b ? ref_names[b] : ref_names[a];
	size_t len = strlen(shorter);
	return strncmp(shorter, longer, len) == 0 && longer[len] == '/';
}

static enum ph_status value_verdict(const struct model_change *change, model_value now)
{
	if (change->any || change->old == now)
		return PH_OK;
	if (change->old == 0)
		return PH_ERR_EXISTS;
	return now == 0 ? PH_ERR_NOT_FOUND : PH_ERR_CONFLICT;
}

/* The refs that a transaction's changes are compared with. */
static void current_values(const struct model *m, const struct model_txn *txn, model_value *out)
{
	if (!txn->creates) {
		memcpy(out, m->repo[txn->repo].value, sizeof(m->repo[0].value));
		return;
	}
	memset(out, 0, sizeof(m->repo[0].value));
	out[0] = -1 - 16; /* HEAD names refs/heads/main, unless a change says otherwise */
	for (uint32_t i = 0; i < txn->changes; i++)
		if (txn->change[i].name == 0 && !txn->change[i].dropped)
			out[0] = 0;
}

static bool model_creates(const struct model_change *change, const model_value *now)
{
	return !change->dropped && change->verdict == PH_OK && change->new_value != 0 &&
	       now[change->name] == 0;
}

/* Sets all verdicts; true when all are good. */
static bool model_evaluate(const struct model *m, struct model_txn *txn)
{
	model_value now[NAMES], staying[NAMES];
	uint32_t count = 0;
	bool all = true;
	current_values(m, txn, now);
	memcpy(staying, now, sizeof(now));
	for (uint32_t i = 0; i < txn->changes; i++) {
		struct model_change *change = &txn->change[i];
		change->verdict = value_verdict(change, now[change->name]);
		if (!change->dropped && change->verdict == PH_OK && change->new_value == 0)
			staying[change->name] = 0;
	}
	for (uint32_t name = 0; name < NAMES; name++)
		count += staying[name] != 0;
	for (uint32_t i = 0; i < txn->changes; i++)
		for (uint32_t name = 0; name < NAMES; name++)
			if (model_creates(&txn->change[i], now) && staying[name] != 0 &&
			    exclude(name, txn->change[i].name))
				txn->change[i].verdict = PH_ERR_INVALID;
	for (uint32_t i = 0; i < txn->changes; i++) {
		struct model_change *change = &txn->change[i];
		if (!model_creates(change, now))
			continue;
		for (uint32_t j = 0; j < i; j++)
			if (model_creates(&txn->change[j], now) &&
			    exclude(txn->change[j].name, change->name))
				change->verdict = PH_ERR_INVALID;
		if (change->verdict == PH_OK && count >= MODEL_REFS_MAX)
			change->verdict = PH_ERR_LIMIT;
		count += change->verdict == PH_OK;
	}
	for (uint32_t i = 0; i < txn->changes; i++)
		all = all && (txn->change[i].dropped || txn->change[i].verdict == PH_OK);
	return all;
}

static struct ph_oid value_oid(const struct model *m, model_value value)
{
	return value > 0 ? ph__conf_oid(m->c, (uint32_t)value) : ph__conf_zero;
}

static const char *value_target(model_value value)
{
	return ref_names[-1 - value];
}

/* ---- comparing ---- */

static void compare_repo(struct model *m, uint32_t number)
{
	struct ph_snapshot *s = NULL;
	struct ph_ref ref;
	const struct model_repo *repo = &m->repo[number];
	enum ph_status status = ph_store_snapshot(m->c->store, repo_names[number], &s);
	assert_status(status, repo->there ? PH_OK : PH_ERR_NOT_FOUND);
	if (!repo->there)
		return;
	uint32_t there = 0;
	for (uint32_t name = 0; name < NAMES; name++) {
		model_value value = repo->value[name];
		status = ph_snapshot_ref(s, ref_names[name], &ref);
		assert_status(status, value ? PH_OK : PH_ERR_NOT_FOUND);
		there += value != 0;
		if (value == 0)
			continue;
		struct ph_oid oid = value_oid(m, value);
		assert_memory_equal(&ref.oid, &oid, sizeof(oid));
		assert_string_equal(ref.target, value < 0 ? value_target(value) : "");
	}
	struct ph_ref_iter *iter;
	char previous[PH_REF_NAME_MAX + 1] = "";
	assert_status(ph_snapshot_refs(s, "", &iter), PH_OK);
	while (ph_ref_iter_next(iter, &ref) == PH_OK) {
		assert_true(strcmp(previous, ref.name) < 0);
		memcpy(previous, ref.name, strlen(ref.name) + 1);
		there--;
	}
	ph_ref_iter_free(iter);
	assert_int_equal(there, 0);
	const struct ph_source *source = ph_snapshot_source(s);
	assert_int_equal(source->ops->packs(source), repo->packs);
	ph_snapshot_release(s);
}

/* ---- the steps ---- */

static void model_begin(struct model *m, struct model_txn *txn)
{
	uint32_t number = below(m, MODEL_REPOS);
	struct model_repo *repo = &m->repo[number];
	memset(txn, 0, sizeof(*txn));
	txn->repo = number;
	txn->incarnation = repo->incarnation;
	if (repo->there) {
		txn->txn = ph__conf_begin(m->c, repo_names[number]);
		txn->deletes = below(m, 20) == 0;
		if (txn->deletes)
			assert_status(ph_txn_delete_repo(txn->txn), PH_OK);
		return;
	}
	txn->creates = true;
	assert_status(ph_store_create(m->c->store, repo_names[number], m->c->algo, &txn->txn),
	              PH_OK);
}

/* A value as it is now, so that many changes expect the right one; or any. */
static model_value pick_old(struct model *m, const struct model_txn *txn, uint32_t name)
{
	model_value now[NAMES];
	current_values(m, txn, now);
	return below(m, 4) ? now[name] : below(m, 2) ? 0 : (model_value)below(m, 5);
}

static void model_change_add(struct model *m, struct model_txn *txn)
{
	struct model_change change = {0};
	change.name = below(m, NAMES);
	change.any = below(m, 3) == 0;
	change.old = pick_old(m, txn, change.name);
	uint32_t kind = below(m, 5);
	change.new_value = kind == 0   ? 0
	                   : kind == 1 ? -1 - (model_value)below(m, NAMES)
	                               : 1 + (model_value)below(m, 4);
	enum ph_status want = PH_OK;
	for (uint32_t i = 0; i < txn->changes; i++)
		if (txn->change[i].name == change.name)
			want = PH_ERR_EXISTS;
	uint32_t number = UINT32_MAX;
	const char *name = ref_names[change.name];
	enum ph_status status;
	/* A deletion says what it expects in either way. */
	if (change.new_value < 0 || (change.new_value == 0 && change.old < 0)) {
		if (change.old > 0)
			change.any = true;
		const char *old = change.any ? NULL : change.old ? value_target(change.old) : "";
		const char *target = change.new_value ? value_target(change.new_value) : NULL;
		status = ph_txn_symref_update(txn->txn, name, old, target, &number);
	} else {
		if (change.old < 0)
			change.any = true;
		struct ph_oid old = value_oid(m, change.old), oid = value_oid(m, change.new_value);
		status = ph_txn_ref_update(txn->txn, name, change.any ? NULL : &old, &oid, NULL,
		                           &number);
	}
	assert_status(status, want);
	if (status == PH_OK) {
		assert_int_equal(number, txn->changes);
		txn->change[txn->changes++] = change;
	}
}

static void model_pack_add(struct model *m, struct model_txn *txn)
{
	struct ph_test_pack pack;
	char label[12] = "pack ";
	uint32_t number = ++m->packs;
	for (size_t at = 5; number > 0 && at < sizeof(label) - 1; number /= 10)
		label[at++] = (char)('0' + number % 10);
	ph__conf_make_pack(m->c, &pack, label, 2);
	uint32_t added = ph__conf_add_pack(txn->txn, &pack);
	ph__conf_expect_objects(ph_txn_source(txn->txn), &pack, true);
	if (below(m, 4) == 0)
		ph_txn_pack_drop(txn->txn, added);
	else
		txn->packs++;
	ph_test_pack_release(&pack);
}

static void compare_verdicts(struct model_txn *txn)
{
	for (uint32_t i = 0; i < txn->changes; i++)
		assert_status(ph_txn_verdict(txn->txn, i),
		              txn->change[i].dropped ? PH_ERR_INVALID : txn->change[i].verdict);
}

static bool is_gone(const struct model *m, const struct model_txn *txn)
{
	const struct model_repo *repo = &m->repo[txn->repo];
	return !txn->creates && (!repo->there || repo->incarnation != txn->incarnation);
}

static void model_prepare(struct model *m, struct model_txn *txn)
{
	enum ph_status status = ph_txn_prepare(txn->txn);
	if (is_gone(m, txn)) {
		assert_status(status, PH_ERR_NOT_FOUND);
		return;
	}
	bool all = model_evaluate(m, txn);
	assert_status(status, all ? PH_OK : PH_ERR_CONFLICT);
	compare_verdicts(txn);
}

static void drop_failed(struct model *m, struct model_txn *txn)
{
	for (uint32_t i = 0; i < txn->changes; i++) {
		if (txn->change[i].dropped || txn->change[i].verdict == PH_OK)
			continue;
		/* Sometimes another one, so that what depended on it fails. */
		uint32_t which = below(m, 8) ? i : below(m, txn->changes);
		txn->change[which].dropped = true;
		ph_txn_drop(txn->txn, which);
	}
}

static void apply(struct model *m, struct model_txn *txn)
{
	struct model_repo *repo = &m->repo[txn->repo];
	if (txn->deletes) {
		repo->there = false;
		return;
	}
	current_values(m, txn, repo->value);
	for (uint32_t i = 0; i < txn->changes; i++)
		if (!txn->change[i].dropped)
			repo->value[txn->change[i].name] = txn->change[i].new_value;
	if (txn->creates) {
		repo->there = true;
		repo->incarnation = ++m->incarnations;
		repo->packs = 0;
	}
	repo->packs += txn->packs;
}

static bool is_empty(const struct model_txn *txn)
{
	for (uint32_t i = 0; i < txn->changes; i++)
		if (!txn->change[i].dropped)
			return false;
	return !txn->creates && !txn->deletes && txn->packs == 0;
}

/* True when the transaction is at its end. */
static bool model_commit(struct model *m, struct model_txn *txn)
{
	enum ph_status status = ph__conf_try_commit(txn->txn);
	if (is_empty(txn)) {
		if (!is_gone(m, txn))
			assert_status(status, PH_OK);
		return true;
	}
	if (is_gone(m, txn)) {
		assert_status(status, PH_ERR_NOT_FOUND);
		return true;
	}
	bool all = model_evaluate(m, txn);
	if (txn->creates && m->repo[txn->repo].there) {
		/* Either reason will do when there are two. */
		assert_true(status == PH_ERR_EXISTS || (!all && status == PH_ERR_CONFLICT));
		return true;
	}
	assert_status(status, all ? PH_OK : PH_ERR_CONFLICT);
	compare_verdicts(txn);
	if (all)
		apply(m, txn);
	else
		drop_failed(m, txn);
	return all;
}

static void step(struct model *m)
{
	struct model_txn *txn = &m->txn[below(m, MODEL_TXNS)];
	if (!txn->txn) {
		model_begin(m, txn);
		return;
	}
	bool ends = false;
	switch (below(m, 10)) {
	case 0:
		model_prepare(m, txn);
		break;
	case 1:
		model_prepare(m, txn);
		if (!is_gone(m, txn))
			drop_failed(m, txn);
		break;
	case 2:
		ends = below(m, 4) == 0;
		break;
	case 3:
	case 4:
		ends = model_commit(m, txn);
		break;
	case 5:
		if (below(m, 4) == 0)
			model_pack_add(m, txn);
		break;
	default:
		if (txn->changes < MODEL_CHANGES_MAX)
			model_change_add(m, txn);
		break;
	}
	if (ends) {
		ph_txn_free(txn->txn);
		txn->txn = NULL;
	}
}

static void run_model(struct conf *c, uint64_t seed, unsigned steps)
{
	struct model *m = calloc(1, sizeof(*m));
	assert_non_null(m);
	m->c = c;
	ph_test_rng_init(&m->rng, seed);
	for (unsigned i = 0; i < steps; i++) {
		step(m);
		for (uint32_t repo = 0; repo < MODEL_REPOS; repo++)
			compare_repo(m, repo);
	}
	for (uint32_t i = 0; i < MODEL_TXNS; i++)
		ph_txn_free(m->txn[i].txn);
	for (uint32_t repo = 0; repo < MODEL_REPOS; repo++)
		compare_repo(m, repo);
	free(m);
}

static void random_transactions(struct conf *c)
{
	c->limits.refs_max = MODEL_REFS_MAX;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		ph__conf_restart(c);
		run_model(c, seed, 1500);
	}
}

const struct conf_test ph__conf_model_tests[] = {
        {"model: random transactions", random_transactions, 0},
        {NULL, NULL, 0},
};
