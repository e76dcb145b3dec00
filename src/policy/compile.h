// SPDX-License-Identifier: Apache-2.0
//
// The compiler: state + node + host facts + options → ruleset, a pure function (DESIGN 2.1, 4).
#pragma once

#include "host/facts.h"
#include "model/state.h"
#include "policy/options.h"
#include "ruleset/ruleset.h"

struct compile_stats {
    size_t local_pods;       // live pods of the node
    size_t enforced_pods;    // isolated in some direction
    size_t active_policies;  // policies that select a live pod of the node
    size_t unenforceable;    // policies of the state with unreadable parts
    size_t unguarded_pods;   // --source-guard is for them, and where they sit is not known or not theirs alone
};

// The node's ruleset, a new one (ruleset_free). Equal inputs give equal bytes when rendered, whatever the order in
// which the state was built. state is const in meaning: it sorts lazily. facts may be NULL (nothing known: no interface
// guards), ret_stats too. A family with nothing to do has an empty table. Errors: memory, ERR_LIMIT for a set that no
// kernel holds; whatever a policy says is no error (what cannot be read isolates and grants nothing).
NODISCARD int compile_ruleset(struct state *state, const char *node, const struct facts *facts,
                              const struct policy_options *options, struct ruleset **ret,
                              struct compile_stats *ret_stats, struct err *err);
