// SPDX-License-Identifier: Apache-2.0
//
// Collects facts in any order and gives them their one canonical form: used by the JSON reader and the kernel reader.
// Internal to host/.
#pragma once

#include "host/facts.h"

struct facts_build_address {
    char interface[PACKET_IFACE];
    struct address address;
};

struct facts_build_route {
    struct facts_route route;
    uint32_t
        metric;  // of several routes to one prefix only those of the lowest metric are facts: the others do nothing
};

struct facts_build_routes {
    struct facts_build_route *v;
    size_t n;
    size_t cap;
};

// Zero-initialise; facts_build_free ends it.
struct facts_build {
    VEC(struct facts_interface) interfaces;  // without addresses
    VEC(struct facts_build_address) addresses;
    struct facts_build_routes routes;
    struct facts_build_routes local;
    struct facts_build_routes broadcast;
    VEC(struct facts_port) ports;
    VEC(uint16_t) tunnel_ports;
    enum facts_switch bridge_nf[FAMILY_COUNT];
    enum facts_switch bridge_nf_vlan;
    bool revoked[FAMILY_COUNT];
    bool ipvs;
};

void facts_build_free(struct facts_build *build);
static inline void cleanup_facts_build(struct facts_build *build)
{
    facts_build_free(build);
}
#define FACTS_BUILD_CLEANUP __attribute__((cleanup(cleanup_facts_build)))

// Sorts what was collected (in place) and copies it. Addresses of interfaces that are not there, doubles of addresses,
// routes and ports, and local routes to addresses of interfaces are left out. ERR_INPUT when two interfaces have one
// name, or an address two ports.
NODISCARD int facts_build_finish(struct facts_build *build, struct facts **ret, struct err *err);
