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

// The same judgements, remembered: of the many flows of a node, most have an end and a port in common. Good until the
// state, the facts or the options change; a change that is not in it is one whose own pass comes later.
struct revoke_cache;
NODISCARD int revoke_cache_new(struct revoke_cache **ret, struct err *err);
void revoke_cache_free(struct revoke_cache *cache);
CLEANUP_DEFINE(struct revoke_cache, revoke_cache_free);
void revoke_cache_clear(struct revoke_cache *cache);
NODISCARD int revoke_judge_cached(struct revoke_cache *cache, struct state *state, const char *node,
                                  const struct facts *facts, const struct policy_options *options,
                                  const struct flow *flow, enum revoke_verdict *ret, struct err *err);
