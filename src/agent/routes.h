// SPDX-License-Identifier: Apache-2.0
//
// What the health and metrics server answers: /livez, /readyz (?verbose, ?exclude=CHECK), /healthz (an old name of
// /livez), /metrics.
#pragma once

#include "agent/health.h"
#include "agent/metrics.h"
#include "base/loop.h"
#include "model/state.h"

struct routes;

struct routes_config {
    const char *address;  // "127.0.0.1:9469"
    struct loop *loop;
    struct metrics *metrics;
    const struct health *health;
    const struct state *state;
};

// Everything that config points to must outlive the object.
NODISCARD int routes_new(const struct routes_config *config, struct routes **ret, struct err *err);
void routes_free(struct routes *routes);
CLEANUP_DEFINE(struct routes, routes_free);
unsigned routes_port(const struct routes *routes);
