// SPDX-License-Identifier: Apache-2.0
//
// The ways round a policy that are no link-local ones (DESIGN 11): forged sources, tunnel packets, multicast and
// broadcast, addresses of pods that nobody knows. Private to the evaluator.
#pragma once

#include "model/packet.h"
#include "policy/evaluate_seat.h"
#include "policy/options.h"

struct ways {
    const struct guard_world *world;
    const struct policy_options *options;
    const struct packet *packet;
    // Whether an isolated pod of the node is behind the bridge of that name, or may be.
    int (*is_enforced_bridge)(const struct ways *ways, const char *name, bool *ret, struct err *err);
};
// *ret: it is a tunnel packet that a pod sends to where it is unpacked. Asked about packets of established flows too.
NODISCARD int ways_is_forged_tunnel(const struct ways *ways, bool *ret, struct err *err);
// *ret: one of the other guards drops the packet.
NODISCARD int ways_drops(const struct ways *ways, bool *ret, struct err *err);
