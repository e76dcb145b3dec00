// SPDX-License-Identifier: Apache-2.0
//
// Facts of a node as plain data: an input of the compiler, with JSON in and out (`netpold --print-facts`, `--facts
// FILE`), so that an offline rendering equals the daemon's byte for byte. Reading them from the kernel is facts_read.h.
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "model/address.h"
#include "model/packet.h"

struct facts_interface {
    char name[PACKET_IFACE];
    char kind[16];                    // rtnetlink IFLA_INFO_KIND: "bridge", "veth", "vxlan", …; "" none
    char master[PACKET_IFACE];        // the bridge it is a port of; "" none
    const struct address *addresses;  // sorted
    size_t n_addresses;
};

struct facts_route {
    struct prefix prefix;
    char device[PACKET_IFACE];
};

// A pod's address and the bridge port that it is behind: told by the CNI plugin, else learnt from the bridge (the first
// claim holds for the pod's life; a port is one pod's).
struct facts_port {
    struct address address;
    char port[PACKET_IFACE];
};

enum facts_switch { FACTS_UNKNOWN, FACTS_OFF, FACTS_ON };

struct facts {
    const struct facts_interface *interfaces;  // sorted by name
    size_t n_interfaces;
    const struct facts_route *routes;  // unicast routes of the main table; sorted by prefix, then device
    size_t n_routes;
    // The kernel's table "local", as far as no interface's address says the same: what the node takes for itself (and
    // IPv6 anycast), and what it hears with others (broadcast: single IPv4 addresses). Sorted like routes, unique.
    const struct facts_route *local;
    size_t n_local;
    const struct facts_route *broadcast;
    size_t n_broadcast;
    // net.bridge.bridge-nf-call-ip[6]tables; FACTS_OFF also when br_netfilter is not loaded.
    enum facts_switch bridge_nf[FAMILY_COUNT];
    // net.bridge.bridge-nf-filter-vlan-tagged: off, a frame with a VLAN 0 tag goes round the rules (DESIGN 11).
    enum facts_switch bridge_nf_vlan;
    const struct facts_port *ports;  // sorted by address, unique
    size_t n_ports;
    // UDP ports of this node's tunnel devices (vxlan, geneve, fou …), sorted, unique; the usual ones are not implied.
    const uint16_t *tunnel_ports;
    size_t n_tunnel_ports;
    // Flows of the family are marked as revoked now: their rule is needed (DESIGN 5.5).
    bool revoked[FAMILY_COUNT];
    bool ipvs;  // an interface named kube-ipvs0 exists: its addresses are VIPs, not the node's own
    struct arena arena;
};

void facts_free(struct facts *facts);
CLEANUP_DEFINE(struct facts, facts_free);
// No interface, no route, switches unknown.
NODISCARD int facts_new(struct facts **ret, struct err *err);

NODISCARD int facts_parse_json(const char *text, size_t len, const char *file, struct facts **ret, struct err *err);
void facts_render_json(const struct facts *facts, struct buf *out);
bool facts_equal(const struct facts *a, const struct facts *b);
// A copy with these ports and revoked families in place of its own. ERR_INPUT when an address has two ports.
NODISCARD int facts_with(const struct facts *facts, const struct facts_port *ports, size_t n,
                         const bool revoked[FAMILY_COUNT], struct facts **ret, struct err *err);

// The interface that a pod's address is behind: the device of the longest route prefix that holds it, default routes
// not counted; NULL when there is none. A bridge is the bridge itself, not its port.
const struct facts_interface *facts_pod_interface(const struct facts *facts, const struct address *address);
// Whether the address is one of the node's own (VIPs of kube-ipvs0 are not).
bool facts_is_own_address(const struct facts *facts, const struct address *address);
// Whether the node has an address of the device in the route's network: it hears what is sent to all of that network,
// and (IPv6, RFC 4291 2.6.1) to any router of it.
bool facts_is_connected(const struct facts *facts, const struct facts_route *route);
// Whether pods with addresses of one of these networks may be behind the device: a route by it leads into the network,
// or the network lies in one that the node has an address in by the device, and in no narrower one of another.
bool facts_leads_into(const struct facts *facts, const struct facts_interface *device, const struct prefix *networks,
                      size_t n);
// The port of the bridge that a pod's address is behind; NULL when it is not known.
const struct facts_port *facts_pod_port(const struct facts *facts, const struct address *address);
const struct facts_interface *facts_interface(const struct facts *facts, const char *name);
