/* SPDX-License-Identifier: MIT */
/* Reads names that end in NUL and prints 1 or 0 a name: for check_refname.py. */
#include <packhorse/refname.h>

#include <stdio.h>

int main(void)
{
	static char name[4096];
	size_t len = 0;

	for (int c = getchar(); c != EOF; c = getchar()) {
		if (c == 0) {
			puts(ph_refname_valid(name, len) ? "1" : "0");
			len = 0;
		} else if (len < sizeof(name)) {
			name[len++] = (char)c;
		}
	}
	return 0;
}
