/* SPDX-License-Identifier: MIT */
/*
 * Numeric addresses and the patterns of from="...": what sshd(8) and ssh_config(5) call a pattern
 * list.
 */
#ifndef PACKHORSE_ADDRESS_INT_H
#define PACKHORSE_ADDRESS_INT_H

#include <packhorse/base.h>

/* An address as 16 bytes; IPv4 is kept as the IPv6 address ::ffff:a.b.c.d that maps it. */
struct ph__address {
	uint8_t bytes[16];
	bool v4;
};

/* Parses "a.b.c.d" or an IPv6 address (a %zone is cut off). False when the text is neither. */
bool ph__address_parse(struct ph__address *out, const char *text, size_t len);

/* Whether text is a usable list: every pattern with a slash must be a network without host bits. */
bool ph__patterns_check(const char *list, size_t len);

/*
 * Whether peer matches a comma-separated list of addresses, networks (CIDR) and texts with * and ?.
 * A matching pattern with ! in front of it refuses, whatever else matches.
 */
bool ph__patterns_match(const char *list, size_t len, const char *peer);

#endif
