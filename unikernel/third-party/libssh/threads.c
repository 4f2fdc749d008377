/* SPDX-License-Identifier: MIT */
/*
 * Stands in for libssh's threads/mbedtls.c, which wants mbedTLS built with threads as soon as
 * somebody offers libssh locks. We have one thread, and never do.
 */
struct ssh_threads_callbacks_struct;

int crypto_thread_init(struct ssh_threads_callbacks_struct *callbacks);
void crypto_thread_finalize(void);

int crypto_thread_init(struct ssh_threads_callbacks_struct *callbacks)
{
	(void)callbacks;
	return 0; /* SSH_OK */
}

void crypto_thread_finalize(void)
{
}
