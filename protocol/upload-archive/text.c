/* SPDX-License-Identifier: MIT */
/*
 * Growing texts. All that an archive assembles in memory goes through here, so that a limit holds
 * for each such thing whoever writes to it.
 */
#include "text_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_BYTES 128u
#define KEEP_BYTES 65536u
#define PRINT_BYTES 1000u

void ph__text_init(struct ph__text *text, const struct ph_alloc *alloc, size_t max)
{
	*text = (struct ph__text){.alloc = alloc, .max = max};
}

void ph__text_release(struct ph__text *text)
{
	if (text->alloc)
		ph_mem_free(text->alloc, text->data);
	text->data = NULL;
	text->len = text->room = 0;
}

void ph__text_clear(struct ph__text *text)
{
	if (text->room > KEEP_BYTES)
		ph__text_release(text);
	ph__text_cut(text, 0);
}

void ph__text_cut(struct ph__text *text, size_t len)
{
	text->len = len;
	if (text->data)
		text->data[len] = 0;
}

const char *ph__text_bytes(const struct ph__text *text)
{
	return text->data ? text->data : "";
}

static enum ph_status make_room(struct ph__text *text, size_t len)
{
	size_t room = text->room ? text->room : FIRST_BYTES;
	char *grown;

	if (len > text->max - text->len)
		return PH_ERR_LIMIT;
	if (text->room && text->room - text->len > len)
		return PH_OK;
	while (room - text->len <= len)
		room = room > text->max / 2 ? text->max + 1 : 2 * room;
	grown = ph_mem_resize(text->alloc, text->data, room, 1);
	if (!grown)
		return PH_ERR_NOMEM;
	text->data = grown;
	text->room = room;
	return PH_OK;
}

enum ph_status ph__text_add(struct ph__text *text, const void *data, size_t len)
{
	return ph__text_insert(text, text->len, data, len);
}

enum ph_status ph__text_insert(struct ph__text *text, size_t at, const void *data, size_t len)
{
	enum ph_status status;

	if (len == 0)
		return PH_OK;
	status = make_room(text, len);
	if (status != PH_OK)
		return status;
	memmove(text->data + at + len, text->data + at, text->len - at);
	memcpy(text->data + at, data, len);
	ph__text_cut(text, text->len + len);
	return PH_OK;
}

enum ph_status ph__text_fill(struct ph__text *text, char byte, size_t count)
{
	enum ph_status status = make_room(text, count);

	if (status != PH_OK)
		return status;
	memset(text->data + text->len, byte, count);
	ph__text_cut(text, text->len + count);
	return PH_OK;
}

enum ph_status ph__text_print(struct ph__text *text, const char *format, ...)
{
	char line[PRINT_BYTES];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len < 0)
		len = 0;
	return ph__text_add(text, line,
	                    (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
}
