// SPDX-License-Identifier: Apache-2.0
//
// What /livez, /readyz and /healthz answer: named checks, each ok or not with its reason.
//
// Live: the loop ticked within HEALTH_TICK_MAX_MS; nothing else, so that an outage of the API server restarts no node.
// Ready: everything was read once and the node is known, the last write to the kernel went well, and the host lets the
// rules see bridged packets. It stays ready when the source is lost later: the rules stay in force.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum health_check {
    HEALTH_SYNC,    // state complete, node known
    HEALTH_APPLY,   // last apply went well
    HEALTH_HOST,    // facts of the host are known
    HEALTH_BRIDGE,  // br_netfilter
    HEALTH_STATE,   // the state is one to act upon (not emptied)
    HEALTH_JUMPS,   // no rule that may accept is kept before ours by another program
    HEALTH_CNI,     // what the CNI plugin told before could be read
    HEALTH_CHECK_COUNT
};

enum { HEALTH_TICK_MAX_MS = 10000 };

struct health {
    struct {
        bool ok;
        char why[512];
        char warning[512];  // shown beside an answer of ok; "" none
    } checks[HEALTH_CHECK_COUNT];
    uint64_t tick_ms;  // CLOCK_MONOTONIC of the last tick
};

// Every check fails until it is set: "not yet".
void health_init(struct health *health, uint64_t now_ms);
// why is for failures; returns whether anything changed, the reason included.
bool health_set(struct health *health, enum health_check check, bool ok, const char *why);
// Something to know that does not make the node unready; "" takes it back. Returns whether it changed.
bool health_warn(struct health *health, enum health_check check, const char *warning);
void health_tick(struct health *health, uint64_t now_ms);
bool health_live(const struct health *health, uint64_t now_ms);
bool health_ready(const struct health *health);
const char *health_check_name(enum health_check check);

// Whether a check is left out of the answer and of its verdict (?exclude=name).
typedef bool health_exclude_fn(const char *name, void *arg);
// The body of an answer: "ok", or the list of checks when verbose or when one fails. Returns the verdict.
bool health_render(const struct health *health, bool ready_checks, bool verbose, uint64_t now_ms,
                   health_exclude_fn *exclude, void *arg, struct buf *out);
