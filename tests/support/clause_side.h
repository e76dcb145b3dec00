// SPDX-License-Identifier: Apache-2.0
//
// One end of a packet for clause_observe: what the policies of a pod's namespace say, every rule and peer looked at.
#pragma once

#include "support/clause_observe.h"

// Who has an address.
struct clause_end {
    struct address address;
    const struct pod *pod;       // the live owner
    const struct pod *rival;     // a live pod that claims it and does not own it
    const struct pod *finished;  // a finished pod whose status still has it
    const struct pod *host;      // a hostNetwork pod on it
};

struct clause_side {
    const struct clause_world *world;
    const struct packet *packet;
    enum direction direction;
    const struct pod *pod;            // judged
    const struct clause_end *end;     // its own end
    const struct clause_end *other;   // the other
    const struct clause_end *target;  // of the two, where the packet goes
    struct clause_set *met;
    bool excepted;      // an except took the other end out of a block that was asked
    bool other_family;  // a block of the other family was asked
};

// Of the judged pod.
struct clause_verdict {
    bool isolated;
    bool allowed;
};

struct clause_verdict clause_judge(struct clause_side *side);
// Would a policy of its namespace isolate the pod in this direction? For pods that are not judged.
bool clause_isolates(const struct clause_world *world, const struct pod *pod, enum direction direction,
                     struct clause_set *met);

// clause_peer.c: selectors and peers.
bool clause_selector(const struct selector *selector, bool subject, const struct labels *labels,
                     struct clause_set *met);
struct clause_peers {
    bool match;
    bool by_block;
};
struct clause_peers clause_peers(struct clause_side *side, const struct policy *policy, const struct policy_rule *rule,
                                 struct clause_set *met);

// clause_port.c: port entries.
struct clause_ports {
    bool match;
    bool by_name;  // by a name alone
    bool named;    // some entry is a name of the packet's protocol
};
struct clause_ports clause_ports(const struct clause_side *side, const struct policy_rule *rule,
                                 struct clause_set *met);
