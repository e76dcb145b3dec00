// SPDX-License-Identifier: Apache-2.0
//
// Thousands of clients in virtual time, each deciding by the source's own plans (api_plan.h), at a model of API
// Priority and Fairness (api-client.md 5.1 to 5.3): seats, one flow's queues of 300 waiting requests in all, 15 s of
// waiting, then 429 with a Retry-After that grows while requests are dropped.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "source/api_plan.h"

enum {
    FLEET_CLIENTS = 5000,
    FLEET_STEPS = 4,  // what each of them reads, one after the other
    FLEET_SECONDS = 30 * 60,
    FLEET_QUEUE = 300,
};

struct fleet_client {
    unsigned step;
    struct api_retry retry;
    struct api_random random;
    unsigned tries;
};

struct fleet_event {
    uint64_t at_ms;
    uint32_t client;
    enum { FLEET_ARRIVES, FLEET_DONE, FLEET_GIVEN_UP } what;
    uint32_t ticket;  // of GIVEN_UP: the wait that it ends
};

struct fleet {
    // ---- settings
    bool watches;  // watches from a version: one seat, hardly any time; else lists
    bool naive;    // clients that come back after a second, all of them
    // ---- figures
    unsigned finished;
    uint64_t finished_ms;
    unsigned refused;
    unsigned arrivals[FLEET_SECONDS];  // requests of each second
    // ----
    struct fleet_client clients[FLEET_CLIENTS];
    VEC(struct fleet_event) heap;
    uint32_t queue[FLEET_QUEUE];  // waiting clients in order, each with a ticket
    uint32_t tickets[FLEET_QUEUE];
    size_t queued;
    uint32_t next_ticket;
    unsigned free_seats;
    unsigned dropped;  // in the present second
    unsigned retry_after_s;
    uint64_t second;
};

struct fleet_figures {
    unsigned peak;       // requests of the worst second
    unsigned peak_late;  // the same behind the first minute
    double per_client;
    unsigned most;  // of one client
};

// first: when a client comes for the first time. Free with fleet_free.
struct fleet *fleet_new(uint64_t (*first)(struct api_retry *retry, struct api_random *random));
void fleet_free(struct fleet *fleet);
// Until everybody has finished, or for FLEET_SECONDS.
void fleet_run(struct fleet *fleet);
// Prints a histogram too.
struct fleet_figures fleet_figures(const struct fleet *fleet, const char *title);
