// SPDX-License-Identifier: Apache-2.0
//
// What `netpolctl status` asks for: everything that a person wants to know of this daemon when something is wrong, as
// one JSON object. A module adds a section by one row.
#pragma once

#include "agent/control.h"
#include "agent/health.h"
#include "agent/metrics.h"
#include "agent/sync.h"

// A member of the object. put writes its value; a row without a name ends a table.
struct status_section {
    const char *name;
    void (*put)(struct buf *out, void *arg);
    void *arg;
};

struct status {
    const char *source;       // its name
    const char *backend_why;  // NULL: not told
    struct sync *sync;
    const struct health *health;
    const struct metrics *metrics;
    uint64_t start_ms;  // CLOCK_MONOTONIC
    const struct status_section *sections;
};

// As members of a JSON object without the braces.
void status_put(const struct status *status, struct buf *out);
// The op "status" (struct control_op): arg is a struct status.
void status_ask(struct control_call *call, const struct doc *request, void *arg);
