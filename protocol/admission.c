/* SPDX-License-Identifier: MIT */
/*
 * Between a session and the budget of memory: the claim, its wake, and the phrases. The wake is the
 * session's own, so an owner drives a session that waits for memory as it drives one that waits for
 * a commit; and as the budget lets nobody give a claim back while its wake is under way, a session
 * may be freed at any time.
 */
#include "admission_int.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

void ph__admission_init(struct ph__admission *admission, struct ph_session *session)
{
	*admission = (struct ph__admission){.session = session};
}

/* A session that waits does so without buffers that are empty: hundreds may wait. */
static void wait_begins(struct ph__admission *admission)
{
	admission->session->lean = true;
	ph__session_slim(admission->session);
}

enum ph_status ph__admission_ask(struct ph__admission *admission, uint64_t bytes, bool *first)
{
	struct ph_session *session = admission->session;
	struct ph_memory *memory = session->service.memory;
	enum ph_status status;

	*first = false;
	if (!memory || (admission->asked && ph_memory_granted(&admission->claim))) {
		session->lean = false;
		session->claims = memory;
		return PH_OK;
	}
	if (admission->asked) {
		ph__session_slim(session);
		return PH_PENDING;
	}
	status = ph_memory_claim(memory, &admission->claim, bytes, ph__session_wake, session);
	if (status == PH_ERR_LIMIT)
		return status;
	admission->asked = true;
	session->claims = status == PH_OK;
	if (status == PH_PENDING) {
		*first = true;
		wait_begins(admission);
	}
	return status;
}

bool ph__admission_fits(const struct ph__admission *admission, uint64_t bytes)
{
	struct ph_memory *memory = admission->session->service.memory;
	struct ph_memory_counts counts;

	if (!memory)
		return true;
	ph_memory_counts(memory, &counts);
	return bytes <= counts.bytes;
}

void ph__admission_release(struct ph__admission *admission)
{
	ph_memory_release(&admission->claim);
	admission->session->lean = false;
	admission->session->claims = false;
	admission->asked = false;
}

const char *ph__admission_waits(const struct ph__admission *admission,
                                char text[PH_ADMISSION_TEXT_BYTES])
{
	struct ph_memory_counts counts;

	ph_memory_counts(admission->session->service.memory, &counts);
	(void)snprintf(text, PH_ADMISSION_TEXT_BYTES,
	               "waiting for memory: %" PRIu32 " transfer%s running", counts.running,
	               counts.running == 1 ? " is" : "s are");
	return text;
}

/* In MiB, the one rounded up and the other down, so that they never look the same. */
const char *ph__admission_never(const struct ph__admission *admission, uint64_t bytes,
                                char text[PH_ADMISSION_TEXT_BYTES])
{
	struct ph_memory_counts counts;
	uint64_t mib = (uint64_t)1 << 20;

	ph_memory_counts(admission->session->service.memory, &counts);
	(void)snprintf(text, PH_ADMISSION_TEXT_BYTES,
	               "not enough memory: this needs %" PRIu64 " MiB, and the server has %" PRIu64
	               " MiB for transfers",
	               bytes / mib + 1, counts.bytes / mib);
	return text;
}
