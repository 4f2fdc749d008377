/* SPDX-License-Identifier: MIT */
int bench_large_make(int argc, char **argv);
int bench_large_open(int argc, char **argv);
int bench_large_make(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}
int bench_large_open(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}
