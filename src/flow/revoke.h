// SPDX-License-Identifier: Apache-2.0
//
// Which established flows the policies deny now (DESIGN 5.5), a pure judgement by the evaluator: source = original
// source, destination = reply source (the tuple after DNAT), as a first packet. A flow's answers are never judged: its
// direction is that of the entry.
#pragma once

#include "flow/flow.h"
#include "host/facts.h"
#include "model/state.h"
#include "policy/options.h"

enum revoke_verdict {
    REVOKE_PASS,    // allowed, or none of ours: no enforced pod of this node at an end
    REVOKE_DENIED,  // a packet that began it now would be dropped
};
NODISCARD int revoke_judge(struct state *state, const char *node, const struct facts *facts,
                           const struct policy_options *options, const struct flow *flow, enum revoke_verdict *ret,
                           struct err *err);
