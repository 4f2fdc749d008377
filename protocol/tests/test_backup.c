/* SPDX-License-Identifier: MIT */
/* What a backup leaves out of the settings, and what it leaves alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <packhorse/backup.h>

#include <string.h>

/* What becomes of a text, in out; NULL when it is left out. */
static const char *kept(char *out, const char *repo, const char *key, const char *text)
{
	size_t len = strlen(text);
	bool left_out = false;
	enum ph_status status;

	memcpy(out, text, len);
	status = ph_backup_setting(&left_out, repo, key, out, &len);
	assert_int_equal(left_out, status == PH_ERR_NOT_FOUND || len < strlen(text));
	if (status == PH_ERR_NOT_FOUND)
		return NULL;
	assert_int_equal(status, PH_OK);
	out[len] = '\0';
	return out;
}

static void host_key(void **state)
{
	char out[100];

	(void)state;
	assert_null(kept(out, "", "host-key", "secret"));
	/* Of that name in a repository it is nobody's key. */
	assert_string_equal(kept(out, "demo", "host-key", "text"), "text");
	assert_string_equal(kept(out, "", "host-keys", "text"), "text");
	assert_string_equal(kept(out, "", "other", ""), "");
}

static void seed(void **state)
{
	static const char *const texts[][2] = {
	        {"", ""},
	        {"receive.certnonceseed=x\n", ""},
	        {"receive.certnonceseed=x", ""},
	        {"receive.certnonceseed=\n", ""},
	        {"a=b\nreceive.certnonceseed=x\nc=d\n", "a=b\nc=d\n"},
	        {"a=b\nreceive.certnonceseed=x\nreceive.certnonceseed=y\n", "a=b\n"},
	        {"receive.certnonceslop=9\nreceive.certnonceseed=x\nc=d",
	         "receive.certnonceslop=9\nc=d"},
	        {"a=receive.certnonceseed=x\n\nreceive.certnonceseed\n",
	         "a=receive.certnonceseed=x\n\nreceive.certnonceseed\n"},
	};
	char out[100];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_string_equal(kept(out, "", "config", texts[i][0]), texts[i][1]);
		assert_string_equal(kept(out, "demo", "config", texts[i][0]), texts[i][1]);
		assert_string_equal(kept(out, "demo", "description", texts[i][0]), texts[i][0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(host_key),
	        cmocka_unit_test(seed),
	};

	return cmocka_run_group_tests_name("what a backup leaves out", tests, NULL, NULL);
}
