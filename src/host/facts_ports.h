// SPDX-License-Identifier: Apache-2.0
//
// Which bridge port each local pod is behind. Two sources: the CNI plugin's word, and what the bridge has learnt (the
// node's neighbour table, address → MAC, joined with the bridge's table, MAC → port). The second is made of packets, so
// a pod can lie in it; hence it is believed once: the first claim of an address holds until the pod or the port goes,
// a port that has a pod takes no address of another, and the plugin's word goes before both. Pure: reading the kernel
// is facts_read_claims.h.
//
// What is left: a pod that lies about a neighbour before the node has seen the neighbour itself, and keeps quiet about
// its own address meanwhile, gets the neighbour's address. Only the plugin's word closes that.
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "host/facts.h"

enum { FACTS_MAC = 6, FACTS_POD_ID = 64 };

// Numbers are those of interfaces.
struct facts_neighbour {
    uint32_t bridge;
    struct address address;
    uint8_t mac[FACTS_MAC];
};

struct facts_forward {
    uint32_t bridge;
    uint8_t mac[FACTS_MAC];
    uint32_t port;
    bool local;  // the bridge's own address, or that of a port's end on this node: nobody behind the port
};

struct facts_link {
    uint32_t index;
    uint32_t master;  // 0 none
    char name[PACKET_IFACE];
};

// An address seen behind a port of a bridge.
struct facts_claim {
    struct address address;
    char bridge[PACKET_IFACE];
    char port[PACKET_IFACE];
};
typedef VEC(struct facts_claim) facts_claims;

// Adds to claims each neighbour whose MAC the bridge has behind a port that is still its port. links: sorted by index.
// Of two entries for one MAC of one bridge (VLANs) neither counts: which of them the pod has is not known.
NODISCARD int facts_ports_join(const struct facts_neighbour *neighbours, size_t n_neighbours,
                               const struct facts_forward *forwards, size_t n_forwards, const struct facts_link *links,
                               size_t n_links, facts_claims *claims, struct err *err);
// The link of that index; NULL when there is none. links: sorted by index.
const struct facts_link *facts_link_find(const struct facts_link *links, size_t n, uint32_t index);

// A live pod of this node that has an address of its own.
struct facts_owner {
    struct address address;
    char pod[FACTS_POD_ID];  // its uid; another one is another pod
};

struct facts_binding {
    struct facts_port port;
    char pod[FACTS_POD_ID];  // "" when told of an address that is nobody's yet
    bool told;
};

// Zero-initialise; facts_ports_free ends it.
struct facts_ports {
    VEC(struct facts_binding) bindings;  // sorted by address, unique
    // Claims of the last update that were not believed: they contradict what is known. With the first of them.
    size_t n_refused;
    struct facts_claim refused;
};

void facts_ports_free(struct facts_ports *ports);

struct facts_ports_news {
    const struct facts *facts;         // the ports that exist
    const struct facts_owner *owners;  // sorted by address, unique
    size_t n_owners;
    const struct facts_port *told;  // by the CNI plugin; of doubles the first
    size_t n_told;
    const struct facts_claim *claims;
    size_t n_claims;
};

// What is known after the news: told ports that exist; what was learnt before, as long as the pod still owns the
// address and its port is still one of the bridge that the address is routed to; and what is claimed now by a veth
// port of that bridge. Claims for addresses that are no live pod's of this node are not looked at.
NODISCARD int facts_ports_update(struct facts_ports *ports, const struct facts_ports_news *news, struct err *err);
const struct facts_binding *facts_ports_find(const struct facts_ports *ports, const struct address *address);
// The bridge that the address is routed to; NULL when it is routed to no bridge.
const struct facts_interface *facts_ports_bridge(const struct facts *facts, const struct address *address);
