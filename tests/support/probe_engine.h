// SPDX-License-Identifier: Apache-2.0
//
// Many reachability probes at once, from many network namespaces, by one process and one thread: a socket belongs to
// the namespace it was made in, so the engine enters each in turn and waits for all sockets together.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum probe_outcome {
    PROBE_REACHED,      // the far end answered
    PROBE_TIMEOUT,      // silence
    PROBE_REFUSED,      // a reset, a port unreachable or an ABORT-like answer without a server
    PROBE_UNREACHABLE,  // another ICMP error, or no route
    PROBE_BROKEN,       // the probe itself could not be made: a bad line, a missing namespace or address
};
const char *probe_outcome_name(enum probe_outcome outcome);

struct probe_settings {
    unsigned timeout_ms;   // of one attempt
    unsigned attempts;     // only silence is tried again
    const char *sequence;  // file with the next source port, so that no flow is ever asked twice; NULL: start at random
    unsigned size;         // of the payload of UDP, 0: small; above the MTU it travels in fragments
    bool unprivileged;     // drop every capability before the first probe (TCP and UDP in the present namespace only)
};

// Lines from `in`: ID NETNS PROTOCOL ADDRESS PORT [SOURCE]; NETNS "-" is the present namespace, PORT is ignored for
// icmp. One line out for each, in order: ID OUTCOME. -1 when input or output failed or memory was out.
int probe_run(FILE *in, FILE *out, const struct probe_settings *settings);
// One probe, in the present namespace.
enum probe_outcome probe_one(const char *protocol, const char *address, unsigned port, const char *source,
                             const struct probe_settings *settings);
