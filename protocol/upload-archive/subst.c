/* SPDX-License-Identifier: MIT */
/*
 * Formats as a whole: literal text, placeholders with their signs ("%+s", "% d", "%-b"), padding
 * and wrapping. What is no placeholder here stays as it is, sign and all.
 */
#include "subst_int.h"

#include <string.h>

void ph__subst_init(struct ph__subst *subst, const struct ph_alloc *alloc, enum ph_hash_algo algo)
{
	memset(subst, 0, sizeof(*subst));
	subst->alloc = alloc;
	subst->algo = algo;
	ph__text_init(&subst->parents, alloc, PH__SUBST_BYTES_MAX);
	ph__text_init(&subst->short_parents, alloc, PH__SUBST_BYTES_MAX);
	ph__text_init(&subst->names, alloc, PH__SUBST_NAMES_BYTES_MAX);
}

void ph__subst_release(struct ph__subst *subst)
{
	if (!subst->alloc)
		return;
	ph_mem_free(subst->alloc, subst->text);
	ph__text_release(&subst->parents);
	ph__text_release(&subst->short_parents);
	ph__text_release(&subst->names);
	subst->text = NULL;
	subst->alloc = NULL;
}

enum ph_status ph__subst_commit(struct ph__subst *subst, const struct ph_oid *oid, const void *data,
                                size_t size)
{
	char hex[PH_OID_HEX_MAX + 1];
	struct ph_commit commit;
	struct ph_oid parent;
	enum ph_status status = ph_commit_parse(&commit, subst->algo, data, size);

	subst->oid = *oid;
	if (status != PH_OK)
		return status;
	subst->tree = commit.tree;
	for (uint32_t i = 0; i < commit.parents && status == PH_OK; i++) {
		ph_commit_parent(&commit, i, &parent);
		status = ph__text_print(&subst->parents, "%s%s", i ? " " : "",
		                        ph_oid_to_hex(hex, subst->algo, &parent));
	}
	if (status != PH_OK)
		return status;
	if (size > PH__SUBST_COMMIT_BYTES_MAX)
		return PH_ERR_LIMIT;
	subst->text = ph_mem_strdup(subst->alloc, data, size);
	subst->size = size;
	return subst->text ? PH_OK : PH_ERR_NOMEM;
}

/* Behind the empty line that ends the header. */
static const char *message_of(const struct ph__subst *subst)
{
	const char *at = subst->text;

	while (*at && *at != '\n') {
		const char *newline = strchr(at, '\n');

		at = newline ? newline + 1 : at + strlen(at);
	}
	return at;
}

/* ---- items ---- */

static bool too_long(struct ph__format *format, const struct ph__text *out, size_t start)
{
	if (format->status == PH_OK && out->len > start && out->len - start > PH__SUBST_BYTES_MAX)
		format->status = PH_ERR_LIMIT;
	return format->status != PH_OK;
}

/* An item between its paddings. Colours, which give nothing, may stand in front of it. */
static size_t padded_item(struct ph__format *format, struct ph__text *out, const char *at)
{
	/* The item may be another padding, which is for the one behind it, but for its width. */
	int64_t padding = format->padding;
	struct ph__text item;
	size_t total = 0;
	bool colour;

	ph__text_init(&item, format->subst->alloc, PH__SUBST_BYTES_MAX);
	do {
		size_t took;

		colour = at[total] == 'C';
		took = ph__subst_item(format, &item, at + total);
		total += took;
		if (!colour || at[total] != '%')
			break;
		total++;
	} while (format->status == PH_OK);
	if (format->status == PH_OK)
		format->status = ph__subst_pad(format, out, &item, padding);
	format->flush = PH__FLUSH_NONE;
	ph__text_release(&item);
	return total;
}

static void keep(struct ph__format *format, enum ph_status status)
{
	if (format->status == PH_OK)
		format->status = status;
}

/* A placeholder with the sign in front of it. */
static size_t signed_item(struct ph__format *format, struct ph__text *out, const char *at)
{
	char sign = *at == '-' || *at == '+' || *at == ' ' ? *at : 0;
	size_t start = out->len, before, took;

	at += sign != 0;
	if (sign && *at == 'w')
		return 0;
	took = format->flush == PH__FLUSH_NONE ? ph__subst_item(format, out, at)
	                                       : padded_item(format, out, at);
	if (!sign)
		return took;
	if (out->len == start && sign == '-') {
		while (out->len && out->data[out->len - 1] == '\n')
			ph__text_cut(out, out->len - 1);
	} else if (out->len != start && sign != '-') {
		/* It may have taken more blanks from what stands in front than it has bytes. */
		before = start < out->len ? start : out->len;
		keep(format, ph__text_insert(out, before, sign == '+' ? "\n" : " ", 1));
	}
	return took + 1;
}

static void run(struct ph__format *format, struct ph__text *out, const char *at)
{
	size_t start = out->len;

	while (*at && !too_long(format, out, start)) {
		size_t plain = strcspn(at, "%"), took;

		keep(format, ph__text_add(out, at, plain));
		at += plain;
		if (!*at)
			break;
		at++;
		if (*at == '%') {
			keep(format, ph__text_add(out, "%", 1));
			at++;
			continue;
		}
		took = signed_item(format, out, at);
		if (took == 0)
			keep(format, ph__text_add(out, "%", 1));
		at += took;
	}
	if (format->status == PH_OK)
		ph__subst_rewrap(format, out, 0, 0, 0);
	(void)too_long(format, out, start);
}

enum ph_status ph__subst_format(struct ph__subst *subst, struct ph__text *out, const char *text,
                                size_t len, uint32_t *budget)
{
	char copy[PH__SUBST_FORMAT_BYTES_MAX + 1];
	struct ph__format format = {.subst = subst, .wrap_at = out->len};
	size_t start = out->len;

	if (len > PH__SUBST_FORMAT_BYTES_MAX || !subst->text) {
		enum ph_status status = ph__text_add(out, "$Format:", 8);

		if (status == PH_OK)
			status = ph__text_add(out, text, len);
		return status == PH_OK ? ph__text_add(out, "$", 1) : status;
	}
	memcpy(copy, text, len);
	copy[len] = 0;
	format.message = message_of(subst);
	run(&format, out, copy);
	ph_budget_spend_bytes(budget, out->len > start ? 4 * (out->len - start) : 1);
	return format.status;
}
