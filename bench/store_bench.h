/* SPDX-License-Identifier: MIT */
/*
 * Figures of the store on disk: what the parts of store_bench share. Everything here ends the
 * program when something is not as it should be; a figure of a run that failed is worth nothing.
 */
#ifndef PH_STORE_BENCH_H
#define PH_STORE_BENCH_H

#include "sim_device.h"
#include "support.h"

#include <packhorse/service.h>
#include <packhorse/store_disk.h>
#include <pthread.h>

/* ---- store_bench.c ---- */

void bench_fail(const char *format, ...) PH_PRINTF(1, 2);
void bench_check(enum ph_status status, const char *what);
/* A line of the result: what bench/store.py reads. */
void bench_figure(const char *name, double value);
double bench_wall_s(void);
double bench_cpu_s(void);
uint64_t bench_number(const char *text);

/* ---- store_client.c ---- */

/* One client: its session, and how it is woken. */
struct bench_client {
	struct ph_service service;
	struct ph_session *session;
	const uint8_t *request;
	size_t request_len, given;
	struct ph_test_buf answer;
	pthread_mutex_t lock;
	pthread_cond_t ready;
	bool woken, done;
	uint64_t now_ms;
};

void bench_client_init(struct bench_client *client, const struct ph_service *service);
void bench_client_release(struct bench_client *client);
/* Begins to push; the request stays the caller's. */
void bench_client_begin(struct bench_client *client, const char *repo, const void *request,
                        size_t len);
/* Runs it until it is done or waits; false when there was nothing to do. */
bool bench_client_step(struct bench_client *client);
/* Ends it: the push must have been taken. */
void bench_client_end(struct bench_client *client);
/* All of it, waiting for wakes. */
void bench_push(struct bench_client *client, const char *repo, const void *request, size_t len);
/* Appends what a client of receive-pack sends. pack may be empty. */
void bench_request(struct ph_test_buf *out, const char *old_hex, const char *new_hex,
                   const char *ref, const void *pack, size_t pack_len);

/* ---- the commands ---- */

int bench_group(int argc, char **argv);
int bench_play(int argc, char **argv);
int bench_large_make(int argc, char **argv);
int bench_large_open(int argc, char **argv);

#endif
