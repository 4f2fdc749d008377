/* SPDX-License-Identifier: MIT */
/*
 * Commits that another thread completes: the session is run at once when its owner's wake comes,
 * and freed as soon as it may be, while that other thread may still be within the store's wake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "commit_int.h"
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#define ROUNDS 500

struct toy {
	struct ph_session session;
	struct ph__commit commit;
	struct ph_txn *txn;
};

enum how { BY_THREAD, AT_ONCE, NEVER_PENDING };

struct fake_txn {
	struct ph_txn txn;
	ph_wake wake;
	void *arg;
	unsigned commits;
	enum how how;
	pthread_t thread;
};

static struct ph_test_alloc memory;
static struct ph_limits limits;
static _Atomic unsigned wakes;

static void *complete(void *arg)
{
	struct fake_txn *fake = arg;

	fake->wake(fake->arg);
	return NULL;
}

static enum ph_status fake_commit(struct ph_txn *txn, ph_wake wake, void *arg)
{
	struct fake_txn *fake = (struct fake_txn *)txn;

	fake->commits++;
	if (fake->commits == 2 || fake->how == NEVER_PENDING || !wake)
		return PH_ERR_FULL;
	fake->wake = wake;
	fake->arg = arg;
	if (fake->how == AT_ONCE)
		wake(arg);
	else
		assert_int_equal(pthread_create(&fake->thread, NULL, complete, fake), 0);
	return PH_PENDING;
}

static enum ph_step toy_step(struct ph_session *session, uint32_t *budget)
{
	struct toy *toy = (struct toy *)session;
	enum ph_status status = ph__commit_run(&toy->commit, toy->txn);

	(void)budget;
	if (status == PH_PENDING || status == PH_AGAIN)
		return ph__commit_step(status);
	assert_int_equal(status, PH_ERR_FULL);
	return PH_STEP_DONE;
}

static void toy_free(struct ph_session *session)
{
	ph__session_release(session);
}

static void wake(void *user, struct ph_session *session)
{
	(void)user;
	(void)session;
	wakes++;
}

static void run_round(enum how how, bool with_wake)
{
	static const struct ph_session_ops ops = {toy_step, toy_free};
	static const struct ph_txn_ops txn_ops = {.commit = fake_commit};
	struct fake_txn fake = {.txn = {.ops = &txn_ops}};
	struct ph_service service = {.alloc = &memory.alloc, .limits = &limits};
	struct toy *toy = ph_mem_zalloc(&memory.alloc, 1, sizeof(*toy));
	unsigned before = wakes;

	service.wake = with_wake ? wake : NULL;
	fake.how = how;
	assert_int_equal(ph__session_init(&toy->session, &ops, &service), PH_OK);
	ph__commit_init(&toy->commit, &toy->session);
	toy->txn = &fake.txn;
	while (!(ph_session_state(&toy->session) & PH_DONE))
		if (ph_session_state(&toy->session) & PH_WANT_RUN)
			ph_session_run(&toy->session, 0, 0, 3);
		else
			sched_yield();
	assert_false(ph_session_busy(&toy->session));
	ph_session_free(&toy->session);
	if (how == BY_THREAD && with_wake)
		assert_int_equal(pthread_join(fake.thread, NULL), 0);
	assert_int_equal(fake.commits, how == NEVER_PENDING || !with_wake ? 1 : 2);
	assert_int_equal(wakes - before, how == NEVER_PENDING || !with_wake ? 0 : 1);
}

static void test_threads(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++)
		run_round(BY_THREAD, true);
}

static void test_others(void **state)
{
	(void)state;
	run_round(AT_ONCE, true);
	run_round(NEVER_PENDING, true);
	run_round(BY_THREAD, false);
	assert_int_equal(memory.live, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_threads),
	        cmocka_unit_test(test_others),
	};

	ph_test_alloc_init(&memory);
	ph_limits_init(&limits);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
