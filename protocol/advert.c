/* SPDX-License-Identifier: MIT */
/*
 * The advertisement of refs for protocols 0 and 1. One line is written when there is room for the
 * longest; the iterator over the snapshot's refs is all the place it keeps.
 */
#include "advert_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void ph__advert_init(struct ph__advert *advert, const struct ph__advert_options *options)
{
	memset(advert, 0, sizeof(*advert));
	assert(strlen(options->caps) < sizeof(advert->caps));
	assert(strlen(options->caps_tail) < sizeof(advert->caps_tail));
	advert->options = *options;
	snprintf(advert->caps, sizeof(advert->caps), "%s", options->caps);
	snprintf(advert->caps_tail, sizeof(advert->caps_tail), "%s", options->caps_tail);
	advert->options.caps = NULL;
	advert->options.caps_tail = NULL;
}

void ph__advert_release(struct ph__advert *advert)
{
	ph_ref_iter_free(advert->iter);
	advert->iter = NULL;
}

/* One line; the first carries the capabilities behind a NUL, which formatting cannot write. */
static void put_line(struct ph__advert *advert, struct ph_session *session, const char *name,
                     const char *suffix, const struct ph_oid *oid)
{
	char line[PH_OUT_LINE_BYTES - 4];
	char hex[PH_OID_HEX_MAX + 1];
	int at;

	ph_oid_to_hex(hex, advert->options.algo, oid);
	at = snprintf(line, sizeof(line), "%s %s%s", hex, name, suffix);
	assert(at > 0 && (size_t)at < sizeof(line));
	if (!advert->caps_sent) {
		size_t used = (size_t)at + 1;
		int more = snprintf(line + used, sizeof(line) - used, "%s%s%s%s%s", advert->caps,
		                    *advert->symref ? " symref=HEAD:" : "", advert->symref,
		                    *advert->caps_tail ? " " : "", advert->caps_tail);

		assert(more >= 0 && (size_t)more < sizeof(line) - used);
		at = (int)used + more;
		advert->caps_sent = true;
	}
	assert((size_t)at < sizeof(line));
	line[at] = '\n';
	ph__out_pkt(session, line, (size_t)at + 1);
}

static void put_ref(struct ph__advert *advert, struct ph_session *session, const char *name,
                    const struct ph_ref *value)
{
	put_line(advert, session, name, "", &value->oid);
	if (advert->options.peeled && !ph_oid_is_zero(&value->peeled))
		put_line(advert, session, name, "^{}", &value->peeled);
}

static bool is_left_out(enum ph_status status)
{
	return status == PH_ERR_NOT_FOUND || status == PH_ERR_LIMIT || status == PH_ERR_DENIED;
}

/* HEAD comes first iff it resolves; only a HEAD that is a symref is told as one. */
static enum ph_status put_head(struct ph__advert *advert, struct ph_session *session)
{
	char target[PH_REF_NAME_MAX + 1];
	struct ph_ref value;
	enum ph_status status = ph__visible_resolve(advert->options.snapshot,
	                                            advert->options.hidden, "HEAD", &value, target);

	if (is_left_out(status))
		return PH_OK;
	if (status != PH_OK)
		return status;
	if (strcmp(target, "HEAD") != 0)
		memcpy(advert->symref, target, sizeof(target));
	put_ref(advert, session, "HEAD", &value);
	return PH_OK;
}

static enum ph_status put_next_ref(struct ph__advert *advert, struct ph_session *session)
{
	char target[PH_REF_NAME_MAX + 1];
	struct ph_ref value;
	enum ph_status status =
	        ph__visible_next(advert->iter, advert->options.hidden, &advert->ref);

	advert->refs += status != PH_END;
	if (status == PH_AGAIN)
		return PH_OK;
	if (status != PH_OK || strncmp(advert->ref.name, "refs/", 5) != 0)
		return status;
	if (!*advert->ref.target) {
		put_ref(advert, session, advert->ref.name, &advert->ref);
		return PH_OK;
	}
	status = ph__visible_resolve(advert->options.snapshot, advert->options.hidden,
	                             advert->ref.name, &value, target);
	if (status == PH_OK)
		put_ref(advert, session, advert->ref.name, &value);
	return is_left_out(status) ? PH_OK : status;
}

static enum ph_status begin(struct ph__advert *advert, struct ph_session *session)
{
	if (advert->options.version1)
		ph__out_line(session, "version 1\n");
	if (!advert->options.snapshot) {
		advert->state = PH__ADVERT_END;
		return PH_OK;
	}
	advert->state = advert->options.head ? PH__ADVERT_HEAD : PH__ADVERT_REFS;
	return ph_snapshot_refs(advert->options.snapshot, "refs/", &advert->iter);
}

/* "capabilities^{}" stands for the refs of a repository without any. */
static void put_no_refs(struct ph__advert *advert, struct ph_session *session)
{
	static const struct ph_oid zero;

	if (!advert->caps_sent)
		put_line(advert, session, "capabilities^{}", "", &zero);
}

/* True when all of the boundary is written. */
static bool put_shallow(struct ph__advert *advert, struct ph_session *session)
{
	const struct ph_oid *oids;
	uint32_t count = ph_snapshot_shallow(advert->options.snapshot, &oids);
	char hex[PH_OID_HEX_MAX + 1];

	if (!advert->options.shallow || advert->shallow_at == count)
		return true;
	ph_oid_to_hex(hex, advert->options.algo, &oids[advert->shallow_at++]);
	ph__out_line(session, "shallow %s\n", hex);
	return false;
}

static enum ph_status one(struct ph__advert *advert, struct ph_session *session)
{
	enum ph_status status = PH_OK;

	switch (advert->state) {
	case PH__ADVERT_BEGIN:
		return begin(advert, session);
	case PH__ADVERT_HEAD:
		advert->state = PH__ADVERT_REFS;
		return put_head(advert, session);
	case PH__ADVERT_REFS:
		status = put_next_ref(advert, session);
		if (status != PH_END)
			return status;
		put_no_refs(advert, session);
		advert->state = PH__ADVERT_SHALLOW;
		return PH_OK;
	case PH__ADVERT_SHALLOW:
		if (put_shallow(advert, session))
			advert->state = PH__ADVERT_END;
		return PH_OK;
	case PH__ADVERT_END:
		put_no_refs(advert, session);
		ph__out_flush(session);
		advert->state = PH__ADVERT_DONE;
		return PH_OK;
	case PH__ADVERT_DONE:
	default:
		return PH_OK;
	}
}

enum ph_status ph__advert_step(struct ph__advert *advert, struct ph_session *session,
                               uint32_t *budget)
{
	while (advert->state != PH__ADVERT_DONE) {
		enum ph_status status;

		if (!ph__out_ready(session))
			return PH_PENDING;
		if (*budget == 0)
			return PH_AGAIN;
		status = one(advert, session);
		ph_budget_spend(budget, 1);
		if (status != PH_OK)
			return status;
	}
	ph__advert_release(advert);
	return PH_OK;
}
