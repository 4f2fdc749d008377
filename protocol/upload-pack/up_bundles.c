/* SPDX-License-Identifier: MIT */
/*
 * bundle-uri of protocol 2: where a client finds bundles to begin a clone with, as the owner has
 * configured it (bundle.*), line by line in that order. They are the owner's words alone; no client
 * has a part in them.
 */
#include "up_int.h"

enum ph_step ph__up_bundle_lines(struct ph__up *up, uint32_t *budget)
{
	const struct ph_config_list *bundles = &up->config.bundles;

	while (*budget > 0) {
		if (!ph__out_ready(&up->session))
			return PH_STEP_OUTPUT;
		ph_budget_spend(budget, 1);
		if (up->cursor == bundles->count) {
			ph__out_flush(&up->session);
			return ph__up_request_done(up);
		}
		ph__out_line(&up->session, "%s", bundles->items[up->cursor++].text);
	}
	return PH_STEP_AGAIN;
}
