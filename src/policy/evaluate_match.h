// SPDX-License-Identifier: Apache-2.0
//
// How rules match one connection, read straight from the objects (networkpolicy-v1.md 1 to 4). Private to the
// evaluator.
#pragma once

#include "policy/evaluate.h"

// One direction of a connection, seen from the pod that is judged.
struct attempt {
    const struct state *state;
    enum direction direction;
    const struct pod *pod;         // the pod judged
    const struct endpoint *other;  // the other end
    const struct pod *target;      // the pod that is connected to; NULL: no live pod
    uint8_t protocol;
    uint16_t port;
};

enum match { MATCH_NO, MATCH_UNKNOWN, MATCH_YES };  // unknown: an ipBlock would decide about an end without address

// Does the policy isolate the pod in the attempt's direction?
bool policy_isolates(const struct policy *policy, const struct attempt *attempt);
// *ret_peer: the first peer that matches for sure; -1 when the rule has no peers.
enum match rule_match(const struct policy *policy, const struct policy_rule *rule, const struct attempt *attempt,
                      int *ret_peer);
