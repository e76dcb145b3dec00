// SPDX-License-Identifier: Apache-2.0
//
// From a random packet to one that a kernel can be made to judge: what no kernel ever shows to its filter rules is left
// out for a named reason; what is only unsaid or unreachable on this way is set to something near.
#pragma once

#include "support/ksample_wire.h"
#include "support/rng.h"

enum ksample_reason {
    KSAMPLE_KEPT,
    KSAMPLE_NO_INTERFACE,  // an interface that the test node does not have
    KSAMPLE_SOURCE,        // the kernel takes no packet from this address: martian, multicast, unspecified, loopback
    KSAMPLE_DESTINATION,   // the kernel routes no packet to this address
    KSAMPLE_FLOW_TAKEN,    // protocol without ports: another packet of the batch is of the same flow
    KSAMPLE_REASONS,
};
const char *ksample_reason_name(enum ksample_reason reason);

// How the packet gets to the rules.
enum ksample_way {
    KSAMPLE_BRIDGED,    // FORWARD, between two ports of one bridge
    KSAMPLE_ROUTED,     // FORWARD, from one interface to another, or back out of the same
    KSAMPLE_TO_NODE,    // INPUT
    KSAMPLE_FROM_NODE,  // OUTPUT
    KSAMPLE_WAYS,
};

// What is added to connection tracking before the packet is sent.
enum ksample_flow {
    KSAMPLE_FLOW_NONE,
    KSAMPLE_FLOW_ANSWERED,  // the packet's own flow, which has been answered
    KSAMPLE_FLOW_EXPECTED,  // the packet's own flow, as one that another flow announced
    KSAMPLE_FLOW_QUOTED,    // the flow that the packet, an ICMP error, is about
};

struct ksample {
    struct packet packet;
    struct ksample_wire wire;
    enum ksample_way way;
    enum ksample_flow flow;
    bool untracked;
};

// The flows of protocols without ports that a batch has. Zero-initialise for each batch.
enum { KSAMPLE_BATCH_MAX = 4096 };
struct ksample_taken {
    struct ksample_pair {
        struct address low, high;
        uint8_t protocol;
    } pairs[KSAMPLE_BATCH_MAX];
    size_t n;
};

// The interfaces of the test node. Index 0 is the one that packets of no named interface use.
struct ksample_interfaces {
    const char *names[8];
    size_t n;
};
// -1: it has none of that name.
int ksample_interface_find(const struct ksample_interfaces *interfaces, const char *name);

// Makes *ret of a drawn packet; index: its place in the batch, below KSAMPLE_BATCH_MAX, from which addresses and ports
// of its own follow. *ret is written only when it is kept. source_is_node of the packet is left to the caller.
enum ksample_reason ksample_fit(const struct packet *drawn, size_t index, const struct ksample_interfaces *interfaces,
                                struct ksample_taken *taken, struct ksample *ret);
