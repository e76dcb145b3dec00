// SPDX-License-Identifier: Apache-2.0
//
// Where the pods of a node sit, as the evaluator sees it: asked for one packet, from the objects and the facts. Private
// to the evaluator.
#pragma once

#include "host/facts.h"
#include "model/state.h"
#include "policy/options.h"

struct guard_world {
    struct state *state;
    const char *node;
    const struct facts *facts;  // NULL: nothing is known, so nobody sits anywhere
};

// One address of a pod of the node, and where packets come from it.
struct seat {
    const struct pod *pod;
    const struct facts_interface *behind;  // a bridge, or a device with a route to the very address
    bool bridge;
    bool alone;        // nobody else sends from there: the port is known and this pod's, or the device is
    const char *port;  // bridge, alone: the port
};

// The pod of the node that owns the address, or NULL.
const struct pod *seat_owner(const struct guard_world *world, const struct address *address);
// False when the address is no pod's of the node, or the facts do not say where it is.
bool seat_of(const struct guard_world *world, const struct address *address, struct seat *ret);

// Some seat behind the interface that is wanted. *ret: there is one. -1 when memory is out.
typedef int seat_fn(const struct guard_world *world, const struct seat *seat, const void *arg, bool *ret,
                    struct err *err);
NODISCARD int seat_any(const struct guard_world *world, const char *interface, seat_fn *wanted, const void *arg,
                       bool *ret, struct err *err);
// Some seat that is alone behind the port, of whatever bridge.
NODISCARD int seat_any_at_port(const struct guard_world *world, const char *port, seat_fn *wanted, const void *arg,
                               bool *ret, struct err *err);
// The same of the seats whose packets come in by the interface (and, of a bridge, by the port) and are known to be
// alone there.
NODISCARD int seat_any_alone(const struct guard_world *world, const char *interface, const char *port, seat_fn *wanted,
                             const void *arg, bool *ret, struct err *err);

// A default route leads there, or the way to another node: not only pods send from it.
NODISCARD int seat_is_uplink(const struct guard_world *world, const struct facts_interface *interface, bool *ret,
                             struct err *err);

// Pods that nobody knows may be behind the interface, and what they say by link-local addresses, or in tunnels, nothing
// else would judge (--unknown-pods=drop): it is a bridge that leads to the pod CIDRs, or the way to an address of them
// that no pod of the node has; and no uplink.
NODISCARD int seat_has_unknown(const struct guard_world *world, const struct policy_options *options, const char *name,
                               bool *ret, struct err *err);
