/* SPDX-License-Identifier: MIT */
/*
 * Stands in for the config.h that libssh's own build makes: what the C library offers (musl and
 * glibc alike), and which parts of libssh are compiled. A server on mbedTLS: no files, no programs
 * run, no GSSAPI, no SFTP, no group exchange, and no constructor that would start before there is
 * entropy.
 */
#ifndef PACKHORSE_LIBSSH_CONFIG_H
#define PACKHORSE_LIBSSH_CONFIG_H

#define PACKAGE "libssh"
/* Nothing is ever read from these. */
#define SYSCONFDIR "/nonexistent"
#define BINARYDIR "/nonexistent"
#define SOURCEDIR "/nonexistent"
#define USR_GLOBAL_CONF_DIR "/nonexistent"
#define GLOBAL_CONF_DIR "/nonexistent"
#define USR_GLOBAL_BIND_CONFIG "/nonexistent"
#define GLOBAL_BIND_CONFIG "/nonexistent"
#define USR_GLOBAL_CLIENT_CONFIG "/nonexistent"
#define GLOBAL_CLIENT_CONFIG "/nonexistent"

#define HAVE_ARPA_INET_H 1
#define HAVE_SYS_TIME_H 1
#define HAVE_TERMIOS_H 1
#define HAVE_UNISTD_H 1
#define HAVE_STDINT_H 1

#define HAVE_SNPRINTF 1
#define HAVE_VSNPRINTF 1
#define HAVE_ISBLANK 1
#define HAVE_STRNCPY 1
#define HAVE_STRNDUP 1
#define HAVE_GETADDRINFO 1
#define HAVE_POLL 1
#define HAVE_CLOCK_GETTIME 1
#define HAVE_STRTOULL 1
#define HAVE_EXPLICIT_BZERO 1

#define HAVE_LIBMBEDCRYPTO 1
#define HAVE_ECC 1

#define HAVE_FALLTHROUGH_ATTRIBUTE 1
#define HAVE_UNUSED_ATTRIBUTE 1
#define HAVE_WEAK_ATTRIBUTE 1
#define HAVE_GCC_VOLATILE_MEMORY_PROTECTION 1
#define HAVE_COMPILER__FUNC__ 1
#define HAVE_COMPILER__FUNCTION__ 1

#define WITH_SERVER 1
#define WITH_ZLIB 1

#endif
