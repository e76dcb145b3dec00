// SPDX-License-Identifier: Apache-2.0
//
// The facts of this host, kept current: read at start, when rtnetlink says that links, addresses or routes changed
// (bursts are one change), each period, and every two seconds while bridged packets go round the rules;
// the switches of bridged packets every five seconds, whatever the period. The bridge ports of local pods
// (host_ports.h) with each of these, and while some are not known, when the bridge has learnt something: at most once a
// second.
#pragma once

#include "agent/health.h"
#include "agent/host_check.h"
#include "agent/metrics.h"
#include "base/loop.h"
#include "host/facts.h"
#include "model/state.h"

struct host_watch;

struct host_watch_config {
    struct loop *loop;
    struct state *state;
    const char *node;
    struct metrics *metrics;
    struct health *health;
    uint64_t period_ms;
    // New facts, valid until the next call. Called from the loop only.
    void (*changed)(const struct facts *facts, void *arg);
    void *arg;
};

NODISCARD int host_watch_new(const struct host_watch_config *config, struct host_watch **ret, struct err *err);
void host_watch_free(struct host_watch *watch);
CLEANUP_DEFINE(struct host_watch, host_watch_free);
// Read again at once (SIGHUP).
void host_watch_refresh(struct host_watch *watch);
// Flows are marked as revoked, by family: a fact that the agent itself makes. Tells `changed` when that is news.
void host_watch_revoked(struct host_watch *watch, const bool revoked[FAMILY_COUNT]);
// The bridge ports that the CNI plugin told of; they go before what is learnt from the bridge. Copied. Tells `changed`
// when that is news.
NODISCARD int host_watch_ports(struct host_watch *watch, const struct facts_port *ports, size_t n, struct err *err);
// Look again whether bridged local pods are seen by the rules: pods have come or gone.
void host_watch_check(struct host_watch *watch);
