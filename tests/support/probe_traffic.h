// SPDX-License-Identifier: Apache-2.0
//
// Traffic that goes on while something else happens: a long-lived flow that must not break, crafted packets that must
// not arrive, and the counter that proves whether they did.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "support/probe_packet.h"

// From here on SIGTERM ends what runs below in good order. Whoever runs in the background calls it before anybody can
// know the process; the others need not.
void probe_traffic_stop_on_term(void);

struct probe_flow {
    enum probe_kind kind;  // PROBE_TCP or PROBE_UDP
    const char *address;
    uint16_t port;
    unsigned interval_ms;
    const char *report;  // rewritten once a second and at the end: "sent=N answered=N gap_ms=N broken=0|1"
};
// Runs until SIGTERM or until the flow breaks; what is under way at SIGTERM is waited for. 0: never broken; 1: broken;
// -1 with errno: it never came up.
int probe_flow_run(const struct probe_flow *flow);

struct probe_burst {
    struct probe_packet packet;
    const char *iface;  // leave by this interface; NULL: by the route
    uint64_t count;     // 0: until SIGTERM
    unsigned interval_us;
    const char *report;   // written at the end: "sent=N refused=N"; NULL none
    uint16_t sport_step;  // added to the source port after each packet, so that each opens a flow of its own
};
// -1 with errno when a packet cannot be built or the socket not opened; what the kernel refuses to send is counted.
int probe_burst_run(const struct probe_burst *burst, uint64_t *ret_sent, uint64_t *ret_refused);

// Counts arriving frames whose bytes contain a tag, per tag, into `file` as "TAG COUNT" lines (always complete).
struct probe_sniffer {
    const char *iface;  // NULL: every interface
    const char *const *tags;
    unsigned n_tags;
    const char *file;
};
int probe_sniffer_open(const struct probe_sniffer *sniffer, int *ret_fd);
int probe_sniffer_run(const struct probe_sniffer *sniffer, int fd);
