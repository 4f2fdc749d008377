/* SPDX-License-Identifier: MIT */
/* Where no library is at hand that knows Ed25519. */
#include "verify_int.h"

enum ph_status ph__verify_ed25519(const uint8_t *key, const uint8_t *signature,
                                  struct ph__piece message)
{
	(void)key;
	(void)signature;
	(void)message;
	return PH_ERR_UNSUPPORTED;
}
